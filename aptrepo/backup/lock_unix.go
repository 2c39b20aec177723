//go:build unix

package backup

import (
	"errors"
	"os"
	"syscall"
)

// lock keeps other backups out of a folder until the file is closed.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errBusy
	}
	return err
}
