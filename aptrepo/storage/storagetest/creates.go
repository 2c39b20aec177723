package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo/storage"
)

// createRules are about storage.Create. They hold for each backend, but
// CreateRace only for one that is a storage.Creator.
var createRules = []Rule{
	{"CreateNew", createNew},
	{"CreateExisting", createExisting},
	{"FailedCreateInvisible", failedCreate},
	{"CreateRace", createRace},
}

func createNew(ctx context.Context, b storage.Backend) error {
	for _, key := range []string{"a/b/c", "d"} {
		if err := storage.Create(ctx, b, key, strings.NewReader(key)); err != nil {
			return fmt.Errorf("Create(%q): %w", key, err)
		}
		if err := want(ctx, b, key, key); err != nil {
			return err
		}
	}
	if err := b.Delete(ctx, "d"); err != nil {
		return err
	}
	if err := storage.Create(ctx, b, "d", strings.NewReader("again")); err != nil {
		return fmt.Errorf("Create after Delete: %w", err)
	}
	return errors.Join(want(ctx, b, "d", "again"), wantKeys(ctx, b, "", "a/b/c", "d"))
}

func createExisting(ctx context.Context, b storage.Backend) error {
	if err := put(ctx, b, "k", "old"); err != nil {
		return err
	}
	if err := storage.Create(ctx, b, "k", strings.NewReader("new")); !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("Create of an existing key: error %v, want one that matches fs.ErrExist", err)
	}
	return errors.Join(want(ctx, b, "k", "old"), wantKeys(ctx, b, "", "k"))
}

func failedCreate(ctx context.Context, b storage.Backend) error {
	if err := storage.Create(ctx, b, "a", brokenReader()); !errors.Is(err, errReader) {
		return fmt.Errorf("Create: error %v, want that of its reader", err)
	}
	c, cancel := context.WithCancel(ctx)
	defer cancel()
	r := newHookReader(64, func() error { cancel(); return nil })
	if err := storage.Create(c, b, "b", r); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("Create, canceled while it read: error %v, want one that matches context.Canceled", err)
	}
	if err := wantKeys(ctx, b, ""); err != nil {
		return err
	}
	return storage.Create(ctx, b, "a", strings.NewReader("the name is still free"))
}

// createRace lets 16 writers create one key.
func createRace(ctx context.Context, b storage.Backend) error {
	c, ok := b.(storage.Creator)
	if !ok {
		return nil
	}
	const writers = 16
	for round := range 4 {
		key := fmt.Sprintf("round%d/k", round)
		won := make([]bool, writers)
		err := firstError(writers, func(i int) error {
			err := c.Create(ctx, key, strings.NewReader(fmt.Sprint("writer ", i)))
			if errors.Is(err, fs.ErrExist) {
				if _, _, err := get(ctx, b, key); err != nil {
					return fmt.Errorf("after Create said that the key exists: %w", err)
				}
				return nil
			}
			won[i] = err == nil
			return err
		})
		if err != nil {
			return err
		}
		winner := slices.Index(won, true)
		if winner < 0 || slices.Contains(won[winner+1:], true) {
			return fmt.Errorf("of %d writers that created a key at once, these succeeded: %v; want one", writers, won)
		}
		if err := want(ctx, b, key, fmt.Sprint("writer ", winner)); err != nil {
			return err
		}
	}
	return nil
}
