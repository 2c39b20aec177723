package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// Vulnerabilities implements [aptrepo.SafetyStore]. Table vulnerability_counts
// answers all but a search among the names of artifacts, which goes through the
// findings of those it finds.
func (d *DB) Vulnerabilities(ctx context.Context, q aptrepo.VulnerabilityQuery) (page aptrepo.VulnerabilityPage, err error) {
	err = d.read(ctx, func(r querier) error {
		if err := coverage(r, q.Distribution, &page); err != nil {
			return err
		}
		ids, err := d.vulnerable(r, q, &page)
		if err != nil {
			return err
		}
		page.Items, err = vulnerabilityRows(r, q, ids)
		return err
	})
	return page, err
}

// coverage counts artifacts that were scanned, and others.
func coverage(r querier, codename string, page *aptrepo.VulnerabilityPage) error {
	var artifacts int
	_, err := get(r, `SELECT CAST(COALESCE(SUM(artifacts), 0) AS BIGINT), CAST(COALESCE(SUM(covered), 0) AS BIGINT)
		FROM posture_sums p WHERE distribution = ? AND published = 1 AND `+of("p", alive), []any{codename}, &artifacts, &page.Scanned)
	page.Unscanned = artifacts - page.Scanned
	return err
}

// vulnerable finds the IDs of a page and counts all.
func (d *DB) vulnerable(r querier, q aptrepo.VulnerabilityQuery, page *aptrepo.VulnerabilityPage) (ids []string, err error) {
	var ranks []int64
	for _, s := range q.Severities {
		ranks = append(ranks, severityRank(s))
	}
	query := d.dialect.vulnerableQuery(q, ranks)
	err = each(r, query.text, query.args, func(rows *sql.Rows) error {
		var id string
		var least [len(severities) + 1]int // the last one is 0
		dest := []any{&id}
		for i := range severities {
			dest = append(dest, &least[i])
		}
		err := rows.Scan(dest...)
		if err == nil && id != "" {
			ids = append(ids, id)
			return nil
		}
		for i := range severities {
			n := least[i] - least[i+1]
			countRank(&page.Summary, i, n)
			if len(ranks) == 0 || slices.Contains(ranks, int64(i)+1) {
				page.Total += n
			}
		}
		return err
	})
	return ids, err
}

// vulnerableQuery asks for a row without an ID, which has for each rank how many
// there are of it or a higher one, and for rows with the IDs of the page.
//
// For SQLite, reading table vulnerability_counts for each of the two is cheaper
// than making a copy. What a search among names finds is dear, and copied.
func (d Dialect) vulnerableQuery(q aptrepo.VulnerabilityQuery, ranks []int64) condition {
	chosen := d.chosen(q)
	where := condition{}
	if len(ranks) > 0 {
		where = condition{fmt.Sprintf(" WHERE weight / %d IN (SELECT value FROM {ids})", weightUnit), []any{list(ranks)}}
	}
	counts, none := "", ""
	for i := range severities {
		counts += fmt.Sprintf(", COUNT(*) FILTER (WHERE weight >= %d)", (i+1)*weightUnit)
		none += ", 0"
	}
	keep := "MATERIALIZED"
	if d == SQLite && q.Q == "" {
		keep = "NOT MATERIALIZED"
	}
	return condition{"WITH chosen AS " + keep + " (" + chosen.text + ") SELECT '' AS id" + counts + " FROM chosen UNION ALL SELECT id" +
		none + " FROM (SELECT id FROM chosen" + where.text + " ORDER BY weight DESC, id LIMIT ? OFFSET ?) AS page",
		slices.Concat(chosen.args, where.args, bounds(q.Page, q.PerPage))}
}

// countRank adds to the count of severities[i].
func countRank(c *aptrepo.SeverityCounts, i, n int) {
	*[...]*int{&c.Unknown, &c.Negligible, &c.Low, &c.Medium, &c.High, &c.Critical}[i] += n
}

// findingConditions are those of a query on the columns of a finding, which are
// the same in vulnerability_counts.
func findingConditions(q aptrepo.VulnerabilityQuery) (c condition) {
	if q.FixState != "" {
		c.text += " AND @.fix_state = ?"
		c.args = append(c.args, string(q.FixState))
	}
	if q.KEV != nil {
		c.text += " AND @.kev = ?"
		c.args = append(c.args, integer(*q.KEV))
	}
	return c
}

// chosen lists the IDs that a query selects without regard to severities, and
// the weight of the worst finding of each.
func (d Dialect) chosen(q aptrepo.VulnerabilityQuery) condition {
	more := findingConditions(q)
	counted := condition{"SELECT id, weight FROM vulnerability_counts v WHERE distribution = ?" + of("v", more.text),
		append([]any{q.Distribution}, more.args...)}
	if q.Q != "" {
		text := fold(q.Q)
		if !validText(text) {
			counted.text += " AND 1 = 0"
		} else {
			counted.text += " AND " + d.position("LOWER(id)") + " > 0"
			counted.args = append(counted.args, text)
		}
		named := d.named(q, more)
		counted.text += " UNION ALL " + named.text
		counted.args = append(counted.args, named.args...)
	}
	counted.text = "SELECT id, MAX(weight) AS weight FROM (" + counted.text + ") AS f GROUP BY id"
	return counted
}

