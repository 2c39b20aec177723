package main

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/sqlstore"
)

// Work that takes longer than a server that stops waits is interrupted, which
// is no failure of the server.
func TestStopInterruptsLongWork(t *testing.T) {
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "jobs.db")))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	started, cause := make(chan bool), make(chan error, 1)
	r := &jobs.Runner{DB: db, Dialect: jobs.SQLite, Logger: slog.New(slog.DiscardHandler)}
	r.Register(jobs.Kind{Name: "long", Work: func(ctx context.Context, _ *jobs.Task) (any, error) {
		close(started)
		<-ctx.Done()
		cause <- ctx.Err()
		return nil, ctx.Err()
	}})
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	job, err := r.Enqueue(t.Context(), "long", nil, jobs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	<-started
	b := &background{runner: r, within: 200 * time.Millisecond}
	if err := b.stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := <-cause; err == nil {
		t.Error("the work was not told to end")
	}
	job, err = r.Job(t.Context(), job.ID)
	if err != nil || job.Failure == nil || job.Failure.Code != "interrupted" {
		t.Errorf("the job is %+v, %v", job, err)
	}
}
