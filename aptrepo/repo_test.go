package aptrepo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

func TestPublishIsSeenAtOnce(t *testing.T) {
	f := newFixture(t)
	out := f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	if !out.New || out.Artifact.Status != aptrepo.Indexed || out.Artifact.UploadedBy != "admin" {
		t.Errorf("Publish = %+v", out)
	}
	if out.Artifact.Filename != "pool/main/h/hello/hello_1.0_amd64.deb" {
		t.Errorf("Filename = %q", out.Artifact.Filename)
	}
	if got := packages(t, f.Repo, "jammy", "amd64"); !slices.Equal(got, []string{"hello 1.0 amd64"}) {
		t.Errorf("amd64 = %q", got)
	}
	if got := packages(t, f.Repo, "jammy", "arm64"); got != nil {
		t.Errorf("arm64 = %q, want nothing", got)
	}
	clean(t, f.Repo)
}

func TestArchitectureAllIsInEveryIndex(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("data", "1", "all"), "jammy")
	for _, arch := range []string{"amd64", "arm64"} {
		if got := packages(t, f.Repo, "jammy", arch); !slices.Equal(got, []string{"data 1 all"}) {
			t.Errorf("%s = %q", arch, got)
		}
	}
}

func TestVersionsStandSideBySide(t *testing.T) {
	f := newFixture(t)
	for _, v := range []string{"1.0", "2.0", "1:0.5"} {
		f.publish(t, build("hello", v, "amd64"), "jammy")
	}
	want := []string{"hello 1.0 amd64", "hello 2.0 amd64", "hello 1:0.5 amd64"}
	if got := packages(t, f.Repo, "jammy", "amd64"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	a, err := f.Artifacts(f.ctx, "hello")
	if err != nil || a[0].Version != "1:0.5" {
		t.Errorf("newest first: %v, %v", a, err)
	}
}

func TestEpochsDoNotShareAFile(t *testing.T) {
	f := newFixture(t)
	one := f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	two := f.publish(t, build("hello", "1:1.0", "amd64"), "jammy")
	if one.Artifact.Filename == two.Artifact.Filename {
		t.Fatalf("both lie at %s", one.Artifact.Filename)
	}
	packages(t, f.Repo, "jammy", "amd64") // each with its own bytes
	clean(t, f.Repo)
}

func TestSameBytesAgain(t *testing.T) {
	f := newFixture(t)
	data := build("hello", "1.0", "amd64")
	f.publish(t, data, "jammy")
	before := read(t, f.Repo, "dists/jammy/InRelease")
	if out := f.publish(t, data, "jammy"); out.New {
		t.Error("the same file counts as new")
	}
	if !bytes.Equal(before, read(t, f.Repo, "dists/jammy/InRelease")) {
		t.Error("InRelease changed though nothing did")
	}
	if out := f.publish(t, data, "focal"); !out.New {
		t.Error("not new in another distribution")
	}
	if got := packages(t, f.Repo, "focal", "amd64"); len(got) != 1 {
		t.Errorf("focal = %q", got)
	}
}

// Other bytes under a known name, version and architecture are a conflict
// everywhere, however the version is spelled, and also after deletion.
func TestConflict(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	other := []struct{ version, codename string }{{"1.0", "jammy"}, {"1.0", "focal"}, {"1.0-0", "jammy"}, {"0:1.0", "jammy"}, {"1.00", "focal"}}
	refuse := func(when string) {
		t.Helper()
		for _, o := range other {
			before, pool := read(t, f.Repo, "dists/"+o.codename+"/InRelease"), f.pool(t)
			_, err := f.Publish(f.ctx, bytes.NewReader(build("hello", o.version, "amd64", "X-Other", "yes")),
				aptrepo.PublishOptions{Distribution: o.codename})
			var conflict *aptrepo.ConflictError
			if !errors.As(err, &conflict) || !errors.Is(err, aptrepo.ErrConflict) || conflict.Existing == conflict.Incoming {
				t.Errorf("%s, %v: error = %v, want a ConflictError", when, o, err)
			}
			if !bytes.Equal(before, read(t, f.Repo, "dists/"+o.codename+"/InRelease")) {
				t.Errorf("%s, %v: InRelease changed", when, o)
			}
			if after := f.pool(t); !slices.Equal(pool, after) {
				t.Errorf("%s, %v: the pool went from %q to %q", when, o, pool, after)
			}
		}
	}
	refuse("published")
	if _, err := f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: "hello", Version: "1.0"}}); err != nil {
		t.Fatal(err)
	}
	refuse("deleted")
	if out := f.publish(t, build("hello", "1.0", "amd64"), "jammy"); !out.New {
		t.Error("the same bytes may not come back after deletion")
	}
	_, err := f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: "hello", Version: "1.0"}, Forget: true})
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t, build("hello", "1.0", "amd64", "X-Other", "yes"), "jammy")
	packages(t, f.Repo, "jammy", "amd64")
	clean(t, f.Repo)
}

