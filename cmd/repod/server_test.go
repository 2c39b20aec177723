package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/cmd/repod/boundtest"
)

// A testServer is a repod serve of its own.
type testServer struct {
	url   string
	log   string // file of its standard error
	cmd   *exec.Cmd
	ended chan error // from cmd.Wait, once
}

var listening = regexp.MustCompile(`(?m)^listening on (\S+)$`)

// launch starts a server on a free port of the loopback interface and waits
// until it is ready.
func launch(dir, log string, env []string, args ...string) (*testServer, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s := &testServer{log: log, ended: make(chan error, 1)}
	s.cmd = exec.Command(program)
	s.cmd.Args = append([]string{"repod", "serve", "--listen", "127.0.0.1:0"}, args...) // see TestMain
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = dir, env, out
	if err := boundtest.Start(s.cmd); err != nil {
		return nil, err
	}
	go func() { s.ended <- s.cmd.Wait() }()
	for {
		text, err := os.ReadFile(log)
		if err != nil {
			s.kill()
			return nil, err
		}
		if m := listening.FindSubmatch(text); m != nil {
			s.url = string(m[1])
			return s, nil
		}
		select {
		case err := <-s.ended:
			return nil, fmt.Errorf("the server ended with %v:\n%s", err, text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop asks the server to end, which it must do with status 0.
func (s *testServer) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := <-s.ended; err != nil {
		text, _ := os.ReadFile(s.log)
		return fmt.Errorf("the server ended with %v:\n%s", err, text)
	}
	return nil
}

func (s *testServer) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// startServer starts a server for one test, with a known administrator.
func startServer(t *testing.T, args ...string) *testServer {
	t.Helper()
	dir := t.TempDir()
	env := []string{"REPOD_ADMIN_PASSWORD=" + testPassword}
	s, err := launch(dir, filepath.Join(dir, "serve.log"), env, append([]string{"--data-dir", filepath.Join(dir, "data")}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

const testPassword = "Sesame-1234"

// call sends JSON to a server and decodes the answer.
func call(base, path, token string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode > 299 {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	return json.Unmarshal(text, out)
}

// makeToken logs in as admin and makes an API token.
func makeToken(base, role, password string) (string, error) {
	var session struct {
		Token string `json:"access_token"`
	}
	login := map[string]string{"username": "admin", "password": password}
	if err := call(base, "/auth/token", "", login, &session); err != nil {
		return "", err
	}
	var made struct {
		Token string `json:"token"`
	}
	spec := map[string]any{"name": "test-" + role, "roles": []string{role}}
	err := call(base, "/auth/api-tokens", session.Token, spec, &made)
	return made.Token, err
}
