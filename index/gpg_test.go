package index

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGPGV lets the programs verify that apt runs: gpgv, and sqv in newer
// releases.
func TestGPGV(t *testing.T) {
	a, b, stranger := makeKey(t, KeyOptions{}), mustRSA(t), makeKey(t, KeyOptions{})
	s := &OpenPGP{Keys: []*Key{a, b}}
	rings := map[string]Keyring{
		"first": a.ring(), "second": b.ring(), "both": s.PublicKeys(), "stranger": stranger.ring(),
	}
	for program, check := range map[string]func(t *testing.T, path string, f signedFiles, trusted bool){
		"gpgv": checkGPGV, "sqv": checkSQV,
	} {
		t.Run(program, func(t *testing.T) {
			path := needProgram(t, program)
			for name, text := range signTexts {
				for who, ring := range rings {
					t.Run(name+", "+who, func(t *testing.T) {
						check(t, path, writeSigned(t, s, text, ring), who != "stranger")
					})
				}
			}
		})
	}
}

// signedFiles are a Release file in its forms, and a keyring.
type signedFiles struct {
	text                                     string
	dir, inRelease, release, detached, trust string
}

func writeSigned(t *testing.T, s Signer, text string, trusted Keyring) signedFiles {
	t.Helper()
	clear, err := s.ClearSign(t.Context(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	detached, err := s.DetachSign(t.Context(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return signedFiles{text, dir, write("InRelease", clear), write("Release", []byte(text)),
		write("Release.gpg", detached), write("ring.gpg", trusted.Binary())}
}

func checkGPGV(t *testing.T, path string, f signedFiles, trusted bool) {
	t.Helper()
	read := filepath.Join(f.dir, "read")
	detachedOut, detachedErr := gpgv(t, path, f.trust, f.detached, f.release)
	clearOut, clearErr := gpgv(t, path, f.trust, "--output", read, f.inRelease)
	if !trusted {
		if detachedErr == nil || clearErr == nil {
			t.Error("gpgv trusts a stranger")
		}
		return
	}
	if detachedErr != nil || clearErr != nil {
		t.Fatalf("%v %s\n%v %s", detachedErr, detachedOut, clearErr, clearOut)
	}
	if got, err := os.ReadFile(read); err != nil || string(got) != f.text {
		t.Errorf("gpgv reads %q, want %q (%v)", got, f.text, err)
	}
}

// gpgv succeeds when one good signature is there and none is bad, as apt sees
// it; signatures by unknown keys make the program's own status 2.
func gpgv(t *testing.T, path, keyring string, args ...string) ([]byte, error) {
	cmd := exec.Command(path, append([]string{"--status-fd", "1", "--homedir", t.TempDir(), "--keyring", keyring}, args...)...)
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte("GOODSIG")) && !bytes.Contains(out, []byte("BADSIG")) {
		return out, nil
	}
	return out, errors.Join(errors.New("no good signature"), err)
}

func checkSQV(t *testing.T, path string, f signedFiles, trusted bool) {
	t.Helper()
	out, err := exec.Command(path, "--keyring", f.trust, f.detached, f.release).CombinedOutput()
	if (err == nil) != trusted {
		t.Errorf("sqv: %v %s, want success: %t", err, out, trusted)
	}
}

// TestGPGImport makes sure that GnuPG takes our private keys, and we its.
func TestGPGImport(t *testing.T) {
	path := needProgram(t, "gpg")
	home, err := os.MkdirTemp("", "gpg") // a short path: gpg-agent makes a socket in it
	if err != nil {
		t.Fatal(err)
	}
	run := func(stdin []byte, args ...string) []byte {
		t.Helper()
		cmd := exec.Command(path, append([]string{"--homedir", home, "--batch", "--quiet"}, args...)...)
		cmd.Stdin = bytes.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("gpg %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", home, "--kill", "gpg-agent").Run()
		os.RemoveAll(home)
	})
	k := makeKey(t, KeyOptions{Name: "Über Repo", Email: "repo@example.org", Expires: time.Now().Add(1000 * time.Hour)})
	armored, err := k.ArmoredPrivate([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	run(armored, "--import")
	if out := run(nil, "--list-secret-keys", "--with-colons"); !bytes.Contains(out, []byte(k.Fingerprint())) {
		t.Errorf("gpg lists %s", out)
	}
	run(nil, "--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key", "from gpg", "ed25519", "sign", "never")
	theirs, err := ParseKey(run(nil, "--armor", "--export-secret-keys", "from gpg"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := theirs.UserIDs(); !slices.Equal(got, []string{"from gpg"}) || theirs.Algorithm() != Ed25519 {
		t.Errorf("read %v", theirs)
	}
	s := &OpenPGP{Keys: []*Key{theirs}}
	if _, err := s.ClearSign(t.Context(), []byte("a\n")); err != nil {
		t.Error(err)
	}
	const text = "- a\n-- b\n\nc\n"
	for hash, good := range map[string]bool{"SHA512": true, "SHA224": false, "SHA1": false} {
		signed := run([]byte(text), "--local-user", "from gpg", "--digest-algo", hash, "--clearsign")
		got, _, err := Verify(signed, theirs.ring(), time.Now())
		if good && (err != nil || string(got) != text) || !good && !errors.Is(err, ErrSignature) {
			t.Errorf("signed by gpg with %s: %q, %v", hash, got, err)
		}
	}
}

// The armour of a signature ends where its base64 has no padding, too: gpgv of
// Debian 12 does not find that end without a checksum, and apt then refuses the
// file.
func TestGPGVUnpadded(t *testing.T) {
	path := needProgram(t, "gpgv")
	// Of two keys one signature in 64 is a byte shorter than usual, and has no
	// padding then; of one key, one in some ten thousand.
	one, two := makeKey(t, KeyOptions{}), makeKey(t, KeyOptions{})
	s := &OpenPGP{Keys: []*Key{one, two}}
	for i := range 20_000 {
		signed, err := s.ClearSign(t.Context(), fmt.Appendf(nil, "Date: %d\n", i))
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(signed, []byte{'\n'})
		if n := len(lines); !bytes.HasPrefix(lines[n-3], []byte{'='}) || len(lines[n-3]) != 5 {
			t.Fatalf("no checksum:\n%s", signed)
		} else if bytes.HasSuffix(lines[n-4], []byte{'='}) {
			continue
		}
		dir := t.TempDir()
		file, ring := filepath.Join(dir, "InRelease"), filepath.Join(dir, "ring.gpg")
		if err := errors.Join(os.WriteFile(file, signed, 0o600), os.WriteFile(ring, append(one.ring(), two.ring()...).Binary(), 0o600)); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(path, "--homedir", dir, "--keyring", ring, file).CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, signed)
		}
		return
	}
	t.Error("no signature was without padding")
}
