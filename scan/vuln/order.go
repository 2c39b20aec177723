package vuln

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/repod-io/repod/deb"
)

// An order compares versions: negative, 0 or positive.
type order func(a, b string) int

// CompareVersions compares two versions in the order of an OSV ecosystem, and
// returns -1, 0 or +1. ok is false when the ecosystem's order is not known.
//
// Debian and Ubuntu follow deb-version(7); Go, npm and crates.io Semantic
// Versioning 2.0.0, where parts that are missing are zero and a "v" in front is
// ignored; PyPI follows PEP 440, Maven the version order specification of its POM
// reference. Versions that break the rules have a place in the order all the
// same.
func CompareVersions(ecosystem, a, b string) (c int, ok bool) {
	compare := orderOf(ecosystem)
	if compare == nil {
		return 0, false
	}
	return cmp.Compare(compare(a, b), 0), true
}

func orderOf(ecosystem string) order {
	name, _, _ := strings.Cut(ecosystem, ":")
	switch name {
	case "Debian", "Ubuntu":
		return deb.CompareVersions
	case "Go", "npm", "crates.io":
		return compareSemVer
	case "PyPI":
		return comparePEP440
	case "Maven":
		return compareMaven
	}
	return nil
}

// isOS tells vendors' releases from ecosystems of a language.
func isOS(ecosystem string) bool {
	return strings.HasPrefix(ecosystem, "Debian") || strings.HasPrefix(ecosystem, "Ubuntu")
}

var separators = regexp.MustCompile(`[-_.]+`)

// canonicalName returns the spelling under which an ecosystem compares names.
func canonicalName(ecosystem, name string) string {
	switch ecosystem {
	case "PyPI": // PEP 503
		return strings.ToLower(separators.ReplaceAllString(name, "-"))
	case "npm":
		return strings.ToLower(name)
	}
	return name
}

var goRelease = regexp.MustCompile(`^(?:go)?(\d+\.\d+)(\.\d+)?(?:(beta|rc)(\d+))?(?:[ -].*)?$`)

// canonicalVersion returns the version of a component as OSV writes it. "" is
// returned for what is no version, such as "(devel)" of a Go program.
func canonicalVersion(ecosystem, name, version string) string {
	if ecosystem != "Go" {
		return version
	}
	if strings.HasPrefix(version, "(") {
		return ""
	}
	if m := goRelease.FindStringSubmatch(version); m != nil && (name == "stdlib" || name == "toolchain") {
		v := m[1] + cmp.Or(m[2], ".0")
		if m[3] != "" {
			v += "-" + m[3] + "." + m[4]
		}
		return v
	}
	return strings.TrimPrefix(version, "v")
}

// compareNumbers compares runs of decimal digits of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digits returns how many digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// allDigits reports whether s is a number.
func allDigits(s string) bool { return s != "" && digits(s) == len(s) }
