package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path"
	"slices"
	"time"

	"github.com/repod-io/repod/index"
)

// Limits bounds what an archive may ask for. A zero field has the stated
// default.
type Limits struct {
	// Packages bounds how many packages a source has; 2,000,000.
	Packages int
	// Index bounds a Packages file, opened, in bytes; 1 GiB. So much room there
	// has to be on the disk.
	Index int64
	// Stanza bounds one stanza of it, in bytes; 1 MiB. Reading takes up to
	// twice that much memory.
	Stanza int
}

func (l Limits) packages() int {
	if l.Packages > 0 {
		return l.Packages
	}
	return 2_000_000
}

func (l Limits) index() int64 {
	if l.Index > 0 {
		return l.Index
	}
	return 1 << 30
}

func (l Limits) stanza() int {
	if l.Stanza > 0 {
		return l.Stanza
	}
	return 1 << 20
}

// A Syncer brings the packages of sources into a catalogue. Fill in Catalog and
// Keyrings; the fields must not change after the first call. It is safe for
// concurrent use, also by several servers that share a Catalog; each of them
// has its own Dir.
type Syncer struct {
	Catalog  Catalog
	Keyrings Keyrings
	// Client makes the requests. Nil: the zero Client.
	Client *Client
	// Dir keeps, in a folder for each source, the plain Packages files of the
	// last sync: they need not be fetched again when they did not change, and
	// patches apply to them. Debian's "main" takes 50 MB for an architecture.
	// "": such files lie in os.TempDir while a sync goes on.
	Dir string
	// MaxAge, if not 0, refuses Release files that are older. Many archives
	// say themselves until when theirs are valid; those of Debian's stable
	// releases and of Ubuntu do not, and change once in months.
	MaxAge time.Duration
	Limits Limits
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Progress, if set, is told what a sync is doing. It is called by as many
	// goroutines as there are syncs.
	Progress func(Source, Progress)
	// Logger gets what a human should know. Nil: slog.Default().
	Logger *slog.Logger
}

// Progress says how far a file is, in bytes as they are transferred. Total is 0
// when it is not known.
type Progress struct {
	File        string // relative to the folder of the suite; "" while packages are stored
	Done, Total int64
}

// A Result says what a sync that succeeded did.
type Result struct {
	// NotModified: the archive has not changed since the last sync.
	NotModified  bool
	PackageCount int64 // that the source has now
	Replaced           // all zero when the packages are the same
}

// Sync makes the catalogue hold the packages that the source offers now.
// Nothing is believed that does not follow from a signature by one of the
// source's keys. Whether the source is enabled is for the caller to ask. Either
// all packages are replaced or, on an error, none; the source's State says how
// it went.
//
// An error that is the source's fault is a *Failure. Other errors are those of
// ctx, of the catalogue and of the local disk; of these the State does not
// tell. When another server has synced the source meanwhile, its result
// stands, and Sync returns without an error.
func (s *Syncer) Sync(ctx context.Context, source Source) (Result, error) {
	result, err := s.sync(ctx, source)
	if err != nil {
		return Result{}, fmt.Errorf("syncing %s: %w", source.ID, err)
	}
	return result, nil
}

func (s *Syncer) sync(ctx context.Context, source Source) (Result, error) {
	if faults := source.Validate(); len(faults) > 0 {
		return Result{}, fmt.Errorf("%s %s", faults[0].Field, faults[0].Message)
	}
	r := &run{syncer: s, source: source, client: s.Client, now: s.now()}
	var err error
	if r.site, err = newSite(source); err != nil {
		return Result{}, err
	}
	if r.state, err = s.state(ctx, source.ID); err != nil {
		return Result{}, err
	}
	r.memo = loadMemo(r.state.Memo, source)
	if r.cache, err = openCache(s.Dir, source.ID); err != nil {
		return Result{}, err
	}
	defer r.cache.close()
	result, err := r.attempt(ctx)
	var f *Failure
	switch {
	case ctx.Err() != nil:
		return Result{}, ctx.Err()
	case errors.As(err, &f):
		if err := r.saveFailure(ctx, f); err != nil {
			return Result{}, errors.Join(f, err)
		}
		return Result{}, f
	}
	return result, err
}

func (s *Syncer) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}

// state returns what the catalogue knows of a source.
func (s *Syncer) state(ctx context.Context, id string) (State, error) {
	states, err := s.Catalog.SourceStates(ctx)
	if err != nil {
		return State{}, fmt.Errorf("reading the states of sources: %w", err)
	}
	for _, st := range states {
		if st.SourceID == id {
			return st, nil
		}
	}
	return State{SourceID: id, Status: Never}, nil
}

// A run is one sync of one source.
type run struct {
	syncer *Syncer
	source Source
	client *Client
	site   *site
	now    time.Time
	state  State // before
	memo   memo  // of the last success
	cache  *cache
	keys   index.Keyring
	head   *head
}

func (r *run) logger() *slog.Logger {
	if r.syncer.Logger != nil {
		return r.syncer.Logger
	}
	return slog.Default()
}

func (r *run) progress(file string, done, total int64) {
	if r.syncer.Progress != nil {
		r.syncer.Progress(r.source, Progress{file, done, total})
	}
}

// dist returns the URL of a file of the suite.
func (r *run) dist(name string) *url.URL {
	return r.site.at(path.Join("dists", r.source.Suite, name))
}

