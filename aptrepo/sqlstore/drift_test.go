package sqlstore

import (
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore/storetest"
)

// drifted returns the names of the tables that CheckDerived finds wrong.
func drifted(t *testing.T, db *DB, mend bool) (names []string) {
	t.Helper()
	wrong, err := db.CheckDerived(t.Context(), mend)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		if w.Rows < 1 {
			t.Errorf("%s: %d rows", w.Table, w.Rows)
		}
		names = append(names, w.Table)
	}
	return names
}

// Whatever updates do, what is derived is found to be right: the two ways of
// saying so agree.
func TestNothingDrifts(t *testing.T) {
	for _, dialect := range []Dialect{SQLite, Postgres} {
		t.Run(dialect.String(), func(t *testing.T) {
			open := func() *DB { return openSQLite(t) }
			if dialect == Postgres {
				db := openPostgres(t)
				open = func() *DB { return emptied(t, db) }
			}
			for _, c := range storetest.Checks() {
				if !slices.ContainsFunc([]string{"Model", "Delete", "Publication", "Group", "Status", "Download", "Overview", "Day", "Decision", "Scan"},
					func(part string) bool { return strings.Contains(c.Name, part) }) {
					continue
				}
				db := open()
				if err := c.Func(t.Context(), db); err != nil {
					t.Fatalf("%s: %v", c.Name, err)
				}
				if names := drifted(t, db, false); names != nil {
					t.Errorf("after %s: %q", c.Name, names)
				}
			}
		})
	}
}

// Each thing that is derived is found when it is wrong, and mended; what was
// derived of it is right then, too.
func TestDriftIsFoundAndMended(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		fillForDrift(t, db)
		if names := drifted(t, db, false); names != nil {
			t.Fatalf("before: %q", names)
		}
		whole := contents(t, db)
		for _, tt := range []struct{ table, spoil string }{
			{"publications", "UPDATE publications SET status = 'rejected'"},
			{"publications", "UPDATE publications SET size = size + 1"},
			{"publications.sole", "UPDATE publications SET sole = 0"},
			{"artifacts.publications", "UPDATE artifacts SET publications = 7"},
			{"listings", "DELETE FROM listings WHERE distribution = ''"},
			{"listings", "UPDATE listings SET size = size + 1"},
			{"distributions", "UPDATE distributions SET package_count = package_count - 1"},
			{"distributions", "UPDATE distributions SET size_bytes = 0"},
			{"postures", "DELETE FROM postures"},
			{"postures", "UPDATE postures SET worst = worst + 1, queue = 1"},
			{"posture_sums", "UPDATE posture_sums SET artifacts = artifacts + 1"},
			{"posture_sums", "INSERT INTO posture_sums SELECT 'other', 1, 'indexed', 1, 0, 0, 0, 0, 0, 0, 0"},
			{"vulnerability_counts", "DELETE FROM vulnerability_counts"},
			{"vulnerability_counts", "UPDATE vulnerability_counts SET findings = findings + 1"},
			{"stock", "UPDATE stock SET names = 99"},
			{"stock", "DELETE FROM stock"},
			{"download_days", "UPDATE download_days SET apt = apt + 1"},
			{"download_days", "DELETE FROM download_days"},
			{"day_counts", "DELETE FROM day_counts"},
			{"search_texts", "DELETE FROM search_texts"},
			{"provides", "DELETE FROM provides"},
			{"provides", "UPDATE provides SET version = '9'"},
		} {
			if _, err := db.conn.Exec(tt.spoil); err != nil {
				t.Fatalf("%s: %v", tt.spoil, err)
			}
			if names := drifted(t, db, false); !slices.Contains(names, tt.table) {
				t.Errorf("%s: found %q", tt.spoil, names)
			}
			if names := drifted(t, db, true); !slices.Contains(names, tt.table) {
				t.Errorf("%s: mended %q", tt.spoil, names)
			}
			if names := drifted(t, db, false); names != nil {
				t.Errorf("%s: after mending: %q", tt.spoil, names)
			}
			for table, rows := range contents(t, db) {
				// Scans of the past are not counted again, and sums of nothing may go.
				if table != "day_counts" && table != "posture_sums" && !slices.Equal(rows, whole[table]) {
					t.Errorf("%s: table %s has\n%q, had\n%q", tt.spoil, table, rows, whole[table])
				}
			}
		}
	})
}

func fillForDrift(t *testing.T, db *DB) {
	t.Helper()
	for _, c := range storetest.Checks() {
		if c.Name == "SafetyModel" {
			if err := c.Func(t.Context(), db); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := db.conn.Exec("INSERT INTO download_counts VALUES (20000, 1, 1, 2, 3, 4, 5); INSERT INTO download_days VALUES (20000, 1, 2, 3, 4, 5)"); err != nil {
		t.Fatal(err)
	}
	addJammy(t, db)
	a := packageNumber(1)
	a.Control += "Provides: mail-agent, editor (= 2)\n"
	if err := upload(t.Context(), db, a); err != nil {
		t.Fatal(err)
	}
	for table, rows := range contents(t, db) {
		if slices.Contains([]string{"postures", "vulnerability_counts", "listings", "provides", "download_days"}, table) && len(rows) < 2 {
			t.Fatalf("table %s is empty", table)
		}
	}
}

// The full-text index of SQLite can be at odds with its texts without a trigger
// to blame.
func TestSearchIndexIsMended(t *testing.T) {
	db := openSQLite(t)
	addJammy(t, db)
	if err := upload(t.Context(), db, packageNumber(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := db.conn.Exec("INSERT INTO artifact_search (artifact_search) VALUES ('delete-all')"); err != nil {
		t.Fatal(err)
	}
	find := func() int {
		page, err := db.ArtifactRows(t.Context(), aptrepo.PackageQuery{Q: packageNumber(1).Name})
		if err != nil {
			t.Fatal(err)
		}
		return page.Total
	}
	for _, tt := range []struct {
		mend bool
		want []string
		hits int
	}{{false, []string{"artifact_search"}, 0}, {true, []string{"artifact_search"}, 1}, {false, nil, 1}} {
		if names := drifted(t, db, tt.mend); !slices.Equal(names, tt.want) {
			t.Errorf("mend %t: %q, want %q", tt.mend, names, tt.want)
		}
		if n := find(); n != tt.hits {
			t.Errorf("mend %t: a search finds %d", tt.mend, n)
		}
	}
}
