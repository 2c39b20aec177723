package jobs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRunsToTheEnd(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		r, _ := newRunner(t, d)
		start(t, r, echo)
		args := map[string]any{"name": "nginx", "text": "a\x00b\\u0000"}
		j := enqueue(t, r, "echo", args, Options{CreatedBy: "admin"})
		if j.Status != Queued || j.Kind != "echo" || j.CreatedBy != "admin" || time.Since(j.CreatedAt).Abs() > time.Minute {
			t.Errorf("new job is %+v", j)
		}
		j = wait(t, r, j, hasStatus(Done))
		if want := `{"name":"nginx","text":"a` + "\ufffd" + `b\\u0000"}`; normal(t, j.Result) != want {
			t.Errorf("result is %s, want %s", j.Result, want)
		}
		if j.FinishedAt.Before(j.CreatedAt) || j.Failure != nil || j.CreatedBy != "admin" {
			t.Errorf("ended job is %+v", j)
		}
		other, _ := newRunner(t, d) // which does not know the kind
		start(t, other)
		if seen, err := other.Job(t.Context(), j.ID); err != nil || seen.Status != Done {
			t.Errorf("another server sees %+v, %v", seen, err)
		}
	})
}

func TestFailures(t *testing.T) {
	shown := &Failure{Status: 502, Code: "upstream_unreachable", Detail: "The source does not answer."}
	for _, tt := range []struct {
		name string
		work func(ctx context.Context) (any, error)
		want Failure
		log  string
	}{
		{"failure", func(context.Context) (any, error) { return nil, fmt.Errorf("syncing: %w", shown) }, *shown, "does not answer"},
		{"error", func(context.Context) (any, error) { return nil, errSecret }, internalError, "hunter2"},
		{"panic", func(context.Context) (any, error) { panic(errSecret) }, internalError, "goroutine"},
		{"no JSON", func(context.Context) (any, error) { return math.NaN(), nil }, internalError, "no JSON"},
		{"timeout", func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() }, internalError, "took too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newSQLite(t)
			r, log := newRunner(t, d)
			start(t, r, Kind{Name: "fail", Timeout: 20 * time.Millisecond, Work: func(ctx context.Context, _ *Task) (any, error) { return tt.work(ctx) }})
			j := wait(t, r, enqueue(t, r, "fail", nil, Options{}), hasStatus(Error))
			if j.Failure == nil || !reflect.DeepEqual(*j.Failure, tt.want) || j.Result != nil || j.FinishedAt.IsZero() {
				t.Errorf("job is %+v, failure %+v", j, j.Failure)
			}
			if !strings.Contains(log.String(), tt.log) {
				t.Errorf("log lacks %q:\n%s", tt.log, log)
			}
			if dump := dumpJobs(t, d); strings.Contains(dump, "hunter2") {
				t.Errorf("the cause is in the database: %s", dump)
			}
		})
	}
}

func TestRetries(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		r, _ := newRunner(t, d)
		r.fetchEvery = 50 * time.Millisecond
		var attempts atomic.Int32
		start(t, r, Kind{
			Name: "flaky", Retry: []time.Duration{0, 0},
			Work: func(_ context.Context, task *Task) (any, error) {
				if n := attempts.Add(1); int(n) != task.Attempt {
					t.Errorf("attempt %d is numbered %d", n, task.Attempt)
				}
				var until int
				if err := task.Args(&until); err != nil {
					return nil, err
				}
				switch {
				case until == 0:
					return nil, Permanent(&Failure{Status: 400, Code: "hopeless"})
				case task.Attempt < until:
					return nil, errors.New("not yet")
				}
				return task.Attempt, nil
			},
		})
		for _, tt := range []struct {
			until    int
			status   Status
			attempts int32
			code     string
		}{{3, Done, 3, ""}, {4, Error, 3, "internal_error"}, {0, Error, 1, "hopeless"}} {
			attempts.Store(0)
			j := wait(t, r, enqueue(t, r, "flaky", tt.until, Options{}), Job.Ended)
			if j.Status != tt.status || attempts.Load() != tt.attempts || j.Failure != nil && j.Failure.Code != tt.code {
				t.Errorf("until %d: %+v, failure %+v after %d attempts", tt.until, j, j.Failure, attempts.Load())
			}
		}
	})
}

