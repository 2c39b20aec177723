package e2e

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// A ledger is the database of a repository, read past the server.
type ledger struct {
	db    *sql.DB
	files string // directory of the storage
	// newest is the highest generation seen so far, by distribution.
	newest map[string]generation
	// gapless says that no server was killed: one that was may have left a
	// manifest that nobody made current, the number of which is not used again.
	gapless bool
}

type generation struct {
	number int64
	date   int64 // microseconds
}

// openLedger reads a database with a driver, and the files of a storage.
func openLedger(t *testing.T, driver, source, files string) *ledger {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return &ledger{db: db, files: files, newest: make(map[string]generation)}
}

// sqliteLedger reads the embedded database of a data directory.
func sqliteLedger(t *testing.T, dir string) *ledger {
	return openLedger(t, "sqlite", "file:"+filepath.Join(dir, "repod.db")+"?mode=ro&_pragma=busy_timeout(10000)", filepath.Join(dir, "files"))
}

// rows calls f with each row of a query.
func (l *ledger) rows(ctx context.Context, query string, f func(scan func(...any) error) error) error {
	rows, err := l.db.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// generations checks INV3: the generations of each distribution have numbers that
// grow, and dates that do not go back, and the current one is the last;
// and none is older than what was seen here before.
func (l *ledger) generations(ctx context.Context) error {
	var errs []error
	last := make(map[string]generation)
	err := l.rows(ctx, "SELECT distribution, number, date FROM generations ORDER BY distribution, number", func(scan func(...any) error) error {
		var codename string
		var g generation
		if err := scan(&codename, &g.number, &g.date); err != nil {
			return err
		}
		if was, ok := last[codename]; ok && (l.gapless && g.number != was.number+1 || g.number <= was.number || g.date < was.date) {
			errs = append(errs, fmt.Errorf("INV3: %s: generation %d of %v follows %d of %v", codename, g.number, g.date, was.number, was.date))
		}
		last[codename] = g
		return nil
	})
	errs = append(errs, err)
	err = l.rows(ctx, "SELECT codename, generation FROM distributions", func(scan func(...any) error) error {
		var codename string
		var current int64
		if err := scan(&codename, &current); err != nil {
			return err
		}
		g, was := last[codename], l.newest[codename]
		if current != g.number || g.number < was.number || g.date < was.date {
			errs = append(errs, fmt.Errorf("INV3: %s is at generation %d, its last is %+v, seen was %+v", codename, current, g, was))
		}
		l.newest[codename] = g
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// An auditLine is an entry of the audit log as its hash takes it.
type auditLine struct {
	ID        int64     `json:"id"`
	Time      time.Time `json:"timestamp"`
	Action    string    `json:"action"`
	User      string    `json:"user"`
	IP        string    `json:"ip"`
	Result    string    `json:"result"`
	Target    string    `json:"target"`
	Package   string    `json:"package"`
	Version   string    `json:"version"`
	Detail    string    `json:"detail"`
	RequestID string    `json:"request_id"`
}

// audit checks INV6: the chain of the audit log holds from its first entry to
// its head, and each change that was acknowledged has an entry, and no change
// more of them than requests were sent.
func (l *ledger) audit(ctx context.Context, m *model) error {
	var errs []error
	var prev string
	var last int64
	entries := make(map[string]int) // successful ones, by action, name and version
	err := l.rows(ctx, `SELECT id, at, action, user_name, ip, result, target, package, version, detail, request_id, hash
		FROM audit ORDER BY id`, func(scan func(...any) error) error {
		var e auditLine
		var at int64
		var hash string
		if err := scan(&e.ID, &at, &e.Action, &e.User, &e.IP, &e.Result, &e.Target, &e.Package, &e.Version, &e.Detail, &e.RequestID, &hash); err != nil {
			return err
		}
		e.Time = time.UnixMicro(at).UTC()
		body, err := json.Marshal(e)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(append([]byte(prev), body...))
		if e.ID != last+1 || hex.EncodeToString(sum[:]) != hash {
			errs = append(errs, fmt.Errorf("INV6: audit entry %d does not fit behind entry %d", e.ID, last))
		}
		if e.Result == "success" {
			entries[e.Action+" "+e.Package+" "+e.Version]++
		}
		last, prev = e.ID, hash
		return nil
	})
	var head int64
	var hash string
	errs = append(errs, err, l.db.QueryRowContext(ctx, "SELECT last_id, last_hash FROM audit_head").Scan(&head, &hash))
	if head != last || hash != prev {
		errs = append(errs, fmt.Errorf("INV6: the audit log ends at %d, its head is %d", last, head))
	}
	return errors.Join(append(errs, m.audited(entries))...)
}

var actions = map[string]string{"upload": "package.upload", "promote": "distribution.promote", "delete": "package.delete"}

// audited compares requests with the entries about them.
func (m *model) audited(entries map[string]int) error {
	var errs []error
	for pkg, requests := range m.requests {
		fields := strings.Fields(pkg)
		for op, action := range actions {
			sent, acknowledged := 0, 0
			for _, q := range requests {
				if q.op != op {
					continue
				}
				sent++
				// 404 is the answer to what is gone: it may never have been there.
				if q.outcome() == done && q.status != 404 {
					acknowledged = 1
				}
			}
			got := entries[action+" "+fields[0]+" "+fields[1]]
			if got < acknowledged || got > sent {
				errs = append(errs, fmt.Errorf("INV6: %s of %s: %d entries, of %d requests %d acknowledged", op, pkg, got, sent, acknowledged))
			}
		}
	}
	return errors.Join(errs...)
}

// contents checks INV5: each artifact has its file with the very bytes, and what
// is published is what a reader was served. It returns how many files belong to
// nothing: uploads that were broken off leave them, and retention takes them
// away when they are old.
func (l *ledger) contents(ctx context.Context, served map[string]map[string]string) (orphans int, err error) {
	var errs []error
	named := make(map[string]bool)
	err = l.rows(ctx, "SELECT filename, sha256, status FROM artifacts", func(scan func(...any) error) error {
		var name, want, status string
		if err := scan(&name, &want, &status); err != nil {
			return err
		}
		named[name] = true
		if status == "rejected" { // malware is not kept
			return nil
		}
		body, err := os.ReadFile(filepath.Join(l.files, name))
		if sum := sha256.Sum256(body); err != nil || hex.EncodeToString(sum[:]) != want {
			errs = append(errs, fmt.Errorf("INV5: the file %s (%d bytes) is not what the database says: %v", name, len(body), err))
		}
		return nil
	})
	errs = append(errs, err)
	published := make(map[string]string)
	err = l.rows(ctx, `SELECT p.distribution, a.name, a.version, a.arch, a.sha256
		FROM publications p JOIN artifacts a ON a.id = p.artifact_id`, func(scan func(...any) error) error {
		var codename, name, version, arch, sum string
		if err := scan(&codename, &name, &version, &arch, &sum); err != nil {
			return err
		}
		published[codename+" "+name+" "+version+" "+arch] = sum
		return nil
	})
	errs = append(errs, err)
	count := 0
	for codename, lists := range served {
		for id, sum := range lists {
			count++
			if published[codename+" "+id] != sum {
				errs = append(errs, fmt.Errorf("INV4: %s lists %s, the database does not", codename, id))
			}
		}
	}
	if count != len(published) {
		errs = append(errs, fmt.Errorf("INV1: the database publishes %d packages, %d are listed", len(published), count))
	}
	err = l.rows(ctx, "SELECT filename FROM removals", func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		named[name] = true
		return err
	})
	errs = append(errs, err)
	err = filepath.WalkDir(filepath.Join(l.files, "pool"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() {
			if name, _ := filepath.Rel(l.files, path); !named[name] {
				orphans++
			}
		}
		return err
	})
	return orphans, errors.Join(append(errs, err)...)
}
