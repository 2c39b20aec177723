package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestDrillR6DiskFull fills the file system that holds everything, under load.
// Uploads are then refused with 507, published files go on being served, and when
// there is space again nobody has to do anything.
func TestDrillR6DiskFull(t *testing.T) {
	slow(t)
	needRoot(t)
	dir := tmpfs(t, "64m")
	s := serve(t, dir, "--distributions", both)
	x := newSite(t, s, s.URL, sqliteLedger(t, dir))
	c := newAPI(s.URL, x.token)
	l := x.load(t)
	l.workers, l.keep = 2, 5
	l.start()
	var recovered []time.Duration
	rounds := either(1, 10)
	for n := range rounds {
		recovered = append(recovered, fillAndFree(t, c, x, n)...)
	}
	l.stop()
	told := l.settle()
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	slowest := quantile(recovered, 100)
	report(t, figure{"R6", "a full disk (tmpfs of 64 MiB), with no space and with a little, under load",
		fmt.Sprintf("full %d times: uploads 507; %s; uploads again %v after there is space", rounds, told, slowest),
		"0 lost, 0 failed; recovers ≤ 10 s", slowest > 10*time.Second})
}

// fillAndFree fills the disk and makes space again. It returns how long it took
// until uploads worked.
func fillAndFree(t *testing.T, c *api, x *site, n int) (recovered []time.Duration) {
	t.Helper()
	version := fmt.Sprintf("1.%d", n)
	first, small, large := newPkg("first", version, 1000), newPkg("small", version, 20_000), newPkg("large", version, 8<<20)
	x.must(t, "upload", first, http.StatusCreated, c)
	ballast := filepath.Join(x.dir, "ballast")
	fill(t, ballast)
	x.full(t, "upload", small, c)
	x.full(t, "upload", large, c)
	// With no space at all SQLite may still find room in its own files.
	if a := x.ask(t, "promote", first, c); a.Status != http.StatusOK {
		wantFull(t, a)
	}
	time.Sleep(either(time.Second, 5*time.Second))

	// Some space: enough for the database, not for a large package.
	if err := os.Truncate(ballast, fileSize(t, ballast)-2<<20); err != nil {
		t.Fatal(err)
	}
	x.full(t, "upload", large, c)
	if _, err := x.check.verify(t.Context(), "bookworm", false); err != nil {
		t.Error(err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, p := range []pkg{large, small} {
		eventually(t, 30*time.Second, func() error { return x.uploaded(t, c, p) })
		recovered = append(recovered, time.Since(began))
	}
	x.must(t, "promote", first, http.StatusOK, c)
	for _, p := range []pkg{first, small, large} {
		x.must(t, "delete", p, http.StatusNoContent, c)
	}
	return recovered
}

// full sends a request that must be refused for want of space.
func (x *site) full(t *testing.T, op string, p pkg, c *api) {
	t.Helper()
	wantFull(t, x.ask(t, op, p, c))
}

// wantFull fails the test unless the answer is 507, as a problem document.
func wantFull(t *testing.T, a *answer) {
	t.Helper()
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
