package aptrepo_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
)

// seedVersions publishes packages of several versions, and ever the newest last.
func seedVersions(b *testing.B, r *aptrepo.Repo, names, versions int) {
	b.Helper()
	at := time.Now().Add(-1000 * time.Hour).UTC().Truncate(time.Second)
	const batch = 1000
	for first := 0; first < names; first += batch {
		err := r.Store.Update(b.Context(), func(tx aptrepo.Tx) error {
			for i := first; i < min(first+batch, names); i++ {
				for v := range versions {
					n := i*versions + v
					name := fmt.Sprintf("package-number-%06d", i)
					a := aptrepo.Artifact{
						Name: name, Version: fmt.Sprintf("1.%d-1", v), Arch: "amd64", Source: name, Component: "main", Size: 100_000,
						Section: "utils", Priority: "optional", Maintainer: "Somebody <somebody@example.com>", Description: "a package for a measurement",
						Filename: fmt.Sprintf("pool/main/p/%s/%s_1.%d-1_amd64.deb", name, name, v),
						SHA256:   fmt.Sprintf("%064x", n), MD5: fmt.Sprintf("%032x", n), SHA512: fmt.Sprintf("%0128x", n), Status: aptrepo.Indexed,
						Control:    fmt.Sprintf("Package: %s\nVersion: 1.%d-1\nArchitecture: amd64\nDescription: a package for a measurement\n", name, v),
						UploadedAt: at,
					}
					if err := tx.InsertArtifact(&a); err != nil {
						return err
					}
					p := aptrepo.Publication{Distribution: "jammy", Component: "main", PublishedAt: at.Add(time.Duration(v) * time.Hour)}
					if _, _, err := tx.AddPublication(a.ID, p); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := r.Recover(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// peakHeap measures by how many MiB the heap grows at most while f runs.
func peakHeap(f func()) float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var stop atomic.Bool
	done := make(chan uint64)
	go func() {
		peak := uint64(0)
		for !stop.Load() {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			time.Sleep(5 * time.Millisecond)
		}
		done <- peak
	}()
	f()
	stop.Store(true)
	return float64(max(<-done, before)-before) / (1 << 20)
}

// BenchmarkRetention plans 63,440 publications, of which none leaves and of which
// 10,000 do, and lets these go.
func BenchmarkRetention(b *testing.B) {
	for _, versions := range []int{1, 2} {
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
		if versions > 1 {
			seedVersions(b, r, 10_000, 2)
			seedOthers(b, r)
		} else {
			seedVersions(b, r, 63_440, 1)
		}
		run := func(b *testing.B, dry bool) (heap float64) {
			return peakHeap(func() {
				report, err := r.RunRetention(b.Context(), aptrepo.RetentionOptions{KeepVersions: 1, DryRun: dry})
				if want := 10_000 * (versions - 1); err != nil || len(report.Removed) != want {
					b.Fatalf("%d removed, want %d: %v", len(report.Removed), want, err)
				}
			})
		}
		b.Run(fmt.Sprintf("plan/leave=%d", 10_000*(versions-1)), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(run(b, true), "MiB-peak")
			}
		})
		if versions > 1 { // which is done once only
			start := time.Now()
			heap := run(b, false)
			fmt.Printf("10,000 of 63,440 leave: %v, %.1f MiB\n", time.Since(start).Round(time.Millisecond), heap)
		}
	}
}

// seedOthers fills up to 63,440 publications with names that have one version.
func seedOthers(b *testing.B, r *aptrepo.Repo) {
	b.Helper()
	err := r.Store.Update(b.Context(), func(tx aptrepo.Tx) error {
		for i := range 63_440 - 20_000 {
			name := fmt.Sprintf("single-%06d", i)
			a := aptrepo.Artifact{
				Name: name, Version: "1-1", Arch: "amd64", Source: name, Component: "main", Size: 100_000, Status: aptrepo.Indexed,
				Filename: fmt.Sprintf("pool/main/s/%s/%s_1-1_amd64.deb", name, name),
				SHA256:   fmt.Sprintf("%064x", i+1e6), MD5: fmt.Sprintf("%032x", i), SHA512: fmt.Sprintf("%0128x", i),
				Control: fmt.Sprintf("Package: %s\nVersion: 1-1\nArchitecture: amd64\nDescription: a package for a measurement\n", name),
			}
			if err := tx.InsertArtifact(&a); err != nil {
				return err
			}
			if _, _, err := tx.AddPublication(a.ID, aptrepo.Publication{Distribution: "jammy", Component: "main", PublishedAt: time.Now()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = r.Recover(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
}
