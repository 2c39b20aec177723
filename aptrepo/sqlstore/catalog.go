package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
)

var _ upstream.Catalog = (*DB)(nil)

// SourceStates implements [upstream.Catalog].
func (d *DB) SourceStates(ctx context.Context) (states []upstream.State, err error) {
	err = d.read(ctx, func(q querier) error {
		return each(q, `SELECT source_id, status, last_attempt, last_sync, code, reason, detail, generation, package_count, memo
			FROM catalog_sources WHERE source_id IS NOT NULL AND status <> '' ORDER BY source_id`, nil, func(rows *sql.Rows) error {
			var s upstream.State
			var status string
			var attempt, sync int64
			err := rows.Scan(&s.SourceID, &status, &attempt, &sync, &s.Code, &s.Reason, &s.Detail,
				&s.Generation, &s.PackageCount, &s.Memo)
			s.Status, s.LastAttempt, s.LastSync = upstream.Status(status), timeOf(attempt), timeOf(sync)
			states = append(states, s)
			return err
		})
	})
	return states, err
}

// SaveState implements [upstream.Catalog].
func (d *DB) SaveState(ctx context.Context, s upstream.State) error {
	if !validText(s.SourceID) {
		return invalidText("source_id")
	}
	return d.update(ctx, func(t *tx) error {
		if _, err := t.catalogSource(s.SourceID); err != nil {
			return err
		}
		_, err := t.saveState(s, "source_id = ?", s.SourceID)
		return err
	})
}

// A catalogSource is a source as the tables know it.
type catalogSource struct {
	id         int64
	generation int64
}

// catalogSource returns a source, which it adds if need be.
func (t *tx) catalogSource(id string) (s catalogSource, err error) {
	_, err = t.exec(`INSERT INTO catalog_sources
		(source_id, status, last_attempt, last_sync, code, reason, detail, generation, package_count, memo)
		VALUES (?, '', 0, 0, '', '', '', 0, 0, ?) ON CONFLICT (source_id) DO NOTHING`, id, []byte{})
	if err == nil {
		_, err = get(t, "SELECT id, generation FROM catalog_sources WHERE source_id = ?", []any{id}, &s.id, &s.generation)
	}
	return s, err
}

// saveState writes how an attempt ended to the sources that a condition
// chooses, and returns how many those are.
func (t *tx) saveState(s upstream.State, where string, args ...any) (int64, error) {
	memo := s.Memo
	if memo == nil {
		memo = []byte{}
	}
	return t.exec(`UPDATE catalog_sources SET status = ?, last_attempt = ?, last_sync = ?,
		code = ?, reason = ?, detail = ?, memo = ? WHERE `+where,
		append([]any{string(s.Status), wholeSeconds(s.LastAttempt), wholeSeconds(s.LastSync),
			keepable(s.Code), keepable(s.Reason), keepable(s.Detail), memo}, args...)...)
}

func wholeSeconds(t time.Time) int64 { return micros(t.Truncate(time.Second)) }

// ForgetSource implements [upstream.Catalog]. The packages are gone at once,
// their rows are deleted bit by bit; what a crash leaves of them is deleted
// when the next source is forgotten or replaced.
func (d *DB) ForgetSource(ctx context.Context, id string) error {
	var known bool
	err := d.update(ctx, func(t *tx) error {
		var s catalogSource
		var err error
		if known, err = get(t, "SELECT id FROM catalog_sources WHERE source_id = ?", []any{id}, &s.id); err != nil || !known {
			return err
		}
		if _, err := t.exec("DELETE FROM catalog_stages WHERE source = ?", s.id); err != nil {
			return err
		}
		_, err = t.exec("UPDATE catalog_sources SET source_id = NULL WHERE id = ?", s.id)
		return err
	})
	if err != nil || !known {
		return err
	}
	return d.sweepCatalog(ctx)
}
