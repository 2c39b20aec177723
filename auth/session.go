package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// clockSkew is how far ahead the clock of the server may be which began a
// session.
const clockSkew = 30 * time.Second

// sessionHeader begins every session token. A token whose header says anything
// else, or the same in other words, is none of ours: so no algorithm, key id
// or key address is ever taken from a token.
var sessionHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "."

// sessionClaims are the claims sub, iat, exp, jti and ver.
type sessionClaims struct {
	jwt.RegisteredClaims
	Version int64 `json:"ver"` // User.TokenVersion
}

// newSession returns the token of a session that begins now.
func (s *Service) newSession(u User, now time.Time) (Secret, error) {
	return s.signSession(u.Username, u.TokenVersion, now, s.lifetime())
}

func (s *Service) signSession(subject string, version int64, now time.Time, lifetime time.Duration) (Secret, error) {
	id, err := random62(s.rand(), 22)
	if err != nil {
		return "", err
	}
	now = now.Truncate(time.Second)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, sessionClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject:   subject,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
			ID:        id,
		},
		Version: version,
	}).SignedString(s.sessionKey)
	if err != nil {
		return "", fmt.Errorf("sign a session: %w", err)
	}
	return Secret(token), nil
}

// parseSession verifies a session token as far as that needs no store.
func (s *Service) parseSession(token string) (*sessionClaims, error) {
	// The base64 decoder skips line ends, even when it is strict.
	if !strings.HasPrefix(token, sessionHeader) || strings.ContainsAny(token, "\r\n") {
		return nil, fmt.Errorf("%w: not a session", ErrInvalidToken)
	}
	now := s.now()
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(func() time.Time { return now }),
	)
	var claims sessionClaims
	_, err := parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return s.sessionKey, nil })
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, fmt.Errorf("%w: expired", ErrInvalidToken)
	case err != nil:
		return nil, fmt.Errorf("%w: malformed or forged", ErrInvalidToken)
	case claims.IssuedAt.After(now.Add(clockSkew)):
		return nil, fmt.Errorf("%w: issued in the future", ErrInvalidToken)
	case claims.ExpiresAt.Sub(claims.IssuedAt.Time) > s.lifetime():
		return nil, fmt.Errorf("%w: lasts too long", ErrInvalidToken)
	}
	return &claims, nil
}

var errClaims = errors.New("auth: not the claims of a session")

// UnmarshalJSON accepts exactly what newSession writes: each of the five
// claims once, no other, numbers whole, not negative and below 2^53.
// encoding/json alone would take the last of two equal keys, keys in other
// cases and fractions.
func (c *sessionClaims) UnmarshalJSON(data []byte) error {
	text := map[string]*string{"sub": &c.Subject, "jti": &c.ID}
	var iat, exp int64
	number := map[string]*int64{"iat": &iat, "exp": &exp, "ver": &c.Version}

	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errClaims
	}
	for dec.More() {
		key, _ := dec.Token()
		value, err := dec.Token()
		if err != nil {
			return errClaims
		}
		name, _ := key.(string)
		switch value := value.(type) {
		case string:
			if text[name] == nil || value == "" {
				return errClaims
			}
			*text[name] = value
			delete(text, name)
		case json.Number:
			n, err := strconv.ParseUint(value.String(), 10, 53)
			if number[name] == nil || err != nil {
				return errClaims
			}
			*number[name] = int64(n)
			delete(number, name)
		default:
			return errClaims
		}
	}
	if len(text)+len(number) > 0 {
		return errClaims
	}
	c.IssuedAt = jwt.NewNumericDate(time.Unix(iat, 0))
	c.ExpiresAt = jwt.NewNumericDate(time.Unix(exp, 0))
	return nil
}

// session returns the principal of a session token.
func (s *Service) session(ctx context.Context, token string) (Principal, error) {
	claims, err := s.parseSession(token)
	if err != nil {
		return Principal{}, err
	}
	if strings.HasPrefix(claims.Subject, "ci:") { // no user name has a colon
		return s.publisherSession(ctx, claims)
	}
	u, revoked, err := s.Store.Session(ctx, claims.ID, claims.Subject)
	switch {
	case errors.Is(err, ErrUserNotFound):
		return Principal{}, fmt.Errorf("%w: no such user", ErrInvalidToken)
	case err != nil:
		return Principal{}, fmt.Errorf("look up a session: %w", err)
	case !u.Active || u.TokenVersion != claims.Version && u.KeptSession != claims.ID:
		return Principal{}, fmt.Errorf("%w: the user's sessions have ended", ErrInvalidToken)
	case revoked:
		return Principal{}, fmt.Errorf("%w: logged out", ErrInvalidToken)
	}
	u = u.public()
	return Principal{
		Kind:      KindSession,
		Name:      u.Username,
		Roles:     u.Roles,
		User:      &u,
		SessionID: claims.ID,
		ExpiresAt: claims.ExpiresAt.UTC(),
	}, nil
}

// Logout ends the session that by came with, or everywhere all sessions of its
// user. It returns ErrTokenNotAllowed for a principal without session.
func (s *Service) Logout(ctx context.Context, by Principal, everywhere bool, c Client) error {
	if err := s.ready(); err != nil {
		return err
	}
	if by.Kind != KindSession {
		return ErrTokenNotAllowed
	}
	e := s.event(ActionLogout, by.Name, c)
	var err error
	if everywhere {
		e.Detail = "all sessions"
		_, err = s.Store.EditUser(ctx, by.Name, func(u *User) (Event, error) {
			u.endSessions("")
			return e, nil
		})
	} else {
		err = s.Store.RevokeSession(ctx, by.SessionID, by.ExpiresAt, e)
	}
	if errors.Is(err, ErrUserNotFound) { // which has ended the sessions
		return nil
	}
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// randomVersion returns a first User.TokenVersion, 0 to 2^31-1, which leaves
// room to count up in every JSON reader.
func randomVersion(rand io.Reader) (int64, error) {
	var b [4]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return 0, fmt.Errorf("auth: read random bytes: %w", err)
	}
	return int64(binary.BigEndian.Uint32(b[:]) >> 1), nil
}
