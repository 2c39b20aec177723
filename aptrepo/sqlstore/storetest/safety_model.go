package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// A clinic is what a store should know of the safety of artifacts.
type clinic struct {
	r         *rand.Rand
	codenames []string
	scans     map[int64]aptrepo.Scan
	targets   map[int64][]aptrepo.Publication
	decisions map[aptrepo.Key][]aptrepo.Decision // the oldest first
	all       []aptrepo.Artifact                 // as the store has them
}

// safetyModel compares listings of many artifacts, in the midst of changes, with
// what follows from the artifacts one by one.
func safetyModel(p *probe) {
	c := &clinic{r: rand.New(rand.NewPCG(3, 5)), codenames: []string{"focal", "jammy", "noble"}, scans: make(map[int64]aptrepo.Scan),
		targets: make(map[int64][]aptrepo.Publication), decisions: make(map[aptrepo.Key][]aptrepo.Decision)}
	p.distributions(c.codenames...)
	for range 6 {
		for range 3 {
			p.update(func(tx aptrepo.Tx) error {
				for range 50 {
					if err := c.change(tx); err != nil {
						return err
					}
				}
				return nil
			})
		}
		c.all = nil
		for a, err := range p.s.EachArtifact(p.ctx) {
			p.ok("EachArtifact", err)
			c.all = append(c.all, a)
		}
		slices.SortFunc(c.all, byName)
		for range 25 {
			c.compareVulnerabilities(p)
			c.comparePostures(p)
		}
	}
}

// change does something to an artifact, perhaps a new one.
func (c *clinic) change(tx aptrepo.Tx) error {
	r := c.r
	a := made(fmt.Sprintf("%s-%d %s %s status=%s uploaded=%d", pick(r, "lib", "Libx", "nginx"), r.IntN(4), pick(r, "1.0", "1.10", "1.9"),
		pick(r, "amd64", "all"), pick(r, "indexed", "accepted", "pending_review"), r.IntN(9)))
	if found, err := tx.Artifact(a.Key()); err == nil {
		a = &found
	} else if err := tx.InsertArtifact(a); err != nil {
		return err
	}
	switch r.IntN(10) {
	case 0:
		return c.delete(tx, a)
	case 1:
		return tx.SetStatus(a.ID, pick(r, aptrepo.Statuses()...), pick(r, "cve", "", "malware"), "")
	case 2:
		c.targets[a.ID] = nil
		for _, codename := range c.codenames {
			if r.IntN(3) == 0 {
				c.targets[a.ID] = append(c.targets[a.ID], aptrepo.Publication{Distribution: codename, Component: "main"})
			}
		}
		return tx.SetTargets(a.ID, c.targets[a.ID])
	case 3, 4:
		return tx.PutDecision(c.decide(a))
	case 5, 6, 7:
		c.scans[a.ID] = c.scan()
		return tx.PutScan(a.ID, c.scans[a.ID])
	case 8:
		if len(a.Publications) > 0 {
			at := pick(r, a.Publications...)
			_, _, err := tx.RemovePublication(a.ID, at.Distribution, at.Component)
			return err
		}
		fallthrough
	default:
		at := aptrepo.Publication{Distribution: pick(r, c.codenames...), Component: pick(r, "main", "extra"), PublishedAt: epoch}
		_, _, err := tx.AddPublication(a.ID, at)
		return err
	}
}

func (c *clinic) delete(tx aptrepo.Tx, a *aptrepo.Artifact) error {
	for _, at := range a.Publications {
		if _, _, err := tx.RemovePublication(a.ID, at.Distribution, at.Component); err != nil {
			return err
		}
	}
	delete(c.scans, a.ID)
	delete(c.targets, a.ID)
	return tx.DeleteArtifact(a.ID)
}

