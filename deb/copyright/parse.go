package copyright

import (
	"bytes"
	"regexp"
	"strings"
)

// A File is what a copyright file says.
type File struct {
	// MachineReadable tells a file in the machine-readable format. Nothing else
	// is known of others.
	MachineReadable bool
	// Licenses are what the paragraphs about files, and the header, state: each
	// spelling once, in the order of the file.
	Licenses []License
	// Expression is the SPDX licence expression of all of them together. It is
	// "" for free text, and for a file that states nothing.
	Expression string
	// Refs are the references in Expression, each once, sorted by ID.
	Refs []Ref
}

// A License is what is written in a License field.
type License struct {
	Name       string // its first line; may be empty
	Expression string // in SPDX's terms
}

// Bounds of what counts as machine-readable.
const (
	maxText       = 4 << 20
	maxParagraphs = 50_000
	maxLicenses   = 2000
	maxExpression = 64 << 10
)

// Parse reads a copyright file. It takes any text, and keeps nothing of it.
// Whatever Expression it returns is valid.
func Parse(text []byte) File {
	if len(text) > maxText {
		return File{}
	}
	paragraphs, ok := split(text)
	if !ok || !paragraphs[0].hasFormat {
		return File{}
	}
	f := File{MachineReadable: true}
	n := newNaming(paragraphs)
	var all []expr
	seen := make(map[string]bool)
	for i, p := range paragraphs {
		for _, field := range p.stated(i == 0) {
			key := field.name
			if key == "" {
				key = "\n" + refToText(field.text).ID
			}
			if seen[key] {
				continue
			}
			if seen[key] = true; len(seen) > maxLicenses {
				return File{}
			}
			e := n.stated(field)
			all = append(all, e)
			f.Licenses = append(f.Licenses, License{Name: shortened(field.name), Expression: e.String()})
		}
	}
	f.Expression = join(opAnd, all...).String()
	f.Refs = n.sortedRefs()
	if len(f.Expression) > maxExpression {
		return File{}
	}
	return f
}

// stated returns what a License field stands for.
func (n *naming) stated(field licenseField) expr {
	if field.name == "" {
		return n.ref(refToText(field.text))
	}
	return n.field(field.name)
}

// A paragraph is what is of interest in a paragraph.
type paragraph struct {
	hasFormat    bool
	hasFiles     bool
	hasCopyright bool
	licenses     []licenseField // one, if nothing is wrong
}

// A licenseField is a License field: its first line as cleanName returns it,
// and the lines after it.
type licenseField struct {
	name string
	text []byte
}

// isWhole reports whether the paragraph tells the licence of files. Further files
// belong to a paragraph of their own, for want of an empty line.
func (p *paragraph) isWhole() bool { return p.hasFiles && len(p.licenses) > 0 }

// stated returns what a paragraph says about files. A paragraph with a Copyright
// and no Files is about all files, as it was in drafts of the format; one with
// neither quotes a licence. Files without a License are under one without name.
func (p *paragraph) stated(header bool) []licenseField {
	switch {
	case p.hasFiles && len(p.licenses) == 0:
		return []licenseField{{}}
	case p.hasFiles, p.hasCopyright:
		return p.licenses
	case header:
		named := p.licenses[:0:0]
		for _, field := range p.licenses {
			if field.name != "" { // else it is a remark, and the files have theirs
				named = append(named, field)
			}
		}
		return named
	}
	return nil
}

// split splits a text into paragraphs. Lines that are no part of a field are
// passed over. It reports false for a text without fields, and for one with too
// many paragraphs.
func split(text []byte) ([]paragraph, bool) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var all []paragraph
	within := false // a paragraph
	for lines := (lineReader{rest: text}); lines.next(); {
		name, value, ok := cutField(lines.line)
		switch {
		case len(bytes.TrimSpace(lines.line)) == 0:
			within = false
			continue
		case !ok:
			continue
		}
		if !within || name == "files" && all[len(all)-1].isWhole() {
			if len(all) == maxParagraphs {
				return nil, false
			}
			all, within = append(all, paragraph{}), true
		}
		p := &all[len(all)-1]
		switch name {
		case "format", "format-specification":
			if len(value) == 0 {
				value, _, _ = bytes.Cut(bytes.TrimLeft(lines.continuation(), " \t\r\n"), []byte("\n"))
			}
			p.hasFormat = p.hasFormat || isFormat(string(bytes.TrimSpace(value)))
		case "files":
			p.hasFiles = true
		case "copyright":
			p.hasCopyright = true
		case "license":
			p.licenses = append(p.licenses, licenseField{cleanName(string(value)), lines.continuation()})
		}
	}
	return all, len(all) > 0
}

// cutField splits the first line of a field. The name is in lower case.
func cutField(line []byte) (name string, value []byte, ok bool) {
	if len(line) == 0 || strings.IndexByte(" \t#:", line[0]) >= 0 {
		return "", nil, false
	}
	before, value, ok := bytes.Cut(line, []byte(":"))
	const longest = len("format-specification")
	if !ok {
		return "", nil, false
	}
	if len(before) > longest || bytes.ContainsAny(before, " \t") {
		return "", value, true // a field, or what looks like one, that says nothing here
	}
	return lower(string(before)), bytes.TrimSpace(value), true
}

// A lineReader reads a text line by line.
type lineReader struct{ line, rest []byte }

func (r *lineReader) next() bool {
	if len(r.rest) == 0 {
		return false
	}
	r.line, r.rest, _ = bytes.Cut(r.rest, []byte("\n"))
	return true
}

// continuation takes the lines that continue the field of the present one.
func (r *lineReader) continuation() []byte {
	start, n := r.rest, 0
	for len(r.rest) > 0 {
		line, rest, _ := bytes.Cut(r.rest, []byte("\n"))
		blank := len(bytes.TrimSpace(line)) == 0
		if blank || line[0] != ' ' && line[0] != '\t' && line[0] != '#' {
			break
		}
		r.rest = rest
		n = len(start) - len(rest)
	}
	return start[:n]
}

// format matches the addresses of the format: as it is now, as Debian
// enhancement proposal 5 and as a page of the wiki, which all have the fields
// that matter here.
var format = regexp.MustCompile(`(?i)^(?:https?://)?(?:[a-z0-9-]+\.)*debian\.(?:org|net)/[^\s]*(?:copyright-format[-/]1\.|dep5(?:\.|/|$)|/copyrightformat\b)`)

func isFormat(url string) bool { return format.MatchString(url) }
