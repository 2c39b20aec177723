package deb_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"hash/crc64"
)

// xzBlock is a block of an .xz file of any content, compressed or not.
type xzBlock struct {
	content string
	dict    byte   // encoded size of the dictionary
	sizes   bool   // put both sizes into the header
	size    uint64 // instead of the right size, when sizes is set and this is not 0
	filters []byte // encoded filters before LZMA2, with their count in front
	lzma2   []byte // instead of the content in stored chunks
	badSum  bool   // damage the check of the content
}

// xzStream encodes a stream with stored (not compressed) chunks.
func xzStream(check byte, blocks ...xzBlock) []byte {
	flags := []byte{0, check}
	out := append([]byte("\xfd7zXZ\x00"), flags...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(flags))
	index := append([]byte{0}, xzNumber(uint64(len(blocks)))...)
	for _, b := range blocks {
		enc, unpadded := b.encode(check)
		out = append(out, enc...)
		index = append(index, xzNumber(uint64(unpadded))...)
		index = append(index, xzNumber(uint64(len(b.content)))...)
	}
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	out = append(out, index...)
	tail := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	tail = append(tail, flags...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(tail))
	out = append(out, tail...)
	return append(out, "YZ"...)
}

func (b xzBlock) encode(check byte) (enc []byte, unpadded int) {
	body := b.lzma2
	if body == nil {
		body = storedChunks(b.content)
	}
	header := []byte{0, 0}
	if b.sizes {
		size := b.size
		if size == 0 {
			size = uint64(len(b.content))
		}
		header[1] |= 0xc0
		header = append(header, xzNumber(uint64(len(body)))...)
		header = append(header, xzNumber(size)...)
	}
	if len(b.filters) > 0 {
		header[1] |= b.filters[0]
		header = append(header, b.filters[1:]...)
	}
	header = append(header, 0x21, 1, b.dict)
	for len(header)%4 != 0 {
		header = append(header, 0)
	}
	header[0] = byte(len(header) / 4)
	header = binary.LittleEndian.AppendUint32(header, crc32.ChecksumIEEE(header))
	sum := xzSum(check, b.content)
	if b.badSum {
		sum[0] ^= 1
	}
	enc = append(header, body...)
	unpadded = len(enc) + len(sum)
	for len(enc)%4 != 0 {
		enc = append(enc, 0)
	}
	return append(enc, sum...), unpadded
}

// storedChunks encodes content as LZMA2 without compression.
func storedChunks(content string) (b []byte) {
	for first := true; content != ""; first = false {
		n := min(len(content), 1<<16)
		kind := byte(2)
		if first {
			kind = 1 // resets the dictionary
		}
		b = append(b, kind, byte((n-1)>>8), byte(n-1))
		b = append(b, content[:n]...)
		content = content[n:]
	}
	return append(b, 0)
}

func xzSum(check byte, content string) []byte {
	switch check {
	case 1:
		return binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(content)))
	case 4:
		return binary.LittleEndian.AppendUint64(nil, crc64.Checksum([]byte(content), crc64.MakeTable(crc64.ECMA)))
	case 10:
		sum := sha256.Sum256([]byte(content))
		return sum[:]
	}
	return nil
}

func xzNumber(n uint64) []byte { return binary.AppendUvarint(nil, n) }

// Encoded sizes of dictionaries.
const (
	dict64KiB = 8
	dict64MiB = 28
	dict96MiB = 29
	dict4GiB  = 40
)

// split cuts content into n blocks.
func split(content string, n int, b xzBlock) []xzBlock {
	var blocks []xzBlock
	for i := range n {
		b.content = content[len(content)*i/n : len(content)*(i+1)/n]
		blocks = append(blocks, b)
	}
	return blocks
}

func join(bs ...[]byte) []byte { return bytes.Join(bs, nil) }
