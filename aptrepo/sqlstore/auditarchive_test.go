package sqlstore

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
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

// archived is a repository whose entries 1 to 6 lie in two files of the archive,
// and 7 to 9 in the log.
func archived(t *testing.T, db *DB) *aptrepo.Repo {
	t.Helper()
	if err := db.SignAudit(t.Context(), aptrepo.AuditKey(auditSecret)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.auditKey = nil })
	repo := &aptrepo.Repo{Storage: new(storage.Mem), Store: db, SecretKey: auditSecret, Logger: slog.New(slog.DiscardHandler)}
	// Days 1 to 4; a run writes an entry of its own.
	for d, n := range []int{3, 2, 1, 0} {
		for i := range n {
			entryOf(t, db, d+1, fmt.Sprint("detail ", i))
		}
		retireAt(t, repo, d+1)
	}
	return repo
}

func entryOf(t *testing.T, db *DB, day int, detail string) {
	t.Helper()
	err := db.Update(t.Context(), func(tx aptrepo.Tx) error {
		return tx.Audit(aptrepo.AuditEntry{Time: dayNumber(day), Action: "test", User: "<u>", Result: "success", Detail: detail})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func dayNumber(n int) time.Time { return time.Date(2026, 5, n, 12, 0, 0, 0, time.UTC) }

// retireAt archives what is older than two days, on a day.
func retireAt(t *testing.T, repo *aptrepo.Repo, day int) aptrepo.RetentionReport {
	t.Helper()
	report, err := runAt(t, repo, day)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func runAt(t *testing.T, repo *aptrepo.Repo, day int) (aptrepo.RetentionReport, error) {
	r := &aptrepo.Repo{Storage: repo.Storage, Store: repo.Store, SecretKey: repo.SecretKey, Logger: repo.Logger,
		Now: func() time.Time { return dayNumber(day) }}
	return r.RunRetention(t.Context(), aptrepo.RetentionOptions{AuditFor: 36 * time.Hour})
}

const firstFile, secondFile = "audit/archive/000000000001.jsonl.gz", "audit/archive/000000000005.jsonl.gz"

// archiveFiles lists the archive.
func archiveFiles(t *testing.T, s storage.Backend) (keys []string) {
	t.Helper()
	for info, err := range s.List(t.Context(), "audit/archive/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// unpack reads the lines of a file, and repack writes them.
func unpack(t *testing.T, s storage.Backend, key string) []string {
	t.Helper()
	f, _, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func repack(t *testing.T, s storage.Backend, key string, lines []string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, strings.Join(lines, "\n")+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), s.Put(t.Context(), key, bytes.NewReader(b.Bytes()))); err != nil {
		t.Fatal(err)
	}
}

func TestArchiveOfAudit(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		if db.dialect == Postgres {
			emptied(t, db)
		}
		repo := archived(t, db)
		if got := archiveFiles(t, repo.Storage); !slices.Equal(got, []string{firstFile, secondFile}) {
			t.Fatalf("files %q", got)
		}
		var ids []int64
		prev := ""
		for _, key := range []string{firstFile, secondFile} {
			for i, line := range unpack(t, repo.Storage, key) {
				var e aptrepo.AuditEntry
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					if e.ID != int64(len(ids)) || e.Hash != prev {
						t.Errorf("%s begins with %s", key, line)
					}
					continue
				}
				if hash, err := e.Chain(prev); err != nil || hash != e.Hash {
					t.Errorf("entry %d does not fit, %v", e.ID, err)
				}
				ids, prev = append(ids, e.ID), e.Hash
			}
		}
		if !slices.Equal(ids, []int64{1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("entries %v in the archive", ids)
		}
		report, err := repo.VerifyAudit(t.Context())
		if err != nil || report.BrokenAt != 0 || report.Archived != 7 || report.FirstID != 8 || report.Entries != 3 || report.Anchor != prev {
			t.Errorf("%+v, %v", report, err)
		}
		// The mark lies behind what was archived, or it could not be checked.
		if got := storedMark(t, repo); !strings.Contains(got, `"id":9,`) {
			t.Errorf("mark %s", got)
		}
		page, err := db.AuditPage(t.Context(), aptrepo.AuditQuery{})
		if err != nil || page.Total != 4 {
			t.Errorf("%d entries left, %v", page.Total, err)
		}
	})
}

// Whatever is done to the archive or the anchor is found out, but for taking its
// oldest files elsewhere.
func TestVerifyArchive(t *testing.T) {
	change := func(key string, f func(lines []string) []string) func(*testing.T, *DB, storage.Backend) {
		return func(t *testing.T, _ *DB, s storage.Backend) { repack(t, s, key, f(unpack(t, s, key))) }
	}
	deleted := func(keys ...string) func(*testing.T, *DB, storage.Backend) {
		return func(t *testing.T, _ *DB, s storage.Backend) {
			for _, key := range keys {
				if err := s.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	anchor := func(set string) func(*testing.T, *DB, storage.Backend) {
		return func(t *testing.T, db *DB, _ storage.Backend) { tamper(t, db, "UPDATE audit_head SET "+set) }
	}
	for name, test := range map[string]struct {
		change   func(t *testing.T, db *DB, s storage.Backend)
		brokenAt int64
		detail   string
	}{
		"untouched":                  {func(*testing.T, *DB, storage.Backend) {}, 0, ""},
		"the oldest taken elsewhere": {deleted(firstFile), 0, ""},
		"all taken elsewhere":        {deleted(firstFile, secondFile), 0, ""},
		"the youngest removed":       {deleted(secondFile), 5, "ends at entry 4"},
		"another file among them": {func(t *testing.T, _ *DB, s storage.Backend) {
			if err := s.Put(t.Context(), "audit/archive/README", strings.NewReader("x")); err != nil {
				t.Fatal(err)
			}
		}, 0, ""},
		"an entry changed": {change(firstFile, func(l []string) []string {
			l[2] = strings.Replace(l[2], "detail 1", "detail 7", 1)
			return l
		}), 2, "does not fit"},
		"an entry removed":           {change(firstFile, func(l []string) []string { return slices.Delete(l, 2, 3) }), 2, "missing"},
		"the last entry of a file":   {change(firstFile, func(l []string) []string { return l[:len(l)-1] }), 4, "does not go on"},
		"the last entry of all":      {change(secondFile, func(l []string) []string { return l[:len(l)-1] }), 7, "ends at entry 6"},
		"entries exchanged":          {change(secondFile, func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }), 5, "missing"},
		"no JSON":                    {change(secondFile, func(l []string) []string { l[2] = "{"; return l }), 6, "damaged"},
		"without the line of anchor": {change(secondFile, func(l []string) []string { return l[1:] }), 5, "begins behind"},
		"the first file, made of nothing": {func(t *testing.T, db *DB, s storage.Backend) {
			deleted(firstFile)(t, db, s)
			change(secondFile, func(l []string) []string {
				l[0] = strings.Replace(l[0], `"mac":"`, `"mac":"0`, 1)
				return l
			})(t, db, s)
		}, 5, "not signed"},
		"cut in the middle": {func(t *testing.T, _ *DB, s storage.Backend) {
			f, _, err := s.Open(t.Context(), firstFile)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Put(t.Context(), firstFile, bytes.NewReader(data[:len(data)-9])); err != nil {
				t.Fatal(err)
			}
		}, 0, "damaged"},
		"not compressed": {func(t *testing.T, _ *DB, s storage.Backend) {
			if err := s.Put(t.Context(), firstFile, strings.NewReader("{}\n")); err != nil {
				t.Fatal(err)
			}
		}, 1, "damaged"},
		// Somebody who has the database, but not the key.
		"the anchor moved on": {func(t *testing.T, db *DB, _ storage.Backend) {
			tamper(t, db, "UPDATE audit_head SET anchor_id = 8, anchor_hash = (SELECT hash FROM audit WHERE id = 8)", "DELETE FROM audit WHERE id = 8")
		}, 8, "archive ends at entry 7"},
		"the anchor moved on, no archive": {func(t *testing.T, db *DB, s storage.Backend) {
			deleted(firstFile, secondFile)(t, db, s)
			tamper(t, db, "UPDATE audit_head SET anchor_id = 8, anchor_hash = (SELECT hash FROM audit WHERE id = 8)", "DELETE FROM audit WHERE id = 8")
		}, 9, "anchor of the log, entry 8, is not signed"},
		"the head passed off as the anchor": {func(t *testing.T, db *DB, s storage.Backend) {
			deleted(firstFile, secondFile)(t, db, s)
			tamper(t, db, "UPDATE audit_head SET anchor_id = last_id, anchor_hash = last_hash, anchor_mac = mac", "DELETE FROM audit")
		}, 11, "is not signed"},
		"the anchor taken back":     {anchor("anchor_id = 0, anchor_hash = '', anchor_mac = ''"), 1, "missing"},
		"the anchor's hash changed": {anchor("anchor_hash = 'x'"), 8, "archive ends at entry 7"},
		"the anchor's MAC changed":  {anchor("anchor_mac = 'x'"), 8, "is not signed"},
		"the entry behind it changed": {func(t *testing.T, db *DB, _ storage.Backend) {
			tamper(t, db, "UPDATE audit SET detail = 'x' WHERE id = 8")
		}, 8, "does not fit"},
		"the entry behind it removed": {func(t *testing.T, db *DB, _ storage.Backend) {
			tamper(t, db, "DELETE FROM audit WHERE id = 8")
		}, 8, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			db := openSQLite(t)
			repo := archived(t, db)
			test.change(t, db, repo.Storage)
			report, err := repo.VerifyAudit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if (report.BrokenAt == 0) != (test.detail == "") || !strings.Contains(report.Detail, test.detail) ||
				test.brokenAt != 0 && report.BrokenAt != test.brokenAt {
				t.Errorf("broken at %d (%s), want %d (%s)", report.BrokenAt, report.Detail, test.brokenAt, test.detail)
			}
		})
	}
}

// What was tampered with is not archived: the traces would go with it.
func TestBrokenLogIsNotArchived(t *testing.T) {
	db := openSQLite(t)
	repo := archived(t, db)
	tamper(t, db, "UPDATE audit SET detail = 'x' WHERE id = 9")
	again(t, db)
	if _, err := runAt(t, repo, 20); err == nil || !strings.Contains(err.Error(), "tampered with") {
		t.Errorf("error %v", err)
	}
	if got := archiveFiles(t, repo.Storage); len(got) != 2 {
		t.Errorf("files %q", got)
	}
}

// A file that a stopped run left is used if it is right, and put aside if not.
func TestArchiveLeftBehind(t *testing.T) {
	const third = "audit/archive/000000000008.jsonl.gz"
	for name, test := range map[string]struct {
		change func(lines []string) []string // nil: the settings change meanwhile
		aside  bool
	}{
		"whole":             {func(l []string) []string { return l }, false},
		"of fewer entries":  {func(l []string) []string { return l[:2] }, false},
		"another's entries": {func(l []string) []string { l[1] = strings.Replace(l[1], "test", "other", 1); return l }, true},
		"too young":         {nil, true},
		"of a database that was not kept": {func(l []string) []string {
			var prev aptrepo.AuditHead
			if json.Unmarshal([]byte(l[0]), &prev) != nil {
				return nil
			}
			for i := range l[1:] {
				var e aptrepo.AuditEntry
				if json.Unmarshal([]byte(l[i+1]), &e) != nil {
					return nil
				}
				e.Detail = "another"
				e.Hash, _ = e.Chain(prev.Hash)
				text, err := json.Marshal(e)
				if err != nil {
					return nil
				}
				l[i+1], prev.Hash = string(text), e.Hash
			}
			return l
		}, true},
		"nothing but a header": {func(l []string) []string { return l[:1] }, true},
		"behind another entry": {func(l []string) []string { l[0] = strings.Replace(l[0], `"id":7`, `"id":6`, 1); return l }, true},
	} {
		t.Run(name, func(t *testing.T) {
			db := openSQLite(t)
			repo := archived(t, db)
			// What a run on day 6 would write, without removing anything.
			lost := &aptrepo.Repo{Storage: repo.Storage, Store: unremoving{db}, SecretKey: auditSecret, Logger: repo.Logger}
			if _, err := runAt(t, lost, 6); !errors.Is(err, errKilled) {
				t.Fatalf("the run that is stopped: %v", err)
			}
			if got := archiveFiles(t, repo.Storage); !slices.Contains(got, third) {
				t.Fatalf("files %q", got)
			}
			if report, err := repo.VerifyAudit(t.Context()); err != nil || report.BrokenAt != 0 {
				t.Fatalf("in between: %+v, %v", report, err)
			}
			day := 6
			if test.change == nil {
				day = 5 // whose entries of day 4 are to stay
			} else {
				repack(t, repo.Storage, third, test.change(unpack(t, repo.Storage, third)))
			}
			report := retireAt(t, repo, day)
			aside := false
			for info := range repo.Storage.List(t.Context(), "lost+found/audit/archive/") {
				aside = aside || strings.HasSuffix(info.Key, third)
			}
			if aside != test.aside || report.AuditEntries == 0 {
				t.Errorf("put aside %v, want %v; %d entries archived", aside, test.aside, report.AuditEntries)
			}
			check, err := repo.VerifyAudit(t.Context())
			if err != nil || check.BrokenAt != 0 || check.Archived != 7+report.AuditEntries {
				t.Errorf("%+v, %v", check, err)
			}
		})
	}
}

var errKilled = errors.New("killed")

// unremoving is a store whose program is killed before it removes entries.
type unremoving struct{ *DB }

type unremovingTx struct{ aptrepo.Tx }

func (unremovingTx) RemoveAudit(aptrepo.AuditHead) (int, error) { return 0, errKilled }

func (s unremoving) Update(ctx context.Context, fn func(aptrepo.Tx) error) error {
	return s.DB.Update(ctx, func(tx aptrepo.Tx) error { return fn(unremovingTx{tx}) })
}

// Many entries take several files. The log is verified meanwhile, and grows.
func TestArchiveOfMany(t *testing.T) {
	db := openSQLite(t)
	repo := &aptrepo.Repo{Storage: new(storage.Mem), Store: db, Logger: slog.New(slog.DiscardHandler)}
	const n = 25_000
	for range n / 5000 {
		err := db.Update(t.Context(), func(tx aptrepo.Tx) error {
			for range 5000 {
				if err := tx.Audit(aptrepo.AuditEntry{Time: dayNumber(1), Action: "test"}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, err := runAt(t, repo, 9)
		ended <- err
	}()
	verified := 0
	for running := true; running; verified++ {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		report, err := repo.VerifyAudit(t.Context())
		if err != nil || report.BrokenAt != 0 {
			t.Fatalf("%+v, %v", report, err)
		}
	}
	if got := archiveFiles(t, repo.Storage); len(got) != 3 {
		t.Errorf("files %q", got)
	}
	report, err := repo.VerifyAudit(t.Context())
	if err != nil || report.BrokenAt != 0 || report.Archived != n || report.Entries != verified+1 {
		t.Errorf("%+v, %v", report, err)
	}
}

// A database that gets its key late has its anchor signed too.
func TestSignAnchorLater(t *testing.T) {
	db := openSQLite(t)
	repo := &aptrepo.Repo{Storage: new(storage.Mem), Store: db, Logger: slog.New(slog.DiscardHandler)}
	entryOf(t, db, 1, "x")
	retireAt(t, repo, 5)
	retireAt(t, repo, 9)
	if err := db.SignAudit(t.Context(), aptrepo.AuditKey(auditSecret)); err != nil {
		t.Fatal(err)
	}
	anchor, err := db.AuditAnchor(t.Context())
	if err != nil || anchor.ID != 2 || anchor.MAC == "" {
		t.Errorf("anchor %+v, %v", anchor, err)
	}
	repo = &aptrepo.Repo{Storage: repo.Storage, Store: db, SecretKey: auditSecret, Logger: repo.Logger}
	if report, err := repo.VerifyAudit(t.Context()); err != nil || report.BrokenAt != 0 || report.Archived != 2 {
		t.Errorf("%+v, %v", report, err)
	}
}
