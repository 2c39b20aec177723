package sbom

import (
	"errors"
	"fmt"
	"strings"
)

const (
	licenseRef    = "LicenseRef-"
	maxExpression = 16 << 10
)

// CheckLicense reports what is wrong with an SPDX licence expression (SPDX 2.3,
// annex D). Identifiers must be those of the licence list that the package knows,
// spelled as there, or begin with LicenseRef-; operators are in upper case. There
// are no references to other documents, and NONE and NOASSERTION are no
// expressions.
func CheckLicense(expression string) error {
	if len(expression) > maxExpression {
		return errors.New("the licence expression is too long")
	}
	var p licenseParser
	for token, rest := nextToken(expression); token != ""; token, rest = nextToken(rest) {
		if err := p.take(token); err != nil {
			return err
		}
	}
	if !p.operand || p.depth > 0 || p.with {
		return errors.New("the licence expression ends too early")
	}
	return nil
}

// nextToken returns the first word or parenthesis of an expression, "" at its
// end, and what follows.
func nextToken(s string) (token, rest string) {
	s = strings.TrimLeft(s, " ")
	end := strings.IndexAny(s, " ()")
	switch end {
	case -1:
		end = len(s)
	case 0:
		end = 1
	}
	return s[:end], s[end:]
}

// A licenseParser is what is known of an expression up to some token.
type licenseParser struct {
	depth   int
	operand bool // the last token ended an operand
	simple  bool // it was a licence
	with    bool // it was WITH
}

func (p *licenseParser) take(token string) error {
	if p.with {
		if p.with, p.simple = false, false; !has(exceptionIDs, token) {
			return fmt.Errorf("%q is no known licence exception", token)
		}
		return nil
	}
	switch token {
	case "(":
		if p.operand {
			return misplaced(token)
		}
		p.depth++
	case ")":
		if !p.operand || p.depth == 0 {
			return misplaced(token)
		}
		p.depth--
		p.simple = false
	case "AND", "OR":
		if !p.operand {
			return misplaced(token)
		}
		p.operand, p.simple = false, false
	case "WITH":
		if !p.simple {
			return misplaced(token)
		}
		p.with = true
	default:
		if p.operand {
			return misplaced(token)
		}
		if p.operand, p.simple = true, true; !knownLicense(token) {
			return fmt.Errorf("%q is no known licence", token)
		}
	}
	return nil
}

func misplaced(token string) error {
	return fmt.Errorf("%q is out of place in the licence expression", token)
}

// knownLicense reports whether a word names a licence: one of the list, perhaps
// with a plus for later versions, or a LicenseRef-.
func knownLicense(id string) bool {
	if name, ok := strings.CutPrefix(id, licenseRef); ok {
		return idString(name)
	}
	return has(licenseIDs, id) || has(licenseIDs, strings.TrimSuffix(id, "+"))
}

// idString reports whether a string is one of SPDX's: letters, digits, dots and
// hyphens.
func idString(s string) bool {
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '.' && c != '-' {
			return false
		}
	}
	return s != ""
}

func has(set map[string]struct{}, s string) bool {
	_, ok := set[s]
	return ok
}

// renameRefs returns a valid expression with other names for its LicenseRef-
// licences.
func renameRefs(expression string, rename func(string) string) string {
	if !strings.Contains(expression, licenseRef) {
		return expression
	}
	var b strings.Builder
	for token, rest := nextToken(expression); token != ""; token, rest = nextToken(rest) {
		if strings.HasPrefix(token, licenseRef) {
			token = rename(token)
		}
		if s := b.String(); token != ")" && s != "" && !strings.HasSuffix(s, "(") {
			b.WriteByte(' ')
		}
		b.WriteString(token)
	}
	return b.String()
}
