package vuln

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/scan"
)

// Match implements [scan.Matcher]. Without any data covered is false, and there
// are no findings. A finding's slices may be shared with those of other calls
// and must not be changed.
func (db *DB) Match(ctx context.Context, inv scan.Inventory) (findings []scan.Finding, covered bool, err error) {
	s, err := db.acquire()
	if err != nil || s == nil {
		return nil, false, err
	}
	defer db.release(s)
	m := matcher{ctx: ctx, db: db, snapshot: s}
	findings, covered, err = m.source(inv.Subject)
	if err == nil && !inv.Official {
		var more []scan.Finding
		more, err = m.components(inv.Components)
		findings = append(findings, more...)
	}
	if err != nil {
		return nil, false, fmt.Errorf("matching %s %s: %w", inv.Name, inv.Version, err)
	}
	slices.SortStableFunc(findings, func(a, b scan.Finding) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Ecosystem, b.Ecosystem),
			strings.Compare(a.Package, b.Package), strings.Compare(a.InstalledVersion, b.InstalledVersion))
	})
	return findings, covered, nil
}

// A matcher answers one Match.
type matcher struct {
	ctx context.Context
	db  *DB
	*snapshot
}

// A candidate is a row about the package that is matched.
type candidate struct {
	row
	feed  *openFeed
	level int // of its ecosystem; a higher one overrules
	hit   bool
}

// A target is a package that is matched.
type target struct {
	ecosystem string // "" for a source package
	name      string
	version   string
	compare   order
	place     place
}

// source matches the source package.
func (m *matcher) source(s scan.Subject) ([]scan.Finding, bool, error) {
	place, known := m.db.place(s.OS)
	if !known || !m.covers(place) {
		return nil, false, nil
	}
	t := target{name: cmp.Or(s.Source, s.Name), version: cmp.Or(s.SourceVersion, s.Version), compare: deb.CompareVersions, place: place}
	tracked := false
	var rows, links []candidate
	for i := range m.feeds {
		f := &m.feeds[i]
		if f.Kind == Debian && f.covers(place.codename) {
			tracked = true
			if err := m.collect(f, place.codename, t, 0, &rows); err != nil {
				return nil, false, err
			}
		}
	}
	for level, ecosystem := range place.ecosystems {
		// What the tracker covers it decides; others add their names.
		to := &rows
		if tracked {
			to = &links
		}
		if err := m.advisories(ecosystem, t, level, to); err != nil {
			return nil, false, err
		}
	}
	findings, err := m.findings(t, rows, links)
	if !s.Official {
		for i := range findings {
			findings[i].Confidence = "low"
		}
	}
	return findings, true, err
}

// covers reports whether there are data for a release itself; those for a track
// of Ubuntu Pro alone do not count.
func (m *matcher) covers(p place) bool {
	return slices.ContainsFunc(m.feeds, func(f openFeed) bool {
		return f.Kind == Debian && f.covers(p.codename) || len(p.ecosystems) > 0 && f.advises(p.ecosystems[0])
	})
}

// components matches software inside the package, each version once.
func (m *matcher) components(list []scan.Component) ([]scan.Finding, error) {
	type key struct{ ecosystem, name, version string }
	seen := make(map[key]bool)
	var all []scan.Finding
	for _, c := range list {
		compare := orderOf(c.Ecosystem)
		if compare == nil || isOS(c.Ecosystem) || c.Version == "" {
			continue
		}
		k := key{c.Ecosystem, canonicalName(c.Ecosystem, c.Name), canonicalVersion(c.Ecosystem, c.Name, c.Version)}
		if seen[k] || k.version == "" {
			continue
		}
		seen[k] = true
		t := target{ecosystem: c.Ecosystem, name: k.name, version: k.version, compare: compare}
		var rows []candidate
		if err := m.advisories(c.Ecosystem, t, 0, &rows); err != nil {
			return nil, err
		}
		findings, err := m.findings(t, rows, nil)
		if err != nil {
			return nil, err
		}
		for i := range findings {
			findings[i].Package, findings[i].InstalledVersion = c.Name, c.Version
		}
		all = append(all, findings...)
	}
	return all, nil
}

// advises reports whether a feed has advisories for an ecosystem. The releases of
// a tracker are none, whatever they are called.
func (f openFeed) advises(ecosystem string) bool {
	return f.Kind != Debian && f.covers(ecosystem)
}

