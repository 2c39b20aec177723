package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// A sample is what a server uses at a time.
type sample struct {
	at                               time.Duration
	resident, descriptors, goroutine float64 // MiB, and counts; of threads where there is no count of goroutines
}

// TestDrillR14Soak lets mixed load run for as long as REPOD_SOAK says, such as
// 1h, and looks for what grows. A line is laid through the samples after the
// first quarter, in which caches fill.
func TestDrillR14Soak(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("REPOD_SOAK"))
	if err != nil {
		t.Skip("set REPOD_SOAK=1h to let it run so long")
	}
	dir := t.TempDir()
	s := serve(t, dir, "--distributions", both)
	x := newSite(t, s, s.URL, sqliteLedger(t, dir))
	c := newAPI(s.URL, x.token)
	l := x.load(t)
	l.workers, l.size, l.reading = 5, 1<<20, 2
	l.start()
	var samples []sample
	what := "goroutines"
	for began := time.Now(); time.Since(began) < lasts && !t.Failed(); time.Sleep(5 * time.Second) {
		pid := s.cmd.Process.Pid
		n, ok := goroutineMetric(t, c)
		if !ok {
			what, n = "threads", float64(procStatus(t, pid, "Threads"))
		}
		samples = append(samples, sample{time.Since(began), float64(procStatus(t, pid, "VmRSS")) / 1024, float64(descriptors(t, pid)), n})
	}
	l.stop()
	told := l.settle()
	steady := samples[len(samples)/4:]
	memory := slope(steady, func(s sample) float64 { return s.resident })
	files := slope(steady, func(s sample) float64 { return s.descriptors })
	routines := slope(steady, func(s sample) float64 { return s.goroutine })
	upload, read := quantile(l.latency["upload"], 99), quantile(l.latency["InRelease"], 99)
	last := samples[len(samples)-1]
	report(t, figure{"R14", fmt.Sprintf("%v of mixed load: 5 uploads a second of up to 1 MiB, promotions, deletions, 100 reads a second at most", lasts),
		fmt.Sprintf("%s; a line through %d samples: %+.1f MiB, %+.1f descriptors, %+.1f %s an hour; at last %.0f MiB, %.0f descriptors, %.0f %s; 99 %% of uploads in %v, of InRelease in %v",
			told, len(steady), memory, files, routines, what, last.resident, last.descriptors, last.goroutine, what, upload, read),
		"< 1 MiB an hour, descriptors and goroutines flat; uploads < 1 s, InRelease < 50 ms",
		memory >= 1 || files >= 5 || routines >= 5 || upload >= time.Second || read >= 50*time.Millisecond})
}

// slope returns how much a value grows in an hour, by least squares.
func slope(samples []sample, value func(sample) float64) float64 {
	var n, sx, sy, sxx, sxy float64
	for _, s := range samples {
		x, y := s.at.Hours(), value(s)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if d := n*sxx - sx*sx; d != 0 {
		return (n*sxy - sx*sy) / d
	}
	return 0
}

// goroutineMetric reads go_goroutines of /metrics, when the server has it.
func goroutineMetric(t *testing.T, c *api) (float64, bool) {
	a, err := c.do(t.Context(), http.MethodGet, "/metrics", "", nil)
	if err != nil || a.Status != http.StatusOK {
		return 0, false
	}
	for line := range strings.Lines(string(a.Body)) {
		var n float64
		if _, err := fmt.Sscanf(line, "go_goroutines %g", &n); err == nil {
			return n, true
		}
	}
	return 0, false
}

func TestSlope(t *testing.T) {
	var samples []sample
	for i := range 100 {
		at := time.Duration(i) * time.Minute
		samples = append(samples, sample{at, 50 + 3*at.Hours(), 7, 100 - at.Hours()})
	}
	for _, tt := range []struct {
		value func(sample) float64
		want  float64
	}{
		{func(s sample) float64 { return s.resident }, 3},
		{func(s sample) float64 { return s.descriptors }, 0},
		{func(s sample) float64 { return s.goroutine }, -1},
	} {
		if got := slope(samples, tt.value); got-tt.want > 1e-6 || tt.want-got > 1e-6 {
			t.Errorf("slope = %v, want %v", got, tt.want)
		}
	}
}
