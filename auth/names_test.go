package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestNameMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"acme", "acme", true},
		{"acme", "acme-tool", false},
		{"acme", "acm", false},
		{"acme.1", "acmex1", false},
		{"acme-*", "acme-tool", true},
		{"acme-*", "acme-", true},
		{"acme-*", "acme", false},
		{"acme-*", "xacme-tool", false},
		{"acme-*", "openssl", false},
		{"acme-*", "", false},
		{"", "acme", false},
		// Patterns within patterns.
		{"acme-*", "acme-*", true},
		{"acme-*", "acme-a*", true},
		{"acme-*", "acme*", false},
		{"acme-*", "ac*", false},
		{"acme", "acme*", false},
	} {
		if got := matches(tt.pattern, tt.text); got != tt.want {
			t.Errorf("matches(%q, %q) = %t", tt.pattern, tt.text, got)
		}
	}
}

func TestCheckPackages(t *testing.T) {
	many := slices.Repeat([]string{"acme"}, 101)
	for _, tt := range []struct {
		patterns []string
		field    string // at fault, "" for none
	}{
		{nil, ""},
		{[]string{"acme", "acme-*", "libstdc++6", "0ad", "g++-1.2*", "aa"}, ""},
		{[]string{strings.Repeat("a", 128)}, ""},
		{many[:100], ""},
		{many, "packages"},
		{[]string{"acme", ""}, "packages[1]"},
		{[]string{"*"}, "packages[0]"},
		{[]string{"a*"}, "packages[0]"},
		{[]string{"a"}, "packages[0]"},
		{[]string{"acme**"}, "packages[0]"},
		{[]string{"ac*me"}, "packages[0]"},
		{[]string{"*acme"}, "packages[0]"},
		{[]string{"Acme"}, "packages[0]"},
		{[]string{"-acme"}, "packages[0]"},
		{[]string{"acme_x"}, "packages[0]"},
		{[]string{"acme\n"}, "packages[0]"},
		{[]string{"acme,openssl"}, "packages[0]"},
		{[]string{strings.Repeat("a", 129)}, "packages[0]"},
	} {
		err := CheckPackages(tt.patterns)
		var faults *ValidationError
		if errors.As(err, &faults) != (tt.field != "") || faults != nil && (len(faults.Fields) != 1 || faults.Fields[0].Field != tt.field) {
			t.Errorf("CheckPackages(%.300q) = %v, want a fault of %q", tt.patterns, err, tt.field)
		}
	}
}
