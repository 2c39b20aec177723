package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// A crowd is a number of updates that wait for the same batch.
type crowd struct {
	t       *testing.T
	db      *DB
	release chan struct{}
	wg      sync.WaitGroup
	first   error
}

// gather makes updates wait: the batch is held up until release is called.
func gather(t *testing.T, db *DB) *crowd {
	t.Helper()
	c := &crowd{t: t, db: db, release: make(chan struct{})}
	started := make(chan struct{})
	c.wg.Go(func() {
		c.first = db.update(t.Context(), func(tx *tx) error {
			close(started)
			<-c.release
			return scribble(tx, "first")
		})
	})
	<-started
	return c
}

// add starts an update and waits until it is in the queue.
func (c *crowd) add(call func()) {
	c.t.Helper()
	before := c.db.writer.waiting()
	c.wg.Go(call)
	for c.db.writer.waiting() == before {
		runtime.Gosched()
	}
}

func (c *crowd) disperse() {
	close(c.release)
	c.wg.Wait()
}

func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// scribble writes something that can be looked for.
func scribble(t *tx, name string) error { return t.ScheduleRemoval(name, time.Unix(1, 0)) }

func scribbled(t *testing.T, db *DB) map[string]bool {
	t.Helper()
	names, err := db.DueRemovals(t.Context(), time.Unix(2, 0), 10000)
	if err != nil {
		t.Fatal(err)
	}
	set := make(map[string]bool)
	for _, name := range names {
		set[name] = true
	}
	return set
}

// forBoth runs a test on each dialect.
func forBoth(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Run("SQLite", func(t *testing.T) { test(t, openSQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, openPostgres(t)) })
}

