package httpapi

import (
	"slices"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// countsJSON counts open findings by severity.
type countsJSON struct {
	Scanned bool `json:"scanned"`
	severitiesJSON
}

func newCounts(scanned bool, c aptrepo.SeverityCounts) countsJSON {
	return countsJSON{scanned, severitiesJSON(c)}
}

type severitiesJSON struct {
	Critical   int `json:"critical"`
	High       int `json:"high"`
	Medium     int `json:"medium"`
	Low        int `json:"low"`
	Negligible int `json:"negligible"`
	Unknown    int `json:"unknown"`
}

type scanJSON struct {
	Verdict         aptrepo.Verdict `json:"verdict"`
	ScannedAt       timestamp       `json:"scanned_at"`
	Malware         malwareJSON     `json:"malware"`
	Vulnerabilities countsJSON      `json:"vulnerabilities"`
	KEV             int             `json:"kev"`
	EPSSMax         *float64        `json:"epss_max"`
}

type malwareJSON struct {
	Status    string  `json:"status" rule:"clean|infected|not_scanned|error"`
	Signature *string `json:"signature"`
}

func newScan(s aptrepo.ScanSummary) scanJSON {
	out := scanJSON{
		Verdict: s.Verdict, ScannedAt: timestamp(s.ScannedAt), Malware: malwareJSON{malwareStatus(s.Malware), orNull(s.Signature)},
		Vulnerabilities: newCounts(s.Covered, s.Counts), KEV: s.KEV, EPSSMax: s.EPSSMax,
	}
	if out.Verdict == "" {
		out.Verdict = aptrepo.Allow
	}
	return out
}

// malwareStatus is what the API calls it: what was not looked at as a whole is
// an error of the scanner.
func malwareStatus(s scan.MalwareStatus) string {
	switch s {
	case scan.NotScanned:
		return "not_scanned"
	case scan.Incomplete:
		return string(scan.Failed)
	}
	return string(s)
}

type cveJSON struct {
	ID               string        `json:"id"`
	Severity         scan.Severity `json:"severity"`
	CVSS             *float64      `json:"cvss"`
	EPSS             *float64      `json:"epss"`
	KEV              bool          `json:"kev"`
	Package          string        `json:"package"`
	InstalledVersion string        `json:"installed_version"`
	FixedVersion     *string       `json:"fixed_version"`
	FixState         scan.FixState `json:"fix_state"`
	Status           string        `json:"status" rule:"open|accepted|not_affected"`
	Description      string        `json:"description"`
	URLs             []string      `json:"urls"`
}

// newCVEs lists findings, worst first, with what was decided about each.
func newCVEs(findings []scan.Finding, decisions []aptrepo.Decision, openOnly bool) []cveJSON {
	out := []cveJSON{}
	for _, f := range findings {
		status := findingStatus(f.ID, decisions)
		if openOnly && status != "open" {
			continue
		}
		out = append(out, cveJSON{
			f.ID, f.Severity, f.CVSS, f.EPSS, f.KEV, f.Package, f.InstalledVersion, orNull(f.FixedVersion), f.FixState,
			status, f.Description, list(f.URLs),
		})
	}
	return out
}

// findingStatus is what the newest active decision that settles a finding makes
// of it.
func findingStatus(id string, newestFirst []aptrepo.Decision) string {
	for _, d := range newestFirst {
		if d.Settles() && slices.Contains(d.Findings, id) {
			return string(d.Ruling)
		}
	}
	return "open"
}

type decisionJSON struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Version   string         `json:"version"`
	Arch      string         `json:"arch"`
	Ruling    aptrepo.Ruling `json:"decision"`
	Comment   string         `json:"comment"`
	CVEIDs    []string       `json:"cve_ids"`
	DecidedBy string         `json:"decided_by"`
	DecidedAt timestamp      `json:"decided_at"`
	ExpiresAt timestamp      `json:"expires_at"`
	Active    bool           `json:"active"`
}

func newDecision(d aptrepo.Decision) decisionJSON {
	return decisionJSON{
		d.ID, d.Name, d.Version, d.Arch, d.Ruling, d.Comment, list(d.Findings), d.DecidedBy,
		timestamp(d.DecidedAt), timestamp(d.ExpiresAt), d.Active,
	}
}

// activeDecision returns the active decision that was made last, or null.
func activeDecision(newestFirst []aptrepo.Decision) *decisionJSON {
	for _, d := range newestFirst {
		if d.Active {
			out := newDecision(d)
			return &out
		}
	}
	return nil
}

// summaries returns what is known of the safety of artifacts.
func (a *api) summaries(c *call, artifacts []aptrepo.Artifact) (map[int64]aptrepo.ScanSummary, error) {
	ids := make([]int64, len(artifacts))
	for i := range artifacts {
		ids[i] = artifacts[i].ID
	}
	return a.Repo.Store.ScanSummaries(c.Context(), ids)
}
