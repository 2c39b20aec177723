package deb

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/md5"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A New describes a binary package to build. It has no maintainer scripts and
// installs regular files only.
type New struct {
	// Control is the control stanza. Build adds Installed-Size (Policy 5.6.20).
	Control *Stanza
	// Files are what the package installs. Their directories are added.
	Files []NewFile
	// Time is when all of it was made, in whole seconds: nothing else tells one
	// build of the same New from another.
	Time time.Time
}

// A NewFile is a regular file in a package, owned by root, with mode 0644.
type NewFile struct {
	Path string // below the root: "usr/share/doc/hello/copyright"
	Data []byte
}

// Build returns the package's bytes (deb(5)): members compressed by gzip,
// md5sums of its files. The same New gives the same bytes, as long as Go's gzip
// does. What Build returns, Read accepts; a New of which that cannot be said
// gives a *FormatError.
func (n New) Build() ([]byte, error) {
	if n.Control == nil {
		return nil, malformed("deb-no-control", "the package has no control file")
	}
	files := slices.SortedFunc(slices.Values(n.Files), func(a, b NewFile) int { return cmp.Compare(a.Path, b.Path) })
	for _, f := range files {
		if !fs.ValidPath(f.Path) || f.Path == "." {
			return nil, malformed("tar-name", "%s is not a path below the root", quote(f.Path))
		}
	}
	control := n.Control.Clone()
	if err := control.Set("Installed-Size", strconv.Itoa(installedSize(files))); err != nil {
		return nil, err
	}
	about := []NewFile{{"control", control.AppendTo(nil)}, {"md5sums", sumsOf(files)}}
	packedControl, err := n.pack(about)
	if err != nil {
		return nil, err
	}
	packedData, err := n.pack(files)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	n.member(&out, "debian-binary", []byte("2.0\n"))
	n.member(&out, "control.tar.gz", packedControl)
	n.member(&out, "data.tar.gz", packedData)
	if _, err := Read(bytes.NewReader(out.Bytes()), nil); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// member appends a member of an ar archive.
func (n New) member(out *bytes.Buffer, name string, data []byte) {
	fmt.Fprintf(out, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, n.Time.Unix(), 0, 0, 0o100644, len(data))
	out.Write(data)
	if len(data)%2 == 1 {
		out.WriteByte('\n')
	}
}

// pack returns files, which are sorted, and their directories as a compressed
// tar archive.
func (n New) pack(files []NewFile) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	entry := func(name string, kind byte, mode int64, data []byte) error {
		err := t.WriteHeader(&tar.Header{
			Name: name, Typeflag: kind, Mode: mode, Size: int64(len(data)), Uname: "root", Gname: "root",
			ModTime: n.Time.Truncate(time.Second), Format: tar.FormatGNU,
		})
		if err == nil {
			_, err = t.Write(data)
		}
		return err
	}
	made := make(map[string]bool)
	for _, f := range files {
		for _, dir := range append([]string{""}, parents(f.Path)...) {
			if made[dir] {
				continue
			}
			made[dir] = true
			if err := entry("./"+dir, tar.TypeDir, 0o755, nil); err != nil {
				return nil, err
			}
		}
		if err := entry("./"+f.Path, tar.TypeReg, 0o644, f.Data); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// parents returns the directories above a path, each with a slash at its end, the
// outermost first.
func parents(name string) []string {
	var dirs []string
	for i, c := range name {
		if c == '/' {
			dirs = append(dirs, name[:i+1])
		}
	}
	return dirs
}

// sumsOf returns the control file md5sums (deb-md5sums(5)).
func sumsOf(files []NewFile) []byte {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%x  %s\n", md5.Sum(f.Data), f.Path)
	}
	return []byte(b.String())
}

// installedSize is in KiB, as dpkg-gencontrol(1) counts: each file rounded up, and
// one for each directory.
func installedSize(files []NewFile) int {
	kib := 1 // the root
	made := make(map[string]bool)
	for _, f := range files {
		kib += (len(f.Data) + 1023) / 1024
		for dir := path.Dir(f.Path); dir != "." && !made[dir]; dir = path.Dir(dir) {
			made[dir] = true
			kib++
		}
	}
	return kib
}
