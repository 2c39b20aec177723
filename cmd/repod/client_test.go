package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// invoke runs the command line with an environment and returns what it does.
func invoke(t *testing.T, env map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), args, func(name string) string { return env[name] }, strings.NewReader(""), &out, &errOut)
	return status, out.String(), errOut.String()
}

// testClient returns a client of a server that waits no real time.
func testClient(t *testing.T, address string, retries int) (*client, *[]time.Duration) {
	t.Helper()
	p := &program{
		env: func(name string) string {
			return map[string]string{"REPOD_URL": address, "REPOD_TOKEN": "secret"}[name]
		},
		stderr: io.Discard,
	}
	c, err := p.client(retries)
	if err != nil {
		t.Fatal(err)
	}
	var waits []time.Duration
	c.wait = func(ctx context.Context, d time.Duration) error {
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
			_, err := c.do(t.Context(), request{method: "POST", path: "/x", body: jsonBody(1)})
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
			if _, err := c.do(t.Context(), request{method: "GET", path: "/"}); err == nil {
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
	for _, r := range []request{{method: "POST", path: "/upload/", body: jsonBody(1)}, {method: "GET", path: "/packages/"}} {
		_, err := c.do(t.Context(), r)
		if err == nil || !strings.Contains(err.Error(), "set REPOD_URL") || asked.Load() {
			t.Errorf("%s: error %v, other host asked: %v", r.method, err, asked.Load())
		}
	}
}

func TestProblemText(t *testing.T) {
	text := `{"status":422,"code":"validation_failed","detail":"The request has 2 invalid fields.",
		"errors":[{"field":"name","message":"is missing"},{"field":"to","message":"is \u001b[31mred\nx"}]}`
	err := problemOf(&http.Response{StatusCode: 422, Header: http.Header{}}, []byte(text))
	want := "The request has 2 invalid fields: name is missing, to is \ufffd[31mred; x (validation_failed)"
	if err.Error() != want {
		t.Errorf("got  %q\nwant %q", err, want)
	}
	err = problemOf(&http.Response{StatusCode: 502, Status: "502 Bad Gateway", Header: http.Header{}}, []byte("<html>"))
	if want := "the server answered 502 Bad Gateway"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	err = problemOf(&http.Response{StatusCode: 401, Header: http.Header{}}, []byte(`{"code":"authentication_required","detail":"Log in."}`))
	if !strings.Contains(err.Error(), "set REPOD_TOKEN") {
		t.Errorf("%q does not say what to do", err)
	}
}

// An uploadServer takes uploads and fails those that it is told to fail.
type uploadServer struct {
	mu       sync.Mutex
	received map[string]int // complete bodies by file name
	fail     map[string][]func(http.ResponseWriter)
	bytes    int64
}

func (s *uploadServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts, err := r.MultipartReader()
	if err != nil {
		refuse(422, "validation_failed", "")(w)
		return
	}
	var name string
	values := map[string]string{}
	for {
		part, err := parts.NextPart()
		if err != nil {
			break
		}
		if part.FormName() == "file" {
			name = part.FileName()
			n, _ := io.Copy(io.Discard, part)
			s.mu.Lock()
			s.bytes += n
			s.mu.Unlock()
			continue
		}
		text, _ := io.ReadAll(part)
		values[part.FormName()] = string(text)
	}
	s.mu.Lock()
	s.received[name]++
	var f func(http.ResponseWriter)
	if len(s.fail[name]) > 0 {
		f, s.fail[name] = s.fail[name][0], s.fail[name][1:]
	}
	s.mu.Unlock()
	if f != nil {
		f(w)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"name": name, "version": "1.0", "arch": "all", "status": "indexed",
		"distribution": values["distribution"], "component": values["component"] + "main",
		"warnings": []map[string]string{{"code": "not_scanned", "message": "no scanner\x1b]0;x\a"}},
	})
}

func TestUploadSeveral(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for i := range 7 {
		path := filepath.Join(dir, fmt.Sprintf("p%d.deb", i))
		if err := os.WriteFile(path, bytes.Repeat([]byte{byte(i)}, 100_000*i+1), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	files = append(files, filepath.Join(dir, "missing.deb"), dir)
	s := &uploadServer{received: map[string]int{}, fail: map[string][]func(http.ResponseWriter){
		"p2.deb": {refuse(409, "duplicate_conflict", "")},
		"p3.deb": {refuse(429, "rate_limited", "1"), hangUp},
	}}
	srv := httptest.NewServer(s)
	defer srv.Close()
	env := map[string]string{"REPOD_URL": srv.URL, "REPOD_TOKEN": "x"}
	args := append([]string{"upload", "-d", "jammy", "--parallel", "3"}, files...)
	status, stdout, stderr := invoke(t, env, args...)
	if status != exitFailure {
		t.Errorf("status %d", status)
	}
	if got := strings.Count(stdout, ": indexed: "); got != 6 {
		t.Errorf("%d files indexed, want 6:\n%s", got, stdout)
	}
	for _, want := range []string{
		"p2.deb: failed: It is so (duplicate_conflict): contents of a version never change; give the package a new version\n",
		"missing.deb: failed: ", "not a regular file",
		"p0.deb: warning: not_scanned: no scanner\ufffd]0;x\ufffd\n",
		"repod: 3 of 9 files failed\n", "trying again in 1s\n",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	for name, want := range map[string]int{"p0.deb": 1, "p2.deb": 1, "p3.deb": 3} {
		if s.received[name] != want {
			t.Errorf("%s came %d times, want %d", name, s.received[name], want)
		}
	}
}

func TestUploadJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.deb")
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := &uploadServer{received: map[string]int{}, fail: map[string][]func(http.ResponseWriter){
		"a.deb": {nil, refuse(422, "invalid_deb", "")},
	}}
	srv := httptest.NewServer(s)
	defer srv.Close()
	env := map[string]string{"REPOD_URL": srv.URL}
	for i, want := range []string{"", "invalid_deb"} {
		status, stdout, _ := invoke(t, env, "upload", "--json", "-d", "jammy", path)
		var u uploaded
		if err := json.Unmarshal([]byte(stdout), &u); err != nil {
			t.Fatalf("%v in %q", err, stdout)
		}
		if status != i || u.File != path || (u.Error != nil) != (want != "") || u.Error != nil && u.Error.Code != want {
			t.Errorf("status %d, %s", status, stdout)
		}
	}
}

// Sending a large file must not hold it in memory: the reader is asked for
// little at a time, and is never read ahead of what the server takes.
func TestUploadStreams(t *testing.T) {
	if testing.Short() {
		t.Skip("sends 256 MiB")
	}
	path := filepath.Join(t.TempDir(), "big.deb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	const size = 256 << 20
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	s := &uploadServer{received: map[string]int{}}
	srv := httptest.NewServer(s)
	defer srv.Close()
	c, _ := testClient(t, srv.URL, 0)
	var sent atomic.Int64
	allocated := testing.Benchmark(func(b *testing.B) {
		if b.N > 1 {
			return
		}
		b.ReportAllocs()
		u := c.uploadFile(t.Context(), path, uploadOptions{distribution: "jammy"}, func(n int64) { sent.Add(n) })
		if u.err != nil {
			b.Error(u.err)
		}
	}).AllocedBytesPerOp()
	if s.bytes != size || sent.Load() != size {
		t.Errorf("server got %d bytes, %d were counted, want %d", s.bytes, sent.Load(), size)
	}
	if allocated > size/4 {
		t.Errorf("sending allocated %d bytes", allocated)
	}
}

// A server that refuses must not be sent a large file first.
func TestRefusalComesBeforeTheBody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.deb")
	if err := os.WriteFile(path, make([]byte, 8<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") != "100-continue" {
			t.Error("the client does not wait for leave to send")
		}
		refuse(401, "invalid_token", "")(w)
	}))
	defer srv.Close()
	c, _ := testClient(t, srv.URL, 0)
	var sent atomic.Int64
	u := c.uploadFile(t.Context(), path, uploadOptions{distribution: "jammy"}, func(n int64) { sent.Add(n) })
	if u.Error == nil || u.Error.Code != "invalid_token" || sent.Load() > 0 {
		t.Errorf("%d bytes went before %v", sent.Load(), u.err)
	}
}

// The progress of a file that is sent again must not count twice.
func TestProgressTakesBackWhatIsSentAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.deb")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	srv, _ := answers(t, refuse(503, "storage_unavailable", ""), hangUp, accept(`{"status":"indexed"}`))
	c, _ := testClient(t, srv.URL, 2)
	var sent atomic.Int64
	u := c.uploadFile(t.Context(), path, uploadOptions{distribution: "jammy"}, func(n int64) { sent.Add(n) })
	if u.err != nil || sent.Load() != 1<<20 {
		t.Errorf("%d bytes counted, %v", sent.Load(), u.err)
	}
}

