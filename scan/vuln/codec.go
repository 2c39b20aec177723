package vuln

import (
	"encoding/binary"
	"errors"
)

var errDamaged = errors.New("vuln: the database is damaged")

// An encoder appends to a record of a segment.
type encoder struct{ b []byte }

func (e *encoder) byte(c byte)   { e.b = append(e.b, c) }
func (e *encoder) uint(n uint64) { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) strings(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

// A decoder reads what an encoder wrote. Its strings share the memory of s.
// After damage it yields zeros, and err is set.
type decoder struct {
	s   string
	err error
}

func (d *decoder) byte() byte {
	if len(d.s) == 0 {
		d.err = errDamaged
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *decoder) uint() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		c := d.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	d.err, d.s = errDamaged, ""
	return 0
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.s)) {
		d.err, d.s = errDamaged, ""
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

// count reads the length of a list, whose items take a byte or more each.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.s)) {
		d.err, d.s = errDamaged, ""
		return 0
	}
	return int(n)
}

func (d *decoder) strings() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.string())
	}
	return list
}
