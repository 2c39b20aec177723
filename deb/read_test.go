package deb_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
)

func TestRead(t *testing.T) {
	for _, c := range []debtest.Compression{debtest.None, debtest.Gzip, debtest.XZ, debtest.Zstd} {
		b := debtest.Package{
			Name: "hello", Version: "1:2.10-3", Arch: "arm64", Compression: c,
			Fields: []string{"Source: hello-src (2.10-3)", "Installed-Size: 42", "Section: devel", "Priority: optional",
				"Depends: libc6 (>= 2.34)", "Homepage: https://example.org/", "Description: greets\n the world"},
			Scripts: map[string]string{"postinst": "#!/bin/sh\n"},
			Files:   map[string]string{"usr/bin/hello": "#!/bin/sh\necho hello\n", "etc/hello": "x"},
		}.Build()
		pkg := read(t, b)
		got := fmt.Sprintln(pkg.Name, pkg.Version, pkg.Architecture, pkg.Source, pkg.SourceVersion, pkg.InstalledSize, pkg.Section, pkg.Priority,
			pkg.Homepage, pkg.Relations("Depends"), pkg.FileCount, pkg.InstalledBytes)
		want := "hello 1:2.10-3 arm64 hello-src 2.10-3 42 devel optional https://example.org/ libc6 (>= 2.34) 6 22\n"
		if got != want {
			t.Errorf("%q: got %swant %s", c, got, want)
		}
		if pkg.Description != "greets\n the world" || !slices.Equal(pkg.Scripts, []string{"postinst"}) {
			t.Errorf("%q: description %q, scripts %q", c, pkg.Description, pkg.Scripts)
		}
		f := pkg.Files[len(pkg.Files)-1]
		if f.Path != "usr/bin/hello" || f.Size != 21 || f.Mode != 0o644 || f.Type != deb.Regular || f.Owner != "root" || !f.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%q: last file is %+v", c, f)
		}
		if m := pkg.Members[2]; m.Name != "data.tar"+c.Extension() || m.Compression.Extension() != c.Extension() || m.Size == 0 {
			t.Errorf("%q: third member is %+v", c, m)
		}
	}
}

// TestReadByByte reads from sources that return little, or data and error at
// once, as network connections do.
func TestReadByByte(t *testing.T) {
	for _, c := range []debtest.Compression{debtest.None, debtest.Gzip, debtest.XZ, debtest.Zstd} {
		b := debtest.Package{Compression: c}.Build()
		for name, r := range map[string]io.Reader{
			"by byte":      iotest.OneByteReader(bytes.NewReader(b)),
			"data and EOF": iotest.DataErrReader(bytes.NewReader(b)),
		} {
			if _, err := deb.Read(r, nil); err != nil {
				t.Errorf("%q, %s: %v", c, name, err)
			}
		}
	}
}

func TestVisit(t *testing.T) {
	b := debtest.Package{
		Compression: debtest.Zstd,
		Scripts:     map[string]string{"postinst": "#!/bin/sh\n", "md5sums": "x"},
		Files:       map[string]string{"usr/a": "AA", "usr/b": "", "usr/c": strings.Repeat("c", 70000)},
		Entries:     []debtest.Header{{Name: "./usr/l", Link: "a", Type: '2'}, {Name: "./usr/h", Link: "./usr/a", Type: '1'}},
	}.Build()
	var seen []string
	opts := &deb.Options{MD5Sums: true, Visit: func(f deb.File, content io.Reader) error {
		text, err := io.ReadAll(content)
		if int64(len(text)) != f.Size {
			t.Errorf("%s: read %d bytes, size is %d", f.Path, len(text), f.Size)
		}
		seen = append(seen, fmt.Sprintf("%s:%v:%d", f.Path, f.Control, len(text)))
		return err
	}}
	if _, err := deb.Read(bytes.NewReader(b), opts); err != nil {
		t.Fatal(err)
	}
	want := "control:true:116 md5sums:true:1 postinst:true:10 usr/a:false:2 usr/b:false:0 usr/c:false:70000"
	if got := strings.Join(seen, " "); got != want {
		t.Errorf("visited %s\nwant    %s", got, want)
	}
	// Contents that nobody reads are skipped.
	skip := &deb.Options{Visit: func(deb.File, io.Reader) error { return nil }, Files: true}
	if pkg, err := deb.Read(bytes.NewReader(b), skip); err != nil || len(pkg.Files) != 7 {
		t.Errorf("without reading: %v", err)
	}
}

