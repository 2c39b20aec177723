package vulnsync_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/vulnsync"
	"github.com/repod-io/repod/scan/vuln"
)

// memory is a Store.
type memory struct {
	mu  sync.Mutex
	now vulnsync.Current
	err error // of all calls
}

func (m *memory) VulnerabilityData(context.Context) (vulnsync.Current, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now, m.err
}

func (m *memory) SetVulnerabilityData(_ context.Context, c vulnsync.Current) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if c.Number != m.now.Number+1 {
		return vulnsync.ErrStale
	}
	m.now = c
	return nil
}

// A house is what servers share.
type house struct {
	t     *testing.T
	store memory
	files storage.Mem
	at    time.Time
}

func newHouse(t *testing.T) *house {
	return &house{t: t, at: time.Now()}
}

// server returns the share of a new server, which has nothing.
func (h *house) server() *vulnsync.Share {
	now := func() time.Time { return h.at }
	db := &vuln.DB{Dir: filepath.Join(h.t.TempDir(), "vulndb"), Now: now}
	h.t.Cleanup(func() { db.Close() })
	return &vulnsync.Share{DB: db, Storage: &h.files, Store: &h.store, Logger: slog.New(slog.DiscardHandler), Now: now}
}

// kev is a catalogue that lists some vulnerabilities.
func kev(ids ...string) vuln.Feed {
	var list []string
	for _, id := range ids {
		list = append(list, `{"cveID":"`+id+`","dateAdded":"2026-01-02","knownRansomwareCampaignUse":"Unknown"}`)
	}
	text := `{"catalogVersion":"1","dateReleased":"2026-05-01T00:00:00Z","count":` + string(rune('0'+len(ids))) +
		`,"vulnerabilities":[` + strings.Join(list, ",") + `]}`
	return vuln.Feed{ID: "kev", Kind: vuln.KEV, Data: strings.NewReader(text), Force: true}
}

func bring(t *testing.T, s *vulnsync.Share, feeds ...vuln.Feed) func(context.Context) error {
	return func(ctx context.Context) error {
		results, err := s.DB.Import(ctx, feeds...)
		for _, r := range results {
			if r.State == vuln.Failed {
				t.Errorf("feed %s: %s", r.ID, r.Detail)
			}
		}
		return err
	}
}

