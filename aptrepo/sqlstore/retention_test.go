package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
)

// retentionStep is the number of the migration that brought what is undone here.
const retentionStep = 19

// undoRetention takes the database back to before that migration.
func undoRetention(t *testing.T, db *DB) {
	t.Helper()
	statements := []string{
		"DROP TRIGGER audit_archived_only ON audit", "DROP FUNCTION audit_archived_only()",
	}
	if db.dialect == SQLite {
		statements = []string{
			"DROP TRIGGER audit_delete", "CREATE TRIGGER audit_delete BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'no'); END",
		}
	}
	for _, column := range []string{"audit_head.anchor_id", "audit_head.anchor_hash", "audit_head.anchor_mac", "publications.promoted", "targets.promoted"} {
		table, name, _ := strings.Cut(column, ".")
		statements = append(statements, "ALTER TABLE "+table+" DROP COLUMN "+name)
	}
	statements = append(statements, "DROP TABLE vulnerability_data")
	statements = append(statements, fmt.Sprint("DELETE FROM repod_migrations WHERE version >= ", retentionStep))
	for _, statement := range statements {
		if _, err := db.conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// A database of before the migration knows from its audit log what was promoted.
func TestPromotedMigration(t *testing.T) {
	check := func(t *testing.T, open func() *DB) {
		db := open()
		err := db.Update(t.Context(), func(tx aptrepo.Tx) error {
			for _, codename := range []string{"jammy", "my-jammy", "focal"} {
				if _, err := tx.InsertDistribution(aptrepo.Distribution{Codename: codename, Components: []string{"main"}}); err != nil {
					return err
				}
			}
			for _, name := range []string{"Tool", "other"} {
				for _, version := range []string{"1.0", "2.0"} {
					a := aptrepo.Artifact{Name: name, Version: version, Arch: "all", Status: aptrepo.Indexed}
					if err := tx.InsertArtifact(&a); err != nil {
						return err
					}
					for _, codename := range []string{"jammy", "my-jammy", "focal"} {
						if _, _, err := tx.AddPublication(a.ID, aptrepo.Publication{Distribution: codename, Component: "main"}); err != nil {
							return err
						}
					}
				}
			}
			for _, e := range []aptrepo.AuditEntry{
				{Action: "distribution.promote", Result: "success", Target: "focal -> jammy", Package: "Tool", Version: "1.0"},
				{Action: "distribution.promote", Result: "failure", Target: "focal -> jammy", Package: "Tool", Version: "2.0"},
				{Action: "distribution.migrate", Result: "success", Target: "focal -> jammy", Package: "other", Version: "1.0"},
				{Action: "distribution.promote", Result: "success", Target: "jammy -> focal", Package: "other", Version: "2.0"},
			} {
				if err := tx.Audit(e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		undoRetention(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open()
		var got []string
		for _, codename := range []string{"focal", "jammy", "my-jammy"} {
			for v, err := range db.EachPublishedVersion(t.Context(), codename) {
				if err != nil {
					t.Fatal(err)
				}
				if v.Publication.Promoted {
					got = append(got, codename+" "+v.Name+" "+v.Version)
				}
			}
		}
		if want := []string{"focal other 2.0", "jammy Tool 1.0"}; !slices.Equal(got, want) {
			t.Errorf("promoted %q, want %q", got, want)
		}
		if anchor, err := db.AuditAnchor(t.Context()); err != nil || anchor != (aptrepo.AuditHead{}) {
			t.Errorf("anchor %+v, %v", anchor, err)
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

// Wherever a page ends, and while other names come and go: each publication
// comes once, and those of a name together.
func TestEachPublishedVersionPages(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		addJammy(t, db)
		err := db.Update(t.Context(), func(tx aptrepo.Tx) error {
			for i := range 30 {
				a := aptrepo.Artifact{Name: fmt.Sprintf("p%d", i*i%7), Version: fmt.Sprint(i), Arch: "all", Status: aptrepo.Indexed}
				if err := tx.InsertArtifact(&a); err != nil {
					return err
				}
				if _, _, err := tx.AddPublication(a.ID, aptrepo.Publication{Distribution: "jammy", Component: "main"}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		read := func(page int) (list []aptrepo.PublishedVersion) {
			former := versionsPage
			defer func() { versionsPage = former }()
			versionsPage = page
			for v, err := range db.EachPublishedVersion(t.Context(), "jammy") {
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, v)
			}
			return list
		}
		want := read(1000)
		if len(want) != 30 {
			t.Fatalf("%d publications", len(want))
		}
		for page := 1; page < 32; page++ {
			if got := read(page); !reflect.DeepEqual(got, want) {
				t.Errorf("%d at a time: %d publications that differ", page, len(got))
			}
		}
	})
}

// Entries are deleted through RemoveAudit or not at all.
func TestAuditIsNotDeletedBeforeItIsArchived(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		if db.dialect == Postgres {
			emptied(t, db)
		}
		audited(t, db)
		remove := func(id int64) error {
			_, err := db.conn.ExecContext(context.Background(), fmt.Sprint("DELETE FROM audit WHERE id = ", id))
			return err
		}
		if remove(1) == nil {
			t.Error("an entry was deleted")
		}
		entries, err := db.AuditEntries(t.Context(), 0, 100)
		if err != nil || len(entries) != 10 {
			t.Fatal(len(entries), err)
		}
		err = db.Update(t.Context(), func(tx aptrepo.Tx) error {
			n, err := tx.RemoveAudit(aptrepo.AuditHead{ID: 3, Hash: entries[2].Hash})
			if n != 3 {
				t.Errorf("%d entries removed, want 3", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if remove(4) == nil {
			t.Error("an entry behind the anchor was deleted")
		}
		anchor, err := db.AuditAnchor(t.Context())
		want := aptrepo.AuditHead{ID: 3, Hash: entries[2].Hash}.SignAnchor(aptrepo.AuditKey(auditSecret))
		if err != nil || anchor != want {
			t.Errorf("anchor %+v, %v, want %+v", anchor, err, want)
		}
		appendEntry(t, db, "later")
	})
}
