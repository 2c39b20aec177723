package catalogtest

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb"
)

// Mem is a catalogue in memory. The zero value is empty and ready. It does
// everything in the simplest way, for others to be compared with.
type Mem struct {
	mu      sync.Mutex
	sources map[string]*memSource
}

var _ upstream.Catalog = (*Mem)(nil)

type memSource struct {
	state    upstream.State
	packages []upstream.Package
}

// source returns a source, which it adds if need be.
func (m *Mem) source(id string) *memSource {
	if m.sources[id] == nil {
		if m.sources == nil {
			m.sources = make(map[string]*memSource)
		}
		m.sources[id] = &memSource{state: upstream.State{SourceID: id}}
	}
	return m.sources[id]
}

// save sets all of a state that is for callers to set.
func (s *memSource) save(state upstream.State) {
	state.Generation, state.PackageCount = s.state.Generation, s.state.PackageCount
	state.LastAttempt, state.LastSync = state.LastAttempt.Truncate(time.Second), state.LastSync.Truncate(time.Second)
	state.Memo = slices.Clone(state.Memo)
	s.state = state
}

// SourceStates implements [upstream.Catalog].
func (m *Mem) SourceStates(ctx context.Context) ([]upstream.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var states []upstream.State
	for _, id := range slices.Sorted(maps.Keys(m.sources)) {
		state := m.sources[id].state
		state.Memo = slices.Clone(state.Memo)
		states = append(states, state)
	}
	return states, ctx.Err()
}

// SaveState implements [upstream.Catalog].
func (m *Mem) SaveState(ctx context.Context, s upstream.State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	m.source(s.SourceID).save(s)
	return nil
}

// ReplacePackages implements [upstream.Catalog].
func (m *Mem) ReplacePackages(ctx context.Context, s upstream.State, packages iter.Seq2[upstream.Package, error]) (upstream.Replaced, error) {
	var list []upstream.Package
	for p, err := range packages {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return upstream.Replaced{}, err
		}
		p.SourceID = s.SourceID
		list = append(list, p)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return upstream.Replaced{}, err
	}
	if have := m.sources[s.SourceID]; (have == nil && s.Generation != 0) || (have != nil && have.state.Generation != s.Generation) {
		return upstream.Replaced{}, upstream.ErrSuperseded
	}
	source := m.source(s.SourceID)
	there := make(map[upstream.Package]bool)
	for _, p := range source.packages {
		there[p] = true
	}
	var done upstream.Replaced
	for _, p := range list {
		if there[p] {
			done.Kept++
		} else {
			done.Added++
		}
	}
	done.Removed = len(source.packages) - done.Kept
	source.save(s)
	source.packages = list
	source.state.Generation++
	source.state.PackageCount = int64(len(list))
	return done, nil
}

// ForgetSource implements [upstream.Catalog].
func (m *Mem) ForgetSource(ctx context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	delete(m.sources, id)
	return nil
}

// SearchPackages implements [upstream.Catalog].
func (m *Mem) SearchPackages(ctx context.Context, q upstream.Query) ([]upstream.Found, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	newest := make(map[[3]string]upstream.Found)
	for _, s := range m.chosen(q.Sources) {
		for _, p := range s.packages {
			key := [3]string{p.Name, p.Arch, p.SourceID}
			have, ok := newest[key]
			if !ok || deb.CompareVersions(p.Version, have.Version) > 0 {
				newest[key] = upstream.Found{Package: p, SyncedAt: s.state.LastSync}
			}
		}
	}
	var found []upstream.Found
	for _, f := range newest {
		if rank(f.Package, q.Q) < unranked && (q.Arch == "" || f.Arch == q.Arch || f.Arch == "all") {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b upstream.Found) int {
		return cmp.Or(rank(a.Package, q.Q)-rank(b.Package, q.Q),
			strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.Name, b.Name),
			deb.CompareVersions(b.Version, a.Version), strings.Compare(a.Arch, b.Arch), strings.Compare(a.SourceID, b.SourceID))
	})
	return found[:max(0, min(q.Limit, len(found)))], ctx.Err()
}

// unranked is the rank of what a search does not find.
const unranked = 4

func rank(p upstream.Package, q string) int {
	name, synopsis, q := strings.ToLower(p.Name), strings.ToLower(p.Synopsis), strings.ToLower(q)
	switch {
	case name == q:
		return 0
	case strings.HasPrefix(name, q):
		return 1
	case strings.Contains(name, q):
		return 2
	case strings.Contains(synopsis, q):
		return 3
	}
	return unranked
}

// chosen returns the sources with one of the IDs.
func (m *Mem) chosen(ids []string) []*memSource {
	var list []*memSource
	for id, s := range m.sources {
		if slices.Contains(ids, id) {
			list = append(list, s)
		}
	}
	return list
}

// Offers implements [upstream.Catalog].
func (m *Mem) Offers(ctx context.Context, sources, names []string) ([]upstream.Package, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var offers []upstream.Package
	for _, s := range m.chosen(sources) {
		for _, p := range s.packages {
			if offersOne(p, names) {
				offers = append(offers, p)
			}
		}
	}
	return offers, ctx.Err()
}

func offersOne(p upstream.Package, names []string) bool {
	if slices.Contains(names, p.Name) {
		return true
	}
	provides, err := deb.ParseRelations(p.Provides)
	return err == nil && slices.ContainsFunc(provides, func(a deb.Alternatives) bool {
		return slices.ContainsFunc(a, func(d deb.Dependency) bool { return slices.Contains(names, d.Name) })
	})
}
