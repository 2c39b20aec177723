package index

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// external has texts signed as sign does, by keys of ring.
func external(ring Keyring, sign func(form Form, text []byte) []byte) *External {
	return &External{Keys: ring, Now: at(keyTime), Sign: func(_ context.Context, form Form, text []byte) ([]byte, error) {
		return sign(form, text), nil
	}}
}

// with signs both forms by a signer.
func with(t *testing.T, s Signer) func(Form, []byte) []byte {
	return func(form Form, text []byte) []byte {
		sign := s.DetachSign
		if form == Clear {
			sign = s.ClearSign
		}
		out, err := sign(t.Context(), text)
		if err != nil {
			t.Error(err)
		}
		return out
	}
}

func TestExternal(t *testing.T) {
	a, b := makeKey(t, KeyOptions{}), makeKey(t, KeyOptions{})
	both := Keyring{a.Public(), b.Public()}
	for name, text := range signTexts {
		s := external(both, with(t, &OpenPGP{Keys: []*Key{b}, Now: at(keyTime)}))
		signed, err := s.ClearSign(t.Context(), []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, signers, err := Verify(signed, both, keyTime)
		if err != nil || string(got) != text || len(signers) != 1 || signers[0] != both[1] {
			t.Errorf("%s: %q by %v, %v", name, got, signers, err)
		}
		detached, err := s.DetachSign(t.Context(), []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := VerifyDetached([]byte(text), detached, both, keyTime); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := PublicKeys(external(both, nil)); !slices.Equal(got, both) {
		t.Errorf("keys %v", got)
	}
}

// Nothing of a broken or hostile signer is passed on.
func TestExternalRefuses(t *testing.T) {
	key, stranger := makeKey(t, KeyOptions{}), makeKey(t, KeyOptions{})
	good := with(t, &OpenPGP{Keys: []*Key{key}, Now: at(keyTime)})
	foreign := with(t, &OpenPGP{Keys: []*Key{stranger}, Now: at(keyTime)})
	late := with(t, &OpenPGP{Keys: []*Key{key}, Now: at(keyTime.Add(2 * signerSkew))})
	const text = "Suite: x\nDate: y\n"
	change := func(old, new string) func(Form, []byte) []byte {
		return func(form Form, text []byte) []byte {
			return bytes.Replace(good(form, text), []byte(old), []byte(new), 1)
		}
	}
	for name, c := range map[string]struct {
		sign     func(Form, []byte) []byte
		detached bool // refused in this form, too
	}{
		"nothing":        {func(Form, []byte) []byte { return nil }, true},
		"the text":       {func(_ Form, text []byte) []byte { return text }, true},
		"a stranger":     {foreign, true},
		"another text":   {func(f Form, text []byte) []byte { return good(f, append(text, "Evil: yes\n"...)) }, true},
		"changed after":  {change("Suite: x", "Suite: y"), false},
		"text before":    {func(f Form, text []byte) []byte { return append([]byte("Suite: y\n"), good(f, text)...) }, true},
		"text after":     {func(f Form, text []byte) []byte { return append(good(f, text), "Suite: y\n"...) }, false},
		"two messages":   {func(f Form, text []byte) []byte { return append(good(f, text), good(f, text)...) }, false},
		"no hash header": {change("Hash: SHA256\n", ""), false},
		"other hash":     {change("Hash: SHA256", "Hash: SHA1"), false},
		"cut short":      {func(f Form, text []byte) []byte { out := good(f, text); return out[:len(out)-60] }, true},
		"the other form": {func(f Form, text []byte) []byte {
			return good(map[Form]Form{Clear: Detached, Detached: Clear}[f], text)
		}, true},
		"a clock ahead":  {late, true},
		"without end":    {func(f Form, text []byte) []byte { return append(good(f, text), make([]byte, maxInRelease)...) }, true},
		"binary, inside": {func(f Form, text []byte) []byte { return []byte("-----BEGIN PGP SIGNATURE-----\n\n\x00\n") }, true},
	} {
		s := external(key.ring(), c.sign)
		if out, err := s.ClearSign(t.Context(), []byte(text)); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: clear-signed %.300q, %v", name, out, err)
		}
		if out, err := s.DetachSign(t.Context(), []byte(text)); c.detached != errors.Is(err, ErrSignature) {
			t.Errorf("%s: signed %.300q, %v", name, out, err)
		}
	}
}

// A signer that fails says why, and an expired key is not even asked for.
func TestExternalFailures(t *testing.T) {
	key := makeKey(t, KeyOptions{Expires: keyTime.Add(time.Hour)})
	broken := errors.New("the token was pulled out")
	s := &External{Keys: key.ring(), Now: at(keyTime), Sign: func(context.Context, Form, []byte) ([]byte, error) { return nil, broken }}
	if _, err := s.ClearSign(t.Context(), []byte("a\n")); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := s.ClearSign(t.Context(), []byte("a \n")); !errors.Is(err, ErrRelease) {
		t.Error(err)
	}
	s.Now = at(keyTime.Add(time.Hour))
	for _, sign := range []func(context.Context, []byte) ([]byte, error){s.ClearSign, s.DetachSign} {
		if _, err := sign(t.Context(), []byte("a\n")); !errors.Is(err, ErrKeyExpired) {
			t.Error(err)
		}
	}
	if _, err := new(External).DetachSign(t.Context(), nil); err == nil {
		t.Error("signed without a key")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.DetachSign(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The armour is what GnuPG 2.2 needs, whatever the signer made.
func TestExternalArmour(t *testing.T) {
	key := makeKey(t, KeyOptions{})
	good := with(t, &OpenPGP{Keys: []*Key{key}, Now: at(keyTime)})
	s := external(key.ring(), func(form Form, text []byte) []byte {
		var kept []string
		for _, line := range strings.Split(string(good(form, text)), "\n") {
			if len(line) != 5 || line[0] != '=' {
				kept = append(kept, line)
			}
		}
		return []byte(strings.Join(kept, "\n"))
	})
	for _, sign := range []func(context.Context, []byte) ([]byte, error){s.ClearSign, s.DetachSign} {
		out, err := sign(t.Context(), []byte("a\n"))
		if err != nil || !strings.Contains(string(out), "\n=") {
			t.Errorf("no checksum: %s %v", out, err)
		}
	}
}

func TestCheckKeys(t *testing.T) {
	if err := CheckKeys(Keyring{makeKey(t, KeyOptions{}).Public(), mustRSA(t).Public()}); err != nil {
		t.Error(err)
	}
	if err := CheckKeys(nil); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
	if err := CheckKeys(unfitKeys(t)); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

func TestIssuers(t *testing.T) {
	a, b := makeKey(t, KeyOptions{}), makeKey(t, KeyOptions{})
	signed, err := (&OpenPGP{Keys: []*Key{a, b}, Now: at(keyTime)}).ClearSign(t.Context(), []byte("- -----BEGIN PGP SIGNATURE-----\na\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Issuers(signed); err != nil || !slices.Equal(got, []string{a.KeyID(), b.KeyID()}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, []byte("a\n"), []byte(armoredSignature), signed[:len(signed)-60], append(slices.Clone(signed), armoredSignature...)} {
		if got, err := Issuers(bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%.200q: %v, %v", bad, got, err)
		}
	}
}

// unfitKeys returns a keyring with a key whose signatures gpgv does not verify.
func unfitKeys(t *testing.T) Keyring {
	t.Helper()
	e, err := openpgp.NewEntity("x", "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEd25519})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := e.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	ring, err := ParseKeyring(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return ring
}
