package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/index"
)

func TestValidate(t *testing.T) {
	good := Source{ID: "a", URL: "http://example.org/debian", Suite: "bookworm", Keyring: "debian-archive"}
	for name, change := range map[string]func(*Source){
		"as it is":          func(*Source) {},
		"all of it":         func(s *Source) { *s = Presets()[0] },
		"port and password": func(s *Source) { s.URL = "https://u:p@[::1]:8443/a%20b/" },
		"folders":           func(s *Source) { s.Suite, s.Components = "bookworm/updates", []string{"updates/main"} },
		"key":               func(s *Source) { s.Keyring, s.SignedBy = "", armored(t, "a")+armored(t, "b") },
		"architectures":     func(s *Source) { s.Architectures = []string{"arm64", "amd64"} },
	} {
		s := good
		if change(&s); len(s.Validate()) > 0 {
			t.Errorf("%s: %v", name, s.Validate())
		}
	}
	for _, tt := range []struct {
		field  string
		change func(*Source)
	}{
		{"id", func(s *Source) { s.ID = "" }},
		{"id", func(s *Source) { s.ID = ".." }},
		{"id", func(s *Source) { s.ID = "a/b" }},
		{"id", func(s *Source) { s.ID = "a\n" }},
		{"id", func(s *Source) { s.ID = strings.Repeat("a", 65) }},
		{"url", func(s *Source) { s.URL = "" }},
		{"url", func(s *Source) { s.URL = "file:///srv/debian" }},
		{"url", func(s *Source) { s.URL = "gopher://example.org/" }},
		{"url", func(s *Source) { s.URL = "//example.org/" }},
		{"url", func(s *Source) { s.URL = "http:///debian" }},
		{"url", func(s *Source) { s.URL = "http:example.org" }},
		{"url", func(s *Source) { s.URL = "http://:80/" }},
		{"url", func(s *Source) { s.URL = "http://example.org/?x" }},
		{"url", func(s *Source) { s.URL = "http://example.org/?" }},
		{"url", func(s *Source) { s.URL = "http://example.org/#" }},
		{"url", func(s *Source) { s.URL = `http://good\@evil/` }},
		{"url", func(s *Source) { s.URL = "http://example.org/a/../b" }},
		{"url", func(s *Source) { s.URL = "http://example.org/%2e%2e/b" }},
		{"url", func(s *Source) { s.URL = "http://example.org/a\nb" }},
		{"url", func(s *Source) { s.URL = "http://example.org/a%0ab" }},
		{"suite", func(s *Source) { s.Suite = "" }},
		{"suite", func(s *Source) { s.Suite = "book worm" }},
		{"suite", func(s *Source) { s.Suite = "../x" }},
		{"suite", func(s *Source) { s.Suite = "/x" }},
		{"suite", func(s *Source) { s.Suite = "x/" }},
		{"suite", func(s *Source) { s.Suite = "x%2fy" }},
		{"components", func(s *Source) { s.Components = []string{"main", "main"} }},
		{"components", func(s *Source) { s.Components = []string{"a b"} }},
		{"components", func(s *Source) { s.Components = []string{"../x"} }},
		{"components", func(s *Source) { s.Components = []string{""} }},
		{"components", func(s *Source) { s.Components = make([]string, 21) }},
		{"architectures", func(s *Source) { s.Architectures = []string{"all"} }},
		{"architectures", func(s *Source) { s.Architectures = []string{"x86"} }},
		{"architectures", func(s *Source) { s.Architectures = []string{"amd64", "amd64"} }},
		{"keyring", func(s *Source) { s.Keyring = "" }},
		{"keyring", func(s *Source) { s.SignedBy = armored(t, "a") }},
		{"keyring", func(s *Source) { s.Keyring = "../x" }},
		{"keyring", func(s *Source) { s.Keyring = "a/b" }},
		{"keyring", func(s *Source) { s.Keyring = "a..b" }},
		{"signed_by", func(s *Source) { s.Keyring, s.SignedBy = "", "key" }},
		{"signed_by", func(s *Source) { s.Keyring, s.SignedBy = "", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n" }},
		{"target_distribution", func(s *Source) { s.TargetDistribution = "a b" }},
	} {
		s := good
		tt.change(&s)
		got := s.Validate()
		if len(got) != 1 || got[0].Field != tt.field || got[0].Message == "" {
			t.Errorf("%+v: %v, want a fault of %s", reflect.ValueOf(s), got, tt.field)
		}
	}
	bad := Source{URL: "http://user:secret@exa mple/"}
	if text := fmt.Sprint(bad.Validate(), bad); strings.Contains(text, "secret") {
		t.Errorf("password in %q", text)
	}
}

func armored(t *testing.T, name string) string {
	t.Helper()
	key, err := index.GenerateKey(index.KeyOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return string(key.ArmoredPublic())
}

func TestPresets(t *testing.T) {
	var ids []string
	for _, s := range Presets() {
		ids = append(ids, s.ID)
		if faults := s.Validate(); len(faults) > 0 {
			t.Errorf("%s: %v", s, faults)
		}
		if s.Security != strings.HasSuffix(s.ID, "-security") || s.Security != strings.Contains(s.URL, "//security.") || !s.Enabled {
			t.Errorf("%s: security %v, enabled %v", s, s.Security, s.Enabled)
		}
		if !strings.HasPrefix(s.Suite, s.TargetDistribution) || !strings.HasSuffix(s.ID, s.Suite) {
			t.Errorf("%s for %s", s, s.TargetDistribution)
		}
	}
	want := "debian-bookworm debian-bookworm-security debian-bookworm-updates debian-trixie debian-trixie-security debian-trixie-updates " +
		"ubuntu-jammy ubuntu-jammy-security ubuntu-jammy-updates ubuntu-noble ubuntu-noble-security ubuntu-noble-updates"
	if got := strings.Join(ids, " "); got != want {
		t.Errorf("presets %s", got)
	}
}

func TestSourceJSON(t *testing.T) {
	const text = `{"id":"ubuntu-jammy","url":"http://archive.ubuntu.com/ubuntu/","suite":"jammy","components":["main","universe"],` +
		`"architectures":["amd64"],"keyring":"ubuntu-archive","signed_by":"","security":false,"enabled":true,"target_distribution":"jammy"}`
	got, err := json.Marshal(Presets()[6])
	if err != nil || string(got) != text {
		t.Errorf("got  %s, %v\nwant %s", got, err, text)
	}
}

func TestSourceIsShownWithoutPassword(t *testing.T) {
	s := Source{ID: "a", URL: "https://alice:s3cret@example.org/x", Suite: "y"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "source", s)
	for _, text := range []string{s.String(), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), log.String(), s.PublicURL()} {
		if strings.Contains(text, "alice") || strings.Contains(text, "s3cret") || !strings.Contains(text, "https://example.org/x") {
			t.Errorf("shown as %q", text)
		}
	}
}

func TestKeyrings(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	put := func(dir, name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rings := make(map[string]index.Keyring)
	for _, name := range []string{"a", "b", "c"} {
		rings[name], _ = index.ParseKeyring([]byte(armored(t, name)))
	}
	put(second, "debian-archive-keyring.gpg", rings["a"].Binary())
	put(second, "mine.asc", append(rings["b"].Armored(), rings["c"].Armored()...))
	put(second, "both.pgp", rings["a"].Binary())
	put(first, "both-keyring.gpg", rings["b"].Binary())
	put(second, "broken.gpg", []byte("nonsense"))
	if err := os.Mkdir(filepath.Join(second, "folder.gpg"), 0o700); err != nil {
		t.Fatal(err)
	}
	k := Keyrings{Dirs: []string{first, second, filepath.Join(first, "missing")}}
	for name, want := range map[string][]index.Keyring{
		"debian-archive":         {rings["a"]},
		"debian-archive-keyring": {rings["a"]},
		"mine":                   {rings["b"], rings["c"]},
		"both":                   {rings["b"]}, // the first folder counts
	} {
		got, err := k.Find(Source{Keyring: name})
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %d keys, %v", name, len(got), err)
			continue
		}
		for i := range want {
			if got[i].Fingerprint() != want[i][0].Fingerprint() {
				t.Errorf("%s: key %d is another", name, i)
			}
		}
	}
	for name, want := range map[string]string{
		"ubuntu-archive": "install the package ubuntu-archive-keyring",
		"other":          "place other.gpg or other.asc in " + first,
		"broken":         "keyring broken.gpg",
		"folder":         "not a regular file",
		"../x":           "not the name",
		"a/b":            "not the name",
		"":               "not the name",
	} {
		_, err := k.Find(Source{Keyring: name})
		var f *Failure
		if !errors.As(err, &f) || f.Code != BadSignature || !strings.Contains(f.Detail, want) {
			t.Errorf("%q: error %v, want one with %q", name, err, want)
		}
	}
	if _, err := (Keyrings{}).Find(Source{Keyring: "debian-archive"}); err == nil || !strings.Contains(err.Error(), "debian-archive-keyring") {
		t.Errorf("without folders: %v", err)
	}
}

func TestSuiteNames(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		wanted, suite, codename string
		ok                      bool
	}{
		{"bookworm", "oldstable", "bookworm", true},
		{"stable", "stable", "bookworm", true},
		{"bookworm-security", "oldstable-security", "bookworm-security", true},
		{"bookworm/updates", "oldstable-security", "bookworm-security", true},
		{"buster/updates", "oldstable", "buster", true},
		{"bookworm", "oldstable-security", "bookworm-security", false},
		{"bookworm-security", "oldstable", "bookworm", false},
		{"bookworm", "", "", false},
		{"bookworm", "sid", "sid", false},
	} {
		r := &run{source: Source{Suite: tt.wanted}, now: now}
		err := r.checkIdentity(&index.Release{Suite: tt.suite, Codename: tt.codename})
		if (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
