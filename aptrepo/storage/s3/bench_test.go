package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/s3/s3test"
)

// Files of the size of an index chunk and of a package, one after the other, in
// a bucket and in a directory. The store runs on the same machine.
func BenchmarkBackends(b *testing.B) {
	srv := s3test.Start(b)
	dir, err := storage.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dir.Close() })
	c := at(srv)
	c.PartSize = 0
	for name, files := range map[string]storage.Backend{"bucket": open(b, c), "directory": dir} {
		for _, size := range []int{10 << 10, 10 << 20} {
			body := noise(size)
			b.Run(fmt.Sprintf("Put/%s/%dKB", name, size>>10), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := range b.N {
					if err := files.Put(b.Context(), fmt.Sprint("k", i%100), bytes.NewReader(body)); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("Open/%s/%dKB", name, size>>10), func(b *testing.B) {
				if err := files.Put(b.Context(), "k", bytes.NewReader(body)); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					r, _, err := files.Open(b.Context(), "k")
					if err != nil {
						b.Fatal(err)
					}
					if n, err := io.Copy(io.Discard, r); err != nil || n != int64(size) {
						b.Fatal(n, err)
					}
					r.Close()
				}
			})
		}
	}
}
