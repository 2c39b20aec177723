package catalogtest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
)

func TestMem(t *testing.T) {
	Run(t, func(*testing.T) upstream.Catalog { return new(Mem) })
}

type sequence = iter.Seq2[upstream.Package, error]

// A fault is a Mem that is right but for what its functions change.
type fault struct {
	*Mem
	states  func([]upstream.State)
	save    func(m *Mem, s upstream.State)
	replace func(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error)
	forget  func(m *Mem, id string) error
	query   func(*upstream.Query)
	found   func(q upstream.Query, list []upstream.Found) []upstream.Found
	names   func(names []string) []string
	offers  func(names []string, list []upstream.Package) []upstream.Package
}

func (f *fault) SourceStates(ctx context.Context) ([]upstream.State, error) {
	states, err := f.Mem.SourceStates(ctx)
	if f.states != nil {
		f.states(states)
	}
	return states, err
}

func (f *fault) SaveState(ctx context.Context, s upstream.State) error {
	if f.save != nil {
		f.save(f.Mem, s)
	}
	return f.Mem.SaveState(ctx, s)
}

func (f *fault) ReplacePackages(ctx context.Context, s upstream.State, packages iter.Seq2[upstream.Package, error]) (upstream.Replaced, error) {
	if f.replace != nil {
		return f.replace(ctx, f.Mem, s, packages)
	}
	return f.Mem.ReplacePackages(ctx, s, packages)
}

func (f *fault) ForgetSource(ctx context.Context, id string) error {
	if f.forget != nil {
		return f.forget(f.Mem, id)
	}
	return f.Mem.ForgetSource(ctx, id)
}

func (f *fault) SearchPackages(ctx context.Context, q upstream.Query) ([]upstream.Found, error) {
	changed := q
	if f.query != nil {
		f.query(&changed)
	}
	list, err := f.Mem.SearchPackages(ctx, changed)
	if f.found != nil {
		list = f.found(q, list)
	}
	return list, err
}

func (f *fault) Offers(ctx context.Context, sources, names []string) ([]upstream.Package, error) {
	asked := names
	if f.names != nil {
		asked = f.names(names)
	}
	list, err := f.Mem.Offers(ctx, sources, asked)
	if f.offers != nil {
		list = f.offers(names, list)
	}
	return list, err
}

// present is the generation of a source.
func (m *Mem) present(id string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sources[id]; s != nil {
		return s.state.Generation
	}
	return 0
}

// drop deletes the packages of a source.
func (m *Mem) drop(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sources[id]; s != nil {
		s.packages = nil
	}
}

// changing changes each package of a sequence.
func changing(packages sequence, change func(*upstream.Package)) sequence {
	return func(yield func(upstream.Package, error) bool) {
		for p, err := range packages {
			change(&p)
			if !yield(p, err) {
				return
			}
		}
	}
}

// careless takes whatever comes, in place of all generations.
func careless(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
	list := slices.Collect(func(yield func(upstream.Package) bool) {
		for p := range packages {
			if !yield(p) {
				return
			}
		}
	})
	for {
		s.Generation = m.present(s.SourceID)
		done, err := m.ReplacePackages(ctx, s, each(list))
		if !errors.Is(err, upstream.ErrSuperseded) {
			return done, err
		}
	}
}

// hasty checks the generation at the beginning only.
func hasty(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
	if s.Generation != m.present(s.SourceID) {
		return upstream.Replaced{}, upstream.ErrSuperseded
	}
	return careless(ctx, m, s, packages)
}

