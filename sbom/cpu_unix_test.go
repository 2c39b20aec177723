//go:build unix

package sbom_test

import "syscall"

// cpuTime returns the nanoseconds that the process has computed.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
