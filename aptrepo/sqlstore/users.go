package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/repod-io/repod/auth"
)

const userColumns = `username, email, full_name, roles, active, auth_source, password_hash,
	token_version, kept_session, COALESCE(external_id, ''), created_at, last_login`

// scanUser reads userColumns, and what stands behind them into more.
func scanUser(rows *sql.Rows, more ...any) (u auth.User, err error) {
	var roles, hash string
	var active, created, login int64
	err = rows.Scan(append([]any{&u.Username, &u.Email, &u.FullName, &roles, &active, &u.AuthSource, &hash,
		&u.TokenVersion, &u.KeptSession, &u.ExternalID, &created, &login}, more...)...)
	if err != nil {
		return u, err
	}
	u.Active, u.PasswordHash = active != 0, auth.Secret(hash)
	u.CreatedAt, u.LastLogin = timeOf(created), timeOf(login)
	u.Roles, err = rolesOf(roles)
	return u, err
}

// oneUser returns the user that a condition on the table users picks.
func oneUser(q querier, where string, args ...any) (u auth.User, err error) {
	found := false
	err = each(q, "SELECT "+userColumns+" FROM users WHERE "+where, args, func(rows *sql.Rows) (err error) {
		found = true
		u, err = scanUser(rows)
		return err
	})
	if err == nil && !found {
		err = auth.ErrUserNotFound
	}
	return u, err
}

// User implements [auth.Store].
func (d *DB) User(ctx context.Context, username string) (u auth.User, err error) {
	err = d.read(ctx, func(q querier) error {
		u, err = oneUser(q, "folded = ?", auth.FoldUsername(username))
		return err
	})
	return u, err
}

// UserByEmail implements [auth.Store].
func (d *DB) UserByEmail(ctx context.Context, email string) (u auth.User, err error) {
	err = d.read(ctx, func(q querier) error {
		u, err = oneUser(q, "email_folded = ?", auth.FoldEmail(email))
		return err
	})
	return u, err
}

// UserByExternalID implements [auth.Store].
func (d *DB) UserByExternalID(ctx context.Context, id string) (u auth.User, err error) {
	err = d.read(ctx, func(q querier) error {
		u, err = oneUser(q, "external_id = ?", id)
		return err
	})
	return u, err
}

// Users implements [auth.Store].
func (d *DB) Users(ctx context.Context) ([]auth.User, error) {
	var users []auth.User
	err := d.read(ctx, func(q querier) error {
		return each(q, "SELECT "+userColumns+" FROM users ORDER BY folded", nil, func(rows *sql.Rows) error {
			u, err := scanUser(rows)
			users = append(users, u)
			return err
		})
	})
	return users, err
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
	if !validText(u.Username) {
		return invalidText("username")
	}
	folded := auth.FoldUsername(u.Username)
	var name string
	exists, err := get(t, "SELECT username FROM users WHERE folded = ? OR external_id = ?", []any{folded, orNull(u.ExternalID)}, &name)
	if err != nil {
		return err
	}
	if exists {
		return auth.ErrUserExists
	}
	if err := t.checkUser(&u); err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO users (folded, username, email, email_folded, full_name, roles, active, auth_source,
		password_hash, token_version, kept_session, external_id, created_at, last_login)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		folded, u.Username, u.Email, orNull(auth.FoldEmail(u.Email)), u.FullName, roleNames(u.Roles), integer(u.Active), u.AuthSource,
		string(u.PasswordHash), u.TokenVersion, u.KeptSession, orNull(u.ExternalID), micros(u.CreatedAt), micros(u.LastLogin))
	if err != nil {
		return err
	}
	return t.record(e)
}

// orNull is NULL for "", of which there may be many.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// checkUser reports what the database could not keep of u, and whether the
// e-mail address is another's.
func (t *tx) checkUser(u *auth.User) error {
	for _, f := range []struct{ name, text string }{
		{"external_id", u.ExternalID}, {"email", u.Email}, {"full_name", u.FullName}, {"auth_source", u.AuthSource}, {"kept_session", u.KeptSession},
	} {
		if !validText(f.text) {
			return invalidText(f.name)
		}
	}
	if u.Email == "" {
		return nil
	}
	var name string
	taken, err := get(t, "SELECT username FROM users WHERE email_folded = ? AND folded <> ?",
		[]any{auth.FoldEmail(u.Email), auth.FoldUsername(u.Username)}, &name)
	if err == nil && taken {
		err = auth.ErrEmailTaken
	}
	return err
}

