package aptrepo

import (
	"context"
	"iter"
	"time"
)

// A Store keeps what a repository knows: distributions, artifacts, where
// they are published, the log of changes, generations, signing keys and the
// audit log. Package sqlstore implements it on SQLite and PostgreSQL;
// package storetest checks an implementation.
//
// All methods are safe for concurrent use. What a method returns belongs to
// the caller. An error that is not named here means that the Store could not
// be reached or failed; it matches [ErrUnavailable] when trying again may help.
type Store interface {
	// Update runs fn in one serializable transaction: every call of fn on tx
	// takes effect, durably, when Update returns nil, and none when it returns
	// an error. An error of fn is returned as it is and takes nothing with it
	// but fn's own changes. fn runs at most once, perhaps on another goroutine
	// and in one commit with other callers' functions; it must not block, do
	// I/O other than through tx, or use tx after it returned. A Store may have
	// committed when it reports ErrUnavailable: callers find out by reading.
	Update(ctx context.Context, fn func(tx Tx) error) error

	// Distributions returns all, by codename.
	Distributions(ctx context.Context) ([]Distribution, error)
	// Distribution returns one or ErrUnknownDistribution.
	Distribution(ctx context.Context, codename string) (Distribution, error)

	// Artifacts returns everything known under a package name: newest version
	// first, then by architecture. An unknown name gives an empty slice.
	Artifacts(ctx context.Context, name string) ([]Artifact, error)
	// Artifact returns one or ErrArtifactNotFound.
	Artifact(ctx context.Context, key Key) (Artifact, error)
	// EachArtifact yields every artifact by ID, for checks and rebuilds,
	// without holding a transaction open between yields longer than needed.
	EachArtifact(ctx context.Context) iter.Seq2[Artifact, error]
	// EachPublished yields every publication in a distribution, by artifact
	// ID, then component.
	EachPublished(ctx context.Context, codename string) iter.Seq2[PublishedArtifact, error]

	// EachPublishedVersion yields the publications in a distribution by name,
	// then version (newest first), architecture and component, without holding
	// a transaction open between yields longer than needed. Those of one name
	// are of one state. A missing distribution has none.
	EachPublishedVersion(ctx context.Context, codename string) iter.Seq2[PublishedVersion, error]

	// PackageRows lists package names; ArtifactRows their artifacts.
	PackageRows(ctx context.Context, q PackageQuery) (Page[PackageRow], error)
	ArtifactRows(ctx context.Context, q PackageQuery) (Page[Artifact], error)
	// PublishedRows lists a distribution's publications by name, version
	// (newest first), architecture, component. ErrUnknownDistribution.
	PublishedRows(ctx context.Context, q PublishedQuery) (Page[PublishedArtifact], error)
	// Providers returns the artifacts published in a distribution (in any one
	// when codename is "") that bear one of names or provide it, newest
	// version first within each name.
	Providers(ctx context.Context, codename string, names []string) ([]Artifact, error)

	// Groups returns all groups by name, with their artifacts by name, version
	// (newest first) and architecture.
	Groups(ctx context.Context) ([]Group, error)

	// Changes returns up to limit changes of a distribution with Seq > after,
	// by Seq. A later call may not return a change with a Seq below one that
	// an earlier call returned.
	Changes(ctx context.Context, codename string, after int64, limit int) ([]Change, error)
	// Heads returns for every distribution the number of its current
	// generation (0 before the first) and the Seq of its latest change.
	Heads(ctx context.Context) (map[string]Head, error)
	// Generation returns the current generation, or the zero Generation
	// before the first. ErrUnknownDistribution.
	Generation(ctx context.Context, codename string) (Generation, error)
	// AdvanceGeneration makes g current, in a transaction of its own, and notes
	// g.PublishedAt as the distribution's LastPublishedAt. g.Number must be the
	// current number plus one, else ErrStale and nothing changes. Everybody who
	// has published something waits for it: a Store that makes updates queue
	// should let it go first. ErrUnknownDistribution.
	AdvanceGeneration(ctx context.Context, g Generation) error
	// GenerationByHash returns the newest kept generation with an index file
	// of that SHA-256, or ErrGenerationNotFound.
	GenerationByHash(ctx context.Context, codename, sha256 string) (Generation, error)
	// Generations returns all kept generations of a distribution, oldest first.
	Generations(ctx context.Context, codename string) ([]Generation, error)

	// DueRemovals returns up to limit files whose removal is due at now.
	DueRemovals(ctx context.Context, now time.Time, limit int) ([]string, error)

	// SigningKeys returns all keys, newest first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// Outbox returns up to limit messages, oldest first.
	Outbox(ctx context.Context, limit int) ([]Message, error)
	// AuditEntries returns up to limit entries with ID > after, by ID.
	AuditEntries(ctx context.Context, after int64, limit int) ([]AuditEntry, error)
	// AuditPage returns a page of the entries that q selects.
	AuditPage(ctx context.Context, q AuditQuery) (Page[AuditEntry], error)
	// AuditHead returns the end of the audit log, kept apart from its entries.
	AuditHead(ctx context.Context) (AuditHead, error)
	// AuditAnchor returns the last entry that Tx.RemoveAudit removed, the zero
	// AuditHead while all are there.
	AuditAnchor(ctx context.Context) (AuditHead, error)

	SafetyStore
	BillStore
	DownloadStore
	OverviewStore

	// Ping reports whether the Store answers.
	Ping(ctx context.Context) error
}

