package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
)

func put(t *testing.T, b storage.Backend, key, body string) {
	t.Helper()
	if err := b.Put(t.Context(), key, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, b storage.Backend, key string) string {
	t.Helper()
	r, _, err := b.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func keys(t *testing.T, b storage.Backend, prefix string) []string {
	t.Helper()
	var keys []string
	for info, err := range b.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// tree returns the paths of all that lies below dir, directories too.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var paths []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(p string, _ fs.DirEntry, err error) error {
		paths = append(paths, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths[1:]
}

func wantNotExist(t *testing.T, b storage.Backend, key string) {
	t.Helper()
	if r, _, err := b.Open(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			r.Close()
		}
		t.Errorf("Open(%q): error %v, want one that matches fs.ErrNotExist", key, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenDirCreates(t *testing.T) {
	base := t.TempDir()
	d := openDir(t, filepath.Join(base, "srv", "apt"))
	put(t, d, "pool/x.deb", "x")
	got, err := os.ReadFile(filepath.Join(base, "srv", "apt", "pool", "x.deb"))
	if err != nil || string(got) != "x" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	again := openDir(t, filepath.Join(base, "srv", "apt")+"/")
	if got := get(t, again, "pool/x.deb"); got != "x" {
		t.Errorf("after opening again: %q", got)
	}
}

func TestOpenDirOnFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, nil, 0o644))
	for _, dir := range []string{name, filepath.Join(name, "sub")} {
		if d, err := storage.OpenDir(dir); err == nil {
			d.Close()
			t.Errorf("OpenDir(%s) succeeded", dir)
		}
	}
}

func TestDirClosed(t *testing.T) {
	d := openDir(t, t.TempDir())
	put(t, d, "k", "x")
	must(t, d.Close())
	_, _, err := d.Open(t.Context(), "k")
	if !errors.Is(err, fs.ErrClosed) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open after Close: %v", err)
	}
	for _, err = range d.List(t.Context(), "") {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("List after Close: %v", err)
		}
	}
	if err == nil {
		t.Error("List after Close gave no error")
	}
}

func TestDirLinksOutside(t *testing.T) {
	base := t.TempDir()
	outside, store := filepath.Join(base, "outside"), filepath.Join(base, "store")
	must(t, os.MkdirAll(outside, 0o755))
	must(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644))
	d := openDir(t, store)
	for name, target := range map[string]string{
		"absolute": filepath.Join(outside, "secret"),
		"relative": "../outside/secret",
		"dir":      outside,
		"updir":    "../outside",
		"circle":   "circle",
		"inside":   "real",
	} {
		must(t, os.Symlink(target, filepath.Join(store, name)))
	}
	put(t, d, "real", "real")

	for _, key := range []string{"absolute", "relative", "dir", "dir/secret", "updir/secret", "circle", "circle/x", "inside"} {
		wantNotExist(t, d, key)
		must(t, d.Delete(t.Context(), key))
	}
	if got := keys(t, d, ""); !slices.Equal(got, []string{"real"}) {
		t.Errorf("List yields %q, want only the file", got)
	}
	if got := keys(t, d, "updir/"); got != nil {
		t.Errorf("List through a link yields %q", got)
	}
	for _, key := range []string{"dir/secret", "updir/new"} {
		if err := d.Put(t.Context(), key, strings.NewReader("x")); err == nil {
			t.Errorf("Put(%q) went through a link", key)
		}
	}
	for _, key := range []string{"absolute", "relative"} {
		if err := d.Create(t.Context(), key, strings.NewReader("x")); err == nil || errors.Is(err, fs.ErrExist) {
			t.Errorf("Create(%q) in place of a link: %v", key, err)
		}
		put(t, d, key, "ours") // replaces the link, not what it points to
	}
	if got := tree(t, outside); !slices.Equal(got, []string{"secret"}) {
		t.Errorf("outside are %q", got)
	}
	if got, _ := os.ReadFile(filepath.Join(outside, "secret")); string(got) != "secret" {
		t.Errorf("the file outside holds %q", got)
	}
}

// A directory and a file exclude each other, and neither harms the other.
func TestDirFileAndDirectory(t *testing.T) {
	name := t.TempDir()
	d := openDir(t, name)
	put(t, d, "file", "x")
	put(t, d, "dir/file", "y")
	for _, key := range []string{"file/sub", "dir"} {
		if err := d.Put(t.Context(), key, strings.NewReader("z")); err == nil {
			t.Errorf("Put(%q) succeeded", key)
		}
		if err := d.Create(t.Context(), key, strings.NewReader("z")); err == nil || errors.Is(err, fs.ErrExist) {
			t.Errorf("Create(%q): %v, want an error other than fs.ErrExist", key, err)
		}
	}
	if got := tree(t, name); !slices.Equal(got, []string{"dir", "dir/file", "file"}) {
		t.Errorf("there are %q", got)
	}
	must(t, d.Delete(t.Context(), "file"))
	put(t, d, "file/sub", "now a directory")
}

func TestDirRemovedByOthers(t *testing.T) {
	name := t.TempDir()
	d := openDir(t, name)
	put(t, d, "a/b/c/1", "x")
	must(t, os.RemoveAll(filepath.Join(name, "a")))
	put(t, d, "a/b/c/2", "y")
	must(t, os.RemoveAll(filepath.Join(name, "a/b")))
	must(t, d.Create(t.Context(), "a/b/c/3", strings.NewReader("z")))
	if got := keys(t, d, ""); !slices.Equal(got, []string{"a/b/c/3"}) {
		t.Errorf("List yields %q", got)
	}
}

