package aptrepo_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/repod-io/repod/aptrepo"
)

// A batch is one publication of each distribution, and nothing is seen before.
func TestBatch(t *testing.T) {
	f := newFixture(t)
	before := generation(t, f, "jammy")
	b := f.NewBatch()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			data := build(fmt.Sprintf("p%d", i), "1.0", "amd64")
			out, err := b.Add(f.ctx, bytes.NewReader(data), aptrepo.PublishOptions{
				Distribution: []string{"jammy", "focal"}[i%2], Origin: aptrepo.OriginImport, SourceID: "debian", Group: "g",
			})
			if err != nil || !out.New {
				t.Error(out, err)
			}
		})
	}
	wg.Wait()
	if got := packages(t, f.Repo, "jammy", "amd64"); got != nil {
		t.Errorf("seen before it was published: %q", got)
	}
	if err := b.Publish(f.ctx); err != nil {
		t.Fatal(err)
	}
	got := packages(t, f.Repo, "jammy", "amd64")
	if slices.Sort(got); !slices.Equal(got, []string{"p0 1.0 amd64", "p2 1.0 amd64", "p4 1.0 amd64", "p6 1.0 amd64"}) {
		t.Errorf("jammy has %q", got)
	}
	if n := generation(t, f, "jammy") - before; n != 1 {
		t.Errorf("%d publications, want 1", n)
	}
	a, err := f.Artifact(f.ctx, aptrepo.Selection{Name: "p1", Version: "1.0"})
	if err != nil || a.Origin != "import" || a.SourceID != "debian" || a.Group != "g" {
		t.Errorf("artifact is %+v, %v", a, err)
	}
	if actions := auditActions(t, f.Repo); !slices.Contains(actions, "package.import success") || slices.Contains(actions, "package.upload success") {
		t.Errorf("audit has %q", actions)
	}
	clean(t, f.Repo)
}

// What a batch has recorded when the program stops is published by Recover.
func TestBatchInterrupted(t *testing.T) {
	f := newFixture(t)
	if _, err := f.NewBatch().Add(f.ctx, bytes.NewReader(build("aa", "1", "all")), aptrepo.PublishOptions{Distribution: "jammy"}); err != nil {
		t.Fatal(err)
	}
	again := &aptrepo.Repo{Storage: f.files, Store: f.Store, Now: f.clock.now, Logger: f.Logger}
	if err := again.Recover(f.ctx); err != nil {
		t.Fatal(err)
	}
	if got := packages(t, again, "jammy", "amd64"); !slices.Equal(got, []string{"aa 1 all"}) {
		t.Errorf("jammy has %q", got)
	}
}

func generation(t *testing.T, f *fixture, codename string) int64 {
	t.Helper()
	g, err := f.Store.Generation(f.ctx, codename)
	if err != nil {
		t.Fatal(err)
	}
	return g.Number
}

func TestGroups(t *testing.T) {
	f := newFixture(t)
	for _, codename := range []string{"jammy", "focal"} {
		f.publish(t, build("aa", "1", "all"), codename)
	}
	f.publish(t, build("bb", "1", "all"), "jammy")
	keys := []aptrepo.Key{aptrepo.KeyOf("aa", "1", "all"), aptrepo.KeyOf("gone", "1", "all"), aptrepo.KeyOf("bb", "1", "all")}
	if err := f.Label(f.ctx, "g", keys); err != nil {
		t.Fatal(err)
	}
	groups, err := f.Groups(f.ctx)
	if err != nil || len(groups) != 1 || groups[0].CreatedBy != "admin" || len(groups[0].Artifacts) != 2 {
		t.Fatalf("groups are %+v, %v", groups, err)
	}

	scoped := aptrepo.WithActor(f.ctx, aptrepo.Actor{Name: "token:x", Distributions: []string{"jammy"}})
	if err := f.DeleteGroup(scoped, "g", true); !errors.Is(err, aptrepo.ErrScope) {
		t.Errorf("DeleteGroup outside the scope: %v", err)
	}
	if groups, err := f.Groups(f.ctx); err != nil || len(groups) != 1 {
		t.Errorf("groups are %+v, %v", groups, err)
	}
	if err := f.DeleteGroup(f.ctx, "g", true); err != nil {
		t.Fatal(err)
	}
	for _, codename := range []string{"jammy", "focal"} {
		if got := packages(t, f.Repo, codename, "amd64"); got != nil {
			t.Errorf("%s has %q", codename, got)
		}
	}
	if _, err := f.Artifact(f.ctx, aptrepo.Selection{Name: "aa", Version: "1"}); err != nil {
		t.Errorf("an artifact of the group is not known any more: %v", err)
	}
	if err := f.DeleteGroup(f.ctx, "g", false); !errors.Is(err, aptrepo.ErrGroupNotFound) {
		t.Errorf("DeleteGroup again: %v", err)
	}
	clean(t, f.Repo)
}
