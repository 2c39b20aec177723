package storetest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// A doctor breaks what a store says of safety.
type doctor struct {
	aptrepo.Store
	scan            func(*aptrepo.Scan)
	expired         func([]aptrepo.Decision)
	query           func(*aptrepo.VulnerabilityQuery)
	vulnerabilities func(*aptrepo.VulnerabilityPage)
	posture         func(*aptrepo.PosturePage)
	postures        func(*aptrepo.PostureQuery)
	inventories     func(n int, s *aptrepo.StoredInventory) (skip bool)
	decisions       func(n int) (skip bool)
}

func (d *doctor) EachDecision(ctx context.Context) iter.Seq2[aptrepo.Decision, error] {
	return func(yield func(aptrepo.Decision, error) bool) {
		n := 0
		for one, err := range d.Store.EachDecision(ctx) {
			if n++; d.decisions != nil && d.decisions(n) {
				continue
			}
			if !yield(one, err) {
				return
			}
		}
	}
}

func (d *doctor) Scan(ctx context.Context, id int64) (aptrepo.Scan, error) {
	s, err := d.Store.Scan(ctx, id)
	if d.scan != nil {
		d.scan(&s)
	}
	return s, err
}

func (d *doctor) ExpiredDecisions(ctx context.Context, at time.Time, limit int) ([]aptrepo.Decision, error) {
	list, err := d.Store.ExpiredDecisions(ctx, at, limit)
	if d.expired != nil {
		d.expired(list)
	}
	return list, err
}

func (d *doctor) Vulnerabilities(ctx context.Context, q aptrepo.VulnerabilityQuery) (aptrepo.VulnerabilityPage, error) {
	if d.query != nil {
		d.query(&q)
	}
	page, err := d.Store.Vulnerabilities(ctx, q)
	if d.vulnerabilities != nil {
		d.vulnerabilities(&page)
	}
	return page, err
}

func (d *doctor) Posture(ctx context.Context, q aptrepo.PostureQuery) (aptrepo.PosturePage, error) {
	if d.postures != nil {
		d.postures(&q)
	}
	page, err := d.Store.Posture(ctx, q)
	if d.posture != nil {
		d.posture(&page)
	}
	return page, err
}

func (d *doctor) EachInventory(ctx context.Context) iter.Seq2[aptrepo.StoredInventory, error] {
	all := d.Store.EachInventory(ctx)
	if d.inventories == nil {
		return all
	}
	return func(yield func(aptrepo.StoredInventory, error) bool) {
		n := 0
		for one, err := range all {
			n++
			if !d.inventories(n, &one) && !yield(one, err) {
				return
			}
		}
	}
}

// quack makes a fault of a doctor.
func quack(d doctor) func(aptrepo.Store) aptrepo.Store {
	return func(s aptrepo.Store) aptrepo.Store { d.Store = s; return &d }
}

// Broken transactions, each by one method.
type (
	cleanTx    struct{ aptrepo.Tx }
	sloppyTx   struct{ aptrepo.Tx }
	clingingTx struct{ aptrepo.Tx }
	mergingTx  struct{ aptrepo.Tx }
	lenientTx  struct{ aptrepo.Tx }
	piecemeal  struct{ aptrepo.Tx }
	aimlessTx  struct{ aptrepo.Tx }
	rejecting  struct{ aptrepo.Tx }
)

func (tx cleanTx) PutScan(id int64, s aptrepo.Scan) error {
	s.Components = nil
	return tx.Tx.PutScan(id, s)
}

func (tx mergingTx) PutScan(id int64, s aptrepo.Scan) error {
	old, err := tx.Tx.Scan(id)
	s.Findings = append(slices.Clone(old.Findings), s.Findings...)
	return errors.Join(err, tx.Tx.PutScan(id, s))
}

func (tx sloppyTx) PutScan(id int64, s aptrepo.Scan) error {
	if err := tx.Tx.PutScan(id, s); !errors.Is(err, aptrepo.ErrInvalid) {
		return err
	}
	return nil
}

// clingingTx keeps artifacts, as one does that forgets what hangs on them.
func (tx clingingTx) DeleteArtifact(id int64) error { return nil }

