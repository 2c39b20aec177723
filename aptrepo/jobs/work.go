package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"
)

// writeEvery is how often progress is written at most.
const writeEvery = time.Second

var (
	errTimeout = errors.New("the attempt took too long")
	errLost    = errors.New("the job was taken from this server, which had not been heard of")
)

// A worker is what River knows of a kind.
type worker struct {
	river.WorkerDefaults[envelope]
	runner *Runner
	kind   *Kind
}

// Timeout is for River, which is to leave timeouts and the rescue of abandoned
// jobs to this package: it would wait for the timeout before it rescued one.
func (w *worker) Timeout(*river.Job[envelope]) time.Duration { return -1 }

// NextRetry is for River, which calls it after an attempt that failed.
func (w *worker) NextRetry(job *river.Job[envelope]) time.Time {
	i := min(job.Attempt, len(w.kind.Retry)) - 1
	if i < 0 {
		return time.Time{}
	}
	pause := w.kind.Retry[i]
	if w.kind.Pause != nil {
		pause = w.kind.Pause(pause)
	}
	return time.Now().Add(pause)
}

// Work makes one attempt.
func (w *worker) Work(ctx context.Context, job *river.Job[envelope]) error {
	t := &Task{
		ID: formatID(job.ID), Attempt: job.Attempt, CreatedBy: job.Args.CreatedBy,
		args: job.Args.Args, changed: make(chan struct{}, 1),
	}
	limited, cancel := context.WithTimeoutCause(ctx, w.kind.timeout(), errTimeout)
	defer cancel()
	limited, lose := context.WithCancelCause(limited)
	released := w.runner.keep(limited, lose, t, job)
	began := time.Now()
	result, err := attempt(limited, w.kind, t)
	if err != nil && limited.Err() != nil {
		err = fmt.Errorf("%w (%w)", err, context.Cause(limited))
	}
	lose(nil)
	<-released
	went, told := w.conclude(ctx, job, t, result, err)
	w.runner.observe(w.kind, time.Since(began), went)
	return told
}

// attempt calls the work, whose panics become errors.
func attempt(ctx context.Context, k *Kind, t *Task) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return k.Work(ctx, t)
}

// conclude records how an attempt went, and returns what tells River what to do
// next.
func (w *worker) conclude(ctx context.Context, job *river.Job[envelope], t *Task, result any, err error) (went Attempt, told error) {
	out := outcome{Progress: t.reported()}
	if err == nil {
		out.Result, err = encodeResult(result)
	}
	stopping := err != nil && ctx.Err() != nil // River has cancelled it
	switch {
	case err == nil:
		return AttemptDone, river.RecordOutput(ctx, out)
	case stopping && len(w.kind.Retry) > 0:
		return AttemptInterrupted, ctx.Err() // River gives the attempt back
	case stopping:
		f := interrupted
		out.Failure = &f
		w.log(t, slog.LevelWarn, "job interrupted", err)
		return AttemptInterrupted, errors.Join(river.RecordOutput(ctx, out), river.JobCancel(errors.New(f.Code)))
	}
	f, known := failureOf(err)
	out.Failure = &f
	final := IsPermanent(err) || job.Attempt >= job.MaxAttempts
	switch {
	case !final:
		w.log(t, slog.LevelWarn, "job failed, to be tried again", err)
	case !known || w.kind.Internal:
		w.log(t, slog.LevelError, "job failed", err)
	default:
		w.log(t, slog.LevelInfo, "job failed", err)
	}
	went, told = AttemptRetry, errors.New(f.Code) // River keeps it: the cause may say too much
	if final {
		went, told = AttemptFailed, river.JobCancel(told)
	}
	return went, errors.Join(river.RecordOutput(ctx, out), told)
}

func encodeResult(result any) ([]byte, error) {
	if result == nil {
		return []byte("{}"), nil
	}
	text, err := encode(result)
	if err != nil {
		return nil, fmt.Errorf("the result is no JSON: %w", err)
	}
	return text, nil
}

func (w *worker) log(t *Task, level slog.Level, message string, err error) {
	w.runner.Logger.Log(context.Background(), level, message,
		"job", t.ID, "kind", w.kind.Name, "attempt", t.Attempt, "error", err)
}

// keep writes a task's progress, and says now and then that this server still
// works on it, until ctx ends. When the job was taken away it calls lose. The
// channel is closed when nothing is written any more.
func (r *Runner) keep(ctx context.Context, lose context.CancelCauseFunc, t *Task, job *river.Job[envelope]) <-chan struct{} {
	released := make(chan struct{})
	go func() {
		defer close(released)
		beat := time.NewTicker(r.beatEvery)
		defer beat.Stop()
		heard := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.changed:
				r.writeProgress(ctx, t, job.ID)
				pause(ctx, writeEvery)
			case <-beat.C:
			}
			if time.Since(heard) < r.beatEvery/2 { // progress comes oftener
				continue
			}
			held, err := r.beat(ctx, job.ID, job.Attempt)
			switch {
			case err == nil && held:
				heard = time.Now()
			case err == nil || time.Since(heard) > r.abandoned:
				lose(errLost)
			}
		}
	}()
	return released
}

func (r *Runner) writeProgress(ctx context.Context, t *Task, id int64) {
	text, err := encode(outcome{Progress: t.reported()})
	if err == nil {
		_, err = r.client.JobUpdate(ctx, id, &river.JobUpdateParams{Output: text})
	}
	if err != nil && ctx.Err() == nil {
		r.Logger.Warn("the progress of a job could not be written", "job", t.ID, "error", err)
	}
	r.wake()
}

// beat says that this server works on a job. It reports whether it still is to.
func (r *Runner) beat(ctx context.Context, id int64, attempt int) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.beatEvery)
	defer cancel()
	result, err := r.DB.ExecContext(ctx, fmt.Sprintf(
		"UPDATE river_job SET attempted_at = %s WHERE id = %d AND attempt = %d AND state = 'running'", r.Dialect.now(), id, attempt))
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
