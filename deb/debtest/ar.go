package debtest

import (
	"bytes"
	"time"

	"github.com/blakesmith/ar"
)

// ArMagic is what an ar archive starts with.
const ArMagic = ar.GLOBAL_HEADER

// An Ar builds an ar archive. The zero value is an empty one.
type Ar struct {
	buf bytes.Buffer
}

// Member appends a well-formed member. A name may have 16 bytes.
func (a *Ar) Member(name string, body []byte) *Ar {
	a.magic()
	w := ar.NewWriter(&a.buf)
	// Writing to memory does not fail.
	w.WriteHeader(&ar.Header{Name: name, ModTime: time.Unix(0, 0), Mode: 0o644, Size: int64(len(body))})
	w.Write(body)
	return a
}

// Forge appends a member whose header says what it is told, and no padding.
func (a *Ar) Forge(h ArHeader, body []byte) *Ar {
	a.magic()
	a.buf.Write(h.Bytes())
	a.buf.Write(body)
	return a
}

// Raw appends bytes as they are: padding, garbage.
func (a *Ar) Raw(b string) *Ar {
	a.magic()
	a.buf.WriteString(b)
	return a
}

func (a *Ar) magic() {
	if a.buf.Len() == 0 {
		a.buf.WriteString(ArMagic)
	}
}

// Bytes returns the archive.
func (a *Ar) Bytes() []byte {
	a.magic()
	return a.buf.Bytes()
}

// An ArHeader is a member header of any content. Each field is padded with
// blanks or cut to its width.
type ArHeader struct {
	Name string // 16 bytes
	Date string // 12; default "0", as the other numbers
	UID  string // 6
	GID  string // 6
	Mode string // 8; default "100644"
	Size string // 10; default blank
	End  string // 2; default "`\n"
}

// Bytes returns the header's 60 bytes.
func (h ArHeader) Bytes() []byte {
	b := bytes.Repeat([]byte(" "), 60)
	put := func(from, to int, s, otherwise string) {
		if s == "" {
			s = otherwise
		}
		copy(b[from:to], s)
	}
	put(0, 16, h.Name, "")
	put(16, 28, h.Date, "0")
	put(28, 34, h.UID, "0")
	put(34, 40, h.GID, "0")
	put(40, 48, h.Mode, "100644")
	put(48, 58, h.Size, "")
	put(58, 60, h.End, "`\n")
	return b
}
