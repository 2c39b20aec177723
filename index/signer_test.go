package index

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
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
