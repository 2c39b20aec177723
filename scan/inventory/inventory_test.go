package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan"
)

// takeStock reads a package as a server does.
func takeStock(ctx context.Context, s *Scanner, file []byte) ([]scan.Component, error) {
	pass, err := s.Begin(ctx, scan.Subject{Name: "hello", Version: "1.0", Arch: "amd64"})
	if err != nil {
		return nil, err
	}
	var failed error
	_, err = deb.Read(bytes.NewReader(file), &deb.Options{Visit: func(f deb.File, content io.Reader) error {
		if failed == nil {
			failed = feed(pass, f, content)
		}
		return nil
	}})
	if err != nil {
		pass.Abort()
		return nil, err
	}
	return pass.Finish(failed).Components, failed
}

func feed(pass scan.Pass, f deb.File, content io.Reader) error {
	w, err := pass.Open(f)
	if w == nil || err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return errors.Join(err, w.Close())
}

// stockOf is takeStock of a package with these files, which must not fail.
func stockOf(t *testing.T, s *Scanner, files map[string]string) []scan.Component {
	t.Helper()
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	found, err := takeStock(t.Context(), s, debtest.Package{Files: files}.Build())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// lines renders components for comparison: "purl path path".
func lines(found []scan.Component) []string {
	var list []string
	for _, c := range found {
		list = append(list, strings.Join(append([]string{c.PURL}, c.Paths...), " "))
	}
	return list
}

func wantLines(t *testing.T, found []scan.Component, want ...string) {
	t.Helper()
	if got := lines(found); !slices.Equal(got, want) {
		t.Errorf("found\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// logged returns a scanner that logs to the buffer.
func logged(l Limits) (*Scanner, *bytes.Buffer) {
	var log bytes.Buffer
	return &Scanner{Limits: l, Logger: slog.New(slog.NewTextHandler(&log, nil))}, &log
}

const metadata = "Metadata-Version: 2.1\nName: Foo.Bar_baz\nVersion: 1.2.3\nLicense: MIT\n\nWords.\nName: wrong\n"

func TestWholePackage(t *testing.T) {
	file := debtest.Package{
		Files: map[string]string{
			"usr/bin/rg":  rustProgram(t),
			"usr/bin/doc": "#!/bin/sh\n",
			"opt/x/lib/python3/Foo_Bar_baz-1.2.3.dist-info/METADATA": metadata,
			"opt/y/lib/python3/Foo_Bar_baz-1.2.3.dist-info/METADATA": metadata,
			"opt/x/node_modules/@babel/core/package.json":            `{"name":"@babel/core","version":"7.1.0","license":"MIT"}`,
			"opt/x/lib/app.jar": zipFile(t, entry{"META-INF/maven/g.g/a/pom.properties", "groupId=g.g\nartifactId=a\nversion=1+2\n"}),
		},
		// A maintainer script of that name is none of the package's contents.
		Scripts:     map[string]string{"METADATA": metadata},
		Compression: debtest.Zstd,
	}.Build()
	found, err := takeStock(t.Context(), &Scanner{SpoolDir: t.TempDir()}, file)
	if err != nil {
		t.Fatal(err)
	}
	want := []scan.Component{
		{Ecosystem: "crates.io", Name: "grep", Version: "0.2.12", PURL: "pkg:cargo/grep@0.2.12", Paths: []string{"usr/bin/rg"}},
		{Ecosystem: "crates.io", Name: "ripgrep", Version: "13.0.0", PURL: "pkg:cargo/ripgrep@13.0.0", Paths: []string{"usr/bin/rg"}},
		{Ecosystem: "Maven", Name: "g.g:a", Version: "1+2", PURL: "pkg:maven/g.g/a@1%2B2", Paths: []string{"opt/x/lib/app.jar"}},
		{Ecosystem: "npm", Name: "@babel/core", Version: "7.1.0", PURL: "pkg:npm/%40babel/core@7.1.0",
			Paths: []string{"opt/x/node_modules/@babel/core/package.json"}, Licenses: []string{"MIT"}},
		{Ecosystem: "PyPI", Name: "foo-bar-baz", Version: "1.2.3", PURL: "pkg:pypi/foo-bar-baz@1.2.3",
			Paths: []string{
				"opt/x/lib/python3/Foo_Bar_baz-1.2.3.dist-info/METADATA",
				"opt/y/lib/python3/Foo_Bar_baz-1.2.3.dist-info/METADATA",
			}, Licenses: []string{"MIT"}},
	}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("found %+v\nwant %+v", found, want)
	}
}

// The same content in another order of files gives the same report.
func TestOrderDoesNotMatter(t *testing.T) {
	var entries []debtest.Header
	for i := range 20 {
		entries = append(entries, debtest.Header{
			Name:    fmt.Sprintf("p%d.egg-info", i),
			Content: fmt.Sprintf("Name: d%d\nVersion: 1\nLicense: L%d\n", i%7, i),
		})
	}
	first, err := takeStock(t.Context(), &Scanner{}, debtest.Package{Entries: entries}.Build())
	if err != nil || len(first) != 7 {
		t.Fatalf("found %d, error %v", len(first), err)
	}
	slices.Reverse(entries)
	second, err := takeStock(t.Context(), &Scanner{}, debtest.Package{Entries: entries}.Build())
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("found %+v\nthen %+v, error %v", first, second, err)
	}
}

func TestLimits(t *testing.T) {
	jar := zipFile(t, entry{"META-INF/maven/g/a/pom.properties", "groupId=g\nartifactId=a\nversion=1\n"},
		entry{"b.jar", zipFile(t, entry{"META-INF/maven/g/b/pom.properties", "groupId=g\nartifactId=b\nversion=1\n"})})
	const a, b = "pkg:maven/g/a@1 a.jar", "pkg:maven/g/b@1 a.jar!/b.jar"
	npmFiles := func(size int) map[string]string {
		return map[string]string{"node_modules/a/package.json": `{"name":"a","version":"1"` + strings.Repeat(" ", size) + "}"}
	}
	for _, tt := range []struct {
		name   string
		limits Limits
		files  map[string]string
		note   string // in the log
		want   []string
	}{
		{"none", Limits{}, map[string]string{"a.jar": jar}, "", []string{a, b}},
		{"file", Limits{File: int64(len(jar)) - 1}, map[string]string{"a.jar": jar}, "skipped.file=1", nil},
		{"file fits", Limits{File: int64(len(jar))}, map[string]string{"a.jar": jar}, "", []string{a, b}},
		{"program", Limits{File: 100}, map[string]string{"rg": rustProgram(t)}, "skipped.file=1", nil},
		{"spool", Limits{Spool: int64(len(jar)) + 1}, map[string]string{"a.jar": jar, "b.jar": jar}, "skipped.spool=1", []string{a, b}},
		{"depth", Limits{Depth: 1}, map[string]string{"a.jar": jar}, "skipped.depth=1", []string{a}},
		{"entries", Limits{Entries: 2}, map[string]string{"a.jar": jar}, "skipped.entries=1", []string{a}},
		{"expanded", Limits{Expanded: 100}, map[string]string{"a.jar": jar}, "skipped.expanded=1", []string{a}},
		{"components", Limits{Components: 1}, map[string]string{"a.jar": jar}, "skipped.components=1", []string{a}},
		{"text", Limits{Text: 64}, npmFiles(100), "skipped.text=1", nil},
		{"text fits", Limits{Text: 64}, npmFiles(64 - 26), "", []string{"pkg:npm/a@1 node_modules/a/package.json"}},
		// The beginning of core metadata is enough.
		{"text cut", Limits{Text: 64}, map[string]string{"a.egg-info": "Name: a\nVersion: 1\n\n" + strings.Repeat("a", 100)}, "",
			[]string{"pkg:pypi/a@1 a.egg-info"}},
		{"text cut too early", Limits{Text: 10}, map[string]string{"a.egg-info": "Name: a\nVersion: 1\n"}, "", nil},
		{"path", Limits{}, map[string]string{"a.jar": zipFile(t, entry{strings.Repeat("x", maxPath) + ".jar", jar})}, "skipped.paths=1", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, log := logged(tt.limits)
			wantLines(t, stockOf(t, s, tt.files), tt.want...)
			if (tt.note == "") != (log.Len() == 0) || !strings.Contains(log.String(), tt.note) {
				t.Errorf("log: %q, want %q", log, tt.note)
			}
		})
	}
}

// A component that is everywhere does not fill the memory.
func TestPathsAreBounded(t *testing.T) {
	files := make(map[string]string)
	for i := range maxPaths + 7 {
		files[fmt.Sprintf("%03d.egg-info", i)] = "Name: a\nVersion: 1\n"
	}
	s, log := logged(Limits{})
	found := stockOf(t, s, files)
	if len(found) != 1 || len(found[0].Paths) != maxPaths || !strings.Contains(log.String(), "skipped.paths=7") {
		t.Errorf("found %d components with %d paths, log %q", len(found), len(found[0].Paths), log)
	}
}

func TestContextEndsThePass(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, log := logged(Limits{})
	pass, _ := s.Begin(ctx, scan.Subject{})
	egg := deb.File{Path: "a.egg-info", Size: 20}
	if err := feed(pass, egg, strings.NewReader("Name: a\nVersion: 1\n")); err != nil {
		t.Fatal(err)
	}
	w, err := pass.Open(egg)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := w.Write([]byte("Name")); !errors.Is(err, context.Canceled) {
		t.Errorf("Write: %v", err)
	}
	_, err = pass.Open(egg)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	wantLines(t, pass.Finish(err).Components, "pkg:pypi/a@1 a.egg-info")
	if !strings.Contains(log.String(), "inventory is incomplete") {
		t.Errorf("log: %q", log)
	}
}

// What was spooled leaves no file behind: not even while it is looked at.
func TestSpoolHasNoNames(t *testing.T) {
	dir := t.TempDir()
	s := &Scanner{SpoolDir: dir}
	pass, _ := s.Begin(t.Context(), scan.Subject{})
	w, err := pass.Open(deb.File{Path: "a.jar", Size: 2 * spoolMemory})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, 2*spoolMemory); err != nil {
		t.Fatal(err)
	}
	file := w.(*content).spool.file
	if file == nil {
		t.Fatal("a large archive is kept in memory")
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("SpoolDir holds %v", left)
	}
	pass.Abort()
	if _, err := file.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Abort leaves the file open: %v", err)
	}
}

