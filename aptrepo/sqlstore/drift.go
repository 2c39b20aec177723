package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo"
)

// A derivation says how something that the tables hold for speed follows from
// other things that they hold.
type derivation struct {
	name  string
	count string   // a query of how many rows are not as they should be
	mend  []string // statements
}

// derivedTable is the derivation of a whole table: its rows are those of a query
// with the same columns, the key first. where leaves out rows that say nothing.
func derivedTable(name string, key int, columns []string, where, query string) derivation {
	all, keys := strings.Join(columns, ", "), strings.Join(columns[:key], ", ")
	kept := "SELECT " + all + " FROM " + name + where
	return derivation{
		name: name,
		count: "SELECT (SELECT COUNT(*) FROM (" + kept + " EXCEPT SELECT * FROM (" + query + ") AS q) AS x) + " +
			"(SELECT COUNT(*) FROM (SELECT * FROM (" + query + ") AS q EXCEPT " + kept + ") AS y)",
		mend: []string{
			"DELETE FROM " + name + " WHERE (" + keys + ") IN (SELECT " + keys + " FROM (" + kept + " EXCEPT SELECT * FROM (" + query + ") AS q) AS x)",
			// Rows that say nothing are in the way of those that should be there.
			"DELETE FROM " + name + " WHERE (" + keys + ") IN (SELECT " + keys + " FROM (SELECT * FROM (" + query + ") AS q EXCEPT " + kept + ") AS y)",
			"INSERT INTO " + name + " (" + all + ") SELECT * FROM (" + query + ") AS q EXCEPT " + kept,
		},
	}
}

// derivedColumns is the derivation of columns of rows that are there.
func derivedColumns(name, table, wrong, set string) derivation {
	return derivation{name: name, count: "SELECT COUNT(*) FROM " + table + " WHERE " + wrong, mend: []string{"UPDATE " + table + " SET " + set + " WHERE " + wrong}}
}

// copiedColumns are those of artifacts that publications have, too.
var copiedColumns = []string{"name", "version_key", "arch", "status", "section", "size", "uploaded_at"}

// derivations are in the order in which they build on each other. Each says once
// more, in other words, what the statements do that keep a table in step.
func derivations() []derivation {
	copied := strings.Join(copiedColumns, ", ")
	of := "(SELECT " + copied + " FROM artifacts a WHERE a.id = publications.artifact_id)"
	count := "(SELECT COUNT(*) FROM publications p WHERE p.artifact_id = artifacts.id)"
	sole := "CASE WHEN component = (SELECT MIN(p.component) FROM publications p WHERE p.distribution = publications.distribution AND p.artifact_id = publications.artifact_id) THEN 1 ELSE 0 END"
	unsole := "(SELECT SUM(p.sole) FROM publications p WHERE p.distribution = publications.distribution AND p.artifact_id = publications.artifact_id) <> 1"
	sums := "CAST(COUNT(*) AS BIGINT)"
	for _, c := range summedColumns {
		sums += ", CAST(SUM(" + c + ") AS BIGINT)"
	}
	return []derivation{
		derivedColumns("publications", "publications", "("+copied+") <> "+of, "("+copied+") = "+of),
		derivedColumns("publications.sole", "publications", unsole, "sole = "+sole),
		derivedColumns("artifacts.publications", "artifacts", "publications <> "+count, "publications = "+count),
		derivedTable("listings", 2, []string{"distribution", "name", "artifact_id", "uploaded_at", "size"}, "", listed),
		derivedColumns("distributions", "distributions", "(package_count, artifact_count, size_bytes) <> "+countsOf,
			"(package_count, artifact_count, size_bytes) = "+countsOf),
		derivedTable("postures", 2, postureColumns, "", posturesOf),
		derivedTable("posture_sums", 3, append([]string{"distribution", "published", "status", "artifacts"}, summedColumns...),
			" WHERE artifacts <> 0", "SELECT distribution, published, status, "+sums+" FROM postures GROUP BY distribution, published, status"),
		derivedTable("vulnerability_counts", 4, []string{"distribution", "id", "weight", "fix_state", "kev", "findings"}, " WHERE findings <> 0",
			`SELECT p.distribution, f.id, f.weight, f.fix_state, MAX(f.kev), CAST(COUNT(*) AS BIGINT)
				FROM postures p JOIN findings f ON f.artifact_id = p.artifact_id
				WHERE p.published = 1 AND p.status NOT IN ('rejected', 'quarantined') AND f.open = 1
				GROUP BY p.distribution, f.id, f.weight, f.fix_state`),
		derivedTable("stock", 1, []string{"id", "names", "size_bytes"}, "",
			`SELECT CAST(1 AS BIGINT), (SELECT COUNT(*) FROM listings WHERE distribution = ''),
				(SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM artifacts)`),
		derivedTable("download_days", 1, []string{"day", "apt", "curl", "wget", "other", "bytes"}, "",
			`SELECT day, CAST(SUM(apt) AS BIGINT), CAST(SUM(curl) AS BIGINT), CAST(SUM(wget) AS BIGINT), CAST(SUM(other) AS BIGINT),
				CAST(SUM(bytes) AS BIGINT) FROM download_counts GROUP BY day`),
		dayCountsAtLeast,
	}
}

