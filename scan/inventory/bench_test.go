package inventory

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan"
)

// Each benchmark reads a package without a scanner, and with one. The difference
// is what the pass costs beside decompression.
func benchmark(b *testing.B, file []byte) {
	buf := make([]byte, 32*1024)
	discard := func(_ deb.File, r io.Reader) error {
		// Without the wrapping, io.Discard would do the copying in its own way.
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, buf)
		return err
	}
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			if _, err := deb.Read(bytes.NewReader(file), &deb.Options{Visit: discard}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("inventory", func(b *testing.B) {
		s := Scanner{Logger: slog.New(slog.DiscardHandler), SpoolDir: b.TempDir()}
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			pass, _ := s.Begin(b.Context(), scan.Subject{})
			visit := func(f deb.File, r io.Reader) error {
				w, err := pass.Open(f)
				if err != nil {
					return err
				}
				if w == nil {
					return discard(f, r)
				}
				if _, err := io.CopyBuffer(w, r, buf); err != nil {
					return err
				}
				return w.Close()
			}
			if _, err := deb.Read(bytes.NewReader(file), &deb.Options{Visit: visit}); err != nil {
				b.Fatal(err)
			}
			pass.Finish(nil)
		}
	})
}

func BenchmarkSmallFiles(b *testing.B) {
	files := make(map[string]string)
	for i := range 10_000 {
		files[fmt.Sprintf("usr/share/hello/%02d/file-%d.txt", i%100, i)] = fmt.Sprintf("%d of 10,000 files\n", i)
	}
	benchmark(b, debtest.Package{Files: files, Compression: debtest.Zstd}.Build())
}

func BenchmarkLargeFile(b *testing.B) {
	benchmark(b, debtest.Package{Files: map[string]string{"x": noise("", 100*mib)}, Compression: debtest.Gzip}.Build())
}

// The worst case: all of the package has to be spooled.
func BenchmarkLargeProgram(b *testing.B) {
	file := elfFile(true, goInfo("go1.26.8", "mod\ta.b/c\tv1.0.0\n"))
	benchmark(b, debtest.Package{Files: map[string]string{"x": noise(file, 100*mib)}, Compression: debtest.Gzip}.Build())
}

// noise is content that cannot be compressed, after a beginning.
func noise(start string, size int) string {
	content := append(make([]byte, 0, size+8), start...)
	random := rand.New(rand.NewPCG(1, 2))
	for len(content) < size {
		v := random.Uint64()
		content = append(content, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
	}
	return string(content)
}
