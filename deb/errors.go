package deb

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ErrTooLarge is wrapped by the errors that say that a package exceeds one of
// its Limits. The same package may pass under higher limits.
var ErrTooLarge = errors.New("limit exceeded")

// A FormatError says why a package is refused: it is damaged, two programs
// would read it differently, or it exceeds a limit (then errors.Is(err,
// ErrTooLarge)). Trying again with the same bytes is pointless.
type FormatError struct {
	// Reason is a stable token for programs, such as "ar-duplicate-member".
	Reason string
	// Member names the ar member at fault, such as "data.tar.xz". It is "" when
	// the fault is in the archive as a whole, or in text that was parsed alone.
	Member string
	// Detail is for the person who made the package. It holds no path of this
	// machine; what it quotes from the package is escaped and cut.
	Detail string

	cause error
}

// Error returns "member: detail".
func (e *FormatError) Error() string {
	if e.Member == "" {
		return e.Detail
	}
	return e.Member + ": " + e.Detail
}

// Unwrap returns the error behind this one, nil in most cases.
func (e *FormatError) Unwrap() error { return e.cause }

func malformed(reason, format string, args ...any) *FormatError {
	return &FormatError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

func tooLarge(reason, format string, args ...any) *FormatError {
	e := malformed(reason, format, args...)
	e.cause = ErrTooLarge
	return e
}

// inMember names the member in a FormatError that does not say one yet.
func inMember(err error, member string) error {
	var f *FormatError
	if errors.As(err, &f) && f.Member == "" {
		f.Member = member
	}
	return err
}

// quote makes a string from a package fit for an error message: escaped, and
// short.
func quote(s string) string {
	const most = 80
	if len(s) <= most {
		return strconv.QuoteToASCII(s)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.QuoteToASCII(s[:cut]) + "..."
}
