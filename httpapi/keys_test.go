package httpapi

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// What an expired key cannot sign is refused, told of, and published once there is
// another.
func TestExpiredSigningKey(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Repo.Signing = func() aptrepo.SigningTimes { return aptrepo.SigningTimes{} } // no overlap
	})
	f.clock.move(time.Minute)
	f.post("/settings/gpg/generate", `{"expire_days":1}`, auth.Admin).want(t, 200, "")
	f.clock.move(25 * time.Hour)
	a := f.try(debtest.Package{Name: "late"}).want(t, 503, "signing_failed")
	if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "expired") {
		t.Errorf("%v %s", a.header, a.body)
	}
	if a := f.do("GET", "/health", "", nil); !strings.Contains(a.body, `"status":"degraded"`) || !strings.Contains(a.body, `"signing":"error"`) {
		t.Errorf("health: %s", a.body)
	}
	f.do("GET", "/health/ready", "", nil).want(t, 200, "")
	if alerts := f.dashboard().Alerts; len(alerts) != 1 || !strings.HasSuffix(alerts[0].Message, "has expired on 2026-05-13") {
		t.Errorf("alerts: %+v", alerts)
	}
	var shown struct {
		Keys []struct {
			State     string `json:"state"`
			ExpiresAt string `json:"expires_at"`
		} `json:"keys"`
	}
	f.get("/settings/gpg", auth.Admin).decode(t, &shown)
	if k := shown.Keys[0]; k.State != aptrepo.KeyActive || k.ExpiresAt != "2026-05-13T10:01:00Z" {
		t.Errorf("shown as %+v", k)
	}
	f.post("/settings/gpg/generate", `{}`, auth.Admin).want(t, 200, "")
	f.clock.move(time.Minute)
	if a := f.do("GET", "/health", "", nil); !strings.Contains(a.body, `"status":"healthy"`) {
		t.Errorf("health: %s", a.body)
	}
	if a := f.do("GET", "/apt/dists/jammy/main/binary-amd64/Packages", "", nil); !strings.Contains(a.body, "Package: late\n") {
		t.Errorf("Packages: %s", a.body)
	}
}

// The name of the package of the keys is the server's own.
func TestReservedName(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Repo.Keyring = func() string { return "acme-archive-keyring" } })
	before := f.actions()
	f.try(debtest.Package{Name: "acme-archive-keyring"}).want(t, 409, "reserved_name")
	if got := f.actions()[len(before):]; len(got) != 1 || !strings.HasPrefix(got[0], "package.upload") {
		t.Errorf("audited as %q", got)
	}
	f.clock.move(time.Minute)
	f.post("/settings/gpg/generate", `{}`, auth.Admin).want(t, 200, "")
	if a := f.get("/artifacts/acme-archive-keyring/install", auth.Viewer); !strings.Contains(a.body, "apt-get install -y acme-archive-keyring=2026.05.12.100100") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Keys that are kept elsewhere are shown, and cannot be replaced here.
func TestForeignKeys(t *testing.T) {
	key, err := index.GenerateKey(index.KeyOptions{Name: "Elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(c *Config) { c.Repo.Signer = &index.OpenPGP{Keys: []*index.Key{key}} })
	var shown struct {
		Keys []struct {
			Fingerprint string   `json:"fingerprint"`
			UserIDs     []string `json:"uids"`
		} `json:"keys"`
		Active string `json:"active_fingerprint"`
	}
	f.get("/settings/gpg", auth.Admin).decode(t, &shown)
	if len(shown.Keys) != 1 || shown.Active != key.Fingerprint() || !slices.Equal(shown.Keys[0].UserIDs, []string{"Elsewhere"}) {
		t.Errorf("shown as %+v", shown)
	}
	f.post("/settings/gpg/generate", `{}`, auth.Admin).want(t, 409, "foreign_signer")
}

// try uploads a package to jammy that may be refused.
func (f *fixture) try(p debtest.Package) answer {
	f.t.Helper()
	return f.upload(f.tokens[auth.Uploader], part{"file", string(p.Build())}, part{"distribution", "jammy"})
}
