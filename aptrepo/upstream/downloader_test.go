package upstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
)

// A pool is a world that has synced one larger package, and what fetches it.
type pool struct {
	*world
	d     *upstream.Downloader
	pkg   upstream.Package
	bytes []byte
	f     *os.File
}

func newPool(t *testing.T) *pool {
	t.Helper()
	w := newWorld(t)
	var noise bytes.Buffer
	for i := range 30_000 {
		fmt.Fprintf(&noise, "%x ", i*i)
	}
	file := w.Add("main", debtest.Package{Name: "large", Version: "1:2.0+b1~x", Files: map[string]string{"usr/share/large": noise.String()}})
	w.Publish()
	w.sync()
	f, err := os.Create(filepath.Join(t.TempDir(), "large.deb"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	p := &pool{world: w, d: &upstream.Downloader{Client: w.syncer.Client}, bytes: w.Get(file.Filename), f: f}
	for _, q := range w.catalog.packages["test"] {
		if q.Name == "large" {
			p.pkg = q
		}
	}
	w.Requests()
	return p
}

func (p *pool) fetch() error { return p.d.Fetch(p.t.Context(), p.source, p.pkg, p.f) }

func (p *pool) mustFetch() {
	p.t.Helper()
	if err := p.fetch(); err != nil {
		p.t.Fatal(err)
	}
	got, err := io.ReadAll(p.f)
	if err != nil || !bytes.Equal(got, p.bytes) {
		p.t.Errorf("%d bytes in place of %d, %v", len(got), len(p.bytes), err)
	}
}

func TestFetch(t *testing.T) {
	p := newPool(t)
	var last int64
	p.d.Progress = func(q upstream.Package, done int64) {
		if done < last || q != p.pkg {
			t.Errorf("progress %d after %d of %s", done, last, q.Name)
		}
		last = done
	}
	if _, err := p.f.WriteString(strings.Repeat("old", 1_000_000)); err != nil {
		t.Fatal(err)
	}
	p.mustFetch()
	if last != p.pkg.Size {
		t.Errorf("progress ends at %d of %d", last, p.pkg.Size)
	}
}

// cut serves a file but breaks off after n bytes, the first times.
func cut(times, n int, body []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		if times--; times < 0 {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
			return
		}
		from := 0
		if r.Header.Get("Range") != "" && r.Header.Get("If-Range") == etag {
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
			w.Header().Set("Content-Length", fmt.Sprint(len(body)-from))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.Write(body[from : from+n])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestFetchResumes(t *testing.T) {
	p := newPool(t)
	p.Handle(p.pkg.Filename, cut(2, 50_000, p.bytes, `"v1"`))
	p.mustFetch()
	want := []string{"200 " + p.pkg.Filename, "206 " + p.pkg.Filename, "206 " + p.pkg.Filename}
	if got := p.Requests(); !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
	if len(p.pauses) != 2 {
		t.Errorf("pauses %v", p.pauses)
	}
}

// Without a strong validator there is nothing to resume.
func TestFetchStartsAgain(t *testing.T) {
	for name, etag := range map[string]string{"none": "", "weak": `W/"v1"`} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			p.Handle(p.pkg.Filename, cut(2, 50_000, p.bytes, etag))
			p.mustFetch()
			if got := p.Requests(); got[1] != "200 "+p.pkg.Filename {
				t.Errorf("requests %q", got)
			}
		})
	}
}

// A server that resumes wrongly is asked for the whole file.
func TestFetchResumedWrongly(t *testing.T) {
	for name, second := range map[string]func(w http.ResponseWriter, rest []byte, from, size int){
		"another part": func(w http.ResponseWriter, rest []byte, from, size int) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", size-1, size))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(rest)
		},
		"no range": func(w http.ResponseWriter, rest []byte, from, size int) {
			w.WriteHeader(http.StatusPartialContent)
			w.Write(rest)
		},
		"of another version": func(w http.ResponseWriter, rest []byte, from, size int) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, size-1, size))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(bytes.Repeat([]byte("x"), len(rest)))
		},
		"416": func(w http.ResponseWriter, rest []byte, from, size int) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			n := 0
			whole := cut(1, 50_000, p.bytes, `"v1"`)
			p.Handle(p.pkg.Filename, func(w http.ResponseWriter, r *http.Request) {
				if n++; n != 2 {
					whole(w, r)
					return
				}
				from := 0
				fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
				if from == 0 {
					t.Errorf("range %q", r.Header.Get("Range"))
				}
				second(w, p.bytes[from:], from, len(p.bytes))
			})
			p.mustFetch()
			if got := p.Requests(); len(got) != 3 || got[2] != "200 "+p.pkg.Filename {
				t.Errorf("requests %q", got)
			}
		})
	}
}