// Without a place for files, large programs are not looked at. That is a fault of
// the machine, and said so.
func TestSpoolFails(t *testing.T) {
	dir := t.TempDir() + "/missing"
	s, log := logged(Limits{})
	s.SpoolDir = dir
	file := debtest.Package{Files: map[string]string{
		"a.egg-info": "Name: a\nVersion: 1\n",
		"b.jar":      strings.Repeat("x", spoolMemory+1),
	}}.Build()
	found, err := takeStock(t.Context(), s, file)
	if !errors.Is(err, os.ErrNotExist) || strings.Contains(fmt.Sprint(err), dir) {
		t.Errorf("error: %v", err)
	}
	wantLines(t, found, "pkg:pypi/a@1 a.egg-info")
	if !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("log: %q", log)
	}
}

func TestOpenIsNilForWhatIsOfNoInterest(t *testing.T) {
	pass, _ := (&Scanner{}).Begin(t.Context(), scan.Subject{})
	for _, f := range []deb.File{
		{Path: "a.egg-info"},                         // empty
		{Path: "a.egg-info", Size: 9, Control: true}, // a maintainer script
		{Path: "a.egg-info", Type: deb.Symlink},      // no content
		{Path: "src/package.json", Size: 9},          // no package of npm
		{Path: "bin/x", Size: headSize - 1},          // no ELF file is that small
		{Path: "a.jar", Size: 1 << 40},               // above the limit
	} {
		if w, err := pass.Open(f); w != nil || err != nil {
			t.Errorf("%+v: %v, %v", f, w, err)
		}
	}
}

// zeros is an endless file.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
