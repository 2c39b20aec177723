package vuln_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/scan/vuln"
)

// The size of the benchmark: bookworm's main has 63,440 binary packages of some
// 30,000 sources.
const (
	benchSources    = 30_000
	benchPackages   = 63_440
	benchAdvisories = 500_000
	benchKernel     = 8_000 // CVEs of the source that has most
)

// writeTracker writes what a tracker with that many entries would have. One
// source in six has any.
func writeTracker(w io.Writer, entries int) {
	kernel := min(benchKernel, entries/10)
	per := (entries - kernel) / (benchSources / 6)
	fmt.Fprint(w, "{")
	n := 0
	for source := 0; source < benchSources; source += 6 {
		if source > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, "\n%q: {", fmt.Sprintf("source-%d", source))
		count := per
		if source == 0 {
			count += kernel
		}
		for i := range count {
			if i > 0 {
				fmt.Fprint(w, ",")
			}
			writeTrackerEntry(w, n)
			n++
		}
		fmt.Fprint(w, "}")
	}
	fmt.Fprint(w, "}")
}

func writeTrackerEntry(w io.Writer, n int) {
	fmt.Fprintf(w, `"CVE-%d-%d": {"scope": "remote", "description": "%s %d", "releases": {`, 2000+n%27, 1000+n, strings.Repeat("What goes wrong in words. ", 6), n)
	for i, codename := range []string{"bullseye", "bookworm", "trixie", "forky", "sid"} {
		if i > 0 {
			fmt.Fprint(w, ", ")
		}
		fmt.Fprintf(w, `%q: {"repositories": {%q: "1.2.%d-1"}, `, codename, codename, n%90)
		if n%20 == 0 {
			fmt.Fprint(w, `"status": "open", "urgency": "not yet assigned", "nodsa": "Minor issue", "nodsa_reason": ""}`)
		} else {
			fmt.Fprintf(w, `"status": "resolved", "fixed_version": "1.2.%d-1+deb12u%d", "urgency": "low"}`, n%60, n%9)
		}
	}
	fmt.Fprint(w, "}}")
}

func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak runs fn and returns how large the heap was at most.
func peak(fn func()) uint64 {
	runtime.GC()
	debug.FreeOSMemory()
	done, highest := make(chan struct{}), make(chan uint64)
	go func() {
		var m runtime.MemStats
		var most uint64
		for {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			select {
			case <-done:
				highest <- most
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	fn()
	close(done)
	return <-highest
}

// BenchmarkImport imports a tracker of 500,000 entries in five releases.
func BenchmarkImport(b *testing.B) {
	var raw bytes.Buffer
	writeTracker(&raw, benchAdvisories)
	path := filepath.Join(b.TempDir(), "feed.json")
	if err := os.WriteFile(path, raw.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	size := int64(raw.Len())
	raw = bytes.Buffer{}
	b.SetBytes(size)
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		db := newDB(b)
		start := cpuTime(b)
		most := peak(func() { mustImport(b, db, vuln.Feed{ID: "debian", Kind: vuln.Debian, Data: f}) })
		b.ReportMetric((cpuTime(b) - start).Seconds(), "cpu-s")
		b.ReportMetric(float64(most>>20), "peak-MiB")
		f.Close()
	}
}

// BenchmarkMatch matches all packages of a release against 500,000 entries in
// five releases.
func BenchmarkMatch(b *testing.B) {
	var raw bytes.Buffer
	writeTracker(&raw, benchAdvisories)
	db := newDB(b)
	mustImport(b, db, vuln.Feed{ID: "debian", Kind: vuln.Debian, Data: &raw})
	raw = bytes.Buffer{}
	for b.Loop() {
		found := 0
		start := cpuTime(b)
		most := peak(func() {
			for n := range benchPackages {
				source := n * benchSources / benchPackages
				found += len(match(b, db, subject("debian:12", fmt.Sprintf("source-%d", source), "1.2.57-1")))
			}
		})
		b.ReportMetric((cpuTime(b) - start).Seconds(), "cpu-s")
		b.ReportMetric(float64(most>>20), "peak-MiB")
		b.ReportMetric(float64(found), "findings")
	}
}
