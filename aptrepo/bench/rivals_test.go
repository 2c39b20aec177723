package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/deb/debtest"
)

// added is what it costs to add one package and publish it.
type added struct {
	cpu, wall []time.Duration
}

func (a *added) String() string {
	return fmt.Sprintf("%s CPU, %s", ms(median(a.cpu)), ms(median(a.wall)))
}

// additions is how many packages are added for one row.
const additions = 5

// BenchmarkRivals adds one package to a repository that holds many, and
// publishes and signs it (Ed25519), with repod, aptly and reprepro. All
// processes of each are counted: with repod those of client and server, with
// the others those of gpg.
//
// REPOD_RIVALS gives the sizes. Filling aptly and reprepro with 63,000 packages
// takes most of the time.
func BenchmarkRivals(b *testing.B) {
	full(b)
	needPrograms(b, "aptly", "reprepro", "gpg")
	sizes := os.Getenv("REPOD_RIVALS")
	if sizes == "" {
		sizes = "1000,10000,63000"
	}
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(size, func(b *testing.B) {
			debs := tinyDebs(b, n)
			keys := newKeyring(b)
			own := addToRepod(b, n)
			aptly := addToAptly(b, keys, debs)
			reprepro := addToReprepro(b, keys, debs)
			report(b, figure{"", fmt.Sprintf("adding and publishing one package at %d packages: repod, aptly, reprepro", n),
				fmt.Sprintf("%s; %s; %s", &own, &aptly, &reprepro), "", true})
		})
	}
}

// tinyDebs writes n small packages to a directory.
func tinyDebs(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	for range n {
		writeFresh(b, dir)
	}
	return dir
}

func writeFresh(b *testing.B, dir string) string {
	b.Helper()
	path := filepath.Join(dir, fmt.Sprintf("fresh-%06d_1.0-1_amd64.deb", serial.Load()+1))
	// reprepro reads no uncompressed members.
	data := debtest.Package{Name: fmt.Sprintf("fresh-%06d", serial.Add(1)), Version: "1.0-1", Compression: debtest.Gzip, Fields: []string{
		"Maintainer: Test <test@example.org>", "Section: misc", "Priority: optional",
		"Description: made for a benchmark\n with a description of some length, so that its entry in Packages has one, too."}}.Build()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		b.Fatal(err)
	}
	return path
}

// A keyring is a directory of GnuPG with one key.
type keyring struct {
	dir         string
	fingerprint string
}

func newKeyring(b *testing.B) *keyring {
	b.Helper()
	dir, err := os.MkdirTemp("", "gpg-") // a socket's path must be short
	if err != nil {
		b.Fatal(err)
	}
	k := &keyring{dir: dir}
	b.Cleanup(func() {
		k.command("gpgconf", "--kill", "all").Run()
		os.RemoveAll(dir)
	})
	run(b, k.command("gpg", "--batch", "--passphrase", "", "--quick-gen-key", "bench@example.org", "ed25519", "sign", "never"))
	out, _, _ := run(b, k.command("gpg", "--list-keys", "--with-colons"))
	for line := range strings.Lines(string(out)) {
		if f := strings.Split(line, ":"); f[0] == "fpr" {
			k.fingerprint = f[9]
			break
		}
	}
	return k
}

func (k *keyring) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+k.dir, "LC_ALL=C.UTF-8")
	return cmd
}

func addToRepod(b *testing.B, n int) added {
	b.Helper()
	s := serve(b, seeded(b, n).dir)
	token := s.login(b).token
	var a added
	for range additions {
		path := writeFresh(b, b.TempDir())
		cmd := exec.Command(binary(b), "upload", "--distribution", codename, path)
		cmd.Env = []string{"REPOD_URL=" + s.URL, "REPOD_TOKEN=" + token}
		before := s.cpu(b)
		_, cpu, wall := run(b, cmd)
		a.cpu = append(a.cpu, cpu+s.cpu(b)-before)
		a.wall = append(a.wall, wall)
	}
	s.stop(b)
	return a
}

func addToAptly(b *testing.B, k *keyring, debs string) added {
	b.Helper()
	dir := b.TempDir()
	conf := filepath.Join(dir, "aptly.conf")
	text := fmt.Sprintf(`{"rootDir": %q, "architectures": ["amd64"], "gpgProvider": "gpg"}`, filepath.Join(dir, "root"))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	aptly := func(args ...string) *exec.Cmd {
		return k.command("aptly", append([]string{"-config=" + conf}, args...)...)
	}
	run(b, aptly("repo", "create", "-distribution="+codename, "-component=main", "bench"))
	run(b, aptly("repo", "add", "bench", debs))
	run(b, aptly("publish", "repo", "-batch", "-gpg-key="+k.fingerprint, "bench"))
	var a added
	for range additions {
		path := writeFresh(b, b.TempDir())
		_, addCPU, addWall := run(b, aptly("repo", "add", "bench", path))
		_, cpu, wall := run(b, aptly("publish", "update", "-batch", "-gpg-key="+k.fingerprint, codename))
		a.cpu = append(a.cpu, addCPU+cpu)
		a.wall = append(a.wall, addWall+wall)
	}
	return a
}

func addToReprepro(b *testing.B, k *keyring, debs string) added {
	b.Helper()
	dir := b.TempDir()
	conf := fmt.Sprintf("Origin: bench\nLabel: bench\nCodename: %s\nArchitectures: amd64\nComponents: main\nSignWith: %s\n", codename, k.fingerprint)
	if err := os.MkdirAll(filepath.Join(dir, "conf"), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "conf", "distributions"), []byte(conf), 0o644); err != nil {
		b.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		b.Fatal(err)
	}
	for len(files) > 0 {
		batch := files[:min(len(files), 2000)]
		files = files[len(batch):]
		args := append([]string{"-b", dir, "--export=silent-never", "includedeb", codename}, batch...)
		run(b, k.command("reprepro", args...))
	}
	run(b, k.command("reprepro", "-b", dir, "export"))
	var a added
	for range additions {
		path := writeFresh(b, b.TempDir())
		_, cpu, wall := run(b, k.command("reprepro", "-b", dir, "includedeb", codename, path))
		a.cpu = append(a.cpu, cpu)
		a.wall = append(a.wall, wall)
	}
	return a
}
