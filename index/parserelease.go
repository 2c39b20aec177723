package index

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what ParseRelease reads. Debian's largest Release file has some
// 200 KB and 2,000 entries.
const (
	maxRelease      = 16 << 20
	maxReleaseFiles = 100_000
)

// ParseRelease reads a Release file, or the text that [Verify] found in an
// InRelease file. Files are sorted by path.
//
// It is strict about what it uses: one stanza, no field twice, no path that
// leads out of the directory, no two entries that disagree. Fields that
// Release has no place for are skipped, as are SHA1 and SHA512 sections and
// files without SHA-256. The error for anything else is [ErrRelease].
func ParseRelease(text []byte) (*Release, error) {
	if len(text) > maxRelease {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrRelease, maxRelease)
	}
	p := releaseParser{files: make(map[string]*FileEntry), seen: make(map[string]bool)}
	number := 0
	for line := range bytes.Lines(bytes.TrimRight(text, "\n")) {
		number++
		if err := p.line(string(bytes.TrimSuffix(line, []byte{'\n'}))); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrRelease, number, err)
		}
	}
	if len(p.seen) == 0 {
		return nil, fmt.Errorf("%w: no fields", ErrRelease)
	}
	for _, f := range p.files {
		if f.SHA256 != "" {
			p.release.Files = append(p.release.Files, *f)
		}
	}
	slices.SortFunc(p.release.Files, func(a, b FileEntry) int { return cmp.Compare(a.Path, b.Path) })
	if err := p.release.check(); err != nil {
		return nil, err
	}
	return &p.release, nil
}

type releaseParser struct {
	release Release
	seen    map[string]bool // lower-case names of fields
	field   string          // the one that continuation lines belong to
	files   map[string]*FileEntry
}

func (p *releaseParser) line(line string) error {
	if err := checkLine(strings.Trim(line, " \t")); err != nil {
		return fmt.Errorf("text %w", err)
	}
	if strings.TrimSpace(line) == "" {
		return fmt.Errorf("blank line")
	}
	if line[0] == ' ' || line[0] == '\t' {
		return p.continuation(line)
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return fmt.Errorf("neither a field nor the continuation of one")
	}
	p.field = strings.ToLower(name)
	if p.seen[p.field] {
		return fmt.Errorf("field %q twice", name)
	}
	p.seen[p.field] = true
	if err := p.set(strings.TrimSpace(value)); err != nil {
		return fmt.Errorf("field %q: %w", name, err)
	}
	return nil
}

func (p *releaseParser) set(value string) error {
	r := &p.release
	var err error
	switch p.field {
	case "origin":
		r.Origin = value
	case "label":
		r.Label = value
	case "suite":
		r.Suite = value
	case "codename":
		r.Codename = value
	case "description":
		r.Description = value
	case "date":
		r.Date, err = parseDate(value)
	case "valid-until":
		r.ValidUntil, err = parseDate(value)
	case "signed-by":
		r.SignedBy = fingerprints(value)
	case "architectures":
		r.Architectures = words(value)
	case "components":
		r.Components = words(value)
	case "acquire-by-hash":
		r.AcquireByHash = strings.EqualFold(value, "yes")
	case "no-support-for-architecture-all":
		r.AllInEach = slices.Contains(strings.Fields(value), "Packages")
	case "md5sum", "sha256":
		if value != "" {
			err = fmt.Errorf("text before the first file")
		}
	}
	return err
}

// fingerprints returns those of a Signed-By, without the mark that a key must be
// the very one and not a subkey of it. One that has anything else in it, such as
// the fingerprint of a kind that is not known yet, is no reason to refuse a
// Release, and tells nothing.
func fingerprints(value string) []string {
	list := strings.FieldsFunc(strings.ToUpper(value), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	for i, f := range list {
		if list[i] = strings.TrimSuffix(f, "!"); !isFingerprint(list[i]) {
			return nil
		}
	}
	return list
}

// words returns the words of a list, nil when it has none.
func words(value string) []string {
	if list := strings.Fields(value); len(list) > 0 {
		return list
	}
	return nil
}

func (p *releaseParser) continuation(line string) error {
	var length int
	switch p.field {
	case "":
		return fmt.Errorf("continuation of nothing")
	case "md5sum":
		length = 32
	case "sha256":
		length = 64
	case "origin", "label", "suite", "codename", "description", "date", "valid-until",
		"architectures", "components", "acquire-by-hash", "no-support-for-architecture-all":
		return fmt.Errorf("field %q has a second line", p.field)
	default:
		return nil
	}
	row := strings.Fields(line)
	if len(row) != 3 {
		return fmt.Errorf("not a hash, a size and a path")
	}
	hash := strings.ToLower(row[0])
	if !isHex(hash, length) {
		return fmt.Errorf("malformed hash")
	}
	size, err := strconv.ParseUint(row[1], 10, 63)
	if err != nil {
		return fmt.Errorf("malformed size")
	}
	return p.file(row[2], int64(size), hash)
}

// file notes one entry of the current section.
func (p *releaseParser) file(path string, size int64, hash string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	f := p.files[path]
	if f == nil {
		if len(p.files) == maxReleaseFiles {
			return fmt.Errorf("more than %d files", maxReleaseFiles)
		}
		f = &FileEntry{Path: path, Size: size}
		p.files[path] = f
	}
	place := &f.MD5
	if p.field == "sha256" {
		place = &f.SHA256
	}
	if f.Size != size || *place != "" && *place != hash {
		return fmt.Errorf("entries for %q disagree", path)
	}
	*place = hash
	return nil
}

func parseDate(s string) (time.Time, error) {
	// Clients take UTC only, under any of its names; some archives leave the
	// leading zero of the day out.
	for _, zone := range []string{" UTC", " GMT", " Z", " +0000", " -0000"} {
		if day, ok := strings.CutSuffix(s, zone); ok {
			t, err := time.Parse("Mon, _2 Jan 2006 15:04:05", day)
			if err != nil {
				return time.Time{}, fmt.Errorf("malformed date")
			}
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("date not in UTC")
}
