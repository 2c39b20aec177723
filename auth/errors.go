package auth

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors which callers tell apart with [errors.Is]. None of their texts tells
// more than its name.
var (
	// ErrInvalidCredentials is the one answer to a login that failed, be it
	// for the password, an unknown name or a deactivated user.
	ErrInvalidCredentials = errors.New("invalid user name or password")
	// ErrInvalidToken is the one answer to a session or API token that is
	// malformed, forged, expired, revoked, or whose user is gone.
	ErrInvalidToken = errors.New("invalid token")

	ErrUserNotFound = errors.New("no such user")
	ErrUserExists   = errors.New("user exists")
	// ErrEmailTaken: no two users share an e-mail address.
	ErrEmailTaken = errors.New("another user has this e-mail address")
	// ErrLastAdmin: somebody must be left who can administrate.
	ErrLastAdmin = errors.New("no active administrator would be left")
	// ErrDeleteSelf: nobody can delete the user that the own session is of.
	ErrDeleteSelf = errors.New("nobody can delete himself")
	// ErrWrongPassword: the current password, asked for again, is another.
	ErrWrongPassword = errors.New("wrong password")
	// ErrInvalidReset is the one answer to a reset token that is unknown, used,
	// ended or expired.
	ErrInvalidReset = errors.New("invalid reset token")

	ErrTokenNotFound  = errors.New("no such API token")
	ErrTokenNameTaken = errors.New("an API token of this name is in use")

	// ErrRoleTooHigh: nobody may give a role above the own.
	ErrRoleTooHigh = errors.New("role above the creator's")
	// ErrTokenScope: an API token narrowed to some distributions may not
	// act on others, nor create a token that could.
	ErrTokenScope = errors.New("outside the distributions of the API token")
	// ErrTokenPackages is the same for package names.
	ErrTokenPackages = errors.New("outside the package names of the API token")
	// ErrTokenNotAllowed: what was asked needs a session, not an API token.
	ErrTokenNotAllowed = errors.New("not possible with an API token")
)

// A ThrottledError refuses a login unchecked: after too many failures, or
// because too many other logins are waiting to be checked.
type ThrottledError struct {
	RetryAfter time.Duration // whole seconds, at least one
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many login attempts, try again in %d s", int64(e.RetryAfter/time.Second))
}

// throttled rounds a wait up, so that a client which waits so long gets through.
func throttled(wait time.Duration) *ThrottledError {
	return &ThrottledError{RetryAfter: max(wait+time.Second-1, time.Second).Truncate(time.Second)}
}

// A FieldError is what is wrong with one part of a request.
type FieldError struct {
	Field   string // "name", "roles[0]"
	Message string // "must be ...": reads on from the field's name
}

// A ValidationError lists every invalid field of a request. It holds at least
// one.
type ValidationError struct {
	Fields []FieldError
}

func (e *ValidationError) add(field, format string, args ...any) {
	e.Fields = append(e.Fields, FieldError{field, fmt.Sprintf(format, args...)})
}

// addFaults adds those that a check, whose error is err, has found.
func (e *ValidationError) addFaults(err error) {
	var found *ValidationError
	if errors.As(err, &found) {
		e.Fields = append(e.Fields, found.Fields...)
	}
}

func (e *ValidationError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		texts[i] = f.Field + " " + f.Message
	}
	return "invalid: " + strings.Join(texts, "; ")
}