func TestRefusedPublish(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("base", "1", "all"), "jammy")
	before := read(t, f.Repo, "dists/jammy/InRelease")
	for _, tt := range []struct {
		name    string
		data    []byte
		options aptrepo.PublishOptions
		want    error
	}{
		{"distribution", build("aa", "1", "amd64"), aptrepo.PublishOptions{Distribution: "nowhere"}, aptrepo.ErrUnknownDistribution},
		{"component", build("aa", "1", "amd64"), aptrepo.PublishOptions{Distribution: "jammy", Component: "contrib"}, aptrepo.ErrUnknownComponent},
		{"architecture", build("aa", "1", "riscv64"), aptrepo.PublishOptions{Distribution: "jammy"}, aptrepo.ErrUnsupportedArch},
		{"not a package", []byte("hello"), aptrepo.PublishOptions{Distribution: "jammy"}, aptrepo.ErrInvalidPackage},
		{"empty", nil, aptrepo.PublishOptions{Distribution: "jammy"}, aptrepo.ErrInvalidPackage},
		{"cut", build("aa", "1", "amd64")[:300], aptrepo.PublishOptions{Distribution: "jammy"}, aptrepo.ErrInvalidPackage},
	} {
		_, err := f.Publish(f.ctx, bytes.NewReader(tt.data), tt.options)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: error = %v, want %v", tt.name, err, tt.want)
		}
	}
	if !bytes.Equal(before, read(t, f.Repo, "dists/jammy/InRelease")) {
		t.Error("InRelease changed")
	}
	page, err := f.ArtifactRows(f.ctx, aptrepo.PackageQuery{})
	if err != nil || page.Total != 1 {
		t.Errorf("artifacts = %d, %v", page.Total, err)
	}
	if keys := f.pool(t); len(keys) != 1 {
		t.Errorf("pool = %q", keys)
	}
}

func TestScope(t *testing.T) {
	f := newFixture(t)
	data := build("hello", "1.0", "amd64")
	f.publish(t, data, "jammy")
	ctx := aptrepo.WithActor(t.Context(), aptrepo.Actor{Name: "token:ci", Distributions: []string{"focal"}})
	hello := aptrepo.Selection{Name: "hello", Version: "1.0"}
	for name, try := range map[string]func() error{
		"Publish": func() error {
			_, err := f.Publish(ctx, bytes.NewReader(data), aptrepo.PublishOptions{Distribution: "jammy"})
			return err
		},
		"Promote": func() error {
			_, err := f.Promote(ctx, aptrepo.PromoteOptions{Selection: hello, From: "focal", To: "jammy"})
			return err
		},
		"Migrate": func() error {
			_, err := f.Migrate(ctx, aptrepo.MigrateOptions{From: "jammy", To: "focal", RemoveSource: true})
			return err
		},
		"Unpublish": func() error {
			_, err := f.Unpublish(ctx, aptrepo.UnpublishOptions{Selection: hello, Distribution: "jammy"})
			return err
		},
		"Delete": func() error {
			_, err := f.Delete(ctx, aptrepo.DeleteOptions{Selection: hello})
			return err
		},
		"Init": func() error {
			_, err := f.Init(ctx, aptrepo.Distribution{Codename: "noble"})
			return err
		},
	} {
		if err := try(); !errors.Is(err, aptrepo.ErrScope) {
			t.Errorf("%s: error = %v, want ErrScope", name, err)
		}
	}
	if _, err := f.Promote(ctx, aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "focal"}); err != nil {
		t.Errorf("Promote into the scope: %v", err)
	}
}

