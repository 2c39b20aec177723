package sqlstore

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/settings/settingstest"
	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
	"github.com/repod-io/repod/aptrepo/sqlstore/storetest"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/authtest"
)

func openSQLite(t testing.TB) *DB {
	t.Helper()
	path := t.TempDir() + "/repod.db"
	empty, err := emptySQLite()
	if err == nil {
		err = os.WriteFile(path, empty, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return openSQLiteAt(t, path)
}

// emptySQLite is the file of a database with nothing in its tables: making them
// takes longer than most tests.
var emptySQLite = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sqlstore")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "empty.db")
	conn, err := sqlx.Open("sqlite", SQLiteDSN(path))
	if err != nil {
		return nil, err
	}
	db, err := Open(context.Background(), conn, SQLite)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func openPostgres(t testing.TB) *DB {
	t.Helper()
	return openPostgresAt(t, pgtest.Database(t))
}

// emptied returns db with nothing in it, for the next check: creating a
// database takes PostgreSQL far longer than most checks.
func emptied(t *testing.T, db *DB) *DB {
	t.Helper()
	_, err := db.conn.ExecContext(t.Context(), `
		ALTER TABLE audit DISABLE TRIGGER USER;
		DELETE FROM audit; DELETE FROM listings; DELETE FROM publications; DELETE FROM changes; DELETE FROM artifacts;
		DELETE FROM generations; DELETE FROM generation_hashes; DELETE FROM distributions; DELETE FROM tombstones;
		DELETE FROM removals; DELETE FROM signing_keys; DELETE FROM users; DELETE FROM api_tokens;
		DELETE FROM revoked_sessions; DELETE FROM password_resets; DELETE FROM outbox; DELETE FROM notes; DELETE FROM factors; DELETE FROM trusted_publishers; DELETE FROM used_assertions; DELETE FROM login_failures;
		DELETE FROM catalog_removals; DELETE FROM catalog_packages; DELETE FROM catalog_texts; DELETE FROM catalog_stages; DELETE FROM catalog_sources;
		DELETE FROM decisions; DELETE FROM finding_texts; DELETE FROM posture_sums; DELETE FROM vulnerability_counts;
		DELETE FROM downloaded; DELETE FROM download_counts; DELETE FROM download_days; DELETE FROM download_clients;
		DELETE FROM download_recent; DELETE FROM download_counters; DELETE FROM day_counts; UPDATE stock SET names = 0, size_bytes = 0;
		UPDATE settings SET version = 0, document = ''; UPDATE audit_head SET last_id = 0, last_hash = '', anchor_id = 0, anchor_hash = '', anchor_mac = '';
		ALTER TABLE audit ENABLE TRIGGER USER`)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func openPostgresAt(t testing.TB, dsn string) *DB {
	t.Helper()
	conn, err := sqlx.Open(pgtest.Driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), conn, Postgres)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// An eventStore reads events back from the audit log.
type eventStore struct{ *DB }

func (s eventStore) Messages(ctx context.Context) (messages []auth.Message, err error) {
	list, err := s.Outbox(ctx, 100)
	for _, m := range list {
		messages = append(messages, auth.Message{Topic: m.Topic, Payload: m.Payload})
	}
	return messages, err
}

func (s eventStore) Events(ctx context.Context) ([]auth.Event, error) {
	var events []auth.Event
	entries, err := s.AuditEntries(ctx, 0, 1000)
	for _, e := range entries {
		events = append(events, auth.Event{
			Time: e.Time, Action: e.Action, User: e.User, IP: e.IP, Result: e.Result,
			Target: e.Target, Detail: e.Detail, RequestID: e.RequestID,
		})
	}
	return events, err
}

func TestAuthStoreSQLite(t *testing.T) {
	authtest.RunStore(t, func(t *testing.T) authtest.Store { return eventStore{openSQLite(t)} })
}

func TestAuthStorePostgres(t *testing.T) {
	db := openPostgres(t)
	authtest.RunStore(t, func(t *testing.T) authtest.Store { return eventStore{emptied(t, db)} })
}

func TestSettingsStore(t *testing.T) {
	settingstest.Run(t, func(t *testing.T) settings.Store { return openSQLite(t) })
	t.Run("PostgreSQL", func(t *testing.T) {
		db := openPostgres(t)
		settingstest.Run(t, func(t *testing.T) settings.Store { return emptied(t, db) })
	})
}

func TestStoreSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) aptrepo.Store { return openSQLite(t) })
}

func TestStorePostgres(t *testing.T) {
	db := openPostgres(t)
	storetest.Run(t, func(t *testing.T) aptrepo.Store { return emptied(t, db) })
}

// A page found in its order, row by row, is the same as one that is sorted. For
// as few rows as tests have, only the latter would be tried.
func TestListingWays(t *testing.T) {
	defer func(usual int) { unselective = usual }(unselective)
	unselective = 1
	forBoth(t, func(t *testing.T, db *DB) {
		for _, c := range storetest.Checks() {
			if c.Name != "ListingModel" {
				continue
			}
			if err := c.Func(t.Context(), db); err != nil {
				t.Error(err)
			}
		}
	})
}

// SQLiteDSN names any path, and its settings reach the connections.
func TestSQLiteDSN(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"repod.db", "a b?c#d%20&e=f+g.db", "ü:;'\".db"} {
		path := filepath.Join(dir, name)
		db := openSQLiteAt(t, path)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		for pragma, want := range map[string]string{
			"synchronous": "2", "foreign_keys": "1", "busy_timeout": "4000", "journal_mode": "wal",
			"temp_store": "2", "cache_size": "-8192", "mmap_size": "1073741824",
		} {
			var got string
			if err := db.conn.Get(&got, "PRAGMA "+pragma); err != nil || got != want {
				t.Errorf("%s: %s is %s, want %s (error %v)", name, pragma, got, want, err)
			}
		}
	}
	if dsn := SQLiteDSN("repod.db"); !strings.HasPrefix(dsn, "file:repod.db?") {
		t.Errorf("relative path: %s", dsn)
	}
}

// A bare path, and a pool too small, do for a store too.
func TestOpenPlain(t *testing.T) {
	conn, err := sqlx.Open("sqlite", filepath.Join(t.TempDir(), "repod.db"))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetMaxOpenConns(1)
	db, err := Open(t.Context(), conn, SQLite)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	addJammy(t, db)
	if err := upload(t.Context(), db, packageNumber(1)); err != nil {
		t.Error(err)
	}
	if _, err := db.Distribution(t.Context(), "jammy"); err != nil {
		t.Error(err)
	}
	for pragma, want := range map[string]string{"synchronous": "2", "foreign_keys": "1", "busy_timeout": "4000", "journal_mode": "wal"} {
		var got string
		err := db.writer.session.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got)
		if err != nil || got != want {
			t.Errorf("the writer's %s is %s, want %s (error %v)", pragma, got, want, err)
		}
	}
}

// More readers than connections wait for each other and come to an end.
func TestManyReaders(t *testing.T) {
	db := openSQLite(t)
	addJammy(t, db)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for _, q := range []aptrepo.PackageQuery{{}, {Q: "lib"}, {Arch: "all"}, {Section: "web"}, {Distribution: "jammy"}} {
				q.Sort = []aptrepo.Sort{aptrepo.SortName, aptrepo.SortSize}[i%2]
				if _, err := db.PackageRows(t.Context(), q); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
