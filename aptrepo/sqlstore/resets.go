package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/repod-io/repod/auth"
)

// oneReset returns the reset that a condition on the table picks, unless it
// has ended.
func oneReset(q querier, where string, args ...any) (r auth.Reset, err error) {
	found := false
	err = each(q, "SELECT id, username, hash, created_at, expires_at FROM password_resets WHERE ended = 0 AND "+where, args,
		func(rows *sql.Rows) error {
			found = true
			var hash string
			var created, expires int64
			err := rows.Scan(&r.ID, &r.Username, &hash, &created, &expires)
			r.Hash, r.CreatedAt, r.ExpiresAt = auth.Secret(hash), timeOf(created), timeOf(expires)
			return err
		})
	if err == nil && !found {
		err = auth.ErrInvalidReset
	}
	return r, err
}

// CreateReset implements [auth.Store].
func (d *DB) CreateReset(ctx context.Context, r auth.Reset, since time.Time, most int) (kept auth.Reset, err error) {
	err = d.update(ctx, func(t *tx) error {
		var recent int
		var id string
		exists, err := get(t, "SELECT id FROM password_resets WHERE id = ?", []any{r.ID}, &id)
		if err == nil && !exists {
			folded := auth.FoldUsername(r.Username)
			_, err = get(t, "SELECT COUNT(*) FROM password_resets WHERE folded = ? AND created_at > ?", []any{folded, micros(since)}, &recent)
			if err == nil && recent >= most {
				return auth.ErrInvalidReset
			}
			if err == nil {
				err = t.createReset(folded, r)
			}
		}
		if err != nil {
			return err
		}
		kept, err = oneReset(t, "id = ?", r.ID)
		return err
	})
	return kept, err
}

// resetMemory is how long resets count for the limit, and are kept for it.
const resetMemory = 24 * time.Hour

func (t *tx) createReset(folded string, r auth.Reset) error {
	if err := t.endResets(folded); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM password_resets WHERE created_at < ?", micros(r.CreatedAt.Add(-resetMemory))); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO password_resets (id, folded, username, hash, created_at, expires_at, ended)
		VALUES (?, ?, ?, ?, ?, ?, 0)`, r.ID, folded, r.Username, string(r.Hash), micros(r.CreatedAt), micros(r.ExpiresAt))
	return err
}

func (t *tx) endResets(folded string) error {
	_, err := t.exec("UPDATE password_resets SET ended = 1 WHERE folded = ? AND ended = 0", keepable(folded))
	return err
}

// ResetByHash implements [auth.Store].
func (d *DB) ResetByHash(ctx context.Context, hash auth.Secret, at time.Time) (r auth.Reset, err error) {
	err = d.read(ctx, func(q querier) error {
		r, err = oneReset(q, "hash = ? AND expires_at > ?", string(hash), micros(at))
		return err
	})
	return r, err
}

// UseReset implements [auth.Store].
func (d *DB) UseReset(ctx context.Context, hash auth.Secret, at time.Time, edit func(u *auth.User) (auth.Event, error)) error {
	return d.update(ctx, func(t *tx) error {
		r, err := oneReset(t, "hash = ? AND expires_at > ?", string(hash), micros(at))
		if err != nil {
			return err
		}
		if _, err := t.editUser(r.Username, edit); err != nil {
			return err
		}
		return t.endResets(auth.FoldUsername(r.Username))
	})
}
