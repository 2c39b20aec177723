package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Job is work that the server does in the background.
type Job struct {
	ID        string    `json:"job_id"`
	Kind      string    `json:"kind"`
	Status    string    `json:"status"` // queued, running, done, error
	Progress  Progress  `json:"progress"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`

	FinishedAt time.Time       `json:"finished_at,omitzero"`
	Result     json.RawMessage `json:"result,omitempty"` // when it is done
	Error      *JobFailure     `json:"error,omitempty"`  // when it failed
}

// Progress is how far a job is. Total is 0 while it is not known.
type Progress struct {
	Done    int    `json:"done"`
	Total   int    `json:"total"`
	Message string `json:"message"`
}

// A JobFailure is how a job failed.
type JobFailure struct {
	Status int             `json:"status"` // of HTTP, that waiting for it would have had
	Code   string          `json:"code"`
	Detail string          `json:"detail"`
	Extra  json.RawMessage `json:"extra,omitempty"`
}

// Job returns a job as it is now. Jobs are kept for a day after their end.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	return get[Job](ctx, c, at("jobs", id), nil)
}

// errCut says that a stream of events ended before the job did.
var errCut = errors.New("the server ended the stream of progress")

// Follow waits for the end of a job and returns it; show, which may be nil, is
// told how far it is. The error of a job that failed is an [*Error].
func (c *Client) Follow(ctx context.Context, id string, show func(Job)) (Job, error) {
	if show == nil {
		show = func(Job) {}
	}
	var ended Job
	err := c.persist(ctx, func() (bool, error) {
		seen := false
		err := c.try(ctx, request{
			method: http.MethodGet, path: at("jobs", id), header: http.Header{"Accept": {"text/event-stream"}},
			take: func(resp *http.Response) error {
				for event, data := range events(resp.Body) {
					seen = true
					over, err := read(event, data, &ended)
					if err != nil {
						return err
					}
					if show(ended); over {
						return nil
					}
				}
				return errCut
			},
		})
		return seen, err
	}, true)
	return ended, err
}

// read reads an event about a job, and reports whether it was the last one.
func read(event string, data []byte, j *Job) (over bool, err error) {
	switch event {
	case "error":
		failure := &Error{job: true}
		if err := json.Unmarshal(data, failure); err != nil {
			return true, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		return true, failure
	case "progress", "result":
		*j = Job{}
		if err := json.Unmarshal(data, j); err != nil {
			return true, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
	}
	return event == "result", nil
}

// events yields the events of a stream (HTML, section 9.2) until it ends.
func events(r io.Reader) func(yield func(name string, data []byte) bool) {
	return func(yield func(string, []byte) bool) {
		// A stream may last for a day; no line of it may be endless.
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxAnswer)
		var name string
		var data bytes.Buffer
		for lines.Scan() {
			field, value, _ := strings.Cut(strings.TrimSuffix(lines.Text(), "\r"), ":")
			value = strings.TrimPrefix(value, " ")
			switch field {
			case "event":
				name = value
			case "data":
				data.WriteString(value)
			case "":
				if data.Len() > 0 && !yield(name, bytes.Clone(data.Bytes())) {
					return
				}
				name = ""
				data.Reset()
			}
			if data.Len() > maxAnswer {
				return
			}
		}
	}
}

// work has the server do something in the background, follows it, and returns
// its result.
func work[T any](ctx context.Context, c *Client, path string, query url.Values, body any, show func(Job)) (T, error) {
	var result T
	r := request{method: http.MethodPost, path: path, query: url.Values{"wait": {"false"}}, safe: true}
	for name, values := range query {
		r.query[name] = values
	}
	if body != nil {
		r.body = jsonBody(body)
	}
	var j Job
	if err := c.exchange(context.WithValue(ctx, bodyKey{}, nil), r, &j); err != nil {
		return result, err
	}
	j, err := c.Follow(ctx, j.ID, show)
	if err != nil {
		return result, err
	}
	err = parse(ctx, j.Result, &result)
	return result, err
}
