package aptrepo

import (
	"context"
	"iter"
	"time"
)

// A Licence is what a package's copyright file says of its licence (Debian Policy
// 12.5). The zero Licence: nothing is known.
type Licence struct {
	// Expression is the licence of the whole package, an SPDX licence expression
	// (SPDX 2.3, Annex D); "" when the file is free text, or nothing is known.
	Expression string
	// Refs are the licences in Expression that SPDX has no name for, by ID.
	Refs []LicenceRef
	// MachineReadable: the file says that it is (DEP-5).
	MachineReadable bool
	SHA256          string // of the file, lower-case hex; "" when none was found
	// In names the package that has the file in this one's place: their
	// documentation lies in one directory. The rest is empty then.
	In string
}

// known reports whether a copyright file was found.
func (l *Licence) known() bool { return l.SHA256 != "" || l.In != "" }

// A LicenceRef is a licence that SPDX has no name for.
type LicenceRef struct {
	ID   string // "LicenseRef-..." in expressions
	Name string // in the copyright file
}

// A BillState tells states of a distribution apart: what a bill of materials says
// of it differs only where they do.
type BillState struct {
	Seq        int64 // of the latest change
	Generation int64 // number of the current one
	Revision   int64 // of what is known of the artifacts published in it
	// At is the latest time at which something was found out, or decided, that
	// Revision counts.
	At time.Time
}

// A Named is a published artifact, as far as relations between packages regard it.
type Named struct {
	Name, Version, Arch string
	MultiArch           string
	Provides            []Provided
}

// A Provided is a name that a package provides.
type Provided struct {
	Name    string
	Version string // "" without one
}

// A Described is an artifact and what a bill of materials says of it.
type Described struct {
	Artifact  Artifact
	Scan      Scan
	Decisions []Decision // active ones, newest first
	// Licence is that of the package which has the copyright file, if that is
	// another one of the same source package and version.
	Licence Licence
}

// BillStore is the part of a [Store] that bills of materials are made from.
type BillStore interface {
	// BillState returns the state of a distribution. ErrUnknownDistribution.
	BillState(ctx context.Context, codename string) (BillState, error)
	// View calls fn with all that is known at one moment, however long fn takes.
	// The error of fn is returned as it is. A View must not be used after fn has
	// returned, nor by several goroutines at once.
	View(ctx context.Context, fn func(v View) error) error
}

// A View is what a Store knows at one moment.
type View interface {
	// Distributions returns all, by codename.
	Distributions() ([]Distribution, error)
	// BillState returns the state of a distribution. ErrUnknownDistribution.
	BillState(codename string) (BillState, error)
	// Named yields what is published in a distribution, by name, version and
	// architecture, each artifact once.
	Named(codename string) iter.Seq2[Named, error]
	// DescribedIn yields what is published in a distribution, by source package,
	// source version (as texts), name, version (in dpkg's order) and
	// architecture, each artifact once; the first limit of them, all if it is 0;
	// of one architecture unless arch is "". It may read ahead.
	DescribedIn(codename, arch string, limit int) iter.Seq2[Described, error]
	// Count returns how many DescribedIn would yield without a limit.
	Count(codename, arch string) (int, error)
	// Described returns artifacts by their IDs, in the order of those. Unknown
	// ones are left out.
	Described(ids []int64) ([]Described, error)
}

// BillTx is the part of a [Tx] that a [BillStore] needs.
type BillTx interface {
	// PutLicence records l in place of what was known of an artifact's licence.
	// ErrArtifactNotFound.
	PutLicence(id int64, l Licence) error
}
