package aptrepo

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/repod-io/repod/aptrepo/storage"
)

// OpenFile opens a file of the APT tree by its path below the root:
// "dists/jammy/InRelease", an index file there, its by-hash name, or
// "pool/...", or a bill of materials that PublishBills has put there. Everything
// else gives an error that matches fs.ErrNotExist.
//
// Reading the current generation does not touch the Store. The files of
// superseded ones can be opened by hash for KeepGenerations.
func (r *Repo) OpenFile(ctx context.Context, name string) (*File, error) {
	if !storage.ValidKey(name) {
		return nil, notExist(name)
	}
	if strings.HasPrefix(name, "pool/") {
		return r.openPool(ctx, name)
	}
	if billFile(name) {
		return r.openBill(ctx, name)
	}
	rest, ok := strings.CutPrefix(name, "dists/")
	if !ok {
		return nil, notExist(name)
	}
	codename, file, ok := strings.Cut(rest, "/")
	if !ok || !validCodename(codename) {
		return nil, notExist(name)
	}
	p, err := r.knownPublisher(ctx, codename)
	if errors.Is(err, ErrUnknownDistribution) {
		return nil, notExist(name)
	}
	if err != nil {
		return nil, err
	}
	if dir, hash, ok := byHashName(file); ok {
		return p.openByHash(ctx, dir, hash)
	}
	s, err := p.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if strings.Contains(file, patchMark) {
		return p.openPatch(ctx, s, file)
	}
	return s.open(ctx, p.blobs, file)
}

// knownPublisher returns the publisher of a codename that a client made up
// perhaps: none is kept for a distribution that does not exist.
func (r *Repo) knownPublisher(ctx context.Context, codename string) (*publisher, error) {
	s := r.shared()
	s.mu.Lock()
	p := s.publishers[codename]
	s.mu.Unlock()
	if p != nil {
		return p, nil
	}
	if _, err := r.Store.Generation(ctx, codename); err != nil {
		return nil, err
	}
	return r.publisher(codename), nil
}

// byHashName splits DIR/by-hash/SHA256/HASH.
func byHashName(file string) (dir, hash string, ok bool) {
	parent, hash := path.Split(file)
	dir, ok = strings.CutSuffix(parent, "/by-hash/SHA256/")
	return dir, hash, ok && isSHA256(hash)
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// openByHash looks in the current generation, then in former ones, then in
// what another server may have published meanwhile.
func (p *publisher) openByHash(ctx context.Context, dir, hash string) (*File, error) {
	s, err := p.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := s.byHash[dir+"/"+hash]; !ok {
		s = p.former.find(dir, hash)
	}
	if s == nil {
		if s, err = p.generationByHash(ctx, hash); err != nil {
			return nil, err
		}
	}
	return s.openByHash(ctx, p.blobs, dir, hash)
}

func (p *publisher) generationByHash(ctx context.Context, hash string) (*snapshot, error) {
	g, err := p.repo.Store.GenerationByHash(ctx, p.codename, hash)
	if errors.Is(err, ErrGenerationNotFound) {
		return nil, notExist(hash)
	}
	if err != nil {
		return nil, err
	}
	s, err := loadSnapshot(ctx, p.blobs, g)
	if err != nil {
		return nil, err
	}
	if cur := p.current.Load(); cur == nil || g.Number > cur.gen.Number {
		p.swap(s)
	} else {
		p.former.add(s)
	}
	return s, nil
}

func (r *Repo) openPool(ctx context.Context, name string) (*File, error) {
	body, info, err := r.Storage.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, notExist(name)
	}
	if err != nil {
		return nil, storageError(err)
	}
	seeker, ok := body.(io.ReadSeekCloser)
	if !ok {
		seeker = &reopener{ctx: ctx, repo: r, key: name, size: info.Size, body: body}
	}
	return &File{
		ReadSeekCloser: seeker,
		Size:           info.Size,
		ModTime:        info.ModTime.UTC(),
		Immutable:      true,
		Exact:          true,
	}, nil
}

// PoolURL returns an address outside of the server from which a package of the
// pool can be fetched for some minutes, by the name that OpenFile takes, and its
// size in bytes. Other files of the tree have none, nor has a package where the
// Storage signs no addresses ([storage.URLer]): the error matches
// errors.ErrUnsupported then, and fs.ErrNotExist where there is no such package.
func (r *Repo) PoolURL(ctx context.Context, name string) (address string, size int64, err error) {
	if !storage.ValidKey(name) {
		return "", 0, notExist(name)
	}
	if !strings.HasPrefix(name, "pool/") {
		return "", 0, &fs.PathError{Op: "url", Path: name, Err: errors.ErrUnsupported}
	}
	// Signing costs no request, and most backends sign nothing.
	if address, err = storage.URL(ctx, r.Storage, name); err != nil {
		return "", 0, storageURLError(err)
	}
	info, err := storage.Stat(ctx, r.Storage, name)
	if err != nil {
		return "", 0, storageURLError(err)
	}
	return address, info.Size, nil
}

func storageURLError(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return storageError(err)
}

// A reopener seeks in a file whose backend only reads forward: it opens the
// file anew to go back and reads on to go ahead.
type reopener struct {
	ctx    context.Context
	repo   *Repo
	key    string
	size   int64
	body   io.ReadCloser
	at     int64 // of body
	wanted int64 // of the next Read
}

func (r *reopener) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.wanted
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	r.wanted = offset
	return offset, nil
}

func (r *reopener) Read(p []byte) (int, error) {
	if r.wanted >= r.size {
		return 0, io.EOF
	}
	if err := r.reach(); err != nil {
		return 0, err
	}
	n, err := r.body.Read(p)
	r.at += int64(n)
	r.wanted = r.at
	return n, err
}

// reach moves body to the wanted offset.
func (r *reopener) reach() error {
	if r.wanted < r.at {
		body, _, err := r.repo.Storage.Open(r.ctx, r.key)
		if err != nil {
			return err
		}
		r.body.Close()
		r.body, r.at = body, 0
	}
	n, err := io.CopyN(io.Discard, r.body, r.wanted-r.at)
	r.at += n
	return err
}

func (r *reopener) Close() error { return r.body.Close() }
