package storetest

import (
	"fmt"
	"strings"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

func number(f float64) *float64 { return &f }

// completeScan is a scan without a zero field.
func completeScan() aptrepo.Scan {
	return aptrepo.Scan{
		ScanSummary: aptrepo.ScanSummary{
			ScannedAt: at(7), Verdict: aptrepo.Warn, Malware: scan.Infected, Signature: "Eicar-Test-Signature", Covered: true,
			DataDate: at(3), Counts: aptrepo.SeverityCounts{Critical: 1, High: 2, Medium: 3, Low: 4, Negligible: 5, Unknown: 6},
			KEV: 7, EPSSMax: number(0.1 + 0.2),
		},
		Engine: "ClamAV 1.4.3/27969", Detail: "Größe", DataGeneration: 1 << 40, Official: true,
		Findings: []scan.Finding{{
			ID: "CVE-2024-1234", Advisories: []string{"DSA-5000-1", "GHSA-\"x\""}, Severity: scan.High, CVSS: number(7.5),
			EPSS: number(0.123456789012345678), KEV: true, Package: "nginx-src", Ecosystem: "Go", InstalledVersion: "1:1.24.0-1",
			FixedVersion: "1:1.24.1", FixState: scan.Fixed, Gates: true, Confidence: "low", Description: "a flaw 🙂\nof two lines",
			URLs: []string{"https://example.org/CVE-2024-1234"},
		}},
		Components: []scan.Component{{
			Ecosystem: "Maven", Name: "org.example:lib", Version: "1.0", PURL: "pkg:maven/org.example/lib@1.0",
			Paths: []string{"usr/share/a.jar!/b.jar", "usr/share/c.jar"}, Licenses: []string{"MIT"},
		}},
	}
}

// found makes a finding. spec is "id severity", to which fields "key=value" may
// be added.
func found(spec string) scan.Finding {
	words := strings.Fields(spec)
	f := scan.Finding{ID: words[0], Severity: scan.Severity(words[1]), Package: "src", FixState: scan.NotFixed, Gates: true,
		Description: "about " + words[0]}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		var n float64
		switch key {
		case "kev":
			f.KEV = true
		case "cvss":
			fmt.Sscan(value, &n)
			f.CVSS = &n
		case "package":
			f.Package = value
		case "fixed":
			f.FixState, f.FixedVersion = scan.Fixed, value
		}
	}
	return f
}

// scanOf makes a scan of findings, all of them open. Of each "id severity ...".
func scanOf(specs ...string) aptrepo.Scan {
	s := aptrepo.Scan{ScanSummary: aptrepo.ScanSummary{ScannedAt: epoch, Verdict: aptrepo.Review, Malware: scan.Clean, Covered: true}}
	for _, spec := range specs {
		f := found(spec)
		s.Findings = append(s.Findings, f)
		*severityCount(&s.Counts, f.Severity)++
		if f.KEV {
			s.KEV++
		}
	}
	return s
}

// severityCount is the count of a severity.
func severityCount(c *aptrepo.SeverityCounts, s scan.Severity) *int {
	return map[scan.Severity]*int{scan.Critical: &c.Critical, scan.High: &c.High, scan.Medium: &c.Medium, scan.Low: &c.Low,
		scan.Negligible: &c.Negligible, scan.Unknown: &c.Unknown}[s]
}

// decided makes a decision. spec is "name version arch".
func decided(id, spec string, r aptrepo.Ruling, findings ...string) aptrepo.Decision {
	words := strings.Fields(spec)
	return aptrepo.Decision{ID: id, Name: words[0], Version: words[1], Arch: words[2], Ruling: r, Comment: "why", Findings: findings,
		DecidedBy: "admin", DecidedAt: epoch, Active: true}
}
