package pgtest_test

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
)

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(pgtest.Driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Each test has a database of its own, which is gone afterwards.
func TestDatabase(t *testing.T) {
	var first string
	t.Run("one", func(t *testing.T) {
		first = pgtest.Database(t)
		if _, err := open(t, first).Exec("CREATE TABLE t (i INTEGER)"); err != nil {
			t.Fatal(err)
		}
	})
	if first == "" {
		t.SkipNow()
	}
	if err := open(t, first).Ping(); err == nil {
		t.Error("the database of a finished test is still there")
	}
	if _, err := open(t, pgtest.Database(t)).Exec("CREATE TABLE t (i INTEGER)"); err != nil {
		t.Errorf("a second database is not empty: %v", err)
	}
}

// A test binary that dies leaves neither server nor files behind.
func TestNothingStays(t *testing.T) {
	if os.Getenv("PGTEST_DIE") != "" {
		pgtest.Database(t)
		os.Exit(3) // no cleanup runs
	}
	pgtest.Database(t) // skips where there is no server
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingStays$")
	cmd.Env = append(os.Environ(), "PGTEST_DIE=1", "TMPDIR="+dir)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	for range 500 {
		left, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the cluster's files are still there")
}
