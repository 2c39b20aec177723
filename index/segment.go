package index

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

type blobID [sha256.Size]byte

func (id blobID) String() string { return hex.EncodeToString(id[:]) }

// A part is what one chunk adds to one stream: the plain text (without a blob
// of its own) or a compressed form.
type part struct {
	blob blobID
	mark // where the part ends
}

// A segment lists some chunks. Sealing a chunk rewrites the list of its segment
// instead of the list of all chunks. A segment that has an id never changes.
type segment struct {
	id      blobID // of its encoding
	stanzas []int  // of each chunk
	parts   []part // chunk by chunk: plain, then each format
}

func (s *segment) chunks() int { return len(s.stanzas) }

// chunk returns the parts of chunk i.
func (s *segment) chunk(i int) []part {
	streams := len(s.parts) / len(s.stanzas)
	return s.parts[i*streams : (i+1)*streams]
}

// first returns a copy of the first n chunks, with room for one more.
func (s *segment) first(n int) *segment {
	streams := len(s.parts) / len(s.stanzas)
	c := &segment{
		stanzas: make([]int, n, n+1),
		parts:   make([]part, n*streams, (n+1)*streams),
	}
	copy(c.stanzas, s.stanzas)
	copy(c.parts, s.parts)
	return c
}

const segmentMagic = "repod chunks 1\n"

func (s *segment) encode() []byte {
	streams := len(s.parts) / len(s.stanzas)
	out := append(make([]byte, 0, 32+len(s.parts)*256), segmentMagic...)
	out = binary.AppendUvarint(out, uint64(streams))
	out = binary.AppendUvarint(out, uint64(len(s.stanzas)))
	for i, n := range s.stanzas {
		out = binary.AppendUvarint(out, uint64(n))
		for j, p := range s.chunk(i) {
			if j > 0 {
				out = append(out, p.blob[:]...)
			} else {
				out = binary.AppendUvarint(out, uint64(p.lines))
			}
			out = binary.AppendUvarint(out, uint64(p.end))
			out = binary.AppendUvarint(out, uint64(len(p.state)))
			out = append(out, p.state...)
		}
	}
	return out
}

// decodeSegment reads a segment of at most limit chunks, which follows the parts in before (nil at the
// beginning).
func decodeSegment(data []byte, limit, streams int, before []part) (*segment, error) {
	d := decoder{rest: data}
	d.literal(segmentMagic)
	if n := d.number(maxFormats + 1); d.err == nil && n != streams {
		d.fail("%d streams instead of %d", n, streams)
	}
	count := d.number(limit)
	if count == 0 {
		d.fail("no chunks")
	}
	s := &segment{}
	for i := 0; i < count && d.err == nil; i++ {
		s.stanzas = append(s.stanzas, d.number(maxChunk))
		for j := range streams {
			var p part
			if j > 0 {
				copy(p.blob[:], d.bytes(len(p.blob)))
			} else {
				p.lines = int64(d.number(maxStream))
			}
			p.end = int64(d.number(maxStream))
			p.state = string(d.bytes(d.number(maxHashState)))
			var start mark
			if before != nil {
				start = before[j].mark
			}
			size, lines := p.end-start.end, p.lines-start.lines
			if size <= 0 || size > maxChunk || lines < 0 || lines > size {
				d.fail("chunk of %d bytes, %d lines", size, lines)
			}
			s.parts = append(s.parts, p)
		}
		before = s.parts[len(s.parts)-streams:]
	}
	if err := d.done(); err != nil {
		return nil, fmt.Errorf("chunk list: %w", err)
	}
	return s, nil
}

// save gives the segment its id and writes it.
func (s *segment) save(ctx context.Context, b Blobs) error {
	data := s.encode()
	s.id = sha256.Sum256(data)
	if err := b.PutBlob(ctx, s.id.String(), data); err != nil {
		return fmt.Errorf("writing chunk list: %w", err)
	}
	return nil
}

// Bounds of what is read back. Larger values are never written.
const (
	maxFormats   = 2
	maxChunk     = 16 << 20
	maxStream    = 1 << 46
	maxHashState = 1 << 10
)

// decoder reads a binary encoding. After the first fault it returns zeros.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
		d.rest = nil
	}
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.rest) {
		d.fail("cut short")
		return nil
	}
	p := d.rest[:n]
	d.rest = d.rest[n:]
	return p
}

func (d *decoder) literal(s string) {
	if string(d.bytes(len(s))) != s {
		d.fail("not in a known format")
	}
}

func (d *decoder) number(limit int) int {
	n, w := binary.Uvarint(d.rest)
	if w <= 0 || n > uint64(limit) {
		d.fail("number out of range")
		return 0
	}
	d.rest = d.rest[w:]
	return int(n)
}

func (d *decoder) done() error {
	if len(d.rest) > 0 {
		d.fail("%d bytes too many", len(d.rest))
	}
	return d.err
}
