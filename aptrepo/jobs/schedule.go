package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// A Periodic is work that is to be done again and again.
type Periodic struct {
	// Name tells schedules apart. All servers use the same names.
	Name string
	// Cron says when: minute, hour, day of month, month, day of week.
	Cron string
	// Location is the time zone of Cron. Nil: UTC.
	Location *time.Location
	// Kind, Args and Options are what is enqueued. With Options.Join set, a run
	// that is due while the last one is still going is left out.
	Kind string
	Args any
	Options
}

// cronSyntax is plain crontab(5): "@every 1h" would be due at other times on
// each server.
var cronSyntax = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// next returns when the work is due first after a time; zero: never.
func (p *Periodic) next() (func(after time.Time) time.Time, error) {
	if strings.Contains(p.Cron, "=") { // the parser panics on some time zones
		return nil, fmt.Errorf("schedule of %s: %q names a time zone", p.Name, p.Cron)
	}
	due, err := cronSyntax.Parse(p.Cron)
	if err != nil {
		return nil, fmt.Errorf("schedule of %s: %w", p.Name, err)
	}
	location := p.Location
	if location == nil {
		location = time.UTC
	}
	return func(after time.Time) time.Time { return due.Next(after.In(location)) }, nil
}

// NextRun returns when work that is scheduled by a cron expression is due first
// after a time. Location nil is UTC; the result is zero when it never is.
func NextRun(cron string, location *time.Location, after time.Time) (time.Time, error) {
	next, err := (&Periodic{Cron: cron, Location: location}).next()
	if err != nil {
		return time.Time{}, err
	}
	return next(after), nil
}

// Schedule begins to enqueue work at its times, in place of what was scheduled
// under the same name. Every server schedules the same; of all servers, one
// enqueues each run. A time at which no server runs passes by. It can be
// called while the Runner runs.
func (r *Runner) Schedule(p Periodic) error {
	if _, err := r.started(); err != nil {
		return err
	}
	if r.kinds[p.Kind] == nil {
		return fmt.Errorf("%w: %q", ErrUnknownKind, p.Kind)
	}
	next, err := p.next()
	if err != nil {
		return err
	}
	args, err := encode(p.Args)
	if err != nil {
		return fmt.Errorf("arguments of %s: %w", p.Name, err)
	}
	r.schedule(tick{Name: p.Name, Kind: p.Kind, Args: args, CreatedBy: p.CreatedBy, Join: p.Join}, next)
	return nil
}

// Unschedule ends what was scheduled under a name. Runs that are enqueued
// already are not affected.
func (r *Runner) Unschedule(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.schedules[name]; cancel != nil {
		cancel()
		delete(r.schedules, name)
	}
}

func (r *Runner) schedule(t tick, next func(time.Time) time.Time) {
	r.Unschedule(t.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.ctx)
	r.schedules[t.Name] = cancel
	r.loops.Go(func() {
		defer cancel()
		r.runSchedule(ctx, t, next)
	})
}

// runSchedule enqueues ticks until ctx ends.
func (r *Runner) runSchedule(ctx context.Context, t tick, next func(time.Time) time.Time) {
	for due := next(time.Now()); !due.IsZero(); due = next(due) {
		if now := time.Now(); due.Before(now.Add(-time.Hour)) {
			due = next(now) // the machine slept, or its clock was set
		}
		for wait := time.Until(due); wait > 0; wait = time.Until(due) {
			// The clock may be set meanwhile, which timers do not notice.
			if pause(ctx, min(wait, time.Minute)); ctx.Err() != nil {
				return
			}
		}
		t.Due = due.UTC()
		for r.enqueueTick(ctx, t) != nil && time.Now().Before(next(due)) {
			pause(ctx, 5*time.Second)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// tickKind is the kind whose jobs enqueue the others. A tick is unique by its
// time, so that servers do not do the same twice; the job that it enqueues can
// be joined by another key.
const tickKind = "jobs.tick"

type tick struct {
	Name      string          `json:"name"`
	Due       time.Time       `json:"due"`
	Kind      string          `json:"kind"`
	Args      json.RawMessage `json:"args"`
	CreatedBy string          `json:"created_by,omitempty"`
	Join      string          `json:"join,omitempty"`
}

func (r *Runner) enqueueTick(ctx context.Context, t tick) error {
	_, err := r.Enqueue(ctx, tickKind, t, Options{Once: t.Name + "/" + t.Due.Format(time.RFC3339Nano)})
	if err != nil && ctx.Err() == nil {
		r.Logger.Warn("scheduled work could not be enqueued", "name", t.Name, "due", t.Due, "error", err)
	}
	return err
}

func (r *Runner) tickKind() *Kind {
	return &Kind{
		Name: tickKind, Internal: true, Timeout: time.Minute,
		Retry: []time.Duration{time.Second, 10 * time.Second, time.Minute},
		Work: func(ctx context.Context, t *Task) (any, error) {
			var due tick
			if err := t.Args(&due); err != nil {
				return nil, err
			}
			_, err := r.Enqueue(ctx, due.Kind, due.Args, Options{CreatedBy: due.CreatedBy, Join: due.Join})
			return nil, err
		},
	}
}
