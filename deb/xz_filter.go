package deb

import (
	"encoding/binary"
	"io"
	"math/bits"
)

// Filters of the .xz format that prepare machine code for compression.
const (
	xzFilterDelta = 0x03
	xzFilterX86   = 0x04
)

// An xzFilter undoes one filter of a block.
type xzFilter interface {
	reader(r io.Reader) io.Reader
}

func newXZFilter(id uint64, props []byte) (xzFilter, error) {
	switch id {
	case xzFilterDelta:
		if len(props) == 1 {
			return deltaFilter{distance: int(props[0]) + 1}, nil
		}
	case xzFilterX86:
		if len(props) == 0 {
			return x86Filter{}, nil
		}
		if len(props) == 4 {
			return x86Filter{start: binary.LittleEndian.Uint32(props)}, nil
		}
	default:
		return nil, malformed("unsupported-compression",
			"the xz stream uses filter %#x, which is not supported: compress without filters", id)
	}
	return nil, xzFault("properties of a filter")
}

// deltaFilter stored each byte as the difference to the one distance before.
type deltaFilter struct{ distance int }

func (f deltaFilter) reader(r io.Reader) io.Reader {
	return &deltaReader{r: r, distance: f.distance}
}

type deltaReader struct {
	r        io.Reader
	distance int
	history  [256]byte
	pos      byte
}

func (d *deltaReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	for i := range p[:n] {
		p[i] += d.history[d.pos-byte(d.distance)]
		d.history[d.pos] = p[i]
		d.pos++
	}
	return n, err
}

// x86Filter turned the relative targets of x86 calls and jumps into absolute
// ones.
type x86Filter struct{ start uint32 }

func (f x86Filter) reader(r io.Reader) io.Reader {
	return &x86Reader{r: r, pos: f.start}
}

// x86Reader undoes it over a sliding buffer: a decision about an instruction
// needs its five bytes.
type x86Reader struct {
	r    io.Reader
	pos  uint32 // address of buf[0]
	mask uint32 // bit n: an opcode n+1 bytes back was left as it is
	buf  [4096]byte
	done int // converted bytes at the front of buf
	read int // of those, already handed out
	fill int // bytes in buf
	err  error
}

func (x *x86Reader) Read(p []byte) (int, error) {
	for x.read == x.done {
		if x.err != nil {
			if x.done == x.fill {
				return 0, x.err
			}
			x.done = x.fill // too few bytes for an instruction
			break
		}
		copy(x.buf[:], x.buf[x.done:x.fill])
		x.pos += uint32(x.done)
		x.fill -= x.done
		x.done, x.read = 0, 0
		n, err := x.r.Read(x.buf[x.fill:])
		x.fill += n
		x.err = err
		x.done = x.convert(x.buf[:x.fill])
	}
	n := copy(p, x.buf[x.read:x.done])
	x.read += n
	return n, nil
}

const x86Instruction = 5 // opcode and a target of four bytes

// convert undoes the filter in b and returns how many bytes are final. The
// encoder left an opcode alone when others before it made it unlikely to be one;
// mask repeats its reasoning.
func (x *x86Reader) convert(b []byte) int {
	i := 0
	for i+x86Instruction <= len(b) {
		switch {
		case b[i]&0xfe != 0xe8: // neither CALL nor JMP
			x.mask = x.mask << 1 & 7
			i++
		case x.isInstruction(b[i:]):
			target := binary.LittleEndian.Uint32(b[i+1:])
			binary.LittleEndian.PutUint32(b[i+1:], x.relative(target, x.pos+uint32(i)+x86Instruction))
			x.mask = 0
			i += x86Instruction
		default:
			x.mask = (x.mask<<1 | 1) & 7
			i++
		}
	}
	return i
}

func (x *x86Reader) isInstruction(b []byte) bool {
	if bits.OnesCount32(x.mask) > 1 {
		return false
	}
	if x.mask != 0 && signByte(b[4-bits.Len32(x.mask)]) {
		return false
	}
	return signByte(b[4])
}

// relative returns the target relative to the next instruction. Where an
// opcode lies within reach, the encoder repeated its step until the bytes that
// overlap it could not be taken for a sign.
func (x *x86Reader) relative(target, next uint32) uint32 {
	for {
		rel := target - next
		overlap := 8 * bits.Len32(x.mask)
		if x.mask == 0 || !signByte(byte(rel>>(24-overlap))) {
			return uint32(int32(rel<<7) >> 7) // 25 bits, the highest is the sign
		}
		target = rel ^ (1<<(32-overlap) - 1)
	}
}

// signByte reports whether the top byte of a target is a sign extension, which
// it is for any jump within 16 MiB.
func signByte(b byte) bool { return b == 0 || b == 0xff }
