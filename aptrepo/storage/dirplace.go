package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
)

// A place is a key by its directory, which is open, and its name there: the
// way to it is gone once.
type place struct {
	dir  *os.Root
	name string
}

// stage writes r to a temporary file at the place, flushes it and returns its
// name. When it fails it leaves nothing behind.
func (p place) stage(ctx context.Context, r io.Reader) (string, error) {
	tmp := tempName()
	f, err := p.dir.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return "", err
	}
	if err = copyAll(ctx, f, r); err == nil {
		err = flush(f)
	} else {
		f.Close()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return "", errors.Join(err, p.discard(tmp))
	}
	return tmp, nil
}

func tempName() string { return TempPrefix + rand.Text() }

// replace renames tmp to the place's name. When that cannot be made durable,
// it puts the earlier file back, which has a second name until then.
func (p place) replace(tmp string) error {
	old := tempName()
	kept := p.dir.Link(p.name, old)
	if err := p.dir.Rename(tmp, p.name); err != nil {
		return errors.Join(err, p.discard(tmp), p.discard(old))
	}
	err := p.flush()
	switch {
	case err == nil && kept == nil:
		_ = p.discard(old) // the file is in place; CleanTemp gets what stays
	case err != nil && kept == nil:
		return errors.Join(err, p.dir.Rename(old, p.name))
	case err != nil && errors.Is(kept, fs.ErrNotExist):
		return errors.Join(err, p.discard(p.name))
	}
	return err
}

// link gives tmp the place's name, unless that is taken.
func (p place) link(tmp string) error {
	err := p.dir.Link(tmp, p.name)
	_ = p.discard(tmp) // CleanTemp gets what stays
	if errors.Is(err, fs.ErrExist) {
		if err := p.taken(); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return errors.Join(err, p.discard(p.name))
	}
	return nil
}

var errNotFile = errors.New("something that is not a file is there")

// taken returns nil if nothing lies at the place, and an error that matches
// fs.ErrExist if a file does. Another process may have put it there and not
// have flushed the directory yet: whoever hears that a file exists builds on
// it, so it is made durable first. The caller holds the lock of the key.
func (p place) taken() error {
	fi, err := p.dir.Lstat(p.name)
	switch {
	case missing(err):
		return nil
	case err != nil:
		return err
	case !fi.Mode().IsRegular():
		return errNotFile
	}
	if err := p.flush(); err != nil {
		return err
	}
	return fs.ErrExist
}

// discard removes a file of the directory that may be gone already.
func (p place) discard(name string) error {
	if err := p.dir.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// flush makes the directory's entries durable.
func (p place) flush() error {
	f, err := p.dir.Open(".")
	if err != nil {
		return err
	}
	return flush(f)
}

// flush waits until f is on the disk, and closes it.
func flush(f *os.File) error {
	return errors.Join(f.Sync(), f.Close())
}

// flushing lets those who want the same directory flushed at the same time
// share one flush.
type flushing struct {
	asked atomic.Int64
	mu    sync.Mutex
	done  int64 // so many of those who asked are served
}

// share returns once f has run, wholly after the call of share.
func (s *flushing) share(f func() error) error {
	turn := s.asked.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done >= turn {
		return nil
	}
	upTo := s.asked.Load()
	err := f()
	if err == nil {
		s.done = upTo
	}
	return err
}
