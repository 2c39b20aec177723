package storetest_test

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/sqlstore/storetest"
)

func open(t *testing.T) aptrepo.Store {
	t.Helper()
	conn, err := sqlx.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "repod.db")))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlstore.Open(t.Context(), conn, sqlstore.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// A fault is a store that is right but for what its functions change.
type fault struct {
	aptrepo.Store
	tx     func(tx aptrepo.Tx) aptrepo.Tx
	update func(ctx context.Context, s aptrepo.Store, fn func(aptrepo.Tx) error) error
}

func (f *fault) Update(ctx context.Context, fn func(aptrepo.Tx) error) error {
	wrapped := fn
	if f.tx != nil {
		wrapped = func(tx aptrepo.Tx) error { return fn(f.tx(tx)) }
	}
	if f.update != nil {
		return f.update(ctx, f.Store, wrapped)
	}
	return f.Store.Update(ctx, wrapped)
}

// inUpdate makes a fault of a way to run functions.
func inUpdate(update func(ctx context.Context, s aptrepo.Store, fn func(aptrepo.Tx) error) error) func(aptrepo.Store) aptrepo.Store {
	return func(s aptrepo.Store) aptrepo.Store { return &fault{Store: s, update: update} }
}

// inTx makes a fault of a broken transaction.
func inTx(tx func(aptrepo.Tx) aptrepo.Tx) func(aptrepo.Store) aptrepo.Store {
	return func(s aptrepo.Store) aptrepo.Store { return &fault{Store: s, tx: tx} }
}

// A reader breaks what a store reads.
type reader struct {
	aptrepo.Store
	artifact      func(aptrepo.Artifact, error) (aptrepo.Artifact, error)
	artifacts     func([]aptrepo.Artifact) []aptrepo.Artifact
	providers     func([]aptrepo.Artifact) []aptrepo.Artifact
	each          func(iter.Seq2[aptrepo.Artifact, error]) iter.Seq2[aptrepo.Artifact, error]
	query         func(*aptrepo.PackageQuery)
	rows          func([]aptrepo.PackageRow)
	page          func(*aptrepo.Page[aptrepo.Artifact])
	published     func(*aptrepo.PublishedQuery)
	changes       func([]aptrepo.Change) []aptrepo.Change
	heads         func(map[string]aptrepo.Head)
	generation    func(*aptrepo.Generation)
	byHash        func(*aptrepo.Generation)
	entries       func([]aptrepo.AuditEntry)
	removals      func([]string) []string
	keys          func([]aptrepo.SigningKey)
	distribution  func(*aptrepo.Distribution)
	distributions func([]aptrepo.Distribution)
	ping          error
}

func (r *reader) Artifact(ctx context.Context, key aptrepo.Key) (aptrepo.Artifact, error) {
	a, err := r.Store.Artifact(ctx, key)
	if r.artifact != nil {
		return r.artifact(a, err)
	}
	return a, err
}

func (r *reader) Artifacts(ctx context.Context, name string) ([]aptrepo.Artifact, error) {
	list, err := r.Store.Artifacts(ctx, name)
	if r.artifacts != nil {
		list = r.artifacts(list)
	}
	return list, err
}

func (r *reader) Providers(ctx context.Context, codename string, names []string) ([]aptrepo.Artifact, error) {
	list, err := r.Store.Providers(ctx, codename, names)
	if r.providers != nil {
		list = r.providers(list)
	}
	return list, err
}

func (r *reader) EachArtifact(ctx context.Context) iter.Seq2[aptrepo.Artifact, error] {
	if r.each != nil {
		return r.each(r.Store.EachArtifact(ctx))
	}
	return r.Store.EachArtifact(ctx)
}

func (r *reader) PackageRows(ctx context.Context, q aptrepo.PackageQuery) (aptrepo.Page[aptrepo.PackageRow], error) {
	if r.query != nil {
		r.query(&q)
	}
	page, err := r.Store.PackageRows(ctx, q)
	if r.rows != nil {
		r.rows(page.Items)
	}
	return page, err
}

func (r *reader) ArtifactRows(ctx context.Context, q aptrepo.PackageQuery) (aptrepo.Page[aptrepo.Artifact], error) {
	page, err := r.Store.ArtifactRows(ctx, q)
	if r.page != nil {
		r.page(&page)
	}
	return page, err
}

func (r *reader) PublishedRows(ctx context.Context, q aptrepo.PublishedQuery) (aptrepo.Page[aptrepo.PublishedArtifact], error) {
	if r.published != nil {
		r.published(&q)
	}
	return r.Store.PublishedRows(ctx, q)
}

func (r *reader) Changes(ctx context.Context, codename string, after int64, limit int) ([]aptrepo.Change, error) {
	list, err := r.Store.Changes(ctx, codename, after, limit)
	if r.changes != nil {
		list = r.changes(list)
	}
	return list, err
}

func (r *reader) Heads(ctx context.Context) (map[string]aptrepo.Head, error) {
	heads, err := r.Store.Heads(ctx)
	if r.heads != nil {
		r.heads(heads)
	}
	return heads, err
}

func (r *reader) Generation(ctx context.Context, codename string) (aptrepo.Generation, error) {
	g, err := r.Store.Generation(ctx, codename)
	if r.generation != nil {
		r.generation(&g)
	}
	return g, err
}

func (r *reader) GenerationByHash(ctx context.Context, codename, sha256 string) (aptrepo.Generation, error) {
	g, err := r.Store.GenerationByHash(ctx, codename, sha256)
	if r.byHash != nil && err == nil {
		r.byHash(&g)
	}
	return g, err
}

func (r *reader) AuditEntries(ctx context.Context, after int64, limit int) ([]aptrepo.AuditEntry, error) {
	list, err := r.Store.AuditEntries(ctx, after, limit)
	if r.entries != nil {
		r.entries(list)
	}
	return list, err
}

func (r *reader) DueRemovals(ctx context.Context, now time.Time, limit int) ([]string, error) {
	list, err := r.Store.DueRemovals(ctx, now, limit)
	if r.removals != nil {
		list = r.removals(list)
	}
	return list, err
}

func (r *reader) SigningKeys(ctx context.Context) ([]aptrepo.SigningKey, error) {
	list, err := r.Store.SigningKeys(ctx)
	if r.keys != nil {
		r.keys(list)
	}
	return list, err
}

func (r *reader) Distribution(ctx context.Context, codename string) (aptrepo.Distribution, error) {
	d, err := r.Store.Distribution(ctx, codename)
	if r.distribution != nil {
		r.distribution(&d)
	}
	return d, err
}

func (r *reader) Distributions(ctx context.Context) ([]aptrepo.Distribution, error) {
	list, err := r.Store.Distributions(ctx)
	if r.distributions != nil {
		r.distributions(list)
	}
	return list, err
}

func (r *reader) Ping(ctx context.Context) error { return errors.Join(r.ping, r.Store.Ping(ctx)) }

// reading makes a fault of a reader.
func reading(r reader) func(aptrepo.Store) aptrepo.Store {
	return func(s aptrepo.Store) aptrepo.Store { r.Store = s; return &r }
}

// Broken transactions, each by one method.
type (
	blindTx      struct{ aptrepo.Tx }
	forgivingTx  struct{ aptrepo.Tx }
	anywayTx     struct{ aptrepo.Tx }
	ignorantTx   struct{ aptrepo.Tx }
	repeatingTx  struct{ aptrepo.Tx }
	stubbornTx   struct{ aptrepo.Tx }
	hoardingTx   struct{ aptrepo.Tx }
	punctualTx   struct{ aptrepo.Tx }
	livelyTx     struct{ aptrepo.Tx }
	tidyTx       struct{ aptrepo.Tx }
	deafTx       struct{ aptrepo.Tx }
	overwritesTx struct{ aptrepo.Tx }
	wastefulTx   struct{ aptrepo.Tx }
)

func (blindTx) PublishedIn(string, []string) ([]aptrepo.Artifact, error) { return nil, nil }

func (tx forgivingTx) InsertArtifact(a *aptrepo.Artifact) error {
	if err := tx.Tx.InsertArtifact(a); !errors.Is(err, aptrepo.ErrConflict) {
		return err
	}
	return nil
}

func (tx anywayTx) InsertArtifact(a *aptrepo.Artifact) error {
	a.Description = strings.ToValidUTF8(strings.ReplaceAll(a.Description, "\x00", ""), "")
	return tx.Tx.InsertArtifact(a)
}

func (ignorantTx) Known(string) (bool, error) { return false, nil }

func (tx repeatingTx) AddPublication(id int64, p aptrepo.Publication) (int64, bool, error) {
	seq, _, err := tx.Tx.AddPublication(id, p)
	return seq, true, err
}

func (tx stubbornTx) RemovePublication(id int64, codename, component string) (int64, bool, error) {
	seq, _, err := tx.Tx.RemovePublication(id, codename, component)
	return seq, true, err
}

type staleStore struct{ aptrepo.Store }

func (s staleStore) AdvanceGeneration(ctx context.Context, g aptrepo.Generation) error {
	if err := s.Store.AdvanceGeneration(ctx, g); !errors.Is(err, aptrepo.ErrStale) {
		return err
	}
	return nil
}

func (hoardingTx) DeleteGenerations(string, time.Time) ([]aptrepo.Generation, error) { return nil, nil }

func (tx punctualTx) DeleteGenerations(codename string, before time.Time) ([]aptrepo.Generation, error) {
	return tx.Tx.DeleteGenerations(codename, before.Add(time.Hour))
}

// lowTx leaves a generation as it is, and timelessTx its Date.
type (
	lowTx      struct{ aptrepo.Tx }
	timelessTx struct{ aptrepo.Tx }
)

func (lowTx) RaiseGeneration(string, int64, time.Time) error { return nil }

func (tx timelessTx) RaiseGeneration(codename string, number int64, _ time.Time) error {
	return tx.Tx.RaiseGeneration(codename, number, time.Time{})
}

func (wastefulTx) DeleteMessages([]int64) error { return nil }

type (
	garrulousTx    struct{ aptrepo.Tx } // all is news
	taciturnTx     struct{ aptrepo.Tx } // nothing is news again
	unforgettingTx struct{ aptrepo.Tx }
)

func (garrulousTx) Note(string, time.Time, time.Time) (bool, error) { return true, nil }

func (tx taciturnTx) Note(name string, at, _ time.Time) (bool, error) {
	return tx.Tx.Note(name, at, time.Time{})
}

func (unforgettingTx) ForgetNote(string) error { return nil }

// unlabelledTx forgets to take a label off.
type unlabelledTx struct{ aptrepo.Tx }

func (tx unlabelledTx) DeleteGroup(name string) ([]aptrepo.Artifact, error) {
	gone, err := tx.Tx.DeleteGroup(name)
	for _, a := range gone {
		err = errors.Join(err, tx.SetGroup(a.ID, name))
	}
	return gone, err
}

func (livelyTx) DeleteTombstone(aptrepo.Key) error { return nil }

func (tx tidyTx) DeleteArtifact(id int64) error {
	if err := tx.Tx.DeleteArtifact(id); err != nil && !strings.Contains(err.Error(), "published") {
		return err
	}
	return nil
}

func (tx deafTx) Audit(e aptrepo.AuditEntry) error {
	if strings.ContainsRune(e.Target, 0) {
		return nil
	}
	return tx.Tx.Audit(e)
}

func (tx overwritesTx) InsertDistribution(d aptrepo.Distribution) (bool, error) {
	_, err := tx.Tx.InsertDistribution(d)
	return true, err
}

// A breach is a store with one fault, and the rule that finds it.
type breach struct {
	check string
	store func(aptrepo.Store) aptrepo.Store
}

// broken are those of all but the safety of artifacts.
var broken = []breach{
	{"UpdateSeesItself", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return blindTx{tx} })},
	{"UpdateRollsBack", inUpdate(func(ctx context.Context, s aptrepo.Store, fn func(aptrepo.Tx) error) error {
		var failed error
		err := s.Update(ctx, func(tx aptrepo.Tx) error { failed = fn(tx); return nil })
		return errors.Join(failed, err)
	})},
	{"UpdateIndependent", func(s aptrepo.Store) aptrepo.Store {
		return &batching{Store: s}
	}},
	{"UpdateSerializable", inUpdate(lostUpdate)},
	{"UpdateHides", reading(reader{artifacts: func(list []aptrepo.Artifact) []aptrepo.Artifact {
		return list[min(1, len(list)):]
	}})},
	{"UpdateCanceled", inUpdate(func(ctx context.Context, s aptrepo.Store, fn func(aptrepo.Tx) error) error {
		return s.Update(context.WithoutCancel(ctx), fn)
	})},
	{"Ping", reading(reader{ping: aptrepo.ErrUnavailable})},
	{"ArtifactRoundTrip", reading(reader{artifact: func(a aptrepo.Artifact, err error) (aptrepo.Artifact, error) {
		a.SHA512 = ""
		return a, err
	}})},
	{"ArtifactMissing", reading(reader{artifact: func(a aptrepo.Artifact, _ error) (aptrepo.Artifact, error) { return a, nil }})},
	{"ArtifactConflict", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return forgivingTx{tx} })},
	{"ArtifactOrder", reading(reader{artifacts: byText})},
	{"ArtifactDeleted", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return tidyTx{tx} })},
	{"ArtifactText", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return anywayTx{tx} })},
	{"EachArtifact", reading(reader{each: func(all iter.Seq2[aptrepo.Artifact, error]) iter.Seq2[aptrepo.Artifact, error] {
		return func(yield func(aptrepo.Artifact, error) bool) {
			n := 0
			for a, err := range all {
				if n++; n == 201 { // the edge of a page
					continue
				}
				if !yield(a, err) {
					return
				}
			}
		}
	}})},
	{"TxQueries", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return ignorantTx{tx} })},
	{"Providers", reading(reader{providers: byText})},
	{"DistributionRoundTrip", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return overwritesTx{tx} })},
	{"DistributionCounts", reading(reader{distribution: func(d *aptrepo.Distribution) { d.PackageCount = d.ArtifactCount }})},
	{"AddPublication", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return repeatingTx{tx} })},
	{"RemovePublication", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return stubbornTx{tx} })},
	{"SeqWithoutGaps", func(s aptrepo.Store) aptrepo.Store {
		var calls atomic.Int32
		return &reader{Store: s, changes: func(list []aptrepo.Change) []aptrepo.Change {
			if calls.Add(1) > 1 && len(list) > 1 { // as a reader would see a late commit
				return list[1:]
			}
			return list
		}}
	}},
	{"ChangesInOrder", reading(reader{changes: func(list []aptrepo.Change) []aptrepo.Change {
		list = slices.Clone(list)
		slices.Reverse(list)
		return list
	}})},
	{"ChangesOfDeleted", reading(reader{changes: func(list []aptrepo.Change) []aptrepo.Change {
		for i := range list {
			list[i].Artifact = &aptrepo.Artifact{}
		}
		return list
	}})},
	{"Heads", reading(reader{heads: func(heads map[string]aptrepo.Head) { delete(heads, "noble") }})},
	{"PackageRows", reading(reader{rows: func(rows []aptrepo.PackageRow) {
		for i := range rows {
			slices.Sort(rows[i].Versions)
		}
	}})},
	{"PackageRowsFilter", reading(reader{query: func(q *aptrepo.PackageQuery) { q.Section = "" }})},
	{"PackageRowsSort", reading(reader{query: func(q *aptrepo.PackageQuery) {
		if q.Sort == aptrepo.SortSizeDesc {
			q.Sort = aptrepo.SortSize
		}
	}})},
	{"PackageRowsLatest", reading(reader{query: func(q *aptrepo.PackageQuery) { q.Distribution = "" }})},
	{"ArtifactRows", reading(reader{page: func(p *aptrepo.Page[aptrepo.Artifact]) { p.Items = byText(p.Items) }})},
	{"PublishedRows", reading(reader{published: func(q *aptrepo.PublishedQuery) { q.Component = "" }})},
	{"Search", reading(reader{query: func(q *aptrepo.PackageQuery) { q.Q = strings.ReplaceAll(q.Q, "%", "") }})},
	{"Paging", reading(reader{page: func(p *aptrepo.Page[aptrepo.Artifact]) { p.Total = len(p.Items) }})},
	{"ListingModel", reading(reader{rows: func(rows []aptrepo.PackageRow) {
		for i := range rows {
			if rows[i].Latest.Arch == "arm64" {
				rows[i].Latest.Arch = "armhf"
			}
		}
	}})},
	{"ListingConsistent", func(s aptrepo.Store) aptrepo.Store { return twoReads{s} }},
	{"GenerationRoundTrip", reading(reader{generation: func(g *aptrepo.Generation) { g.Hashes = nil }})},
	{"GenerationStale", func(s aptrepo.Store) aptrepo.Store { return staleStore{s} }},
	{"GenerationRace", func(s aptrepo.Store) aptrepo.Store { return staleStore{s} }},
	{"GenerationByHash", reading(reader{byHash: func(g *aptrepo.Generation) { g.Number = 1 }})},
	{"DeleteGenerations", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return punctualTx{tx} })},
	{"RaiseGeneration", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return lowTx{tx} })},
	{"RaiseGeneration", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return timelessTx{tx} })},
	{"DeleteGenerationsClock", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return hoardingTx{tx} })},
	{"Tombstones", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return livelyTx{tx} })},
	{"Removals", reading(reader{removals: func([]string) []string { return nil }})},
	{"Groups", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return unlabelledTx{tx} })},
	{"Outbox", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return wastefulTx{tx} })},
	{"Notes", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return garrulousTx{tx} })},
	{"NotesSince", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return taciturnTx{tx} })},
	{"NotesForgotten", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return unforgettingTx{tx} })},
	{"SigningKeys", reading(reader{keys: func(keys []aptrepo.SigningKey) { slices.Reverse(keys) }})},
	{"AuditChain", reading(reader{entries: func(list []aptrepo.AuditEntry) {
		if len(list) > 7 {
			list[7].Detail = "forged"
		}
	}})},
	{"AuditText", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return deafTx{tx} })},
}

