package jobs

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
)

// A database can be opened by several servers.
type database struct {
	driver, dsn string
	dialect     Dialect
}

func (d database) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(d.driver, d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(4)
	t.Cleanup(func() { db.Close() })
	return db
}

func newSQLite(t testing.TB) database {
	path := filepath.Join(t.TempDir(), "jobs.db")
	d := database{"sqlite", sqlstore.SQLiteDSN(path), SQLite}
	if _, err := d.open(t).Exec("PRAGMA journal_mode = WAL"); err != nil {
		t.Fatal(err)
	}
	return d
}

// each runs a test on both databases.
func each(t *testing.T, test func(t *testing.T, d database)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newSQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, database{pgtest.Driver, pgtest.Database(t), Postgres}) })
}

// A journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// newRunner returns a runner that is not started.
func newRunner(t testing.TB, d database) (*Runner, *journal) {
	log := new(journal)
	return &Runner{
		DB: d.open(t), Dialect: d.dialect, Logger: slog.New(slog.NewTextHandler(log, nil)),
		pollEvery: 20 * time.Millisecond,
	}, log
}

// start starts a runner with kinds, and stops it at the end of the test.
func start(t testing.TB, r *Runner, kinds ...Kind) {
	t.Helper()
	r.Register(kinds...)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, r) })
}

func stop(t testing.TB, r *Runner) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func enqueue(t testing.TB, r *Runner, kind string, args any, o Options) Job {
	t.Helper()
	j, err := r.Enqueue(t.Context(), kind, args, o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// wait returns a job once cond holds for it.
func wait(t testing.TB, r *Runner, j Job, cond func(Job) bool) Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	j, err := r.Job(ctx, j.ID)
	for err == nil && !cond(j) {
		if j.Ended() {
			t.Fatalf("job ended: %+v, failure %+v", j, j.Failure)
		}
		j, err = r.Changed(ctx, j)
	}
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func hasStatus(s Status) func(Job) bool { return func(j Job) bool { return j.Status == s } }

// eventually waits until cond holds, which does not show in a job.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// echo returns its arguments.
var echo = Kind{Name: "echo", Work: func(_ context.Context, t *Task) (any, error) {
	var v any
	err := t.Args(&v)
	return v, err
}}

var errSecret = errors.New("the password is hunter2")
