package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/scan/vuln"
)

// A flawed storage breaks one of the rules that doctor tries out.
type flawed struct {
	storage.Mem
	flaw string
}

var errFlaw = errors.New("the disk is gone")

func (f *flawed) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	switch _, _, err := f.Mem.Open(ctx, key); {
	case f.flaw == "does not write":
		return errFlaw
	case f.flaw == "does not replace" && err == nil:
		return nil
	}
	return f.Mem.Put(ctx, key, r)
}

func (f *flawed) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	if f.flaw == "creates twice" {
		return f.Mem.Put(ctx, key, r)
	}
	return f.Mem.Create(ctx, key, r)
}

func (f *flawed) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	if f.flaw == "spoils" {
		return io.NopCloser(strings.NewReader("rotten")), storage.Info{Key: key}, nil
	}
	return f.Mem.Open(ctx, key)
}

func (f *flawed) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		if f.flaw == "cannot list" {
			yield(storage.Info{}, errFlaw)
			return
		}
		first := true
		for info, err := range f.Mem.List(ctx, prefix) {
			if f.flaw == "forgets" && first {
				first = false
				continue
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func (f *flawed) Delete(ctx context.Context, key string) error {
	if f.flaw == "keeps" {
		return nil
	}
	return f.Mem.Delete(ctx, key)
}

func TestProbeStorage(t *testing.T) {
	for flaw, want := range map[string]string{
		"":                 "",
		"does not write":   "writing: the disk is gone",
		"does not replace": "what is read is not what was written",
		"creates twice":    "can be created again",
		"spoils":           "what is read is not what was written",
		"cannot list":      "listing: the disk is gone",
		"forgets":          "of 2 files 1 are listed",
		"keeps":            "a deleted file is still there",
	} {
		s := &flawed{flaw: flaw}
		err := probeStorage(t.Context(), s)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("one that %s: %v, want %q", flaw, err, want)
		}
		if flaw == "keeps" {
			continue
		}
		for info := range s.Mem.List(t.Context(), "") {
			t.Errorf("one that %s: %s is left", flaw, info.Key)
		}
	}
}

// A directory is left as it was found.
func TestProbeLeavesNothing(t *testing.T) {
	path := t.TempDir()
	dir, err := storage.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	before, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := probeStorage(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadDir(path); err != nil || len(after) != len(before) {
		t.Errorf("the directory holds %v, held %v (%v)", after, before, err)
	}
}

func TestQuickEnough(t *testing.T) {
	detail, err := quickEnough("SQLite 3", 27, 412*time.Microsecond)
	if err != nil || detail != "SQLite 3, tables at step 27, answers in 410µs" {
		t.Errorf("%q, %v", detail, err)
	}
	if _, err := quickEnough("PostgreSQL 15", 27, slowDatabase+time.Millisecond); err == nil || !strings.Contains(err.Error(), "answers in 101ms: bring it nearer") {
		t.Errorf("a slow one: %v", err)
	}
}

func TestSameClock(t *testing.T) {
	for skew, same := range map[time.Duration]bool{0: true, time.Minute: true, -time.Minute: true, 61 * time.Second: false, -time.Hour: false} {
		if err := sameClock("the database's", skew); (err == nil) != same {
			t.Errorf("%v: %v", skew, err)
		}
	}
}

// A database that anybody may read is told of, and so is one that is not there.
func TestDoctorOnDatabase(t *testing.T) {
	s := startServer(t)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(filepath.Dir(s.log), "data")
	_, stdout, _ := invoke(t, nil, "doctor", "--data-dir", data)
	for _, want := range []string{"ok    secrets ", "ok    database       SQLite 3", "ok    storage "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if err := os.Chmod(filepath.Join(data, "repod.db"), 0o644); err != nil {
		t.Fatal(err)
	}
	status, stdout, _ := invoke(t, nil, "doctor", "--data-dir", data)
	if status != exitFailure || !strings.Contains(stdout, "FAIL  secrets ") || !strings.Contains(stdout, "chmod 0600 "+data) {
		t.Errorf("status %d\n%s", status, stdout)
	}
	env := map[string]string{"REPOD_SECRET_KEY": strings.Repeat("A", 43)}
	status, stdout, _ = invoke(t, env, "doctor", "--data-dir", data, "--database-url", "postgres://nobody:canary@"+closedPort(t)+"/x?connect_timeout=2")
	if status != exitFailure || !strings.Contains(stdout, "FAIL  repository ") || !strings.Contains(stdout, "check --database-url") || strings.Contains(stdout, "canary") {
		t.Errorf("status %d\n%s", status, stdout)
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// What the settings lead to is tried: as it should be, broken, and where the
// policy for outgoing connections is in the way.
func TestDoctorLooksOutside(t *testing.T) {
	_, box := openPostbox(t)
	mail := box.String()
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer hook.Close()
	s := startServer(t, "--outbound", "any", "--rate-limits", "off")
	admin, err := makeToken(s.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	doctor := func(outbound string) string {
		_, stdout, _ := invoke(t, nil, "doctor", "--outbound", outbound, "--data-dir", filepath.Join(filepath.Dir(s.log), "data"))
		return stdout
	}
	set := func(publicURL, mail, hook, ldap string) {
		t.Helper()
		host, port, _ := net.SplitHostPort(mail)
		patchSettings(t, s, admin, fmt.Sprintf(`{"public_url":%q,
			"smtp":{"enabled":true,"host":%q,"port":%s,"tls":"none","from":"repod@example.com"},
			"webhook":{"enabled":true,"url":%q,"max_attempts":1},
			"ldap":{"enabled":true,"url":%q,"base_dn":"dc=example"}}`, publicURL, host, port, hook+"/a-key-in-the-path", ldap))
	}
	expect := func(what, stdout string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(stdout, w) {
				t.Errorf("%s: no %q", what, w)
			}
		}
		if strings.Contains(stdout, "a-key-in-the-path") {
			t.Errorf("%s: a webhook's path, which may be a key, is shown", what)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", what, stdout)
		}
	}
	dead := closedPort(t)
	set(s.url, mail, hook.URL, "ldap://"+dead)
	expect("sound", doctor("any"), "ok    public URL ", "ok    mail ", "ok    webhook ",
		"FAIL  directory ", "POST /settings/test-ldap")
	expect("policy", doctor("private"), "FAIL  mail ", "FAIL  webhook ", "--outbound is private; choose a wider one")

	set(hook.URL, dead, "http://"+dead, "ldap://"+dead)
	expect("broken", doctor("any"), "FAIL  public URL ", "is another repository, or none", "FAIL  mail ", "POST /settings/test-email",
		"FAIL  webhook ", "POST /settings/test-webhook")
	if status, text := s.call(t, "POST", "/distributions/init", admin, `{"codename":"lost"}`); status != 201 {
		t.Fatal(text)
	}
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(doctor("any"), "FAIL  deliveries     1 of "); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no word of a webhook that was given up:\n%s", doctor("any"))
		}
	}
	set("http://"+dead, mail, hook.URL, "ldap://"+dead)
	expect("unreachable", doctor("any"), "FAIL  public URL ", "clients cannot get there from here")
}

// What a server could not fetch is told of, and what it was asked for is said.
func TestDoctorTellsOfUpdates(t *testing.T) {
	s := startServer(t)
	data := filepath.Join(filepath.Dir(s.log), "data")
	doctor := func() string {
		_, stdout, _ := invoke(t, nil, "doctor", "--data-dir", data)
		return stdout
	}
	if out := doctor(); !strings.Contains(out, "ok    sources ") || !strings.Contains(out, "ok    feeds ") || strings.Contains(out, "FAIL") {
		t.Errorf("at first:\n%s", out)
	}
	setting, err := testSettings(t, nil, "--data-dir", data)
	if err != nil {
		t.Fatal(err)
	}
	c, err := setting.storeConfig()
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.open(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	presets := upstream.Presets()
	i := slices.IndexFunc(presets, func(s upstream.Source) bool { return s.Enabled })
	if i < 0 {
		t.Fatal("no preset is enabled")
	}
	source := presets[i].ID
	err = o.db.SaveState(t.Context(), upstream.State{
		SourceID: source, Status: "error", LastAttempt: time.Now().UTC().Truncate(time.Second), Code: "upstream_unreachable", Detail: "no answer",
	})
	if err != nil {
		t.Fatal(err)
	}
	feeds := openVulnData(o, slog.New(slog.DiscardHandler))
	defer feeds.Close()
	if _, err := feeds.Import(t.Context(), vuln.Feed{ID: "kev", Kind: vuln.KEV, Err: errors.New("the server answered 500")}); err != nil {
		t.Fatal(err)
	}
	out := doctor()
	for _, want := range []string{
		"FAIL  sources ", source + " (upstream_unreachable: no answer)", "POST /import/sync/{source_id}",
		"FAIL  feeds ", "kev (the server answered 500)", "POST /security/rescan",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestDoctorOnFilesOfSecrets(t *testing.T) {
	s := startServer(t)
	data := filepath.Join(filepath.Dir(s.log), "data")
	for mode, want := range map[os.FileMode]string{0o640: "ok    secrets ", 0o604: "FAIL  secrets ", 0o600: "ok    secrets "} {
		path := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(path, []byte(testPassword), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, out, _ := invoke(t, map[string]string{"REPOD_ADMIN_PASSWORD_FILE": path}, "doctor", "--data-dir", data)
		if !strings.Contains(out, want) || strings.HasPrefix(want, "FAIL") && !strings.Contains(out, "chmod 0600 "+path) {
			t.Errorf("mode %04o: no %q in\n%s", mode, want, out)
		}
	}
}