// A publication overtakes the updates that came before it, and is committed
// without waiting for them.
func TestPublicationGoesFirst(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		err := db.Update(t.Context(), func(tx aptrepo.Tx) error {
			_, err := tx.InsertDistribution(aptrepo.Distribution{Codename: "jammy"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		c := gather(t, db)
		published := make(chan struct{})
		for i := range 20 {
			c.add(func() {
				err := db.update(t.Context(), func(tx *tx) error {
					<-published
					return scribble(tx, fmt.Sprint(i))
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		c.add(func() {
			defer close(published)
			if err := db.AdvanceGeneration(t.Context(), aptrepo.Generation{Distribution: "jammy", Number: 1}); err != nil {
				t.Error(err)
			}
		})
		c.disperse()
		if g, err := db.Generation(t.Context(), "jammy"); err != nil || g.Number != 1 {
			t.Errorf("generation %d, %v", g.Number, err)
		}
	})
}

// Updates that wait while another one runs share its commit, which is what
// makes a hundred of them cost one fsync.
func TestUpdatesShareCommits(t *testing.T) {
	db := openSQLite(t)
	const n = 2*maxBatch + 10
	c := gather(t, db)
	var mu sync.Mutex
	sizes := make(map[*batch]int)
	for i := range n {
		c.add(func() {
			err := db.update(t.Context(), func(tx *tx) error {
				mu.Lock()
				sizes[tx.batch]++
				mu.Unlock()
				return scribble(tx, fmt.Sprint(i))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	c.disperse()
	most := 0
	for _, size := range sizes {
		most = max(most, size)
	}
	if most > maxBatch || len(sizes) > n/10 {
		t.Errorf("%d updates took %d commits of up to %d", n, len(sizes), most)
	}
	if got := len(scribbled(t, db)); got != n+1 {
		t.Errorf("%d of %d updates are kept", got, n+1)
	}
}

// A panic and runtime.Goexit stay with the caller whose function it was.
func TestUpdatePanics(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		c := gather(t, db)
		var caught any
		exited := false
		c.add(func() {
			defer func() { caught = recover() }()
			_ = db.update(t.Context(), func(tx *tx) error {
				_ = scribble(tx, "panic")
				panic("ouch")
			})
		})
		c.add(func() {
			defer func() { exited = true }()
			_ = db.update(t.Context(), func(tx *tx) error {
				_ = scribble(tx, "exit")
				runtime.Goexit()
				return nil
			})
			t.Error("Goexit in a function let Update return")
		})
		var last error
		c.add(func() {
			last = db.update(t.Context(), func(tx *tx) error { return scribble(tx, "last") })
		})
		c.disperse()
		if caught != "ouch" || !exited {
			t.Errorf("recovered %v, exited %t", caught, exited)
		}
		if err := errors.Join(c.first, last); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(scribbled(t, db)); got != "map[first:true last:true]" {
			t.Errorf("kept %s", got)
		}
		// Alone, without a savepoint.
		func() {
			defer func() { _ = recover() }()
			_ = db.update(t.Context(), func(tx *tx) error {
				_ = scribble(tx, "panic")
				panic("ouch")
			})
		}()
		if err := db.update(t.Context(), func(tx *tx) error { return scribble(tx, "after") }); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(scribbled(t, db)); got != "map[after:true first:true last:true]" {
			t.Errorf("kept %s", got)
		}
	})
}

// Who stops waiting is not served.
func TestUpdateWithdrawn(t *testing.T) {
	db := openSQLite(t)
	c := gather(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	left := make(chan struct{})
	c.add(func() {
		defer close(left)
		err = db.update(ctx, func(tx *tx) error {
			t.Error("a withdrawn update runs")
			return nil
		})
	})
	cancel()
	<-left // though the batch is still held up
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	c.disperse()
}

// An update whose statement failed fails, even if its function does not tell.
func TestUpdateHidingFailure(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		for _, first := range []bool{true, false} {
			c := gather(t, db)
			if first { // the held up one must not be in the batch
				c.disperse()
			}
			var hiding, other error
			run := func() {
				hiding = db.update(t.Context(), func(tx *tx) error {
					_ = scribble(tx, "hiding")
					_, _ = tx.exec("INSERT INTO audit_head (id, last_id, last_hash) VALUES (2, 0, '')")
					return nil
				})
			}
			if first {
				run()
			} else {
				c.add(run)
				c.add(func() { other = db.update(t.Context(), func(tx *tx) error { return scribble(tx, "other") }) })
				c.disperse()
			}
			if hiding == nil || errors.Is(hiding, aptrepo.ErrUnavailable) || other != nil || c.first != nil {
				t.Errorf("first %t: errors %v, %v, %v", first, hiding, other, c.first)
			}
			if scribbled(t, db)["hiding"] {
				t.Errorf("first %t: the changes of the failed update are kept", first)
			}
		}
	})
}

// When a batch goes down, all in it learn that they may try again: those that
// had succeeded, those not yet run, and those that had failed for what they saw.
func TestBatchLost(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		c := gather(t, db)
		wanted := errors.New("saw first")
		errs := make([]error, 3)
		c.add(func() { errs[0] = db.update(t.Context(), func(*tx) error { return wanted }) })
		c.add(func() {
			errs[1] = db.update(t.Context(), func(tx *tx) error {
				_, err := tx.batch.session.exec("ROLLBACK")
				return err
			})
		})
		c.add(func() { errs[2] = db.update(t.Context(), func(tx *tx) error { return scribble(tx, "third") }) })
		c.disperse()
		for i, err := range append(errs, c.first) {
			if !errors.Is(err, aptrepo.ErrUnavailable) {
				t.Errorf("update %d: error %v, want ErrUnavailable", i, err)
			}
		}
		if err := db.update(t.Context(), func(tx *tx) error { return scribble(tx, "after") }); err != nil {
			t.Errorf("after the loss: %v", err)
		}
		if got := fmt.Sprint(scribbled(t, db)); got != "map[after:true]" {
			t.Errorf("kept %s", got)
		}
	})
}

func TestTxAfterItsEnd(t *testing.T) {
	db := openSQLite(t)
	var kept aptrepo.Tx
	if err := db.Update(t.Context(), func(tx aptrepo.Tx) error { kept = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := kept.ScheduleRemoval("late", time.Unix(1, 0)); !errors.Is(err, errEnded) {
		t.Errorf("writing: error %v", err)
	}
	if _, err := kept.Known("late"); !errors.Is(err, errEnded) {
		t.Errorf("reading: error %v", err)
	}
}

// Close waits for updates under way and refuses later ones.
func TestClose(t *testing.T) {
	db := openSQLite(t)
	c := gather(t, db)
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	for {
		db.writer.mu.Lock()
		done := db.writer.closed
		db.writer.mu.Unlock()
		if done {
			break
		}
		runtime.Gosched()
	}
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	c.disperse()
	if err := errors.Join(c.first, <-closed); err != nil {
		t.Error(err)
	}
	if err := db.update(t.Context(), func(*tx) error { return nil }); !errors.Is(err, errClosed) {
		t.Errorf("update after Close: error %v", err)
	}
}
