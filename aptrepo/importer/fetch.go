package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/resolve"
	"github.com/repod-io/repod/aptrepo/upstream"
)

// A Status says what became of a package.
type Status string

// The statuses of imported packages.
const (
	Imported       Status = "imported"
	AlreadyPresent Status = "already_present"
	Failed         Status = "error"
)

// An Item is one package that a request took in, or would have.
type Item struct {
	Name     string
	Version  string // "" when nobody has it
	Arch     string
	Status   Status
	SourceID string // "" for what was present
	SHA256   string
	Err      error // why it failed
}

// A Result is what became of one request.
type Result struct {
	Request Request
	// Items are the asked-for package and those it depends on, breadth first.
	// They are missing when Err says why nothing was done.
	Items []Item
	Err   error
}

// Count returns how many items have a status.
func (r *Result) Count(status Status) int {
	n := 0
	for _, item := range r.Items {
		if item.Status == status {
			n++
		}
	}
	return n
}

// An Order asks for packages that are imported together: they are published at
// once, when all others have been dealt with.
type Order struct {
	Packages []Request `json:"packages"`
	// Dependencies adds what the distributions lack of the Depends and
	// Pre-Depends of the packages, and of theirs.
	Dependencies bool   `json:"dependencies"`
	Group        string `json:"group,omitempty"` // label for all of them, also those already present
}

// Progress is told how far the work is. It may be called by several goroutines.
type Progress func(done, total int, message string)

// ErrNotOffered is the error of a dependency that no source offers.
var ErrNotOffered = errors.New("no source offers it")

// ErrTooLarge refuses a package that is larger than MaxSize.
var ErrTooLarge = errors.New("package too large")

