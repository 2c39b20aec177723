package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/repod-io/repod/aptrepo"
)

// Overview implements [aptrepo.OverviewStore].
func (d *DB) Overview(ctx context.Context, query aptrepo.OverviewQuery) (o aptrepo.Overview, err error) {
	err = d.read(ctx, func(q querier) error {
		for _, part := range []func(querier, aptrepo.OverviewQuery, *aptrepo.Overview) error{
			overviewTotals, overviewStatuses, overviewExploited, overviewNewest,
		} {
			if err := part(q, query, &o); err != nil {
				return err
			}
		}
		o.Expiring, err = decisions(q, `WHERE active = 1 AND expires_at > 0 AND expires_at <= ?
			ORDER BY expires_at, seq LIMIT ?`, micros(query.ExpiringBy), query.Most)
		return err
	})
	return o, err
}

func overviewTotals(q querier, query aptrepo.OverviewQuery, o *aptrepo.Overview) error {
	found, err := get(q, `SELECT names, size_bytes, (SELECT COUNT(*) FROM distributions),
			(SELECT COUNT(*) FROM artifacts WHERE uploaded_at >= ?),
			(SELECT COUNT(*) FROM postures WHERE distribution = '' AND queue > 0 AND queue = 1) FROM stock`, []any{micros(query.ArrivedSince)},
		&o.Names, &o.SizeBytes, &o.Distributions, &o.Arrived, &o.Waiting)
	if err == nil && !found {
		err = errors.New("the row of the stock is gone")
	}
	return err
}

// overviewStatuses reads the sums over all artifacts.
func overviewStatuses(q querier, _ aptrepo.OverviewQuery, o *aptrepo.Overview) error {
	o.ByStatus = make(map[aptrepo.Status]int)
	return each(q, `SELECT status, artifacts, covered, critical, high, medium, low, negligible, unknown
		FROM posture_sums WHERE distribution = '' AND artifacts > 0`, nil, func(rows *sql.Rows) error {
		var status string
		var artifacts, covered int
		var c aptrepo.SeverityCounts
		err := rows.Scan(&status, &artifacts, &covered, &c.Critical, &c.High, &c.Medium, &c.Low, &c.Negligible, &c.Unknown)
		o.ByStatus[aptrepo.Status(status)] += artifacts
		o.Artifacts += artifacts
		o.Scanned += covered
		o.Unscanned += artifacts - covered
		o.Counts = plus(o.Counts, c)
		return err
	})
}

func overviewExploited(q querier, query aptrepo.OverviewQuery, o *aptrepo.Overview) error {
	_, err := get(q, "SELECT CAST(COALESCE(SUM(kev), 0) AS BIGINT) FROM postures WHERE distribution = '' AND kev > 0", nil, &o.KEV)
	if err != nil || o.KEV == 0 {
		return err
	}
	return each(q, `SELECT a.name, a.version, a.arch FROM postures p JOIN artifacts a ON a.id = p.artifact_id
		WHERE p.distribution = '' AND p.kev > 0 AND `+of("p", alive)+`
		ORDER BY p.name, p.version_key DESC, p.arch LIMIT ?`, []any{query.Most}, func(rows *sql.Rows) error {
		var key aptrepo.Key
		err := rows.Scan(&key.Name, &key.Version, &key.Arch)
		o.Exploited = append(o.Exploited, key)
		return err
	})
}

func overviewNewest(q querier, query aptrepo.OverviewQuery, o *aptrepo.Overview) error {
	ids, err := integers(q, "SELECT id FROM artifacts ORDER BY uploaded_at DESC, name DESC, id DESC LIMIT ?", query.Newest)
	if err != nil {
		return err
	}
	byID, err := artifactsByID(q, ids)
	if err != nil {
		return err
	}
	targets, err := targetsOf(q, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		o.Newest = append(o.Newest, aptrepo.Arrival{Artifact: byID[id], Targets: targets[id]})
	}
	return nil
}

// History implements [aptrepo.OverviewStore].
func (d *DB) History(ctx context.Context, since aptrepo.Day) ([]aptrepo.DayCounts, error) {
	byDay := make(map[aptrepo.Day]aptrepo.DayCounts)
	err := d.read(ctx, func(q querier) error {
		err := each(q, `SELECT day, uploads, imports, rejections, decisions, scans, deletions FROM day_counts WHERE day >= ?`,
			[]any{int64(since)}, func(rows *sql.Rows) error {
				var c aptrepo.DayCounts
				err := rows.Scan(&c.Day, &c.Uploads, &c.Imports, &c.Rejections, &c.Decisions, &c.Scans, &c.Deletions)
				byDay[c.Day] = c
				return err
			})
		if err != nil {
			return err
		}
		return each(q, "SELECT day, apt + curl + wget + other FROM download_days WHERE day >= ?", []any{int64(since)}, func(rows *sql.Rows) error {
			var day aptrepo.Day
			var n int64
			err := rows.Scan(&day, &n)
			c := byDay[day]
			c.Day, c.Downloads = day, n
			byDay[day] = c
			return err
		})
	})
	all := make([]aptrepo.DayCounts, 0, len(byDay))
	for _, c := range byDay {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b aptrepo.DayCounts) int { return cmp.Compare(a.Day, b.Day) })
	return all, err
}
