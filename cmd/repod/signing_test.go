package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/index"
)

// gnupgHome makes a GnuPG home with one key without a passphrase, and returns its
// fingerprint.
func gnupgHome(t *testing.T) (dir, fingerprint string) {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("gpg is not installed")
		}
		t.Skip("gpg is not installed")
	}
	dir, err := os.MkdirTemp("", "gpg") // a short path: the agent makes a socket in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", dir, "--kill", "gpg-agent").Run()
		os.RemoveAll(dir)
	})
	gpg := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("gpg", append([]string{"--homedir", dir, "--batch", "--quiet"}, args...)...).Output()
		if err != nil {
			t.Fatalf("gpg %q: %v", args, err)
		}
		return string(out)
	}
	gpg("--passphrase", "", "--quick-gen-key", "Agent <agent@example.org>", "ed25519", "cert", "never")
	_, after, _ := strings.Cut(gpg("--with-colons", "--list-keys"), "\nfpr:::::::::")
	fingerprint, _, _ = strings.Cut(after, ":")
	// The one that signs is a subkey, as careful people have it.
	gpg("--passphrase", "", "--quick-add-key", fingerprint, "ed25519", "sign", "1y")
	return dir, fingerprint
}

// script makes a program of a shell script.
func script(t *testing.T, lines string) string {
	t.Helper()
	return writeFile(t, "signer", "#!/bin/sh\n"+lines+"\n", 0o700)
}

