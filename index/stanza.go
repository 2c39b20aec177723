package index

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/repod-io/repod/deb"
)

// A PackageFile is what a Packages file says of a package beyond its control
// file: the fields that the archive owns.
type PackageFile struct {
	// Filename is the path below the archive's root, "pool/main/h/hello/...".
	Filename string
	Size     int64  // bytes
	SHA256   string // lower-case hexadecimal
	MD5      string // lower-case hexadecimal; may be empty
	// Offered marks an entry whose file the archive would have to fetch first.
	// Clients do not care.
	Offered bool
}

// offered is the field of entries that are PackageFile.Offered.
const offered = "Repod-Offered"

// archiveFields are those that no control file decides (Debian's repository
// format, "Packages" indices; Policy 5.6 for the last ones). Keys are lower-case.
var archiveFields = map[string]bool{
	"filename": true, "size": true, "md5sum": true, "sha1": true, "sha256": true, "sha512": true,
	"description-md5": true, "status": true, "config-version": true, "conffiles": true,
	"repod-offered": true,
}

// The order is about that of Debian's archive: first what names the package,
// last what is long.
var (
	firstFields = []string{
		"Package", "Source", "Version", "Architecture", "Essential", "Installed-Size", "Maintainer",
		"Provides", "Pre-Depends", "Depends", "Recommends", "Suggests", "Enhances", "Breaks",
		"Conflicts", "Replaces", "Multi-Arch", "Section", "Priority", "Homepage",
	}
	placed = func() map[string]bool {
		m := map[string]bool{"description": true}
		for _, f := range firstFields {
			m[strings.ToLower(f)] = true
		}
		return m
	}()
)

// AppendStanza appends to dst a package's entry in a Packages file, without
// the blank line that separates entries. It is rendered field by field, so
// nothing but the fields of control gets in; those that the archive owns are
// taken from file alone, and empty ones are left out. The same input gives the
// same bytes. A file whose description would not read back is [ErrStanza].
func AppendStanza(dst []byte, control *deb.Stanza, file PackageFile) ([]byte, error) {
	if err := file.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStanza, err)
	}
	for _, name := range firstFields {
		dst = appendValue(dst, name, control.Get(name))
	}
	for name, value := range control.All() {
		if key := strings.ToLower(name); !placed[key] && !archiveFields[key] {
			dst = appendValue(dst, name, value)
		}
	}
	dst = appendValue(dst, "Filename", file.Filename)
	dst = appendValue(dst, "Size", strconv.FormatInt(file.Size, 10))
	dst = appendValue(dst, "MD5sum", file.MD5)
	dst = appendValue(dst, "SHA256", file.SHA256)
	if file.Offered {
		dst = appendValue(dst, offered, "yes")
	}
	return appendValue(dst, "Description", control.Get("Description")), nil
}

// IsOffered reports whether an entry, as AppendStanza renders it, is of a
// PackageFile.Offered.
func IsOffered(stanza []byte) bool { return bytes.Contains(stanza, []byte("\n"+offered+": yes\n")) }

func appendValue(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(dst, name...), ':')
	if value[0] != '\n' {
		dst = append(dst, ' ')
	}
	return append(append(dst, value...), '\n')
}

func (f *PackageFile) check() error {
	entry := FileEntry{Path: f.Filename, Size: f.Size, SHA256: f.SHA256, MD5: f.MD5}
	return entry.check()
}

// A Package is one entry of a Packages file.
type Package struct {
	ID
	File PackageFile
	// Stanza is the whole entry. It belongs to the reader and holds good until
	// the next entry is asked for.
	Stanza deb.RawStanza
}

// ReadPackages yields the entries of a Packages file, in memory that does not
// grow with it. An entry without one of Package, Version, Architecture,
// Filename, Size and SHA256, or with one of them twice or malformed, yields
// [ErrStanza]; the sequence goes on after that. It ends after any other error:
// one of r, or a *deb.FormatError.
func ReadPackages(r io.Reader) iter.Seq2[Package, error] {
	return func(yield func(Package, error) bool) {
		sr := deb.NewStanzaReader(r, maxStanza)
		for {
			raw, err := sr.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Package{}, err)
				return
			}
			p, err := newPackage(raw)
			if err != nil {
				err = fmt.Errorf("%w %q: %w", ErrStanza, p.Package, err)
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

func newPackage(raw deb.RawStanza) (Package, error) {
	p := Package{Stanza: raw}
	var size string
	places := [...]struct {
		name  string
		value *string
	}{
		{"Package", &p.Package}, {"Version", &p.Version}, {"Architecture", &p.Architecture},
		{"Filename", &p.File.Filename}, {"Size", &size}, {"SHA256", &p.File.SHA256},
		{"MD5sum", &p.File.MD5}, // the only one that may be missing
	}
	for _, f := range raw.Fields {
		for _, place := range places {
			if len(place.name) != len(f.Name) || !strings.EqualFold(place.name, string(f.Name)) {
				continue
			}
			if *place.value != "" {
				return p, fmt.Errorf("field %s twice", place.name)
			}
			*place.value = string(f.Value)
		}
	}
	for _, place := range places[:6] {
		if err := checkWord(*place.value); err != nil {
			return p, fmt.Errorf("field %s %w", place.name, err)
		}
	}
	n, err := strconv.ParseUint(size, 10, 63)
	if err != nil {
		return p, errors.New("malformed size")
	}
	p.File.Size = int64(n)
	// Archives without a pool write "./hello.deb".
	p.File.Filename = strings.TrimPrefix(p.File.Filename, "./")
	p.File.SHA256, p.File.MD5 = strings.ToLower(p.File.SHA256), strings.ToLower(p.File.MD5)
	return p, p.File.check()
}
