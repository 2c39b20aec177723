package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"sync"
	"syscall"

	"github.com/repod-io/repod/aptrepo/storage"
)

// ErrInjected is matched by the errors that a [Faulty] makes up.
var ErrInjected = errors.New("storagetest: injected fault")

// A Fault is a way in which a call of a [Faulty] goes wrong. Whichever it is,
// the backend keeps its contract: no half a file is ever seen.
type Fault int

const (
	// Fail: the call does nothing and returns an error.
	Fail Fault = iota
	// Full: a Put or Create does nothing and returns syscall.ENOSPC. Other
	// calls need no space: they work and are not counted.
	Full
	// Short: the call breaks off. Put and Create have read a part of their
	// input and stored nothing; the reader that Open returns fails part of the
	// way, and cannot seek; List fails after a few files. Delete does nothing.
	Short
	// Lost: the call does all of its work, and then returns an error, as when
	// the connection to a server breaks before the answer.
	Lost
)

// Faulty is a storage.Backend and storage.Creator that passes calls on to
// another, and lets one of them, or all from one on, go wrong. It shows what
// the code that calls it does then; [EachCall] tries every call in turn.
//
// Set the fields before use. The methods can be called concurrently; which of
// several calls at once is the one that fails is then a matter of chance.
type Faulty struct {
	Backend storage.Backend
	Fault   Fault
	Call    int    // the call that fails, counted from 1; 0 is none
	Lasting bool   // all later calls fail too
	Seed    uint64 // decides where Short breaks off; the same seed, the same place

	mu    sync.Mutex
	calls int
}

// EachCall yields a Faulty whose first call fails, then one whose second call
// fails, and so on, each around a backend from open, until nothing failed in
// the loop's body because it made fewer calls. The last run of the body is
// thus one without a fault.
//
//	for b := range storagetest.EachCall(storagetest.Fail, 1, open) {
//		err := work(b)
//		if err == nil && b.Hit() { ... } // a fault was overlooked, or repaired
//		check(b.Backend)                 // nothing is half done
//	}
func EachCall(fault Fault, seed uint64, open func() storage.Backend) iter.Seq[*Faulty] {
	return func(yield func(*Faulty) bool) {
		for n := 1; ; n++ {
			f := &Faulty{Backend: open(), Fault: fault, Call: n, Seed: seed}
			if !yield(f) || !f.Hit() {
				return
			}
		}
	}
}

// Calls returns how many calls there have been that count for Call.
func (f *Faulty) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Hit reports whether a call has gone wrong yet.
func (f *Faulty) Hit() bool { return f.Call > 0 && f.Calls() >= f.Call }

// next counts a call. It returns nil, or what the failing call draws from.
func (f *Faulty) next() *rand.Rand {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.Call == 0 || f.calls < f.Call || f.calls > f.Call && !f.Lasting {
		return nil
	}
	return rand.New(rand.NewPCG(f.Seed, uint64(f.calls)))
}

// nextRead is next for calls that need no space.
func (f *Faulty) nextRead() *rand.Rand {
	if f.Fault == Full {
		return nil
	}
	return f.next()
}

// Open implements storage.Backend.
func (f *Faulty) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	draw := f.nextRead()
	if draw == nil {
		return f.Backend.Open(ctx, key)
	}
	if f.Fault == Fail {
		return nil, storage.Info{}, injected("open", key)
	}
	r, info, err := f.Backend.Open(ctx, key)
	if err != nil {
		return nil, storage.Info{}, injected("open", key) // the answer did not arrive
	}
	if f.Fault == Lost {
		return nil, storage.Info{}, errors.Join(injected("open", key), r.Close())
	}
	cut := int64(0)
	if info.Size > 0 {
		cut = draw.Int64N(info.Size)
	}
	broken := failingReader{injected("read", key)}
	return cutReader{io.MultiReader(io.LimitReader(r, cut), broken), r}, info, nil
}

type cutReader struct {
	io.Reader
	io.Closer
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// Put implements storage.Backend.
func (f *Faulty) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	return f.write(key, r, func() error { return f.Backend.Put(ctx, key, r) })
}

// Create implements storage.Creator. It is as atomic as storage.Create is for
// the backend inside.
func (f *Faulty) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	return f.write(key, r, func() error { return storage.Create(ctx, f.Backend, key, r) })
}

func (f *Faulty) write(key string, r io.ReadSeeker, do func() error) error {
	draw := f.next()
	if draw == nil {
		return do()
	}
	switch f.Fault {
	case Full:
		return fmt.Errorf("write %s: %w: %w", key, ErrInjected, syscall.ENOSPC)
	case Short:
		return errors.Join(injected("write", key), readPart(r, draw))
	case Lost:
		_ = do() // whether it worked or not, its answer does not arrive
	}
	return injected("write", key)
}

// readPart reads some of r.
func readPart(r io.ReadSeeker, draw *rand.Rand) error {
	start, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := r.Seek(start, io.SeekStart); err != nil || end <= start {
		return err
	}
	_, err = io.CopyN(io.Discard, r, draw.Int64N(end-start))
	return err
}

// Delete implements storage.Backend.
func (f *Faulty) Delete(ctx context.Context, key string) error {
	if f.nextRead() == nil {
		return f.Backend.Delete(ctx, key)
	}
	if f.Fault == Lost {
		_ = f.Backend.Delete(ctx, key) // its answer does not arrive
	}
	return injected("delete", key)
}

// List implements storage.Backend. The call counts when the loop begins.
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		left := -1 // never fail
		if draw := f.nextRead(); draw != nil {
			left = 0
			if f.Fault != Fail {
				left = draw.IntN(4)
			}
		}
		for info, err := range f.Backend.List(ctx, prefix) {
			if left == 0 {
				break
			}
			left--
			if !yield(info, err) {
				return
			}
		}
		if left >= 0 {
			yield(storage.Info{}, injected("list", prefix))
		}
	}
}

func injected(op, key string) error { return fmt.Errorf("%s %s: %w", op, key, ErrInjected) }
