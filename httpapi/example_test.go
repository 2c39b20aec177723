package httpapi_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/httpapi"
)

// open returns a repository in memory, but for its database.
func open(ctx context.Context) (repo *aptrepo.Repo, users *auth.Service, db *sqlstore.DB, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	conn, err := sqlx.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(dir, "repod.db")))
	if err != nil {
		log.Fatal(err)
	}
	db, err = sqlstore.Open(ctx, conn, sqlstore.SQLite)
	if err != nil {
		log.Fatal(err)
	}
	key := make([]byte, auth.KeySize)
	rand.Read(key)
	repo = &aptrepo.Repo{Storage: new(storage.Mem), Store: db, Logger: slog.New(slog.DiscardHandler)}
	return repo, &auth.Service{Store: db, Key: key}, db, func() { db.Close(); os.RemoveAll(dir) }
}

func ExampleNew() {
	ctx := context.Background()
	repo, users, db, remove := open(ctx)
	defer remove()
	if _, _, err := users.Bootstrap(ctx, "admin", "Admin1234!"); err != nil {
		log.Fatal(err)
	}

	handler, err := httpapi.New(httpapi.Config{
		Repo:     repo,
		Auth:     users,
		Settings: &settings.Service{Store: db, Key: users.Key},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(handler) // a program uses httpapi.NewServer(handler)
	defer server.Close()

	res, err := http.Get(server.URL + "/packages/")
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	fmt.Printf("%d %s\n", res.StatusCode, body)
	// Output:
	// 401 {"type":"urn:repod:error:authentication_required","title":"Unauthorized","status":401,"detail":"Send a session token or an API token as bearer token.","code":"authentication_required"}
}

func ExampleTree() {
	ctx := context.Background()
	repo, _, _, remove := open(ctx)
	defer remove()
	if _, err := repo.Init(ctx, aptrepo.Distribution{Codename: "jammy"}); err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.Handle("/apt/", httpapi.Tree(repo))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello\n") })

	for _, path := range []string{"/", "/apt/jammy.sources", "/apt/dists/jammy/InRelease"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "http://repo.example.com"+path, nil))
		first, _, _ := strings.Cut(w.Body.String(), "\n")
		fmt.Println(w.Code, first)
	}
	// Output:
	// 200 hello
	// 200 Types: deb
	// 200 -----BEGIN PGP SIGNED MESSAGE-----
}

func ExampleDefaultRateLimits() {
	limits := httpapi.DefaultRateLimits()
	limits["upload"] = 200 // or 0, to lift the limit
	fmt.Println(httpapi.Config{RateLimits: limits}.RateLimits["upload"], limits["import_fetch"])
	// Output:
	// 200 10
}
