package vuln

import (
	"cmp"
	"regexp"
	"strings"
)

// pep440 is the pattern of PEP 440's appendix B in our words: epoch, release,
// pre-release, post-release, development release, local version, with all
// spellings that are normalised away.
var pep440 = regexp.MustCompile(`^v?(?:(\d+)!)?(\d+(?:\.\d+)*)` +
	`(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?` +
	`(?:-(\d+)|([-_.]?(?:post|rev|r)[-_.]?(\d*)))?` +
	`([-_.]?dev[-_.]?(\d*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// A pythonVersion is a version in the parts that are compared one after the
// other. Numbers are in words of digits, which may be of any length.
type pythonVersion struct {
	epoch, release string
	stage          int // of the pre-release, see below
	pre            string
	post, dev      string // "" without one
	local          string
}

// The stages. A development release of a final version comes before that
// version's pre-releases.
const (
	stageDev = iota
	stageAlpha
	stageBeta
	stageCandidate
	stageFinal
)

func parsePEP440(s string) (pythonVersion, bool) {
	m := pep440.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return pythonVersion{}, false
	}
	v := pythonVersion{epoch: m[1], release: m[2], stage: stageFinal, pre: m[4], local: m[10]}
	switch m[3] {
	case "a", "alpha":
		v.stage = stageAlpha
	case "b", "beta":
		v.stage = stageBeta
	case "c", "rc", "pre", "preview":
		v.stage = stageCandidate
	}
	switch {
	case m[5] != "":
		v.post = m[5]
	case m[6] != "":
		v.post = cmp.Or(m[7], "0")
	}
	if m[8] != "" {
		v.dev = cmp.Or(m[9], "0")
		if v.stage == stageFinal && v.post == "" {
			v.stage = stageDev
		}
	}
	return v, true
}

// comparePEP440 compares as PEP 440 says. Versions that are none come before
// all others.
func comparePEP440(a, b string) int {
	x, okX := parsePEP440(a)
	y, okY := parsePEP440(b)
	switch {
	case !okX && !okY:
		return strings.Compare(a, b)
	case !okX:
		return -1
	case !okY:
		return 1
	}
	return cmp.Or(
		compareNumbers(x.epoch, y.epoch),
		compareDotted(x.release, y.release),
		cmp.Compare(x.stage, y.stage),
		compareNumbers(x.pre, y.pre),
		compareOptional(x.post, y.post, -1),
		compareOptional(x.dev, y.dev, 1),
		compareLocal(x.local, y.local),
	)
}

// compareDotted compares numbers with dots; missing ones are zero.
func compareDotted(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// compareOptional compares numbers, of which none has the given place: -1
// before all, 1 after all.
func compareOptional(a, b string, none int) int {
	switch {
	case a == "" && b == "":
		return 0
	case a == "":
		return none
	case b == "":
		return -none
	}
	return compareNumbers(a, b)
}

// compareLocal puts numbers after words, and more parts after fewer.
func compareLocal(a, b string) int {
	a, b = separators.ReplaceAllString(a, "."), separators.ReplaceAllString(b, ".")
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		c := compareIdentifiers(x, y)
		if allDigits(x) != allDigits(y) {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}
