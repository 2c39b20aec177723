package authtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/repod-io/repod/auth"
)

// Mem is an auth.Store in memory, for tests: nothing in it survives the
// process. The zero value is empty and ready for use.
type Mem struct {
	mu       sync.Mutex
	users    map[string]auth.User // by folded name
	tokens   map[string]auth.APIToken
	sessions map[string]time.Time
	events   []auth.Event
}

var _ Store = (*Mem)(nil)

// change runs f as a transaction: the event is recorded when f succeeds.
func (m *Mem) change(ctx context.Context, e auth.Event, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.users == nil {
		m.users = map[string]auth.User{}
		m.tokens = map[string]auth.APIToken{}
		m.sessions = map[string]time.Time{}
	}
	if err := f(); err != nil {
		return err
	}
	if e.Action != "" {
		e.Time = e.Time.UTC()
		m.events = append(m.events, e)
	}
	return nil
}

// read runs f while nothing changes.
func (m *Mem) read(ctx context.Context, f func() error) error {
	return m.change(ctx, auth.Event{}, f)
}

// editUser changes a user.
func (m *Mem) editUser(ctx context.Context, username string, e auth.Event, edit func(*auth.User)) error {
	return m.change(ctx, e, func() error {
		name := auth.FoldUsername(username)
		u, ok := m.users[name]
		if !ok {
			return auth.ErrUserNotFound
		}
		edit(&u)
		m.users[name] = u
		return nil
	})
}

// Events returns what was recorded, oldest first.
func (m *Mem) Events(ctx context.Context) (events []auth.Event, err error) {
	err = m.read(ctx, func() error {
		events = slices.Clone(m.events)
		return nil
	})
	return events, err
}

// Record implements auth.Store.
func (m *Mem) Record(ctx context.Context, e auth.Event) error {
	return m.change(ctx, e, func() error { return nil })
}

// User implements auth.UserStore.
func (m *Mem) User(ctx context.Context, username string) (u auth.User, err error) {
	err = m.read(ctx, func() error {
		var ok bool
		if u, ok = m.users[auth.FoldUsername(username)]; !ok {
			return auth.ErrUserNotFound
		}
		u.Roles = slices.Clone(u.Roles)
		return nil
	})
	return u, err
}

// CountUsers implements auth.UserStore.
func (m *Mem) CountUsers(ctx context.Context) (n int, err error) {
	err = m.read(ctx, func() error {
		n = len(m.users)
		return nil
	})
	return n, err
}

// CreateUser implements auth.UserStore.
func (m *Mem) CreateUser(ctx context.Context, u auth.User, e auth.Event) error {
	return m.create(ctx, u, e, false)
}

// CreateFirstUser implements auth.UserStore.
func (m *Mem) CreateFirstUser(ctx context.Context, u auth.User, e auth.Event) error {
	return m.create(ctx, u, e, true)
}

func (m *Mem) create(ctx context.Context, u auth.User, e auth.Event, first bool) error {
	return m.change(ctx, e, func() error {
		name := auth.FoldUsername(u.Username)
		if _, ok := m.users[name]; ok || first && len(m.users) > 0 {
			return auth.ErrUserExists
		}
		u.Roles = slices.Clone(u.Roles)
		u.CreatedAt, u.LastLogin = u.CreatedAt.UTC(), u.LastLogin.UTC()
		m.users[name] = u
		return nil
	})
}

// RecordLogin implements auth.UserStore.
func (m *Mem) RecordLogin(ctx context.Context, username string, at time.Time, e auth.Event) error {
	return m.editUser(ctx, username, e, func(u *auth.User) { u.LastLogin = at.UTC() })
}

// Rehash implements auth.UserStore.
func (m *Mem) Rehash(ctx context.Context, username string, old, hash auth.Secret) error {
	err := m.editUser(ctx, username, auth.Event{}, func(u *auth.User) {
		if u.PasswordHash == old {
			u.PasswordHash = hash
		}
	})
	if errors.Is(err, auth.ErrUserNotFound) {
		return nil
	}
	return err
}