// Import carries out an order and records it in the audit log as action. A
// Result for each package tells of failures; the error is of those that
// concern all of it: aptrepo.ErrUnavailable, or ctx's. What was stored until
// then is published. Doing the same again finishes the work.
func (im *Importer) Import(ctx context.Context, action string, o Order, progress Progress) ([]Result, error) {
	r := &run{im: im, order: o, progress: progress, batch: im.Repo.NewBatch(),
		tasks: make(map[taskKey]*task), coming: make(map[string]*joined)}
	if len(o.Packages) == 0 {
		return nil, nil
	}
	for _, q := range o.Packages {
		r.plan(ctx, q.WithDefaults())
	}
	r.download(ctx)
	if err := r.batch.Publish(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.label(ctx); err != nil {
		return nil, err
	}
	results := r.results()
	return results, r.record(ctx, action, results)
}

// A run carries out an order.
type run struct {
	im       *Importer
	order    Order
	progress Progress
	batch    *aptrepo.Batch

	wanted []planned
	tasks  map[taskKey]*task
	queue  []*task            // in the order of the plans
	coming map[string]*joined // by distribution
}

// planned is a request and its plan.
type planned struct {
	request Request
	plan    *resolve.Plan
	err     error
}

// A taskKey names a package in a distribution.
type taskKey struct {
	distribution        string
	name, version, arch string
}

// A task is a package to fetch and publish.
type task struct {
	request Request
	source  upstream.Source
	pkg     upstream.Package
	status  Status
	err     error
}

// plan works out what a request needs, beside what earlier ones bring.
func (r *run) plan(ctx context.Context, q Request) {
	p := planned{request: q}
	p.plan, p.err = r.resolve(ctx, q)
	r.wanted = append(r.wanted, p)
	if p.err != nil {
		return
	}
	for _, item := range p.plan.Items {
		if item.Status != resolve.Import {
			continue
		}
		offer := item.Package.Ref.(upstream.Package)
		source, err := r.im.source(offer.SourceID)
		if !aptrepo.ActorFrom(ctx).MayName(offer.Name) {
			err = aptrepo.ErrNameScope
		}
		t := &task{request: q, source: source, pkg: offer, status: Failed, err: err}
		r.tasks[keyOf(q.Distribution, item.Package)] = t
		r.queue = append(r.queue, t)
		r.coming[q.Distribution].add(item.Package)
	}
}

func keyOf(distribution string, p *resolve.Package) taskKey {
	return taskKey{distribution, p.Name, p.Version.String(), p.Arch}
}

func (r *run) resolve(ctx context.Context, q Request) (*resolve.Plan, error) {
	if err := r.im.Check(ctx, q); err != nil {
		return nil, err
	}
	offers, err := r.im.offers(ctx, q)
	if err != nil {
		return nil, err
	}
	if r.coming[q.Distribution] == nil {
		r.coming[q.Distribution] = &joined{Universe: published{r.im.Repo.Store, q.Distribution}}
	}
	plan, err := r.im.plan(ctx, q, offers, r.coming[q.Distribution], r.order.Dependencies)
	if err != nil {
		return nil, err
	}
	if asked := plan.Items[0]; asked.Status == resolve.Present && r.tasks[keyOf(q.Distribution, asked.Package)] == nil {
		return plan, r.im.sameBytes(ctx, offers, asked.Package)
	}
	return plan, nil
}

// sameBytes makes sure that a published package is the one that the sources
// offer under its name, version and architecture, else a
// *aptrepo.ConflictError.
func (im *Importer) sameBytes(ctx context.Context, offers resolve.Universe, p *resolve.Package) error {
	a, err := im.Repo.Store.Artifact(ctx, aptrepo.KeyOf(p.Name, p.Version.String(), p.Arch))
	if err != nil {
		return err
	}
	list, err := offers.Packages(ctx, []string{p.Name})
	if err != nil {
		return err
	}
	var other *upstream.Package
	for _, o := range list {
		offer := o.Ref.(upstream.Package)
		if o.Name != p.Name || o.Arch != p.Arch || o.Version.Compare(p.Version) != 0 {
			continue
		}
		if offer.SHA256 == a.SHA256 {
			return nil
		}
		other = &offer
	}
	if other == nil {
		return nil
	}
	return &aptrepo.ConflictError{Key: a.Key(), Incoming: other.SHA256, Existing: a.SHA256}
}

// download carries out the tasks, some at a time.
func (r *run) download(ctx context.Context) {
	var done atomic.Int64
	r.report(0, "")
	r.im.each(len(r.queue), func(i int) {
		t := r.queue[i]
		if t.err == nil {
			t.status, t.err = r.im.take(ctx, r.batch, t, r.order.Group)
		}
		if t.err != nil {
			t.status = Failed
		}
		r.report(int(done.Add(1)), t.pkg.Name+" "+t.pkg.Version)
	})
}

func (r *run) report(done int, message string) {
	if r.progress != nil {
		r.progress(done, len(r.queue), message)
	}
}

// label puts the packages that were there already into the group, as far as the
// actor may change them.
func (r *run) label(ctx context.Context) error {
	if r.order.Group == "" {
		return nil
	}
	var keys []aptrepo.Key
	for _, p := range r.wanted {
		if p.err != nil {
			continue
		}
		for _, item := range p.plan.Items {
			if item.Status == resolve.Present && aptrepo.ActorFrom(ctx).MayName(item.Name) && r.tasks[keyOf(p.request.Distribution, item.Package)] == nil {
				keys = append(keys, aptrepo.KeyOf(item.Name, item.Package.Version.String(), item.Package.Arch))
			}
		}
	}
	for part := range slices.Chunk(keys, 500) {
		if err := r.im.Repo.Label(ctx, r.order.Group, part); err != nil {
			return err
		}
	}
	return nil
}

// results tells what became of each request.
func (r *run) results() []Result {
	results := make([]Result, len(r.wanted))
	for i, p := range r.wanted {
		results[i] = Result{Request: p.request, Err: p.err}
		if p.err != nil {
			continue
		}
		for _, item := range p.plan.Items {
			results[i].Items = append(results[i].Items, r.item(p.request.Distribution, item))
		}
	}
	return results
}

func (r *run) item(distribution string, item resolve.Item) Item {
	if item.Package == nil {
		return Item{Name: item.Name, Status: Failed, Err: fmt.Errorf("%w: %s", ErrNotOffered, item.Reason)}
	}
	out := Item{
		Name: item.Name, Version: item.Package.Version.String(), Arch: item.Package.Arch, Status: AlreadyPresent,
	}
	if t := r.tasks[keyOf(distribution, item.Package)]; t != nil {
		out.Status, out.SourceID, out.SHA256, out.Err = t.status, t.source.ID, t.pkg.SHA256, t.err
		if item.Status == resolve.Present && t.status == Imported { // another request of the order brought it
			out.Status = AlreadyPresent
		}
	}
	return out
}

// record writes the order's own audit entry.
func (r *run) record(ctx context.Context, action string, results []Result) error {
	e := aptrepo.AuditEntry{Action: action, Result: aptrepo.ResultSuccess}
	imported, failed, ok := 0, 0, 0
	for i := range results {
		imported += results[i].Count(Imported)
		failed += results[i].Count(Failed)
		if results[i].Err != nil {
			failed++
		} else if results[i].Items[0].Status != Failed {
			ok++
		}
	}
	switch {
	case ok == 0:
		e.Result = aptrepo.ResultFailure
	case failed > 0:
		e.Result = aptrepo.ResultPartial
	}
	first := results[0]
	e.Target = first.Request.Distribution
	if len(results) == 1 {
		e.Package, e.Version = first.Request.Name, first.Request.Version
		if len(first.Items) > 0 {
			e.Version = first.Items[0].Version
		}
	}
	e.Detail = fmt.Sprintf("packages=%d imported=%d errors=%d", len(results), imported, failed)
	skipped := 0
	for i := range results {
		skipped += results[i].Count(AlreadyPresent)
	}
	return r.im.Repo.Record(context.WithoutCancel(ctx), e, aptrepo.Event{
		Kind: aptrepo.EventImportFinished, Group: r.order.Group, Distribution: first.Request.Distribution,
		Imported: imported, Skipped: skipped, Failed: failed,
	})
}
