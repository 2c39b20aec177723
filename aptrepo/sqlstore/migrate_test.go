package sqlstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
)

// schema lists columns and indexes in one form for both dialects. What differs
// by design is left out: the search index, its shadow tables, and the implicit
// indexes of keys. An expression in an index, which SQLite does not name, is
// LOWER of something.
func schema(t *testing.T, db *DB) []string {
	t.Helper()
	query := `SELECT 'column ' || m.name || '.' || c.name || CASE WHEN c.pk > 0 THEN ' key' ELSE '' END
			FROM sqlite_master m JOIN pragma_table_info(m.name) c
			WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE 'artifact_search%' AND m.name NOT LIKE 'catalog_search%'
		UNION ALL
		SELECT 'index ' || m.name || ' (' || (SELECT group_concat(coalesce(i.name, 'lower'), ' ') FROM pragma_index_info(m.name) i) || ')'
			FROM sqlite_master m WHERE m.type = 'index' AND m.sql IS NOT NULL`
	if db.dialect == Postgres {
		query = `SELECT 'column ' || c.relname || '.' || a.attname ||
				CASE WHEN a.attnum = ANY (k.conkey) THEN ' key' ELSE '' END
				FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
				LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
				WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
			UNION ALL
			SELECT 'index ' || c.relname || ' (' || (SELECT string_agg(a.attname, ' ' ORDER BY a.attnum)
					FROM pg_attribute a WHERE a.attrelid = c.oid) || ')'
				FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
				WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE '%\_search'
					AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)`
	}
	var lines []string
	if err := db.conn.Select(&lines, query); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// One text of the migrations gives the same tables in both databases.
func TestSameTables(t *testing.T) {
	postgres := schema(t, openPostgres(t))
	sqlite := schema(t, openSQLite(t))
	if len(sqlite) < 100 {
		t.Fatalf("only %d lines", len(sqlite))
	}
	for _, line := range sqlite {
		if !slices.Contains(postgres, line) {
			t.Errorf("only in SQLite: %s", line)
		}
	}
	for _, line := range postgres {
		if !slices.Contains(sqlite, line) {
			t.Errorf("only in PostgreSQL: %s", line)
		}
	}
}

func TestOpenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "repod.db")
	first := openSQLiteAt(t, path)
	addJammy(t, first)
	second := openSQLiteAt(t, path)
	if _, err := second.Distribution(t.Context(), "jammy"); err != nil {
		t.Error(err)
	}
}

// A program does not touch a database of a newer one.
func TestNewerDatabase(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		if _, err := db.conn.Exec("INSERT INTO repod_migrations (version, name, applied_at) VALUES (99, 'future', 0)"); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), db.conn, db.dialect)
		if err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Errorf("error %v", err)
		}
	})
}

// Servers that start together on an empty database take turns.
func TestOpenTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "repod.db")
	t.Run("SQLite", func(t *testing.T) { openTogether(t, "sqlite", SQLiteDSN(path), SQLite) })
	t.Run("PostgreSQL", func(t *testing.T) { openTogether(t, pgtest.Driver, pgtest.Database(t), Postgres) })
}

func openTogether(t *testing.T, driver, dsn string, dialect Dialect) {
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			conn, err := sqlx.Open(driver, dsn)
			if err != nil {
				t.Error(err)
				return
			}
			db, err := Open(t.Context(), conn, dialect)
			if err != nil {
				t.Error(errors.Join(err, conn.Close()))
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A step that fails leaves nothing of itself.
func TestMigrationFails(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		steps, err := migrations()
		if err != nil {
			t.Fatal(err)
		}
		bad := migration{len(steps) + 1, "bad", "CREATE TABLE half (i BIGINT);\nCREATE TABLE half (i BIGINT);"}
		conn, err := db.conn.DB.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := db.dialect.migrateStep(t.Context(), conn, append(steps, bad)); err == nil {
			t.Fatal("a broken step succeeds")
		}
		if _, err := conn.ExecContext(t.Context(), "SELECT i FROM half"); err == nil {
			t.Error("half a step is there")
		}
		good := migration{bad.version, "good", "CREATE TABLE half (i BIGINT);"}
		if _, err := db.dialect.migrateStep(t.Context(), conn, append(steps, good)); err != nil {
			t.Errorf("the next try: %v", err)
		}
		if done, err := db.dialect.migrateStep(t.Context(), conn, append(steps, good)); err != nil || !done {
			t.Errorf("done %t, error %v", done, err)
		}
	})
}

// Whoever may not create the extension is told who can.
func TestPostgresWithoutTrigrams(t *testing.T) {
	dsn := pgtest.Database(t)
	admin, err := sqlx.Open(pgtest.Driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	role := fmt.Sprintf("limited%d", len(dsn))
	if _, err := admin.Exec("CREATE ROLE " + role + " LOGIN; GRANT CREATE ON SCHEMA public TO " + role); err != nil {
		t.Fatal(err)
	}
	defer admin.Exec("DROP OWNED BY " + role + "; DROP ROLE " + role)
	conn, err := sqlx.Open(pgtest.Driver, strings.Replace(dsn, "postgres@", role+"@", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err = Open(t.Context(), conn, Postgres); err == nil || !strings.Contains(err.Error(), "let a superuser run CREATE EXTENSION pg_trgm") {
		t.Errorf("error %v", err)
	}
	if _, err := admin.Exec("CREATE EXTENSION pg_trgm"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), conn, Postgres); err != nil {
		t.Errorf("with the extension: %v", err)
	}
}

// The database itself keeps audit entries from being changed or deleted.
func TestAuditAppendOnly(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		addJammy(t, db)
		if err := upload(t.Context(), db, packageNumber(1)); err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{"UPDATE audit SET detail = 'forged'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 1"} {
			if _, err := db.conn.Exec(statement); err == nil {
				t.Errorf("%s succeeds", statement)
			}
		}
		if db.dialect == Postgres {
			if _, err := db.conn.Exec("TRUNCATE audit"); err == nil {
				t.Error("TRUNCATE succeeds")
			}
		}
	})
}
