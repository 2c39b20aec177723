package sqlstore

import (
	"syscall"
	"testing"
)

// processTime returns the CPU time that this process has used, in nanoseconds.
// Unlike the time on the clock, it is the same on a busy machine.
func processTime(t testing.TB) int64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return syscall.TimevalToNsec(u.Utime) + syscall.TimevalToNsec(u.Stime)
}
