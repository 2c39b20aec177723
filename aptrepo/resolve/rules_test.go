package resolve

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
)

// The rules again, written without regard to speed and to how Resolve has them.

func asArch(p *Package) string {
	if p.Arch == "all" {
		return "amd64"
	}
	return p.Arch
}

// satisfies says whether p, published or planned, counts for a dependency of
// something of an architecture; real whether by its own name.
func satisfies(p *Package, d deb.Dependency, arch string, real bool) bool {
	counts := asArch(p) == arch || p.Arch == "all"
	switch d.Qualifier {
	case "arm64":
		counts = p.Arch == "arm64" || p.Arch == "all"
	case "any":
		counts = counts || p.MultiArch == "allowed" || p.MultiArch == "foreign"
	default:
		counts = counts || p.MultiArch == "foreign"
	}
	if !counts {
		return false
	}
	if real {
		return d.SatisfiedBy(p.Name, p.Version)
	}
	return slices.ContainsFunc(p.Provides, func(a deb.Alternatives) bool { return d.SatisfiedByProvides(a[0]) })
}

func anySatisfies(packages []*Package, want deb.Alternatives, arch string) bool {
	return slices.ContainsFunc(packages, func(p *Package) bool {
		return slices.ContainsFunc(want, func(d deb.Dependency) bool {
			return satisfies(p, d, arch, true) || satisfies(p, d, arch, false)
		})
	})
}

func needsOf(p *Package) deb.Relations { return slices.Concat(p.PreDepends, p.Depends) }

// quarrels lists the reasons why p's fields exclude q.
func quarrels(p, q *Package) (list []string) {
	if p.Name == q.Name {
		sameTwice := p.Arch != q.Arch && p.MultiArch == "same" && q.MultiArch == "same" && p.Version.Compare(q.Version) == 0
		if p != q && !sameTwice {
			list = append(list, "same_name")
		}
		return list
	}
	for kind, rels := range map[string]deb.Relations{"conflicts": p.Conflicts, "breaks": p.Breaks} {
		for _, alt := range rels {
			d := alt[0]
			arch := d.Qualifier != "arm64" || q.Arch == "arm64"
			d.Qualifier = ""
			if arch && (d.SatisfiedBy(q.Name, q.Version) ||
				slices.ContainsFunc(q.Provides, func(a deb.Alternatives) bool { return d.SatisfiedByProvides(a[0]) })) {
				list = append(list, kind+alt[0].String())
			}
		}
	}
	return list
}

// check holds a plan against the rules.
func (w world) check(t testing.TB, plan *Plan) {
	t.Helper()
	var planned []*Package
	var unresolved []string
	var imports, present int
	var bytes int64
	for _, item := range plan.Items {
		switch item.Status {
		case Unresolved:
			unresolved = append(unresolved, item.Dependency)
			continue
		case Import:
			imports++
			bytes += item.Package.Size
		case Present:
			present++
		}
		if slices.Contains(planned, item.Package) {
			t.Errorf("%s twice", item.Package.title())
		}
		if in := slices.Contains(w.target, item.Package); in != (item.Status == Present) {
			t.Errorf("%s is %s: %v", item.Package.title(), item.Status, in)
		}
		planned = append(planned, item.Package)
	}
	if imports != plan.Import || present != plan.Present || len(unresolved) != plan.Unresolved || bytes != plan.DownloadBytes {
		t.Errorf("totals of %+v", plan)
	}
	all := append(slices.Clone(w.target), planned...)
	for _, p := range planned {
		for _, want := range needsOf(p) {
			if !anySatisfies(all, want, asArch(p)) && !slices.Contains(unresolved, want.String()) {
				t.Errorf("nothing is said of %q, which %s needs", want, p.title())
			}
		}
	}
	w.checkItems(t, plan)
	checkConflicts(t, plan, planned)
}

