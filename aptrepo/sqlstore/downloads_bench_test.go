package sqlstore

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// benchNow is the present of the benchmarks: their packages came in the year
// before.
var benchNow = time.Unix(1_711_000_000, 0).UTC()

// downloadsOn makes what is downloaded on a day: of 1000 packages, some far more
// than others, by some of 500 clients.
func downloadsOn(day aptrepo.Day) aptrepo.DownloadBatch {
	r := rand.New(rand.NewPCG(4, uint64(day)))
	b := aptrepo.DownloadBatch{Counter: "bench", Number: int64(day), At: benchNow}
	seen := make(map[int]bool)
	for len(b.Counts) < min(1000, shelfSize()) {
		i := int(float64(shelfSize()) * r.Float64() * r.Float64() * r.Float64())
		if seen[i] {
			continue
		}
		seen[i] = true
		a := packageNumber(i)
		c := aptrepo.DownloadCount{Day: day, Filename: a.Filename, Bytes: a.Size}
		for range 1 + r.IntN(3) {
			c.Downloads[aptrepo.ClientAPT]++
			c.Clients = append(c.Clients, int64(r.IntN(500)))
		}
		b.Counts = append(b.Counts, c)
		if len(b.Recent) < aptrepo.RecentDownloads {
			b.Recent = append(b.Recent, aptrepo.Download{Time: benchNow, Filename: a.Filename, Bytes: a.Size, IP: "192.0.2.0"})
		}
	}
	return b
}

// fillYear makes a repository with a year of downloads; every hundredth package
// has a vulnerability that is known to be exploited, every thousandth a decision.
func fillYear(b *testing.B, db *DB) {
	b.Helper()
	start := time.Now()
	fill(b, db, shelfSize())
	err := db.Update(b.Context(), func(tx aptrepo.Tx) error {
		for i := 0; i < shelfSize(); i += 100 {
			key := packageNumber(i).Key()
			a, err := tx.Artifact(key)
			if err != nil {
				return err
			}
			s := aptrepo.Scan{ScanSummary: aptrepo.ScanSummary{
				ScannedAt: benchNow, Verdict: aptrepo.Warn, Malware: scan.Clean, Covered: true, KEV: 1, Counts: aptrepo.SeverityCounts{High: 1},
			}}
			if err := tx.PutScan(a.ID, s); err != nil {
				return err
			}
			if i%1000 != 0 {
				continue
			}
			d := aptrepo.Decision{
				ID: fmt.Sprint("dec_", i), Name: key.Name, Version: key.Version, Arch: key.Arch, Ruling: aptrepo.RulingAccepted,
				DecidedAt: benchNow, ExpiresAt: benchNow.Add(time.Duration(i) * time.Minute), Active: true,
			}
			if err := tx.PutDecision(d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d packages in %v", shelfSize(), time.Since(start))
	start = time.Now()
	for day := aptrepo.DayOf(benchNow) - 364; day <= aptrepo.DayOf(benchNow); day++ {
		if err := db.AddDownloads(b.Context(), downloadsOn(day)); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("365 days of downloads in %v", time.Since(start))
	if db.dialect == Postgres {
		if _, err := db.conn.ExecContext(b.Context(), "VACUUM ANALYZE"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDashboard measures what a dashboard and the statistics of downloads
// read, and what counting writes. Run it with -benchtime 20x.
func BenchmarkDashboard(b *testing.B) {
	benchDialects(b, func(b *testing.B, db *DB) {
		fillYear(b, db)
		today := aptrepo.DayOf(benchNow)
		measure := func(name string, f func() error) {
			b.Run(name, func(b *testing.B) {
				before, n := processTime(b), 0
				for b.Loop() {
					n++
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(processTime(b)-before)/float64(n)/1e6, "cpu-ms/op")
			})
		}
		measure("overview", func() error {
			_, err := db.Overview(b.Context(), aptrepo.OverviewQuery{
				ArrivedSince: today.Start(), ExpiringBy: benchNow.AddDate(0, 0, 7), Newest: 10, Most: 100,
			})
			return err
		})
		for _, days := range []aptrepo.Day{30, 365} {
			measure(fmt.Sprintf("history/%d", days), func() error {
				_, err := db.History(b.Context(), today-days+1)
				return err
			})
		}
		for _, days := range []aptrepo.Day{7, 30, 90, 365} {
			measure(fmt.Sprintf("downloads/%d", days), func() error {
				_, err := db.Downloads(b.Context(), aptrepo.DownloadQuery{Since: today - days + 1, Top: 50})
				return err
			})
		}
		number := int64(today)
		all := downloadsOn(today).Counts
		for _, files := range []int{10, 400} {
			batch := downloadsOn(today)
			measure(fmt.Sprint("add/", files), func() error {
				number++
				first := int(number) * files % len(all)
				batch.Number, batch.Counts = number, all[first:min(first+files, len(all))]
				return db.AddDownloads(b.Context(), batch)
			})
		}
		measure("prune/day", func() error {
			err := db.PruneDownloads(b.Context(), today-364+aptrepo.Day(number-int64(today)), time.Time{})
			number++
			return err
		})
	})
}