func TestPromote(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	f.publish(t, build("hello", "1.0", "arm64"), "jammy")
	hello := aptrepo.Selection{Name: "hello", Version: "1.0"}
	moves, err := f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "focal"})
	if err != nil || len(moves) != 2 || moves[0].Outcome != aptrepo.Copied {
		t.Fatalf("Promote = %v, %v", moves, err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		if got := packages(t, f.Repo, "focal", arch); !slices.Equal(got, []string{"hello 1.0 " + arch}) {
			t.Errorf("focal %s = %q", arch, got)
		}
	}
	moves, err = f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "focal"})
	if err != nil || moves[0].Outcome != aptrepo.AlreadyPresent {
		t.Errorf("again: %v, %v", moves, err)
	}
	for _, tt := range []struct {
		name string
		o    aptrepo.PromoteOptions
		want error
	}{
		{"same", aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "jammy"}, aptrepo.ErrSameDistribution},
		{"from", aptrepo.PromoteOptions{Selection: hello, From: "nowhere", To: "jammy"}, aptrepo.ErrUnknownDistribution},
		{"to", aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "nowhere"}, aptrepo.ErrUnknownDistribution},
		{"name", aptrepo.PromoteOptions{Selection: aptrepo.Selection{Name: "x", Version: "1"}, From: "jammy", To: "focal"}, aptrepo.ErrPackageNotFound},
		{"version", aptrepo.PromoteOptions{Selection: aptrepo.Selection{Name: "hello", Version: "9"}, From: "jammy", To: "focal"}, aptrepo.ErrVersionNotFound},
		{"component", aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "focal", Component: "contrib"}, aptrepo.ErrUnknownComponent},
	} {
		if _, err := f.Promote(f.ctx, tt.o); !errors.Is(err, tt.want) {
			t.Errorf("%s: error = %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: hello, Distribution: "jammy"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "focal"}); !errors.Is(err, aptrepo.ErrVersionNotFound) {
		t.Errorf("not in from: %v", err)
	}
	if _, err := f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: hello, Distribution: "focal"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "focal"}); !errors.Is(err, aptrepo.ErrNotPublished) {
		t.Errorf("published nowhere: %v", err)
	}
}

func TestMigrate(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Init(f.ctx, aptrepo.Distribution{Codename: "small", Architectures: []string{"amd64"}}); err != nil {
		t.Fatal(err)
	}
	for _, p := range [][]byte{build("aa", "1", "amd64"), build("aa", "2", "amd64"), build("aa", "1", "arm64"), build("bb", "1", "all")} {
		f.publish(t, p, "jammy")
	}
	m, err := f.Migrate(f.ctx, aptrepo.MigrateOptions{From: "jammy", To: "small", Names: []string{"aa", "none"}, RemoveSource: true})
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[aptrepo.Outcome]int)
	for _, move := range m.Moves {
		count[move.Outcome]++
	}
	if count[aptrepo.Copied] != 2 || count[aptrepo.OutcomeArch] != 1 || !slices.Equal(m.Missing, []string{"none"}) {
		t.Errorf("Migrate = %v, missing %v", count, m.Missing)
	}
	if got := packages(t, f.Repo, "small", "amd64"); len(got) != 2 {
		t.Errorf("small = %q", got)
	}
	if got := packages(t, f.Repo, "jammy", "amd64"); !slices.Equal(got, []string{"bb 1 all"}) {
		t.Errorf("jammy amd64 = %q", got)
	}
	if got := packages(t, f.Repo, "jammy", "arm64"); !slices.Equal(got, []string{"aa 1 arm64", "bb 1 all"}) {
		t.Errorf("jammy arm64 = %q, what could not be taken must stay", got)
	}
	if _, err := f.Migrate(f.ctx, aptrepo.MigrateOptions{From: "jammy", To: "small", Names: []string{"none"}}); !errors.Is(err, aptrepo.ErrPackageNotFound) {
		t.Errorf("only unknown names: %v", err)
	}
	clean(t, f.Repo)
}

func TestUnpublishAndDelete(t *testing.T) {
	f := newFixture(t)
	data := build("hello", "1.0", "amd64")
	f.publish(t, data, "jammy")
	f.publish(t, data, "focal")
	hello := aptrepo.Selection{Name: "hello", Version: "1.0"}
	if _, err := f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: hello, Distribution: "jammy"}); err != nil {
		t.Fatal(err)
	}
	if got := packages(t, f.Repo, "jammy", "amd64"); got != nil {
		t.Errorf("jammy = %q", got)
	}
	if _, err := f.Artifact(f.ctx, hello); err != nil {
		t.Errorf("an unpublished artifact is forgotten: %v", err)
	}
	if _, err := f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: hello, Distribution: "jammy"}); !errors.Is(err, aptrepo.ErrVersionNotFound) {
		t.Errorf("again: %v", err)
	}
	gone, err := f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: hello})
	if err != nil || len(gone) != 1 || !slices.Equal(gone[0].Distributions(), []string{"focal"}) {
		t.Fatalf("Delete = %v, %v", gone, err)
	}
	if got := packages(t, f.Repo, "focal", "amd64"); got != nil {
		t.Errorf("focal = %q", got)
	}
	if _, err := f.Artifact(f.ctx, hello); !errors.Is(err, aptrepo.ErrPackageNotFound) {
		t.Errorf("a deleted artifact is listed: %v", err)
	}
	read(t, f.Repo, gone[0].Filename) // for clients with yesterday's index
	f.clock.move(25 * time.Hour)
	if err := f.Sweep(f.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := f.OpenFile(f.ctx, gone[0].Filename); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a package deleted a day ago: %v", err)
	}
	clean(t, f.Repo)
}

