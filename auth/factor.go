package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// Errors of second factors.
var (
	// ErrOTPRequired: the password is right, and a one-time password is wanted
	// beside it.
	ErrOTPRequired = errors.New("a one-time password is required")
	// ErrNoFactor: the user has no second factor.
	ErrNoFactor = errors.New("no second factor")
	// ErrFactorExists: the user has a confirmed one.
	ErrFactorExists = errors.New("there is a second factor")
	// ErrWrongOTP: the one-time password is wrong or was used before.
	ErrWrongOTP = errors.New("wrong one-time password")
)

// Actions of events.
const (
	ActionFactorEnable   = "auth.mfa_enable"
	ActionFactorDisable  = "auth.mfa_disable"
	ActionFactorRecovery = "auth.mfa_recovery_codes"
	ActionFactorReset    = "user.mfa_reset"
)

// What authenticator programs take for granted (RFC 6238, section 4).
const (
	otpStep   = 30 * time.Second
	otpSkew   = 1  // steps that a clock may be off
	otpSecret = 20 // bytes, as RFC 4226 recommends
	otpIssuer = "repod"

	recoveryCodes = 10
)

var base32Encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// An Enrolment is what a user's authenticator program is given.
type Enrolment struct {
	Secret Secret // base32 without padding
	URL    Secret // otpauth://totp/..., which holds the secret, for a QR code
}

// A FactorState tells users of their second factor.
type FactorState struct {
	Enabled       bool
	RecoveryCodes int // that are left
}

// FactorState returns the state of the second factor of a session's user.
func (s *Service) FactorState(ctx context.Context, by Principal) (FactorState, error) {
	if err := s.ready(); err != nil {
		return FactorState{}, err
	}
	if by.Kind != KindSession {
		return FactorState{}, ErrTokenNotAllowed
	}
	f, err := s.Store.Factor(ctx, by.Name)
	if errors.Is(err, ErrNoFactor) || err == nil && !f.Confirmed {
		return FactorState{}, nil
	}
	if err != nil {
		return FactorState{}, fmt.Errorf("look up a second factor: %w", err)
	}
	return FactorState{true, len(f.Recovery)}, nil
}

// EnrolFactor begins to give the user of a session a second factor. It is
// asked for once ConfirmFactor has seen a password of it; until then each call
// starts anew. Errors: ErrTokenNotAllowed, ErrFactorExists, and those of a
// current password as for [Service.ChangePassword].
func (s *Service) EnrolFactor(ctx context.Context, by Principal, password string, c Client) (Enrolment, error) {
	e := s.event(ActionFactorEnable, by.Name, c)
	if err := s.reauthenticate(ctx, by, password, c, e); err != nil {
		return Enrolment{}, err
	}
	raw := make([]byte, otpSecret)
	if _, err := io.ReadFull(s.rand(), raw); err != nil {
		return Enrolment{}, fmt.Errorf("auth: read random bytes: %w", err)
	}
	secret := base32Encoding.EncodeToString(raw)
	sealed, err := s.sealFactor(by.Name, secret)
	if err != nil {
		return Enrolment{}, err
	}
	err = s.Store.EditFactor(ctx, by.Name, func(f *Factor) (Event, error) {
		if f.Confirmed {
			return Event{}, ErrFactorExists
		}
		*f = Factor{Sealed: sealed, CreatedAt: e.Time}
		return Event{}, nil // nothing is in force yet
	})
	if err := s.audited(ctx, e, err); err != nil {
		return Enrolment{}, err
	}
	return Enrolment{Secret(secret), otpauth(by.Name, secret)}, nil
}

// otpauth renders the URL that authenticator programs read.
func otpauth(username, secret string) Secret {
	label := url.PathEscape(otpIssuer + ":" + username)
	return Secret("otpauth://totp/" + label + "?secret=" + secret + "&issuer=" + otpIssuer + "&algorithm=SHA1&digits=6&period=30")
}

