package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
)

// prepareSpool makes the spool directory and sweeps what a program that could
// not remove open files has left there.
func (a *api) prepareSpool() error {
	if err := os.MkdirAll(a.SpoolDir, 0o700); err != nil {
		return fmt.Errorf("httpapi: spool directory: %w", err)
	}
	stale, err := filepath.Glob(filepath.Join(a.SpoolDir, spoolPrefix+"*"))
	if err != nil {
		return fmt.Errorf("httpapi: spool directory: %w", err)
	}
	for _, name := range stale {
		// A young one may be arriving at another server.
		if info, err := os.Lstat(name); err == nil && a.Now().Sub(info.ModTime()) > staleSpool {
			if err := os.Remove(name); err != nil {
				return fmt.Errorf("httpapi: spool directory: %w", err)
			}
		}
	}
	return nil
}

// staleSpool is the age at which no upload is still arriving.
const staleSpool = 24 * time.Hour

// smallUpload is the size up to which a file waits in memory: making and
// removing a file costs more than most packages of a build.
const smallUpload = 128 << 10

// A spoolFile is an uploaded file on its way: in memory when it is small, else
// on disk. There its name is removed as soon as it is open, so that even a
// crash leaves nothing behind.
type spoolFile struct {
	io.ReadSeeker
	disk *os.File // nil when it is in memory
	name string   // "" once it is removed
	size int64
}

// Close may be called on nil.
func (s *spoolFile) Close() error {
	if s == nil || s.disk == nil {
		return nil
	}
	err := s.disk.Close()
	if s.name != "" {
		err = errors.Join(err, os.Remove(s.name))
	}
	return err
}

// Names of spooled files begin with spoolPrefix.
const spoolPrefix = "repod-upload-"

// errSpool marks failures of the spool directory.
var errSpool = errors.New("spool directory")

// spool takes in a file part, whatever its size. What it returns is to be
// closed, also with an error.
func (a *api) spool(part io.Reader) (*spoolFile, error) {
	// One byte more than the limit tells a file that has just that size from
	// one that goes on.
	in := &sourceReader{r: io.LimitReader(part, a.maxUpload()+1)}
	var small bytes.Buffer
	if _, err := io.CopyN(&small, in, smallUpload); in.err != nil {
		return nil, in.err
	} else if err == io.EOF {
		return a.withinLimit(&spoolFile{ReadSeeker: bytes.NewReader(small.Bytes()), size: int64(small.Len())})
	}
	s, err := a.createSpool()
	if err != nil {
		return nil, err
	}
	s.size, err = io.Copy(s.disk, io.MultiReader(&small, in))
	switch {
	case in.err != nil:
		return s, in.err
	case err != nil:
		return s, spoolError(err)
	}
	return a.withinLimit(s)
}

func (a *api) withinLimit(s *spoolFile) (*spoolFile, error) {
	if s.size > a.maxUpload() {
		return s, a.tooLarge()
	}
	return s, nil
}

func (a *api) createSpool() (*spoolFile, error) {
	file, err := os.CreateTemp(a.SpoolDir, spoolPrefix+"*") // mode 0600
	if err != nil {
		return nil, spoolError(err)
	}
	s := &spoolFile{ReadSeeker: file, disk: file}
	if os.Remove(file.Name()) != nil { // where open files cannot be removed
		s.name = file.Name()
	}
	return s, nil
}

func spoolError(err error) error {
	if storage.IsFull(err) {
		return fmt.Errorf("%w: %w: %w", errSpool, aptrepo.ErrFull, err)
	}
	return fmt.Errorf("%w: %w: %w", errSpool, aptrepo.ErrUnavailable, err)
}

// sourceReader tells an error of the source of a copy from one of its target.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != io.EOF {
		s.err = err
	}
	return n, err
}
