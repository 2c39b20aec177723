package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb/debtest"
)

// served is a data directory with one package, and the server that has it.
func served(t *testing.T) (s *testServer, dir string) {
	t.Helper()
	s = startServer(t, "--distributions", "jammy")
	token, err := makeToken(s.url, "uploader", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.deb")
	if err := os.WriteFile(path, debtest.Package{Name: "hello"}.Build(), 0o644); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"REPOD_URL": s.url, "REPOD_TOKEN": token}
	if status, _, stderr := invoke(t, env, "upload", "-d", "jammy", path); status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	return s, filepath.Join(filepath.Dir(s.log), "data")
}

// successor is a new data directory with the secret key of another.
func successor(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "new")
	key, err := os.ReadFile(filepath.Join(dir, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "secret.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// A backup holds no key, is private, and says what is not in it. A restore needs
// the key, the right one.
func TestBackupKeepsTheKeyApart(t *testing.T) {
	_, dir := served(t)
	file := filepath.Join(t.TempDir(), "b.tar")
	status, stdout, stderr := invoke(t, nil, "backup", "--data-dir", dir, file)
	if status != exitOK || !strings.Contains(stdout, "the secret key is not in the backup") {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := readSecretKey(filepath.Join(dir, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, key) || bytes.Contains(data, bytes.TrimSpace(text)) {
		t.Error("the secret key is in the backup")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	to := filepath.Join(t.TempDir(), "new")
	if status, _, stderr := invoke(t, nil, "restore", "--data-dir", to, file); status != exitFailure || !strings.Contains(stderr, "secret key of the server is needed") {
		t.Errorf("without a key: status %d: %s", status, stderr)
	}
	if _, err := storedSecretKey(filepath.Join(t.TempDir(), "k"), nil); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.key")
	if _, err := storedSecretKey(other, nil); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := invoke(t, nil, "restore", "--data-dir", to, "--secret-key-file", other, file); status != exitFailure || !strings.Contains(stderr, "is not the one") {
		t.Errorf("with another key: status %d: %s", status, stderr)
	}
	if _, err := os.Stat(filepath.Join(to, "repod.db")); err == nil {
		t.Error("there is a database")
	}
}

// Sessions of the former server do not hold; tokens do.
func TestRestoreEndsSessions(t *testing.T) {
	s, dir := served(t)
	var session struct {
		Token string `json:"access_token"`
	}
	login := map[string]string{"username": "admin", "password": testPassword}
	if err := call(s.url, "/auth/token", "", login, &session); err != nil {
		t.Fatal(err)
	}
	token, err := makeToken(s.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "b.tar.zst")
	if status, _, stderr := invoke(t, nil, "backup", "--data-dir", dir, file); status != exitOK {
		t.Fatal(stderr)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	to := successor(t, dir)
	status, stdout, stderr := invoke(t, nil, "restore", "--json", "--data-dir", to, file)
	var result restoreResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || status != exitOK || result.Users != 1 || result.Files < 2 {
		t.Fatalf("status %d: %v, %+v: %s", status, err, result, stderr)
	}
	log := filepath.Join(t.TempDir(), "log")
	next, err := launch(t.TempDir(), log, nil, "--data-dir", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.cmd.Process.Kill() })
	if status, _ := next.call(t, "GET", "/auth/users", session.Token, ""); status != 401 {
		t.Errorf("a session of the former server: %d", status)
	}
	for what, with := range map[string]string{"a token": token} {
		if status, answer := next.call(t, "GET", "/auth/users", with, ""); status != 200 {
			t.Errorf("%s: %d %s", what, status, answer)
		}
	}
	if err := call(next.url, "/auth/token", "", login, &session); err != nil {
		t.Errorf("the password: %v", err)
	}
	if status, answer := next.call(t, "GET", "/artifacts/audit/logs?action=repository.restore", token, ""); status != 200 || !strings.Contains(answer, "repository.restore") {
		t.Errorf("the audit log: %d %s", status, answer)
	}
	if err := next.stop(); err != nil {
		t.Error(err)
	}
}

// A repository with faults is backed up and the exit status says so; what makes no
// sense is bad usage, and a broken restore keeps servers from starting.
func TestBackupStatus(t *testing.T) {
	_, dir := served(t)
	if err := os.RemoveAll(filepath.Join(dir, "files", "pool")); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	status, stdout, _ := invoke(t, nil, "backup", "--data-dir", dir, folder)
	if status != exitFailure || !strings.Contains(stdout, "pool/main/h/hello/") || !strings.Contains(stdout, "1 files were lost or damaged") {
		t.Errorf("status %d: %s", status, stdout)
	}
	to := successor(t, dir)
	if status, _, stderr := invoke(t, nil, "restore", "--data-dir", to, folder); status != exitOK {
		t.Errorf("restored with status %d: %s", status, stderr)
	}
	for _, args := range [][]string{
		{"backup", "--data-dir", dir}, {"backup", "--data-dir", dir, "--keep", "3", filepath.Join(folder, "f.tar")},
		{"backup", "--data-dir", dir, "--keep", "-1", folder}, {"restore", "--data-dir", dir},
	} {
		if status, _, stderr := invoke(t, nil, args...); status != exitUsage {
			t.Errorf("%q: status %d: %s", args, status, stderr)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*f.tar*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	unfinished := successor(t, dir)
	if err := os.Mkdir(filepath.Join(unfinished, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(unfinished, "files", "restore-unfinished"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	_, err := launch(t.TempDir(), log, nil, "--data-dir", unfinished)
	if text, _ := os.ReadFile(log); err == nil || !strings.Contains(string(text), "run repod restore again") {
		t.Errorf("a server starts where a restore was broken off: %v\n%s", err, text)
	}
}
