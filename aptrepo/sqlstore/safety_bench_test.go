package sqlstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// flaw makes the vulnerability of a number: the same for the same number.
func flaw(n int) scan.Finding {
	r := rand.New(rand.NewPCG(2, uint64(n)))
	ranks := []scan.Severity{scan.Critical, scan.High, scan.High, scan.High, scan.Medium, scan.Medium, scan.Medium, scan.Medium,
		scan.Medium, scan.Low, scan.Low, scan.Negligible, scan.Unknown}
	cvss, epss := float64(r.IntN(101))/10, r.Float64()
	f := scan.Finding{
		ID: fmt.Sprintf("CVE-%d-%d", 2010+n%15, 1000+n), Advisories: []string{fmt.Sprintf("DSA-%d-1", n)},
		Severity: ranks[r.IntN(len(ranks))], CVSS: &cvss, EPSS: &epss, KEV: r.IntN(100) == 0, FixState: scan.NotFixed, Gates: true,
		Description: pick(r, vocabulary, 40, " "), URLs: []string{fmt.Sprintf("https://example.org/%d", n)},
	}
	if r.IntN(2) == 0 {
		f.FixState, f.FixedVersion = scan.Fixed, "9.9-1"
	}
	return f
}

// scanNumber makes the scan of packageNumber(i): 20 findings, which the four
// packages of a source share. Of 40,000 vulnerabilities, 200 are in hundreds of
// packages each, as those of a language's library are.
func scanNumber(i int) aptrepo.Scan {
	r := rand.New(rand.NewPCG(3, uint64(i/4)))
	s := aptrepo.Scan{ScanSummary: aptrepo.ScanSummary{ScannedAt: time.Unix(1_700_000_000, 0), Verdict: aptrepo.Warn,
		Malware: scan.Clean, Covered: i%50 > 0, DataDate: time.Unix(1_700_000_000, 0)}, Engine: "ClamAV 1.4.3/27969"}
	numbers := map[int]bool{r.IntN(200): true}
	for len(numbers) < 20 {
		numbers[200+r.IntN(39_800)] = true
	}
	for n := range numbers {
		f := flaw(n)
		f.Package, f.InstalledVersion = "source", "1.0-1"
		s.Findings = append(s.Findings, f)
		*map[scan.Severity]*int{scan.Critical: &s.Counts.Critical, scan.High: &s.Counts.High, scan.Medium: &s.Counts.Medium,
			scan.Low: &s.Counts.Low, scan.Negligible: &s.Counts.Negligible, scan.Unknown: &s.Counts.Unknown}[f.Severity]++
		if f.KEV {
			s.KEV++
		}
		if s.EPSSMax == nil || *f.EPSS > *s.EPSSMax {
			s.EPSSMax = f.EPSS
		}
	}
	if i%3 == 0 {
		for n := range 100 {
			s.Components = append(s.Components, scan.Component{Ecosystem: "Go", Name: fmt.Sprintf("example.org/m%d", n), Version: "v1.2.3",
				PURL: fmt.Sprintf("pkg:golang/example.org/m%d@v1.2.3", n), Paths: []string{"usr/bin/x"}})
		}
	}
	return s
}