// A Tx is a transaction of a Store. Its reads see its own changes.
type Tx interface {
	// InsertDistribution adds d and reports whether its codename was free.
	InsertDistribution(d Distribution) (bool, error)
	// Distribution returns one or ErrUnknownDistribution.
	Distribution(codename string) (Distribution, error)

	// Artifact returns one or ErrArtifactNotFound.
	Artifact(key Key) (Artifact, error)
	// Versions returns the artifacts of one version of a name, by
	// architecture; version may be spelled in any way.
	Versions(name, version string) ([]Artifact, error)
	// Known reports whether any artifact bears that name.
	Known(name string) (bool, error)
	// PublishedIn returns the artifacts published in a distribution, by name,
	// version and architecture: those bearing one of names, or all when names
	// is nil. A missing distribution has none.
	PublishedIn(codename string, names []string) ([]Artifact, error)
	// PublishedVersions returns the publications in a distribution of packages
	// that bear one of names, in the order of EachPublishedVersion.
	PublishedVersions(codename string, names []string) ([]PublishedVersion, error)
	// FilenameTaken reports whether an artifact has that Filename.
	FilenameTaken(filename string) (bool, error)
	// InsertArtifact adds a and sets its ID. Its Publications are ignored. A
	// taken key gives ErrConflict.
	InsertArtifact(a *Artifact) error
	// DeleteArtifact removes an artifact that is published nowhere.
	DeleteArtifact(id int64) error

	// AddPublication publishes an artifact in a component of a distribution,
	// appends the change and returns its Seq. When it was published there
	// already, nothing changes, added is false and seq is that of the
	// distribution's latest change; p.Promoted is noted all the same.
	// ErrUnknownDistribution.
	AddPublication(id int64, p Publication) (seq int64, added bool, err error)
	// RemovePublication undoes AddPublication and returns the change's Seq;
	// removed is false when there was nothing to undo.
	RemovePublication(id int64, codename, component string) (seq int64, removed bool, err error)

	// Tombstone returns the tombstone of key or ErrArtifactNotFound.
	Tombstone(key Key) (Tombstone, error)
	// PutTombstone records or replaces one; DeleteTombstone forgets it.
	PutTombstone(t Tombstone) error
	DeleteTombstone(key Key) error

	// PutGroup adds a group unless there is one of its name.
	PutGroup(g Group) error
	// SetGroup puts an artifact into a group, or into none when name is "".
	SetGroup(id int64, name string) error
	// DeleteGroup deletes a group, and returns its artifacts as they were. They
	// are in no group then. ErrGroupNotFound.
	DeleteGroup(name string) ([]Artifact, error)

	// ScheduleRemoval notes that a file in storage may go at a time.
	// CancelRemoval takes that back and reports whether it was noted.
	ScheduleRemoval(filename string, at time.Time) error
	CancelRemoval(filename string) (bool, error)

	// DeleteGenerations forgets the generations of a distribution that are
	// not current and were superseded before a time, and the changes that the
	// current one contains; it returns those it forgot.
	DeleteGenerations(codename string, before time.Time) ([]Generation, error)

	// RaiseGeneration gives the current generation of a distribution a higher
	// number and a later Date, because storage shows that the Store is behind what
	// was published. What is higher already stays, and so does a distribution
	// without a generation. ErrUnknownDistribution.
	RaiseGeneration(codename string, number int64, date time.Time) error

	// SigningKeys returns all keys, newest first.
	SigningKeys() ([]SigningKey, error)
	// PutSigningKey adds a key or replaces the one of that fingerprint.
	PutSigningKey(k SigningKey) error

	// Enqueue puts a message into the outbox; the Store sets its ID.
	// DeleteMessages takes messages out; some may be gone.
	Enqueue(m Message) error
	DeleteMessages(ids []int64) error

	// Note records that something was told of at a time, by a name for it, and
	// reports whether that is news: it was not told of after since. What is no
	// news leaves the former note. ForgetNote deletes a note; there may be none.
	Note(name string, at, since time.Time) (news bool, err error)
	ForgetNote(name string) error

	SafetyTx
	BillTx

	// Audit appends an entry: the Store sets ID and Hash, which chains it to
	// its predecessor as [AuditEntry.Chain] says.
	Audit(e AuditEntry) error
	// RemoveAudit removes the oldest entries up to the one that anchor names,
	// whose ID and Hash the Store keeps, signed by [AuditHead.SignAnchor], for
	// the next entry to build on. It returns how many there were. An anchor that
	// is no entry gives ErrStale, and nothing changes.
	RemoveAudit(anchor AuditHead) (int, error)
}

