package deb

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// Canonical returns the one spelling that stands for all versions equal to v:
// v.Canonical() == w.Canonical() exactly when v.Compare(w) == 0. It is a valid
// version that compares equal to v, and the identity of a version wherever
// 1.0, 0:1.0, 1.0-0 and 1.00 must not be told apart.
//
// An epoch of 0 and a revision equal to none are dropped unless the rest would
// then read differently (0:1:2, 1-2-0); runs of digits lose leading zeros.
func (v Version) Canonical() string {
	if v.text == "" {
		return ""
	}
	b := make([]byte, 0, len(v.text)+2)
	if v.epoch != 0 || strings.IndexByte(v.Upstream(), ':') >= 0 {
		b = strconv.AppendUint(b, uint64(v.epoch), 10)
		b = append(b, ':')
	}
	b = appendCanonical(b, v.Upstream(), true)
	rev := appendCanonical(nil, v.Revision(), false)
	if len(rev) == 0 && strings.IndexByte(v.Upstream(), '-') >= 0 {
		rev = append(rev, '0')
	}
	if len(rev) > 0 {
		b = append(b, '-')
		b = append(b, rev...)
	}
	return string(b)
}

// appendCanonical appends s with its numbers in shortest form. A zero at the
// end counts as nothing in dpkg's order (1. is 1.0 and a is a0): it is written
// where the part would otherwise be empty or end in punctuation.
func appendCanonical(b []byte, s string, needed bool) []byte {
	start := len(b)
	for len(s) > 0 {
		n := 0
		for n < len(s) && !isDigit(s[n]) {
			n++
		}
		b = append(b, s[:n]...)
		s = s[n:]
		n = 0
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		switch digits := trimZeros(s[:n]); {
		case digits != "":
			b = append(b, digits...)
		case n < len(s):
			b = append(b, '0')
		}
		s = s[n:]
	}
	if len(b) == start {
		if needed {
			b = append(b, '0')
		}
		return b
	}
	if last := b[len(b)-1]; !isDigit(last) && !isLetter(last) {
		b = append(b, '0')
	}
	return b
}

// Bytes of a sort key. What ends a run of characters must sort after the tilde
// and before the letters, whose own codes are above it.
const (
	keyTilde = 1
	keyEnd   = 2
)

// SortKey returns a binary key that sorts as the version does:
// bytes.Compare(v.SortKey(), w.SortKey()) has the sign of v.Compare(w), and
// equal versions have equal keys. It lets a database order versions in a BLOB
// or BYTEA column. The key has at most 2*MaxVersionLength+16 bytes; the zero
// Version's key is empty.
func (v Version) SortKey() []byte {
	if v.text == "" {
		return nil
	}
	b := make([]byte, 4, 2*len(v.text)+16)
	binary.BigEndian.PutUint32(b, v.epoch)
	b = appendKey(b, v.Upstream())
	return appendKey(b, v.Revision())
}

// appendKey encodes what comparePart compares: a run of characters, its end, a
// number as the count of its digits and the digits, and so on; then one end
// more, because what follows a number is a run of characters, if only an empty
// one.
func appendKey(b []byte, s string) []byte {
	for first := true; first || len(s) > 0; first = false {
		for len(s) > 0 && !isDigit(s[0]) {
			b = append(b, keyByte(s[0]))
			s = s[1:]
		}
		n := 0
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		digits := trimZeros(s[:n])
		b = append(b, keyEnd, byte(len(digits)))
		b = append(b, digits...)
		s = s[n:]
	}
	return append(b, keyEnd)
}

func keyByte(c byte) byte {
	switch {
	case c == '~':
		return keyTilde
	case isLetter(c):
		return c
	}
	return c | 0x80
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
