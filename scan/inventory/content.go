package inventory

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// headSize is how many bytes tell a program from other files: the ELF header up
// to e_type (System V ABI, chapter 4).
const headSize = 18

// Content is the file that is being written. A pass has one at a time.
type content struct {
	pass *pass
	path string
	kind kind
	size int64

	head  [headSize]byte // of a file whose kind is not known yet
	nhead int
	spool *spool // of a program or archive
}

// errClosed says that a caller does not keep to the contract of scan.Pass.
var errClosed = errors.New("inventory: the file is closed")

// Write takes a part of the file.
func (c *content) Write(b []byte) (int, error) {
	if c.pass == nil {
		return 0, errClosed
	}
	if c.kind == nothing {
		return len(b), nil
	}
	if err := c.pass.ctx.Err(); err != nil {
		return 0, fmt.Errorf("take stock: %w", err)
	}
	if c.kind.isText() {
		room := c.pass.limits.Text - int64(len(c.pass.text))
		c.pass.text = append(c.pass.text, b[:min(int64(len(b)), room)]...)
		return len(b), nil
	}
	rest := b
	if c.kind == unknown {
		n := copy(c.head[c.nhead:], b)
		c.nhead += n
		if c.nhead < headSize {
			return n, nil
		}
		rest = b[n:]
		if !isProgram(c.head[:]) || !c.pass.affordable(c.size) {
			c.kind = nothing
			return len(b), nil
		}
		c.kind = program
		if err := c.save(c.head[:]); err != nil {
			return 0, err
		}
	}
	if err := c.save(rest); err != nil {
		return 0, err
	}
	return len(b), nil
}

// isProgram tells ELF programs and shared libraries from everything else, also
// from object files and kernel modules, which have no list of what is inside.
func isProgram(head []byte) bool {
	const executable, shared = 2, 3 // ET_EXEC, ET_DYN
	if string(head[:4]) != "\x7fELF" {
		return false
	}
	var typ uint16
	switch head[5] { // EI_DATA
	case 1:
		typ = binary.LittleEndian.Uint16(head[16:])
	case 2:
		typ = binary.BigEndian.Uint16(head[16:])
	}
	return typ == executable || typ == shared
}

func (c *content) save(b []byte) error {
	if c.spool == nil {
		c.spool = &spool{dir: c.pass.dir, mem: c.pass.mem[:0]}
	}
	_, err := c.spool.Write(b)
	if err != nil {
		c.discard() // a part must not be taken for the whole
	}
	return err
}

// Close looks at what was written.
func (c *content) Close() error {
	p := c.pass
	if p == nil { // a Write failed, or the pass has ended
		return nil
	}
	defer c.discard()
	switch {
	case c.kind.isText():
		defer func() { p.text = p.text[:0] }()
		p.readText(c.kind, c.path, p.text)
	case c.spool == nil:
	case c.kind == program:
		p.readProgram(c.path, c.spool, c.spool.size)
	case c.kind.isArchive():
		return p.readArchive(c.path, c.kind, c.spool, c.spool.size, 1)
	}
	return nil
}

// discard frees what the file holds. It may be called at any time.
func (c *content) discard() {
	if c.spool != nil {
		c.pass.mem = c.spool.mem
		c.spool.Close()
	}
	*c = content{}
}
