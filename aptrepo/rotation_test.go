package aptrepo_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/index"
)

// A journal keeps what is logged while others read it.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// upkeep lets Run work on a repository until a condition holds, and on others of
// the same store meanwhile.
func upkeep(t *testing.T, r *aptrepo.Repo, until func() bool, others ...*aptrepo.Repo) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	for _, r := range append(others, r) {
		loops.Go(func() { r.Run(ctx) })
	}
	defer func() { cancel(); loops.Wait() }()
	for limit := time.Now().Add(20 * time.Second); !until(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("upkeep does not get there")
		}
	}
}

// issuers returns the IDs of the keys that signed a distribution.
func issuers(t *testing.T, r *aptrepo.Repo, codename string) []string {
	t.Helper()
	ids, err := index.Issuers(read(t, r, "dists/"+codename+"/InRelease"))
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func rotate(t *testing.T, f *fixture) (before, after string) {
	t.Helper()
	ring, err := f.Keys(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	out, err := f.GenerateKey(f.ctx, aptrepo.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ring.Keys[0].Fingerprint, out.Fingerprint
}

// While a rotation runs, both keys are announced as those of the next state; at
// other times none is.
func TestSignedByWhileKeysChange(t *testing.T) {
	f := newFixture(t)
	if got := release(t, f.Repo, "jammy").SignedBy; got != nil {
		t.Errorf("with one key: %q", got)
	}
	f.clock.move(time.Hour)
	old, fresh := rotate(t, f)
	if got := release(t, f.Repo, "jammy").SignedBy; !slices.Equal(got, []string{fresh, old}) {
		t.Errorf("while two sign: %q", got)
	}
	f.clock.move(91 * 24 * time.Hour)
	f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	if got := release(t, f.Repo, "jammy").SignedBy; got != nil {
		t.Errorf("after the retirement: %q", got)
	}
}

// A key that retires leaves all distributions by itself, on each of two servers,
// and that is audited once. Nothing is signed anew without need.
func TestRetirement(t *testing.T) {
	f := newFixture(t)
	f.clock.move(time.Hour)
	old, fresh := rotate(t, f)
	other := &aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now, Logger: f.Logger}
	if err := other.Recover(f.ctx); err != nil {
		t.Fatal(err)
	}
	numbers := func() map[string]aptrepo.Head {
		heads, err := f.Store.Heads(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		return heads
	}
	before := numbers()
	start := time.Now()
	upkeep(t, f.Repo, func() bool { return time.Since(start) > 2500*time.Millisecond })
	if now := numbers(); now["jammy"] != before["jammy"] {
		t.Errorf("generation %d became %d for nothing", before["jammy"].Generation, now["jammy"].Generation)
	}
	f.clock.move(90 * 24 * time.Hour)
	seenBy := func(r *aptrepo.Repo) bool {
		return slices.Equal(issuers(t, r, "jammy"), []string{fresh[24:]}) && slices.Equal(issuers(t, r, "focal"), []string{fresh[24:]})
	}
	upkeep(t, f.Repo, func() bool { return seenBy(f.Repo) && seenBy(other) }, other)
	if now := numbers(); now["jammy"].Generation != before["jammy"].Generation+1 {
		t.Errorf("generation %d became %d, want one more", before["jammy"].Generation, now["jammy"].Generation)
	}
	ring, err := f.Keys(f.ctx)
	if err != nil || ring.Keys[1].State != aptrepo.KeyRetired {
		t.Errorf("keys %+v, %v", ring.Keys, err)
	}
	if public, err := index.ParseKeyring(ring.Armored); err != nil || len(public) != 1 || public[0].Fingerprint() != fresh {
		t.Errorf("clients get %v, %v", public, err)
	}
	upkeep(t, other, func() bool { return slices.Contains(auditActions(t, f.Repo), "settings.gpg_retire success") })
	entries, err := f.Store.AuditEntries(f.ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	noted := slices.DeleteFunc(entries, func(e aptrepo.AuditEntry) bool { return e.Action != "settings.gpg_retire" })
	if len(noted) != 1 || noted[0].Target != old || noted[0].User != "system" {
		t.Errorf("audited %+v", noted)
	}
}

// Another key that is configured outside signs from the start on, not only with
// the next package.
func TestChangeOfForeignSigner(t *testing.T) {
	f := newFixture(t)
	key, err := index.GenerateKey(index.KeyOptions{Name: "own", Now: f.Now})
	if err != nil {
		t.Fatal(err)
	}
	moved := &aptrepo.Repo{
		Storage: f.Storage, Store: f.Store, Now: f.Now, Logger: f.Logger,
		Signer: &index.OpenPGP{Keys: []*index.Key{key}, Now: f.Now},
	}
	upkeep(t, moved, func() bool { return slices.Equal(issuers(t, moved, "focal"), []string{key.KeyID()}) })
}

// An expired key signs nothing: publishing says so, health says so, and what was
// stored meanwhile appears once there is another key.
func TestExpiredKey(t *testing.T) {
	f := newFixture(t)
	log := new(journal)
	f.Logger = slog.New(slog.NewTextHandler(log, nil))
	f.clock.move(time.Hour)
	f.Signing = func() aptrepo.SigningTimes { return aptrepo.SigningTimes{} }
	if _, err := f.GenerateKey(f.ctx, aptrepo.KeyOptions{ExpireDays: 10}); err != nil {
		t.Fatal(err)
	}
	if h := f.Check(f.ctx); h.Signing != nil {
		t.Error(h.Signing)
	}
	f.clock.move(11 * 24 * time.Hour)
	if h := f.Check(f.ctx); !errors.Is(h.Signing, index.ErrKeyExpired) {
		t.Errorf("health: %v", h.Signing)
	}
	before := read(t, f.Repo, "dists/jammy/InRelease")
	_, err := f.Publish(f.ctx, bytes.NewReader(build("hello", "1.0", "amd64")), aptrepo.PublishOptions{Distribution: "jammy"})
	if !errors.Is(err, aptrepo.ErrSigning) || !errors.Is(err, index.ErrKeyExpired) {
		t.Errorf("Publish: %v", err)
	}
	if !bytes.Equal(before, read(t, f.Repo, "dists/jammy/InRelease")) {
		t.Error("something was published")
	}
	upkeep(t, f.Repo, func() bool { return strings.Contains(log.String(), "has expired on 2026-05-22") })
	if _, err := f.GenerateKey(f.ctx, aptrepo.KeyOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := packages(t, f.Repo, "jammy", "amd64"); !slices.Equal(got, []string{"hello 1.0 amd64"}) {
		t.Errorf("after the new key: %q", got)
	}
	if h := f.Check(f.ctx); h.Signing != nil {
		t.Error(h.Signing)
	}
}

// A retiring key that is good yet keeps old clients going when the active one has
// expired, but that is not well.
func TestActiveKeyExpired(t *testing.T) {
	f := newFixture(t)
	f.clock.move(time.Hour)
	ring, err := f.Keys(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.GenerateKey(f.ctx, aptrepo.KeyOptions{ExpireDays: 10}); err != nil {
		t.Fatal(err)
	}
	f.clock.move(11 * 24 * time.Hour)
	f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	if got := issuers(t, f.Repo, "jammy"); !slices.Equal(got, []string{ring.Keys[0].KeyID}) {
		t.Errorf("signed by %q", got)
	}
	if got := release(t, f.Repo, "jammy").SignedBy; got != nil {
		t.Errorf("announced: %q", got)
	}
	if h := f.Check(f.ctx); !errors.Is(h.Signing, index.ErrKeyExpired) {
		t.Errorf("health: %v", h.Signing)
	}
}
