package sqlstore

import (
	"context"
	"database/sql"
	"errors"
)

// visible is the condition on a package p, of a source that is not forgotten,
// that readers see it.
const visible = `p.stage NOT IN (SELECT g.id FROM catalog_stages g)
	AND NOT EXISTS (SELECT 1 FROM catalog_removals r WHERE r.package_id = p.id
		AND r.stage NOT IN (SELECT g.id FROM catalog_stages g))`

// sweepCatalog deletes the rows that nobody sees any more: of packages that were
// removed, of replacements that cannot win and of sources that were forgotten.
func (d *DB) sweepCatalog(ctx context.Context) error {
	var forgotten, removed []int64
	lost := make(map[int64]int64) // stage: source
	err := d.read(ctx, func(q querier) (err error) {
		forgotten, err = integers(q, "SELECT id FROM catalog_sources WHERE source_id IS NULL")
		if err != nil {
			return err
		}
		removed, err = integers(q, `SELECT DISTINCT r.stage FROM catalog_removals r
			WHERE r.stage NOT IN (SELECT g.id FROM catalog_stages g)`)
		if err != nil {
			return err
		}
		return each(q, "SELECT g.id, g.source FROM catalog_stages g JOIN catalog_sources s ON s.id = g.source WHERE g.base <> s.generation",
			nil, func(rows *sql.Rows) error {
				var stage, source int64
				err := rows.Scan(&stage, &source)
				lost[stage] = source
				return err
			})
	})
	for _, source := range forgotten {
		err = errors.Join(err, d.sweepForgotten(ctx, source))
	}
	for _, stage := range removed {
		err = errors.Join(err, d.sweepRemoved(ctx, stage))
	}
	for stage, source := range lost {
		err = errors.Join(err, d.sweepLost(ctx, source, stage))
	}
	return err
}

func (d *DB) sweepForgotten(ctx context.Context, source int64) error {
	if err := d.sweep(ctx, "SELECT p.id FROM catalog_packages p WHERE p.source = ? LIMIT ?", source); err != nil {
		return err
	}
	return d.update(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM catalog_sources WHERE id = ?", source)
		return err
	})
}

// sweepRemoved deletes the packages that a replacement which has taken effect
// removed.
func (d *DB) sweepRemoved(ctx context.Context, stage int64) error {
	err := d.sweep(ctx, "SELECT r.package_id FROM catalog_removals r WHERE r.stage = ? LIMIT ?", stage)
	if err != nil {
		return err
	}
	return d.sweepRemovals(ctx, stage) // there are none left, unless of packages that are not there
}

// sweepLost deletes what a replacement that cannot win has left.
func (d *DB) sweepLost(ctx context.Context, source, stage int64) error {
	err := d.sweep(ctx, "SELECT p.id FROM catalog_packages p WHERE p.source = ? AND p.stage = ? LIMIT ?", source, stage)
	if err != nil {
		return err
	}
	if err := d.sweepRemovals(ctx, stage); err != nil {
		return err
	}
	return d.update(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM catalog_stages WHERE id = ?", stage)
		return err
	})
}

// sweep deletes the packages whose IDs a query returns, and the texts that no
// package has any more. The query's last parameter is how many IDs it may
// return.
func (d *DB) sweep(ctx context.Context, query string, args ...any) error {
	return d.slices(ctx, always, func(t *tx) (more bool, err error) {
		var ids, texts []int64
		err = each(t, `SELECT id, text_id FROM catalog_packages WHERE id IN (`+query+`)`, append(args[:len(args):len(args)], blockRows),
			func(rows *sql.Rows) error {
				var id, text int64
				err := rows.Scan(&id, &text)
				ids, texts = append(ids, id), append(texts, text)
				return err
			})
		if err != nil || len(ids) == 0 {
			return false, err
		}
		for _, step := range []struct {
			statement string
			ids       []int64
		}{
			{"DELETE FROM catalog_removals WHERE package_id IN (SELECT value FROM {ids})", ids},
			{"DELETE FROM catalog_provides WHERE package_id IN (SELECT value FROM {ids})", ids},
			{"DELETE FROM catalog_packages WHERE id IN (SELECT value FROM {ids})", ids},
			{`DELETE FROM catalog_texts WHERE id IN (SELECT value FROM {ids})
				AND NOT EXISTS (SELECT 1 FROM catalog_packages p WHERE p.text_id = catalog_texts.id)`, texts},
		} {
			if _, err := t.exec(step.statement, list(step.ids)); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

func (d *DB) sweepRemovals(ctx context.Context, stage int64) error {
	return d.slices(ctx, always, func(t *tx) (more bool, err error) {
		n, err := t.exec(`DELETE FROM catalog_removals WHERE stage = ? AND package_id IN
			(SELECT r.package_id FROM catalog_removals r WHERE r.stage = ? LIMIT ?)`, stage, stage, 10*blockRows)
		return n > 0, err
	})
}

func always(*tx) (bool, error) { return true, nil }

// integers reads a column of numbers.
func integers(q querier, query string, args ...any) ([]int64, error) {
	var all []int64
	err := each(q, query, args, func(rows *sql.Rows) error {
		var n int64
		err := rows.Scan(&n)
		all = append(all, n)
		return err
	})
	return all, err
}
