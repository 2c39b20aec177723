package external

import (
	"fmt"
	"strings"
	"time"

	"github.com/repod-io/repod/scan"
)

type trivyReport struct {
	SchemaVersion int
	Metadata      struct {
		OS *struct{ Family, Name string } // Name is the release: "12", "12.5"
	}
	Results []trivyResult
}

type trivyResult struct {
	Class, Type     string
	Vulnerabilities []trivyVulnerability
}

type trivyVulnerability struct {
	VulnerabilityID  string
	VendorIDs        []string
	PkgName          string
	PkgIdentifier    struct{ PURL string }
	InstalledVersion string
	FixedVersion     string
	Status           string
	Severity         string
	Title            string
	Description      string
	PrimaryURL       string
	References       []string
	CVSS             map[string]struct{ V2Score, V3Score, V40Score float64 }
}

// parseTrivy reads a report of "trivy sbom --format json".
func parseTrivy(text []byte, inv scan.Inventory) (findings []scan.Finding, covered bool, err error) {
	var report trivyReport
	if err := decode(text, &report); err != nil {
		return nil, false, err
	}
	if report.SchemaVersion != 2 {
		return nil, false, fmt.Errorf("%w: it has the SchemaVersion %d instead of 2, or is not Trivy's", ErrReport, report.SchemaVersion)
	}
	all := collect(inv)
	family, release := splitOS(inv.OS)
	for _, r := range report.Results {
		// Trivy has a result, if an empty one, for an OS that it knows.
		covered = covered || r.Class == "os-pkgs" && family != "" && r.Type == family
		for i := range r.Vulnerabilities {
			f, fixes := all.trivy(&r, &r.Vulnerabilities[i])
			if err := all.add(f, fixes); err != nil {
				return nil, false, err
			}
		}
	}
	if os := report.Metadata.OS; os != nil && (os.Family != family || os.Name != release && !strings.HasPrefix(os.Name, release+".")) {
		covered = false
	}
	return all.list(), covered, nil
}

// trivy translates a vulnerability.
func (c *collection) trivy(r *trivyResult, v *trivyVulnerability) (f scan.Finding, fixes []string) {
	f = scan.Finding{
		Severity: severity(v.Severity), Gates: true, FixState: scan.FixUnknown,
		Description: v.Description, URLs: append(v.References, v.PrimaryURL),
	}
	if f.Description == "" {
		f.Description = v.Title
	}
	f.ID, f.Advisories = preferCVE(v.VulnerabilityID, v.VendorIDs)
	var cvss newest
	for _, s := range v.CVSS {
		for version, score := range map[string]float64{"2.0": s.V2Score, "3.0": s.V3Score, "4.0": s.V40Score} {
			if score != 0 { // Trivy leaves out what it does not know
				cvss.add(version, score)
			}
		}
	}
	f.CVSS = cvss.score
	c.place(&f, r.Class == "os-pkgs", v.PkgIdentifier.PURL, v.PkgName, v.InstalledVersion, trivyEcosystems[r.Type])
	switch v.Status {
	case "fixed":
		f.FixState = scan.Fixed
	case "affected", "fix_deferred":
		f.FixState = scan.NotFixed
	case "will_not_fix", "end_of_life":
		f.FixState = scan.WontFix
	case "not_affected", "under_investigation":
		f.Gates = false
	case "", "unknown":
		if v.FixedVersion != "" { // older versions have no status
			f.FixState = scan.Fixed
		}
	}
	for fix := range strings.SplitSeq(v.FixedVersion, ",") {
		fixes = append(fixes, strings.TrimSpace(fix))
	}
	return f, fixes
}

// trivyEcosystems are OSV's names of the types of results.
var trivyEcosystems = map[string]string{
	"gobinary": "Go", "gomod": "Go", "python-pkg": "PyPI", "pip": "PyPI", "node-pkg": "npm", "npm": "npm",
	"jar": "Maven", "pom": "Maven", "rustbinary": "crates.io", "cargo": "crates.io", "gemspec": "RubyGems",
}

// parseTrivyVersion reads the answer of "trivy version --format json". The time
// is zero if there are no data.
func parseTrivyVersion(text []byte) (built time.Time, err error) {
	var answer struct {
		Version         string
		VulnerabilityDB struct{ UpdatedAt time.Time }
	}
	if err := decode(text, &answer); err != nil {
		return built, err
	}
	if answer.Version == "" {
		return built, fmt.Errorf("%w: it does not say Trivy's version", ErrReport)
	}
	return answer.VulnerabilityDB.UpdatedAt, nil
}
