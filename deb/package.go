package deb

import (
	"io"
	"time"
)

// A Package is what Read found in a binary package.
type Package struct {
	Name         string  // Package field
	Version      Version // Version field
	Architecture string  // a known architecture or "all"

	Source        string // name of the source package; Name when the field is absent
	SourceVersion string // version in the Source field, else that of the package

	Section       string
	Priority      string
	Maintainer    string
	Description   string // as in Control: the synopsis, then lines that start with a blank
	Homepage      string
	MultiArch     string // "", "no", "same", "foreign" or "allowed"
	Essential     bool
	InstalledSize int64 // Installed-Size field in KiB, 0 when absent

	// Control is the control stanza. All of its fields passed the checks that
	// Read describes.
	Control *Stanza

	ControlFiles []string // files of control.tar in their order, such as "control", "postinst"
	Scripts      []string // those that dpkg runs
	Conffiles    []string // absolute paths, sorted as in the package

	Members []Member // of the ar archive, in their order

	// The following comes from data.tar and is empty after ReadControl.

	Files          []File            // in the order of the archive, if Options.Files
	FileCount      int               // entries of data.tar
	InstalledBytes int64             // content of the regular files
	MD5Sums        map[string]string // hex digest by path as in File.Path, if Options.MD5Sums
}

// Relations returns the relationship field of that name, such as Depends, and
// nil when the package has none.
func (p *Package) Relations(field string) Relations {
	value, ok := p.Control.Lookup(field)
	if !ok {
		return nil
	}
	rels, err := ParseBinaryRelations(field, value)
	if err != nil {
		return nil // not one of the fields that Read checks
	}
	return rels
}

// A Member is a member of a package's ar archive.
type Member struct {
	Name        string
	Size        int64 // bytes, as stored
	Compression Compression
}

// A FileType is the type of a File.
type FileType uint8

// The types of files that a package may hold.
const (
	Regular FileType = iota
	Directory
	Symlink
	Hardlink
)

// String returns "file", "directory", "symlink" or "hardlink".
func (t FileType) String() string {
	switch t {
	case Regular:
		return "file"
	case Directory:
		return "directory"
	case Symlink:
		return "symlink"
	case Hardlink:
		return "hardlink"
	}
	return "unknown"
}

// A File is an entry of control.tar or data.tar.
type File struct {
	// Path is relative to the root and in simplest form: "usr/bin/hello". The
	// root directory is ".". It is valid UTF-8 without control characters, and
	// no component is "..".
	Path string
	Type FileType
	// Target is the Path of an earlier entry for a hard link. For a symbolic
	// link it is the link's text, which may be anything.
	Target  string
	Mode    uint32 // permissions with set-uid, set-gid and sticky bits: 04755
	Size    int64  // bytes of content, 0 unless Regular
	UID     int64
	GID     int64
	Owner   string // name, may be ""
	Group   string
	ModTime time.Time
	// Control tells an entry of control.tar from one of data.tar.
	Control bool
}

// Options say how to read a package. The zero value and nil read everything,
// within default limits, and keep no lists.
type Options struct {
	Limits Limits
	// Files fills Package.Files.
	Files bool
	// MD5Sums fills Package.MD5Sums from the md5sums control file. Lines that
	// are not in md5sum's format are left out, as dpkg does.
	MD5Sums bool
	// Visit, if set, is called for each regular file of control.tar and
	// data.tar in their order, with its content. It need not read all of it. The
	// package may still turn out to be damaged or refused: nothing that Visit
	// saw is final before Read has returned without error. An error of Visit
	// ends reading and is returned as it is.
	Visit func(f File, content io.Reader) error
	// VisitLink, if set, is called for each symbolic and hard link of data.tar,
	// in its place among the files that Visit is called for. The same holds for
	// its error, and for what it saw.
	VisitLink func(f File) error
	// Interrupt, if set, is called once per MiB that was decompressed. Its
	// error ends reading and is returned as it is. To honour a context, set it
	// to ctx.Err.
	Interrupt func() error
}
