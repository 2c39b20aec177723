package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/backup"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/deb/debtest"
)

var key = bytes.Repeat([]byte("k"), 32)

// A hooked storage calls a function before files are opened, and can fail to put.
type hooked struct {
	*storage.Mem
	open func(key string)
	puts atomic.Int64 // that still succeed, when limited
	out  bool
}

func (h *hooked) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	if h.open != nil {
		h.open(key)
	}
	return h.Mem.Open(ctx, key)
}

func (h *hooked) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	if h.out && h.puts.Add(-1) < 0 {
		return errors.New("the disk has gone")
	}
	return h.Mem.Put(ctx, key, r)
}

// A fixture is a repository to be backed up.
type fixture struct {
	*aptrepo.Repo
	db    *sqlstore.DB
	files *hooked
}

func newFixture(t testing.TB, packages int) *fixture {
	t.Helper()
	f := &fixture{db: openDB(t, filepath.Join(t.TempDir(), "repod.db")), files: &hooked{Mem: new(storage.Mem)}}
	f.Repo = &aptrepo.Repo{Store: f.db, Storage: f.files, SecretKey: key, Logger: slog.New(slog.DiscardHandler)}
	if _, err := f.Init(t.Context(), aptrepo.Distribution{Codename: "jammy"}); err != nil {
		t.Fatal(err)
	}
	for i := range packages {
		f.publish(t, fmt.Sprintf("package-%d", i))
	}
	return f
}

func openDB(t testing.TB, path string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), connect(t, path), sqlstore.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.SignAudit(t.Context(), aptrepo.AuditKey(key)); err != nil {
		t.Fatal(err)
	}
	return db
}

func connect(t testing.TB, path string) *sqlx.DB {
	t.Helper()
	conn, err := sqlx.Open("sqlite", sqlstore.SQLiteDSN(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (f *fixture) publish(t testing.TB, name string) aptrepo.Artifact {
	t.Helper()
	out, err := f.Publish(t.Context(), bytes.NewReader(debtest.Package{Name: name}.Build()), aptrepo.PublishOptions{Distribution: "jammy"})
	if err != nil {
		t.Fatal(err)
	}
	return out.Artifact
}

// tarOf backs a repository up.
func (f *fixture) tarOf(t testing.TB, compressed bool, o backup.Options) ([]byte, backup.Manifest) {
	t.Helper()
	var out bytes.Buffer
	target, err := backup.NewTar(&out, compressed)
	if err != nil {
		t.Fatal(err)
	}
	m, err := backup.Write(t.Context(), f.Repo, f.db, target, o)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), m
}

// A place is where a backup is restored.
type place struct {
	path  string
	files *hooked
}

func newPlace(t testing.TB) *place {
	return &place{filepath.Join(t.TempDir(), "new.db"), &hooked{Mem: new(storage.Mem)}}
}

func (p *place) restore(t testing.TB, b *backup.Backup) (backup.Restored, error) {
	t.Helper()
	conn := connect(t, p.path)
	defer conn.Close()
	return b.Restore(t.Context(), backup.Destination{
		Files: p.files, TempDir: t.TempDir(),
		Database: func(ctx context.Context, schema int) (*sqlstore.Loading, error) {
			return sqlstore.Load(ctx, conn, sqlstore.SQLite, schema)
		},
	})
}

// empty reports whether nothing is in the database.
func (p *place) empty(t testing.TB) bool {
	t.Helper()
	var n int
	conn := connect(t, p.path)
	defer conn.Close()
	if err := conn.Get(&n, "SELECT COUNT(*) FROM sqlite_master"); err != nil {
		t.Fatal(err)
	}
	return n == 0
}

// repo opens what was restored.
func (p *place) repo(t testing.TB) *aptrepo.Repo {
	t.Helper()
	r := &aptrepo.Repo{Store: openDB(t, p.path), Storage: p.files, SecretKey: key, Logger: slog.New(slog.DiscardHandler)}
	if err := r.Restored(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	return r
}

func sums(t testing.TB, b storage.Backend, prefix string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for info, err := range b.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := b.Open(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		all[info.Key] = hex.EncodeToString(sum[:])
	}
	return all
}

func clean(t testing.TB, r *aptrepo.Repo) {
	t.Helper()
	report, err := r.Fsck(t.Context(), aptrepo.FsckOptions{ReadFiles: true, OrphanAge: time.Nanosecond})
	if err != nil || len(report.Faults) > 0 {
		t.Errorf("fsck: %+v, %v", report.Faults, err)
	}
}

// What was restored is the repository that was backed up, in each form.
func TestRoundTrip(t *testing.T) {
	f := newFixture(t, 12)
	folder := t.TempDir()
	forms := map[string]func() (*backup.Backup, error){
		"tar": func() (*backup.Backup, error) {
			data, _ := f.tarOf(t, false, backup.Options{})
			return backup.Read(bytes.NewReader(data))
		},
		"tar in a file, compressed": func() (*backup.Backup, error) {
			data, _ := f.tarOf(t, true, backup.Options{})
			path := filepath.Join(t.TempDir(), "b")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return backup.Open(path)
		},
		"folder": func() (*backup.Backup, error) {
			f.intoFolder(t, folder)
			return backup.Open(folder)
		},
	}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			b, err := form()
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := b.CheckKey(key); err != nil {
				t.Error(err)
			}
			if err := b.CheckKey(bytes.Repeat([]byte("x"), 32)); !errors.Is(err, backup.ErrWrongKey) {
				t.Errorf("another key: %v", err)
			}
			p := newPlace(t)
			done, err := p.restore(t, b)
			if err != nil {
				t.Fatal(err)
			}
			pool := sums(t, f.files, "pool/")
			if got := sums(t, p.files, "pool/"); !maps.Equal(got, pool) || len(pool) != 12 {
				t.Errorf("the pool has %v, had %v", got, pool)
			}
			if done.Files != done.Manifest.Files || done.Files < 13 || done.Manifest.Missing+done.Manifest.Damaged != 0 {
				t.Errorf("%+v", done)
			}
			r := p.repo(t)
			clean(t, r)
			page, err := r.Store.PublishedRows(t.Context(), aptrepo.PublishedQuery{Distribution: "jammy"})
			if err != nil || page.Total != 12 {
				t.Errorf("%d are published, %v", page.Total, err)
			}
		})
	}
}

