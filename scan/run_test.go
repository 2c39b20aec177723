package scan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan"
)

// A witness is a Scanner that writes down what it sees, and fails where it is
// told to.
type witness struct {
	name   string
	report scan.Report
	faults map[string]error // by "begin", "open PATH", "write PATH", "close PATH"
	short  string           // path of a file of which it takes less than it is given, and does not say so
	ignore string           // path of a file that it does not want

	begun  int
	seen   map[string]string
	closed []string
	ended  []string // "finish ERROR", "abort"
}

func (w *witness) Name() string { return w.name }

func (w *witness) Begin(context.Context, scan.Subject) (scan.Pass, error) {
	w.begun++
	w.seen = map[string]string{}
	return w, w.faults["begin"]
}

func (w *witness) Open(f deb.File) (io.WriteCloser, error) {
	if err := w.faults["open "+f.Path]; err != nil || f.Path == w.ignore {
		return nil, err
	}
	w.seen[f.Path] = ""
	return &witnessed{w, f.Path}, nil
}

func (w *witness) Finish(err error) scan.Report {
	w.ended = append(w.ended, fmt.Sprint("finish ", err))
	return w.report
}

func (w *witness) Abort() { w.ended = append(w.ended, "abort") }

type witnessed struct {
	w    *witness
	path string
}

func (f *witnessed) Write(p []byte) (int, error) {
	if err := f.w.faults["write "+f.path]; err != nil {
		return 0, err
	}
	if f.path == f.w.short {
		p = p[:len(p)-1]
	}
	f.w.seen[f.path] += string(p)
	return len(p), nil
}

func (f *witnessed) Close() error {
	f.w.closed = append(f.w.closed, f.path)
	return f.w.faults["close "+f.path]
}

var content = map[string]string{
	"a": "short", "b": strings.Repeat("0123456789", 20000), "c": strings.Repeat("x", 64<<10), "d": "",
}

// run reads a package under a run.
func run(ctx context.Context, pkg []byte, scanners ...scan.Scanner) (scan.Report, error) {
	r := scan.Begin(ctx, scanners, scan.Subject{Name: "hello"})
	defer r.Abort()
	if _, err := deb.Read(bytes.NewReader(pkg), &deb.Options{Visit: r.Visit}); err != nil {
		return scan.Report{}, err
	}
	return r.Finish(), nil
}

func TestAllSeeAll(t *testing.T) {
	pkg := debtest.Package{Files: content, Scripts: map[string]string{"postinst": "#!/bin/sh\n"}}
	w1 := &witness{name: "w1", report: scan.Report{Malware: scan.Malware{Status: scan.Clean, Engine: "E"}}}
	w2 := &witness{name: "w2", ignore: "b"}
	got, err := run(t.Context(), pkg.Build(), w1, w2)
	if err != nil || got.Malware != w1.report.Malware {
		t.Errorf("got %+v, %v", got, err)
	}
	want := map[string]string{"control": pkg.ControlFile(), "postinst": "#!/bin/sh\n"}
	for path, text := range content {
		want[path] = text
	}
	if !reflect.DeepEqual(w1.seen, want) {
		t.Error("the first scanner did not see the files as they are")
	}
	delete(want, "b")
	if !reflect.DeepEqual(w2.seen, want) {
		t.Error("the second scanner did not see the files that it wants as they are")
	}
	for _, w := range []*witness{w1, w2} {
		if len(w.closed) != len(w.seen) || !slices.Equal(w.ended, []string{"finish <nil>"}) {
			t.Errorf("%s: closed %q, ended %q", w.name, w.closed, w.ended)
		}
	}
}

// Whatever goes wrong with one scanner, the other one sees everything, and the
// package is not clean.
func TestFailures(t *testing.T) {
	fault := errors.New("out of order")
	for _, place := range []string{"begin", "open b", "write b", "close b", "open control", "close d"} {
		bad := &witness{name: "bad", faults: map[string]error{place: fault}, report: scan.Report{Malware: scan.Malware{Status: scan.Clean}}}
		good := &witness{name: "good", report: scan.Report{Malware: scan.Malware{Status: scan.Clean}}}
		got, err := run(t.Context(), debtest.Package{Files: content}.Build(), bad, good)
		if err != nil || got.Malware.Status != scan.Failed || got.Malware.Detail != "bad: out of order" {
			t.Errorf("%s: got %+v, %v", place, got, err)
		}
		if good.seen["b"] != content["b"] || len(good.seen) != 5 {
			t.Errorf("%s: the good scanner saw %d files", place, len(good.seen))
		}
		ended := []string{"finish out of order"}
		if place == "begin" {
			ended = nil
		}
		if !slices.Equal(bad.ended, ended) || len(bad.closed) != len(bad.seen) {
			t.Errorf("%s: ended %q, %d files closed of %d", place, bad.ended, len(bad.closed), len(bad.seen))
		}
		if place == "write b" && len(bad.seen) != 3 {
			t.Errorf("%s: %d files seen after the failure", place, len(bad.seen)-3)
		}
	}
	short := &witness{name: "short", short: "b", report: scan.Report{Malware: scan.Malware{Status: scan.Clean}}}
	got, err := run(t.Context(), debtest.Package{Files: content}.Build(), short)
	if err != nil || got.Malware.Status != scan.Failed {
		t.Errorf("short write: got %+v, %v", got, err)
	}
}