func generation(t *testing.T, s *vulnsync.Share) int64 {
	t.Helper()
	data, err := s.DB.Data(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return data.Generation
}

func follow(t *testing.T, s *vulnsync.Share) vulnsync.Current {
	t.Helper()
	c, err := s.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func change(t *testing.T, s *vulnsync.Share, feeds ...vuln.Feed) {
	t.Helper()
	if err := s.Change(t.Context(), bring(t, s, feeds...)); err != nil {
		t.Fatal(err)
	}
}

func (h *house) keys() (all []string) {
	for info, err := range h.files.List(h.t.Context(), "") {
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, info.Key)
	}
	return all
}

// What one server brings in, the others have, as does one that is new; each brings
// more in on top of what another has brought.
func TestShare(t *testing.T) {
	h := newHouse(t)
	a, b := h.server(), h.server()
	if c := follow(t, a); c != (vulnsync.Current{}) || generation(t, a) != 0 || len(h.keys()) != 0 {
		t.Fatalf("at first %+v", c)
	}
	change(t, a, kev("CVE-2026-0001"))
	first := generation(t, a)
	if generation(t, b) != 0 {
		t.Fatal("b has data before it has followed")
	}
	if c := follow(t, b); c.Number != 1 || generation(t, b) != first || first == 0 {
		t.Fatalf("%+v, %d and %d", c, generation(t, b), first)
	}
	osv := vuln.Feed{ID: "osv", Kind: vuln.OSV, Data: strings.NewReader(`{"id":"GHSA-1","modified":"2026-05-01T00:00:00Z",
		"affected":[{"package":{"ecosystem":"PyPI","name":"x"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`)}
	change(t, b, osv)
	c := h.server()
	for _, s := range []*vulnsync.Share{a, b, c} {
		if now := follow(t, s); now.Number != 2 || generation(t, s) != generation(t, b) || generation(t, s) == first {
			t.Errorf("%+v, generation %d", now, generation(t, s))
		}
		if feeds, err := s.DB.Status(t.Context()); err != nil || len(feeds) != 2 {
			t.Errorf("feeds %+v, %v", feeds, err)
		}
	}
	// Nothing new is not made current, and not put.
	before := h.keys()
	change(t, a)
	if now := follow(t, a); now.Number != 2 || len(h.keys()) != len(before) {
		t.Errorf("%+v after nothing", now)
	}
	// Dates that are newer are news: they say how old the data are.
	h.at = h.at.Add(2 * time.Hour)
	change(t, a, vuln.Feed{ID: "kev", Kind: vuln.KEV, Data: kev("CVE-2026-0001").Data, Date: h.at})
	follow(t, c)
	had, err := a.DB.Digest(t.Context())
	other, otherErr := c.DB.Digest(t.Context())
	if had != other || err != nil || otherErr != nil {
		t.Errorf("digests %s and %s, %v, %v", had, other, err, otherErr)
	}
	// What was replaced goes after a while; what is current stays.
	h.at = h.at.Add(2 * time.Hour)
	change(t, a, kev("CVE-2026-0001", "CVE-2026-0002"))
	now := follow(t, a)
	if keys := h.keys(); len(keys) != 1 || keys[0] != vulnsync.Prefix+now.SHA256+".tar" {
		t.Errorf("storage has %q, current is %+v", keys, now)
	}
}

// Servers that had data of their own before share those of the first that starts.
func TestShareFormerData(t *testing.T) {
	h := newHouse(t)
	a, b := h.server(), h.server()
	for s, id := range map[*vulnsync.Share]string{a: "CVE-2026-0001", b: "CVE-2026-0002"} {
		if err := bring(t, s, kev(id))(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	own := generation(t, a)
	follow(t, a)
	follow(t, b)
	if generation(t, a) != own || generation(t, b) != own {
		t.Errorf("generations %d and %d, want %d", generation(t, a), generation(t, b), own)
	}
}

// Of two that bring data in at once the slower one fails, and has the data of the
// faster then.
func TestShareOvertaken(t *testing.T) {
	h := newHouse(t)
	a, b := h.server(), h.server()
	change(t, a, kev("CVE-2026-0001"))
	err := a.Change(t.Context(), func(ctx context.Context) error {
		change(t, b, kev("CVE-2026-0002"))
		return bring(t, a, kev("CVE-2026-0003"))(ctx)
	})
	if !errors.Is(err, vulnsync.ErrOvertaken) {
		t.Errorf("the slower one: %v", err)
	}
	if follow(t, a).Number != 2 || generation(t, a) != generation(t, b) {
		t.Error("the slower one has kept its data")
	}
}

// What cannot be made current is taken back: no server has data that others lack.
func TestShareFails(t *testing.T) {
	h := newHouse(t)
	a := h.server()
	change(t, a, kev("CVE-2026-0001"))
	former := generation(t, a)
	boom := errors.New("boom")
	if err := a.Change(t.Context(), func(ctx context.Context) error {
		return errors.Join(bring(t, a, kev("CVE-2026-0002"))(ctx), boom)
	}); !errors.Is(err, boom) || generation(t, a) != former {
		t.Errorf("%v, generation %d, want %d", err, generation(t, a), former)
	}
	err := a.Change(t.Context(), func(ctx context.Context) error {
		h.store.err = boom // the database goes away meanwhile
		return bring(t, a, kev("CVE-2026-0002"))(ctx)
	})
	if !errors.Is(err, boom) {
		t.Error(err)
	}
	h.store.err = nil
	if follow(t, a); generation(t, a) != former {
		t.Error("data that never became current are in use when the database is back")
	}
}

// Whoever can write to the storage alone cannot bring data in, nor take them away
// from who has them.
func TestShareForged(t *testing.T) {
	h := newHouse(t)
	a, b := h.server(), h.server()
	change(t, a, kev("CVE-2026-0001"))
	follow(t, b)
	former := generation(t, b)
	change(t, a, kev("CVE-2026-0001", "CVE-2026-0002"))
	now := follow(t, a)
	key := vulnsync.Prefix + now.SHA256 + ".tar"
	f, _, err := h.files.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	good, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	forged := h.server()
	if err := bring(t, forged, kev("CVE-2026-0009"))(t.Context()); err != nil {
		t.Fatal(err)
	}
	var other bytes.Buffer
	if err := forged.DB.Export(t.Context(), &other, func([]byte) ([]byte, error) { return []byte(now.SHA256), nil }); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[bytes.LastIndex(good, []byte("0.seg"))+520] ^= 1 // in the data of its only feed
	for name, text := range map[string][]byte{"another's": other.Bytes(), "cut": good[:len(good)/2], "empty": nil, "a bit is flipped": flipped} {
		if err := h.files.Put(t.Context(), key, bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Follow(t.Context()); err == nil || generation(t, b) != former {
			t.Errorf("%s: %v, generation %d, want %d", name, err, generation(t, b), former)
		}
		n := h.server()
		if _, err := n.Follow(t.Context()); err == nil || generation(t, n) != 0 {
			t.Errorf("%s: a new server takes it: %v", name, err)
		}
	}
	if err := h.files.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Follow(t.Context()); !errors.Is(err, vulnsync.ErrLost) {
		t.Errorf("lost data: %v", err)
	}
	if err := h.files.Put(t.Context(), key, bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	if follow(t, b); generation(t, b) != generation(t, a) {
		t.Error("b does not get well")
	}
}

// Data that are lost, as after a restore without them, are replaced by those that
// are brought in next; ones that cannot be read just now are not.
func TestShareLost(t *testing.T) {
	for name, text := range map[string]string{"lost": "", "damaged": "nonsense"} {
		h := newHouse(t)
		change(t, h.server(), kev("CVE-2026-0001"))
		key := h.keys()[0]
		if err := h.files.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			if err := h.files.Put(t.Context(), key, strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}
		a, b := h.server(), h.server()
		if _, err := a.Follow(t.Context()); !errors.Is(err, vulnsync.ErrLost) {
			t.Errorf("%s: %v", name, err)
		}
		change(t, a, kev("CVE-2026-0002"))
		if now := follow(t, b); now.Number != 2 || generation(t, b) != generation(t, a) {
			t.Errorf("%s: %+v after it was replaced", name, now)
		}
	}
	h := newHouse(t)
	change(t, h.server(), kev("CVE-2026-0001"))
	a := h.server()
	a.Storage = &unreadable{&h.files}
	if err := a.Change(t.Context(), bring(t, a, kev("CVE-2026-0002"))); err == nil || errors.Is(err, vulnsync.ErrLost) {
		t.Errorf("while the storage is away: %v", err)
	}
	if h.store.now.Number != 1 {
		t.Error("data were replaced that could not be read for a moment")
	}
}

// unreadable breaks off in the middle of each file.
type unreadable struct{ storage.Backend }

func (u *unreadable) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	f, info, err := u.Backend.Open(ctx, key)
	if err != nil {
		return nil, info, err
	}
	cut := io.MultiReader(io.LimitReader(f, info.Size/2), iotest.ErrReader(errors.New("the connection broke")))
	return struct {
		io.Reader
		io.Closer
	}{cut, f}, info, nil
}

// Run brings what another server has brought in, and ends with its context.
func TestShareRun(t *testing.T) {
	h := newHouse(t)
	a, b := h.server(), h.server()
	b.Interval = time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	change(t, a, kev("CVE-2026-0001"))
	for deadline := time.Now().Add(10 * time.Second); generation(t, b) != generation(t, a); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("b does not follow")
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
