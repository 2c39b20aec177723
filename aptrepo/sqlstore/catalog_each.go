package sqlstore

import (
	"context"
	"database/sql"
	"iter"

	"github.com/repod-io/repod/aptrepo/upstream"
)

// packagesPerRead is how many packages EachPackage reads at a time.
const packagesPerRead = 1000

// EachPackage yields all packages of a source as one sync left them. When a sync
// comes in between, upstream.ErrSuperseded ends it.
func (d *DB) EachPackage(ctx context.Context, source string) iter.Seq2[upstream.Package, error] {
	return func(yield func(upstream.Package, error) bool) {
		generation, last := int64(-1), int64(0)
		for {
			page, now, err := d.packagesAfter(ctx, source, last)
			if err == nil && generation >= 0 && now != generation {
				err = upstream.ErrSuperseded
			}
			if err != nil {
				yield(upstream.Package{}, err)
				return
			}
			generation = now
			for _, p := range page {
				if last = p.id; !yield(p.Package, nil) {
					return
				}
			}
			if len(page) < packagesPerRead {
				return
			}
		}
	}
}

type numbered struct {
	id int64
	upstream.Package
}

// packagesAfter returns the next packages of a source, by ID, and its
// generation.
func (d *DB) packagesAfter(ctx context.Context, source string, id int64) (page []numbered, generation int64, err error) {
	err = d.read(ctx, func(q querier) error {
		if _, err := get(q, "SELECT generation FROM catalog_sources WHERE source_id = ?", []any{source}, &generation); err != nil {
			return err
		}
		return each(q, "SELECT "+catalogColumns+` FROM catalog_packages p JOIN catalog_sources s ON s.id = p.source
			WHERE s.source_id = ? AND p.id > ? AND `+visible+" ORDER BY p.id LIMIT ?",
			[]any{source, id, packagesPerRead}, func(rows *sql.Rows) error {
				id, found, err := scanCatalogPackage(rows)
				page = append(page, numbered{id, found.Package})
				return err
			})
	})
	return page, generation, err
}
