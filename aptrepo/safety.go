package aptrepo

import (
	"context"
	"iter"
	"time"

	"github.com/repod-io/repod/scan"
)

// A Verdict is what the policy makes of a scan.
type Verdict = scan.Verdict

// The verdicts, the mildest first.
const (
	Allow  = scan.Allow
	Warn   = scan.Warn
	Review = scan.Review
	Block  = scan.Block
)

// SeverityCounts counts findings.
type SeverityCounts struct {
	Critical, High, Medium, Low, Negligible, Unknown int
}

// Total is the sum.
func (c SeverityCounts) Total() int {
	return c.Critical + c.High + c.Medium + c.Low + c.Negligible + c.Unknown
}

// A ScanSummary sums up what is known of an artifact's safety. Counts, KEV and
// EPSSMax are of its open findings: those that no active decision settles.
type ScanSummary struct {
	ScannedAt time.Time // zero: never
	Verdict   Verdict   // "" before the first scan
	Malware   scan.MalwareStatus
	Signature string // of malware
	// Covered: there were vulnerability data for its distribution. Without,
	// having no findings proves nothing.
	Covered  bool
	DataDate time.Time // of those data
	Counts   SeverityCounts
	KEV      int
	EPSSMax  *float64
}

// A Scan is what is known of an artifact's safety. What scanners quote may be any
// text: a Store replaces what it cannot keep by U+FFFD.
type Scan struct {
	ScanSummary
	// Engine and Detail are those of the search for malware.
	Engine string
	Detail string
	// DataGeneration is that of the vulnerability data; see scan.Data.
	DataGeneration int64
	// Official: the artifact is its vendor's own, byte for byte.
	Official bool
	// Findings are all of them, also those that are settled: worst severity
	// first, in the order of package scan's list, then by ID and package.
	Findings []scan.Finding
	// Components are the software inside, by PURL.
	Components []scan.Component
}

// A Ruling is what a decision says.
type Ruling string

// The rulings.
const (
	RulingAccepted        Ruling = "accepted"         // the risk is taken
	RulingNotAffected     Ruling = "not_affected"     // there is none
	RulingRejected        Ruling = "rejected"         // it must not be published
	RulingUpgradeRequired Ruling = "upgrade_required" // a newer version is needed
)

// A Decision is what a person has decided about an artifact, for a reason. It is
// never changed but in Active, and kept when its artifact is deleted.
type Decision struct {
	ID      string // "dec_" and base62
	Name    string
	Version string
	Arch    string
	Ruling  Ruling
	Comment string
	// Findings are the IDs that it settles: those of scan.Finding.
	Findings  []string
	DecidedBy string
	DecidedAt time.Time
	ExpiresAt time.Time // zero: never
	// Active: it is neither superseded, nor expired, nor ended by a quarantine.
	// Whoever brings that about says so: a Store does not look at ExpiresAt.
	Active bool
}

// Settles reports whether the findings that a decision names are settled by it.
func (d *Decision) Settles() bool {
	return d.Active && (d.Ruling == RulingAccepted || d.Ruling == RulingNotAffected)
}

// SafetyStore is the part of a [Store] that keeps what is known of artifacts'
// safety.
type SafetyStore interface {
	// ScanSummaries returns the summaries of artifacts by ID; those that were
	// never scanned have none.
	ScanSummaries(ctx context.Context, ids []int64) (map[int64]ScanSummary, error)
	// Scan returns what is known of an artifact, the zero Scan when nothing is.
	Scan(ctx context.Context, id int64) (Scan, error)
	// Decisions returns all decisions about a version in an architecture, newest
	// first, whether or not the artifact is still there.
	Decisions(ctx context.Context, key Key) ([]Decision, error)
	// ExpiredDecisions returns up to limit active decisions whose ExpiresAt is
	// not after a time, those first that expired first.
	ExpiredDecisions(ctx context.Context, at time.Time, limit int) ([]Decision, error)
	// EachDecision yields all decisions in the order in which they were first put,
	// without holding a transaction open between yields longer than needed.
	EachDecision(ctx context.Context) iter.Seq2[Decision, error]
	// Vulnerabilities lists open findings by their ID; see VulnerabilityQuery.
	Vulnerabilities(ctx context.Context, q VulnerabilityQuery) (VulnerabilityPage, error)
	// Posture lists artifacts with their summaries; see PostureQuery.
	Posture(ctx context.Context, q PostureQuery) (PosturePage, error)
	// EachInventory yields, for every artifact that is not malware, what a match
	// needs, by artifact ID, without holding a transaction open between yields
	// longer than needed. Those never scanned have no components. Malware is what
	// is rejected or quarantined, for reason "malware" or with a scan that found
	// it infected.
	EachInventory(ctx context.Context) iter.Seq2[StoredInventory, error]
}

