package auth

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Where users come from.
const (
	SourceLocal = "local" // the password is kept here
	SourceLDAP  = "ldap"  // a directory checks the password
	SourceOIDC  = "oidc"  // an OpenID Connect issuer vouches for the user
)

// A User is a person who logs in with a password.
type User struct {
	Username   string // see ValidUsername
	Email      string // may be ""
	FullName   string // may be ""
	Roles      []Role // as SortRoles returns them
	Active     bool   // others can neither log in nor use their sessions
	AuthSource string // SourceLocal, SourceLDAP or SourceOIDC
	// ExternalID is what the issuer of a SourceOIDC user knows the user by:
	// issuer, a space, subject. No two users share one; "" for other sources.
	ExternalID string
	// PasswordHash is a PHC string, see [Argon2id]; "" but for SourceLocal.
	PasswordHash Secret `json:"-"`
	// TokenVersion stands in each session: when it moves on, the user's
	// sessions end. A new user starts at a random number, so that the
	// sessions of a deleted user are not those of a later one of that name.
	TokenVersion int64
	// KeptSession is the ID of a session that lives on though TokenVersion has
	// moved on: the one in which the user changed the password. "": none.
	KeptSession string
	CreatedAt   time.Time
	LastLogin   time.Time // zero: never
}

// endSessions ends the user's sessions, except that of the ID keep.
func (u *User) endSessions(keep string) {
	u.TokenVersion++
	u.KeptSession = keep
}

// ActiveAdmin reports whether the user can log in and is an administrator.
func (u User) ActiveAdmin() bool { return u.Active && HighestRole(u.Roles) == Admin }

// An APIToken lets a program in. It acts as the user "token:" + Name, with its
// own roles, whatever becomes of its creator.
type APIToken struct {
	ID     string // "tok_" and 12 base62 characters
	Name   string // see ValidTokenName
	Roles  []Role // as SortRoles returns them
	Prefix string // the token's first 12 characters, to know it by
	// Distributions, when not empty, are the only ones that the token may
	// change. Reading is not narrowed.
	Distributions []string
	// Packages, when not empty, are patterns of the only package names that
	// it may change, as CheckPackages has them.
	Packages   []string
	CreatedBy  string // name of the creating principal
	CreatedAt  time.Time
	ExpiresAt  *time.Time // nil: never
	LastUsedAt *time.Time // exact to one minute; nil: never
	// Hash is the SHA-256 of the whole token, 64 lower-case hex digits.
	Hash Secret `json:"-"`
}

// Expired reports whether the token no longer works at a time. It works until
// just before ExpiresAt.
func (t *APIToken) Expired(at time.Time) bool {
	return t.ExpiresAt != nil && !at.Before(*t.ExpiresAt)
}

var (
	usernameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{1,63}$`)
	emailRE    = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+/=?^_{|}~` + "`" + `-]+(\.[A-Za-z0-9!#$%&'*+/=?^_{|}~` + "`" + `-]+)*@` +
		`[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
	tokenNameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$`)
)

// ValidUsername reports whether a user can have the name: 2 to 64 ASCII
// letters, digits, '.', '_', '@' and '-', the first a letter or digit.
func ValidUsername(name string) bool { return usernameRE.MatchString(name) }

// MaxEmail and MaxFullName bound what is said of a user, in bytes and code
// points.
const (
	MaxEmail    = 254
	MaxFullName = 128
)

// ValidEmail reports whether s has the form of an e-mail address: local part
// and domain as RFC 5321 writes them without quotes or comments, in printable
// ASCII, of at most MaxEmail bytes.
func ValidEmail(s string) bool { return len(s) <= MaxEmail && emailRE.MatchString(s) }

// ValidFullName reports whether a user can bear the name: at most MaxFullName
// code points, none of them a control character. It may be empty.
func ValidFullName(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= MaxFullName && !strings.ContainsFunc(s, unicode.IsControl)
}

// FoldEmail returns the form in which e-mail addresses are compared.
func FoldEmail(s string) string { return FoldUsername(s) }

// ValidTokenName reports whether an API token can have the name: 1 to 64 ASCII
// letters, digits, ' ', '.', '_' and '-', the first a letter or digit.
func ValidTokenName(name string) bool { return tokenNameRE.MatchString(name) }

// FoldUsername returns the form in which user names are compared: A to Z in
// lower case. Other characters stay as they are: Unicode would fold the Kelvin
// sign to k, and so one name to another user's.
func FoldUsername(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