// advisories appends the rows that all feeds have for a package.
func (m *matcher) advisories(ecosystem string, t target, level int, to *[]candidate) error {
	for i := range m.feeds {
		if !m.feeds[i].advises(ecosystem) {
			continue
		}
		if err := m.collect(&m.feeds[i], ecosystem, t, level, to); err != nil {
			return err
		}
	}
	return nil
}

// collect appends the rows that a feed has for a package.
func (m *matcher) collect(f *openFeed, place string, t target, level int, to *[]candidate) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	return f.rows(rowKey(place, t.name), func(r *row) error {
		c := candidate{row: *r, feed: f, level: level, hit: r.hits(t.compare, t.version)}
		// The row's lists are those of the next one too.
		c.vulns, c.intervals = slices.Clone(r.vulns), slices.Clone(r.intervals)
		*to = append(*to, c)
		return nil
	})
}

// findings makes one finding of all that speaks of the same vulnerability.
func (m *matcher) findings(t target, rows, links []candidate) ([]scan.Finding, error) {
	groups := group(rows)
	if err := m.load(groups); err != nil {
		return nil, err
	}
	if t.ecosystem != "" {
		groups = merge(groups)
	}
	if err := m.link(groups, links); err != nil {
		return nil, err
	}
	list := make([]scan.Finding, 0, len(groups))
	for _, g := range groups {
		if g.undetermined() && !m.db.ListUndetermined {
			continue
		}
		f := g.finding(t)
		m.overlay(g.id, &f)
		list = append(list, f)
	}
	return list, m.needsPro(t, list)
}

// load reads the details of the rows that hit.
func (m *matcher) load(groups []*vulnGroup) error {
	for _, g := range groups {
		for _, c := range g.rows {
			if !c.hit {
				continue
			}
			t, err := c.feed.detail(c.ref)
			if err != nil {
				return fmt.Errorf("feed %s: %w", c.feed.ID, err)
			}
			g.details = append(g.details, t)
			g.hits = append(g.hits, c)
		}
	}
	return nil
}

// link adds to groups what other databases call the same.
func (m *matcher) link(groups []*vulnGroup, links []candidate) error {
	for i := range links {
		c := &links[i]
		if !c.hit {
			continue
		}
		for _, v := range c.vulns {
			n, ok := slices.BinarySearchFunc(groups, v, func(g *vulnGroup, v vulnID) int { return cmp.Compare(g.id, v) })
			if !ok {
				continue
			}
			t, err := c.feed.detail(c.ref)
			if err != nil {
				return fmt.Errorf("feed %s: %w", c.feed.ID, err)
			}
			groups[n].links = append(groups[n].links, t)
		}
	}
	return nil
}

// overlay adds what feeds say of the vulnerability itself.
func (m *matcher) overlay(id vulnID, f *scan.Finding) {
	if !id.isCVE() {
		return
	}
	var best score
	for i := range m.feeds {
		value, ok := m.feeds[i].mark(id)
		switch {
		case !ok:
		case m.feeds[i].Kind == KEV:
			f.KEV = true
		case m.feeds[i].Kind == EPSS:
			p := shorten(math.Float32frombits(value))
			if f.EPSS == nil || *f.EPSS < p {
				f.EPSS = &p
			}
		default:
			best = max(best, score(value))
		}
	}
	if f.CVSS == nil && best != 0 {
		base := best.base()
		f.CVSS = &base
		if f.Severity == scan.Unknown {
			f.Severity = best.rating().severity()
		}
	}
}

// shorten gives a probability the five digits that EPSS has.
func shorten(p float32) float64 { return math.Round(float64(p)*1e5) / 1e5 }

// needsPro tells of fixes that only subscribers of Ubuntu Pro get.
func (m *matcher) needsPro(t target, list []scan.Finding) error {
	missing := func(f scan.Finding) bool { return f.FixState != scan.Fixed }
	if t.place.pro == "" || !slices.ContainsFunc(list, missing) {
		return nil
	}
	var rows []candidate
	if err := m.advisories(t.place.pro, t, 0, &rows); err != nil {
		return err
	}
	pro := make(map[vulnID]*vulnGroup)
	for _, g := range group(rows) {
		pro[g.id] = g
	}
	for i := range list {
		g := pro[makeVulnID(list[i].ID)]
		if g == nil || !missing(list[i]) {
			continue
		}
		if fixed, state := g.fix(t); state == scan.Fixed {
			list[i].Description = strings.TrimSpace(list[i].Description + "\n\nThe fix needs Ubuntu Pro: " + fixed)
		}
	}
	return nil
}
