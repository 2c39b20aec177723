package deb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzBlock is the block that an xzReader is in.
type xzBlock struct {
	in         *xzInput
	start      int64 // of the block header, in the input
	dataStart  int64
	compressed int64 // as the header says, -1 when it does not
	size       int64 // uncompressed, likewise
	lzma2      *lzma.Reader2
	content    io.Reader // lzma2 behind the block's other filters
	check      hash.Hash // nil for none
	out        int64     // bytes opened so far
}

// xzBlockHeader is what a block header says.
type xzBlockHeader struct {
	compressed, size int64 // -1 when absent
	dict             int64
	filters          []xzFilter // other than LZMA2, the first to encode first
}

// startBlock reads the rest of a block header, whose first byte gives its
// length, and sets the decoder up.
func (z *xzReader) startBlock(size byte) error {
	start := z.r.taken() - 1
	raw := make([]byte, 4*(int(size)+1))
	raw[0] = size
	if err := z.r.full(raw[1:]); err != nil {
		return err
	}
	h, err := parseBlockHeader(raw)
	if err != nil {
		return err
	}
	dict, err := z.checkDictionary(h)
	if err != nil {
		return err
	}
	b := &xzBlock{in: z.r, start: start, dataStart: z.r.taken(), compressed: h.compressed, size: h.size}
	if z.newHash != nil {
		b.check = z.newHash()
	}
	if b.lzma2, err = newLZMA2(z.r, dict); err != nil {
		return xzEnd(err)
	}
	b.content = b.lzma2
	for i := len(h.filters) - 1; i >= 0; i-- {
		b.content = h.filters[i].reader(b.content)
	}
	z.block = b
	return nil
}

// checkDictionary returns how much memory the block's dictionary needs. Many
// small blocks that each ask for a large dictionary would cost time rather
// than memory, so what they ask for in total must be in some proportion to what
// they contain.
func (z *xzReader) checkDictionary(h xzBlockHeader) (int64, error) {
	if h.dict > z.maxDict {
		return 0, tooLarge("xz-dictionary", "the xz stream asks for a dictionary of %d bytes, at most %d are allowed",
			h.dict, z.maxDict)
	}
	dict := h.dict
	if h.size >= 0 {
		dict = min(dict, h.size)
	}
	z.dictionaries += dict
	if z.dictionaries > 2*z.maxDict+64*z.out {
		return 0, tooLarge("xz-dictionary", "the xz stream asks for a large dictionary again and again")
	}
	return dict, nil
}

func parseBlockHeader(raw []byte) (h xzBlockHeader, err error) {
	body := raw[:len(raw)-4]
	if binary.LittleEndian.Uint32(raw[len(body):]) != crc32.ChecksumIEEE(body) {
		return h, xzFault("checksum of a block header")
	}
	flags := raw[1]
	if flags&0x3c != 0 {
		return h, malformed("unsupported-compression", "the xz stream uses unknown features")
	}
	r := bytes.NewReader(body[2:])
	h.compressed, h.size = -1, -1
	for _, f := range []struct {
		present bool
		size    *int64
	}{{flags&0x40 != 0, &h.compressed}, {flags&0x80 != 0, &h.size}} {
		if f.present {
			n, err := xzNumber(r)
			if err != nil {
				return h, err
			}
			*f.size = int64(n)
		}
	}
	if err := h.parseFilters(r, int(flags&3)+1); err != nil {
		return h, err
	}
	for r.Len() > 0 {
		if c, _ := r.ReadByte(); c != 0 {
			return h, xzFault("padding of a block header")
		}
	}
	return h, nil
}

func (h *xzBlockHeader) parseFilters(r *bytes.Reader, count int) error {
	for i := range count {
		id, err := xzNumber(r)
		if err != nil {
			return err
		}
		n, err := xzNumber(r)
		if err != nil {
			return err
		}
		if n > uint64(r.Len()) {
			return xzFault("properties of a filter")
		}
		props := make([]byte, n)
		io.ReadFull(r, props) // as long as the check above said
		if last := i == count-1; last != (id == xzFilterLZMA2) {
			return malformed("unsupported-compression", "the xz stream uses the filters in an unknown order")
		}
		if id == xzFilterLZMA2 {
			h.dict, err = xzDictionary(props)
		} else {
			var f xzFilter
			f, err = newXZFilter(id, props)
			h.filters = append(h.filters, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// xzDictionary decodes the size of an LZMA2 dictionary: 2^n or 3*2^n bytes, up
// to 4 GiB.
func xzDictionary(props []byte) (int64, error) {
	if len(props) != 1 || props[0] > 40 {
		return 0, xzFault("properties of a filter")
	}
	if props[0] == 40 {
		return 1<<32 - 1, nil
	}
	return int64(2|props[0]&1) << (props[0]/2 + 11), nil
}

func (b *xzBlock) Read(p []byte) (int, error) {
	n, err := b.content.Read(p)
	b.out += int64(n)
	if b.check != nil {
		b.check.Write(p[:n])
	}
	switch {
	case b.size >= 0 && b.out > b.size:
		return n, xzFault("a block is larger than it says")
	case b.compressed >= 0 && b.in.taken()-b.dataStart > b.compressed:
		return n, xzFault("a block is longer than it says")
	case err != nil && !errors.Is(err, io.EOF):
		return n, xzEnd(err)
	case err != nil && !b.lzma2.EOS():
		return n, xzFault("it ends early")
	}
	return n, err
}

// end verifies the sizes and the check of a block that was read to its end,
// and returns its size without padding.
func (b *xzBlock) end() (unpadded int64, err error) {
	if b.size >= 0 && b.out != b.size || b.compressed >= 0 && b.in.taken()-b.dataStart != b.compressed {
		return 0, xzFault("the size of a block")
	}
	unpadded = b.in.taken() - b.start
	for (b.in.taken()-b.dataStart)%4 != 0 {
		if c, err := b.in.ReadByte(); err != nil || c != 0 {
			return 0, xzFault("padding of a block")
		}
	}
	if b.check == nil {
		return unpadded, nil
	}
	want := make([]byte, b.check.Size())
	if err := b.in.full(want); err != nil {
		return 0, err
	}
	unpadded += int64(len(want))
	if !bytes.Equal(want, xzSum(b.check)) {
		return 0, xzFault("checksum of a block")
	}
	return unpadded, nil
}

// xzSum returns a check as the format stores it: CRCs in little-endian order.
func xzSum(h hash.Hash) []byte {
	switch h := h.(type) {
	case hash.Hash32:
		return binary.LittleEndian.AppendUint32(nil, h.Sum32())
	case hash.Hash64:
		return binary.LittleEndian.AppendUint64(nil, h.Sum64())
	}
	return h.Sum(nil)
}
