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

// programs are ordinary programs of some size.
var programs = []string{"jq", "curl", "nginx-light"}

// A debian is a part of Debian, from the archives that this machine's own apt
// is set up for. It is kept in REPOD_TEST_CACHE between runs.
type debian struct {
	minimal  []string // files: what is essential or required by policy, and apt
	programs []string // files: those, with all that they depend on
	lists    string   // directory of the lists of apt that name them
}

// debianPackages returns the packages of a minimal Debian system, with all they
// depend on.
func debianPackages(t *testing.T) []string { return fetchDebian(t).minimal }

var fetchOnce = sync.OnceValue(func() error {
	dir, err := cacheDir()
	if err != nil {
		return err
	}
	return fillCache(dir)
})

func fetchDebian(t *testing.T) debian {
	t.Helper()
	needPrograms(t, "apt-get", "dpkg-deb")
	dir, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := fetchOnce(); err != nil {
		lacking(t, "no Debian packages: %v", err)
	}
	d := debian{lists: filepath.Join(dir, "lists")}
	for _, set := range []struct {
		files *[]string
		name  string
		least int
	}{{&d.minimal, "minimal", 60}, {&d.programs, "programs", 30}} {
		*set.files, err = filepath.Glob(filepath.Join(dir, set.name, "*.deb"))
		if err != nil || len(*set.files) < set.least {
			t.Fatalf("%d packages in %s: %v", len(*set.files), set.name, err)
		}
		slices.Sort(*set.files)
	}
	return d
}

func cacheDir() (string, error) {
	base := os.Getenv("REPOD_TEST_CACHE")
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("set REPOD_TEST_CACHE: %w", err)
		}
		base = filepath.Join(user, "repod-test")
	}
	return filepath.Join(base, "debian-archive"), nil
}

// fillCache fills dir, all or nothing, unless it is filled already.
func fillCache(dir string) error {
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
	// The lists of this machine will do when they are not too old.
	if err := fetchAll(staged, "/var/lib/apt/lists"); err != nil {
		lists := filepath.Join(staged, "fresh")
		if err := (&fetcher{dir: staged, lists: lists}).apt("update"); err != nil {
			return err
		}
		if err := fetchAll(staged, lists); err != nil {
			return err
		}
	}
	return os.Rename(filepath.Join(staged, "cache"), dir)
}

// fetchAll makes the cache in a directory.
func fetchAll(staged, lists string) error {
	f := fetcher{dir: staged, lists: lists}
	if err := f.install("minimal", "?essential", "?priority(required)", "apt"); err != nil {
		return err
	}
	if err := f.install("programs", programs...); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(lists, "*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, "_InRelease") && !strings.Contains(name, "_main_binary-amd64_Packages") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		to := filepath.Join(staged, "cache/lists", filepath.Base(name))
		if err := cmp.Or(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// A fetcher downloads packages with the configuration of this machine's apt,
// its proxies and keys, and without changing anything of it.
type fetcher struct {
	dir   string
	lists string // directory
}

func (f *fetcher) apt(args ...string) error {
	for _, d := range []string{f.dir + "/archives/partial", f.lists + "/partial"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	// Container images have hooks that empty the real cache after each update.
	config := fmt.Sprintf(`#clear APT::Update::Post-Invoke;
#clear DPkg::Post-Invoke;
Dir::State::status "%[1]s/status";
Dir::State::lists "%[2]s/";
Dir::Cache::archives "%[1]s/archives/";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Debug::NoLocking "true";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
`, f.dir, f.lists)
	path := filepath.Join(f.dir, "apt.conf")
	if err := cmp.Or(os.WriteFile(path, []byte(config), 0o644), os.WriteFile(filepath.Join(f.dir, "status"), nil, 0o644)); err != nil {
		return err
	}
	cmd := exec.Command("apt-get", append([]string{"-q", "-y", "-c", path}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, tail(string(out), 1000))
	}
	return nil
}

// install downloads packages, with what they depend on, into a directory of the
// cache.
func (f *fetcher) install(set string, packages ...string) error {
	archives := filepath.Join(f.dir, "archives")
	if err := f.apt(append([]string{"install", "--download-only"}, packages...)...); err != nil {
		return err
	}
	to := filepath.Join(f.dir, "cache", set)
	return cmp.Or(os.RemoveAll(filepath.Join(archives, "lock")), os.RemoveAll(filepath.Join(archives, "partial")),
		os.MkdirAll(filepath.Dir(to), 0o755), os.RemoveAll(to), os.Rename(archives, to))
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
