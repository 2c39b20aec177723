// Package scan decides what may be published: it lets scanners see what a
// package holds, in one pass, and turns what they and the vulnerability data say
// into a verdict, by a policy.
//
// A [Scanner] looks for malware, or takes stock of the software inside; package
// clamav has one for clamd. A [Matcher] knows which versions of software are
// vulnerable; package vuln has one that works on a local copy of public data.
package scan

import (
	"context"
	"io"
	"time"

	"github.com/repod-io/repod/deb"
)

// A Subject is the package that is scanned.
type Subject struct {
	Name          string
	Version       string
	Arch          string
	Source        string // name of the source package
	SourceVersion string
	Size          int64 // bytes of the .deb
	// OS is the vendor release that the package is for: "debian:12",
	// "ubuntu:22.04"; "" when nobody knows.
	OS string
	// Official tells that the package is, byte for byte, the vendor's own.
	Official bool
}

// A Scanner looks at the contents of packages. It must be safe for concurrent
// use.
type Scanner interface {
	// Name tells scanners apart: "clamav".
	Name() string
	// Begin starts to scan one package. An error is a failure of the scanner,
	// not of the package.
	Begin(ctx context.Context, s Subject) (Pass, error)
}

// A Pass is the scan of one package, by one goroutine. Its context is that of
// Begin.
type Pass interface {
	// Open is called for each regular file of control.tar and data.tar, in their
	// order, and returns where its content is to be written; nil: it is of no
	// interest. The writer is closed before the next file. What went wrong, in
	// Open, Write or Close, ends the pass for this scanner: Finish reports it.
	Open(f deb.File) (io.WriteCloser, error)
	// Finish is called after the last file of a package that turned out to be
	// sound. err is what went wrong before, nil if nothing did.
	Finish(err error) Report
	// Abort is called in place of Finish when the package is refused. It frees
	// what the pass holds.
	Abort()
}

// A Report is what a scanner found in one package. Fields that are of no concern
// to the scanner are zero.
type Report struct {
	Malware    Malware
	Components []Component
}

// A MalwareStatus is how a search for malware ended.
type MalwareStatus string

// The statuses. Only Clean is a proof of anything.
const (
	NotScanned MalwareStatus = ""
	Clean      MalwareStatus = "clean"
	Infected   MalwareStatus = "infected"
	// Incomplete: something could not be looked at as a whole, because it is too
	// large, too deep or encrypted.
	Incomplete MalwareStatus = "incomplete"
	// Failed: the scanner did not do its work.
	Failed MalwareStatus = "error"
)

// Malware is what a search for malware found.
type Malware struct {
	Status    MalwareStatus
	Signature string // of Infected: "Eicar-Test-Signature"
	Path      string // of the file that decided, as deb.File has it
	Detail    string // of Incomplete and Failed, for people; no path of this machine
	Engine    string // "ClamAV 1.4.3/27969"
}

// A Component is software that a package brings along inside, beside what its
// control file says.
type Component struct {
	// Ecosystem is that of OSV: "Go", "PyPI", "npm", "Maven", "crates.io".
	Ecosystem string
	Name      string // as the ecosystem spells it: "golang.org/x/net", "org.apache.logging.log4j:log4j-core"
	Version   string
	PURL      string   // package URL
	Paths     []string // where it was found, as deb.File has it; "a.jar!/b.jar" inside archives
	Licenses  []string // as declared, unchecked
}

// An Inventory is what is known of a package's software: enough to look for
// vulnerabilities again without its file.
type Inventory struct {
	Subject
	Components []Component
}

// A Severity says how bad a vulnerability is.
type Severity string

// The severities, worst first. Unknown is not harmless.
const (
	Critical   Severity = "critical"
	High       Severity = "high"
	Medium     Severity = "medium"
	Low        Severity = "low"
	Negligible Severity = "negligible"
	Unknown    Severity = "unknown"
)

// Severities returns all of them, worst first.
func Severities() []Severity { return []Severity{Critical, High, Medium, Low, Negligible, Unknown} }

// A FixState says whether there is a version without the vulnerability.
type FixState string

// The states of fixes.
const (
	Fixed      FixState = "fixed"     // by FixedVersion
	NotFixed   FixState = "not_fixed" // yet
	WontFix    FixState = "wont_fix"  // ignored by the vendor, or the release has ended
	FixUnknown FixState = "unknown"
)

// A Finding is a vulnerability that a package has.
type Finding struct {
	// ID is the CVE, or the advisory's own ID when there is none. Advisories
	// lists the others that say the same: DSA-5000-1, GHSA-..., GO-....
	ID         string
	Advisories []string

	Severity Severity
	CVSS     *float64 // base score of the newest version of CVSS there is
	EPSS     *float64 // probability, 0 to 1
	KEV      bool     // known to be exploited

	// Package is what is vulnerable: the source package, or the component.
	Package          string
	Ecosystem        string // of a component, "" for the source package
	InstalledVersion string
	FixedVersion     string // "" unless FixState is Fixed
	FixState         FixState
	// Gates is false when the vendor says that the flaw has no effect on
	// security: it is listed, and decides nothing.
	Gates bool
	// Confidence is "low" when a vendor's data are held against a package that
	// is not the vendor's.
	Confidence string

	Description string
	URLs        []string
}

// A Matcher finds the known vulnerabilities of software. It must be safe for
// concurrent use.
type Matcher interface {
	// Match returns the findings of a package, by ID. covered is false when the
	// data say nothing of the package's OS: no findings are no proof then.
	Match(ctx context.Context, inv Inventory) (findings []Finding, covered bool, err error)
	// Data describes what Match works on.
	Data(ctx context.Context) (Data, error)
}

// Data describes vulnerability data.
type Data struct {
	// Generation differs whenever Match may answer otherwise; 0: there are no
	// data.
	Generation int64
	Date       time.Time // of the oldest feed that is in use
}
