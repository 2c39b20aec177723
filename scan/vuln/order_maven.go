package vuln

import (
	"cmp"
	"strings"
)

// A mavenToken is a number or a qualifier, with what separates it from the one
// before.
type mavenToken struct {
	dash bool // "-", or a change between digits and letters; else "."
	text string
}

func (t mavenToken) number() bool { return allDigits(t.text) }

// null reports whether a token at the end does not count.
func (t mavenToken) null() bool {
	if t.number() {
		return strings.Trim(t.text, "0") == ""
	}
	return t.text == ""
}

// compareMaven compares as the version order specification of Maven's POM
// reference says.
func compareMaven(a, b string) int {
	x, y := parseMaven(a), parseMaven(b)
	for i := range max(len(x), len(y)) {
		if c := compareMavenTokens(mavenAt(x, y, i), mavenAt(y, x, i)); c != 0 {
			return c
		}
	}
	return 0
}

// mavenAt returns a token of x; past its end the null that y's is held against.
func mavenAt(x, y []mavenToken, i int) mavenToken {
	switch {
	case i < len(x):
		return x[i]
	case y[i].number():
		return mavenToken{y[i].dash, "0"}
	}
	return mavenToken{dash: y[i].dash}
}

func compareMavenTokens(a, b mavenToken) int {
	numA, numB := a.number(), b.number()
	switch {
	case numA && numB && a.dash == b.dash:
		return compareNumbers(a.text, b.text)
	case numA && numB:
		if a.dash {
			return -1
		}
		return 1
	case numA:
		return 1
	case numB:
		return -1
	}
	return cmp.Or(cmp.Compare(mavenRank(a.text), mavenRank(b.text)), strings.Compare(a.text, b.text))
}

func mavenRank(qualifier string) int {
	switch qualifier {
	case "alpha":
		return 1
	case "beta":
		return 2
	case "milestone":
		return 3
	case "rc":
		return 4
	case "snapshot":
		return 5
	case "":
		return 6
	case "sp":
		return 7
	}
	return 8
}

func parseMaven(v string) []mavenToken {
	v = strings.ToLower(v)
	var tokens []mavenToken
	dash, start := false, 0
	for i := 0; i <= len(v); i++ {
		separator := i == len(v) || v[i] == '.' || v[i] == '-'
		change := !separator && i > start && isDigit(v[i]) != isDigit(v[i-1])
		if !separator && !change {
			continue
		}
		text := mavenQualifier(v[start:i], change && isDigit(v[i]))
		tokens = append(tokens, mavenToken{dash, text})
		dash, start = change, i
		if separator {
			dash, start = i < len(v) && v[i] == '-', i+1
		}
	}
	return trimMaven(tokens)
}

func mavenQualifier(text string, beforeDigit bool) string {
	switch text {
	case "":
		return "0"
	case "ga", "final", "release":
		return ""
	case "cr":
		return "rc"
	}
	if beforeDigit {
		switch text {
		case "a":
			return "alpha"
		case "b":
			return "beta"
		case "m":
			return "milestone"
		}
	}
	return text
}

// trimMaven removes nulls at the end, and before each dash.
func trimMaven(tokens []mavenToken) []mavenToken {
	for end := len(tokens); end > 0; {
		start := end
		for start > 0 && tokens[start-1].null() {
			start--
		}
		tokens = append(tokens[:start], tokens[end:]...)
		for end = start - 1; end > 0 && !tokens[end].dash; end-- {
		}
	}
	return tokens
}
