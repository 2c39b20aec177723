package sqlstore

import (
	"log/slog"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/sbom"
)

// BenchmarkBill makes bills of materials of a distribution, and asks whether one
// has changed. Run it with -benchtime 3x.
func BenchmarkBill(b *testing.B) {
	benchDialects(b, func(b *testing.B, db *DB) {
		fill(b, db, shelfSize())
		benchBills(b, db)
	})
}

func benchBills(b *testing.B, db *DB) {
	repo := &aptrepo.Repo{Store: db, Storage: new(storage.Mem), Logger: slog.New(slog.DiscardHandler)}
	for _, format := range []sbom.Format{sbom.CycloneDX, sbom.SPDX} {
		q := aptrepo.BillQuery{Format: format, BaseURL: "https://repo.example", TempDir: b.TempDir()}
		b.Run("made/"+string(format), func(b *testing.B) {
			var written counter
			for b.Loop() {
				written = 0
				if _, err := repo.SBOM(b.Context(), &written, q); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(written)/1e6, "MB")
		})
		b.Run("tag/"+string(format), func(b *testing.B) {
			for b.Loop() {
				if _, err := repo.BillTag(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
