// Embed carries an APT repository inside another program: it publishes the
// packages named on its command line and serves them below /apt/.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/httpapi"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	dir := flag.String("dir", "apt-repository", "directory of packages and database")
	flag.Parse()
	ctx := context.Background()

	files := must(storage.OpenDir(filepath.Join(*dir, "files")))
	conn := must(sqlx.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(*dir, "apt.db"))))
	db := must(sqlstore.Open(ctx, conn, sqlstore.SQLite)) // brings the tables up to date
	repo := &aptrepo.Repo{Storage: files, Store: db}      // makes a signing key of its own

	_, err := repo.Init(ctx, aptrepo.Distribution{Codename: "jammy"})
	if err != nil && !errors.Is(err, aptrepo.ErrDistributionExists) {
		log.Fatal(err)
	}
	for _, name := range flag.Args() {
		f := must(os.Open(name))
		p := must(repo.Publish(ctx, f, aptrepo.PublishOptions{Distribution: "jammy"}))
		f.Close()
		log.Printf("published %s %s", p.Artifact.Name, p.Artifact.Version)
	}
	go repo.Run(ctx) // upkeep in the background

	mux := http.NewServeMux() // the program's own
	mux.Handle("/apt/", httpapi.Tree(repo))
	l := must(net.Listen("tcp", *addr))
	log.Printf("listening on http://%s", l.Addr())
	log.Fatal(httpapi.NewServer(mux).Serve(l))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
