package authtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
)

func TestMem(t *testing.T) {
	RunStore(t, func(*testing.T) Store { return new(Mem) })
	if err := CheckFailures(t.Context(), new(Mem)); err != nil {
		t.Error(err)
	}
}

// The stores below each break the contract in one way.

type casedNames struct{ *Mem }

func (s casedNames) User(ctx context.Context, name string) (auth.User, error) {
	u, err := s.Mem.User(ctx, name)
	if u.Username != name {
		return auth.User{}, auth.ErrUserNotFound
	}
	return u, err
}

type unicodeNames struct{ *Mem }

func (s unicodeNames) User(ctx context.Context, name string) (auth.User, error) {
	return s.Mem.User(ctx, strings.ToLower(name))
}

type looseErrors struct{ *Mem }

func (s looseErrors) User(ctx context.Context, name string) (auth.User, error) {
	u, err := s.Mem.User(ctx, name)
	if err != nil {
		err = errors.New("sql: no rows in result set")
	}
	return u, err
}

// checkThenAct decides outside the transaction.
type checkThenAct struct{ *Mem }

func (s checkThenAct) CreateFirstUser(ctx context.Context, u auth.User, e auth.Event) error {
	n, err := s.CountUsers(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		return auth.ErrUserExists
	}
	time.Sleep(20 * time.Millisecond)
	return s.CreateUser(ctx, u, e)
}

