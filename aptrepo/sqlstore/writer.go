package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// What one commit takes up at most: that many updates, or so much work.
const (
	maxBatch = 256
	maxWork  = 15 * time.Millisecond
)

// quickRetry is how long a batch that could not begin is begun again: after a
// failover, the pool is full of dead connections.
const quickRetry = time.Second

// A writer runs updates one after the other, many of them in one commit.
// While a commit waits for the disk, the next updates gather.
type writer struct {
	db      *DB
	session *session // SQLite: kept between batches

	mu      sync.Mutex
	queue   []*update
	running bool
	closed  bool
	idle    sync.Cond // signalled when running ends
}

var errClosed = errors.New("the store is closed")

// enqueue adds u to the next batch, and sees to it that there is one. An
// urgent update goes before all others.
func (w *writer) enqueue(u *update) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	if u.urgent {
		w.queue = slices.Insert(w.queue, 0, u)
	} else {
		w.queue = append(w.queue, u)
	}
	if !w.running {
		w.running = true
		go w.work()
	}
	return nil
}

// withdraw takes u back unless its turn has come.
func (w *writer) withdraw(u *update) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, u)
	if i < 0 {
		return false
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	return true
}

func (w *writer) next() *update {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil
	}
	u := w.queue[0]
	w.queue = w.queue[1:]
	return u
}

// work runs batches until nobody waits.
func (w *writer) work() {
	for {
		w.mu.Lock()
		if len(w.queue) == 0 {
			w.running = false
			w.idle.Broadcast()
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		w.batch()
	}
}

// failWaiting ends the wait of everybody in the queue: when the database does
// not answer, each of them would find that out in turn, and the last too late.
func (w *writer) failWaiting(err error) {
	w.mu.Lock()
	queue := w.queue
	w.queue = nil
	w.mu.Unlock()
	for _, u := range queue {
		u.result <- err
	}
}

// batch runs and commits one batch.
func (w *writer) batch() {
	b, err := w.begin()
	if err != nil {
		w.failWaiting(err)
		return
	}
	head := b.head
	var members []*update
	start := time.Now()
	urgent := false
	for !urgent && len(members) < maxBatch && !b.over && b.broken == nil && time.Since(start) < maxWork {
		u := w.next()
		if u == nil {
			break
		}
		u.turn <- b
		<-b.ran
		members = append(members, u)
		urgent = u.urgent
	}
	err = b.broken
	if err == nil {
		err = w.finish(b, head)
	}
	if err != nil {
		err = lost(err)
		w.abandon(b.session)
	}
	if err == nil && b.enqueued && b.kept > 0 && w.db.onMessage != nil {
		w.db.onMessage()
	}
	// When the database is full there may be room for the next, smaller ones.
	// Those who wait are told before the members: what comes after the failure
	// has not failed.
	if err != nil && !errors.Is(err, aptrepo.ErrFull) {
		w.failWaiting(err)
	}
	for _, u := range members {
		u.result <- err
	}
}

// lost is what those learn whose transaction went down, perhaps through no
// fault of theirs: trying again may help.
func lost(err error) error {
	if errors.Is(err, aptrepo.ErrFull) || errors.Is(err, aptrepo.ErrUnavailable) {
		return fmt.Errorf("committing: %w", err)
	}
	return fmt.Errorf("committing: %w: %w", aptrepo.ErrUnavailable, err)
}

// finish commits what was kept.
func (w *writer) finish(b *batch, before chainHead) error {
	if b.over {
		w.release(b.session, true)
		return nil
	}
	if b.kept == 0 {
		_, err := b.session.exec("ROLLBACK")
		w.release(b.session, err == nil)
		return err
	}
	if err := b.derived.settle(b.session); err != nil {
		return err
	}
	if b.head != before {
		if err := b.head.save(b.session, w.db.auditKey); err != nil {
			return err
		}
	}
	_, err := b.session.exec("COMMIT")
	if err == nil {
		w.release(b.session, true)
	}
	return err
}

// begin opens a transaction that excludes all other writers.
func (w *writer) begin() (*batch, error) {
	start := time.Now()
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		b, err := w.tryBegin()
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, aptrepo.ErrUnavailable) || time.Since(start)+pause > quickRetry {
			return nil, err
		}
		time.Sleep(pause)
	}
}

func (w *writer) tryBegin() (*batch, error) {
	s, err := w.connect()
	if err != nil {
		return nil, err
	}
	b := &batch{session: s, key: w.db.auditKey, ran: make(chan struct{})}
	if _, err = s.exec(w.db.dialect.begin()); err == nil {
		b.head, err = lockHead(s, w.db.auditKey)
	}
	if err != nil {
		w.abandon(s)
		return nil, fmt.Errorf("beginning a transaction: %w", err)
	}
	return b, nil
}

// connect returns the session of the next batch.
func (w *writer) connect() (*session, error) {
	if w.session != nil {
		return w.session, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	conn, err := w.db.conn.DB.Conn(ctx)
	if err != nil {
		return nil, classify(err, "connecting")
	}
	s := newSession(w.db.dialect, conn)
	if w.db.dialect == SQLite {
		for _, pragma := range append([]string{waitForLocks()}, writerPragmas...) {
			if _, err := conn.ExecContext(s.ctx, pragma); err != nil {
				s.close(false)
				return nil, classify(err, pragma)
			}
		}
		w.session = s
	}
	return s, nil
}

// release ends the use of a session after a transaction.
func (w *writer) release(s *session, healthy bool) {
	if s == w.session && healthy {
		return
	}
	if s == w.session {
		w.session = nil
	}
	s.close(healthy)
}

// abandon undoes the transaction and drops the connection: its state is not
// known.
func (w *writer) abandon(s *session) {
	if s.dialect == SQLite { // a PostgreSQL connection that is closed has rolled back
		_, _ = s.conn.ExecContext(s.ctx, "ROLLBACK") // fails when SQLite did so by itself
	}
	w.release(s, false)
}

// close gives the connection back to the pool, or out of it.
func (s *session) close(healthy bool) {
	if s.hung != nil {
		s.hung.Stop()
	}
	for _, stmt := range s.statements {
		_ = stmt.Close()
	}
	if !healthy {
		_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = s.conn.Close()
	s.cancel()
}

// close waits for the updates under way and ends the writer.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	for w.running {
		w.idle.Wait()
	}
	w.mu.Unlock()
	if w.session != nil {
		w.release(w.session, false)
	}
}
