package sqlitetest_test

import (
	"path/filepath"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore/sqlitetest"
)

// Databases have nothing in common but their tables, and what is in one is
// there when it is opened again.
func TestOpen(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.db")
	a, b := sqlitetest.Open(t, name), sqlitetest.Open(t, filepath.Join(t.TempDir(), "b.db"))
	err := a.Update(t.Context(), func(tx aptrepo.Tx) error {
		_, err := tx.InsertDistribution(aptrepo.Distribution{Codename: "jammy"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Distribution(t.Context(), "jammy"); err == nil {
		t.Error("what was written into one database is in another")
	}
	if _, err := sqlitetest.Open(t, name).Distribution(t.Context(), "jammy"); err != nil {
		t.Errorf("opened again: %v", err)
	}
}
