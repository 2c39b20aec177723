package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Kind says what a caller proved to be who it is.
type Kind string

// The kinds of principals.
const (
	KindSession Kind = "session" // a user with a session
	KindToken   Kind = "token"   // a program with an API token
)

// A Principal is an authenticated caller, as the store knew it when the
// request came. The zero Principal is nobody and has no rights.
type Principal struct {
	Kind  Kind
	Name  string // for logs and audit: "admin", "token:gitlab-ci"
	Roles []Role

	// User is set when Kind is KindSession, without PasswordHash; so are
	// SessionID (the claim jti) and ExpiresAt.
	User      *User
	SessionID string
	ExpiresAt time.Time

	// Token is set when Kind is KindToken, without Hash.
	Token *APIToken

	// Publisher is set when Kind is KindPublisher; so are SessionID and
	// ExpiresAt.
	Publisher *Publisher
}

// Scope returns the only distributions that the principal may change; empty:
// all.
func (p Principal) Scope() []string {
	switch {
	case p.Token != nil:
		return p.Token.Distributions
	case p.Publisher != nil:
		return p.Publisher.Distributions
	}
	return nil
}

// Packages returns patterns of the only package names that the principal may
// change, as CheckPackages has them; empty: all.
func (p Principal) Packages() []string {
	switch {
	case p.Token != nil:
		return p.Token.Packages
	case p.Publisher != nil:
		return p.Publisher.Packages
	}
	return nil
}

// String returns the name.
func (p Principal) String() string { return p.Name }

// Has reports whether the principal has all rights of a role.
func (p Principal) Has(r Role) bool { return HighestRole(p.Roles).Includes(r) }

// MayWrite reports whether the principal may change a distribution, as far as
// the scope of its API token goes: it says nothing about roles.
func (p Principal) MayWrite(distribution string) bool {
	switch p.Kind {
	case KindSession:
		return true
	case KindToken:
		return p.Token != nil && p.Token.mayWrite(distribution)
	case KindPublisher:
		return p.Publisher != nil && (len(p.Scope()) == 0 || slices.Contains(p.Scope(), distribution))
	}
	return false
}

// MayName is MayWrite for a package of a name.
func (p Principal) MayName(name string) bool {
	switch {
	case p.Kind == KindSession,
		p.Kind == KindToken && p.Token != nil,
		p.Kind == KindPublisher && p.Publisher != nil:
		return covers(p.Packages(), []string{name}, matches)
	}
	return false
}

func (t *APIToken) mayWrite(distribution string) bool {
	return len(t.Distributions) == 0 || slices.Contains(t.Distributions, distribution)
}

// maxBearer bounds a token; ours are far shorter.
const maxBearer = 8 << 10

// Authenticate returns who holds a session token or API token, given as it
// stands behind "Bearer ". It returns ErrInvalidToken for a token that is not
// valid now, whatever the reason; any other error means that the store failed,
// and nothing about the token.
//
// What has not the form of one of our tokens is refused without asking the
// store. The use of an API token is recorded at most once a minute, in the
// background; see [Service.Close].
func (s *Service) Authenticate(ctx context.Context, bearer string) (Principal, error) {
	if err := s.ready(); err != nil {
		return Principal{}, err
	}
	switch {
	case len(bearer) > maxBearer:
		return Principal{}, fmt.Errorf("%w: too long", ErrInvalidToken)
	case strings.HasPrefix(bearer, tokenPrefix):
		return s.apiToken(ctx, bearer)
	}
	return s.session(ctx, bearer)
}
