package index

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAPT lets the real apt fetch what this package makes.
func TestAPT(t *testing.T) {
	apt := needProgram(t, "apt-get")
	ed, rsa := makeKey(t, KeyOptions{}), mustRSA(t)
	blobs := newMemBlobs()
	stanzas := makeStanzas(0, 700)
	gz := mustApply(t, blobs, NewLog(), Edit{Add: stanzas})
	gz = mustApply(t, blobs, gz, Edit{Remove: idsOf(stanzas[3], stanzas[650])})
	compacted, err := gz.Compact(t.Context(), blobs)
	if err != nil {
		t.Fatal(err)
	}
	both := mustApply(t, blobs, NewLog(Zstd), Edit{Add: stanzas})

	for name, c := range map[string]struct {
		log     *Log
		signers []*Key
		trusted Keyring
		hidden  string // part of the paths that the server does not have, or a form
		want    string // a request, or a message of failure
		fails   bool
	}{
		"gzip":            {log: gz, signers: []*Key{ed}, trusted: ed.ring(), want: "by-hash/SHA256/" + gz.files[1].SHA256},
		"compacted":       {log: compacted, signers: []*Key{ed, rsa}, trusted: rsa.ring(), want: "by-hash/SHA256/" + compacted.files[1].SHA256},
		"no gzip":         {log: both, signers: []*Key{ed}, trusted: ed.ring(), hidden: ".gz", want: "by-hash/SHA256/" + both.files[2].SHA256},
		"empty":           {log: NewLog(), signers: []*Key{rsa}, trusted: rsa.ring(), want: "InRelease"}, // apt knows what it would get
		"detached":        {log: gz, signers: []*Key{rsa, ed}, trusted: ed.ring(), hidden: "InRelease", want: "Release.gpg"},
		"another's key":   {log: gz, signers: []*Key{ed}, trusted: rsa.ring(), want: "NO_PUBKEY", fails: true},
		"index withheld":  {log: gz, signers: []*Key{ed}, trusted: ed.ring(), hidden: "binary-amd64", want: "404", fails: true},
		"nothing at all":  {log: gz, signers: []*Key{ed}, trusted: ed.ring(), hidden: "dists", want: "404", fails: true},
		"truncated index": {log: gz, signers: []*Key{ed}, trusted: ed.ring(), hidden: "truncate", want: "Hash Sum mismatch", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &aptServer{t: t, log: c.log, blobs: blobs, hidden: c.hidden}
			server.sign(&OpenPGP{Keys: c.signers})
			web := httptest.NewServer(server)
			defer web.Close()
			root := aptRoot(t, web.URL, c.trusted)
			cmd := exec.Command(apt, "update")
			cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(root, "apt.conf"), "LC_ALL=C")
			out, err := cmd.CombinedOutput()
			if c.fails {
				if err == nil || !strings.Contains(string(out), c.want) {
					t.Errorf("apt-get update: %v\n%s", err, out)
				}
				return
			}
			if err != nil {
				t.Fatalf("apt-get update: %v\n%s", err, out)
			}
			if !slices.ContainsFunc(server.requests, func(r string) bool { return strings.HasSuffix(r, c.want) }) {
				t.Errorf("apt did not ask for %s, but for %q", c.want, server.requests)
			}
			if c.log.Len() == 0 {
				return
			}
			lists, err := filepath.Glob(filepath.Join(root, "var/lib/apt/lists/*_Packages"))
			if err != nil || len(lists) != 1 {
				t.Fatalf("lists %q, %v", lists, err)
			}
			got, err := os.ReadFile(lists[0])
			if err != nil || !bytes.Equal(got, readLog(t, blobs, c.log, "")) {
				t.Errorf("apt has %d bytes, want %d (%v)", len(got), c.log.PlainSize(), err)
			}
		})
	}
}

// aptServer serves a distribution with one Packages file straight from a Log.
type aptServer struct {
	t        *testing.T
	log      *Log
	blobs    Blobs
	hidden   string
	files    map[string][]byte
	patches  []PatchFile
	mu       sync.Mutex // held while a request is answered
	requests []string
}

