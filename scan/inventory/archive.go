package inventory

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"
)

// maxDirectory bounds the directories of the archives that are open, one inside
// another, in bytes. The largest real ones have some 15 MB.
const maxDirectory = 32 * mib

// readArchive looks into a zip archive. An error is one of the machine, or of
// the context.
func (p *pass) readArchive(name string, k kind, r io.ReaderAt, size int64, depth int) error {
	meter := &meteredReader{ctx: p.ctx, r: r, left: maxDirectory - p.directory}
	z, err := openArchive(meter, size)
	used := maxDirectory - p.directory - meter.left
	switch {
	case p.ctx.Err() != nil:
		return fmt.Errorf("take stock: %w", p.ctx.Err())
	case meter.spent:
		p.skip("directory")
		return nil
	case err != nil:
		p.malformed(name, err)
		return nil
	case len(z.File) > p.left.Entries:
		p.skip("entries")
		return nil
	}
	p.left.Entries -= len(z.File)
	p.directory += used
	defer func() { p.directory -= used }()
	// From here on, each read is counted by what it yields.
	meter.left = 1 << 62

	a := archiveReader{pass: p, name: name, depth: depth, r: r, size: size}
	for _, f := range z.File {
		if err := a.readEntry(f); err != nil {
			return err
		}
	}
	if k == javaArchive && !a.named {
		p.addByName(name, a.manifest)
	}
	return nil
}

// openArchive reads the directory of an archive. Names that lead out of it are
// no fault: nothing is unpacked.
func openArchive(r io.ReaderAt, size int64) (*zip.Reader, error) {
	z, err := zip.NewReader(r, size)
	if errors.Is(err, zip.ErrInsecurePath) {
		err = nil
	}
	return z, err
}

// An archiveReader goes through the entries of one archive.
type archiveReader struct {
	*pass
	name     string
	depth    int
	r        io.ReaderAt
	size     int64
	manifest []byte
	named    bool // by a pom.properties
}

func (a *archiveReader) readEntry(f *zip.File) error {
	if err := a.ctx.Err(); err != nil {
		return fmt.Errorf("take stock: %w", err)
	}
	k, isManifest := classify(f.Name), f.Name == "META-INF/MANIFEST.MF"
	if !k.isArchive() && !k.isText() && !isManifest {
		return nil
	}
	inner := a.name + "!/" + cleanEntry(f.Name)
	switch {
	case len(inner) > maxPath:
		a.skip("paths")
	case k.isArchive():
		return a.readInner(inner, k, f)
	case k.isText():
		text, ok := a.readSmall(inner, f, k.headSuffices())
		if ok {
			a.readText(k, inner, text)
			a.named = a.named || k == pomProperties
		}
	case isManifest:
		a.manifest, _ = a.readSmall(inner, f, true)
	}
	return nil
}

// readSmall reads an entry into memory: of one that is too large the beginning,
// if that will do.
func (a *archiveReader) readSmall(inner string, f *zip.File, headSuffices bool) ([]byte, bool) {
	most := min(a.limits.Text, a.left.Expanded)
	r, err := f.Open()
	if err != nil {
		a.malformed(inner, err)
		return nil, false
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	a.left.Expanded -= min(int64(len(text)), most)
	switch {
	case int64(len(text)) > most && headSuffices && most == a.limits.Text:
		return text[:most], true
	case int64(len(text)) > most:
		a.skip("text")
		return nil, false
	// Java does not check the sums either.
	case err != nil && !errors.Is(err, zip.ErrChecksum):
		a.malformed(inner, err)
		return nil, false
	}
	return text, true
}

// readInner looks into an archive that is an entry of this one.
func (a *archiveReader) readInner(inner string, k kind, f *zip.File) error {
	if a.depth >= a.limits.Depth {
		a.skip("depth")
		return nil
	}
	if r, size, ok := a.stored(f); ok {
		if size > a.left.Expanded {
			a.skip("expanded")
			return nil
		}
		a.left.Expanded -= size
		return a.readArchive(inner, k, r, size, a.depth+1)
	}
	s := &spool{dir: a.dir}
	defer s.Close()
	r, err := f.Open()
	if err != nil {
		a.malformed(inner, err)
		return nil
	}
	defer r.Close()
	fits, err := a.expand(s, r)
	switch {
	case errors.Is(err, errSpool) || a.ctx.Err() != nil:
		return err
	case err != nil && !errors.Is(err, zip.ErrChecksum):
		a.malformed(inner, err)
		return nil
	case !fits:
		a.skip("expanded")
		return nil
	}
	return a.readArchive(inner, k, s, s.size, a.depth+1)
}

// stored returns the content of an entry that is not compressed, in its place.
func (a *archiveReader) stored(f *zip.File) (io.ReaderAt, int64, bool) {
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
		return nil, 0, false
	}
	offset, err := f.DataOffset()
	size := int64(f.CompressedSize64)
	if err != nil || size < 0 || offset > a.size-size {
		return nil, 0, false
	}
	return io.NewSectionReader(a.r, offset, size), size, true
}

// expand decompresses r into s, and reports whether it is within the limits.
func (a *archiveReader) expand(s *spool, r io.Reader) (fits bool, err error) {
	most := min(a.limits.File, a.left.Expanded)
	n, err := io.Copy(s, io.LimitReader(contextReader{a.pass, r}, most+1))
	a.left.Expanded -= min(n, most)
	return n <= most, err
}

// A contextReader ends when the pass shall.
type contextReader struct {
	pass *pass
	r    io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.pass.ctx.Err(); err != nil {
		return 0, fmt.Errorf("take stock: %w", err)
	}
	return c.r.Read(b)
}

// cleanEntry makes the name of an entry fit to be shown and kept: relative, in
// simplest form, valid UTF-8 without control characters.
func cleanEntry(name string) string {
	name = strings.Map(func(r rune) rune { // r is that very one where name is not UTF-8
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, name)
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}
