package inventory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Bounds on ELF files. The largest programs have some 60 sections.
const (
	maxSections     = 4096
	maxSectionNames = 1 * mib // bytes
)

var errELF = errors.New("malformed ELF file")

// An elfSection is a part of an ELF file.
type elfSection struct {
	typ          uint32
	flags        uint64
	offset, size uint64
}

// noBits is the type of sections without content in the file, compressedFlag
// marks those that are compressed (System V ABI, chapter 4).
const (
	noBits         = 8
	compressedFlag = 1 << 11
)

// readSections returns the sections of an ELF file by their names.
//
// It is here because debug/elf copies the name of each section out of a table
// whose size is the file's to choose, so that names which share their bytes make
// it ask for any amount of memory. What readSections accepts, debug/elf can read
// at a cost in proportion.
func readSections(r io.ReaderAt, size int64) (map[string]elfSection, error) {
	h, err := readELFHeader(r)
	if err != nil || h.sections == 0 {
		return nil, err
	}
	table, err := readPart(r, size, h.offset, uint64(h.sections)*uint64(h.sectionSize))
	if err != nil {
		return nil, err
	}
	at := func(i int) elfSection { return h.section(table[i*h.sectionSize:]) }
	names := at(h.names)
	if names.typ == noBits || names.flags&compressedFlag != 0 || names.size > maxSectionNames {
		return nil, errELF
	}
	text, err := readPart(r, size, names.offset, names.size)
	if err != nil {
		return nil, err
	}
	sections := make(map[string]elfSection, h.sections)
	total := 0
	for i := range h.sections {
		start := uint64(h.order.Uint32(table[i*h.sectionSize:]))
		if start >= uint64(len(text)) {
			return nil, errELF
		}
		name, _, ok := bytes.Cut(text[start:], []byte{0})
		if total += len(name); !ok || total > maxSectionNames {
			return nil, errELF
		}
		if _, again := sections[string(name)]; !again {
			sections[string(name)] = at(i)
		}
	}
	return sections, nil
}

// An elfHeader is what the header says of the table of sections.
type elfHeader struct {
	order       binary.ByteOrder
	wide        bool   // 64 bits
	offset      uint64 // of the table
	sectionSize int
	sections    int
	names       int // index of the section that holds the names
}

func readELFHeader(r io.ReaderAt) (h elfHeader, err error) {
	b := make([]byte, 64)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return h, errors.Join(errELF, err)
	}
	switch b[5] {
	case 1:
		h.order = binary.LittleEndian
	case 2:
		h.order = binary.BigEndian
	default:
		return h, errELF
	}
	var entry, count, names []byte
	switch b[4] {
	case 1:
		h.offset = uint64(h.order.Uint32(b[0x20:]))
		h.sectionSize = 40
		entry, count, names = b[0x2e:], b[0x30:], b[0x32:]
	case 2:
		h.wide = true
		h.offset = h.order.Uint64(b[0x28:])
		h.sectionSize = 64
		entry, count, names = b[0x3a:], b[0x3c:], b[0x3e:]
	default:
		return h, errELF
	}
	h.sections, h.names = int(h.order.Uint16(count)), int(h.order.Uint16(names))
	switch {
	case h.sections == 0 && h.offset == 0:
		return h, nil
	case h.sections == 0, // more than 65,279
		h.sections > maxSections,
		h.names == 0 || h.names >= h.sections,
		int(h.order.Uint16(entry)) != h.sectionSize:
		return h, errELF
	}
	return h, nil
}

// section reads an entry of the table.
func (h elfHeader) section(b []byte) elfSection {
	s := elfSection{typ: h.order.Uint32(b[4:])}
	if h.wide {
		s.flags, s.offset, s.size = h.order.Uint64(b[8:]), h.order.Uint64(b[0x18:]), h.order.Uint64(b[0x20:])
	} else {
		s.flags, s.offset, s.size = uint64(h.order.Uint32(b[8:])), uint64(h.order.Uint32(b[0x10:])), uint64(h.order.Uint32(b[0x14:]))
	}
	return s
}

// readPart reads n bytes at offset of a file of the given size.
func readPart(r io.ReaderAt, size int64, offset, n uint64) ([]byte, error) {
	if offset > uint64(size) || n > uint64(size)-offset {
		return nil, errELF
	}
	b := make([]byte, n)
	if got, err := r.ReadAt(b, int64(offset)); got < len(b) {
		return nil, errors.Join(errELF, err)
	}
	return b, nil
}
