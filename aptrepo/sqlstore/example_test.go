package sqlstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite" // any driver that the program links

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	conn, err := sqlx.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(dir, "repod.db")))
	if err != nil {
		log.Fatal(err)
	}
	db, err := sqlstore.Open(ctx, conn, sqlstore.SQLite) // creates the tables
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	err = db.Update(ctx, func(tx aptrepo.Tx) error {
		_, err := tx.InsertDistribution(aptrepo.Distribution{Codename: "jammy", Components: []string{"main"}})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	d, err := db.Distribution(ctx, "jammy")
	fmt.Println(d.Codename, d.Components, d.ArtifactCount, err)
	// Output: jammy [main] 0 <nil>
}
