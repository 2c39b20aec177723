package auth_test

import (
	"context"
	"errors"
	"testing"
	"testing/iotest"
	"time"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/authtest"
)

// readOnly is a store whose writes fail.
type readOnly struct {
	auth.Store
	err error
}

func (s readOnly) Record(context.Context, auth.Event) error                     { return s.err }
func (s readOnly) CreateFirstUser(context.Context, auth.User, auth.Event) error { return s.err }
func (s readOnly) CreateToken(context.Context, auth.APIToken, auth.Event) error { return s.err }
func (s readOnly) RevokeToken(context.Context, string, auth.Event) error        { return s.err }
func (s readOnly) CreateUser(context.Context, auth.User, auth.Event) error      { return s.err }
func (s readOnly) DeleteUser(context.Context, string, auth.Event) error         { return s.err }
func (s readOnly) EditUser(context.Context, string, func(*auth.User) (auth.Event, error)) (auth.User, error) {
	return auth.User{}, s.err
}
func (s readOnly) RecordLogin(context.Context, string, time.Time, auth.Event) error {
	return s.err
}
func (s readOnly) RevokeSession(context.Context, string, time.Time, auth.Event) error {
	return s.err
}

// Nothing succeeds that could not be written, and each error says why.
func TestWritesFail(t *testing.T) {
	w := newWorld(t)
	secret, token := w.newToken(t, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}})
	by, full := w.who(t, w.login(t, "admin")), errors.New("disk full")
	w.Service = serviceWith(w, readOnly{w.store, full})
	ctx := t.Context()
	for name, f := range map[string]func() (string, error){
		"Login": func() (string, error) {
			token, _, err := w.Login(ctx, "admin", password, client)
			return string(token), err
		},
		"failed Login": func() (string, error) {
			token, _, err := w.Login(ctx, "admin", "wrong", client)
			return string(token), err
		},
		"CreateToken": func() (string, error) {
			secret, token, err := w.CreateToken(ctx, by, auth.TokenSpec{Name: "x", Roles: []auth.Role{auth.Viewer}}, client)
			return string(secret) + token.ID, err
		},
		"RevokeToken":       func() (string, error) { return "", w.RevokeToken(ctx, by, token.ID, client) },
		"RevokeToken, gone": func() (string, error) { return "", w.RevokeToken(ctx, by, "tok_x", client) },
		"Logout":            func() (string, error) { return "", w.Logout(ctx, by, false, client) },
		"Logout everywhere": func() (string, error) { return "", w.Logout(ctx, by, true, client) },
		"Denied":            func() (string, error) { return "", w.Denied(ctx, by, client, "POST /upload/") },
		"Bootstrap": func() (string, error) {
			svc := &auth.Service{Store: readOnly{new(authtest.Mem), full}, Key: key, Argon2id: cheap}
			generated, created, err := svc.Bootstrap(ctx, "", "")
			if created {
				t.Error("Bootstrap says that it created a user")
			}
			return string(generated), err
		},
	} {
		if got, err := f(); !errors.Is(err, full) || got != "" {
			t.Errorf("%s = %q, %v", name, got, err)
		}
	}
	w.who(t, secret)
}

func TestNoRandomness(t *testing.T) {
	w := newWorld(t)
	gone := errors.New("gone")
	w.Service = serviceWith(w, w.mem)
	w.Rand = iotest.ErrReader(gone)
	if token, _, err := w.Login(t.Context(), "admin", password, client); !errors.Is(err, gone) || token != "" {
		t.Errorf("Login = %q, %v", string(token), err)
	}
	if secret, _, err := w.CreateToken(t.Context(), admin, auth.TokenSpec{Name: "x", Roles: []auth.Role{auth.Viewer}}, client); !errors.Is(err, gone) || secret != "" {
		t.Errorf("CreateToken = %q, %v", string(secret), err)
	}
	for _, password := range []string{"", password} {
		svc := &auth.Service{Store: new(authtest.Mem), Key: key, Argon2id: cheap, Rand: iotest.ErrReader(gone)}
		if _, created, err := svc.Bootstrap(t.Context(), "", password); !errors.Is(err, gone) || created {
			t.Errorf("Bootstrap = %t, %v", created, err)
		}
	}
	// A source that repeats itself makes no password of the policy.
	svc := &auth.Service{Store: new(authtest.Mem), Key: key, Argon2id: cheap, Rand: zeros{}}
	if _, created, err := svc.Bootstrap(t.Context(), "", ""); err == nil || created {
		t.Errorf("Bootstrap without randomness = %t, %v", created, err)
	}
}

// vanishing deletes a user once it was looked up.
type vanishing struct{ *authtest.Mem }

func (s vanishing) User(ctx context.Context, name string) (auth.User, error) {
	u, err := s.Mem.User(ctx, name)
	return u, errors.Join(err, s.Remove(ctx, name))
}

func TestLoginOfUserJustDeleted(t *testing.T) {
	w := newWorld(t)
	w.Service = serviceWith(w, vanishing{w.mem})
	if token, _, err := w.Login(t.Context(), "admin", password, client); err != auth.ErrInvalidCredentials || token != "" {
		t.Errorf("Login = %q, %v", string(token), err)
	}
}

func TestErrorTexts(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&auth.ThrottledError{RetryAfter: 16 * time.Second}, "too many login attempts, try again in 16 s"},
		{&auth.ValidationError{Fields: []auth.FieldError{{"name", "must be x"}, {"roles[0]", "must be y"}}}, "invalid: name must be x; roles[0] must be y"},
		{auth.CheckPassword("x", "abcdefgh"), "weak password: it must have an upper-case letter; it must have a digit or symbol"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("error is %q, want %q", got, tt.want)
		}
	}
}
