package resolve

import (
	"fmt"
	"slices"
	"strings"

	"github.com/repod-io/repod/deb"
)

// How much of a list people are shown.
const (
	maxShown   = 3
	maxReasons = 4 // alternatives
)

// whyPresent explains the choice of a published package.
func whyPresent(c choice, arch string) string {
	reason := "published"
	if !c.pkg.native(c.meets, arch) {
		reason += fmt.Sprintf(" for %s (Multi-Arch: %s)", c.pkg.Arch, c.pkg.MultiArch)
	}
	if c.provides != nil {
		reason += ", provides " + c.provides.String()
	} else if c.meets.Operator != deb.AnyVersion {
		reason += ", satisfies " + c.meets.Constraint()
	}
	return reason + c.quarrel()
}

// whyImport explains the choice of an offer.
func (r *resolver) whyImport(c choice, want deb.Alternatives, arch string) string {
	r.charge(c.meets.Name)
	var reason string
	if c.provides != nil {
		reason = r.whyProvider(c, arch)
	} else {
		reason = whyVersion(c.meets, native(r.offers.real[c.meets.Name], c.meets, arch))
	}
	for i := range want {
		d := &want[i]
		if d == c.meets {
			break
		}
		if i == maxReasons {
			reason += "; and so on"
			break
		}
		r.charge(d.Name)
		if !meetable(r.offers.real[d.Name], d, arch) {
			reason += "; " + r.whyNot(d, arch)
		}
	}
	for _, conflict := range c.avoided {
		reason += "; passed over because " + conflict.String()
	}
	return reason + c.quarrel()
}

func (c choice) quarrel() string {
	if c.against == nil {
		return ""
	}
	return "; taken although " + c.against.String()
}

// whyVersion says which of the offered versions is the newest that meets d.
func whyVersion(d *deb.Dependency, offers []*Package) string {
	all := countVersions(offers)
	offers = slices.DeleteFunc(offers, func(p *Package) bool { return !d.SatisfiedBy(p.Name, p.Version) })
	switch fit := countVersions(offers); fit {
	case all:
		return newestOf(all, "offered")
	case 1:
		return fmt.Sprintf("the only one of %d offered that satisfies %s", all, d.Constraint())
	default:
		return fmt.Sprintf("newest of %d that satisfy %s, of %d offered", fit, d.Constraint(), all)
	}
}

// whyProvider says which of the providers of a name c is.
func (r *resolver) whyProvider(c choice, arch string) string {
	names := providers(r.offers.provided[c.meets.Name], c.meets, arch)
	reason := "provides " + c.provides.String()
	switch {
	case len(names) == 1:
		return reason + "; no other package does"
	case names[0] == c.pkg.Name:
		return fmt.Sprintf("%s; first by name of %d that do", reason, len(names))
	}
	return fmt.Sprintf("%s; one of %d that do", reason, len(names))
}

// charge pays for looking through all that is known by a name.
func (r *resolver) charge(name string) {
	r.budget.left -= len(r.offers.real[name]) + len(r.offers.provided[name]) + len(r.target.real[name])
}

// whyNone explains why nothing meets a relation.
func (r *resolver) whyNone(want deb.Alternatives, arch string) string {
	var reasons []string
	for i := range want {
		if i == maxReasons {
			reasons = append(reasons, fmt.Sprintf("nor is any of the other %d alternatives there", len(want)-i))
			break
		}
		r.charge(want[i].Name)
		reasons = append(reasons, r.whyNot(&want[i], arch))
	}
	return strings.Join(reasons, "; ")
}

// whyNot explains why no real package meets d and, if that is the trouble, why
// no provider does.
func (r *resolver) whyNot(d *deb.Dependency, arch string) string {
	reason := r.whyNotOffered(d, arch)
	if published := packages(r.target.real[d.Name]); len(published) > 0 {
		reason += "; published: " + listVersions(published)
	}
	return reason
}

func (r *resolver) whyNotOffered(d *deb.Dependency, arch string) string {
	real, provided := r.offers.real[d.Name], r.offers.provided[d.Name]
	if offers := native(real, d, arch); len(offers) > 0 {
		return fmt.Sprintf("%s %s %s offered, but %s is needed", d.Name, listVersions(offers),
			verb(countVersions(offers), "is", "are"), d.Constraint())
	}
	for _, l := range provided {
		if !l.pkg.native(d, arch) {
			continue
		}
		if d.Operator == deb.AnyVersion {
			return fmt.Sprintf("%s is no package, but a name that others provide, such as %s", d.Name, l.pkg.Name)
		}
		return fmt.Sprintf("%s provides %s, but %s is needed", l.pkg.Name, l.provides, d.Constraint())
	}
	if len(real)+len(provided) > 0 {
		others := packages(append(slices.Clone(real), provided...))
		return fmt.Sprintf("%s is offered for %s, not for %s", d.Name, listArchs(others), nativeArch(d, arch))
	}
	return "no source offers " + d.String()
}

// meetable reports whether one of the links can be chosen for d.
func meetable(links []link, d *deb.Dependency, arch string) bool {
	return slices.ContainsFunc(links, func(l link) bool { return l.pkg.native(d, arch) && l.fits(d, arch) })
}

// native returns the packages that are of the right architecture for d.
func native(links []link, d *deb.Dependency, arch string) []*Package {
	return slices.DeleteFunc(packages(links), func(p *Package) bool { return !p.native(d, arch) })
}

func packages(links []link) []*Package {
	list := make([]*Package, len(links))
	for i, l := range links {
		list[i] = l.pkg
	}
	return list
}

// providers returns the names of the packages that meet d by what they provide.
func providers(links []link, d *deb.Dependency, arch string) []string {
	var names []string
	for _, l := range links {
		if l.pkg.native(d, arch) && l.fits(d, arch) && (names == nil || names[len(names)-1] != l.pkg.Name) {
			names = append(names, l.pkg.Name)
		}
	}
	return names
}

// newestOf tells of the newest of n versions that are such.
func newestOf(n int, such string) string {
	if n == 1 {
		return "the only version " + such
	}
	return fmt.Sprintf("newest of %d %s", n, such)
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// distinct yields the distinct versions of sorted packages.
func distinct(sorted []*Package) func(yield func(*Package) bool) {
	return func(yield func(*Package) bool) {
		for i, p := range sorted {
			if i > 0 && p.Version.Compare(sorted[i-1].Version) == 0 {
				continue
			}
			if !yield(p) {
				return
			}
		}
	}
}

func countVersions(sorted []*Package) int {
	n := 0
	for range distinct(sorted) {
		n++
	}
	return n
}

// listVersions names the first few versions of sorted packages.
func listVersions(sorted []*Package) string {
	var versions []string
	for p := range distinct(sorted) {
		versions = append(versions, p.Version.String())
	}
	return list(versions)
}

func listArchs(offers []*Package) string {
	var archs []string
	for _, p := range offers {
		archs = append(archs, p.Arch)
	}
	slices.Sort(archs)
	return list(slices.Compact(archs))
}

func list(words []string) string {
	if more := len(words) - maxShown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:maxShown], ", "), more)
	}
	return strings.Join(words, ", ")
}

// quoteVersion shows what was asked for as a version, which may be anything.
func quoteVersion(s string) string {
	return fmt.Sprintf("%.*q", deb.MaxVersionLength, s)
}