func (f *fixture) intoFolder(t testing.TB, folder string) backup.Manifest {
	t.Helper()
	d, err := backup.OpenDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	m, err := backup.Write(t.Context(), f.Repo, f.db, d, backup.Options{})
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	return m
}

// Whatever byte of a backup is changed, and wherever it ends: either it is refused
// and the database stays empty, or nothing that counts was changed.
func TestDamagedBackups(t *testing.T) {
	f := newFixture(t, 3)
	data, _ := f.tarOf(t, false, backup.Options{})
	try := func(what string, data []byte) (refusal error) {
		t.Helper()
		p := newPlace(t)
		b, err := backup.Read(bytes.NewReader(data))
		if err == nil {
			_, err = p.restore(t, b)
		}
		if err != nil {
			if !p.empty(t) {
				t.Errorf("%s: %v, and the database has tables", what, err)
			}
			return err
		}
		if got := sums(t, p.files, "pool/"); !maps.Equal(got, sums(t, f.files, "pool/")) {
			t.Errorf("%s: restored with other files", what)
		}
		return nil
	}
	refused := 0
	const steps = 30
	for i := range steps {
		at := len(data) * i / steps
		changed := slices.Clone(data)
		changed[at] ^= 0x41
		if try(fmt.Sprintf("byte %d", at), changed) != nil {
			refused++
		}
	}
	manifest := bytes.LastIndex(data, []byte("manifest.json")) - 512 // its pax header comes before, or not
	for _, at := range []int{0, 100, 512, len(data) / 3, len(data) / 2, manifest &^ 511, manifest&^511 + 700} {
		if err := try(fmt.Sprintf("cut at %d", at), data[:at]); !errors.Is(err, backup.ErrIncomplete) {
			t.Errorf("a backup of %d bytes that was cut off at %d: %v", len(data), at, err)
		}
	}
	if refused < steps/4 {
		t.Errorf("only %d of %d changed bytes were found", refused, steps)
	}
	if err := try("whole", data); err != nil {
		t.Errorf("the whole backup is refused: %v", err)
	}
}

// Each byte of a package counts.
func TestDamagedPackage(t *testing.T) {
	f := newFixture(t, 1)
	a := f.publish(t, "victim")
	body, _, err := f.files.Open(t.Context(), a.Filename)
	if err != nil {
		t.Fatal(err)
	}
	deb, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := f.tarOf(t, false, backup.Options{})
	at := bytes.Index(data, deb)
	for i := 0; i < len(deb); i += 397 {
		changed := slices.Clone(data)
		changed[at+i]++
		b, err := backup.Read(bytes.NewReader(changed))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newPlace(t).restore(t, b); !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), a.Filename) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