// ConfirmFactor puts a second factor in force, when code is a password of it,
// and returns its recovery codes: nobody can see them again. The user's other
// sessions end. A wrong code is throttled like a wrong password. Errors:
// ErrTokenNotAllowed, ErrNoFactor, ErrFactorExists, ErrWrongOTP, a
// [*ThrottledError].
func (s *Service) ConfirmFactor(ctx context.Context, by Principal, code string, c Client) ([]Secret, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	if by.Kind != KindSession {
		return nil, ErrTokenNotAllowed
	}
	codes, hashes, err := s.newRecoveryCodes()
	if err != nil {
		return nil, err
	}
	e := s.event(ActionFactorEnable, by.Name, c)
	e.Target = by.Name
	err = s.guessing(ctx, by.Name, c, func() error {
		return s.Store.EditFactor(ctx, by.Name, func(f *Factor) (Event, error) {
			switch {
			case f.Sealed == "":
				return Event{}, ErrNoFactor
			case f.Confirmed:
				return Event{}, ErrFactorExists
			}
			f.Confirmed, f.Recovery = true, hashes
			return e, s.useOTP(by.Name, f, code)
		})
	})
	if err := s.audited(ctx, e, err); err != nil {
		return nil, err
	}
	_, err = s.Store.EditUser(ctx, by.Name, func(u *User) (Event, error) {
		u.endSessions(by.SessionID)
		return Event{}, nil
	})
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	return codes, nil
}

// DisableFactor takes the second factor from the user of a session, who must
// give the current password and a one-time password or recovery code. Errors:
// those of EnrolFactor but ErrFactorExists; ErrNoFactor, ErrWrongOTP.
func (s *Service) DisableFactor(ctx context.Context, by Principal, password, code string, c Client) error {
	e := s.event(ActionFactorDisable, by.Name, c)
	e.Target = by.Name
	return s.withFactor(ctx, by, password, code, c, e, func(f *Factor) { *f = Factor{} })
}

// RenewRecoveryCodes replaces the recovery codes of the user of a session, and
// returns the new ones. Errors: those of DisableFactor.
func (s *Service) RenewRecoveryCodes(ctx context.Context, by Principal, password, code string, c Client) ([]Secret, error) {
	e := s.event(ActionFactorRecovery, by.Name, c)
	e.Target = by.Name
	codes, hashes, err := s.newRecoveryCodes()
	if err != nil {
		return nil, err
	}
	if err := s.withFactor(ctx, by, password, code, c, e, func(f *Factor) { f.Recovery = hashes }); err != nil {
		return nil, err
	}
	return codes, nil
}

// withFactor changes a confirmed factor for whoever has both factors.
func (s *Service) withFactor(ctx context.Context, by Principal, password, code string, c Client, e Event, change func(f *Factor)) error {
	if err := s.reauthenticate(ctx, by, password, c, e); err != nil {
		return err
	}
	err := s.guessing(ctx, by.Name, c, func() error {
		return s.Store.EditFactor(ctx, by.Name, func(f *Factor) (Event, error) {
			if !f.Confirmed {
				return Event{}, ErrNoFactor
			}
			if err := s.useOTP(by.Name, f, code); err != nil {
				return Event{}, err
			}
			change(f)
			return e, nil
		})
	})
	return s.audited(ctx, e, err)
}

// ResetFactor takes the second factor from a user in the name of by, for one
// who has lost it. The user's sessions end. Errors: ErrUserNotFound,
// ErrNoFactor.
func (s *Service) ResetFactor(ctx context.Context, by Principal, username string, c Client) error {
	if err := s.ready(); err != nil {
		return err
	}
	e := s.event(ActionFactorReset, by.Name, c)
	e.Target = clip(username)
	u, err := s.editUser(ctx, username, func(u *User) (Event, error) {
		u.endSessions("")
		return Event{}, nil
	})
	if err == nil {
		e.Target = u.Username
		err = s.Store.EditFactor(ctx, u.Username, func(f *Factor) (Event, error) {
			if f.Sealed == "" {
				return Event{}, ErrNoFactor
			}
			*f = Factor{}
			return e, nil
		})
	}
	return s.audited(ctx, e, err)
}

// secondFactor asks for the second factor at a login whose password was right.
// It returns ErrOTPRequired, ErrWrongOTP, or nil, also for a user without one.
func (s *Service) secondFactor(ctx context.Context, u User, code string) error {
	f, err := s.Store.Factor(ctx, u.Username)
	switch {
	case errors.Is(err, ErrNoFactor), err == nil && !f.Confirmed:
		return nil
	case err != nil:
		return fmt.Errorf("look up a second factor: %w", err)
	case code == "":
		return ErrOTPRequired
	}
	err = s.Store.EditFactor(ctx, u.Username, func(f *Factor) (Event, error) {
		if !f.Confirmed { // disabled just now
			return Event{}, nil
		}
		return Event{}, s.useOTP(u.Username, f, code)
	})
	if err != nil && !errors.Is(err, ErrWrongOTP) {
		return fmt.Errorf("use a one-time password: %w", err)
	}
	return err
}