func TestI15FetchFails(t *testing.T) {
	for name, tt := range map[string]struct {
		handle func(p *pool) http.HandlerFunc
		code   upstream.Code
	}{
		"other bytes": {func(p *pool) http.HandlerFunc {
			return plain(bytes.Repeat([]byte("x"), len(p.bytes)))
		}, upstream.HashMismatch},
		"too long":              {func(p *pool) http.HandlerFunc { return plain(append(bytes.Clone(p.bytes), 'x')) }, upstream.HashMismatch},
		"too short":             {func(p *pool) http.HandlerFunc { return plain(p.bytes[:len(p.bytes)-1]) }, upstream.HashMismatch},
		"empty":                 {func(*pool) http.HandlerFunc { return plain(nil) }, upstream.HashMismatch},
		"endless":               {func(*pool) http.HandlerFunc { return endless }, upstream.HashMismatch},
		"slow":                  {func(p *pool) http.HandlerFunc { p.d.Client.Timeout = stall / 5; return slow }, upstream.Unreachable},
		"breaks off, each time": {func(p *pool) http.HandlerFunc { return cut(9, 100, p.bytes, `"v1"`) }, upstream.Unreachable},
		"gone":                  {func(*pool) http.HandlerFunc { return http.NotFound }, upstream.Unreachable},
		"206 unasked":           {func(*pool) http.HandlerFunc { return status(http.StatusPartialContent) }, upstream.Unreachable},
		"to a file":             {func(*pool) http.HandlerFunc { return redirect("file:///etc/passwd") }, upstream.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			p.Handle(p.pkg.Filename, tt.handle(p))
			err := p.fetch()
			var f *upstream.Failure
			if !errors.As(err, &f) || f.Code != tt.code {
				t.Fatalf("error %v, want %s", err, tt.code)
			}
			if info, err := p.f.Stat(); err != nil || info.Size() != 0 {
				t.Errorf("the file has %d bytes, %v", info.Size(), err)
			}
			p.Handle(p.pkg.Filename, nil)
			p.d.Client.Timeout = stall
			p.mustFetch()
		})
	}
}

// Whatever a file name consists of, it is asked for as it is.
func TestFetchEscapes(t *testing.T) {
	p := newPool(t)
	p.pkg.Filename = "pool/50%/a b?c#d+e~f:g&é%2e%2e/%2f.deb"
	p.source.URL = strings.Replace(p.URL, "/debian/", "/debian/a%20b", 1)
	var path, query string
	p.Handle("a b/"+p.pkg.Filename, func(w http.ResponseWriter, r *http.Request) {
		path, query = r.URL.Path, r.URL.RawQuery
		w.Write(p.bytes)
	})
	p.mustFetch()
	if want := "/debian/a b/" + p.pkg.Filename; path != want || query != "" {
		t.Errorf("asked for %q, query %q, want %q", path, query, want)
	}
	for _, name := range []string{"../x", "/x", "http://evil/x", "a/../../x", ""} {
		p.pkg.Filename = name
		var f *upstream.Failure
		if err := p.fetch(); !errors.As(err, &f) || f.Reason != upstream.UnsafeFilename {
			t.Errorf("%q: error %v", name, err)
		}
	}
	p.pkg.SourceID = "other"
	if err := p.fetch(); err == nil {
		t.Error("a package of another source was fetched")
	}
}

func TestI16MatchesControl(t *testing.T) {
	control := debtest.Package{Name: "hello", Version: "1:2.0-1", Fields: []string{
		"Source: src (2.0-1)", "Multi-Arch: no", "Depends: libc6 (>= 2.36), a|b", "Provides: greeter (= 1)", "Conflicts: old"}}
	d, err := deb.Read(bytes.NewReader(control.Build()), nil)
	if err != nil {
		t.Fatal(err)
	}
	good := upstream.Package{Name: "hello", Version: "1:2.0-1", Arch: "amd64", SourceName: "src", SourceVersion: "2.0-1",
		Depends: "libc6 (>=2.36),\n a | b", Provides: "greeter (= 1)", Conflicts: "old"}
	if err := upstream.MatchesControl(good, d); err != nil {
		t.Errorf("the same, written otherwise: %v", err)
	}
	for field, change := range map[string]func(*upstream.Package){
		"Package":               func(p *upstream.Package) { p.Name = "evil" },
		"Version":               func(p *upstream.Package) { p.Version = "2.0-1" },
		"Architecture":          func(p *upstream.Package) { p.Arch = "all" },
		"Source":                func(p *upstream.Package) { p.SourceName = "hello" },
		"the version in Source": func(p *upstream.Package) { p.SourceVersion = "1:2.0-1" },
		"Multi-Arch":            func(p *upstream.Package) { p.MultiArch = "foreign" },
		"Essential":             func(p *upstream.Package) { p.Essential = true },
		"Pre-Depends":           func(p *upstream.Package) { p.PreDepends = "x" },
		"Depends":               func(p *upstream.Package) { p.Depends = "libc6 (>= 2.36)" },
		"Provides":              func(p *upstream.Package) { p.Provides = "" },
		"Conflicts":             func(p *upstream.Package) { p.Conflicts = "old, other" },
		"Breaks":                func(p *upstream.Package) { p.Breaks = "x" },
		"Replaces":              func(p *upstream.Package) { p.Replaces = "x y" },
	} {
		p := good
		change(&p)
		want := upstream.Mismatch
		if field == "Replaces" { // which says nothing
			want = upstream.Rejected
		}
		var f *upstream.Failure
		if err := upstream.MatchesControl(p, d); !errors.As(err, &f) || f.Code != want {
			t.Errorf("%s: error %v", field, err)
		} else if !strings.Contains(f.Detail, field) {
			t.Errorf("%s: detail %q", field, f.Detail)
		}
	}
}
