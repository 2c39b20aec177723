package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

const distributionColumns = `codename, description, origin, label, suite, os, components, architectures, created_at,
	package_count, artifact_count, size_bytes, last_published_at`

func scanDistribution(rows *sql.Rows) (aptrepo.Distribution, error) {
	var d aptrepo.Distribution
	var components, architectures string
	var created, published int64
	err := rows.Scan(&d.Codename, &d.Description, &d.Origin, &d.Label, &d.Suite, &d.OS, &components, &architectures,
		&created, &d.PackageCount, &d.ArtifactCount, &d.SizeBytes, &published)
	if err != nil {
		return d, err
	}
	d.CreatedAt, d.LastPublishedAt = timeOf(created), timeOf(published)
	if d.Components, err = unlist(components); err != nil {
		return d, err
	}
	d.Architectures, err = unlist(architectures)
	return d, err
}

func distribution(q querier, codename string) (aptrepo.Distribution, error) {
	var d aptrepo.Distribution
	found := false
	err := each(q, "SELECT "+distributionColumns+" FROM distributions WHERE codename = ?", []any{codename},
		func(rows *sql.Rows) (err error) {
			found = true
			d, err = scanDistribution(rows)
			return err
		})
	if err == nil && !found {
		err = aptrepo.ErrUnknownDistribution
	}
	return d, err
}

// InsertDistribution implements [aptrepo.Tx].
func (t *tx) InsertDistribution(d aptrepo.Distribution) (bool, error) {
	for _, text := range []string{d.Codename, d.Description, d.Origin, d.Label, d.Suite, d.OS} {
		if !validText(text) {
			return false, invalidText("distribution")
		}
	}
	n, err := t.exec(`INSERT INTO distributions
		(codename, description, origin, label, suite, os, components, architectures, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		d.Codename, d.Description, d.Origin, d.Label, d.Suite, d.OS,
		list(d.Components), list(d.Architectures), micros(d.CreatedAt))
	return n > 0, err
}

// Distribution implements [aptrepo.Tx].
func (t *tx) Distribution(codename string) (aptrepo.Distribution, error) {
	return distribution(t, codename)
}

// Distribution implements [aptrepo.Store].
func (d *DB) Distribution(ctx context.Context, codename string) (found aptrepo.Distribution, err error) {
	err = d.read(ctx, func(q querier) error {
		found, err = distribution(q, codename)
		return err
	})
	return found, err
}

// Distributions implements [aptrepo.Store].
func (d *DB) Distributions(ctx context.Context) (all []aptrepo.Distribution, err error) {
	err = d.read(ctx, func(q querier) error {
		all, err = distributions(q)
		return err
	})
	return all, err
}

func distributions(q querier) (all []aptrepo.Distribution, err error) {
	err = each(q, "SELECT "+distributionColumns+" FROM distributions ORDER BY codename", nil, func(rows *sql.Rows) error {
		one, err := scanDistribution(rows)
		all = append(all, one)
		return err
	})
	return all, err
}

// Heads implements [aptrepo.Store].
func (d *DB) Heads(ctx context.Context) (map[string]aptrepo.Head, error) {
	heads := make(map[string]aptrepo.Head)
	err := d.read(ctx, func(q querier) error {
		return each(q, "SELECT codename, generation, applied_seq, last_seq FROM distributions", nil, func(rows *sql.Rows) error {
			var codename string
			var h aptrepo.Head
			err := rows.Scan(&codename, &h.Generation, &h.AppliedSeq, &h.LastSeq)
			heads[codename] = h
			return err
		})
	})
	return heads, err
}

// DueRemovals implements [aptrepo.Store]: earliest first.
func (d *DB) DueRemovals(ctx context.Context, now time.Time, limit int) ([]string, error) {
	var names []string
	err := d.read(ctx, func(q querier) error {
		return each(q, "SELECT filename FROM removals WHERE due_at <= ? ORDER BY due_at, filename LIMIT ?",
			[]any{micros(now), limit}, func(rows *sql.Rows) error {
				var name string
				err := rows.Scan(&name)
				names = append(names, name)
				return err
			})
	})
	return names, err
}

// SigningKeys implements [aptrepo.Store].
func (d *DB) SigningKeys(ctx context.Context) (keys []aptrepo.SigningKey, err error) {
	err = d.read(ctx, func(q querier) error {
		keys, err = signingKeys(q)
		return err
	})
	return keys, err
}
