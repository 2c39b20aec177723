package sqlstore

import (
	"context"
	"iter"

	"github.com/repod-io/repod/aptrepo"
)

// EachDecision implements [aptrepo.SafetyStore], as EachArtifact does.
func (d *DB) EachDecision(ctx context.Context) iter.Seq2[aptrepo.Decision, error] {
	return func(yield func(aptrepo.Decision, error) bool) {
		var last int64
		err := d.read(ctx, func(q querier) error {
			_, err := get(q, "SELECT coalesce(max(seq), 0) FROM decisions", nil, &last)
			return err
		})
		if err != nil {
			yield(aptrepo.Decision{}, err)
			return
		}
		for after := int64(0); after < last; after += eachPage {
			var page []aptrepo.Decision
			err := d.read(ctx, func(q querier) (err error) {
				page, err = decisions(q, "WHERE seq > ? AND seq <= ? ORDER BY seq", after, after+eachPage)
				return err
			})
			if err != nil {
				yield(aptrepo.Decision{}, err)
				return
			}
			for _, one := range page {
				if !yield(one, nil) {
					return
				}
			}
		}
	}
}
