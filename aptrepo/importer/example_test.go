package importer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/upstream"
)

// A program imports nginx from Debian, with what it needs.
func Example() {
	var (
		repo *aptrepo.Repo // with a distribution "bookworm"
		db   *sqlstore.DB  // repo.Store
	)
	im := &importer.Importer{
		Repo:     repo,
		Catalog:  db,
		Sources:  upstream.Presets,
		Keyrings: upstream.Keyrings{Dirs: []string{"/usr/share/keyrings"}},
	}
	ctx := aptrepo.WithActor(context.Background(), aptrepo.Actor{Name: "nightly"})
	if _, err := im.Sync(ctx, "import.sync", importer.Scope{}, nil); err != nil {
		log.Fatal(err)
	}
	results, err := im.Import(ctx, "import.fetch", importer.Order{
		Packages:     []importer.Request{{Name: "nginx", Distribution: "bookworm"}},
		Dependencies: true,
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, item := range results[0].Items {
		fmt.Println(item.Name, item.Version, item.Status, item.Err)
	}
}