func (tx lenientTx) PutDecision(d aptrepo.Decision) error {
	if err := tx.Tx.PutDecision(d); !errors.Is(err, aptrepo.ErrInvalid) {
		return err
	}
	return nil
}

func (tx piecemeal) SetStatus(id int64, status aptrepo.Status, reason, _ string) error {
	return tx.Tx.SetStatus(id, status, reason, "")
}

func (tx aimlessTx) SetTargets(id int64, targets []aptrepo.Publication) error {
	if len(targets) == 0 {
		return nil
	}
	return tx.Tx.SetTargets(id, targets)
}

// rejecting lets any ruling settle a finding.
func (tx rejecting) PutDecision(d aptrepo.Decision) error {
	d.Ruling = aptrepo.RulingAccepted
	return tx.Tx.PutDecision(d)
}

// keepsFailures keeps what failed updates did.
func keepsFailures(ctx context.Context, s aptrepo.Store, fn func(aptrepo.Tx) error) error {
	var failed error
	err := s.Update(ctx, func(tx aptrepo.Tx) error { failed = fn(tx); return nil })
	return errors.Join(failed, err)
}

// brokenSafety are the others.
var brokenSafety = []breach{
	{"ScanRoundTrip", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return cleanTx{tx} })},
	{"ScanReplaced", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return mergingTx{tx} })},
	{"ScanText", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return sloppyTx{tx} })},
	{"ScanDeleted", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return clingingTx{tx} })},
	{"DecisionRoundTrip", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return lenientTx{tx} })},
	{"EachDecision", quack(doctor{decisions: func(n int) bool { return n == 201 }})},
	{"DecisionsExpired", quack(doctor{expired: func(list []aptrepo.Decision) {
		slices.SortFunc(list, func(a, b aptrepo.Decision) int { return b.ExpiresAt.Compare(a.ExpiresAt) })
	}})},
	{"SetStatus", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return piecemeal{tx} })},
	{"Targets", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return aimlessTx{tx} })},
	{"EachInventory", quack(doctor{inventories: func(n int, _ *aptrepo.StoredInventory) bool { return n == 201 }})},
	{"FindingsSettled", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return rejecting{tx} })},
	{"Vulnerabilities", quack(doctor{vulnerabilities: func(p *aptrepo.VulnerabilityPage) { p.Unscanned += p.Scanned }})},
	{"VulnerabilitiesOrder", quack(doctor{vulnerabilities: func(p *aptrepo.VulnerabilityPage) {
		for i := range p.Items {
			p.Items[i].Finding.Package = p.Items[i].Affected[0].Name
		}
	}})},
	{"VulnerabilitiesFilter", quack(doctor{query: func(q *aptrepo.VulnerabilityQuery) { q.FixState = "" }})},
	{"PostureOrder", quack(doctor{posture: func(p *aptrepo.PosturePage) {
		slices.SortStableFunc(p.Items, func(a, b aptrepo.PostureRow) int { return b.Scan.Counts.High - a.Scan.Counts.High })
	}})},
	{"PostureQueue", quack(doctor{postures: func(q *aptrepo.PostureQuery) {
		if q.Queue {
			q.Queue, q.Status = false, aptrepo.PendingReview
		}
	}})},
	{"PostureRow", quack(doctor{posture: func(p *aptrepo.PosturePage) {
		for i := range p.Items {
			p.Items[i].Targets = p.Items[i].Artifact.Publications
		}
	}})},
	{"SafetyPaging", quack(doctor{posture: func(p *aptrepo.PosturePage) { p.Total = len(p.Items) }})},
	{"SafetyRollsBack", inUpdate(keepsFailures)},
	{"SafetyModel", quack(doctor{vulnerabilities: func(p *aptrepo.VulnerabilityPage) {
		for _, r := range p.Items {
			for i := range r.Affected {
				if r.Affected[i].Status == aptrepo.PendingReview && r.Finding.Severity == scan.Medium {
					r.Affected[i].FixedVersion = ""
				}
			}
		}
	}})},
}
