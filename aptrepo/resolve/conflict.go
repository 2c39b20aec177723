package resolve

import "github.com/repod-io/repod/deb"

// A roster knows the packages in a plan by what they are known for, and by what
// they do not tolerate.
type roster struct {
	links   map[string][]member
	against map[string][]objection
}

type member struct {
	link
	status Status
}

// An objection is an element of a Conflicts or Breaks field.
type objection struct {
	by   *Package
	kind ConflictKind
	to   *deb.Dependency
}

func newRoster() roster {
	return roster{make(map[string][]member), make(map[string][]objection)}
}

func (r *roster) add(p *Package, status Status) {
	r.links[p.Name] = append(r.links[p.Name], member{link{pkg: p}, status})
	for d := range p.provided {
		r.links[d.Name] = append(r.links[d.Name], member{link{p, d}, status})
	}
	for o := range p.objections {
		r.against[o.to.Name] = append(r.against[o.to.Name], o)
	}
}

// objections yields the elements of p's Conflicts and Breaks.
func (p *Package) objections(yield func(objection) bool) {
	for _, f := range []struct {
		kind   ConflictKind
		fields deb.Relations
	}{{Conflicts, p.Conflicts}, {Breaks, p.Breaks}} {
		for _, alternatives := range f.fields {
			for i := range alternatives {
				if !yield(objection{p, f.kind, &alternatives[i]}) {
					return
				}
			}
		}
	}
}

// hits reports whether o is about l. A package does not exclude packages of its
// own name, nor itself by what it provides (Policy 7.4). Without a qualifier all
// architectures are meant.
func (o objection) hits(l link) bool {
	if o.by.Name == l.pkg.Name || !l.meets(o.to) {
		return false
	}
	switch o.to.Qualifier {
	case "", "any", "native":
		return true
	}
	return l.pkg.Arch == o.to.Qualifier
}

func (o objection) conflict(with *Package) Conflict {
	return Conflict{o.by, with, o.kind, o.to.String()}
}

// exclude reports whether a machine cannot hold p and q, which have one name.
func exclude(p, q *Package) bool {
	switch {
	case p.Arch == q.Arch:
		return compareOffers(p, q) != 0
	case p.MultiArch == "same" && q.MultiArch == "same":
		return p.Version.Compare(q.Version) != 0
	}
	return true
}

// conflict returns the first reason why p cannot be installed together with
// the packages in the plan.
func (r *resolver) conflict(p *Package) (Conflict, bool) {
	for c := range r.roster.conflicts(p, &r.budget) {
		return c, true
	}
	known := func(l link, name string) (Conflict, bool) {
		for _, o := range r.roster.against[name] {
			if !r.budget.spend() {
				break
			}
			if o.hits(l) {
				return o.conflict(p), true
			}
		}
		return Conflict{}, false
	}
	if c, ok := known(link{pkg: p}, p.Name); ok {
		return c, true
	}
	for d := range p.provided {
		if c, ok := known(link{p, d}, d.Name); ok {
			return c, true
		}
	}
	return Conflict{}, false
}

// conflicts yields what p has against packages in the plan: those of its name,
// and those that its fields exclude.
func (r *roster) conflicts(p *Package, b *budget) func(yield func(Conflict) bool) {
	return func(yield func(Conflict) bool) {
		for _, m := range r.links[p.Name] {
			if !b.spend() {
				return
			}
			if m.provides == nil && exclude(p, m.pkg) && !yield(Conflict{p, m.pkg, SameName, ""}) {
				return
			}
		}
		for o := range p.objections {
			var last *Package // one that provides the name twice counts once
			for _, m := range r.links[o.to.Name] {
				if !b.spend() {
					return
				}
				if m.pkg != last && o.hits(m.link) {
					if last = m.pkg; !yield(o.conflict(m.pkg)) {
						return
					}
				}
			}
		}
	}
}

// report lists the conflicts between the packages in the plan. Those of one
// name are found from both sides and told from the later one's.
func (r *resolver) report() {
	position := make(map[*Package]int, len(r.plan.Items))
	for i, item := range r.plan.Items {
		position[item.Package] = i
	}
	for i, item := range r.plan.Items {
		if item.Package == nil {
			continue
		}
		for c := range r.roster.conflicts(item.Package, &r.budget) {
			if c.Kind == SameName && position[c.With] > i {
				continue
			}
			if r.plan.Conflicts = append(r.plan.Conflicts, c); len(r.plan.Conflicts) == MaxConflicts {
				return
			}
		}
	}
}
