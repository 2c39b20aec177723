package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	// ResetLifetime is how long the token of a reset works.
	ResetLifetime = 30 * time.Minute

	// Of so many mails in so long a time is a user sure.
	maxResets   = 3
	resetWindow = time.Hour
)

// A ResetRequest is the payload of TopicPasswordReset: somebody asked for a
// password reset, whether or not there is such a user.
type ResetRequest struct {
	Email     string `json:"email"`
	RequestID string `json:"request_id"` // of the HTTP request
}

// ForgotPassword notes that somebody has forgotten the password of the user
// with an e-mail address. It does the same work whether or not there is one:
// it writes an event with a message, and leaves the rest to whoever takes that
// from the outbox and calls [Service.IssueReset].
func (s *Service) ForgotPassword(ctx context.Context, email string, c Client) error {
	if err := s.ready(); err != nil {
		return err
	}
	if !ValidEmail(email) {
		var faults ValidationError
		faults.add("email", "must be an e-mail address of at most %d characters", MaxEmail)
		return &faults
	}
	payload, err := json.Marshal(ResetRequest{email, c.RequestID})
	if err != nil {
		return err
	}
	e := s.event(ActionPasswordResetRequest, "anonymous", c)
	e.Target = clip(email)
	e.Messages = []Message{{TopicPasswordReset, payload}}
	if err := s.Store.Record(ctx, e); err != nil {
		return fmt.Errorf("record a password reset request: %w", err)
	}
	return nil
}

// A ResetMail is what to send to a user who asked for a reset.
type ResetMail struct {
	To        string // the user's e-mail address
	Username  string
	Token     Secret // for ResetPassword
	ExpiresAt time.Time
}

// IssueReset makes the token of a reset. The id names the request: the same id
// gives the same token, so that a mail which failed can be sent again. The
// token is derived from Service.Key and the id, and is nowhere stored.
//
// It returns false when there is nothing to send: no active local user has the
// address, the user has had three resets within the hour, or the reset of that
// id has been used or has ended since.
func (s *Service) IssueReset(ctx context.Context, id, email string) (ResetMail, bool, error) {
	if err := s.ready(); err != nil {
		return ResetMail{}, false, err
	}
	u, err := s.Store.UserByEmail(ctx, email)
	switch {
	case errors.Is(err, ErrUserNotFound):
		return ResetMail{}, false, nil
	case err != nil:
		return ResetMail{}, false, fmt.Errorf("look up a user: %w", err)
	case !u.Active || u.AuthSource != SourceLocal:
		return ResetMail{}, false, nil
	}
	token := s.resetToken(id, u.Username)
	now := s.now().UTC().Truncate(time.Second)
	r := Reset{ID: id, Username: u.Username, Hash: hashToken(string(token)), CreatedAt: now, ExpiresAt: now.Add(ResetLifetime)}
	r, err = s.Store.CreateReset(ctx, r, now.Add(-resetWindow), maxResets)
	if errors.Is(err, ErrInvalidReset) {
		return ResetMail{}, false, nil
	}
	if err != nil {
		return ResetMail{}, false, fmt.Errorf("create a password reset: %w", err)
	}
	return ResetMail{u.Email, u.Username, token, r.ExpiresAt}, true, nil
}

// resetToken returns 43 characters of URL-safe base64, 256 bits.
func (s *Service) resetToken(id, username string) Secret {
	mac := hmac.New(sha256.New, s.resetKey)
	fmt.Fprintf(mac, "%d:%s%s", len(id), id, FoldUsername(username))
	return Secret(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

// ResetPassword gives the user of a reset a new password. All sessions and
// other resets of the user end. The password is held against the policy before
// the token is looked at, and one that is refused does not use the token up.
// Errors: a [*PolicyError], ErrInvalidReset, and a [*ThrottledError] as for
// failed logins of an address.
func (s *Service) ResetPassword(ctx context.Context, token, password string, c Client) error {
	if err := s.ready(); err != nil {
		return err
	}
	if err := CheckPassword("", password); err != nil {
		return err
	}
	end, err := s.beginLogin(ctx, "", c) // nobody has that name
	if err != nil {
		return err
	}
	result := undecided
	defer func() { end(result) }()
	err = s.useReset(ctx, hashToken(token), password, c)
	switch {
	case err == nil:
		result = succeeded
	case errors.Is(err, ErrInvalidReset):
		result = failed
		e := s.event(ActionPasswordReset, "anonymous", c)
		e.Detail = ErrInvalidReset.Error()
		if err := s.recordFailure(ctx, e); err != nil {
			return err
		}
		return ErrInvalidReset
	}
	return err
}

func (s *Service) useReset(ctx context.Context, hash Secret, password string, c Client) error {
	e := s.event(ActionPasswordReset, "", c)
	r, err := s.Store.ResetByHash(ctx, hash, e.Time)
	if err != nil {
		return err
	}
	u, err := s.localUser(ctx, r.Username)
	if errors.Is(err, ErrUserNotFound) || errors.Is(err, ErrDirectoryManaged) || err == nil && !u.Active {
		return ErrInvalidReset
	}
	if err != nil {
		return fmt.Errorf("look up a user: %w", err)
	}
	newHash, err := s.newHash(ctx, u, password)
	if err != nil {
		return err
	}
	e.User, e.Target, e.Messages = u.Username, u.Username, passwordChanged(u.Username)
	err = s.Store.UseReset(ctx, hash, e.Time, setPassword(newHash, "", func() Event { return e }))
	if err != nil && !errors.Is(err, ErrInvalidReset) {
		return fmt.Errorf("reset a password: %w", err)
	}
	if err == nil {
		s.forgive(ctx, u.Username)
	}
	return err
}
