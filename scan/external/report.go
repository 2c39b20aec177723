package external

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/scan"
)

// decode reads a report that is one JSON value of bounded depth.
func decode(text []byte, into any) error {
	if !utf8.Valid(text) {
		return fmt.Errorf("%w: it is not UTF-8", ErrReport)
	}
	if depth(text) > maxDepth {
		return fmt.Errorf("%w: it is nested too deep", ErrReport)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%w: %w", ErrReport, err)
	}
	return nil
}

// depth returns how deep a JSON text is nested, at least.
func depth(text []byte) (deepest int) {
	now, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// A collection makes one finding of those that say the same.
type collection struct {
	inv      scan.Inventory
	byPURL   map[string]*scan.Component
	findings map[[2]string]*scan.Finding // by ID and package
}

func collect(inv scan.Inventory) *collection {
	c := &collection{inv: inv, byPURL: map[string]*scan.Component{}, findings: map[[2]string]*scan.Finding{}}
	for i := range inv.Components {
		c.byPURL[inv.Components[i].PURL] = &inv.Components[i]
	}
	return c
}

// place says what a finding is about. Programs report a Debian package by its
// own name, and a component as they spell it unless the purl comes back.
func (c *collection) place(f *scan.Finding, debian bool, purl, name, version, ecosystem string) {
	if debian {
		f.Package, f.InstalledVersion = sourceOf(c.inv)
		if !c.inv.Official {
			f.Confidence = "low"
		}
		return
	}
	f.Package, f.InstalledVersion, f.Ecosystem = name, version, ecosystem
	if known := c.byPURL[purl]; purl != "" && known != nil {
		f.Package, f.InstalledVersion, f.Ecosystem = known.Name, known.Version, known.Ecosystem
	}
}

// maxText bounds the description of a finding, in bytes, and maxURLs its links.
const (
	maxText = 8 << 10
	maxURLs = 50
)

// add takes a finding, or refuses it for what no program should report.
func (c *collection) add(f scan.Finding, fixes []string) error {
	switch {
	case !plainID(f.ID):
		return fmt.Errorf("%w: a vulnerability has the ID %.100q", ErrReport, f.ID)
	case f.Package == "":
		return fmt.Errorf("%w: %s is in no package", ErrReport, f.ID)
	case f.CVSS != nil && !(*f.CVSS >= 0 && *f.CVSS <= 10):
		return fmt.Errorf("%w: %s has the score %v", ErrReport, f.ID, *f.CVSS)
	case f.EPSS != nil && !(*f.EPSS >= 0 && *f.EPSS <= 1):
		return fmt.Errorf("%w: %s has the probability %v", ErrReport, f.ID, *f.EPSS)
	}
	if f.FixState == scan.Fixed {
		f.FixedVersion = latest(fixes, f.Ecosystem == "")
		if f.FixedVersion == "" {
			f.FixState = scan.FixUnknown
		}
	}
	f.Advisories = slices.DeleteFunc(f.Advisories, func(id string) bool { return id == f.ID || !plainID(id) })
	f.Description = cut(f.Description, maxText)
	f.URLs = slices.DeleteFunc(f.URLs, func(u string) bool { return !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") })
	key := [2]string{f.ID, f.Ecosystem + "|" + f.Package}
	if old := c.findings[key]; old != nil {
		unite(old, &f)
		return nil
	}
	if len(c.findings) == maxFindings {
		return fmt.Errorf("%w: it has more than %d findings", ErrReport, maxFindings)
	}
	c.findings[key] = &f
	return nil
}

// plainID reports whether an ID is one that can be shown, stored and searched.
func plainID(id string) bool {
	return id != "" && len(id) <= 128 && strings.IndexFunc(id, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' '
	}) < 0
}

// cut cuts a text to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// latest returns the highest version of Debian's: several advisories may have
// tried to fix one flaw. Of other ecosystems, each of whose branches may have a
// fix of its own, all are told.
func latest(versions []string, debian bool) string {
	versions = slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return v == "" })
	switch {
	case len(versions) == 0:
		return ""
	case debian:
		return slices.MaxFunc(versions, deb.CompareVersions)
	}
	slices.Sort(versions)
	return strings.Join(slices.Compact(versions), ", ")
}

var severities = []scan.Severity{scan.Critical, scan.High, scan.Medium, scan.Low, scan.Negligible}

// severity reads the name of a severity. What is not known is unknown.
func severity(name string) scan.Severity {
	if s := scan.Severity(strings.ToLower(name)); slices.Contains(severities, s) {
		return s
	}
	return scan.Unknown
}

// rank is the place of a severity from the worst on; unknown comes after low,
// and before what is known to do no harm.
func rank(s scan.Severity) int {
	if s == scan.Unknown {
		return 4
	}
	if i := slices.Index(severities, s); i < 4 {
		return i
	}
	return 5
}

// unite adds what another finding of the same flaw says; the worse counts.
func unite(f, other *scan.Finding) {
	if rank(other.Severity) < rank(f.Severity) {
		f.Severity = other.Severity
	}
	f.CVSS = greater(f.CVSS, other.CVSS)
	f.EPSS = greater(f.EPSS, other.EPSS)
	f.KEV = f.KEV || other.KEV
	f.Gates = f.Gates || other.Gates
	switch {
	case f.FixState != other.FixState && (f.FixState == scan.Fixed || other.FixState == scan.Fixed):
		// One of several advisories is not fixed: no version is free of the flaw.
		if f.FixState == scan.Fixed {
			f.FixState = other.FixState
		}
		f.FixedVersion = ""
	case f.FixState == scan.Fixed:
		f.FixedVersion = latest([]string{f.FixedVersion, other.FixedVersion}, f.Ecosystem == "")
	}
	f.Advisories = append(f.Advisories, other.Advisories...)
	f.URLs = append(f.URLs, other.URLs...)
	if f.Description == "" {
		f.Description = other.Description
	}
}

func greater(a, b *float64) *float64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

// list returns the findings by ID.
func (c *collection) list() []scan.Finding {
	all := make([]scan.Finding, 0, len(c.findings))
	for _, f := range c.findings {
		slices.Sort(f.Advisories)
		f.Advisories = slices.Compact(f.Advisories)
		slices.Sort(f.URLs)
		f.URLs = slices.Compact(f.URLs)
		f.URLs = f.URLs[:min(len(f.URLs), maxURLs)]
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b scan.Finding) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Ecosystem, b.Ecosystem), cmp.Compare(a.Package, b.Package))
	})
	return all
}

// newest keeps the greatest score of the newest version of CVSS.
type newest struct {
	version float64
	score   *float64
}

func (n *newest) add(version string, score float64) {
	v, err := strconv.ParseFloat(version, 64)
	if err != nil || v < n.version {
		return
	}
	if n.score == nil || v > n.version || score > *n.score {
		n.version, n.score = v, &score
	}
}

// preferCVE returns the CVE among names that mean one flaw, and the others.
func preferCVE(id string, aliases []string) (string, []string) {
	all := append([]string{id}, aliases...)
	if strings.HasPrefix(id, "CVE-") {
		return id, all[1:]
	}
	slices.Sort(all[1:])
	for i, alias := range all {
		if strings.HasPrefix(alias, "CVE-") {
			return alias, slices.Delete(all, i, i+1)
		}
	}
	return id, all[1:]
}
