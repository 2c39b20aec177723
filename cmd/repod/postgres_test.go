package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
	"github.com/repod-io/repod/deb/debtest"
)

// Two servers with one PostgreSQL database and one directory of files are one
// repository: a session of one holds at the other, and so does what was
// published.
func TestTwoServersOnPostgres(t *testing.T) {
	dsn := pgtest.Database(t)
	files := t.TempDir()
	key := base64.StdEncoding.EncodeToString(make([]byte, secretKeySize))
	start := func() *testServer {
		dir := t.TempDir()
		env := []string{"REPOD_ADMIN_PASSWORD=" + testPassword, "REPOD_SECRET_KEY=" + key, "REPOD_DATABASE_URL=" + dsn}
		s, err := launch(dir, filepath.Join(dir, "log"), env, "--storage-url", "file:"+files, "--distributions", "jammy")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.cmd.Process.Kill() })
		return s
	}
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
