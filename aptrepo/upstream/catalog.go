package upstream

import (
	"context"
	"errors"
	"iter"
	"time"
)

// ErrSuperseded is what a Catalog returns when another sync of the same source
// has ended since this one began.
var ErrSuperseded = errors.New("another sync of this source was faster")

// A Package is a binary package that a source offers, as the source's signed
// index describes it.
type Package struct {
	SourceID  string
	Component string
	// Name, Version and Arch are those of the stanza; Arch is the package's
	// own, "all" too.
	Name    string
	Version string
	Arch    string

	SourceName    string // source package; Name when the stanza names none
	SourceVersion string
	Section       string
	Priority      string
	Essential     bool
	MultiArch     string // "", "same", "foreign" or "allowed"
	InstalledSize int64  // KiB
	Synopsis      string // first line of the description

	// Relationship fields, as the stanza has them (Policy 7).
	PreDepends string
	Depends    string
	Provides   string
	Conflicts  string
	Breaks     string
	Replaces   string

	Filename string // relative to the source's URL, in simplest form
	Size     int64  // bytes
	SHA256   string // lower-case hexadecimal
}

// A Status says how the last sync of a source went.
type Status string

// The statuses of sources.
const (
	Never Status = "never" // nobody has tried yet
	OK    Status = "ok"
	Error Status = "error" // what was fetched before is still there
)

// A State is what is known of one source: how its syncs went, and what later
// ones are held against.
type State struct {
	SourceID string
	Status   Status
	// LastAttempt and LastSync are the ends of the last sync and of the last
	// one that succeeded. Times are UTC, in whole seconds.
	LastAttempt time.Time
	LastSync    time.Time
	Code        string // of the last failure, "" after a success
	Reason      string // with Code "upstream_rejected"
	Detail      string

	// Generation counts the replacements of the source's packages.
	Generation   int64
	PackageCount int64
	// Memo is what the syncer needs to know of the last success, JSON that
	// only it reads.
	Memo []byte
}

// A Catalog keeps what sources offer, for searches and resolution. Package
// sqlstore implements it on SQLite and PostgreSQL.
//
// All methods are safe for concurrent use, also by several servers. A reader
// sees the packages of a source as one sync left them, never a mixture.
type Catalog interface {
	// SourceStates returns the state of every source that there ever was an
	// attempt to sync, by ID.
	SourceStates(ctx context.Context) ([]State, error)
	// SaveState records how an attempt ended that changed no packages.
	// Generation and PackageCount of s are ignored.
	SaveState(ctx context.Context, s State) error
	// ReplacePackages makes packages those of source s.SourceID, in place of
	// all it had, and records s, whose PackageCount is counted anew. What did
	// not change is not written again. Either all takes effect or, on an error,
	// which may come from packages, nothing. s.Generation is the one that the
	// caller has read; if it is not the present one the error is
	// ErrSuperseded. packages has each (Name, Version, Arch, Component) once;
	// it may be ranged over twice.
	ReplacePackages(ctx context.Context, s State, packages iter.Seq2[Package, error]) (Replaced, error)
	// ForgetSource drops a source's state and packages. An unknown one is no
	// error.
	ForgetSource(ctx context.Context, id string) error

	// SearchPackages returns what q finds, best first.
	SearchPackages(ctx context.Context, q Query) ([]Found, error)
	// Offers returns all packages of the sources that have one of the names or
	// provide it.
	Offers(ctx context.Context, sources, names []string) ([]Package, error)
}

// Replaced counts what ReplacePackages did.
type Replaced struct {
	Added   int
	Removed int // a package that changed counts as added and as removed
	Kept    int
}

// A Query looks for packages.
type Query struct {
	// Q is a part of the name or of the synopsis, in any case, without
	// wildcards.
	Q       string
	Sources []string // IDs; only these
	Arch    string   // "": any; else this one and all
	Limit   int      // at most so many
}

// Found is a package that a search found: the newest version (in dpkg's order)
// of its name, architecture and source. Those whose name is Q come first, then
// those whose name begins with it, those whose name has it, and those whose
// synopsis has it; then by name (first without regard to case), newer versions,
// architecture and source.
type Found struct {
	Package
	SyncedAt time.Time // LastSync of its source
}
