package sqlstore

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
)

var auditSecret = []byte("0123456789abcdef0123456789abcdef")

// audited is a repository with ten audit entries, whose head is signed.
func audited(t *testing.T, db *DB) *aptrepo.Repo {
	t.Helper()
	if err := db.SignAudit(t.Context(), aptrepo.AuditKey(auditSecret)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.auditKey = nil })
	for i := range 10 {
		appendEntry(t, db, fmt.Sprintf("entry %d", i+1))
	}
	return &aptrepo.Repo{Storage: new(storage.Mem), Store: db, SecretKey: auditSecret, Logger: slog.New(slog.DiscardHandler)}
}

func appendEntry(t *testing.T, db *DB, detail string) {
	t.Helper()
	err := db.Update(t.Context(), func(tx aptrepo.Tx) error {
		return tx.Audit(aptrepo.AuditEntry{Time: time.Unix(1e9, 0), Action: "test", User: "u", Result: "success", Detail: detail})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tamper runs statements past the triggers that keep the table append-only, as
// whoever owns the database can.
func tamper(t *testing.T, db *DB, statements ...string) {
	t.Helper()
	before, after := []string{"DROP TRIGGER audit_update", "DROP TRIGGER audit_delete"}, []string(nil)
	if db.dialect == Postgres {
		before, after = []string{"ALTER TABLE audit DISABLE TRIGGER USER"}, []string{"ALTER TABLE audit ENABLE TRIGGER USER"}
	}
	for _, statement := range slices.Concat(before, statements, after) {
		if _, err := db.conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// rechain gives the entries from an ID on the hashes that they would have, and
// the head too: what somebody does who knows how the chain is made.
func rechain(t *testing.T, db *DB, from int64) {
	t.Helper()
	entries, err := db.AuditEntries(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	prev := ""
	for _, e := range entries {
		if e.ID >= from {
			if e.Hash, err = e.Chain(prev); err != nil {
				t.Fatal(err)
			}
			tamper(t, db, fmt.Sprintf("UPDATE audit SET hash = '%s' WHERE id = %d", e.Hash, e.ID))
			if db.dialect == SQLite {
				restoreTriggers(t, db)
			}
		}
		prev = e.Hash
	}
	if _, err := db.conn.ExecContext(t.Context(), fmt.Sprintf("UPDATE audit_head SET last_id = %d, last_hash = '%s'", len(entries), prev)); err != nil {
		t.Fatal(err)
	}
}

func restoreTriggers(t *testing.T, db *DB) {
	t.Helper()
	for _, kind := range []string{"UPDATE", "DELETE"} {
		_, err := db.conn.ExecContext(t.Context(), "CREATE TRIGGER audit_"+strings.ToLower(kind)+" BEFORE "+kind+
			" ON audit BEGIN SELECT RAISE (ABORT, 'no'); END")
		if err != nil {
			t.Fatal(err)
		}
	}
}

// mark lets the repository note the present head in storage.
func mark(t *testing.T, repo *aptrepo.Repo) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = repo.Run(ctx) // marks at its end
}

func TestVerifyAudit(t *testing.T) {
	const head = "UPDATE audit_head SET last_id = 7, last_hash = (SELECT hash FROM audit WHERE id = 7)"
	for name, test := range map[string]struct {
		marked   bool // an earlier head, of entry 10, lies in storage
		change   func(t *testing.T, db *DB)
		brokenAt int64
		detail   string
	}{
		"untouched":        {change: func(*testing.T, *DB) {}},
		"untouched marked": {marked: true, change: func(*testing.T, *DB) {}},
		"grown":            {marked: true, change: func(t *testing.T, db *DB) { appendEntry(t, db, "later") }},
		"changed":          {false, func(t *testing.T, db *DB) { tamper(t, db, "UPDATE audit SET detail = 'x' WHERE id = 5") }, 5, "does not fit"},
		"changed first":    {false, func(t *testing.T, db *DB) { tamper(t, db, "UPDATE audit SET user_name = 'x' WHERE id = 1") }, 1, "does not fit"},
		"changed last":     {false, func(t *testing.T, db *DB) { tamper(t, db, "UPDATE audit SET at = 0 WHERE id = 10") }, 10, "does not fit"},
		"removed":          {false, func(t *testing.T, db *DB) { tamper(t, db, "DELETE FROM audit WHERE id = 5") }, 5, "missing"},
		"removed first":    {false, func(t *testing.T, db *DB) { tamper(t, db, "DELETE FROM audit WHERE id <= 3") }, 1, "missing"},
		"removed and renumbered": {false, func(t *testing.T, db *DB) {
			tamper(t, db, "DELETE FROM audit WHERE id = 5", "UPDATE audit SET id = -id WHERE id > 5", "UPDATE audit SET id = -id - 1 WHERE id < 0")
		}, 5, "does not fit"},
		"reordered": {false, func(t *testing.T, db *DB) {
			tamper(t, db, "UPDATE audit SET id = 100 WHERE id = 5", "UPDATE audit SET id = 5 WHERE id = 6", "UPDATE audit SET id = 6 WHERE id = 100")
		}, 5, "does not fit"},
		"cut off":               {false, func(t *testing.T, db *DB) { tamper(t, db, "DELETE FROM audit WHERE id > 7") }, 8, "ends at entry 7, not 10"},
		"cut off with its head": {false, func(t *testing.T, db *DB) { tamper(t, db, "DELETE FROM audit WHERE id > 7", head) }, 7, "not signed"},
		"emptied": {true, func(t *testing.T, db *DB) {
			tamper(t, db, "DELETE FROM audit", "UPDATE audit_head SET last_id = 0, last_hash = ''")
		}, 1, "not signed"},
		"made anew":         {false, madeAnew, 10, "not signed"},
		"made anew, marked": {true, madeAnew, 10, "is not what it was"},
		"head changed":      {false, func(t *testing.T, db *DB) { tamper(t, db, "UPDATE audit_head SET last_hash = 'x'") }, 10, "not the one that the head names"},
	} {
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, db *DB) {
				if db.dialect == Postgres {
					emptied(t, db)
				}
				repo := audited(t, db)
				if test.marked {
					mark(t, repo)
				}
				test.change(t, db)
				report, err := repo.VerifyAudit(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if report.BrokenAt != test.brokenAt || !strings.Contains(report.Detail, test.detail) {
					t.Errorf("broken at %d (%s), want %d (%s)", report.BrokenAt, report.Detail, test.brokenAt, test.detail)
				}
			})
		})
	}
}

// again brings back the triggers that tamper dropped.
func again(t *testing.T, db *DB) {
	if db.dialect == SQLite {
		restoreTriggers(t, db)
	}
}

// A database that is put back to an earlier state, head and all, is found out
// by the head in storage, which is a later one and stays so.
func TestVerifyAuditRestored(t *testing.T) {
	db := openSQLite(t)
	repo := audited(t, db)
	head, err := db.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	appendEntry(t, db, "what somebody wants forgotten")
	mark(t, repo)
	tamper(t, db, "DELETE FROM audit WHERE id > 10",
		fmt.Sprintf("UPDATE audit_head SET last_id = %d, last_hash = '%s', mac = '%s'", head.ID, head.Hash, head.MAC))
	for range 2 {
		report, err := repo.VerifyAudit(t.Context())
		if err != nil || report.BrokenAt != 11 {
			t.Fatalf("broken at %d (%s), %v", report.BrokenAt, report.Detail, err)
		}
		tamper2(t, db, head)
		mark(t, repo) // does not hide it
	}
	// Whoever restored it says so by removing the mark.
	if err := repo.Storage.Delete(t.Context(), "audit/head.json"); err != nil {
		t.Fatal(err)
	}
	if report, err := repo.VerifyAudit(t.Context()); err != nil || report.BrokenAt != 0 {
		t.Errorf("broken at %d (%s), %v", report.BrokenAt, report.Detail, err)
	}
}

// tamper2 removes the entry of the verification.
func tamper2(t *testing.T, db *DB, head aptrepo.AuditHead) {
	t.Helper()
	_, err := db.conn.ExecContext(t.Context(), fmt.Sprintf(
		"DELETE FROM audit WHERE id > 10; UPDATE audit_head SET last_id = %d, last_hash = '%s', mac = '%s'", head.ID, head.Hash, head.MAC))
	if err != nil {
		t.Fatal(err)
	}
}

// What was tampered with is not made sound by what the server itself does
// afterwards: neither the signature of the next entry nor a later mark.
func TestVerifyAuditLater(t *testing.T) {
	for name, test := range map[string]struct {
		unmarked bool
		change   func(t *testing.T, db *DB)
		brokenAt int64
	}{
		"made anew": {false, madeAnew, 10},
		// Until the first mark, the signature alone tells.
		"made anew, unmarked": {true, madeAnew, 14},
		"made anew, unsigned": {false, func(t *testing.T, db *DB) {
			madeAnew(t, db)
			db.conn.MustExec("UPDATE audit_head SET mac = ''")
			if err := db.SignAudit(t.Context(), db.auditKey); err != nil {
				t.Fatal(err)
			}
		}, 10},
		"cut off with its head": {false, func(t *testing.T, db *DB) {
			tamper(t, db, "DELETE FROM audit WHERE id > 7",
				"UPDATE audit_head SET last_id = 7, last_hash = (SELECT hash FROM audit WHERE id = 7)")
		}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, db *DB) {
				if db.dialect == Postgres {
					emptied(t, db)
				}
				repo := audited(t, db)
				if !test.unmarked {
					mark(t, repo)
				}
				test.change(t, db)
				for range 4 {
					appendEntry(t, db, "an ordinary login")
					mark(t, repo)
				}
				report, err := repo.VerifyAudit(t.Context())
				if err != nil || report.BrokenAt != test.brokenAt {
					t.Errorf("broken at %d (%s), %v; want %d", report.BrokenAt, report.Detail, err, test.brokenAt)
				}
			})
		})
	}
}

