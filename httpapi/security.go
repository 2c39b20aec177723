package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

var severities = scan.Severities()

// listed reads a list of words separated by commas.
func listed[T ~string](q *query, name string, allowed []T) []T {
	var out []T
	for _, word := range strings.FieldsFunc(q.word(name), func(r rune) bool { return r == ',' }) {
		if !slices.Contains(allowed, T(word)) {
			q.fault(name, "must be a list of %v", allowed)
			return nil
		}
		out = append(out, T(word))
	}
	return out
}

type affectedJSON struct {
	Name          string         `json:"name"`
	Version       string         `json:"version"`
	Arch          string         `json:"arch"`
	Distributions []string       `json:"distributions"`
	Status        aptrepo.Status `json:"status"`
	FixedVersion  *string        `json:"fixed_version"`
}

type vulnerabilityJSON struct {
	ID           string         `json:"id"`
	Severity     scan.Severity  `json:"severity"`
	CVSS         *float64       `json:"cvss"`
	EPSS         *float64       `json:"epss"`
	KEV          bool           `json:"kev"`
	Description  string         `json:"description"`
	FixState     scan.FixState  `json:"fix_state"`
	FixedVersion *string        `json:"fixed_version"`
	URLs         []string       `json:"urls"`
	Affected     []affectedJSON `json:"affected"`
}

type vulnerabilitiesJSON struct {
	Summary         severitiesJSON          `json:"summary"`
	Scanned         int                     `json:"packages_scanned"`
	Unscanned       int                     `json:"packages_unscanned"`
	Vulnerabilities page[vulnerabilityJSON] `json:"vulnerabilities"`
}

func (a *api) vulnerabilities(c *call) error {
	q := newQuery(c.Request)
	p := paging{q.number("page", 1, 1, 1_000_000_000), q.number("per_page", 50, 1, 500)}
	o := aptrepo.VulnerabilityQuery{
		Severities:   listed(q, "severity", severities),
		FixState:     scan.FixState(q.oneOf("fix_state", "", "fixed", "not_fixed", "wont_fix", "unknown")),
		Distribution: q.word("distribution"), Q: q.text("q", 128), Page: p.page, PerPage: p.perPage,
	}
	if q.word("kev") != "" {
		kev := q.truth("kev")
		o.KEV = &kev
	}
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Repo.Store.Vulnerabilities(c.Context(), o)
	if err != nil {
		return err
	}
	row := func(v aptrepo.VulnerabilityRow) vulnerabilityJSON {
		f := v.Finding
		out := vulnerabilityJSON{f.ID, f.Severity, f.CVSS, f.EPSS, f.KEV, f.Description, f.FixState, orNull(f.FixedVersion), list(f.URLs), []affectedJSON{}}
		for _, x := range v.Affected {
			out.Affected = append(out.Affected, affectedJSON{x.Name, x.Version, x.Arch, list(x.Distributions), x.Status, orNull(x.FixedVersion)})
		}
		return out
	}
	return writeJSON(c.w, http.StatusOK, vulnerabilitiesJSON{severitiesJSON(found.Summary), found.Scanned, found.Unscanned, newPage(found.Items, found.Total, p, row)})
}

type postureJSON struct {
	Name              string          `json:"name"`
	Version           string          `json:"version"`
	Arch              string          `json:"arch"`
	Distributions     []string        `json:"distributions"`
	Status            aptrepo.Status  `json:"status"`
	Scanned           bool            `json:"scanned"`
	ScannedAt         timestamp       `json:"scanned_at"`
	Malware           string          `json:"malware"`
	Counts            countsJSON      `json:"counts"`
	Total             int             `json:"total"`
	WorstSeverity     *scan.Severity  `json:"worst_severity"`
	KEVCount          int             `json:"kev_count"`
	EPSSMax           *float64        `json:"epss_max"`
	Decision          *aptrepo.Ruling `json:"decision"`
	DecisionExpiresAt timestamp       `json:"decision_expires_at"`
	UploadedAt        timestamp       `json:"uploaded_at"`
	UploadedBy        string          `json:"uploaded_by"`
}

