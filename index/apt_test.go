package index

import (
	"bytes"
	"fmt"
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
	mu       sync.Mutex
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
}

func (s *aptServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.URL.Path)
	s.mu.Unlock()
	if s.hidden != "" && strings.Contains(r.URL.Path, s.hidden) {
		http.NotFound(w, r)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/dists/test/")
	if data, ok := s.files[path]; ok {
		http.ServeContent(w, r, "", time.Now(), bytes.NewReader(data))
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
