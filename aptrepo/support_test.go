package aptrepo_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/sqlstore/sqlitetest"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// A clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// openStore opens a SQLite store in a directory of the test.
func openStore(t testing.TB, dir string) *sqlstore.DB {
	t.Helper()
	return sqlitetest.Open(t, filepath.Join(dir, "repod.db"))
}

// fixture is a repository with a clock of its own and two distributions,
// jammy and focal.
type fixture struct {
	*aptrepo.Repo
	clock *clock
	files *storage.Mem
	ctx   context.Context
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{clock: newClock(), files: new(storage.Mem)}
	f.Repo = &aptrepo.Repo{
		Storage: f.files,
		Store:   openStore(t, t.TempDir()),
		Now:     f.clock.now,
		Logger:  slog.New(slog.DiscardHandler),
	}
	f.ctx = aptrepo.WithActor(t.Context(), aptrepo.Actor{Name: "admin", IP: "192.0.2.1", RequestID: "r1"})
	for _, codename := range []string{"jammy", "focal"} {
		if _, err := f.Init(f.ctx, aptrepo.Distribution{Codename: codename}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// build makes a package; extra are fields that differ from the ordinary.
func build(name, version, arch string, extra ...string) []byte {
	p := debtest.Package{Name: name, Version: version, Arch: arch}
	for i := 0; i+1 < len(extra); i += 2 {
		p.Fields = append(p.Fields, extra[i]+": "+extra[i+1])
	}
	return p.Build()
}

func (f *fixture) publish(t testing.TB, data []byte, codename string) aptrepo.Published {
	t.Helper()
	out, err := f.Publish(f.ctx, bytes.NewReader(data), aptrepo.PublishOptions{Distribution: codename})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pool lists the files in the pool.
func (f *fixture) pool(t testing.TB) (keys []string) {
	t.Helper()
	for info, err := range f.files.List(f.ctx, "pool/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// read returns a file of the APT tree.
func read(t testing.TB, r *aptrepo.Repo, name string) []byte {
	t.Helper()
	f, err := r.OpenFile(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if int64(len(data)) != f.Size {
		t.Fatalf("%s has %d bytes, announced %d", name, len(data), f.Size)
	}
	return data
}

// release returns the verified Release of a distribution.
func release(t testing.TB, r *aptrepo.Repo, codename string) index.Release {
	t.Helper()
	ring, err := r.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := index.ParseKeyring(ring.Armored)
	if err != nil {
		t.Fatal(err)
	}
	// Some tests move the clock back behind the signature.
	now := r.Now().AddDate(1, 0, 0)
	text, _, err := index.Verify(read(t, r, "dists/"+codename+"/InRelease"), keys, now)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := index.ParseRelease(text)
	if err != nil {
		t.Fatal(err)
	}
	return *parsed
}

// packages returns "name version arch" of each entry of an index, after
// checking that every file the Release lists is there by hash, with the bytes
// it promises, and that .gz is the plain file compressed.
func packages(t testing.TB, r *aptrepo.Repo, codename, arch string) []string {
	t.Helper()
	content := make(map[string][]byte)
	for _, e := range release(t, r, codename).Files {
		data := read(t, r, "dists/"+codename+"/"+e.ByHash())
		sum := sha256.Sum256(data)
		if hex.EncodeToString(sum[:]) != e.SHA256 || int64(len(data)) != e.Size {
			t.Fatalf("%s is not what Release promises", e.Path)
		}
		content[e.Path] = data
	}
	plain := content["main/binary-"+arch+"/Packages"]
	z, err := gzip.NewReader(bytes.NewReader(content["main/binary-"+arch+"/Packages.gz"]))
	if err != nil {
		t.Fatal(err)
	}
	if unzipped, err := io.ReadAll(z); err != nil || !bytes.Equal(unzipped, plain) {
		t.Fatalf("Packages.gz differs from Packages: %v", err)
	}
	var list []string
	for stanza := range strings.SplitSeq(strings.TrimSpace(string(plain)), "\n\n") {
		fields := make(map[string]string)
		for line := range strings.SplitSeq(stanza, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				fields[name] = value
			}
		}
		if fields["Package"] != "" {
			list = append(list, fields["Package"]+" "+fields["Version"]+" "+fields["Architecture"])
			pool := read(t, r, fields["Filename"])
			if sum := sha256.Sum256(pool); hex.EncodeToString(sum[:]) != fields["SHA256"] {
				t.Fatalf("%s is not what Packages promises", fields["Filename"])
			}
		}
	}
	return list
}

// auditActions returns "action result" of every audit entry.
func auditActions(t testing.TB, r *aptrepo.Repo) []string {
	t.Helper()
	entries, err := r.Store.AuditEntries(t.Context(), 0, 10000)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Action+" "+e.Result)
	}
	return list
}

// clean fails the test when fsck finds anything.
func clean(t testing.TB, r *aptrepo.Repo) {
	t.Helper()
	report, err := r.Fsck(t.Context(), aptrepo.FsckOptions{ReadFiles: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Faults {
		t.Errorf("fsck: %+v", f)
	}
}
