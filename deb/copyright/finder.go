package copyright

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"path"
	"strings"

	"github.com/repod-io/repod/deb"
)

// Found is what there is to know of a package's copyright file. It is the zero
// Found if the package has none, which Policy 12.5 does not allow.
type Found struct {
	SHA256 string // of the file, in hex; "" if it is not in this package
	Size   int64  // in bytes

	MachineReadable bool
	Expression      string // as in File; "" makes no assertion
	Refs            []Ref

	// In names the binary package that has the file, if this one has a link to
	// there instead (Policy 12.3). All other fields are zero then.
	In string
}

// A Finder looks for the copyright file of a package while the package is read:
//
//	var finder copyright.Finder
//	opts := &deb.Options{Visit: finder.Visit(others), VisitLink: finder.VisitLink}
//	pkg, err := deb.Read(file, opts)
//	if err != nil {
//		return err
//	}
//	found := finder.Found()
//
// It reads nothing but the control file, for the name, and copyright files, of at
// most 8 packages: a package that has those of others too links to one of them,
// perhaps. It keeps one file in memory at a time, as far as it may be
// machine-readable. The zero Finder is ready; it is for one package and used by one
// goroutine.
type Finder struct {
	name  string            // of the package, once it is known
	files map[string]Found  // by path
	links map[string]string // by path, to a path
}

// Bounds of what a Finder remembers.
const (
	maxFiles   = 8
	maxLinks   = 64
	maxHops    = 8 // as many links lead to a file
	maxControl = 1 << 20
)

// docs is where all packages have their copyright files.
const docs = "usr/share/doc"

// Visit returns a function for Options.Visit of package deb, which calls next,
// unless that is nil, and takes copyright files in. Next need not read them.
func (d *Finder) Visit(next func(f deb.File, content io.Reader) error) func(f deb.File, content io.Reader) error {
	if next == nil {
		next = func(deb.File, io.Reader) error { return nil }
	}
	return func(f deb.File, content io.Reader) error {
		switch {
		case f.Control && f.Path == "control":
			var text bytes.Buffer
			err := both(f, content, &limited{&text, maxControl}, next)
			d.name = nameIn(text.Bytes())
			return err
		case !d.wants(f.Path): // nor do files of control.tar have such a path
			return next(f, content)
		}
		r := newRecorder(f.Size)
		if err := both(f, content, r, next); err != nil {
			return err
		}
		if d.files == nil {
			d.files = make(map[string]Found)
		}
		d.files[f.Path] = r.found()
		return nil
	}
}

// both shows a file to next, and all of it to w.
func both(f deb.File, content io.Reader, w io.Writer, next func(f deb.File, content io.Reader) error) error {
	if err := next(f, io.TeeReader(content, w)); err != nil {
		return err
	}
	_, err := io.Copy(w, content)
	return err
}

// limited drops what is too much.
type limited struct {
	w    *bytes.Buffer
	most int
}

func (l *limited) Write(p []byte) (int, error) {
	l.w.Write(p[:min(len(p), l.most-l.w.Len())])
	return len(p), nil
}

// nameIn returns the name that a control file gives, "" if it has none: package deb
// refuses such a package.
func nameIn(control []byte) string {
	stanza, err := deb.ParseStanza(control)
	if err != nil {
		return ""
	}
	return stanza.Get("Package")
}

// wants reports whether a file is the copyright file of this package, or one of
// the first of others.
func (d *Finder) wants(file string) bool {
	name, ok := strings.CutPrefix(file, docs+"/")
	if !ok {
		return false
	}
	name, ok = strings.CutSuffix(name, "/copyright")
	switch {
	case !ok || strings.Contains(name, "/"):
		return false
	case name == d.name:
		return true
	}
	_, own := d.files[fileOf(d.name)]
	return !own && len(d.files) < maxFiles-1
}

func fileOf(name string) string { return docs + "/" + name + "/copyright" }

// VisitLink is for Options.VisitLink of package deb. Its error is nil.
func (d *Finder) VisitLink(f deb.File) error {
	name, ok := strings.CutPrefix(f.Path, docs+"/")
	if !ok {
		return nil
	}
	name = strings.TrimSuffix(name, "/copyright")
	if strings.Contains(name, "/") || name != d.name && len(d.links) >= maxLinks {
		return nil
	}
	if d.links == nil {
		d.links = make(map[string]string)
	}
	to := f.Target
	switch {
	case f.Type == deb.Hardlink: // has a path
	case path.IsAbs(to):
		to = path.Clean(to)[1:]
	default:
		to = path.Join("/", path.Dir(f.Path), to)[1:]
	}
	d.links[f.Path] = to
	return nil
}

// Found returns what was found. It is to be called when the package has been read
// and found to be sound.
func (d *Finder) Found() Found {
	file := fileOf(d.name)
	for range maxHops {
		if found, ok := d.files[file]; ok {
			return found
		}
		dir := path.Dir(file)
		if to, ok := d.links[dir]; ok {
			file = to + "/copyright"
		} else if to, ok := d.links[file]; ok {
			file = to
		} else {
			return Found{In: other(file, d.name)}
		}
	}
	return Found{}
}

// other returns the name of the package that has a copyright file of that path,
// and "" if no other than own has.
func other(file, own string) string {
	name := path.Base(path.Dir(file))
	if file != fileOf(name) || name == own || !deb.ValidPackageName(name) {
		return ""
	}
	return name
}

// A recorder takes a copyright file in. It keeps no more of it than Parse reads.
type recorder struct {
	sum  hash.Hash
	size int64
	text bytes.Buffer
	over bool // the text is longer than what Parse reads
}

func newRecorder(size int64) *recorder {
	r := &recorder{sum: sha256.New(), over: size > maxText}
	if !r.over {
		r.text.Grow(int(min(size, 64<<10))) // what the header says may not come
	}
	return r
}

func (r *recorder) Write(p []byte) (int, error) {
	r.size += int64(len(p))
	r.sum.Write(p)
	if !r.over {
		r.text.Write(p)
	}
	return len(p), nil
}

func (r *recorder) found() Found {
	out := Found{SHA256: hex.EncodeToString(r.sum.Sum(nil)), Size: r.size}
	if !r.over {
		f := Parse(r.text.Bytes())
		out.MachineReadable, out.Expression, out.Refs = f.MachineReadable, f.Expression, f.Refs
	}
	return out
}
