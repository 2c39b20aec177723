package aptrepo

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/index"
	"github.com/repod-io/repod/scan"
)

// A Repo is an APT repository: a storage for files, a store for what is
// known about them, and the rules between. Fill in Storage and Store and use
// it; the other fields have defaults. Fields must not change after the first
// call of a method. All methods are safe for concurrent use, also by several
// processes on the same Store and Storage.
type Repo struct {
	Storage storage.Backend
	Store   Store

	// Signer signs the repository. Nil: keys are generated and kept in the
	// Store, see GenerateKey.
	Signer index.Signer
	// SecretKey, 32 bytes, seals the signing keys kept in the Store. Nil: they
	// are kept as they are, and the Store must be guarded like a private key.
	SecretKey []byte
	// KeyOverlap is how long a replaced key goes on signing. Default 90 days.
	KeyOverlap time.Duration
	// ValidFor, when positive, adds Valid-Until to Release files, this long
	// after their Date. Run renews them in time.
	ValidFor time.Duration
	// Signing, when set, is asked for KeyOverlap and ValidFor whenever they are
	// needed, instead of these fields, which must not change. A KeyOverlap of 0
	// then means none. See Resign.
	Signing func() SigningTimes
	// KeepGenerations is how long the index files of a superseded generation
	// can still be fetched by hash, and files of deleted packages from the
	// pool. Default and minimum 24 hours.
	KeepGenerations time.Duration
	// Limits bounds what a package may unpack to; zero fields have the
	// defaults of package deb.
	Limits deb.Limits
	// Materialise also writes the whole index files into Storage after each
	// publication, so that a plain web server can serve the folders dists and
	// pool of Storage as they are; nothing else in it is for everybody. Every
	// publication then costs as much as the whole index.
	Materialise bool

	// Scanners look at every package before it is published. None: packages
	// count as not scanned.
	Scanners []scan.Scanner
	// Matcher knows vulnerabilities. Nil: packages count as not scanned for them.
	Matcher scan.Matcher
	// Policy returns what may be published in a distribution. Nil:
	// scan.DefaultPolicy for all.
	Policy func(codename string) scan.Policy
	// Official, when set, reports whether a package of whose origin nothing was
	// said is, byte for byte, its vendor's own.
	Official func(ctx context.Context, a *Artifact) (bool, error)
	// ScanTimeout bounds the scan of one package; its end is a failure of the
	// scanner. 0: two minutes.
	ScanTimeout time.Duration

	// Keyring, when set, returns the name of a package with the repository's public
	// keys that Run keeps published, such as "acme-archive-keyring"; "": none is.
	// Nobody else can publish packages of that name then. See PublishKeyring.
	Keyring func() string

	// Offers reports whether a distribution may list offers, see Repo.Offer: a
	// package that is published then takes the place of its offer. Nil: none may.
	Offers func(codename string) bool

	// Bills, when set, says whether Run publishes the bills of materials of all
	// distributions, and with what fields of a BillQuery; see PublishBills.
	Bills func() (q BillQuery, publish bool)

	// OnEvent, when set, is called after each change that took effect, on the
	// goroutine that made it. It must not block for long. Events of a program
	// that is killed in between are lost; see Messages for those that must not be.
	OnEvent func(ctx context.Context, e Event)
	// Messages, when set, returns what is to be done about an event: messages
	// that go into the Store's outbox in the transaction of the change, whose
	// Topic and Payload count. A package jobs.Relay makes jobs of them. It is
	// called in that transaction: it must not block, nor use the Repo.
	Messages func(e Event) []Message
	// Observer measures. Nil: nobody does.
	Observer Observer
	// Logger gets what a human should know. Nil: slog.Default().
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time

	start sync.Once
	state *state
}

// SigningTimes are the settings of signatures that may change.
type SigningTimes struct {
	KeyOverlap time.Duration
	ValidFor   time.Duration
}

// PublishOptions says where a package goes.
type PublishOptions struct {
	Distribution string
	Component    string // default "main"
	// Origin is where the package comes from: OriginUpload (the default) or
	// OriginImport, with the ID of the import source.
	Origin   string
	SourceID string
	// Official tells that the package is, byte for byte, its vendor's own.
	Official bool
	// Ordinary refuses packages that every system must have or cannot remove,
	// with ErrBasePackage: who may upload may not therefore replace those.
	Ordinary bool
	// Group labels the artifact, see [Repo.Groups]; "" leaves its label.
	Group string
	// Check, when set, is asked about the package once it has been read, before
	// anything is stored. Its error refuses the package and is returned as it is.
	Check func(p *deb.Package) error
}

// Origins of artifacts.
const (
	OriginUpload = "upload"
	OriginImport = "import"
)

// A Published is the outcome of Publish.
type Published struct {
	Artifact     Artifact
	Distribution string
	Component    string
	// New is false when exactly this file lay there already.
	New      bool
	Scan     ScanSummary
	Warnings []Warning
}

// A Warning is something an uploader should know about an accepted package.
type Warning struct {
	Code    string // "missing_dependencies", "missing_section", "missing_priority", "not_scanned"
	Message string
}

// A Selection names artifacts: one version of a package, all architectures
// when Arch is empty.
type Selection struct {
	Name    string
	Version string
	Arch    string
}

// Outcome says what became of one artifact in Promote and Migrate.
type Outcome string

// The outcomes of Promote and Migrate.
const (
	Copied             Outcome = "copied"
	AlreadyPresent     Outcome = "already_present"
	OutcomeArch        Outcome = "unsupported_architecture" // target does not take it
	OutcomeNoComponent Outcome = "unknown_component"        // target has no such component
	OutcomeBlocked     Outcome = "blocked_by_policy"        // of the target
)

// A Move is the outcome of Promote or Migrate for one publication.
type Move struct {
	Artifact  Artifact
	Component string // in the target
	Outcome   Outcome
}

// PromoteOptions names what Promote copies, and where.
type PromoteOptions struct {
	Selection
	From, To  string
	Component string // in the target; default: the one it has in From
}

// MigrateOptions names what Migrate copies, and where.
type MigrateOptions struct {
	From, To     string
	Names        []string // nil = all
	RemoveSource bool     // what was copied or present leaves From
}

// A Migration is the outcome of Migrate.
type Migration struct {
	Moves   []Move
	Missing []string // names that are not in From
}

// UnpublishOptions names what Unpublish takes out of a distribution.
type UnpublishOptions struct {
	Selection
	Distribution string
	Component    string // "" = all
}

// DeleteOptions names what Delete removes.
type DeleteOptions struct {
	Selection
	// Forget frees the key: other bytes may take it afterwards.
	Forget bool
}

// A File is an open file of the APT tree. Close it.
type File struct {
	io.ReadSeekCloser
	Size    int64
	ModTime time.Time // whole seconds, UTC
	// ETag is an entity tag (RFC 9110, with quotes), or "".
	ETag string
	// Immutable says that this path will never have other contents.
	Immutable bool
	// Exact says that ModTime tells these contents from all earlier ones of
	// this path: only then may If-Modified-Since be answered with 304.
	Exact bool
}
