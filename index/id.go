package index

import (
	"bytes"
	"errors"
	"fmt"
)

// An ID names a stanza of a Packages file: its fields Package, Version and
// Architecture as they are spelled there.
type ID struct {
	Package      string
	Version      string
	Architecture string
}

// String returns the ID in dpkg's form, "hello 2.10-3 amd64".
func (id ID) String() string {
	return id.Package + " " + id.Version + " " + id.Architecture
}

// ErrStanza marks a stanza that a [Log] does not take.
var ErrStanza = errors.New("unfit stanza")

const maxStanza = 4 << 20

// cleanStanza returns text without line ends at its end, once it is certain
// that it would read back as one stanza with an ID.
func cleanStanza(text []byte) ([]byte, error) {
	text = bytes.TrimRight(text, "\n")
	if len(text) > maxStanza {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrStanza, maxStanza)
	}
	if bytes.ContainsFunc(text, isControl) {
		return nil, fmt.Errorf("%w: control character in it", ErrStanza)
	}
	if bytes.HasPrefix(text, []byte{' '}) || bytes.HasPrefix(text, []byte{'\t'}) {
		return nil, fmt.Errorf("%w: it begins within a field", ErrStanza)
	}
	var seen [len(idFields)]bool
	last := -1
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) == 0 {
			return nil, fmt.Errorf("%w: blank line in it", ErrStanza)
		}
		if line[0] == ' ' || line[0] == '\t' {
			if last >= 0 {
				return nil, fmt.Errorf("%w: second line of %s", ErrStanza, idFields[last])
			}
			continue
		}
		if bytes.IndexByte(line, ':') < 1 {
			return nil, fmt.Errorf("%w: line without a field name", ErrStanza)
		}
		if last, _ = idField(line); last >= 0 {
			if seen[last] {
				return nil, fmt.Errorf("%w: %s twice", ErrStanza, idFields[last])
			}
			seen[last] = true
		}
	}
	if id := stanzaID(text); id.Package == "" || id.Version == "" || id.Architecture == "" {
		return nil, fmt.Errorf("%w: no Package, Version or Architecture", ErrStanza)
	}
	return text, nil
}

func isControl(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }

var idFields = [...]string{"Package", "Version", "Architecture"}

// idField returns which of the fields that make up an ID line is, or -1, and
// its value.
func idField(line []byte) (int, []byte) {
	for i, name := range idFields {
		if len(line) > len(name) && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return i, bytes.Trim(line[len(name)+1:], " \t\n")
		}
	}
	return -1, nil
}

// StanzaID returns the ID of a stanza of a [Log], or of one that AppendStanza
// rendered.
func StanzaID(stanza []byte) ID { return stanzaID(stanza) }

// stanzaID returns the ID of a stanza that cleanStanza let in.
func stanzaID(text []byte) ID {
	var found [len(idFields)]string
	for missing := len(idFields); missing > 0 && len(text) > 0; {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		if i, value := idField(line); i >= 0 {
			found[i] = string(value)
			missing--
		}
	}
	return ID{found[0], found[1], found[2]}
}

// nextStanza cuts the first stanza, without its line end, off text, which is
// what a chunk or a tail holds: stanzas with one blank line after each.
func nextStanza(text []byte) (stanza, rest []byte) {
	if i := bytes.Index(text, []byte("\n\n")); i >= 0 {
		return text[:i], text[i+2:]
	}
	return bytes.TrimRight(text, "\n"), nil
}