// broken are catalogues with one fault, and the rule that finds it.
var broken = []struct {
	check string
	fault fault
}{
	{"StateRoundTrip", fault{states: func(list []upstream.State) {
		for i := range list {
			list[i].Memo = nil
		}
	}}},
	{"StateRoundTrip", fault{states: func(list []upstream.State) {
		for i := range list {
			list[i].LastSync = list[i].LastAttempt
		}
	}}},
	{"StateOrder", fault{states: func(list []upstream.State) { slices.Reverse(list) }}},
	{"SaveStateKeeps", fault{save: func(m *Mem, s upstream.State) { m.drop(s.SourceID) }}},
	{"SaveStateKeeps", fault{save: func(m *Mem, s upstream.State) { _ = m.ForgetSource(context.Background(), s.SourceID) }}},
	{"ReplaceRoundTrip", fault{offers: func(_ []string, list []upstream.Package) []upstream.Package {
		for i := range list {
			list[i].MultiArch = ""
		}
		return list
	}}},
	{"ReplaceCounts", fault{replace: func(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
		done, err := m.ReplacePackages(ctx, s, packages)
		if changed := min(done.Added, done.Removed); changed > 0 { // counted once
			done.Removed -= changed
		}
		return done, err
	}}},
	{"ReplaceFields", fault{replace: func(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
		return m.ReplacePackages(ctx, s, changing(packages, func(p *upstream.Package) { p.Priority = "optional" }))
	}}},
	{"ReplaceOthers", fault{replace: func(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
		if s.Generation > 0 {
			m.drop("noble")
		}
		return m.ReplacePackages(ctx, s, packages)
	}}},
	{"ReplaceFails", fault{replace: func(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
		var failed error
		done, err := m.ReplacePackages(ctx, s, func(yield func(upstream.Package, error) bool) {
			for p, err := range packages {
				if failed = err; err != nil || !yield(p, nil) {
					return
				}
			}
		})
		return done, errors.Join(failed, err)
	}}},
	{"ReplaceFails", fault{replace: func(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
		m.mu.Lock()
		m.source(s.SourceID) // an attempt that failed is saved by whoever made it
		m.mu.Unlock()
		return m.ReplacePackages(ctx, s, packages)
	}}},
	{"ReplaceCanceled", fault{replace: func(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
		return m.ReplacePackages(context.WithoutCancel(ctx), s, packages)
	}}},
	{"ReplaceStale", fault{replace: careless}},
	{"ReplaceOvertaken", fault{replace: hasty}},
	{"ReplaceRace", fault{replace: hasty}},
	{"ReplaceHides", fault{replace: func(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
		was := m.sources[s.SourceID]
		done, err := m.ReplacePackages(ctx, s, changing(packages, func(p *upstream.Package) {
			if was != nil && p.Name == "b" {
				m.mu.Lock()
				was.packages = append(was.packages, *p)
				m.mu.Unlock()
			}
		}))
		return done, err
	}}},
	{"ReplaceAtomic", fault{replace: func(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
		m.drop(s.SourceID)
		time.Sleep(2 * time.Millisecond)
		return m.ReplacePackages(ctx, s, packages)
	}}},
	{"ForgetSource", fault{forget: func(m *Mem, id string) error {
		if m.present(id) == 0 {
			return errors.New("unknown source")
		}
		return m.ForgetSource(context.Background(), id)
	}}},
	{"ForgetSource", fault{forget: func(m *Mem, id string) error { m.drop(id); return nil }}},
	{"ForgetMeanwhile", fault{replace: hasty}},
	{"SearchOrder", fault{found: func(_ upstream.Query, list []upstream.Found) []upstream.Found {
		slices.SortStableFunc(list, func(a, b upstream.Found) int { return strings.Compare(a.Name, b.Name) })
		return list
	}}},
	{"SearchOrder", fault{found: func(_ upstream.Query, list []upstream.Found) []upstream.Found {
		slices.SortStableFunc(list, func(a, b upstream.Found) int {
			if a.Name != b.Name {
				return 0
			}
			return strings.Compare(a.Arch, b.Arch)
		})
		return list
	}}},
	{"SearchNewest", fault{replace: func(ctx context.Context, m *Mem, s upstream.State, packages sequence) (upstream.Replaced, error) {
		// dpkg's order but for the tilde
		return m.ReplacePackages(ctx, s, changing(packages, func(p *upstream.Package) { p.Version = strings.ReplaceAll(p.Version, "~", "+") }))
	}}},
	{"SearchLiteral", fault{query: func(q *upstream.Query) { q.Q = strings.Trim(q.Q, "*") }}},
	{"SearchLiteral", fault{query: func(q *upstream.Query) { q.Q = strings.ReplaceAll(q.Q, `\`, "") }}},
	{"SearchLiteral", fault{found: func(q upstream.Query, list []upstream.Found) []upstream.Found {
		if len([]rune(q.Q)) < 3 { // as an index of trigrams alone would
			return nil
		}
		return list
	}}},
	{"SearchCase", fault{found: func(q upstream.Query, list []upstream.Found) []upstream.Found {
		if q.Q == "" {
			slices.SortStableFunc(list, func(a, b upstream.Found) int { return strings.Compare(a.Name, b.Name) })
		}
		return list
	}}},
	{"SearchCase", fault{found: func(q upstream.Query, list []upstream.Found) []upstream.Found {
		return slices.DeleteFunc(list, func(f upstream.Found) bool { return !strings.Contains(f.Name+" "+f.Synopsis, q.Q) })
	}}},
	{"SearchSources", fault{query: func(q *upstream.Query) {
		if len(q.Sources) == 0 {
			q.Sources = []string{"jammy", "noble"}
		}
	}}},
	{"SearchArch", fault{found: func(q upstream.Query, list []upstream.Found) []upstream.Found {
		return slices.DeleteFunc(list, func(f upstream.Found) bool { return q.Arch != "" && f.Arch != q.Arch })
	}}},
	{"SearchLimit", fault{query: func(q *upstream.Query) { q.Limit = max(q.Limit, 1) }}},
	{"SearchLimit", fault{query: func(q *upstream.Query) { q.Limit += 3 }, found: func(q upstream.Query, list []upstream.Found) []upstream.Found {
		if len(list) > q.Limit { // the wrong ones are cut
			return list[len(list)-q.Limit:]
		}
		return list
	}}},
	{"SearchSyncedAt", fault{found: func(_ upstream.Query, list []upstream.Found) []upstream.Found {
		for i := range list {
			list[i].SyncedAt = at(20)
		}
		return list
	}}},
	{"OffersByName", fault{names: func(names []string) []string {
		return append(slices.Clone(names), strings.ToUpper(strings.Join(names, "")))
	}}},
	{"OffersProvided", fault{offers: func(names []string, list []upstream.Package) []upstream.Package {
		return slices.DeleteFunc(list, func(p upstream.Package) bool { return !slices.Contains(names, p.Name) })
	}}},
	{"OffersProvided", fault{offers: func(names []string, list []upstream.Package) []upstream.Package {
		return append(list, list...) // once for the name and once for what it provides
	}}},
	{"OffersMany", fault{names: func(names []string) []string { return names[:min(len(names), 999)] }}},
	{"Model", fault{found: func(q upstream.Query, list []upstream.Found) []upstream.Found {
		return slices.DeleteFunc(list, func(f upstream.Found) bool { return f.Arch == "arm64" && f.Version == "1.10" && len(list) > 5 })
	}}},
}

// Each rule finds a fault, and lets a catalogue without faults pass.
func TestChecks(t *testing.T) {
	checks := make(map[string]Check)
	for _, c := range Checks() {
		checks[c.Name] = c
	}
	tried := make(map[string]bool)
	for i := range broken {
		b := &broken[i]
		tried[b.check] = true
		t.Run(b.check, func(t *testing.T) {
			b.fault.Mem = new(Mem)
			if err := checks[b.check].Func(t.Context(), &b.fault); err == nil {
				t.Error("the broken catalogue passes")
			}
		})
	}
	for name := range checks {
		if !tried[name] {
			t.Errorf("there is no broken catalogue for %s", name)
		}
	}
}
