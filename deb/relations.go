package deb

import (
	"fmt"
	"strings"
)

// Bounds on a relationship field. The longest in Debian has about 40 KiB and
// 2,000 entries (texlive's source package).
const (
	MaxRelationsLength = 256 << 10 // bytes of a field
	MaxRelations       = 16384     // dependencies in a field
)

// Relations is the value of a relationship field (Debian Policy 7): every
// element must be met.
type Relations []Alternatives

// Alternatives are dependencies of which one must be met.
type Alternatives []Dependency

// An Operator relates a version to that of a dependency.
type Operator string

// The operators of Policy 7.1, and the lack of one.
const (
	AnyVersion     Operator = ""
	Earlier        Operator = "<<"
	EarlierOrEqual Operator = "<="
	Exactly        Operator = "="
	LaterOrEqual   Operator = ">="
	Later          Operator = ">>"
)

// Holds reports whether "v operator w" is true. AnyVersion always holds.
func (op Operator) Holds(v, w Version) bool {
	c := v.Compare(w)
	switch op {
	case AnyVersion:
		return true
	case Earlier:
		return c < 0
	case EarlierOrEqual:
		return c <= 0
	case Exactly:
		return c == 0
	case LaterOrEqual:
		return c >= 0
	case Later:
		return c > 0
	}
	return false
}

// A Dependency is one package name with its conditions:
//
//	name:qualifier (operator version) [architectures] <profiles> <profiles>
type Dependency struct {
	Name string
	// Qualifier is what follows the colon after the name: "any", "native", an
	// architecture, or "".
	Qualifier string
	Operator  Operator
	Version   Version // zero when Operator is AnyVersion
	// Architectures is the list in brackets, in source packages only
	// (Policy 7.1). Either all or none of its terms are negated.
	Architectures []Term
	// Profiles are build profiles (deb-src-control(5)): a dependency counts if
	// all the terms of one of the lists are met.
	Profiles [][]Term
}

// A Term is an element of an architecture or profile list: a name, or the
// negation of one ("!i386").
type Term struct {
	Not  bool
	Name string
}

// String returns the term as it is written.
func (t Term) String() string {
	if t.Not {
		return "!" + t.Name
	}
	return t.Name
}

// Constraint returns the version condition, such as ">= 2.34", or "".
func (d Dependency) Constraint() string {
	if d.Operator == AnyVersion {
		return ""
	}
	return string(d.Operator) + " " + d.Version.String()
}

// SatisfiedBy reports whether a real package of that name and version meets
// the dependency. It regards name and version alone: whether the qualifier,
// architecture and profile lists allow it depends on where the package would
// be installed or built, see AppliesTo.
func (d Dependency) SatisfiedBy(name string, v Version) bool {
	return d.Name == name && d.Operator.Holds(v, d.Version)
}

// SatisfiedByProvides reports whether an element of another package's Provides
// field meets the dependency (Policy 7.5). A dependency with a version is met
// only by a provision with a version, whatever the providing package's own; a
// dependency without one is met by either.
func (d Dependency) SatisfiedByProvides(p Dependency) bool {
	if d.Name != p.Name {
		return false
	}
	if d.Operator == AnyVersion {
		return true
	}
	return p.Operator == Exactly && d.Operator.Holds(p.Version, d.Version)
}

// AppliesTo reports whether the dependency counts on an architecture with a
// set of active build profiles. Without lists it always does.
func (d Dependency) AppliesTo(arch string, profiles ...string) bool {
	return d.appliesToArchitecture(arch) && d.appliesToProfiles(profiles)
}

func (d Dependency) appliesToArchitecture(arch string) bool {
	if len(d.Architectures) == 0 {
		return true
	}
	for _, t := range d.Architectures {
		if ArchitectureMatches(arch, t.Name) {
			return !t.Not
		}
	}
	return d.Architectures[0].Not
}

