package e2e

import (
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/cmd/repod/boundtest"
)

const root = "../../.." // of the repository

// TestContainerfile does by hand what the Containerfile tells, for want of an
// engine: its build step runs on a clean copy of the tree, and what it makes runs
// in a directory that has nothing else, as the user that is named there, with an
// empty environment and no place to write but the volumes.
func TestContainerfile(t *testing.T) {
	slow(t)
	needRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	line := func(pattern string) string {
		t.Helper()
		found := regexp.MustCompile(`(?m)^` + pattern + `$`).FindStringSubmatch(string(text))
		if found == nil {
			t.Fatalf("the Containerfile has no line %s", pattern)
		}
		return found[1]
	}
	build := line(`RUN (CGO_ENABLED=0 go build .*)`)
	if user := line(`USER (.*)`); user != "65532:65532" {
		t.Fatalf("it runs as %s", user)
	}
	if check := line(`HEALTHCHECK .*CMD (.*)`); check != `["/repod", "health"]` {
		t.Errorf("its health check is %s", check)
	}
	if start := line(`ENTRYPOINT (.*)`) + line(`CMD (.*)`); start != `["/repod"]["serve"]` {
		t.Errorf("it starts %s", start)
	}

	tree, image := t.TempDir(), containerRoot(t)
	copyTree(t, tree)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(build, "/out/repod", image+"/repod"))
	cmd.Dir = tree
	output(t, cmd)
	if err := os.Chmod(filepath.Join(image, "repod"), 0o755); err != nil {
		t.Fatal(err)
	}
	static(t, filepath.Join(image, "repod"))

	server := contained(t, image, "serve", "--listen", "127.0.0.1:0", "--data-dir", "/var/lib/repod")
	log := new(journal)
	server.Stderr = log
	if err := boundtest.Start(server); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() { server.Process.Kill() })
	var address string
	eventually(t, startLimit, func() error {
		found := regexp.MustCompile(`listening on http://(\S+)`).FindStringSubmatch(log.String())
		if found == nil {
			return &fs.PathError{Op: "start", Path: log.String(), Err: fs.ErrNotExist}
		}
		address = found[1]
		return nil
	})
	if out := output(t, contained(t, image, "health", "--listen", address)); out != "ready\n" {
		t.Errorf("health: %s", out)
	}
	server.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the end: %v\n%s", err, log)
		}
	case <-time.After(startLimit):
		t.Error("SIGTERM does not end it")
	}
	if out, err := contained(t, image, "health", "--listen", address).CombinedOutput(); err == nil {
		t.Errorf("health without a server: %s", out)
	}
	if out, err := contained(t, image, "serve", "--listen", "127.0.0.1:0", "--data-dir", "/elsewhere").CombinedOutput(); err == nil || !strings.Contains(string(out), "permission denied") {
		t.Errorf("it writes beside its volume: %v, %s", err, out)
	}
}

// containerRoot is a directory as the image has it, but for the program.
func containerRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "repod-image-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data := filepath.Join(dir, "var/lib/repod")
	for _, step := range []error{os.Chmod(dir, 0o755), os.MkdirAll(data, 0o755), os.Chmod(data, 0o700), os.Chown(data, 65532, 65532)} {
		if step != nil {
			t.Fatal(step)
		}
	}
	return dir
}

// contained returns a run of the program in the directory.
func contained(t *testing.T, image string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/repod", args...)
	cmd.Path, cmd.Err = "/repod", nil
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: image, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	return cmd
}

// static checks that a program needs nothing else.
func static(t *testing.T, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s needs an interpreter or libraries", path)
		}
	}
}

// copyTree copies what the build context has: all but what .dockerignore names.
func copyTree(t *testing.T, to string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	without := strings.Fields(string(text))
	for _, secret := range []string{"secrets", ".git"} {
		if !slices.Contains(without, secret) {
			t.Errorf("the build context has %s", secret)
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(without, e.Name()) {
			output(t, exec.CommandContext(t.Context(), "cp", "-r", filepath.Join(root, e.Name()), to))
		}
	}
}

// TestUnit has systemd look at the unit.
func TestUnit(t *testing.T) {
	needPrograms(t, "systemd-analyze")
	text, err := os.ReadFile(filepath.Join(root, "repod.service"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "repod.service")
	program := "ExecStart=" + binary(t) + " serve"
	writeFile(t, path, []byte(strings.Replace(string(text), "ExecStart=/usr/bin/repod serve", program, 1)))
	if out := output(t, exec.CommandContext(t.Context(), "systemd-analyze", "verify", path)); out != "" {
		t.Errorf("systemd says\n%s", out)
	}
	output(t, exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--threshold=25", path))
}
