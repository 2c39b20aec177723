package sqlstore

import (
	"context"
	"time"

	"github.com/repod-io/repod/auth"
)

var _ auth.FailureStore = (*DB)(nil)

// failedName is how a row knows a user name.
func failedName(username string) string { return "=" + keepable(username) }

// Failures implements [auth.FailureStore].
func (d *DB) Failures(ctx context.Context, username, address string) (ofName, ofAddress auth.Failures, err error) {
	err = d.read(ctx, func(q querier) error {
		one := func(name string, into *auth.Failures) error {
			var last int64
			found, err := get(q, "SELECT n, last FROM login_failures WHERE name = ? AND address = ?", []any{name, address}, &into.N, &last)
			if found {
				into.Last = timeOf(last)
			}
			return err
		}
		if err := one(failedName(username), &ofName); err != nil {
			return err
		}
		return one("", &ofAddress)
	})
	return ofName, ofAddress, err
}

// AddFailure implements [auth.FailureStore].
func (d *DB) AddFailure(ctx context.Context, username, address string, at, since time.Time) error {
	return d.update(ctx, func(t *tx) error {
		if _, err := t.exec("DELETE FROM login_failures WHERE last <= ?", micros(since)); err != nil {
			return err
		}
		for _, name := range []string{failedName(username), ""} {
			_, err := t.exec(`INSERT INTO login_failures (name, address, n, last) VALUES (?, ?, 1, ?)
				ON CONFLICT (name, address) DO UPDATE SET n = login_failures.n + 1, last = excluded.last`, name, address, micros(at))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ForgetFailures implements [auth.FailureStore].
func (d *DB) ForgetFailures(ctx context.Context, username, address string) error {
	return d.update(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM login_failures WHERE name = ? AND address = ?", failedName(username), address)
		return err
	})
}

// ForgetUserFailures implements [auth.FailureStore].
func (d *DB) ForgetUserFailures(ctx context.Context, username string) error {
	return d.update(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM login_failures WHERE name = ?", failedName(username))
		return err
	})
}
