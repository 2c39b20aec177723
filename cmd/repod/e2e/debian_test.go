package e2e

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// debianPackages returns the packages of a minimal Debian system: those that
// are essential, required by policy, and apt, with all they depend on. They
// come from the archives that this machine's own apt is set up for, and are
// kept in REPOD_TEST_CACHE between runs.
func debianPackages(t *testing.T) []string {
	t.Helper()
	needPrograms(t, "apt-get", "dpkg-deb")
	dir, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	fetchOnce.Do(func() { fetchErr = fetchDebian(dir) })
	if fetchErr != nil {
		lacking(t, "no Debian packages: %v", fetchErr)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) < 60 {
		t.Fatalf("%d packages in %s: %v", len(files), dir, err)
	}
	slices.Sort(files)
	return files
}

var (
	fetchOnce sync.Once
	fetchErr  error
)

func cacheDir() (string, error) {
	base := os.Getenv("REPOD_TEST_CACHE")
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("set REPOD_TEST_CACHE: %w", err)
		}
		base = filepath.Join(user, "repod-test")
	}
	return filepath.Join(base, "debian"), nil
}

// fetchDebian fills dir, all or nothing, unless it is filled already.
func fetchDebian(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	staged, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(staged)
	f := fetcher{dir: staged}
	if err := f.prepare(); err != nil {
		return err
	}
	// The lists of this machine will do when they are not too old.
	if err := f.install(); err != nil {
		if err := f.freshLists(); err != nil {
			return err
		}
		if err := f.install(); err != nil {
			return err
		}
	}
	return os.Rename(f.archives(), dir)
}

// A fetcher downloads packages with the configuration of this machine's apt,
// its proxies and keys, and without changing anything of it.
type fetcher struct {
	dir   string
	extra string // further configuration
}

func (f *fetcher) archives() string { return filepath.Join(f.dir, "archives") }

func (f *fetcher) prepare() error {
	for _, d := range []string{"archives/partial", "lists/partial"} {
		if err := os.MkdirAll(filepath.Join(f.dir, d), 0o755); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(f.dir, "status"), nil, 0o644)
}

func (f *fetcher) apt(args ...string) error {
	// Container images have hooks that empty the real cache after each update.
	config := fmt.Sprintf(`#clear APT::Update::Post-Invoke;
#clear DPkg::Post-Invoke;
Dir::State::status "%[1]s/status";
Dir::Cache::archives "%[1]s/archives/";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Debug::NoLocking "true";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
%s`, f.dir, f.extra)
	path := filepath.Join(f.dir, "apt.conf")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		return err
	}
	cmd := exec.Command("apt-get", append([]string{"-q", "-y", "-c", path}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, tail(string(out), 1000))
	}
	return nil
}

func (f *fetcher) install() error {
	err := f.apt("install", "--download-only", "?essential", "?priority(required)", "apt")
	return cmp.Or(err, os.RemoveAll(filepath.Join(f.archives(), "lock")), os.RemoveAll(filepath.Join(f.archives(), "partial")))
}

// freshLists fetches lists of its own.
func (f *fetcher) freshLists() error {
	f.extra = fmt.Sprintf("Dir::State::lists \"%s/lists/\";\n", f.dir)
	return f.apt("update")
}

// A debInfo is what dpkg-deb says of a package file.
type debInfo struct {
	Path, Name, Version, Arch string
}

func inspect(t *testing.T, path string) debInfo {
	t.Helper()
	out := output(t, exec.Command("dpkg-deb", "-W", "--showformat=${Package} ${Version} ${Architecture}", path))
	f := strings.Fields(out)
	if len(f) != 3 {
		t.Fatalf("dpkg-deb -W %s: %q", path, out)
	}
	return debInfo{path, f[0], f[1], f[2]}
}

// rebuild builds a package with the contents of another and a new version,
// with dpkg's own tools.
func rebuild(t *testing.T, from debInfo, version string) debInfo {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	output(t, exec.Command("dpkg-deb", "-R", from.Path, tree))
	control := filepath.Join(tree, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "Version: "+from.Version+"\n", "Version: "+version+"\n", 1)
	if changed == string(text) {
		t.Fatalf("no Version in %s", text)
	}
	writeFile(t, control, []byte(changed))
	path := filepath.Join(dir, "rebuilt.deb")
	output(t, exec.Command("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "-b", tree, path))
	return debInfo{path, from.Name, version, from.Arch}
}
