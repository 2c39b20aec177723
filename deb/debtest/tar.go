package debtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// BlockSize is the size of a tar header, and what contents are padded to.
const BlockSize = 512

// A Format is the magic and version of a tar header.
type Format string

// The formats of tar headers.
const (
	GNU   Format = "ustar  \x00" // the default
	POSIX Format = "ustar\x0000"
	V7    Format = "\x00\x00\x00\x00\x00\x00\x00\x00"
)

// A Header describes an entry of a tar archive.
type Header struct {
	Name    string // GNU long-name entries are added for long ones, as for Link
	Link    string
	Type    byte  // default '0'
	Mode    int64 // default 0644, or 0755 for directories
	UID     int64
	GID     int64
	ModTime int64 // Unix seconds
	Content string
	// Size, if not nil, stands in the header instead of the length of Content.
	Size   *int64
	Format Format // default GNU
	// Edit, if set, changes the finished header block, whose checksum is then
	// computed anew.
	Edit func(block []byte)
}

// A Tar builds a tar archive. The zero value is an empty one.
type Tar struct {
	buf bytes.Buffer
}

// Dir appends a directory.
func (t *Tar) Dir(name string) *Tar { return t.Add(Header{Name: name, Type: '5'}) }

// File appends a regular file.
func (t *Tar) File(name, content string) *Tar { return t.Add(Header{Name: name, Content: content}) }

// Symlink appends a symbolic link.
func (t *Tar) Symlink(name, target string) *Tar {
	return t.Add(Header{Name: name, Link: target, Type: '2', Mode: 0o777})
}

// Hardlink appends a hard link.
func (t *Tar) Hardlink(name, target string) *Tar {
	return t.Add(Header{Name: name, Link: target, Type: '1'})
}

// Add appends an entry: header, content, padding.
func (t *Tar) Add(h Header) *Tar {
	if len(h.Name) > 100 && h.Edit == nil {
		t.LongName('L', h.Name)
	}
	if len(h.Link) > 100 && h.Edit == nil {
		t.LongName('K', h.Link)
	}
	t.buf.Write(h.Block())
	return t.pad(h.Content)
}

// LongName appends a GNU entry that names the next one ('L') or its target
// ('K').
func (t *Tar) LongName(typeflag byte, name string) *Tar {
	size := int64(len(name) + 1)
	t.buf.Write(Header{Name: "././@LongLink", Type: typeflag, Size: &size}.Block())
	return t.pad(name + "\x00")
}

func (t *Tar) pad(content string) *Tar {
	t.buf.WriteString(content)
	t.buf.Write(zeros[:-len(content)&(BlockSize-1)])
	return t
}

var zeros [2 * BlockSize]byte

// Raw appends bytes as they are.
func (t *Tar) Raw(b []byte) *Tar {
	t.buf.Write(b)
	return t
}

// Bytes returns the archive with its end marker, two empty blocks.
func (t *Tar) Bytes() []byte {
	return append(t.Open(), zeros[:]...)
}

// Open returns the archive without end marker.
func (t *Tar) Open() []byte {
	return t.buf.Bytes()[:t.buf.Len():t.buf.Len()]
}

// Block returns the entry's header block with its checksum.
func (h Header) Block() []byte {
	b := make([]byte, BlockSize)
	typeflag, mode := h.Type, h.Mode
	if typeflag == 0 {
		typeflag = '0'
	}
	if mode == 0 {
		mode = 0o644
		if typeflag == '5' {
			mode = 0o755
		}
	}
	size := int64(len(h.Content))
	if h.Size != nil {
		size = *h.Size
	}
	copy(b[:100], h.Name)
	putNumber(b[100:108], mode)
	putNumber(b[108:116], h.UID)
	putNumber(b[116:124], h.GID)
	putNumber(b[124:136], size)
	putNumber(b[136:148], h.ModTime)
	b[156] = typeflag
	copy(b[157:257], h.Link)
	format := h.Format
	if format == "" {
		format = GNU
	}
	copy(b[257:265], format)
	if format != V7 {
		copy(b[265:], "root")
		copy(b[297:], "root")
	}
	if h.Edit != nil {
		h.Edit(b)
	}
	Checksum(b)
	return b
}

// putNumber writes octal digits and a NUL, or GNU's binary form where they do
// not fit.
func putNumber(field []byte, n int64) {
	digits := len(field) - 1
	if n >= 0 && n < 1<<(3*digits) {
		for i := digits - 1; i >= 0; i-- {
			field[i] = '0' + byte(n&7)
			n >>= 3
		}
		return
	}
	for i := range field {
		field[i] = byte(n >> 63)
	}
	tail := make([]byte, 8)
	binary.BigEndian.PutUint64(tail, uint64(n))
	copy(field[max(0, len(field)-8):], tail[max(0, 8-len(field)):])
	field[0] |= 0x80
}

// Checksum writes the checksum of a header block into it.
func Checksum(block []byte) {
	copy(block[148:156], "        ")
	sum := 0
	for _, c := range block[:BlockSize] {
		sum += int(c)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
}
