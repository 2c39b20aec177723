package deb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A Compression is how a member of a package is compressed.
type Compression string

// The compressions that dpkg 1.21.18 and later install.
const (
	Uncompressed Compression = ""
	Gzip         Compression = "gzip"
	XZ           Compression = "xz"
	Zstd         Compression = "zstd"
)

// Extension returns the end of the member's name: "", ".gz", ".xz" or ".zst".
func (c Compression) Extension() string {
	switch c {
	case Gzip:
		return ".gz"
	case XZ:
		return ".xz"
	case Zstd:
		return ".zst"
	}
	return ""
}

// compressionOf finds the compression by the end of a member's name.
func compressionOf(ext string) (Compression, error) {
	switch ext {
	case "":
		return Uncompressed, nil
	case ".gz":
		return Gzip, nil
	case ".xz":
		return XZ, nil
	case ".zst":
		return Zstd, nil
	case ".bz2", ".lzma":
		return "", malformed("unsupported-compression",
			"compression %s is obsolete: build with gzip, xz or zstd", strings.TrimPrefix(ext, "."))
	}
	return "", malformed("deb-unexpected-member", "unknown extension %s", quote(ext))
}

// memberBuffer is the size of the buffer in front of a decompressor. The
// decompressors ask for single bytes.
const memberBuffer = 32 << 10

// decompress returns a reader of the content of a member. Reading to io.EOF
// verifies all checksums of the compressed stream and that nothing follows it.
// Faults of the stream are *FormatError. close must be called.
func decompress(r io.Reader, c Compression, l Limits) (*decompressed, error) {
	d := &decompressed{r: r, c: c, later: func() bool { return false }, close: func() {}}
	if c == Uncompressed {
		return d, nil
	}
	br := bufio.NewReaderSize(r, memberBuffer)
	if err := checkMagic(br, c); err != nil {
		return nil, err
	}
	switch c {
	case Gzip:
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, compressionError(c, err)
		}
		d.r = z
	case XZ:
		z := newXZReader(br, l.Dictionary)
		d.r, d.later = z, z.later
	case Zstd:
		z, err := newZstdReader(br, l.Window)
		if err != nil {
			return nil, compressionError(c, err)
		}
		d.r, d.later, d.close = z, z.later, z.close
	default:
		return nil, fmt.Errorf("unknown compression %q", string(c))
	}
	return d, nil
}

// checkMagic tells a member that is not what its name says from a damaged one.
func checkMagic(br *bufio.Reader, c Compression) error {
	head, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var ok bool
	switch c {
	case Gzip:
		ok = bytes.HasPrefix(head, []byte{0x1f, 0x8b})
	case XZ:
		ok = bytes.Equal(head, []byte(xzMagic[:4]))
	case Zstd:
		// Not a skippable frame: dpkg takes that for the whole stream.
		ok = bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd})
	}
	if !ok {
		return malformed("bad-compression", "the member is not compressed with %s as its name says", c)
	}
	return nil
}

// decompressed gives the errors of a decompressor their meaning.
type decompressed struct {
	r io.Reader
	c Compression
	// later reports whether something was read that lies behind the first xz
	// stream or zstd frame. dpkg stops there, but not other programs: a package
	// must not depend on it.
	later func() bool
	close func()
}

func (d *decompressed) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && err != io.EOF {
		err = compressionError(d.c, err)
	}
	return n, err
}

func compressionError(c Compression, err error) error {
	var f *FormatError
	switch {
	case errors.As(err, &f):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return tooLarge("zstd-window", "the zstd stream asks for too much memory")
	}
	// Not wrapped: readers above would take io.ErrUnexpectedEOF for their own.
	return malformed("bad-compression", "the %s stream is damaged: %v", c, err)
}
