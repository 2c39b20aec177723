package resolve

import (
	"cmp"
	"context"
	"slices"

	"github.com/repod-io/repod/deb"
)

// A Package is a binary package that is published or offered. Relations are as
// deb.ParseRelations reads them; those of source packages (architecture and
// profile lists) are not regarded.
type Package struct {
	Name      string
	Version   deb.Version
	Arch      string // its own, "all" too
	MultiArch string // "", "same", "foreign" or "allowed"

	PreDepends deb.Relations
	Depends    deb.Relations
	Provides   deb.Relations
	Conflicts  deb.Relations
	Breaks     deb.Relations

	Size int64 // bytes of the .deb
	// Preference decides between offers of equal versions: the lower one wins.
	Preference int
	// Ref is the caller's own. It is not looked at, also not to tell two packages
	// apart.
	Ref any
}

// A Universe is a set of packages, often in a database. Resolve asks once for
// each level of depth, with many names, and never twice for the same name.
type Universe interface {
	// Packages returns all packages that have one of the names or provide it, in
	// any order. Others in between do no harm. Errors are passed on to whoever
	// called Resolve.
	Packages(ctx context.Context, names []string) ([]*Package, error)
}

// A link is what a package is known for: its name or one that it provides.
type link struct {
	pkg      *Package
	provides *deb.Dependency // nil for the package's own name
}

// provided yields what p provides, until yield returns false.
func (p *Package) provided(yield func(*deb.Dependency) bool) {
	for _, alternatives := range p.Provides {
		for i := range alternatives {
			if !yield(&alternatives[i]) {
				return
			}
		}
	}
}

// fits reports whether l meets d for a package of an architecture, by
// deb-control(5) and the Multi-Arch rules: a package of another architecture
// counts only when it is "foreign", or "allowed" and asked for with ":any", or
// when its architecture is asked for.
func (l link) fits(d *deb.Dependency, arch string) bool {
	p := l.pkg
	same := p.Arch == arch || p.Arch == "all" || arch == "all"
	switch d.Qualifier {
	case "any":
		if !same && p.MultiArch != "allowed" && p.MultiArch != "foreign" {
			return false
		}
	case "", "native":
		if !same && p.MultiArch != "foreign" {
			return false
		}
	default:
		if p.Arch != d.Qualifier && p.Arch != "all" {
			return false
		}
	}
	return l.meets(d)
}

// meets regards names and versions alone.
func (l link) meets(d *deb.Dependency) bool {
	if l.provides != nil {
		return d.SatisfiedByProvides(*l.provides)
	}
	return d.SatisfiedBy(l.pkg.Name, l.pkg.Version)
}

// native reports whether p is of the architecture that d asks for on behalf of
// a package of architecture arch.
func (p *Package) native(d *deb.Dependency, arch string) bool {
	return p.Arch == "all" || p.Arch == nativeArch(d, arch)
}

func nativeArch(d *deb.Dependency, arch string) string {
	switch d.Qualifier {
	case "", "any", "native":
		return arch
	}
	return d.Qualifier
}

// compareOffers puts newer versions first, then preferred ones. Packages that
// differ in anything but Ref differ in order, so that the order of a universe
// has no effect.
func compareOffers(a, b *Package) int {
	if a == b {
		return 0
	}
	if c := b.Version.Compare(a.Version); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Preference, b.Preference); c != 0 {
		return c
	}
	if c := cmp.Or(
		cmp.Compare(a.Arch, b.Arch),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Version.String(), b.Version.String()),
		cmp.Compare(a.MultiArch, b.MultiArch),
		cmp.Compare(a.Size, b.Size),
	); c != 0 {
		return c
	}
	return cmp.Or(
		compareRelations(a.PreDepends, b.PreDepends),
		compareRelations(a.Depends, b.Depends),
		compareRelations(a.Provides, b.Provides),
		compareRelations(a.Conflicts, b.Conflicts),
		compareRelations(a.Breaks, b.Breaks),
	)
}

func compareRelations(a, b deb.Relations) int {
	if len(a) == 0 && len(b) == 0 {
		return 0
	}
	return cmp.Compare(a.String(), b.String())
}

// compareProviders puts providers in the order of their names.
func compareProviders(a, b link) int {
	if c := cmp.Compare(a.pkg.Name, b.pkg.Name); c != 0 {
		return c
	}
	if c := compareOffers(a.pkg, b.pkg); c != 0 {
		return c
	}
	if c := b.provides.Version.Compare(a.provides.Version); c != 0 {
		return c
	}
	return cmp.Compare(a.provides.String(), b.provides.String())
}

// sortLinks sorts real packages newest first and providers by name, and drops
// what is there twice.
func sortLinks(real, providers []link) ([]link, []link) {
	byOffer := func(a, b link) int { return compareOffers(a.pkg, b.pkg) }
	slices.SortFunc(real, byOffer)
	slices.SortFunc(providers, compareProviders)
	real = slices.CompactFunc(real, func(a, b link) bool { return byOffer(a, b) == 0 })
	providers = slices.CompactFunc(providers, func(a, b link) bool { return compareProviders(a, b) == 0 })
	return real, providers
}

// needs yields the relations of p that must be met, as dpkg regards them:
// Pre-Depends first.
func (p *Package) needs(yield func(Relation, deb.Alternatives) bool) {
	for _, alternatives := range p.PreDepends {
		if len(alternatives) > 0 && !yield(PreDepends, alternatives) {
			return
		}
	}
	for _, alternatives := range p.Depends {
		if len(alternatives) > 0 && !yield(Depends, alternatives) {
			return
		}
	}
}

// dependsAs returns the architecture that the dependencies of p are to be met
// for, on machines of architecture arch.
func (p *Package) dependsAs(arch string) string {
	if p.Arch == "all" {
		return arch
	}
	return p.Arch
}