// listed are the rows of table listings: see relist.
const listed = `SELECT distribution, name, artifact_id, uploaded_at, size FROM (
		SELECT p.distribution, p.name, p.artifact_id, a.uploaded_at, a.size,
			ROW_NUMBER() OVER (PARTITION BY p.distribution, p.name
				ORDER BY p.version_key DESC, CASE WHEN p.arch = 'amd64' THEN 0 ELSE 1 END, p.arch) AS place
		FROM publications p JOIN artifacts a ON a.id = p.artifact_id) AS there WHERE place = 1
	UNION ALL SELECT '', name, id, uploaded_at, size FROM (
		SELECT name, id, uploaded_at, size, ROW_NUMBER() OVER (PARTITION BY name
			ORDER BY CASE WHEN publications > 0 THEN 0 ELSE 1 END, ` + bestOf + `) AS place FROM artifacts) AS everywhere WHERE place = 1`

const countsOf = `(SELECT COUNT(DISTINCT p.name), COUNT(*), CAST(COALESCE(SUM(CASE WHEN p.sole = 1 THEN p.size ELSE 0 END), 0) AS BIGINT)
	FROM publications p WHERE p.distribution = distributions.codename)`

var postureColumns = slices.Concat([]string{"artifact_id", "distribution", "published", "status", "worst", "kev", "epss", "queue", "uploaded_at",
	"name", "version_key", "arch"}, summedColumns)

// posturesOf are the rows of table postures: see insertPostures.
const posturesOf = `SELECT a.id, p.distribution, p.published, a.status, ` + worstOf + `, COALESCE(s.kev, 0), COALESCE(s.epss_max, -1),
		` + inQueue + `, a.uploaded_at, a.name, a.version_key, a.arch, COALESCE(s.covered, 0), COALESCE(s.critical, 0),
		COALESCE(s.high, 0), COALESCE(s.medium, 0), COALESCE(s.low, 0), COALESCE(s.negligible, 0), COALESCE(s.unknown, 0)
	FROM (SELECT id AS artifact_id, '' AS distribution, 1 AS published FROM artifacts
		UNION ALL SELECT artifact_id, distribution, 1 FROM publications WHERE sole = 1
		UNION ALL SELECT DISTINCT g.artifact_id, g.distribution, 0 FROM targets g
			WHERE NOT EXISTS (SELECT 1 FROM publications b WHERE b.artifact_id = g.artifact_id AND b.distribution = g.distribution)) p
	JOIN artifacts a ON a.id = p.artifact_id LEFT JOIN scans s ON s.artifact_id = a.id`