func TestDirTempFiles(t *testing.T) {
	name := t.TempDir()
	d := openDir(t, name)
	put(t, d, "pool/x", "x")
	put(t, d, "pool/y/z", "z")
	now := time.Now()
	for file, age := range map[string]time.Duration{".tmp-old": 2 * time.Hour, "pool/y/.tmp-old": 2 * time.Hour, "pool/.tmp-new": time.Minute} {
		p := filepath.Join(name, file)
		must(t, os.WriteFile(p, []byte("part"), 0o644))
		must(t, os.Chtimes(p, now.Add(-age), now.Add(-age)))
		if storage.ValidKey(file) {
			t.Errorf("%s is a valid key", file)
		}
	}
	if got := keys(t, d, ""); !slices.Equal(got, []string{"pool/x", "pool/y/z"}) {
		t.Errorf("List yields %q", got)
	}
	n, err := storage.CleanTemp(t.Context(), d, now.Add(-time.Hour))
	if n != 2 || err != nil {
		t.Errorf("CleanTemp = %d, %v; want 2", n, err)
	}
	if got := tree(t, name); !slices.Equal(got, []string{"pool", "pool/.tmp-new", "pool/x", "pool/y", "pool/y/z"}) {
		t.Errorf("after CleanTemp there are %q", got)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.CleanTemp(done, now); !errors.Is(err, context.Canceled) {
		t.Errorf("CleanTemp with a canceled context: %v", err)
	}
}

// What is no file, or no key, is passed over.
func TestDirListForeignNames(t *testing.T) {
	name := t.TempDir()
	d := openDir(t, name)
	put(t, d, "k", "x")
	for _, foreign := range []string{`back\slash`, "new\nline", "not utf-8 \xff"} {
		must(t, os.WriteFile(filepath.Join(name, foreign), nil, 0o644))
	}
	must(t, os.Mkdir(filepath.Join(name, "empty"), 0o755))
	if got := keys(t, d, ""); !slices.Equal(got, []string{"k"}) {
		t.Errorf("List yields %q", got)
	}
}

func TestDirListOfMissingDirectory(t *testing.T) {
	d := openDir(t, t.TempDir())
	put(t, d, "a/b", "x")
	for _, prefix := range []string{"c/", "a/b/", "a/b/c", "/", "//", "a//", "./", "a/../"} {
		if got := keys(t, d, prefix); got != nil {
			t.Errorf("List(%q) yields %q", prefix, got)
		}
	}
}

// The reader of a Dir is a file, which http.ServeContent and the kernel's
// sendfile want.
func TestDirOpenGivesFile(t *testing.T) {
	d := openDir(t, t.TempDir())
	put(t, d, "k", "x")
	r, _, err := d.Open(t.Context(), "k")
	must(t, err)
	defer r.Close()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("Open gives a %T", r)
	}
}

func FuzzKeys(f *testing.F) {
	for _, key := range []string{"pool/main/x/x_1:1~b+c_all.deb", "a//b", "../a", ".tmp-x", "a\x00", "", "a/.", strings.Repeat("x", 256)} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		base := t.TempDir()
		d := openDir(t, filepath.Join(base, "store"))
		m := new(storage.Mem)
		for _, b := range []storage.Backend{d, m} {
			err := b.Put(t.Context(), key, strings.NewReader("body"))
			if (err == nil) != storage.ValidKey(key) {
				t.Fatalf("ValidKey(%q) = %t, but Put: %v", key, storage.ValidKey(key), err)
			}
			if err != nil {
				if !errors.Is(err, fs.ErrInvalid) {
					t.Errorf("Put(%q): error %v, want one that matches fs.ErrInvalid", key, err)
				}
				continue
			}
			if got := get(t, b, key); got != "body" {
				t.Errorf("Open(%q) gave %q", key, got)
			}
			if got := keys(t, b, ""); !slices.Equal(got, []string{key}) {
				t.Errorf("List yields %q, want %q", got, key)
			}
		}
		entries, err := os.ReadDir(base)
		if err != nil || len(entries) != 1 {
			t.Errorf("Put(%q) left %d entries beside the store, %v", key, len(entries), err)
		}
	})
}

func BenchmarkDirPut(b *testing.B) {
	for _, size := range []int{10 << 10, 1 << 20} {
		b.Run(strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
			d, err := storage.OpenDir(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			body := make([]byte, size)
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				if err := d.Put(b.Context(), "pool/main/f"+strconv.Itoa(i), bytes.NewReader(body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDirList(b *testing.B) {
	name := b.TempDir()
	const dirs, files = 100, 100
	for i := range dirs {
		dir := filepath.Join(name, "pool", strconv.Itoa(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		for j := range files {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(j)), nil, 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	d, err := storage.OpenDir(name)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for b.Loop() {
		n := 0
		for _, err := range d.List(b.Context(), "") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != dirs*files {
			b.Fatalf("List yielded %d files", n)
		}
	}
	b.ReportMetric(float64(dirs*files), "files/op")
}

func BenchmarkCheck(b *testing.B) {
	d, err := storage.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for b.Loop() {
		if err := storage.Check(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
}
