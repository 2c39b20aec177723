package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/repod-io/repod/aptrepo/storage"
)

// writeRules are about files that are put while something else goes on.
var writeRules = []Rule{
	{"Overwrite", overwrite},
	{"FailedPutInvisible", failedPut},
	{"CanceledPutInvisible", canceledPut},
	{"ReadDuringReplace", readDuringReplace},
	{"ConcurrentPuts", concurrentPuts},
	{"ConcurrentTrees", concurrentTrees},
}

func overwrite(ctx context.Context, b storage.Backend) error {
	for _, body := range []string{"first, longer", "second", ""} {
		if err := put(ctx, b, "k", body); err != nil {
			return err
		}
		if err := want(ctx, b, "k", body); err != nil {
			return err
		}
	}
	return wantKeys(ctx, b, "", "k")
}

// A hookReader calls hook before each Read of its second half. An error of hook
// is that of the Read.
type hookReader struct {
	io.ReadSeeker
	half int
	hook func() error
}

func newHookReader(size int, hook func() error) *hookReader {
	return &hookReader{strings.NewReader(strings.Repeat("x", size)), size / 2, hook}
}

func (r *hookReader) Read(p []byte) (int, error) {
	if r.half == 0 {
		if err := r.hook(); err != nil {
			return 0, err
		}
		return r.ReadSeeker.Read(p)
	}
	n, err := r.ReadSeeker.Read(p[:min(len(p), r.half)])
	r.half -= n
	return n, err
}

var errReader = errors.New("the disk of the sender is broken")

// brokenReader fails after half of its megabyte, with an error that a careless
// copy loop takes for the end.
func brokenReader() io.ReadSeeker {
	return newHookReader(1<<20, func() error { return fmt.Errorf("%w: %w", errReader, io.EOF) })
}

func failedPut(ctx context.Context, b storage.Backend) error {
	if err := put(ctx, b, "kept", "old"); err != nil {
		return err
	}
	for _, key := range []string{"kept", "fresh"} {
		if err := b.Put(ctx, key, brokenReader()); !errors.Is(err, errReader) {
			return fmt.Errorf("Put(%q): error %v, want that of its reader", key, err)
		}
	}
	return errors.Join(want(ctx, b, "kept", "old"), wantMissing(ctx, b, "fresh"), wantKeys(ctx, b, "", "kept"))
}

func canceledPut(ctx context.Context, b storage.Backend) error {
	if err := put(ctx, b, "kept", "old"); err != nil {
		return err
	}
	for _, key := range []string{"kept", "fresh"} {
		c, cancel := context.WithCancel(ctx)
		defer cancel()
		r := newHookReader(64, func() error { cancel(); return nil })
		if err := b.Put(c, key, r); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("Put(%q), canceled while it read: error %v, want one that matches context.Canceled", key, err)
		}
	}
	return errors.Join(want(ctx, b, "kept", "old"), wantMissing(ctx, b, "fresh"), wantKeys(ctx, b, "", "kept"))
}

func readDuringReplace(ctx context.Context, b storage.Backend) error {
	old := strings.Repeat("o", 1<<20)
	if err := put(ctx, b, "k", old); err != nil {
		return err
	}
	r, _, err := b.Open(ctx, "k")
	if err != nil {
		return err
	}
	defer r.Close()
	if err := put(ctx, b, "k", "newer"); err != nil {
		return err
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != old {
		return fmt.Errorf("a reader from before Put gave %d bytes %.10q, %v; want the earlier file", len(got), got, err)
	}
	return want(ctx, b, "k", "newer")
}

// concurrentPuts lets readers look at a key as long as two writers replace it.
func concurrentPuts(ctx context.Context, b storage.Backend) error {
	// Both are longer than the buffer of a usual copy loop.
	bodies := []string{strings.Repeat("a", 40<<10), strings.Repeat("b", 80<<10)}
	if err := put(ctx, b, "k", bodies[0]); err != nil {
		return err
	}
	var writing atomic.Int32
	writing.Store(int32(len(bodies)))
	return firstError(len(bodies)+2, func(i int) error {
		if i < len(bodies) {
			defer writing.Add(-1)
			for range 12 {
				if err := put(ctx, b, "k", bodies[i]); err != nil {
					return err
				}
			}
			return nil
		}
		for writing.Load() > 0 {
			got, info, err := get(ctx, b, "k")
			if err != nil {
				return err
			}
			if !slices.Contains(bodies, got) || info.Size != int64(len(got)) {
				return fmt.Errorf("while two writers replaced a file, a reader saw %d bytes (Info.Size %d) that neither wrote", len(got), info.Size)
			}
		}
		return nil
	})
}

// concurrentTrees puts files whose directories are all new.
func concurrentTrees(ctx context.Context, b storage.Backend) error {
	const writers, files = 8, 6
	err := firstError(writers, func(w int) error {
		for f := range files {
			if err := put(ctx, b, fmt.Sprintf("d%d/e/f/%d", f, w), "x"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	n := 0
	for _, err := range b.List(ctx, "d") {
		if err != nil {
			return err
		}
		n++
	}
	if n != writers*files {
		return fmt.Errorf("%d of %d files are there that were put at the same time", n, writers*files)
	}
	return nil
}
