package storetest_test

import (
	"context"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// A teller breaks what a store counts.
type teller struct {
	aptrepo.Store
	batch    func(*aptrepo.DownloadBatch)
	query    func(*aptrepo.DownloadQuery)
	stats    func(*aptrepo.DownloadStats)
	prune    func(*aptrepo.Day, *time.Time)
	overview func(*aptrepo.Overview)
	history  func([]aptrepo.DayCounts) []aptrepo.DayCounts
}

func (t *teller) AddDownloads(ctx context.Context, b aptrepo.DownloadBatch) error {
	if t.batch != nil {
		b.Counts = slices.Clone(b.Counts)
		t.batch(&b)
	}
	return t.Store.AddDownloads(ctx, b)
}

func (t *teller) Downloads(ctx context.Context, q aptrepo.DownloadQuery) (aptrepo.DownloadStats, error) {
	if t.query != nil {
		t.query(&q)
	}
	s, err := t.Store.Downloads(ctx, q)
	if t.stats != nil {
		t.stats(&s)
	}
	return s, err
}

func (t *teller) PruneDownloads(ctx context.Context, before aptrepo.Day, single time.Time) error {
	if t.prune != nil {
		t.prune(&before, &single)
	}
	return t.Store.PruneDownloads(ctx, before, single)
}

func (t *teller) Overview(ctx context.Context, q aptrepo.OverviewQuery) (aptrepo.Overview, error) {
	o, err := t.Store.Overview(ctx, q)
	if t.overview != nil {
		t.overview(&o)
	}
	return o, err
}

func (t *teller) History(ctx context.Context, since aptrepo.Day) ([]aptrepo.DayCounts, error) {
	all, err := t.Store.History(ctx, since)
	if t.history != nil {
		all = t.history(all)
	}
	return all, err
}

// tell makes a fault of a teller.
func tell(t teller) func(aptrepo.Store) aptrepo.Store {
	return func(s aptrepo.Store) aptrepo.Store { c := t; c.Store = s; return &c }
}

// lastBatch has each batch overwrite what the one before it counted.
type lastBatch struct {
	aptrepo.Store
	numbers int64
}

func (l *lastBatch) AddDownloads(ctx context.Context, b aptrepo.DownloadBatch) error {
	l.numbers++
	b.Number = l.numbers
	return l.Store.AddDownloads(ctx, b)
}

// scanningTx counts each scan that is put.
type scanningTx struct{ aptrepo.Tx }

func (tx scanningTx) PutScan(id int64, s aptrepo.Scan) error {
	later := s
	later.ScannedAt = s.ScannedAt.Add(time.Microsecond)
	if err := tx.Tx.PutScan(id, later); err != nil {
		return err
	}
	return tx.Tx.PutScan(id, s)
}

// eagerTx counts a rejection whenever a status is set so.
type eagerTx struct{ aptrepo.Tx }

func (tx eagerTx) SetStatus(id int64, status aptrepo.Status, reason, detail string) error {
	if err := tx.Tx.SetStatus(id, aptrepo.Indexed, "", ""); err != nil {
		return err
	}
	return tx.Tx.SetStatus(id, status, reason, detail)
}

var brokenDownloads = []breach{
	{"Downloads", tell(teller{stats: func(s *aptrepo.DownloadStats) {
		for i := range s.PerPackage {
			s.Clients = max(s.Clients, s.PerPackage[i].Clients+1)
		}
	}})},
	{"DownloadsOnce", func(s aptrepo.Store) aptrepo.Store { return &lastBatch{Store: s} }},
	{"DownloadsTogether", tell(teller{batch: func(b *aptrepo.DownloadBatch) { b.Counter = "one" }})},
	{"DownloadsFiles", tell(teller{stats: func(s *aptrepo.DownloadStats) {
		s.PerPackage = slices.DeleteFunc(s.PerPackage, func(p aptrepo.PackageDownloads) bool { return p.Name == "a" })
	}})},
	{"DownloadsSince", tell(teller{query: func(q *aptrepo.DownloadQuery) { q.Since-- }})},
	{"DownloadsRecent", tell(teller{stats: func(s *aptrepo.DownloadStats) { slices.Reverse(s.Recent) }})},
	{"DownloadsPruned", tell(teller{prune: func(_ *aptrepo.Day, single *time.Time) { *single = single.Add(time.Microsecond) }})},
	{"DayCounts", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return scanningTx{tx} })},
	{"DayCountsOfStatus", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return eagerTx{tx} })},
	{"History", tell(teller{history: func(all []aptrepo.DayCounts) []aptrepo.DayCounts {
		return slices.DeleteFunc(all, func(c aptrepo.DayCounts) bool { return c.Uploads == 0 })
	}})},
	{"Overview", tell(teller{overview: func(o *aptrepo.Overview) { o.KEV = len(o.Exploited) }})},
	{"OverviewLists", tell(teller{overview: func(o *aptrepo.Overview) { slices.Reverse(o.Expiring) }})},
	{"OverviewFollows", tell(teller{overview: func(o *aptrepo.Overview) { o.Names = max(o.Names, 1) }})},
}
