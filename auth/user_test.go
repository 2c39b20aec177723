package auth_test

import (
	"strings"
	"testing"

	"github.com/repod-io/repod/auth"
)

func TestFoldUsername(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"AZaz09._@-":                 "azaz09._@-",
		"@[`{":                       "@[`{", // the neighbours of letters
		"\u212A\u00C4\xff":           "\u212A\u00C4\xff",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ": "abcdefghijklmnopqrstuvwxyz",
	} {
		if got := auth.FoldUsername(in); got != want {
			t.Errorf("FoldUsername(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestValidNames(t *testing.T) {
	for _, tt := range []struct {
		name        string
		user, token bool
	}{
		{"ab", true, true},
		{"a", false, true},
		{"", false, false},
		{"9.x_y-z", true, true},
		{"j@example.com", true, false},
		{"my token", false, true},
		{".ab", false, false},
		{"-ab", false, false},
		{"../x", false, false},
		{"a/b", false, false},
		{"a%2e", false, false},
		{"a;b", false, false},
		{"ab\r\n", false, false},
		{"ab\n", false, false},
		{"a\x00b", false, false},
		{"\u0430dmin", false, false},
		{"admin\u200b", false, false},
		{"token:ci", false, false},
		{strings.Repeat("x", 64), true, true},
		{strings.Repeat("x", 65), false, false},
		{strings.Repeat("x", 256), false, false},
	} {
		if got := auth.ValidUsername(tt.name); got != tt.user {
			t.Errorf("ValidUsername(%q) = %t", tt.name, got)
		}
		if got := auth.ValidTokenName(tt.name); got != tt.token {
			t.Errorf("ValidTokenName(%q) = %t", tt.name, got)
		}
	}
}
