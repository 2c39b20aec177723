package upstream_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

func TestSync(t *testing.T) {
	w := newWorld(t)
	file := w.Add("main", debtest.Package{
		Name: "nginx", Version: "1:1.24.0-2+deb12u1", Arch: "all",
		Fields: []string{
			"Source: nginx-src (1.24.0-2)", "Essential: yes", "Multi-Arch: foreign", "Installed-Size: 42", "Section: httpd",
			"Priority: optional", "Pre-Depends: dpkg (>= 1.19)", "Depends: libc6 (>= 2.36), a | b", "Provides: httpd (= 1)",
			"Conflicts: nginx-old", "Breaks: nginx-older (<< 1)", "Replaces: nginx-oldest",
			"Description: small, powerful web server\n With a long\n description.",
		},
	})
	w.Publish()
	result := w.sync()
	if result.NotModified || result.PackageCount != 2 || result.Added != 2 {
		t.Errorf("result %+v", result)
	}
	w.wantPackages(helloLine, "nginx 1:1.24.0-2+deb12u1 all")
	want := upstream.Package{
		SourceID: "test", Component: "main", Name: "nginx", Version: "1:1.24.0-2+deb12u1", Arch: "all",
		SourceName: "nginx-src", SourceVersion: "1.24.0-2", Section: "httpd", Priority: "optional",
		Essential: true, MultiArch: "foreign", InstalledSize: 42, Synopsis: "small, powerful web server",
		PreDepends: "dpkg (>= 1.19)", Depends: "libc6 (>= 2.36), a | b", Provides: "httpd (= 1)",
		Conflicts: "nginx-old", Breaks: "nginx-older (<< 1)", Replaces: "nginx-oldest",
		Filename: file.Filename, Size: file.Size, SHA256: file.SHA256,
	}
	if got := w.catalog.packages["test"][1]; got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	st := w.catalog.state("test")
	if st.Status != upstream.OK || !st.LastSync.Equal(w.now.Truncate(time.Second)) || st.Code != "" {
		t.Errorf("state %+v", st)
	}
}

func TestUnchanged(t *testing.T) {
	w := newWorld(t)
	w.sync()
	w.Requests()
	for _, conditional := range []bool{true, false} {
		w.now = w.now.Add(time.Hour)
		want := "304 dists/bookworm/InRelease"
		if !conditional {
			w.Handle(w.Dist("InRelease"), plain(w.Get(w.Dist("InRelease"))))
			want = "200 dists/bookworm/InRelease"
		}
		result := w.sync()
		if !result.NotModified || result.PackageCount != 1 {
			t.Errorf("result %+v", result)
		}
		if got := w.Requests(); !slices.Equal(got, []string{want}) {
			t.Errorf("requests %q, want only %s", got, want)
		}
		if st := w.catalog.state("test"); !st.LastSync.Equal(w.now.Truncate(time.Second)) || st.PackageCount != 1 {
			t.Errorf("state %+v", st)
		}
	}
	if w.catalog.replacements != 1 {
		t.Errorf("%d replacements", w.catalog.replacements)
	}
}

// Only what changed is fetched, and nothing is stored when no index changed.
func TestOnlyChanges(t *testing.T) {
	w := newWorld(t)
	w.Release.Components = []string{"main", "contrib"}
	w.source.Components = []string{"main", "contrib"}
	w.Add("contrib", debtest.Package{Name: "extra"})
	w.Publish()
	w.sync()
	w.advance()
	w.Requests()
	if result := w.sync(); result.NotModified || result.PackageCount != 2 || w.catalog.replacements != 1 {
		t.Errorf("same indices: result %+v, %d replacements", result, w.catalog.replacements)
	}
	if got := w.Requests(); len(got) != 1 {
		t.Errorf("same indices: requests %q", got)
	}
	w.Add("contrib", debtest.Package{Name: "extra", Version: "2.0"})
	w.advance()
	w.sync()
	got := w.Requests()
	if len(got) != 2 || !strings.Contains(got[1], "/contrib/binary-amd64/by-hash/") {
		t.Errorf("one index: requests %q", got)
	}
	w.wantPackages("extra 2.0 amd64", helloLine)
}

func TestArchitectureAll(t *testing.T) {
	arches := []string{"all", "amd64", "arm64"}
	publish := func(t *testing.T, inEach bool) *world {
		w := newWorld(t)
		w.Release.Architectures, w.Release.AllInEach = arches, inEach
		w.source.Architectures = arches[1:]
		w.Add("main", debtest.Package{Name: "hello", Arch: "arm64"})
		w.Add("main", debtest.Package{Name: "docs", Arch: "all"})
		w.Publish()
		w.Requests()
		w.sync()
		w.wantPackages("docs 1.0 all", helloLine, "hello 1.0 arm64")
		return w
	}
	t.Run("apart", func(t *testing.T) {
		if got := publish(t, false).Requests(); len(got) != 4 || !strings.Contains(strings.Join(got, ""), "/binary-all/") {
			t.Errorf("requests %q", got)
		}
	})
	// The same package is in both files.
	t.Run("in each", func(t *testing.T) {
		if got := publish(t, true).Requests(); len(got) != 3 || strings.Contains(strings.Join(got, ""), "/binary-all/") {
			t.Errorf("requests %q", got)
		}
	})
	// Debian's security archive has binary-all, but does not name it.
	t.Run("listed but not meant", func(t *testing.T) {
		w := newWorld(t)
		w.Release.Architectures = []string{"amd64", "all"}
		w.EditRelease = func(r *index.Release) { r.Architectures = []string{"amd64"} }
		w.Add("main", debtest.Package{Name: "docs", Arch: "all"})
		w.Publish()
		w.sync()
		w.wantPackages(helloLine)
	})
}

