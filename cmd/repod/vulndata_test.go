package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
	"github.com/repod-io/repod/deb/debtest"
)

// Vulnerability data that one server has fetched, or a person has imported on any
// machine, are those of all servers: also of one that starts with an empty data
// directory, from its first answer.
func TestVulnerabilityDataOfServers(t *testing.T) {
	var asked atomic.Int32
	feeds := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, tracker)
	}))
	defer feeds.Close()
	files := t.TempDir()
	where := []string{"--database-url", pgtest.Database(t), "--storage-url", "file:" + files}
	key := base64.StdEncoding.EncodeToString(make([]byte, secretKeySize))
	start := func() *testServer {
		t.Helper()
		dir := t.TempDir()
		env := []string{"REPOD_ADMIN_PASSWORD=" + testPassword, "REPOD_SECRET_KEY=" + key}
		s, err := launch(dir, filepath.Join(dir, "log"), env, append(where, "--distributions", "bookworm", "--outbound", "any", "--rate-limits", "off")...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.cmd.Process.Kill() })
		return s
	}
	first, second := start(), start()
	token, err := makeToken(first.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	m := newMirror(t, program1("other"))
	patchSettings(t, first, token, fmt.Sprintf(`{"import":{"sources":[{"id":"sec","security":true,"url":%q,"suite":%q,"signed_by":%q}]},
		"scan":{"cve":{"feeds":[{"id":"debian","kind":"debian","url":%q}]}}}`, m.URL, m.Suite, m.PublicKey(), feeds.URL))
	if status, body := second.send(t, token, "bookworm", debtest.Package{Name: "early"}); status != 201 || !strings.Contains(body, `"code":"not_scanned"`) {
		t.Errorf("before any data: %d %s", status, body)
	}
	if status, body := first.call(t, "POST", "/import/sync-security?wait=true", token, ""); status != 200 {
		t.Fatalf("sync: %d %s", status, body)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the feed was fetched %d times", n)
	}
	began := time.Now()
	for n := 0; ; n++ {
		status, body := second.send(t, token, "bookworm", debtest.Package{Name: fmt.Sprint("scanned", n)})
		if status == 201 && strings.Contains(body, `"scanned":true`) {
			break
		}
		if status != 201 || time.Since(began) > 30*time.Second {
			t.Fatalf("the other server after %v: %d %s", time.Since(began), status, body)
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Logf("the other server has the data after %v", time.Since(began).Round(100*time.Millisecond))

	third := start()
	if status, body := third.send(t, token, "bookworm", debtest.Package{Name: "tool", Version: "1.0-1"}); status != 202 || !strings.Contains(body, `"high":1`) {
		t.Errorf("a new server: %d %s", status, body)
	}

	// By hand, on a machine that no server runs on.
	path, elsewhere := filepath.Join(t.TempDir(), "kev.json"), t.TempDir()
	if err := os.WriteFile(path, []byte(exploited), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"REPOD_SECRET_KEY": key}
	args := append([]string{"--data-dir", elsewhere}, where...)
	if status, out, errs := invoke(t, env, append([]string{"vulndb", "import", "kev=" + path}, args...)...); status != exitOK || !strings.Contains(out, "kev: ok") {
		t.Fatalf("import: %d %s %s", status, out, errs)
	}
	for _, dir := range []string{elsewhere, t.TempDir()} {
		args[1] = dir
		if status, out, errs := invoke(t, env, append([]string{"vulndb", "status"}, args...)...); status != exitOK || !strings.Contains(out, "debian  ok") || !strings.Contains(out, "kev     ok") {
			t.Errorf("status: %d %s %s", status, out, errs)
		}
	}

	// A new server that cannot get at them does not take packages unmatched.
	if err := os.RemoveAll(filepath.Join(files, "vulnerabilities")); err != nil {
		t.Fatal(err)
	}
	fourth := start()
	if status, body := fourth.send(t, token, "bookworm", debtest.Package{Name: "unmatched"}); status != 503 {
		t.Errorf("without the data: %d %s", status, body)
	}
	if status, _ := fourth.call(t, "GET", "/apt/dists/bookworm/InRelease", "", ""); status != 200 {
		t.Errorf("without the data it does not serve: %d", status)
	}
	if status, body := third.send(t, token, "bookworm", debtest.Package{Name: "matched"}); status != 201 {
		t.Errorf("a server that has them: %d %s", status, body)
	}
	// The next sync, at whichever server, brings them back.
	if status, body := first.call(t, "POST", "/import/sync-security?wait=true", token, ""); status != 200 {
		t.Fatalf("sync after the loss: %d %s", status, body)
	}
	if status, body := fourth.send(t, token, "bookworm", debtest.Package{Name: "tool", Version: "1.0-1+b1"}); status != 202 {
		t.Errorf("after the next sync: %d %s", status, body)
	}
}
