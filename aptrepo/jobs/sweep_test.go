package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// normal returns JSON without the spaces that PostgreSQL puts into it.
func normal(t testing.TB, text json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// dumpJobs returns all that SQLite's table of jobs holds.
func dumpJobs(t testing.TB, d database) string {
	t.Helper()
	rows, err := d.open(t).Query("SELECT kind || json(args) || json(metadata) || coalesce(json(errors), '') FROM river_job")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var dump strings.Builder
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		dump.WriteString(text + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return dump.String()
}

// abandon leaves a job behind that seems to run on a server which is gone.
func abandon(t *testing.T, d database, kind, server string, retry []time.Duration) Job {
	t.Helper()
	r, _ := newRunner(t, d)
	r.Server = server
	r.sweepEvery = time.Hour
	r.Register(Kind{Name: kind, Retry: retry, Work: echo.Work})
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := enqueue(t, r, kind, "again", Options{NotBefore: time.Now().Add(time.Hour)})
	stop(t, r)
	by := `jsonb('["` + server + `/X"]')`
	if d.dialect == Postgres {
		by = `'{"` + server + `/X"}'`
	}
	n, _ := parseID(j.ID)
	result, err := r.DB.Exec("UPDATE river_job SET state = 'running', attempt = 1, attempted_by = "+by+
		", scheduled_at = "+d.dialect.ago(time.Minute)+", attempted_at = "+d.dialect.ago(30*time.Second)+
		" WHERE id = "+d.dialect.placeholder(), n)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	return j
}

func TestAbandonedJobs(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		one := abandon(t, d, "once", "gone", nil)
		two := abandon(t, d, "retried", "gone too", []time.Duration{0})
		r, _ := newRunner(t, d)
		r.sweepEvery = 10 * time.Millisecond
		r.Server = "other"
		start(t, r, Kind{Name: "once", Work: echo.Work}, Kind{Name: "retried", Retry: []time.Duration{0}, Work: echo.Work})
		wait(t, r, enqueue(t, r, "once", 1, Options{}), hasStatus(Done))
		if j, err := r.Job(t.Context(), one.ID); err != nil || j.Status != Running {
			t.Fatalf("a job of a server heard of 30 s ago is %+v, %v", j, err)
		}
		stop(t, r)

		r, _ = newRunner(t, d)
		r.sweepEvery, r.abandoned = 10*time.Millisecond, 20*time.Second
		start(t, r, Kind{Name: "once", Work: echo.Work}, Kind{Name: "retried", Retry: []time.Duration{0}, Work: echo.Work})
		if j := wait(t, r, one, Job.Ended); j.Failure == nil || !reflect.DeepEqual(*j.Failure, interrupted) || j.FinishedAt.IsZero() {
			t.Errorf("job is %+v", j)
		}
		if j := wait(t, r, two, Job.Ended); string(j.Result) != `"again"` {
			t.Errorf("job with retries is %+v", j)
		}
	})
}

// A server that is started again need not wait to know that its last run is
// over.
func TestRestart(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		own := abandon(t, d, "kk", "a", nil)
		foreign := abandon(t, d, "kk", "a2", nil)
		r, _ := newRunner(t, d)
		r.Server = "a"
		start(t, r, Kind{Name: "kk", Work: echo.Work})
		if j, err := r.Job(t.Context(), own.ID); err != nil || j.Failure == nil || !reflect.DeepEqual(*j.Failure, interrupted) {
			t.Errorf("own job is %+v, %v", j, err)
		}
		if j, err := r.Job(t.Context(), foreign.ID); err != nil || j.Status != Running {
			t.Errorf("another server's job is %+v, %v", j, err)
		}
	})
}

// Work that runs long is not taken for abandoned, and work whose job was taken
// away ends.
func TestBeats(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		r, _ := newRunner(t, d)
		r.beatEvery, r.abandoned, r.sweepEvery = 50*time.Millisecond, time.Second, 50*time.Millisecond
		release, lost := make(chan struct{}), make(chan error, 1)
		start(t, r, Kind{Name: "long", Work: func(ctx context.Context, _ *Task) (any, error) {
			<-release
			return nil, ctx.Err()
		}}, Kind{Name: "taken", Work: func(ctx context.Context, _ *Task) (any, error) {
			<-ctx.Done()
			lost <- context.Cause(ctx)
			return nil, ctx.Err()
		}})
		long := wait(t, r, enqueue(t, r, "long", nil, Options{}), hasStatus(Running))
		n, _ := parseID(long.ID)
		first := attemptedAt(t, r, n)
		eventually(t, "two beats", func() bool { return attemptedAt(t, r, n) > first+2*r.abandoned.Seconds() })
		close(release)
		wait(t, r, long, hasStatus(Done))

		taken := wait(t, r, enqueue(t, r, "taken", nil, Options{}), hasStatus(Running))
		n, _ = parseID(taken.ID)
		if _, err := r.DB.Exec("UPDATE river_job SET state = 'discarded', finalized_at = "+d.dialect.now()+
			" WHERE id = "+d.dialect.placeholder(), n); err != nil {
			t.Fatal(err)
		}
		if err := <-lost; !errors.Is(err, errLost) {
			t.Errorf("cause is %v", err)
		}
	})
}

// attemptedAt returns when a job was last heard of, in seconds.
func attemptedAt(t *testing.T, r *Runner, id int64) (at float64) {
	t.Helper()
	column := "extract(epoch FROM attempted_at)"
	if r.Dialect == SQLite {
		column = "unixepoch(attempted_at, 'subsec')"
	}
	if err := r.DB.QueryRow("SELECT "+column+" FROM river_job WHERE id = "+r.Dialect.placeholder(), id).Scan(&at); err != nil {
		t.Fatal(err)
	}
	return at
}

// Two servers on one database: each job is done by one of them.
func TestTwoServers(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		var done atomic.Int32
		kind := Kind{Name: "count", Work: func(context.Context, *Task) (any, error) { return done.Add(1), nil }}
		var runners [2]*Runner
		for i := range runners {
			runners[i], _ = newRunner(t, d)
			start(t, runners[i], kind)
		}
		const each = 20
		var all []Job
		for i := range 2 * each {
			all = append(all, enqueue(t, runners[i%2], "count", i, Options{}))
		}
		for _, j := range all {
			wait(t, runners[0], j, hasStatus(Done))
		}
		if n := done.Load(); n != 2*each {
			t.Errorf("%d attempts for %d jobs", n, 2*each)
		}
	})
}
