package client_test

import (
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/httpapi"
)

const password = "Admin1234!"

// newServer starts a real server with the distributions jammy and focal and the
// user admin.
func newServer(t *testing.T) *httptest.Server {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	conn, err := sqlx.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "repod.db")))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlstore.Open(t.Context(), conn, sqlstore.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	repo := &aptrepo.Repo{Storage: new(storage.Mem), Store: db, Logger: logger}
	users := &auth.Service{Store: db, Key: make([]byte, auth.KeySize), Argon2id: auth.Argon2id{Memory: 8, Time: 1, Threads: 1}}
	t.Cleanup(func() { users.Close(t.Context()) })
	for _, codename := range []string{"jammy", "focal"} {
		if _, err := repo.Init(t.Context(), aptrepo.Distribution{Codename: codename}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := users.Bootstrap(t.Context(), "admin", password); err != nil {
		t.Fatal(err)
	}
	set := &settings.Service{Store: db, Key: make([]byte, 32), Defaults: settings.Default(), Logger: logger}
	if err := set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Config{Repo: repo, Auth: users, Settings: set, Logger: logger, SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(handler)
	srv.Config = httpapi.NewServer(handler)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}
