package sqlstore

import (
	"context"
	"database/sql"

	"github.com/repod-io/repod/auth"
)

// factor returns the factor of a user.
func factor(q querier, folded string) (f auth.Factor, found bool, err error) {
	err = each(q, "SELECT secret, confirmed, last_step, recovery, created_at FROM factors WHERE folded = ?", []any{folded},
		func(rows *sql.Rows) error {
			found = true
			var sealed, recovery string
			var created int64
			if err := rows.Scan(&sealed, &f.Confirmed, &f.LastStep, &recovery, &created); err != nil {
				return err
			}
			hashes, err := unlist(recovery)
			for _, h := range hashes {
				f.Recovery = append(f.Recovery, auth.Secret(h))
			}
			f.Sealed, f.CreatedAt = auth.Secret(sealed), timeOf(created)
			return err
		})
	return f, found, err
}

// Factor implements [auth.Store].
func (d *DB) Factor(ctx context.Context, username string) (f auth.Factor, err error) {
	err = d.read(ctx, func(q querier) error {
		var found bool
		f, found, err = factor(q, auth.FoldUsername(username))
		if err == nil && !found {
			err = auth.ErrNoFactor
		}
		return err
	})
	return f, err
}

// EditFactor implements [auth.Store].
func (d *DB) EditFactor(ctx context.Context, username string, edit func(f *auth.Factor) (auth.Event, error)) error {
	return d.update(ctx, func(t *tx) error {
		folded := auth.FoldUsername(username)
		if _, err := oneUser(t, "folded = ?", folded); err != nil {
			return err
		}
		f, _, err := factor(t, folded)
		if err != nil {
			return err
		}
		e, err := edit(&f)
		if err != nil {
			return err
		}
		if err := t.putFactor(folded, f); err != nil {
			return err
		}
		return t.record(e)
	})
}

func (t *tx) putFactor(folded string, f auth.Factor) error {
	if _, err := t.exec("DELETE FROM factors WHERE folded = ?", folded); err != nil || f.Sealed == "" {
		return err
	}
	hashes := []string{}
	for _, h := range f.Recovery {
		hashes = append(hashes, string(h))
	}
	_, err := t.exec("INSERT INTO factors (folded, secret, confirmed, last_step, recovery, created_at) VALUES (?, ?, ?, ?, ?, ?)",
		folded, string(f.Sealed), integer(f.Confirmed), f.LastStep, list(hashes), micros(f.CreatedAt))
	return err
}
