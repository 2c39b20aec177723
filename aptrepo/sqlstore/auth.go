package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
)

// record appends an event of package auth to the audit log.
func (t *tx) record(e auth.Event) error {
	return t.Audit(aptrepo.AuditEntry{
		Time:      e.Time,
		Action:    e.Action,
		User:      e.User,
		IP:        e.IP,
		Result:    e.Result,
		Target:    e.Target,
		Detail:    e.Detail,
		RequestID: e.RequestID,
	})
}

// Record implements [auth.Store].
func (d *DB) Record(ctx context.Context, e auth.Event) error {
	return d.update(ctx, func(t *tx) error { return t.record(e) })
}

func roleNames(roles []auth.Role) string {
	names := []string{}
	for _, r := range roles {
		names = append(names, r.String())
	}
	return list(names)
}

func rolesOf(text string) ([]auth.Role, error) {
	names, err := unlist(text)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	return auth.ParseRoles(names)
}

// User implements [auth.Store].
func (d *DB) User(ctx context.Context, username string) (u auth.User, err error) {
	err = d.read(ctx, func(q querier) error {
		var roles, hash string
		var active, created, login int64
		found, err := get(q, `SELECT username, email, full_name, roles, active, auth_source, password_hash,
			token_version, created_at, last_login FROM users WHERE folded = ?`,
			[]any{auth.FoldUsername(username)}, &u.Username, &u.Email, &u.FullName, &roles, &active,
			&u.AuthSource, &hash, &u.TokenVersion, &created, &login)
		switch {
		case err != nil:
			return err
		case !found:
			return auth.ErrUserNotFound
		}
		u.Active, u.PasswordHash = active != 0, auth.Secret(hash)
		u.CreatedAt, u.LastLogin = timeOf(created), timeOf(login)
		u.Roles, err = rolesOf(roles)
		return err
	})
	return u, err
}

// CountUsers implements [auth.Store].
func (d *DB) CountUsers(ctx context.Context) (n int, err error) {
	err = d.read(ctx, func(q querier) error {
		_, err := get(q, "SELECT COUNT(*) FROM users", nil, &n)
		return err
	})
	return n, err
}

// CreateUser implements [auth.Store].
func (d *DB) CreateUser(ctx context.Context, u auth.User, e auth.Event) error {
	return d.update(ctx, func(t *tx) error { return t.createUser(u, e) })
}

// CreateFirstUser implements [auth.Store].
func (d *DB) CreateFirstUser(ctx context.Context, u auth.User, e auth.Event) error {
	return d.update(ctx, func(t *tx) error {
		var name string
		some, err := get(t, "SELECT username FROM users LIMIT 1", nil, &name)
		if err != nil {
			return err
		}
		if some {
			return auth.ErrUserExists
		}
		return t.createUser(u, e)
	})
}

