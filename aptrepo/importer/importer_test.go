package importer_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/resolve"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb/debtest"
)

func web() []debtest.Package {
	return []debtest.Package{
		pkg("nginx", "1.24.0-1", "Depends: nginx-common (= 1.24.0-1), libc6 (>= 2.30)"),
		pkg("nginx-common", "1.24.0-1"),
		pkg("libc6", "2.36"),
		pkg("curl", "7.88", "Depends: libc6, libcurl"),
	}
}

// An import brings the newest version with what it needs, in one publication.
func TestImport(t *testing.T) {
	w := newWorld(t)
	w.archive("debian", web()...)
	w.sync()
	before, err := w.Repo.Store.Generation(w.ctx, "jammy")
	if err != nil {
		t.Fatal(err)
	}
	results := w.order("nginx", "curl")
	if got := told(results[0]); !slices.Equal(got, []string{"nginx 1.24.0-1 imported", "nginx-common 1.24.0-1 imported", "libc6 2.36 imported"}) {
		t.Errorf("nginx: %q", got)
	}
	if got := told(results[1]); !slices.Equal(got, []string{"curl 7.88 imported", "libc6 2.36 already_present", "libcurl  error"}) {
		t.Errorf("curl: %q", got)
	}
	if err := results[1].Items[2].Err; !errors.Is(err, importer.ErrNotOffered) || !strings.Contains(err.Error(), "libcurl") {
		t.Errorf("libcurl: %v", err)
	}
	want := []string{"curl 7.88", "libc6 2.36", "nginx 1.24.0-1", "nginx-common 1.24.0-1"}
	if got := w.published("jammy"); !slices.Equal(got, want) {
		t.Errorf("jammy has %q", got)
	}
	after, err := w.Repo.Store.Generation(w.ctx, "jammy")
	if err != nil || after.Number != before.Number+1 {
		t.Errorf("generation %d after %d, %v", after.Number, before.Number, err)
	}
	a, err := w.Repo.Artifact(w.ctx, aptrepo.Selection{Name: "nginx", Version: "1.24.0-1"})
	if err != nil || a.Origin != "import" || a.SourceID != "debian" || a.UploadedBy != "ann" {
		t.Errorf("artifact is %+v, %v", a, err)
	}

	again := w.order("nginx")
	if got := told(again[0]); !slices.Equal(got, []string{"nginx 1.24.0-1 already_present", "nginx-common 1.24.0-1 already_present", "libc6 2.36 already_present"}) {
		t.Errorf("nginx again: %q", got)
	}
	if entries, err := os.ReadDir(w.Spool); err != nil || len(entries) > 0 {
		t.Errorf("left in the spool: %v, %v", entries, err)
	}
}

