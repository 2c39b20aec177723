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
	ResetStore
	FactorStore
	PublisherStore

	// Record writes an event that goes with no change: a failed login.
	Record(ctx context.Context, e Event) error
}

// UserStore is the part of [Store] about users. Two names are the same when
// [FoldUsername] makes them so; names come back as they were created.
type UserStore interface {
	// User returns a user by name, or ErrUserNotFound.
	User(ctx context.Context, username string) (User, error)

	// Users returns all users by name, as FoldUsername orders them.
	Users(ctx context.Context) ([]User, error)

	// UserByEmail returns the user with an e-mail address, regardless of the
	// case of ASCII letters, or ErrUserNotFound. Nobody has the address "".
	UserByEmail(ctx context.Context, email string) (User, error)

	// UserByExternalID returns the user with an ExternalID, or
	// ErrUserNotFound. Nobody has "".
	UserByExternalID(ctx context.Context, id string) (User, error)

	// CountUsers counts all users, active or not.
	CountUsers(ctx context.Context) (int, error)

	// CreateUser adds a user. It returns ErrUserExists when the name is in
	// use, or the ExternalID; ErrEmailTaken when another user has the e-mail
	// address.
	CreateUser(ctx context.Context, u User, e Event) error

	// CreateFirstUser is CreateUser in a store without users. When there is
	// any user, whatever its name, it returns ErrUserExists: of servers
	// that start at the same time only one succeeds.
	CreateFirstUser(ctx context.Context, u User, e Event) error

	// EditUser lets edit change a user, and returns the user as it then is.
	// Edit gets a copy, must not block, and is called at most once, perhaps on
	// another goroutine; what it does to Username, ExternalID and CreatedAt is
	// ignored.
	// The event that it returns is recorded with the change, or none when its
	// Action is empty. When PasswordHash changes, all resets of the user end.
	//
	// An error of edit is returned as it is. ErrUserNotFound; ErrEmailTaken;
	// ErrLastAdmin when the user was the last active one with the role Admin
	// and would no longer be, also of concurrent calls. Nothing changes then.
	EditUser(ctx context.Context, username string, edit func(u *User) (Event, error)) (User, error)

	// DeleteUser removes a user. It returns ErrUserNotFound, or ErrLastAdmin
	// as EditUser does.
	DeleteUser(ctx context.Context, username string, e Event) error

	// RecordLogin sets the user's LastLogin, or returns ErrUserNotFound.
	RecordLogin(ctx context.Context, username string, at time.Time, e Event) error

	// Rehash replaces a user's PasswordHash by one of the same password,
	// which is no change to audit. Unless the user has the hash old it does
	// nothing: whoever set another password meanwhile wins.
	Rehash(ctx context.Context, username string, old, hash Secret) error
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

	// Session returns the user of that name, or ErrUserNotFound, and whether
	// RevokeSession was called for the session id: all that a request with a
	// session asks for, in one go.
	Session(ctx context.Context, id, username string) (u User, revoked bool, err error)
}

// A Reset lets whoever has its token set a new password of a user, once.
type Reset struct {
	ID       string // of the request for it
	Username string
	// Hash is the SHA-256 of the token, 64 lower-case hex digits.
	Hash      Secret `json:"-"`
	CreatedAt time.Time
	ExpiresAt time.Time
}

// ResetStore is the part of [Store] about password resets.
type ResetStore interface {
	// CreateReset adds a reset and ends the user's earlier ones, unless the
	// user has had most resets since a time. A reset of that ID that exists
	// already stays as it is. It returns the reset of that ID as it is kept, or
	// ErrInvalidReset when there is none or it has been used or ended.
	CreateReset(ctx context.Context, r Reset, since time.Time, most int) (Reset, error)

	// ResetByHash returns the reset with a hash if it has neither been used
	// nor ended and expires after a time, else ErrInvalidReset.
	ResetByHash(ctx context.Context, hash Secret, at time.Time) (Reset, error)

	// UseReset is EditUser for the user of the reset with a hash, and ends all
	// resets of that user. ErrInvalidReset as for ResetByHash: of concurrent
	// calls one succeeds.
	UseReset(ctx context.Context, hash Secret, at time.Time, edit func(u *User) (Event, error)) error
}

// Actions of events.
const (
	ActionLogin       = "auth.login"
	ActionLogout      = "auth.logout"
	ActionDenied      = "auth.denied"
	ActionUserCreate  = "user.create"
	ActionTokenCreate = "token.create"
	ActionTokenRevoke = "token.revoke"

	ActionPasswordChange       = "auth.password_change"
	ActionPasswordResetRequest = "auth.password_reset_request"
	ActionPasswordReset        = "auth.password_reset"
	ActionUserUpdate           = "user.update"
	ActionUserDelete           = "user.delete"
	ActionUserPasswordReset    = "user.password_reset"
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

	// Messages are what shall be done because of the event, by others and
	// later: the store puts them into an outbox in the same transaction.
	Messages []Message
}

// A Message asks for work. It never holds a password, a token or a hash.
type Message struct {
	Topic   string // one of the Topic constants
	Payload []byte // JSON, as the Topic says
}

// Topics of messages.
const (
	// TopicPasswordReset asks for [Service.IssueReset] and a mail with the
	// token. The payload is a [ResetRequest].
	TopicPasswordReset = "auth.password_reset"
	// TopicPasswordChanged asks for a mail to the user whose password is
	// another now. The payload is {"username": "..."}.
	TopicPasswordChanged = "auth.password_changed"
)
