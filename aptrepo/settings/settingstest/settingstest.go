// Package settingstest checks implementations of settings.Store, and has one in
// memory for tests.
package settingstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/repod-io/repod/aptrepo/settings"
)

// Mem is a settings.Store in memory: nothing in it survives the process. The
// zero value is empty and ready for use.
type Mem struct {
	mu      sync.Mutex
	doc     settings.Document
	changes []settings.Change
}

// LoadSettings implements settings.Store.
func (m *Mem) LoadSettings(ctx context.Context) (settings.Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doc, ctx.Err()
}

// SaveSettings implements settings.Store.
func (m *Mem) SaveSettings(ctx context.Context, d settings.Document, c settings.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.Version != m.doc.Version+1 {
		return settings.ErrStale
	}
	m.doc = d
	m.changes = append(m.changes, c)
	return nil
}

// Changes returns the change that each save has named.
func (m *Mem) Changes() []settings.Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes
}

// Run tests the store that open makes, a fresh and empty one for each check.
func Run(t *testing.T, open func(t *testing.T) settings.Store) {
	for name, check := range Checks {
		t.Run(name, func(t *testing.T) {
			if err := check(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Checks are the rules of the contract, by name. Each wants an empty store.
var Checks = map[string]func(ctx context.Context, s settings.Store) error{
	"RoundTrip": roundTrip,
	"Stale":     stale,
	"Race":      race,
}

func want(ctx context.Context, s settings.Store, version int64, body string) error {
	d, err := s.LoadSettings(ctx)
	if err != nil || d.Version != version || string(d.JSON) != body {
		return fmt.Errorf("LoadSettings returns version %d, %q, %v; want %d, %q", d.Version, d.JSON, err, version, body)
	}
	return nil
}

func save(ctx context.Context, s settings.Store, version int64, body string) error {
	return s.SaveSettings(ctx, settings.Document{Version: version, JSON: []byte(body)}, settings.Change{Action: "settings.update", Paths: []string{"a.b"}})
}

func roundTrip(ctx context.Context, s settings.Store) error {
	return errors.Join(
		want(ctx, s, 0, ""),
		save(ctx, s, 1, `{"a":"ü"}`), want(ctx, s, 1, `{"a":"ü"}`),
		save(ctx, s, 2, `{}`), want(ctx, s, 2, `{}`))
}

func stale(ctx context.Context, s settings.Store) error {
	if err := save(ctx, s, 1, "1"); err != nil {
		return err
	}
	for _, version := range []int64{0, 1, 3} {
		if err := save(ctx, s, version, "x"); !errors.Is(err, settings.ErrStale) {
			return fmt.Errorf("saving version %d over 1: %w", version, err)
		}
	}
	return want(ctx, s, 1, "1")
}

func race(ctx context.Context, s settings.Store) error {
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = save(ctx, s, 1, fmt.Sprint(i)) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, settings.ErrStale) {
			return err
		}
	}
	if won != 1 {
		return fmt.Errorf("%d of %d saves of one version succeeded", won, n)
	}
	return nil
}
