package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/cmd/repod/boundtest"
)

const adminPassword = "End-to-end 4 repod"

// both are the distributions of most tests.
const both = "bookworm,trixie"

// startLimit is how long a server may take to start on a loaded machine.
const startLimit = 60 * time.Second

// A server is a running repod serve.
type server struct {
	URL  string
	Dir  string // data directory
	Log  *journal
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// serve starts a server on a data directory and a port that is free, and
// stops it at the end of the test.
func serve(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	s := &server{Dir: dir, Log: new(journal), args: args, done: make(chan struct{})}
	s.cmd = exec.Command(binary(t), serveArgs(dir, args)...)
	s.cmd.Env = serverEnv()
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := boundtest.Start(s.cmd); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	go func() {
		defer close(s.done)
		s.follow(stderr, address)
		s.cmd.Wait()
	}()
	t.Cleanup(func() { s.end(t) })
	select {
	case s.URL = <-address:
	case <-s.done:
		t.Fatalf("repod serve ended: %s", s.Log)
	case <-time.After(startLimit):
		t.Fatalf("repod serve does not get ready: %s", s.Log)
	}
	return s
}

func serveArgs(dir string, args []string) []string {
	return append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", dir,
		"--rate-limits", "off", "--log-format", "text"}, args...)
}

// serverEnv has the credentials of a bucket, too, when a test has set them.
func serverEnv() []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "REPOD_ADMIN_PASSWORD=" + adminPassword}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY_FILE"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// follow copies the server's messages to the log and tells the address that
// the server says it listens on.
func (s *server) follow(r io.Reader, address chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		io.WriteString(s.Log, lines.Text()+"\n")
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			address <- url
		}
	}
}

// end stops a server that still runs and fails a test whose server crashed.
func (s *server) end(t *testing.T) {
	s.stop(t)
	if text := s.Log.String(); strings.Contains(text, "panic") || strings.Contains(text, "goroutine ") {
		t.Errorf("the server panicked: %s", text)
	}
	if t.Failed() {
		t.Logf("server log:\n%s", tail(s.Log.String(), 1500))
	}
}

// stop ends the server in good order.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(startLimit):
		s.kill()
		t.Errorf("SIGTERM did not end the server: %s", s.Log)
	}
}

// kill ends the server at once, as the kernel does when memory runs out.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// A fsckReport is what repod fsck --json prints.
type fsckReport struct {
	Artifacts int `json:"artifacts"`
	Published int `json:"published"`
	Faults    []struct {
		Kind   string `json:"kind"`
		Name   string `json:"name"`
		Detail string `json:"detail"`
	} `json:"faults"`
}

// fsck checks the data directory with the program's own fsck, beside the
// server when that runs, and fails the test on any fault.
func fsck(t *testing.T, dir string, args ...string) fsckReport {
	t.Helper()
	// Of a server's settings fsck takes those that say where things are kept.
	cmd := exec.CommandContext(t.Context(), binary(t), append([]string{"fsck", "--json", "--data-dir", dir}, args...)...)
	var stdout, stderr strings.Builder
	cmd.Env, cmd.Stdout, cmd.Stderr = serverEnv(), &stdout, &stderr
	err := cmd.Run()
	var report fsckReport
	if jsonErr := json.Unmarshal([]byte(stdout.String()), &report); jsonErr != nil {
		t.Fatalf("fsck: %v: %s%s", err, stdout.String(), stderr.String())
	}
	if err != nil || len(report.Faults) > 0 {
		t.Errorf("fsck: %v: %+v %s", err, report.Faults, stderr.String())
	}
	return report
}

// leftovers returns the temporary files of a data directory: spooled uploads,
// and files of the storage that have no final name yet. There should be none
// when nothing is under way.
func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (strings.HasPrefix(d.Name(), ".") || filepath.Base(filepath.Dir(path)) == "spool") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// client runs a client command of the binary with an API token.
func client(ctx context.Context, t *testing.T, s *server, token string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "REPOD_URL=" + s.URL, "REPOD_TOKEN=" + token}
	return cmd
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}
