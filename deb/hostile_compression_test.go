package deb_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/repod-io/repod/deb/debtest"
)

// compressed builds a package whose data.tar is c, by extension ext.
func compressedData(ext string, c func(tar []byte) []byte) func() []byte {
	return withParts(func(p *parts) { p.dataName, p.data = "data.tar"+ext, c(p.data) })
}

func compressedControl(ext string, c func(tar []byte) []byte) func() []byte {
	return withParts(func(p *parts) { p.controlName, p.control = "control.tar"+ext, c(p.control) })
}

func with(c debtest.Compression, change func([]byte) []byte) func([]byte) []byte {
	return func(tar []byte) []byte { return change(debtest.Compress(c, tar)) }
}

func trailing(text string) func([]byte) []byte {
	return func(b []byte) []byte { return append(b, text...) }
}

// cut takes n bytes off the end.
func cut(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }

// flip changes the byte n before the end.
func flip(n int) func([]byte) []byte {
	return func(b []byte) []byte { b[len(b)-n] ^= 0xff; return b }
}

func xzOf(check byte, b xzBlock) func([]byte) []byte {
	return func(tar []byte) []byte {
		b.content = string(tar)
		return xzStream(check, b)
	}
}

// zstdWindow is a frame of one stored block that asks for a window of
// 1<<(10+exponent) bytes.
func zstdWindow(exponent byte) func([]byte) []byte {
	return func(tar []byte) []byte {
		f := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3}
		header := uint32(len(tar))<<3 | 1
		f = append(f, byte(header), byte(header>>8), byte(header>>16))
		return append(f, tar...)
	}
}

// bomb is a control.tar of 17 MiB that compresses to nearly nothing.
func bomb() []byte {
	return new(debtest.Tar).Dir("./").File("./zeros", string(make([]byte, 17<<20))).File("./control", minimal).Bytes()
}

// smallBlocks is an xz stream of many blocks of a few bytes that each ask for
// a dictionary of 64 MiB.
func smallBlocks(tar []byte) []byte {
	return xzStream(1, split(string(tar), 200, xzBlock{dict: dict64MiB})...)
}

// editXZ changes a byte of a stream's first block header and corrects its
// checksum.
func editXZ(at int, c byte) func([]byte) []byte {
	return func(b []byte) []byte {
		header := b[12 : 12+4*(int(b[12])+1)]
		header[at] = c
		body := header[:len(header)-4]
		binary.LittleEndian.PutUint32(header[len(body):], crc32.ChecksumIEEE(body))
		return b
	}
}

// inTwo compresses the halves of an archive one by one.
func inTwo(c debtest.Compression) func([]byte) []byte {
	return func(tar []byte) []byte { return join(debtest.Compress(c, tar[:700]), debtest.Compress(c, tar[700:])) }
}