// twoReads takes a page and its total from two states.
type twoReads struct{ aptrepo.Store }

func (s twoReads) PublishedRows(ctx context.Context, q aptrepo.PublishedQuery) (aptrepo.Page[aptrepo.PublishedArtifact], error) {
	early, err := s.Store.PublishedRows(ctx, q)
	if err != nil {
		return early, err
	}
	time.Sleep(time.Millisecond)
	late, err := s.Store.PublishedRows(ctx, q)
	late.Total = early.Total
	return late, err
}

// byText orders versions as text.
func byText(list []aptrepo.Artifact) []aptrepo.Artifact {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b aptrepo.Artifact) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(b.Version, a.Version)
	})
	return list
}

// lostUpdate runs fn twice: first to read, then to write what that gave, as
// transactions do that do not exclude each other.
func lostUpdate(ctx context.Context, s aptrepo.Store, fn func(aptrepo.Tx) error) error {
	var stones []aptrepo.Tombstone
	err := s.Update(ctx, func(tx aptrepo.Tx) error { return fn(&recordingTx{tx, &stones}) })
	if err != nil {
		return err
	}
	time.Sleep(time.Millisecond)
	return s.Update(ctx, func(tx aptrepo.Tx) error {
		for _, stone := range stones {
			if err := tx.PutTombstone(stone); err != nil {
				return err
			}
		}
		return nil
	})
}

