package bench

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// memoryBlobs keeps chunks in memory.
type memoryBlobs map[string][]byte

func (m memoryBlobs) PutBlob(_ context.Context, id string, data []byte) error {
	m[id] = data
	return nil
}

func (m memoryBlobs) GetBlob(_ context.Context, id string) ([]byte, error) {
	if data, ok := m[id]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

// BenchmarkWholeIndex makes a whole index anew, compressed and hashed, as
// after a loss (T6), and compares its size with a single gzip member (T7).
func BenchmarkWholeIndex(b *testing.B) {
	full(b)
	needPrograms(b, "gzip")
	const n = 63_000
	var add [][]byte
	var text []byte
	for i := range n {
		all := stanzas(b)
		control := all[i%len(all)].Clone()
		if i >= len(all) {
			if err := control.Set("Package", fmt.Sprintf("%s-copy%d", control.Get("Package"), i/len(all))); err != nil {
				b.Fatal(err)
			}
		}
		sum := sha256.Sum256([]byte(control.Get("Package")))
		stanza, err := index.AppendStanza(nil, control, index.PackageFile{
			Filename: "pool/main/x/x/" + control.Get("Package") + "_1_amd64.deb", Size: 1000,
			MD5: fmt.Sprintf("%x", sum[:16]), SHA256: fmt.Sprintf("%x", sum)})
		if err != nil {
			b.Fatal(err)
		}
		add = append(add, stanza)
		text = append(append(text, stanza...), '\n')
	}
	path := filepath.Join(b.TempDir(), "Packages")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		b.Fatal(err)
	}
	packed := filepath.Join(b.TempDir(), "Packages.gz")
	out, err := os.Create(packed)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	gzip := exec.Command("gzip", "-6", "-c", path)
	gzip.Stdout = out
	_, gzipCPU, gzipWall := run(b, gzip)

	cpu, began := ownCPU(), time.Now()
	log, err := index.NewLog().Apply(b.Context(), memoryBlobs{}, index.Edit{Add: add})
	if err != nil {
		b.Fatal(err)
	}
	wall, used := time.Since(began), ownCPU()-cpu
	report(b, figure{"T6", "time of making the index of 63,000 packages anew, compressed and hashed, compared with `gzip -6`",
		fmt.Sprintf("%.2fx (%s, %s; CPU %.2fx)", ratio(wall, gzipWall), ms(wall), ms(gzipWall), ratio(used, gzipCPU)),
		"≤ 0.6x", ratio(wall, gzipWall) <= 0.6})
	info, err := os.Stat(packed)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range log.Files("Packages") {
		if f.Path == "Packages.gz" {
			size := float64(f.Size) / float64(info.Size())
			report(b, figure{"T7", "size of its Packages.gz, compared with that of `gzip -6`",
				fmt.Sprintf("%.3fx (%.2f MB, %.2f MB)", size, float64(f.Size)/1e6, float64(info.Size())/1e6), "≤ 1.03x", size <= 1.03})
		}
	}
}

// BenchmarkReadXZ reads a package compressed by xz, and compares with xz
// itself (T12).
func BenchmarkReadXZ(b *testing.B) {
	full(b)
	needPrograms(b, "xz")
	var payload bytes.Buffer
	for _, s := range stanzas(b) {
		if payload.Len() > 24<<20 {
			break
		}
		payload.Write(s.AppendTo(nil))
	}
	p := debtest.Package{Files: map[string]string{"usr/share/payload": payload.String()}}
	dir := b.TempDir()
	plain := filepath.Join(dir, "data.tar")
	if err := os.WriteFile(plain, p.DataTar(), 0o644); err != nil {
		b.Fatal(err)
	}
	run(b, exec.Command("xz", "-6", "-T1", "-k", plain))
	data, err := os.ReadFile(plain + ".xz")
	if err != nil {
		b.Fatal(err)
	}
	var a debtest.Ar
	a.Member("debian-binary", []byte("2.0\n"))
	a.Member("control.tar", p.ControlTar())
	a.Member("data.tar.xz", data)
	pkg := a.Bytes()

	var ours, theirs []time.Duration
	for range 3 {
		cpu, _ := discard(b, exec.Command("xz", "-dc", plain+".xz"))
		theirs = append(theirs, cpu)
		before := ownCPU()
		if _, err := deb.Read(bytes.NewReader(pkg), nil); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, ownCPU()-before)
	}
	times := ratio(median(ours), median(theirs))
	report(b, figure{"T12", "CPU of reading a whole package with data.tar.xz, compared with `xz -dc` of that member",
		fmt.Sprintf("%.2fx (%s, %s for %.0f MB)", times, ms(median(ours)), ms(median(theirs)), float64(payload.Len())/1e6),
		"≤ 1.8x", times <= 1.8})
}

// BenchmarkReadControl reads the control file of a large package (T13).
func BenchmarkReadControl(b *testing.B) {
	random := make([]byte, 100<<20)
	rand.NewChaCha8([32]byte{}).Read(random)
	pkg := debtest.Package{Files: map[string]string{"usr/share/payload": string(random)}}.Build()
	r := &countingReader{r: bytes.NewReader(pkg)}
	if _, err := deb.ReadControl(r, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(r.n), "bytes-read")
	report(b, figure{"T13", "bytes read for the control file of a package of 100 MB",
		fmt.Sprintf("%.1f KiB", float64(r.n)/1024), "≤ 64 KiB", r.n <= 64<<10})
}

// BenchmarkHash hashes as an upload is hashed, and compares with openssl
// (T14).
func BenchmarkHash(b *testing.B) {
	full(b)
	needPrograms(b, "openssl")
	data := make([]byte, 256<<20)
	rand.NewChaCha8([32]byte{}).Read(data)
	path := filepath.Join(b.TempDir(), "data")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		b.Fatal(err)
	}
	openssl := func(digests ...string) time.Duration {
		var each []time.Duration
		for range 3 {
			var sum time.Duration
			for _, d := range digests {
				cpu, _ := discard(b, exec.Command("openssl", "dgst", d, path))
				sum += cpu
			}
			each = append(each, sum)
		}
		return median(each)
	}
	own := func(w io.Writer) time.Duration {
		var each []time.Duration
		for range 3 {
			f, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			before := ownCPU()
			if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{f}, make([]byte, 256<<10)); err != nil {
				b.Fatal(err)
			}
			each = append(each, ownCPU()-before)
			f.Close()
		}
		return median(each)
	}
	one, theirs := own(sha256.New()), openssl("-sha256")
	report(b, figure{"T14", "CPU of SHA-256 over 256 MiB, compared with `openssl dgst -sha256`",
		fmt.Sprintf("%.2fx (%s, %s)", ratio(one, theirs), ms(one), ms(theirs)), "≤ 1.3x", ratio(one, theirs) <= 1.3})
	three, theirs := own(io.MultiWriter(md5.New(), sha256.New(), sha512.New())), openssl("-md5", "-sha256", "-sha512")
	report(b, figure{"T14", "CPU of MD5, SHA-256 and SHA-512 in one pass, as of an upload, compared with openssl's three",
		fmt.Sprintf("%.2fx (%s, %s)", ratio(three, theirs), ms(three), ms(theirs)), "≤ 1.1x", ratio(three, theirs) <= 1.1})
}
