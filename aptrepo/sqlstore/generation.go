package sqlstore

import (
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// stillListed ends the span of a hash that the current generation lists.
const stillListed = math.MaxInt64

const generationColumns = "g.distribution, g.number, g.applied_seq, g.date, g.manifest, g.published_at"

func scanGeneration(rows *sql.Rows) (aptrepo.Generation, error) {
	var g aptrepo.Generation
	var date, published int64
	err := rows.Scan(&g.Distribution, &g.Number, &g.AppliedSeq, &date, &g.Manifest, &published)
	g.Date, g.PublishedAt = timeOf(date), timeOf(published)
	return g, err
}

// generations reads generations, chosen and ordered by the rest of the query,
// with their hashes.
func generations(q querier, rest string, args ...any) ([]aptrepo.Generation, error) {
	var found []aptrepo.Generation
	err := each(q, "SELECT "+generationColumns+" FROM generations g "+rest, args, func(rows *sql.Rows) error {
		g, err := scanGeneration(rows)
		found = append(found, g)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range found {
		g := &found[i]
		err := each(q, `SELECT sha256 FROM generation_hashes
			WHERE distribution = ? AND last_number >= ? AND first_number <= ? ORDER BY sha256`,
			[]any{g.Distribution, g.Number, g.Number}, func(rows *sql.Rows) error {
				var hash string
				err := rows.Scan(&hash)
				g.Hashes = append(g.Hashes, hash)
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// AdvanceGeneration implements [aptrepo.Store]. It waits for no other update
// but the one whose turn it is, and is committed at once.
func (d *DB) AdvanceGeneration(ctx context.Context, g aptrepo.Generation) error {
	return d.first(ctx, func(t *tx) error { return t.advanceGeneration(g) })
}

func (t *tx) advanceGeneration(g aptrepo.Generation) error {
	n, err := t.exec(`UPDATE distributions SET generation = ?, applied_seq = ?, last_published_at = ?
		WHERE codename = ? AND generation = ?`,
		g.Number, g.AppliedSeq, micros(g.PublishedAt), g.Distribution, g.Number-1)
	if err != nil {
		return err
	}
	if n == 0 {
		if _, err := distribution(t, g.Distribution); err != nil {
			return err
		}
		return aptrepo.ErrStale
	}
	_, err = t.exec("UPDATE generations SET superseded_at = ? WHERE distribution = ? AND number = ?",
		micros(g.PublishedAt), g.Distribution, g.Number-1)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO generations (distribution, number, applied_seq, date, manifest, published_at)
		VALUES (?, ?, ?, ?, ?, ?)`,
		g.Distribution, g.Number, g.AppliedSeq, micros(g.Date), g.Manifest, micros(g.PublishedAt))
	if err != nil {
		return err
	}
	return t.listHashes(g)
}

// listHashes ends the spans of the files that g no longer lists and begins
// those of the files that it lists anew.
func (t *tx) listHashes(g aptrepo.Generation) error {
	hashes := list(g.Hashes)
	_, err := t.exec(`UPDATE generation_hashes SET last_number = ?
		WHERE distribution = ? AND last_number = ? AND sha256 NOT IN (SELECT value FROM {texts})`,
		g.Number-1, g.Distribution, int64(stillListed), hashes)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO generation_hashes (distribution, sha256, first_number, last_number)
		SELECT DISTINCT CAST(? AS TEXT), value, CAST(? AS BIGINT), CAST(? AS BIGINT) FROM {texts}
		WHERE value NOT IN (SELECT sha256 FROM generation_hashes WHERE distribution = ? AND last_number = ?)`,
		g.Distribution, g.Number, int64(stillListed), hashes, g.Distribution, int64(stillListed))
	return err
}

// RaiseGeneration implements [aptrepo.Tx].
func (t *tx) RaiseGeneration(codename string, number int64, date time.Time) error {
	if _, err := distribution(t, codename); err != nil {
		return err
	}
	return raiseGeneration(t, codename, number, date)
}

// raiseGeneration leaves what is higher already. The span of each hash that the
// generation lists has no end yet, and so takes the new number in.
func raiseGeneration(q querier, codename string, number int64, date time.Time) error {
	const current = "distribution = ? AND number = (SELECT generation FROM distributions WHERE codename = ?)"
	_, err := q.exec("UPDATE generations SET date = ? WHERE "+current+" AND date < ?", micros(date), codename, codename, micros(date))
	if err != nil {
		return err
	}
	_, err = q.exec("UPDATE generations SET number = ? WHERE "+current+" AND number < ?", number, codename, codename, number)
	if err != nil {
		return err
	}
	_, err = q.exec("UPDATE distributions SET generation = ? WHERE codename = ? AND generation > 0 AND generation < ?", number, codename, number)
	return err
}

// DeleteGenerations implements [aptrepo.Tx].
func (t *tx) DeleteGenerations(codename string, before time.Time) ([]aptrepo.Generation, error) {
	var current, applied int64
	found, err := get(t, "SELECT generation, applied_seq FROM distributions WHERE codename = ?",
		[]any{codename}, &current, &applied)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, aptrepo.ErrUnknownDistribution
	}
	old := []any{codename, current, micros(before)}
	forgotten, err := generations(t, "WHERE g.distribution = ? AND g.number < ? AND g.superseded_at < ? ORDER BY g.number", old...)
	if err != nil {
		return nil, err
	}
	if len(forgotten) > 0 {
		_, err = t.exec("DELETE FROM generations WHERE distribution = ? AND number < ? AND superseded_at < ?", old...)
		if err != nil {
			return nil, err
		}
		_, err = t.exec(`DELETE FROM generation_hashes WHERE distribution = ? AND last_number < ? AND NOT EXISTS (
			SELECT 1 FROM generations g WHERE g.distribution = generation_hashes.distribution
				AND g.number BETWEEN generation_hashes.first_number AND generation_hashes.last_number)`,
			codename, int64(stillListed))
		if err != nil {
			return nil, err
		}
	}
	_, err = t.exec("DELETE FROM changes WHERE distribution = ? AND seq <= ?", codename, applied)
	return forgotten, err
}

// Generation implements [aptrepo.Store].
func (d *DB) Generation(ctx context.Context, codename string) (g aptrepo.Generation, err error) {
	err = d.read(ctx, func(q querier) error {
		found, err := generations(q, "JOIN distributions d ON d.codename = g.distribution AND d.generation = g.number WHERE d.codename = ?", codename)
		if err != nil {
			return err
		}
		if len(found) == 1 {
			g = found[0]
			return nil
		}
		_, err = distribution(q, codename)
		return err
	})
	return g, err
}

// GenerationByHash implements [aptrepo.Store].
func (d *DB) GenerationByHash(ctx context.Context, codename, sha256 string) (g aptrepo.Generation, err error) {
	err = d.read(ctx, func(q querier) error {
		found, err := generations(q, `JOIN generation_hashes h ON h.distribution = g.distribution
			AND g.number BETWEEN h.first_number AND h.last_number
			WHERE h.distribution = ? AND h.sha256 = ? ORDER BY g.number DESC LIMIT 1`, codename, sha256)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return aptrepo.ErrGenerationNotFound
		}
		g = found[0]
		return nil
	})
	return g, err
}

// Generations implements [aptrepo.Store].
func (d *DB) Generations(ctx context.Context, codename string) (all []aptrepo.Generation, err error) {
	err = d.read(ctx, func(q querier) error {
		all, err = generations(q, "WHERE g.distribution = ? ORDER BY g.number", codename)
		return err
	})
	return all, err
}

// Changes implements [aptrepo.Store].
func (d *DB) Changes(ctx context.Context, codename string, after int64, limit int) (changes []aptrepo.Change, err error) {
	err = d.read(ctx, func(q querier) error {
		changes, err = changesAfter(q, codename, after, limit)
		return err
	})
	return changes, err
}

func changesAfter(q querier, codename string, after int64, limit int) ([]aptrepo.Change, error) {
	var changes []aptrepo.Change
	var ids []int64 // of each change's artifact
	err := each(q, `SELECT seq, kind, component, name, version, arch, artifact_id FROM changes
		WHERE distribution = ? AND seq > ? ORDER BY seq LIMIT ?`, []any{codename, after, limit}, func(rows *sql.Rows) error {
		var c aptrepo.Change
		var kind string
		var id int64
		err := rows.Scan(&c.Seq, &kind, &c.Component, &c.Name, &c.Version, &c.Arch, &id)
		c.Kind = aptrepo.ChangeKind(kind)
		changes, ids = append(changes, c), append(ids, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	var added []int64
	for i, c := range changes {
		if c.Kind == aptrepo.ChangeAdd {
			added = append(added, ids[i])
		}
	}
	artifacts, err := artifactsByID(q, added)
	if err != nil {
		return nil, err
	}
	for i := range changes {
		if a, ok := artifacts[ids[i]]; ok && changes[i].Kind == aptrepo.ChangeAdd {
			changes[i].Artifact = &a
		}
	}
	return changes, nil
}
