package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo/jobs"
)

// Jobs is what the API needs of a *jobs.Runner.
type Jobs interface {
	// Enqueue records a job, or joins one.
	Enqueue(ctx context.Context, kind string, args any, o jobs.Options) (jobs.Job, error)
	// Job returns a job, or jobs.ErrNotFound.
	Job(ctx context.Context, id string) (jobs.Job, error)
	// Changed returns a job once it differs from the one given, or ctx's error.
	Changed(ctx context.Context, seen jobs.Job) (jobs.Job, error)
}

// progressEvery is how often a stream of events tells of a job that does not
// change, so that proxies keep the connection.
const progressEvery = 15 * time.Second

type jobJSON struct {
	ID         string          `json:"job_id"`
	Kind       string          `json:"kind"`
	Status     jobs.Status     `json:"status"`
	Progress   jobs.Progress   `json:"progress"`
	CreatedBy  string          `json:"created_by"`
	CreatedAt  timestamp       `json:"created_at"`
	FinishedAt *timestamp      `json:"finished_at,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	Error      *jobs.Failure   `json:"error,omitempty"`
}

func jobOf(j jobs.Job) jobJSON {
	out := jobJSON{
		ID: j.ID, Kind: j.Kind, Status: j.Status, Progress: j.Progress,
		CreatedBy: j.CreatedBy, CreatedAt: timestamp(j.CreatedAt), Result: j.Result, Error: j.Failure,
	}
	if j.Ended() {
		finished := timestamp(j.FinishedAt)
		out.FinishedAt = &finished
	}
	return out
}

func (a *api) showJob(c *call) error {
	if a.Jobs == nil {
		return jobs.ErrNotFound
	}
	job, err := a.Jobs.Job(c.Context(), c.vars["job_id"])
	if err != nil {
		return err
	}
	if c.Method == http.MethodGet && wantsEvents(c.Header) {
		return a.streamJob(c, job)
	}
	return writeJSON(c.w, http.StatusOK, jobOf(job))
}

func wantsEvents(h http.Header) bool {
	for _, accepted := range strings.Split(strings.Join(h.Values("Accept"), ","), ",") {
		mediaType, _, _ := strings.Cut(accepted, ";")
		if strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream") {
			return true
		}
	}
	return false
}

// streamJob sends events until the job has ended, the client has gone or the
// runner stops.
func (a *api) streamJob(c *call, job jobs.Job) error {
	setAPIHeaders(c.w.Header())
	c.w.Header().Set("Content-Type", "text/event-stream")
	c.w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	c.w.WriteHeader(http.StatusOK)
	for !job.Ended() {
		if err := sendEvent(c.w, "progress", jobOf(job)); err != nil {
			return nil // the client has gone
		}
		next, err := a.changed(c.Context(), job)
		if err != nil {
			if c.Context().Err() == nil && !errors.Is(err, jobs.ErrStopped) {
				a.logFault(c.id, err)
			}
			return nil
		}
		job = next
	}
	if job.Status == jobs.Done {
		_ = sendEvent(c.w, "result", jobOf(job))
		return nil
	}
	_ = sendEvent(c.w, "error", failureProblem(job.Failure))
	return nil
}

// changed returns the job when it is another, and the same after progressEvery.
func (a *api) changed(ctx context.Context, job jobs.Job) (jobs.Job, error) {
	limited, cancel := context.WithTimeout(ctx, progressEvery)
	defer cancel()
	next, err := a.Jobs.Changed(limited, job)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return job, nil
	}
	return next, err
}

// sendEvent sends one server-sent event at once.
func sendEvent(rec *recorder, name string, data any) error {
	var buf bytes.Buffer
	buf.WriteString("event: " + name + "\ndata: ")
	enc := json.NewEncoder(&buf) // whose output ends with a newline and has no other
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return err
	}
	buf.WriteByte('\n')
	rec.extend()
	if _, err := rec.Write(buf.Bytes()); err != nil {
		return err
	}
	return rec.deadlines.Flush()
}
