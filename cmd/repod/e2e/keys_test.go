package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

const keyringPackage = "acme-archive-keyring"

// A rotating is a server whose key is replaced, and clients that go through it.
type rotating struct {
	*server
	api   *api
	check *checker
	// follower has the package of the keys, and upgrades it; stale never gets
	// another key than its first. legacy trusts keys as apt did before Signed-By:
	// all of trusted.gpg.d, for all sources.
	follower, stale, legacy *aptRoot
}

// TestKeyRotation replaces the signing key of a server with real clients: nobody
// is left behind while both keys sign; afterwards those go on that took the new key
// by an upgrade, and those that did not are refused clearly.
func TestKeyRotation(t *testing.T) {
	needPrograms(t, "apt-get", "dpkg", "gpgv")
	needRoot(t) // for dpkg
	r := &rotating{server: serve(t, t.TempDir(), "--distributions", "bookworm")}
	r.api = newAPI(r.URL, newToken(t, r.server))
	r.check = newChecker(t, r.server)
	r.follower = newAptRoot(t, r.check.base, "bookworm", r.check.keyring)
	r.stale = newAptRoot(t, r.check.base, "bookworm", r.check.keyring)
	r.legacy = newAptRoot(t, r.check.base, "bookworm", "")
	writeFile(t, r.legacy.path("etc/apt/sources.list"), fmt.Appendf(nil, "deb %s bookworm main\n", r.check.base))
	r.trust(t)

	// With Valid-Until, apt heeds Signed-By of the Release, too.
	must(t, http.StatusOK)(r.api.do(t.Context(), http.MethodPatch, "/settings/", "application/json",
		strings.NewReader(`{"signing":{"valid_until_days":30,"keyring_package":"`+keyringPackage+`"}}`)))
	r.installKeyring(t)
	r.updates(t, "before", r.follower, r.stale, r.legacy)

	must(t, http.StatusOK)(r.api.post(t.Context(), "/settings/gpg/generate", map[string]any{}))
	if n := r.signatures(t); n != 2 {
		t.Errorf("%d signatures while both keys sign", n)
	}
	if n := r.announced(t); n != 2 {
		t.Errorf("Signed-By has %d keys while both sign", n)
	}
	r.updates(t, "while both sign", r.follower, r.stale, r.legacy)
	r.upgrade(t)
	r.trust(t)
	r.updates(t, "with both keys", r.follower, r.legacy)

	r.retire(t)
	if n := r.announced(t); n != 0 {
		t.Errorf("Signed-By has %d keys after the retirement", n)
	}
	r.updates(t, "after the retirement", r.follower, r.legacy)
	r.upgrade(t)
	r.updates(t, "with the new key alone", r.follower)
	if err := r.stale.update(t.Context()); err == nil || !strings.Contains(err.Error(), "NO_PUBKEY") {
		t.Errorf("a client that never took the new key: %v", err)
	}
	if got := r.stale.candidate(t, keyringPackage); got == "" {
		t.Error("the refused client has lost what it had")
	}
	r.server.stop(t)
	fsck(t, r.Dir)
}

// updates runs apt-get update for clients, to which every fault is an error.
func (r *rotating) updates(t *testing.T, when string, clients ...*aptRoot) {
	t.Helper()
	names := map[*aptRoot]string{r.follower: "follower", r.stale: "stale", r.legacy: "legacy"}
	for _, c := range clients {
		if err := c.update(t.Context()); err != nil {
			t.Fatalf("%s, %s: %v", names[c], when, err)
		}
	}
}

// trust gives the legacy client the keys of the server.
func (r *rotating) trust(t *testing.T) {
	t.Helper()
	writeFile(t, r.legacy.path("etc/apt/trusted.gpg.d/repod.gpg"), r.keys(t))
}

