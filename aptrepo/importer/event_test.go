package importer_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb/debtest"
)

func TestEvents(t *testing.T) {
	w := newWorld(t)
	var heard []string
	w.Repo.OnEvent = func(_ context.Context, e aptrepo.Event) {
		switch e.Kind {
		case aptrepo.EventImportFinished:
			heard = append(heard, fmt.Sprintf("%s %s imported %d skipped %d failed %d", e.Actor, e.Group, e.Imported, e.Skipped, e.Failed))
		case aptrepo.EventSyncFailed:
			heard = append(heard, fmt.Sprintf("%s %s %s again %t", e.Actor, e.SourceID, e.Code, e.Again))
			if e.Detail == "" {
				t.Error("a failure without detail")
			}
		}
	}
	want := func(want ...string) {
		t.Helper()
		if !slices.Equal(heard, want) {
			t.Errorf("heard\n got %q\nwant %q", heard, want)
		}
		heard = nil
	}
	w.archive("debian", debtest.Package{Name: "hello", Version: "1.0", Arch: "amd64"}, debtest.Package{Name: "world", Version: "1.0", Arch: "amd64"})
	w.sync()
	for range 2 {
		_, err := w.Import(w.ctx, "import.batch", importer.Order{Group: "web", Packages: []importer.Request{
			{Name: "hello", Distribution: "jammy"}, {Name: "world", Distribution: "jammy"}, {Name: "none", Distribution: "jammy"},
		}}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	want("ann web imported 2 skipped 0 failed 1", "ann web imported 0 skipped 2 failed 1")

	sync := func(who string) {
		t.Helper()
		ctx := aptrepo.WithActor(w.ctx, aptrepo.Actor{Name: who})
		if _, err := w.Sync(ctx, "import.sync", importer.Scope{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().Truncate(time.Second)
	w.Now = func() time.Time { return now }
	w.Repo.Now = w.Now
	good := slices.Clone(w.sources)
	fail := func() {
		w.sources = []upstream.Source{good[0]}
		w.sources[0].Suite = "none"
	}
	fail()
	// Only the schedule's first failure is news; a person is told anyway.
	for _, who := range []string{"ann", "system", "system", "ann"} {
		now = now.Add(time.Hour)
		sync(who)
	}
	const failed = " debian upstream_unreachable again "
	want("ann"+failed+"true", "system"+failed+"false", "system"+failed+"true", "ann"+failed+"true")
	w.sources = good
	now = now.Add(time.Hour)
	sync("system")
	want()
	fail()
	now = now.Add(time.Hour)
	sync("system")
	want("system" + failed + "false")
}