func TestUploadOfAShrinkingFile(t *testing.T) {
	r := &countingReader{r: strings.NewReader("abc"), left: 5, sent: func(int64) {}}
	if _, err := io.ReadAll(r); !errors.Is(err, errChanged) {
		t.Errorf("error %v", err)
	}
	if delay, _ := retryDelay(&url.Error{Err: errChanged}, 0); delay >= 0 {
		t.Error("tried again")
	}
}

func TestPackagesPages(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/sub/packages/" || q.Get("q") != "a b" || q.Get("per_page") != "200" || r.Header.Get("Authorization") != "Bearer tok" {
			t.Errorf("request %s, %v", r.URL, r.Header)
		}
		page := q.Get("page")
		fmt.Fprintf(w, `{"items":[{"name":"p%s","latest_version":"1:2~\u001bx","architectures":["all","amd64"],"distributions":[],"status":"indexed","size_bytes":7}],"pages":3}`, page)
	}))
	defer srv.Close()
	env := map[string]string{"REPOD_URL": srv.URL + "/sub", "REPOD_TOKEN": "tok"}
	status, stdout, stderr := invoke(t, env, "packages", "a b")
	want := "NAME  VERSION  ARCHITECTURES  DISTRIBUTIONS  STATUS   SIZE\n" +
		"p1    1:2~\ufffdx   all,amd64      -              indexed  7\n"
	if status != 0 || !strings.HasPrefix(stdout, want) || strings.Count(stdout, "\n") != 4 || stderr != "" {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	status, stdout, _ = invoke(t, env, "packages", "a b", "--json")
	var rows []struct{ Name string }
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil || status != 0 || len(rows) != 3 || rows[2].Name != "p3" {
		t.Errorf("status %d, %v: %s", status, err, stdout)
	}
}

