package jobs_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/sqlstore"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "jobs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(dir, "jobs.db")))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	r := &jobs.Runner{DB: db, Dialect: jobs.SQLite}
	r.Register(jobs.Kind{
		Name: "greet",
		Work: func(_ context.Context, t *jobs.Task) (any, error) {
			var name string
			err := t.Args(&name)
			return "hello " + name, err
		},
	})
	if err := r.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer r.Stop(ctx)
	job, err := r.Enqueue(ctx, "greet", "world", jobs.Options{CreatedBy: "admin"})
	for err == nil && !job.Ended() {
		job, err = r.Changed(ctx, job)
	}
	fmt.Println(job.Status, string(job.Result), err)
	// Output: done "hello world" <nil>
}
