package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
)

// waitAtMost is how long a request waits for its job.
const waitAtMost = 10 * time.Minute

// actorJSON is who a job acts for, among its arguments.
type actorJSON struct {
	Name          string   `json:"name"`
	IP            string   `json:"ip,omitempty"`
	RequestID     string   `json:"request_id,omitempty"`
	Distributions []string `json:"distributions,omitempty"`
	Packages      []string `json:"packages,omitempty"`
}

// actor returns a context in which a job acts for who asked for it.
func (j actorJSON) actor(ctx context.Context) context.Context {
	return aptrepo.WithActor(ctx, aptrepo.Actor(j))
}

// work is the work of a kind of jobs: what f does with their arguments, for whom
// they act. Errors end a job as failureOf has it.
func work[A interface {
	actor(ctx context.Context) context.Context
}](f func(ctx context.Context, t *jobs.Task, args A) (any, error)) func(context.Context, *jobs.Task) (any, error) {
	return func(ctx context.Context, t *jobs.Task) (any, error) {
		var args A
		if err := t.Args(&args); err != nil {
			return nil, err
		}
		out, err := f(args.actor(ctx), t, args)
		if err != nil {
			return nil, failureOf(err)
		}
		return out, nil
	}
}

// schedule makes a Runner do work at the times of a cron expression in a time
// zone, and never when that is "". Every server does so; one of them does the
// work.
func schedule(r *jobs.Runner, cron, timezone string, p jobs.Periodic) error {
	if cron == "" {
		r.Unschedule(p.Name)
		return nil
	}
	zone, err := time.LoadLocation(timezone)
	if err != nil {
		return err
	}
	p.Cron, p.Location = cron, zone
	p.Options = jobs.Options{CreatedBy: "system", Join: "all"}
	return r.Schedule(p)
}

// A workload is a job that a request asks for.
type workload struct {
	kind string
	args any
	join string // key of running jobs that do the same; "" for none
	wait bool   // unless the request says otherwise
	// status is that of the answer for a result. Nil: 200.
	status func(result json.RawMessage) int
}

// do has a job done, and answers at once, at its end or by events, as the
// request wants it.
func (a *api) do(c *call, w workload) error {
	if a.Jobs == nil {
		return newProblem(http.StatusServiceUnavailable, "jobs_unavailable", "This server does no work in the background.")
	}
	q := newQuery(c.Request)
	wait := w.wait
	if q.word("wait") != "" {
		wait = q.truth("wait")
	}
	if err := q.err(); err != nil {
		return err
	}
	job, err := a.Jobs.Enqueue(c.detach(), w.kind, w.args, jobs.Options{CreatedBy: c.who.Name, Join: w.join})
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/jobs/"+job.ID)
	if wantsEvents(c.Header) {
		return a.streamJob(c, job)
	}
	if wait {
		if job, err = a.await(c.Context(), job); err != nil {
			return err
		}
	}
	switch {
	case !wait || !job.Ended():
		return writeJSON(c.w, http.StatusAccepted, jobOf(job))
	case job.Failure != nil:
		return failureProblem(job.Failure)
	}
	status := http.StatusOK
	if w.status != nil {
		status = w.status(job.Result)
	}
	c.w.Header().Set("X-Job-ID", job.ID)
	writeBody(c.w, status, "application/json", append(job.Result, '\n'))
	return nil
}

// await returns a job as it is at its end, or after a time.
func (a *api) await(ctx context.Context, job jobs.Job) (jobs.Job, error) {
	limited, cancel := context.WithTimeout(ctx, waitAtMost)
	defer cancel()
	for !job.Ended() {
		next, err := a.Jobs.Changed(limited, job)
		switch {
		case errors.Is(err, jobs.ErrStopped), err != nil && limited.Err() != nil && ctx.Err() == nil:
			return job, nil
		case err != nil:
			return job, err
		}
		job = next
	}
	return job, nil
}

// standard are the members that every problem has.
var standard = []string{"type", "title", "status", "detail", "code"}

// failureProblem is how the failure of a job is answered.
func failureProblem(f *jobs.Failure) *problem {
	p := newProblem(f.Status, f.Code, "%s", f.Detail)
	if f.Extra != nil {
		// What does not parse was not written by failureOf.
		_ = json.Unmarshal(f.Extra, p)
	}
	return p
}

// failureOf is what a job ends with for an error. What another attempt may mend
// is tried again.
func failureOf(err error) error {
	p, known := problemOf(err)
	if !known {
		return err
	}
	f := &jobs.Failure{Status: p.Status, Code: p.Code, Detail: p.Detail}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var extra map[string]json.RawMessage
	if err := json.Unmarshal(text, &extra); err != nil {
		return err
	}
	for _, name := range standard {
		delete(extra, name)
	}
	if len(extra) > 0 {
		if f.Extra, err = json.Marshal(extra); err != nil {
			return err
		}
	}
	if p.Status == http.StatusServiceUnavailable || p.Code == "storage_full" {
		return f
	}
	return jobs.Permanent(f)
}
