package deb

import (
	"errors"
	"io"
)

// xzInput buffers the compressed file and counts what is taken from it, for the
// sizes that the format repeats. Package lzma asks for single bytes, by Read:
// this is the innermost loop of decompression, and bufio.Reader takes twice as
// long.
type xzInput struct {
	r          io.Reader
	buf        [memberBuffer]byte
	start, end int
	before     int64 // bytes that were in buf before
	err        error
}

// taken returns how many bytes were read so far.
func (in *xzInput) taken() int64 { return in.before + int64(in.start) }

func (in *xzInput) Read(p []byte) (int, error) {
	if in.start == in.end {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	if len(p) == 1 {
		p[0] = in.buf[in.start]
		in.start++
		return 1, nil
	}
	n := copy(p, in.buf[in.start:in.end])
	in.start += n
	return n, nil
}

func (in *xzInput) ReadByte() (byte, error) {
	if in.start == in.end {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	c := in.buf[in.start]
	in.start++
	return c, nil
}

// fill replaces the buffer, which was read to its end.
func (in *xzInput) fill() error {
	in.before += int64(in.end)
	in.start, in.end = 0, 0
	for range 100 {
		if in.err != nil {
			return in.err
		}
		in.end, in.err = in.r.Read(in.buf[:])
		if in.end > 0 {
			return nil
		}
	}
	return io.ErrNoProgress
}

// full reads exactly len(p) bytes.
func (in *xzInput) full(p []byte) error {
	_, err := io.ReadFull(in, p)
	return xzEnd(err)
}

// xzEnd turns an end of input within the data into a fault.
func xzEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return xzFault("it ends early")
	}
	return err
}
