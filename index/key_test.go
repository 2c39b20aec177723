package index

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

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
