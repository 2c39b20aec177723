package e2e

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDebianSystem publishes a real Debian system with the binary's own
// upload command and then lives on it: apt resolves and downloads it,
// mmdebstrap builds a whole system from nothing else, an upgrade shows at
// once, and an older version can be pinned.
func TestDebianSystem(t *testing.T) {
	slow(t)
	files := debianPackages(t)
	s := serve(t, t.TempDir(), "--distributions", "bookworm")
	token := newToken(t, s)
	uploadFiles(t, s, token, files...)

	check := newChecker(t, s)
	st, err := check.verify(t.Context(), "bookworm", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := check.pool(t.Context(), st); err != nil {
		t.Error(err)
	}
	if len(st.Packages) != len(files) {
		t.Errorf("the index lists %d packages of %d", len(st.Packages), len(files))
	}
	var names []string
	for _, f := range files {
		p := inspect(t, f)
		if _, ok := st.Packages[p.Name+" "+p.Version+" "+p.Arch]; !ok {
			t.Errorf("%s %s %s is not in the index", p.Name, p.Version, p.Arch)
		}
		names = append(names, p.Name)
	}

	root := newAptRoot(t, check.base, "bookworm", check.keyring)
	t.Run("install", func(t *testing.T) { installAll(t, root, names) })
	t.Run("upgrade", func(t *testing.T) { upgradeOne(t, s, token, root, files) })
	t.Run("mmdebstrap", func(t *testing.T) { bootstrap(t, check, names) })
	s.stop(t)
	if report := fsck(t, s.Dir); report.Published != len(files)+1 {
		t.Errorf("fsck found %d published packages, want %d", report.Published, len(files)+1)
	}
	if left := leftovers(t, s.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// uploadFiles publishes files with repod upload.
func uploadFiles(t *testing.T, s *server, token string, files ...string) {
	t.Helper()
	args := append([]string{"upload", "--json", "--distribution", "bookworm"}, files...)
	cmd := client(t.Context(), t, s, token, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("repod upload: %v\n%s%s", err, out, stderr.String())
	}
	indexed := 0
	for line := range strings.Lines(string(out)) {
		var u struct {
			File   string
			Result struct{ Status string }
		}
		if err := json.Unmarshal([]byte(line), &u); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if u.Result.Status == "indexed" {
			indexed++
		}
	}
	if indexed != len(files) {
		t.Fatalf("%d of %d files are indexed:\n%s", indexed, len(files), out)
	}
}

func installAll(t *testing.T, root *aptRoot, names []string) {
	if err := root.update(t.Context()); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-q", "-y", "install", "--download-only"}, names...)
	output(t, root.command(t.Context(), "apt-get", args...))
	if got := root.archives(t); len(got) != len(names) {
		t.Errorf("apt has downloaded %d packages of %d", len(got), len(names))
	}
}

// upgradeOne installs a package, as far as dpkg's status tells, publishes a
// newer version and looks what apt makes of it.
func upgradeOne(t *testing.T, s *server, token string, root *aptRoot, files []string) {
	var old debInfo // a package that depends on nothing
	for _, f := range files {
		if strings.HasPrefix(filepath.Base(f), "ncurses-base_") {
			old = inspect(t, f)
		}
	}
	if old.Name == "" {
		t.Fatal("a Debian system without ncurses-base")
	}
	control := output(t, exec.Command("dpkg-deb", "-f", old.Path))
	control = strings.Replace(control, "\n", "\nStatus: install ok installed\n", 1)
	writeFile(t, root.path("var/lib/dpkg/status"), []byte(control+"\n"))

	newer := rebuild(t, old, old.Version+"+repod1")
	uploadFiles(t, s, token, newer.Path)
	if err := root.update(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := root.candidate(t, old.Name); got != newer.Version {
		t.Errorf("after the upload the candidate is %s, want %s", got, newer.Version)
	}
	want := fmt.Sprintf("Inst %s [%s] (%s ", old.Name, old.Version, newer.Version)
	if out := output(t, root.command(t.Context(), "apt-get", "-s", "upgrade")); !strings.Contains(out, want) {
		t.Errorf("apt-get upgrade does not say %q:\n%s", want, out)
	}

	writeFile(t, root.path("etc/apt/preferences.d/pin"),
		fmt.Appendf(nil, "Package: %s\nPin: version %s\nPin-Priority: 1001\n", old.Name, old.Version))
	if got := root.candidate(t, old.Name); got != old.Version {
		t.Errorf("with the pin the candidate is %s, want %s", got, old.Version)
	}
	writeFile(t, root.path("var/lib/dpkg/status"), nil)
	output(t, root.command(t.Context(), "apt-get", "-q", "clean"))
	for _, version := range []string{old.Version, newer.Version} {
		output(t, root.command(t.Context(), "apt-get", "-q", "-y", "download", old.Name+"="+version))
	}
}

// bootstrap builds a system of all packages from the repository alone.
func bootstrap(t *testing.T, check *checker, names []string) {
	needPrograms(t, "mmdebstrap")
	needRoot(t)
	path := filepath.Join(t.TempDir(), "system.tar")
	output(t, exec.CommandContext(t.Context(), "mmdebstrap", "--mode=root", "--variant=extract", "--architectures=amd64",
		"--aptopt=APT::Sandbox::User \"root\"", // the user _apt may not read the key there
		"--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "--include="+strings.Join(names, ","), "bookworm", path,
		fmt.Sprintf("deb [signed-by=%s] %s bookworm main", check.keyring, check.base)))
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	wanted := map[string]bool{"./usr/bin/bash": true, "./bin/bash": true, "./usr/bin/apt-get": true, "./usr/bin/dpkg": true}
	found := 0
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if wanted[h.Name] && h.Size > 0 {
			found++
		}
	}
	if found != 3 {
		t.Errorf("the system has %d of bash, apt-get and dpkg", found)
	}
}