// EndSessions implements auth.UserStore.
func (m *Mem) EndSessions(ctx context.Context, username string, e auth.Event) error {
	return m.editUser(ctx, username, e, func(u *auth.User) { u.TokenVersion++ })
}

// SetActive activates or deactivates a user, and leaves TokenVersion alone:
// what a test needs to see a user locked out at once.
func (m *Mem) SetActive(ctx context.Context, username string, active bool) error {
	return m.editUser(ctx, username, auth.Event{}, func(u *auth.User) { u.Active = active })
}

// SetRoles gives a user other roles, and leaves TokenVersion alone: what a test
// needs to see that roles are read at each request.
func (m *Mem) SetRoles(ctx context.Context, username string, roles ...auth.Role) error {
	return m.editUser(ctx, username, auth.Event{}, func(u *auth.User) { u.Roles = slices.Clone(roles) })
}

// DeleteUser removes a user, if there is one of that name.
func (m *Mem) DeleteUser(ctx context.Context, username string) error {
	return m.read(ctx, func() error {
		delete(m.users, auth.FoldUsername(username))
		return nil
	})
}

// TokenByHash implements auth.TokenStore.
func (m *Mem) TokenByHash(ctx context.Context, hash auth.Secret) (t auth.APIToken, err error) {
	err = m.read(ctx, func() error {
		for _, have := range m.tokens {
			if have.Hash == hash {
				t = cloneToken(have)
				return nil
			}
		}
		return auth.ErrTokenNotFound
	})
	return t, err
}

// Tokens implements auth.TokenStore.
func (m *Mem) Tokens(ctx context.Context) (tokens []auth.APIToken, err error) {
	err = m.read(ctx, func() error {
		for _, t := range m.tokens {
			tokens = append(tokens, cloneToken(t))
		}
		return nil
	})
	slices.SortFunc(tokens, func(a, b auth.APIToken) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return tokens, err
}

// CreateToken implements auth.TokenStore.
func (m *Mem) CreateToken(ctx context.Context, t auth.APIToken, e auth.Event) error {
	return m.change(ctx, e, func() error {
		for _, have := range m.tokens {
			if have.Name == t.Name && !have.Expired(t.CreatedAt) {
				return auth.ErrTokenNameTaken
			}
		}
		m.tokens[t.ID] = cloneToken(t)
		return nil
	})
}

// RevokeToken implements auth.TokenStore.
func (m *Mem) RevokeToken(ctx context.Context, id string, e auth.Event) error {
	return m.change(ctx, e, func() error {
		if _, ok := m.tokens[id]; !ok {
			return auth.ErrTokenNotFound
		}
		delete(m.tokens, id)
		return nil
	})
}

// TouchToken implements auth.TokenStore.
func (m *Mem) TouchToken(ctx context.Context, id string, at time.Time) error {
	return m.read(ctx, func() error {
		t, ok := m.tokens[id]
		if ok && (t.LastUsedAt == nil || at.After(*t.LastUsedAt)) {
			at = at.UTC()
			t.LastUsedAt = &at
			m.tokens[id] = t
		}
		return nil
	})
}

// cloneToken copies what a caller could change through a token, and turns its
// times to UTC.
func cloneToken(t auth.APIToken) auth.APIToken {
	t.Roles, t.Distributions = slices.Clone(t.Roles), slices.Clone(t.Distributions)
	t.CreatedAt = t.CreatedAt.UTC()
	for _, p := range []**time.Time{&t.ExpiresAt, &t.LastUsedAt} {
		if *p != nil {
			at := (*p).UTC()
			*p = &at
		}
	}
	return t
}

// RevokeSession implements auth.SessionStore.
func (m *Mem) RevokeSession(ctx context.Context, id string, until time.Time, e auth.Event) error {
	return m.change(ctx, e, func() error {
		m.sessions[id] = until
		return nil
	})
}

// SessionRevoked implements auth.SessionStore.
func (m *Mem) SessionRevoked(ctx context.Context, id string) (revoked bool, err error) {
	err = m.read(ctx, func() error {
		_, revoked = m.sessions[id]
		return nil
	})
	return revoked, err
}
