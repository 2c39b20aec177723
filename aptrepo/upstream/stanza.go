package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/repod-io/repod/deb"
)

// The fields of a stanza that a Package is made of.
const (
	fPackage = iota
	fVersion
	fArchitecture
	fFilename
	fSize
	fSHA256
	required // number of fields that must be there

	fSource = iota - 1
	fSection
	fPriority
	fEssential
	fMultiArch
	fInstalledSize
	fDescription
	fPreDepends
	fDepends
	fProvides
	fConflicts
	fBreaks
	fReplaces
	fieldCount
)

var fieldNames = [fieldCount]string{
	"Package", "Version", "Architecture", "Filename", "Size", "SHA256",
	"Source", "Section", "Priority", "Essential", "Multi-Arch", "Installed-Size", "Description",
	"Pre-Depends", "Depends", "Provides", "Conflicts", "Breaks", "Replaces",
}

var fieldNumbers = func() map[string]int {
	m := make(map[string]int)
	for i, name := range fieldNames {
		m[strings.ToLower(name)] = i
	}
	return m
}()

const (
	longestField = len("Installed-Size")
	maxFilename  = 1024 // bytes
)

// A stanzaParser makes Packages of stanzas. Each costs one allocation, whose
// string the fields share.
type stanzaParser struct {
	sourceID, component string
	arch                string // of the index, "all" too

	text  []byte
	spans [fieldCount]struct {
		start, end int
		set        bool
	}
}

// parse returns the Package that a stanza describes. The error is a *Failure
// with code Rejected.
func (sp *stanzaParser) parse(raw deb.RawStanza) (Package, error) {
	if err := sp.collect(raw); err != nil {
		return Package{}, err
	}
	text := string(sp.text)
	get := func(f int) string { return text[sp.spans[f].start:sp.spans[f].end] }
	p := Package{
		SourceID: sp.sourceID, Component: sp.component,
		Name: get(fPackage), Version: get(fVersion), Arch: get(fArchitecture),
		Section: get(fSection), Priority: get(fPriority), Synopsis: get(fDescription),
		PreDepends: get(fPreDepends), Depends: get(fDepends), Provides: get(fProvides),
		Conflicts: get(fConflicts), Breaks: get(fBreaks), Replaces: get(fReplaces),
		Filename: strings.TrimPrefix(get(fFilename), "./"), // what archives without a pool write
		SHA256:   get(fSHA256),
	}
	// For display only: archives write fractions and nonsense, too.
	if n, err := strconv.ParseUint(get(fInstalledSize), 10, 63); err == nil {
		p.InstalledSize = int64(n)
	}
	for _, set := range []func() error{
		func() error { return p.checkIdentity(sp.arch) },
		func() error { return p.setFile(get(fSize)) },
		func() error { return p.setSource(get(fSource)) },
		func() error { return p.setFlags(get(fEssential), get(fMultiArch)) },
	} {
		if err := set(); err != nil {
			return Package{}, about(fmt.Sprintf("package %.200q", p.Name), err)
		}
	}
	return p, nil
}

// collect gathers the values of the stanza in sp.text.
func (sp *stanzaParser) collect(raw deb.RawStanza) error {
	sp.text = sp.text[:0]
	clear(sp.spans[:])
	for i := range raw.Fields {
		f := &raw.Fields[i]
		number, ok := fieldNumber(f.Name)
		if !ok {
			continue
		}
		value := f.Value
		if number == fDescription {
			value = synopsis(value)
		}
		span := &sp.spans[number]
		if span.set {
			return reject(Malformed, "package %.200q: field %s twice", raw.Get("Package"), fieldNames[number])
		}
		span.start, span.set = len(sp.text), true
		sp.text = append(sp.text, value...)
		span.end = len(sp.text)
	}
	for f := range required {
		if sp.spans[f].start == sp.spans[f].end {
			return reject(Malformed, "package %.200q: field %s is missing", raw.Get("Package"), fieldNames[f])
		}
	}
	sum := sp.spans[fSHA256]
	for i := sum.start; i < sum.end; i++ {
		sp.text[i] = lower(sp.text[i])
	}
	if bytes.IndexByte(raw.Text, 0) >= 0 || !isText(sp.text) {
		return reject(Malformed, "package %.200q: control characters, or text that is not UTF-8", raw.Get("Package"))
	}
	return nil
}

