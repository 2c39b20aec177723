package vuln

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/repod-io/repod/scan"
)

// A vulnGroup is all that is said of one vulnerability of a package.
type vulnGroup struct {
	id      vulnID
	rows    []*candidate
	hits    []*candidate // those of rows that call the version affected
	details []detail     // of hits, in their order
	links   []detail     // of databases that do not decide
}

// group sorts rows by vulnerability and returns the groups of which a row calls
// the version affected, by ID. Within a group only the rows of the highest level
// count.
func group(rows []candidate) []*vulnGroup {
	if !slices.ContainsFunc(rows, func(c candidate) bool { return c.hit }) {
		return nil
	}
	type member struct {
		id  vulnID
		row *candidate
	}
	members := make([]member, 0, len(rows))
	for i := range rows {
		for _, v := range rows[i].vulns {
			members = append(members, member{v, &rows[i]})
		}
	}
	slices.SortStableFunc(members, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(b.row.level, a.row.level))
	})
	var groups []*vulnGroup
	for len(members) > 0 {
		first, n, hit := members[0], 0, false
		for n < len(members) && members[n].id == first.id && members[n].row.level == first.row.level {
			hit = hit || members[n].row.hit
			n++
		}
		if hit {
			g := &vulnGroup{id: first.id}
			for _, m := range members[:n] {
				g.rows = append(g.rows, m.row)
			}
			groups = append(groups, g)
		}
		for n < len(members) && members[n].id == first.id {
			n++
		}
		members = members[n:]
	}
	return groups
}

// merge joins groups without a CVE to those that share a name with them.
func merge(groups []*vulnGroup) []*vulnGroup {
	owner := make(map[string]*vulnGroup)
	var kept []*vulnGroup
	for _, g := range groups { // by ID: those with a CVE come first
		names := g.names()
		into := g
		for _, name := range names {
			if other := owner[name]; other != nil && !g.id.isCVE() {
				into = other
				break
			}
		}
		if into == g {
			kept = append(kept, g)
		} else {
			into.rows = append(into.rows, g.rows...)
			into.hits = append(into.hits, g.hits...)
			into.details = append(into.details, g.details...)
		}
		for _, name := range names {
			if owner[name] == nil {
				owner[name] = into
			}
		}
	}
	return kept
}

// names returns all names of the vulnerability but CVEs, sorted.
func (g *vulnGroup) names() []string {
	set := make(map[string]bool)
	for _, t := range slices.Concat(g.details, g.links) {
		for _, name := range append([]string{t.id}, t.aliases...) {
			if _, isCVE := parseCVE(name); !isCVE {
				set[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// undetermined reports whether nobody but an investigation says so.
func (g *vulnGroup) undetermined() bool {
	return !slices.ContainsFunc(g.hits, func(c *candidate) bool { return c.plan != planInvestigate })
}

func (g *vulnGroup) finding(t target) scan.Finding {
	f := scan.Finding{
		ID: g.id.String(), Gates: !g.undetermined(), Confidence: "high",
		Package: t.name, Ecosystem: t.ecosystem, InstalledVersion: t.version,
	}
	f.Advisories = g.names()
	if f.ID == "" {
		f.ID = g.ownName()
		f.Advisories = slices.DeleteFunc(f.Advisories, func(name string) bool { return name == f.ID })
	}
	g.rate(&f)
	fixed, state := g.fix(t)
	f.FixState = state
	if state == scan.Fixed {
		f.FixedVersion = fixed
	}
	g.describe(&f)
	return f
}

// ownName returns the first of the records' own names.
func (g *vulnGroup) ownName() string {
	name := g.details[0].id
	for _, t := range g.details {
		name = min(name, t.id)
	}
	return name
}

// rate sets the severity: the worst of the vendor's ratings, else that of the
// newest CVSS, else that of the databases.
func (g *vulnGroup) rate(f *scan.Finding) {
	vendor, trivial := unrated, true
	for _, c := range g.hits {
		trivial = trivial && c.rating == unimportant
		if c.rating != unimportant {
			vendor = max(vendor, c.rating)
		}
	}
	var best score
	database := unrated
	for _, t := range slices.Concat(g.details, g.links) {
		best = max(best, t.score)
		database = max(database, t.rating)
	}
	if best != 0 {
		base := best.base()
		f.CVSS = &base
	}
	if trivial {
		f.Severity, f.Gates = scan.Negligible, false
		return
	}
	f.Severity = cmp.Or(vendor, best.rating(), database).severity()
}

// fix returns the first version from the installed one on that no row calls
// affected. Advisories may fix the same again: the last fix is the one.
func (g *vulnGroup) fix(t target) (string, scan.FixState) {
	version := t.version
	for range 100 {
		next, hit, endless := "", false, false
		for _, c := range g.rows {
			for _, i := range c.intervals {
				if !i.holds(t.compare, version) {
					continue
				}
				hit = true
				switch {
				case i.end == open:
					endless = true
				case i.end == fixedAt && (next == "" || t.compare(i.to, next) > 0):
					next = i.to
				}
			}
			hit = hit || c.hits(t.compare, version)
		}
		switch {
		case !hit:
			return version, scan.Fixed
		case endless:
			return "", g.withoutFix()
		case next == "":
			return "", scan.FixUnknown
		}
		version = next
	}
	return "", scan.FixUnknown
}

// withoutFix tells what the vendor means to do. Where records differ, the one
// that promises most is right.
func (g *vulnGroup) withoutFix() scan.FixState {
	state := scan.WontFix
	for _, c := range g.hits {
		switch c.plan {
		case planFix, planDefer:
			return scan.NotFixed
		case planInvestigate:
			state = scan.FixUnknown
		}
	}
	return state
}

// describe sets the texts: the longest description, with what the vendor says of
// his plans, and all addresses.
func (g *vulnGroup) describe(f *scan.Finding) {
	for _, t := range slices.Concat(g.details, g.links) {
		if len(t.description) > len(f.Description) {
			f.Description = t.description
		}
		for _, url := range t.urls {
			if len(f.URLs) < maxURLs && !slices.Contains(f.URLs, url) {
				f.URLs = append(f.URLs, url)
			}
		}
	}
	var notes []string
	for _, c := range g.hits {
		if note := c.remark(); note != "" && !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	f.Description = strings.TrimSpace(strings.Join(append([]string{f.Description}, notes...), "\n\n"))
}

// remark says in words what the vendor's plan is.
func (r *row) remark() string {
	text := ""
	switch r.plan {
	case planDefer:
		text = "A fix is deferred"
	case planIgnore:
		text = "The vendor will not fix this"
	case planEnded:
		text = "Support by the vendor has ended"
	case planInvestigate:
		return "The vendor has not determined whether this release is affected."
	default:
		return ""
	}
	if r.note != "" {
		return text + ": " + r.note
	}
	return text + "."
}