func (s checkThenAct) CreateToken(ctx context.Context, t auth.APIToken, e auth.Event) error {
	tokens, err := s.Tokens(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(tokens, func(have auth.APIToken) bool { return have.Name == t.Name && !have.Expired(t.CreatedAt) }) {
		return auth.ErrTokenNameTaken
	}
	time.Sleep(20 * time.Millisecond)
	name := t.Name
	t.Name = t.ID // slips past Mem's own check
	err = s.Mem.CreateToken(ctx, t, e)
	s.change(ctx, auth.Event{}, func() error {
		t.Name = name
		s.tokens[t.ID] = t
		return nil
	})
	return err
}

// eager records the event first and changes afterwards.
type eager struct{ *Mem }

func (s eager) CreateUser(ctx context.Context, u auth.User, e auth.Event) error {
	return errors.Join(s.Record(ctx, e), s.Mem.CreateUser(ctx, u, auth.Event{}))
}

func (s eager) RevokeToken(ctx context.Context, id string, e auth.Event) error {
	return errors.Join(s.Record(ctx, e), s.Mem.RevokeToken(ctx, id, auth.Event{}))
}

// forgetful records nothing, changes everybody and takes any time.
type forgetful struct{ *Mem }

func (s forgetful) Record(context.Context, auth.Event) error { return nil }

func (s forgetful) RecordLogin(ctx context.Context, name string, at time.Time, _ auth.Event) error {
	for _, n := range []string{name, "bob"} {
		if err := s.Mem.RecordLogin(ctx, n, at, auth.Event{}); err != nil {
			return err
		}
	}
	return nil
}

func (s forgetful) EditUser(ctx context.Context, name string, edit func(*auth.User) (auth.Event, error)) (auth.User, error) {
	return s.Mem.EditUser(ctx, name, func(u *auth.User) (auth.Event, error) {
		_, err := edit(u)
		return auth.Event{}, err
	})
}

func (s forgetful) Rehash(ctx context.Context, name string, _, hash auth.Secret) error {
	return s.editUser(ctx, name, auth.Event{}, func(u *auth.User) { u.PasswordHash = hash })
}

func (s forgetful) RevokeSession(context.Context, string, time.Time, auth.Event) error { return nil }

func (s forgetful) TouchToken(ctx context.Context, id string, at time.Time) error {
	return s.read(ctx, func() error {
		t := s.tokens[id]
		t.LastUsedAt = &at
		s.tokens[id] = t
		return nil
	})
}

// lossy keeps no secrets, and lists tokens in the wrong order.
type lossy struct{ *Mem }

func (s lossy) User(ctx context.Context, name string) (auth.User, error) {
	u, err := s.Mem.User(ctx, name)
	u.PasswordHash = ""
	return u, err
}

func (s lossy) Tokens(ctx context.Context) ([]auth.APIToken, error) {
	tokens, err := s.Mem.Tokens(ctx)
	slices.Reverse(tokens)
	return tokens, err
}

// lenient looks before it changes, and lets go of the rules in between.
type lenient struct{ *Mem }

func (s lenient) EditUser(ctx context.Context, name string, edit func(*auth.User) (auth.Event, error)) (auth.User, error) {
	u, err := s.Mem.User(ctx, name)
	if err != nil {
		return auth.User{}, err
	}
	e, err := edit(&u)
	if err != nil {
		return auth.User{}, err
	}
	time.Sleep(20 * time.Millisecond)
	return u, s.change(ctx, e, func() error {
		s.users[auth.FoldUsername(u.Username)] = u
		return nil
	})
}

func (s lenient) UseReset(ctx context.Context, hash auth.Secret, at time.Time, edit func(*auth.User) (auth.Event, error)) error {
	r, err := s.ResetByHash(ctx, hash, at)
	if err != nil {
		return err
	}
	time.Sleep(20 * time.Millisecond)
	_, err = s.Mem.EditUser(ctx, r.Username, edit)
	return err
}

// reckless lets anybody go, and anybody in.
type reckless struct{ *Mem }

func (s reckless) DeleteUser(ctx context.Context, name string, e auth.Event) error {
	if _, err := s.User(ctx, name); err != nil {
		return err
	}
	return errors.Join(s.Record(ctx, e), s.Remove(ctx, name))
}

func (s reckless) CreateReset(ctx context.Context, r auth.Reset, since time.Time, _ int) (auth.Reset, error) {
	return s.Mem.CreateReset(ctx, r, since, 1000)
}

func (s reckless) UserByEmail(ctx context.Context, email string) (auth.User, error) {
	users, err := s.Users(ctx)
	for _, u := range users {
		if strings.EqualFold(u.Email, email) {
			return u, nil
		}
	}
	return auth.User{}, errors.Join(err, auth.ErrUserNotFound)
}

// stubborn goes on after its context has ended, and never lets a name go.
type stubborn struct{ *Mem }

func (s stubborn) Record(ctx context.Context, e auth.Event) error {
	return s.Mem.Record(context.WithoutCancel(ctx), e)
}

func (s stubborn) CreateToken(ctx context.Context, t auth.APIToken, e auth.Event) error {
	e.Time = t.CreatedAt
	t.CreatedAt = epoch
	return s.Mem.CreateToken(ctx, t, e)
}

func TestChecksCatch(t *testing.T) {
	for _, tt := range []struct {
		name  string
		store func(*Mem) Store
		fail  []string // exactly these
	}{
		{"casedNames", func(m *Mem) Store { return casedNames{m} }, []string{"UserNames"}},
		{"unicodeNames", func(m *Mem) Store { return unicodeNames{m} }, []string{"UserNames"}},
		{"looseErrors", func(m *Mem) Store { return looseErrors{m} }, []string{"UserNames"}},
		{"checkThenAct", func(m *Mem) Store { return checkThenAct{m} }, []string{"FirstUserRace", "TokenNameRace"}},
		{"eager", func(m *Mem) Store { return eager{m} }, []string{"UserNames", "UserByExternalID", "EmailTaken", "Messages", "RevokeToken"}},
		{"forgetful", func(m *Mem) Store { return forgetful{m} },
			[]string{"RecordLogin", "Rehash", "EditUser", "LastAdmin", "Messages", "TouchToken", "RevokeSession", "Record", "CanceledContext"}},
		{"lossy", func(m *Mem) Store { return lossy{m} },
			[]string{"UserRoundTrip", "UserNames", "FirstUser", "RecordLogin", "Rehash", "EmailTaken", "EditUser",
				"EditUserRace", "DeleteUser", "LastAdmin", "ResetRoundTrip", "ResetEnds", "TokenRoundTrip", "TokenOrder", "TokenNameTaken", "TouchToken"}},
		{"lenient", func(m *Mem) Store { return lenient{m} },
			[]string{"EmailTaken", "EditUser", "EditUserRace", "LastAdmin", "LastAdminRace", "ResetEnds", "ResetRace"}},
		{"reckless", func(m *Mem) Store { return reckless{m} },
			[]string{"UserByEmail", "LastAdmin", "ResetEnds", "ResetLimit", "FactorRoundTrip"}},
		{"stubborn", func(m *Mem) Store { return stubborn{m} }, []string{"TokenOrder", "TokenNameTaken", "CanceledContext"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var failed []string
			for _, c := range Checks() {
				// Whether reckless keeps an administrator depends on who goes last.
				if err := c.Func(t.Context(), tt.store(new(Mem))); err != nil && !(tt.name == "reckless" && c.Name == "LastAdminRace") {
					failed = append(failed, c.Name)
				}
			}
			if !slices.Equal(failed, tt.fail) {
				t.Errorf("failed checks are\n%q, want\n%q", failed, tt.fail)
			}
		})
	}
}

// keepsFailures forgets no failures, endless never lapses any.
type (
	keepsFailures struct{ *Mem }
	endless       struct{ *Mem }
)

func (keepsFailures) ForgetFailures(context.Context, string, string) error { return nil }

func (s endless) AddFailure(ctx context.Context, username, address string, at, _ time.Time) error {
	return s.Mem.AddFailure(ctx, username, address, at, time.Time{})
}

func TestCheckFailuresCatches(t *testing.T) {
	for name, s := range map[string]auth.FailureStore{"keepsFailures": keepsFailures{new(Mem)}, "endless": endless{new(Mem)}} {
		if CheckFailures(t.Context(), s) == nil {
			t.Errorf("%s passes", name)
		}
	}
}
