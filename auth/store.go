package auth

import (
	"context"
	"time"
)

// Store keeps users, API tokens and ended sessions. Package sqlstore
// implements it on SQLite and PostgreSQL; authtest.RunStore checks an
// implementation.
//
// Methods may be called concurrently, by several servers on one database. Each
// is one transaction: when it returns nil its change is durable and seen by
// every later call, when it returns an error nothing has changed. A method
// given an [Event] writes it in that transaction, so that there is no change
// without its audit entry and no entry without its change; package sqlstore
// appends it to the hash-chained audit log of package aptrepo.
//
// Besides the errors named at each method, one may return any other, which
// means that the store failed; the errors named match with [errors.Is].
//
// Times are kept to the second at least, and come back in UTC.
type Store interface {
	UserStore
	TokenStore
	SessionStore

	// Record writes an event that goes with no change: a failed login.
	Record(ctx context.Context, e Event) error
}

// UserStore is the part of [Store] about users. Two names are the same when
// [FoldUsername] makes them so; names come back as they were created.
type UserStore interface {
	// User returns a user by name, or ErrUserNotFound.
	User(ctx context.Context, username string) (User, error)

	// CountUsers counts all users, active or not.
	CountUsers(ctx context.Context) (int, error)

	// CreateUser adds a user. It returns ErrUserExists when the name is in
	// use.
	CreateUser(ctx context.Context, u User, e Event) error

	// CreateFirstUser is CreateUser in a store without users. When there is
	// any user, whatever its name, it returns ErrUserExists: of servers
	// that start at the same time only one succeeds.
	CreateFirstUser(ctx context.Context, u User, e Event) error

	// RecordLogin sets the user's LastLogin, or returns ErrUserNotFound.
	RecordLogin(ctx context.Context, username string, at time.Time, e Event) error

	// Rehash replaces a user's PasswordHash by one of the same password,
	// which is no change to audit. Unless the user has the hash old it does
	// nothing: whoever set another password meanwhile wins.
	Rehash(ctx context.Context, username string, old, hash Secret) error

	// EndSessions adds one to the user's TokenVersion, or returns
	// ErrUserNotFound.
	EndSessions(ctx context.Context, username string, e Event) error
}

// TokenStore is the part of [Store] about API tokens.
type TokenStore interface {
	// TokenByHash returns the token whose Hash is hash, expired or not, or
	// ErrTokenNotFound.
	TokenByHash(ctx context.Context, hash Secret) (APIToken, error)

	// Tokens returns all tokens, expired ones too, newest first (by
	// CreatedAt, then by ID).
	Tokens(ctx context.Context) ([]APIToken, error)

	// CreateToken adds a token. It returns ErrTokenNameTaken when another
	// of exactly this Name is unexpired at t.CreatedAt; of concurrent calls
	// for one name only one succeeds.
	CreateToken(ctx context.Context, t APIToken, e Event) error

	// RevokeToken removes a token, or returns ErrTokenNotFound.
	RevokeToken(ctx context.Context, id string, e Event) error

	// TouchToken sets a token's LastUsedAt unless it is later already. A
	// token that is gone is no error.
	TouchToken(ctx context.Context, id string, at time.Time) error
}

// SessionStore is the part of [Store] about sessions that ended early.
type SessionStore interface {
	// RevokeSession ends a session before its time. Revoking one again
	// changes nothing but is recorded. After the time until, when the
	// session has expired, the store may forget it.
	RevokeSession(ctx context.Context, id string, until time.Time, e Event) error

	// SessionRevoked reports whether RevokeSession was called for id.
	SessionRevoked(ctx context.Context, id string) (bool, error)
}

// Actions of events.
const (
	ActionLogin       = "auth.login"
	ActionLogout      = "auth.logout"
	ActionDenied      = "auth.denied"
	ActionUserCreate  = "user.create"
	ActionTokenCreate = "token.create"
	ActionTokenRevoke = "token.revoke"
)

// Results of events.
const (
	ResultSuccess = "success"
	ResultFailure = "failure"
	ResultDenied  = "denied"
)

// An Event is an entry for the audit log. It never holds a password, a token
// or a hash.
type Event struct {
	Time      time.Time // UTC, whole seconds
	Action    string    // one of the Action constants
	User      string    // who: "admin", "token:ci", "system", "anonymous"
	IP        string    // client address, "" for scheduled work
	Result    string    // one of the Result constants
	Target    string    // whom or what it is about, may be ""
	Detail    string    // for people, may be ""
	RequestID string    // may be ""
}
