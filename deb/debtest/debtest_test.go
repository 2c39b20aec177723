package debtest_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
)

func TestBuildIsSound(t *testing.T) {
	p := debtest.Package{
		Name: "hello", Version: "1:2.0-1", Arch: "all",
		Fields:  []string{"Depends: a,\n b", "Description: short\n long"},
		Scripts: map[string]string{"postinst": "#!/bin/sh\n", "conffiles": "/etc/hello\n"},
		Files:   map[string]string{"etc/hello": "x", "usr/share/" + strings.Repeat("long/", 30) + "f": "y"},
		Entries: []debtest.Header{{Name: "./usr/l", Link: strings.Repeat("../", 50), Type: '2'}},
	}
	if got := p.FileName(); got != "hello_2.0-1_all.deb" {
		t.Errorf("the file name is %s", got)
	}
	for _, c := range []debtest.Compression{debtest.None, debtest.Gzip, debtest.XZ, debtest.Zstd} {
		p.Compression = c
		b := p.Build()
		if !bytes.Equal(b, p.Build()) {
			t.Errorf("%q: two builds differ", c)
		}
		pkg, err := deb.Read(bytes.NewReader(b), &deb.Options{Files: true})
		if err != nil {
			t.Fatalf("%q: %v", c, err)
		}
		got := fmt.Sprint(pkg.Name, pkg.Version, pkg.Architecture, pkg.Control.Get("Depends"), pkg.Description, pkg.Scripts, pkg.Conffiles, len(pkg.Files))
		if want := "hello1:2.0-1alla,\n bshort\n long[postinst] [/etc/hello] 37"; got != want {
			t.Errorf("%q: got %q, want %q", c, got, want)
		}
	}
}

func TestZeroPackage(t *testing.T) {
	pkg, err := deb.Read(bytes.NewReader(debtest.Package{}.Build()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if pkg.Name != "hello" || pkg.Version.String() != "1.0" || pkg.Architecture != "amd64" || pkg.InstalledBytes == 0 {
		t.Errorf("got %s", pkg.Control)
	}
	if got := (debtest.Package{}).FileName(); got != "hello_1.0_amd64.deb" {
		t.Errorf("the file name is %s", got)
	}
}

// TestHeaders has Go's own reader judge the headers.
func TestHeaders(t *testing.T) {
	for _, h := range []debtest.Header{
		{Name: "f", Content: "text"},
		{Name: "f", Format: debtest.POSIX, Content: strings.Repeat("x", 513)},
		{Name: "f", Mode: 0o4755, UID: 1 << 40, GID: 7, ModTime: 1700000000},
		{Name: "l", Link: "f", Type: '2'},
		{Name: strings.Repeat("d/", 100) + "f", Content: "x"},
		{Name: "l", Link: strings.Repeat("d/", 100), Type: '1'},
	} {
		r := tar.NewReader(bytes.NewReader(new(debtest.Tar).Add(h).Bytes()))
		got, err := r.Next()
		if err != nil {
			t.Errorf("%+v: %v", h, err)
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil || string(text) != h.Content || got.Name != h.Name || got.Linkname != h.Link {
			t.Errorf("%+v: got %+v, %d bytes, %v", h, got, len(text), err)
		}
		if h.Mode != 0 && (got.Mode != h.Mode || int64(got.Uid) != h.UID || int64(got.Gid) != h.GID || got.ModTime.Unix() != h.ModTime) {
			t.Errorf("%+v: got %+v", h, got)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%+v: %v behind it", h, err)
		}
	}
}

func TestForgedHeaders(t *testing.T) {
	size := int64(-1)
	block := debtest.Header{Name: "f", Size: &size, Edit: func(b []byte) { b[0] = 'g' }}.Block()
	if block[0] != 'g' || !bytes.Equal(block[124:136], bytes.Repeat([]byte{0xff}, 12)) {
		t.Errorf("the header is %q", block[:160])
	}
	if _, err := tar.NewReader(bytes.NewReader(block)).Next(); !errors.Is(err, tar.ErrHeader) {
		t.Errorf("Go takes a negative size: %v", err)
	}
	h := debtest.ArHeader{Name: "a name that is longer than the field", Size: "12x", End: "xy"}.Bytes()
	if want := "a name that is l0           0     0     100644  12x       xy"; string(h) != want {
		t.Errorf("got %q, want %q", h, want)
	}
}

func ExamplePackage() {
	file := debtest.Package{Name: "hello", Version: "2.10-3", Fields: []string{"Depends: libc6"}}.Build()

	pkg, err := deb.ReadControl(bytes.NewReader(file), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(pkg.Control)
	// Output:
	// Package: hello
	// Version: 2.10-3
	// Architecture: amd64
	// Maintainer: Test <test@example.com>
	// Depends: libc6
	// Description: test package hello
}

func ExampleAr() {
	file := new(debtest.Ar).
		Member("debian-binary", []byte("2.0\n")).
		Member("control.tar", debtest.Package{}.ControlTar()).
		Forge(debtest.ArHeader{Name: "data.tar", Size: "-1"}, nil).
		Bytes()

	_, err := deb.Read(bytes.NewReader(file), nil)
	fmt.Println(err)
	// Output:
	// a member's size is "-1        "
}

func BenchmarkBuild(b *testing.B) {
	for _, c := range []debtest.Compression{debtest.None, debtest.Gzip, debtest.XZ, debtest.Zstd} {
		b.Run("compression="+string(c), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				debtest.Package{Name: fmt.Sprint("p", i), Compression: c}.Build()
			}
		})
	}
}