// synopsis returns the first line of a description. Of all fields this is the
// one that people write; an old encoding in it harms nobody.
func synopsis(description []byte) []byte {
	line, _, _ := bytes.Cut(description, []byte{'\n'})
	line = bytes.TrimSpace(line)
	if isText(line) && bytes.IndexByte(line, '\t') < 0 {
		return line
	}
	line = bytes.ToValidUTF8(line, []byte("\uFFFD"))
	if bytes.ContainsFunc(line, func(r rune) bool { return isControl(r) || r == '\t' }) {
		return nil
	}
	return line
}

// isText reports whether b is UTF-8 without control characters. The loop
// passes over what nearly all of it is.
func isText(b []byte) bool {
	i := 0
	for i < len(b) && ' ' <= b[i] && b[i] < 0x7f {
		i++
	}
	return i == len(b) || utf8.Valid(b[i:]) && !bytes.ContainsFunc(b[i:], isControl)
}

// isControl reports control characters other than those of folded fields.
func isControl(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0
}

func fieldNumber(name []byte) (int, bool) {
	var folded [longestField]byte
	if len(name) > len(folded) {
		return 0, false
	}
	for i, c := range name {
		folded[i] = lower(c)
	}
	n, ok := fieldNumbers[string(folded[:len(name)])]
	return n, ok
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

func (p *Package) checkIdentity(indexArch string) error {
	if !deb.ValidPackageName(p.Name) {
		return reject(Malformed, "that is no package name (Policy 5.6.7)")
	}
	if _, err := deb.ParseVersion(p.Version); err != nil {
		return reject(Malformed, "%w", err)
	}
	if p.Arch != "all" && (p.Arch != indexArch || !deb.KnownArchitecture(p.Arch)) {
		return reject(Malformed, "architecture %.100q in the index for %s", p.Arch, indexArch)
	}
	if strings.ContainsAny(p.Section+p.Priority, "\n\t") {
		return reject(Malformed, "field Section or Priority has several lines")
	}
	return nil
}

func (p *Package) setFile(size string) error {
	if !safeFilename(p.Filename) {
		return reject(UnsafeFilename, "file name %.200q leads elsewhere or is not in its simplest form", p.Filename)
	}
	if len(p.SHA256) != 64 || strings.Trim(p.SHA256, "0123456789abcdef") != "" {
		return reject(Malformed, "malformed SHA256")
	}
	n, err := strconv.ParseUint(size, 10, 63)
	if err != nil || n == 0 {
		return reject(Malformed, "malformed Size")
	}
	p.Size = int64(n)
	return nil
}

var schemeLike = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// safeFilename takes paths that stay below the archive's root in every
// program's eyes.
func safeFilename(name string) bool {
	return name != "" && len(name) <= maxFilename && utf8.ValidString(name) &&
		name[0] != '/' && name != "." && name != ".." && !strings.HasPrefix(name, "../") && name == path.Clean(name) &&
		!strings.Contains(name, `\`) && !strings.ContainsFunc(name, func(r rune) bool { return isControl(r) || r == '\n' || r == '\t' }) &&
		!(strings.Contains(name, ":") && schemeLike.MatchString(name))
}

// setSource reads the field Source, "name" or "name (version)" (Policy 5.6.1).
func (p *Package) setSource(field string) error {
	p.SourceName, p.SourceVersion = p.Name, p.Version
	if field == "" {
		return nil
	}
	name, version, hasVersion := strings.Cut(field, " ")
	if !deb.ValidPackageName(name) {
		return reject(Malformed, "malformed Source %.200q", field)
	}
	p.SourceName = name
	if !hasVersion {
		return nil
	}
	inner, ok := strings.CutPrefix(strings.TrimLeft(version, " "), "(")
	inner, closed := strings.CutSuffix(inner, ")")
	inner = strings.Trim(inner, " ")
	if _, err := deb.ParseVersion(inner); err != nil || !ok || !closed {
		return reject(Malformed, "malformed Source %.200q", field)
	}
	p.SourceVersion = inner
	return nil
}

func (p *Package) setFlags(essential, multiArch string) error {
	if essential != "" && essential != "yes" && essential != "no" {
		return reject(Malformed, "field Essential is %.100q", essential)
	}
	if !slices.Contains([]string{"", "no", "same", "foreign", "allowed"}, multiArch) {
		return reject(Malformed, "field Multi-Arch is %.100q", multiArch)
	}
	p.Essential = essential == "yes"
	if multiArch != "no" {
		p.MultiArch = multiArch
	}
	return nil
}

// about says in a failure's detail what it regards.
func about(what string, err error) error {
	var f *Failure
	if !errors.As(err, &f) {
		return err
	}
	g := *f
	g.Detail = what + ": " + f.Detail
	return &g
}
