package deb

import (
	"errors"
	"io"
)

// Limits bounds what reading a package may cost. A zero field has the stated
// default; there is no way to lift a limit altogether.
type Limits struct {
	// Control bounds control.tar once decompressed, in bytes; 16 MiB.
	Control int64
	// ControlFile bounds the file named control, in bytes; 1 MiB.
	ControlFile int64
	// ControlEntries bounds the entries of control.tar; 1,000.
	ControlEntries int
	// Data bounds data.tar once decompressed, in bytes; 64 GiB.
	Data int64
	// DataRatio bounds the same by the compressed size: what is opened may not
	// exceed DataRatio times that plus 1 GiB; 200.
	DataRatio int64
	// DataEntries bounds the entries of data.tar; 500,000.
	DataEntries int
	// Name bounds the path of an entry and the target of a link, in bytes;
	// 4,096, the PATH_MAX of Linux.
	Name int
	// Dictionary bounds the dictionary of an xz stream, in bytes; 64 MiB, what
	// xz -9 asks for. Reading an xz member takes that much memory.
	Dictionary int64
	// Window bounds the window of a zstd frame, in bytes; 128 MiB, what the
	// zstd command accepts. Reading a zstd member takes that much memory.
	Window int64
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// filled returns l with its defaults.
func (l Limits) filled() Limits {
	setDefault(&l.Control, 16*mib)
	setDefault(&l.ControlFile, 1*mib)
	setDefault(&l.ControlEntries, 1000)
	setDefault(&l.Data, 64*gib)
	setDefault(&l.DataRatio, 200)
	setDefault(&l.DataEntries, 500_000)
	setDefault(&l.Name, 4096)
	setDefault(&l.Dictionary, 64*mib)
	setDefault(&l.Window, 128*mib)
	return l
}

func setDefault[T int | int64](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// data returns the bound on data.tar for a member of that compressed size.
func (l Limits) data(compressed int64) int64 {
	if room := l.Data - gib; room > 0 && compressed < room/l.DataRatio {
		return l.DataRatio*compressed + gib
	}
	return l.Data
}

// A limitedReader fails with ErrTooLarge when the source has more than left
// bytes, and asks interrupt now and then whether to go on.
type limitedReader struct {
	r         io.Reader
	left      int64
	max       int64
	interrupt func() error
	unasked   int64 // bytes since interrupt was asked
}

func newLimitedReader(r io.Reader, max int64, interrupt func() error) *limitedReader {
	return &limitedReader{r: r, left: max, max: max, interrupt: interrupt}
}

// interruptEvery is how many bytes are opened between two calls of interrupt.
const interruptEvery = 1 * mib

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.interrupt != nil && l.unasked >= interruptEvery {
		l.unasked = 0
		if err := l.interrupt(); err != nil {
			return 0, &passedError{err}
		}
	}
	// One byte more than allowed tells a full member from an overfull one.
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	l.unasked += int64(n)
	if int64(n) > l.left {
		n, l.left = int(l.left), 0
		return n, tooLarge("too-large", "it unpacks to more than %d bytes", l.max)
	}
	l.left -= int64(n)
	return n, err
}

// A passedError carries an error that is not the package's fault (from the
// source, from Visit, from Interrupt) through the readers of archives and
// compressed streams. It is taken off before the caller sees it.
type passedError struct{ err error }

func (e *passedError) Error() string { return e.err.Error() }
func (e *passedError) Unwrap() error { return e.err }

// A source is the caller's reader. It remembers the first error that is not
// the end of the input, because decompressors may replace it by their own.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
