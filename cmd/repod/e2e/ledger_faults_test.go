package e2e

import (
	"context"
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLedgerFinds spoils a repository in ways that the ledger must find.
func TestLedgerFinds(t *testing.T) {
	slow(t)
	dir := t.TempDir()
	s := serve(t, dir, "--distributions", both)
	x := newSite(t, s, s.URL, sqliteLedger(t, dir))
	c := newAPI(s.URL, x.token)
	one, two := newPkg("one", "1.0", 100), newPkg("two", "1.0", 100)
	x.must(t, "upload", one, http.StatusCreated, c)
	x.must(t, "upload", two, http.StatusCreated, c)
	x.must(t, "promote", one, http.StatusOK, c)
	s.stop(t)
	records, err := x.history.read()
	if err != nil {
		t.Fatal(err)
	}
	m, _ := newModel(records, 0)
	served := map[string]map[string]string{
		"bookworm": {one.ID(): one.SHA256(), two.ID(): two.SHA256()},
		"trixie":   {one.ID(): one.SHA256()},
	}
	ctx := t.Context()
	generations := func() error {
		x.ledger.gapless = true
		return x.ledger.generations(ctx)
	}
	audit := func() error { return x.ledger.audit(ctx, m) }
	contents := func() error { _, err := x.ledger.contents(ctx, served); return err }
	for _, check := range []func() error{generations, audit, contents} {
		if err := check(); err != nil {
			t.Fatalf("before anything is spoilt: %v", err)
		}
	}
	for _, tt := range []struct {
		name, statement string
		check           func() error
		want            string
	}{
		{"a gap", "UPDATE generations SET number = number + 1 WHERE distribution = 'bookworm' AND number = (SELECT max(number) FROM generations WHERE distribution = 'bookworm')", generations, "INV3"},
		{"a date goes back", "UPDATE generations SET date = 1 WHERE distribution = 'bookworm' AND number = (SELECT max(number) FROM generations WHERE distribution = 'bookworm')", generations, "INV3"},
		{"the last generation is undone", "UPDATE distributions SET generation = generation - 1 WHERE codename = 'bookworm'; DELETE FROM generations WHERE distribution = 'bookworm' AND number = (SELECT max(number) FROM generations WHERE distribution = 'bookworm')", generations, "INV3"},
		{"an entry is changed", "DROP TRIGGER audit_update; UPDATE audit SET user_name = 'nobody' WHERE action = 'package.upload'", audit, "does not fit"},
		{"entries are cut off", "DROP TRIGGER audit_delete; DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)", audit, "its head is"},
		{"an acknowledged change without entry", "DROP TRIGGER audit_update; UPDATE audit SET action = 'other' WHERE action = 'distribution.promote'", audit, "0 entries, of 1 requests"},
		{"a publication is lost", "DELETE FROM publications WHERE distribution = 'trixie'", contents, "INV4"},
		{"one too many", "INSERT INTO publications SELECT 'trixie', artifact_id, component, published_at, sole, name, version_key, arch, status, section, size, uploaded_at, promoted FROM publications WHERE name = 'two'", contents, "INV1"},
		{"another hash", "UPDATE artifacts SET sha256 = 'aa' WHERE name = 'one'", contents, "INV5"},
	} {
		path := filepath.Join(dir, "repod.db")
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spoil(ctx, t, path, tt.statement)
		if err := tt.check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		x.ledger.db.Close()
		writeFile(t, path, kept)
		for _, suffix := range []string{"-wal", "-shm"} {
			os.Remove(path + suffix)
		}
		newest := x.ledger.newest
		x.ledger = sqliteLedger(t, dir)
		x.ledger.newest = newest
	}
	for key := range served["trixie"] {
		if _, err := x.ledger.contents(ctx, map[string]map[string]string{"bookworm": served["bookworm"]}); err == nil {
			t.Errorf("that %s is not served is not found", key)
		}
	}
	name, err := filepath.Glob(filepath.Join(dir, "files/pool/main/o/one/*.deb"))
	if err != nil || len(name) != 1 {
		t.Fatalf("%v %v", name, err)
	}
	writeFile(t, filepath.Join(filepath.Dir(name[0]), "orphan.deb"), nil)
	if n, err := x.ledger.contents(ctx, served); n != 1 || err != nil {
		t.Errorf("%d orphans, want 1: %v", n, err)
	}
	if err := os.Truncate(name[0], 10); err != nil {
		t.Fatal(err)
	}
	if err := contents(); err == nil || !strings.Contains(err.Error(), "INV5") {
		t.Errorf("a file that was cut off: %v", err)
	}
}

func spoil(ctx context.Context, t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for statement := range strings.SplitSeq(statements, "; ") {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
