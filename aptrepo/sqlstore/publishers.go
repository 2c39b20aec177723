package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/repod-io/repod/auth"
)

const publisherColumns = `id, name, issuer, audience, repository, repository_id, ref, environment, roles, distributions,
	version, created_by, created_at, packages`

// publishers returns the trusted publishers that a clause selects.
func publishers(q querier, clause string, args ...any) (all []auth.Publisher, err error) {
	err = each(q, "SELECT "+publisherColumns+" FROM trusted_publishers "+clause, args, func(rows *sql.Rows) error {
		var p auth.Publisher
		var roles, distributions, packages string
		var created int64
		err := rows.Scan(&p.ID, &p.Name, &p.Issuer, &p.Audience, &p.Repository, &p.RepositoryID, &p.Ref, &p.Environment,
			&roles, &distributions, &p.Version, &p.CreatedBy, &created, &packages)
		if err != nil {
			return err
		}
		p.CreatedAt = timeOf(created)
		if p.Roles, err = rolesOf(roles); err != nil {
			return err
		}
		if p.Distributions, err = scopeOf(distributions); err != nil {
			return err
		}
		p.Packages, err = scopeOf(packages)
		all = append(all, p)
		return err
	})
	return all, err
}

// Publishers implements [auth.Store].
func (d *DB) Publishers(ctx context.Context) (all []auth.Publisher, err error) {
	err = d.read(ctx, func(q querier) error {
		all, err = publishers(q, "ORDER BY name")
		return err
	})
	return all, err
}

// Publisher implements [auth.Store].
func (d *DB) Publisher(ctx context.Context, id string) (p auth.Publisher, err error) {
	err = d.read(ctx, func(q querier) error {
		found, err := publishers(q, "WHERE id = ?", id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return auth.ErrPublisherNotFound
		}
		p = found[0]
		return nil
	})
	return p, err
}

// CreatePublisher implements [auth.Store].
func (d *DB) CreatePublisher(ctx context.Context, p auth.Publisher, e auth.Event) error {
	for _, text := range []string{p.Name, p.Issuer, p.Audience, p.Repository, p.RepositoryID, p.Ref, p.Environment, p.CreatedBy} {
		if !validText(text) {
			return invalidText("publisher")
		}
	}
	return d.changeOne(ctx, e, auth.ErrPublisherExists, "INSERT INTO trusted_publishers ("+publisherColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		p.ID, p.Name, p.Issuer, p.Audience, p.Repository, p.RepositoryID, p.Ref, p.Environment, roleNames(p.Roles),
		list(p.Distributions), p.Version, p.CreatedBy, micros(p.CreatedAt), list(p.Packages))
}

// DeletePublisher implements [auth.Store].
func (d *DB) DeletePublisher(ctx context.Context, id string, e auth.Event) error {
	return d.changeOne(ctx, e, auth.ErrPublisherNotFound, "DELETE FROM trusted_publishers WHERE id = ?", keepable(id))
}

// UseAssertion implements [auth.Store]. It forgets those that have expired by
// the time of the event.
func (d *DB) UseAssertion(ctx context.Context, id string, until time.Time, e auth.Event) error {
	return d.update(ctx, func(t *tx) error {
		if _, err := t.exec("DELETE FROM used_assertions WHERE ends_at < ?", micros(e.Time)); err != nil {
			return err
		}
		n, err := t.exec("INSERT INTO used_assertions (id, ends_at) VALUES (?, ?) ON CONFLICT DO NOTHING", id, micros(until))
		if err != nil {
			return err
		}
		if n == 0 {
			return auth.ErrAssertionUsed
		}
		return t.record(e)
	})
}
