package authtest

import (
	"context"
	"errors"
	"maps"
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
	resets   map[string]auth.Reset  // by ID
	ended    map[string]bool        // resets used or ended
	factors  map[string]auth.Factor // by folded name

	publishers map[string]auth.Publisher // by ID
	assertions map[string]bool
	events     []auth.Event
	messages   []auth.Message

	failures map[[2]string]auth.Failures // by name, "" for all, and address
}

var (
	_ Store             = (*Mem)(nil)
	_ auth.FailureStore = (*Mem)(nil)
)

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
		m.resets = map[string]auth.Reset{}
		m.ended = map[string]bool{}
		m.factors = map[string]auth.Factor{}
		m.publishers = map[string]auth.Publisher{}
		m.assertions = map[string]bool{}
	}
	if err := f(); err != nil {
		return err
	}
	m.note(e)
	return nil
}

func (m *Mem) note(e auth.Event) {
	if e.Action != "" {
		e.Time = e.Time.UTC()
		m.messages = append(m.messages, e.Messages...)
		e.Messages = nil
		m.events = append(m.events, e)
	}
}

// read runs f while nothing changes.
func (m *Mem) read(ctx context.Context, f func() error) error {
	return m.change(ctx, auth.Event{}, f)
}

// editUser changes a user.
func (m *Mem) editUser(ctx context.Context, username string, e auth.Event, edit func(*auth.User)) error {
	return m.change(ctx, e, func() error {
		_, err := m.edit(username, func(u *auth.User) (auth.Event, error) {
			edit(u)
			return auth.Event{}, nil
		})
		return err
	})
}

// edit changes a user within a transaction.
func (m *Mem) edit(username string, edit func(*auth.User) (auth.Event, error)) (auth.User, error) {
	name := auth.FoldUsername(username)
	before, ok := m.users[name]
	if !ok {
		return auth.User{}, auth.ErrUserNotFound
	}
	u := before
	u.Roles = slices.Clone(u.Roles)
	e, err := edit(&u)
	if err != nil {
		return auth.User{}, err
	}
	u.Username, u.CreatedAt, u.ExternalID = before.Username, before.CreatedAt, before.ExternalID
	if err := m.emailFree(u); err != nil {
		return auth.User{}, err
	}
	if before.ActiveAdmin() && !u.ActiveAdmin() && !m.otherAdmin(name) {
		return auth.User{}, auth.ErrLastAdmin
	}
	m.users[name] = u
	m.note(e)
	u.Roles = slices.Clone(u.Roles)
	return u, nil
}

func (m *Mem) emailFree(u auth.User) error {
	for _, other := range m.users {
		if u.Email != "" && auth.FoldEmail(other.Email) == auth.FoldEmail(u.Email) &&
			auth.FoldUsername(other.Username) != auth.FoldUsername(u.Username) {
			return auth.ErrEmailTaken
		}
	}
	return nil
}

// otherAdmin reports whether there is an active administrator besides one.
func (m *Mem) otherAdmin(name string) bool {
	for other, u := range m.users {
		if other != name && u.ActiveAdmin() {
			return true
		}
	}
	return false
}

// Events returns what was recorded, oldest first, without messages.
func (m *Mem) Events(ctx context.Context) (events []auth.Event, err error) {
	err = m.read(ctx, func() error {
		events = slices.Clone(m.events)
		return nil
	})
	return events, err
}

