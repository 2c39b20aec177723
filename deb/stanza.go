package deb

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// MaxStanzaFields bounds the fields of a Stanza. Binary packages have about
// 20; dpkg takes seconds for some 10,000.
const MaxStanzaFields = 1000

// A Field is one field of a stanza.
type Field struct {
	Name string
	// Value is what follows the colon, without surrounding blanks. Lines are
	// separated by "\n"; continuation lines keep the blank or tab that starts
	// them and lose blanks at their end.
	Value string
}

// A Stanza is a control stanza: a list of fields in their order, as in
// deb822(5) and Debian Policy 5.1. Names are compared without regard to case
// and occur once. The zero value is an empty stanza, ready for use. A Stanza
// may be read from several goroutines at once, but not while it is changed.
type Stanza struct {
	fields []Field
}

// ParseStanza reads exactly one stanza, and only what all readers of the format
// read alike. Field names consist of the characters "!" to "9" and ";" to "~"
// and start with neither "-" nor "#"; they are followed by the colon at once and
// occur once, whatever their case. There are no comments, no continuation lines
// that are blank, no control characters but tab and newline (so no carriage
// returns), and no bytes that are not UTF-8. The last line ends in a newline, as
// dpkg demands. Empty lines after the stanza are dropped.
//
// Errors are *FormatError with a Reason that starts with "stanza-".
func ParseStanza(text []byte) (*Stanza, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	body := bytes.TrimRight(text, "\n")
	if len(body) == 0 {
		return nil, malformed("stanza-empty", "there is no field")
	}
	if len(body) == len(text) {
		return nil, malformed("stanza-no-newline", "the last line does not end in a newline")
	}
	p := stanzaParser{seen: make(map[string]struct{})}
	for n, line := range strings.Split(string(body), "\n") {
		if err := p.line(line); err != nil {
			err.Detail = fmt.Sprintf("line %d: %s", n+1, err.Detail)
			return nil, err
		}
	}
	p.endField()
	return &Stanza{fields: p.fields}, nil
}

// A stanzaParser collects the fields of a stanza, line by line.
type stanzaParser struct {
	fields []Field
	seen   map[string]struct{} // names in lower case
	value  []string            // lines of the last field
}

// checkText refuses bytes that have no place in a control file.
func checkText(text []byte) error {
	for i, c := range text {
		if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			line := 1 + bytes.Count(text[:i], []byte("\n"))
			return malformed("stanza-control-character", "line %d: control character %#02x", line, c)
		}
	}
	if !utf8.Valid(text) {
		return malformed("stanza-encoding", "the text is not valid UTF-8")
	}
	return nil
}

func (p *stanzaParser) line(line string) *FormatError {
	if line == "" {
		return malformed("stanza-several", "an empty line ends the stanza, but more follows")
	}
	if line[0] == ' ' || line[0] == '\t' {
		return p.continuation(line)
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok || !validFieldName(name) {
		return malformed("stanza-field-name", "%s does not start with a field name and a colon", quote(line))
	}
	key := strings.ToLower(name)
	if _, dup := p.seen[key]; dup {
		return malformed("stanza-duplicate-field", "field %s occurs twice", quote(name))
	}
	if len(p.seen) == MaxStanzaFields {
		return tooLarge("stanza-too-many-fields", "there are more than %d fields", MaxStanzaFields)
	}
	p.endField()
	p.seen[key] = struct{}{}
	p.fields = append(p.fields, Field{Name: name})
	p.value = append(p.value[:0], strings.Trim(value, " \t"))
	return nil
}

func (p *stanzaParser) continuation(line string) *FormatError {
	line = strings.TrimRight(line, " \t")
	if line == "" {
		return malformed("stanza-blank-line", "the line is blank but not empty")
	}
	if len(p.fields) == 0 {
		return malformed("stanza-field-name", "a continuation line without a field")
	}
	p.value = append(p.value, line)
	return nil
}

func (p *stanzaParser) endField() {
	if n := len(p.fields); n > 0 {
		p.fields[n-1].Value = strings.Join(p.value, "\n")
	}
}

func validFieldName(name string) bool {
	if name == "" || name[0] == '-' || name[0] == '#' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c < '!' || c > '~' || c == ':' {
			return false
		}
	}
	return true
}

// Len returns the number of fields.
func (s *Stanza) Len() int { return len(s.fields) }

// Get returns the value of a field, "" when there is none.
func (s *Stanza) Get(name string) string {
	value, _ := s.Lookup(name)
	return value
}

// Lookup returns the value of a field and whether the stanza has it.
func (s *Stanza) Lookup(name string) (value string, ok bool) {
	if i := s.index(name); i >= 0 {
		return s.fields[i].Value, true
	}
	return "", false
}

// Has reports whether the stanza has a field.
func (s *Stanza) Has(name string) bool { return s.index(name) >= 0 }

func (s *Stanza) index(name string) int {
	for i := range s.fields {
		if len(s.fields[i].Name) == len(name) && strings.EqualFold(s.fields[i].Name, name) {
			return i
		}
	}
	return -1
}

// Set gives a field a value: in its place when the stanza has it, at the end
// otherwise. The value has the form of Field.Value. Set returns a *FormatError,
// and changes nothing, when the field could not be read back as it is: then
// the name is malformed, or a line of the value is blank, does not start with
// a blank, or has control characters.
func (s *Stanza) Set(name, value string) error {
	one, err := ParseStanza([]byte(name + ": " + value + "\n"))
	if err != nil {
		return err
	}
	if one.Len() != 1 || one.fields[0].Name != name || strings.HasSuffix(value, "\n") {
		return malformed("stanza-field-value", "the value of %s would be read otherwise", quote(name))
	}
	if i := s.index(name); i >= 0 {
		s.fields[i].Value = one.fields[0].Value
		return nil
	}
	s.fields = append(s.fields, one.fields[0])
	return nil
}

// Del removes a field and reports whether it was there.
func (s *Stanza) Del(name string) bool {
	i := s.index(name)
	if i < 0 {
		return false
	}
	s.fields = append(s.fields[:i], s.fields[i+1:]...)
	return true
}

// All yields the fields in their order.
func (s *Stanza) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, f := range s.fields {
			if !yield(f.Name, f.Value) {
				return
			}
		}
	}
}

// Clone returns a copy that shares nothing with s.
func (s *Stanza) Clone() *Stanza {
	return &Stanza{fields: append([]Field(nil), s.fields...)}
}

// AppendTo appends the stanza's text to b: "Name: value" and a newline for
// each field, no empty line at the end. ParseStanza reads it back unchanged.
func (s *Stanza) AppendTo(b []byte) []byte {
	for _, f := range s.fields {
		b = append(b, f.Name...)
		b = append(b, ':')
		if f.Value != "" && f.Value[0] != '\n' {
			b = append(b, ' ')
		}
		b = append(b, f.Value...)
		b = append(b, '\n')
	}
	return b
}

// String returns the text that AppendTo writes.
func (s *Stanza) String() string { return string(s.AppendTo(nil)) }
