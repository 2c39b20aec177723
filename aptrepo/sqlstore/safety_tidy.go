package sqlstore

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// tidyScan returns s in the form in which it is kept: with lists in order, text
// that a database can keep, and nil for what is empty. Scanners quote packages,
// so that their text may be anything; what nobody could have meant is refused.
func tidyScan(s aptrepo.Scan) (aptrepo.Scan, error) {
	for _, text := range []*string{(*string)(&s.Verdict), (*string)(&s.Malware), &s.Signature, &s.Engine, &s.Detail} {
		*text = keepable(*text)
	}
	if !number(s.EPSSMax) {
		return s, &aptrepo.FieldError{Field: "epss_max", Message: "must be a number"}
	}
	s.Findings = cloned(s.Findings)
	for i := range s.Findings {
		if err := tidyFinding(&s.Findings[i]); err != nil {
			return s, fmt.Errorf("findings[%d]: %w", i, err)
		}
	}
	slices.SortStableFunc(s.Findings, func(a, b scan.Finding) int {
		return cmp.Or(cmp.Compare(severityRank(b.Severity), severityRank(a.Severity)),
			strings.Compare(a.ID, b.ID), strings.Compare(a.Package, b.Package))
	})
	s.Components = cloned(s.Components)
	for i := range s.Components {
		c := &s.Components[i]
		for _, text := range []*string{&c.Ecosystem, &c.Name, &c.Version, &c.PURL} {
			*text = keepable(*text)
		}
		c.Paths, c.Licenses = keepableTexts(c.Paths), keepableTexts(c.Licenses)
	}
	slices.SortStableFunc(s.Components, func(a, b scan.Component) int { return strings.Compare(a.PURL, b.PURL) })
	return s, nil
}

// maxFindingID is the longest ID, in bytes: those there are have some 20.
const maxFindingID = 200

func tidyFinding(f *scan.Finding) error {
	for _, text := range []*string{&f.Package, &f.Ecosystem, &f.InstalledVersion, &f.FixedVersion,
		(*string)(&f.FixState), &f.Confidence, &f.Description} {
		*text = keepable(*text)
	}
	f.Advisories, f.URLs = keepableTexts(f.Advisories), keepableTexts(f.URLs)
	switch {
	case f.ID == "" || len(f.ID) > maxFindingID || !validText(f.ID):
		return &aptrepo.FieldError{Field: "id", Message: fmt.Sprintf("must be 1 to %d bytes of text", maxFindingID)}
	case severityRank(f.Severity) == 0:
		return &aptrepo.FieldError{Field: "severity", Message: fmt.Sprintf("must not be %.20q", string(f.Severity))}
	case !number(f.CVSS):
		return &aptrepo.FieldError{Field: "cvss", Message: "must be a number"}
	case !number(f.EPSS):
		return &aptrepo.FieldError{Field: "epss", Message: "must be a number"}
	}
	return nil
}

// number reports whether f is none or one that both databases have.
func number(f *float64) bool { return f == nil || !math.IsNaN(*f) && !math.IsInf(*f, 0) }

// cloned is slices.Clone, but nil for what is empty.
func cloned[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
}

func keepableTexts(texts []string) []string {
	texts = cloned(texts)
	for i, text := range texts {
		texts[i] = keepable(text)
	}
	return texts
}

// severities lists them in the order of their ranks, which begin with 1.
var severities = [...]scan.Severity{scan.Unknown, scan.Negligible, scan.Low, scan.Medium, scan.High, scan.Critical}

// severityRank is higher for the worse one, and 0 for what is none.
func severityRank(s scan.Severity) int64 { return int64(slices.Index(severities[:], s)) + 1 }

// weightUnit is what a severity's rank counts in a weight.
const weightUnit = 1_000_000

// weightOf is the higher the worse a finding is: by severity, then KEV, then
// CVSS, of which thousandths count; scores have tenths (CVSS 4.0, section 8).
func weightOf(f *scan.Finding) int64 {
	weight := severityRank(f.Severity) * weightUnit
	if f.KEV {
		weight += weightUnit / 2
	}
	if f.CVSS != nil {
		weight += 1 + int64(math.Round(min(max(*f.CVSS, 0), 10)*1000))
	}
	return weight
}