// inRelease returns what a repository gives out.
func inRelease(t *testing.T, r *aptrepo.Repo, codename string) []byte {
	t.Helper()
	f, err := r.OpenFile(t.Context(), "dists/"+codename+"/InRelease")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// gpg and its agent sign all there is to sign, and nobody can generate keys here.
func TestSigningByGPG(t *testing.T) {
	home, fingerprint := gnupgHome(t)
	spaced := strings.ToLower(fingerprint[:20]) + "  " + fingerprint[20:]
	o := openStore(t, testStore(t, map[string]string{"REPOD_SIGNING_GPG_KEY": spaced, "REPOD_SIGNING_GNUPG_HOME": home}))
	if _, err := o.repo.Init(t.Context(), aptrepo.Distribution{Codename: "jammy"}); err != nil {
		t.Fatal(err)
	}
	ring, err := o.repo.Keys(t.Context())
	if err != nil || len(ring.Keys) != 1 || ring.Keys[0].Fingerprint != fingerprint || ring.Keys[0].State != aptrepo.KeyActive {
		t.Fatalf("keys %+v, %v", ring.Keys, err)
	}
	public, err := index.ParseKeyring(ring.Armored)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := index.Verify(inRelease(t, o.repo, "jammy"), public, time.Now()); err != nil {
		t.Error(err)
	}
	signature, err := o.repo.SignDetached(t.Context(), []byte("{}"))
	if err == nil {
		_, err = index.VerifyDetached([]byte("{}"), signature, public, time.Now())
	}
	if err != nil {
		t.Error(err)
	}
	if h := o.repo.Check(t.Context()); h != (aptrepo.Health{}) {
		t.Errorf("health %+v", h)
	}
	if _, err := o.repo.GenerateKey(t.Context(), aptrepo.KeyOptions{}); !errors.Is(err, aptrepo.ErrForeignSigner) {
		t.Errorf("GenerateKey: %v", err)
	}
	if stored, err := o.db.SigningKeys(t.Context()); err != nil || len(stored) > 0 {
		t.Errorf("%d keys in the database, %v", len(stored), err)
	}
	if _, err := exec.LookPath("gpgv"); err != nil {
		return
	}
	dir := t.TempDir()
	file, keys := filepath.Join(dir, "InRelease"), filepath.Join(dir, "ring.gpg")
	if err := errors.Join(os.WriteFile(file, inRelease(t, o.repo, "jammy"), 0o600), os.WriteFile(keys, ring.Binary, 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gpgv", "--homedir", dir, "--keyring", keys, file).CombinedOutput(); err != nil {
		t.Errorf("gpgv: %v\n%s", err, out)
	}
}

// A passphrase that the agent remembers need not be asked for; one that it does
// not is an error, and no server that waits.
func TestSigningByAgent(t *testing.T) {
	const preset = "/usr/lib/gnupg/gpg-preset-passphrase"
	if _, err := os.Stat(preset); err != nil {
		t.Skip("gpg-preset-passphrase is not installed")
	}
	home, _ := gnupgHome(t)
	if err := os.WriteFile(filepath.Join(home, "gpg-agent.conf"), []byte("allow-preset-passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gpg := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %q: %v", name, args, err)
		}
		return string(out)
	}
	gpg("gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "locked", "--quick-gen-key", "Locked", "ed25519", "sign", "never")
	gpg("gpgconf", "--kill", "gpg-agent")
	field := func(kind string) string {
		_, after, _ := strings.Cut(gpg("gpg", "--batch", "--with-colons", "--with-keygrip", "--list-secret-keys", "Locked"), "\n"+kind+":::::::::")
		value, _, _ := strings.Cut(after, ":")
		return value
	}
	s, err := (&storeConfig{gpgKey: field("fpr"), gnupgHome: home}).signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ClearSign(t.Context(), []byte("a\n")); err == nil || !strings.Contains(err.Error(), "signing failed") {
		t.Errorf("without the passphrase: %v", err)
	}
	gpg(preset, "--preset", "--passphrase", "locked", field("grp"))
	if _, err := s.ClearSign(t.Context(), []byte("a\n")); err != nil {
		t.Errorf("with the passphrase: %v", err)
	}
}

// A command signs as README says, without any of the server's secrets.
func TestSigningCommand(t *testing.T) {
	home, fingerprint := gnupgHome(t)
	noted := filepath.Join(t.TempDir(), "noted")
	t.Setenv("REPOD_SECRET_KEY", "a secret of the server")
	program := script(t, fmt.Sprintf(`
env >>%[3]s; echo "args: $*" >>%[3]s
gpg="gpg --homedir %[1]s --batch --quiet --no-tty"
case "$2" in
public-key) exec $gpg --armor --export %[2]s ;;
clearsign) exec $gpg --clearsign ;;
detach) exec $gpg --armor --detach-sign ;;
*) exit 64 ;;
esac`, home, fingerprint, noted))
	o := openStore(t, testStore(t, map[string]string{"REPOD_SIGNING_COMMAND": program + " ;echo$(id)", "HOME": "/nonexistent"}))
	if _, err := o.repo.Init(t.Context(), aptrepo.Distribution{Codename: "jammy"}); err != nil {
		t.Fatal(err)
	}
	ring, err := o.repo.Keys(t.Context())
	if err != nil || ring.Keys[0].Fingerprint != fingerprint {
		t.Fatalf("keys %+v, %v", ring.Keys, err)
	}
	seen, err := os.ReadFile(noted)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"args: ;echo$(id) public-key\n", "args: ;echo$(id) clearsign\n", "args: ;echo$(id) detach\n", "\nHOME=/nonexistent\n"} {
		if !strings.Contains("\n"+string(seen), want) {
			t.Errorf("the program did not see %q", want)
		}
	}
	if strings.Contains(string(seen), "REPOD_") || strings.Contains(string(seen), "a secret") {
		t.Errorf("the program saw variables of the server:\n%s", seen)
	}
}

// Whatever a broken program returns, what was published stays, and health tells.
func TestBrokenSigningCommand(t *testing.T) {
	home, fingerprint := gnupgHome(t)
	dir := t.TempDir()
	program := script(t, fmt.Sprintf(`
gpg="gpg --homedir %[1]s --batch --quiet --no-tty"
if [ -e %[3]s/broken ]; then . %[3]s/broken; fi
case "$1" in
public-key) exec $gpg --export %[2]s ;;
clearsign) exec $gpg --clearsign ;;
detach) exec $gpg --armor --detach-sign ;;
esac`, home, fingerprint, dir))
	c := testStore(t, map[string]string{"REPOD_SIGNING_COMMAND": program})
	o := openStore(t, c)
	if _, err := o.repo.Init(t.Context(), aptrepo.Distribution{Codename: "jammy"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.repo.Init(t.Context(), aptrepo.Distribution{Codename: "focal"}); err != nil {
		t.Fatal(err)
	}
	before := inRelease(t, o.repo, "jammy")
	if err := os.WriteFile(filepath.Join(dir, "other"), inRelease(t, o.repo, "focal"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string]struct{ lines, want string }{
		"another's text":   {"cat >/dev/null; cat " + dir + "/other; exit 0", "another text was signed"},
		"the text as is":   {"cat; exit 0", "no valid signature"},
		"nothing":          {"cat >/dev/null; exit 0", "no valid signature"},
		"a status":         {"echo the token is locked >&2; exit 3", "ended with exit status 3: the token is locked"},
		"killed":           {"kill -9 $$", "killed"},
		"too much":         {"cat >/dev/null; exec yes", "it writes more than"},
		"detached missing": {`[ "$1" = detach ] && { cat >/dev/null; exit 0; }`, "not armoured"},
		"a stranger":       {"gpg=\"$gpg --local-user Stranger\"", "no valid signature by a trusted key"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "a stranger" {
				out, err := exec.Command("gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "Stranger", "ed25519", "sign", "never").CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "broken"), []byte(broken.lines+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(filepath.Join(dir, "broken"))
			err := o.repo.Resign(t.Context())
			if !errors.Is(err, aptrepo.ErrSigning) || !strings.Contains(err.Error(), broken.want) {
				t.Errorf("error %v, want %q", err, broken.want)
			}
			if !bytes.Equal(before, inRelease(t, o.repo, "jammy")) {
				t.Error("it was published")
			}
		})
	}
	if err := o.repo.Resign(t.Context()); err != nil {
		t.Errorf("once it works again: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken"), []byte("exit 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.open(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "--signing-command") {
		t.Errorf("a start without public key: %v", err)
	}
}

// A program that hangs is ended with all that it has started.
func TestSigningCommandHangs(t *testing.T) {
	dir := t.TempDir()
	program := script(t, "echo $$ >"+dir+"/pid; sleep 61 & echo $! >>"+dir+"/pid; wait")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c := storeConfig{signingCommand: []string{program}}
	start := time.Now()
	_, err := c.commandSigner().run(ctx, "detach", []byte("x"))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	pids, err := os.ReadFile(dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(pids)) {
		for try := 0; ; try++ {
			state, err := os.ReadFile("/proc/" + pid + "/stat")
			if err != nil || bytes.Contains(state, []byte(") Z ")) {
				break
			}
			if try == 100 {
				t.Fatalf("process %s lives on: %s", pid, state)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func TestUnfitSigningKeys(t *testing.T) {
	for name, lines := range map[string]string{
		"nothing": "exit 0", "text": "echo hello", "a private key": "cat " + privateKey(t),
	} {
		c := storeConfig{signingCommand: []string{script(t, lines)}}
		if _, err := c.signer(t.Context()); !errors.Is(err, index.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	home, _ := gnupgHome(t)
	for _, key := range []string{strings.Repeat("A", 40), subkey(t, home)} {
		c := storeConfig{gpgKey: key, gnupgHome: home}
		if _, err := c.signer(t.Context()); err == nil || !strings.Contains(err.Error(), "--signing-gnupg-home") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func privateKey(t *testing.T) string {
	t.Helper()
	key, err := index.GenerateKey(index.KeyOptions{Name: "private"})
	if err != nil {
		t.Fatal(err)
	}
	armoured, err := key.ArmoredPrivate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "key.asc", string(armoured), 0o600)
}

// subkey returns the fingerprint of the last key in a GnuPG home.
func subkey(t *testing.T, home string) string {
	t.Helper()
	out, err := exec.Command("gpg", "--homedir", home, "--batch", "--with-colons", "--with-subkey-fingerprint", "--list-keys").Output()
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	fingerprint, _, _ := strings.Cut(text[strings.LastIndex(text, "fpr:::::::::")+len("fpr:::::::::"):], ":")
	return fingerprint
}

func TestSigningUsage(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"two places":     {"REPOD_SIGNING_COMMAND": "x", "REPOD_SIGNING_KEY_FILE": "x"},
		"two more":       {"REPOD_SIGNING_COMMAND": "x", "REPOD_SIGNING_GPG_KEY": strings.Repeat("A", 40)},
		"a short key ID": {"REPOD_SIGNING_GPG_KEY": strings.Repeat("A", 16)},
		"an option":      {"REPOD_SIGNING_GPG_KEY": "--exec"},
		"a home alone":   {"REPOD_SIGNING_GNUPG_HOME": "/x"},
	} {
		s, err := testSettings(t, env, "--data-dir", t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		var usage *usageError
		if _, err := s.storeConfig(); !errors.As(err, &usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
