package copyright

import (
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// A Ref is a licence that SPDX has no identifier for. It stands for what
// copyright files call by that name, which need not be the same text in two of
// them.
type Ref struct {
	// ID is LicenseRef-Debian- and the name in lower case. If that would not do,
	// it has a part of the name and a hash, so that no two names, regardless of
	// case, have the same ID.
	ID string
	// Name is the name as written, "" for a licence without one, of at most 256
	// bytes. It has no control characters.
	Name string
}

const (
	refPrefix = "LicenseRef-Debian-"
	maxPlain  = 64  // bytes of a name in an ID
	maxName   = 256 // bytes of Ref.Name
)

var (
	plainName  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
	hashSuffix = regexp.MustCompile(`-[a-z2-7]{26}$`)
	notPlain   = regexp.MustCompile(`[^a-z0-9.]+`)
)

// refTo returns the reference for a name as cleanName returns it.
func refTo(name string) Ref {
	folded := lower(name)
	if len(folded) <= maxPlain && plainName.MatchString(folded) && !hashSuffix.MatchString(folded) {
		return Ref{refPrefix + folded, name}
	}
	part := strings.Trim(notPlain.ReplaceAllString(folded, "-"), "-.")
	if len(part) > maxPlain {
		part = strings.TrimRight(part[:maxPlain], "-.")
	}
	if part == "" {
		part = "license"
	}
	return Ref{refPrefix + part + "-" + digest("name", folded), shortened(name)}
}

// refToText returns the reference for a licence that has a text instead of a
// name. White space makes no difference.
func refToText(text []byte) Ref {
	words := strings.Join(strings.Fields(string(text)), " ")
	return Ref{ID: refPrefix + "unnamed-" + digest("text", words)}
}

// digest returns 26 letters and digits, 128 bits: no two inputs with the same will
// be found.
func digest(kind, s string) string {
	sum := sha256.Sum256([]byte(kind + ":" + s))
	return lower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// cleanName returns a name with single blanks and characters that can be shown.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) && !unicode.IsSpace(r) {
			return unicode.ReplacementChar
		}
		return r
	}, name) // invalid bytes become the same character
	return strings.Join(strings.Fields(name), " ")
}

func shortened(name string) string {
	if len(name) <= maxName {
		return name
	}
	const dots = "..."
	return strings.ToValidUTF8(name[:maxName-len(dots)], "") + dots
}

// A naming gives names their meaning within one file.
type naming struct {
	quoted map[string][][]byte // texts by name in lower case
	known  map[string]string   // what whichText found, by the same
	refs   map[string]Ref
}

func newNaming(paragraphs []paragraph) *naming {
	return &naming{quoted: quotations(paragraphs), known: make(map[string]string), refs: make(map[string]Ref)}
}

// ref returns the expression of a reference and notes it.
func (n *naming) ref(r Ref) expr {
	if old, ok := n.refs[r.ID]; !ok || r.Name < old.Name { // one of several cases, always the same
		n.refs[r.ID] = r
	}
	return leaf(r.ID)
}

func (n *naming) sortedRefs() []Ref {
	var refs []Ref
	for _, r := range n.refs {
		refs = append(refs, r)
	}
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.ID, b.ID) })
	return refs
}
