package sqlstore

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
)

// offered makes the package that a source of a suite has at number i. Suites
// have most names and synopses in common, as Debian's and Ubuntu's do, but not
// the versions; round is for those that changed.
func offered(source string, suite, i, round int) upstream.Package {
	a := packageNumber(i)
	r := rand.New(rand.NewPCG(uint64(suite), uint64(i)))
	p := upstream.Package{
		SourceID: source, Component: "main", Name: a.Name, Arch: a.Arch,
		Version:    fmt.Sprintf("%d.%d-%d+deb%du%d", suite, r.IntN(100), 1+r.IntN(9), suite, round),
		SourceName: a.Source, Section: a.Section, Priority: "optional", InstalledSize: a.InstalledSize,
		Synopsis: a.Description, Depends: pick(r, syllables, 30, ", lib"), Filename: a.Filename, Size: a.Size, SHA256: a.SHA256,
	}
	p.SourceVersion = p.Version
	if r.IntN(5) == 0 {
		p.Synopsis = pick(r, vocabulary, 6+r.IntN(6), " ")
	}
	if i%10 == 0 {
		p.Provides = fmt.Sprintf("%s-api (= 1), virtual-%d", p.Name, i/100)
	}
	return p
}

// shelf is what a source offers: the first n packages, of which those before
// changed are of a later round.
func shelf(source string, suite, n, changed, round int) iter.Seq2[upstream.Package, error] {
	return func(yield func(upstream.Package, error) bool) {
		for i := range n {
			r := 0
			if i*997%n < changed {
				r = round
			}
			if !yield(offered(source, suite, i, r), nil) {
				return
			}
		}
	}
}

func replaceAll(ctx context.Context, db *DB, source string, packages iter.Seq2[upstream.Package, error]) (upstream.Replaced, error) {
	states, err := db.SourceStates(ctx)
	if err != nil {
		return upstream.Replaced{}, err
	}
	s := upstream.State{SourceID: source}
	for _, state := range states {
		if state.SourceID == source {
			s = state
		}
	}
	s.Status, s.LastAttempt = upstream.OK, time.Unix(1e9, 0)
	s.LastSync = s.LastAttempt
	return db.ReplacePackages(ctx, s, packages)
}

// BenchmarkSync measures replacements of a source's packages, and how long
// updates beside them take.
func BenchmarkSync(b *testing.B) {
	benchDialects(b, func(b *testing.B, db *DB) {
		addJammy(b, db)
		n := shelfSize()
		for _, c := range []struct {
			name           string
			changed, round int
		}{{"first", 0, 0}, {"unchanged", 0, 0}, {"500", 500, 1}, {"500again", 500, 2}} {
			b.Run(c.name, func(b *testing.B) {
				if b.N > 1 {
					b.Skip("run with -benchtime 1x")
				}
				list := slices.Collect(func(yield func(upstream.Package) bool) {
					for p := range shelf("one", 1, n, c.changed, c.round) {
						if !yield(p) {
							return
						}
					}
				})
				stop := beside(b, db)
				b.ResetTimer()
				before := processTime(b)
				done, err := replaceAll(b.Context(), db, "one", func(yield func(upstream.Package, error) bool) {
					for _, p := range list {
						if !yield(p, nil) {
							return
						}
					}
				})
				b.StopTimer()
				b.ReportMetric(float64(processTime(b)-before)/1e6, "cpu-ms")
				stop()
				if err != nil {
					b.Fatal(err)
				}
				b.Logf("%+v", done)
			})
		}
	})
}

// beside uploads small things and reports how long that takes, and how much the
// heap grows.
func beside(b *testing.B, db *DB) (stop func()) {
	percent := debug.SetGCPercent(5) // the heap is then little more than what is in use
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	start := m.HeapAlloc
	var done atomic.Bool
	var wg sync.WaitGroup
	var all []time.Duration
	wg.Go(func() {
		for !done.Load() {
			begun := time.Now()
			if err := db.scribble(context.Background(), "beside"); err != nil {
				b.Error(err)
			}
			all = append(all, time.Since(begun))
			time.Sleep(5 * time.Millisecond)
		}
	})
	var peak uint64
	wg.Go(func() {
		for !done.Load() {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			time.Sleep(50 * time.Millisecond)
		}
	})
	return func() {
		done.Store(true)
		wg.Wait()
		debug.SetGCPercent(percent)
		slices.Sort(all)
		ms := func(q int) float64 { return all[(len(all)-1)*q/1000].Seconds() * 1e3 }
		b.ReportMetric(ms(500), "update-p50-ms")
		b.ReportMetric(ms(990), "update-p99-ms")
		b.ReportMetric(ms(1000), "update-max-ms")
		b.ReportMetric((float64(peak)-float64(start))/(1<<20), "heap-MiB")
	}
}

// stockCatalog fills a catalogue with 12 sources of REPOD_BENCH_CATALOG packages
// in all, 40,000 unless told.
func stockCatalog(b *testing.B, db *DB) (sources []string) {
	total, err := strconv.Atoi(os.Getenv("REPOD_BENCH_CATALOG"))
	if err != nil {
		total = 40_000
	}
	for suite := range 4 {
		for i, part := range []int{16, 5, 4} {
			source := fmt.Sprintf("suite%d-%d", suite, i)
			if _, err := replaceAll(b.Context(), db, source, shelf(source, suite, total*part/100, 0, 0)); err != nil {
				b.Fatal(err)
			}
			sources = append(sources, source)
		}
	}
	return sources
}

func BenchmarkCatalog(b *testing.B) {
	usual := slice
	slice = time.Second
	defer func() { slice = usual }()
	benchDialects(b, func(b *testing.B, db *DB) {
		start := time.Now()
		sources := stockCatalog(b, db)
		b.Logf("stocked in %v", time.Since(start))
		for _, q := range []upstream.Query{
			{Q: "kalib"}, {Q: "library"}, {Q: "lib"}, {Q: "Python"}, {Q: "haskell pe"}, {Q: "ibn"}, {Q: "nothing"}, {Q: "library", Arch: "arm64"},
			{Q: "li"}, {Q: "ib"}, {Q: "b"}, {Q: "zq"}, {Q: "++"}, {Q: "+"}, {Q: "%"}, {Q: "gn"}, {Q: "C++ tools"},
			{Q: "lib", Sources: sources[2:3]}, {Q: "nothing", Sources: sources[2:3]}, {Q: "library", Sources: sources[1:2]}, {Q: packageNumber(7).Name},
		} {
			if q.Sources == nil {
				q.Sources = sources
			}
			q.Limit = 50
			b.Run(fmt.Sprintf("search/%s/%s/%d", q.Q, q.Arch, len(q.Sources)), func(b *testing.B) {
				n := 0
				for b.Loop() {
					found, err := db.SearchPackages(b.Context(), q)
					if err != nil {
						b.Fatal(err)
					}
					n = len(found)
				}
				b.ReportMetric(float64(n), "found")
			})
		}
		for _, n := range []int{100, 2000} {
			var names []string
			for i := range n {
				names = append(names, packageNumber(i).Name)
			}
			b.Run(fmt.Sprintf("offers/%d", n), func(b *testing.B) {
				found := 0
				for b.Loop() {
					offers, err := db.Offers(b.Context(), sources, names)
					if err != nil {
						b.Fatal(err)
					}
					found = len(offers)
				}
				b.ReportMetric(float64(found), "found")
			})
		}
	})
}
