package sbom

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Package is one binary package of a document.
type Package struct {
	// PURL is the package URL, without a subpath. It is the reference of the package,
	// and differs from those of all others. Required, as are the name and the
	// version.
	PURL    string
	Name    string
	Version string

	Arch         string
	Distribution string
	Section      string
	Status       string

	Maintainer  Contact // supplier
	Distributor Contact // the repository
	Description string  // synopsis, then more lines

	Homepage string // URLs that are none are left out
	VCS      string // of the packaging
	Filename string // of the .deb; a path before it is left out
	Download string // URL of the .deb
	Size     int64  // bytes
	Hashes   Hashes

	Source Source

	// License is the SPDX expression of all licences. One that does not pass
	// CheckLicense counts as none: the document says NOASSERTION, and has the
	// expression in a property.
	License string
	// LicenseTexts has the texts of LicenseRef- licences by name.
	LicenseTexts map[string]string
	// CopyrightSHA256 is the digest of debian/copyright, "" if there is none.
	CopyrightSHA256 string

	Components []Component

	// DependsOn names the packages that are needed, by PURL. Those that are not in
	// the document are left out, and the package's dependencies count as
	// incomplete then; as they do with anything in Unresolved.
	DependsOn  []string
	Unresolved []string // the clauses of Depends and Pre-Depends that nothing satisfies
	// DependenciesUnknown tells that nobody looked for what satisfies them.
	DependenciesUnknown bool

	Vulnerabilities []Vulnerability

	Properties []Property // in their order; names should begin with a namespace: "repod:origin"
}

// A Source is the source package that a package was built from. Without a PURL,
// or with one that has a subpath, it is told of in words only.
type Source struct {
	Name, Version, PURL string
	Download            string // URL of the .dsc
}

// A Component is software that a package brings along inside.
type Component struct {
	Ecosystem string // "Go", "PyPI", "npm", "Maven", "crates.io"
	Name      string
	Version   string
	PURL      string   // left out when it is none
	Paths     []string // where it was found
	Licenses  []string // as declared, unchecked
}

// A Property is a name and a value.
type Property struct{ Name, Value string }

// A Severity says how bad a vulnerability is. Other values than the constants are
// unknown.
type Severity string

// The severities, worst first.
const (
	Critical   Severity = "critical"
	High       Severity = "high"
	Medium     Severity = "medium"
	Low        Severity = "low"
	Negligible Severity = "negligible" // "info" in CycloneDX
)

// A Vulnerability is one that a package, or software embedded in it, is known to
// have. A second one with the same ID is left out.
type Vulnerability struct {
	ID        string // required: CVE-2024-1, GHSA-...
	Component string // PURL of embedded software; "" or none of it: the package itself

	SourceName string // who says so
	SourceURL  string
	Advisories []string // other IDs of the same: DSA-5000-1
	URLs       []string

	Severity     Severity
	CVSS         *float64 // base score, 0 to 10
	CVSSVersion  string   // "2.0", "3.0", "3.1", "4.0" or ""
	CVSSVector   string
	EPSS         *float64 // probability, 0 to 1
	KEV          bool     // known to be exploited
	Description  string
	FixedVersion string // of the source package, or the embedded software

	Analysis   *Analysis // nil: nobody has decided
	Properties []Property
}

// An Analysis is what was decided about a vulnerability of a package.
type Analysis struct {
	State         State // required
	Justification Justification
	Responses     []Response
	Detail        string
	FirstIssued   time.Time
	LastUpdated   time.Time
}

type (
	// State is the state of an analysis, in the words of CycloneDX.
	State string
	// Justification says why a package is not affected, in the words of CycloneDX.
	Justification string
	// Response is what is done about a vulnerability, in the words of CycloneDX.
	Response string
)

// The states.
const (
	Resolved      State = "resolved"
	Exploitable   State = "exploitable"
	InTriage      State = "in_triage"
	FalsePositive State = "false_positive"
	NotAffected   State = "not_affected"
)

