package index

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
)

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
		if ids, err := Issuers([]byte(head + body + tail)); err != nil && !errors.Is(err, ErrSignature) {
			t.Fatalf("%q, %v", ids, err)
		}
		s := external(k.ring(), func(Form, []byte) []byte { return []byte(head + body + tail) })
		if out, err := s.ClearSign(t.Context(), []byte(want)); err == nil {
			if text, _, err := Verify(out, k.ring(), keyTime); err != nil || string(text) != want {
				t.Fatalf("passed on %q: %q, %v", out, text, err)
			}
		}
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
