package deb_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/repod-io/repod/deb/debtest"
)

func sized(name string, body []byte) debtest.ArHeader {
	return debtest.ArHeader{Name: name, Size: fmt.Sprint(len(body))}
}

// forgedData is a package whose data member has that header.
func forgedData(edit func(*debtest.ArHeader)) func() []byte {
	return func() []byte {
		h := sized("data.tar", data())
		edit(&h)
		return start().Forge(h, data()).Bytes()
	}
}

func bytesOf(a *debtest.Ar) func() []byte { return func() []byte { return a.Bytes() } }

func hostileArchives() []hostile {
	odd := []byte("x")
	return []hostile{
		{"AR empty file", "ar-bad-magic", func() []byte { return nil }},
		{"AR magic alone", "deb-no-version", bytesOf(new(debtest.Ar))},
		{"AR not an archive", "ar-bad-magic", func() []byte { return []byte("PK\x03\x04 this is something else") }},
		{"AR thin archive", "ar-bad-magic", func() []byte { return bytes.Replace(start().Bytes(), []byte("!<arch>"), []byte("!<thin>"), 1) }},
		{"AR old package format 0.939000", "ar-bad-magic", func() []byte { return []byte("0.939000\n123\n" + string(data())) }},
		{"AR garbage before the magic", "ar-bad-magic", func() []byte { return append([]byte("\n"), start().Bytes()...) }},
		{"AR control first", "deb-no-version", bytesOf(new(debtest.Ar).Member("control.tar", openssl()).Member("debian-binary", []byte("2.0\n")))},
		{"AR underscore member first", "deb-no-version", bytesOf(new(debtest.Ar).Member("_x", odd).Member("debian-binary", []byte("2.0\n")))},
		{"AR data before control", "deb-member-order", bytesOf(new(debtest.Ar).Member("debian-binary", []byte("2.0\n")).
			Member("data.tar", data()).Member("control.tar", openssl()))},
		{"AR no control", "deb-no-control", bytesOf(new(debtest.Ar).Member("debian-binary", []byte("2.0\n")))},
		{"AR no data", "deb-no-data", bytesOf(start())},
		{"AR control twice", "ar-duplicate-member", bytesOf(start().Member("control.tar", openssl()).Member("data.tar", data()))},
		{"AR control twice, other compression", "ar-duplicate-member", bytesOf(start().
			Member("control.tar.gz", debtest.Compress(debtest.Gzip, openssl())).Member("data.tar", data()))},
		{"AR control again after data", "ar-duplicate-member", bytesOf(start().Member("data.tar", data()).Member("control.tar", openssl()))},
		{"AR control again after data, other compression", "ar-duplicate-member", bytesOf(start().Member("data.tar", data()).
			Member("control.tar.xz", debtest.Compress(debtest.XZ, openssl())))},
		{"AR data twice", "ar-duplicate-member", bytesOf(start().Member("data.tar", data()).Member("data.tar", data()))},
		{"AR data twice, other compression", "ar-duplicate-member", bytesOf(start().Member("data.tar", data()).
			Member("data.tar.gz", debtest.Compress(debtest.Gzip, data())))},
		{"AR debian-binary twice", "ar-duplicate-member", bytesOf(start().Member("debian-binary", []byte("2.0\n")).Member("data.tar", data()))},
		{"AR unknown member", "deb-unexpected-member", bytesOf(start().Member("evil", odd).Member("data.tar", data()))},
		{"AR unknown member after data", "deb-unexpected-member", bytesOf(start().Member("data.tar", data()).Member("evil", odd))},
		{"AR member whose name starts like control", "deb-unexpected-member", bytesOf(start().Member("control.tarx", odd).Member("data.tar", data()))},
		{"AR control in capitals", "deb-unexpected-member", withParts(func(p *parts) { p.controlName = "Control.tar" })},
		{"AR unknown extension", "deb-unexpected-member", withParts(func(p *parts) { p.dataName = "data.tar.br" })},
		{"AR bzip2", "unsupported-compression", withParts(func(p *parts) { p.dataName = "data.tar.bz2" })},
		{"AR lzma", "unsupported-compression", withParts(func(p *parts) { p.dataName = "data.tar.lzma" })},
		{"AR bzip2 control", "unsupported-compression", withParts(func(p *parts) { p.controlName = "control.tar.bz2" })},
		{"AR path in a member name", "ar-bad-name", withParts(func(p *parts) { p.dataName = "../data.tar" })},
		{"AR NUL in a member name", "ar-bad-name", withParts(func(p *parts) { p.controlName = "control.tar\x00x" })},
		{"AR NULs after a member name", "ar-bad-name", withParts(func(p *parts) { p.dataName = "data.tar\x00\x00\x00" })},
		{"AR blank in a member name", "ar-bad-name", withParts(func(p *parts) { p.dataName = "data .tar" })},
		{"AR blank before a member name", "ar-bad-name", withParts(func(p *parts) { p.dataName = " data.tar" })},
		{"AR newline in a member name", "ar-bad-name", withParts(func(p *parts) { p.dataName = "data.tar\n" })},
		{"AR two slashes after a member name", "ar-bad-name", withParts(func(p *parts) { p.dataName = "data.tar//" })},
		{"AR name of blanks", "ar-bad-name", withParts(func(p *parts) { p.dataName = "" })},
		{"AR long-name table of GNU", "ar-long-name", bytesOf(start().Member("//", []byte("data.tar/\n")).Member("/0", data()))},
		{"AR reference into the table of GNU", "ar-long-name", bytesOf(start().Member("/0", data()))},
		{"AR symbol table of GNU", "ar-long-name", bytesOf(start().Member("/", odd).Member("data.tar", data()))},
		{"AR long name of BSD", "ar-long-name", bytesOf(start().Member("#1/8", append([]byte("data.tar"), data()...)))},
		{"AR symbol table of BSD", "ar-long-name", bytesOf(start().Member("__.SYMDEF", odd).Member("data.tar", data()))},
		{"AR size negative", "ar-bad-size", forgedData(func(h *debtest.ArHeader) { h.Size = "-1" })},
		{"AR size with sign", "ar-bad-size", forgedData(func(h *debtest.ArHeader) { h.Size = "+" + h.Size })},
		{"AR size hexadecimal", "ar-bad-size", forgedData(func(h *debtest.ArHeader) { h.Size = "0x200" })},
		{"AR size blank", "ar-bad-size", forgedData(func(h *debtest.ArHeader) { h.Size = " " })},
		{"AR size after a blank", "ar-bad-size", forgedData(func(h *debtest.ArHeader) { h.Size = " " + h.Size })},
		{"AR size with a blank inside", "ar-bad-size", forgedData(func(h *debtest.ArHeader) { h.Size = "4 096" })},
		{"AR size with a NUL", "ar-bad-size", forgedData(func(h *debtest.ArHeader) { h.Size += "\x00" })},
		{"AR size with a fraction", "ar-bad-size", forgedData(func(h *debtest.ArHeader) { h.Size += ".5" })},
		{"AR size over the end", "ar-truncated", forgedData(func(h *debtest.ArHeader) { h.Size = "9999999999" })},
		{"AR size of control over the end", "ar-truncated", func() []byte {
			c := openssl()
			return new(debtest.Ar).Member("debian-binary", []byte("2.0\n")).Forge(debtest.ArHeader{Name: "control.tar", Size: "9999999999"}, c).Bytes()
		}},
		{"AR size too small", "ar-trailing-data", forgedData(func(h *debtest.ArHeader) { h.Size = fmt.Sprint(len(data()) - 30) })},
		{"AR bad end of a header", "ar-bad-header", forgedData(func(h *debtest.ArHeader) { h.End = "``" })},
		{"AR letters in the owner", "ar-bad-header", forgedData(func(h *debtest.ArHeader) { h.UID = "root" })},
		{"AR NULs in the date", "ar-bad-header", forgedData(func(h *debtest.ArHeader) { h.Date = "\x00\x00" })},
		{"AR padding is no newline", "ar-bad-padding", func() []byte {
			return start().Forge(sized("_x", odd), odd).Raw("\x00").Member("data.tar", data()).Bytes()
		}},
		{"AR padding is missing", "ar-bad-padding", func() []byte {
			return start().Forge(sized("_x", odd), odd).Member("data.tar", data()).Bytes()
		}},
		{"AR padding is missing at the end", "ar-no-padding", func() []byte {
			return start().Member("data.tar", data()).Forge(sized("_x", odd), odd).Bytes()
		}},
		{"AR newline after the last member", "ar-trailing-data", func() []byte { return start().Member("data.tar", data()).Raw("\n").Bytes() }},
		{"AR zip archive after the last member", "ar-bad-header", func() []byte {
			return start().Member("data.tar", data()).Raw(strings.Repeat("PK\x05\x06", 20)).Bytes()
		}},
		{"AR another package after the package", "ar-bad-header", func() []byte {
			b := debtest.Package{}.Build()
			return append(b[:len(b):len(b)], debtest.Package{Name: "openssl"}.Build()...)
		}},
		{"AR thousand members", "ar-too-many-members", func() []byte {
			a := start()
			for range 1000 {
				a.Member("_x", nil)
			}
			return a.Bytes()
		}},
		{"AR format 1.0", "deb-version", withParts(func(p *parts) { p.version = "1.0\n" })},
		{"AR format 3.0", "deb-version", withParts(func(p *parts) { p.version = "3.0\n" })},
		{"AR format 20.0", "deb-version", withParts(func(p *parts) { p.version = "20.0\n" })},
		{"AR format without newline", "deb-version", withParts(func(p *parts) { p.version = "2.0" })},
		{"AR format without minor number", "deb-version", withParts(func(p *parts) { p.version = "2\n" })},
		{"AR format after a blank", "deb-version", withParts(func(p *parts) { p.version = " 2.0\n" })},
		{"AR format with CRLF", "deb-version", withParts(func(p *parts) { p.version = "2.0\r\n" })},
		{"AR format empty", "deb-version", withParts(func(p *parts) { p.version = "" })},
		{"AR format of a megabyte", "deb-version", withParts(func(p *parts) { p.version = "2.0\n" + strings.Repeat("x", 1<<20) })},
	}
}
