package deb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Read reads a binary package from its first byte to its last, and accepts only
// what every program reads alike (see the package comment). All checksums of
// compressed streams are verified, nothing is unpacked to disk, and memory stays
// within what the Limits allow, whatever the package claims.
//
// The error is a *FormatError when the package is at fault. Errors of r, of
// Options.Visit, VisitLink and Interrupt are returned as they are; an r that
// ends early means a truncated package.
func Read(r io.Reader, opts *Options) (*Package, error) {
	rd := newPackageReader(r, opts)
	if err := rd.readAll(); err != nil {
		return nil, rd.verdict(err)
	}
	return rd.pkg, nil
}

// ReadControl reads a binary package up to the end of its control member and
// not one byte further. What it returns passed the same checks as by Read; the
// rest of the package may still be malformed.
func ReadControl(r io.Reader, opts *Options) (*Package, error) {
	rd := newPackageReader(r, opts)
	err := rd.readStart()
	for err == nil && rd.pkg.Control == nil {
		err = rd.readMember()
		if errors.Is(err, io.EOF) {
			err = malformed("deb-no-control", "the package has no control.tar")
		}
	}
	if err != nil {
		return nil, rd.verdict(err)
	}
	return rd.pkg, nil
}

// packageReader is the state of reading one package.
type packageReader struct {
	src    *source
	ar     *arReader
	opts   Options
	limits Limits
	pkg    *Package
	data   bool // data.tar was read

	md5sums []byte
}

func newPackageReader(r io.Reader, opts *Options) *packageReader {
	rd := &packageReader{src: &source{r: r}, pkg: &Package{}}
	if opts != nil {
		rd.opts = *opts
	}
	rd.limits = rd.opts.Limits.filled()
	return rd
}

// verdict tells whose fault an error is.
func (rd *packageReader) verdict(err error) error {
	if rd.src.err != nil {
		return rd.src.err
	}
	var passed *passedError
	if errors.As(err, &passed) {
		return passed.err
	}
	var fault *FormatError
	if errors.As(err, &fault) {
		return fault
	}
	return fmt.Errorf("read package: %w", err)
}

