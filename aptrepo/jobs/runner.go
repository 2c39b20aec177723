package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river"
)

const (
	// kept is how long a job can be looked up after its end.
	kept = 24 * time.Hour
	// abandoned is how long a server may fail to say that it still works on a
	// job before the job is taken from it.
	abandoned = time.Minute
	// sweepEvery is how often servers look for abandoned jobs.
	sweepEvery = 20 * time.Second
	// goodbye is how long work may take to end once Stop has cancelled it.
	goodbye = 5 * time.Second
)

// River's queues.
const (
	usersQueue    = river.QueueDefault
	internalQueue = "internal"
)

// A Runner runs jobs. DB and Dialect are required and, like the other fields,
// not changed after Start. All methods may be called concurrently.
type Runner struct {
	// DB is the pool, which the Runner does not close. A pool of its own, of
	// 4 connections, keeps it out of the way of others.
	DB      *sql.DB
	Dialect Dialect

	// Server names this server: two that run at the same time never have the
	// same name, and a server that is started again has the one it had. What
	// its last run left unfinished is then taken up at once, not after a
	// minute. At most 64 bytes. Empty: the server has no name.
	Server string
	// Workers is how many jobs run at a time, and how many internal ones
	// beside them. 0: 4.
	Workers int
	// Observe, when set, is told of each attempt that this server made at a job:
	// of what kind, how long it took, and how it went. It must not block.
	Observe func(kind string, took time.Duration, a Attempt)
	// Logger gets the errors of jobs and of the queue. Nil: slog.Default().
	Logger *slog.Logger

	mu        sync.Mutex
	kinds     map[string]*Kind
	client    *river.Client[*sql.Tx]
	schedules map[string]context.CancelFunc
	changes   chan struct{} // closed and replaced when a job changes in this process

	ctx    context.Context // of the loops; ends when Stop begins
	cancel context.CancelFunc
	loops  sync.WaitGroup

	// Tests are less patient.
	beatEvery, sweepEvery, abandoned, pollEvery, fetchEvery time.Duration
}

var (
	errStarted    = errors.New("jobs: the runner has been started")
	errNotStarted = errors.New("jobs: the runner has not been started")

	// ErrStopped is what Changed returns when the Runner stops.
	ErrStopped = errors.New("jobs: the runner is stopping")
)

// Register adds kinds of work. It panics when a kind has no Name or Work, when
// there are two of a name, or after Start: these are mistakes in the program.
func (r *Runner) Register(kinds ...Kind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		panic(errStarted)
	}
	r.register(kinds...)
}

func (r *Runner) register(kinds ...Kind) {
	if r.kinds == nil {
		r.kinds = map[string]*Kind{tickKind: r.tickKind()}
	}
	for _, k := range kinds {
		if k.Name == "" || k.Work == nil || r.kinds[k.Name] != nil {
			panic(fmt.Sprintf("jobs: kind %q has no name or work, or is registered already", k.Name))
		}
		r.kinds[k.Name] = &k
	}
}

// Start brings the tables up to date and begins to run jobs, those of earlier
// runs included. The end of ctx does not stop it; Stop does.
func (r *Runner) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return errStarted
	}
	r.register()
	r.withDefaults()
	driver, err := r.Dialect.driver(r.DB)
	if err != nil {
		return err
	}
	log := slog.New(warnings{r.Logger.Handler()})
	if err := r.Dialect.migrate(ctx, r.DB, driver, log); err != nil {
		return fmt.Errorf("jobs: updating the tables: %w", err)
	}
	if r.Server != "" {
		if err := r.sweep(ctx, r.ownJobs(), r.Server); err != nil {
			return fmt.Errorf("jobs: taking up what the last run left: %w", err)
		}
	}
	client, err := river.NewClient(driver, r.config(log))
	if err != nil {
		return err
	}
	ended, _ := client.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobCancelled)
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		r.cancel()
		return fmt.Errorf("jobs: %w", err)
	}
	r.client = client
	r.loops.Go(func() { r.watchEnds(ended) })
	r.loops.Go(r.sweepAll)
	return nil
}

func (r *Runner) withDefaults() {
	if r.Logger == nil {
		r.Logger = slog.Default()
	}
	r.schedules = map[string]context.CancelFunc{}
	r.beatEvery = cmp.Or(r.beatEvery, abandoned/6)
	r.sweepEvery = cmp.Or(r.sweepEvery, sweepEvery)
	r.abandoned = cmp.Or(r.abandoned, abandoned)
	r.pollEvery = cmp.Or(r.pollEvery, time.Second)
	r.fetchEvery = cmp.Or(r.fetchEvery, r.Dialect.poll())
}

func (r *Runner) config(log *slog.Logger) *river.Config {
	workers := river.NewWorkers()
	for name, k := range r.kinds {
		river.AddWorkerArgs(workers, envelope{kind: name}, &worker{runner: r, kind: k})
	}
	most := cmp.Or(r.Workers, 4)
	queues := map[string]river.QueueConfig{
		usersQueue:    {MaxWorkers: most},
		internalQueue: {MaxWorkers: most},
	}
	for _, k := range r.kinds {
		if k.Internal && k.Queue != "" {
			queues[k.Queue] = river.QueueConfig{MaxWorkers: 1}
		}
	}
	return &river.Config{
		ID:      r.Server + "/" + rand.Text(),
		Workers: workers,
		Queues:  queues,
		// A server of an older version leaves alone what only newer ones can do.
		FetchOnlyKnownKinds: true,
		SkipUnknownJobCheck: true,
		FetchCooldown:       50 * time.Millisecond,
		FetchPollInterval:   r.fetchEvery,
		JobTimeout:          -1, // see worker
		Logger:              log,

		CompletedJobRetentionPeriod: kept,
		CancelledJobRetentionPeriod: kept,
		DiscardedJobRetentionPeriod: kept,
	}
}

// Stop takes no more jobs and waits for those that run. When ctx ends first
// they are cancelled: jobs of kinds with retries will run again, on another
// server or after the next start; the others end with code "interrupted". It
// returns ctx's error then. A Runner cannot be started again.
func (r *Runner) Stop(ctx context.Context) error {
	r.mu.Lock()
	client := r.client
	r.mu.Unlock()
	if client == nil {
		return nil
	}
	r.cancel()
	err := client.Stop(ctx)
	if err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		if stopErr := client.StopAndCancel(last); stopErr != nil {
			err = fmt.Errorf("jobs: work goes on although it was cancelled: %w", stopErr)
		}
	}
	r.loops.Wait()
	return err
}

// started returns River's client.
func (r *Runner) started() (*river.Client[*sql.Tx], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		return nil, errNotStarted
	}
	return r.client, nil
}

// warnings is a handler that drops what is less than a warning: River tells
// much.
type warnings struct{ slog.Handler }

func (h warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{h.Handler.WithAttrs(attrs)}
}
func (h warnings) WithGroup(name string) slog.Handler { return warnings{h.Handler.WithGroup(name)} }
