package e2e

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestDiskFull fills the file system that holds everything. Uploads are then
// refused with 507, published files go on being served, and when there is
// space again nobody has to do anything.
func TestDiskFull(t *testing.T) {
	slow(t)
	needRoot(t)
	dir := tmpfs(t, "64m")
	s := serve(t, dir, "--distributions", both)
	c := newAPI(s.URL, newToken(t, s))
	check := newChecker(t, s)
	first := newPkg("first", "1.0", 1000)
	must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", first.Deb))

	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	small, large := newPkg("small", "1.0", 20_000), newPkg("large", "1.0", 8<<20)
	refused := func(p pkg) {
		t.Helper()
		a, err := c.upload(t.Context(), "bookworm", p.Deb)
		wantFull(t, a, err)
	}
	refused(small)
	refused(large)
	// With no space at all SQLite may still find room in its own files.
	a, err := c.promote(t.Context(), first, "bookworm", "trixie")
	if err != nil || a.Status != http.StatusOK {
		wantFull(t, a, err)
	}
	still(t, check)

	// Some space: enough for the database, not for a large package.
	if err := os.Truncate(ballast, fileSize(t, ballast)-2<<20); err != nil {
		t.Fatal(err)
	}
	refused(large)
	still(t, check)
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind by what was refused: %v", left)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() error { return uploaded(t.Context(), c, large) })
	eventually(t, 30*time.Second, func() error { return uploaded(t.Context(), c, small) })
	must(t, http.StatusOK)(c.promote(t.Context(), first, "bookworm", "trixie"))
	for codename, want := range map[string]int{"bookworm": 3, "trixie": 1} {
		st, err := check.verify(t.Context(), codename, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := check.pool(t.Context(), st); err != nil || len(st.Packages) != want {
			t.Errorf("%s lists %d packages, want %d: %v", codename, len(st.Packages), want, err)
		}
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	s.stop(t)
	fsck(t, dir)
}

// wantFull fails the test unless the answer is 507, as a problem document.
func wantFull(t *testing.T, a *answer, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
		return
	}
	p, err := a.refusal()
	if err != nil || p.Status != http.StatusInsufficientStorage || p.Code != "storage_full" {
		t.Errorf("status %d (%v), want 507 storage_full: %s", a.Status, err, a.Body)
	}
}

// tmpfs mounts a file system of that size for the test.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		lacking(t, "mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes to path until the file system has no space left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
