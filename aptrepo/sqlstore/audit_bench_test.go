package sqlstore

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// logSize is how many entries the audit log of the benchmark has:
// REPOD_BENCH_ENTRIES, or 100,000.
func logSize() int {
	if n, err := strconv.Atoi(os.Getenv("REPOD_BENCH_ENTRIES")); err == nil {
		return n
	}
	return 100_000
}

var logBegin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// fillAudit writes a log of n entries, one a minute, as a busy server has it.
func fillAudit(b *testing.B, s *DB, n int) {
	actions := []string{"package.upload", "package.upload", "package.upload", "auth.login", "distribution.promote"}
	for from := 0; from < n; from += 2000 {
		err := s.Update(b.Context(), func(tx aptrepo.Tx) error {
			for i := from; i < min(from+2000, n); i++ {
				result := "success"
				if i%97 == 0 {
					result = "denied"
				}
				err := tx.Audit(aptrepo.AuditEntry{
					Time: logBegin.Add(time.Duration(i) * time.Minute), Action: actions[i%len(actions)], User: fmt.Sprintf("token:ci-%d", i%50),
					IP: "192.0.2.7", Result: result, Target: "jammy", Package: fmt.Sprintf("package-%d", i%20000), Version: "1.0-" + strconv.Itoa(i),
					Detail: fmt.Sprintf("sha256=%064x", i), RequestID: fmt.Sprintf("req-%d", i),
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuditPage(b *testing.B) {
	benchDialects(b, func(b *testing.B, s *DB) {
		n := logSize()
		fillAudit(b, s, n)
		if s.dialect == Postgres {
			if _, err := s.conn.ExecContext(b.Context(), "ANALYZE"); err != nil {
				b.Fatal(err)
			}
		}
		middle := logBegin.Add(time.Duration(n/2) * time.Minute)
		for name, q := range map[string]aptrepo.AuditQuery{
			"newest":       {},
			"last page":    {Page: n / 100},
			"user":         {User: "TOKEN:ci-7"},
			"package":      {Package: "package-77"},
			"action":       {Action: "auth.login"},
			"rare action":  {Action: "settings.update"},
			"result":       {Result: "denied"},
			"day":          {Start: middle, End: middle.AddDate(0, 0, 1)},
			"user and day": {User: "token:ci-7", Start: middle, End: middle.AddDate(0, 0, 1)},
			"text":         {Q: "ci-49"},
			"no such text": {Q: "no such thing"},
		} {
			q.PerPage = 100
			b.Run(name, func(b *testing.B) {
				before := processTime(b)
				for b.Loop() {
					if _, err := s.AuditPage(b.Context(), q); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(processTime(b)-before)/float64(b.N)/1e6, "cpu-ms/op")
			})
		}
	})
}