// The justifications.
const (
	CodeNotPresent       Justification = "code_not_present"
	CodeNotReachable     Justification = "code_not_reachable"
	RequiresConfig       Justification = "requires_configuration"
	RequiresDependency   Justification = "requires_dependency"
	RequiresEnvironment  Justification = "requires_environment"
	ProtectedByCompiler  Justification = "protected_by_compiler"
	ProtectedAtRuntime   Justification = "protected_at_runtime"
	ProtectedAtPerimeter Justification = "protected_at_perimeter"
	ProtectedByControl   Justification = "protected_by_mitigating_control"
)

// The responses.
const (
	CanNotFix           Response = "can_not_fix"
	WillNotFix          Response = "will_not_fix"
	Update              Response = "update"
	Rollback            Response = "rollback"
	WorkaroundAvailable Response = "workaround_available"
)

// check reports what the caller has to get right; all else is left out or
// cleaned where it is malformed.
func (p *Package) check() error {
	// Whatever else has a reference has one with a subpath.
	if !validPURL(p.PURL) || strings.Contains(p.PURL, "#") {
		return fmt.Errorf("package %q: %q is no package URL without a subpath", p.Name, p.PURL)
	}
	if oneLine(p.Name) == "" || oneLine(p.Version) == "" {
		return fmt.Errorf("package %s has no name or no version", p.PURL)
	}
	for i := range p.Vulnerabilities {
		if err := p.Vulnerabilities[i].check(); err != nil {
			return fmt.Errorf("package %s: vulnerability %q: %w", p.PURL, p.Vulnerabilities[i].ID, err)
		}
	}
	return nil
}

func (v *Vulnerability) check() error {
	if oneLine(v.ID) == "" {
		return errors.New("it has no ID")
	}
	if v.Analysis == nil {
		return nil
	}
	switch v.Analysis.State {
	case Resolved, Exploitable, InTriage, FalsePositive, NotAffected:
	default:
		return fmt.Errorf("unknown state %q", v.Analysis.State)
	}
	switch v.Analysis.Justification {
	case "", CodeNotPresent, CodeNotReachable, RequiresConfig, RequiresDependency, RequiresEnvironment,
		ProtectedByCompiler, ProtectedAtRuntime, ProtectedAtPerimeter, ProtectedByControl:
	default:
		return fmt.Errorf("unknown justification %q", v.Analysis.Justification)
	}
	for _, r := range v.Analysis.Responses {
		switch r {
		case CanNotFix, WillNotFix, Update, Rollback, WorkaroundAvailable:
		default:
			return fmt.Errorf("unknown response %q", r)
		}
	}
	return nil
}

// eachProperty calls add for the properties of both formats.
func (p *Package) eachProperty(license string, add func(name, value string)) {
	some := func(name, value string) {
		if value != "" {
			add(name, value)
		}
	}
	some("repod:arch", oneLine(p.Arch))
	some("repod:distribution", oneLine(p.Distribution))
	some("repod:section", oneLine(p.Section))
	some("repod:status", oneLine(p.Status))
	if p.Size > 0 {
		add("repod:size", strconv.FormatInt(p.Size, 10))
	}
	if license == "" {
		add("repod:license", "NOASSERTION")
		some("repod:license_declared", paragraph(p.License))
	}
	if isHex(p.CopyrightSHA256, 64) {
		add("repod:copyright_sha256", p.CopyrightSHA256)
	}
	for _, clause := range p.Unresolved {
		some("repod:unresolved", oneLine(clause))
	}
	eachProperty(p.Properties, add)
}

// eachProperty calls add for those that have a name.
func eachProperty(list []Property, add func(name, value string)) {
	for _, p := range list {
		if name := oneLine(p.Name); name != "" {
			add(name, paragraph(p.Value))
		}
	}
}

// valid reports whether a source has an identity.
func (s *Source) valid() bool {
	return validPURL(s.PURL) && !strings.Contains(s.PURL, "#") && oneLine(s.Name) != ""
}

// owners returns which embedded software a vulnerability is in: indices of
// Components, none for the package itself.
func (p *Package) owners(v *Vulnerability, flat bool) []int {
	if v.Component == "" || flat {
		return nil
	}
	var found []int
	for i := range p.Components {
		if p.Components[i].PURL == v.Component {
			found = append(found, i)
		}
	}
	return found
}
