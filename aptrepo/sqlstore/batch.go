package sqlstore

import (
	"context"
	"errors"

	"github.com/repod-io/repod/aptrepo"
)

// An update is a call of Update. Its function runs on the caller's goroutine,
// so that a panic there is the caller's own.
type update struct {
	urgent bool        // many wait for it: it goes first and ends its batch
	turn   chan *batch // the caller may run its function
	result chan error  // what became of the batch
}

// A batch is one transaction. Only the update whose turn it is may use it.
type batch struct {
	session *session
	head    chainHead     // end of the audit chain
	key     []byte        // that signs it
	ran     chan struct{} // the update has had its turn
	kept    int           // updates whose changes are in the transaction
	derived derived       // what they leave to be done before the commit
	over    bool          // rolled back
	// enqueued says that there may be a new message in the outbox.
	enqueued bool
	broken   error // the transaction cannot go on
}

// Update runs fn as [aptrepo.Store] says. Concurrent updates share a commit.
func (d *DB) Update(ctx context.Context, fn func(tx aptrepo.Tx) error) error {
	return d.update(ctx, func(t *tx) error { return fn(t) })
}

func (d *DB) update(ctx context.Context, fn func(t *tx) error) error {
	return d.enqueue(ctx, &update{}, fn)
}

// first is update for what many others wait for.
func (d *DB) first(ctx context.Context, fn func(t *tx) error) error {
	return d.enqueue(ctx, &update{urgent: true}, fn)
}

func (d *DB) enqueue(ctx context.Context, u *update, fn func(t *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u.turn, u.result = make(chan *batch), make(chan error, 1)
	if err := d.writer.enqueue(u); err != nil {
		return err
	}
	done := ctx.Done()
	for {
		select {
		case b := <-u.turn:
			return b.take(ctx, u, fn)
		case err := <-u.result:
			return err
		case <-done:
			if d.writer.withdraw(u) {
				return ctx.Err()
			}
			done = nil // its turn is about to come
		}
	}
}

// take runs fn and waits for the commit.
func (b *batch) take(ctx context.Context, u *update, fn func(t *tx) error) error {
	before := b.kept
	broken, err := b.run(ctx, fn)
	if err != nil && before == 0 { // nothing uncommitted was seen
		if broken {
			<-u.result // the next update must not join those that fail with this
		}
		return err
	}
	// An error may come from what another update of this batch did. It holds
	// only if that was committed.
	if failed := <-u.result; failed != nil {
		return failed
	}
	return err
}

// run gives fn its turn and hands the batch on however fn ends: an error, a
// panic and runtime.Goexit undo what fn did. It is broken when that failed.
//
// While nothing is kept, undoing that is undoing the transaction: the first
// needs no savepoint, which spares a lone update two trips to the server.
func (b *batch) run(ctx context.Context, fn func(t *tx) error) (broken bool, err error) {
	head := b.head
	t := &tx{batch: b}
	first := b.kept == 0
	keep := false
	defer func() {
		t.ended = true
		if !keep {
			b.head = head
		}
		b.ran <- struct{}{}
	}()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if err := b.mark(first); err != nil {
		b.broken = err
		return true, err
	}
	defer func() {
		if keep {
			return
		}
		if undone := b.undo(first); undone != nil {
			b.broken = errors.Join(t.failed, undone)
			broken = true
		}
	}()
	if err := fn(t); err != nil {
		return false, err
	}
	if t.failed != nil {
		return false, t.failed
	}
	if !first {
		if _, err := b.session.exec("RELEASE SAVEPOINT turn"); err != nil {
			return false, err
		}
	}
	keep = true
	b.kept++
	b.derived.add(t)
	return false, nil
}

func (b *batch) mark(first bool) error {
	if first {
		return nil
	}
	_, err := b.session.exec("SAVEPOINT turn")
	return err
}

func (b *batch) undo(first bool) error {
	if first {
		_, err := b.session.exec("ROLLBACK")
		b.over = err == nil
		return err
	}
	if _, err := b.session.exec("ROLLBACK TO SAVEPOINT turn"); err != nil {
		return err
	}
	_, err := b.session.exec("RELEASE SAVEPOINT turn")
	return err
}