func newPosture(row aptrepo.PostureRow) postureJSON {
	art, s := &row.Artifact, row.Scan
	out := postureJSON{
		Name: art.Name, Version: art.Version, Arch: art.Arch, Distributions: list(art.Distributions()), Status: art.Status,
		Scanned: s.Covered, ScannedAt: timestamp(s.ScannedAt), Malware: malwareStatus(s.Malware),
		Counts: newCounts(s.Covered, s.Counts), Total: s.Counts.Total(), WorstSeverity: worst(s.Counts),
		KEVCount: s.KEV, EPSSMax: s.EPSSMax, UploadedAt: timestamp(art.UploadedAt), UploadedBy: art.UploadedBy,
	}
	if d := row.Decision; d != nil {
		out.Decision, out.DecisionExpiresAt = &d.Ruling, timestamp(d.ExpiresAt)
	}
	return out
}

// worst returns the worst severity that is counted, nil when none is.
func worst(c aptrepo.SeverityCounts) *scan.Severity {
	for i, n := range []int{c.Critical, c.High, c.Medium, c.Low, c.Negligible, c.Unknown} {
		if n > 0 {
			return &severities[i]
		}
	}
	return nil
}

type posturesJSON struct {
	Summary   severitiesJSON    `json:"summary"`
	Total     int               `json:"total_packages"`
	Scanned   int               `json:"scanned_packages"`
	Unscanned int               `json:"unscanned_packages"`
	Packages  page[postureJSON] `json:"packages"`
}

func (a *api) posture(c *call) error {
	q := newQuery(c.Request)
	p := q.paging()
	o := aptrepo.PostureQuery{
		Distribution: q.word("distribution"), Status: aptrepo.Status(q.oneOf("status", noOrStatus()...)), Page: p.page, PerPage: p.perPage,
	}
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Repo.Store.Posture(c.Context(), o)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, posturesJSON{severitiesJSON(found.Counts), found.Total, found.Scanned, found.Unscanned, newPage(found.Items, found.Total, p, newPosture)})
}

type waitingJSON struct {
	postureJSON
	Targets      []string  `json:"target_distributions"`
	StatusReason string    `json:"status_reason"`
	WaitingDays  int       `json:"waiting_days"`
	CVEs         []cveJSON `json:"cves"`
}

type reviewQueueJSON struct {
	Total    int               `json:"total"`
	Blocked  int               `json:"blocked_count"`
	Review   int               `json:"review_count"`
	Packages page[waitingJSON] `json:"packages"`
}

func (a *api) reviewQueue(c *call) error {
	q := newQuery(c.Request)
	p := q.paging()
	o := aptrepo.PostureQuery{Distribution: q.word("distribution"), Queue: true, Page: p.page, PerPage: p.perPage}
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Repo.Store.Posture(c.Context(), o)
	if err != nil {
		return err
	}
	out := reviewQueueJSON{Total: found.Total, Blocked: found.Blocked, Review: found.Total - found.Blocked}
	rows := make([]waitingJSON, len(found.Items))
	for i, row := range found.Items {
		known, err := a.Repo.Store.Scan(c.Context(), row.Artifact.ID)
		if err != nil {
			return err
		}
		decisions, err := a.Repo.Store.Decisions(c.Context(), row.Artifact.Key())
		if err != nil {
			return err
		}
		rows[i] = waitingJSON{
			postureJSON: newPosture(row), Targets: []string{}, StatusReason: row.Artifact.StatusReason,
			WaitingDays: int(a.Now().Sub(row.Artifact.UploadedAt) / (24 * time.Hour)),
			CVEs:        newCVEs(known.Findings, decisions, true),
		}
		for _, t := range row.Targets {
			if !slices.Contains(rows[i].Targets, t.Distribution) {
				rows[i].Targets = append(rows[i].Targets, t.Distribution)
			}
		}
	}
	out.Packages = newPage(rows, found.Total, p, func(row waitingJSON) waitingJSON { return row })
	return writeJSON(c.w, http.StatusOK, out)
}

