package sqlstore

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
	"github.com/repod-io/repod/aptrepo/sqlstore/storetest"
	"github.com/repod-io/repod/scan"
)

// lines reads the rows of a query as text.
func lines(t *testing.T, db *DB, query string) (all []string) {
	t.Helper()
	rows, err := db.conn.QueryxContext(t.Context(), db.dialect.translate(query))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		cells, err := rows.SliceScan()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(cells...))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// derived are the tables that are kept in step, and what they should hold.
var derivedTables = []struct{ name, table, truth string }{
	{"posture_sums", `SELECT distribution, published, status, artifacts, covered, critical, high, medium, low, negligible, unknown
			FROM posture_sums WHERE artifacts <> 0 ORDER BY distribution, published, status`,
		`SELECT distribution, published, status, COUNT(*), CAST(SUM(covered) AS BIGINT), CAST(SUM(critical) AS BIGINT),
			CAST(SUM(high) AS BIGINT), CAST(SUM(medium) AS BIGINT), CAST(SUM(low) AS BIGINT), CAST(SUM(negligible) AS BIGINT),
			CAST(SUM(unknown) AS BIGINT) FROM postures GROUP BY distribution, published, status ORDER BY distribution, published, status`},
	{"vulnerability_counts", `SELECT distribution, id, weight, fix_state, kev, findings
			FROM vulnerability_counts ORDER BY distribution, id, weight, fix_state`,
		`SELECT p.distribution, f.id, f.weight, f.fix_state, f.kev, COUNT(*) FROM findings f
			JOIN artifacts a ON a.id = f.artifact_id JOIN (SELECT id, '' AS distribution FROM artifacts
				UNION SELECT artifact_id, distribution FROM publications) p ON p.id = a.id
			WHERE f.open = 1 AND a.status NOT IN ('rejected', 'quarantined')
			GROUP BY p.distribution, f.id, f.weight, f.fix_state, f.kev ORDER BY p.distribution, f.id, f.weight, f.fix_state`},
	{"finding_texts", "SELECT id FROM finding_texts ORDER BY id", "SELECT DISTINCT text_id FROM findings ORDER BY text_id"},
}

// After many changes the derived tables hold what follows from the others, and
// no text is left that nobody needs.
func TestSafetyDerived(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		for _, c := range storetest.Checks() {
			if c.Name != "SafetyModel" {
				continue
			}
			if err := c.Func(t.Context(), db); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range derivedTables {
			got, want := lines(t, db, d.table), lines(t, db, d.truth)
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s:\n got %q\nwant %q", d.name, got, want)
			}
		}
	})
}

// reopened opens a database again that a program has left which knew nothing of
// safety.
func reopened(t *testing.T, open func() *DB) *DB {
	t.Helper()
	db := open()
	addJammy(t, db)
	for i := range 10 {
		a := packageNumber(i)
		a.Status = aptrepo.Statuses()[i%5]
		a.StatusReason = "cve"
		err := db.Update(t.Context(), func(tx aptrepo.Tx) error {
			if a.Status.Published() {
				return uploadIn(tx, a)
			}
			return tx.InsertArtifact(a)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	undoRetention(t, db)
	for _, table := range []string{"scans", "scan_components", "findings", "finding_texts", "decisions", "targets", "postures",
		"posture_sums", "vulnerability_counts", "licences", "notes",
		"downloaded", "download_counts", "download_days", "download_clients", "download_recent", "download_counters", "day_counts", "stock"} {
		if _, err := db.conn.ExecContext(t.Context(), "DROP TABLE "+table); err != nil {
			t.Fatal(err)
		}
	}
	for _, column := range [][2]string{
		{"api_tokens", "packages"}, {"trusted_publishers", "packages"}, {"distributions", "described"}, {"distributions", "described_at"},
	} {
		if _, err := db.conn.ExecContext(t.Context(), "ALTER TABLE "+column[0]+" DROP COLUMN "+column[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.conn.ExecContext(t.Context(), "DELETE FROM repod_migrations WHERE version >= 14"); err != nil {
		t.Fatal(err)
	}
	return open()
}

// What was there before the tables of safety is in the listings all the same: as
// it is when an update looks at each artifact.
func TestSafetyMigration(t *testing.T) {
	list := func(t *testing.T, db *DB) (pages []aptrepo.PosturePage) {
		for _, q := range []aptrepo.PostureQuery{{}, {Distribution: "jammy"}, {Queue: true}, {Status: aptrepo.Rejected}} {
			page, err := db.Posture(t.Context(), q)
			if err != nil || len(page.Items) == 0 {
				t.Errorf("%+v: %d artifacts, %v", q, len(page.Items), err)
			}
			pages = append(pages, page)
		}
		return pages
	}
	check := func(t *testing.T, open func() *DB) {
		db := reopened(t, open)
		before := list(t, db)
		if all := before[0]; all.Total != 10 || all.Unscanned != 10 || all.Blocked != 2 {
			t.Errorf("%+v", all)
		}
		err := db.Update(t.Context(), func(tx aptrepo.Tx) error {
			for _, r := range before[0].Items {
				if err := tx.SetStatus(r.Artifact.ID, r.Artifact.Status, r.Artifact.StatusReason, ""); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if after := list(t, db); !reflect.DeepEqual(after, before) {
			t.Errorf("\n got %+v\nwant %+v", before, after)
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "repod.db")
		check(t, func() *DB { return openSQLiteAt(t, path) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := pgtest.Database(t)
		check(t, func() *DB { return openPostgresAt(t, dsn) })
	})
}

// Components come back whole; what is too large is refused, and so is what is
// not theirs.
func TestComponents(t *testing.T) {
	want := []scan.Component{{Ecosystem: "Go", Name: "a", Version: "1", PURL: "pkg:golang/a@1", Paths: []string{"b"}, Licenses: []string{"c"}}}
	packed, err := packComponents(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unpackComponents(packed); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := unpackComponents(nil); got != nil || err != nil {
		t.Errorf("of none: %+v, %v", got, err)
	}
	for _, spoiled := range [][]byte{{}, packed[:len(packed)-1], []byte("no zstd")} {
		if got, err := unpackComponents(spoiled); err == nil {
			t.Errorf("%q gives %+v", spoiled, got)
		}
	}
	huge := make([]scan.Component, 70)
	for i := range huge {
		huge[i].Name = string(make([]byte, 1<<18)) // each NUL takes six bytes
	}
	if _, err := packComponents(huge); err == nil {
		t.Error("components of 100 MiB are taken")
	}
	packed, err = packComponents(huge[:40])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unpackComponents(packed); err != nil || len(got) != 40 {
		t.Errorf("%d components of 60 MiB, %v", len(got), err)
	}
}
