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

// Check probes database, storage (by writing a small file) and signing.
func (r *Repo) Check(ctx context.Context) Health {
	h := Health{
		Database: r.Store.Ping(ctx),
		Storage:  storage.Check(ctx, r.Storage),
	}
	if h.Database == nil {
		h.Signing = r.checkSigning(ctx)
	}
	return h
}

// foreignCheck is how long a signature of Repo.Signer counts for the next checks,
// too: strangers ask for the health of a server, and a token that signs is slow.
const foreignCheck = time.Minute

// signedCheck remembers when signing was checked.
type signedCheck struct {
	mu sync.Mutex
	at time.Time
}

func (r *Repo) checkSigning(ctx context.Context) error {
	signer, err := r.signer(ctx)
	if err != nil {
		return err
	}
	last := &r.shared().signed
	last.mu.Lock()
	defer last.mu.Unlock()
	if since := r.now().Sub(last.at); r.Signer != nil && since >= 0 && since < foreignCheck {
		return nil
	}
	if _, err = signer.ClearSign(ctx, []byte("repod health check\n")); err != nil {
		return err
	}
	last.at = r.now()
	return r.activeExpired(ctx)
}
