package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/deb/debtest"
)

// A crowd uploads and downloads until the server is gone.
type crowd struct {
	t      *testing.T
	client *http.Client
	token  string

	mu       sync.Mutex
	accepted map[string]bool // names of packages that were answered 201
	fetched  atomic.Int64    // downloads that came whole
	ended    atomic.Bool     // the server was told to end
	all      sync.WaitGroup
}

// over returns a client that reaches a server at a socket.
func over(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: 16,
	}}
}

// join lets someone do a thing again and again, until the server is gone. While it
// runs, each must succeed; afterwards it may end a connection, but answer nothing
// but success or 503.
func (c *crowd) join(do func(i int) (status int, err error)) {
	c.all.Go(func() {
		for i := 0; ; i++ {
			status, err := do(i)
			switch {
			case err == nil && (status == 200 || status == 201):
			case c.ended.Load() && (err != nil || status == 503):
				if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
					return // nobody listens any more
				}
			default:
				c.t.Errorf("%d, %v", status, err)
				return
			}
		}
	})
}

func (c *crowd) do(req *http.Request) (int, []byte, error) {
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func (c *crowd) upload(name string, slow io.Reader) (int, error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	_ = w.WriteField("distribution", "jammy")
	part, _ := w.CreateFormFile("file", "x.deb")
	_, _ = part.Write(debtest.Package{Name: name}.Build())
	_ = w.Close()
	body := io.Reader(&form)
	if slow != nil { // half of it now, the rest when slow ends
		half := bytes.NewReader(form.Next(form.Len() / 2))
		body = io.MultiReader(half, slow, &form)
	}
	req, err := http.NewRequest(http.MethodPost, "http://repod/upload", body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	status, text, err := c.do(req)
	if err != nil {
		return 0, err
	}
	if status == 201 {
		c.mu.Lock()
		c.accepted[name] = true
		c.mu.Unlock()
	} else if status != 503 {
		err = fmt.Errorf("%s", text)
	}
	return status, err
}

func (c *crowd) fetch(path string) (int, error) {
	req, err := http.NewRequest(http.MethodGet, "http://repod"+path, nil)
	if err != nil {
		return 0, err
	}
	status, _, err := c.do(req)
	if err == nil && status == 200 {
		c.fetched.Add(1)
	}
	return status, err
}

// A receiver of webhooks remembers of which packages it heard.
type receivedEvents struct {
	mu    sync.Mutex
	heard map[string]bool
}

func (e *receivedEvents) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var event struct {
		Event string `json:"event"`
		Data  struct {
			Name string `json:"name"`
		} `json:"data"`
	}
	if json.NewDecoder(r.Body).Decode(&event) == nil && event.Event == "package.indexed" {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heard[event.Data.Name] = true
	}
}

// missing returns one of names of which was not heard, "" for none.
func (e *receivedEvents) missing(names map[string]bool) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range names {
		if !e.heard[name] {
			return name
		}
	}
	return ""
}

// A server that is told to end in the middle of its work finishes what has begun:
// an upload that is half there, downloads and their counts; what it promised it
// keeps, and tells of it after the next start. It leaves no half state, and no
// socket.
func TestStopUnderLoad(t *testing.T) {
	events := &receivedEvents{heard: map[string]bool{}}
	hook := httptest.NewServer(events)
	defer hook.Close()
	dir, err := os.MkdirTemp("", "stop") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "s")
	env := []string{"REPOD_ADMIN_PASSWORD=" + testPassword}
	flags := []string{"--data-dir", data, "--distributions", "jammy", "--outbound", "any", "--rate-limits", "off", "--log-level", "warn"}
	start := func(more ...string) *testServer {
		t.Helper()
		s, err := launch(dir, filepath.Join(dir, "log"), env, append(flags, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.cmd.Process.Kill() })
		return s
	}
	setUp := start()
	token, err := makeToken(setUp.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := setUp.call(t, "PATCH", "/settings/", token, fmt.Sprintf(`{"webhook":{"enabled":true,"url":%q}}`, hook.URL)); status != 200 {
		t.Fatal(text)
	}
	if err := setUp.stop(); err != nil {
		t.Fatal(err)
	}

	s := start("--listen", "unix:"+socket)
	c := &crowd{t: t, client: over(socket), token: token, accepted: map[string]bool{}}
	if status, err := c.upload("first", nil); status != 201 {
		t.Fatal(status, err)
	}
	gate, arrived := io.Pipe()
	slow := make(chan error, 1)
	go func() {
		status, err := c.upload("slow", gate)
		if status != 201 {
			err = fmt.Errorf("the upload that was half there: %d, %w", status, err)
		}
		slow <- err
	}()
	for who := range 3 {
		c.join(func(i int) (int, error) { return c.upload(fmt.Sprintf("p%d-%d", who, i), nil) })
	}
	for range 2 {
		c.join(func(int) (int, error) { return c.fetch("/apt/pool/main/f/first/first_1.0_amd64.deb") })
	}
	time.Sleep(2 * time.Second)
	c.ended.Store(true)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.all.Wait() // nobody is let in
	select {
	case err := <-s.ended:
		t.Fatalf("ended with %v before the upload did", err)
	case <-time.After(300 * time.Millisecond):
	}
	arrived.Close()
	if err := <-slow; err != nil {
		t.Error(err)
	}
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(shutdownTime):
		t.Fatal("the server does not end")
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(data, "spool")); err != nil || len(left) > 0 {
		t.Errorf("spooled files are left: %v, %v", left, err)
	}
	if status, stdout, stderr := invoke(t, nil, "fsck", "--data-dir", data); status != exitOK {
		t.Errorf("fsck: %s%s", stdout, stderr)
	}
	t.Logf("%d packages were accepted, %d downloads came whole", len(c.accepted), c.fetched.Load())
	afterwards(t, start(), c, events)
}

// afterwards checks that the next run knows all that the last one promised.
func afterwards(t *testing.T, s *testServer, c *crowd, events *receivedEvents) {
	t.Helper()
	packages := get(t, s.url+"/apt/dists/jammy/main/binary-amd64/Packages")
	for name := range maps.Keys(c.accepted) {
		if !strings.Contains(packages, "Package: "+name+"\n") {
			t.Errorf("%s was accepted and is not listed", name)
		}
	}
	if total, _ := downloaded(t, s, c.token); int64(total) < c.fetched.Load() {
		t.Errorf("%d downloads are counted, %d came whole", total, c.fetched.Load())
	}
	for deadline := time.Now().Add(30 * time.Second); events.missing(c.accepted) != ""; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody was told of %s", events.missing(c.accepted))
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
