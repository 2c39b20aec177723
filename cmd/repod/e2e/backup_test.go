package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A place is where a repository is: a data directory and the settings of its
// database and storage.
type place struct {
	dir  string
	args []string
}

// run runs a command of the binary on a place and returns its standard output.
func (p place) run(t *testing.T, command string, stdin io.Reader, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), slices.Concat([]string{command, "--data-dir", p.dir}, p.args, args)...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = serverEnv(), stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("repod %s: %w: %s", command, err, stderr.String())
	}
	return stdout.Bytes(), nil
}

// places makes places that share a secret key, as a server and its successor do.
type places struct {
	t       *testing.T
	keyFile string
}

func newPlaces(t *testing.T) places {
	t.Helper()
	keyFile := filepath.Join(t.TempDir(), "key")
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	if err := os.WriteFile(keyFile, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	return places{t, keyFile}
}

func (p places) new(args ...string) place {
	p.t.Helper()
	return place{filepath.Join(p.t.TempDir(), "data"), append([]string{"--secret-key-file", p.keyFile}, args...)}
}

func (p places) postgres(args ...string) place {
	p.t.Helper()
	db := startPostgres(p.t)
	return p.new(append(args, "--database-url", "postgres://postgres@"+db.address+"/postgres?sslmode=disable")...)
}

// A witness is what is known of a repository from outside.
type witness struct {
	acked []pkg     // acknowledged before the backup began
	date  time.Time // the latest that a client saw
	check *checker
	root  *aptRoot
	token string
}

// TestBackupUnderLoad backs up a repository while clients upload, promote and
// delete, goes on changing it, loses it, and restores the backup elsewhere, at the
// same address. To those who saw the former state, everything that was
// acknowledged before the backup began is there, and Dates have not gone back.
func TestBackupUnderLoad(t *testing.T) {
	t.Run("SQLite to SQLite", func(t *testing.T) {
		all := newPlaces(t)
		file := filepath.Join(t.TempDir(), "backup.tar")
		backupDrill(t, all.new(), all.new(),
			func(from place) error { _, err := from.run(t, "backup", nil, file); return err },
			func(to place) error { _, err := to.run(t, "restore", nil, file); return err })
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the backup has mode %v, %v", info.Mode(), err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("SQLite to PostgreSQL", func(t *testing.T) {
		slow(t)
		all := newPlaces(t)
		folder := t.TempDir()
		backupDrill(t, all.new(), all.postgres(),
			func(from place) error {
				for range 2 { // the second copies only what is new
					if _, err := from.run(t, "backup", nil, folder); err != nil {
						return err
					}
				}
				return nil
			},
			func(to place) error { _, err := to.run(t, "restore", nil, folder); return err })
	})
	t.Run("PostgreSQL to PostgreSQL", func(t *testing.T) {
		slow(t)
		all := newPlaces(t)
		var stream []byte
		backupDrill(t, all.postgres(), all.postgres(),
			func(from place) (err error) { stream, err = from.run(t, "backup", nil, "--zstd", "-"); return err },
			func(to place) error { _, err := to.run(t, "restore", bytes.NewReader(stream), "-"); return err })
	})
	t.Run("S3 to S3", func(t *testing.T) {
		slow(t)
		url, _, store := newBucket(t)
		all := newPlaces(t)
		file := filepath.Join(t.TempDir(), "backup.tar.zst")
		bucket := store.Bucket()
		to := all.new("--storage-url", store.URL(bucket, "elsewhere"))
		backupDrill(t, all.new("--storage-url", url), to,
			func(from place) error { _, err := from.run(t, "backup", nil, file); return err },
			func(to place) error { _, err := to.run(t, "restore", nil, file); return err })
		rebuilt(t, to, filepath.Join(store.Dir, bucket, "elsewhere", "index"))
	})
}

// rebuilt takes all of the indices away, which fsck makes anew from the database.
func rebuilt(t *testing.T, s place, indices string) {
	t.Helper()
	if err := os.RemoveAll(indices); err != nil {
		t.Fatal(err)
	}
	if got := faultsOf(t, s, "--repair"); !slices.Equal(got, []string{"stale_index "}) {
		t.Errorf("fsck --repair tells of %q", got)
	}
	server := serve(t, s.dir, s.args...)
	still(t, newChecker(t, server))
	server.stop(t)
	fsck(t, s.dir, s.args...)
}

func backupDrill(t *testing.T, from, to place, save, load func(place) error) {
	t.Helper()
	address := freeAddress(t)
	w := &witness{}
	before := serve(t, from.dir, slices.Concat(from.args, []string{"--distributions", both, "--listen", address})...)
	w.loaded(t, before, func() error { return save(from) })
	before.stop(t)

	time.Sleep(1100 * time.Millisecond) // Dates are whole seconds
	began := time.Now()
	if err := load(to); err != nil {
		t.Fatal(err)
	}
	t.Logf("restored in %v", time.Since(began).Round(time.Millisecond))
	after := serve(t, to.dir, slices.Concat(to.args, []string{"--listen", address})...)
	w.judge(t, after)
	after.stop(t)
	fsck(t, to.dir, to.args...)
	// A second restore finds that something is there.
	if err := load(to); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second restore into the same place: %v", err)
	}
}

