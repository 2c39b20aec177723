package deb

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// MaxVersionLength bounds the spelling of a version, in bytes. It is what a
// file name can hold; the longest version in Debian has about 90 bytes.
const MaxVersionLength = 255

// A Version is a package's version number, as in Debian Policy 5.6.12 and
// deb-version(7): [epoch:]upstream[-revision].
//
// It is a small immutable value. == tells whether two versions are spelled
// alike; Compare tells whether dpkg regards them as equal, which 1.0, 0:1.0
// and 1.0-0 are. The zero Version is no version: its String is "".
type Version struct {
	text     string
	upstream int // where the upstream version starts in text
	revision int // where the revision starts, len(text)+1 when there is none
	epoch    uint32
}

// ParseVersion reads a version number. It accepts what dpkg accepts in a
// package to be installed: an epoch of decimal digits up to 2147483647, an
// upstream version that starts with a digit and consists of ASCII letters,
// digits and ".+-~:", a revision of letters, digits and ".+~". Surrounding
// blanks, an epoch with a sign (which dpkg lets pass) and versions longer than
// MaxVersionLength are refused. Nothing it accepts holds "/", "_", a blank or a
// control character, so a version can be part of a file name or URL path.
func ParseVersion(s string) (Version, error) {
	v, err := parseVersion(s)
	if err != nil {
		return Version{}, fmt.Errorf("version %s: %w", quote(s), err)
	}
	return v, nil
}

func parseVersion(s string) (Version, error) {
	if s == "" {
		return Version{}, errors.New("is empty")
	}
	if len(s) > MaxVersionLength {
		return Version{}, fmt.Errorf("is longer than %d bytes", MaxVersionLength)
	}
	v := Version{text: s, revision: len(s) + 1}
	if colon := strings.IndexByte(s, ':'); colon >= 0 {
		epoch, err := parseEpoch(s[:colon])
		if err != nil {
			return Version{}, err
		}
		v.epoch, v.upstream = epoch, colon+1
	}
	if dash := strings.LastIndexByte(s[v.upstream:], '-'); dash >= 0 {
		v.revision = v.upstream + dash + 1
	}
	return v, v.check()
}

func parseEpoch(s string) (uint32, error) {
	if s == "" {
		return 0, errors.New("epoch is empty")
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, errors.New("epoch is not a number")
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxInt32 {
		return 0, errors.New("epoch is too big")
	}
	return uint32(n), nil
}

func (v Version) check() error {
	up, rev := v.Upstream(), v.Revision()
	switch {
	case up == "":
		return errors.New("upstream version is empty")
	case !isDigit(up[0]):
		return errors.New("upstream version does not start with a digit")
	case v.revision <= len(v.text) && rev == "":
		return errors.New("revision is empty")
	}
	for i := range len(up) {
		if versionOrder[up[i]] == 0 && !isDigit(up[i]) {
			return fmt.Errorf("character %q is not allowed", up[i])
		}
	}
	for i := range len(rev) {
		if c := rev[i]; (versionOrder[c] == 0 && !isDigit(c)) || c == ':' {
			return fmt.Errorf("character %q is not allowed in a revision", c)
		}
	}
	return nil
}

// String returns the version as it was written.
func (v Version) String() string { return v.text }

// IsZero reports whether v is the zero Version.
func (v Version) IsZero() bool { return v.text == "" }

// Epoch returns the number before the first colon, 0 when there is none.
func (v Version) Epoch() uint32 { return v.epoch }

// Upstream returns the part between the epoch and the last dash.
func (v Version) Upstream() string {
	return v.text[v.upstream:max(v.upstream, v.revision-1)]
}

// Revision returns the part after the last dash, "" when there is none.
func (v Version) Revision() string {
	if v.revision > len(v.text) {
		return ""
	}
	return v.text[v.revision:]
}

// WithoutEpoch returns the version as file names hold it (Policy 5.6.12 leaves
// the epoch out of them).
func (v Version) WithoutEpoch() string { return v.text[v.upstream:] }

// Compare returns -1, 0 or +1 as v is earlier than, equal to or later than w
// in dpkg's order. The zero Version is earlier than any other. It does not
// allocate.
func (v Version) Compare(w Version) int {
	switch {
	case v.text == w.text:
		return 0
	case v.text == "":
		return -1
	case w.text == "":
		return 1
	case v.epoch < w.epoch:
		return -1
	case v.epoch > w.epoch:
		return 1
	}
	if c := comparePart(v.Upstream(), w.Upstream()); c != 0 {
		return c
	}
	return comparePart(v.Revision(), w.Revision())
}

// CompareVersions compares two versions by their spelling, as Version.Compare
// does, without allocating. It does not check them: strings that ParseVersion
// refuses get a place in the order that is consistent but has no meaning.
func CompareVersions(a, b string) int {
	if a == b {
		return 0
	}
	ea, a := cutEpoch(a)
	eb, b := cutEpoch(b)
	if ea != "" || eb != "" {
		if c := compareDigits(trimZeros(ea), trimZeros(eb)); c != 0 {
			return c
		}
	}
	ua, ra := cutRevision(a)
	ub, rb := cutRevision(b)
	if c := comparePart(ua, ub); c != 0 {
		return c
	}
	return comparePart(ra, rb)
}

// cutEpoch splits the epoch off. A version rarely has one, and then the first
// character that is not a digit says so.
func cutEpoch(s string) (epoch, rest string) {
	for i := range len(s) {
		if s[i] == ':' {
			return s[:i], s[i+1:]
		}
		if !isDigit(s[i]) {
			break
		}
	}
	return "", s
}

func cutRevision(s string) (upstream, revision string) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '-' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// versionOrder is the weight of a character outside runs of digits: the tilde
// sorts before the end of the string (0), letters before everything else.
// Bytes that no version may hold weigh 0 as digits do.
var versionOrder = func() (order [256]int16) {
	for c := 'a'; c <= 'z'; c++ {
		order[c] = int16(c)
		order[c-'a'+'A'] = int16(c - 'a' + 'A')
	}
	for _, c := range "+-.:" {
		order[c] = int16(c) + 256
	}
	order['~'] = -1
	return order
}()

// comparePart is the algorithm of deb-version(7): runs of other characters
// by weight and runs of digits by value, in turns.
func comparePart(a, b string) int {
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		for (i < len(a) && !isDigit(a[i])) || (j < len(b) && !isDigit(b[j])) {
			if c := weight(a, i) - weight(b, j); c != 0 {
				return sign(c)
			}
			i, j = min(i+1, len(a)), min(j+1, len(b))
		}
		for i < len(a) && a[i] == '0' {
			i++
		}
		for j < len(b) && b[j] == '0' {
			j++
		}
		first := 0
		for i < len(a) && j < len(b) && isDigit(a[i]) && isDigit(b[j]) {
			if first == 0 {
				first = int(a[i]) - int(b[j])
			}
			i++
			j++
		}
		switch {
		case i < len(a) && isDigit(a[i]):
			return 1
		case j < len(b) && isDigit(b[j]):
			return -1
		case first != 0:
			return sign(first)
		}
	}
	return 0
}

func weight(s string, i int) int {
	if i < len(s) {
		return int(versionOrder[s[i]])
	}
	return 0
}

// compareDigits compares decimal numbers without leading zeros.
func compareDigits(a, b string) int {
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

func trimZeros(s string) string {
	for len(s) > 0 && s[0] == '0' {
		s = s[1:]
	}
	return s
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