// TestVisitLink has links visited in their place among the files.
func TestVisitLink(t *testing.T) {
	b := debtest.Package{
		Files: map[string]string{"usr/a": "AA"},
		Entries: []debtest.Header{{Name: "./usr/l", Link: "../etc/x", Type: '2'}, {Name: "./usr/b", Content: "B"},
			{Name: "./usr/h", Link: "./usr/a", Type: '1'}, {Name: "./usr/d/", Type: '5'}},
	}.Build()
	var seen []string
	opts := &deb.Options{
		Visit: func(f deb.File, _ io.Reader) error {
			seen = append(seen, f.Path)
			return nil
		},
		VisitLink: func(f deb.File) error {
			seen = append(seen, fmt.Sprintf("%s:%v:%s", f.Path, f.Type, f.Target))
			return nil
		},
	}
	if _, err := deb.Read(bytes.NewReader(b), opts); err != nil {
		t.Fatal(err)
	}
	const want = "control usr/a usr/l:symlink:../etc/x usr/b usr/h:hardlink:usr/a"
	if got := strings.Join(seen, " "); got != want {
		t.Errorf("visited %s\nwant    %s", got, want)
	}
	broken := errors.New("disk on fire")
	_, err := deb.Read(bytes.NewReader(b), &deb.Options{VisitLink: func(deb.File) error { return broken }})
	if err != broken {
		t.Errorf("VisitLink fails: %v", err)
	}
}

// TestForeignErrors verifies that errors which are not the package's fault
// come back as they are.
func TestForeignErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, c := range []debtest.Compression{debtest.None, debtest.Gzip, debtest.XZ, debtest.Zstd} {
		b := debtest.Package{Compression: c}.Build()
		for n := range b {
			if _, err := deb.Read(io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(broken)), nil); err != broken {
				t.Fatalf("%q, source fails after %d bytes: %v", c, n, err)
			}
		}
		for _, path := range []string{"control", "usr/share/doc/hello/README"} {
			_, err := deb.Read(bytes.NewReader(b), &deb.Options{Visit: func(f deb.File, _ io.Reader) error {
				if f.Path == path {
					return broken
				}
				return nil
			}})
			if err != broken {
				t.Errorf("%q, Visit fails at %s: %v", c, path, err)
			}
		}
	}
	// A source that says it ended early is broken; one that ends early is not.
	if _, err := deb.Read(iotest.ErrReader(io.ErrUnexpectedEOF), nil); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v", err)
	}
}

// TestVisitMeetsDamage has Visit wrap the error it met: the package is still at
// fault, not Visit.
func TestVisitMeetsDamage(t *testing.T) {
	p := soundParts()
	p.dataName, p.data = "data.tar.gz", debtest.Compress(debtest.Gzip, new(debtest.Tar).File("./f", strings.Repeat("x", 5000)).Open()[:4000])
	_, err := deb.Read(bytes.NewReader(p.build()), &deb.Options{Visit: func(_ deb.File, r io.Reader) error {
		if _, err := io.Copy(io.Discard, r); err != nil {
			return fmt.Errorf("scanner: %w", err)
		}
		return nil
	}})
	wantReason(t, err, "tar-truncated")
	if f, ok := err.(*deb.FormatError); !ok || f.Member != "data.tar.gz" {
		t.Errorf("got %v, want the fault itself with its member", err)
	}
}