// keys returns the keyring that the server gives out.
func (r *rotating) keys(t *testing.T) []byte {
	t.Helper()
	keys, err := r.check.fetch(t.Context(), "repod.gpg")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// dpkg runs an apt-get command of the follower that installs, by the real dpkg,
// below its root.
func (r *rotating) dpkg(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"-q", "-y", "-o", "DPkg::Options::=--root=" + r.follower.dir, "-o", "DPkg::Options::=--force-bad-path"}, args...)
	return r.follower.command(ctx, "apt-get", args...)
}

func (r *rotating) installedKeyring() string {
	return r.follower.path("usr/share/keyrings/" + keyringPackage + ".gpg")
}

// installKeyring installs the package with the key that was fetched at first, and
// then trusts the file in it.
func (r *rotating) installKeyring(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"updates", "info", "triggers"} {
		if err := os.MkdirAll(r.follower.path("var/lib/dpkg/"+dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, time.Minute, func() error {
		if err := r.follower.update(t.Context()); err != nil {
			return err
		}
		if out, err := r.dpkg(t.Context(), "install", keyringPackage).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	r.holds(t)
	writeFile(t, r.follower.path("etc/apt/sources.list"),
		fmt.Appendf(nil, "deb [signed-by=%s] %s bookworm main\n", r.installedKeyring(), r.check.base))
}

// upgrade brings the follower's package of the keys up to date.
func (r *rotating) upgrade(t *testing.T) {
	t.Helper()
	out := output(t, r.dpkg(t.Context(), "upgrade"))
	if !strings.Contains(out, "Setting up "+keyringPackage) {
		t.Fatalf("no newer package of the keys:\n%s", out)
	}
	r.holds(t)
}

// holds fails the test unless the installed keyring is that of the server, and
// dpkg finds the package in order.
func (r *rotating) holds(t *testing.T) {
	t.Helper()
	got, err := os.ReadFile(r.installedKeyring())
	if err != nil || !bytes.Equal(got, r.keys(t)) {
		t.Fatalf("the installed keyring is not the server's: %v", err)
	}
	if out := output(t, exec.Command("dpkg", "--root="+r.follower.dir, "--verify", keyringPackage)); out != "" {
		t.Errorf("dpkg --verify: %s", out)
	}
}

// release returns InRelease as it is.
func (r *rotating) release(t *testing.T) string {
	t.Helper()
	text, err := r.check.fetch(t.Context(), "dists/bookworm/InRelease")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// signatures counts those of InRelease.
func (r *rotating) signatures(t *testing.T) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "InRelease")
	writeFile(t, path, []byte(r.release(t)))
	out, _ := exec.Command("gpgv", "--status-fd", "1", "--homedir", t.TempDir(), "--keyring", r.check.keyring, path).Output()
	return strings.Count(string(out), "[GNUPG:] NEWSIG")
}

// announced counts the keys of Signed-By.
func (r *rotating) announced(t *testing.T) int {
	t.Helper()
	for line := range strings.Lines(r.release(t)) {
		if list, ok := strings.CutPrefix(line, "Signed-By: "); ok {
			return len(strings.Split(list, ","))
		}
	}
	return 0
}

// retire lets the time of the old key end, and waits until the server has noticed
// by itself. The setting counts in days, so the test reaches into the database.
func (r *rotating) retire(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.Dir, "repod.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	result, err := db.ExecContext(t.Context(), "UPDATE signing_keys SET retires_at = ? WHERE active = 0", time.Now().Add(time.Second).UnixMicro())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%d keys retire, %v", n, err)
	}
	before := r.keys(t)
	eventually(t, time.Minute, func() error {
		if n := r.signatures(t); n != 1 || len(r.keys(t)) >= len(before) {
			return fmt.Errorf("%d signatures, a keyring of %d bytes", n, len(r.keys(t)))
		}
		if packages := strings.Count(string(r.packages(t)), "\nVersion: "); packages != 3 {
			return fmt.Errorf("%d versions of the package of the keys", packages)
		}
		return nil
	})
}

func (r *rotating) packages(t *testing.T) []byte {
	t.Helper()
	text, err := r.check.fetch(t.Context(), "dists/bookworm/main/binary-amd64/Packages")
	if err != nil {
		t.Fatal(err)
	}
	return text
}