// Security archives have odd names: "updates/main" lies in "main", and the
// suite may be a folder.
func TestSecurityArchive(t *testing.T) {
	for _, suite := range []string{"bookworm-security", "bookworm/updates"} {
		for _, component := range []string{"main", "updates/main"} {
			w := newWorld(t)
			w.Suite = suite
			w.Release.Suite, w.Release.Codename = "oldstable-security", "bookworm-security"
			w.EditRelease = func(r *index.Release) { r.Components = []string{"updates/main"} }
			w.Publish()
			w.source.Suite, w.source.Components = suite, []string{component}
			w.sync()
			w.wantPackages(helloLine)
			if got := w.catalog.packages["test"][0].Component; got != component {
				t.Errorf("component %q, want %q", got, component)
			}
		}
	}
}

// A sync that another one has overtaken leaves its result alone.
func TestSuperseded(t *testing.T) {
	w := newWorld(t)
	w.catalog.before = func() {
		w.Add("main", debtest.Package{Name: "faster"})
		w.advance()
		w.sync()
	}
	if result := w.sync(); result.PackageCount != 2 {
		t.Errorf("result %+v", result)
	}
	w.wantPackages("faster 1.0 amd64", helloLine)
	if w.catalog.replacements != 1 {
		t.Errorf("%d replacements", w.catalog.replacements)
	}
}

// A failure does not write over what a faster sync has recorded.
func TestFailureOvertaken(t *testing.T) {
	w := newWorld(t)
	failed := false
	w.Handle(w.Dist("InRelease"), func(rw http.ResponseWriter, r *http.Request) {
		if !failed {
			failed = true
			w.sync()
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		rw.Write(w.Get(w.Dist("InRelease")))
	})
	if _, err := w.syncer.Sync(t.Context(), w.source); err == nil {
		t.Fatal("no error")
	}
	if st := w.catalog.state("test"); st.Status != upstream.OK || st.PackageCount != 1 {
		t.Errorf("state %+v", st)
	}
}

// What is not the source's fault is not written down as such.
func TestOtherErrors(t *testing.T) {
	broken := errors.New("disk full")
	isOther := func(t *testing.T, w *world, want error) {
		t.Helper()
		_, err := w.syncer.Sync(t.Context(), w.source)
		var f *upstream.Failure
		if !errors.Is(err, want) || errors.As(err, &f) {
			t.Errorf("error %v, want %v", err, want)
		}
		if st := w.catalog.state("test"); st.Status == upstream.Error {
			t.Errorf("state %+v", st)
		}
	}
	t.Run("catalogue", func(t *testing.T) {
		w := newWorld(t)
		w.syncer.Catalog = brokenCatalog{w.catalog, broken}
		isOther(t, w, broken)
	})
	t.Run("folder", func(t *testing.T) {
		w := newWorld(t)
		w.syncer.Dir = filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(w.syncer.Dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		isOther(t, w, syscall.ENOTDIR)
	})
	t.Run("cancelled", func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		w.Handle(w.Dist("InRelease"), func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		_, err := w.syncer.Sync(ctx, w.source)
		if !errors.Is(err, context.Canceled) || w.catalog.state("test").Status != "" {
			t.Errorf("error %v, state %+v", err, w.catalog.state("test"))
		}
	})
	t.Run("no source", func(t *testing.T) {
		w := newWorld(t)
		w.source.Suite = "../x"
		if _, err := w.syncer.Sync(t.Context(), w.source); err == nil || len(w.Requests()) > 0 {
			t.Errorf("error %v", err)
		}
	})
}

type brokenCatalog struct {
	*memCatalog
	err error
}

func (c brokenCatalog) ReplacePackages(context.Context, upstream.State, iter.Seq2[upstream.Package, error]) (upstream.Replaced, error) {
	return upstream.Replaced{}, c.err
}

// Many syncs of one source at a time end as one would.
func TestConcurrentSyncs(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				if _, err := w.syncer.Sync(t.Context(), w.source); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	w.wantPackages(helloLine)
}

func TestProgress(t *testing.T) {
	w := newWorld(t)
	var files []string
	w.syncer.Progress = func(s upstream.Source, p upstream.Progress) {
		if s.ID != "test" || p.Total > 0 && p.Done > p.Total {
			t.Errorf("%s: %+v", s, p)
		}
		if len(files) == 0 || files[len(files)-1] != p.File {
			files = append(files, p.File)
		}
	}
	w.sync()
	if want := []string{"InRelease", packagesXZ, ""}; !slices.Equal(files, want) {
		t.Errorf("progress of %q, want %q", files, want)
	}
}
