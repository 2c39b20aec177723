package resolve

import "github.com/repod-io/repod/deb"

// A choice is the package that meets a relation.
type choice struct {
	link
	meets  *deb.Dependency // one of the alternatives
	status Status
	inPlan bool // nothing has to be added
	// avoided are conflicts of packages that would otherwise have been chosen,
	// the first few.
	avoided []Conflict
	// against is a conflict of the chosen package.
	against *Conflict
}

// maxAvoided bounds choice.avoided: people read it.
const maxAvoided = 3

// choose finds what meets a relation, in the order that the package comment
// gives. It reports false when nothing does.
func (r *resolver) choose(want deb.Alternatives, arch string) (choice, bool) {
	if r.planMeets(want, arch, Present) {
		return choice{inPlan: true}, true
	}
	published, clean := r.published(want, arch)
	if clean {
		return published, true
	}
	if r.planMeets(want, arch, Import) {
		return choice{inPlan: true}, true
	}
	if published.pkg != nil {
		return published, true
	}
	return r.offered(want, arch)
}

// planMeets reports whether a package of that status in the plan meets a relation.
func (r *resolver) planMeets(want deb.Alternatives, arch string, status Status) bool {
	for i := range want {
		if !r.budget.spend() {
			return false
		}
		for _, m := range r.roster.links[want[i].Name] {
			if !r.budget.spend() {
				return false
			}
			if m.status == status && m.fits(&want[i], arch) {
				return true
			}
		}
	}
	return false
}

// met reports whether published packages or the plan meet a relation.
func (r *resolver) met(want deb.Alternatives, arch string) bool {
	if r.planMeets(want, arch, Present) || r.planMeets(want, arch, Import) {
		return true
	}
	for range r.target.options(want, arch, &r.budget) {
		return true
	}
	return false
}

// published returns the first published package that meets a relation and is
// clean, which means without conflict and of the right architecture, or else
// the first that meets it.
func (r *resolver) published(want deb.Alternatives, arch string) (first choice, clean bool) {
	for c := range r.target.options(want, arch, &r.budget) {
		c.status = Present
		if c.pkg.native(c.meets, arch) {
			conflict, ok := r.conflict(c.pkg)
			if !ok {
				return c, true
			}
			c.against = &conflict
		}
		if first.pkg == nil {
			first = c
		}
	}
	return first, false
}

// offered returns the first offer that meets a relation without a conflict, or
// else the first that meets it.
func (r *resolver) offered(want deb.Alternatives, arch string) (first choice, ok bool) {
	type refusal struct {
		meets *deb.Dependency
		name  string
	}
	var refused map[refusal]bool
	var avoided []Conflict
	for c := range r.offers.options(want, arch, &r.budget) {
		// The newest version stands for its name. If it is refused, so are the others.
		if !c.pkg.native(c.meets, arch) || refused[refusal{c.meets, c.pkg.Name}] {
			continue
		}
		c.status = Import
		conflict, ok := r.conflict(c.pkg)
		if !ok {
			c.avoided = avoided
			return c, true
		}
		if refused == nil {
			refused = make(map[refusal]bool)
			first, first.against = c, &conflict
		}
		refused[refusal{c.meets, c.pkg.Name}] = true
		if len(avoided) < maxAvoided {
			avoided = append(avoided, conflict)
		}
	}
	return first, first.pkg != nil
}

// options yields what meets a relation: real packages first, newest first, then
// providers by name; within both by alternative.
func (v *view) options(want deb.Alternatives, arch string, b *budget) func(yield func(choice) bool) {
	return func(yield func(choice) bool) {
		for _, known := range []map[string][]link{v.real, v.provided} {
			for i := range want {
				if !b.spend() {
					return
				}
				for _, l := range known[want[i].Name] {
					if !b.spend() {
						return
					}
					if l.fits(&want[i], arch) && !yield(choice{link: l, meets: &want[i]}) {
						return
					}
				}
			}
		}
	}
}
