package auth

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxPatterns bounds the patterns of package names of one scope.
const maxPatterns = 100

// namePattern is a package name (Debian Policy 5.6.7) and, perhaps, a *.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,127}\*?$`)

// CheckPackages returns a [*ValidationError] for the field packages unless
// patterns are none, or up to 100 that may narrow a token: "acme" stands for
// the package of that name, "acme-*" for all whose names begin with "acme-".
func CheckPackages(patterns []string) error {
	var faults ValidationError
	if len(patterns) > maxPatterns {
		faults.add("packages", "must have 1 to %d items", maxPatterns)
	}
	for i, p := range patterns {
		if !namePattern.MatchString(p) {
			faults.add(fmt.Sprintf("packages[%d]", i),
				"must be a package name (two or more lower-case letters, digits, '+', '-' and '.'), which may have a '*' as its last character")
		}
	}
	if len(faults.Fields) > 0 {
		return &faults
	}
	return nil
}

// matches reports whether text is what a pattern says: the same or, when the
// pattern ends in "*", what begins with the rest of it. A pattern as text matches
// when all that matches it would.
func matches(pattern, text string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(text, prefix)
	}
	return text == pattern
}

// covers reports whether a scope takes in all that another one, wanted, does. An
// empty scope is all.
func covers(scope, wanted []string, takesIn func(item, wanted string) bool) bool {
	if len(scope) == 0 {
		return true
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(scope, func(item string) bool { return takesIn(item, w) }) {
			return false
		}
	}
	return len(wanted) > 0
}
