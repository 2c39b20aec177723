package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb/debtest"
)

// TestMain is the example itself when the test runs this binary as such.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_EXAMPLE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

var listening = regexp.MustCompile(`listening on (\S+)$`)

// run starts the example and returns its address.
func run(t *testing.T, args ...string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "RUN_EXAMPLE=1")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var said []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return m[1]
		}
		said = append(said, lines.Text())
	}
	t.Fatalf("the example ended, having said\n%s", strings.Join(said, "\n"))
	return ""
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return string(text)
}

func TestEmbed(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "hello.deb")
	if err := os.WriteFile(name, debtest.Package{Name: "hello"}.Build(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{name}, {}} { // the second start finds what the first made
		base := run(t, append([]string{"-dir", filepath.Join(dir, "repository")}, args...)...)
		release := fetch(t, base+"/apt/dists/jammy/InRelease")
		if !strings.Contains(release, "BEGIN PGP SIGNATURE") || !strings.Contains(release, "Codename: jammy") {
			t.Errorf("InRelease is\n%s", release)
		}
		packages := fetch(t, base+"/apt/dists/jammy/main/binary-amd64/Packages")
		if !strings.HasPrefix(packages, "Package: hello\n") {
			t.Errorf("Packages is\n%s", packages)
		}
		if key := fetch(t, base+"/apt/repod.asc"); !strings.Contains(key, "BEGIN PGP PUBLIC KEY") {
			t.Errorf("the key is\n%s", key)
		}
	}
}
