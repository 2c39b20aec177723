package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// testClient returns a client of a server that waits no real time.
func testClient(t *testing.T, address string, retries int) (*Client, *[]time.Duration) {
	t.Helper()
	c, err := New(address, "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Retries, c.WaitBusy = retries, true
	var waits []time.Duration
	c.Wait = func(ctx context.Context, d time.Duration) error {
		waits = append(waits, d)
		return ctx.Err()
	}
	return c, &waits
}

// answers serves a list of answers, one after the other.
func answers(t *testing.T, list ...func(http.ResponseWriter)) (*httptest.Server, *atomic.Int64) {
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		i := n.Add(1) - 1
		list[min(int(i), len(list)-1)](w)
	}))
	t.Cleanup(srv.Close)
	return srv, &n
}

func refuse(status int, code, retryAfter string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"status":%d,"code":%q,"detail":"It is so."}`, status, code)
	}
}

func accept(body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _, _ = io.WriteString(w, body) }
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

func TestRetries(t *testing.T) {
	busy := refuse(429, "rate_limited", "7")
	away := refuse(503, "storage_unavailable", "2")
	tests := []struct {
		name     string
		answers  []func(http.ResponseWriter)
		retries  int
		requests int64
		wantErr  string
		first    time.Duration // at least
	}{
		{"at once", []func(http.ResponseWriter){accept("{}")}, 5, 1, "", 0},
		{"busy", []func(http.ResponseWriter){busy, busy, busy, accept("{}")}, 1, 4, "", 7 * time.Second},
		{"away", []func(http.ResponseWriter){away, away, accept("{}")}, 2, 3, "", 2 * time.Second},
		{"away for too long", []func(http.ResponseWriter){away}, 2, 3, "storage_unavailable", 2 * time.Second},
		{"hung up", []func(http.ResponseWriter){hangUp, accept("{}")}, 1, 2, "", time.Second},
		{"hung up too often", []func(http.ResponseWriter){hangUp}, 3, 4, "EOF", time.Second},
		{"not at all", []func(http.ResponseWriter){away}, 0, 1, "storage_unavailable", 0},
		{"a conflict stays", []func(http.ResponseWriter){refuse(409, "duplicate_conflict", "")}, 5, 1, "duplicate_conflict", 0},
		{"full", []func(http.ResponseWriter){refuse(507, "storage_full", "")}, 5, 1, "storage_full", 0},
		{"tomorrow", []func(http.ResponseWriter){refuse(429, "rate_limited", "86400")}, 5, 1, "rate_limited", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv, requests := answers(t, tt.answers...)
			c, waits := testClient(t, srv.URL, tt.retries)
			err := c.send(t.Context(), request{method: "POST", path: "/x", body: jsonBody(1), safe: true})
			if got := fmt.Sprint(err); (err == nil) != (tt.wantErr == "") || !strings.Contains(got, tt.wantErr) {
				t.Errorf("error %v, want %q", err, tt.wantErr)
			}
			if n := requests.Load(); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if len(*waits) != int(tt.requests)-1 {
				t.Errorf("waited %d times for %d requests", len(*waits), tt.requests)
			}
			if len(*waits) > 0 && (*waits)[0] < tt.first {
				t.Errorf("waited %v first, want at least %v", (*waits)[0], tt.first)
			}
		})
	}
}

func TestBackoffGrows(t *testing.T) {
	var last time.Duration
	for failures := range 5 {
		delay, counts := retryDelay(io.ErrUnexpectedEOF, failures)
		if !counts || delay < last*3/2 {
			t.Errorf("failure %d: %v after %v", failures, delay, last)
		}
		last = delay
	}
	if delay, _ := retryDelay(io.ErrUnexpectedEOF, 60); delay < maxBackoff || delay > maxBackoff*5/4 {
		t.Errorf("after 60 failures: %v", delay)
	}
}

func TestPermanentFailures(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, address := range map[string]string{
		"unknown authority": secure.URL,
		"no TLS there":      strings.Replace(plain.URL, "http:", "https:", 1),
	} {
		t.Run(name, func(t *testing.T) {
			c, waits := testClient(t, address, 5)
			if err := c.send(t.Context(), request{method: "GET", path: "/x", safe: true}); err == nil {
				t.Error("no error")
			}
			if len(*waits) > 0 {
				t.Error("tried again")
			}
		})
	}
	dns := &url.Error{Op: "Get", Err: &net.DNSError{IsNotFound: true}}
	if delay, _ := retryDelay(dns, 0); delay >= 0 {
		t.Error("a host that does not exist is tried again")
	}
}

// The token must not follow a redirect, be it to another host or scheme.
func TestRedirectIsNotFollowed(t *testing.T) {
	var asked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	c, _ := testClient(t, srv.URL, 5)
	for _, r := range []request{{method: "POST", path: "/upload", body: jsonBody(1)}, {method: "GET", path: "/packages"}} {
		err := c.send(t.Context(), r)
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.Status != 307 || !strings.Contains(err.Error(), "redirecting to "+other.URL) || asked.Load() {
			t.Errorf("%s: error %v, other host asked: %v", r.method, err, asked.Load())
		}
	}
}

// zeros is a file of zeros.
type zeros struct{}

func (zeros) ReadAt(b []byte, _ int64) (int, error) {
	clear(b)
	return len(b), nil
}

// Sending a large file must not hold it in memory: the reader is asked for
// little at a time, and is never read ahead of what the server takes.
func TestUploadStreams(t *testing.T) {
	const size = 256 << 20
	var got atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got.Store(n)
		accept("{}")(w)
	}))
	defer srv.Close()
	c, _ := testClient(t, srv.URL, 0)
	var sent atomic.Int64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Upload(t.Context(), Upload{Distribution: "jammy", File: zeros{}, Size: size, Sent: func(n int64) { sent.Add(n) }})
	runtime.ReadMemStats(&after)
	if err != nil || got.Load() < size || got.Load() > size+1000 || sent.Load() != size {
		t.Errorf("%v: server got %d bytes, %d were counted, want %d", err, got.Load(), sent.Load(), size)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 16<<20 {
		t.Errorf("sending allocated %d bytes", allocated)
	}
}

// A server that refuses must not be sent a large file first.
func TestRefusalComesBeforeTheBody(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") != "100-continue" {
			t.Error("the client does not wait for leave to send")
		}
		refuse(401, "invalid_token", "")(w)
	}))
	defer srv.Close()
	c, _ := testClient(t, srv.URL, 0)
	var sent atomic.Int64
	_, err := c.Upload(t.Context(), Upload{Distribution: "jammy", File: zeros{}, Size: 8 << 20, Sent: func(n int64) { sent.Add(n) }})
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Code != "invalid_token" || refusal.Status != 401 || sent.Load() > 0 {
		t.Errorf("%d bytes went before %v", sent.Load(), err)
	}
}

// The progress of a file that is sent again must not count twice.
func TestProgressTakesBackWhatIsSentAgain(t *testing.T) {
	srv, _ := answers(t, refuse(503, "storage_unavailable", ""), hangUp, accept(`{"status":"indexed"}`))
	c, _ := testClient(t, srv.URL, 2)
	var sent atomic.Int64
	done, err := c.Upload(t.Context(), Upload{Distribution: "jammy", File: zeros{}, Size: 1 << 20, Sent: func(n int64) { sent.Add(n) }})
	if err != nil || done.Status != "indexed" || sent.Load() != 1<<20 {
		t.Errorf("%d bytes counted, %v", sent.Load(), err)
	}
}

func TestUploadOfAShrinkingFile(t *testing.T) {
	srv, requests := answers(t, accept("{}"))
	c, waits := testClient(t, srv.URL, 5)
	_, err := c.Upload(t.Context(), Upload{Distribution: "jammy", File: strings.NewReader("abc"), Size: 5})
	if !errors.Is(err, ErrChanged) || len(*waits) > 0 {
		t.Errorf("error %v after %d requests", err, requests.Load())
	}
}

// What may harm when it is done twice is sent once, however the connection ends;
// what was refused as one too many has not been done.
func TestOnce(t *testing.T) {
	create := func(c *Client) error {
		_, err := c.CreateToken(t.Context(), NewToken{Name: "x"})
		return err
	}
	for name, tt := range map[string]struct {
		first    func(http.ResponseWriter)
		requests int64
	}{
		"hung up": {hangUp, 1}, "gateway": {refuse(502, "", ""), 1}, "busy": {refuse(429, "rate_limited", "3"), 2},
	} {
		srv, requests := answers(t, tt.first, accept(`{}`))
		c, _ := testClient(t, srv.URL, 5)
		if err := create(c); (err == nil) != (tt.requests == 2) || requests.Load() != tt.requests {
			t.Errorf("%s: %d requests, %v", name, requests.Load(), err)
		}
	}
	srv, requests := answers(t, refuse(429, "rate_limited", "3"), accept(`{}`))
	c, _ := testClient(t, srv.URL, 5)
	c.WaitBusy = false
	var refusal *Error
	if err := create(c); !errors.As(err, &refusal) || refusal.RetryAfter != 3*time.Second || requests.Load() != 1 {
		t.Errorf("%d requests, %+v", requests.Load(), refusal)
	}
}

// Names cannot lead to another path.
func TestPaths(t *testing.T) {
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.RequestURI
		accept(`{}`)(w)
	}))
	defer srv.Close()
	c, _ := testClient(t, srv.URL+"/base/?x=y#z", 0)
	for _, tt := range []struct{ name, version, want string }{
		{"libstdc++6", "1:2.0~rc1+b1", "/libstdc++6/1:2.0~rc1+b1"},
		{"a/b", "..", "/a%2Fb/%2E%2E"},
		{"..", ".", "/%2E%2E/%2E"},
		{"a?b#c", "%2e", "/a%3Fb%23c/%252e"},
		{"", "1", ""}, {"a", "", ""},
	} {
		got = ""
		_, err := c.Artifact(t.Context(), tt.name, tt.version, "")
		want := tt.want
		if want != "" {
			want = "GET /base/artifacts" + want
		}
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q %q: asked for %q, want %q: %v", tt.name, tt.version, got, want, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, address := range []string{"", "repo.example.com", "ftp://repo.example.com", "http://", "file:///etc/passwd", "http://a b/"} {
		if _, err := New(address, "", nil); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
	for _, token := range []string{"secret\n", "sec ret", "secrät", "\x00secret"} {
		if _, err := New("http://x", token, nil); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

// No error shows the token or a password.
func TestSecrets(t *testing.T) {
	srv, _ := answers(t, refuse(401, "invalid_token", ""), accept("<html>"), hangUp)
	c, err := New(strings.Replace(srv.URL, "http://", "http://user:hidden@", 1), "repod_hidden", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := c.Me(t.Context()); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("error is %v", err)
		}
	}
	if strings.Contains(c.Address(), "hidden") {
		t.Errorf("the address is %s", c.Address())
	}
}

func TestAnswerIsBounded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/me" {
			w.WriteHeader(400)
		}
		for chunk := bytes.Repeat([]byte(" "), 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	c, _ := testClient(t, srv.URL, 5)
	if _, err := c.Distributions(t.Context()); !errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("error %v", err)
	}
	var refusal *Error
	if _, err := c.Me(t.Context()); !errors.As(err, &refusal) || refusal.Status != 400 || refusal.Code != "" {
		t.Errorf("error %v", err)
	}
}

func stream(parts ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for _, part := range parts {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// A job is followed until it ends, over streams that break and gateways that
// fail.
func TestFollow(t *testing.T) {
	queued := func(w http.ResponseWriter) { w.WriteHeader(202); accept(`{"job_id":"job_1","status":"queued"}`)(w) }
	progress := "event: progress\r\ndata: {\"job_id\":\"job_1\",\"progress\":{\"done\":%d,\"total\":3}}\r\n\r\n"
	srv, requests := answers(t, queued,
		stream(fmt.Sprintf(progress, 1)), hangUp, refuse(502, "", ""),
		stream(": still there\n\n", fmt.Sprintf(progress, 2)), stream("event: progress\ndata: {"), stream("event: pro"),
		stream(fmt.Sprintf(progress, 3), "event: result\ndata: {\"job_id\":\"job_1\",\n", "data: \"result\":{\"status\":\"done\",\"ok\":2,\"x\":1}}\n\n", "event: error\ndata: {}\n\n"))
	c, _ := testClient(t, srv.URL, 4)
	var seen []int
	var kept json.RawMessage
	done, err := c.Sync(KeepBody(t.Context(), &kept), func(j Job) { seen = append(seen, j.Progress.Done) })
	if err != nil || done.OK != 2 || string(kept) != `{"status":"done","ok":2,"x":1}` {
		t.Errorf("%+v, %s, %v", done, kept, err)
	}
	if fmt.Sprint(seen) != "[1 2 3 0]" || requests.Load() != 8 {
		t.Errorf("saw %v in %d requests", seen, requests.Load())
	}
}

func TestFollowFails(t *testing.T) {
	failed := "event: error\ndata: {\"status\":502,\"code\":\"upstream_unreachable\",\"detail\":\"No.\"}\n\n"
	for name, tt := range map[string]struct {
		events   func(http.ResponseWriter)
		code     string
		requests int64
	}{
		"the job failed":   {stream(failed), "upstream_unreachable", 1},
		"nobody knows it":  {refuse(404, "job_not_found", ""), "job_not_found", 1},
		"it never answers": {hangUp, "", 4},
		"no stream":        {stream("event: result\ndata: <html>\n\n"), "", 1},
	} {
		srv, requests := answers(t, tt.events)
		c, _ := testClient(t, srv.URL, 3)
		_, err := c.Follow(t.Context(), "job_1", nil)
		var refusal *Error
		if err == nil || errors.As(err, &refusal) != (tt.code != "") || refusal != nil && refusal.Code != tt.code || requests.Load() != tt.requests {
			t.Errorf("%s: %v after %d requests", name, err, requests.Load())
		}
	}
}

// A restartable is a writer that forgets.
type restartable struct{ bytes.Buffer }

func (r *restartable) Restart() error { r.Reset(); return nil }

// A download that breaks off is made anew only where what came can be taken back.
func TestDownload(t *testing.T) {
	half := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "100")
		stream("half")(w)
		panic(http.ErrAbortHandler)
	}
	srv, _ := answers(t, half, half, accept("whole"))
	c, _ := testClient(t, srv.URL, 5)
	var into restartable
	if err := c.SBOM(t.Context(), &into, SBOMQuery{}); err != nil || into.String() != "whole" {
		t.Errorf("%q, %v", into.String(), err)
	}
	srv, requests := answers(t, half, accept("whole"))
	c, _ = testClient(t, srv.URL, 5)
	var plain bytes.Buffer
	if err := c.SBOM(t.Context(), &plain, SBOMQuery{}); err == nil || requests.Load() != 1 || plain.String() != "half" {
		t.Errorf("%q after %d requests, %v", plain.String(), requests.Load(), err)
	}
}

// Who imports the package gets nothing but the standard library.
func TestDependencies(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if strings.Contains(spec.Path.Value, ".") {
				t.Errorf("%s imports %s", name, spec.Path.Value)
			}
		}
	}
}
