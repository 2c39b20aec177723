package deb

import (
	"errors"
	"fmt"
	"strings"
)

// ParseRelations reads the value of a relationship field of a binary or source
// package: dependencies separated by commas, alternatives by "|". As in dpkg,
// the obsolete operators "<" and ">" mean "<=" and ">=", a version without an
// operator means "=", an empty value means no relations, and an empty element
// is an error. Line breaks count as blanks.
func ParseRelations(value string) (Relations, error) {
	if len(value) > MaxRelationsLength {
		return nil, fmt.Errorf("relations: %w: more than %d bytes", ErrTooLarge, MaxRelationsLength)
	}
	p := relationParser{rest: value}
	var rels Relations
	if p.skipBlanks(); p.rest == "" {
		return rels, nil
	}
	for count := 1; ; count++ {
		alt, err := p.alternatives(&count)
		if err != nil {
			return nil, fmt.Errorf("relation %d: %w", len(rels)+1, err)
		}
		rels = append(rels, alt)
		if p.rest == "" {
			return rels, nil
		}
		p.rest = p.rest[1:]
	}
}

// A relationParser reads from the front of rest.
type relationParser struct {
	rest string
}

// alternatives reads up to a comma or the end.
func (p *relationParser) alternatives(count *int) (Alternatives, error) {
	var alt Alternatives
	for ; ; *count++ {
		if *count > MaxRelations {
			return nil, fmt.Errorf("%w: more than %d dependencies", ErrTooLarge, MaxRelations)
		}
		d, err := p.dependency()
		if err != nil {
			return nil, err
		}
		alt = append(alt, d)
		if p.rest == "" || p.rest[0] == ',' {
			return alt, nil
		}
		if p.rest[0] != '|' {
			return nil, fmt.Errorf("%s follows a dependency", quote(p.rest))
		}
		p.rest = p.rest[1:]
	}
}

func (p *relationParser) dependency() (d Dependency, err error) {
	p.skipBlanks()
	if d.Name = p.name(); d.Name == "" {
		return d, p.unexpected("a package name")
	}
	if strings.HasPrefix(p.rest, ":") {
		p.rest = p.rest[1:]
		d.Qualifier = p.take(func(c byte) bool { return isLower(c) || isDigit(c) || c == '-' })
		if d.Qualifier == "" {
			return d, p.unexpected("an architecture")
		}
	}
	if p.open('(') {
		if d.Operator, d.Version, err = p.constraint(); err != nil {
			return d, fmt.Errorf("%s: %w", d.Name, err)
		}
	}
	if p.open('[') {
		if d.Architectures, err = p.terms(']'); err == nil {
			err = checkArchitectures(d.Architectures)
		}
		if err != nil {
			return d, fmt.Errorf("%s: %w", d.Name, err)
		}
	}
	for p.open('<') {
		list, err := p.terms('>')
		if err != nil {
			return d, fmt.Errorf("%s: %w", d.Name, err)
		}
		d.Profiles = append(d.Profiles, list)
	}
	return d, nil
}

// name reads a package name as liberally as dpkg does: it also lets pass upper
// case and underscores, which some foreign packages depend on.
func (p *relationParser) name() string {
	if p.rest == "" || !isLetter(p.rest[0]) && !isDigit(p.rest[0]) {
		return ""
	}
	return p.take(func(c byte) bool {
		return isLetter(c) || isDigit(c) || c == '+' || c == '-' || c == '.' || c == '_'
	})
}

// constraint reads "operator version)".
func (p *relationParser) constraint() (Operator, Version, error) {
	p.skipBlanks()
	op, err := operator(p.take(func(c byte) bool { return c == '<' || c == '=' || c == '>' }))
	if err != nil {
		return "", Version{}, err
	}
	p.skipBlanks()
	text := p.take(func(c byte) bool { return c != ')' && c != '(' && !isBlank(c) })
	v, err := ParseVersion(text)
	if err != nil {
		return "", Version{}, err
	}
	p.skipBlanks()
	if !strings.HasPrefix(p.rest, ")") {
		return "", Version{}, p.unexpected(`")"`)
	}
	p.rest = p.rest[1:]
	p.skipBlanks()
	return op, v, nil
}

func operator(s string) (Operator, error) {
	switch s {
	case "<":
		return EarlierOrEqual, nil
	case ">":
		return LaterOrEqual, nil
	case "":
		return Exactly, nil
	case "<<", "<=", "=", ">=", ">>":
		return Operator(s), nil
	}
	return "", fmt.Errorf("unknown operator %s", quote(s))
}

// terms reads a list of names, some negated, up to end.
func (p *relationParser) terms(end byte) ([]Term, error) {
	var list []Term
	for {
		p.skipBlanks()
		if p.rest != "" && p.rest[0] == end {
			p.rest = p.rest[1:]
			p.skipBlanks()
			break
		}
		not := strings.HasPrefix(p.rest, "!")
		if not {
			p.rest = p.rest[1:]
		}
		name := p.take(func(c byte) bool { return isLetter(c) || isDigit(c) || c == '-' || c == '.' || c == '+' })
		if name == "" {
			return nil, p.unexpected("a name in a list")
		}
		if p.rest != "" && p.rest[0] != end && !isBlank(p.rest[0]) {
			return nil, p.unexpected(fmt.Sprintf("a blank or %q", end))
		}
		list = append(list, Term{not, name})
	}
	if len(list) == 0 {
		return nil, errors.New("a list is empty")
	}
	return list, nil
}

func checkArchitectures(list []Term) error {
	for _, t := range list {
		if !validRestriction(t.Name) {
			return fmt.Errorf("unknown architecture %s", quote(t.Name))
		}
		if t.Not != list[0].Not {
			return errors.New("an architecture list is negated in part")
		}
	}
	return nil
}

// open reports whether the next character is c, and moves past it.
func (p *relationParser) open(c byte) bool {
	p.skipBlanks()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *relationParser) take(ok func(byte) bool) string {
	n := 0
	for n < len(p.rest) && ok(p.rest[n]) {
		n++
	}
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	return taken
}

func (p *relationParser) skipBlanks() {
	p.rest = strings.TrimLeft(p.rest, " \t\n")
}

func (p *relationParser) unexpected(want string) error {
	if p.rest == "" {
		return fmt.Errorf("ends where %s should be", want)
	}
	return fmt.Errorf("%s stands where %s should be", quote(p.rest), want)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