func TestWrongArgumentsAreNotRetried(t *testing.T) {
	r, _ := newRunner(t, newSQLite(t))
	var attempts atomic.Int32
	start(t, r, Kind{Name: "kk", Retry: []time.Duration{0, 0}, Work: func(_ context.Context, t *Task) (any, error) {
		attempts.Add(1)
		var n int
		return n, t.Args(&n)
	}})
	wait(t, r, enqueue(t, r, "kk", "text", Options{}), hasStatus(Error))
	if n := attempts.Load(); n != 1 {
		t.Errorf("%d attempts", n)
	}
}

// Many callers at a time join one job; when it has ended, the next begins.
func TestJoin(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		r, _ := newRunner(t, d)
		var release = make(chan struct{})
		start(t, r, Kind{Name: "sync", Work: func(ctx context.Context, _ *Task) (any, error) {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil, ctx.Err()
		}})
		ids := make(chan string, 8)
		var callers sync.WaitGroup
		for range cap(ids) {
			callers.Go(func() {
				j, err := r.Enqueue(t.Context(), "sync", nil, Options{Join: "all"})
				if err != nil {
					t.Error(err)
				}
				ids <- j.ID
			})
		}
		callers.Wait()
		first := <-ids
		for len(ids) > 0 {
			if id := <-ids; id != first {
				t.Errorf("jobs %s and %s", first, id)
			}
		}
		wait(t, r, Job{ID: first}, hasStatus(Running))
		if j := enqueue(t, r, "sync", nil, Options{Join: "all"}); j.ID != first || j.Status != Running {
			t.Errorf("joined %+v, want %s", j, first)
		}
		if j := enqueue(t, r, "sync", nil, Options{Join: "other"}); j.ID == first {
			t.Error("joined a job of another key")
		}
		close(release)
		wait(t, r, Job{ID: first}, hasStatus(Done))
		if j := enqueue(t, r, "sync", nil, Options{Join: "all"}); j.ID == first {
			t.Error("joined a job that has ended")
		}
	})
}

func TestOnce(t *testing.T) {
	r, _ := newRunner(t, newSQLite(t))
	start(t, r, echo, Kind{Name: "echo2", Work: echo.Work})
	j := wait(t, r, enqueue(t, r, "echo", 1, Options{Once: "kk"}), hasStatus(Done))
	if again := enqueue(t, r, "echo", 2, Options{Once: "kk"}); again.ID != j.ID || again.Status != Done {
		t.Errorf("second job is %+v", again)
	}
	if other := enqueue(t, r, "echo2", 2, Options{Once: "kk"}); other.ID == j.ID {
		t.Error("keys are not by kind")
	}
	if other := enqueue(t, r, "echo", 2, Options{Join: "kk"}); other.ID == j.ID {
		t.Error("keys of Join and Once are the same")
	}
	if _, err := r.Enqueue(t.Context(), "echo", 2, Options{Join: "kk", Once: "kk"}); err == nil {
		t.Error("both keys were taken")
	}
}

func TestNotBefore(t *testing.T) {
	r, _ := newRunner(t, newSQLite(t))
	start(t, r, echo)
	later := enqueue(t, r, "echo", 1, Options{NotBefore: time.Now().Add(time.Hour)})
	wait(t, r, enqueue(t, r, "echo", 1, Options{}), hasStatus(Done))
	if j, err := r.Job(t.Context(), later.ID); err != nil || j.Status != Queued {
		t.Errorf("job is %+v, %v", j, err)
	}
}

func TestProgressIsSeenElsewhere(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		r, _ := newRunner(t, d)
		seen := make(chan struct{})
		want := Progress{Done: 3, Total: 12, Message: "ubuntu-jammy"}
		start(t, r, Kind{Name: "sync", Work: func(ctx context.Context, task *Task) (any, error) {
			for n := range want.Done + 1 {
				task.Report(Progress{Done: n, Total: want.Total, Message: want.Message})
			}
			select {
			case <-seen:
			case <-ctx.Done():
			}
			task.Report(Progress{Done: 12, Total: 12})
			return nil, ctx.Err()
		}})
		other, _ := newRunner(t, d)
		start(t, other)
		j := enqueue(t, r, "sync", nil, Options{})
		wait(t, other, j, func(j Job) bool { return j.Progress == want })
		close(seen)
		if j := wait(t, other, j, hasStatus(Done)); j.Progress.Done != 12 {
			t.Errorf("progress at the end is %+v", j.Progress)
		}
	})
}

