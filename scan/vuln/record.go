package vuln

import (
	"hash/fnv"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/repod-io/repod/scan"
)

// A vulnID is a vulnerability in a number: year<<40 and number of a CVE, or the
// hash of another name with the top bit set. Names without a CVE are few, so
// that 63 bits tell them apart.
type vulnID uint64

const notCVE vulnID = 1 << 63

func makeVulnID(name string) vulnID {
	if id, ok := parseCVE(name); ok {
		return id
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return vulnID(h.Sum64()) | notCVE
}

// parseCVE reads "CVE-2024-1234". The number has four digits or more, and no
// more zeros in front than that takes.
func parseCVE(name string) (vulnID, bool) {
	rest, ok := strings.CutPrefix(name, "CVE-")
	year, number, dash := strings.Cut(rest, "-")
	if !ok || !dash || len(year) != 4 || len(number) < 4 || len(number) > 12 || len(number) > 4 && number[0] == '0' {
		return 0, false
	}
	y, errY := strconv.ParseUint(year, 10, 16)
	n, errN := strconv.ParseUint(number, 10, 40)
	return vulnID(y<<40 | n), errY == nil && errN == nil
}

func (v vulnID) isCVE() bool { return v&notCVE == 0 }

// String returns the CVE's name, "" if v is none.
func (v vulnID) String() string {
	if !v.isCVE() {
		return ""
	}
	number := strconv.FormatUint(uint64(v)&(1<<40-1), 10)
	return "CVE-" + strconv.FormatUint(uint64(v)>>40, 10) + "-" + strings.Repeat("0", max(0, 4-len(number))) + number
}

// A bound says how an interval of affected versions ends.
type bound byte

const (
	open      bound = iota // there is no fix
	fixedAt                // before the version
	lastKnown              // with the version
)

// An interval holds the versions from from ("": the first) to where it ends.
type interval struct {
	from, to string
	end      bound
}

// A plan is what a vendor means to do about a flaw that has no fix.
type plan byte

const (
	planFix plan = iota
	planDefer
	planIgnore
	planEnded // the release, or its support for the package, has ended
	planInvestigate
)

// A row says which versions of one package a record calls affected. Vulns are
// the vulnerabilities that it is about.
type row struct {
	vulns     []vulnID
	intervals []interval
	versions  []string
	plan      plan
	rating    rating // the vendor's, for this package
	note      string
	ref       ref
}

// A ref is where a detail lies in its segment.
type ref struct{ offset, size uint64 }

func (r row) encode() []byte {
	var e encoder
	e.byte(byte(r.plan))
	e.byte(byte(r.rating))
	e.uint(r.ref.offset)
	e.uint(r.ref.size)
	e.uint(uint64(len(r.vulns)))
	for _, v := range r.vulns {
		e.uint(uint64(v))
	}
	e.uint(uint64(len(r.intervals)))
	for _, i := range r.intervals {
		e.byte(byte(i.end))
		e.string(i.from)
		e.string(i.to)
	}
	e.strings(r.versions)
	e.string(r.note)
	return e.b
}

func (r *row) decode(s string) error {
	d := decoder{s: s}
	r.plan, r.rating = plan(d.byte()), rating(d.byte())
	r.ref = ref{d.uint(), d.uint()}
	r.vulns = r.vulns[:0]
	for range d.count() {
		r.vulns = append(r.vulns, vulnID(d.uint()))
	}
	r.intervals = r.intervals[:0]
	for range d.count() {
		end := bound(d.byte())
		r.intervals = append(r.intervals, interval{end: end, from: d.string(), to: d.string()})
	}
	r.versions, r.note = d.strings(), d.string()
	return d.err
}

// A detail is what a record says beside versions, for people.
type detail struct {
	id          string
	aliases     []string // other names of the same, CVEs left out
	description string
	urls        []string
	score       score
	rating      rating // the record's own, which counts for less than a score
}

func (t detail) encode() []byte {
	var e encoder
	e.string(t.id)
	e.strings(t.aliases)
	e.string(t.description)
	e.strings(t.urls)
	e.uint(uint64(t.score))
	e.byte(byte(t.rating))
	return e.b
}

func decodeDetail(s string) (detail, error) {
	d := decoder{s: s}
	t := detail{id: d.string(), aliases: d.strings(), description: d.string(), urls: d.strings()}
	t.score, t.rating = score(d.uint()), rating(d.byte())
	return t, d.err
}

// Bounds on what people write, in bytes. Longer text is cut, more names and
// addresses are left out.
const (
	maxDescription = 4096
	maxNote        = 512
	maxID          = 128
	maxAliases     = 64
	maxURLs        = 16
	maxURL         = 1024
	maxName        = 512
	maxVersion     = 255
)

// validID accepts the names that databases give, which end up in addresses and
// on pages.
func validID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', i > 0 && strings.IndexByte("-_.:+", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// validWord accepts names and versions of packages: no blanks, no control
// characters.
func validWord(s string, limit int) bool {
	return s != "" && len(s) <= limit && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) })
}

// validURL accepts addresses that are safe to follow.
func validURL(s string) bool {
	return (strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")) && validWord(s, maxURL)
}

// plain makes text from outside fit to be shown: valid UTF-8 without control
// characters but line ends, no longer than limit.
func plain(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	s = strings.ToValidUTF8(s, "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s))
}

// A rating is a severity in words. The zero rating is none.
type rating byte

const (
	unrated rating = iota
	negligible
	low
	medium
	high
	critical
	// unimportant is Debian's word for what has no effect on security.
	unimportant
)

func (r rating) severity() scan.Severity {
	switch r {
	case negligible, unimportant:
		return scan.Negligible
	case low:
		return scan.Low
	case medium:
		return scan.Medium
	case high:
		return scan.High
	case critical:
		return scan.Critical
	}
	return scan.Unknown
}

// parseRating reads the words of Debian (where old data mark guesses with
// stars), Ubuntu and GitHub. Words that say nothing yet are unrated.
func parseRating(word string) rating {
	switch strings.ToLower(strings.TrimRight(word, "*")) {
	case "unimportant":
		return unimportant
	case "negligible":
		return negligible
	case "low":
		return low
	case "medium", "moderate":
		return medium
	case "high", "important":
		return high
	case "critical":
		return critical
	}
	return unrated
}
