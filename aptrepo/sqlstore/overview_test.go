package sqlstore

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
)

// What had happened before there were counts of days is counted by the migration
// as it would have been, and so is what there is.
func TestOverviewMigration(t *testing.T) {
	check := func(t *testing.T, open func() *DB) {
		db := open()
		busyDays(t, db)
		read := func() (o aptrepo.Overview, days []aptrepo.DayCounts) {
			o, err := db.Overview(t.Context(), aptrepo.OverviewQuery{Newest: 3, Most: 3})
			if err != nil {
				t.Fatal(err)
			}
			days, err = db.History(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			return o, days
		}
		overview, days := read()
		if overview.Names != 19 || len(days) < 10 {
			t.Fatalf("%d names, %d days", overview.Names, len(days))
		}
		for _, statement := range []string{
			"DROP TABLE downloaded", "DROP TABLE download_counts", "DROP TABLE download_days", "DROP TABLE download_clients",
			"DROP TABLE download_recent", "DROP TABLE download_counters", "DROP TABLE day_counts", "DROP TABLE stock",
			"DROP INDEX postures_kev", "DELETE FROM repod_migrations WHERE version >= 17",
		} {
			if _, err := db.conn.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		db = open()
		again, daysAgain := read()
		if !reflect.DeepEqual(again, overview) {
			t.Errorf("\n got %+v\nwant %+v", again, overview)
		}
		if !reflect.DeepEqual(daysAgain, days) {
			t.Errorf("\n got %+v\nwant %+v", daysAgain, days)
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

// busyDays does, over some days, what can be counted of them later.
func busyDays(t *testing.T, db *DB) {
	t.Helper()
	addJammy(t, db)
	at := time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)
	for i := range 19 {
		at = at.Add(17 * time.Hour)
		a := packageNumber(i)
		a.UploadedAt = at
		if i%3 == 0 {
			a.Origin = aptrepo.OriginImport
		}
		if i%5 == 0 {
			a.Status, a.StatusReason = aptrepo.Rejected, "cve"
		}
		err := db.Update(t.Context(), func(tx aptrepo.Tx) error {
			if err := tx.InsertArtifact(a); err != nil {
				return err
			}
			if i%2 == 0 {
				return nil
			}
			if err := tx.PutScan(a.ID, aptrepo.Scan{ScanSummary: aptrepo.ScanSummary{ScannedAt: at.Add(time.Hour), KEV: i, Covered: true}}); err != nil {
				return err
			}
			return tx.PutDecision(aptrepo.Decision{
				ID: "dec_" + a.Name, Name: a.Name, Version: a.Version, Arch: a.Arch, Ruling: aptrepo.RulingAccepted, DecidedAt: at.Add(30 * time.Hour),
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
