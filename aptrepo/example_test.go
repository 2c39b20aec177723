package aptrepo_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/deb/debtest"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "repod-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	files, err := storage.OpenDir(filepath.Join(dir, "files"))
	if err != nil {
		log.Fatal(err)
	}
	defer files.Close()
	conn, err := sqlx.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(dir, "repod.db")))
	if err != nil {
		log.Fatal(err)
	}
	store, err := sqlstore.Open(ctx, conn, sqlstore.SQLite)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	repo := &aptrepo.Repo{Storage: files, Store: store, Logger: slog.New(slog.DiscardHandler)}
	if _, err := repo.Init(ctx, aptrepo.Distribution{Codename: "jammy", Architectures: []string{"amd64"}}); err != nil {
		log.Fatal(err)
	}
	pkg := debtest.Package{Name: "hello", Version: "1.0", Arch: "amd64"}.Build()
	out, err := repo.Publish(ctx, bytes.NewReader(pkg), aptrepo.PublishOptions{Distribution: "jammy"})
	if err != nil {
		log.Fatal(err) // errors.Is(err, aptrepo.ErrConflict): these names have other contents
	}
	fmt.Println(out.Artifact.Name, out.Artifact.Version, out.Artifact.Status, out.Artifact.Filename)

	f, err := repo.OpenFile(ctx, "dists/jammy/InRelease")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 34)
	io.ReadFull(f, head)
	fmt.Printf("%s\n", head)
	// Output:
	// hello 1.0 indexed pool/main/h/hello/hello_1.0_amd64.deb
	// -----BEGIN PGP SIGNED MESSAGE-----
}
