package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// invoke runs the command line with an environment and returns what it does.
func invoke(t *testing.T, env map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), args, func(name string) string { return env[name] }, strings.NewReader(""), &out, &errOut)
	return status, out.String(), errOut.String()
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

func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

func TestProblemText(t *testing.T) {
	faults := `{"status":422,"code":"validation_failed","detail":"The request has 2 invalid fields.",
		"errors":[{"field":"name","message":"is missing"},{"field":"to","message":"is \u001b[31mred\nx"}]}`
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{422, faults, "repod: The request has 2 invalid fields: name is missing, to is \ufffd[31mred; x (validation_failed)\n"},
		{500, "<html>", "repod: the server answered 500 Internal Server Error\n"},
		{401, `{"code":"authentication_required","detail":"Log in."}`, "repod: Log in (authentication_required): set REPOD_TOKEN to an API token\n"},
		{200, "<html>", "repod: the answer is not what a repod server says: invalid character '<' looking for beginning of value: check REPOD_URL\n"},
		{308, "", "repod: the server answered 308 Permanent Redirect, redirecting to https://elsewhere.example.com/: set REPOD_URL to where the server is\n"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if tt.status == 308 {
				w.Header().Set("Location", "https://elsewhere.example.com/")
			}
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		}))
		t.Cleanup(srv.Close)
		env := map[string]string{"REPOD_URL": srv.URL}
		if _, _, stderr := invoke(t, env, "promote", "a", "1", "--from", "x", "--to", "y"); stderr != tt.want {
			t.Errorf("got  %q\nwant %q", stderr, tt.want)
		}
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

func TestPackagesPages(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/sub/packages" || q.Get("q") != "a b" || q.Get("per_page") != "200" || r.Header.Get("Authorization") != "Bearer tok" {
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
		_, _ = io.WriteString(w, `{"status":"promoted","results":[{"arch":"amd64","status":"promoted"},{"arch":"arm64","status":"already_present"}]}`)
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
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(401, "invalid_token", "")(w) }))
	defer srv.Close()
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
