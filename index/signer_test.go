package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

var keyTime = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func makeKey(t testing.TB, opts KeyOptions) *Key {
	t.Helper()
	if opts.Name == "" {
		opts.Name = "Test"
	}
	if opts.Now == nil {
		opts.Now = at(keyTime)
	}
	k, err := GenerateKey(opts)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// rsaKey is made once: it takes a second or more.
var rsaKey = sync.OnceValues(func() (*Key, error) {
	return GenerateKey(KeyOptions{Name: "Test RSA", Algorithm: RSA4096, Now: at(keyTime)})
})

func mustRSA(t testing.TB) *Key {
	t.Helper()
	k, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var signTexts = map[string]string{
	"release":         "Suite: stable\nDate: Sat, 07 Mar 2026 08:05:01 UTC\nSHA256:\n aa 1 b\n",
	"dashes":          "- x\n-----BEGIN PGP SIGNATURE-----\n--\n-\nFrom me\n",
	"empty lines":     "\n\na\n\n\n",
	"one line end":    "\n",
	"leading space":   " a\n\tb\n",
	"not only ASCII":  "Label: größer\n",
	"looks like head": "Hash: SHA512\n\nx\n",
}

func TestClearSign(t *testing.T) {
	a, b, other := makeKey(t, KeyOptions{}), makeKey(t, KeyOptions{}), makeKey(t, KeyOptions{})
	s := &OpenPGP{Keys: []*Key{a, b}, Now: at(keyTime.Add(time.Hour))}
	for name, text := range signTexts {
		signed, err := s.ClearSign(t.Context(), []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for who, c := range map[string]struct {
			trusted Keyring
			signers int
		}{
			"first": {a.ring(), 1}, "second": {b.ring(), 1}, "both": {s.PublicKeys(), 2},
			"stranger": {other.ring(), 0}, "nobody": {nil, 0},
		} {
			got, signers, err := Verify(signed, c.trusted, keyTime.Add(2*time.Hour))
			if c.signers == 0 {
				if !errors.Is(err, ErrSignature) || got != nil {
					t.Errorf("%s, %s: %v", name, who, err)
				}
				continue
			}
			if err != nil || string(got) != text || len(signers) != c.signers || signers[0] != c.trusted[0] {
				t.Errorf("%s, %s: %q, %v, %v", name, who, got, signers, err)
			}
		}
	}
}

func (k *Key) ring() Keyring { return Keyring{k.Public()} }

func TestClearSignRefusals(t *testing.T) {
	s := &OpenPGP{Keys: []*Key{makeKey(t, KeyOptions{})}}
	for _, text := range []string{"", "a", "a \n", "a\t\nb\n", "a\r\n", "a\rb\n", "a\x00\n"} {
		if _, err := s.ClearSign(t.Context(), []byte(text)); !errors.Is(err, ErrRelease) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := new(OpenPGP).ClearSign(t.Context(), []byte("a\n")); err == nil {
		t.Error("signed without a key")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.DetachSign(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestDetachSign(t *testing.T) {
	a, b := makeKey(t, KeyOptions{}), makeKey(t, KeyOptions{})
	s := &OpenPGP{Keys: []*Key{a, b}, Now: at(keyTime)}
	for name, text := range signTexts {
		sig, err := s.DetachSign(t.Context(), []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		signers, err := VerifyDetached([]byte(text), sig, s.PublicKeys(), keyTime)
		if err != nil || len(signers) != 2 {
			t.Errorf("%s: %v, %v", name, signers, err)
		}
		if _, err := VerifyDetached([]byte(text+" "), sig, s.PublicKeys(), keyTime); !errors.Is(err, ErrSignature) {
			t.Errorf("%s, changed: %v", name, err)
		}
	}
}

// TestGPGV lets the programs verify that apt runs: gpgv, and sqv in newer
// releases.
func TestGPGV(t *testing.T) {
	a, b, stranger := makeKey(t, KeyOptions{}), mustRSA(t), makeKey(t, KeyOptions{})
	s := &OpenPGP{Keys: []*Key{a, b}}
	for _, program := range []string{"gpgv", "sqv"} {
		t.Run(program, func(t *testing.T) {
			path := needProgram(t, program)
			for name, text := range signTexts {
				dir := t.TempDir()
				write := func(name string, data []byte, err error) string {
					t.Helper()
					file := filepath.Join(dir, name)
					if err = errors.Join(err, os.WriteFile(file, data, 0o600)); err != nil {
						t.Fatal(err)
					}
					return file
				}
				clear, err := s.ClearSign(t.Context(), []byte(text))
				inRelease := write("InRelease", clear, err)
				detached, err := s.DetachSign(t.Context(), []byte(text))
				sig := write("Release.gpg", detached, err)
				release := write("Release", []byte(text), nil)
				for who, ring := range map[string]Keyring{
					"first": a.ring(), "second": b.ring(), "both": s.PublicKeys(), "stranger": stranger.ring(),
				} {
					keyring := write("ring.gpg", ring.Binary(), nil)
					if program == "sqv" {
						checkSQV(t, path, keyring, sig, release, who != "stranger")
						continue
					}
					out := filepath.Join(dir, "out")
					os.Remove(out)
					detachedOut, detachedErr := gpgv(t, path, keyring, sig, release)
					clearOut, clearErr := gpgv(t, path, keyring, "--output", out, inRelease)
					if who == "stranger" {
						if detachedErr == nil || clearErr == nil {
							t.Errorf("%s: gpgv trusts a stranger", name)
						}
						continue
					}
					if detachedErr != nil || clearErr != nil {
						t.Errorf("%s, %s: %v %s\n%v %s", name, who, detachedErr, detachedOut, clearErr, clearOut)
						continue
					}
					if got, err := os.ReadFile(out); err != nil || string(got) != text {
						t.Errorf("%s, %s: gpgv reads %q, want %q (%v)", name, who, got, text, err)
					}
				}
			}
		})
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

func checkSQV(t *testing.T, path, keyring, sig, release string, good bool) {
	t.Helper()
	out, err := exec.Command(path, "--keyring", keyring, sig, release).CombinedOutput()
	if (err == nil) != good {
		t.Errorf("sqv: %v %s, want success: %t", err, out, good)
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

func TestKeyProperties(t *testing.T) {
	expires := keyTime.Add(48 * time.Hour)
	k := makeKey(t, KeyOptions{Name: "Example Repo", Email: "repo@example.org", Expires: expires})
	plain, err := k.ArmoredPrivate(nil)
	if err != nil {
		t.Fatal(err)
	}
	protected, err := k.ArmoredPrivate([]byte("horse"))
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseKey(plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	unlocked, err := ParseKey(protected, []byte("horse"))
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*Key{"generated": k, "read": read, "unlocked": unlocked} {
		want := []string{k.Public().Fingerprint(), k.Fingerprint()[24:], Ed25519,
			"2026-01-02T03:04:05Z", "2026-01-04T03:04:05Z", "[Example Repo <repo@example.org>]"}
		got := []string{k.Fingerprint(), k.KeyID(), k.Algorithm(),
			k.CreatedAt().Format(time.RFC3339Nano), k.ExpiresAt().Format(time.RFC3339Nano), fmt.Sprint(k.UserIDs())}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if k.Fingerprint() != read.Fingerprint() || !bytes.Equal(k.ArmoredPublic(), read.ArmoredPublic()) {
			t.Errorf("%s: public key differs", name)
		}
		if e := k.secret; e.PrimaryKey.Version != 4 || e.PrimaryKey.PubKeyAlgo != packet.PubKeyAlgoEdDSA || len(e.Subkeys) > 0 {
			t.Errorf("%s: version %d, algorithm %d, %d subkeys", name, e.PrimaryKey.Version, e.PrimaryKey.PubKeyAlgo, len(e.Subkeys))
		}
	}
	for _, wrong := range [][]byte{nil, {}, []byte("Horse")} {
		if _, err := ParseKey(protected, wrong); !errors.Is(err, ErrPassphrase) {
			t.Errorf("passphrase %q: %v", wrong, err)
		}
	}
	if got := mustRSA(t).Algorithm(); got != RSA4096 {
		t.Errorf("RSA key is %q", got)
	}
}

// TestKeySecrecy prints a key in all ways that come to mind.
func TestKeySecrecy(t *testing.T) {
	k := makeKey(t, KeyOptions{})
	s := OpenPGP{Keys: []*Key{k}}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "key", k)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "key", k)
	for _, got := range []string{
		fmt.Sprint(k), fmt.Sprintf("%v", k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), fmt.Sprintf("%s", k),
		fmt.Sprintf("%x", k), fmt.Sprintf("%d", k), fmt.Sprintf("%+v", s.Keys), fmt.Sprintf("%v", []any{k}), logged.String(),
	} {
		if !strings.Contains(got, "private key of ed25519 "+k.Fingerprint()) {
			t.Errorf("printed as %s", got)
		}
	}
	// Structs that hold one print its address.
	if got := fmt.Sprintf("%#v", s); len(got) > 200 {
		t.Errorf("printed as %s", got)
	}
}

func TestGenerateKeyRefusals(t *testing.T) {
	for name, opts := range map[string]KeyOptions{
		"nameless":        {},
		"line end":        {Name: "a\nb"},
		"carriage return": {Name: "a\rb"},
		"nul":             {Name: "a\x00"},
		"brackets":        {Name: "a <b@c>"},
		"parentheses":     {Name: "a (b)"},
		"not UTF-8":       {Name: "\xff"},
		"outer space":     {Name: " a"},
		"long":            {Name: strings.Repeat("x", 201)},
		"no address":      {Email: "nobody"},
		"two addresses":   {Email: "a@b,c@d"},
		"bracket address": {Email: "a@b>"},
		"address line":    {Email: "a@b\nc"},
		"expired":         {Name: "a", Now: at(keyTime), Expires: keyTime},
		"too late":        {Name: "a", Now: at(keyTime), Expires: keyTime.AddDate(150, 0, 0)},
		"algorithm":       {Name: "a", Algorithm: "dsa1024"},
	} {
		if k, err := GenerateKey(opts); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
}

func TestParseKeyRefusals(t *testing.T) {
	a, b := makeKey(t, KeyOptions{}), makeKey(t, KeyOptions{})
	entity := func(config *packet.Config) []byte {
		e, err := openpgp.NewEntity("x", "", "", config)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := e.SerializePrivate(&out, nil); err != nil {
			t.Fatal(err)
		}
		return toArmor(openpgp.PrivateKeyType, out.Bytes())
	}
	for name, armored := range map[string][]byte{
		"nothing":         nil,
		"text":            []byte("hello"),
		"public key":      a.ArmoredPublic(),
		"two keys":        toArmor(openpgp.PrivateKeyType, slices.Concat(a.packet, b.packet)),
		"cut short":       toArmor(openpgp.PrivateKeyType, a.packet[:60]),
		"empty armour":    toArmor(openpgp.PrivateKeyType, nil),
		"public inside":   toArmor(openpgp.PrivateKeyType, a.public.packet),
		"RSA-1024":        entity(&packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 1024}),
		"algorithm 27":    entity(&packet.Config{Algorithm: packet.PubKeyAlgoEd25519}),
		"version 6":       entity(&packet.Config{Algorithm: packet.PubKeyAlgoEd25519, V6Keys: true}),
		"version 6, RSA":  entity(&packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048, V6Keys: true}),
		"endless comment": append([]byte("-----BEGIN PGP PRIVATE KEY BLOCK-----\n"), bytes.Repeat([]byte("x: y\n"), 1<<20)...),
	} {
		if k, err := ParseKey(armored, nil); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
}

func TestKeyExpiry(t *testing.T) {
	end := keyTime.Truncate(time.Second).Add(time.Hour)
	short, long := makeKey(t, KeyOptions{Expires: end}), makeKey(t, KeyOptions{})
	sign := func(now time.Time, keys ...*Key) ([]byte, error) {
		s := &OpenPGP{Keys: keys, Now: at(now)}
		_, detachErr := s.DetachSign(t.Context(), []byte("a\n"))
		signed, err := s.ClearSign(t.Context(), []byte("a\n"))
		if errors.Is(err, ErrKeyExpired) != errors.Is(detachErr, ErrKeyExpired) {
			t.Errorf("forms disagree: %v, %v", err, detachErr)
		}
		return signed, err
	}
	if _, err := sign(end.Add(-time.Second), short); err != nil {
		t.Errorf("before the end: %v", err)
	}
	_, err := sign(end, short)
	if !errors.Is(err, ErrKeyExpired) || !strings.Contains(err.Error(), short.Fingerprint()) {
		t.Errorf("at the end: %v", err)
	}
	signed, err := sign(end, short, long)
	if err != nil {
		t.Fatalf("one of two expired: %v", err)
	}
	if _, signers, err := Verify(signed, Keyring{short.Public(), long.Public()}, end); err != nil || len(signers) != 1 {
		t.Errorf("one of two expired: %v, %v", signers, err)
	}
	// What an expired key signed while it was good counts no more.
	if signed, err = sign(end.Add(-time.Minute), short, long); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Verify(signed, short.ring(), end.Add(time.Minute)); !errors.Is(err, ErrSignature) {
		t.Errorf("verified by an expired key: %v", err)
	}
	if _, signers, err := Verify(signed, Keyring{short.Public(), long.Public()}, end.Add(time.Minute)); err != nil || len(signers) != 1 {
		t.Errorf("verified by an expired key and another: %v, %v", signers, err)
	}
	// A clock that is behind the one that made the key.
	if signed, err = sign(keyTime.Add(-time.Minute), long); err != nil {
		t.Fatalf("clock behind: %v", err)
	}
	if _, _, err := Verify(signed, long.ring(), keyTime); err != nil {
		t.Errorf("clock behind: %v", err)
	}
}

func TestVerifyRefusals(t *testing.T) {
	a, b := makeKey(t, KeyOptions{}), makeKey(t, KeyOptions{})
	sign := func(text string, keys ...*Key) string {
		signed, err := (&OpenPGP{Keys: keys, Now: at(keyTime)}).ClearSign(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(signed)
	}
	good := sign("Suite: a\nLabel: b\n", a)
	head, sig, _ := strings.Cut(good, "-----BEGIN PGP SIGNATURE-----")
	both := sign("Suite: a\nLabel: b\n", a, b)
	_, bothSig, _ := strings.Cut(both, "-----BEGIN PGP SIGNATURE-----")
	for name, file := range map[string]string{
		"empty":             "",
		"text":              "Suite: a\n",
		"text before":       "Suite: evil\n" + good,
		"line end before":   "\n" + good,
		"text after":        good + "Suite: evil\n",
		"message after":     good + good,
		"no signature":      head,
		"cut short":         good[:len(good)-10],
		"changed":           strings.Replace(good, "Suite: a", "Suite: b", 1),
		"line added":        strings.Replace(good, "Label", "X: y\nLabel", 1),
		"other header":      strings.Replace(good, "Hash:", "Charset: x\nHash:", 1),
		"text in header":    strings.Replace(good, "Hash:", "Suite: evil\nHash:", 1),
		"first line longer": strings.Replace(good, "MESSAGE-----", "MESSAGE----- x", 1),
		"dash not escaped":  strings.Replace(good, "Label", "-----BEGIN PGP SIGNED MESSAGE-----\nLabel", 1),
		"nul":               strings.Replace(good, "Label", "\x00Label", 1),
		"other armour":      head + strings.ReplaceAll("-----BEGIN PGP SIGNATURE-----"+sig, "SIGNATURE", "MESSAGE"),
		"empty signature":   head + "-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n",
		"key as signature":  head + strings.ReplaceAll(string(a.ArmoredPublic()), "PUBLIC KEY BLOCK", "SIGNATURE"),
		"too long":          good + strings.Repeat("\n", maxInRelease),
		// The second key is unknown to the client, the first one did not sign this.
		"one of two does not fit": strings.Replace(head, "Label: b", "Label: c", 1) + "-----BEGIN PGP SIGNATURE-----" + bothSig,
		"many signatures": head + string(toArmor(openpgp.SignatureType, slices.Concat(
			mustUnarmor(t, good), bytes.Repeat(mustUnarmor(t, sign("other\n", b)), maxSignatures)))),
	} {
		if text, _, err := Verify([]byte(file), a.ring(), keyTime); !errors.Is(err, ErrSignature) || text != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	mixed := head + string(toArmor(openpgp.SignatureType, slices.Concat(
		mustUnarmor(t, good), mustUnarmor(t, sign("other\n", b)))))
	if _, _, err := Verify([]byte(mixed), Keyring{a.Public(), b.Public()}, keyTime); !errors.Is(err, ErrSignature) {
		t.Errorf("one of two trusted signatures does not fit: %v", err)
	}
	if _, _, err := Verify([]byte(mixed), a.ring(), keyTime); err != nil {
		t.Errorf("a stranger's signature does not fit: %v", err)
	}
	// These are in order.
	for name, file := range map[string]string{
		"as signed":         good,
		"two keys":          both,
		"carriage returns":  strings.ReplaceAll(good, "\n", "\r\n"),
		"trailing space":    strings.Replace(good, "Suite: a\n", "Suite: a \t\n", 1), // is not part of what is signed
		"line ends after":   good + "\n\n",
		"no line end":       strings.TrimSuffix(good, "\n"),
		"without hash line": strings.Replace(good, "Hash: SHA256\n", "", 1),
	} {
		text, _, err := Verify([]byte(file), a.ring(), keyTime)
		if err != nil || string(text) != "Suite: a\nLabel: b\n" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func mustUnarmor(t testing.TB, signed string) []byte {
	t.Helper()
	_, sig, _ := strings.Cut(signed, "-----BEGIN PGP SIGNATURE-----")
	body, err := unarmor([]byte("-----BEGIN PGP SIGNATURE-----"+sig), openpgp.SignatureType)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestKeyring(t *testing.T) {
	keys := Keyring{makeKey(t, KeyOptions{}).Public(), mustRSA(t).Public()}
	for name, data := range map[string][]byte{"armoured": keys.Armored(), "binary": keys.Binary()} {
		got, err := ParseKeyring(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if fmt.Sprint(got) != fmt.Sprint(keys) {
			t.Errorf("%s: %v, want %v", name, got, keys)
		}
	}
	k := makeKey(t, KeyOptions{})
	private, err := k.ArmoredPrivate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "private": private, "private, binary": k.packet,
		"too long": make([]byte, maxKeyring+1),
	} {
		if got, err := ParseKeyring(data); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestPublicKeysOf(t *testing.T) {
	k := makeKey(t, KeyOptions{})
	s := &OpenPGP{Keys: []*Key{k}}
	if got := PublicKeys(s); len(got) != 1 || got[0] != k.Public() {
		t.Errorf("%v", got)
	}
	if got := PublicKeys(struct{ Signer }{s}); got != nil {
		t.Errorf("signer without keys: %v", got)
	}
}

// TestConcurrentSigning is for the race detector.
func TestConcurrentSigning(t *testing.T) {
	k := makeKey(t, KeyOptions{})
	s := &OpenPGP{Keys: []*Key{k}}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			signed, err := s.ClearSign(t.Context(), []byte("a\n"))
			if err != nil {
				t.Error(err)
				return
			}
			if _, _, err := Verify(signed, s.PublicKeys(), time.Now()); err != nil {
				t.Error(err)
			}
			if _, err := k.ArmoredPrivate([]byte("x")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func FuzzVerify(f *testing.F) {
	k := makeKey(f, KeyOptions{})
	want := "Suite: a\nLabel: b\n"
	signed, err := (&OpenPGP{Keys: []*Key{k}, Now: at(keyTime)}).ClearSign(f.Context(), []byte(want))
	if err != nil {
		f.Fatal(err)
	}
	// The body can be told from the frame, so that mutations reach both.
	head, tail, _ := strings.Cut(string(signed), want)
	f.Add(head, want, tail)
	f.Add(head, "- -\n"+want, tail)
	f.Add("", want, "")
	f.Fuzz(func(t *testing.T, head, body, tail string) {
		text, signers, err := Verify([]byte(head+body+tail), k.ring(), keyTime)
		if err != nil {
			if !errors.Is(err, ErrSignature) || text != nil {
				t.Fatalf("%q with %v", text, err)
			}
			return
		}
		if len(signers) == 0 || string(text) != want {
			t.Fatalf("verified %q, which nobody signed", text)
		}
	})
}

func FuzzParseKeyring(f *testing.F) {
	k := makeKey(f, KeyOptions{})
	f.Add(k.public.packet)
	f.Add(k.ArmoredPublic())
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseKeyring(data)
		if err != nil {
			return
		}
		again, err := ParseKeyring(keys.Armored())
		if err != nil || fmt.Sprint(again) != fmt.Sprint(keys) {
			t.Fatalf("%v read back as %v, %v", keys, again, err)
		}
	})
}
