package resolve

import (
	"context"
	"slices"

	"github.com/repod-io/repod/deb"
)

// An Index is a Universe in memory. It does not change; the packages in it must
// not either. The zero Index is empty.
type Index struct {
	packages []*Package
	links    map[string][]link
}

// NewIndex returns an index of packages. It keeps the pointers, and skips those
// that are nil.
func NewIndex(packages []*Package) *Index {
	x := &Index{
		packages: slices.DeleteFunc(slices.Clone(packages), func(p *Package) bool { return p == nil }),
		links:    make(map[string][]link, len(packages)),
	}
	for _, p := range x.packages {
		x.links[p.Name] = append(x.links[p.Name], link{pkg: p})
		for d := range p.provided {
			x.links[d.Name] = append(x.links[d.Name], link{p, d})
		}
	}
	return x
}

// Packages implements Universe. The only error is that of ctx.
func (x *Index) Packages(ctx context.Context, names []string) ([]*Package, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var found []*Package
	seen := make(map[*Package]struct{}, len(names))
	for _, name := range names {
		for _, l := range x.links[name] {
			if _, ok := seen[l.pkg]; !ok {
				seen[l.pkg] = struct{}{}
				found = append(found, l.pkg)
			}
		}
	}
	return found, nil
}

// A Broken package has a relation that no package of its Index meets.
type Broken struct {
	Package    *Package
	Relation   Relation
	Dependency deb.Alternatives
}

// Broken returns the relations that nothing in the index meets, in the order of
// the packages. It looks at single relations, not at whether all of them can be
// met at once. Packages of architecture "all" are taken as of architecture arch.
func (x *Index) Broken(arch string) []Broken {
	var broken []Broken
	for _, p := range x.packages {
		for relation, alternatives := range p.needs {
			if !x.meets(alternatives, p.dependsAs(arch)) {
				broken = append(broken, Broken{p, relation, alternatives})
			}
		}
	}
	return broken
}

// Meet returns the package that meets a relation of a package of an architecture,
// nil if none does: one that bears the name rather than one that provides it, then
// by the first alternative, one of that architecture or "all", and the newest; of
// providers the first by name.
func (x *Index) Meet(alternatives deb.Alternatives, arch string) *Package {
	for _, real := range []bool{true, false} {
		for i := range alternatives {
			d := &alternatives[i]
			var best *link
			for j := range x.links[d.Name] {
				l := &x.links[d.Name][j]
				if (l.provides == nil) == real && l.fits(d, arch) && (best == nil || l.before(best, d, arch)) {
					best = l
				}
			}
			if best != nil {
				return best.pkg
			}
		}
	}
	return nil
}

// before orders links that fit d: what is native first.
func (l *link) before(other *link, d *deb.Dependency, arch string) bool {
	if native := l.pkg.native(d, arch); native != other.pkg.native(d, arch) {
		return native
	}
	if l.provides != nil {
		return compareProviders(*l, *other) < 0
	}
	return compareOffers(l.pkg, other.pkg) < 0
}

func (x *Index) meets(alternatives deb.Alternatives, arch string) bool {
	for i := range alternatives {
		for _, l := range x.links[alternatives[i].Name] {
			if l.fits(&alternatives[i], arch) {
				return true
			}
		}
	}
	return false
}

// A view is what has been asked of a Universe so far.
type view struct {
	universe Universe // may be nil
	round    int
	asked    map[string]int    // in which round
	next     []string          // to be asked for in this round
	real     map[string][]link // newest first
	provided map[string][]link // by name of the provider
}

func newView(u Universe) *view {
	return &view{
		universe: u,
		asked:    make(map[string]int),
		real:     make(map[string][]link),
		provided: make(map[string][]link),
	}
}

// ask has the next load ask for a name, once for all.
func (v *view) ask(name string) {
	if _, ok := v.asked[name]; !ok && v.universe != nil {
		v.asked[name] = v.round
		v.next = append(v.next, name)
	}
}

// load asks the universe.
func (v *view) load(ctx context.Context) error {
	if len(v.next) == 0 {
		return nil
	}
	names := v.next
	slices.Sort(names)
	packages, err := v.universe.Packages(ctx, names)
	if err != nil {
		return err
	}
	// What else the packages are known for is left until it is asked for: the
	// answer need not be complete there.
	for _, p := range packages {
		if p == nil {
			continue
		}
		if v.fresh(p.Name) {
			v.real[p.Name] = append(v.real[p.Name], link{pkg: p})
		}
		for d := range p.provided {
			if v.fresh(d.Name) {
				v.provided[d.Name] = append(v.provided[d.Name], link{p, d})
			}
		}
	}
	for _, name := range names {
		v.real[name], v.provided[name] = sortLinks(v.real[name], v.provided[name])
	}
	v.round, v.next = v.round+1, nil
	return nil
}

// fresh reports whether a name was asked for in this round.
func (v *view) fresh(name string) bool {
	round, ok := v.asked[name]
	return ok && round == v.round
}
