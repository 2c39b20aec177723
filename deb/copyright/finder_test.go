package copyright_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/copyright"
	"github.com/repod-io/repod/deb/debtest"
)

// find reads a package named hello and returns what is found in it.
func find(t testing.TB, p debtest.Package, next func(deb.File, io.Reader) error) copyright.Found {
	t.Helper()
	var finder copyright.Finder
	opts := &deb.Options{Visit: finder.Visit(next), VisitLink: finder.VisitLink}
	if _, err := deb.Read(bytes.NewReader(p.Build()), opts); err != nil {
		t.Fatal(err)
	}
	return finder.Found()
}

func symlink(path, target string) debtest.Header {
	return debtest.Header{Name: "./" + path, Link: target, Type: '2'}
}

func hardlink(path, target string) debtest.Header {
	return debtest.Header{Name: "./" + path, Link: "./" + target, Type: '1'}
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestFinder(t *testing.T) {
	const own, others = "usr/share/doc/hello/copyright", "usr/share/doc/hello-data/copyright"
	isc, free := string(under("ISC")), "You may copy this.\n"
	of := func(text, expression string) copyright.Found {
		return copyright.Found{SHA256: hexSum(text), Size: int64(len(text)), MachineReadable: expression != "", Expression: expression}
	}
	withRef := of(string(under("Foo")), "LicenseRef-Debian-foo")
	withRef.Refs = []copyright.Ref{{ID: "LicenseRef-Debian-foo", Name: "Foo"}}
	many := map[string]string{own: isc}
	for i := range 100 {
		many[fmt.Sprintf("usr/share/doc/a%d/copyright", i)] = free
	}
	for _, tt := range []struct {
		name    string
		files   map[string]string
		entries []debtest.Header
		want    copyright.Found
	}{
		{"machine-readable", map[string]string{own: isc}, nil, of(isc, "ISC")},
		{"with references", map[string]string{own: string(under("Foo"))}, nil, withRef},
		{"free text", map[string]string{own: free}, nil, of(free, "")},
		{"empty", map[string]string{own: ""}, nil, of("", "")},
		{"none", map[string]string{"usr/bin/hello": isc}, nil, copyright.Found{}},
		{"elsewhere", map[string]string{others: isc, "usr/share/doc/hello/a/copyright": isc, "copyright": isc, "opt/" + own: isc}, nil, copyright.Found{}},
		{"compressed", map[string]string{own + ".gz": isc}, nil, copyright.Found{}},
		{"besides those of others", many, nil, of(isc, "ISC")},

		{"directory in another package", nil, []debtest.Header{symlink("usr/share/doc/hello", "hello-data")}, copyright.Found{In: "hello-data"}},
		{"by another path", nil, []debtest.Header{symlink("usr/share/doc/hello", "../doc/./hello-data/")}, copyright.Found{In: "hello-data"}},
		{"absolute", nil, []debtest.Header{symlink("usr/share/doc/hello", "/usr/share/doc/hello-data")}, copyright.Found{In: "hello-data"}},
		{"file in another package", nil, []debtest.Header{symlink(own, "../hello-data/copyright")}, copyright.Found{In: "hello-data"}},
		{"over two links", nil, []debtest.Header{symlink("usr/share/doc/hello", "hello-bin"), symlink("usr/share/doc/hello-bin", "hello-data")}, copyright.Found{In: "hello-data"}},
		{"directory in the package", map[string]string{others: isc}, []debtest.Header{symlink("usr/share/doc/hello", "hello-data")}, of(isc, "ISC")},
		{"file in the package", map[string]string{others: isc}, []debtest.Header{symlink(own, "../hello-data/copyright")}, of(isc, "ISC")},
		{"hard link", map[string]string{others: isc}, []debtest.Header{hardlink(own, others)}, of(isc, "ISC")},

		{"to itself", nil, []debtest.Header{symlink(own, "copyright")}, copyright.Found{}},
		{"directory to itself", nil, []debtest.Header{symlink("usr/share/doc/hello", "hello")}, copyright.Found{}},
		{"in a circle", nil, []debtest.Header{symlink("usr/share/doc/hello", "b"), symlink("usr/share/doc/b", "hello")}, copyright.Found{}},
		{"to a licence", nil, []debtest.Header{symlink(own, "/usr/share/common-licenses/GPL-3")}, copyright.Found{}},
		{"to another file", nil, []debtest.Header{symlink(own, "../hello-data/README")}, copyright.Found{}},
		{"to a directory below", nil, []debtest.Header{symlink("usr/share/doc/hello", "hello-data/html")}, copyright.Found{}},
		{"out of the documentation", nil, []debtest.Header{symlink("usr/share/doc/hello", "../../lib/hello-data")}, copyright.Found{}},
		{"above the root", nil, []debtest.Header{symlink("usr/share/doc/hello", "../../../../../../usr/share/doc/hello-data")}, copyright.Found{In: "hello-data"}},
		{"to no package's name", nil, []debtest.Header{symlink("usr/share/doc/hello", "Hello%2f..")}, copyright.Found{}},
		{"to documentation itself", nil, []debtest.Header{symlink("usr/share/doc/hello", ".")}, copyright.Found{}},
		{"to the root", nil, []debtest.Header{symlink("usr/share/doc/hello", "/")}, copyright.Found{}},
		{"links of others", map[string]string{own: isc}, []debtest.Header{symlink("usr/share/doc/other", "hello-data")}, of(isc, "ISC")},
	} {
		p := debtest.Package{Files: tt.files, Entries: tt.entries}
		if got := find(t, p, nil); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

// TestFinderManyLinks: neither links nor files of others push out the own ones.
func TestFinderManyLinks(t *testing.T) {
	var entries []debtest.Header
	for i := range 1000 {
		entries = append(entries, symlink(fmt.Sprintf("usr/share/doc/a%d", i), "b"))
	}
	entries = append(entries, symlink("usr/share/doc/hello", "hello-data"))
	if got := find(t, debtest.Package{Entries: entries}, nil); got.In != "hello-data" {
		t.Errorf("%+v", got)
	}
}

// TestFinderManyFiles: a Finder remembers the first files of others, in case one
// of them is meant.
func TestFinderManyFiles(t *testing.T) {
	files := make(map[string]string)
	for i := range 20 {
		files[fmt.Sprintf("usr/share/doc/a%02d/copyright", i)] = string(under("ISC"))
	}
	for target, want := range map[string]copyright.Found{
		"a06": {SHA256: hexSum(string(under("ISC"))), Size: int64(len(under("ISC"))), MachineReadable: true, Expression: "ISC"},
		"a07": {In: "a07"},
	} {
		got := find(t, debtest.Package{Files: files, Entries: []debtest.Header{symlink("usr/share/doc/hello", target)}}, nil)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", target, got)
		}
	}
}

// TestFinderSharesFiles: whoever else visits the files sees them as without a
// Finder, and what he reads of them does not matter.
func TestFinderSharesFiles(t *testing.T) {
	text := string(under("ISC")) + strings.Repeat("x", 100_000)
	p := debtest.Package{Files: map[string]string{"usr/share/doc/hello/copyright": text, "usr/bin/hello": "hello"}, Compression: debtest.XZ}
	for _, read := range []int64{0, 1, 50_000, 1 << 20} {
		var seen []string
		found := find(t, p, func(f deb.File, content io.Reader) error {
			b, err := io.ReadAll(io.LimitReader(content, read))
			if n := min(f.Size, read); int64(len(b)) != n {
				t.Errorf("%d bytes of %s, want %d", len(b), f.Path, n)
			}
			seen = append(seen, f.Path)
			return err
		})
		if found.Expression != "ISC" || found.SHA256 != hexSum(text) || found.Size != int64(len(text)) {
			t.Errorf("after %d bytes: %+v", read, found)
		}
		if got := strings.Join(seen, " "); got != "control usr/bin/hello usr/share/doc/hello/copyright" {
			t.Errorf("visited %s", got)
		}
	}
}

func TestFinderErrors(t *testing.T) {
	p := debtest.Package{Files: map[string]string{"usr/share/doc/hello/copyright": string(under("ISC"))}}
	broken := errors.New("full")
	var finder copyright.Finder
	_, err := deb.Read(bytes.NewReader(p.Build()), &deb.Options{Visit: finder.Visit(func(f deb.File, _ io.Reader) error {
		if f.Control {
			return nil
		}
		return broken
	})})
	if err != broken || finder.Found().SHA256 != "" {
		t.Errorf("%v, %+v", err, finder.Found())
	}
	// A package that is cut off within the file.
	whole := p.Build()
	at := bytes.Index(whole, []byte("Files: *"))
	var fault *deb.FormatError
	_, err = deb.Read(bytes.NewReader(whole[:at]), &deb.Options{Visit: finder.Visit(nil)})
	if !errors.As(err, &fault) || finder.Found().SHA256 != "" {
		t.Errorf("%v, %+v", err, finder.Found())
	}
}

// A file that is too long is hashed all the same, and not kept.
func TestFinderLongFile(t *testing.T) {
	text := string(under("ISC")) + strings.Repeat("x", 9<<20)
	p := debtest.Package{Files: map[string]string{"usr/share/doc/hello/copyright": text}}
	file := p.Build()
	var finder copyright.Finder
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := deb.Read(bytes.NewReader(file), &deb.Options{Visit: finder.Visit(nil)})
	found := finder.Found()
	runtime.ReadMemStats(&after)
	if err != nil || found.MachineReadable || found.SHA256 != hexSum(text) || found.Size != int64(len(text)) {
		t.Errorf("%v, %+v", err, found)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 2<<20 {
		t.Errorf("%d bytes are allocated", allocated)
	}
}

func ExampleFinder() {
	file := debtest.Package{Files: map[string]string{"usr/share/doc/hello/copyright": `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2024 Somebody
License: GPL-2+ or Expat

Files: tables/*
Copyright: none
License: public-domain
`}}.Build()

	var finder copyright.Finder
	_, err := deb.Read(bytes.NewReader(file), &deb.Options{Visit: finder.Visit(nil), VisitLink: finder.VisitLink})
	if err != nil {
		fmt.Println(err)
		return
	}
	found := finder.Found()
	fmt.Println(found.Expression)
	for _, ref := range found.Refs {
		fmt.Println(ref.ID, "is", ref.Name)
	}
	// Output:
	// (GPL-2.0-or-later OR MIT) AND LicenseRef-Debian-public-domain
	// LicenseRef-Debian-public-domain is public-domain
}

func ExampleParse() {
	f := copyright.Parse([]byte(`Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2024 Somebody
License: Apache-2

Files: debian/*
Copyright: 2024 Somebody Else
License: GPL-3+ with Bison exception
`))
	for _, l := range f.Licenses {
		fmt.Printf("%s: %s\n", l.Name, l.Expression)
	}
	fmt.Println(f.Expression)
	// Output:
	// Apache-2: Apache-2.0
	// GPL-3+ with Bison exception: GPL-3.0-or-later WITH Bison-exception-2.2
	// Apache-2.0 AND GPL-3.0-or-later WITH Bison-exception-2.2
}
