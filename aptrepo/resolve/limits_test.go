package resolve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/repod-io/repod/deb"
)

func chain(n int) []*Package {
	packages := make([]*Package, n)
	for i := range packages {
		packages[i] = &Package{Name: fmt.Sprint("p", i), Arch: "amd64",
			Depends: deb.Relations{{{Name: fmt.Sprint("p", i+1)}}}}
	}
	packages[0].Name = "app"
	return packages
}

func TestLimits(t *testing.T) {
	deep := NewIndex(chain(100_000))
	if _, err := Resolve(t.Context(), app(), nil, deep); !errors.Is(err, ErrTooLarge) {
		t.Errorf("deep: %v", err)
	}
	req := app()
	req.Limit = 100_000
	if plan, err := Resolve(t.Context(), req, nil, deep); err != nil || plan.Import != 100_000 || plan.Unresolved != 1 {
		t.Errorf("deep, allowed: %v", err)
	}
	for limit, want := range map[int]error{2: ErrTooLarge, 3: nil} {
		req.Limit = limit
		if _, err := Resolve(t.Context(), req, nil, NewIndex(chain(3))); !errors.Is(err, want) {
			t.Errorf("limit of %d: %v", limit, err)
		}
	}
	// What is present does not count against the limit, but has one, too.
	req.Limit = 2
	for n, want := range map[int]error{49: nil, 50: ErrTooLarge} {
		packages := chain(n)
		if _, err := Resolve(t.Context(), req, NewIndex(packages), NewIndex(packages[:1])); !errors.Is(err, want) {
			t.Errorf("%d present: %v", n, err)
		}
	}
}

// A million alternatives, and relations that each look through all of a great
// many providers, end soon.
func TestWorkIsBounded(t *testing.T) {
	const n = 1_000_000
	root := &Package{Name: "app", Arch: "amd64"}
	alternatives := make(deb.Alternatives, n)
	for i := range alternatives {
		alternatives[i].Name = fmt.Sprint("a", i)
	}
	root.Depends = deb.Relations{alternatives}
	plan, err := Resolve(t.Context(), app(), nil, NewIndex([]*Package{root, {Name: fmt.Sprint("a", n-1), Arch: "all"}}))
	if err != nil || plan.Import != 2 {
		t.Errorf("many alternatives: %v", err)
	}
	root.Depends = slices.Repeat(deb.Relations{alternatives}, 1000)
	if _, err := Resolve(t.Context(), app(), nil, NewIndex([]*Package{root})); !errors.Is(err, ErrTooLarge) {
		t.Errorf("many alternatives, often: %v", err)
	}

	packages := []*Package{root}
	for range 10_000 {
		packages = append(packages, &Package{Name: fmt.Sprint("p", len(packages)), Arch: "amd64", Provides: deb.Relations{{{Name: "m"}}}})
	}
	root.Depends = nil
	for i := range 10_000 {
		v := version(t, fmt.Sprint(i))
		root.Depends = append(root.Depends, deb.Alternatives{{Name: "m", Operator: deb.Exactly, Version: v}})
	}
	if _, err := Resolve(t.Context(), app(), nil, NewIndex(packages)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("many providers: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	last := &canceller{NewIndex(packages), 2, cancel}
	if _, err := Resolve(ctx, app(), nil, last); !errors.Is(err, context.Canceled) {
		t.Errorf("many providers, cancelled: %v", err)
	}
}

// Finding the newest version is quick, but the reason counts them all.
func TestWorkOfReasonsIsBounded(t *testing.T) {
	root := &Package{Name: "app", Arch: "amd64"}
	packages := []*Package{root}
	for i := range 10_000 {
		v := version(t, fmt.Sprint(20_000-i))
		packages = append(packages, &Package{Name: "a", Version: v, Arch: "amd64"})
		if i < 1700 {
			root.Depends = append(root.Depends, deb.Alternatives{{Name: "a", Operator: deb.Exactly, Version: v}})
		}
	}
	req := app()
	req.Limit = 10_000
	if _, err := Resolve(t.Context(), req, nil, NewIndex(packages)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

// A canceller is a Universe that cancels a context in one of its calls, but does
// not regard it itself.
type canceller struct {
	Universe
	calls  int
	cancel context.CancelFunc
}

func (c *canceller) Packages(ctx context.Context, names []string) ([]*Package, error) {
	if c.calls--; c.calls == 0 {
		c.cancel()
	}
	return c.Universe.Packages(context.WithoutCancel(ctx), names)
}

func TestCancelledBetweenLevels(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	offers := &canceller{NewIndex(chain(100)), 3, cancel}
	if _, err := Resolve(ctx, app(), nil, offers); !errors.Is(err, context.Canceled) || offers.calls != 0 {
		t.Errorf("got %v, and %d calls", err, -offers.calls)
	}
}