// dayCountsAtLeast tells of days with fewer events than what is still there of
// them: what was deleted since cannot be counted again.
var dayCountsAtLeast = func() derivation {
	const least = `(SELECT day, CAST(SUM(uploads) AS BIGINT) AS uploads, CAST(SUM(imports) AS BIGINT) AS imports,
			CAST(SUM(rejections) AS BIGINT) AS rejections, CAST(SUM(decisions) AS BIGINT) AS decisions FROM (
		SELECT uploaded_at / 86400000000 AS day, CASE WHEN status <> 'rejected' AND origin <> 'import' THEN 1 ELSE 0 END AS uploads,
			CASE WHEN status <> 'rejected' AND origin = 'import' THEN 1 ELSE 0 END AS imports,
			CASE WHEN status = 'rejected' THEN 1 ELSE 0 END AS rejections, 0 AS decisions FROM artifacts
		UNION ALL SELECT decided_at / 86400000000, 0, 0, 0, 1 FROM decisions) AS events GROUP BY day) AS l`
	// What an artifact became after it came is counted elsewhere.
	const short = `c.day IS NULL OR c.uploads + c.imports + c.rejections < l.uploads + l.imports + l.rejections OR c.decisions < l.decisions`
	const more = " FROM " + least + " LEFT JOIN day_counts c ON c.day = l.day WHERE "
	return derivation{
		name:  "day_counts",
		count: "SELECT COUNT(*)" + more + short,
		mend: []string{`INSERT INTO day_counts (day, uploads, imports, rejections, decisions, scans, deletions)
			SELECT l.day, l.uploads, l.imports, l.rejections, l.decisions, 0, 0` + more + `(` + short + `)
			ON CONFLICT (day) DO UPDATE SET
				uploads = CASE WHEN day_counts.uploads < excluded.uploads THEN excluded.uploads ELSE day_counts.uploads END,
				imports = CASE WHEN day_counts.imports < excluded.imports THEN excluded.imports ELSE day_counts.imports END,
				rejections = CASE WHEN day_counts.rejections < excluded.rejections THEN excluded.rejections ELSE day_counts.rejections END,
				decisions = CASE WHEN day_counts.decisions < excluded.decisions THEN excluded.decisions ELSE day_counts.decisions END`},
	}
}()

// CheckDerived implements [aptrepo.DerivedStore].
func (d *DB) CheckDerived(ctx context.Context, mend bool) (wrong []aptrepo.Drift, err error) {
	// All of it is read, which takes longer than an answer may.
	if err := d.readWithin(ctx, ctx, func(q querier) (err error) {
		wrong, err = drifts(q)
		return err
	}); err != nil {
		return nil, err
	}
	index, err := d.checkSearch(ctx, mend)
	if err != nil || len(wrong) == 0 || !mend {
		return append(wrong, index...), err
	}
	for _, w := range wrong {
		if err := d.update(ctx, func(t *tx) error { return mendDrift(t, w.Table) }); err != nil {
			return nil, fmt.Errorf("%s: %w", w.Table, err)
		}
	}
	// What was derived of what was wrong came out wrong, and is wrong only now.
	for _, der := range derivations() {
		if err := d.update(ctx, func(t *tx) error { return mendDrift(t, der.name) }); err != nil {
			return nil, fmt.Errorf("%s: %w", der.name, err)
		}
	}
	return append(wrong, index...), nil
}

func drifts(q querier) (wrong []aptrepo.Drift, err error) {
	for _, der := range derivations() {
		var n int64
		if _, err := get(q, der.count, nil, &n); err != nil {
			return nil, fmt.Errorf("%s: %w", der.name, err)
		}
		if n > 0 {
			wrong = append(wrong, aptrepo.Drift{Table: der.name, Rows: n})
		}
	}
	texts, provides, err := wrongTexts(q)
	if err != nil {
		return nil, err
	}
	if len(texts) > 0 {
		wrong = append(wrong, aptrepo.Drift{Table: "search_texts", Rows: int64(len(texts))})
	}
	if len(provides) > 0 {
		wrong = append(wrong, aptrepo.Drift{Table: "provides", Rows: int64(len(provides))})
	}
	return wrong, nil
}