// loaded has a backup made while clients change the repository, which they do
// before and afterwards, too.
func (w *witness) loaded(t *testing.T, s *server, save func() error) {
	t.Helper()
	w.token = newToken(t, s)
	w.check = newChecker(t, s)
	c := newAPI(s.URL, w.token)
	for n := range 20 {
		p := newPkg(fmt.Sprintf("kept-%02d", n), "1.0", 3000)
		must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", p.Deb))
		w.acked = append(w.acked, p)
	}
	w.root = newAptRoot(t, w.check.base, "bookworm", w.check.keyring)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for i := range 12 {
		load.Go(func() { change(ctx, t, c, i) })
	}
	time.Sleep(time.Second)
	p := newPkg("last-before", "1.0", 3000)
	must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", p.Deb))
	w.acked = append(w.acked, p)
	began := time.Now()
	if err := save(); err != nil {
		t.Error(err)
	}
	t.Logf("backed up in %v", time.Since(began).Round(time.Millisecond))
	time.Sleep(time.Second)
	must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", newPkg("after", "1.0", 100).Deb))
	stop()
	load.Wait()
	w.date = date(t, w.check)
	if err := w.root.update(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func date(t *testing.T, check *checker) time.Time {
	t.Helper()
	st, err := check.verify(t.Context(), "bookworm", true)
	if err != nil {
		t.Fatal(err)
	}
	date, err := mail.ParseDate(strings.Replace(st.Date, "UTC", "+0000", 1))
	if err != nil {
		t.Fatal(err)
	}
	return date
}

// judge looks at the restored repository.
func (w *witness) judge(t *testing.T, s *server) {
	t.Helper()
	check := w.check.at(s)
	for _, codename := range []string{"bookworm", "trixie"} {
		st, err := check.verify(t.Context(), codename, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := check.pool(t.Context(), st); err != nil {
			t.Error(err)
		}
		if codename != "bookworm" {
			continue
		}
		for _, p := range w.acked {
			if got := st.Packages[p.ID()]["SHA256"]; got != p.SHA256() {
				t.Errorf("%s was acknowledged before the backup, and is there with %q", p.ID(), got)
			}
		}
		if _, ok := st.Packages["after 1.0 all"]; ok {
			t.Error("what came after the backup is in it")
		}
	}
	if now := date(t, check); !now.After(w.date) {
		t.Errorf("Date has gone from %v to %v", w.date, now)
	}
	// A client of the former server goes on, and sees the former state.
	if err := w.root.update(t.Context()); err != nil {
		t.Error(err)
	}
	if got := w.root.candidate(t, "kept-00"); got != "1.0" {
		t.Errorf("apt has %q of kept-00", got)
	}
	if got := w.root.candidate(t, "after"); got != "" && got != "(none)" {
		t.Errorf("apt still has %q of a package that is gone", got)
	}
	// So does one who uploads.
	p := newPkg("next", "1.0", 100)
	must(t, http.StatusCreated)(newAPI(s.URL, w.token).upload(t.Context(), "bookworm", p.Deb))
	st, err := check.verify(t.Context(), "bookworm", true)
	if err != nil || st.Packages[p.ID()] == nil {
		t.Errorf("the next upload is not listed: %v", err)
	}
}

// TestRestoreBesideFiles restores an older database beside newer files, and a
// newer database beside older files. fsck names the differences and mends them;
// Dates do not go back.
func TestRestoreBesideFiles(t *testing.T) {
	all := newPlaces(t)
	files := filepath.Join(t.TempDir(), "files")
	first := all.new("--storage-url", "file:"+files)
	s := serve(t, first.dir, slices.Concat(first.args, []string{"--distributions", both})...)
	check := newChecker(t, s)
	c := newAPI(s.URL, newToken(t, s))
	kept, dropped, later := newPkg("kept", "1.0", 1000), newPkg("dropped", "1.0", 1000), newPkg("later", "1.0", 1000)
	for _, p := range []pkg{kept, dropped} {
		must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", p.Deb))
	}
	older := filepath.Join(t.TempDir(), "older.tar")
	if _, err := first.run(t, "backup", nil, "--no-files", older); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "files")
	if err := os.CopyFS(copied, os.DirFS(files)); err != nil {
		t.Fatal(err)
	}
	must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", later.Deb))
	seen := date(t, check)
	newer := filepath.Join(t.TempDir(), "newer.tar")
	if _, err := first.run(t, "backup", nil, newer); err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	// The file of a package is lost that only the older database knows of, as when
	// it was deleted since.
	if err := os.RemoveAll(filepath.Join(files, "pool/main/d/dropped")); err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		name, backup, files string
		kinds               []string // what fsck tells of, without what it only finds in old files
		want                []pkg
	}{
		{"an older database", older, files, []string{"missing_file dropped", "orphan_file "}, []pkg{kept}},
		{"a newer database", newer, copied, []string{"missing_file later"}, []pkg{kept, dropped}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			time.Sleep(1100 * time.Millisecond)
			to := all.new("--storage-url", "file:"+tt.files)
			if _, err := to.run(t, "restore", nil, tt.backup); err == nil {
				t.Error("a backup is restored with its files among others")
			}
			if _, err := to.run(t, "restore", nil, "--no-files", tt.backup); err != nil {
				t.Fatal(err)
			}
			aged(t, filepath.Join(tt.files, "pool"))
			if got := faultsOf(t, to); !slices.Equal(got, tt.kinds) {
				t.Errorf("fsck tells of %q, want %q", got, tt.kinds)
			}
			if got := faultsOf(t, to, "--repair"); !slices.Equal(got, tt.kinds) {
				t.Errorf("fsck --repair tells of %q, want %q", got, tt.kinds)
			}
			s := serve(t, to.dir, to.args...)
			at := check.at(s)
			st, err := at.verify(t.Context(), "bookworm", true)
			if err != nil {
				t.Fatal(err)
			}
			if err := at.pool(t.Context(), st); err != nil || len(st.Packages) != len(tt.want) {
				t.Errorf("%d packages are listed, want %d: %v", len(st.Packages), len(tt.want), err)
			}
			if now := date(t, at); !now.After(seen) {
				t.Errorf("Date has gone from %v to %v", seen, now)
			}
			s.stop(t)
		})
	}
}

// aged makes files older than those of uploads that are under way.
func aged(t *testing.T, dir string) {
	t.Helper()
	old := time.Now().Add(-2 * time.Hour)
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Chtimes(path, old, old)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// faultsOf returns what fsck finds, as "kind name".
func faultsOf(t *testing.T, s place, args ...string) (kinds []string) {
	t.Helper()
	out, err := s.run(t, "fsck", nil, append(args, "--json")...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var report fsckReport
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, f := range report.Faults {
		if kind := f.Kind + " " + f.Name; !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}
