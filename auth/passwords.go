package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// hash hashes a password when a slot is free.
func (s *Service) hash(ctx context.Context, password string) (Secret, error) {
	if err := s.hashSlot(ctx); err != nil {
		return "", err
	}
	defer func() { <-s.hashing }()
	return s.Argon2id.Hash(s.rand(), password)
}

// matches reports whether a password is that of a hash, when a slot is free.
// One that is too long or a hash that is unusable takes as long.
func (s *Service) matches(ctx context.Context, hash Secret, password string) (bool, error) {
	if err := s.hashSlot(ctx); err != nil {
		return false, err
	}
	defer func() { <-s.hashing }()
	h, err := parsePHC(hash)
	if err != nil || len(password) > maxPasswordBytes {
		s.Argon2id.blank().matches("")
		return false, nil
	}
	return h.matches(password), nil
}

// passwordChanged asks for a mail to the user.
func passwordChanged(username string) []Message {
	payload, err := json.Marshal(map[string]string{"username": username})
	if err != nil {
		panic(err) // a string can always be rendered
	}
	return []Message{{TopicPasswordChanged, payload}}
}

// errSamePassword refuses a new password that is the current one.
var errSamePassword = &PolicyError{[]Violation{{"current", "must differ from the current password"}}}

// SetPassword gives a local user a new password in the name of by. The user's
// sessions and open resets end, and failed logins of the name are forgotten.
// Errors: a [*PolicyError], ErrUserNotFound, ErrDirectoryManaged for a user who
// is not local.
func (s *Service) SetPassword(ctx context.Context, by Principal, username, password string, c Client) error {
	if err := s.ready(); err != nil {
		return err
	}
	if err := CheckPassword(username, password); err != nil {
		return err
	}
	e := s.event(ActionUserPasswordReset, by.Name, c)
	e.Target = clip(username)
	u, err := s.localUser(ctx, username)
	if err := s.audited(ctx, e, err); err != nil {
		return err
	}
	e.Target, e.Messages = u.Username, passwordChanged(u.Username)
	hash, err := s.newHash(ctx, u, password)
	if err != nil {
		return err
	}
	_, err = s.Store.EditUser(ctx, u.Username, setPassword(hash, "", func() Event { return e }))
	if err := s.audited(ctx, e, err); err != nil {
		return err
	}
	s.forgive(ctx, u.Username)
	return nil
}

// localUser returns a user whose password is kept here.
func (s *Service) localUser(ctx context.Context, username string) (User, error) {
	if !ValidUsername(username) {
		return User{}, ErrUserNotFound
	}
	u, err := s.Store.User(ctx, username)
	if err == nil && u.AuthSource != SourceLocal {
		err = ErrDirectoryManaged
	}
	return u, err
}

// newHash holds a new password of a user against the policy and hashes it.
func (s *Service) newHash(ctx context.Context, u User, password string) (Secret, error) {
	if err := CheckPassword(u.Username, password); err != nil {
		return "", err
	}
	same, err := s.matches(ctx, u.PasswordHash, password)
	if err != nil {
		return "", err
	}
	if same {
		return "", errSamePassword
	}
	return s.hash(ctx, password)
}

// setPassword edits a local user. The session keep lives on.
func setPassword(hash Secret, keep string, event func() Event) func(u *User) (Event, error) {
	return func(u *User) (Event, error) {
		if u.AuthSource != SourceLocal {
			return Event{}, ErrDirectoryManaged
		}
		u.PasswordHash = hash
		u.endSessions(keep)
		return event(), nil
	}
}

// ChangePassword gives the user of a session a new password. The session lives
// on, the user's others and open resets end. A wrong current password counts as
// a failed login of the user from that address, and is throttled like one.
// Errors: ErrTokenNotAllowed for a principal without session, ErrInvalidToken
// for one whose session has ended since, ErrWrongPassword, a [*ThrottledError],
// a [*PolicyError], ErrDirectoryManaged for a user who is not local.
func (s *Service) ChangePassword(ctx context.Context, by Principal, current, password string, c Client) error {
	if err := s.ready(); err != nil {
		return err
	}
	if by.Kind != KindSession {
		return ErrTokenNotAllowed
	}
	if err := CheckPassword(by.Name, password); err != nil {
		return err
	}
	e := s.event(ActionPasswordChange, by.Name, c)
	e.Target = by.Name
	u, err := s.localUser(ctx, by.Name)
	if errors.Is(err, ErrUserNotFound) { // deleted just now
		return ErrInvalidToken
	}
	if err := s.audited(ctx, e, err); err != nil {
		return err
	}
	if err := s.confirm(ctx, u, current, c, e); err != nil {
		return err
	}
	hash, err := s.newHash(ctx, u, password)
	if err != nil {
		return err
	}
	e.Messages = passwordChanged(u.Username)
	edit := setPassword(hash, by.SessionID, func() Event { return e })
	_, err = s.Store.EditUser(ctx, u.Username, func(now *User) (Event, error) {
		if by.User != nil && now.TokenVersion != by.User.TokenVersion {
			return Event{}, fmt.Errorf("%w: the user's sessions have ended", ErrInvalidToken)
		}
		if now.PasswordHash != u.PasswordHash {
			return Event{}, ErrWrongPassword // changed while we looked: it is no longer the current one
		}
		return edit(now)
	})
	return s.audited(ctx, e, err)
}

// confirm checks a user's current password, as the throttle allows. What it
// refuses is recorded as a failure of e.
func (s *Service) confirm(ctx context.Context, u User, password string, c Client, e Event) error {
	end, err := s.beginLogin(ctx, u.Username, c)
	if err != nil {
		return err
	}
	result := undecided
	defer func() { end(result) }()
	same, err := s.matches(ctx, u.PasswordHash, password)
	if err != nil {
		return err
	}
	if same {
		result = succeeded
		return nil
	}
	result = failed
	return s.audited(ctx, e, ErrWrongPassword)
}
