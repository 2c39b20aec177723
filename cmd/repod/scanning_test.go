package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan/clamav/clamdtest"
)

// send uploads a package.
func (s *testServer) send(t *testing.T, token, codename string, p debtest.Package) (int, string) {
	t.Helper()
	return s.sendFile(t, token, codename, bytes.NewReader(p.Build()))
}

// sendFile uploads a package as it is read.
func (s *testServer) sendFile(t *testing.T, token, codename string, p io.Reader) (int, string) {
	t.Helper()
	body, pipe := io.Pipe()
	w := multipart.NewWriter(pipe)
	go func() {
		err := w.WriteField("distribution", codename)
		var part io.Writer
		if err == nil {
			part, err = w.CreateFormFile("file", "x.deb")
		}
		if err == nil {
			_, err = io.Copy(part, p)
		}
		if err == nil {
			err = w.Close()
		}
		pipe.CloseWithError(err)
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/upload/", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text.String()
}

func patchSettings(t *testing.T, s *testServer, token, patch string) {
	t.Helper()
	if status, body := s.call(t, "PATCH", "/settings/", token, patch); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
}

// A large package is scanned to its end.
func TestLargeUpload(t *testing.T) {
	size := int64(20 << 20)
	if os.Getenv("REPOD_LONG") != "" || os.Getenv("CI") == "true" {
		size = 200 << 20
	}
	clamd := clamdtest.Start(t, "StreamMaxLength 1025M", "MaxFileSize 1025M", "MaxScanSize 1025M", "AlertExceedsMax yes")
	s := startServer(t, "--distributions", "jammy", "--rate-limits", "off")
	token, err := makeToken(s.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	patchSettings(t, s, token, fmt.Sprintf(`{"scan":{"clamav_address":%q}}`, clamd.Unix))
	status, body := s.sendFile(t, token, "jammy", debtest.Large(debtest.Package{Name: "bad"}, size, clamdtest.EICAR()))
	if status != 422 || !strings.Contains(body, `"code":"rejected_malware"`) {
		t.Errorf("infected: %d %s", status, body)
	}
	status, body = s.sendFile(t, token, "jammy", debtest.Large(debtest.Package{Name: "good"}, size, "clean"))
	if status != 201 || !strings.Contains(body, `"malware":{"status":"clean"`) {
		t.Errorf("clean: %d %s", status, body)
	}
}

// doctor and the status tell of a clamd that does not say when it stops at a limit,
// and what it leaves open is decided by a person.
func TestSilentClamd(t *testing.T) {
	clamd := clamdtest.Start(t)
	s := startServer(t, "--distributions", "jammy", "--rate-limits", "off")
	token, err := makeToken(s.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	patchSettings(t, s, token, fmt.Sprintf(`{"scan":{"fail_policy":"review","clamav_address":%q}}`, clamd.Unix))
	if _, body := s.call(t, "GET", "/security/clamav/status", token, ""); !strings.Contains(body, "AlertExceedsMax") {
		t.Errorf("status: %s", body)
	}
	_, stdout, _ := invoke(t, nil, "doctor", "--data-dir", filepath.Join(filepath.Dir(s.log), "data"))
	if !strings.Contains(stdout, "FAIL  malware") {
		t.Errorf("doctor: %s", stdout)
	}
	p := debtest.Package{Name: "tool", Files: map[string]string{"usr/a.jar": "PK\x05\x06" + strings.Repeat("\x00", 18)}}
	if status, body := s.send(t, token, "jammy", p); status != 202 {
		t.Errorf("%d %s", status, body)
	}
	if _, body := s.call(t, "GET", "/artifacts/tool/1.0", token, ""); !strings.Contains(body, "AlertExceedsMax") {
		t.Errorf("%s", body)
	}
}

// A real clamd sees what is in packages, whatever holds it; without it nothing
// gets in, and the server recovers when it is back.
func TestMalware(t *testing.T) {
	clamd := clamdtest.Start(t)
	s := startServer(t, "--distributions", "jammy", "--rate-limits", "off")
	token, err := makeToken(s.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	patchSettings(t, s, token, fmt.Sprintf(`{"scan":{"clamav_address":%q}}`, clamd.Unix))
	clean := debtest.Package{Name: "tool", Version: "1.0", Files: map[string]string{"usr/bin/tool": "fine"}}
	if status, body := s.send(t, token, "jammy", clean); status != 201 || !strings.Contains(body, `"malware":{"status":"clean"`) {
		t.Errorf("clean: %d %s", status, body)
	}
	for i, z := range []debtest.Compression{debtest.None, debtest.Gzip, debtest.XZ, debtest.Zstd} {
		p := debtest.Package{
			Name: fmt.Sprintf("bad%d", i), Version: "1.0", Compression: z, Files: map[string]string{"usr/share/x": clamdtest.EICAR()},
		}
		if status, body := s.send(t, token, "jammy", p); status != 422 || !strings.Contains(body, `"code":"rejected_malware"`) {
			t.Errorf("malware in %v: %d %s", z, status, body)
		}
	}
	if status, body := s.call(t, "GET", "/security/clamav/status", token, ""); status != 200 || !strings.Contains(body, `"enabled":true,"available":true`) {
		t.Errorf("status: %d %s", status, body)
	}

	patchSettings(t, s, token, `{"scan":{"clamav_address":"unix:///nonexistent/clamd"}}`)
	next := debtest.Package{Name: "next", Version: "1.0"}
	if status, body := s.send(t, token, "jammy", next); status != 503 || !strings.Contains(body, `"code":"scanner_unavailable"`) {
		t.Errorf("without clamd: %d %s", status, body)
	}
	patchSettings(t, s, token, fmt.Sprintf(`{"scan":{"clamav_address":%q}}`, clamd.Unix))
	if status, body := s.send(t, token, "jammy", next); status != 201 {
		t.Errorf("with clamd again: %d %s", status, body)
	}
}

const tracker = `{"tool":{
	"CVE-2024-0001":{"description":"A flaw.","scope":"remote","releases":{"bookworm":{"status":"resolved","repositories":{"bookworm":"1.0-1"},"fixed_version":"1.0-2","urgency":"high"}}},
	"CVE-2024-0002":{"description":"Nothing here.","releases":{"bookworm":{"status":"resolved","repositories":{"bookworm":"1.0-1"},"fixed_version":"0","urgency":"high"}}},
	"CVE-2024-0003":{"description":"Of no effect.","releases":{"bookworm":{"status":"open","repositories":{"bookworm":"1.0-1"},"urgency":"unimportant"}}}}}`

const exploited = `{"title":"x","catalogVersion":"2026.01.01","dateReleased":"2026-01-01T00:00:00Z","count":1,"vulnerabilities":[{"cveID":"CVE-2024-0004","dateAdded":"2026-01-01"}]}`

// Feeds are fetched by the job, packages are held against them, and a backported
// fix is no false alarm.
func TestFeeds(t *testing.T) {
	var broken atomic.Bool
	feeds := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			http.Error(w, "gone", http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, map[string]string{"/debian": tracker, "/kev": exploited}[r.URL.Path])
	}))
	defer feeds.Close()
	m := newMirror(t, program1("other"))
	s := startServer(t, "--distributions", "bookworm", "--outbound", "any", "--rate-limits", "off")
	token := importFrom(t, s, m)
	patchSettings(t, s, token, fmt.Sprintf(`{"import":{"sources":[{"id":"sec","security":true,"url":%q,"suite":%q,"signed_by":%q}]},
		"scan":{"cve":{"feeds":[{"id":"debian","kind":"debian","url":"%s/debian"},{"id":"kev","kind":"kev","url":"%s/kev"}]}}}`,
		m.URL, m.Suite, m.PublicKey(), feeds.URL, feeds.URL))
	old := debtest.Package{Name: "tool", Version: "1.0-1"}
	if status, body := s.send(t, token, "bookworm", old); status != 201 || !strings.Contains(body, `"code":"not_scanned"`) {
		t.Errorf("before any data: %d %s", status, body)
	}
	status, body := s.call(t, "POST", "/import/sync-security?wait=true", token, "")
	if status != 200 || !strings.Contains(body, `"feeds":[{"id":"debian","status":"ok"`) {
		t.Fatalf("sync: %d %s", status, body)
	}
	// It had been published; the high flaw takes it out for review.
	status, body = s.call(t, "GET", "/security/packages/tool/1.0-1/cve", token, "")
	var found struct {
		Status string
		CVEs   []struct {
			ID, Severity string
			Fixed        string `json:"fixed_version"`
		}
	}
	if err := json.Unmarshal([]byte(body), &found); err != nil || status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if found.Status != "pending_review" || len(found.CVEs) != 2 || found.CVEs[0].ID != "CVE-2024-0001" || found.CVEs[0].Fixed != "1.0-2" ||
		found.CVEs[1].Severity != "negligible" {
		t.Errorf("found %s", body)
	}
	if status, body := s.send(t, token, "bookworm", debtest.Package{Name: "tool", Version: "1.0-2"}); status != 201 || !strings.Contains(body, `"scanned":true`) {
		t.Errorf("the fixed version: %d %s", status, body)
	}
	broken.Store(true)
	status, body = s.call(t, "POST", "/import/sync-security?wait=true", token, "")
	if status != 200 || !strings.Contains(body, `{"id":"debian","status":"error"`) {
		t.Errorf("sync with broken feeds: %d %s", status, body)
	}
	if status, body := s.call(t, "GET", "/security/vulnerabilities?severity=high", token, ""); status != 200 || !strings.Contains(body, `"CVE-2024-0001"`) {
		t.Errorf("with broken feeds: %d %s", status, body)
	}
	// The policy is applied although there are no new data.
	patchSettings(t, s, token, `{"scan":{"cve":{"high":"allow"}}}`)
	s.call(t, "POST", "/import/sync-security?wait=true", token, "")
	if status, body := s.call(t, "GET", "/artifacts/tool/1.0-1", token, ""); status != 200 || !strings.Contains(body, `"status":"indexed"`) {
		t.Errorf("after the policy has changed: %d %s", status, body)
	}
}

// Data are carried to a server without network, as feeds or as a signed bundle.
func TestVulnDBCommands(t *testing.T) {
	one, two := startServer(t, "--distributions", "bookworm"), startServer(t, "--distributions", "bookworm")
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	data := func(s *testServer) string { return filepath.Join(s.cmd.Dir, "data") }
	status, out, errs := invoke(t, nil, "vulndb", "import", "debian="+file("json", tracker), "kev="+file("kev", exploited), "--data-dir", data(one))
	if status != 0 || !strings.Contains(out, "debian: ok, ") || !strings.Contains(out, "kev: ok, 1 records") {
		t.Fatalf("import: %d %s %s", status, out, errs)
	}
	status, bundle, errs := invoke(t, nil, "vulndb", "export", "--data-dir", data(one))
	if status != 0 || len(bundle) == 0 {
		t.Fatalf("export: %d %s", status, errs)
	}
	path := file("bundle.tar", bundle)
	key := func(s *testServer) string {
		_, body := s.call(t, "GET", "/apt/repod.asc", "", "")
		return file("key.asc", body)
	}
	if status, _, errs := invoke(t, nil, "vulndb", "import", path, "--keyring", key(two), "--data-dir", data(two)); status != 1 {
		t.Errorf("a bundle of another's: %d %s", status, errs)
	}
	if status, _, errs := invoke(t, nil, "vulndb", "import", path, "--keyring", key(one), "--data-dir", data(two)); status != 0 {
		t.Errorf("bundle: %d %s", status, errs)
	}
	status, out, errs = invoke(t, nil, "vulndb", "status", "--data-dir", data(two))
	if status != 0 || !strings.Contains(out, "debian") || !strings.Contains(out, "ok") {
		t.Errorf("status: %d %s %s", status, out, errs)
	}
	if status, _, _ := invoke(t, nil, "vulndb", "import", "nvd=x", "--data-dir", data(two)); status != 2 {
		t.Errorf("an unknown kind: %d", status)
	}
}
