package deb

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// Magic numbers and sizes of the .xz file format, version 1.2.0.
const (
	xzMagic      = "\xfd7zXZ\x00"
	xzEndMagic   = "YZ"
	xzHeaderSize = 12

	xzFilterLZMA2 = 0x21
)

// xzReader reads .xz files: one or more streams of blocks. It parses the
// container itself and leaves the LZMA2 data to package lzma, because only so
// every header is seen, and its dictionary size checked, before memory is set
// aside for it: the sizes of blocks need not be known in advance, and every
// block of every stream may ask for another dictionary.
type xzReader struct {
	r       *xzInput
	maxDict int64

	newHash func() hash.Hash // check of the current stream, nil for none
	flags   [2]byte
	index   hash.Hash // over the sizes of the blocks so far
	blocks  uint64

	block   *xzBlock
	streams int  // stream headers read
	stream  bool // inside a stream
	// dictionaries is the memory set aside in total, out what was opened: see
	// checkDictionary.
	dictionaries, out int64
	err               error
}

// newXZReader returns a reader of r that refuses dictionaries of more than
// maxDict bytes.
func newXZReader(r io.Reader, maxDict int64) *xzReader {
	return &xzReader{r: &xzInput{r: r}, maxDict: maxDict}
}

func (z *xzReader) later() bool { return z.streams > 1 }

func xzFault(format string, args ...any) error {
	return malformed("bad-compression", "the xz stream is damaged: "+format, args...)
}

func (z *xzReader) Read(p []byte) (int, error) {
	for z.err == nil {
		if z.block != nil {
			n, err := z.block.Read(p)
			z.out += int64(n)
			if errors.Is(err, io.EOF) {
				err = z.endBlock()
			}
			z.err = err
			if n > 0 || len(p) == 0 {
				return n, nil
			}
			continue
		}
		z.err = z.advance()
	}
	return 0, z.err
}

// advance reads the next header: of a stream, or of a block or the index.
func (z *xzReader) advance() error {
	if !z.stream {
		return z.startStream()
	}
	size, err := z.r.ReadByte()
	if err != nil {
		return xzEnd(err)
	}
	if size == 0 {
		return z.endStream()
	}
	return z.startBlock(size)
}

// startStream reads a stream header, after padding in multiples of four
// bytes, and returns io.EOF where the file may end.
func (z *xzReader) startStream() error {
	var h [xzHeaderSize]byte
	for {
		n, err := io.ReadFull(z.r, h[:4])
		if n == 0 && errors.Is(err, io.EOF) && z.streams > 0 {
			return io.EOF
		}
		if err != nil {
			return xzEnd(err)
		}
		if z.streams == 0 || h != [xzHeaderSize]byte{} {
			break
		}
	}
	if err := z.r.full(h[4:]); err != nil {
		return err
	}
	switch {
	case string(h[:6]) != xzMagic:
		return xzFault("what follows is no stream")
	case binary.LittleEndian.Uint32(h[8:]) != crc32.ChecksumIEEE(h[6:8]):
		return xzFault("checksum of a stream header")
	case h[6] != 0 || h[7]&0xf0 != 0:
		return malformed("unsupported-compression", "the xz stream uses unknown features")
	}
	check, err := xzCheck(h[7])
	if err != nil {
		return err
	}
	z.newHash, z.flags = check, [2]byte(h[6:8])
	z.index, z.blocks = sha256.New(), 0
	z.stream = true
	z.streams++
	return nil
}

// xzCheck returns the integrity check of that number, nil for none.
func xzCheck(id byte) (func() hash.Hash, error) {
	switch id {
	case 0:
		return nil, nil
	case 1:
		return func() hash.Hash { return crc32.NewIEEE() }, nil
	case 4:
		table := crc64.MakeTable(crc64.ECMA)
		return func() hash.Hash { return crc64.New(table) }, nil
	case 10:
		return sha256.New, nil
	}
	return nil, malformed("unsupported-compression", "the xz stream uses unknown integrity check %d", id)
}

// endBlock verifies a block and notes its sizes for the index.
func (z *xzReader) endBlock() error {
	b := z.block
	z.block = nil
	unpadded, err := b.end()
	if err != nil {
		return err
	}
	z.addRecord(z.index, unpadded, b.out)
	z.blocks++
	return nil
}

// addRecord adds a block's sizes to a hash, which stands for the list of them.
func (z *xzReader) addRecord(h hash.Hash, unpadded, out int64) {
	var rec [16]byte
	binary.LittleEndian.PutUint64(rec[:8], uint64(unpadded))
	binary.LittleEndian.PutUint64(rec[8:], uint64(out))
	h.Write(rec[:])
}

// endStream reads the index, whose first byte was read, and the footer.
func (z *xzReader) endStream() error {
	start := z.r.taken() - 1
	in := &xzSummed{in: z.r, sum: crc32.ChecksumIEEE([]byte{0})}
	n, err := in.number()
	if err != nil {
		return err
	}
	if n != z.blocks {
		return xzFault("the index counts %d blocks, there are %d", n, z.blocks)
	}
	records := sha256.New()
	for range n {
		unpadded, err1 := in.number()
		out, err2 := in.number()
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		z.addRecord(records, int64(unpadded), int64(out))
	}
	for (z.r.taken()-start)%4 != 0 {
		if c, err := in.ReadByte(); err != nil || c != 0 {
			return xzFault("padding of the index")
		}
	}
	var sum [4]byte
	if err := z.r.full(sum[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(sum[:]) != in.sum {
		return xzFault("checksum of the index")
	}
	if string(records.Sum(nil)) != string(z.index.Sum(nil)) {
		return xzFault("the index does not fit the blocks")
	}
	z.stream = false
	return z.readFooter(z.r.taken() - start)
}

func (z *xzReader) readFooter(indexSize int64) error {
	var f [xzHeaderSize]byte
	if err := z.r.full(f[:]); err != nil {
		return err
	}
	switch {
	case string(f[10:]) != xzEndMagic,
		binary.LittleEndian.Uint32(f[:]) != crc32.ChecksumIEEE(f[4:10]),
		int64(binary.LittleEndian.Uint32(f[4:])+1)*4 != indexSize,
		[2]byte(f[8:10]) != z.flags:
		return xzFault("the footer does not fit the stream")
	}
	return nil
}

// xzSummed reads the index and keeps its CRC.
type xzSummed struct {
	in  *xzInput
	sum uint32
}

func (s *xzSummed) ReadByte() (byte, error) {
	c, err := s.in.ReadByte()
	if err == nil {
		s.sum = crc32.Update(s.sum, crc32.IEEETable, []byte{c})
	}
	return c, err
}

func (s *xzSummed) number() (uint64, error) { return xzNumber(s) }

// xzNumber reads a number of variable length: up to nine bytes of seven bits,
// the lowest first, in the shortest form.
func xzNumber(r io.ByteReader) (uint64, error) {
	var n uint64
	for i := range 9 {
		c, err := r.ReadByte()
		if err != nil {
			return 0, xzEnd(err)
		}
		if c == 0 && i > 0 {
			break
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			return n, nil
		}
	}
	return 0, xzFault("a malformed number")
}

// newLZMA2 returns a decoder of LZMA2 data with room for a dictionary.
func newLZMA2(r io.Reader, dict int64) (*lzma.Reader2, error) {
	// Distances never exceed the dictionary; a little more room is harmless.
	return lzma.Reader2Config{DictCap: int(max(dict, lzma.MinDictCap))}.NewReader2(r)
}
