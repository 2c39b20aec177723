package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations/*.sql
var scripts embed.FS

// A migration is one step from an empty database to the present tables. Steps
// that were released never change.
type migration struct {
	version int // 1, 2, 3 ...
	name    string
	script  string
}

// migrations reads the steps in order. Their file names begin with the number.
func migrations() ([]migration, error) {
	names, err := fs.Glob(scripts, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var steps []migration
	for i, path := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "migrations/"), ".sql")
		digits, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(digits)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s: want number %d", name, i+1)
		}
		text, err := scripts.ReadFile(path)
		if err != nil {
			return nil, err
		}
		steps = append(steps, migration{version, name, string(text)})
	}
	return steps, nil
}

// script renders a step for a dialect.
func (d Dialect) script(m migration) string { return words[d].Replace(d.only(m.script)) }

// migrationLock is the key of the advisory lock that PostgreSQL servers take
// while they migrate: "repod" in ASCII.
const migrationLock = 0x7265706f64

// migrate brings the database up to date, each step in its own transaction.
// Programs that start together do it one after the other.
func (d Dialect) migrate(ctx context.Context, conn *sql.Conn) error {
	steps, err := migrations()
	if err != nil {
		return err
	}
	for {
		done, err := d.migrateStep(ctx, conn, steps)
		if err != nil || done {
			return err
		}
	}
}

// migrateStep runs the next step and reports whether there was none.
func (d Dialect) migrateStep(ctx context.Context, conn *sql.Conn, steps []migration) (done bool, err error) {
	exec := func(query string) error {
		_, err := conn.ExecContext(ctx, query)
		return err
	}
	if err := exec(d.begin()); err != nil {
		return false, classify(err, "beginning a migration")
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	current, err := d.lockedVersion(ctx, conn)
	if err != nil {
		return false, err
	}
	if current > len(steps) {
		return false, fmt.Errorf("the database is of a newer version of the program: its tables are at step %d, this program knows %d", current, len(steps))
	}
	if current == len(steps) {
		return true, exec("COMMIT")
	}
	m := steps[current]
	if err := exec(d.script(m)); err != nil {
		return false, classify(err, "migration "+m.name)
	}
	_, err = conn.ExecContext(ctx, d.translate("INSERT INTO repod_migrations (version, name, applied_at) VALUES (?, ?, ?)"),
		m.version, m.name, time.Now().UnixMicro())
	if err != nil {
		return false, classify(err, "migration "+m.name)
	}
	return false, classify(exec("COMMIT"), "migration "+m.name)
}

// lockedVersion returns the number of the last step taken, and keeps others
// from taking the next one until the transaction ends.
func (d Dialect) lockedVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	if d == Postgres {
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock("+strconv.Itoa(migrationLock)+")"); err != nil {
			return 0, classify(err, "waiting for another program's migration")
		}
		if err := needTrigrams(ctx, conn); err != nil {
			return 0, err
		}
	}
	_, err := conn.ExecContext(ctx, words[d].Replace(
		"CREATE TABLE IF NOT EXISTS repod_migrations (version BIGINT PRIMARY KEY, name {text} NOT NULL, applied_at BIGINT NOT NULL)"))
	if err != nil {
		return 0, classify(err, "creating the table of migrations")
	}
	var version int
	err = conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM repod_migrations").Scan(&version)
	return version, classify(err, "reading the table of migrations")
}

// needTrigrams makes sure of the extension that searching needs. Since
// PostgreSQL 13 the owner of a database may create it.
func needTrigrams(ctx context.Context, conn *sql.Conn) error {
	var there bool
	err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm')").Scan(&there)
	if err != nil {
		return classify(err, "looking for extension pg_trgm")
	}
	if there {
		return nil
	}
	if _, err := conn.ExecContext(ctx, "CREATE EXTENSION IF NOT EXISTS pg_trgm"); err != nil {
		return fmt.Errorf("searching needs PostgreSQL's extension pg_trgm: let a superuser run CREATE EXTENSION pg_trgm in this database: %w",
			classify(err, "CREATE EXTENSION"))
	}
	return nil
}