// What a scanner found before it failed counts.
func TestInfectedAndFailed(t *testing.T) {
	found := scan.Malware{Status: scan.Infected, Signature: "S", Path: "a"}
	w := &witness{name: "w", faults: map[string]error{"open b": errors.New("gone")}, report: scan.Report{Malware: found}}
	got, err := run(t.Context(), debtest.Package{Files: content}.Build(), w)
	if err != nil || got.Malware != found {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRefusedPackage(t *testing.T) {
	pkg := debtest.Package{Files: content, Compression: debtest.Gzip}.Build()
	w := &witness{name: "w"}
	if _, err := run(t.Context(), pkg[:len(pkg)-20], w); err == nil {
		t.Fatal("half a package was read")
	}
	if !slices.Equal(w.ended, []string{"abort"}) || len(w.closed) != len(w.seen) {
		t.Errorf("ended %q, %d files closed of %d", w.ended, len(w.closed), len(w.seen))
	}
}

// A scan that is out of time does not stop the reading of the package.
func TestContextEnds(t *testing.T) {
	late := errors.New("the scan took too long")
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &witness{name: "w", report: scan.Report{Malware: scan.Malware{Status: scan.Clean}}}
	r := scan.Begin(ctx, []scan.Scanner{w}, scan.Subject{})
	_, err := deb.Read(bytes.NewReader(debtest.Package{Files: content}.Build()), &deb.Options{Visit: func(f deb.File, c io.Reader) error {
		if f.Path == "b" {
			c = io.MultiReader(io.LimitReader(c, 100000), reader(func() { cancel(late) }), c)
		}
		return r.Visit(f, c)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Finish(); got.Malware.Status != scan.Failed || got.Malware.Detail != "w: the scan took too long" {
		t.Errorf("got %+v", got)
	}
	if _, saw := w.seen["c"]; saw || len(w.seen["b"]) == len(content["b"]) {
		t.Error("the scanner saw files after the end")
	}
	// At the very end, when everything was seen.
	ctx, cancel = context.WithCancelCause(t.Context())
	r = scan.Begin(ctx, []scan.Scanner{w}, scan.Subject{})
	cancel(late)
	if got := r.Finish(); got.Malware.Status != scan.Failed {
		t.Errorf("at the end: got %+v", got)
	}
}

type reader func()

func (f reader) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestEnds(t *testing.T) {
	w := &witness{name: "w", report: scan.Report{Malware: scan.Malware{Status: scan.Clean}}}
	r := scan.Begin(t.Context(), []scan.Scanner{w}, scan.Subject{})
	r.Finish()
	r.Abort()
	if got := r.Finish(); got.Malware.Status != scan.Failed {
		t.Errorf("a second Finish: %+v", got)
	}
	if !slices.Equal(w.ended, []string{"finish <nil>"}) {
		t.Errorf("ended %q", w.ended)
	}
	r = scan.Begin(t.Context(), []scan.Scanner{w}, scan.Subject{})
	r.Abort()
	if got := r.Finish(); got.Malware.Status != scan.Failed {
		t.Errorf("Finish after Abort: %+v", got)
	}
}

// Without scanners nothing is scanned, and nothing is claimed.
func TestNoScanners(t *testing.T) {
	got, err := run(t.Context(), debtest.Package{Files: content}.Build())
	if err != nil || !reflect.DeepEqual(got, scan.Report{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestMerge(t *testing.T) {
	order := []scan.MalwareStatus{scan.NotScanned, scan.Clean, scan.Failed, scan.Incomplete, scan.Infected}
	for i, a := range order {
		for j, b := range order {
			first := &witness{name: "a", report: scan.Report{Malware: scan.Malware{Status: a, Engine: "first"}}}
			second := &witness{name: "b", report: scan.Report{Malware: scan.Malware{Status: b, Engine: "second"}}}
			want := scan.Malware{Status: order[max(i, j)], Engine: "first"}
			if j > i {
				want.Engine = "second"
			}
			if want.Status == scan.NotScanned {
				want.Engine = ""
			}
			if got, _ := run(t.Context(), debtest.Package{}.Build(), first, second); got.Malware != want {
				t.Errorf("%q and %q: got %+v, want %+v", a, b, got.Malware, want)
			}
		}
	}
	unknown := &witness{name: "u", report: scan.Report{Malware: scan.Malware{Status: "fine"}}}
	clean := &witness{name: "c", report: scan.Report{Malware: scan.Malware{Status: scan.Clean}}}
	if got, _ := run(t.Context(), debtest.Package{}.Build(), clean, unknown); got.Malware.Status == scan.Clean {
		t.Error("a status that nobody knows was taken for clean")
	}
}

func TestMergeComponents(t *testing.T) {
	one := []scan.Component{
		{Ecosystem: "npm", Name: "left-pad", Version: "1.0", Paths: []string{"b", "a"}, Licenses: []string{"MIT"}},
		{Ecosystem: "Go", Name: "golang.org/x/net", Version: "v0.2.0", Paths: []string{"usr/bin/x"}},
	}
	two := []scan.Component{
		{Ecosystem: "npm", Name: "left-pad", Version: "1.0", Paths: []string{"c", "a"}, Licenses: []string{"MIT", "BSD"}},
		{Ecosystem: "npm", Name: "left-pad", Version: "1.1", Paths: []string{"e", "d"}},
	}
	got, err := run(t.Context(), debtest.Package{}.Build(),
		&witness{name: "1", report: scan.Report{Components: one}}, &witness{name: "2", report: scan.Report{Components: two}})
	want := []scan.Component{
		{Ecosystem: "Go", Name: "golang.org/x/net", Version: "v0.2.0", Paths: []string{"usr/bin/x"}},
		{Ecosystem: "npm", Name: "left-pad", Version: "1.0", Paths: []string{"a", "b", "c"}, Licenses: []string{"BSD", "MIT"}},
		{Ecosystem: "npm", Name: "left-pad", Version: "1.1", Paths: []string{"d", "e"}},
	}
	if err != nil || !reflect.DeepEqual(got.Components, want) {
		t.Errorf("got  %+v\nwant %+v", got.Components, want)
	}
	if !slices.Equal(one[0].Paths, []string{"b", "a"}) || !slices.Equal(two[1].Paths, []string{"e", "d"}) {
		t.Error("a scanner's own report was changed")
	}
}

func ExampleRun() {
	file := bytes.NewReader(debtest.Package{}.Build())
	run := scan.Begin(context.Background(), nil, scan.Subject{Name: "hello", Version: "1.0", Arch: "amd64"})
	defer run.Abort()
	pkg, err := deb.Read(file, &deb.Options{Visit: run.Visit})
	if err != nil {
		fmt.Println(err)
		return
	}
	report := run.Finish()
	fmt.Printf("%d entries, malware %q\n", pkg.FileCount, report.Malware.Status)
	// Output: 6 entries, malware ""
}

// blind is a scanner that takes everything and does nothing with it.
type blind struct{}

func (blind) Name() string                                             { return "blind" }
func (b blind) Begin(context.Context, scan.Subject) (scan.Pass, error) { return b, nil }
func (b blind) Open(deb.File) (io.WriteCloser, error)                  { return b, nil }
func (blind) Write(p []byte) (int, error)                              { return len(p), nil }
func (blind) Close() error                                             { return nil }
func (blind) Finish(error) scan.Report                                 { return scan.Report{} }
func (blind) Abort()                                                   {}

// The cost of a run on top of reading and decompressing a package.
func BenchmarkRun(b *testing.B) {
	files := map[string]string{}
	for i := range 200 {
		var text strings.Builder
		for j := range 2000 {
			fmt.Fprintln(&text, "line", i*j, "of a file that compresses as well as text does")
		}
		files[fmt.Sprintf("usr/share/f%03d", i)] = text.String()
	}
	for _, c := range []debtest.Compression{debtest.None, debtest.XZ, debtest.Zstd} {
		pkg := debtest.Package{Files: files, Compression: c}.Build()
		for n, scanners := range [][]scan.Scanner{nil, {blind{}}, {blind{}, blind{}}} {
			b.Run(fmt.Sprintf("compression=%s/scanners=%d", c, n), func(b *testing.B) {
				for b.Loop() {
					if _, err := run(b.Context(), pkg, scanners...); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