// checkItems checks that every item is required, in breadth-first order, and the
// right choice at its time.
func (w world) checkItems(t testing.TB, plan *Plan) {
	t.Helper()
	requirer := 0
	for i, item := range plan.Items[1:] {
		earlier := plan.Items[:i+1]
		var want deb.Alternatives
		for ; requirer < len(earlier) && want == nil; requirer++ {
			if p := earlier[requirer].Package; p != nil && p.Name == item.RequiredBy {
				want = relation(p, item)
			}
		}
		if want == nil {
			t.Errorf("%s is required by no %s: %q", item.Name, item.RequiredBy, item.Dependency)
			return
		}
		requirer--
		w.checkChoice(t, item, want, asArch(earlier[requirer].Package), earlier)
	}
}

func relation(p *Package, item Item) deb.Alternatives {
	rels := p.Depends
	if item.Relation == PreDepends {
		rels = p.PreDepends
	}
	for _, want := range rels {
		if want.String() == item.Dependency {
			return want
		}
	}
	return nil
}

func (w world) checkChoice(t testing.TB, item Item, want deb.Alternatives, arch string, earlier []Item) {
	t.Helper()
	var before []*Package
	for _, e := range earlier {
		if e.Package != nil {
			before = append(before, e.Package)
		}
	}
	if anySatisfies(before, want, arch) && (item.Status != Present || anySatisfies(present(earlier), want, arch)) {
		t.Errorf("%s: what is in the plan meets %q", item.Name, want)
	}
	options := w.options(want, arch)
	switch item.Status {
	case Unresolved:
		if anySatisfies(w.target, want, arch) || len(options) > 0 {
			t.Errorf("%q can be met", want)
		}
	case Present:
		if !anySatisfies([]*Package{item.Package}, want, arch) {
			t.Errorf("%s does not meet %q", item.Package.title(), want)
		}
	case Import:
		if anySatisfies(w.target, want, arch) {
			t.Errorf("%s: what is published meets %q", item.Name, want)
		}
		best := options[0]
		for _, p := range options {
			if !excluded(p, before) {
				best = p
				break
			}
		}
		if item.Package.Name != best.Name || item.Package.Version.Compare(best.Version) != 0 || item.Package.Preference != best.Preference {
			t.Errorf("%s is imported for %q, not %s", item.Package.title(), want, best.title())
		}
	}
}

func present(items []Item) (packages []*Package) {
	for _, item := range items {
		if item.Status == Present {
			packages = append(packages, item.Package)
		}
	}
	return packages
}

func excluded(p *Package, by []*Package) bool {
	return slices.ContainsFunc(by, func(q *Package) bool { return len(quarrels(p, q))+len(quarrels(q, p)) > 0 })
}

// options lists the offers that may be chosen for a relation, best first.
func (w world) options(want deb.Alternatives, arch string) (options []*Package) {
	listed := make(map[string]bool) // a name is listed once for each alternative
	for _, real := range []bool{true, false} {
		for i, d := range want {
			byName := make(map[string]*Package)
			for _, p := range w.offers {
				right := p.Arch == "all" || p.Arch == arch
				if d.Qualifier == "arm64" {
					right = p.Arch == "all" || p.Arch == "arm64"
				}
				if !right || !satisfies(p, d, arch, real) {
					continue
				}
				if q := byName[p.Name]; q == nil || compareOffers(p, q) < 0 {
					byName[p.Name] = p
				}
			}
			for _, name := range letters {
				if key := fmt.Sprint(i, name); byName[name] != nil && !listed[key] {
					listed[key] = true
					options = append(options, byName[name])
				}
			}
		}
	}
	return options
}

func checkConflicts(t testing.TB, plan *Plan, planned []*Package) {
	t.Helper()
	var got, want []string
	for _, c := range plan.Conflicts {
		got = append(got, fmt.Sprintf("%p %p %s", c.Package, c.With, strings.TrimSpace(string(c.Kind)+c.Relation)))
	}
	for i, p := range planned {
		for j, q := range planned {
			for _, reason := range quarrels(p, q) {
				if reason != "same_name" || j < i {
					want = append(want, fmt.Sprintf("%p %p %s", p, q, reason))
				}
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(slices.Compact(got), slices.Compact(want)) {
		t.Errorf("conflicts of %s:\ngot  %q\nwant %q", show(plan), got, want)
	}
}
