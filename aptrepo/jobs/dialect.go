package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// A Dialect is the kind of database behind a connection pool.
type Dialect int

// The dialects. SQLite needs a pool whose connections wait for locks
// (busy_timeout) and take them when a transaction begins (_txlock=immediate),
// as those of sqlstore.SQLiteDSN do. PostgreSQL needs a pool of at least two
// connections.
const (
	SQLite Dialect = iota + 1
	Postgres
)

// sqliteDriver is River's driver without its listener, which would read a
// table of notifications all the time. Without one, River wakes the workers of
// its own process directly, and the others look now and then.
type sqliteDriver struct{ *riversqlite.Driver }

func (sqliteDriver) SupportsListener() bool     { return false }
func (sqliteDriver) SupportsListenNotify() bool { return false }

func (d Dialect) driver(db *sql.DB) (riverdriver.Driver[*sql.Tx], error) {
	switch d {
	case SQLite:
		return sqliteDriver{riversqlite.New(db)}, nil
	case Postgres:
		return riverdatabasesql.New(db), nil
	}
	return nil, fmt.Errorf("jobs: unknown dialect %d", d)
}

// poll returns how often workers look for work that nobody told them of.
// On SQLite a look takes the lock on the database for a moment.
func (d Dialect) poll() time.Duration {
	if d == SQLite {
		return 10 * time.Second
	}
	return 2 * time.Second
}

// lastServer is the name of the server that runs a job.
func (d Dialect) lastServer() string {
	if d == SQLite {
		return "json_extract(attempted_by, '$[#-1]')"
	}
	return "attempted_by[array_upper(attempted_by, 1)]"
}

// ago is a time in the past by the database's clock.
func (d Dialect) ago(t time.Duration) string {
	seconds := strconv.Itoa(int(t / time.Second))
	if d == SQLite {
		return "datetime('now', 'subsec', '-" + seconds + " seconds')"
	}
	return "CURRENT_TIMESTAMP - INTERVAL '" + seconds + " seconds'"
}

// secondsSince is how long ago a column's time was, by the database's clock.
func (d Dialect) secondsSince(column string) string {
	if d == SQLite {
		return "(julianday('now') - julianday(" + column + ")) * 86400.0"
	}
	return "CAST(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP - " + column + ") AS DOUBLE PRECISION)"
}

// now is the present by the database's clock, as River writes it.
func (d Dialect) now() string {
	if d == SQLite {
		return "datetime('now', 'subsec')"
	}
	return "CURRENT_TIMESTAMP"
}

func (d Dialect) placeholder() string {
	if d == SQLite {
		return "?"
	}
	return "$1"
}

// migrationLock is the key of the advisory lock under which River's tables are
// brought up to date: "jobs" in ASCII.
const migrationLock = 0x6a6f6273

// migrate brings River's tables up to date. Servers that start together do it
// one after the other.
func (d Dialect) migrate(ctx context.Context, db *sql.DB, driver riverdriver.Driver[*sql.Tx], log *slog.Logger) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: log})
	if err != nil {
		return err
	}
	if d == Postgres {
		unlock, err := lockMigration(ctx, db)
		if err != nil {
			return err
		}
		defer unlock()
	}
	for try := 1; ; try++ {
		_, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		// On SQLite another process may have been faster with a step; the next
		// try sees what it did.
		if err == nil || d != SQLite || try == 10 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		}
	}
}

// lockMigration waits for the advisory lock. It is the session's, since River
// has transactions of its own.
func lockMigration(ctx context.Context, db *sql.DB) (unlock func(), err error) {
	if db.Stats().MaxOpenConnections == 1 {
		return nil, errors.New("jobs: the pool needs at least two connections")
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("SELECT pg_advisory_lock(%d)", migrationLock)); err != nil {
		conn.Close()
		return nil, err
	}
	return func() {
		// Should this fail, the connection is broken and the lock gone with it.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("SELECT pg_advisory_unlock(%d)", migrationLock))
		conn.Close()
	}, nil
}
