package main

import (
	"encoding/base64"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
)

// A gateway stands between a server and its database.
type gateway struct {
	target string // socket

	mu    sync.Mutex
	cond  sync.Cond
	state string // "open", "hanging" or "closed"
	conns []net.Conn
}

// throughGateway returns a gateway and the URL of a database that leads through
// it.
func throughGateway(t *testing.T) (*gateway, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{target: pgtest.Socket(t), state: "open"}
	g.cond.L = &g.mu
	dsn, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	dsn.Host, dsn.RawQuery = l.Addr().String(), "sslmode=disable"
	t.Cleanup(func() { l.Close(); g.set("closed") })
	go g.serve(l)
	return g, dsn.String()
}

// set changes what the gateway does with old and new connections.
func (g *gateway) set(state string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = state
	if state == "closed" {
		for _, c := range g.conns {
			c.Close()
		}
		g.conns = nil
	}
	g.cond.Broadcast()
}

// wait returns when nothing hangs, and whether all is well then.
func (g *gateway) wait() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.state == "hanging" {
		g.cond.Wait()
	}
	return g.state == "open"
}

func (g *gateway) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go g.relay(client)
	}
}

func (g *gateway) relay(client net.Conn) {
	defer client.Close()
	if !g.wait() {
		return
	}
	server, err := net.Dial("unix", g.target)
	if err != nil {
		return
	}
	defer server.Close()
	g.mu.Lock()
	g.conns = append(g.conns, client, server)
	g.mu.Unlock()
	go g.copy(client, server)
	g.copy(server, client)
}

func (g *gateway) copy(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || !g.wait() {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// within5s is what a load balancer is promised: a loss is told within five
// seconds, and so is its end. A second more is for a busy machine.
const within5s = 6 * time.Second

// becomes waits for an answer of /health/ready, and fails the test when it comes
// too late.
func (s *testServer) becomes(t *testing.T, what string, status int, body string) {
	t.Helper()
	began := time.Now()
	for {
		got, text := s.call(t, "GET", "/health/ready", "", "")
		took := time.Since(began)
		if got == status && strings.TrimSpace(text) == body {
			t.Logf("%s: told after %v", what, took.Round(10*time.Millisecond))
			return
		}
		if took > within5s {
			t.Fatalf("%s: after %v still %d %s", what, took, got, text)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// A server that loses its database says so in time, goes on with what needs none,
// and comes back by itself.
func TestReadyFollowsDatabase(t *testing.T) {
	db, dsn := throughGateway(t)
	dir := t.TempDir()
	const token = "a-token-of-a-monitor"
	env := []string{"REPOD_ADMIN_PASSWORD=" + testPassword, "REPOD_DATABASE_URL=" + dsn, "REPOD_METRICS_TOKEN=" + token,
		"REPOD_SECRET_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, secretKeySize))}
	s, err := launch(dir, filepath.Join(dir, "log"), env, "--data-dir", filepath.Join(dir, "data"), "--distributions", "jammy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	s.becomes(t, "a start", 200, `{"status":"ready"}`)
	for _, fault := range []string{"hanging", "closed"} {
		db.set(fault)
		s.becomes(t, fault, 503, `{"status":"not_ready","failing":["database"]}`)
		for _, path := range []string{"/health/live", "/apt/dists/jammy/InRelease"} {
			if status, text := s.call(t, "GET", path, "", ""); status != 200 {
				t.Errorf("%s: %s is answered %d %s", fault, path, status, text)
			}
		}
		began := time.Now()
		status, text := s.call(t, "GET", "/metrics", token, "")
		if status != 200 || !strings.Contains(text, "\nrepod_collect_success{part=\"artifacts\"} 0\n") || !strings.Contains(text, "\nrepod_http_requests_in_flight ") {
			t.Errorf("%s: a monitor is answered %d %s", fault, status, text)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("%s: a monitor waits %v", fault, took)
		}
		db.set("open")
		s.becomes(t, "the end of "+fault, 200, `{"status":"ready"}`)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// One with a hanging database ends all the same, in the time that it has.
func TestStopWithoutDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a shutdown may")
	}
	db, dsn := throughGateway(t)
	dir := t.TempDir()
	env := []string{"REPOD_ADMIN_PASSWORD=" + testPassword, "REPOD_DATABASE_URL=" + dsn,
		"REPOD_SECRET_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, secretKeySize))}
	s, err := launch(dir, filepath.Join(dir, "log"), env, "--data-dir", filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	db.set("hanging")
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	select {
	case err := <-stopped:
		t.Logf("ended after %v", time.Since(began).Round(100*time.Millisecond))
		if err != nil {
			t.Error(err)
		}
	case <-time.After(60 * time.Second):
		t.Error("the server does not end")
	}
}
