//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package vuln

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock of a file, which ends with the process. ok is false
// when another one has it.
func tryLock(f *os.File) (ok bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