// madeAnew changes an entry and all hashes from there on.
func madeAnew(t *testing.T, db *DB) {
	t.Helper()
	tamper(t, db, "UPDATE audit SET detail = 'x' WHERE id = 5")
	again(t, db)
	rechain(t, db, 5)
}

// A mark moves on over what is sound, and only that.
func TestMarkMovesOn(t *testing.T) {
	db := openSQLite(t)
	repo := audited(t, db)
	restored, err := db.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"id":11,`, `"id":12,`} {
		appendEntry(t, db, "later")
		mark(t, repo)
		if got := storedMark(t, repo); !strings.Contains(got, want) {
			t.Errorf("mark %s, want %s", got, want)
		}
	}
	// An earlier state, put back with its own signature, grows past the mark.
	tamper(t, db, "DELETE FROM audit WHERE id > 10")
	tamper2(t, db, restored)
	for range 4 {
		appendEntry(t, db, "another")
		mark(t, repo)
	}
	if got := storedMark(t, repo); !strings.Contains(got, `"id":12,`) {
		t.Errorf("mark %s", got)
	}
	if report, err := repo.VerifyAudit(t.Context()); err != nil || report.BrokenAt != 12 {
		t.Errorf("broken at %d (%s), %v", report.BrokenAt, report.Detail, err)
	}
}

func storedMark(t *testing.T, repo *aptrepo.Repo) string {
	t.Helper()
	f, _, err := repo.Storage.Open(t.Context(), "audit/head.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAuditPage(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		if db.dialect == Postgres {
			emptied(t, db)
		}
		at := func(second int) time.Time { return time.Unix(int64(1e9+second), 0).UTC() }
		for i, e := range []aptrepo.AuditEntry{
			{Action: "auth.login", User: "Ann", Result: "success"},
			{Action: "package.upload", User: "token:ci", Result: "success", Target: "jammy", Package: "nginx", Version: "1.0", Detail: "sha256=ABC"},
			{Action: "package.upload", User: "token:CI", Result: "failure", Target: "jammy", Package: "Nginx", Detail: "100%_'x"},
			{Action: "auth.login", User: "anonymous", Result: "failure", Target: "ann"},
		} {
			e.Time = at(i * 10)
			if err := db.Update(t.Context(), func(tx aptrepo.Tx) error { return tx.Audit(e) }); err != nil {
				t.Fatal(err)
			}
		}
		for _, test := range []struct {
			q    aptrepo.AuditQuery
			want string // IDs, then the total
		}{
			{aptrepo.AuditQuery{}, "4 3 2 1 of 4"},
			{aptrepo.AuditQuery{Oldest: true}, "1 2 3 4 of 4"},
			{aptrepo.AuditQuery{PerPage: 3}, "4 3 2 of 4"},
			{aptrepo.AuditQuery{PerPage: 3, Page: 2}, "1 of 4"},
			{aptrepo.AuditQuery{PerPage: 3, Page: 9}, "of 4"},
			{aptrepo.AuditQuery{User: "ANN"}, "1 of 1"},
			{aptrepo.AuditQuery{User: "an"}, "of 0"},
			{aptrepo.AuditQuery{User: "token:ci"}, "3 2 of 2"},
			{aptrepo.AuditQuery{Action: "Auth.Login", Result: "FAILURE"}, "4 of 1"},
			{aptrepo.AuditQuery{Package: "nginx"}, "3 2 of 2"},
			{aptrepo.AuditQuery{Q: "ann"}, "4 1 of 2"},
			{aptrepo.AuditQuery{Q: "abc"}, "2 of 1"},
			{aptrepo.AuditQuery{Q: "%_'"}, "3 of 1"},
			{aptrepo.AuditQuery{Q: "_"}, "3 of 1"},
			{aptrepo.AuditQuery{Q: "1.0"}, "of 0"}, // the version is not searched
			{aptrepo.AuditQuery{Start: at(10), End: at(30)}, "3 2 of 2"},
			{aptrepo.AuditQuery{Start: at(30)}, "4 of 1"},
			{aptrepo.AuditQuery{Behind: 3, PerPage: 1}, "2 of 2"},
			{aptrepo.AuditQuery{Behind: 2, Oldest: true, NoTotal: true}, "3 4 of 0"},
			{aptrepo.AuditQuery{User: "x' OR '1'='1"}, "of 0"},
			{aptrepo.AuditQuery{User: "a\x00"}, "of 0"},
		} {
			page, err := db.AuditPage(t.Context(), test.q)
			var got string
			for _, e := range page.Items {
				got += fmt.Sprint(e.ID, " ")
			}
			if got += fmt.Sprint("of ", page.Total); err != nil || got != test.want {
				t.Errorf("%+v: %s, %v; want %s", test.q, got, err, test.want)
			}
		}
	})
}