// useOTP marks a one-time password or recovery code of f as used, or returns
// ErrWrongOTP.
func (s *Service) useOTP(username string, f *Factor, code string) error {
	code = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(code), " ", ""))
	hash := hashToken(code)
	if i := slices.IndexFunc(f.Recovery, func(h Secret) bool {
		return subtle.ConstantTimeCompare([]byte(h), []byte(hash)) == 1
	}); i >= 0 && f.Confirmed {
		f.Recovery = slices.Delete(slices.Clone(f.Recovery), i, i+1)
		return nil
	}
	secret, err := s.openFactor(username, f.Sealed)
	if err != nil {
		return err
	}
	now := s.now().Unix() / int64(otpStep/time.Second)
	for step := now - otpSkew; step <= now+otpSkew; step++ {
		want, err := hotp.GenerateCodeCustom(secret, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return fmt.Errorf("auth: one-time password: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && step > f.LastStep {
			f.LastStep = step
			return nil
		}
	}
	return ErrWrongOTP
}

// newRecoveryCodes returns fresh codes of 80 bits and their hashes.
func (s *Service) newRecoveryCodes() (codes, hashes []Secret, err error) {
	for range recoveryCodes {
		raw := make([]byte, 10)
		if _, err := io.ReadFull(s.rand(), raw); err != nil {
			return nil, nil, fmt.Errorf("auth: read random bytes: %w", err)
		}
		text := strings.ToLower(base32Encoding.EncodeToString(raw))
		code := text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
		codes, hashes = append(codes, Secret(code)), append(hashes, hashToken(code))
	}
	return codes, hashes, nil
}

// reauthenticate checks the password of the user of a session once more.
func (s *Service) reauthenticate(ctx context.Context, by Principal, password string, c Client, e Event) error {
	if err := s.ready(); err != nil {
		return err
	}
	if by.Kind != KindSession {
		return ErrTokenNotAllowed
	}
	u, err := s.Store.User(ctx, by.Name)
	switch {
	case errors.Is(err, ErrUserNotFound): // deleted just now
		return ErrInvalidToken
	case err != nil:
		return fmt.Errorf("look up a user: %w", err)
	case u.AuthSource == SourceLocal:
		return s.confirm(ctx, u, password, c, e)
	case u.AuthSource != SourceLDAP:
		return ErrDirectoryManaged // the issuer asks for further factors
	case s.Directory == nil:
		return ErrDirectoryUnavailable
	}
	return s.audited(ctx, e, s.guessing(ctx, u.Username, c, func() error {
		_, err := s.Directory.Login(ctx, u.Username, password)
		if errors.Is(err, ErrInvalidCredentials) {
			return ErrWrongPassword
		}
		return err
	}))
}

// guessing lets f check something that could be guessed, as the throttle of
// logins allows.
func (s *Service) guessing(ctx context.Context, username string, c Client, f func() error) error {
	end, err := s.beginLogin(ctx, username, c)
	if err != nil {
		return err
	}
	result := undecided
	defer func() { end(result) }()
	err = f()
	switch {
	case err == nil:
		result = succeeded
	case errors.Is(err, ErrWrongOTP), errors.Is(err, ErrWrongPassword):
		result = failed
	}
	return err
}

func (s *Service) factorCipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(s.factorKey)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealFactor encrypts a secret with AES-256-GCM, bound to the user.
func (s *Service) sealFactor(username, secret string) (Secret, error) {
	c, err := s.factorCipher()
	if err != nil {
		return "", err
	}
	return Secret(base64.StdEncoding.EncodeToString(c.Seal(nil, nil, []byte(secret), []byte(FoldUsername(username))))), nil
}

func (s *Service) openFactor(username string, sealed Secret) (string, error) {
	c, err := s.factorCipher()
	if err != nil {
		return "", err
	}
	data, err := base64.StdEncoding.DecodeString(string(sealed))
	if err == nil {
		data, err = c.Open(nil, nil, data, []byte(FoldUsername(username)))
	}
	if err != nil {
		return "", errors.New("auth: a second factor was sealed with another key: an administrator must reset it")
	}
	return string(data), nil
}
