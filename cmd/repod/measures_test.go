package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/deb/debtest"
)

// What a monitor reads of a real server, with a token of its own, and what such a
// server logs about it.
func TestMonitor(t *testing.T) {
	const token = "canary-monitor-token"
	file := writeFile(t, "token", token+"\n", 0o600)
	s := startServer(t, "--metrics-token-file", file, "--distributions", "canary-codename", "--log-format", "json")
	uploader, err := makeToken(s.url, "uploader", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := s.send(t, uploader, "canary-codename", debtest.Package{Name: "canary-package"}); status != 201 {
		t.Fatal(text)
	}
	get(t, s.url+"/apt/pool/main/c/canary-package/canary-package_1.0_amd64.deb?token=canary-query")
	if status, text := s.call(t, "GET", "/metrics", uploader, ""); status != 403 {
		t.Errorf("an uploader reads %d %s", status, text)
	}
	began := time.Now()
	status, text := s.call(t, "GET", "/metrics", token, "")
	if status != 200 {
		t.Fatal(status, text)
	}
	t.Logf("%d series, %d KiB, in %v", strings.Count(text, "\n")-strings.Count(text, "\n#"), len(text)>>10, time.Since(began).Round(time.Millisecond))
	for _, want := range []string{
		"repod_build_info{", `repod_artifacts{status="indexed"} 1`, `repod_downloads_total{client="other"} 1`,
		`repod_events_total{kind="package.indexed"} 1`, `repod_storage_operation_duration_seconds_count{operation="put"}`,
		`repod_http_requests_total{method="POST",route="/upload",status="2xx"} 1`, `repod_jobs{kind="event.webhook",state="failed"} 0`,
		`repod_disk_free_bytes{area="data"}`, `repod_disk_free_bytes{area="storage"}`,
		`go_sql_open_connections{db_name="requests"}`, `go_sql_open_connections{db_name="jobs"}`, "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if failed := regexp.MustCompile(`repod_collect_success\{part="\w+"\} 0`).FindString(text); failed != "" {
		t.Error(failed)
	}
	if i := strings.Index(text, "canary"); i >= 0 {
		t.Errorf("a name is a label: %s", text[max(0, i-100):min(len(text), i+50)])
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.checkLog(t)
}

// checkLog holds a log in JSON against what it promises: each line but those that
// are for people is an object; those of requests have all fields; nobody's secrets
// or paths are in it.
func (s *testServer) checkLog(t *testing.T) {
	t.Helper()
	log, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	requests := 0
	for line := range bytes.Lines(log) {
		if bytes.HasPrefix(line, []byte("listening on ")) {
			continue
		}
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			t.Errorf("not JSON: %s", line)
			continue
		}
		if record["msg"] != "request" {
			continue
		}
		requests++
		for _, name := range []string{"time", "level", "method", "route", "status", "duration", "bytes", "principal", "ip", "request_id"} {
			if _, there := record[name]; !there {
				t.Errorf("no %s in %s", name, line)
			}
		}
	}
	if requests < 6 {
		t.Errorf("%d requests are logged", requests)
	}
	for _, secret := range []string{"canary-monitor-token", "canary-query", "canary-package_1.0"} {
		if bytes.Contains(log, []byte(secret)) {
			t.Errorf("the log has %s", secret)
		}
	}
	if tokens := regexp.MustCompile(`repod_[A-Za-z0-9]{49}`).FindString(string(log)); tokens != "" {
		t.Error("the log has an API token")
	}
}

// A token that could be guessed, or that others can read, is no token.
func TestMetricsTokenRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for name, test := range map[string]struct {
		file, env, want string
		status          int
	}{
		"short":        {env: "fifteen letters", want: "it needs 16: openssl rand -hex 32", status: exitUsage},
		"for everyone": {file: writeFile(t, "open", "0123456789abcdef", 0o644), want: "chmod 0600", status: exitFailure},
		"empty":        {file: writeFile(t, "empty", "\n", 0o600), want: "is empty", status: exitFailure},
		"missing":      {file: filepath.Join(t.TempDir(), "none"), want: "no such file", status: exitFailure},
		"twice":        {file: writeFile(t, "one", "0123456789abcdef", 0o600), env: "0123456789abcdef", want: "keep one", status: exitUsage},
	} {
		args := []string{"serve", "--data-dir", dir}
		if test.file != "" {
			args = append(args, "--metrics-token-file", test.file)
		}
		status, _, stderr := invoke(t, map[string]string{"REPOD_METRICS_TOKEN": test.env}, args...)
		if status != test.status || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: %d %s", name, status, stderr)
		}
	}
}

func TestLogger(t *testing.T) {
	for _, test := range []struct {
		format, level string
		want          []string // messages that are logged
		json          bool
	}{
		{"", "info", []string{"i", "w"}, true}, // a buffer is no terminal
		{"json", "debug", []string{"d", "i", "w"}, true},
		{"text", "WARN", []string{"w"}, false},
	} {
		var out bytes.Buffer
		log, err := newLogger(&out, test.format, test.level)
		if err != nil {
			t.Fatal(err)
		}
		for message, level := range map[string]slog.Level{"d": slog.LevelDebug, "i": slog.LevelInfo, "w": slog.LevelWarn} {
			log.Log(t.Context(), level, message, "a", "line\nbreak")
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			if json.Valid([]byte(line)) != test.json {
				t.Errorf("%s: %s", test.format, line)
			}
			got = append(got, regexp.MustCompile(`msg"?[=:]"?(\w)`).FindStringSubmatch(line)[1])
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s at %s logs %q", test.format, test.level, got)
		}
	}
}