// A Message is work to be done after a transaction, which wrote it: it is done
// at least once, and never for a transaction that failed. It holds no secrets.
type Message struct {
	ID        int64 // ascending in the order of commits, set by the Store
	Topic     string
	Payload   []byte // JSON, as the topic wants it
	CreatedAt time.Time
}

// A Head is the state of a distribution's log.
type Head struct {
	Generation int64
	AppliedSeq int64 // of that generation
	LastSeq    int64 // of the latest change
}

// A PublishedArtifact is an artifact seen at one of its publications.
type PublishedArtifact struct {
	Artifact
	Publication Publication
}

// A PublishedVersion is what retention looks at of a publication.
type PublishedVersion struct {
	ID           int64 // of the artifact
	Name         string
	Version      string
	Arch         string
	Size         int64 // bytes
	Publication  Publication
	Publications int // of the artifact, in all distributions and components
}

// Sort orders package listings.
type Sort string

// The orders of package listings; ties are broken by name, version in dpkg
// order (newest first) and architecture.
const (
	SortName         Sort = "name"
	SortNameDesc     Sort = "-name"
	SortUploaded     Sort = "uploaded_at"
	SortUploadedDesc Sort = "-uploaded_at"
	SortSize         Sort = "size_bytes"
	SortSizeDesc     Sort = "-size_bytes"
)

// A PackageQuery selects artifacts; empty fields select everything.
type PackageQuery struct {
	Q            string // substring of name or description, case-insensitive, no wildcards
	Distribution string // published there
	Arch         string
	Status       Status
	Section      string
	Sort         Sort // default SortName
	Page         int  // from 1; default 1
	PerPage      int  // default 50
}

// A PublishedQuery selects publications of one distribution.
type PublishedQuery struct {
	Distribution string
	Q            string // substring of name or description, case-insensitive
	Arch         string
	Component    string
	Page         int
	PerPage      int
}

// An AuditQuery selects audit entries; empty fields select everything. User,
// Action, Result and Package are compared whole, Q is a part of user, package,
// target or detail; all of them regardless of the case of ASCII letters.
type AuditQuery struct {
	User, Action, Result, Package, Q string

	Start time.Time // not before
	End   time.Time // before
	// Oldest puts the oldest entry first; by default the newest is.
	Oldest  bool
	Page    int // from 1; default 1
	PerPage int // default 50

	// Behind, for reading on: only entries that come after the one with this ID
	// in the order asked for. NoTotal spares counting: Page.Total is 0.
	Behind  int64
	NoTotal bool
}

// A Page is one page of a listing and the size of the whole.
type Page[T any] struct {
	Items []T
	Total int
}

// A PackageRow sums up the artifacts of one name that match a query.
type PackageRow struct {
	Name          string
	Versions      []string // newest first
	Architectures []string // by name
	Distributions []string // by codename
	// Latest is the newest published version (the newest of all when none is
	// published), amd64 first, else the first architecture by name.
	Latest Artifact
}
