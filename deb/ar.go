package deb

import (
	"errors"
	"io"
	"strconv"
	"strings"
)

// An ar archive as deb(5) describes it: the common format, names of up to 16
// bytes in the header, one newline after members of odd length.
const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	arHeaderEnd  = "`\n"
)

// arReader reads the members of an ar archive. It consumes not one byte more
// than it was asked for, so that reading the control member leaves what follows
// in the source. Only archives that all programs read alike pass: member sizes
// are plain decimal numbers, there are no tables of long names, padding is there
// and is a newline.
type arReader struct {
	r    io.Reader
	left int64 // of the current member
	odd  bool  // the current member needs padding
}

func newArReader(r io.Reader) (*arReader, error) {
	var magic [len(arMagic)]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil {
		return nil, arReadError(err, "ar-bad-magic", "the file is too short for an ar archive")
	}
	if string(magic[:]) != arMagic {
		return nil, malformed("ar-bad-magic", "the file is not an ar archive")
	}
	return &arReader{r: r}, nil
}

// arReadError turns the end of the input into a FormatError and lets other
// errors pass.
func arReadError(err error, reason, detail string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed(reason, "%s", detail)
	}
	return err
}

// next skips the rest of the current member and returns name and size of the
// next one, and io.EOF after the last.
func (a *arReader) next() (name string, size int64, err error) {
	if err := a.endMember(); err != nil {
		return "", 0, err
	}
	var h [arHeaderSize]byte
	if n, err := io.ReadFull(a.r, h[:]); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return "", 0, io.EOF
		}
		return "", 0, arReadError(err, "ar-trailing-data", "what follows the last member is no member header")
	}
	name, size, err = parseArHeader(string(h[:]))
	if err != nil {
		return "", 0, err
	}
	a.left, a.odd = size, size%2 == 1
	return name, size, nil
}

func (a *arReader) endMember() error {
	if _, err := io.Copy(io.Discard, a); err != nil {
		return err
	}
	if !a.odd {
		return nil
	}
	a.odd = false
	var pad [1]byte
	if _, err := io.ReadFull(a.r, pad[:]); err != nil {
		return arReadError(err, "ar-no-padding", "the padding after a member of odd size is missing")
	}
	if pad[0] != '\n' {
		return malformed("ar-bad-padding", "the padding after a member is %#02x instead of a newline", pad[0])
	}
	return nil
}

// Read reads from the current member.
func (a *arReader) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > a.left {
		p = p[:a.left]
	}
	n, err := a.r.Read(p)
	a.left -= int64(n)
	if a.left > 0 && errors.Is(err, io.EOF) {
		return n, malformed("ar-truncated", "the file ends %d bytes before the member does", a.left)
	}
	if a.left == 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func parseArHeader(h string) (name string, size int64, err error) {
	if h[58:] != arHeaderEnd {
		return "", 0, malformed("ar-bad-header", "a member header does not end in a backquote and a newline")
	}
	// Date, owner, group and mode say nothing in a package, but they are
	// numbers or blank in every archive that a program wrote.
	for _, field := range []string{h[16:28], h[28:34], h[34:40], h[40:48]} {
		if !arNumber(field) && strings.Trim(field, " ") != "" {
			return "", 0, malformed("ar-bad-header", "a member header has %s where a number should be", quote(field))
		}
	}
	field := h[48:58]
	if !arNumber(field) {
		return "", 0, malformed("ar-bad-size", "a member's size is %s", quote(field))
	}
	size, err = strconv.ParseInt(strings.TrimRight(field, " "), 10, 64)
	if err != nil {
		return "", 0, malformed("ar-bad-size", "a member's size is %s", quote(field))
	}
	name, err = arName(h[:16])
	return name, size, err
}

// arNumber reports whether a field holds decimal digits, then blanks.
func arNumber(field string) bool {
	digits := strings.TrimRight(field, " ")
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return false
		}
	}
	return digits != ""
}

// arName takes blanks and the one slash off that GNU ar puts after a name, as
// dpkg does, and refuses the entries that hold longer names elsewhere.
func arName(field string) (string, error) {
	name := strings.TrimRight(field, " ")
	if strings.HasPrefix(name, "/") || strings.HasPrefix(name, "#1/") || strings.HasPrefix(name, "__.SYMDEF") {
		return "", malformed("ar-long-name", "tables of symbols or long names are not allowed: %s", quote(name))
	}
	name = strings.TrimSuffix(name, "/")
	if name == "" {
		return "", malformed("ar-bad-name", "a member has no name")
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || c == '/' {
			return "", malformed("ar-bad-name", "character %q in the member name %s", c, quote(name))
		}
	}
	return name, nil
}
