package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxPasswordBytes bounds what is hashed. The longest password that the policy
// lets pass has half of that.
const maxPasswordBytes = 1024

// Login checks a password and begins a session. It returns the session's token
// and how long that lasts.
//
// Local users come first. A name that is not of one goes to the Directory,
// when there is one: its first login creates a user, every login takes over
// the roles. Login returns ErrDirectoryUnavailable when only that could tell.
//
// It returns ErrInvalidCredentials when the user is unknown, inactive, or the
// password is another: without a Directory these take the same time. It returns a
// [*ThrottledError], without checking, when the user name has failed 5 times
// in a row from the client's address, or the address 20 times, and the wait
// after the last failure is not over: 1 s, doubled with each further failure
// up to 15 minutes. An IPv6 address counts as its /64. Failures lapse after an
// hour; a success clears those of the user name from that address; servers with
// the same Failures count together. Login also
// returns a ThrottledError when 256 logins are being checked, or 128 of the
// address; up to there they wait for one of two slots, or until ctx ends.
//
// A user with a second factor needs LoginOTP: Login returns ErrOTPRequired.
func (s *Service) Login(ctx context.Context, username, password string, c Client) (Secret, time.Duration, error) {
	return s.LoginOTP(ctx, username, password, "", c)
}

// LoginOTP is Login with a one-time password or recovery code, which a user
// without a second factor does not need and which is not looked at then. Only
// who knows the password learns, by ErrOTPRequired, that one is wanted; a wrong
// one is ErrInvalidCredentials and counts like a wrong password.
func (s *Service) LoginOTP(ctx context.Context, username, password, otp string, c Client) (Secret, time.Duration, error) {
	if err := s.ready(); err != nil {
		return "", 0, err
	}
	user, err := s.checkLogin(ctx, username, password, otp, c)
	if err != nil {
		return "", 0, err
	}
	return s.begin(ctx, user, c)
}

// begin begins a session of a user, and records the login.
func (s *Service) begin(ctx context.Context, user User, c Client) (Secret, time.Duration, error) {
	token, err := s.newSession(user, s.now())
	if err != nil {
		return "", 0, err
	}
	e := s.event(ActionLogin, user.Username, c)
	err = s.Store.RecordLogin(ctx, user.Username, e.Time, e)
	if errors.Is(err, ErrUserNotFound) { // deleted just now
		return "", 0, ErrInvalidCredentials
	}
	if err != nil {
		return "", 0, fmt.Errorf("record a login: %w", err)
	}
	return token, s.lifetime(), nil
}

// checkLogin returns the user whose password was given, as the throttle
// allows, and records failures.
func (s *Service) checkLogin(ctx context.Context, username, password, otp string, c Client) (User, error) {
	end, err := s.beginLogin(ctx, username, c)
	if err != nil {
		return User{}, err
	}
	result := undecided
	defer func() { end(result) }()

	user, reason, err := s.verify(ctx, username, password, c)
	if err != nil {
		return User{}, err
	}
	if reason == "" {
		err := s.secondFactor(ctx, user, otp)
		switch {
		case err == nil:
			result = succeeded
			return user, nil
		case !errors.Is(err, ErrWrongOTP):
			return User{}, err
		}
		reason = err.Error()
	}
	result = failed
	s.log().InfoContext(ctx, "login failed", "user", clip(username), "ip", c.IP, "reason", reason, "request_id", c.RequestID)
	e := s.event(ActionLogin, "anonymous", c)
	e.Target, e.Detail = clip(username), reason
	if err := s.recordFailure(ctx, e); err != nil {
		return User{}, err
	}
	return User{}, ErrInvalidCredentials
}