// A file that comes back while its removal is pending stays.
func TestUploadAgainBeforeSweep(t *testing.T) {
	f := newFixture(t)
	data := build("hello", "1.0", "amd64")
	f.publish(t, data, "jammy")
	if _, err := f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: "hello", Version: "1.0"}}); err != nil {
		t.Fatal(err)
	}
	f.publish(t, data, "jammy")
	f.clock.move(25 * time.Hour)
	if err := f.Sweep(f.ctx); err != nil {
		t.Fatal(err)
	}
	if got := packages(t, f.Repo, "jammy", "amd64"); len(got) != 1 {
		t.Errorf("jammy = %q", got)
	}
	clean(t, f.Repo)
}

func TestFormerGenerationsByHash(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	old := release(t, f.Repo, "jammy")
	for i := range 40 { // more than stay in memory
		f.publish(t, build("more", fmt.Sprint(i), "amd64"), "jammy")
	}
	check := func(r *aptrepo.Repo) {
		t.Helper()
		for _, e := range old.Files {
			if data := read(t, r, "dists/jammy/"+e.ByHash()); int64(len(data)) != e.Size {
				t.Errorf("%s has %d bytes, want %d", e.Path, len(data), e.Size)
			}
		}
	}
	check(f.Repo)
	check(&aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now}) // after a restart
	f.clock.move(25 * time.Hour)
	f.publish(t, build("last", "1", "amd64"), "jammy")
	if err := f.Sweep(f.ctx); err != nil {
		t.Fatal(err)
	}
	check(f.Repo) // memory still has some, storage keeps what Mem dates by the real clock
	packages(t, f.Repo, "jammy", "amd64")
}

// A former file is found also where a later generation has its contents in
// another directory: the index of an architecture that stays empty.
func TestFormerFileElsewhere(t *testing.T) {
	f := newFixture(t)
	empty := release(t, f.Repo, "jammy")
	f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	r := &aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now} // after a restart
	for _, e := range empty.Files {
		if data := read(t, r, "dists/jammy/"+e.ByHash()); int64(len(data)) != e.Size {
			t.Errorf("%s has %d bytes, want %d", e.Path, len(data), e.Size)
		}
	}
}

func TestDateNeverGoesBack(t *testing.T) {
	f := newFixture(t)
	last := release(t, f.Repo, "jammy").Date
	for i, step := range []time.Duration{time.Hour, -48 * time.Hour, 0, time.Minute, 72 * time.Hour} {
		f.clock.move(step)
		f.publish(t, build("pp", fmt.Sprint(i), "amd64"), "jammy")
		date := release(t, f.Repo, "jammy").Date
		if date.Before(last) {
			t.Errorf("step %d: Date went from %v to %v", i, last, date)
		}
		last = date
	}
}

// If-Modified-Since may be trusted only when the second names one generation.
func TestExactOnlyForTheFirstOfASecond(t *testing.T) {
	f := newFixture(t)
	exact := func() bool {
		file, err := f.OpenFile(f.ctx, "dists/jammy/InRelease")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		return file.Exact
	}
	f.clock.move(time.Second)
	f.publish(t, build("aa", "1", "amd64"), "jammy")
	if !exact() {
		t.Error("the only generation of its second is not exact")
	}
	f.publish(t, build("aa", "2", "amd64"), "jammy")
	if exact() {
		t.Error("the second generation of a second is exact")
	}
	f.clock.move(time.Second)
	f.publish(t, build("aa", "3", "amd64"), "jammy")
	if !exact() {
		t.Error("the first generation of the next second is not exact")
	}
}

func TestValidUntilIsRenewed(t *testing.T) {
	f := newFixture(t)
	r := &aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now, ValidFor: 9 * 24 * time.Hour}
	if _, err := r.SyncIndex(f.ctx); err != nil {
		t.Fatal(err)
	}
	first := release(t, r, "jammy").ValidUntil
	if want := f.clock.now().Add(r.ValidFor); !first.Equal(want) {
		t.Errorf("Valid-Until = %v, want %v", first, want)
	}
}

