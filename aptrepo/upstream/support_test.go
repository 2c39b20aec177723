package upstream_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/aptrepo/upstream/mirrortest"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// memCatalog is a Catalog in memory that takes its contract literally: it
// ranges over packages twice, refuses what breaks a promise of the caller's,
// and remembers what was asked of it.
type memCatalog struct {
	mu           sync.Mutex
	states       map[string]upstream.State
	packages     map[string][]upstream.Package
	replacements int
	// before, if set, is called once, in ReplacePackages.
	before func()
}

func newCatalog() *memCatalog {
	return &memCatalog{states: make(map[string]upstream.State), packages: make(map[string][]upstream.Package)}
}

func (c *memCatalog) SourceStates(context.Context) ([]upstream.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.states)), nil
}

func checkState(s upstream.State) error {
	switch {
	case s.SourceID == "", s.LastAttempt.IsZero(), s.LastAttempt.Nanosecond() != 0, s.LastSync.Nanosecond() != 0:
		return fmt.Errorf("malformed state %+v", s)
	case s.Status == upstream.OK && (s.Code != "" || s.LastSync != s.LastAttempt):
		return fmt.Errorf("contradictory state %+v", s)
	case s.Status == upstream.Error && s.Code == "":
		return fmt.Errorf("error without code: %+v", s)
	}
	return nil
}

func (c *memCatalog) SaveState(_ context.Context, s upstream.State) error {
	if err := checkState(s); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.states[s.SourceID]
	s.Generation, s.PackageCount = old.Generation, old.PackageCount
	c.states[s.SourceID] = s
	return nil
}

func (c *memCatalog) ReplacePackages(_ context.Context, s upstream.State, packages iter.Seq2[upstream.Package, error]) (upstream.Replaced, error) {
	if c.before != nil {
		before := c.before
		c.before = nil
		before()
	}
	if err := checkState(s); err != nil {
		return upstream.Replaced{}, err
	}
	first, err := collect(packages)
	if err != nil {
		return upstream.Replaced{}, fmt.Errorf("replacing packages: %w", err)
	}
	second, err := collect(packages)
	if err != nil || !slices.Equal(first, second) {
		return upstream.Replaced{}, errors.Join(err, errors.New("the second pass differs"))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.states[s.SourceID]
	if s.Generation != old.Generation {
		return upstream.Replaced{}, upstream.ErrSuperseded
	}
	had := make(map[upstream.Package]bool)
	for _, p := range c.packages[s.SourceID] {
		had[p] = true
	}
	out := upstream.Replaced{Removed: len(had)}
	for _, p := range first {
		if had[p] {
			out.Kept++
			out.Removed--
		} else {
			out.Added++
		}
	}
	s.Generation, s.PackageCount = old.Generation+1, int64(len(first))
	c.states[s.SourceID], c.packages[s.SourceID] = s, first
	c.replacements++
	return out, nil
}

func collect(packages iter.Seq2[upstream.Package, error]) ([]upstream.Package, error) {
	seen := make(map[[4]string]bool)
	var list []upstream.Package
	for p, err := range packages {
		if err != nil {
			return nil, err
		}
		key := [4]string{p.Name, p.Version, p.Arch, p.Component}
		if seen[key] {
			return nil, fmt.Errorf("%v twice", key)
		}
		seen[key] = true
		list = append(list, p)
	}
	return list, nil
}

func (c *memCatalog) ForgetSource(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.states, id)
	delete(c.packages, id)
	return nil
}

func (c *memCatalog) SearchPackages(context.Context, upstream.Query) ([]upstream.Found, error) {
	return nil, errors.ErrUnsupported
}

func (c *memCatalog) Offers(context.Context, []string, []string) ([]upstream.Package, error) {
	return nil, errors.ErrUnsupported
}

// names returns the packages of a source, "hello 1.0 amd64", sorted.
func (c *memCatalog) names(id string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for _, p := range c.packages[id] {
		list = append(list, p.Name+" "+p.Version+" "+p.Arch)
	}
	slices.Sort(list)
	return list
}

func (c *memCatalog) state(id string) upstream.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.states[id]
}

// A world is a mirror, a catalogue and a syncer between them.
type world struct {
	*mirrortest.Mirror
	t       *testing.T
	catalog *memCatalog
	syncer  *upstream.Syncer
	source  upstream.Source
	now     time.Time
	trusted []*index.Key // those of source
	pauses  []time.Duration
	forged  []byte // a patch to publish
}

const (
	helloLine = "hello 1.0 amd64"
	stall     = 300 * time.Millisecond
)

// newWorld returns a world whose mirror has published the package hello.
func newWorld(t *testing.T) *world {
	t.Helper()
	m := mirrortest.New(t)
	m.Add("main", debtest.Package{Name: "hello"})
	m.Publish()
	w := &world{Mirror: m, t: t, catalog: newCatalog(), now: time.Now(), trusted: m.Keys}
	w.source = upstream.Source{ID: "test", URL: m.URL, Suite: "bookworm", SignedBy: m.PublicKey(), Enabled: true}
	w.syncer = &upstream.Syncer{
		Catalog: w.catalog, Dir: t.TempDir(), Now: func() time.Time { return w.now },
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Client: &upstream.Client{Timeout: stall, Pause: func(ctx context.Context, d time.Duration) error {
			w.pauses = append(w.pauses, d)
			return ctx.Err()
		}},
	}
	return w
}

