package upstream_test

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/aptrepo/upstream/mirrortest"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// The cases of the threat model that take more than one step.

func TestI01Rollback(t *testing.T) {
	w := newWorld(t)
	old, date := w.Get(w.Dist("InRelease")), w.Release.Date
	w.changed()
	w.sync()
	w.Put(w.Dist("InRelease"), old)
	f := w.mustFail(upstream.Rejected, upstream.Rollback)
	if !strings.Contains(f.Detail, date.Format(time.RFC3339)) {
		t.Errorf("detail %q names no date", f.Detail)
	}
	w.wantPackages("added 1.0 amd64", helloLine)

	// The same date with other contents is no step back.
	w.Add("main", debtest.Package{Name: "more"})
	w.Publish()
	w.sync()
	w.wantPackages("added 1.0 amd64", helloLine, "more 1.0 amd64")
}

// An attacker who only holds back news cannot do so for ever.
func TestI02Freeze(t *testing.T) {
	w := newWorld(t)
	w.Release.ValidUntil = w.now.Add(24 * time.Hour).UTC().Truncate(time.Second)
	w.Publish()
	w.sync()
	w.now = w.now.Add(23 * time.Hour)
	if !w.sync().NotModified {
		t.Error("modified")
	}
	w.now = w.now.Add(2 * time.Hour)
	w.Requests()
	w.mustFail(upstream.Rejected, upstream.Expired)
	if got := w.Requests(); !strings.HasPrefix(got[0], "304 ") {
		t.Errorf("requests %q: the case is one of an answer without contents", got)
	}
}

func TestI03MaxAge(t *testing.T) {
	w := newWorld(t)
	w.Release.Date = w.now.Add(-400 * 24 * time.Hour).UTC().Truncate(time.Second)
	w.Keys = []*index.Key{mirrortest.NewKey(t, w.now.Add(-500*24*time.Hour))}
	w.source.SignedBy = w.PublicKey()
	w.Publish()
	w.sync() // a stable release
	w.syncer.MaxAge = 399 * 24 * time.Hour
	w.mustFail(upstream.Rejected, upstream.Expired)
	w.syncer.MaxAge = 401 * 24 * time.Hour
	w.sync()
}

func TestI04Tolerance(t *testing.T) {
	w := newWorld(t)
	w.dated(w.now.Add(9 * time.Minute))
	w.sync()
}

// A key that expires is not good for what it signed before, even when the
// server says that nothing has changed.
func TestI05KeyExpires(t *testing.T) {
	w := newWorld(t)
	made := w.now.Add(-48 * time.Hour)
	key, err := index.GenerateKey(index.KeyOptions{Name: "Old", Expires: w.now.Add(time.Hour), Now: func() time.Time { return made }})
	if err != nil {
		t.Fatal(err)
	}
	other := mirrortest.NewKey(t, made) // is trusted, too, but did not sign
	w.Keys = []*index.Key{key}
	w.source.SignedBy = w.PublicKey() + string(index.Keyring{other.Public()}.Armored())
	w.Publish()
	w.sync()
	w.now = w.now.Add(2 * time.Hour)
	w.mustFail(upstream.BadSignature, "")
}

// A key that was replaced counts no more, though nothing else has changed.
func TestI05KeyReplaced(t *testing.T) {
	w := newWorld(t)
	w.sync()
	w.source.SignedBy = string(index.Keyring{mirrortest.NewKey(t, w.now.Add(-time.Hour)).Public()}.Armored())
	w.mustFail(upstream.BadSignature, "")
}

// When the keyring has changed in any way, a revocation perhaps, signatures are
// verified anew.
func TestI05KeyringChanged(t *testing.T) {
	w := newWorld(t)
	w.sync()
	w.source.SignedBy += string(index.Keyring{mirrortest.NewKey(t, w.now.Add(-time.Hour)).Public()}.Armored())
	w.Requests()
	w.sync()
	if got := w.Requests(); got[0] != "200 "+w.Dist("InRelease") {
		t.Errorf("requests %q, want the whole Release file", got)
	}
}

// Keys are pinned to sources: one that may sign for another source is nobody
// here.
func TestI06OtherSourcesKey(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t)
	other.syncer.Catalog, other.catalog = w.catalog, w.catalog
	other.source.ID = "other"
	w.sync()
	other.sync()
	other.Keys = w.Keys
	other.changed()
	other.mustFail(upstream.BadSignature, "")
}

// One of several signatures by a key of the source is enough.
func TestI05SeveralSignatures(t *testing.T) {
	w := newWorld(t)
	w.Keys = append([]*index.Key{mirrortest.NewKey(t, w.now.Add(-50*time.Hour))}, w.Keys...)
	w.Publish()
	w.sync()
}

func TestI08Detached(t *testing.T) {
	w := newWorld(t)
	w.sync()
	w.detached()
	if w.sync().NotModified {
		t.Error("not modified, though the Release file is another")
	}
	if !w.sync().NotModified {
		t.Error("modified, though the Release file is the same")
	}
}

