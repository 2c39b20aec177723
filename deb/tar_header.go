package deb

import (
	"bytes"
	"strings"
)

// Magic and version of the formats that dpkg reads.
const (
	tarMagicPOSIX = "ustar\x0000"
	tarMagicGNU   = "ustar  \x00"
	tarMagicV7    = "\x00\x00\x00\x00\x00\x00\x00\x00"
)

func parseTarHeader(b []byte) (h tarHeader, err error) {
	if err := checkTarSum(b); err != nil {
		return h, err
	}
	h.typeflag = b[156]
	for _, f := range []struct {
		value *int64
		field []byte
		what  string
	}{
		{&h.mode, b[100:108], "mode"},
		{&h.uid, b[108:116], "owner"},
		{&h.gid, b[116:124], "group"},
		{&h.size, b[124:136], "size"},
		{&h.mtime, b[136:148], "time"},
	} {
		if *f.value, err = tarNumber(f.field, f.what); err != nil {
			return h, err
		}
	}
	for _, f := range []struct {
		value *string
		field []byte
	}{{&h.name, b[:100]}, {&h.link, b[157:257]}, {&h.owner, b[265:297]}, {&h.group, b[297:329]}} {
		if *f.value, err = tarText(f.field); err != nil {
			return h, err
		}
	}
	return h, h.applyFormat(b)
}

// applyFormat regards what depends on the header's format: POSIX has room for
// the front of a long path, where the others have something else.
func (h *tarHeader) applyFormat(b []byte) error {
	switch string(b[257:265]) {
	case tarMagicGNU:
	case tarMagicV7:
		h.owner, h.group = "", ""
	case tarMagicPOSIX:
		if string(b[508:512]) == "tar\x00" {
			return malformed("tar-format", "archives of star are not allowed")
		}
		prefix, err := tarText(b[345:500])
		if err != nil {
			return err
		}
		if prefix != "" {
			h.name = prefix + "/" + h.name
		}
	default:
		return malformed("tar-format", "unknown archive format %s", quote(string(b[257:265])))
	}
	return nil
}

// checkTarSum verifies a header's checksum: the sum of its bytes, with blanks
// in place of the checksum.
func checkTarSum(b []byte) error {
	want, err := tarNumber(b[148:156], "checksum")
	if err != nil {
		return err
	}
	sum := int64(8 * ' ')
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	if sum != want {
		return malformed("tar-checksum", "the checksum of a header is wrong")
	}
	return nil
}

// tarNumber reads a number: octal digits with blanks before and a blank or NUL
// after, or GNU's binary form, whose first bit is set. Negative numbers and
// those over 63 bits are refused, and an empty size or checksum.
func tarNumber(field []byte, what string) (int64, error) {
	if field[0]&0x80 != 0 {
		return tarBinary(field, what)
	}
	digits := bytes.TrimRight(bytes.TrimLeft(field, " "), " \x00")
	if len(digits) == 0 && what != "size" && what != "checksum" {
		return 0, nil
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '7' {
			digits = nil
			break
		}
		n = n<<3 | int64(c-'0') // at most 12 digits
	}
	if len(digits) == 0 {
		return 0, malformed("tar-number", "an entry's %s is %s", what, quote(string(field)))
	}
	return n, nil
}

func tarBinary(field []byte, what string) (int64, error) {
	n := uint64(field[0] & 0x7f)
	overflow := n&0x40 != 0 // the sign
	for _, c := range field[1:] {
		overflow = overflow || n>>55 != 0
		n = n<<8 | uint64(c)
	}
	if overflow {
		return 0, malformed("tar-number", "an entry's %s is negative or too big", what)
	}
	return int64(n), nil
}

// tarText returns a field up to its first NUL. What follows must be NULs:
// programs may keep it otherwise.
func tarText(field []byte) (string, error) {
	s := string(bytes.TrimRight(field, "\x00"))
	if strings.IndexByte(s, 0) >= 0 {
		return "", malformed("tar-nul", "a NUL within the name %s", quote(s))
	}
	return s, nil
}