func hostileCompression() []hostile {
	const bad = "bad-compression"
	same := func(b []byte) []byte { return b }
	xz := func(edit func([]byte) []byte) func([]byte) []byte {
		return func(tar []byte) []byte { return edit(xzOf(4, xzBlock{dict: dict64KiB})(tar)) }
	}
	return []hostile{
		{"CP gzip is not gzip", bad, compressedData(".gz", same)},
		{"CP gzip is xz", bad, compressedData(".gz", with(debtest.XZ, same))},
		{"CP xz is gzip", bad, compressedControl(".xz", with(debtest.Gzip, same))},
		{"CP zstd is gzip", bad, compressedControl(".zst", with(debtest.Gzip, same))},
		{"CP tar is gzip", "tar-checksum", compressedData("", with(debtest.Gzip, func(b []byte) []byte { return append(b, make([]byte, 1024)...) }))},
		{"CP gzip empty", bad, compressedData(".gz", func([]byte) []byte { return nil })},
		{"CP xz empty", bad, compressedData(".xz", func([]byte) []byte { return nil })},
		{"CP zstd empty", bad, compressedData(".zst", func([]byte) []byte { return nil })},
		{"CP gzip checksum", bad, compressedData(".gz", with(debtest.Gzip, flip(5)))},
		{"CP gzip length", bad, compressedData(".gz", with(debtest.Gzip, flip(1)))},
		{"CP gzip cut within its checksum", bad, compressedData(".gz", with(debtest.Gzip, cut(3)))},
		{"CP gzip cut", bad, compressedData(".gz", with(debtest.Gzip, cut(20)))},
		{"CP gzip trailing text", bad, compressedData(".gz", with(debtest.Gzip, trailing("hello")))},
		{"CP gzip trailing zeros", bad, compressedData(".gz", with(debtest.Gzip, trailing("\x00\x00\x00\x00")))},
		{"CP gzip trailing control.tar in a member of its own", "tar-trailing-data", compressedControl(".gz", with(debtest.Gzip,
			func(b []byte) []byte { return append(b, debtest.Compress(debtest.Gzip, openssl())...) }))},
		{"CP gzip bomb", "too-large", withParts(func(p *parts) {
			p.controlName, p.control = "control.tar.gz", debtest.Compress(debtest.Gzip, bomb())
		})},
		{"CP zstd bomb", "too-large", withParts(func(p *parts) {
			p.controlName, p.control = "control.tar.zst", debtest.Compress(debtest.Zstd, bomb())
		})},
		{"CP xz bomb", "too-large", withParts(func(p *parts) {
			p.controlName, p.control = "control.tar.xz", debtest.Compress(debtest.XZ, bomb())
		})},
		{"CP zstd checksum", bad, compressedData(".zst", with(debtest.Zstd, flip(1)))},
		{"CP zstd cut", bad, compressedData(".zst", with(debtest.Zstd, cut(2)))},
		{"CP zstd trailing byte", bad, compressedData(".zst", with(debtest.Zstd, trailing("x")))},
		{"CP zstd trailing text", bad, compressedData(".zst", with(debtest.Zstd, trailing("hello, world")))},
		{"CP zstd second frame with control.tar", "tar-trailing-data", compressedControl(".zst", with(debtest.Zstd,
			func(b []byte) []byte { return append(b, debtest.Compress(debtest.Zstd, openssl())...) }))},
		{"CP zstd archive in two frames", "several-streams", compressedData(".zst", inTwo(debtest.Zstd))},
		{"CP zstd skippable frame first", bad, compressedData(".zst", func(tar []byte) []byte {
			return join([]byte("\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"), debtest.Compress(debtest.Zstd, tar))
		})},
		{"CP zstd skippable frame behind is cut", bad, compressedData(".zst", with(debtest.Zstd, trailing("\x50\x2a\x4d\x18\xff\x00\x00\x00")))},
		{"CP xz archive in two streams", "several-streams", compressedData(".xz", inTwo(debtest.XZ))},
		{"CP xz archive in two streams with padding", "several-streams", compressedControl(".xz", func(tar []byte) []byte {
			return join(xzStream(4, xzBlock{content: string(tar[:512])}), make([]byte, 8), xzStream(4, xzBlock{content: string(tar[512:])}))
		})},
		{"CP xz empty stream first", "several-streams", compressedData(".xz", func(tar []byte) []byte {
			return join(xzStream(4), xzStream(4, xzBlock{content: string(tar)}))
		})},
		{"CP xz entry behind the first stream of an unended archive", "several-streams", compressedData(".xz", func(tar []byte) []byte {
			return join(xzStream(4, xzBlock{content: string(tar[:len(tar)-1024])}), xzStream(4, xzBlock{content: string(file("./hidden").Block())}))
		})},
		{"CP xz last file of an unended archive goes on behind the first stream", "several-streams", compressedData(".xz", func([]byte) []byte {
			tar := new(debtest.Tar).File("./f", "content").Open()
			return join(xzStream(4, xzBlock{content: string(tar[:512])}), xzStream(4, xzBlock{content: string(tar[512:])}))
		})},
		{"CP zstd control.tar in the third frame", "tar-trailing-data", compressedControl(".zst", func(tar []byte) []byte {
			return join(debtest.Compress(debtest.Zstd, tar), debtest.Compress(debtest.Zstd, nil), debtest.Compress(debtest.Zstd, openssl()))
		})},
		{"CP zstd window of 256 MiB", "zstd-window", compressedData(".zst", zstdWindow(18))},
		{"CP zstd window of 2 GiB", "zstd-window", compressedControl(".zst", zstdWindow(21))},
		{"CP zstd window of exabytes", "zstd-window", compressedData(".zst", zstdWindow(31))},
		{"CP zstd needs a dictionary", bad, compressedData(".zst", func([]byte) []byte {
			return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x01, 0, 7, 1, 0, 0}
		})},
		{"CP zstd skippable frame alone", bad, compressedData(".zst", func([]byte) []byte { return []byte("\x50\x2a\x4d\x18\xff\x00\x00\x00") })},

		{"CP xz dictionary of 4 GiB", "xz-dictionary", compressedControl(".xz", xzOf(4, xzBlock{dict: dict4GiB}))},
		{"CP xz dictionary of 4 GiB in data", "xz-dictionary", compressedData(".xz", xzOf(4, xzBlock{dict: dict4GiB}))},
		{"CP xz dictionary of 96 MiB", "xz-dictionary", compressedData(".xz", xzOf(4, xzBlock{dict: dict96MiB}))},
		{"CP xz dictionary of 4 GiB, small block of known size", "xz-dictionary", compressedData(".xz", xzOf(4, xzBlock{dict: dict4GiB, sizes: true}))},
		{"CP xz dictionary of 4 GiB in the second block", "xz-dictionary", compressedData(".xz", func(tar []byte) []byte {
			blocks := split(string(tar), 2, xzBlock{dict: dict64KiB})
			blocks[1].dict = dict4GiB
			return xzStream(4, blocks...)
		})},
		{"CP xz dictionary of 4 GiB in the second stream", "xz-dictionary", compressedData(".xz", func(tar []byte) []byte {
			return join(xzStream(4, xzBlock{content: string(tar[:512])}), xzStream(4, xzBlock{content: string(tar[512:]), dict: dict4GiB}))
		})},
		{"CP xz dictionary of 4 GiB after padding", "xz-dictionary", compressedData(".xz", func(tar []byte) []byte {
			return join(xzStream(4, xzBlock{content: string(tar)}), make([]byte, 64), xzStream(4, xzBlock{dict: dict4GiB}))
		})},
		{"CP xz large dictionaries again and again", "xz-dictionary", compressedData(".xz", smallBlocks)},
		{"CP xz dictionary out of range", bad, compressedData(".xz", xzOf(4, xzBlock{dict: 41}))},
		{"CP xz checksum CRC32", bad, compressedData(".xz", xzOf(1, xzBlock{badSum: true}))},
		{"CP xz checksum CRC64", bad, compressedData(".xz", xzOf(4, xzBlock{badSum: true}))},
		{"CP xz checksum SHA-256", bad, compressedData(".xz", xzOf(10, xzBlock{badSum: true}))},
		{"CP xz unknown check", "unsupported-compression", compressedData(".xz", xzOf(7, xzBlock{}))},
		{"CP xz unknown filter", "unsupported-compression", compressedData(".xz", xzOf(4, xzBlock{filters: []byte{1, 9, 0}}))},
		{"CP xz filters in wrong order", "unsupported-compression", compressedData(".xz", xzOf(4, xzBlock{filters: []byte{1, 0x21, 1, 0}}))},
		{"CP xz filter with endless properties", bad, compressedData(".xz", xzOf(4, xzBlock{filters: []byte{1, 4, 0x7f}}))},
		{"CP xz reserved flags in a block", "unsupported-compression", compressedData(".xz", xz(editXZ(1, 0x04)))},
		{"CP xz block header checksum", bad, compressedData(".xz", xz(func(b []byte) []byte { b[14] ^= 1; return b }))},
		{"CP xz stream header checksum", bad, compressedData(".xz", xz(func(b []byte) []byte { b[8] ^= 1; return b }))},
		{"CP xz size in header too small", bad, compressedData(".xz", xzOf(4, xzBlock{sizes: true, size: 100}))},
		{"CP xz size in header too large", bad, compressedData(".xz", xzOf(4, xzBlock{sizes: true, size: 1 << 40}))},
		{"CP xz footer", bad, compressedData(".xz", xz(flip(1)))},
		{"CP xz backward size", bad, compressedData(".xz", xz(flip(8)))},
		{"CP xz index", bad, compressedData(".xz", xz(flip(20)))},
		{"CP xz index of another stream", bad, compressedData(".xz", func(tar []byte) []byte {
			a, b := xzStream(4, xzBlock{content: string(tar)}), xzStream(4, xzBlock{content: string(tar) + "x"})
			return join(a[:len(a)-24], b[len(b)-24:])
		})},
		{"CP xz cut before the index", bad, compressedData(".xz", xz(cut(28)))},
		{"CP xz cut in the footer", bad, compressedData(".xz", xz(cut(4)))},
		{"CP xz trailing text", bad, compressedData(".xz", xz(trailing("hello, world")))},
		{"CP xz padding of three bytes", bad, compressedData(".xz", xz(trailing("\x00\x00\x00")))},
		{"CP xz padding first", bad, compressedData(".xz", xz(func(b []byte) []byte { return append(make([]byte, 4), b...) }))},
		{"CP xz second stream with control.tar", "tar-trailing-data", compressedControl(".xz", xz(func(b []byte) []byte {
			return join(b, xzStream(4, xzBlock{content: string(openssl())}))
		}))},
		{"CP xz garbage instead of LZMA2", bad, compressedData(".xz", xzOf(4, xzBlock{lzma2: bytes.Repeat([]byte{0x42}, 100)}))},
		{"CP xz LZMA2 without reset", bad, compressedData(".xz", xzOf(4, xzBlock{lzma2: []byte{2, 0, 0, 'x', 0}}))},
		{"CP xz LZMA2 does not end", bad, compressedData(".xz", func(tar []byte) []byte {
			b := xzStream(4, xzBlock{content: string(tar)})
			return b[:12+12+3+len(tar)]
		})},
	}
}
