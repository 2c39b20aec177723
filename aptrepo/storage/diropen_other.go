//go:build !linux

package storage

import "os"

// openBeneath opens key below root.
func openBeneath(_ *os.File, root *os.Root, key string) (*os.File, error) {
	// Opening a FIFO would wait for its other end.
	fi, err := root.Lstat(key)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, os.ErrNotExist
	}
	return root.Open(key)
}
