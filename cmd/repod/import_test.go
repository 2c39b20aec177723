package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream/mirrortest"
	"github.com/repod-io/repod/deb/debtest"
)

// importFrom makes a mirror the only source of a server, and returns a token.
func importFrom(t *testing.T, s *testServer, m *mirrortest.Mirror) string {
	t.Helper()
	token, err := makeToken(s.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	setSource(t, s, token, map[string]any{"id": "mirror", "url": m.URL, "suite": m.Suite, "signed_by": m.PublicKey()})
	return token
}

func setSource(t *testing.T, s *testServer, token string, source map[string]any) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"import": map[string]any{"sources": []any{source}}})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := s.call(t, "PATCH", "/settings/", token, string(patch)); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
}

func newMirror(t *testing.T, packages ...debtest.Package) *mirrortest.Mirror {
	t.Helper()
	m := mirrortest.New(t)
	for _, p := range packages {
		m.Add("main", p)
	}
	m.Publish()
	return m
}

func program1(name string, fields ...string) debtest.Package {
	return debtest.Package{Name: name, Version: "1.0", Arch: "amd64", Fields: fields}
}

func TestImportCommands(t *testing.T) {
	m := newMirror(t, program1("tool", "Depends: libtool1, libmissing"), program1("libtool1"), program1("other"))
	s := startServer(t, "--outbound", "any", "--distributions", "jammy", "--rate-limits", "off")
	env := map[string]string{"REPOD_URL": s.url, "REPOD_TOKEN": importFrom(t, s, m)}
	expect := func(wantStatus int, wantOut, wantErr string, args ...string) {
		t.Helper()
		status, stdout, stderr := invoke(t, env, args...)
		if status != wantStatus || !strings.Contains(stdout, wantOut) || !strings.Contains(stderr, wantErr) {
			t.Errorf("repod %q: status %d\n%s\n%s", args, status, stdout, stderr)
		}
	}
	expect(1, "", "have a maintainer run repod sync", "import", "tool", "-d", "jammy")
	expect(0, "mirror: synced, 3 packages\n", "", "sync")
	expect(0, "mirror: unchanged, 3 packages\n", "", "sync", "mirror")
	expect(1, "", "source_not_found", "sync", "nosuch")
	expect(1, "", "no_sources_enabled", "sync", "--security")
	expect(2, "", "not both", "sync", "mirror", "--security")

	expect(0, "tool 1.0 amd64: to import (the only version offered)\nlibtool1 1.0 amd64: to import for tool", "", "import", "tool", "-d", "jammy", "--dry-run")
	expect(0, "libmissing: unresolved for tool", "", "import", "tool", "-d", "jammy", "--dry-run")
	expect(0, "", "", "import", "tool", "-d", "jammy", "--group", "tools")
	expect(0, "tool 1.0 amd64: already present", "", "import", "tool=1.0", "-d", "jammy", "--no-dependencies")
	expect(1, "other 1.0 amd64: imported\n", "repod: nothing  amd64: error: No source offers the package (package_not_found)",
		"import", "nothing", "other", "-d", "jammy")
	expect(0, `"status":"already_present"`, "", "import", "other", "-d", "jammy", "--json")
	expect(2, "", "--distribution is required", "import", "tool")
	expect(1, "", "unknown_distribution", "import", "tool", "-d", "focal")
	expect(1, "", "version_not_found", "import", "tool=9", "-d", "jammy", "--dry-run")
	expect(0, "libtool1", "", "packages", "-d", "jammy")

	m.Handle(m.Dist("InRelease"), http.NotFound)
	expect(1, "", "upstream_unreachable", "sync")
}

// A source leads only where --outbound lets it: by default not to this machine,
// however it is spelled, nor to where clouds keep credentials (S01 to S07 of the
// threats). Redirects are held to the same.
func TestImportOutbound(t *testing.T) {
	m := newMirror(t, program1("tool"))
	s := startServer(t, "--rate-limits", "off")
	token := importFrom(t, s, m)
	port := m.URL[strings.LastIndexByte(m.URL, ':'):]
	source := map[string]any{"id": "mirror", "suite": m.Suite, "signed_by": m.PublicKey()}
	for _, address := range []string{
		m.URL, "http://localhost" + port, "http://[::1]" + port, "http://0.0.0.0" + port, "http://0" + port, "http://127.1" + port,
		"http://2130706433" + port, "http://0x7f000001" + port, "http://0177.0.0.1" + port, "http://good@127.0.0.1" + port,
		"http://[::ffff:127.0.0.1]" + port, "http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://[64:ff9b::a9fe:a9fe]/",
	} {
		source["url"] = address
		setSource(t, s, token, source)
		status, body := s.call(t, "POST", "/import/sync?wait=true", token, "")
		if status != 502 || !strings.Contains(body, `"code":"upstream_unreachable"`) {
			t.Errorf("%s: %d %s", address, status, body)
		}
	}
	if got := m.Requests(); len(got) > 0 {
		t.Errorf("requests came through: %q", got)
	}
	for _, address := range []string{
		"file:///etc/passwd", "gopher://x/", "unix:///run/x", "ftp://x/", "javascript:alert(1)", "127.0.0.1", "//127.0.0.1/",
		`http://good\\@evil/`, "http://127.0.0.1#good", "http://x/?y",
	} {
		patch := fmt.Sprintf(`{"import":{"sources":[{"id":"x","suite":"s","keyring":"k","url":"%s"}]}}`, address)
		if status, body := s.call(t, "PATCH", "/settings/", token, patch); status != 422 {
			t.Errorf("%s: %d %s", address, status, body)
		}
	}
}