type recordingTx struct {
	aptrepo.Tx
	stones *[]aptrepo.Tombstone
}

func (tx *recordingTx) PutTombstone(s aptrepo.Tombstone) error {
	*tx.stones = append(*tx.stones, s)
	return nil
}

// batching runs functions in pairs, and fails both when one fails.
type batching struct {
	aptrepo.Store
	mu      sync.Mutex
	waiting *paired
}

type paired struct {
	fn   func(aptrepo.Tx) error
	done chan error
}

func (b *batching) Update(ctx context.Context, fn func(aptrepo.Tx) error) error {
	mine := &paired{fn, make(chan error, 1)}
	b.mu.Lock()
	other := b.waiting
	b.waiting = nil
	if other == nil {
		b.waiting = mine
	}
	b.mu.Unlock()
	if other == nil {
		select {
		case err := <-mine.done:
			return err
		case <-time.After(5 * time.Millisecond):
		}
		b.mu.Lock()
		alone := b.waiting == mine
		if alone {
			b.waiting = nil
		}
		b.mu.Unlock()
		if !alone {
			return <-mine.done
		}
		return b.Store.Update(ctx, fn)
	}
	err := b.Store.Update(ctx, func(tx aptrepo.Tx) error { return errors.Join(other.fn(tx), fn(tx)) })
	other.done <- err
	return err
}

// Each rule finds a fault, and lets a store without faults pass.
func TestChecks(t *testing.T) {
	faults := make(map[string]func(aptrepo.Store) aptrepo.Store)
	for _, b := range slices.Concat(broken, brokenSafety, brokenBills, brokenDownloads, brokenRetention) {
		faults[b.check] = b.store
	}
	for _, c := range storetest.Checks() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if err := c.Func(t.Context(), open(t)); err != nil {
				t.Errorf("a sound store fails: %v", err)
			}
			spoil := faults[c.Name]
			if spoil == nil {
				t.Fatal("there is no broken store for this rule")
			}
			if err := c.Func(t.Context(), spoil(open(t))); err == nil {
				t.Error("the broken store passes")
			}
		})
	}
}
