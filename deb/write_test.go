package deb_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/deb"
)

var buildTime = time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)

func newPackage(t *testing.T) deb.New {
	t.Helper()
	control, err := deb.ParseStanza([]byte("Package: hello\nVersion: 1.0\nArchitecture: all\n" +
		"Maintainer: Test <test@example.com>\nDescription: says hello\n and nothing else\n"))
	if err != nil {
		t.Fatal(err)
	}
	return deb.New{Control: control, Time: buildTime, Files: []deb.NewFile{
		{"usr/share/hello/z", bytes.Repeat([]byte("z"), 1025)},
		{"usr/share/doc/hello/copyright", []byte("free\n")},
		{"usr/share/hello/a", nil},
	}}
}

func TestBuild(t *testing.T) {
	n := newPackage(t)
	data, err := n.Build()
	if err != nil {
		t.Fatal(err)
	}
	if n.Control.Has("Installed-Size") {
		t.Error("Build changed the stanza of its caller")
	}
	files := make(map[string]string)
	p, err := deb.Read(bytes.NewReader(data), &deb.Options{Visit: func(f deb.File, content io.Reader) error {
		text, err := io.ReadAll(content)
		if !f.Control {
			files[f.Path] = string(text)
		}
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "hello" || p.InstalledSize != 9 || p.Architecture != "all" { // 6 directories, 0 + 1 + 2 KiB
		t.Errorf("read %+v", p)
	}
	if len(files) != 3 || files["usr/share/doc/hello/copyright"] != "free\n" {
		t.Errorf("read %q", files)
	}
	n.Files[0], n.Files[2] = n.Files[2], n.Files[0]
	again, err := n.Build()
	if err != nil || !bytes.Equal(data, again) {
		t.Error("another build gave other bytes", err)
	}
	n.Time = buildTime.Add(time.Second)
	if later, err := n.Build(); err != nil || bytes.Equal(data, later) {
		t.Error("the time is not in it", err)
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, change := range map[string]func(n *deb.New){
		"no control":    func(n *deb.New) { n.Control = nil },
		"no version":    func(n *deb.New) { n.Control.Del("Version") },
		"bad name":      func(n *deb.New) { n.Control.Set("Package", "../hello") },
		"archive field": func(n *deb.New) { n.Control.Set("Filename", "x") },
		"absolute":      func(n *deb.New) { n.Files[0].Path = "/etc/passwd" },
		"upwards":       func(n *deb.New) { n.Files[0].Path = "../x" },
		"root":          func(n *deb.New) { n.Files[0].Path = "." },
		"no path":       func(n *deb.New) { n.Files[0].Path = "" },
		"twice":         func(n *deb.New) { n.Files[0].Path = n.Files[1].Path },
		"below a file":  func(n *deb.New) { n.Files[0].Path = n.Files[1].Path + "/x" },
		"line end":      func(n *deb.New) { n.Files[0].Path = "usr/a\nb" },
		"before 1970":   func(n *deb.New) { n.Time = time.Unix(-1, 0) },
	} {
		n := newPackage(t)
		change(&n)
		var fault *deb.FormatError
		if data, err := n.Build(); !errors.As(err, &fault) {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

// dpkg and its checks of installed files take what Build makes.
func TestBuildForDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Skip("dpkg-deb is not installed")
	}
	data, err := newPackage(t).Build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "hello.deb")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TZ=UTC")
		out, err := cmd.CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("warning")) {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	list := run(dpkg, "--contents", file)
	for _, want := range []string{
		"drwxr-xr-x root/root         0 2026-05-12 10:00 ./usr/share/doc/hello/\n",
		"-rw-r--r-- root/root      1025 2026-05-12 10:00 ./usr/share/hello/z\n",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("dpkg lists\n%swithout\n%s", list, want)
		}
	}
	run(dpkg, "--raw-extract", file, "out")
	os.Rename(filepath.Join(dir, "out/DEBIAN/md5sums"), filepath.Join(dir, "out/md5sums"))
	cmd := exec.Command("md5sum", "--check", "--strict", "md5sums")
	cmd.Dir = filepath.Join(dir, "out")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != 3 {
		t.Errorf("md5sums: %v\n%s", err, out)
	}
}