// decide makes a decision about a, or changes whether one is active.
func (c *clinic) decide(a *aptrepo.Artifact) aptrepo.Decision {
	list := c.decisions[a.Key()]
	if len(list) > 0 && c.r.IntN(2) == 0 {
		d := &list[c.r.IntN(len(list))]
		d.Active = !d.Active
		return *d
	}
	n := 0
	for _, l := range c.decisions {
		n += len(l)
	}
	d := decided(fmt.Sprintf("dec_%d", n), label(*a), pick(c.r, aptrepo.RulingAccepted, aptrepo.RulingNotAffected, aptrepo.RulingRejected),
		c.id(), c.id())
	d.DecidedAt = at(n)
	c.decisions[a.Key()] = append(list, d)
	return d
}

func (c *clinic) id() string { return fmt.Sprintf("CVE-%d", c.r.IntN(12)) }

// scan makes a scan, whose counts have nothing to do with its findings: a store
// keeps them as they are.
func (c *clinic) scan() aptrepo.Scan {
	r := c.r
	s := scanOf()
	s.Covered = r.IntN(4) > 0
	if r.IntN(2) == 0 {
		s.Counts = aptrepo.SeverityCounts{Critical: r.IntN(2), High: r.IntN(2), Medium: r.IntN(3), Low: r.IntN(2), Negligible: r.IntN(2), Unknown: r.IntN(2)}
		s.KEV, s.EPSSMax = r.IntN(3), number(float64(r.IntN(4))/7)
	}
	for range r.IntN(5) {
		f := found(c.id() + " " + string(pick(r, scan.Critical, scan.High, scan.Medium, scan.Low, scan.Negligible, scan.Unknown)))
		f.KEV, f.FixState, f.Package = r.IntN(3) == 0, pick(r, scan.Fixed, scan.NotFixed, scan.WontFix), pick(r, "a", "b", "c")
		if r.IntN(2) == 0 {
			f.CVSS = number(float64(r.IntN(101)) / 10)
		}
		f.FixedVersion, f.Description = pick(r, "", "2.0", "3.0"), fmt.Sprint("text ", r.IntN(1000))
		s.Findings = append(s.Findings, f)
	}
	return s
}

// settled reports whether an active decision settles a finding.
func (c *clinic) settled(key aptrepo.Key, id string) bool {
	return slices.ContainsFunc(c.decisions[key], func(d aptrepo.Decision) bool {
		return d.Active && (d.Ruling == aptrepo.RulingAccepted || d.Ruling == aptrepo.RulingNotAffected) && slices.Contains(d.Findings, id)
	})
}

func severityOrder(s scan.Severity) int {
	return slices.Index([]scan.Severity{scan.Critical, scan.High, scan.Medium, scan.Low, scan.Negligible, scan.Unknown}, s)
}

// byDanger orders findings, the worst first, as vulnerabilities are ordered.
func byDanger(a, b scan.Finding) int {
	score := func(f scan.Finding) float64 {
		if f.CVSS == nil {
			return -1
		}
		return *f.CVSS
	}
	kev := func(f scan.Finding) int {
		if f.KEV {
			return 0
		}
		return 1
	}
	return cmp.Or(severityOrder(a.Severity)-severityOrder(b.Severity), kev(a)-kev(b), cmp.Compare(score(b), score(a)))
}

// selects reports whether a query selects a finding of an artifact.
func selects(q aptrepo.VulnerabilityQuery, a aptrepo.Artifact, f scan.Finding) bool {
	contains := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(q.Q)) }
	return a.Status != aptrepo.Rejected && a.Status != aptrepo.Quarantined &&
		(q.Distribution == "" || a.PublishedIn(q.Distribution)) && (q.FixState == "" || q.FixState == f.FixState) &&
		(q.KEV == nil || *q.KEV == f.KEV) && (contains(a.Name) || contains(f.ID))
}

