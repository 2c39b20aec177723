package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/cmd/repod/boundtest"
)

const password = "Benchmarks 4 repod"

// A server is a running repod serve.
type server struct {
	URL   string
	cmd   *exec.Cmd
	ended chan struct{}
}

// serve starts a server and stops it at the end of the benchmark.
func serve(b *testing.B, dir string, args ...string) *server {
	b.Helper()
	args = append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--rate-limits", "off", "--log-level", "warn"}, args...)
	s := &server{cmd: exec.Command(binary(b), args...), ended: make(chan struct{})}
	s.cmd.Env = []string{"REPOD_ADMIN_PASSWORD=" + password}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := boundtest.Start(s.cmd); err != nil {
		b.Fatal(err)
	}
	address := make(chan string, 1)
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				address <- url
			} else {
				fmt.Fprintln(os.Stderr, "repod:", lines.Text())
			}
		}
		s.cmd.Wait()
	}()
	b.Cleanup(func() { s.stop(b) })
	select {
	case s.URL = <-address:
	case <-s.ended:
		b.Fatal("repod serve ended")
	case <-time.After(time.Minute):
		b.Fatal("repod serve does not get ready")
	}
	return s
}

func (s *server) stop(b *testing.B) {
	b.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		s.cmd.Process.Kill()
		b.Error("SIGTERM did not end the server")
	}
}

func (s *server) cpu(b *testing.B) time.Duration { return processCPU(b, s.cmd.Process.Pid) }

// A client sends requests over connections that are kept open.
type client struct {
	base, token string
	http        *http.Client
}

// login returns a client with an API token of its own.
func (s *server) login(b *testing.B) *client {
	b.Helper()
	c := &client{s.URL, "", anonymous(b)}
	for _, step := range []struct {
		path, field string
		body        any
	}{
		{"/auth/token", "access_token", map[string]string{"username": "admin", "password": password}},
		{"/auth/api-tokens", "token", map[string]any{"name": fmt.Sprint("bench ", time.Now().UnixNano()), "roles": []string{"admin"}}},
	} {
		text, err := json.Marshal(step.body)
		if err != nil {
			b.Fatal(err)
		}
		answer, err := c.post(b.Context(), step.path, "application/json", bytes.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(answer, &fields); err != nil {
			b.Fatal(err)
		}
		c.token = fields[step.field].(string)
	}
	return c
}

// post sends a request whose success is 200 or 201.
func (c *client) post(ctx context.Context, path, contentType string, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%s: status %d: %s", path, resp.StatusCode, answer)
	}
	return answer, err
}

// upload publishes a package.
func (c *client) upload(ctx context.Context, deb []byte) error {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	w.WriteField("distribution", codename)
	part, err := w.CreateFormFile("file", "x.deb")
	if err != nil {
		return err
	}
	part.Write(deb)
	w.Close()
	_, err = c.post(ctx, "/upload/", w.FormDataContentType(), &body)
	return err
}

// get fetches a file and returns its size.
func (c *client) get(ctx context.Context, path string) (int64, error) {
	return c.fetch(ctx, path, io.Discard)
}

// save fetches a file to a local one.
func (c *client) save(ctx context.Context, path, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = c.fetch(ctx, path, f)
	return errors.Join(err, f.Close())
}

func (c *client) fetch(ctx context.Context, path string, w io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(w, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", path, resp.StatusCode)
	}
	return n, err
}

// anonymous returns an HTTP client.
func anonymous(b *testing.B) *http.Client {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 200}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// freeAddress returns an address of the loopback interface with a free port.
func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
