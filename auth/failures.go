package auth

import (
	"context"
	"time"
)

// Failures are failed logins in a row.
type Failures struct {
	N    int
	Last time.Time
}

// A FailureStore counts failed logins where all servers of a Store see them, by
// user name and address, and by address. Names are folded and at most 64 bytes
// long, and need not be those of users; addresses are networks in CIDR notation,
// or "" for clients without one. Its methods may be called by any number of
// goroutines.
type FailureStore interface {
	// Failures returns the failures of a name from an address, and all from the
	// address. Old ones may be among them or not.
	Failures(ctx context.Context, username, address string) (ofName, ofAddress Failures, err error)

	// AddFailure counts one more for both. What has not grown since a time is
	// counted anew, and what else has not may go.
	AddFailure(ctx context.Context, username, address string, at, since time.Time) error

	// ForgetFailures forgets those of a name from an address.
	ForgetFailures(ctx context.Context, username, address string) error

	// ForgetUserFailures forgets those of a name, from wherever they came.
	ForgetUserFailures(ctx context.Context, username string) error
}

// storedAddress is how a FailureStore knows the address of a key.
func (k loginKey) storedAddress() string {
	if !k.address.IsValid() {
		return ""
	}
	return k.address.String()
}

// beginLogin waits until something that could be guessed may be checked; the
// function that it returns must be called with the outcome. Errors as for Login.
func (s *Service) beginLogin(ctx context.Context, username string, c Client) (end func(outcome), err error) {
	key := newLoginKey(username, c.IP)
	if err := s.logins.begin(ctx, key, s.now); err != nil {
		return nil, err
	}
	return func(o outcome) {
		if s.Failures != nil {
			// Before the login counts as ended: no other must slip in between.
			if err := s.shareOutcome(context.WithoutCancel(ctx), key, o); err != nil {
				s.log().ErrorContext(ctx, "a failed login could not be counted, or forgotten", "error", err)
			}
		}
		s.logins.end(key, o, s.now())
	}, nil
}

func (s *Service) shareOutcome(ctx context.Context, key loginKey, o outcome) error {
	switch {
	case o == failed:
		now := s.now()
		return s.Failures.AddFailure(ctx, key.name, key.storedAddress(), now, now.Add(-failuresLapse))
	case o == succeeded && s.logins.counted(key):
		return s.Failures.ForgetFailures(ctx, key.name, key.storedAddress())
	}
	return nil
}

// forgive forgets the failed logins of a user.
func (s *Service) forgive(ctx context.Context, username string) {
	s.logins.forgive(username)
	if s.Failures == nil {
		return
	}
	if err := s.Failures.ForgetUserFailures(ctx, FoldUsername(username)); err != nil {
		s.log().ErrorContext(ctx, "failed logins of a user could not be forgotten", "user", username, "error", err)
	}
}
