package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// An outbox is in memory and fails as told.
type outbox struct {
	mu       sync.Mutex
	messages []Message
	failures int // of Delete, to come
}

func (o *outbox) add(ids ...int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		o.messages = append(o.messages, Message{
			ID: id, Topic: "mail", Payload: json.RawMessage(strconv.FormatInt(id, 10)), CreatedAt: time.UnixMicro(id),
		})
	}
}

func (o *outbox) Outbox(_ context.Context, limit int) ([]Message, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.messages[:min(limit, len(o.messages))]), nil
}

func (o *outbox) Delete(_ context.Context, ids []int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failures > 0 {
		o.failures--
		return errors.New("crash")
	}
	o.messages = slices.DeleteFunc(o.messages, func(m Message) bool { return slices.Contains(ids, m.ID) })
	return nil
}

func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.messages) == 0
}

// sink returns a kind that notes its arguments.
func sink() (Kind, func() []int64) {
	var mu sync.Mutex
	var got []int64
	return Kind{Name: "mail", Internal: true, Work: func(_ context.Context, t *Task) (any, error) {
			var id int64
			err := t.Args(&id)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, id)
			return nil, err
		}}, func() []int64 {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(got)
		}
}

// Whoever dies between enqueuing and deleting, or relays at the same time,
// makes no second job.
func TestRelayOnce(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		o := &outbox{failures: 2}
		var want []int64
		for id := range int64(relayBatch + 5) {
			want = append(want, id+1)
		}
		o.add(want...)
		kind, got := sink()
		r, _ := newRunner(t, d)
		r.Workers = 1
		start(t, r, kind)
		for range 2 {
			if err := NewRelay(o, r).drain(t.Context()); err == nil {
				t.Fatal("the crash was not noticed")
			}
		}
		other, _ := newRunner(t, d)
		start(t, other)
		var relays sync.WaitGroup
		for _, relay := range []*Relay{NewRelay(o, r), NewRelay(o, other)} {
			relays.Go(func() {
				if err := relay.drain(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		relays.Wait()
		eventually(t, "all jobs ran", func() bool { return len(got()) >= len(want) })
		stop(t, r)
		if done := slices.Sorted(slices.Values(got())); !slices.Equal(done, want) {
			t.Errorf("jobs for %v", done)
		}
		if !o.empty() {
			t.Error("messages are left")
		}
	})
}

// An outbox may give numbers again once it was empty.
func TestRelayNumbersAgain(t *testing.T) {
	kind, got := sink()
	r, _ := newRunner(t, newSQLite(t))
	start(t, r, kind)
	o := new(outbox)
	for i := range 2 {
		o.add(1)
		o.messages[0].CreatedAt = time.UnixMicro(int64(i))
		if err := NewRelay(o, r).drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "two jobs ran", func() bool { return len(got()) == 2 })
}

func TestRelayRun(t *testing.T) {
	kind, got := sink()
	r, log := newRunner(t, newSQLite(t))
	start(t, r, kind)
	o := new(outbox)
	relay := NewRelay(o, r)
	relay.every = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- relay.Run(ctx) }()
	o.add(1)
	o.add(2)
	o.mu.Lock()
	o.messages[0].Payload = json.RawMessage("{")
	o.mu.Unlock()
	relay.Wake()
	eventually(t, "the outbox is empty", o.empty)
	eventually(t, "the job ran", func() bool { return slices.Equal(got(), []int64{2}) })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	if log.String() == "" {
		t.Error("the message without JSON was not logged")
	}
}
