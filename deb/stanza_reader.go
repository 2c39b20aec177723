package deb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// DefaultMaxStanza bounds a stanza that a StanzaReader reads, in bytes. The
// longest in Debian's Packages has about 60 KiB.
const DefaultMaxStanza = 1 << 20

// A RawField is a field of a RawStanza. Name and Value are parts of its text.
type RawField struct {
	Name []byte
	// Value is what follows the colon up to the last line of the field, without
	// surrounding blanks. The lines within are as in the file.
	Value []byte
}

// A RawStanza is a stanza as a StanzaReader sees it. Its slices belong to the
// reader and hold good until the next call of Next.
type RawStanza struct {
	// Text is the whole stanza with its last newline, without the empty line
	// after it. ParseStanza takes it.
	Text   []byte
	Fields []RawField
}

// Get returns the value of the first field of that name, regardless of case,
// and nil when there is none.
func (s RawStanza) Get(name string) []byte {
	for i := range s.Fields {
		f := &s.Fields[i]
		if len(f.Name) == len(name) && equalFold(f.Name, name) {
			return f.Value
		}
	}
	return nil
}

// equalFold compares ASCII strings of equal length.
func equalFold(a []byte, b string) bool {
	if string(a) == b {
		return true
	}
	for i, c := range a {
		if d := b[i]; c != d && (c|0x20 != d|0x20 || !isLetter(c)) {
			return false
		}
	}
	return true
}

// A StanzaReader reads the stanzas of Packages, Sources or status files one
// after the other. It splits text into fields and lines and allocates nothing
// per stanza; it does not check characters, encoding or duplicates as
// ParseStanza does. Use it for files that a signature vouches for, or hand
// Text to ParseStanza. Memory stays within twice the limit of a stanza. A
// StanzaReader must not be used by two goroutines at once.
type StanzaReader struct {
	r          io.Reader
	max        int
	buf        []byte
	start, end int // unread part of buf
	fields     []RawField
	err        error // from r
	offset     int64 // of buf[0] in the input
}

// NewStanzaReader returns a reader of the stanzas in r. A maxStanza of 0 means
// DefaultMaxStanza.
func NewStanzaReader(r io.Reader, maxStanza int) *StanzaReader {
	if maxStanza <= 0 {
		maxStanza = DefaultMaxStanza
	}
	return &StanzaReader{r: r, max: maxStanza, buf: make([]byte, 64<<10)}
}

// Next returns the next stanza, and io.EOF after the last one. Errors of the
// underlying reader come back as they are; a malformed or too long stanza is a
// *FormatError. After an error, Next returns it again.
func (sr *StanzaReader) Next() (RawStanza, error) {
	if err := sr.skipEmptyLines(); err != nil {
		return RawStanza{}, err
	}
	n, err := sr.scan()
	if err != nil {
		sr.err = err
		sr.start = sr.end
		return RawStanza{}, err
	}
	text := sr.buf[sr.start : sr.start+n]
	sr.start += n
	return RawStanza{Text: text, Fields: sr.fields}, nil
}

func (sr *StanzaReader) skipEmptyLines() error {
	for {
		for sr.start < sr.end && sr.buf[sr.start] == '\n' {
			sr.start++
		}
		if sr.start < sr.end {
			return nil
		}
		if err := sr.fill(); err != nil {
			return err
		}
	}
}

// scan makes the whole stanza at start lie in buf, splits it into fields and
// returns its length.
func (sr *StanzaReader) scan() (int, error) {
	for {
		unread := sr.buf[sr.start:sr.end]
		n, whole, err := sr.split(unread)
		switch {
		case n > sr.max, !whole && len(unread) > sr.max:
			return 0, tooLarge("stanza-too-large", "stanza at byte %d: it has more than %d bytes",
				sr.offset+int64(sr.start), sr.max)
		case err != nil, whole:
			return n, err
		case sr.err != nil:
			return 0, sr.err
		}
		// Twice as much as last time keeps starting over affordable.
		for want := min(2*len(unread), sr.max+1); sr.end-sr.start < want && sr.err == nil; {
			if err := sr.fill(); err != nil && !errors.Is(err, io.EOF) {
				return 0, err
			}
		}
	}
}

// fill reads more input behind the unread part of buf, and makes room first.
func (sr *StanzaReader) fill() error {
	if sr.err != nil {
		return sr.err
	}
	if sr.start > 0 {
		copy(sr.buf, sr.buf[sr.start:sr.end])
		sr.offset += int64(sr.start)
		sr.end -= sr.start
		sr.start = 0
	}
	if sr.end == len(sr.buf) {
		sr.buf = append(sr.buf, make([]byte, len(sr.buf))...)
	}
	for range 100 {
		n, err := sr.r.Read(sr.buf[sr.end:])
		sr.end += n
		if err != nil {
			sr.err = err
		}
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	sr.err = io.ErrNoProgress
	return sr.err
}

// split sets fields to those of the stanza that text starts with, and returns
// its length. The stanza is whole when the empty line after it, or the end of
// the input, is in sight.
func (sr *StanzaReader) split(text []byte) (n int, whole bool, err error) {
	fields := sr.fields[:0] // in a variable of its own: the loop is hot
	atEnd := errors.Is(sr.err, io.EOF)
	for n < len(text) {
		rest := text[n:]
		line := lineLength(rest)
		end := line
		for end < len(rest) && (rest[end] == ' ' || rest[end] == '\t') {
			end += lineLength(rest[end:])
		}
		if end == len(rest) && !atEnd {
			return n, false, nil
		}
		field := rest[:end]
		colon := 0
		for colon < line && field[colon] != ':' {
			colon++
		}
		if colon == 0 || colon == line || field[0] == ' ' || field[0] == '\t' {
			return 0, false, malformed("stanza-field-name", "stanza field at byte %d: %s does not start with a field name and a colon",
				sr.offset+int64(sr.start+n), quote(firstLine(field)))
		}
		fields = append(fields, RawField{Name: field[:colon], Value: trimBlanks(field[colon+1:])})
		n += end
		if n < len(text) && text[n] == '\n' {
			sr.fields = fields
			return n, true, nil
		}
	}
	sr.fields = fields
	return n, atEnd, nil
}

// lineLength returns the length of the line that b starts with, newline
// included.
func lineLength(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

func trimBlanks(b []byte) []byte {
	start, end := 0, len(b)
	for start < end && (b[start] == ' ' || b[start] == '\t') {
		start++
	}
	for end > start && (b[end-1] == '\n' || b[end-1] == ' ' || b[end-1] == '\t') {
		end--
	}
	return b[start:end]
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b[:min(len(b), 200)]), "\n")
	return line
}

// Parse returns the stanza as ParseStanza reads it, with an error that names
// where in the input a fault lies.
func (s RawStanza) Parse() (*Stanza, error) {
	text := s.Text
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text[:len(text):len(text)], '\n')
	}
	st, err := ParseStanza(text)
	if err != nil {
		return nil, fmt.Errorf("stanza %s: %w", quote(firstLine(s.Text)), err)
	}
	return st, nil
}