// named lists the findings of the artifacts with names that a query looks for.
// CROSS JOIN makes SQLite begin with the names.
func (d Dialect) named(q aptrepo.VulnerabilityQuery, more condition) condition {
	all, _ := d.searching("s.artifact_id", q.Q)
	name := d.position("s.folded")
	text := `SELECT f.id, f.weight FROM search_texts s CROSS JOIN postures p CROSS JOIN findings f
		WHERE ` + all.text + " AND " + name + " > 0 AND " + name + " < " + name + `
		AND p.artifact_id = s.artifact_id AND p.distribution = ? AND p.published = 1 AND ` + of("p", alive) + `
		AND f.artifact_id = s.artifact_id AND f.open = 1` + of("f", more.text)
	folded := fold(q.Q)
	return condition{text, slices.Concat(all.args, []any{folded, folded, fieldEnd, q.Distribution}, more.args)}
}

// An affected artifact, and its worst finding of an ID.
type affected struct {
	aptrepo.AffectedArtifact
	id     int64
	key    []byte
	weight int64
	place  int64
}

// vulnerabilityRows reads what is vulnerable. ids are in the order of the page.
func vulnerabilityRows(r querier, q aptrepo.VulnerabilityQuery, ids []string) ([]aptrepo.VulnerabilityRow, error) {
	rows := make([]aptrepo.VulnerabilityRow, len(ids))
	byID, err := affectedBy(r, q, ids)
	if err != nil {
		return nil, err
	}
	if err := placesOf(r, byID); err != nil {
		return nil, err
	}
	worst := make(map[findingKey]*scan.Finding, len(ids))
	for i, id := range ids {
		list := byID[id]
		if len(list) == 0 {
			return nil, fmt.Errorf("vulnerability %s is counted and nowhere to be found", id)
		}
		top := list[0] // of equal ones the first
		for _, a := range list {
			if a.weight > top.weight {
				top = a
			}
			rows[i].Affected = append(rows[i].Affected, a.AffectedArtifact)
		}
		worst[findingKey{top.id, top.place}] = &rows[i].Finding
	}
	return rows, readFindings(r, ids, worst)
}

// affectedBy reads which artifacts have the vulnerabilities of a page.
func affectedBy(r querier, q aptrepo.VulnerabilityQuery, ids []string) (map[string][]*affected, error) {
	more := findingConditions(q)
	more.args = append([]any{list(ids)}, more.args...)
	if q.Distribution != "" {
		more.text += " AND EXISTS (SELECT 1 FROM publications b WHERE b.artifact_id = a.id AND b.distribution = ?)"
		more.args = append(more.args, q.Distribution)
	}
	byID := make(map[string][]*affected, len(ids))
	err := each(r, `SELECT f.id, f.place, f.weight, f.fixed_version, a.id, a.name, a.version, a.version_key, a.arch, a.status
		FROM findings f JOIN artifacts a ON a.id = f.artifact_id
		WHERE f.id IN (SELECT value FROM {texts}) AND f.open = 1 AND `+of("a", alive)+of("f", more.text), more.args,
		func(rows *sql.Rows) error {
			var id, status string
			a := &affected{}
			err := rows.Scan(&id, &a.place, &a.weight, &a.FixedVersion, &a.id, &a.Name, &a.Version, &a.key, &a.Arch, &status)
			a.Status = aptrepo.Status(status)
			if q.Q == "" || strings.Contains(lowerASCII(id), fold(q.Q)) || strings.Contains(fold(a.Name), fold(q.Q)) {
				byID[id] = append(byID[id], a)
			}
			return err
		})
	for id, all := range byID {
		slices.SortFunc(all, func(a, b *affected) int {
			return cmp.Or(strings.Compare(a.Name, b.Name), bytes.Compare(b.key, a.key), strings.Compare(a.Arch, b.Arch),
				cmp.Compare(b.weight, a.weight), cmp.Compare(a.place, b.place))
		})
		byID[id] = slices.CompactFunc(all, func(a, b *affected) bool { return a.id == b.id })
	}
	return byID, err
}

// placesOf fills in where artifacts are published.
func placesOf(r querier, byID map[string][]*affected) error {
	published := make(map[int64]*aptrepo.Artifact)
	for _, all := range byID {
		for _, a := range all {
			published[a.id] = &aptrepo.Artifact{}
		}
	}
	if err := publicationsOf(r, published); err != nil {
		return err
	}
	for _, all := range byID {
		for _, a := range all {
			a.Distributions = published[a.id].Distributions()
		}
	}
	return nil
}

// A findingKey is that of table findings.
type findingKey struct{ artifact, place int64 }

// readFindings reads findings, of those IDs, to where they are wanted.
func readFindings(r querier, ids []string, wanted map[findingKey]*scan.Finding) error {
	var artifacts []int64
	for key := range wanted {
		artifacts = append(artifacts, key.artifact)
	}
	return each(r, "SELECT "+findingColumns+", f.artifact_id, f.place FROM "+findingTables+`
		WHERE f.artifact_id IN (SELECT value FROM {ids}) AND f.id IN (SELECT value FROM {texts})`,
		[]any{list(artifacts), list(ids)}, func(rows *sql.Rows) error {
			var key findingKey
			var f scan.Finding
			err := scanFinding(rows, &f, &key.artifact, &key.place)
			if to := wanted[key]; to != nil {
				*to = f
			}
			return err
		})
}
