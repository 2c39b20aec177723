package httpapi

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/auth"
)

// newJobs returns a server whose jobs of kind "rescan" report progress and end
// as they are told on the channel.
func newJobs(t *testing.T) (*fixture, *jobs.Runner, chan error) {
	t.Helper()
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "jobs.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	end := make(chan error)
	r := &jobs.Runner{DB: db, Dialect: jobs.SQLite}
	r.Register(jobs.Kind{Name: "rescan", Work: func(ctx context.Context, t *jobs.Task) (any, error) {
		t.Report(jobs.Progress{Done: 1, Total: 3, Message: "nginx"})
		select {
		case err := <-end:
			return map[string]int{"scanned": 3}, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}})
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Stop(ctx)
	})
	return newFixture(t, func(c *Config) { c.Jobs = r }), r, end
}

func TestShowJob(t *testing.T) {
	f, r, end := newJobs(t)
	job, err := r.Enqueue(t.Context(), "rescan", nil, jobs.Options{CreatedBy: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	f.do("GET", "/jobs/"+job.ID, f.tokens[auth.Viewer], nil).want(t, 200, "").decode(t, &got)
	for _, key := range []string{"finished_at", "result", "error"} {
		if _, ok := got[key]; ok {
			t.Errorf("%s is there before the end", key)
		}
	}
	if got["job_id"] != job.ID || got["kind"] != "rescan" || got["created_by"] != "admin" {
		t.Errorf("job is %v", got)
	}
	end <- nil
	for job, err = r.Job(t.Context(), job.ID); err == nil && !job.Ended(); {
		job, err = r.Changed(t.Context(), job)
	}
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	f.do("GET", "/jobs/"+job.ID, f.tokens[auth.Viewer], nil).want(t, 200, "").decode(t, &got)
	result, _ := got["result"].(map[string]any)
	if got["status"] != "done" || result["scanned"] != 3.0 || got["finished_at"] == nil {
		t.Errorf("ended job is %v", got)
	}
	for _, id := range []string{"job_nosuch", "job_zzzzzz", "1", "job_0000001"} {
		f.do("GET", "/jobs/"+id, f.tokens[auth.Viewer], nil).want(t, 404, "job_not_found")
	}
}

// readEvent returns the next server-sent event; the name is "" at the end.
func readEvent(t *testing.T, r *bufio.Reader) (name, data string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\n" {
			return name, data
		}
		if v, ok := strings.CutPrefix(line, "event: "); ok {
			name = strings.TrimSpace(v)
		} else if v, ok := strings.CutPrefix(line, "data: "); ok {
			data = v
		}
	}
}

func TestStreamJob(t *testing.T) {
	f, r, end := newJobs(t)
	for _, tt := range []struct {
		err  error
		name string
		want string
	}{
		{nil, "result", `"scanned":3`},
		{&jobs.Failure{Status: 502, Code: "upstream_unreachable", Detail: "No answer."}, "error", `"code":"upstream_unreachable"`},
	} {
		job, err := r.Enqueue(t.Context(), "rescan", nil, jobs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", f.server.URL+"/jobs/"+job.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+f.tokens[auth.Viewer])
		req.Header.Set("Accept", "text/html;q=0.1, text/event-stream")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if ct := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || ct != "text/event-stream" {
			t.Fatalf("%d %s", resp.StatusCode, ct)
		}
		body := bufio.NewReader(resp.Body)
		for seen := false; !seen; {
			name, data := readEvent(t, body)
			var j struct{ Progress jobs.Progress }
			if err := json.Unmarshal([]byte(data), &j); name != "progress" || err != nil {
				t.Fatalf("event %q %s: %v", name, data, err)
			}
			seen = j.Progress == jobs.Progress{Done: 1, Total: 3, Message: "nginx"}
		}
		end <- tt.err
		name, data := readEvent(t, body)
		for name == "progress" {
			name, data = readEvent(t, body)
		}
		if name != tt.name || !strings.Contains(data, tt.want) {
			t.Errorf("last event is %q %s", name, data)
		}
		if name, _ := readEvent(t, body); name != "" {
			t.Errorf("event %q after the end", name)
		}
	}
}

// A stream ends when the server is to end, not when the job does: otherwise it would
// hold the server up for as long as a shutdown may take.
func TestStreamEndsWithServer(t *testing.T) {
	f, r, end := newJobs(t)
	job, err := r.Enqueue(t.Context(), "rescan", nil, jobs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.server.URL+"/jobs/"+job.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.tokens[auth.Viewer])
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := bufio.NewReader(resp.Body)
	for { // until the job runs
		if _, data := readEvent(t, body); strings.Contains(data, `"nginx"`) {
			break
		}
	}
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- r.Stop(limit) }()
	rest := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, body)
		rest <- err
	}()
	select {
	case err := <-rest:
		if err != nil {
			t.Errorf("the stream broke: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream goes on")
	}
	select {
	case err := <-stopped:
		t.Errorf("stopped with %v before the job was done", err)
	default:
	}
	end <- nil
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// A server without jobs says that there are none.
func TestNoJobs(t *testing.T) {
	f := newFixture(t)
	f.do("GET", "/jobs/job_000001", f.tokens[auth.Viewer], nil).want(t, 404, "job_not_found")
}
