package auth

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Bounds of a password's length, in Unicode code points.
const (
	MinPassword = 8
	MaxPassword = 128
)

// A PolicyError lists every rule that a new password breaks. It never holds
// the password.
type PolicyError struct {
	Violations []Violation // at least one
}

// A Violation is one broken rule of the password policy.
type Violation struct {
	// Rule is length, encoding, upper_case, digit_or_symbol, user_name or
	// common.
	Rule    string
	Message string // "must ...": reads on from "the password"
}

func (e *PolicyError) Error() string {
	texts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		texts[i] = v.Message
	}
	return "weak password: it " + strings.Join(texts, "; it ")
}

//go:embed common.txt
var commonText string

// commonPasswords holds, in lower case, the most common passwords which the
// other rules would let pass in some mix of cases.
var commonPasswords = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(commonText) {
		set[strings.TrimSuffix(line, "\n")] = true
	}
	return set
})

// CheckPassword holds a new password of a user against the policy: valid
// UTF-8 of [MinPassword] to [MaxPassword] code points, an upper-case letter, a
// digit or symbol, not the user name, not one of the most common passwords
// (both regardless of case). It returns nil or a [*PolicyError].
//
// A symbol is whatever is no letter, mark or control character, a space too:
// several words make a good password.
func CheckPassword(username, password string) error {
	var e PolicyError
	broken := func(rule, message string) {
		e.Violations = append(e.Violations, Violation{rule, message})
	}
	if n := utf8.RuneCountInString(password); n < MinPassword || n > MaxPassword {
		broken("length", fmt.Sprintf("must have %d to %d characters", MinPassword, MaxPassword))
	}
	if !utf8.ValidString(password) {
		broken("encoding", "must be UTF-8 text")
	}
	if strings.IndexFunc(password, unicode.IsUpper) < 0 {
		broken("upper_case", "must have an upper-case letter")
	}
	if strings.IndexFunc(password, isDigitOrSymbol) < 0 {
		broken("digit_or_symbol", "must have a digit or symbol")
	}
	if strings.EqualFold(password, username) {
		broken("user_name", "must differ from the user name")
	}
	if commonPasswords()[strings.ToLower(password)] {
		broken("common", "must not be one of the most common passwords")
	}
	if len(e.Violations) == 0 {
		return nil
	}
	return &e
}

func isDigitOrSymbol(r rune) bool {
	return r != utf8.RuneError && !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsControl(r)
}
