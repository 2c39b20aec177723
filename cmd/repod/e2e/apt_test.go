package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An aptRoot is a machine as far as apt is concerned: its own sources, lists,
// cache and dpkg status. Nothing of the real one is read, neither its
// configuration nor its keys.
type aptRoot struct {
	dir string
}

// newAptRoot returns the root of a machine with no package installed that
// trusts keyring for one distribution below base.
func newAptRoot(t *testing.T, base, codename, keyring string) *aptRoot {
	t.Helper()
	needPrograms(t, "apt-get", "gpgv")
	r := &aptRoot{t.TempDir()}
	for _, dir := range []string{"etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d",
		"etc/apt/trusted.gpg.d", "etc/apt/auth.conf.d", "var/lib/apt/lists/partial",
		"var/cache/apt/archives/partial", "var/lib/dpkg", "var/log/apt"} {
		if err := os.MkdirAll(r.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, r.path("var/lib/dpkg/status"), nil)
	writeFile(t, r.path("etc/apt/sources.list"),
		fmt.Appendf(nil, "deb [signed-by=%s] %s %s main\n", keyring, base, codename))
	// A file named by APT_CONFIG is read before the directories of the real
	// machine would be, and moves them.
	writeFile(t, r.path("apt.conf"), fmt.Appendf(nil, `Dir "%s/";
Dir::State::status "%s";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::http::Proxy "DIRECT";
Acquire::Retries "0";
Acquire::Check-Date "true";
Acquire::Check-Valid-Until "true";
`, r.dir, r.path("var/lib/dpkg/status")))
	return r
}

// configure adds lines to the configuration; later ones win.
func (r *aptRoot) configure(t *testing.T, lines string) {
	t.Helper()
	text, err := os.ReadFile(r.path("apt.conf"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, r.path("apt.conf"), append(text, lines...))
}

func (r *aptRoot) path(name string) string { return filepath.Join(r.dir, name) }

// command returns a command of apt's in this root.
func (r *aptRoot) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.dir // where apt-get download writes
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "APT_CONFIG=" + r.path("apt.conf"),
		"DEBIAN_FRONTEND=noninteractive", "TMPDIR=" + os.TempDir()}
	return cmd
}

// update runs apt-get update, to which every fault is an error, and then
// compares the lists on disk with the Release that came with them.
func (r *aptRoot) update(ctx context.Context) error {
	// Without Error-Mode apt-get update succeeds when every source failed.
	out, err := r.command(ctx, "apt-get", "-q", "update", "-o", "APT::Update::Error-Mode=any").CombinedOutput()
	if err != nil {
		return fmt.Errorf("apt-get update: %w\n%s", err, out)
	}
	for _, line := range strings.Split(string(out), "\n") {
		if strings.HasPrefix(line, "W:") || strings.HasPrefix(line, "E:") || strings.HasPrefix(line, "Err:") {
			return fmt.Errorf("apt-get update complains:\n%s", out)
		}
	}
	return r.checkLists()
}

// checkLists compares each Packages file that apt keeps with its InRelease.
func (r *aptRoot) checkLists() error {
	releases, err := filepath.Glob(r.path("var/lib/apt/lists/*_InRelease"))
	if err != nil || len(releases) == 0 {
		return errors.Join(errors.New("apt has no InRelease"), err)
	}
	for _, path := range releases {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files, date, err := parseRelease(text)
		if err != nil {
			return err
		}
		// apt keeps no empty list.
		want := files["main/binary-amd64/Packages"]
		kept, err := os.ReadFile(strings.TrimSuffix(path, "InRelease") + "main_binary-amd64_Packages")
		if err != nil && (want.Size > 0 || !errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("the lists of %s: %w", date, err)
		}
		sum := sha256.Sum256(kept)
		if got := hex.EncodeToString(sum[:]); got != want.SHA256 {
			return fmt.Errorf("apt has Packages %s and an InRelease of %s that lists %s", got, date, want.SHA256)
		}
	}
	return nil
}

// candidate returns the version that apt would install.
func (r *aptRoot) candidate(t *testing.T, name string) string {
	t.Helper()
	out := output(t, r.command(t.Context(), "apt-cache", "policy", name))
	for line := range strings.Lines(out) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate: "); ok {
			return version
		}
	}
	return ""
}

// archives lists the packages that apt has downloaded.
func (r *aptRoot) archives(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(r.path("var/cache/apt/archives/*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}