func (rd *packageReader) readAll() error {
	if err := rd.readStart(); err != nil {
		return err
	}
	for {
		err := rd.readMember()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	switch {
	case rd.pkg.Control == nil:
		return malformed("deb-no-control", "the package has no control.tar")
	case !rd.data:
		return malformed("deb-no-data", "the package has no data.tar")
	}
	return nil
}

// readStart reads the archive's magic and its first member.
func (rd *packageReader) readStart() (err error) {
	if rd.ar, err = newArReader(rd.src); err != nil {
		return err
	}
	name, size, err := rd.ar.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if name != "debian-binary" {
		return malformed("deb-no-version", "the first member is not debian-binary")
	}
	rd.addMember(name, size, Uncompressed)
	const most = 1024
	if size > most {
		return inMember(malformed("deb-version", "it has %d bytes", size), name)
	}
	text, err := io.ReadAll(rd.ar)
	if err != nil {
		return err
	}
	return inMember(checkFormatVersion(string(text)), name)
}

// checkFormatVersion accepts what dpkg does: version 2.x, and lines after it,
// which deb(5) reserves for the future.
func checkFormatVersion(text string) error {
	line, _, ok := strings.Cut(text, "\n")
	minor, isTwo := strings.CutPrefix(line, "2.")
	if !ok || !isTwo || !allDigits(minor) || len(minor) > 9 {
		return malformed("deb-version", "the format version is %s instead of 2.0", quote(line))
	}
	return nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func (rd *packageReader) addMember(name string, size int64, c Compression) {
	rd.pkg.Members = append(rd.pkg.Members, Member{name, size, c})
}

// maxMembers bounds the members of a package: the three that deb(5) defines
// and those whose name starts with an underscore.
const maxMembers = 100

// readMember reads the next member, and returns io.EOF after the last.
func (rd *packageReader) readMember() error {
	name, size, err := rd.ar.next()
	if err != nil {
		return err
	}
	if len(rd.pkg.Members) == maxMembers {
		return tooLarge("ar-too-many-members", "there are more than %d members", maxMembers)
	}
	if strings.HasPrefix(name, "_") {
		// Reserved for users by deb(5): signatures, for example.
		rd.addMember(name, size, Uncompressed)
		return nil
	}
	return inMember(rd.readTarMember(name, size), name)
}

func (rd *packageReader) readTarMember(name string, size int64) error {
	for _, m := range rd.pkg.Members {
		if m.Name == name {
			return malformed("ar-duplicate-member", "the member occurs twice")
		}
	}
	if ext, ok := cutTarName(name, "control.tar"); ok {
		if rd.pkg.Control != nil {
			return malformed("ar-duplicate-member", "a second control.tar")
		}
		return rd.readTar(name, size, ext, rd.limits.Control, rd.readControlTar)
	}
	if ext, ok := cutTarName(name, "data.tar"); ok {
		switch {
		case rd.pkg.Control == nil:
			return malformed("deb-member-order", "data.tar stands before control.tar")
		case rd.data:
			return malformed("ar-duplicate-member", "a second data.tar")
		}
		rd.data = true
		return rd.readTar(name, size, ext, rd.limits.data(size), rd.readDataTar)
	}
	return malformed("deb-unexpected-member", "a package has no member of this name")
}

func cutTarName(name, stem string) (ext string, ok bool) {
	ext, ok = strings.CutPrefix(name, stem)
	return ext, ok && (ext == "" || ext[0] == '.')
}

// readTar opens a member and has its archive read to the end.
func (rd *packageReader) readTar(name string, size int64, ext string, most int64, read func(*tarReader) error) error {
	c, err := compressionOf(ext)
	if err != nil {
		return err
	}
	rd.addMember(name, size, c)
	content, err := decompress(rd.ar, c, rd.limits)
	if err != nil {
		return err
	}
	defer content.close()
	limited := newLimitedReader(content, most, rd.opts.Interrupt)
	return read(&tarReader{r: limited, later: content.later, maxName: rd.limits.Name})
}

// readDataTar reads the files that the package installs.
func (rd *packageReader) readDataTar(t *tarReader) error {
	seen := newTree()
	for {
		h, err := t.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		rd.pkg.FileCount++
		if rd.pkg.FileCount > rd.limits.DataEntries {
			return tooLarge("tar-too-many-entries", "there are more than %d entries", rd.limits.DataEntries)
		}
		f, err := rd.file(h)
		if err != nil {
			return err
		}
		if err := seen.add(&f); err != nil {
			return err
		}
		if rd.opts.Files {
			rd.pkg.Files = append(rd.pkg.Files, f)
		}
		if f.Type != Regular {
			if err := rd.visitLink(f); err != nil {
				return err
			}
			continue
		}
		rd.pkg.InstalledBytes += f.Size
		if err := rd.visit(f, t, t); err != nil {
			return err
		}
	}
}

// file checks an entry's names and returns what it describes.
func (rd *packageReader) file(h tarHeader) (f File, err error) {
	f = File{
		Type: h.entryType(), Mode: uint32(h.mode & 0o7777), Size: h.size, UID: h.uid, GID: h.gid,
		Owner: h.owner, Group: h.group, ModTime: h.modTime(),
	}
	if f.Path, err = entryPath(h.name, f.Type == Directory, rd.limits.Name); err != nil {
		return f, err
	}
	switch f.Type {
	case Symlink:
		f.Target, err = h.link, checkPathText(h.link, rd.limits.Name)
	case Hardlink:
		f.Target, err = entryPath(h.link, false, rd.limits.Name)
	}
	return f, err
}

// visit shows a file to the caller. An error of the archive, which the caller
// may have met while reading, outranks the caller's.
func (rd *packageReader) visit(f File, content io.Reader, t *tarReader) error {
	if rd.opts.Visit == nil {
		return nil
	}
	err := rd.opts.Visit(f, content)
	switch {
	case t.err != nil:
		return t.err
	case err != nil:
		return &passedError{err}
	}
	return nil
}

// visitLink shows a link to the caller.
func (rd *packageReader) visitLink(f File) error {
	if rd.opts.VisitLink == nil || f.Type == Directory {
		return nil
	}
	if err := rd.opts.VisitLink(f); err != nil {
		return &passedError{err}
	}
	return nil
}

// readControlTar reads the control files and checks the control stanza.
func (rd *packageReader) readControlTar(t *tarReader) error {
	c := controlFiles{rd: rd, seen: map[string]bool{}}
	for entries := 1; ; entries++ {
		h, err := t.next()
		if errors.Is(err, io.EOF) {
			return c.finish()
		}
		if err != nil {
			return err
		}
		if entries > rd.limits.ControlEntries {
			return tooLarge("tar-too-many-entries", "there are more than %d entries", rd.limits.ControlEntries)
		}
		f, err := rd.file(h)
		if err != nil {
			return err
		}
		f.Control = true
		if err := c.add(f, t); err != nil {
			return err
		}
	}
}

// readFile reads a control file that the package reader itself needs, and
// shows it to the caller.
func (rd *packageReader) readFile(f File, t *tarReader, most int64) ([]byte, error) {
	if f.Size > most {
		return nil, tooLarge("too-large", "%s has %d bytes, at most %d are allowed", f.Path, f.Size, most)
	}
	text, err := io.ReadAll(t)
	if err != nil {
		return nil, err
	}
	return text, rd.visit(f, bytes.NewReader(text), t)
}