// vulnerable is what Vulnerabilities should return for a query, but for the page
// and the severities.
func (c *clinic) vulnerable(q aptrepo.VulnerabilityQuery) (rows []aptrepo.VulnerabilityRow) {
	byID := make(map[string]*aptrepo.VulnerabilityRow)
	for _, a := range c.all {
		worst := make(map[string]scan.Finding)
		list := slices.Clone(c.scans[a.ID].Findings)
		slices.SortStableFunc(list, func(a, b scan.Finding) int {
			return cmp.Or(severityOrder(a.Severity)-severityOrder(b.Severity), strings.Compare(a.ID, b.ID), strings.Compare(a.Package, b.Package))
		})
		for _, f := range list {
			if old, there := worst[f.ID]; selects(q, a, f) && !c.settled(a.Key(), f.ID) && (!there || byDanger(f, old) < 0) {
				worst[f.ID] = f
			}
		}
		for id, f := range worst {
			row := byID[id]
			if row == nil {
				row = &aptrepo.VulnerabilityRow{Finding: f}
				byID[id] = row
			}
			if byDanger(f, row.Finding) < 0 {
				row.Finding = f
			}
			row.Affected = append(row.Affected, aptrepo.AffectedArtifact{Name: a.Name, Version: a.Version, Arch: a.Arch,
				Distributions: a.Distributions(), Status: a.Status, FixedVersion: f.FixedVersion})
		}
	}
	for _, row := range byID {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b aptrepo.VulnerabilityRow) int {
		return cmp.Or(byDanger(a.Finding, b.Finding), strings.Compare(a.Finding.ID, b.Finding.ID))
	})
	return rows
}

func (c *clinic) compareVulnerabilities(p *probe) {
	r := c.r
	q := aptrepo.VulnerabilityQuery{Page: 1 + r.IntN(2), PerPage: pick(r, 1, 3, 100)}
	if r.IntN(3) == 0 {
		q.Distribution = pick(r, c.codenames...)
	}
	if r.IntN(3) == 0 {
		q.FixState = pick(r, scan.Fixed, scan.NotFixed)
	}
	if r.IntN(4) == 0 {
		kev := r.IntN(2) == 0
		q.KEV = &kev
	}
	if r.IntN(3) == 0 {
		q.Q = pick(r, "nginx", "LIB", "x-1", "cve-1", "1", "b", "zzz")
	}
	if r.IntN(3) == 0 {
		q.Severities = []scan.Severity{pick(r, scan.Critical, scan.High), pick(r, scan.Unknown, scan.Low, scan.Medium)}
	}
	var want aptrepo.VulnerabilityPage
	var rows []aptrepo.VulnerabilityRow
	for _, row := range c.vulnerable(q) {
		*severityCount(&want.Summary, row.Finding.Severity)++
		if len(q.Severities) == 0 || slices.Contains(q.Severities, row.Finding.Severity) {
			rows = append(rows, row)
		}
	}
	want.Items, want.Total = pageOf(rows, q.Page, q.PerPage), len(rows)
	for _, a := range c.all {
		switch {
		case a.Status == aptrepo.Rejected || a.Status == aptrepo.Quarantined || q.Distribution != "" && !a.PublishedIn(q.Distribution):
		case c.scans[a.ID].Covered:
			want.Scanned++
		default:
			want.Unscanned++
		}
	}
	got, err := p.s.Vulnerabilities(p.ctx, q)
	p.ok("Vulnerabilities", err)
	p.equal(fmt.Sprintf("number of vulnerabilities of %+v", q), len(got.Items), len(want.Items))
	for i := range min(len(got.Items), len(want.Items)) {
		p.equal(fmt.Sprintf("vulnerability of %+v", q), got.Items[i], want.Items[i])
	}
	got.Items, want.Items = nil, nil
	p.equal(fmt.Sprintf("totals of the vulnerabilities of %+v", q), got, want)
}