func TestPromoteSends(t *testing.T) {
	var got map[string]any
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		accept(`{"status":"promoted","results":[{"arch":"amd64","status":"promoted"},{"arch":"arm64","status":"already_present"}]}`)(w)
	}))
	defer srv.Close()
	env := map[string]string{"REPOD_URL": srv.URL}
	status, stdout, _ := invoke(t, env, "promote", "nginx", "1:2+b1", "--from", "a", "--to", "b")
	want := "nginx 1:2+b1 amd64: promoted: a to b\nnginx 1:2+b1 arm64: already_present: a to b\n"
	if status != 0 || stdout != want {
		t.Errorf("status %d, %q", status, stdout)
	}
	if fmt.Sprint(got) != "map[from_distribution:a name:nginx to_distribution:b version:1:2+b1]" {
		t.Errorf("sent %v", got)
	}
}

// No error may show the token.
func TestTokenStaysSecret(t *testing.T) {
	const token = "repod_verysecret"
	srv, _ := answers(t, refuse(401, "invalid_token", ""))
	for _, address := range []string{srv.URL, "http://127.0.0.1:1"} {
		env := map[string]string{"REPOD_URL": address, "REPOD_TOKEN": token}
		for _, args := range [][]string{{"packages"}, {"doctor"}} {
			if args[0] == "packages" && address != srv.URL {
				continue // would wait
			}
			status, stdout, stderr := invoke(t, env, args...)
			if status == 0 || strings.Contains(stdout+stderr, token) {
				t.Errorf("%v: status %d, %s%s", args, status, stdout, stderr)
			}
		}
	}
}
