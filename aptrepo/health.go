package aptrepo

import (
	"context"
	"sync"

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

func (r *Repo) checkSigning(ctx context.Context) error {
	signer, err := r.signer(ctx)
	if err != nil {
		return err
	}
	_, err = signer.ClearSign(ctx, []byte("repod health check\n"))
	return err
}
