package resolve

import (
	"context"
	"fmt"

	"github.com/repod-io/repod/deb"
)

// Bounds on a search.
const (
	// DefaultLimit is how many packages a plan may import if Request.Limit is 0.
	DefaultLimit = 2000
	// itemsPerImport bounds the whole plan: what is present already, and what is
	// missing, is many times as much as is imported, but not without end.
	itemsPerImport = 25
	// maxLooks bounds how many names and packages are looked at, which takes about
	// a second. All dependencies of the 63,440 packages of Debian 12 together need
	// 3.6 million.
	maxLooks = 20_000_000
)

// A Request is what Resolve is asked for.
type Request struct {
	Name    string
	Version string // "": the newest
	Arch    string // such as "amd64"; packages of architecture "all" count, too
	// WithDependencies adds what the package depends on.
	WithDependencies bool
	// Limit is how many packages the plan may import, DefaultLimit if it is 0.
	// The whole plan may have 25 times as many items.
	Limit int
}

// Resolve plans what has to be fetched from offers for a package to be installable
// from target, by the rules in the package comment. A target of nil has
// published nothing.
//
// Errors: ErrPackageNotFound, ErrVersionNotFound, ErrTooLarge, that of ctx, and
// those of the universes. That dependencies cannot be met is no error.
func Resolve(ctx context.Context, req Request, target, offers Universe) (*Plan, error) {
	if req.Limit <= 0 {
		req.Limit = DefaultLimit
	}
	r := &resolver{
		req:    req,
		target: newView(target),
		offers: newView(offers),
		roster: newRoster(),
		unmet:  make(map[string]bool),
		budget: budget{ctx: ctx, left: maxLooks},
	}
	if err := r.root(); err != nil {
		return nil, err
	}
	if req.WithDependencies {
		if err := r.closure(); err != nil {
			return nil, fmt.Errorf("%s %s: %w", req.Name, r.plan.Items[0].Package.Version, err)
		}
	}
	r.report()
	if r.budget.err != nil {
		return nil, r.budget.err
	}
	return &r.plan, nil
}

// A budget bounds the work of a search. Whoever spends it stops when there is
// none left; Resolve looks at err.
type budget struct {
	ctx  context.Context
	left int
	err  error
}

func (b *budget) spend() bool {
	if b.left--; b.left < 0 && b.err == nil {
		b.err = fmt.Errorf("%w: more than %d names and packages were looked at", ErrTooLarge, maxLooks)
	}
	if b.left&0xffff == 0 && b.err == nil {
		b.err = b.ctx.Err()
	}
	return b.err == nil
}

type resolver struct {
	req    Request
	target *view
	offers *view
	plan   Plan
	roster roster
	unmet  map[string]bool // relations known to be unresolved
	budget budget
}

// closure follows dependencies level by level. Items are appended while those of
// the level before are read.
func (r *resolver) closure() error {
	for from := 0; from < len(r.plan.Items); {
		level := r.plan.Items[from:]
		from = len(r.plan.Items)
		if err := r.load(level); err != nil {
			return err
		}
		for _, item := range level {
			if item.Package == nil {
				continue
			}
			for relation, want := range item.Package.needs {
				if err := r.meet(item.Package, relation, want); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// load asks the universes for what a level depends on: the target for all of
// it, the sources only for what the target does not have.
func (r *resolver) load(level []Item) error {
	if err := r.budget.ctx.Err(); err != nil {
		return err
	}
	for want := range wanted(level, r.req.Arch) {
		if !r.ask(r.target, want.alternatives) {
			return r.budget.err
		}
	}
	if err := r.target.load(r.budget.ctx); err != nil {
		return fmt.Errorf("published packages: %w", err)
	}
	for want := range wanted(level, r.req.Arch) {
		if !r.met(want.alternatives, want.arch) && !r.ask(r.offers, want.alternatives) {
			return r.budget.err
		}
	}
	if err := r.offers.load(r.budget.ctx); err != nil {
		return fmt.Errorf("offered packages: %w", err)
	}
	return nil
}

// ask has the next load of v ask for the names of a relation.
func (r *resolver) ask(v *view, alternatives deb.Alternatives) bool {
	for i := range alternatives {
		if !r.budget.spend() {
			return false
		}
		v.ask(alternatives[i].Name)
	}
	return true
}

type want struct {
	alternatives deb.Alternatives
	arch         string // that it is to be met for
}

func wanted(level []Item, arch string) func(yield func(want) bool) {
	return func(yield func(want) bool) {
		for _, item := range level {
			if item.Package == nil {
				continue
			}
			for _, alternatives := range item.Package.needs {
				if !yield(want{alternatives, item.Package.dependsAs(arch)}) {
					return
				}
			}
		}
	}
}

// meet adds to the plan what meets a relation of p, or that nothing does.
func (r *resolver) meet(p *Package, relation Relation, want deb.Alternatives) error {
	arch := p.dependsAs(r.req.Arch)
	c, ok := r.choose(want, arch)
	if r.budget.err != nil {
		return r.budget.err
	}
	if c.inPlan {
		return nil
	}
	item := Item{RequiredBy: p.Name, Relation: relation, Dependency: want.String()}
	if !ok {
		key := arch + " " + item.Dependency
		if r.unmet[key] {
			return nil
		}
		r.unmet[key] = true
		item.Status = Unresolved
		item.Name, item.Constraint = want[0].Name, want[0].Constraint()
		item.Reason = r.whyNone(want, arch)
		return r.add(item)
	}
	item.Package, item.Name, item.Status = c.pkg, c.pkg.Name, c.status
	item.Constraint = c.meets.Constraint()
	if c.provides != nil {
		item.Provides = c.meets.Name
	}
	if c.status == Present {
		item.Reason = whyPresent(c, arch)
	} else {
		item.Reason = r.whyImport(c, want, arch)
	}
	return r.add(item)
}

// add appends an item, whose package is not in the plan.
func (r *resolver) add(item Item) error {
	switch item.Status {
	case Present:
		r.plan.Present++
	case Import:
		r.plan.Import++
		r.plan.DownloadBytes += item.Package.Size
	case Unresolved:
		r.plan.Unresolved++
	}
	r.plan.Items = append(r.plan.Items, item)
	if item.Package != nil {
		r.roster.add(item.Package, item.Status)
	}
	if r.plan.Import > r.req.Limit {
		return fmt.Errorf("%w: more than %d packages to import", ErrTooLarge, r.req.Limit)
	}
	if (len(r.plan.Items)-1)/itemsPerImport >= r.req.Limit {
		return fmt.Errorf("%w: more than %d packages", ErrTooLarge, r.req.Limit*itemsPerImport)
	}
	return nil
}
