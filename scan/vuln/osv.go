package vuln

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"
)

// osvRecord is a record in the format of OSV 1.x, as far as it matters here.
type osvRecord struct {
	ID         string         `json:"id"`
	Modified   word           `json:"modified"`
	Withdrawn  word           `json:"withdrawn"`
	Aliases    []string       `json:"aliases"`
	Upstream   []string       `json:"upstream"`
	Summary    string         `json:"summary"`
	Details    string         `json:"details"`
	Severity   []osvSeverity  `json:"severity"`
	Affected   []osvAffected  `json:"affected"`
	References []osvReference `json:"references"`
	Database   osvSpecific    `json:"database_specific"`
}

type osvSeverity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type osvReference struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type osvAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity  []osvSeverity `json:"severity"`
	Ranges    []osvRange    `json:"ranges"`
	Versions  []string      `json:"versions"`
	Ecosystem osvSpecific   `json:"ecosystem_specific"`
	Database  osvSpecific   `json:"database_specific"`
}

type osvRange struct {
	Type   string     `json:"type"`
	Events []osvEvent `json:"events"`
}

type osvEvent struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
}

// osvSpecific is what vendors add. Its form is theirs, so that nothing in it is
// an error.
type osvSpecific struct{ urgency, severity word }

func (s *osvSpecific) UnmarshalJSON(b []byte) error {
	var fields struct {
		Urgency  word `json:"urgency"`
		Priority word `json:"ubuntu_priority"`
		Severity word `json:"severity"`
	}
	if len(b) > 0 && b[0] == '{' && json.Unmarshal(b, &fields) == nil {
		s.urgency, s.severity = cmp.Or(fields.Urgency, fields.Priority), fields.Severity
	}
	return nil
}

// readOSV reads records: one, or several one after the other, or in an array.
func readOSV(r io.Reader, take func(osvRecord) error, max int64) error {
	j := newJSONReader(r, max)
	array, err := j.array()
	if err != nil {
		return err
	}
	for j.more() {
		var rec osvRecord
		if err := j.decode(&rec); err != nil {
			return err
		}
		if err := take(rec); err != nil {
			return err
		}
	}
	if array {
		if _, err := j.token(); err != nil {
			return err
		}
	}
	return j.end()
}

// array reads the "[" of an array if there is one.
func (j *jsonReader) array() (bool, error) {
	head := make([]byte, 1)
	for n := int64(0); ; n++ {
		if n == j.max {
			return false, errValueTooLarge
		}
		if _, err := io.ReadFull(j.in.r, head); err != nil {
			return false, whole(err)
		}
		if strings.IndexByte(" \t\r\n", head[0]) < 0 {
			break
		}
	}
	inner := j.in.r
	*j = *newJSONReader(io.MultiReader(strings.NewReader(string(head)), inner), j.max)
	if head[0] != '[' {
		return false, nil
	}
	return true, j.open('[')
}

// An osvWriter turns records into rows.
type osvWriter struct {
	out   *segmentWriter
	tally *tally
	wants func(ecosystem string) bool
}

func (w *osvWriter) take(rec osvRecord) error {
	if !validID(rec.ID) {
		return w.tally.skip()
	}
	if date, err := time.Parse(time.RFC3339, string(rec.Modified)); err == nil {
		w.tally.newest(date)
	}
	if rec.Withdrawn != "" {
		w.tally.withdrawn++
		return w.tally.bound()
	}
	if err := w.tally.count(makeVulnID(rec.ID)); err != nil {
		return err
	}
	cves, aliases := rec.names()
	vulns := make([]vulnID, 0, max(1, len(cves)))
	for _, cve := range cves {
		vulns = append(vulns, makeVulnID(cve))
	}
	best := bestScore(rec.Severity)
	if len(vulns) == 1 && best != 0 {
		w.out.mark(vulns[0], uint32(best))
	}
	if len(vulns) == 0 {
		vulns = append(vulns, makeVulnID(rec.ID))
	}
	w.affected(rec, vulns, detail{
		id: rec.ID, aliases: aliases, score: best,
		description: plain(cmp.Or(rec.Summary, rec.Details), maxDescription),
		urls:        rec.urls(), rating: rec.rating(),
	})
	return w.out.err
}

