package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// need skips a test without the programs that it drives; CI must have them.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section returns a part of the README and the shell commands in it.
func section(t *testing.T, title string) (text string, shell []string) {
	t.Helper()
	_, text, found := strings.Cut(readme(t), "\n## "+title+"\n")
	if !found {
		t.Fatalf("no section %q", title)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		shell = append(shell, m[1])
	}
	return text, shell
}

// TestQuickStart runs what the README tells its readers to type, with real
// curl, dpkg-deb and apt.
func TestQuickStart(t *testing.T) {
	need(t, "bash", "curl", "jq", "dpkg-deb", "apt-get")
	_, shell := section(t, "Quick start")
	if len(shell) != 4 {
		t.Fatalf("%d blocks of commands, want server, login, upload, client", len(shell))
	}
	const serve = "\nrepod serve --distributions jammy\n"
	if !strings.HasSuffix(shell[0], serve) {
		t.Fatalf("the server is started by\n%s", shell[0])
	}
	s := startServer(t, strings.Fields(serve)[2:]...)
	dir := t.TempDir()
	local := strings.NewReplacer("http://localhost:8000", s.url, "what repod serve printed", testPassword)

	out := runShell(t, dir, local.Replace(shell[1]+shell[2]))
	for _, want := range []string{`"status":"indexed"`, "already_indexed"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}

	root := aptRoot(t)
	client := local.Replace(shell[3])
	client = strings.ReplaceAll(client, "/etc/apt/", root+"/etc/apt/")
	client = strings.Replace(client, "apt-get update", fmt.Sprintf("sed -i 's#/etc/apt/#%s/etc/apt/#' %s/etc/apt/sources.list.d/*\napt-get update", root, root), 1)
	client = strings.Replace(client, "install -y", "install -y --download-only", 1)
	out = runShell(t, dir, client, "APT_CONFIG="+root+"/apt.conf")
	if _, err := os.Stat(root + "/var/cache/apt/archives/hello-repod_1.0_all.deb"); err != nil {
		t.Errorf("apt did not get the package: %v\n%s", err, out)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// runShell runs commands as a user's shell would, repod among them, but ends
// at the first that fails.
func runShell(t *testing.T, dir, commands string, env ...string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(program, filepath.Join(bin, "repod")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = dir
	cmd.Env = append(slices.Concat(os.Environ(), env), "PATH="+bin+":"+os.Getenv("PATH"), "no_proxy=*")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v in\n%s\n%s", err, commands, out)
	}
	return string(out)
}

// aptRoot makes a private root for apt: nothing of the system is touched.
func aptRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{
		"etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d",
		"var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg", "var/log/apt",
	} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := fmt.Sprintf(`Dir "%s/";
Dir::State::status "%s/var/lib/dpkg/status";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::http::Proxy "DIRECT";
`, root, root)
	for name, text := range map[string]string{"apt.conf": conf, "var/lib/dpkg/status": ""} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// The table of settings in the README is that of the program.
func TestReadmeNamesAllSettings(t *testing.T) {
	text, _ := section(t, "Configuration")
	for _, s := range slices.Concat(storeSettings, serveSettings) {
		for _, want := range []string{"`--" + s.name + "`", "`" + variable(s.name) + "`"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s is not described", want)
			}
		}
		if s.fallback != "" && !strings.Contains(text, "`"+s.fallback+"`") {
			t.Errorf("the default of --%s is not %s", s.name, s.fallback)
		}
	}
	known := configKeys()
	for _, m := range regexp.MustCompile("`--([a-z-]+)`").FindAllStringSubmatch(text, -1) {
		if !known[m[1]] {
			t.Errorf("--%s is described and does not exist", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`REPOD_([A-Z_]+)`").FindAllStringSubmatch(text, -1) {
		if name := strings.ReplaceAll(strings.ToLower(m[1]), "_", "-"); !known[name] && name != "config" {
			t.Errorf("REPOD_%s is described and does not exist", m[1])
		}
	}
}

func TestReadmeNamesAllCommands(t *testing.T) {
	text, _ := section(t, "Command line")
	for _, c := range (&program{env: os.Getenv}).rootCommand().Commands() {
		if !strings.Contains(text, "`repod "+c.Name()) {
			t.Errorf("%s is not described", c.Name())
		}
	}
}
