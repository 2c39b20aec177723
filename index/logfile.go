package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
)

// Open opens one form of the file for reading: ext is "", ".gz" or ".zst". It
// is put together on the way out, with one chunk in memory at a time, and can
// be read from any place, as http.ServeContent does. Bytes that do not match
// what was stored are never returned: Read fails with [ErrCorrupt]. ctx bounds
// all reads. The error for a form that the Log has not matches
// fs.ErrNotExist.
//
// The file is not safe for concurrent use; open it several times instead.
func (l *Log) Open(ctx context.Context, b Blobs, ext string) (io.ReadSeekCloser, error) {
	for i := range l.files {
		if l.ext(i) == ext {
			return &logFile{ctx: ctx, log: l, blobs: b, stream: i}, nil
		}
	}
	return nil, fmt.Errorf("index form %q: %w", ext, fs.ErrNotExist)
}

type logFile struct {
	ctx    context.Context
	log    *Log
	blobs  Blobs
	stream int
	off    int64
	closed bool

	part  []byte // the chunk that was read last
	start int64  // where it begins
	buf   []byte // memory for the next one
}

// Read implements io.Reader.
func (f *logFile) Read(p []byte) (int, error) {
	if f.closed {
		return 0, fs.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if f.off >= f.log.files[f.stream].Size {
		return 0, io.EOF
	}
	if f.off < f.start || f.off >= f.start+int64(len(f.part)) {
		if err := f.load(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.part[f.off-f.start:])
	f.off += int64(n)
	return n, nil
}

// load reads the chunk at the current offset, or the tail.
func (f *logFile) load() error {
	f.part = nil
	if err := f.ctx.Err(); err != nil {
		return err
	}
	l := f.log
	i := sort.Search(l.chunks, func(i int) bool { return l.chunk(i)[f.stream].end > f.off })
	start := l.start(i, f.stream)
	var part []byte
	var err error
	switch {
	case i == l.chunks && f.stream == 0:
		part = l.tail
	case i == l.chunks:
		part = l.packed[f.stream-1]
	case f.stream == 0:
		part, err = l.plain(f.ctx, f.blobs, i, f.buf)
		f.buf = part
	default:
		part, err = l.compressed(f.ctx, f.blobs, i, f.stream)
	}
	if err != nil {
		return err
	}
	f.part, f.start = part, start
	return nil
}

var errSeek = errors.New("seek to a negative offset or from an unknown place")

// Seek implements io.Seeker.
func (f *logFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.off
	case io.SeekEnd:
		offset += f.log.files[f.stream].Size
	default:
		return 0, errSeek
	}
	if f.closed {
		return 0, fs.ErrClosed
	}
	if offset < 0 {
		return 0, errSeek
	}
	f.off = offset
	return offset, nil
}

// Close implements io.Closer. The blobs need no closing.
func (f *logFile) Close() error {
	if f.closed {
		return fs.ErrClosed
	}
	f.closed, f.part, f.buf = true, nil, nil
	return nil
}