type artifactCVEsJSON struct {
	Name          string         `json:"name"`
	Version       string         `json:"version"`
	Arch          string         `json:"arch"`
	Distributions []string       `json:"distributions"`
	Status        aptrepo.Status `json:"status"`
	Scanned       bool           `json:"scanned"`
	ScannedAt     timestamp      `json:"scanned_at"`
	DataDate      timestamp      `json:"data_date"`
	Counts        countsJSON     `json:"counts"`
	Total         int            `json:"total"`
	CVEs          []cveJSON      `json:"cves"`
	Decision      *decisionJSON  `json:"decision"`
	Decisions     []decisionJSON `json:"decisions"`
}

func (a *api) artifactCVEs(c *call) error {
	q := newQuery(c.Request)
	s := c.selection(q)
	if err := q.err(); err != nil {
		return err
	}
	art, err := a.Repo.Artifact(c.Context(), s)
	if err != nil {
		return err
	}
	known, err := a.Repo.Store.Scan(c.Context(), art.ID)
	if err != nil {
		return err
	}
	decisions, err := a.Repo.Store.Decisions(c.Context(), art.Key())
	if err != nil {
		return err
	}
	out := artifactCVEsJSON{
		art.Name, art.Version, art.Arch, list(art.Distributions()), art.Status, known.Covered, timestamp(known.ScannedAt),
		timestamp(known.DataDate), newCounts(known.Covered, known.Counts), 0, newCVEs(known.Findings, decisions, false),
		activeDecision(decisions), []decisionJSON{},
	}
	out.Total = len(out.CVEs)
	for _, d := range decisions {
		out.Decisions = append(out.Decisions, newDecision(d))
	}
	return writeJSON(c.w, http.StatusOK, out)
}

type decideBody struct {
	Decision      string   `json:"decision" rule:"required,accepted|rejected|not_affected|upgrade_required"`
	Comment       string   `json:"comment" rule:"required,trim,1..4000"`
	ExpiresInDays *int     `json:"expires_in_days" rule:"1..3650"`
	CVEIDs        []string `json:"cve_ids" rule:"0..10000"`
}

type decidedArchJSON struct {
	Arch       string         `json:"arch"`
	Previous   aptrepo.Status `json:"previous_status"`
	Status     aptrepo.Status `json:"status"`
	DecisionID string         `json:"decision_id"`
}

type decidedJSON struct {
	Status        aptrepo.Status    `json:"status"`
	Name          string            `json:"name"`
	Version       string            `json:"version"`
	Arch          string            `json:"arch"`
	Previous      aptrepo.Status    `json:"previous_status"`
	Distributions []string          `json:"distributions"`
	Decision      decisionJSON      `json:"decision"`
	Results       []decidedArchJSON `json:"results"`
}

func (a *api) decide(c *call) error {
	q := newQuery(c.Request)
	var in decideBody
	o := aptrepo.DecideOptions{Selection: c.selection(q)}
	if err := q.err(); err != nil {
		return err
	}
	if err := a.decode(c, &in); err != nil {
		return err
	}
	o.Ruling, o.Comment = aptrepo.Ruling(in.Decision), in.Comment
	if len(in.CVEIDs) > 0 {
		o.Findings = in.CVEIDs
	}
	if in.ExpiresInDays != nil {
		if o.Ruling != aptrepo.RulingAccepted && o.Ruling != aptrepo.RulingNotAffected {
			return invalid(fault{"expires_in_days", "must not be given with this decision"})
		}
		o.ExpiresIn = time.Duration(*in.ExpiresInDays) * 24 * time.Hour
	}
	done, err := a.Repo.Decide(c.detach(), o)
	if err != nil {
		return err
	}
	first := done[0]
	out := decidedJSON{
		first.Artifact.Status, first.Artifact.Name, first.Artifact.Version, first.Artifact.Arch, first.Previous,
		list(first.Artifact.Distributions()), newDecision(first.Decision), nil,
	}
	for _, d := range done {
		out.Results = append(out.Results, decidedArchJSON{d.Artifact.Arch, d.Previous, d.Artifact.Status, d.Decision.ID})
	}
	return writeJSON(c.w, http.StatusOK, out)
}

