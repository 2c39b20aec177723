package aptrepo_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
)

// BenchmarkPublish publishes small packages on SQLite and a directory, one
// after the other and many at once.
func BenchmarkPublish(b *testing.B) {
	for _, clients := range []int{1, 100} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			dir := b.TempDir()
			files, err := storage.OpenDir(filepath.Join(dir, "files"))
			if err != nil {
				b.Fatal(err)
			}
			defer files.Close()
			r := &aptrepo.Repo{Storage: files, Store: openStore(b, dir), Logger: slog.New(slog.DiscardHandler)}
			if _, err := r.Init(b.Context(), aptrepo.Distribution{Codename: "jammy"}); err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			b.SetParallelism(max(1, clients/2))
			b.ResetTimer()
			work := func(next func() bool) {
				for next() {
					data := build(fmt.Sprintf("pkg%d", n.Add(1)), "1.0", "amd64")
					if _, err := r.Publish(b.Context(), bytes.NewReader(data), aptrepo.PublishOptions{Distribution: "jammy"}); err != nil {
						b.Error(err)
						return
					}
				}
			}
			if clients == 1 {
				work(b.Loop)
				return
			}
			b.RunParallel(func(pb *testing.PB) { work(pb.Next) })
		})
	}
}

// BenchmarkEvents tells what it costs that an upload makes a message of its event.
func BenchmarkEvents(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 700) // that of a webhook
	for name, messages := range map[string]func(aptrepo.Event) []aptrepo.Message{
		"none": nil,
		"one":  func(aptrepo.Event) []aptrepo.Message { return []aptrepo.Message{{Topic: "event", Payload: body}} },
	} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b)
			f.Messages = messages
			for i := 0; b.Loop(); i++ {
				f.publish(b, build("tool", fmt.Sprintf("1.%d", i), "amd64"), "jammy")
			}
		})
	}
}