func TestInterrupt(t *testing.T) {
	b := debtest.Package{Compression: debtest.Gzip, Files: map[string]string{"zeros": string(make([]byte, 8<<20))}}.Build()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := deb.Read(bytes.NewReader(b), &deb.Options{Interrupt: ctx.Err}); err != nil {
		t.Fatal(err)
	}
	asked := 0
	_, err := deb.Read(bytes.NewReader(b), &deb.Options{Interrupt: func() error {
		if asked++; asked == 3 {
			cancel()
		}
		return ctx.Err()
	}})
	if err != context.Canceled || asked != 3 {
		t.Errorf("asked %d times, got %v", asked, err)
	}
}

func TestLimits(t *testing.T) {
	sound := debtest.Package{Compression: debtest.Gzip, Files: map[string]string{"usr/bin/f": strings.Repeat("x", 5000)}}.Build()
	for _, c := range []struct {
		name   string
		reason string
		limits deb.Limits
		pkg    []byte
	}{
		{"control.tar", "too-large", deb.Limits{Control: 2047}, sound},
		{"control file", "too-large", deb.Limits{ControlFile: 50}, sound},
		{"control entries", "tar-too-many-entries", deb.Limits{ControlEntries: 1}, sound},
		{"data.tar", "too-large", deb.Limits{Data: 8000}, sound},
		{"data entries", "tar-too-many-entries", deb.Limits{DataEntries: 3}, sound},
		{"path", "tar-name-too-long", deb.Limits{Name: 10}, sound},
		{"dictionary", "xz-dictionary", deb.Limits{Dictionary: 1 << 15}, debtest.Package{Compression: debtest.XZ}.Build()},
		{"window", "zstd-window", deb.Limits{Window: 1 << 26}, compressedData(".zst", zstdWindow(17))()},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := deb.Read(bytes.NewReader(c.pkg), nil); err != nil {
				t.Fatalf("within default limits: %v", err)
			}
			_, err := deb.Read(bytes.NewReader(c.pkg), &deb.Options{Limits: c.limits})
			wantReason(t, err, c.reason)
			if !errors.Is(err, deb.ErrTooLarge) {
				t.Errorf("%v is not ErrTooLarge", err)
			}
		})
	}
	exact := deb.Limits{Control: 3072, ControlEntries: 2, Data: 11264, DataEntries: 4, Name: 12}
	if _, err := deb.Read(bytes.NewReader(sound), &deb.Options{Limits: exact}); err != nil {
		t.Errorf("exactly within limits: %v", err)
	}
}

// TestDataRatio reads a bomb: 3 GiB of zeros from 100 KB. It is stopped where
// the ratio says so, not at the limit for all packages.
func TestDataRatio(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("reads a gigabyte")
	}
	const size = 3 << 30
	bomb := zstdZeros(debtest.Header{Name: "./zeros", Size: ptr(int64(size))}.Block(), size)
	p := soundParts()
	p.dataName, p.data = "data.tar.zst", bomb
	opened := 0
	_, err := deb.Read(bytes.NewReader(p.build()), &deb.Options{Interrupt: func() error { opened++; return nil }})
	wantReason(t, err, "too-large")
	if most := 1024 + 200*len(bomb)>>20; opened < 1024 || opened > most+1 {
		t.Errorf("opened %d MiB of a bomb of %d bytes, want 1 GiB to %d MiB", opened, len(bomb), most)
	}
}

// zstdZeros is a frame of a text and many zeros after it.
func zstdZeros(text []byte, zeros int) []byte {
	const block = 128 << 10
	f := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3} // window of 128 KiB
	f = append(f, byte(len(text)<<3), byte(len(text)>>5), byte(len(text)>>13))
	f = append(f, text...)
	for range zeros / block {
		f = append(f, byte(block<<3&0xff|1<<1), block>>5&0xff, block>>13, 0)
	}
	return append(f, 1, 0, 0) // an empty block, the last
}

func ptr[T any](v T) *T { return &v }