// A 304 answer is believed only for what is asked: the definition may have
// changed since.
func TestDefinitionChanged(t *testing.T) {
	w := newWorld(t)
	w.Release.Components = []string{"main", "contrib"}
	w.Add("contrib", debtest.Package{Name: "extra"})
	w.Publish()
	w.sync()
	w.wantPackages(helloLine)
	w.source.Components = []string{"main", "contrib"}
	if w.sync().NotModified {
		t.Error("not modified")
	}
	w.wantPackages("extra 1.0 amd64", helloLine)

	// Another place is another archive: neither its date nor its name is held
	// against the first.
	w.Release.Suite, w.Release.Codename = "noble", "noble"
	w.source.Suite, w.Suite = "noble", "noble"
	w.Release.Date = w.Release.Date.Add(-time.Hour)
	w.Publish()
	w.sync()
}

func TestI19Identity(t *testing.T) {
	for name, change := range map[string]func(*world){
		"origin":   func(w *world) { w.Release.Origin = "Evil" },
		"codename": func(w *world) { w.Release.Suite, w.Release.Codename = "bookworm", "trixie" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.sync()
			change(w)
			w.changed()
			w.mustFail(upstream.Rejected, upstream.WrongSuite)
			if err := w.catalog.ForgetSource(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
			w.sync()
		})
	}
	t.Run("stable becomes oldstable", func(t *testing.T) {
		w := newWorld(t)
		w.sync()
		w.Release.Suite, w.Release.Label = "oldstable", "Other"
		w.changed()
		w.sync()
	})
}

func TestI20ByHashMissing(t *testing.T) {
	for _, code := range []int{http.StatusNotFound, http.StatusForbidden} {
		w := newWorld(t)
		w.Handle(w.byHash()[0], status(code))
		w.Requests()
		w.sync()
		want := []string{"200 dists/bookworm/InRelease", fmt.Sprintf("%d %s", code, w.byHash()[0]), "200 " + w.Dist(packagesXZ)}
		if got := w.Requests(); !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	}
}

// Of what is listed, the next best form is taken where one is missing.
func TestForms(t *testing.T) {
	w := newWorld(t)
	w.Compressions = []debtest.Compression{debtest.XZ, debtest.Gzip, debtest.Zstd, debtest.None}
	for _, gone := range []string{"", ".xz", ".gz", ".zst"} {
		if gone != "" {
			edit := w.EditFiles
			w.EditFiles = func(files map[string][]byte) {
				if edit != nil {
					edit(files)
				}
				name := w.Dist("main/binary-amd64/Packages" + gone)
				delete(files, w.Dist(mirrortest.Entry("main/binary-amd64/Packages", files[name]).ByHash()))
				delete(files, name)
			}
		}
		w.Add("main", debtest.Package{Name: "hello", Version: "1.0" + gone})
		w.advance()
		w.sync()
		w.wantPackages("hello 1.0" + gone + " amd64")
	}
}

// Many packages cost little memory.
func TestI21Memory(t *testing.T) {
	const n = 50_000
	w := newWorld(t)
	w.Compressions = []debtest.Compression{debtest.Zstd}
	w.EditPackages = func(string, string, []byte) []byte { return manyStanzas(n) }
	w.Publish()
	w.syncer.Catalog = &countingCatalog{memCatalog: w.catalog}
	w.EditPackages = nil
	runtime.GC()
	peak := watchHeap(t)
	if result := w.sync(); result.PackageCount != n {
		t.Errorf("%d packages", result.PackageCount)
	}
	got := peak()
	t.Logf("the heap grew by %d KiB", got>>10)
	if got > 32<<20 {
		t.Errorf("the heap grew by %d MiB", got>>20)
	}
}

// The mirror is replaced between the Release file and the index that it lists.
func TestI23MirrorChanges(t *testing.T) {
	for _, times := range []int{1, 100} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			w := newWorld(t)
			w.Release.AcquireByHash = false
			w.Publish()
			w.sync()
			w.changed()
			old := w.Get(w.Dist("InRelease"))
			w.Add("main", debtest.Package{Name: "newest"})
			w.advance()
			asked := 0
			w.Handle(w.Dist("InRelease"), func(rw http.ResponseWriter, r *http.Request) {
				if asked++; asked <= times {
					rw.Write(old)
				} else {
					rw.Write(w.Get(w.Dist("InRelease")))
				}
			})
			if times == 1 {
				w.sync()
				w.wantPackages("added 1.0 amd64", helloLine, "newest 1.0 amd64")
				return
			}
			w.mustFail(upstream.HashMismatch, "")
			if asked != 2 {
				t.Errorf("the Release file was fetched %d times", asked)
			}
			w.wantPackages(helloLine)
		})
	}
}