// sync syncs, and fails the test when that fails.
func (w *world) sync() upstream.Result {
	w.t.Helper()
	result, err := w.syncer.Sync(w.t.Context(), w.source)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// advance publishes a later state of the archive.
func (w *world) advance() {
	w.t.Helper()
	w.Release.Date = w.Release.Date.Add(time.Minute)
	w.Publish()
}

func (w *world) wantPackages(want ...string) {
	w.t.Helper()
	if got := w.catalog.names(w.source.ID); !slices.Equal(got, want) {
		w.t.Errorf("packages %q, want %q", got, want)
	}
}

// mustFail syncs, and makes sure that it fails with that code and reason, that
// the state says the same and nothing else is lost.
func (w *world) mustFail(code upstream.Code, reason upstream.Reason) *upstream.Failure {
	w.t.Helper()
	packages, before := w.catalog.names(w.source.ID), w.catalog.state(w.source.ID)
	_, err := w.syncer.Sync(w.t.Context(), w.source)
	var f *upstream.Failure
	if !errors.As(err, &f) || f.Code != code || f.Reason != reason {
		w.t.Fatalf("error %v, want %s %s", err, code, reason)
	}
	w.wantPackages(packages...)
	st := w.catalog.state(w.source.ID)
	if st.Status != upstream.Error || st.Code != string(code) || st.Reason != string(reason) || st.Detail != f.Detail || st.Detail == "" {
		w.t.Errorf("state %+v does not tell of %v", st, f)
	}
	if !st.LastSync.Equal(before.LastSync) || string(st.Memo) != string(before.Memo) || st.Generation != before.Generation {
		w.t.Errorf("the failure changed what was known: %+v, before %+v", st, before)
	}
	if strings.ContainsAny(f.Detail, "\n\r") {
		w.t.Errorf("detail %q has several lines", f.Detail)
	}
	return f
}

// plain answers with a file and nothing that a later request could refer to.
func plain(body []byte) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { rw.Write(body) }
}

// manyStanzas returns a Packages file of n packages. They are about as long as
// Debian's, and about as hard to compress.
func manyStanzas(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 5000)
	for i := range words {
		words[i] = fmt.Sprintf("%s%s", syllables[random.IntN(len(syllables))], syllables[random.IntN(len(syllables))])
		if random.IntN(2) == 0 {
			words[i] += syllables[random.IntN(len(syllables))]
		}
	}
	text := func(n int, join string) string {
		picked := make([]string, n)
		for i := range picked {
			picked[i] = words[int(float64(len(words))*math.Pow(random.Float64(), 3))]
		}
		return strings.Join(picked, join)
	}
	var b bytes.Buffer
	for i := range n {
		name := fmt.Sprintf("%s-%d", text(2, "-"), i)
		version := fmt.Sprintf("%d.%d.%d-%d", random.IntN(9), random.IntN(30), random.IntN(30), 1+random.IntN(3))
		arch := []string{"amd64", "all"}[random.IntN(2)]
		sum := sha256.Sum256([]byte(name))
		md5 := sum[:16]
		fmt.Fprintf(&b, "Package: %s\nSource: %s\nVersion: %s\nInstalled-Size: %d\nMaintainer: Debian %s Team <team@tracker.debian.org>\nArchitecture: %s\n",
			name, text(1, ""), version, random.IntN(1<<20), text(1, ""), arch)
		fmt.Fprintf(&b, "Depends: libc6 (>= 2.36), %s (>= %s)\nDescription: %s\nHomepage: https://%s.example.org/\n", text(3+random.IntN(9), ", "), version, text(6, " "), text(2, "."))
		fmt.Fprintf(&b, "Description-md5: %x\nTag: devel::%s, role::shared-lib, implemented-in::c,\n use::%s\nSection: libs\nPriority: optional\n", random.Uint64(), text(1, ""), text(2, ", works-with::"))
		fmt.Fprintf(&b, "Filename: pool/main/%s/%s/%s_%s_%s.deb\nSize: %d\nMD5sum: %x\nSHA256: %x\n\n", name[:1], name, name, version, arch, 1+random.IntN(1<<24), md5, sum)
	}
	return b.Bytes()
}

var syllables = []string{"lib", "dev", "perl", "py", "thon", "ruby", "gno", "kde", "net", "sys", "tem", "core", "data", "doc", "ser", "ver", "cli", "ent",
	"qt", "gtk", "font", "utils", "go", "rust", "has", "kell", "tex", "live", "xml", "json", "http", "crypt", "ssl", "audio", "vid", "eo", "image", "ma", "ta", "ri"}

// countingCatalog keeps no packages.
type countingCatalog struct{ *memCatalog }

func (c *countingCatalog) ReplacePackages(_ context.Context, s upstream.State, packages iter.Seq2[upstream.Package, error]) (upstream.Replaced, error) {
	for _, err := range packages {
		if err != nil {
			return upstream.Replaced{}, err
		}
		s.PackageCount++
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Generation++
	c.states[s.SourceID] = s
	return upstream.Replaced{Added: int(s.PackageCount)}, nil
}

// watchHeap returns a function that stops and tells by how much the heap was
// larger than at first.
func watchHeap(t *testing.T) (peak func() uint64) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	first, most := heap(), uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			most = max(most, heap())
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return most - min(first, most)
	}
}
