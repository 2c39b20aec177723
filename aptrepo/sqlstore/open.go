package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
)

var (
	_ aptrepo.Store = (*DB)(nil)
	_ auth.Store    = (*DB)(nil)
)

// A DB is an open database. It implements [aptrepo.Store], [auth.Store] and
// [upstream.Catalog]; all methods are safe for concurrent use, also by several processes.
type DB struct {
	conn       *sqlx.DB
	dialect    Dialect
	writer     writer
	statements sync.Map // SQLite: text to *sql.Stmt, for readers
	prepared   atomic.Int32
	auditKey   []byte // nil: the head of the audit log is not signed
	onMessage  func() // may be nil
}

// Open makes a store of a connection pool and creates or updates its tables.
// A database whose tables are newer than the program is refused. From then on
// the pool is the store's: Close closes it. Others may use it beside the
// store, if they keep away from its tables.
//
// A SQLite database must be a file, not one in memory, on a file system with
// shared memory (not on a network). Open switches it to WAL. Of the pool, the
// store takes one connection for good, which does all its writing; readers
// use the others and never wait for the writer. See [SQLiteDSN] for settings
// that make them fast.
//
// On PostgreSQL the tables live in the first schema of the search path; give
// the store its own database, or a schema by search_path in the data source
// name. The first Open creates the extension pg_trgm, which the owner of a
// database may do. When the server does not answer, methods return within
// five seconds; set connect_timeout in the data source name for those that
// find no connection.
//
// Where the caller has set no limits, Open limits the pool: to one connection
// more than there are processors, at least 5, on SQLite; to 20 on PostgreSQL,
// where each is also renewed after half an hour.
func Open(ctx context.Context, conn *sqlx.DB, dialect Dialect) (*DB, error) {
	if words[dialect] == nil {
		return nil, fmt.Errorf("%v is neither SQLite nor Postgres", dialect)
	}
	db := &DB{conn: conn, dialect: dialect}
	db.writer.db = db
	db.writer.idle.L = &db.writer.mu
	limitPool(conn, dialect)
	if err := db.prepare(ctx); err != nil {
		return nil, fmt.Errorf("opening the %v database: %w", dialect, err)
	}
	return db, nil
}

func limitPool(conn *sqlx.DB, dialect Dialect) {
	most := 20
	if dialect == SQLite {
		most = 1 + max(4, runtime.GOMAXPROCS(0))
	}
	switch limit := conn.Stats().MaxOpenConnections; {
	case limit == 0:
		conn.SetMaxOpenConns(most)
		conn.SetMaxIdleConns(most)
	case limit == 1 && dialect == SQLite:
		conn.SetMaxOpenConns(2) // the writer keeps one
	}
	if dialect == Postgres {
		conn.SetConnMaxLifetime(30 * time.Minute)
	}
}

// prepare runs the migrations.
func (d *DB) prepare(ctx context.Context) error {
	conn, err := d.conn.DB.Conn(ctx)
	if err != nil {
		return classify(err, "connecting")
	}
	defer conn.Close()
	if d.dialect == SQLite {
		if err := useWAL(ctx, conn); err != nil {
			return err
		}
	}
	return d.dialect.migrate(ctx, conn)
}

// useWAL switches a SQLite database to write-ahead logging, which it then
// keeps: readers and the writer do not wait for each other. For the switch
// SQLite needs the database for itself and does not wait, so this does.
func useWAL(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, waitForLocks()); err != nil {
		return classify(err, "PRAGMA busy_timeout")
	}
	for start := time.Now(); ; {
		var mode string
		err := classify(conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode), "PRAGMA journal_mode")
		switch {
		case err == nil && mode != "wal":
			return fmt.Errorf("journal mode is %q: a file on a local file system is needed", mode)
		case err == nil:
			return nil
		case !errors.Is(err, aptrepo.ErrUnavailable) || time.Since(start) > answerWithin:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Close waits for the updates under way and closes the pool.
func (d *DB) Close() error {
	d.writer.close()
	return d.conn.Close()
}

// Pool returns the pool, for its statistics. It is the store's all the same.
func (d *DB) Pool() *sql.DB { return d.conn.DB }

// Ping reports whether the database answers.
func (d *DB) Ping(ctx context.Context) error {
	return d.read(ctx, func(q querier) error {
		var id int64
		_, err := get(q, "SELECT last_id FROM audit_head", nil, &id)
		return err
	})
}