// A restore that was broken off goes on; another backup does not take its place.
func TestRestoreGoesOn(t *testing.T) {
	f := newFixture(t, 10)
	data, _ := f.tarOf(t, false, backup.Options{})
	other, _ := f.tarOf(t, false, backup.Options{})
	p := newPlace(t)
	p.files.out = true
	p.files.puts.Store(5)
	read := func(data []byte) *backup.Backup {
		b, err := backup.Read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, err := p.restore(t, read(data)); err == nil || !strings.Contains(err.Error(), "the disk has gone") || !p.empty(t) {
		t.Fatalf("error %v", err)
	}
	p.files.out = false
	if yes, err := backup.Unfinished(t.Context(), p.files); err != nil || !yes {
		t.Errorf("unfinished: %t, %v", yes, err)
	}
	if _, err := p.restore(t, read(other)); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("another backup: %v", err)
	}
	// What the first try has put, damaged meanwhile, is put again.
	for name := range sums(t, p.files, "pool/") {
		if err := p.files.Mem.Put(t.Context(), name, strings.NewReader("damaged")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.restore(t, read(data)); err != nil {
		t.Fatal(err)
	}
	if yes, err := backup.Unfinished(t.Context(), p.files); err != nil || yes {
		t.Errorf("unfinished at the end: %t, %v", yes, err)
	}
	clean(t, p.repo(t))
	if _, err := p.restore(t, read(data)); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("into what was restored: %v", err)
	}
}

// Files that packages lose, and get, during the backup are in it as they were.
func TestFilesMoveMeanwhile(t *testing.T) {
	f := newFixture(t, 4)
	moved, deleted := f.publish(t, "moved"), f.publish(t, "deleted")
	once := false
	f.files.open = func(string) {
		if once {
			return
		}
		once = true
		ctx := aptrepo.WithActor(t.Context(), aptrepo.Actor{Name: "admin"})
		if _, err := f.Quarantine(ctx, aptrepo.QuarantineOptions{Selection: aptrepo.Selection{Name: moved.Name, Version: moved.Version}, Reason: "bad"}); err != nil {
			t.Error(err)
		}
		if _, err := f.Delete(ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: deleted.Name, Version: deleted.Version}}); err != nil {
			t.Error(err)
		}
		if err := f.Sweep(ctx); err != nil {
			t.Error(err)
		}
		f.publish(t, "afterwards")
	}
	data, m := f.tarOf(t, false, backup.Options{})
	if !once || m.Missing+m.Damaged > 0 {
		t.Fatalf("%+v", m)
	}
	if _, _, err := f.files.Mem.Open(t.Context(), moved.Filename); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the file has not moved: %v", err)
	}
	b, err := backup.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t)
	if _, err := p.restore(t, b); err != nil {
		t.Fatal(err)
	}
	got := sums(t, p.files, "pool/")
	if got[moved.Filename] != moved.SHA256 || got[deleted.Filename] != deleted.SHA256 || len(got) != 6 {
		t.Errorf("the pool has %v", got)
	}
	clean(t, p.repo(t))
}

// A repository with faults is backed up with its faults, which are told of.
func TestFaultsAreToldOf(t *testing.T) {
	f := newFixture(t, 4)
	lost, damaged := f.publish(t, "lost"), f.publish(t, "damaged")
	if err := f.files.Delete(t.Context(), lost.Filename); err != nil {
		t.Fatal(err)
	}
	if err := f.files.Put(t.Context(), damaged.Filename, strings.NewReader("damaged")); err != nil {
		t.Fatal(err)
	}
	data, m := f.tarOf(t, false, backup.Options{})
	if m.Missing != 1 || m.Damaged != 1 || len(m.Faults) != 2 ||
		!strings.HasPrefix(m.Faults[0], lost.Filename) || !strings.HasPrefix(m.Faults[1], damaged.Filename) {
		t.Errorf("%+v", m)
	}
	b, err := backup.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t)
	if _, err := p.restore(t, b); err != nil {
		t.Fatal(err)
	}
	report, err := p.repo(t).Fsck(t.Context(), aptrepo.FsckOptions{ReadFiles: true})
	if err != nil || len(report.Faults) != 2 {
		t.Errorf("fsck: %+v, %v", report.Faults, err)
	}
}

