package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// spoolMemory is how much of a program or archive is kept in memory before the
// whole goes to disk, in bytes. Most of them are smaller.
const spoolMemory = 4 * mib

// A spool keeps bytes for random access: few in memory, many in a file.
type spool struct {
	dir  string
	mem  []byte
	file *os.File // nil while mem holds everything
	size int64
}

// Write appends b.
func (s *spool) Write(b []byte) (int, error) {
	if s.file == nil && len(s.mem)+len(b) > spoolMemory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	if s.file == nil {
		s.mem = append(s.mem, b...)
		s.size += int64(len(b))
		return len(b), nil
	}
	n, err := s.file.Write(b)
	s.size += int64(n)
	if err != nil {
		return n, spoolError(err)
	}
	return n, nil
}

// spill moves what is in memory to a file.
func (s *spool) spill() error {
	file, err := os.CreateTemp(s.dir, "repod-inventory-*")
	if err != nil {
		return spoolError(err)
	}
	// A file without a name cannot be left behind. Where the system does not
	// allow that, Close removes it.
	s.file = file
	os.Remove(file.Name())
	if _, err := file.Write(s.mem); err != nil {
		return spoolError(err)
	}
	return nil
}

// errSpool is wrapped by the errors of writing to disk.
var errSpool = errors.New("inventory: write a temporary file")

// spoolError leaves out the path, which is none of the readers' business.
func spoolError(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%w: %w", errSpool, err)
}

// ReadAt reads as an io.ReaderAt does.
func (s *spool) ReadAt(b []byte, off int64) (int, error) {
	if s.file != nil {
		return s.file.ReadAt(b, off)
	}
	return bytes.NewReader(s.mem).ReadAt(b, off)
}

// Close frees the file. It is safe to call it twice.
func (s *spool) Close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.file = nil
	}
}

var _ io.ReaderAt = (*spool)(nil)