// countingReader counts what is taken from a source.
type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// TestReadControlReadsNoMore verifies that the control part of a package costs
// what it has, however large the package is.
func TestReadControlReadsNoMore(t *testing.T) {
	for _, c := range []debtest.Compression{debtest.None, debtest.Gzip, debtest.XZ, debtest.Zstd} {
		b := debtest.Package{Compression: c, Files: map[string]string{"random": random(1 << 18)}}.Build()
		// debian-binary takes 72 bytes with magic and header, control.tar its
		// header and what it says.
		pkg := read(t, b)
		want := 72 + 60 + int(pkg.Members[1].Size)
		src := &countingReader{r: bytes.NewReader(b)}
		got, err := deb.ReadControl(src, nil)
		if err != nil {
			t.Fatal(err)
		}
		if src.n != want || got.Name != "hello" || got.FileCount != 0 {
			t.Errorf("%q: read %d bytes of %d, want %d", c, src.n, len(b), want)
		}
	}
}

func random(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256([]byte("random"))).Read(b)
	return string(b)
}

func TestReadControlRefuses(t *testing.T) {
	for reason, b := range map[string][]byte{
		"deb-no-control":      new(debtest.Ar).Member("debian-binary", []byte("2.0\n")).Bytes(),
		"deb-member-order":    new(debtest.Ar).Member("debian-binary", []byte("2.0\n")).Member("data.tar", data()).Bytes(),
		"control-package":     replaced("hello", "../x")(),
		"ar-bad-magic":        nil,
		"control-missing":     withTar(new(debtest.Tar))(),
		"tar-pax":             withTar(new(debtest.Tar).Add(pax('x', "path", "control")).File("./other", minimal))(),
		"ar-duplicate-member": new(debtest.Ar).Member("debian-binary", []byte("2.0\n")).Member("debian-binary", []byte("2.0\n")).Bytes(),
	} {
		pkg, err := deb.ReadControl(bytes.NewReader(b), nil)
		if pkg != nil {
			t.Errorf("%s: there is a package besides the error", reason)
		}
		wantReason(t, err, reason)
	}
}

func FuzzRead(f *testing.F) {
	for _, h := range hostilePackages() {
		if b := h.build(); len(b) < 1<<16 {
			f.Add(b)
		}
	}
	for _, u := range unusualPackages() {
		if b := u.build(); len(b) < 1<<16 {
			f.Add(b)
		}
	}
	limits := deb.Limits{Control: 1 << 20, Data: 1 << 22, Dictionary: 1 << 20, Window: 1 << 20}
	f.Fuzz(func(t *testing.T, b []byte) {
		pkg, err := deb.Read(bytes.NewReader(b), &deb.Options{Limits: limits, Files: true, MD5Sums: true})
		if err != nil {
			var fault *deb.FormatError
			if !errors.As(err, &fault) || fault.Reason == "" || fault.Detail == "" {
				t.Fatalf("not the package's fault: %#v", err)
			}
			return
		}
		if !deb.ValidPackageName(pkg.Name) || strings.ContainsAny(pkg.Version.String()+pkg.Architecture+pkg.Source+pkg.SourceVersion, "/\n ") {
			t.Fatalf("accepted %s %s %s", pkg.Name, pkg.Version, pkg.Architecture)
		}
		for _, file := range pkg.Files {
			if strings.HasPrefix(file.Path, "/") || slices.Contains(strings.Split(file.Path, "/"), "..") {
				t.Fatalf("accepted path %q", file.Path)
			}
		}
		control, err := deb.ReadControl(bytes.NewReader(b), &deb.Options{Limits: limits})
		if err != nil || control.Control.String() != pkg.Control.String() {
			t.Fatalf("ReadControl differs: %v", err)
		}
	})
}

