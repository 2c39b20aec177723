package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
)

// A Message is something that a transaction wants to be done after it.
type Message struct {
	ID        int64
	Topic     string          // kind of the job that does it
	Payload   json.RawMessage // arguments of that job
	CreatedAt time.Time
}

// An Outbox keeps messages that transactions wrote together with the changes
// they belong to. Its methods may be called by several servers at a time.
type Outbox interface {
	// Outbox returns the oldest messages, in the order in which they were
	// written.
	Outbox(ctx context.Context, limit int) ([]Message, error)
	// Delete deletes messages. Those that are gone already are no error.
	Delete(ctx context.Context, ids []int64) error
}

const (
	relayBatch = 100
	relayEvery = 5 * time.Second
)

// A Relay turns messages into jobs: each becomes one, even when the server
// dies between enqueuing the job and deleting the message, or when several
// servers relay at a time. Jobs are enqueued in the messages' order; workers
// may then do several at a time.
//
// A topic that is no registered kind is enqueued as well, as an internal job
// that waits for a server which knows it.
type Relay struct {
	Outbox Outbox
	Runner *Runner

	woken chan struct{}
	every time.Duration // for tests
}

// NewRelay returns a Relay.
func NewRelay(o Outbox, r *Runner) *Relay {
	return &Relay{Outbox: o, Runner: r, woken: make(chan struct{}, 1), every: relayEvery}
}

// Wake makes Run look at the outbox now. Call it after a transaction that
// wrote a message; it never blocks.
func (r *Relay) Wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// Run relays messages until ctx ends, and returns ctx's error. It looks at the
// outbox when it is woken and every 5 s. The Runner has been started.
func (r *Relay) Run(ctx context.Context) error {
	poll := time.NewTicker(r.every)
	defer poll.Stop()
	for {
		if err := r.drain(ctx); err != nil && ctx.Err() == nil {
			r.Runner.Logger.Warn("messages could not be relayed", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.woken:
		case <-poll.C:
		}
	}
}

// drain relays all messages that are there.
func (r *Relay) drain(ctx context.Context) error {
	for {
		messages, err := r.Outbox.Outbox(ctx, relayBatch)
		if err != nil || len(messages) == 0 {
			return err
		}
		relayed, err := r.enqueue(ctx, messages)
		if len(relayed) > 0 {
			err = errors.Join(err, r.Outbox.Delete(ctx, relayed))
		}
		if err != nil || len(messages) < relayBatch {
			return err
		}
	}
}

// enqueue makes jobs of messages and returns the IDs of those that are done
// with.
func (r *Relay) enqueue(ctx context.Context, messages []Message) (relayed []int64, err error) {
	client, err := r.Runner.started()
	if err != nil {
		return nil, err
	}
	var ids []int64
	var batch []river.InsertManyParams
	for _, m := range messages {
		params, err := r.insertion(m)
		if err != nil { // it never will be right
			r.Runner.Logger.LogAttrs(ctx, slog.LevelError, "a message is dropped: its payload is no JSON",
				slog.Int64("message", m.ID), slog.String("topic", m.Topic))
			relayed = append(relayed, m.ID)
			continue
		}
		ids, batch = append(ids, m.ID), append(batch, params)
	}
	if len(batch) == 0 {
		return relayed, nil
	}
	if _, err = client.InsertMany(ctx, batch); err == nil {
		return append(relayed, ids...), nil
	}
	// One that the database does not take must not hold up the others.
	var faults []error
	for i, params := range batch {
		if _, err := client.Insert(ctx, params.Args, params.InsertOpts); err != nil {
			faults = append(faults, fmt.Errorf("message %d: %w", ids[i], err))
			continue
		}
		relayed = append(relayed, ids[i])
	}
	return relayed, errors.Join(faults...)
}

func (r *Relay) insertion(m Message) (river.InsertManyParams, error) {
	k := r.Runner.kinds[m.Topic]
	if k == nil {
		k = &Kind{Name: m.Topic, Internal: true, Retry: make([]time.Duration, 2)}
	}
	// IDs alone do not do: SQLite gives those of deleted rows again.
	return insertion(k, m.Payload, Options{Once: fmt.Sprintf("message %d of %d", m.ID, m.CreatedAt.UnixMicro())})
}
