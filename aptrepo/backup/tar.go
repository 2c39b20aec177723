package backup

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A Tar is a backup as a stream.
type Tar struct {
	tar  *tar.Writer
	zstd *zstd.Encoder // nil: not compressed
	at   time.Time
}

// NewTar returns what writes a backup to w. Packages are compressed already:
// compression makes the database small and the rest hardly smaller.
func NewTar(w io.Writer, compressed bool) (*Tar, error) {
	t := &Tar{at: time.Now().Truncate(time.Second)}
	if compressed {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(4<<20))
		if err != nil {
			return nil, err
		}
		t.zstd, w = z, z
	}
	t.tar = tar.NewWriter(w)
	return t, nil
}

func (t *Tar) add(ctx context.Context, name string, size int64, _ string, r io.Reader) (string, error) {
	h := &tar.Header{Name: name, Size: size, Mode: 0o600, ModTime: t.at, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if err := t.tar.WriteHeader(h); err != nil {
		return "", err
	}
	sum := sha256.New()
	source := &failing{Reader: contextReader{ctx, r}}
	n, err := io.Copy(io.MultiWriter(t.tar, sum), io.LimitReader(source, size))
	switch {
	case err != nil && source.err == nil:
		return "", err
	case n == size:
		return hex.EncodeToString(sum.Sum(nil)), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	}
	// The size was promised: what cannot be read is zeros.
	if _, err := io.CopyN(io.MultiWriter(t.tar, sum), zeros{}, size-n); err != nil {
		return "", err
	}
	cause := fmt.Errorf("only %d of %d bytes could be read", n, size)
	return hex.EncodeToString(sum.Sum(nil)), &sourceError{errors.Join(cause, source.err)}
}

func (t *Tar) finish() error {
	if err := t.tar.Close(); err != nil || t.zstd == nil {
		return err
	}
	return t.zstd.Close()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// failing keeps errors of reading apart from those of writing.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// A tarSource reads what Tar has written.
type tarSource struct {
	tar  *tar.Reader
	zstd *zstd.Decoder
}

// zstdMagic begins what zstd has compressed (RFC 8878, section 3.1.1).
const zstdMagic = "\x28\xb5\x2f\xfd"

func newTarSource(r io.Reader) (*tarSource, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	s := &tarSource{}
	if magic, _ := in.Peek(len(zstdMagic)); string(magic) != zstdMagic {
		s.tar = tar.NewReader(in)
		return s, nil
	}
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, err
	}
	s.zstd, s.tar = z, tar.NewReader(z)
	return s, nil
}

func (s *tarSource) next() (entry, error) {
	h, err := s.tar.Next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return entry{}, io.EOF
	case err != nil:
		return entry{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	case h.Typeflag != tar.TypeReg || h.Size < 0:
		return entry{}, fmt.Errorf("%w: %.100q is no file", ErrDamaged, h.Name)
	}
	return entry{name: h.Name, size: h.Size, body: s.tar}, nil
}

func (s *tarSource) close() error {
	if s.zstd != nil {
		s.zstd.Close()
	}
	return nil
}
