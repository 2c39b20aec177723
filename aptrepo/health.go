package aptrepo

import (
	"context"

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

func (r *Repo) checkSigning(ctx context.Context) error {
	signer, err := r.signer(ctx)
	if err != nil {
		return err
	}
	_, err = signer.ClearSign(ctx, []byte("repod health check\n"))
	return err
}