// Messages returns what events asked for, oldest first.
func (m *Mem) Messages(ctx context.Context) (messages []auth.Message, err error) {
	err = m.read(ctx, func() error {
		messages = slices.Clone(m.messages)
		return nil
	})
	return messages, err
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
		for _, other := range m.users {
			if u.ExternalID != "" && other.ExternalID == u.ExternalID {
				return auth.ErrUserExists
			}
		}
		if err := m.emailFree(u); err != nil {
			return err
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

// EditUser implements auth.UserStore.
func (m *Mem) EditUser(ctx context.Context, username string, edit func(*auth.User) (auth.Event, error)) (u auth.User, err error) {
	err = m.read(ctx, func() error {
		before := m.users[auth.FoldUsername(username)].PasswordHash
		u, err = m.edit(username, edit)
		if err == nil && u.PasswordHash != before {
			m.endResets(auth.FoldUsername(username))
		}
		return err
	})
	return u, err
}

// Users implements auth.UserStore.
func (m *Mem) Users(ctx context.Context) (users []auth.User, err error) {
	err = m.read(ctx, func() error {
		for _, name := range slices.Sorted(maps.Keys(m.users)) {
			u := m.users[name]
			u.Roles = slices.Clone(u.Roles)
			users = append(users, u)
		}
		return nil
	})
	return users, err
}

// UserByEmail implements auth.UserStore.
func (m *Mem) UserByEmail(ctx context.Context, email string) (u auth.User, err error) {
	users, err := m.Users(ctx)
	if err != nil {
		return auth.User{}, err
	}
	i := slices.IndexFunc(users, func(u auth.User) bool {
		return u.Email != "" && auth.FoldEmail(u.Email) == auth.FoldEmail(email)
	})
	if i < 0 {
		return auth.User{}, auth.ErrUserNotFound
	}
	return users[i], nil
}

// UserByExternalID implements auth.UserStore.
func (m *Mem) UserByExternalID(ctx context.Context, id string) (auth.User, error) {
	users, err := m.Users(ctx)
	if err != nil {
		return auth.User{}, err
	}
	i := slices.IndexFunc(users, func(u auth.User) bool { return id != "" && u.ExternalID == id })
	if i < 0 {
		return auth.User{}, auth.ErrUserNotFound
	}
	return users[i], nil
}

// DeleteUser implements auth.UserStore.
func (m *Mem) DeleteUser(ctx context.Context, username string, e auth.Event) error {
	return m.change(ctx, e, func() error {
		name := auth.FoldUsername(username)
		u, ok := m.users[name]
		switch {
		case !ok:
			return auth.ErrUserNotFound
		case u.ActiveAdmin() && !m.otherAdmin(name):
			return auth.ErrLastAdmin
		}
		delete(m.users, name)
		delete(m.factors, name)
		m.endResets(name)
		return nil
	})
}

// SetActive activates or deactivates a user, and leaves TokenVersion alone:
// what a test needs to see a user locked out at once.
func (m *Mem) SetActive(ctx context.Context, username string, active bool) error {
	return m.force(ctx, username, func(u *auth.User) { u.Active = active })
}

// SetRoles gives a user other roles, and leaves TokenVersion alone: what a test
// needs to see that roles are read at each request.
func (m *Mem) SetRoles(ctx context.Context, username string, roles ...auth.Role) error {
	return m.force(ctx, username, func(u *auth.User) { u.Roles = slices.Clone(roles) })
}

// force changes a user whatever the rules say.
func (m *Mem) force(ctx context.Context, username string, change func(*auth.User)) error {
	return m.read(ctx, func() error {
		name := auth.FoldUsername(username)
		u, ok := m.users[name]
		if !ok {
			return auth.ErrUserNotFound
		}
		change(&u)
		m.users[name] = u
		return nil
	})
}

// Remove removes a user, if there is one of that name, even the last
// administrator: what a test needs to see that sessions end with their user.
func (m *Mem) Remove(ctx context.Context, username string) error {
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
	t.Roles, t.Distributions, t.Packages = slices.Clone(t.Roles), slices.Clone(t.Distributions), slices.Clone(t.Packages)
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

// Session implements auth.SessionStore.
func (m *Mem) Session(ctx context.Context, id, username string) (u auth.User, revoked bool, err error) {
	if u, err = m.User(ctx, username); err != nil {
		return auth.User{}, false, err
	}
	err = m.read(ctx, func() error {
		_, revoked = m.sessions[id]
		return nil
	})
	return u, revoked, err
}

// CreateReset implements auth.ResetStore.
func (m *Mem) CreateReset(ctx context.Context, r auth.Reset, since time.Time, most int) (kept auth.Reset, err error) {
	err = m.read(ctx, func() error {
		name := auth.FoldUsername(r.Username)
		if _, ok := m.resets[r.ID]; !ok {
			recent := 0
			for _, other := range m.resets {
				if auth.FoldUsername(other.Username) == name && other.CreatedAt.After(since) {
					recent++
				}
			}
			if recent >= most {
				return auth.ErrInvalidReset
			}
			m.endResets(name)
			r.CreatedAt, r.ExpiresAt = r.CreatedAt.UTC(), r.ExpiresAt.UTC()
			m.resets[r.ID] = r
		}
		if m.ended[r.ID] {
			return auth.ErrInvalidReset
		}
		kept = m.resets[r.ID]
		return nil
	})
	return kept, err
}

func (m *Mem) endResets(name string) {
	for id, r := range m.resets {
		if auth.FoldUsername(r.Username) == name {
			m.ended[id] = true
		}
	}
}

func (m *Mem) openReset(hash auth.Secret, at time.Time) (auth.Reset, error) {
	for id, r := range m.resets {
		if r.Hash == hash && !m.ended[id] && at.Before(r.ExpiresAt) {
			return r, nil
		}
	}
	return auth.Reset{}, auth.ErrInvalidReset
}

// ResetByHash implements auth.ResetStore.
func (m *Mem) ResetByHash(ctx context.Context, hash auth.Secret, at time.Time) (r auth.Reset, err error) {
	err = m.read(ctx, func() error {
		r, err = m.openReset(hash, at)
		return err
	})
	return r, err
}

// UseReset implements auth.ResetStore.
func (m *Mem) UseReset(ctx context.Context, hash auth.Secret, at time.Time, edit func(*auth.User) (auth.Event, error)) error {
	return m.read(ctx, func() error {
		r, err := m.openReset(hash, at)
		if err != nil {
			return err
		}
		if _, err := m.edit(r.Username, edit); err != nil {
			return err
		}
		m.endResets(auth.FoldUsername(r.Username))
		return nil
	})
}

// Factor implements auth.FactorStore.
func (m *Mem) Factor(ctx context.Context, username string) (f auth.Factor, err error) {
	err = m.read(ctx, func() error {
		var ok bool
		if f, ok = m.factors[auth.FoldUsername(username)]; !ok {
			return auth.ErrNoFactor
		}
		f.Recovery = slices.Clone(f.Recovery)
		return nil
	})
	return f, err
}

// EditFactor implements auth.FactorStore.
func (m *Mem) EditFactor(ctx context.Context, username string, edit func(*auth.Factor) (auth.Event, error)) error {
	return m.read(ctx, func() error {
		name := auth.FoldUsername(username)
		if _, ok := m.users[name]; !ok {
			return auth.ErrUserNotFound
		}
		f := m.factors[name]
		f.Recovery = slices.Clone(f.Recovery)
		e, err := edit(&f)
		if err != nil {
			return err
		}
		if f.Sealed == "" {
			delete(m.factors, name)
		} else {
			f.CreatedAt = f.CreatedAt.UTC()
			m.factors[name] = f
		}
		m.note(e)
		return nil
	})
}

// clonePublisher copies what a caller could change.
func clonePublisher(p auth.Publisher) auth.Publisher {
	p.Roles, p.Distributions, p.Packages = slices.Clone(p.Roles), slices.Clone(p.Distributions), slices.Clone(p.Packages)
	p.CreatedAt = p.CreatedAt.UTC()
	return p
}

// Publishers implements auth.PublisherStore.
func (m *Mem) Publishers(ctx context.Context) (list []auth.Publisher, err error) {
	err = m.read(ctx, func() error {
		for _, p := range m.publishers {
			list = append(list, clonePublisher(p))
		}
		return nil
	})
	slices.SortFunc(list, func(a, b auth.Publisher) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// Publisher implements auth.PublisherStore.
func (m *Mem) Publisher(ctx context.Context, id string) (p auth.Publisher, err error) {
	err = m.read(ctx, func() error {
		var ok bool
		if p, ok = m.publishers[id]; !ok {
			return auth.ErrPublisherNotFound
		}
		p = clonePublisher(p)
		return nil
	})
	return p, err
}

// CreatePublisher implements auth.PublisherStore.
func (m *Mem) CreatePublisher(ctx context.Context, p auth.Publisher, e auth.Event) error {
	return m.change(ctx, e, func() error {
		for _, other := range m.publishers {
			if other.Name == p.Name {
				return auth.ErrPublisherExists
			}
		}
		m.publishers[p.ID] = clonePublisher(p)
		return nil
	})
}

// DeletePublisher implements auth.PublisherStore.
func (m *Mem) DeletePublisher(ctx context.Context, id string, e auth.Event) error {
	return m.change(ctx, e, func() error {
		if _, ok := m.publishers[id]; !ok {
			return auth.ErrPublisherNotFound
		}
		delete(m.publishers, id)
		return nil
	})
}

// UseAssertion implements auth.PublisherStore.
func (m *Mem) UseAssertion(ctx context.Context, id string, _ time.Time, e auth.Event) error {
	return m.change(ctx, e, func() error {
		if m.assertions[id] {
			return auth.ErrAssertionUsed
		}
		m.assertions[id] = true
		return nil
	})
}

// Failures implements auth.FailureStore.
func (m *Mem) Failures(ctx context.Context, username, address string) (ofName, ofAddress auth.Failures, err error) {
	err = m.read(ctx, func() error {
		ofName, ofAddress = m.failures[[2]string{"=" + username, address}], m.failures[[2]string{"", address}]
		return nil
	})
	return ofName, ofAddress, err
}

// AddFailure implements auth.FailureStore.
func (m *Mem) AddFailure(ctx context.Context, username, address string, at, since time.Time) error {
	return m.read(ctx, func() error {
		if m.failures == nil {
			m.failures = map[[2]string]auth.Failures{}
		}
		for _, name := range []string{"=" + username, ""} {
			key := [2]string{name, address}
			f := m.failures[key]
			if !f.Last.After(since) {
				f.N = 0
			}
			m.failures[key] = auth.Failures{N: f.N + 1, Last: at.UTC()}
		}
		return nil
	})
}

// ForgetFailures implements auth.FailureStore.
func (m *Mem) ForgetFailures(ctx context.Context, username, address string) error {
	return m.read(ctx, func() error {
		delete(m.failures, [2]string{"=" + username, address})
		return nil
	})
}

// ForgetUserFailures implements auth.FailureStore.
func (m *Mem) ForgetUserFailures(ctx context.Context, username string) error {
	return m.read(ctx, func() error {
		maps.DeleteFunc(m.failures, func(key [2]string, _ auth.Failures) bool { return key[0] == "="+username })
		return nil
	})
}