// SafetyTx is the part of a [Tx] that a [SafetyStore] needs. Where an artifact is
// named by an ID that is none, changes give ErrArtifactNotFound.
//
// A finding of an artifact is open unless an active decision about the artifact,
// RulingAccepted or RulingNotAffected, names its ID. Listings follow at once.
type SafetyTx interface {
	// SetStatus changes an artifact's status, everywhere where it stands. It does
	// not change where the artifact is published. A detail may quote any text, as
	// a Scan may.
	SetStatus(id int64, status Status, reason, detail string) error
	// SetFilename notes that the artifact's file has another key in storage.
	SetFilename(id int64, filename string) error
	// PutScan records s in place of what was known. Its Counts, KEV and EPSSMax
	// are kept as they are, also when a decision opens or settles findings later:
	// whoever decides puts the scan again. A severity that is none, an ID that is
	// empty or longer than 200 bytes, and a number that is none give ErrInvalid.
	PutScan(id int64, s Scan) error
	// Scan returns what is known of an artifact, the zero Scan when nothing is.
	Scan(id int64) (Scan, error)
	// PutDecision adds a decision, or replaces the one of its ID. A ruling that is
	// none, and the ID of a decision about another version or architecture, give
	// ErrInvalid.
	PutDecision(d Decision) error
	// Decisions returns all decisions about a version in an architecture, newest
	// first.
	Decisions(key Key) ([]Decision, error)
	// SetTargets notes where an artifact that is not published is to be published
	// once it may be, and whether it was promoted there; none when the list is
	// empty. PublishedAt counts for nothing. Deleting the artifact, or a distribution, forgets it.
	// ErrUnknownDistribution.
	SetTargets(id int64, targets []Publication) error
	// Targets returns what SetTargets noted, by distribution, then component.
	Targets(id int64) ([]Publication, error)
}

// A StoredInventory is what a match of an artifact needs.
type StoredInventory struct {
	Artifact   Artifact // with Publications
	Targets    []Publication
	Official   bool
	Components []scan.Component
	// DataGeneration is that of the last match.
	DataGeneration int64
}

// A VulnerabilityQuery selects open findings of artifacts that are neither
// rejected nor quarantined; empty fields select everything. A vulnerability is
// listed when one of its findings is selected, and with those that are.
type VulnerabilityQuery struct {
	// Severities selects vulnerabilities by the highest severity among the
	// findings that the other fields select.
	Severities   []scan.Severity
	FixState     scan.FixState
	Distribution string // artifacts published there
	KEV          *bool
	Q            string // part of the ID or of the artifact's name, in any case
	Page         int    // from 1; default 1
	PerPage      int    // default 50
}

// A VulnerabilityPage lists vulnerabilities by severity, KEV and CVSS, the
// highest first, then by ID.
type VulnerabilityPage struct {
	Items []VulnerabilityRow
	Total int
	// Summary counts distinct IDs, as the query selects them without regard to
	// Severities.
	Summary SeverityCounts
	// Scanned and Unscanned count artifacts that are neither rejected nor
	// quarantined, in the query's distribution if it names one: those whose last
	// match was covered, and the others.
	Scanned, Unscanned int
}

// A VulnerabilityRow is a vulnerability and what has it. Finding is the worst of
// those selected, by severity, KEV and CVSS; of equal ones that of the artifact
// which Affected has first.
type VulnerabilityRow struct {
	Finding  scan.Finding
	Affected []AffectedArtifact // by name, version (newest first), architecture
}

// An AffectedArtifact has a vulnerability. FixedVersion is that of its worst
// finding, if it has several of the ID.
type AffectedArtifact struct {
	Name, Version, Arch string
	Distributions       []string // where it is published
	Status              Status
	FixedVersion        string
}

// A PostureQuery selects artifacts; empty fields select everything.
type PostureQuery struct {
	Distribution string // published there, or to be published there
	Status       Status
	// Queue selects those that wait for somebody: PendingReview, and Rejected
	// for reason "cve" without any decision since it was uploaded. The order is
	// then: rejected ones first, then those uploaded longest ago.
	Queue   bool
	Page    int // from 1; default 1
	PerPage int // default 50
}

// A PosturePage lists artifacts, by default the worst first: by the worst
// severity that their Counts have, KEV, EPSSMax; then those whose last match was
// not covered; then the others; then by name, version (newest first),
// architecture.
type PosturePage struct {
	Items []PostureRow
	Total int
	// Sums over all that the query selects.
	Counts             SeverityCounts
	Scanned, Unscanned int // those whose last match was covered, and the others
	Blocked            int // Rejected ones
}

// A PostureRow is an artifact and what is known of its safety.
type PostureRow struct {
	Artifact Artifact
	Targets  []Publication
	Scan     ScanSummary
	// Decision is the active one made last, nil when there is none.
	Decision *Decision
}
