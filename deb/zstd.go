package deb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	zstdMagic       = 0xfd2fb528
	zstdSkippable   = 0x184d2a50 // to 0x184d2a5f
	zstdFrameHeader = 18         // most bytes of a frame header with its magic
)

// zstdReader reads a zstd file. It tells the first frame from what follows,
// since dpkg reads the first alone: see decompressed.later.
type zstdReader struct {
	br     *bufio.Reader
	window int64
	dec    *zstd.Decoder
	second bool // the first frame was read to its end
}

func newZstdReader(br *bufio.Reader, window int64) (*zstdReader, error) {
	frame := &zstdFrame{br: br, window: window}
	// Without concurrency, reading happens in the caller's goroutine, and in its
	// time.
	dec, err := zstd.NewReader(frame, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(window)))
	if err != nil {
		return nil, err
	}
	return &zstdReader{br: br, window: window, dec: dec}, nil
}

func (z *zstdReader) later() bool { return z.second }

func (z *zstdReader) close() { z.dec.Close() }

func (z *zstdReader) Read(p []byte) (int, error) {
	for {
		n, err := z.dec.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if _, err := z.br.Peek(1); err != nil {
			return 0, err
		}
		z.second = true
		if err := z.dec.Reset(&zstdFrame{br: z.br, window: z.window}); err != nil {
			return 0, err
		}
	}
}

// zstdFrame passes one frame through, as it is, and then returns io.EOF. It
// looks at no more of it than RFC 8878, section 3.1.1, needs for finding its
// end.
type zstdFrame struct {
	br       *bufio.Reader
	window   int64
	head     []byte // of a frame or block, to pass on
	body     int64  // of a block, to pass on after head
	started  bool
	last     bool // no block follows
	checksum bool // a checksum follows the last block
}

func (f *zstdFrame) Read(p []byte) (int, error) {
	for len(f.head) == 0 && f.body == 0 {
		if err := f.advance(); err != nil {
			return 0, err
		}
	}
	if len(f.head) > 0 {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	if int64(len(p)) > f.body {
		p = p[:f.body]
	}
	n, err := f.br.Read(p)
	f.body -= int64(n)
	return n, zstdEnd(err)
}

// advance reads what stands between two blocks.
func (f *zstdFrame) advance() error {
	switch {
	case !f.started:
		f.started = true
		return f.frameHeader()
	case !f.last:
		return f.blockHeader()
	case f.checksum:
		f.checksum = false
		f.body = 4
		return nil
	}
	return io.EOF
}

func (f *zstdFrame) frameHeader() error {
	h, err := f.br.Peek(zstdFrameHeader)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(h) >= 8 && binary.LittleEndian.Uint32(h)&^0xf == zstdSkippable {
		f.body = 8 + int64(binary.LittleEndian.Uint32(h[4:]))
		f.last = true
		return nil
	}
	if len(h) < 6 || binary.LittleEndian.Uint32(h) != zstdMagic {
		return malformed("bad-compression", "what follows in the zstd stream is no frame")
	}
	n, window := zstdHeaderSizes(h)
	if n > len(h) {
		return zstdEnd(io.EOF)
	}
	if window > uint64(f.window) {
		return tooLarge("zstd-window", "the zstd stream asks for a window of %d bytes, at most %d are allowed", window, f.window)
	}
	f.checksum = h[4]&4 != 0
	f.head = make([]byte, n)
	_, err = io.ReadFull(f.br, f.head)
	return zstdEnd(err)
}

// zstdHeaderSizes returns the length of a frame header, which is only known to
// hold magic, descriptor and one byte more, and the size of the window. The
// latter is 0 when the header is cut.
func zstdHeaderSizes(h []byte) (n int, window uint64) {
	descriptor := h[4]
	single := descriptor&0x20 != 0
	n = 5
	if !single {
		exponent, mantissa := h[5]>>3, uint64(h[5]&7)
		window = 1 << (10 + exponent)
		window += window / 8 * mantissa
		n++
	}
	n += []int{0, 1, 2, 4}[descriptor&3] // dictionary
	size := []int{0, 2, 4, 8}[descriptor>>6]
	if single && size == 0 {
		size = 1
	}
	if single && n+size <= len(h) {
		var b [8]byte
		copy(b[:], h[n:n+size])
		window = binary.LittleEndian.Uint64(b[:])
	}
	return n + size, window
}

func (f *zstdFrame) blockHeader() error {
	f.head = make([]byte, 3)
	if _, err := io.ReadFull(f.br, f.head); err != nil {
		return zstdEnd(err)
	}
	h := uint32(f.head[0]) | uint32(f.head[1])<<8 | uint32(f.head[2])<<16
	f.last = h&1 != 0
	f.body = int64(h >> 3)
	if h>>1&3 == 1 {
		f.body = 1 // one byte, repeated
	}
	return nil
}

func zstdEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("bad-compression", "the zstd stream ends early")
	}
	return err
}