// verify returns the user of that name and password, or for what reason there
// is none, which only the log and the audit log may tell. Each reason takes
// the same work.
func (s *Service) verify(ctx context.Context, username, password string, c Client) (u User, reason string, err error) {
	err = ErrUserNotFound
	if ValidUsername(username) { // else nobody has it, and a database may choke on it
		u, err = s.Store.User(ctx, username)
	}
	unknown := errors.Is(err, ErrUserNotFound)
	switch {
	case err != nil && !unknown:
		return User{}, "", fmt.Errorf("look up a user: %w", err)
	case s.Directory != nil && ValidUsername(username) && (unknown || u.Active && u.AuthSource == SourceLDAP):
		known := &u
		if unknown {
			known = nil
		}
		return s.directoryLogin(ctx, known, username, password, c)
	case unknown:
		reason = "unknown user"
	case !u.Active:
		reason = "inactive user"
	case u.AuthSource != SourceLocal:
		reason = "not a local user"
	case len(password) > maxPasswordBytes:
		reason, password = "wrong password", ""
	}
	hash, err := parsePHC(u.PasswordHash)
	if reason == "" && err != nil {
		s.log().ErrorContext(ctx, "unusable password hash", "user", u.Username)
		reason = "unusable password hash"
	}
	if reason != "" {
		hash = s.Argon2id.blank()
	}
	if err := s.hashSlot(ctx); err != nil {
		return User{}, "", err
	}
	defer func() { <-s.hashing }()
	same := hash.matches(password)
	switch {
	case reason == "" && !same:
		reason = "wrong password"
	case reason == "" && hash.Argon2id != s.Argon2id.orDefault():
		s.rehash(ctx, u, password)
	}
	return u, reason, nil
}

// hashSlot waits for a slot of s.hashing.
func (s *Service) hashSlot(ctx context.Context) error {
	select {
	case s.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rehash stores a hash at the present cost. The old one does as well, so that
// a failure is none of the login.
func (s *Service) rehash(ctx context.Context, u User, password string) {
	hash, err := s.Argon2id.Hash(s.rand(), password)
	if err == nil {
		err = s.Store.Rehash(ctx, u.Username, u.PasswordHash, hash)
	}
	if err != nil {
		s.log().WarnContext(ctx, "password hash not renewed", "user", u.Username, "error", err)
	}
}

// clip makes what a client sent fit for a log: short, valid UTF-8, printable.
func clip(text string) string {
	const most = 128 // bytes
	if len(text) > most {
		text = text[:most]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// Bootstrap creates the first user, an active administrator, in a store that
// has none. With an empty password it makes one up and returns it: the only
// time that anyone can see it. When there is any user it does nothing and
// returns created = false, also when several servers call it at once.
//
// An empty username means "admin". Errors: a [*ValidationError] for the user
// name, a [*PolicyError] for the password.
func (s *Service) Bootstrap(ctx context.Context, username, password string) (generated Secret, created bool, err error) {
	if err := s.ready(); err != nil {
		return "", false, err
	}
	n, err := s.Store.CountUsers(ctx)
	if err != nil {
		return "", false, fmt.Errorf("count users: %w", err)
	}
	if n > 0 {
		return "", false, nil
	}
	if username == "" {
		username = "admin"
	}
	if password == "" {
		if generated, err = s.GeneratePassword(username); err != nil {
			return "", false, err
		}
		password = string(generated)
	}
	u, err := s.newUser(ctx, username, password)
	if err != nil {
		return "", false, err
	}
	u.Roles = []Role{Admin}
	e := s.event(ActionUserCreate, "system", Client{})
	e.Target, e.Detail = u.Username, "first user, roles=admin"
	err = s.Store.CreateFirstUser(ctx, u, e)
	if errors.Is(err, ErrUserExists) { // another server was faster
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("create the first user: %w", err)
	}
	return generated, true, nil
}

// newUser returns an active local user without roles.
func (s *Service) newUser(ctx context.Context, username, password string) (User, error) {
	if !ValidUsername(username) {
		var faults ValidationError
		faults.add("username", usernameRule)
		return User{}, &faults
	}
	if err := CheckPassword(username, password); err != nil {
		return User{}, err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	version, err := randomVersion(s.rand())
	if err != nil {
		return User{}, err
	}
	return User{
		Username:     username,
		Active:       true,
		AuthSource:   SourceLocal,
		PasswordHash: hash,
		TokenVersion: version,
		CreatedAt:    s.now().UTC().Truncate(time.Second),
	}, nil
}

// GeneratePassword returns a random password for a user: 22 base62 characters,
// 130 bits, as the policy wants them; one in forty tries has no upper-case
// letter or digit.
func (s *Service) GeneratePassword(username string) (Secret, error) {
	for range 100 {
		password, err := random62(s.rand(), 22)
		if err != nil {
			return "", err
		}
		if CheckPassword(username, password) == nil {
			return Secret(password), nil
		}
	}
	return "", errors.New("auth: the source of randomness repeats itself")
}
