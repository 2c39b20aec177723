package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// scratch is a directory for what tests share; TestMain removes it.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "repod-e2e-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

func inCI() bool     { return os.Getenv("CI") == "true" }
func thorough() bool { return os.Getenv("REPOD_LONG") != "" }

// slow skips a test that is not for a quick run.
func slow(t *testing.T) {
	t.Helper()
	if !inCI() && !thorough() && os.Getenv("REPOD_E2E") == "" {
		t.Skip("takes minutes: set REPOD_E2E=1 to run it")
	}
}

// lacking ends a test that cannot run here.
func lacking(t *testing.T, format string, args ...any) {
	t.Helper()
	if inCI() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func needPrograms(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			lacking(t, "%s is not installed", name)
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacking(t, "needs root")
	}
}

// buildOnce compiles the program under test, unless REPOD_BINARY names one.
var buildOnce = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("REPOD_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(scratch, "repod")
	cmd := exec.Command("go", "build", "-o", path, "github.com/repod-io/repod/cmd/repod")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New("building repod: " + string(out))
	}
	return path, nil
})

// binary returns the path of the program under test.
func binary(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// output runs a program to its end and returns what it printed to both
// streams. The test fails when the program does.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// eventually calls f until it returns nil, and fails the test when it still
// returns an error after the time that is given.
func eventually(t *testing.T, limit time.Duration, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still after %v: %v", limit, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// silent is for servers whose complaints are part of a test.
var silent = log.New(io.Discard, "", 0)

// listen serves a handler on loopback until the end of the test, and returns its
// URL.
func listen(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = silent
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// A journal keeps what a program writes while others read it.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Reset()
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