// mendDrift derives a table anew, where it is wrong. What other updates of the
// same commit have left to be done is done first: it is not wrong yet.
func mendDrift(t *tx, table string) error {
	if err := t.settleNow(); err != nil {
		return err
	}
	switch table {
	case "search_texts", "provides":
		return mendTexts(t)
	}
	for _, der := range derivations() {
		if der.name != table {
			continue
		}
		var n int64
		if _, err := get(t, der.count, nil, &n); err != nil || n == 0 {
			return err
		}
		for _, statement := range der.mend {
			if _, err := t.exec(statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// An artifactText is what tables search_texts and provides follow from.
type artifactText struct {
	id      int64
	folded  string
	control string
}

// wrongTexts returns the artifacts of which those tables say something else than
// their control files do.
func wrongTexts(q querier) (texts, provides []artifactText, err error) {
	noted := make(map[int64][]namedProvision)
	err = each(q, "SELECT artifact_id, name, version FROM provides", nil, func(rows *sql.Rows) error {
		var id int64
		var p namedProvision
		err := rows.Scan(&id, &p.name, &p.version)
		noted[id] = append(noted[id], p)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	err = each(q, `SELECT a.id, a.name, t.description, t.control, COALESCE(s.folded, '') FROM artifacts a
		JOIN artifact_texts t ON t.artifact_id = a.id LEFT JOIN search_texts s ON s.artifact_id = a.id`, nil, func(rows *sql.Rows) error {
		var a aptrepo.Artifact
		var folded string
		if err := rows.Scan(&a.ID, &a.Name, &a.Description, &a.Control, &folded); err != nil {
			return err
		}
		one := artifactText{a.ID, searchText(&a), a.Control}
		if folded != one.folded {
			texts = append(texts, one)
		}
		want := providedBy(a.Control)
		if len(want) != len(noted[a.ID]) || slices.ContainsFunc(want, func(p namedProvision) bool { return !slices.Contains(noted[a.ID], p) }) {
			provides = append(provides, one)
		}
		return nil
	})
	return texts, provides, err
}

func mendTexts(t *tx) error {
	texts, provides, err := wrongTexts(t)
	if err != nil {
		return err
	}
	for _, a := range texts { // triggers watch insertions and deletions only
		if _, err := t.exec("DELETE FROM search_texts WHERE artifact_id = ?", a.id); err != nil {
			return err
		}
		if _, err := t.exec("INSERT INTO search_texts (artifact_id, folded) VALUES (?, ?)", a.id, a.folded); err != nil {
			return err
		}
	}
	for _, a := range provides {
		if _, err := t.exec("DELETE FROM provides WHERE artifact_id = ?", a.id); err != nil {
			return err
		}
		if err := t.insertProvides(&aptrepo.Artifact{ID: a.id, Control: a.control}); err != nil {
			return err
		}
	}
	return nil
}

// checkSearch lets SQLite compare its full-text index with what it is an index of.
// PostgreSQL keeps its own in step by itself.
func (d *DB) checkSearch(ctx context.Context, mend bool) ([]aptrepo.Drift, error) {
	if d.dialect != SQLite {
		return nil, nil
	}
	var wrong []aptrepo.Drift
	err := d.update(ctx, func(t *tx) error {
		_, checked := t.batch.session.exec("INSERT INTO artifact_search (artifact_search, rank) VALUES ('integrity-check', 1)")
		if checked == nil || !strings.Contains(checked.Error(), "malformed") {
			return checked
		}
		wrong = []aptrepo.Drift{{Table: "artifact_search", Rows: 1}}
		if !mend {
			return nil
		}
		_, err := t.exec("INSERT INTO artifact_search (artifact_search) VALUES ('rebuild')")
		return err
	})
	return wrong, err
}
