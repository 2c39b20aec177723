package upstream_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/aptrepo/upstream/mirrortest"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// cpu returns the CPU time that has been spent so far, by this process or by
// those it has waited for.
func cpu(b *testing.B, who int) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(who, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkSync syncs an index of the size of Debian's main, from its .xz. As
// a measure it also reports the CPU time of "xz -dc | sha256sum" over it and
// the ratio of the two, which should stay below 2.
func BenchmarkSync(b *testing.B) {
	if _, err := exec.LookPath("xz"); err != nil {
		b.Skip("the index is made, and compared, with xz")
	}
	const name = "main/binary-amd64/Packages"
	text := manyStanzas(63_440)
	packed := filter(b, text, "xz", "-1", "-c")
	b.Logf("%d bytes, compressed %d", len(text), len(packed))
	m := mirrortest.New(b)
	m.Compressions = nil
	m.EditRelease = func(r *index.Release) {
		r.Files = []index.FileEntry{mirrortest.Entry(name, text), mirrortest.Entry(name+".xz", packed)}
	}
	m.EditFiles = func(files map[string][]byte) { files[m.Dist(name+".xz")] = packed }
	m.Release.AcquireByHash = false
	m.Publish()
	source := upstream.Source{ID: "test", URL: m.URL, Suite: "bookworm", SignedBy: m.PublicKey()}

	start := cpu(b, syscall.RUSAGE_SELF)
	for b.Loop() {
		s := &upstream.Syncer{Catalog: &countingCatalog{newCatalog()}, Dir: b.TempDir()}
		if result, err := s.Sync(b.Context(), source); err != nil || result.PackageCount != 63_440 {
			b.Fatal(result, err)
		}
	}
	ours := (cpu(b, syscall.RUSAGE_SELF) - start) / time.Duration(b.N)
	file := filepath.Join(b.TempDir(), "Packages.xz")
	if err := os.WriteFile(file, packed, 0o600); err != nil {
		b.Fatal(err)
	}
	start = cpu(b, syscall.RUSAGE_CHILDREN)
	filter(b, nil, "sh", "-c", "xz -dc "+file+" | sha256sum")
	theirs := cpu(b, syscall.RUSAGE_CHILDREN) - start
	b.ReportMetric(float64(ours.Milliseconds()), "cpu-ms/op")
	b.ReportMetric(float64(theirs.Milliseconds()), "xz-cpu-ms")
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "times-xz")
}

func filter(b *testing.B, in []byte, command ...string) []byte {
	b.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// BenchmarkUnchanged asks an archive that has not changed.
func BenchmarkUnchanged(b *testing.B) {
	m := mirrortest.New(b)
	for i := range 100 {
		m.Add("main", debtest.Package{Name: fmt.Sprintf("package-%d", i)})
	}
	m.Publish()
	source := upstream.Source{ID: "test", URL: m.URL, Suite: "bookworm", SignedBy: m.PublicKey()}
	s := &upstream.Syncer{Catalog: newCatalog(), Dir: b.TempDir()}
	if _, err := s.Sync(b.Context(), source); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if result, err := s.Sync(b.Context(), source); err != nil || !result.NotModified {
			b.Fatal(result, err)
		}
	}
}

// BenchmarkFetch downloads a package of 16 MiB.
func BenchmarkFetch(b *testing.B) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	m := mirrortest.New(b)
	m.Handle("pool/x.deb", func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
	e := mirrortest.Entry("pool/x.deb", body)
	source := upstream.Source{ID: "test", URL: m.URL, Suite: "bookworm"}
	p := upstream.Package{SourceID: "test", Filename: e.Path, Size: e.Size, SHA256: e.SHA256}
	f, err := os.Create(filepath.Join(b.TempDir(), "x.deb"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.SetBytes(e.Size)
	var d upstream.Downloader
	for b.Loop() {
		if err := d.Fetch(b.Context(), source, p, f); err != nil {
			b.Fatal(err)
		}
	}
	if n, err := io.Copy(io.Discard, f); n != e.Size || err != nil {
		b.Fatal(n, err)
	}
}
