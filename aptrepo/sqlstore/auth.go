package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
)

// record appends an event of package auth to the audit log, and its messages to
// the outbox. One without action is none.
func (t *tx) record(e auth.Event) error {
	if e.Action == "" {
		return nil
	}
	for _, m := range e.Messages {
		if err := t.Enqueue(aptrepo.Message{Topic: m.Topic, Payload: m.Payload, CreatedAt: e.Time}); err != nil {
			return err
		}
	}
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

const tokenColumns = "id, name, roles, prefix, distributions, created_by, created_at, expires_at, last_used_at, hash, packages"

func scanToken(rows *sql.Rows) (auth.APIToken, error) {
	var t auth.APIToken
	var roles, distributions, hash, packages string
	var created, expires, used int64
	err := rows.Scan(&t.ID, &t.Name, &roles, &t.Prefix, &distributions, &t.CreatedBy, &created, &expires, &used, &hash, &packages)
	if err != nil {
		return t, err
	}
	t.Hash, t.CreatedAt = auth.Secret(hash), timeOf(created)
	t.ExpiresAt, t.LastUsedAt = optionalTime(expires), optionalTime(used)
	if t.Roles, err = rolesOf(roles); err != nil {
		return t, err
	}
	if t.Distributions, err = scopeOf(distributions); err != nil {
		return t, err
	}
	t.Packages, err = scopeOf(packages)
	return t, err
}

// scopeOf reads the list of what a token may change; nil is all.
func scopeOf(text string) ([]string, error) {
	items, err := unlist(text)
	if len(items) == 0 {
		return nil, err
	}
	return items, err
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
		_, err = t.exec("INSERT INTO api_tokens ("+tokenColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			token.ID, token.Name, roleNames(token.Roles), token.Prefix, list(token.Distributions), token.CreatedBy,
			micros(token.CreatedAt), optionalMicros(token.ExpiresAt), optionalMicros(token.LastUsedAt), string(token.Hash),
			list(token.Packages))
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
