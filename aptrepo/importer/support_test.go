package importer_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/sqlstore/sqlitetest"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/aptrepo/upstream/mirrortest"
	"github.com/repod-io/repod/deb/debtest"
)

// A world is a repository with distributions jammy and focal, and archives to
// import from.
type world struct {
	*importer.Importer
	t       *testing.T
	ctx     context.Context
	sources []upstream.Source
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db := sqlitetest.Open(t, filepath.Join(t.TempDir(), "repod.db"))
	quiet := slog.New(slog.DiscardHandler)
	w := &world{t: t, ctx: aptrepo.WithActor(t.Context(), aptrepo.Actor{Name: "ann"})}
	w.Importer = &importer.Importer{
		Repo:    &aptrepo.Repo{Storage: new(storage.Mem), Store: db, Logger: quiet},
		Catalog: db,
		Sources: func() []upstream.Source { return w.sources },
		Client: func() *upstream.Client {
			return &upstream.Client{Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
		},
		Spool:  t.TempDir(),
		Logger: quiet,
	}
	for _, codename := range []string{"jammy", "focal"} {
		if _, err := w.Repo.Init(w.ctx, aptrepo.Distribution{Codename: codename}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// archive adds an archive, which has packages, as a source.
func (w *world) archive(id string, packages ...debtest.Package) *mirrortest.Mirror {
	w.t.Helper()
	m := mirrortest.New(w.t)
	for _, p := range packages {
		m.Add("main", p)
	}
	m.Publish()
	w.sources = append(w.sources, upstream.Source{ID: id, URL: m.URL, Suite: m.Suite, SignedBy: m.PublicKey(), Enabled: true})
	return m
}

// sync syncs all sources, without fail.
func (w *world) sync() {
	w.t.Helper()
	results, err := w.Sync(w.ctx, "import.sync", importer.Scope{}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
	}
}

// order imports packages into jammy, with their dependencies.
func (w *world) order(names ...string) []importer.Result {
	w.t.Helper()
	o := importer.Order{Dependencies: true}
	for _, name := range names {
		o.Packages = append(o.Packages, importer.Request{Name: name, Distribution: "jammy"})
	}
	return w.run(o)
}

func (w *world) run(o importer.Order) []importer.Result {
	w.t.Helper()
	results, err := w.Import(w.ctx, "import.batch", o, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return results
}

// told renders what became of a request.
func told(r importer.Result) (list []string) {
	if r.Err != nil {
		return []string{r.Err.Error()}
	}
	for _, item := range r.Items {
		list = append(list, fmt.Sprintf("%s %s %s", item.Name, item.Version, item.Status))
	}
	return list
}

// published lists what a distribution has published.
func (w *world) published(codename string) (list []string) {
	w.t.Helper()
	page, err := w.Repo.PublishedRows(w.ctx, aptrepo.PublishedQuery{Distribution: codename, PerPage: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, row := range page.Items {
		list = append(list, row.Name+" "+row.Version)
	}
	return list
}

func pkg(name, version string, fields ...string) debtest.Package {
	return debtest.Package{Name: name, Version: version, Arch: "amd64", Fields: fields}
}
