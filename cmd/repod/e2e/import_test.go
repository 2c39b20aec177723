package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// debianKeys is the keyring of the package debian-archive-keyring.
const debianKeys = "/usr/share/keyrings/debian-archive-keyring.gpg"

// A replica is a part of Debian's own archive on a loopback address: the signed
// indices that this machine's apt has fetched, and some packages.
type replica struct {
	dir      string
	url      string
	suites   []suite
	codename string
	requests atomic.Int64
}

// A suite is a directory below dists of one of the archives.
type suite struct {
	archive string // "debian" or "debian-security"
	name    string // "bookworm-security"
}

// newReplica serves the lists of this machine's apt, and the files at the
// places that the lists name.
func newReplica(t *testing.T, d debian) *replica {
	t.Helper()
	needPrograms(t, "apt-get")
	if _, err := os.Stat(debianKeys); err != nil {
		lacking(t, "the package debian-archive-keyring is not installed")
	}
	r := &replica{dir: t.TempDir()}
	releases, err := filepath.Glob(filepath.Join(d.lists, "*_dists_*_InRelease"))
	if err != nil {
		t.Fatal(err)
	}
	byHash := make(map[string]string)
	for _, f := range slices.Concat(d.minimal, d.programs) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		byHash[hex.EncodeToString(sum[:])] = f
	}
	for _, release := range releases {
		r.add(t, release, byHash)
	}
	if len(r.suites) == 0 || len(byHash) > 0 {
		t.Fatalf("%d suites in %s, which do not list %d of the packages", len(r.suites), d.lists, len(byHash))
	}
	static := http.FileServer(http.Dir(r.dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.requests.Add(1)
		static.ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

// add takes over the index of main for amd64 of a suite, and the packages that
// it lists out of byHash.
func (r *replica) add(t *testing.T, release string, byHash map[string]string) {
	t.Helper()
	head, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(release), "_InRelease"), "_dists_")
	s := suite{archive: head[strings.LastIndexByte(head, '_')+1:], name: name}
	if s.archive != "debian" && s.archive != "debian-security" {
		return
	}
	lists, err := filepath.Glob(strings.TrimSuffix(release, "InRelease") + "main_binary-amd64_Packages*")
	if err != nil || len(lists) != 1 {
		return
	}
	plain, err := exec.Command("/usr/lib/apt/apt-helper", "cat-file", lists[0]).Output()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := os.ReadFile(release)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(plain)
	line := fmt.Sprintf("%x %d main/binary-amd64/Packages\n", sum, len(plain))
	if !bytes.Contains(bytes.Join(bytes.Fields(signed), []byte(" ")), []byte(strings.TrimSpace(line))) {
		return // apt has fetched the one and not yet the other
	}
	r.suites = append(r.suites, s)
	if s.archive == "debian" && !strings.Contains(s.name, "-") {
		r.codename = s.name
	}
	dists := filepath.Join(r.dir, s.archive, "dists", s.name)
	writeFile(t, filepath.Join(dists, "InRelease"), signed)
	writeFile(t, filepath.Join(dists, "main/binary-amd64/Packages"), plain)
	var filename string
	for text := range strings.Lines(string(plain)) {
		field, value, _ := strings.Cut(strings.TrimSpace(text), ": ")
		switch field {
		case "Filename":
			filename = value
		case "SHA256":
			if from := byHash[value]; from != "" {
				r.place(t, from, filepath.Join(r.dir, s.archive, filename))
				delete(byHash, value)
			}
		}
	}
}

func (r *replica) place(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, data)
}

// sources is the setting that makes a server import from the replica.
func (r *replica) sources(target string) map[string]any {
	var list []map[string]any
	for _, s := range r.suites {
		list = append(list, map[string]any{
			"id": s.name, "url": r.url + "/" + s.archive + "/", "suite": s.name, "keyring": "debian-archive",
			"security": s.archive == "debian-security", "target_distribution": target,
		})
	}
	return map[string]any{"import": map[string]any{
		"sources": list, "schedule_enabled": false, "pull_through": []string{"through"},
	}}
}

