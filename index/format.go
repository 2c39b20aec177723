package index

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Format is a compressed form in which a [Log] can be had besides the plain
// one.
type Format int

// The formats. Every client reads gzip. Zstandard is decoded three times
// faster, but debootstrap 1.0.128 does not ask for it, and apt asks for gzip
// when both are listed.
const (
	Gzip Format = iota
	Zstd
)

// Ext returns the end of the names of files in format f, ".gz" or ".zst".
func (f Format) Ext() string {
	switch f {
	case Gzip:
		return ".gz"
	case Zstd:
		return ".zst"
	}
	return fmt.Sprintf(".format%d", int(f))
}

// String returns the format's name.
func (f Format) String() string { return f.Ext()[1:] }

func (f Format) valid() bool { return f == Gzip || f == Zstd }

// Level 6 and the "better" level are where more effort stops paying on
// Packages text.
var (
	gzipWriters  = gzipPool(6)
	storeWriters = gzipPool(0) // for what is too short to compress
	gzipReaders  = sync.Pool{New: func() any { return new(gzip.Reader) }}
	zstdEncoder  = sync.OnceValue(func() *zstd.Encoder {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
			zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
		if err != nil {
			panic(err)
		}
		return w
	})
)

func gzipPool(level int) *sync.Pool {
	return &sync.Pool{New: func() any {
		w, err := gzip.NewWriterLevel(io.Discard, level)
		if err != nil {
			panic(err)
		}
		return w
	}}
}

// compress returns plain as one self-contained gzip member or zstd frame. The
// same input gives the same bytes: no name and no time of day get in.
func (f Format) compress(plain []byte) ([]byte, error) {
	if f == Zstd {
		return zstdEncoder().EncodeAll(plain, make([]byte, 0, len(plain)/3+64)), nil
	}
	return gzipWith(gzipWriters, plain)
}

func gzipWith(writers *sync.Pool, plain []byte) ([]byte, error) {
	out := bytes.NewBuffer(make([]byte, 0, len(plain)/3+64))
	w := writers.Get().(*gzip.Writer)
	defer writers.Put(w)
	w.Reset(out)
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return out.Bytes(), nil
}

// gunzip returns the size bytes that packed holds, using buf if it is large
// enough. More, fewer or damaged bytes are ErrCorrupt.
func gunzip(packed []byte, size int64, buf []byte) ([]byte, error) {
	r := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(r)
	if err := r.Reset(bytes.NewReader(packed)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	var more [1]byte
	if n, err := r.Read(more[:]); n > 0 || err != io.EOF {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrCorrupt, size)
	}
	return buf, nil
}
