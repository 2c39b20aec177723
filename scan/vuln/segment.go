package vuln

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"sync"
)

// A segment is an open segment file: its index and marks are in memory, the
// rest is read when it is asked for. It is safe for concurrent use.
type segment struct {
	r      io.ReaderAt
	size   int64
	blocks []blockRef
	marks  []mark
}

type blockRef struct {
	first  string
	offset uint64
	size   uint32
	sum    uint32
}

func openSegment(r io.ReaderAt, size int64) (*segment, error) {
	s := &segment{r: r, size: size}
	foot := make([]byte, footerSize)
	if size < int64(footerSize) {
		return nil, errDamaged
	}
	if _, err := r.ReadAt(foot, size-int64(footerSize)); err != nil {
		return nil, err
	}
	if string(foot[footerSize-len(segmentMagic):]) != segmentMagic {
		return nil, errDamaged
	}
	var n [5]uint64
	for i := range n {
		n[i] = binary.BigEndian.Uint64(foot[i*8:])
	}
	index, err := s.read(n[0], n[1], binary.BigEndian.Uint32(foot[40:]))
	if err != nil {
		return nil, err
	}
	if err := s.readIndex(string(index), n[2]); err != nil {
		return nil, err
	}
	marks, err := s.read(n[3], n[4], binary.BigEndian.Uint32(foot[44:]))
	if err != nil {
		return nil, err
	}
	s.readMarks(marks)
	return s, nil
}

func (s *segment) readIndex(text string, count uint64) error {
	d := decoder{s: text}
	if count > uint64(len(text)) {
		return errDamaged
	}
	s.blocks = make([]blockRef, 0, count)
	for range count {
		s.blocks = append(s.blocks, blockRef{
			first: d.string(), offset: d.uint(), size: uint32(d.uint()), sum: uint32(d.uint()),
		})
	}
	return d.err
}

func (s *segment) readMarks(b []byte) {
	s.marks = make([]mark, 0, len(b)/markSize)
	for ; len(b) >= markSize; b = b[markSize:] {
		s.marks = append(s.marks, mark{vulnID(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])})
	}
}

func (s *segment) read(offset, size uint64, sum uint32) ([]byte, error) {
	if size > uint64(s.size) || offset > uint64(s.size)-size {
		return nil, errDamaged
	}
	b := make([]byte, size)
	return b, s.readInto(b, offset, sum)
}

func (s *segment) readInto(b []byte, offset uint64, sum uint32) error {
	if _, err := s.r.ReadAt(b, int64(offset)); err != nil {
		return fmt.Errorf("reading vulnerability data: %w", err)
	}
	if crc32.Checksum(b, crcTable) != sum {
		return errDamaged
	}
	return nil
}

// mark returns the mark of a vulnerability.
func (s *segment) mark(id vulnID) (value uint32, ok bool) {
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].id >= id })
	if i == len(s.marks) || s.marks[i].id != id {
		return 0, false
	}
	return s.marks[i].value, true
}

// detail reads a detail.
func (s *segment) detail(r ref) (detail, error) {
	if r.size < 4 || r.size > uint64(s.size) || r.offset > uint64(s.size)-r.size {
		return detail{}, errDamaged
	}
	b := make([]byte, r.size)
	if _, err := s.r.ReadAt(b, int64(r.offset)); err != nil {
		return detail{}, fmt.Errorf("reading vulnerability data: %w", err)
	}
	text := b[:len(b)-4]
	if crc32.Checksum(text, crcTable) != binary.BigEndian.Uint32(b[len(text):]) {
		return detail{}, errDamaged
	}
	return decodeDetail(string(text))
}

// buffers are for blocks. Large blocks, of a single large row, are not kept.
var buffers = sync.Pool{New: func() any { b := make([]byte, 4*blockSize); return &b }}

// rows calls fn for the rows of a key. The row's lists are used again for the
// next one.
func (s *segment) rows(key string, fn func(r *row) error) error {
	i := sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i].first >= key })
	for i = max(i-1, 0); i < len(s.blocks) && s.blocks[i].first <= key; i++ {
		if err := s.rowsOfBlock(s.blocks[i], key, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *segment) rowsOfBlock(ref blockRef, key string, fn func(r *row) error) error {
	if uint64(ref.size) > uint64(s.size) || ref.offset > uint64(s.size) {
		return errDamaged
	}
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	b := *pooled
	if int(ref.size) > len(b) {
		b = make([]byte, ref.size)
	}
	b = b[:ref.size]
	if err := s.readInto(b, ref.offset, ref.sum); err != nil {
		return err
	}
	for len(b) > 0 {
		k, rest, okKey := cutBytes(b)
		rows, rest, ok := cutBytes(rest)
		if !okKey || !ok {
			return errDamaged
		}
		b = rest
		if string(k) < key {
			continue
		}
		if string(k) > key {
			return nil
		}
		if err := eachRow(string(rows), fn); err != nil {
			return err
		}
	}
	return nil
}

// cutBytes splits off bytes that have their length in front.
func cutBytes(b []byte) (head, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(size)], b[n+int(size):], true
}

func eachRow(text string, fn func(r *row) error) error {
	d := decoder{s: text}
	var r row
	for len(d.s) > 0 {
		if err := r.decode(d.string()); err != nil {
			return err
		}
		if d.err != nil {
			return d.err
		}
		if err := fn(&r); err != nil {
			return err
		}
	}
	return nil
}
