package sbom

import (
	"math"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/package-url/packageurl-go"
)

// The limits of texts, in bytes. What is cut off is marked by an ellipsis.
const (
	maxLine        = 1 << 10
	maxParagraph   = 8 << 10
	maxLicenseText = 64 << 10
)

// oneLine returns a text that is fit to be a name or a version.
func oneLine(s string) string { return clean(s, maxLine, false) }

// paragraph returns a text of several lines.
func paragraph(s string) string { return clean(s, maxParagraph, true) }

// clean makes a text from strangers valid UTF-8 without control characters, and
// without those that change the direction of what follows; lines keep their ends
// where several are welcome. It has at most limit bytes and no space around it.
func clean(s string, limit int, lines bool) string {
	if len(s) <= limit && plain(s) {
		return strings.Trim(s, " ")
	}
	s = strings.TrimSpace(cut(s, 2*limit)) // what would be cut off below anyway, or nearly so
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines:
			return r
		case r == '\t', r == '\n', r == '\r':
			return ' '
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f:
			return -1
		}
		return r
	}, s)
	if len(s) > limit {
		s = cut(s, limit-len("…")) + "…"
	}
	return strings.TrimSpace(s)
}

// plain reports whether a text is of printable ASCII characters only.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cut returns at most n bytes of s, and no part of a character if it has any.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for start := n; start > n-utf8.UTFMax && start >= 0; start-- {
		if utf8.RuneStart(s[start]) {
			return s[:start]
		}
	}
	return s[:n] // there are no characters here
}

// classes tells what bytes may be.
var classes = func() (t [256]struct{ uri, hex, lowerHex, alphanumeric bool }) {
	for c := range t {
		digit, lower, upper := '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z'
		t[c].alphanumeric = digit || lower || upper
		t[c].lowerHex = digit || 'a' <= c && c <= 'f'
		t[c].hex = t[c].lowerHex || 'A' <= c && c <= 'F'
		t[c].uri = c > ' ' && c <= '~' && !strings.ContainsRune("\"<>\\^`{|}", rune(c))
	}
	return t
}()

func alphanumeric(c byte) bool { return classes[c].alphanumeric }

// uriBytes reports whether a string has only characters of URIs (RFC 3986), and
// whole escapes.
func uriBytes(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case !classes[c].uri:
			return false
		case c == '%' && (len(s) < i+3 || !classes[s[i+1]].hex || !classes[s[i+2]].hex):
			return false
		}
	}
	return true
}

// isHex reports whether a string is n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if !classes[s[i]].lowerHex {
			return false
		}
	}
	return true
}

// validURL reports whether a string is a URL that may be followed: scripts and
// files of the reader's machine are none.
func validURL(s string) bool { return validURLOf(s, "http", "https", "ftp") }

// validVCS is validURL for repositories.
func validVCS(s string) bool { return validURLOf(s, "http", "https", "git", "ssh", "svn", "ftp") }

// validURLOf allows host names and IPv4 addresses, with a port, and nobody's name
// or password.
func validURLOf(s string, schemes ...string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || len(s) > 2*maxLine || !uriBytes(s) {
		return false
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	host, port, ported := strings.Cut(rest, ":")
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	if !dotted(strings.TrimSuffix(host, "."), "-_") || ported && port == "" {
		return false
	}
	for _, allowed := range schemes {
		if strings.EqualFold(scheme, allowed) {
			return true
		}
	}
	return false
}

// validEmail reports whether a string is a plain address: letters, digits and
// few signs before the at-sign, a host name after it.
func validEmail(s string) bool {
	local, host, ok := strings.Cut(s, "@")
	if !ok || len(s) > 254 || len(local) > 64 || !dotted(local, "!#$%&'*+-/=?^_`{|}~") {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return dotted(host, "-")
}

// dotted reports whether a string is made of letters, digits and the other signs,
// in parts that dots separate.
func dotted(s, others string) bool {
	dot := true
	for i := range len(s) {
		c := s[i]
		if c == '.' && dot {
			return false
		}
		if dot = c == '.'; !dot && !alphanumeric(c) && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return !dot
}

// validPURL reports whether a string has the form of a package URL (ECMA-427): a
// type in lower case, a name, and only characters of URIs.
func validPURL(s string) bool {
	kind, rest, ok := strings.Cut(strings.TrimPrefix(s, "pkg:"), "/")
	if !ok || !strings.HasPrefix(s, "pkg:") || kind == "" || len(s) > 2*maxLine || !uriBytes(s) {
		return false
	}
	for i := range len(kind) {
		if c := kind[i]; !('a' <= c && c <= 'z' || i > 0 && ('0' <= c && c <= '9' || c == '.' || c == '-')) {
			return false
		}
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	name, version, versioned := strings.Cut(rest[strings.LastIndexByte(rest, '/')+1:], "@")
	return name != "" && (!versioned || version != "")
}

// foreignPURL is validPURL for those that strangers gave.
func foreignPURL(s string) bool {
	if !validPURL(s) {
		return false
	}
	_, err := packageurl.FromString(s)
	return err == nil
}

// baseName returns the last element of a path, "" if there is none.
func baseName(s string) string {
	if s = path.Base(oneLine(s)); s == "." || s == ".." || s == "/" {
		return ""
	}
	return s
}

// within returns a number that a scale has, nil otherwise.
func within(f *float64, most float64) *float64 {
	if f == nil || math.IsNaN(*f) || *f < 0 || *f > most {
		return nil
	}
	return f
}