func TestChanged(t *testing.T) {
	r, _ := newRunner(t, newSQLite(t))
	start(t, r, Kind{Name: "stay", Work: func(ctx context.Context, _ *Task) (any, error) { <-ctx.Done(); return nil, ctx.Err() }})
	j := wait(t, r, enqueue(t, r, "stay", nil, Options{}), hasStatus(Running))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Changed(ctx, j); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing changed, but Changed returned %v", err)
	}
	if _, err := r.Changed(t.Context(), Job{ID: "job_00zzzz"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("error for a job that does not exist is %v", err)
	}
	stopped := make(chan error)
	go func() {
		_, err := r.Changed(t.Context(), j)
		stopped <- err
	}()
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := r.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop with no time returned %v", err)
	}
	if err := <-stopped; err != nil && !errors.Is(err, ErrStopped) { // or it saw the end
		t.Errorf("error at the end is %v", err)
	}
	if j, err := r.Job(t.Context(), j.ID); err != nil || j.Failure == nil || !reflect.DeepEqual(*j.Failure, interrupted) {
		t.Errorf("cancelled job is %+v, %v", j, err)
	}
}

func TestInternalJobsAreHidden(t *testing.T) {
	r, _ := newRunner(t, newSQLite(t))
	var ran atomic.Bool
	start(t, r, Kind{Name: "mail", Internal: true, Work: func(context.Context, *Task) (any, error) { ran.Store(true); return nil, nil }})
	j := enqueue(t, r, "mail", nil, Options{})
	if _, err := r.Job(t.Context(), j.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("internal job is found: %v", err)
	}
	eventually(t, "the job runs", ran.Load)
}

func TestStopLetsWorkFinish(t *testing.T) {
	d := newSQLite(t)
	r, _ := newRunner(t, d)
	begun, release := make(chan struct{}), make(chan struct{})
	start(t, r, Kind{Name: "slow", Work: func(ctx context.Context, _ *Task) (any, error) {
		close(begun)
		<-release
		return "whole", ctx.Err()
	}})
	j := enqueue(t, r, "slow", nil, Options{})
	<-begun
	stopped := make(chan error)
	go func() { stopped <- r.Stop(context.Background()) }()
	<-r.ctx.Done()
	close(release)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if j, err := r.Job(t.Context(), j.ID); err != nil || string(j.Result) != `"whole"` {
		t.Errorf("job is %+v, %v", j, err)
	}
}

// Work with retries that Stop cuts off runs again after the next start, as if
// the attempt had not been.
func TestCutOffWorkRunsAgain(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		begun := make(chan struct{}, 1)
		kind := Kind{Name: "kk", Retry: []time.Duration{time.Hour}, Work: func(ctx context.Context, _ *Task) (any, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		r, _ := newRunner(t, d)
		start(t, r, kind)
		j := enqueue(t, r, "kk", nil, Options{})
		<-begun
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Stop(ctx); err == nil {
			t.Error("Stop had no time, but returned nil")
		}
		kind.Work = func(_ context.Context, t *Task) (any, error) { return t.Attempt, nil }
		next, _ := newRunner(t, d)
		start(t, next, kind)
		if j := wait(t, next, j, hasStatus(Done)); string(j.Result) != "1" {
			t.Errorf("attempt was %s", j.Result)
		}
	})
}

func TestRegisterRefuses(t *testing.T) {
	r, _ := newRunner(t, newSQLite(t))
	for _, k := range []Kind{{Work: echo.Work}, {Name: "x"}, echo} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was registered", k)
				}
			}()
			r.Register(echo, k)
		}()
		r.kinds = nil
	}
	if _, err := r.Enqueue(t.Context(), "echo", nil, Options{}); !errors.Is(err, errNotStarted) {
		t.Errorf("error before Start is %v", err)
	}
	start(t, r)
	if _, err := r.Enqueue(t.Context(), "nope", nil, Options{}); !errors.Is(err, ErrUnknownKind) {
		t.Errorf("error for an unknown kind is %v", err)
	}
	if err := r.Start(t.Context()); !errors.Is(err, errStarted) {
		t.Errorf("second Start returned %v", err)
	}
}

// Servers that start together on an empty database do not get in each other's
// way.
func TestStartTogether(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		var starts sync.WaitGroup
		var runners []*Runner
		for range 4 {
			r, _ := newRunner(t, d)
			r.Register(echo)
			runners = append(runners, r)
		}
		for _, r := range runners {
			starts.Go(func() {
				if err := r.Start(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		starts.Wait()
		for _, r := range runners {
			if !t.Failed() {
				wait(t, r, enqueue(t, r, "echo", 1, Options{}), hasStatus(Done))
			}
			stop(t, r)
		}
	})
}
