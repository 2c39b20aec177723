package debtest

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Large writes the package p, uncompressed, with one file in place of p.Files:
// usr/big, which has size bytes and ends in tail. No more than a part of it is
// ever in memory.
func Large(p Package, size int64, tail string) io.Reader {
	head := Header{Name: "usr/big", Size: &size}.Block()
	padding := (BlockSize - size%BlockSize) % BlockSize
	end := make([]byte, padding+2*BlockSize)
	var ar Ar
	ar.Member("debian-binary", []byte("2.0\n")).Member("control.tar", p.ControlTar())
	ar.Raw(string(ArHeader{Name: "data.tar", Size: fmt.Sprint(int64(len(head)+len(end)) + size)}.Bytes()))
	return io.MultiReader(bytes.NewReader(ar.Bytes()), bytes.NewReader(head),
		io.LimitReader(&repeated{text: "all work and no play\n"}, size-int64(len(tail))), strings.NewReader(tail),
		bytes.NewReader(end))
}

// repeated is a text without an end.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[r.at]
		r.at = (r.at + 1) % len(r.text)
	}
	return len(p), nil
}