// fillSafety uploads and scans n packages; each hundredth is not published and
// waits for review, each thousandth is bound for a small distribution.
func fillSafety(b *testing.B, db *DB, n int) {
	b.Helper()
	addJammy(b, db)
	err := db.Update(b.Context(), func(tx aptrepo.Tx) error {
		_, err := tx.InsertDistribution(aptrepo.Distribution{Codename: "small", Components: []string{"main"}})
		return err
	})
	for i := 0; i < n && err == nil; {
		err = db.Update(b.Context(), func(tx aptrepo.Tx) error {
			for end := min(i+1000, n); i < end; i++ {
				if err := addScanned(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		b.Fatal(err)
	}
}

func addScanned(tx aptrepo.Tx, i int) error {
	a := packageNumber(i)
	if i%100 == 0 {
		a.Status, a.StatusReason = []aptrepo.Status{aptrepo.PendingReview, aptrepo.Rejected}[i/100%2], "cve"
	}
	if err := tx.InsertArtifact(a); err != nil {
		return err
	}
	if i%100 > 0 {
		p := aptrepo.Publication{Distribution: "jammy", Component: "main", PublishedAt: a.UploadedAt}
		if _, _, err := tx.AddPublication(a.ID, p); err != nil {
			return err
		}
	}
	if i%1000 == 1 {
		p := aptrepo.Publication{Distribution: "small", Component: "main", PublishedAt: a.UploadedAt}
		if _, _, err := tx.AddPublication(a.ID, p); err != nil {
			return err
		}
	}
	return tx.PutScan(a.ID, scanNumber(i))
}

// BenchmarkSafety measures listings of the safety of many artifacts, and the
// changes behind them. Run it with -benchtime 20x.
func BenchmarkSafety(b *testing.B) {
	benchDialects(b, func(b *testing.B, db *DB) {
		start := time.Now()
		fillSafety(b, db, shelfSize())
		if db.dialect == Postgres {
			if _, err := db.conn.ExecContext(b.Context(), "ANALYZE"); err != nil {
				b.Fatal(err)
			}
		}
		b.Logf("filled in %v", time.Since(start))
		benchVulnerabilities(b, db)
		benchPostures(b, db)
		benchScans(b, db)
	})
}

func benchVulnerabilities(b *testing.B, db *DB) {
	yes := true
	for _, c := range []struct {
		name string
		q    aptrepo.VulnerabilityQuery
	}{
		{"all", aptrepo.VulnerabilityQuery{}},
		{"page200", aptrepo.VulnerabilityQuery{Page: 200}},
		{"perpage500", aptrepo.VulnerabilityQuery{PerPage: 500}},
		{"critical", aptrepo.VulnerabilityQuery{Severities: []scan.Severity{scan.Critical, scan.High}}},
		{"fixed", aptrepo.VulnerabilityQuery{FixState: scan.Fixed}},
		{"kev", aptrepo.VulnerabilityQuery{KEV: &yes}},
		{"jammy", aptrepo.VulnerabilityQuery{Distribution: "jammy"}},
		{"jammy,fixed,high", aptrepo.VulnerabilityQuery{Distribution: "jammy", FixState: scan.Fixed, Severities: []scan.Severity{scan.High}}},
		{"small", aptrepo.VulnerabilityQuery{Distribution: "small"}},
		{"q=id", aptrepo.VulnerabilityQuery{Q: "CVE-2014-1244"}},
		{"q=year", aptrepo.VulnerabilityQuery{Q: "CVE-2014-"}},
		{"q=name", aptrepo.VulnerabilityQuery{Q: packageNumber(7).Name}},
		{"q=few", aptrepo.VulnerabilityQuery{Q: "kalibro"}},
		{"q=many", aptrepo.VulnerabilityQuery{Q: "lib"}},
		{"q=many,jammy", aptrepo.VulnerabilityQuery{Q: "lib", Distribution: "jammy"}},
	} {
		b.Run("vulnerabilities/"+c.name, func(b *testing.B) {
			total, affected := 0, 0
			before, n := processTime(b), 0
			for b.Loop() {
				n++
				page, err := db.Vulnerabilities(b.Context(), c.q)
				if err != nil {
					b.Fatal(err)
				}
				total, affected = page.Total, 0
				for _, r := range page.Items {
					affected += len(r.Affected)
				}
			}
			b.ReportMetric(float64(processTime(b)-before)/float64(n)/1e6, "cpu-ms/op")
			b.ReportMetric(float64(total), "total")
			b.ReportMetric(float64(affected), "affected")
		})
	}
}

func benchPostures(b *testing.B, db *DB) {
	for _, c := range []struct {
		name string
		q    aptrepo.PostureQuery
	}{
		{"all", aptrepo.PostureQuery{}},
		{"page1000", aptrepo.PostureQuery{Page: 1000}},
		{"jammy", aptrepo.PostureQuery{Distribution: "jammy"}},
		{"small", aptrepo.PostureQuery{Distribution: "small"}},
		{"rejected", aptrepo.PostureQuery{Status: aptrepo.Rejected}},
		{"jammy,indexed", aptrepo.PostureQuery{Distribution: "jammy", Status: aptrepo.Indexed}},
		{"queue", aptrepo.PostureQuery{Queue: true}},
	} {
		b.Run("posture/"+c.name, func(b *testing.B) {
			total := 0
			before, n := processTime(b), 0
			for b.Loop() {
				n++
				page, err := db.Posture(b.Context(), c.q)
				if err != nil {
					b.Fatal(err)
				}
				total = page.Total
			}
			b.ReportMetric(float64(processTime(b)-before)/float64(n)/1e6, "cpu-ms/op")
			b.ReportMetric(float64(total), "total")
		})
	}
}

func benchScans(b *testing.B, db *DB) {
	id := func(i int) int64 {
		a, err := db.Artifact(b.Context(), packageNumber(i).Key())
		if err != nil {
			b.Fatal(err)
		}
		return a.ID
	}
	ids := []int64{id(1), id(2), id(3), id(5)}
	put := func(name string, s func(i int) aptrepo.Scan) {
		b.Run("put/"+name, func(b *testing.B) {
			before, i := processTime(b), 0
			for b.Loop() {
				i++
				one := s(i)
				err := db.Update(b.Context(), func(tx aptrepo.Tx) error { return tx.PutScan(ids[i%len(ids)], one) })
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processTime(b)-before)/float64(i)/1e6, "cpu-ms/op")
		})
	}
	put("changed", func(i int) aptrepo.Scan { return scanNumber(100 + 4*i) })
	same := scanNumber(4)
	put("same", func(int) aptrepo.Scan { return same })
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.Scan(b.Context(), ids[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("inventory", func(b *testing.B) {
		for b.Loop() {
			for _, err := range db.EachInventory(context.WithoutCancel(b.Context())) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
