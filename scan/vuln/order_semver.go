package vuln

import (
	"cmp"
	"strings"
)

// compareSemVer compares as Semantic Versioning 2.0.0 says in chapter 11, and
// as the projects do that keep to it loosely: a "v" in front does not count,
// there may be any number of numbers, and missing ones are zero. What follows
// the numbers without a dash is taken for a pre-release: 1.0rc1.
func compareSemVer(a, b string) int {
	coreA, preA := cutSemVer(a)
	coreB, preB := cutSemVer(b)
	for coreA != "" || coreB != "" {
		var x, y string
		x, coreA, _ = strings.Cut(coreA, ".")
		y, coreB, _ = strings.Cut(coreB, ".")
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	switch {
	case preA == preB:
		return 0
	case preA == "":
		return 1
	case preB == "":
		return -1
	}
	return comparePreRelease(preA, preB)
}

// cutSemVer splits a version into its numbers with dots and its pre-release.
// Build metadata are dropped, "+incompatible" of Go's among them.
func cutSemVer(v string) (core, pre string) {
	v = strings.TrimLeft(v, "v= ")
	v, _, _ = strings.Cut(v, "+")
	end := 0
	for {
		n := digits(v[end:])
		end += n
		if n == 0 || end+1 >= len(v) || v[end] != '.' || !isDigit(v[end+1]) {
			break
		}
		end++
	}
	return v[:end], strings.TrimPrefix(v[end:], "-")
}

func comparePreRelease(a, b string) int {
	for {
		if a == "" || b == "" {
			return cmp.Compare(len(a), len(b))
		}
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareIdentifiers(x, y); c != 0 {
			return c
		}
	}
}

// compareIdentifiers puts numbers before words.
func compareIdentifiers(a, b string) int {
	numA, numB := allDigits(a), allDigits(b)
	switch {
	case numA && numB:
		return compareNumbers(a, b)
	case numA:
		return -1
	case numB:
		return 1
	}
	return strings.Compare(a, b)
}