// waits tells whether and how an artifact is in the queue: 0, or its place.
func (c *clinic) waits(a aptrepo.Artifact) int {
	switch {
	case a.Status == aptrepo.PendingReview:
		return 2
	case a.Status != aptrepo.Rejected || a.StatusReason != "cve":
		return 0
	case slices.ContainsFunc(c.decisions[a.Key()], func(d aptrepo.Decision) bool { return !d.DecidedAt.Before(a.UploadedAt) }):
		return 0
	}
	return 1
}

// byPosture orders artifacts, the worst first.
func (c *clinic) byPosture(a, b aptrepo.Artifact) int {
	worst := func(a aptrepo.Artifact) int {
		s := c.scans[a.ID]
		n := s.Counts
		for i, count := range []int{n.Critical, n.High, n.Medium, n.Low, n.Negligible, n.Unknown} {
			if count > 0 {
				return i
			}
		}
		if !s.Covered {
			return 6
		}
		return 7
	}
	epss := func(a aptrepo.Artifact) float64 {
		if e := c.scans[a.ID].EPSSMax; e != nil {
			return *e
		}
		return -1
	}
	return cmp.Or(worst(a)-worst(b), c.scans[b.ID].KEV-c.scans[a.ID].KEV, cmp.Compare(epss(b), epss(a)), byName(a, b))
}

func (c *clinic) comparePostures(p *probe) {
	r := c.r
	q := aptrepo.PostureQuery{Page: 1 + r.IntN(2), PerPage: pick(r, 1, 3, 100), Queue: r.IntN(3) == 0}
	if r.IntN(2) == 0 {
		q.Distribution = pick(r, c.codenames...)
	}
	if r.IntN(3) == 0 {
		q.Status = pick(r, aptrepo.Statuses()...)
	}
	var want aptrepo.PosturePage
	var rows []aptrepo.Artifact
	for _, a := range c.all {
		bound := slices.ContainsFunc(c.targets[a.ID], func(t aptrepo.Publication) bool { return t.Distribution == q.Distribution })
		if q.Distribution != "" && !bound && !a.PublishedIn(q.Distribution) || q.Status != "" && a.Status != q.Status || q.Queue && c.waits(a) == 0 {
			continue
		}
		rows = append(rows, a)
		s := c.scans[a.ID]
		n := s.Counts
		for _, sum := range []struct {
			to *int
			n  int
		}{{&want.Counts.Critical, n.Critical}, {&want.Counts.High, n.High}, {&want.Counts.Medium, n.Medium}, {&want.Counts.Low, n.Low},
			{&want.Counts.Negligible, n.Negligible}, {&want.Counts.Unknown, n.Unknown}} {
			*sum.to += sum.n
		}
		if s.Covered {
			want.Scanned++
		} else {
			want.Unscanned++
		}
		if a.Status == aptrepo.Rejected {
			want.Blocked++
		}
	}
	want.Total = len(rows)
	if q.Queue {
		slices.SortFunc(rows, func(a, b aptrepo.Artifact) int {
			return cmp.Or(c.waits(a)-c.waits(b), a.UploadedAt.Compare(b.UploadedAt), byName(a, b))
		})
	} else {
		slices.SortFunc(rows, c.byPosture)
	}
	got, err := p.s.Posture(p.ctx, q)
	p.ok("Posture", err)
	p.equal(fmt.Sprintf("sums of %+v", q), renderSums(got), renderSums(want))
	var list, rendered []string
	for _, row := range got.Items {
		list = append(list, renderPosture(row))
		p.equal("summary of "+label(row.Artifact), row.Scan, c.scans[row.Artifact.ID].ScanSummary)
	}
	for _, a := range pageOf(rows, q.Page, q.PerPage) {
		row := aptrepo.PostureRow{Artifact: a, Targets: c.targets[a.ID]}
		for i, d := range c.decisions[a.Key()] {
			if d.Active {
				row.Decision = &c.decisions[a.Key()][i]
			}
		}
		rendered = append(rendered, renderPosture(row))
	}
	p.equal(fmt.Sprintf("postures of %+v", q), list, rendered)
}
