package index

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// sums is the size and the running hashes of one stream.
type sums struct {
	size  int64
	lines int64 // of the plain text; not counted in compressed streams
	sha   hash.Hash
	md5   hash.Hash
}

func newSums() *sums { return &sums{sha: sha256.New(), md5: md5.New()} }

func (s *sums) write(p []byte) {
	s.size += int64(len(p))
	s.sha.Write(p)
	s.md5.Write(p)
}

// writeText is write for the plain text.
func (s *sums) writeText(p []byte) {
	s.lines += int64(bytes.Count(p, []byte{'\n'}))
	s.write(p)
}

// mark is a place in a stream from which its sums can be continued.
type mark struct {
	end   int64  // bytes before it
	lines int64  // lines before it, if the stream is the plain text
	state string // hash states, see sums.mark
}

func (s *sums) mark() (mark, error) {
	state, err := appendState(make([]byte, 0, 204), s.sha)
	if err == nil {
		state, err = appendState(state, s.md5)
	}
	if err != nil {
		return mark{}, fmt.Errorf("keeping hash state: %w", err)
	}
	return mark{end: s.size, lines: s.lines, state: string(state)}, nil
}

func appendState(dst []byte, h hash.Hash) ([]byte, error) {
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	state, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	dst = binary.AppendUvarint(dst, uint64(len(state)))
	return append(dst, state...), nil
}

// resume continues a stream's sums. It fails when the states were kept by a
// version of the hash functions that this one does not understand.
func (m mark) resume() (*sums, error) {
	s := newSums()
	s.size, s.lines = m.end, m.lines
	rest := []byte(m.state)
	for _, h := range []hash.Hash{s.sha, s.md5} {
		n, w := binary.Uvarint(rest)
		if w <= 0 || n > uint64(len(rest)-w) {
			return nil, fmt.Errorf("%w: hash state cut short", ErrCorrupt)
		}
		u, ok := h.(encoding.BinaryUnmarshaler)
		if !ok {
			return nil, errors.ErrUnsupported
		}
		if err := u.UnmarshalBinary(rest[w : w+int(n)]); err != nil {
			return nil, fmt.Errorf("%w: hash state: %w", ErrCorrupt, err)
		}
		rest = rest[w+int(n):]
	}
	return s, nil
}

// file describes the stream so far as a file; the sums can be continued.
func (s *sums) file() FileEntry {
	return FileEntry{
		Size:   s.size,
		SHA256: hex.EncodeToString(s.sha.Sum(nil)),
		MD5:    hex.EncodeToString(s.md5.Sum(nil)),
	}
}
