package e2e

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// long tells whether the drills run in their long form: aptrepo/bench/faults/run.sh.
func long() bool { return os.Getenv("REPOD_DRILLS") == "long" }

// either returns the first value in the short form of a drill.
func either[T any](short, longer T) T {
	if long() {
		return longer
	}
	return short
}

// A figure is what a drill found: a row of the table that run.sh prints.
type figure struct {
	ID       string // of the drill, such as "R3"
	What     string
	Measured string
	Target   string
	Missed   bool // a target that is no promise; the test fails for those
}

// report prints the row, and hands it to run.sh.
func report(t *testing.T, f figure) {
	t.Helper()
	holds := "yes"
	if f.Missed || t.Failed() {
		holds = "**no**"
	}
	row := fmt.Sprintf("| %s | %s | %s | %s | %s |\n", f.ID, f.What, f.Measured, f.Target, holds)
	t.Log(row)
	path := os.Getenv("REPOD_FIGURES")
	if path == "" {
		return
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteString(row); err != nil {
		t.Fatal(err)
	}
}

// quantile returns the value that percent of the durations do not exceed.
func quantile(d []time.Duration, percent int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)*percent/100, len(d)-1)].Round(time.Millisecond)
}
