package vuln

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"os"
	"slices"
	"strings"
)

// A segment is a file: details, one after the other; blocks of rows, sorted by
// key; the index of the blocks; marks, sorted by vulnerability; a footer of
// fixed size. Whatever is read has a checksum. The same feed makes the same
// segment, to the byte.
//
// A block is a sequence of entries: key, size of the rows, rows.
// Rows of one key may take several entries, in several blocks.
const (
	segmentMagic = "repodvl1"
	footerSize   = 8*5 + 4*2 + len(segmentMagic)
	blockSize    = 16 << 10
	markSize     = 12
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// rowKey is what the rows of a package are found by. The place is a codename of
// Debian's or an ecosystem of OSV's.
func rowKey(place, name string) string { return place + "\x00" + name }

// A mark is what a feed says of a vulnerability, whatever package has it: a
// score, a probability, or that it is there at all.
type mark struct {
	id    vulnID
	value uint32
}

// A segmentWriter makes the segment of one feed.
type segmentWriter struct {
	f    *os.File
	w    *bufio.Writer
	at   uint64
	sort *sorter
	err  error

	marks  []mark
	places map[string]int64 // rows by place

	block  []byte
	first  string // key of the block
	index  encoder
	blocks uint64
	key    string // of the rows at hand
	rows   []byte
}

func newSegmentWriter(root *os.Root, name string) (*segmentWriter, error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return &segmentWriter{
		f: f, w: bufio.NewWriterSize(f, 1<<18),
		sort:   &sorter{root: root, memory: sorterMemory},
		places: make(map[string]int64),
	}, nil
}

func (s *segmentWriter) write(p []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(p)
		s.at += uint64(len(p))
	}
}

// detail writes a detail and returns where it is.
func (s *segmentWriter) detail(t detail) ref {
	b := t.encode()
	r := ref{s.at, uint64(len(b)) + 4}
	s.write(binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crcTable)))
	return r
}

func (s *segmentWriter) row(place, name string, r row) {
	if s.err == nil {
		s.places[place]++
		s.err = s.sort.add(rowKey(place, name), r.encode())
	}
}

func (s *segmentWriter) mark(id vulnID, value uint32) {
	s.marks = append(s.marks, mark{id, value})
}

// finish completes the file. It is not yet flushed to the disk.
func (s *segmentWriter) finish() error {
	if s.err != nil {
		return s.err
	}
	if err := s.sort.each(s.sorted); err != nil {
		return err
	}
	s.flushRows()
	s.flushBlock()
	indexAt := s.at
	s.write(s.index.b)
	marksAt := s.at
	marks := s.encodeMarks()
	s.write(marks)
	var foot []byte
	for _, n := range []uint64{indexAt, uint64(len(s.index.b)), s.blocks, marksAt, uint64(len(marks))} {
		foot = binary.BigEndian.AppendUint64(foot, n)
	}
	foot = binary.BigEndian.AppendUint32(foot, crc32.Checksum(s.index.b, crcTable))
	foot = binary.BigEndian.AppendUint32(foot, crc32.Checksum(marks, crcTable))
	s.write(append(foot, segmentMagic...))
	if s.err == nil {
		s.err = s.w.Flush()
	}
	return s.err
}

// close frees what the writer holds. The file stays.
func (s *segmentWriter) close() {
	s.sort.close()
	s.f.Close()
}

// sorted takes the next row in order.
func (s *segmentWriter) sorted(key string, payload []byte) error {
	if key != s.key || len(s.rows) > blockSize {
		s.flushRows()
		s.key = key
	}
	s.rows = binary.AppendUvarint(s.rows, uint64(len(payload)))
	s.rows = append(s.rows, payload...)
	return s.err
}

func (s *segmentWriter) flushRows() {
	if len(s.rows) == 0 {
		return
	}
	if len(s.block) == 0 {
		s.first = strings.Clone(s.key)
	}
	e := encoder{s.block}
	e.string(s.key)
	e.uint(uint64(len(s.rows)))
	s.block = append(e.b, s.rows...)
	s.rows = s.rows[:0]
	if len(s.block) >= blockSize {
		s.flushBlock()
	}
}

func (s *segmentWriter) flushBlock() {
	if len(s.block) == 0 {
		return
	}
	s.index.string(s.first)
	s.index.uint(s.at)
	s.index.uint(uint64(len(s.block)))
	s.index.uint(uint64(crc32.Checksum(s.block, crcTable)))
	s.blocks++
	s.write(s.block)
	s.block = s.block[:0]
}

// encodeMarks sorts the marks. Of several for one vulnerability the greatest
// value counts.
func (s *segmentWriter) encodeMarks() []byte {
	s.sortMarks()
	b := make([]byte, 0, len(s.marks)*markSize)
	for _, m := range s.marks {
		b = binary.BigEndian.AppendUint64(b, uint64(m.id))
		b = binary.BigEndian.AppendUint32(b, m.value)
	}
	return b
}

func (s *segmentWriter) sortMarks() {
	slices.SortFunc(s.marks, func(a, b mark) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(b.value, a.value))
	})
	s.marks = slices.CompactFunc(s.marks, func(a, b mark) bool { return a.id == b.id })
}