// blobs counts the files that the backups of a folder share.
func blobs(t *testing.T, folder string) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(folder, "blobs"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A further backup into a folder copies what is new; pruning leaves what the
// remaining ones need.
func TestFolder(t *testing.T) {
	f := newFixture(t, 5)
	folder := filepath.Join(t.TempDir(), "backups")
	f.intoFolder(t, folder)
	before := blobs(t, folder)
	old := f.publish(t, "new")
	f.intoFolder(t, folder)
	if n := blobs(t, folder); n != before+2 { // the package, and the manifest of the index
		t.Errorf("%d files, there were %d", n, before)
	}
	if _, err := f.Delete(t.Context(), aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: old.Name, Version: old.Version}}); err != nil {
		t.Fatal(err)
	}
	// One that was broken off is no backup.
	d, err := backup.OpenDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.OpenDir(folder); err == nil {
		t.Error("two backups go into one folder at once")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backup.Write(ctx, f.Repo, f.db, d, backup.Options{}); err == nil {
		t.Error("a backup that was cancelled is complete")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	m := f.intoFolder(t, folder)
	if removed, err := backup.Prune(folder, 1); err != nil || removed != 2 {
		t.Errorf("pruned %d, %v", removed, err)
	}
	b, err := backup.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Header.ID != m.ID {
		t.Error("it is not the newest that is left")
	}
	p := newPlace(t)
	if _, err := p.restore(t, b); err != nil {
		t.Fatal(err)
	}
	clean(t, p.repo(t))
	// A shared file that was damaged is found.
	spoil(t, filepath.Join(folder, "blobs"))
	again, err := backup.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := newPlace(t).restore(t, again); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("a damaged file: %v", err)
	}
}

// spoil changes a byte of the first file in a folder.
func spoil(t *testing.T, folder string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*", "*"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2]++
	if err := os.WriteFile(paths[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// entries makes a tar of a backup's header and others.
func entries(t testing.TB, data []byte, others ...string) []byte {
	t.Helper()
	in := tar.NewReader(bytes.NewReader(data))
	if _, err := in.Next(); err != nil {
		t.Fatal(err)
	}
	header, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	all := append([]string{"repod-backup.json", string(header)}, others...)
	for i := 0; i+1 < len(all); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: all[i], Size: int64(len(all[i+1])), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, all[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A backup that somebody made up does no harm.
func TestHostileBackups(t *testing.T) {
	f := newFixture(t, 1)
	data, _ := f.tarOf(t, false, backup.Options{})
	for _, tt := range []struct {
		name   string
		others []string
	}{
		{"nothing", []string{"manifest.json", `{}`}},
		{"a file outside", []string{"files/../../etc/cron.d/x", "x"}},
		{"an absolute file", []string{"files//etc/passwd", "x"}},
		{"the mark of the restore", []string{"files/restore-unfinished", "x"}},
		{"an entry of another kind", []string{"bin/sh", "x"}},
		{"a table that is none", []string{"database/001-x/000001.jsonl", `{"table":"sqlite_master","columns":[]}` + "\n"}},
		{"a piece without a line", []string{"database/001-x/000001.jsonl", `{"table":"users"}`}},
		{"sums of others", []string{"sums/000001", strings.Repeat("0", 64) + "  1  files/x\n"}},
	} {
		p := newPlace(t)
		b, err := backup.Read(bytes.NewReader(entries(t, data, tt.others...)))
		if err == nil {
			_, err = p.restore(t, b)
		}
		if err == nil || !p.empty(t) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := slices.Collect(maps.Keys(sums(t, p.files, ""))); len(got) > 1 {
			t.Errorf("%s: storage has %q", tt.name, got)
		}
		// The real one takes over, as after any restore that was broken off.
		genuine, err := backup.Read(bytes.NewReader(data))
		if err == nil {
			_, err = p.restore(t, genuine)
		}
		if err != nil {
			t.Errorf("after %s: %v", tt.name, err)
		}
	}
	for name, text := range map[string][]byte{"empty": nil, "text": []byte("hello"), "another tar": entries(t, data)[512:]} {
		if _, err := backup.Read(bytes.NewReader(text)); err == nil {
			t.Errorf("%s is a backup", name)
		}
	}
}