// Resolve tells what an import then does.
func TestResolveIsWhatImportDoes(t *testing.T) {
	w := newWorld(t)
	w.archive("debian", web()...)
	w.archive("old", pkg("nginx", "1.18.0-1", "Depends: libc6"))
	w.sync()
	w.order("nginx-common")
	for _, q := range []importer.Request{
		{Name: "nginx", Distribution: "jammy"},
		{Name: "nginx", Version: "1.18.0", Distribution: "jammy"},
		{Name: "curl", Distribution: "focal"},
	} {
		plan, err := w.Resolve(w.ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		result := w.run(importer.Order{Packages: []importer.Request{q}, Dependencies: true})[0]
		if len(result.Items) != len(plan.Items) {
			t.Fatalf("%+v: planned %d, did %d", q, len(plan.Items), len(result.Items))
		}
		status := map[resolve.Status]importer.Status{
			resolve.Import: importer.Imported, resolve.Present: importer.AlreadyPresent, resolve.Unresolved: importer.Failed,
		}
		for i, item := range plan.Items {
			if got := result.Items[i]; got.Name != item.Name || got.Status != status[item.Status] {
				t.Errorf("%+v: planned %s %s, did %s %s", q, item.Name, item.Status, got.Name, got.Status)
			}
		}
	}
	for want, q := range map[error]importer.Request{
		resolve.ErrPackageNotFound:     {Name: "nothing"},
		resolve.ErrVersionNotFound:     {Name: "nginx", Version: "9"},
		importer.ErrUnknownSource:      {Name: "nginx", SourceID: "nosuch"},
		aptrepo.ErrUnknownDistribution: {Name: "nginx", Distribution: "nosuch"},
	} {
		if _, err := w.Resolve(w.ctx, q); !errors.Is(err, want) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// The security archive wins among equal versions; sources serve their target
// only; those that are disabled or were never synced do not count.
func TestEligibleSources(t *testing.T) {
	w := newWorld(t)
	plain := pkg("tool", "1.0")
	w.archive("a-main", plain, pkg("new", "2.0"))
	w.archive("b-security", plain)
	w.archive("c-focal", pkg("tool", "3.0"))
	w.archive("d-off", pkg("tool", "4.0"))
	w.archive("e-never", pkg("tool", "5.0"))
	w.sources[1].Security = true
	w.sources[2].TargetDistribution = "focal"
	never := w.sources[4]
	w.sources = w.sources[:4]
	w.sync()
	w.sources[3].Enabled = false
	w.sources = append(w.sources, never)

	item := func(q importer.Request) importer.Item {
		t.Helper()
		q.Name = "tool"
		r := w.run(importer.Order{Packages: []importer.Request{q}})[0]
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		return r.Items[0]
	}
	if got := item(importer.Request{Distribution: "jammy"}); got.Version != "1.0" || got.SourceID != "b-security" {
		t.Errorf("jammy gets %s from %s", got.Version, got.SourceID)
	}
	if got := item(importer.Request{Distribution: "focal"}); got.Version != "3.0" || got.SourceID != "c-focal" {
		t.Errorf("focal gets %s from %s", got.Version, got.SourceID)
	}
	for _, id := range []string{"c-focal", "d-off", "e-never"} {
		q := importer.Request{Name: "tool", Distribution: "jammy", SourceID: id}
		if r := w.run(importer.Order{Packages: []importer.Request{q}})[0]; !errors.Is(r.Err, importer.ErrNotSynced) {
			t.Errorf("from %s: %v", id, r.Err)
		}
	}
	hits, err := w.Search(w.ctx, importer.SearchOptions{Q: "tool"})
	if err != nil || len(hits) != 3 || hits[0].Version != "3.0" || hits[2].SourceID == hits[1].SourceID {
		t.Errorf("Search: %+v, %v", hits, err)
	}
}

// What an import must not let in, and how each ends (I15, I16, I24 of the
// threats): nothing new is published.
func TestImportRefuses(t *testing.T) {
	deb := func(w *world, name string) (key string) {
		w.t.Helper()
		offers, err := w.Catalog.Offers(w.ctx, []string{"debian"}, []string{name})
		if err != nil || len(offers) != 1 {
			w.t.Fatal(offers, err)
		}
		return offers[0].Filename
	}
	for name, c := range map[string]struct {
		prepare func(w *world)
		want    func(error) bool
	}{
		"I15 other bytes": {func(w *world) {
			m := w.archive("debian", pkg("tool", "1.0"))
			w.sync()
			body := m.Get(deb(w, "tool"))
			body[len(body)-1] ^= 1
			m.Put(deb(w, "tool"), body)
		}, isFailure("upstream_hash_mismatch")},
		"the archive has lost it": {func(w *world) {
			m := w.archive("debian", pkg("tool", "1.0"))
			w.sync()
			m.Handle(deb(w, "tool"), http.NotFound)
		}, isFailure("upstream_unreachable")},
		"I16 another package": {func(w *world) {
			m := w.archive("debian", pkg("tool", "1.0"))
			m.EditPackages = func(_, _ string, text []byte) []byte {
				return []byte(strings.ReplaceAll(string(text), "Version: 1.0", "Version: 2.0"))
			}
			m.Release.Date = m.Release.Date.Add(time.Second)
			m.Publish()
			w.sync()
		}, isFailure("upstream_mismatch")},
		"I24 another build here": {func(w *world) {
			other := pkg("tool", "1.0", "Homepage: https://example.com")
			_, err := w.Repo.Publish(w.ctx, strings.NewReader(string(other.Build())), aptrepo.PublishOptions{Distribution: "jammy"})
			if err != nil {
				w.t.Fatal(err)
			}
			w.archive("debian", pkg("tool", "1.0"))
			w.sync()
		}, func(err error) bool { return errors.Is(err, aptrepo.ErrConflict) }},
		"I24 another build elsewhere": {func(w *world) {
			other := pkg("tool", "1.0", "Homepage: https://example.com")
			_, err := w.Repo.Publish(w.ctx, strings.NewReader(string(other.Build())), aptrepo.PublishOptions{Distribution: "focal"})
			if err != nil {
				w.t.Fatal(err)
			}
			w.archive("debian", pkg("tool", "1.0"))
			w.sync()
		}, func(err error) bool { return errors.Is(err, aptrepo.ErrConflict) }},
		"too large": {func(w *world) {
			w.archive("debian", pkg("tool", "1.0"))
			w.MaxSize = func() int64 { return 100 }
			w.sync()
		}, func(err error) bool { return errors.Is(err, importer.ErrTooLarge) }},
		"outside the actor's scope": {func(w *world) {
			w.archive("debian", pkg("tool", "1.0"))
			w.sync()
			w.ctx = aptrepo.WithActor(w.ctx, aptrepo.Actor{Name: "token:x", Distributions: []string{"focal"}})
		}, func(err error) bool { return errors.Is(err, aptrepo.ErrScope) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.prepare(w)
			before := w.published("jammy")
			r := w.order("tool")[0]
			err := r.Err
			if err == nil {
				err = r.Items[0].Err
			}
			if err == nil || !c.want(err) {
				t.Errorf("error %v, items %q", err, told(r))
			}
			if got := w.published("jammy"); !slices.Equal(got, before) {
				t.Errorf("jammy has %q, had %q", got, before)
			}
			if entries, err := os.ReadDir(w.Spool); err != nil || len(entries) > 0 {
				t.Errorf("left in the spool: %v, %v", entries, err)
			}
		})
	}
}

// isFailure returns whether an error is a *upstream.Failure of one of the codes.
func isFailure(codes ...upstream.Code) func(error) bool {
	return func(err error) bool {
		var f *upstream.Failure
		return errors.As(err, &f) && slices.Contains(codes, f.Code)
	}
}

// A package that is in the repository, elsewhere, is not fetched again.
func TestImportFromPool(t *testing.T) {
	w := newWorld(t)
	m := w.archive("debian", pkg("tool", "1.0"))
	w.sync()
	w.order("tool")
	m.Requests() // up to here
	r := w.run(importer.Order{Packages: []importer.Request{{Name: "tool", Distribution: "focal"}}})[0]
	if got := told(r); !slices.Equal(got, []string{"tool 1.0 imported"}) || len(m.Requests()) > 0 {
		t.Errorf("%q with requests", got)
	}
}

// What somebody uploads is the vendor's own when a vendor's archive has exactly
// these bytes.
func TestOfficial(t *testing.T) {
	w := newWorld(t)
	w.archive("debian", pkg("tool", "1.0"))
	w.sync()
	w.Repo.Official = w.Importer.Official
	official := func(p debtest.Package) bool {
		t.Helper()
		done, err := w.Repo.Publish(w.ctx, bytes.NewReader(p.Build()), aptrepo.PublishOptions{Distribution: "jammy"})
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.Repo.Store.Scan(w.ctx, done.Artifact.ID)
		if err != nil {
			t.Fatal(err)
		}
		o := aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: p.Name, Version: p.Version}, Forget: true}
		if _, err := w.Repo.Delete(w.ctx, o); err != nil {
			t.Fatal(err)
		}
		return s.Official
	}
	if official(pkg("tool", "1.0")) {
		t.Error("official by an archive that is no vendor's")
	}
	w.sources[0].Keyring = "debian-archive"
	if !official(pkg("tool", "1.0")) {
		t.Error("not official, though the vendor's archive has it")
	}
	if other := pkg("tool", "1.0", "Homepage: https://example.org"); official(other) {
		t.Error("official with other contents")
	}
}

// What the actor may not write is not even fetched.
func TestImportNameScope(t *testing.T) {
	w := newWorld(t)
	m := w.archive("debian", web()...)
	w.sync()
	m.Requests() // up to here
	w.ctx = aptrepo.WithActor(t.Context(), aptrepo.Actor{Name: "token:web", Packages: []string{"nginx*"}})
	r := w.order("nginx", "libc6")
	if got := told(r[0]); !slices.Equal(got, []string{"nginx 1.24.0-1 imported", "nginx-common 1.24.0-1 imported", "libc6 2.36 error"}) ||
		!errors.Is(r[0].Items[2].Err, aptrepo.ErrNameScope) || !errors.Is(r[1].Err, aptrepo.ErrNameScope) {
		t.Errorf("results are %+v", r)
	}
	if got := m.Requests(); len(got) != 2 {
		t.Errorf("requests %q", got)
	}
}

// The packages of an order are labelled, those that were present, too.
func TestImportGroup(t *testing.T) {
	w := newWorld(t)
	w.archive("debian", web()...)
	w.sync()
	w.order("libc6")
	w.run(importer.Order{Packages: []importer.Request{{Name: "nginx", Distribution: "jammy"}}, Dependencies: true, Group: "web"})
	groups, err := w.Repo.Groups(w.ctx)
	if err != nil || len(groups) != 1 || groups[0].Name != "web" || len(groups[0].Artifacts) != 3 {
		t.Errorf("groups are %+v, %v", groups, err)
	}
}

// A failed sync keeps what was there; the others go on.
func TestSync(t *testing.T) {
	w := newWorld(t)
	w.archive("a", pkg("tool", "1.0"))
	m := w.archive("b", pkg("other", "1.0"))
	w.sync()
	m.Handle(m.Dist("InRelease"), func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) })
	results, err := w.Sync(w.ctx, "import.sync", importer.Scope{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.SourceID != "a" || !r.NotModified || r.PackageCount != 1 || r.Err != nil {
		t.Errorf("a: %+v", r)
	}
	if r := results[1]; r.SourceID != "b" || !isFailure(upstream.Unreachable)(r.Err) {
		t.Errorf("b: %+v", r)
	}
	status, err := w.Status(w.ctx)
	if err != nil || len(status) != 2 || status[1].State.Status != upstream.Error || status[1].State.LastSync.IsZero() || status[1].State.PackageCount != 1 {
		t.Errorf("status is %+v, %v", status, err)
	}
	if got := told(w.order("other")[0]); !slices.Equal(got, []string{"other 1.0 imported"}) {
		t.Errorf("import after a failed sync: %q", got)
	}
	for want, s := range map[error]importer.Scope{
		importer.ErrUnknownSource: {SourceID: "z"},
		importer.ErrNoSources:     {Security: true},
	} {
		if _, err := w.Sync(w.ctx, "x", s, nil); !errors.Is(err, want) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	w.sources[0].Enabled = false
	if _, err := w.Sync(w.ctx, "x", importer.Scope{SourceID: "a"}, nil); !errors.Is(err, importer.ErrSourceDisabled) {
		t.Errorf("a disabled source: %v", err)
	}
	entries, err := w.Repo.Store.AuditPage(w.ctx, aptrepo.AuditQuery{Action: "import.sync"})
	if err != nil || len(entries.Items) != 2 || entries.Items[0].Result != "partial" || entries.Items[0].User != "ann" {
		t.Errorf("audit has %+v, %v", entries.Items, err)
	}
}
