package upstream

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// A Code says what kind of failure a *Failure is.
type Code string

// The codes of failures.
const (
	// Unreachable: the server cannot be reached, is too slow, or does not have
	// what was asked for.
	Unreachable Code = "upstream_unreachable"
	// HashMismatch: a file is not the one that a signed index describes.
	HashMismatch Code = "upstream_hash_mismatch"
	// BadSignature: no key of the source signed the index, or there is no key.
	BadSignature Code = "upstream_bad_signature"
	// Mismatch: a package is not the one that the signed index describes.
	Mismatch Code = "upstream_mismatch"
	// Rejected: the index is signed, but not to be used. See Reason.
	Rejected Code = "upstream_rejected"
)

// A Reason says why an index was rejected.
type Reason string

// The reasons of failures with code Rejected.
const (
	Rollback       Reason = "rollback"        // older than what was seen before
	Expired        Reason = "expired"         // Valid-Until, or MaxAge, has passed
	FutureDate     Reason = "future_date"     // dated more than ten minutes from now
	WrongSuite     Reason = "wrong_suite"     // another suite, codename or origin
	WeakHashes     Reason = "weak_hashes"     // lists nothing with SHA-256
	UnsafeFilename Reason = "unsafe_filename" // a path that leads elsewhere
	TooLarge       Reason = "too_large"       // beyond Limits
	Malformed      Reason = "malformed"       // not what the format allows
)

// A Failure is the error of a source that did not keep its promises. Its texts
// never hold user names or passwords.
type Failure struct {
	Code   Code
	Reason Reason // with Rejected, else ""
	Detail string // one line for the administrator
	err    error
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Reason != "" {
		return fmt.Sprintf("%s (%s): %s", f.Code, f.Reason, f.Detail)
	}
	return fmt.Sprintf("%s: %s", f.Code, f.Detail)
}

// Unwrap returns the error that the failure came from, nil for none.
func (f *Failure) Unwrap() error { return f.err }

func fail(code Code, format string, args ...any) *Failure {
	err := fmt.Errorf(format, args...)
	return &Failure{Code: code, Detail: oneLine(err.Error()), err: errors.Unwrap(err)}
}

const maxDetail = 1000 // bytes

// oneLine makes text from anywhere fit for a log and a database.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), maxDetail)], ""))
	return strings.TrimSpace(text)
}

func reject(reason Reason, format string, args ...any) *Failure {
	f := fail(Rejected, format, args...)
	f.Reason = reason
	return f
}

// isCode reports whether err is a failure with that code.
func isCode(err error, code Code) bool {
	var f *Failure
	return errors.As(err, &f) && f.Code == code
}
