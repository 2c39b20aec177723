// Package debtest builds binary packages in memory, for tests: sound ones with
// Package, and broken ones from the parts that Package is made of (Ar, Tar,
// Compress), which write whatever they are told.
//
// Building does not fail and needs no outside program. What is built depends on
// the description alone: times are zero, owners are root.
package debtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// A Compression is how a member is compressed.
type Compression string

// The compressions that dpkg installs.
const (
	None Compression = ""
	Gzip Compression = "gzip"
	XZ   Compression = "xz"
	Zstd Compression = "zstd"
)

// Extension returns the end of a member's name, such as ".gz".
func (c Compression) Extension() string {
	return map[Compression]string{Gzip: ".gz", XZ: ".xz", Zstd: ".zst"}[c]
}

// A Package describes a sound binary package. The zero value is one, too.
type Package struct {
	Name    string // default "hello"
	Version string // default "1.0"
	Arch    string // default "amd64"
	// Fields are further lines of the control file, such as "Depends: libc6".
	// They replace the defaults for Maintainer and Description. Further lines of
	// a field start with "\n ".
	Fields []string
	// Control, if set, is the whole control file.
	Control string
	// Scripts are further control files, by name: "postinst", "conffiles".
	Scripts map[string]string
	// Files are the contents of regular files, by path: "usr/bin/hello". The
	// directories above them are added. Files and Entries empty: one small file
	// below usr/share/doc.
	Files map[string]string
	// Entries are further entries of data.tar, in their order after Files.
	Entries []Header
	// Compression is that of both archives. The default takes no time.
	Compression Compression
}

// Build returns the package's bytes. It panics when Compression is unknown.
func (p Package) Build() []byte {
	ext := p.Compression.Extension()
	control, data := Compress(p.Compression, p.ControlTar()), Compress(p.Compression, p.DataTar())
	var a Ar
	a.buf.Grow(len(control) + len(data) + 256)
	a.Member("debian-binary", []byte("2.0\n"))
	a.Member("control.tar"+ext, control)
	a.Member("data.tar"+ext, data)
	return a.Bytes()
}

// ControlTar returns control.tar without compression.
func (p Package) ControlTar() []byte {
	var t Tar
	t.Dir("./").File("./control", p.ControlFile())
	for _, name := range slices.Sorted(maps.Keys(p.Scripts)) {
		t.Add(Header{Name: "./" + name, Mode: 0o755, Content: p.Scripts[name]})
	}
	return t.Bytes()
}

// DataTar returns data.tar without compression.
func (p Package) DataTar() []byte {
	files := p.Files
	if len(files) == 0 && len(p.Entries) == 0 {
		name := p.name()
		files = map[string]string{"usr/share/doc/" + name + "/README": name + " " + p.version() + "\n"}
	}
	var t Tar
	t.Dir("./")
	dirs := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		for i, c := range path {
			if dir := path[:i]; c == '/' && !dirs[dir] {
				dirs[dir] = true
				t.Dir("./" + dir + "/")
			}
		}
		t.File("./"+path, files[path])
	}
	for _, h := range p.Entries {
		t.Add(h)
	}
	return t.Bytes()
}

// ControlFile returns the text of the file named control.
func (p Package) ControlFile() string {
	if p.Control != "" {
		return p.Control
	}
	arch := p.Arch
	if arch == "" {
		arch = "amd64"
	}
	var b strings.Builder
	b.WriteString("Package: " + p.name() + "\nVersion: " + p.version() + "\nArchitecture: " + arch + "\n")
	if !p.hasField("Maintainer") {
		b.WriteString("Maintainer: Test <test@example.com>\n")
	}
	for _, line := range p.Fields {
		b.WriteString(line + "\n")
	}
	if !p.hasField("Description") {
		b.WriteString("Description: test package " + p.name() + "\n")
	}
	return b.String()
}

func (p Package) hasField(name string) bool {
	return slices.ContainsFunc(p.Fields, func(line string) bool { return strings.HasPrefix(line, name+":") })
}

func (p Package) name() string {
	if p.Name == "" {
		return "hello"
	}
	return p.Name
}

func (p Package) version() string {
	if p.Version == "" {
		return "1.0"
	}
	return p.Version
}

// FileName returns the name under which archives keep the package:
// hello_1.0_amd64.deb.
func (p Package) FileName() string {
	version := p.version()
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	arch := p.Arch
	if arch == "" {
		arch = "amd64"
	}
	return p.name() + "_" + version + "_" + arch + ".deb"
}

// Compress compresses data. It panics when the compression is unknown.
func Compress(c Compression, data []byte) []byte {
	switch c {
	case None:
		return data
	case Gzip:
		w := gzipWriters.Get().(*gzip.Writer)
		defer gzipWriters.Put(w)
		var buf bytes.Buffer
		w.Reset(&buf)
		return finish(w, &buf, data)
	case XZ:
		var buf bytes.Buffer
		w, err := xz.WriterConfig{DictCap: 1 << 16}.NewWriter(&buf)
		if err != nil {
			panic(fmt.Sprintf("debtest: xz: %v", err))
		}
		return finish(w, &buf, data)
	case Zstd:
		return zstdEncoder().EncodeAll(data, nil)
	}
	panic(fmt.Sprintf("debtest: unknown compression %q", string(c)))
}

// finish writes data to a compressor that writes to buf. Writing to memory
// does not fail.
func finish(w io.WriteCloser, buf *bytes.Buffer, data []byte) []byte {
	w.Write(data)
	w.Close()
	return buf.Bytes()
}

// Setting a compressor up takes longer than compressing a small package.
var (
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(fmt.Sprintf("debtest: zstd: %v", err))
		}
		return w
	})
)
