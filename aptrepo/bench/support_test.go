// Package bench measures what repod promises about its cost, beside other
// programs and at different sizes of a repository. Nothing here fails for
// being slow. run.sh runs it all and prints a table; see there.
//
// Each benchmark measures a fixed amount of work, so that -benchtime=1x is
// the way to run it.
package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// scratch holds what benchmarks share, such as seeded repositories. It is
// removed at the end.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		// Not in memory: durable writes are measured.
		if scratch, err = os.MkdirTemp(os.Getenv("REPOD_BENCH_DIR"), "repod-bench-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// full skips benchmarks that take minutes, unless run.sh runs them.
func full(b *testing.B) {
	b.Helper()
	if os.Getenv("REPOD_FIGURES") == "" {
		b.Skip("takes minutes: run it by aptrepo/bench/run.sh")
	}
}

func needPrograms(b *testing.B, names ...string) {
	b.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			b.Skipf("%s is not installed", name)
		}
	}
}

// A figure is one row of the table.
type figure struct {
	ID       string // of the target, such as "T1"
	What     string
	Measured string
	Target   string // "" for a row that only informs
	Holds    bool
}

// report prints the row and hands it to run.sh.
func report(b *testing.B, f figure) {
	b.Helper()
	verdict := ""
	if f.Target != "" {
		verdict = map[bool]string{true: "yes", false: "**no**"}[f.Holds]
	}
	row := fmt.Sprintf("| %s | %s | %s | %s | %s |\n", f.ID, f.What, f.Measured, f.Target, verdict)
	b.Log(row)
	path := os.Getenv("REPOD_FIGURES")
	if path == "" {
		return
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteString(row); err != nil {
		b.Fatal(err)
	}
}

// ownCPU returns the processor time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot happen: the arguments are valid
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// clockTick is what /proc counts processor time in (USER_HZ).
const clockTick = time.Second / 100

// processCPU returns the processor time that another process has used.
func processCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	var sum time.Duration
	for _, field := range strings.Fields(rest)[11:13] { // utime and stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(n) * clockTick
	}
	return sum
}

// procField returns a number of a file such as /proc/self/io or
// /proc/PID/status.
func procField(b *testing.B, path, name string) int64 {
	b.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatalf("no %s in %s", name, path)
	return 0
}

// run runs a program to its end and returns its output, its processor time
// with that of its children, and the time it took.
func run(b *testing.B, cmd *exec.Cmd) (out []byte, cpu, wall time.Duration) {
	b.Helper()
	var stderr strings.Builder
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	began := time.Now()
	var err error
	if cmd.Stdout == nil {
		out, err = cmd.Output()
	} else {
		err = cmd.Run()
	}
	wall = time.Since(began)
	if err != nil {
		b.Fatalf("%s: %v: %s", cmd, err, stderr.String())
	}
	return out, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), wall
}

// discard runs a program whose output nobody wants.
func discard(b *testing.B, cmd *exec.Cmd) (cpu, wall time.Duration) {
	b.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	cmd.Stdout = null
	_, cpu, wall = run(b, cmd)
	return cpu, wall
}

func median(d []time.Duration) time.Duration { return quantile(d, 50) }

// quantile returns the value that percent of the durations do not exceed.
func quantile(d []time.Duration, percent int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)*percent/100, len(d)-1)]
}

func ms(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 2, 64) + " ms"
}

func us(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Microsecond), 'f', 0, 64) + " µs"
}

func ratio(x, y time.Duration) float64 { return float64(x) / float64(y) }

// buildOnce compiles the server, unless REPOD_BINARY names one.
var buildOnce = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("REPOD_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(scratch, "repod")
	cmd := exec.Command("go", "build", "-o", path, "github.com/repod-io/repod/cmd/repod")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New("building repod: " + string(out))
	}
	return path, nil
})

func binary(b *testing.B) string {
	b.Helper()
	path, err := buildOnce()
	if err != nil {
		b.Fatal(err)
	}
	return path
}

// A countingReader counts what is read of another reader.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