func (t *tx) createUser(u auth.User, e auth.Event) error {
	for _, f := range []struct{ name, text string }{{"username", u.Username}, {"email", u.Email}, {"full_name", u.FullName}} {
		if !validText(f.text) {
			return invalidText(f.name)
		}
	}
	n, err := t.exec(`INSERT INTO users (folded, username, email, full_name, roles, active, auth_source, password_hash,
		token_version, created_at, last_login) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		auth.FoldUsername(u.Username), u.Username, u.Email, u.FullName, roleNames(u.Roles), integer(u.Active),
		u.AuthSource, string(u.PasswordHash), u.TokenVersion, micros(u.CreatedAt), micros(u.LastLogin))
	if err != nil {
		return err
	}
	if n == 0 {
		return auth.ErrUserExists
	}
	return t.record(e)
}

// changeOne runs a statement that must change one row, and records e.
func (d *DB) changeOne(ctx context.Context, e auth.Event, missing error, query string, args ...any) error {
	return d.update(ctx, func(t *tx) error {
		n, err := t.exec(query, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			return missing
		}
		return t.record(e)
	})
}

// RecordLogin implements [auth.Store].
func (d *DB) RecordLogin(ctx context.Context, username string, at time.Time, e auth.Event) error {
	return d.changeOne(ctx, e, auth.ErrUserNotFound, "UPDATE users SET last_login = ? WHERE folded = ?",
		micros(at), keepable(auth.FoldUsername(username)))
}

// EndSessions implements [auth.Store].
func (d *DB) EndSessions(ctx context.Context, username string, e auth.Event) error {
	return d.changeOne(ctx, e, auth.ErrUserNotFound, "UPDATE users SET token_version = token_version + 1 WHERE folded = ?",
		keepable(auth.FoldUsername(username)))
}

// Rehash implements [auth.Store].
func (d *DB) Rehash(ctx context.Context, username string, old, hash auth.Secret) error {
	return d.update(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE users SET password_hash = ? WHERE folded = ? AND password_hash = ?",
			string(hash), keepable(auth.FoldUsername(username)), string(old))
		return err
	})
}

const tokenColumns = "id, name, roles, prefix, distributions, created_by, created_at, expires_at, last_used_at, hash"

func scanToken(rows *sql.Rows) (auth.APIToken, error) {
	var t auth.APIToken
	var roles, distributions, hash string
	var created, expires, used int64
	err := rows.Scan(&t.ID, &t.Name, &roles, &t.Prefix, &distributions, &t.CreatedBy, &created, &expires, &used, &hash)
	if err != nil {
		return t, err
	}
	t.Hash, t.CreatedAt = auth.Secret(hash), timeOf(created)
	t.ExpiresAt, t.LastUsedAt = optionalTime(expires), optionalTime(used)
	if t.Roles, err = rolesOf(roles); err != nil {
		return t, err
	}
	t.Distributions, err = unlist(distributions)
	if len(t.Distributions) == 0 {
		t.Distributions = nil
	}
	return t, err
}

func optionalTime(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := timeOf(micros)
	return &t
}

func optionalMicros(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return micros(*t)
}

// TokenByHash implements [auth.Store].
func (d *DB) TokenByHash(ctx context.Context, hash auth.Secret) (token auth.APIToken, err error) {
	found := false
	err = d.read(ctx, func(q querier) error {
		return each(q, "SELECT "+tokenColumns+" FROM api_tokens WHERE hash = ?", []any{string(hash)}, func(rows *sql.Rows) (err error) {
			found = true
			token, err = scanToken(rows)
			return err
		})
	})
	if err == nil && !found {
		err = auth.ErrTokenNotFound
	}
	return token, err
}

// Tokens implements [auth.Store].
func (d *DB) Tokens(ctx context.Context) ([]auth.APIToken, error) {
	var tokens []auth.APIToken
	err := d.read(ctx, func(q querier) error {
		return each(q, "SELECT "+tokenColumns+" FROM api_tokens ORDER BY created_at DESC, id", nil, func(rows *sql.Rows) error {
			token, err := scanToken(rows)
			tokens = append(tokens, token)
			return err
		})
	})
	return tokens, err
}

// CreateToken implements [auth.Store].
func (d *DB) CreateToken(ctx context.Context, token auth.APIToken, e auth.Event) error {
	return d.update(ctx, func(t *tx) error {
		var id string
		taken, err := get(t, "SELECT id FROM api_tokens WHERE name = ? AND (expires_at = 0 OR expires_at > ?) LIMIT 1",
			[]any{token.Name, micros(token.CreatedAt)}, &id)
		if err != nil {
			return err
		}
		if taken {
			return auth.ErrTokenNameTaken
		}
		distributions := token.Distributions
		_, err = t.exec("INSERT INTO api_tokens ("+tokenColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			token.ID, token.Name, roleNames(token.Roles), token.Prefix, list(distributions), token.CreatedBy,
			micros(token.CreatedAt), optionalMicros(token.ExpiresAt), optionalMicros(token.LastUsedAt), string(token.Hash))
		if err != nil {
			return err
		}
		return t.record(e)
	})
}

// RevokeToken implements [auth.Store].
func (d *DB) RevokeToken(ctx context.Context, id string, e auth.Event) error {
	return d.changeOne(ctx, e, auth.ErrTokenNotFound, "DELETE FROM api_tokens WHERE id = ?", keepable(id))
}

// TouchToken implements [auth.Store].
func (d *DB) TouchToken(ctx context.Context, id string, at time.Time) error {
	return d.update(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE api_tokens SET last_used_at = ? WHERE id = ? AND last_used_at < ?", micros(at), id, micros(at))
		return err
	})
}

// RevokeSession implements [auth.Store]. It forgets sessions that have expired
// by the time of the event.
func (d *DB) RevokeSession(ctx context.Context, id string, until time.Time, e auth.Event) error {
	return d.update(ctx, func(t *tx) error {
		if _, err := t.exec("DELETE FROM revoked_sessions WHERE ends_at < ?", micros(e.Time)); err != nil {
			return err
		}
		_, err := t.exec("INSERT INTO revoked_sessions (id, ends_at) VALUES (?, ?) ON CONFLICT DO NOTHING", id, micros(until))
		if err != nil {
			return err
		}
		return t.record(e)
	})
}

// SessionRevoked implements [auth.Store].
func (d *DB) SessionRevoked(ctx context.Context, id string) (revoked bool, err error) {
	err = d.read(ctx, func(q querier) error {
		var ends int64
		revoked, err = get(q, "SELECT ends_at FROM revoked_sessions WHERE id = ?", []any{id}, &ends)
		return err
	})
	return revoked, err
}
