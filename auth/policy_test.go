package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCheckPassword(t *testing.T) {
	for _, tt := range []struct {
		name, password string
		rules          []string
	}{
		{"admin", "Admin1234!", nil},
		{"admin", "Correct horse battery", nil}, // a space is a symbol
		{"admin", "Über-long", nil},
		{"admin", "ÀÉÎÕÜßñç1", nil}, // 9 code points, 17 bytes
		{"admin", strings.Repeat("Aé1", 42) + "xy", nil},
		{"admin", strings.Repeat("Aé1", 42) + "xyz", []string{"length"}},
		{"admin", "Abcdef1", []string{"length"}},
		{"admin", "ÀÉÎÕÜß1", []string{"length"}}, // 7 code points, 13 bytes
		{"admin", "", []string{"length", "upper_case", "digit_or_symbol"}},
		{"admin", "abcdefgh", []string{"upper_case", "digit_or_symbol"}},
		{"admin", "ABCDEFGH", []string{"digit_or_symbol"}},
		{"admin", "abcdefk1", []string{"upper_case"}},
		{"admin", "Abcdefge\u0301", []string{"digit_or_symbol"}}, // a combining accent is no symbol
		{"admin", "Abcdefg\x00", []string{"digit_or_symbol"}},
		{"admin", "Abcdefgh\xff", []string{"encoding", "digit_or_symbol"}},
		{"J.Smith-1", "j.sMITH-1", []string{"user_name"}},
		{"J.Smith-1", "J.Smith-12", nil},
		{"admin", "Password1", []string{"common"}},
		{"admin", "P@SSW0RD", []string{"common"}},
		{"admin", "qwerty123", []string{"upper_case", "common"}},
		{"Welcome1", "wELCOME1", []string{"user_name", "common"}},
	} {
		err := CheckPassword(tt.name, tt.password)
		var rules []string
		if e := (*PolicyError)(nil); errors.As(err, &e) {
			for _, v := range e.Violations {
				rules = append(rules, v.Rule)
				if !strings.HasPrefix(v.Message, "must ") {
					t.Errorf("message of %s is %q", v.Rule, v.Message)
				}
			}
			if tt.password != "" && strings.Contains(err.Error(), tt.password) {
				t.Errorf("the error tells the password: %v", err)
			}
		}
		if !slices.Equal(rules, tt.rules) {
			t.Errorf("CheckPassword(%q, %q) finds %q, want %q", tt.name, tt.password, rules, tt.rules)
		}
	}
}

// An entry that the other rules refuse in each mix of cases is no use, and one
// that is not in lower case is never found.
func TestCommonPasswords(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(commonText, "\n"), "\n")
	if len(lines) < 500 {
		t.Errorf("only %d entries", len(lines))
	}
	seen := map[string]bool{}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n < MinPassword || n > MaxPassword ||
			line != strings.ToLower(line) || line != strings.TrimSpace(line) ||
			strings.IndexFunc(line, unicode.IsLetter) < 0 || strings.IndexFunc(line, isDigitOrSymbol) < 0 {
			t.Errorf("useless entry %q", line)
		}
		if seen[line] {
			t.Errorf("repeated entry %q", line)
		}
		seen[line] = true
		e := (*PolicyError)(nil)
		if !errors.As(CheckPassword("nobody", line), &e) || e.Violations[len(e.Violations)-1].Rule != "common" {
			t.Errorf("%q is not found", line)
		}
	}
}