func TestConcurrentUploadsOfOneName(t *testing.T) {
	f := newFixture(t)
	contents := [][]byte{build("hello", "1.0", "amd64"), build("hello", "1.0", "amd64", "X-Other", "yes")}
	results := make([]error, 50)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			_, results[i] = f.Publish(f.ctx, bytes.NewReader(contents[i%2]), aptrepo.PublishOptions{Distribution: "jammy"})
		})
	}
	wg.Wait()
	won := make(map[int]bool)
	for i, err := range results {
		switch {
		case err == nil:
			won[i%2] = true
		case !errors.Is(err, aptrepo.ErrConflict):
			t.Errorf("upload %d: %v", i, err)
		}
	}
	if len(won) != 1 {
		t.Errorf("%d contents won, want 1", len(won))
	}
	packages(t, f.Repo, "jammy", "amd64") // pool file = index entry
	clean(t, f.Repo)
}

func TestTwoServersOnOneStore(t *testing.T) {
	f := newFixture(t)
	other := &aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now}
	var wg sync.WaitGroup
	for s, r := range []*aptrepo.Repo{f.Repo, other} {
		wg.Go(func() {
			for i := range 25 {
				data := build(fmt.Sprintf("s%d", s), fmt.Sprint(i+1), "amd64")
				if _, err := r.Publish(f.ctx, bytes.NewReader(data), aptrepo.PublishOptions{Distribution: "jammy"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(f.Recover(f.ctx), other.Recover(f.ctx)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*aptrepo.Repo{f.Repo, other} {
		if got := packages(t, r, "jammy", "amd64"); len(got) != 50 {
			t.Errorf("%d entries, want 50", len(got))
		}
	}
	generations, err := f.Store.Generations(f.ctx, "jammy")
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range generations {
		if g.Number != int64(i)+1 {
			t.Fatalf("generation %d at place %d", g.Number, i)
		}
	}
	clean(t, f.Repo)
}

func TestInitRefusesBadFields(t *testing.T) {
	f := newFixture(t)
	for _, d := range []aptrepo.Distribution{
		{Codename: ".."}, {Codename: "a/b"}, {Codename: "Jammy"}, {Codename: ""}, {Codename: strings.Repeat("a", 41)},
		{Codename: "x", Description: "a\nSigned-By: evil"}, {Codename: "x", Origin: "a\x00"}, {Codename: "x", Suite: strings.Repeat("s", 65)},
		{Codename: "x", Components: []string{}}, {Codename: "x", Components: []string{"main", "main"}}, {Codename: "x", Components: []string{"../x"}},
		{Codename: "x", Architectures: []string{"all"}}, {Codename: "x", Architectures: []string{"amd65"}}, {Codename: "x", OS: "Debian 12"},
	} {
		_, err := f.Init(f.ctx, d)
		var field *aptrepo.FieldError
		if !errors.As(err, &field) || !errors.Is(err, aptrepo.ErrInvalid) {
			t.Errorf("%+v: error = %v, want a FieldError", d, err)
		}
	}
	if _, err := f.Init(f.ctx, aptrepo.Distribution{Codename: "jammy"}); !errors.Is(err, aptrepo.ErrDistributionExists) {
		t.Errorf("again: %v", err)
	}
}

func TestAuditNamesEveryChange(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	f.Publish(f.ctx, strings.NewReader("x"), aptrepo.PublishOptions{Distribution: "jammy"})
	hello := aptrepo.Selection{Name: "hello", Version: "1.0"}
	f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "focal"})
	f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: hello, Distribution: "jammy"})
	f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: hello})
	f.GenerateKey(f.ctx, aptrepo.KeyOptions{})
	want := []string{
		"distribution.init success", "settings.gpg_generate success", "distribution.init success",
		"package.upload success", "package.upload failure", "distribution.promote success",
		"package.unpublish success", "package.delete success", "settings.gpg_generate success",
	}
	if got := auditActions(t, f.Repo); !slices.Equal(got, want) {
		t.Errorf("audit log\n got %q\nwant %q", got, want)
	}
	clean(t, f.Repo) // verifies the chain
}

func TestEvents(t *testing.T) {
	f := newFixture(t)
	var kinds []aptrepo.EventKind
	f.OnEvent = func(_ context.Context, e aptrepo.Event) { kinds = append(kinds, e.Kind) }
	data := build("hello", "1.0", "amd64")
	f.publish(t, data, "jammy")
	f.publish(t, data, "jammy")
	hello := aptrepo.Selection{Name: "hello", Version: "1.0"}
	f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "focal"})
	f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: hello})
	want := []aptrepo.EventKind{aptrepo.EventPackageIndexed, aptrepo.EventPackagePromoted, aptrepo.EventPackageDeleted}
	if !slices.Equal(kinds, want) {
		t.Errorf("events = %q, want %q", kinds, want)
	}
}
