package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A job is work that the server does in the background.
type job struct {
	ID       string `json:"job_id"`
	Status   string `json:"status"` // queued, running, done, error
	Progress struct {
		Done    int    `json:"done"`
		Total   int    `json:"total"`
		Message string `json:"message"`
	} `json:"progress"`
	Result json.RawMessage `json:"result"`
}

// errCut says that a stream of events ended before the job did.
var errCut = errors.New("the server ended the stream of progress")

// work has the server do something in the background, shows how far it is, and
// returns its result. A connection that breaks is made anew: the job goes on.
func (c *client) work(ctx context.Context, r request, show func(job)) (json.RawMessage, error) {
	answer, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	var j job
	if err := decode(answer, &j); err != nil {
		return nil, err
	}
	for failures := 0; ; {
		result, seen, err := c.follow(ctx, j.ID, show)
		if err == nil || ctx.Err() != nil {
			return result, err
		}
		if seen {
			failures = 0
		}
		delay, counts := retryDelay(err, failures)
		if counts {
			failures++
		}
		if delay < 0 || failures > c.retries {
			return nil, err
		}
		if !errors.Is(err, errCut) {
			c.note("%s: following the job again in %v", cause(err), delay.Round(time.Second))
		}
		if err := c.wait(ctx, delay); err != nil {
			return nil, err
		}
	}
}

// follow reads the events of a job until it ends. seen tells that there were
// any.
func (c *client) follow(ctx context.Context, id string, show func(job)) (result json.RawMessage, seen bool, err error) {
	req, err := c.request(ctx, http.MethodGet, c.base.JoinPath("/jobs/", id))
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return nil, false, err
		}
		return nil, false, problemOf(resp, answer)
	}
	for event, data := range events(resp.Body) {
		seen = true
		var j job
		switch event {
		case "error":
			e := &problem{}
			if err := decode(data, e); err != nil {
				return nil, true, err
			}
			return nil, true, &jobError{e}
		case "progress", "result":
			if err := decode(data, &j); err != nil {
				return nil, true, err
			}
			if show(j); event == "result" {
				return j.Result, true, nil
			}
		}
	}
	return nil, seen, errCut
}

// A jobError is how a job ended. Asking again gives no other answer.
type jobError struct{ *problem }

// events yields the events of a stream (HTML, section 9.2) until it ends.
func events(r io.Reader) func(yield func(name string, data []byte) bool) {
	return func(yield func(string, []byte) bool) {
		lines := bufio.NewReader(io.LimitReader(r, 1<<30))
		var name string
		var data bytes.Buffer
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			field, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
			value = strings.TrimPrefix(value, " ")
			switch field {
			case "event":
				name = value
			case "data":
				data.WriteString(value)
			case "":
				if !yield(name, data.Bytes()) {
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

// jobProgress returns what shows how far a job is, a bar on a terminal and
// nothing elsewhere, and its end.
func (p *program) jobProgress(what string) (show func(job), end func()) {
	if !isTerminal(p.stderr) {
		return func(job) {}, func() {}
	}
	bar := progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish(),
	)
	show = func(j job) {
		if j.Progress.Total == 0 {
			return
		}
		bar.ChangeMax(j.Progress.Total)
		bar.Describe(oneLine(fmt.Sprintf("%s %s", what, j.Progress.Message)))
		_ = bar.Set(j.Progress.Done) // a bar that cannot be drawn stops no job
	}
	return show, func() { _ = bar.Clear() }
}