// TestImportDebian imports real packages, with Debian's own signatures, and
// lives on what comes of it: apt installs programs from the server alone,
// mmdebstrap builds a system, and a distribution without packages gets them as
// apt asks for them.
func TestImportDebian(t *testing.T) {
	slow(t)
	d := fetchDebian(t)
	up := newReplica(t, d)
	s := serve(t, t.TempDir(), "--distributions", "bookworm,tools,through", "--outbound", "any")
	token := newToken(t, s)
	text, err := json.Marshal(up.sources(""))
	if err != nil {
		t.Fatal(err)
	}
	must(t, http.StatusOK)(newAPI(s.URL, token).do(t.Context(), http.MethodPatch, "/settings/", "application/json", bytes.NewReader(text)))

	out := output(t, client(t.Context(), t, s, token, "sync"))
	if n := strings.Count(out, ": synced, "); n != len(up.suites) {
		t.Fatalf("repod sync: %s", out)
	}
	before := up.requests.Load()
	out = output(t, client(t.Context(), t, s, token, "sync"))
	if n := strings.Count(out, ": unchanged, "); n != len(up.suites) || up.requests.Load()-before != int64(len(up.suites)) {
		t.Errorf("repod sync, again, with %d requests: %s", up.requests.Load()-before, out)
	}

	t.Run("pull-through", func(t *testing.T) { pullThrough(t, s, d.programs) })
	t.Run("programs", func(t *testing.T) { importPrograms(t, s, token, d.programs) })
	t.Run("system", func(t *testing.T) { importSystem(t, s, token, d.minimal) })
	t.Run("bills", func(t *testing.T) { bills(t, s, token, len(d.minimal)) })
	s.stop(t)
	files := make(map[string]bool) // some are in both sets
	for _, f := range slices.Concat(d.minimal, d.programs) {
		files[filepath.Base(f)] = true
	}
	if report := fsck(t, s.Dir); report.Published != len(files) {
		t.Errorf("fsck found %d published packages of %d", report.Published, len(files))
	}
	if left := leftovers(t, s.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// importPrograms imports programs by name, with what they need, and has apt
// install them.
func importPrograms(t *testing.T, s *server, token string, files []string) {
	out := output(t, client(t.Context(), t, s, token, append([]string{"import", "-d", "tools", "--json"}, programs...)...))
	var result struct {
		Status   string
		Imported int
		Results  []struct{ Name, Version, Status string }
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if result.Status != "done" || len(result.Results) != len(programs) {
		t.Fatalf("repod import: %s", out)
	}
	check := newChecker(t, s)
	st, err := check.verify(t.Context(), "tools", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := check.pool(t.Context(), st); err != nil {
		t.Error(err)
	}
	if len(st.Packages) != result.Imported {
		t.Errorf("%d packages were imported, the index lists %d", result.Imported, len(st.Packages))
	}
	t.Logf("%d packages for %d programs; apt takes %d", result.Imported, len(programs), len(files))
	root := newAptRoot(t, check.base, "tools", check.keyring)
	if err := root.update(t.Context()); err != nil {
		t.Fatal(err)
	}
	output(t, root.command(t.Context(), "apt-get", append([]string{"-q", "-y", "install", "--download-only", "--no-install-recommends"}, programs...)...))
	if got := root.archives(t); len(got) < len(files)-2 {
		t.Errorf("apt has downloaded %d packages, from Debian it was %d", len(got), len(files))
	}
	again := output(t, client(t.Context(), t, s, token, append([]string{"import", "-d", "tools"}, programs...)...))
	if n := strings.Count(again, ": already present"); n != len(programs) {
		t.Errorf("repod import, again: %s", again)
	}
}

// importSystem imports the packages of a minimal system in one batch.
func importSystem(t *testing.T, s *server, token string, files []string) {
	var wanted, names []string
	for _, f := range files {
		p := inspect(t, f)
		names = append(names, p.Name)
		wanted = append(wanted, p.Name+"="+p.Version)
	}
	out := output(t, client(t.Context(), t, s, token, append([]string{"import", "-d", "bookworm", "--group", "minimal"}, wanted...)...))
	if n := strings.Count(out, "\n"); n != len(files) {
		t.Errorf("repod import tells of %d packages of %d: %s", n, len(files), out)
	}
	check := newChecker(t, s)
	root := newAptRoot(t, check.base, "bookworm", check.keyring)
	installAll(t, root, names)
	bootstrap(t, check, names)
}

// pullThrough has apt install programs from a distribution into which nobody has
// imported anything.
func pullThrough(t *testing.T, s *server, files []string) {
	check := newChecker(t, s)
	root := newAptRoot(t, check.base, "through", check.keyring)
	if err := root.update(t.Context()); err != nil {
		t.Fatal(err)
	}
	output(t, root.command(t.Context(), "apt-get", append([]string{"-q", "-y", "install", "--download-only", "--no-install-recommends"}, programs...)...))
	if got := root.archives(t); len(got) != len(files) {
		t.Errorf("apt has downloaded %d packages, from Debian it was %d", len(got), len(files))
	}
}