type rescannedJSON struct {
	Arch     string         `json:"arch"`
	Previous aptrepo.Status `json:"previous_status"`
	Status   aptrepo.Status `json:"status"`
	NewCVEs  []string       `json:"new_cves"`
	Scan     scanJSON       `json:"scan"`
}

type rescanJSON struct {
	Status  string          `json:"status"`
	Name    string          `json:"name"`
	Version string          `json:"version"`
	Results []rescannedJSON `json:"results"`
}

func (a *api) rescan(c *call) error {
	q := newQuery(c.Request)
	s := c.selection(q)
	if err := q.err(); err != nil {
		return err
	}
	done, err := a.Repo.Rescan(c.detach(), s)
	if err != nil {
		return err
	}
	out := rescanJSON{"rescanned", done[0].Artifact.Name, done[0].Artifact.Version, nil}
	for _, d := range done {
		out.Results = append(out.Results, rescannedJSON{d.Artifact.Arch, d.Previous, d.Artifact.Status, list(d.NewFindings), newScan(d.Scan)})
	}
	return writeJSON(c.w, http.StatusOK, out)
}

type quarantineBody struct {
	Reason string `json:"reason" rule:"trim,0..4000"`
}

type quarantinedJSON struct {
	Status        aptrepo.Status `json:"status"`
	Name          string         `json:"name"`
	Version       string         `json:"version"`
	Architectures []string       `json:"architectures"`
	RemovedFrom   []string       `json:"removed_from"`
	Reason        string         `json:"reason"`
}

func (a *api) quarantine(c *call) error {
	q := newQuery(c.Request)
	o := aptrepo.QuarantineOptions{Selection: c.selection(q)}
	if err := q.err(); err != nil {
		return err
	}
	var in quarantineBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	o.Reason = in.Reason
	before, err := a.Repo.Quarantine(c.detach(), o)
	if err != nil {
		return err
	}
	out := quarantinedJSON{aptrepo.Quarantined, before[0].Name, before[0].Version, nil, []string{}, in.Reason}
	for i := range before {
		out.Architectures = append(out.Architectures, before[i].Arch)
		out.RemovedFrom = append(out.RemovedFrom, before[i].Distributions()...)
	}
	slices.Sort(out.RemovedFrom)
	out.RemovedFrom = slices.Compact(out.RemovedFrom)
	return writeJSON(c.w, http.StatusOK, out)
}

type releaseBody struct {
	Comment string `json:"comment" rule:"trim,0..4000"`
}

type releasedArchJSON struct {
	Arch          string         `json:"arch"`
	Status        aptrepo.Status `json:"status"`
	Distributions []string       `json:"distributions"`
	Scan          scanJSON       `json:"scan"`
}

type releasedJSON struct {
	Status  aptrepo.Status     `json:"status"`
	Name    string             `json:"name"`
	Version string             `json:"version"`
	Results []releasedArchJSON `json:"results"`
}

func (a *api) release(c *call) error {
	q := newQuery(c.Request)
	s := c.selection(q)
	if err := q.err(); err != nil {
		return err
	}
	var in releaseBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	done, err := a.Repo.Release(c.detach(), s, in.Comment)
	if err != nil {
		return err
	}
	out := releasedJSON{done[0].Artifact.Status, done[0].Artifact.Name, done[0].Artifact.Version, nil}
	for _, d := range done {
		out.Results = append(out.Results, releasedArchJSON{d.Artifact.Arch, d.Artifact.Status, list(d.Artifact.Distributions()), newScan(d.Scan)})
	}
	return writeJSON(c.w, http.StatusOK, out)
}
