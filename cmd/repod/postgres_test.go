package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
	"github.com/repod-io/repod/deb/debtest"
)

// sharing returns what starts servers of one database, with one directory of files
// and one secret key.
func sharing(t *testing.T) (start func() *testServer) {
	t.Helper()
	dsn, files := pgtest.Database(t), t.TempDir()
	return func() *testServer {
		t.Helper()
		dir := t.TempDir()
		env := []string{"REPOD_ADMIN_PASSWORD=" + testPassword, "REPOD_DATABASE_URL=" + dsn,
			"REPOD_SECRET_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, secretKeySize))}
		s, err := launch(dir, filepath.Join(dir, "log"), env, "--storage-url", "file:"+files, "--distributions", "jammy")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.cmd.Process.Kill() })
		return s
	}
}

// Two servers with one PostgreSQL database and one directory of files are one
// repository: a session of one holds at the other, and so does what was
// published.
func TestTwoServersOnPostgres(t *testing.T) {
	start := sharing(t)
	first, second := start(), start()
	token, err := makeToken(first.url, "uploader", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []*testServer{first, second} {
		name := fmt.Sprintf("from-%d", i)
		path := filepath.Join(t.TempDir(), "x.deb")
		if err := os.WriteFile(path, debtest.Package{Name: name}.Build(), 0o644); err != nil {
			t.Fatal(err)
		}
		env := map[string]string{"REPOD_URL": s.url, "REPOD_TOKEN": token}
		if status, _, stderr := invoke(t, env, "upload", "-d", "jammy", path); status != exitOK {
			t.Fatalf("status %d: %s", status, stderr)
		}
	}
	for _, s := range []*testServer{first, second} {
		for !strings.Contains(get(t, s.url+"/apt/dists/jammy/main/binary-amd64/Packages"), "Package: from-0\n") ||
			!strings.Contains(get(t, s.url+"/apt/dists/jammy/main/binary-amd64/Packages"), "Package: from-1\n") {
			time.Sleep(20 * time.Millisecond) // until it has heard of the other's publication
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}
}

// Of two servers on one database, one delivers each event.
func TestWebhookOfTwoServers(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{} // by delivery
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.Header.Get("X-Repod-Delivery")]++
	}))
	defer hook.Close()
	env := []string{
		"REPOD_ADMIN_PASSWORD=" + testPassword, "REPOD_DATABASE_URL=" + pgtest.Database(t),
		"REPOD_SECRET_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, secretKeySize)),
	}
	files := t.TempDir()
	var servers []*testServer
	for range 2 {
		dir := t.TempDir()
		s, err := launch(dir, filepath.Join(dir, "log"), env, "--storage-url", "file:"+files, "--outbound", "any", "--rate-limits", "off")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.cmd.Process.Kill() })
		servers = append(servers, s)
	}
	admin, err := makeToken(servers[0].url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	status, answer := servers[0].call(t, "PATCH", "/settings/", admin, fmt.Sprintf(`{"webhook":{"enabled":true,"url":%q}}`, hook.URL))
	if status != 200 {
		t.Fatal(answer)
	}
	for { // until the other has heard of the settings
		if _, answer := servers[1].call(t, "GET", "/settings/", admin, ""); strings.Contains(answer, hook.URL) {
			break
		}
	}
	const each = 10
	var work sync.WaitGroup
	for n, s := range servers {
		work.Go(func() {
			for i := range each {
				if status, answer := s.call(t, "POST", "/distributions/init", admin, fmt.Sprintf(`{"codename":"d%d.%d"}`, n, i)); status != 201 {
					t.Error(answer)
				}
			}
		})
	}
	work.Wait()
	all := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(got)
	}
	for deadline := time.Now().Add(time.Minute); all() < 2*each; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d events came", all(), 2*each)
		}
	}
	time.Sleep(500 * time.Millisecond) // for one too many
	mu.Lock()
	defer mu.Unlock()
	for id, n := range got {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if len(got) != 2*each {
		t.Errorf("%d deliveries", len(got))
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
