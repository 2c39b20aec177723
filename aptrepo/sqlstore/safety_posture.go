package sqlstore

import (
	"context"
	"database/sql"
	"slices"

	"github.com/repod-io/repod/aptrepo"
)

// The orders of postures, each that of an index.
const (
	worstFirst = " ORDER BY p.worst DESC, p.kev DESC, p.epss DESC, p.name, p.version_key DESC, p.arch"
	queueOrder = " ORDER BY p.queue, p.uploaded_at, p.name, p.version_key DESC, p.arch"
)

// postureWhere renders the conditions of a query, for both the rows and their
// sums.
func postureWhere(q aptrepo.PostureQuery) condition {
	where := condition{" WHERE p.distribution = ?", []any{q.Distribution}}
	if q.Status != "" {
		where.text += " AND p.status = ?"
		where.args = append(where.args, string(q.Status))
	}
	if q.Queue {
		where.text += " AND p.queue > 0"
	}
	return where
}

// Posture implements [aptrepo.SafetyStore].
func (d *DB) Posture(ctx context.Context, q aptrepo.PostureQuery) (page aptrepo.PosturePage, err error) {
	err = d.read(ctx, func(r querier) error {
		if page, err = postureTotals(r, q); err != nil {
			return err
		}
		where, order := postureWhere(q), worstFirst
		if q.Queue {
			order = queueOrder
		}
		found, err := ordered(r, "SELECT p.artifact_id FROM postures p"+where.text+order+" LIMIT ? OFFSET ?",
			slices.Concat(where.args, bounds(q.Page, q.PerPage)))
		if err != nil {
			return err
		}
		page.Items, err = postureRows(r, found)
		return err
	})
	return page, err
}

// postureTotals sums up what a query selects. Sums are kept of all but the
// queue, which is short.
func postureTotals(r querier, q aptrepo.PostureQuery) (page aptrepo.PosturePage, err error) {
	table, one := "posture_sums", "p.artifacts"
	if q.Queue {
		table, one = "postures", "1"
	}
	where := postureWhere(q)
	columns := "CAST(SUM(" + one + ") AS BIGINT)"
	for _, c := range summedColumns {
		columns += ", CAST(SUM(p." + c + ") AS BIGINT)"
	}
	err = each(r, "SELECT p.status, "+columns+" FROM "+table+" p"+where.text+" GROUP BY p.status", where.args, func(rows *sql.Rows) error {
		var status string
		var artifacts, covered int
		var c aptrepo.SeverityCounts
		err := rows.Scan(&status, &artifacts, &covered, &c.Critical, &c.High, &c.Medium, &c.Low, &c.Negligible, &c.Unknown)
		page.Total += artifacts
		page.Scanned += covered
		page.Unscanned += artifacts - covered
		if status == string(aptrepo.Rejected) {
			page.Blocked += artifacts
		}
		page.Counts = plus(page.Counts, c)
		return err
	})
	return page, err
}

func plus(a, b aptrepo.SeverityCounts) aptrepo.SeverityCounts {
	return aptrepo.SeverityCounts{
		Critical: a.Critical + b.Critical, High: a.High + b.High, Medium: a.Medium + b.Medium,
		Low: a.Low + b.Low, Negligible: a.Negligible + b.Negligible, Unknown: a.Unknown + b.Unknown,
	}
}

// postureRows reads what is known of artifacts.
func postureRows(r querier, found []aptrepo.Artifact) ([]aptrepo.PostureRow, error) {
	ids, names := make([]int64, 0, len(found)), make([]string, 0, len(found))
	for _, a := range found {
		ids, names = append(ids, a.ID), append(names, a.Name)
	}
	targets, err := targetsOf(r, ids)
	if err != nil {
		return nil, err
	}
	scans, err := summaries(r, ids)
	if err != nil {
		return nil, err
	}
	active, err := activeDecisions(r, names)
	if err != nil {
		return nil, err
	}
	rows := make([]aptrepo.PostureRow, 0, len(found))
	for _, a := range found {
		row := aptrepo.PostureRow{Artifact: a, Targets: targets[a.ID], Scan: scans[a.ID]}
		if decisions := active[a.Key()]; len(decisions) > 0 {
			row.Decision = &decisions[0]
		}
		rows = append(rows, row)
	}
	return rows, nil
}
