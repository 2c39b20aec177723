package aptrepo

import (
	"context"
	"sync"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
)

// Health says what of a repository works; nil is well.
type Health struct {
	Database error
	Storage  error
	Signing  error
}

// Check probes database, storage (by writing a small file) and signing. Database
// and storage are probed side by side: one that hangs until ctx ends does not make
// the other look as if it had failed.
func (r *Repo) Check(ctx context.Context) Health {
	var h Health
	var beside sync.WaitGroup
	beside.Go(func() { h.Storage = storage.Check(ctx, r.Storage) })
	h.Database = r.Store.Ping(ctx)
	beside.Wait()
	if h.Database == nil {
		h.Signing = r.checkSigning(ctx)
	}
	return h
}

// foreignCheck is how long a signature of Repo.Signer tells that it works:
// strangers ask for the health of a server, and a token that signs is slow.
const foreignCheck = time.Minute

// signedCheck remembers when something was signed.
type signedCheck struct {
	mu sync.Mutex
	at time.Time
}

func (c *signedCheck) note(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = now
}

// within reports whether that was no longer ago than d.
func (c *signedCheck) within(now time.Time, d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := now.Sub(c.at)
	return since >= 0 && since < d
}

func (r *Repo) checkSigning(ctx context.Context) error {
	signer, err := r.signer(ctx)
	if err != nil {
		return err
	}
	last := &r.shared().signed
	if r.Signer != nil && last.within(r.now(), foreignCheck) {
		return nil
	}
	if _, err = signer.ClearSign(ctx, []byte("repod health check\n")); err != nil {
		return err
	}
	last.note(r.now())
	return r.activeExpired(ctx)
}
