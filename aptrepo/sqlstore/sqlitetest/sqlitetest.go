// Package sqlitetest gives tests stores in SQLite files. Making the tables takes
// longer than most tests; so they are made once in a test binary, and each
// database begins as a copy of that one.
package sqlitetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite" // the driver "sqlite", also for callers

	"github.com/repod-io/repod/aptrepo/sqlstore"
)

// Driver is the name under which the driver is registered in database/sql.
const Driver = "sqlite"

// Open opens the store in the file of that name, which need not exist yet. It is
// closed at the end of the test.
func Open(t testing.TB, name string) *sqlstore.DB {
	t.Helper()
	if _, err := os.Stat(name); os.IsNotExist(err) {
		empty, err := empty()
		if err == nil {
			err = os.WriteFile(name, empty, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// empty is the file of a database with nothing in its tables.
var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sqlitetest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "empty.db")
	db, err := open(context.Background(), name)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
})

func open(ctx context.Context, name string) (*sqlstore.DB, error) {
	conn, err := sqlx.Open(Driver, sqlstore.SQLiteDSN(name))
	if err != nil {
		return nil, err
	}
	db, err := sqlstore.Open(ctx, conn, sqlstore.SQLite)
	if err != nil {
		conn.Close()
	}
	return db, err
}