// affected writes a row for each entry that calls any version affected.
func (w *osvWriter) affected(rec osvRecord, vulns []vulnID, t detail) {
	var common ref
	for _, a := range rec.Affected {
		ecosystem, name := a.Package.Ecosystem, canonicalName(a.Package.Ecosystem, a.Package.Name)
		compare := orderOf(ecosystem)
		if compare == nil || !w.wants(ecosystem) || !validWord(name, maxName) || !validWord(strings.ReplaceAll(ecosystem, " ", ""), maxName) {
			continue
		}
		// Debian's advisories without a release are about none in particular.
		if isOS(ecosystem) && !strings.Contains(ecosystem, ":") {
			continue
		}
		r, ok := a.row(compare)
		if !ok {
			continue
		}
		r.vulns = vulns
		if r.rating == unrated {
			r.rating = vendorRating(rec.Severity)
		}
		if own := bestScore(a.Severity); own > t.score {
			special := t
			special.score = own
			r.ref = w.out.detail(special)
		} else {
			if common == (ref{}) {
				common = w.out.detail(t)
			}
			r.ref = common
		}
		w.out.row(ecosystem, name, r)
	}
}

// names returns the CVEs that a record is about, and its other names. The
// record's own is among neither unless it is a CVE.
func (rec osvRecord) names() (cves, aliases []string) {
	for i, name := range slices.Concat([]string{rec.ID}, rec.Aliases, rec.Upstream) {
		if !validID(name) {
			continue
		}
		_, isCVE := parseCVE(name)
		switch {
		case isCVE:
			cves = append(cves, name)
		case i > 0 && len(aliases) < maxAliases:
			aliases = append(aliases, name)
		}
	}
	slices.Sort(cves)
	slices.Sort(aliases)
	return slices.Compact(cves), slices.Compact(aliases)
}

func (rec osvRecord) urls() (urls []string) {
	for _, first := range []bool{true, false} {
		for _, r := range rec.References {
			if (r.Type == "ADVISORY") == first && validURL(r.URL) && len(urls) < maxURLs && !slices.Contains(urls, r.URL) {
				urls = append(urls, r.URL)
			}
		}
	}
	return urls
}

// rating is the database's own. Records named MAL- say that a package is itself
// malware.
func (rec osvRecord) rating() rating {
	if strings.HasPrefix(rec.ID, "MAL-") {
		return critical
	}
	return parseRating(string(rec.Database.severity))
}

func bestScore(list []osvSeverity) (best score) {
	for _, s := range list {
		if strings.HasPrefix(s.Type, "CVSS_") {
			best = max(best, parseVector(s.Score))
		}
	}
	return best
}

func vendorRating(list []osvSeverity) rating {
	for _, s := range list {
		if s.Type == "Ubuntu" || s.Type == "Debian" {
			return parseRating(s.Score)
		}
	}
	return unrated
}

// row returns what an entry says; ok is false when that is nothing.
func (a osvAffected) row(compare order) (r row, ok bool) {
	for _, g := range a.Ranges {
		if g.Type == "ECOSYSTEM" || g.Type == "SEMVER" {
			r.intervals = append(r.intervals, intervals(g.Events, compare)...)
		}
	}
	for _, v := range a.Versions {
		// What a range covers need not be listed.
		if validWord(v, maxVersion) && !r.hits(compare, v) {
			r.versions = append(r.versions, v)
		}
	}
	urgency := cmp.Or(string(a.Ecosystem.urgency), string(a.Database.urgency))
	r.rating = cmp.Or(parseRating(urgency), vendorRating(a.Severity))
	if strings.HasPrefix(urgency, "end-of-life") {
		r.plan = planEnded
	}
	return r, len(r.intervals)+len(r.versions) > 0
}