func (d Dependency) appliesToProfiles(active []string) bool {
	if len(d.Profiles) == 0 {
		return true
	}
	for _, list := range d.Profiles {
		met := true
		for _, t := range list {
			if contains(active, t.Name) == t.Not {
				met = false
				break
			}
		}
		if met {
			return true
		}
	}
	return false
}

func contains(words []string, s string) bool {
	for _, w := range words {
		if w == s {
			return true
		}
	}
	return false
}

// String returns the dependency in canonical spelling.
func (d Dependency) String() string {
	var b strings.Builder
	d.write(&b)
	return b.String()
}

func (d Dependency) write(b *strings.Builder) {
	b.WriteString(d.Name)
	if d.Qualifier != "" {
		b.WriteByte(':')
		b.WriteString(d.Qualifier)
	}
	if c := d.Constraint(); c != "" {
		b.WriteString(" (")
		b.WriteString(c)
		b.WriteByte(')')
	}
	if len(d.Architectures) > 0 {
		writeTerms(b, " [", d.Architectures, ']')
	}
	for _, list := range d.Profiles {
		writeTerms(b, " <", list, '>')
	}
}

func writeTerms(b *strings.Builder, open string, terms []Term, end byte) {
	b.WriteString(open)
	for i, t := range terms {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.String())
	}
	b.WriteByte(end)
}

// String returns the alternatives, separated by " | ".
func (a Alternatives) String() string {
	var b strings.Builder
	a.write(&b)
	return b.String()
}

func (a Alternatives) write(b *strings.Builder) {
	for i, d := range a {
		if i > 0 {
			b.WriteString(" | ")
		}
		d.write(b)
	}
}

// String returns the relations on one line, in canonical spelling: ParseRelations
// reads it back as the same value.
func (r Relations) String() string {
	var b strings.Builder
	for i, a := range r {
		if i > 0 {
			b.WriteString(", ")
		}
		a.write(&b)
	}
	return b.String()
}

// relationFields are the relationship fields of a binary package and what
// dpkg allows in them.
var relationFields = []struct {
	name         string
	alternatives bool
	exact        bool // operators other than "=" are refused
	needVersion  bool
}{
	{name: "Pre-Depends", alternatives: true},
	{name: "Depends", alternatives: true},
	{name: "Recommends", alternatives: true},
	{name: "Suggests", alternatives: true},
	{name: "Enhances"},
	{name: "Breaks"},
	{name: "Conflicts"},
	{name: "Replaces"},
	{name: "Provides", exact: true},
	{name: "Built-Using", exact: true, needVersion: true},
	{name: "Static-Built-Using", exact: true, needVersion: true},
}

// ParseBinaryRelations reads the relationship field of a binary package under
// the rules for that field: lists of architectures and profiles are refused
// everywhere, alternatives outside Pre-Depends, Depends, Recommends and
// Suggests, and operators other than "=" in Provides and Built-Using.
// Other fields are read as ParseRelations reads them.
func ParseBinaryRelations(field, value string) (Relations, error) {
	rels, err := ParseRelations(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	for _, f := range relationFields {
		if !strings.EqualFold(f.name, field) {
			continue
		}
		for _, alt := range rels {
			if len(alt) > 1 && !f.alternatives {
				return nil, fmt.Errorf("%s: alternatives are not allowed: %s", field, quote(alt.String()))
			}
			for _, d := range alt {
				if err := d.checkBinary(f.exact, f.needVersion); err != nil {
					return nil, fmt.Errorf("%s: %w: %s", field, err, quote(d.String()))
				}
			}
		}
	}
	return rels, nil
}

func (d Dependency) checkBinary(exact, needVersion bool) error {
	switch {
	case len(d.Architectures) > 0 || len(d.Profiles) > 0:
		return fmt.Errorf("architecture and profile lists are for source packages")
	case exact && d.Operator != AnyVersion && d.Operator != Exactly:
		return fmt.Errorf("only exact versions are allowed")
	case needVersion && d.Operator == AnyVersion:
		return fmt.Errorf("the version is missing")
	}
	return nil
}
