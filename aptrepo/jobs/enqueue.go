package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// ErrUnknownKind says that no kind of that name was registered.
var ErrUnknownKind = errors.New("unknown kind of job")

// Options say how a job is done. The zero value: once, for the server itself,
// as soon as possible.
type Options struct {
	// CreatedBy is the actor for whom the job is done.
	CreatedBy string
	// Join is a key: while a job of the same kind and key has not ended, there
	// is no second one, and Enqueue returns the first.
	Join string
	// Once is a key like Join, but a job that has ended counts too for as long
	// as it is kept. Only one of them may be set.
	Once string
	// NotBefore is when the job begins at the earliest. Zero: at once.
	NotBefore time.Time
}

// unfinished are the states of jobs that others join.
var unfinished = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
	rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

// anyState holds all states.
var anyState = append([]rivertype.JobState{
	rivertype.JobStateCancelled, rivertype.JobStateCompleted, rivertype.JobStateDiscarded,
}, unfinished...)

// Enqueue records a job of a registered kind with args as JSON, and returns it
// or the one that it joined. When Enqueue returns nil the job is durable. The
// Job of an internal kind has its ID and Kind only.
func (r *Runner) Enqueue(ctx context.Context, kind string, args any, o Options) (Job, error) {
	client, err := r.started()
	if err != nil {
		return Job{}, err
	}
	k := r.kinds[kind]
	if k == nil {
		return Job{}, fmt.Errorf("%w: %q", ErrUnknownKind, kind)
	}
	params, err := insertion(k, args, o)
	if err != nil {
		return Job{}, err
	}
	inserted, err := client.Insert(ctx, params.Args, params.InsertOpts)
	if err != nil {
		return Job{}, fmt.Errorf("enqueuing a job of kind %s: %w", kind, err)
	}
	job, err := jobOf(inserted.Job)
	if errors.Is(err, ErrNotFound) {
		return Job{ID: formatID(inserted.Job.ID), Kind: kind}, nil
	}
	return job, err
}

// insertion returns what River is told about a new job.
func insertion(k *Kind, args any, o Options) (river.InsertManyParams, error) {
	text, err := encode(args)
	if err != nil {
		return river.InsertManyParams{}, fmt.Errorf("arguments of a job of kind %s: %w", k.Name, err)
	}
	e := envelope{kind: k.Name, CreatedBy: o.CreatedBy, Internal: k.Internal, Args: text}
	opts := &river.InsertOpts{MaxAttempts: 1 + len(k.Retry), Queue: usersQueue, ScheduledAt: o.NotBefore}
	if k.Internal {
		opts.Queue = cmp.Or(k.Queue, internalQueue)
	}
	switch {
	case o.Join != "" && o.Once != "":
		return river.InsertManyParams{}, errors.New("jobs: both Join and Once are set")
	case o.Join != "":
		e.Key = "join:" + o.Join
		opts.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: unfinished}
	case o.Once != "":
		e.Key = "once:" + o.Once
		opts.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: anyState}
	}
	return river.InsertManyParams{Args: e, InsertOpts: opts}, nil
}

// Job returns a job by its ID. It returns ErrNotFound when there is none that
// users are shown.
func (r *Runner) Job(ctx context.Context, id string) (Job, error) {
	n, ok := parseID(id)
	if !ok {
		return Job{}, ErrNotFound
	}
	client, err := r.started()
	if err != nil {
		return Job{}, err
	}
	row, err := client.JobGet(ctx, n)
	if errors.Is(err, river.ErrNotFound) {
		return Job{}, ErrNotFound
	}
	if err != nil {
		return Job{}, fmt.Errorf("reading job %s: %w", id, err)
	}
	return jobOf(row)
}