// FuzzTar reads archives whose header checksums are right, which chance does
// not bring about.
func FuzzTar(f *testing.F) {
	behind := 8 + 60 + 4 + 60 + len(soundParts().control) + 60
	for _, h := range append(hostileTars(), hostileLinks()...) {
		if b := h.build(); behind < len(b) && len(b) < behind+1<<12 {
			f.Add(b[behind:])
		}
	}
	f.Fuzz(func(t *testing.T, tar []byte) {
		tar = bytes.Clone(tar)
		for i := 0; i+512 <= len(tar); i += 512 {
			if tar[i] != 0 {
				debtest.Checksum(tar[i : i+512])
			}
		}
		p := soundParts()
		p.data = tar
		pkg, err := deb.Read(bytes.NewReader(p.build()), &deb.Options{Files: true})
		var fault *deb.FormatError
		if err != nil {
			if !errors.As(err, &fault) {
				t.Fatalf("not the package's fault: %v", err)
			}
			return
		}
		paths := map[string]deb.FileType{}
		for _, file := range pkg.Files {
			if before, dup := paths[file.Path]; dup && (before != deb.Directory || file.Type != deb.Directory) {
				t.Fatalf("path %q twice", file.Path)
			}
			paths[file.Path] = file.Type
			for i, c := range file.Path {
				if kind, ok := paths[file.Path[:i]]; ok && c == '/' && kind != deb.Directory {
					t.Fatalf("%q lies below a %s", file.Path, kind)
				}
			}
		}
	})
}

// FuzzControl reads control files in sound archives.
func FuzzControl(f *testing.F) {
	f.Add(minimal)
	f.Add(minimal + "Depends: a (>= 1) | b,\n c\nSource: hello (1)\nMulti-Arch: same\n\n")
	f.Add(minimal + "\nPackage: openssl\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := soundParts()
		p.control = new(debtest.Tar).File("./control", text).Bytes()
		pkg, err := deb.ReadControl(bytes.NewReader(p.build()), nil)
		var fault *deb.FormatError
		if err != nil {
			if !errors.As(err, &fault) {
				t.Fatalf("not the package's fault: %v", err)
			}
			checkMessage(t, err.Error())
			return
		}
		entry := pkg.Control.String()
		if n := strings.Count("\n"+strings.ToLower(entry), "\npackage:"); n != 1 || strings.Contains(entry, "\n\n") {
			t.Fatalf("%q names %d packages", entry, n)
		}
		for _, name := range []string{"Filename", "Size", "SHA256", "Status"} {
			if pkg.Control.Has(name) {
				t.Fatalf("%q has the archive's field %s", entry, name)
			}
		}
	})
}

func ExampleRead() {
	file := debtest.Package{Name: "hello", Version: "2.10-3", Files: map[string]string{"usr/bin/hello": "#!/bin/sh\n"}}.Build()

	pkg, err := deb.Read(bytes.NewReader(file), &deb.Options{Files: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pkg.Name, pkg.Version, pkg.Architecture)
	for _, f := range pkg.Files {
		fmt.Println(f.Type, f.Path, f.Size)
	}
	// Output:
	// hello 2.10-3 amd64
	// directory . 0
	// directory usr 0
	// directory usr/bin 0
	// file usr/bin/hello 10
}

func ExampleFormatError() {
	file := debtest.Package{Name: "../../etc/passwd"}.Build()

	_, err := deb.Read(bytes.NewReader(file), nil)
	var fault *deb.FormatError
	if errors.As(err, &fault) {
		fmt.Println(fault.Reason)
		fmt.Println(fault)
	}
	// Output:
	// control-package
	// control.tar: control: "../../etc/passwd" is no package name (Policy 5.6.7)
}

func BenchmarkReadControl(b *testing.B) {
	file := debtest.Package{Compression: debtest.XZ, Files: map[string]string{"random": random(4 << 20)}}.Build()
	src := &countingReader{}
	b.ReportAllocs()
	for b.Loop() {
		src.r, src.n = bytes.NewReader(file), 0
		if _, err := deb.ReadControl(src, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(src.n), "bytes-read/op")
}

func BenchmarkReadSmall(b *testing.B) {
	file := debtest.Package{Compression: debtest.Gzip}.Build()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := deb.Read(bytes.NewReader(file), nil); err != nil {
			b.Fatal(err)
		}
	}
}