// EditUser implements [auth.Store].
func (d *DB) EditUser(ctx context.Context, username string, edit func(u *auth.User) (auth.Event, error)) (u auth.User, err error) {
	err = d.update(ctx, func(t *tx) error {
		u, err = t.editUser(username, edit)
		return err
	})
	if err != nil {
		return auth.User{}, err
	}
	return u, nil
}

func (t *tx) editUser(username string, edit func(u *auth.User) (auth.Event, error)) (auth.User, error) {
	folded := auth.FoldUsername(username)
	before, err := oneUser(t, "folded = ?", folded)
	if err != nil {
		return auth.User{}, err
	}
	u := before
	e, err := edit(&u)
	if err != nil {
		return auth.User{}, err
	}
	u.Username, u.CreatedAt, u.ExternalID = before.Username, before.CreatedAt, before.ExternalID
	if err := t.checkUser(&u); err != nil {
		return auth.User{}, err
	}
	if before.ActiveAdmin() && !u.ActiveAdmin() {
		if err := t.otherAdmin(folded); err != nil {
			return auth.User{}, err
		}
	}
	_, err = t.exec(`UPDATE users SET email = ?, email_folded = ?, full_name = ?, roles = ?, active = ?, auth_source = ?,
		password_hash = ?, token_version = ?, kept_session = ?, last_login = ? WHERE folded = ?`,
		u.Email, orNull(auth.FoldEmail(u.Email)), u.FullName, roleNames(u.Roles), integer(u.Active), u.AuthSource,
		string(u.PasswordHash), u.TokenVersion, u.KeptSession, micros(u.LastLogin), folded)
	if err == nil && u.PasswordHash != before.PasswordHash {
		err = t.endResets(folded)
	}
	if err != nil {
		return auth.User{}, err
	}
	return u, t.record(e)
}

// otherAdmin returns ErrLastAdmin unless there is an active administrator
// besides one user. Transactions run one after the other, so that of two
// administrators who go at once, the second one finds out.
func (t *tx) otherAdmin(folded string) error {
	other := false
	err := each(t, "SELECT "+userColumns+" FROM users WHERE active = 1 AND folded <> ?", []any{folded}, func(rows *sql.Rows) error {
		u, err := scanUser(rows)
		other = other || u.ActiveAdmin()
		return err
	})
	if err == nil && !other {
		err = auth.ErrLastAdmin
	}
	return err
}

// DeleteUser implements [auth.Store].
func (d *DB) DeleteUser(ctx context.Context, username string, e auth.Event) error {
	return d.update(ctx, func(t *tx) error {
		folded := auth.FoldUsername(username)
		u, err := oneUser(t, "folded = ?", folded)
		if err != nil {
			return err
		}
		if u.ActiveAdmin() {
			if err := t.otherAdmin(folded); err != nil {
				return err
			}
		}
		if _, err := t.exec("DELETE FROM users WHERE folded = ?", folded); err != nil {
			return err
		}
		if err := t.endResets(folded); err != nil {
			return err
		}
		if err := t.putFactor(folded, auth.Factor{}); err != nil {
			return err
		}
		return t.record(e)
	})
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

// Rehash implements [auth.Store].
func (d *DB) Rehash(ctx context.Context, username string, old, hash auth.Secret) error {
	return d.update(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE users SET password_hash = ? WHERE folded = ? AND password_hash = ?",
			string(hash), keepable(auth.FoldUsername(username)), string(old))
		return err
	})
}

// Session implements [auth.Store].
func (d *DB) Session(ctx context.Context, id, username string) (u auth.User, revoked bool, err error) {
	found := false
	err = d.read(ctx, func(q querier) error {
		return each(q, "SELECT "+userColumns+`, (SELECT COUNT(*) FROM revoked_sessions WHERE id = ?)
			FROM users WHERE folded = ?`, []any{id, auth.FoldUsername(username)}, func(rows *sql.Rows) (err error) {
			found = true
			u, err = scanUser(rows, &revoked)
			return err
		})
	})
	if err == nil && !found {
		err = auth.ErrUserNotFound
	}
	return u, revoked, err
}