func (s *aptServer) sign(signer Signer) {
	s.t.Helper()
	release := Release{
		Origin: "Test", Label: "Test", Suite: "test", Codename: "test",
		Date: time.Now(), ValidUntil: time.Now().Add(time.Hour),
		Architectures: []string{"amd64"}, Components: []string{"main"}, AcquireByHash: true,
		Files: s.log.Files("main/binary-amd64/Packages"),
	}
	patches := make(map[string][]byte)
	for i, f := range s.patches {
		entry := FileEntry{Path: "main/binary-amd64/" + f.Name, Size: int64(len(f.Data)), SHA256: fmt.Sprintf("%x", sha256.Sum256(f.Data))}
		patches[entry.Path] = f.Data
		if i == 0 {
			release.Files = append(release.Files, entry)
			patches[entry.ByHash()] = f.Data
		}
	}
	text, err := release.AppendTo(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	clear, err := signer.ClearSign(s.t.Context(), text)
	if err != nil {
		s.t.Fatal(err)
	}
	detached, err := signer.DetachSign(s.t.Context(), text)
	if err != nil {
		s.t.Fatal(err)
	}
	s.files = map[string][]byte{"InRelease": clear, "Release": text, "Release.gpg": detached}
	maps.Copy(s.files, patches)
}

func (s *aptServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.URL.Path)
	if s.hidden != "" && strings.Contains(r.URL.Path, s.hidden) {
		http.NotFound(w, r)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/dists/test/")
	if data, ok := s.files[path]; ok {
		// Without a time: two states within one second must not look the same.
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		return
	}
	for i, f := range s.log.Files("main/binary-amd64/Packages") {
		if path != f.Path && path != f.ByHash() || s.hidden == s.log.ext(i) && i > 0 {
			continue
		}
		file, err := s.log.Open(r.Context(), s.blobs, s.log.ext(i))
		if err != nil {
			s.t.Error(err)
			return
		}
		defer file.Close()
		if s.hidden == "truncate" {
			w.Write(readLog(s.t, s.blobs, s.log, s.log.ext(i))[1:])
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Now(), file)
		return
	}
	http.NotFound(w, r)
}

// aptRoot makes directories of apt's own, which know the server as their only
// source.
func aptRoot(t *testing.T, url string, trusted Keyring) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{
		"etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d",
		"etc/apt/auth.conf.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg", "var/log/apt",
	} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	key := filepath.Join(root, "etc/apt/key.asc")
	for name, text := range map[string]string{
		"var/lib/dpkg/status":  "",
		"etc/apt/key.asc":      string(trusted.Armored()),
		"etc/apt/sources.list": fmt.Sprintf("deb [signed-by=%s] %s test main\n", key, url),
		// Settings of the machine would be read from its /etc otherwise.
		"apt.conf": fmt.Sprintf(`Dir "%[1]s/";
Dir::State::status "%[1]s/var/lib/dpkg/status";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::GzipIndexes "false";
Acquire::Check-Valid-Until "true";
Acquire::Check-Date "true";
Acquire::Retries "0";
Acquire::http::Proxy "DIRECT";
`, root),
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestAPTPatches lets apt update, publishes, and lets it update again.
func TestAPTPatches(t *testing.T) {
	apt := needProgram(t, "apt-get")
	key := makeKey(t, KeyOptions{})
	for name, c := range map[string]struct {
		publications int
		edit         func(l *Log, blobs Blobs) *Log // after those
		hidden       string
		option       string
		whole        bool // whether apt has to fetch the whole file in the end
	}{
		"one behind":       {publications: 1},
		"three behind":     {publications: 3},
		"sixty behind":     {publications: 60},
		"compressed lists": {publications: 3, option: "Acquire::GzipIndexes=true"},
		"patch missing":    {publications: 3, hidden: "-F-", whole: true},
		"stanza removed": {publications: 3, whole: true, edit: func(l *Log, blobs Blobs) *Log {
			return mustApply(t, blobs, l, Edit{Remove: idsOf(makeStanza(5))})
		}},
		"compacted": {publications: 3, whole: true, edit: func(l *Log, blobs Blobs) *Log {
			l, err := l.Compact(t.Context(), blobs)
			if err != nil {
				t.Error(err)
			}
			return l
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := newPatchSite(t, key)
			site.apt, site.option, site.hidden = apt, c.option, c.hidden
			site.update()
			for i := range c.publications {
				site.publish(mustApply(t, site.blobs, site.log, Edit{Add: [][]byte{makeStanza(10_000 + i)}}))
			}
			if c.edit != nil {
				site.publish(c.edit(site.log, site.blobs))
				// Patches begin anew, but not for this client.
				site.publish(mustApply(t, site.blobs, site.log, Edit{Add: [][]byte{makeStanza(20_000)}}))
			}
			got := site.update()
			want := map[string]int{"Index": 1, "patch": 1}
			if c.whole {
				want["whole"] = 1
			}
			if c.edit != nil {
				delete(want, "patch")
			}
			if !maps.Equal(got, want) {
				t.Errorf("apt fetched %v, want %v: %q", got, want, site.requests)
			}

			// Whatever it did, apt is on the track again.
			site.hidden = ""
			site.publish(mustApply(t, site.blobs, site.log, Edit{Add: [][]byte{makeStanza(30_000)}}))
			if got, want := site.update(), (map[string]int{"Index": 1, "patch": 1}); !maps.Equal(got, want) {
				t.Errorf("then apt fetched %v, want %v: %q", got, want, site.requests)
			}
		})
	}
}

// A patchSite is a distribution that is published step by step, and an apt
// that knows it.
type patchSite struct {
	*aptServer
	key     *Key
	history History
	at      time.Time
	root    string
	apt     string
	option  string
}

func newPatchSite(t *testing.T, key *Key) *patchSite {
	blobs := newMemBlobs()
	s := &patchSite{aptServer: &aptServer{t: t, blobs: blobs}, key: key, at: historyStart}
	s.publish(mustApply(t, blobs, NewLog(), Edit{Add: makeStanzas(0, 800)}))
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	s.root = aptRoot(t, web.URL, key.ring())
	return s
}

func (s *patchSite) publish(l *Log) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(time.Minute)
	s.history, s.log = mustAdvance(s.t, s.blobs, s.history, s.log, l, s.at), l
	var err error
	if s.patches, err = patchFiles(s.history, l); err != nil {
		s.t.Fatal(err)
	}
	s.sign(&OpenPGP{Keys: []*Key{s.key}})
}

// update runs apt, compares its list with what was published, and counts what
// it asked for to get there.
func (s *patchSite) update() map[string]int {
	s.t.Helper()
	s.mu.Lock()
	s.requests = nil
	s.mu.Unlock()
	cmd := exec.Command(s.apt, "update", "-o", s.option)
	if s.option == "" {
		cmd.Args = cmd.Args[:2]
	}
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(s.root, "apt.conf"), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("\nW: ")) {
		s.t.Fatalf("apt-get update: %v\n%s", err, out)
	}
	s.mu.Lock() // for the sake of requests that are over, but not done with
	defer s.mu.Unlock()
	lists, err := filepath.Glob(filepath.Join(s.root, "var/lib/apt/lists/*_Packages*"))
	lists = slices.DeleteFunc(lists, func(name string) bool { return strings.HasSuffix(name, ".diff_Index") })
	if err != nil || len(lists) != 1 {
		s.t.Fatalf("lists %q, %v", lists, err)
	}
	// apt chooses how to compress what it keeps.
	got, err := exec.Command(needProgram(s.t, "/usr/lib/apt/apt-helper"), "cat-file", lists[0]).Output()
	if want := readLog(s.t, s.blobs, s.log, ""); err != nil || !bytes.Equal(got, want) {
		s.t.Fatalf("apt has another list, %d bytes, %v", len(got), err)
	}
	fetched := make(map[string]int)
	for _, r := range s.requests {
		switch {
		case strings.HasSuffix(r, s.log.files[1].SHA256):
			fetched["whole"]++
		case strings.Contains(r, "Packages.diff/T-"):
			fetched["patch"]++
		case strings.Contains(r, "Packages.diff/"):
			fetched["Index"]++
		case !strings.HasSuffix(r, "/InRelease"):
			fetched[r]++
		}
	}
	return fetched
}
