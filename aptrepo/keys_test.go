package aptrepo_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/index"
)

// signers returns the fingerprints that an InRelease verifies with.
func signers(t *testing.T, r *aptrepo.Repo, keys index.Keyring) []string {
	t.Helper()
	_, good, err := index.Verify(read(t, r, "dists/jammy/InRelease"), keys, r.Now())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, k := range good {
		list = append(list, k.Fingerprint())
	}
	return list
}

// A replaced key signs beside the new one for the overlap, then retires; its
// private part stays in the store.
func TestRotation(t *testing.T) {
	f := newFixture(t)
	before, err := f.Keys(f.ctx)
	if err != nil || len(before.Keys) != 1 || before.Keys[0].State != aptrepo.KeyActive {
		t.Fatalf("Keys = %+v, %v", before, err)
	}
	old := before.Keys[0].Fingerprint
	f.clock.move(time.Hour)
	out, err := f.GenerateKey(f.ctx, aptrepo.KeyOptions{Name: "Acme", Email: "apt@acme.example"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.Retiring, []string{old}) || !slices.Equal(out.Distributions, []string{"focal", "jammy"}) {
		t.Errorf("GenerateKey = %+v", out)
	}
	ring, err := f.Keys(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(ring.Keys) != 2 || ring.Keys[0].Fingerprint != out.Fingerprint || ring.Keys[1].State != aptrepo.KeyRetiring ||
		ring.Keys[0].UserIDs[0] != "Acme <apt@acme.example>" {
		t.Errorf("Keys = %+v", ring.Keys)
	}
	both, err := index.ParseKeyring(ring.Binary)
	if err != nil {
		t.Fatal(err)
	}
	if got := signers(t, f.Repo, both); len(got) != 2 {
		t.Errorf("signed by %q, want both keys", got)
	}
	for _, key := range both { // a client that has one of them only
		signers(t, f.Repo, index.Keyring{key})
	}
	f.clock.move(91 * 24 * time.Hour)
	f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	if got := signers(t, f.Repo, both); !slices.Equal(got, []string{out.Fingerprint}) {
		t.Errorf("after the overlap: signed by %q", got)
	}
	stored, err := f.Store.SigningKeys(f.ctx)
	if err != nil || len(stored) != 2 {
		t.Errorf("stored keys: %d, %v", len(stored), err)
	}
}

func TestBadKeyOptions(t *testing.T) {
	f := newFixture(t)
	for _, o := range []aptrepo.KeyOptions{
		{Name: "a\nb"}, {Name: "a\x00"}, {Email: "x"}, {Email: "a@b\n%commit"}, {Algorithm: "dsa"}, {ExpireDays: -1}, {ExpireDays: 4000},
	} {
		if _, err := f.GenerateKey(f.ctx, o); !errors.Is(err, aptrepo.ErrInvalid) {
			t.Errorf("%+v: error = %v, want ErrInvalid", o, err)
		}
	}
	ring, err := f.Keys(f.ctx)
	if err != nil || len(ring.Keys) != 1 {
		t.Errorf("%d keys, %v; want the first one only", len(ring.Keys), err)
	}
}

// Keys in the store are unreadable without the secret key.
func TestKeysAreSealed(t *testing.T) {
	f := newFixture(t)
	secret := make([]byte, 32)
	rand.Read(secret)
	store := openStore(t, t.TempDir())
	r := &aptrepo.Repo{Storage: f.Storage, Store: store, Now: f.Now, SecretKey: secret}
	if _, err := r.Init(f.ctx, aptrepo.Distribution{Codename: "sealed"}); err != nil {
		t.Fatal(err)
	}
	keys, err := store.SigningKeys(f.ctx)
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if bytes.Contains(keys[0].Private, []byte("PGP")) {
		t.Error("the private key lies open in the store")
	}
	for name, secret := range map[string][]byte{"none": nil, "other": make([]byte, 32), "short": make([]byte, 8)} {
		wrong := &aptrepo.Repo{Storage: f.Storage, Store: store, Now: f.Now, SecretKey: secret}
		if h := wrong.Check(f.ctx); h.Signing == nil {
			t.Errorf("secret key %s: signing works", name)
		}
	}
	if h := r.Check(f.ctx); h != (aptrepo.Health{}) {
		t.Errorf("Check = %+v", h)
	}
}

func TestForeignSigner(t *testing.T) {
	f := newFixture(t)
	key, err := index.GenerateKey(index.KeyOptions{Name: "own", Now: f.Now})
	if err != nil {
		t.Fatal(err)
	}
	store := openStore(t, t.TempDir())
	r := &aptrepo.Repo{Storage: f.Storage, Store: store, Now: f.Now, Signer: &index.OpenPGP{Keys: []*index.Key{key}, Now: f.Now}}
	if _, err := r.Init(f.ctx, aptrepo.Distribution{Codename: "own"}); err != nil {
		t.Fatal(err)
	}
	if d := release(t, r, "own"); d.Codename != "own" {
		t.Errorf("release = %+v", d)
	}
	if _, err := r.GenerateKey(f.ctx, aptrepo.KeyOptions{}); !errors.Is(err, aptrepo.ErrForeignSigner) {
		t.Errorf("GenerateKey: %v", err)
	}
	if keys, err := store.SigningKeys(f.ctx); err != nil || len(keys) > 0 {
		t.Errorf("the store holds %d keys, %v", len(keys), err)
	}
}
