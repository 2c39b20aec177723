package aptrepo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"

	"github.com/repod-io/repod/aptrepo/storage"
)

// materialise writes the files of next below dists/ in storage, if the Repo is
// to do that: what differs from cur or is missing, InRelease last.
func (p *publisher) materialise(ctx context.Context, cur, next *snapshot) error {
	if !p.repo.Materialise {
		return nil
	}
	if err := p.materialisePatches(ctx, next); err != nil {
		return err
	}
	for name, f := range next.files {
		if err := p.materialiseFile(ctx, f, next, cur.files[name].entry != f.entry); err != nil {
			return err
		}
	}
	for _, name := range []string{"Release", "Release.gpg", "InRelease"} {
		if err := p.put(ctx, name, next.heads[name], next); err != nil {
			return err
		}
	}
	p.materialised.Store(next.gen.Number)
	return nil
}

// materialiseFile writes a file under its own name when it is new, and under
// that of its hash. Where the latter is missing, the former cannot be relied
// on.
func (p *publisher) materialiseFile(ctx context.Context, f indexFile, s *snapshot, changed bool) error {
	byHash := "dists/" + p.codename + "/" + f.entry.ByHash()
	if !changed {
		body, _, err := p.repo.Storage.Open(ctx, byHash)
		if err == nil {
			return body.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return storageError(err)
		}
	}
	if err := p.put(ctx, f.entry.Path, f, s); err != nil {
		return err
	}
	file, err := f.open(ctx, p.blobs, s, true)
	if err != nil {
		return err
	}
	defer file.Close()
	err = storage.Create(ctx, p.repo.Storage, byHash, file)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return storageError(err)
}

// put writes a file below dists/CODENAME/.
func (p *publisher) put(ctx context.Context, name string, f indexFile, s *snapshot) error {
	key := "dists/" + p.codename + "/" + name
	if f.log == nil {
		return storageError(p.repo.Storage.Put(ctx, key, bytes.NewReader(f.data)))
	}
	file, err := f.open(ctx, p.blobs, s, false)
	if err != nil {
		return err
	}
	defer file.Close()
	return storageError(p.repo.Storage.Put(ctx, key, file))
}

// rematerialise finishes what a crash or a failure left unwritten.
func (p *publisher) rematerialise(ctx context.Context) error {
	return p.exclusive(ctx, func(ctx context.Context) error {
		s, err := p.snapshot(ctx)
		if err != nil || p.materialised.Load() >= s.gen.Number {
			return err
		}
		return p.materialise(ctx, &snapshot{}, s)
	})
}