// What is allowed to be asked does not lead elsewhere by a redirect (I17, S05),
// and no proxy of the environment is used (S10).
func TestImportRedirect(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:9")
	m := newMirror(t, program1("tool"))
	s := startServer(t, "--outbound", "any", "--rate-limits", "off")
	token := importFrom(t, s, m)
	for _, to := range []string{"file:///etc/passwd", "gopher://127.0.0.1/", "http://169.254.169.254/latest/meta-data/", "//169.254.169.254/", "ftp://127.0.0.1/"} {
		m.Handle(m.Dist("InRelease"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		})
		if status, body := s.call(t, "POST", "/import/sync?wait=true", token, ""); status != 502 || !strings.Contains(body, `"upstream_unreachable"`) {
			t.Errorf("%s: %d %s", to, status, body)
		}
	}
	m.Handle(m.Dist("InRelease"), nil)
	if status, body := s.call(t, "POST", "/import/sync?wait=true", token, ""); status != 200 {
		t.Errorf("without a redirect: %d %s", status, body)
	}
}

// What a source offered is gone when it becomes another source, or none.
func TestSourceChanges(t *testing.T) {
	m := newMirror(t, program1("tool"))
	s := startServer(t, "--outbound", "any", "--rate-limits", "off")
	token := importFrom(t, s, m)
	source := map[string]any{"id": "mirror", "url": m.URL, "suite": m.Suite, "signed_by": m.PublicKey()}
	for name, change := range map[string]func(){
		"other components": func() {
			source["components"] = []string{"main", "contrib"}
			setSource(t, s, token, source)
		},
		"deleted": func() {
			if status, body := s.call(t, "DELETE", "/import/sources/mirror", token, ""); status != 204 {
				t.Fatalf("%d %s", status, body)
			}
			setSource(t, s, token, source)
		},
	} {
		delete(source, "components")
		setSource(t, s, token, source)
		if status, body := s.call(t, "POST", "/import/sync?wait=true", token, ""); status != 200 {
			t.Fatalf("%s: %d %s", name, status, body)
		}
		change()
		status, body := s.call(t, "GET", "/import/sync-status", token, "")
		if status != 200 || !strings.Contains(body, `"status":"never"`) || !strings.Contains(body, `"package_count":0`) {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if status, body := s.call(t, "GET", "/import/search?q=tool", token, ""); status != 424 {
			t.Errorf("%s: search: %d %s", name, status, body)
		}
	}
}

// A job whose server was killed is taken over by the next one, and finds what
// was imported by then.
func TestImportSurvivesRestart(t *testing.T) {
	var packages []debtest.Package
	var wanted []map[string]string
	for i := range 12 {
		name := fmt.Sprintf("tool%d", i)
		packages = append(packages, program1(name))
		wanted = append(wanted, map[string]string{"name": name, "distribution": "jammy"})
	}
	m := newMirror(t, packages...)
	stuck, free := make(chan struct{}, 100), make(chan struct{})
	last := "pool/main/t/tool11/tool11_1.0_amd64.deb"
	body := m.Get(last)
	m.Handle(last, func(w http.ResponseWriter, r *http.Request) {
		stuck <- struct{}{}
		select {
		case <-free:
			_, _ = w.Write(body)
		case <-r.Context().Done():
		}
	})
	s := startServer(t, "--outbound", "any", "--distributions", "jammy", "--rate-limits", "off")
	token := importFrom(t, s, m)
	if status, body := s.call(t, "POST", "/import/sync?wait=true", token, ""); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	text, err := json.Marshal(map[string]any{"packages": wanted})
	if err != nil {
		t.Fatal(err)
	}
	status, answer := s.call(t, "POST", "/import/batch", token, string(text))
	var job struct {
		ID     string `json:"job_id"`
		Status string
		Result struct {
			Status                    string
			Imported, Skipped, Errors int
		}
	}
	if err := json.Unmarshal([]byte(answer), &job); err != nil || status != 202 {
		t.Fatalf("%d %s", status, answer)
	}
	<-stuck
	s.kill()
	close(free)
	again, err := launch(s.cmd.Dir, s.log, s.cmd.Env, s.cmd.Args[4:]...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.cmd.Process.Kill() })
	for deadline := time.Now().Add(time.Minute); job.Status != "done"; time.Sleep(50 * time.Millisecond) {
		status, answer = again.call(t, "GET", "/jobs/"+job.ID, token, "")
		if err := json.Unmarshal([]byte(answer), &job); err != nil || status != 200 || job.Status == "error" || time.Now().After(deadline) {
			t.Fatalf("%d %s", status, answer)
		}
	}
	if r := job.Result; r.Status != "done" || r.Imported+r.Skipped != 12 || r.Errors != 0 {
		t.Errorf("the job ended as %s", answer)
	}
	if status, body := again.call(t, "GET", "/distributions/jammy/packages", token, ""); status != 200 || !strings.Contains(body, `"total":12`) {
		t.Errorf("jammy: %d %s", status, body)
	}
	if err := again.stop(); err != nil {
		t.Error(err)
	}
}
