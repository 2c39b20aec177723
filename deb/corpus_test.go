package deb_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
)

// A hostile package must be refused, for the reason given. The names start
// with the class of fault: AR (archive), CP (compression), TR (tar), CF
// (control fields).
type hostile struct {
	name   string
	reason string
	build  func() []byte
}

// arOf returns a builder of an archive with three sound members, for those who
// want to change one.
type parts struct {
	version       string // debian-binary
	controlName   string
	control, data []byte
	dataName      string
}

func soundParts() parts {
	p := debtest.Package{}
	return parts{"2.0\n", "control.tar", p.ControlTar(), p.DataTar(), "data.tar"}
}

func (p parts) build() []byte {
	a := new(debtest.Ar).Member("debian-binary", []byte(p.version))
	return a.Member(p.controlName, p.control).Member(p.dataName, p.data).Bytes()
}

// withParts builds a package of sound parts, changed by edit.
func withParts(edit func(*parts)) func() []byte {
	return func() []byte {
		p := soundParts()
		edit(&p)
		return p.build()
	}
}

// start is an archive up to and with its control member.
func start() *debtest.Ar {
	return new(debtest.Ar).Member("debian-binary", []byte("2.0\n")).Member("control.tar", debtest.Package{}.ControlTar())
}

func data() []byte { return debtest.Package{}.DataTar() }

// openssl is the control.tar of another package than the one in hand.
func openssl() []byte {
	return debtest.Package{Name: "openssl", Version: "99:9"}.ControlTar()
}

// hostilePackages returns all of them. Each is built once: some are large.
var hostilePackages = sync.OnceValue(func() []hostile {
	var all []hostile
	for _, class := range [][]hostile{hostileArchives(), hostileCompression(), hostileTars(), hostileLinks(), hostileControl()} {
		all = append(all, class...)
	}
	for i := range all {
		all[i].build = sync.OnceValue(all[i].build)
	}
	return all
})

func TestHostilePackages(t *testing.T) {
	seen := map[string]bool{}
	for _, h := range hostilePackages() {
		if seen[h.name] {
			t.Errorf("two cases are named %q", h.name)
		}
		seen[h.name] = true
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			pkg, err := deb.Read(bytes.NewReader(h.build()), &deb.Options{Files: true, MD5Sums: true})
			if err == nil {
				t.Fatalf("accepted as %s %s", pkg.Name, pkg.Version)
			}
			if pkg != nil {
				t.Error("there is a package besides the error")
			}
			wantReason(t, err, h.reason)
			checkMessage(t, err.Error())
		})
	}
	if len(seen) < 120 {
		t.Errorf("there are %d hostile packages only", len(seen))
	}
}

// checkMessage verifies that a message can be shown to whoever sent the
// package.
func checkMessage(t *testing.T, msg string) {
	t.Helper()
	if len(msg) > 600 {
		t.Errorf("the message has %d bytes", len(msg))
	}
	for _, r := range msg {
		if r < ' ' || r > '~' {
			t.Errorf("the message has character %q: %q", r, msg)
			break
		}
	}
}

// TestHostileMemory verifies that no hostile package makes us set aside
// memory out of proportion to it.
func TestHostileMemory(t *testing.T) {
	for _, h := range hostilePackages() {
		b := h.build()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		deb.Read(bytes.NewReader(b), nil) // its error is another test's matter
		runtime.ReadMemStats(&after)
		const most = 144 << 20 // two dictionaries of 64 MiB, and change
		if got := after.TotalAlloc - before.TotalAlloc; got > most+8*uint64(len(b)) {
			t.Errorf("%s: %d MiB for a package of %d bytes", h.name, got>>20, len(b))
		}
	}
}

// TestTruncated cuts a package at every byte: none of the pieces is a package.
func TestTruncated(t *testing.T) {
	for _, c := range []debtest.Compression{debtest.None, debtest.Gzip, debtest.XZ, debtest.Zstd} {
		whole := debtest.Package{Compression: c}.Build()
		step := 1
		if c == debtest.None {
			step = 13
		}
		for n := 0; n < len(whole); n += step {
			pkg, err := deb.Read(bytes.NewReader(whole[:n]), nil)
			var f *deb.FormatError
			if pkg != nil || !errors.As(err, &f) {
				t.Fatalf("%q cut to %d bytes: %v", c, n, err)
			}
		}
	}
}

// TestDamaged flips bits of compressed packages. Checksums must show it, or
// what is read must be the same (some bits carry no meaning).
func TestDamaged(t *testing.T) {
	for _, c := range []debtest.Compression{debtest.Gzip, debtest.XZ, debtest.Zstd} {
		whole := debtest.Package{Compression: c}.Build()
		sound := read(t, whole)
		for n := range whole {
			b := bytes.Clone(whole)
			b[n] ^= 1 << (n % 8)
			pkg, err := deb.Read(bytes.NewReader(b), &deb.Options{Files: true})
			var f *deb.FormatError
			if err != nil && !errors.As(err, &f) {
				t.Fatalf("%q, byte %d: %v", c, n, err)
			}
			if err == nil && (pkg.Control.String() != sound.Control.String() || len(pkg.Files) != len(sound.Files) ||
				pkg.InstalledBytes != sound.InstalledBytes) {
				t.Errorf("%q, byte %d: a damaged package reads as %s", c, n, pkg.Control)
			}
		}
	}
}

func read(t testing.TB, b []byte) *deb.Package {
	t.Helper()
	pkg, err := deb.Read(bytes.NewReader(b), &deb.Options{Files: true, MD5Sums: true})
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

// withControl builds a package with that control file.
func withControl(control string) func() []byte {
	return func() []byte { return debtest.Package{Control: control}.Build() }
}

// minimal is the shortest control file that passes.
const minimal = "Package: hello\nVersion: 1.0\nArchitecture: amd64\n"

// withField builds a package whose control file has one more line.
func withField(line string) func() []byte { return withControl(minimal + line + "\n") }

// replaced builds a package whose control file has one line changed.
func replaced(old, new string) func() []byte {
	return withControl(strings.Replace(minimal, old, new, 1))
}
