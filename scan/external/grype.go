package external

import (
	"fmt"
	"time"

	"github.com/repod-io/repod/scan"
)

type grypeReport struct {
	Matches    *[]grypeMatch `json:"matches"`
	Distro     struct{ Name, Version string }
	Descriptor struct{ Name string }
}

type grypeMatch struct {
	Vulnerability grypeVulnerability
	Related       []grypeVulnerability `json:"relatedVulnerabilities"`
	Artifact      struct{ Name, Version, Type, PURL string }
}

type grypeVulnerability struct {
	ID          string
	DataSource  string
	Severity    string
	Description string
	URLs        []string
	CVSS        []struct {
		Version string
		Metrics struct{ BaseScore float64 }
	}
	EPSS []struct {
		CVE  string
		EPSS float64
	}
	KnownExploited []struct{ CVE string }
	Fix            struct {
		Versions []string
		State    string
	}
	Advisories []struct{ ID, Link string }
}

// parseGrype reads a report of "grype -o json".
func parseGrype(text []byte, inv scan.Inventory) (findings []scan.Finding, covered bool, err error) {
	var report grypeReport
	if err := decode(text, &report); err != nil {
		return nil, false, err
	}
	if report.Matches == nil || report.Descriptor.Name != "grype" {
		return nil, false, fmt.Errorf("%w: it has no matches, or is not Grype's", ErrReport)
	}
	all := collect(inv)
	for i := range *report.Matches {
		f, fixes := all.grype(&(*report.Matches)[i])
		if err := all.add(f, fixes); err != nil {
			return nil, false, err
		}
	}
	family, release := splitOS(inv.OS)
	covered = family != "" && report.Distro.Name == family && report.Distro.Version == release
	return all.list(), covered, nil
}

// grype translates a match.
func (c *collection) grype(m *grypeMatch) (f scan.Finding, fixes []string) {
	v := &m.Vulnerability
	var aliases []string
	var cvss newest
	for _, known := range append([]grypeVulnerability{*v}, m.Related...) {
		aliases = append(aliases, known.ID)
		for _, score := range known.CVSS {
			cvss.add(score.Version, score.Metrics.BaseScore)
		}
		for _, e := range known.EPSS {
			f.EPSS = greater(f.EPSS, &e.EPSS)
		}
		f.KEV = f.KEV || len(known.KnownExploited) > 0
		f.URLs = append(append(f.URLs, known.DataSource), known.URLs...)
		if f.Description == "" {
			f.Description = known.Description
		}
	}
	f.ID, f.Advisories = preferCVE(v.ID, aliases[1:])
	for _, a := range v.Advisories {
		f.Advisories = append(f.Advisories, a.ID)
		f.URLs = append(f.URLs, a.Link)
	}
	f.CVSS, f.Severity = cvss.score, severity(v.Severity)
	debian := m.Artifact.Type == "deb"
	c.place(&f, debian, m.Artifact.PURL, m.Artifact.Name, m.Artifact.Version, grypeEcosystems[m.Artifact.Type])
	// Grype calls negligible what Debian calls unimportant.
	f.Gates = !debian || f.Severity != scan.Negligible
	f.FixState = scan.FixUnknown
	switch v.Fix.State {
	case "fixed":
		f.FixState = scan.Fixed
	case "not-fixed":
		f.FixState = scan.NotFixed
	case "wont-fix":
		f.FixState = scan.WontFix
	}
	return f, v.Fix.Versions
}

// grypeEcosystems are OSV's names of the types of packages; of others, there is
// only the type.
var grypeEcosystems = map[string]string{
	"go-module": "Go", "python": "PyPI", "npm": "npm", "java-archive": "Maven", "rust-crate": "crates.io", "gem": "RubyGems",
}

// parseGrypeStatus reads the answer of "grype db status -o json". The time is
// zero if there are no data.
func parseGrypeStatus(text []byte) (built time.Time, err error) {
	var status struct {
		Built *time.Time
		Valid *bool // older versions do not say it, and fail
	}
	if err := decode(text, &status); err != nil {
		return built, err
	}
	switch {
	case status.Valid != nil && !*status.Valid:
		return built, nil
	case status.Built == nil:
		return built, fmt.Errorf("%w: it does not say when the data were built", ErrReport)
	}
	return *status.Built, nil
}
