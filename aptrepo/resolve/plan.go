package resolve

import "errors"

// Errors of Resolve, wrapped with what they regard.
var (
	// ErrPackageNotFound: no offer has the asked-for name and architecture.
	ErrPackageNotFound = errors.New("package not found")
	// ErrVersionNotFound: there are offers, but not of that version.
	ErrVersionNotFound = errors.New("version not found")
	// ErrTooLarge: the plan, or the search for it, has grown beyond its limits.
	ErrTooLarge = errors.New("dependency closure too large")
)

// A Status says what is to be done about an Item.
type Status string

// The statuses of items.
const (
	Present    Status = "present"    // the target has it
	Import     Status = "import"     // it has to be fetched from its source
	Unresolved Status = "unresolved" // neither the target nor an offer meets the relation
)

// A Relation is the field by which one package requires another.
type Relation string

// The relations that Resolve follows.
const (
	Depends    Relation = "depends"
	PreDepends Relation = "pre_depends"
)

// A Plan says what makes a package installable. It is not empty.
type Plan struct {
	// Items are in breadth-first order, the asked-for package first. Each
	// package, and each relation that cannot be met, occurs once.
	Items []Item
	// Conflicts are the pairs of packages in the plan, present ones too, that
	// cannot be installed together. They are in the order of the items and, for a
	// plan that is one great quarrel, no more than MaxConflicts.
	Conflicts []Conflict

	// Numbers of items by status.
	Present    int
	Import     int
	Unresolved int
	// DownloadBytes is the sum of the sizes of the packages to import.
	DownloadBytes int64
}

// An Item is a package of the plan, or a relation that nothing meets.
type Item struct {
	// Package is the published one if the Status is Present, the offer if it is
	// Import, and nil if it is Unresolved.
	Package *Package
	// Name is the package's, or that of the first alternative of an unresolved
	// relation.
	Name   string
	Status Status

	// RequiredBy is the name of the first package in the plan that required this
	// one, Relation how, and Dependency all alternatives, as in "exim4 | mta (>=
	// 2)". They are empty for the asked-for package.
	RequiredBy string
	Relation   Relation
	Dependency string
	// Constraint is the version condition of the alternative that the package
	// meets, such as ">= 2.28", or of the first one if none is met.
	Constraint string
	// Provides is the name that the package stands for by its Provides field, or "".
	Provides string

	// Reason says to people why it is this package and version, or why none.
	Reason string
}

// MaxConflicts bounds Plan.Conflicts.
const MaxConflicts = 1000

// A ConflictKind says why two packages exclude each other.
type ConflictKind string

// The kinds of conflicts.
const (
	Conflicts ConflictKind = "conflicts" // by a Conflicts field (Policy 7.4)
	Breaks    ConflictKind = "breaks"    // by a Breaks field (Policy 7.3)
	// SameName: two packages of one name, of which a machine holds one, or one
	// version of several architectures (Multi-Arch: same).
	SameName ConflictKind = "same_name"
)

// A Conflict is a pair of packages that a repository can hold but that cannot be
// installed together.
type Conflict struct {
	Package  *Package // whose field it is, or the later one in the plan
	With     *Package
	Kind     ConflictKind
	Relation string // the element of the field, such as "mta" or "foo (<< 2)"; "" for SameName
}

// String tells of the conflict in a sentence without a full stop.
func (c Conflict) String() string {
	a, b := c.Package.title(), c.With.title()
	switch c.Kind {
	case Breaks:
		return a + " breaks " + b + ": " + c.Relation
	case SameName:
		return a + " and " + b + " cannot be installed together"
	}
	return a + " conflicts with " + b + ": " + c.Relation
}

// title names a package for people.
func (p *Package) title() string {
	return p.Name + " " + p.Version.String()
}