// settle is how long to wait for a mirror that is being updated.
const settle = 5 * time.Second

func (r *run) attempt(ctx context.Context) (Result, error) {
	var err error
	if r.keys, err = r.syncer.Keyrings.Find(r.source); err != nil {
		return Result{}, err
	}
	if r.head, err = r.fetchHead(ctx, true); err != nil {
		return Result{}, err
	}
	if r.head == nil || r.head.memo.Head == r.memo.Head && r.memo.holds(r.source, r.keys, r.now) {
		return r.notModified(ctx)
	}
	result, err := r.update(ctx)
	if !isCode(err, HashMismatch) && !isGone(err) {
		return result, err
	}
	// The mirror may have changed between the Release file and what it lists.
	if err := r.client.pause(ctx, settle); err != nil {
		return Result{}, err
	}
	first := r.head.memo.Head
	fresh, headErr := r.fetchHead(ctx, false)
	if headErr != nil || fresh.memo.Head == first {
		return Result{}, err
	}
	r.head = fresh
	return r.update(ctx)
}

// notModified records that the archive is as it was. That it has not changed
// for long may be the work of somebody in between.
func (r *run) notModified(ctx context.Context) (Result, error) {
	m := r.memo
	if err := r.checkAge(m.Date, m.ValidUntil); err != nil {
		return Result{}, err
	}
	if r.head != nil {
		m.ETag, m.LastModified = r.head.memo.ETag, r.head.memo.LastModified
	}
	return Result{NotModified: true, PackageCount: r.state.PackageCount}, r.save(ctx, m)
}

// update replaces the packages by those that r.head leads to.
func (r *run) update(ctx context.Context) (Result, error) {
	plan, err := planFiles(r.source, r.head, r.syncer.Limits)
	if err != nil {
		return Result{}, err
	}
	m := r.head.memo
	m.Indices = memoIndices(plan)
	if m.Contents == r.memo.Contents && slices.Equal(m.Indices, r.memo.Indices) {
		return Result{PackageCount: r.state.PackageCount}, r.save(ctx, m)
	}
	texts := make([]*os.File, len(plan))
	defer func() {
		for _, f := range texts {
			f.Close() // of a nil *os.File does nothing
		}
	}()
	defer func() {
		if err := r.cache.prune(r.memo.Indices, m.Indices); err != nil {
			r.logger().WarnContext(ctx, "old indices could not be removed", "source", r.source, "error", err)
		}
	}()
	for i, p := range plan {
		if texts[i], err = r.obtain(ctx, p); err != nil {
			return Result{}, err
		}
	}
	return r.replace(ctx, plan, texts, m)
}

// replace hands the packages to the catalogue.
func (r *run) replace(ctx context.Context, plan []packagesFile, texts []*os.File, m memo) (Result, error) {
	r.progress("", 0, 0)
	list := &listing{run: r, plan: plan, texts: texts}
	st := State{
		SourceID: r.source.ID, Status: OK, LastAttempt: r.second(), LastSync: r.second(),
		Generation: r.state.Generation, Memo: m.encode(),
	}
	replaced, err := r.syncer.Catalog.ReplacePackages(ctx, st, list.all(ctx))
	switch {
	case list.err != nil:
		return Result{}, list.err
	case errors.Is(err, ErrSuperseded):
		return r.superseded(ctx)
	case err != nil:
		return Result{}, fmt.Errorf("storing packages: %w", err)
	}
	r.memo = m
	return Result{PackageCount: int64(list.count), Replaced: replaced}, nil
}

// superseded returns the result of the sync that was faster.
func (r *run) superseded(ctx context.Context) (Result, error) {
	st, err := r.syncer.state(ctx, r.source.ID)
	if err == nil && st.Status == OK {
		return Result{PackageCount: st.PackageCount}, nil
	}
	return Result{}, errors.Join(err, ErrSuperseded)
}

func (r *run) second() time.Time { return r.syncer.now().Truncate(time.Second) }

// save records a success that changed no packages.
func (r *run) save(ctx context.Context, m memo) error {
	st := State{SourceID: r.source.ID, Status: OK, LastAttempt: r.second(), LastSync: r.second(), Memo: m.encode()}
	return r.saveState(ctx, st)
}

// saveFailure records a failure. What is known of the last success stays.
func (r *run) saveFailure(ctx context.Context, f *Failure) error {
	r.logger().WarnContext(ctx, "source not synced", "source", r.source, "code", string(f.Code), "reason", string(f.Reason), "detail", f.Detail)
	st := State{
		SourceID: r.source.ID, Status: Error, LastAttempt: r.second(), LastSync: r.state.LastSync,
		Code: string(f.Code), Reason: string(f.Reason), Detail: f.Detail, Memo: r.state.Memo,
	}
	return r.saveState(ctx, st)
}

// saveState writes a state unless another sync has replaced the packages
// meanwhile: what it knows is newer.
func (r *run) saveState(ctx context.Context, st State) error {
	now, err := r.syncer.state(ctx, r.source.ID)
	if err != nil || now.Generation != r.state.Generation {
		return err
	}
	if err := r.syncer.Catalog.SaveState(ctx, st); err != nil {
		return fmt.Errorf("recording a sync: %w", err)
	}
	return nil
}
