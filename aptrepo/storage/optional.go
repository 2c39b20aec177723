package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"
)

// A Creator is a [Backend] that can put a file only where there is none, in
// one step. [Dir] and [Mem] are Creators.
type Creator interface {
	// Create is Put, except that it fails with an error that matches
	// fs.ErrExist when there is a file at key, and leaves that file alone. Of
	// several Creates of one key at once, in one process or many, exactly one
	// succeeds. Who gets fs.ErrExist can rely on the file that is there: it is
	// whole and as durable as one's own would be. Create may fail so without
	// having read r.
	Create(ctx context.Context, key string, r io.ReadSeeker) error
}

// Create puts a file where there is none: see [Creator], which it uses if b is
// one. For any other backend it looks for a file and then calls Put, so that a
// file put between the two steps is replaced: such a backend needs one writer.
func Create(ctx context.Context, b Backend, key string, r io.ReadSeeker) error {
	if c, ok := b.(Creator); ok {
		return c.Create(ctx, key, r)
	}
	f, _, err := b.Open(ctx, key)
	switch {
	case err == nil:
		f.Close()
		return pathError("create", key, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return b.Put(ctx, key, r)
}

// A URLer is a [Backend] from which clients can fetch files themselves.
type URLer interface {
	// URL returns an address that serves the file at key to anyone who holds
	// it, for a time of the backend's choice of at least a few minutes. It need
	// not find out whether there is such a file. An error that matches
	// errors.ErrUnsupported means that the file is to be read through Open.
	URL(ctx context.Context, key string) (string, error)
}

// URL returns an address to which a download of key may be redirected: see
// [URLer]. For a backend that is none, the error matches
// [errors.ErrUnsupported].
func URL(ctx context.Context, b Backend, key string) (string, error) {
	if u, ok := b.(URLer); ok {
		return u.URL(ctx, key)
	}
	return "", pathError("url", key, errors.ErrUnsupported)
}

// A Stater is a [Backend] that can tell of a file without opening it.
type Stater interface {
	// Stat returns what Open would say of the file at key, with the same errors.
	Stat(ctx context.Context, key string) (Info, error)
}

// Stat describes the file at key: see [Stater]. A backend that is none opens it.
func Stat(ctx context.Context, b Backend, key string) (Info, error) {
	if s, ok := b.(Stater); ok {
		return s.Stat(ctx, key)
	}
	f, info, err := b.Open(ctx, key)
	if err != nil {
		return Info{}, err
	}
	return info, f.Close()
}

// A TempCleaner is a [Backend] in which a crash leaves behind what it was
// writing. List and Open never show it, but it takes space.
type TempCleaner interface {
	// CleanTemp removes what was last written to before the given time, and
	// returns how many pieces it removed. A write that still goes on fails if
	// its piece is removed: an hour ago is a safe time.
	CleanTemp(ctx context.Context, before time.Time) (int, error)
}

// CleanTemp removes what crashed writers left behind: see [TempCleaner]. For a
// backend that is none there is nothing to remove. A program calls it when it
// starts, and may call it while others use the same files.
func CleanTemp(ctx context.Context, b Backend, before time.Time) (int, error) {
	if c, ok := b.(TempCleaner); ok {
		return c.CleanTemp(ctx, before)
	}
	return 0, nil
}

// ErrFull is matched by the error of a backend that has no room left and no
// error of the operating system to say so.
var ErrFull = errors.New("storage is full")

// IsFull reports whether err came about because the storage has no room left:
// it matches [ErrFull], or is the system's ENOSPC (the file system is full) or
// EDQUOT (the user's quota is used up).
func IsFull(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// CheckPrefix starts the keys of the files that [Check] writes. One that a
// crash left behind may be deleted.
const CheckPrefix = ".repod-check-"

// Check finds out whether b works: it creates a file of a few bytes under
// [CheckPrefix] and a random name, reads it back, deletes it and sees that it
// is gone. It is meant for health checks every few seconds; ctx bounds its
// time, but for at most a second more in which it deletes its file.
func Check(ctx context.Context, b Backend) (err error) {
	key, body := CheckPrefix+rand.Text(), []byte(rand.Text())
	defer func() {
		if err != nil {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = b.Delete(clean, key) // the first error tells more
			err = fmt.Errorf("checking storage: %w", err)
		}
	}()
	if err := Create(ctx, b, key, bytes.NewReader(body)); err != nil {
		return err
	}
	if err := checkContents(ctx, b, key, body); err != nil {
		return err
	}
	if err := b.Delete(ctx, key); err != nil {
		return err
	}
	f, _, err := b.Open(ctx, key)
	switch {
	case err == nil:
		f.Close()
		return fmt.Errorf("%s is still there after its deletion", key)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

func checkContents(ctx context.Context, b Backend, key string, want []byte) error {
	f, info, err := b.Open(ctx, key)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(io.LimitReader(f, int64(len(want))+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", key, err)
	}
	if !bytes.Equal(got, want) || info.Size != int64(len(want)) {
		return fmt.Errorf("%s does not hold what was written to it", key)
	}
	return nil
}
