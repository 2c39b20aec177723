package sqlstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// A meddler changes a few packages at random, and counts those that came and went.
type meddler struct {
	r          *rand.Rand
	came, went int
}

var errChangedMind = errors.New("changed my mind")

// meddle does a few things to one package. One in four fails in the end.
func (m *meddler) meddle(tx aptrepo.Tx) error {
	name := string(rune('a' + m.r.IntN(3)))
	came, went := 0, 0
	a, err := tx.Artifact(aptrepo.KeyOf(name, "1", "all"))
	if errors.Is(err, aptrepo.ErrArtifactNotFound) {
		a = aptrepo.Artifact{Name: name, Version: "1", Arch: "all", Size: 1 + m.r.Int64N(100), Status: aptrepo.Indexed,
			Filename: fmt.Sprint("pool/", m.r.Uint64()), UploadedAt: time.Unix(1e9, 0)}
		err = tx.InsertArtifact(&a)
		came = 1
	}
	for range m.r.IntN(4) {
		if err == nil && went == 0 {
			went, err = m.meddleWith(tx, a.ID)
		}
	}
	if err == nil && m.r.IntN(4) == 0 {
		err = errChangedMind
	}
	if err == nil {
		m.came, m.went = m.came+came, m.went+went
	}
	return err
}

func (m *meddler) meddleWith(tx aptrepo.Tx, id int64) (went int, err error) {
	switch m.r.IntN(6) {
	case 0:
		s := aptrepo.Scan{ScanSummary: aptrepo.ScanSummary{Covered: m.r.IntN(2) == 0}}
		for i := range m.r.IntN(3) {
			s.Findings = append(s.Findings, scan.Finding{ID: fmt.Sprint("CVE-2026-000", m.r.IntN(3)+3*i), Severity: scan.High})
		}
		s.Counts.High = len(s.Findings)
		return 0, tx.PutScan(id, s)
	case 1, 2:
		_, _, err = tx.AddPublication(id, aptrepo.Publication{Distribution: "jammy", Component: "main"})
		return 0, err
	case 3:
		return 0, tx.SetStatus(id, []aptrepo.Status{aptrepo.Indexed, aptrepo.Rejected, aptrepo.PendingReview}[m.r.IntN(3)], "cve", "")
	}
	_, _, err = tx.RemovePublication(id, "jammy", "main")
	if err == nil && m.r.IntN(2) == 0 {
		return 1, tx.DeleteArtifact(id)
	}
	return 0, err
}

// What many updates of one commit do to the same packages, and what those that
// fail do not, the derived tables tell in the end.
func TestDerivedOfOneCommit(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		addJammy(t, db)
		m := new(meddler)
		for seed := range uint64(30) {
			m.r = rand.New(rand.NewPCG(1, seed))
			c := gather(t, db)
			for i := range 12 {
				update := func(tx *tx) error { return m.meddle(tx) }
				if i == 6 { // somebody looks for drift meanwhile
					update = func(tx *tx) error { return errors.Join(mendDrift(tx, "search_texts"), mendDrift(tx, "postures")) }
				}
				c.add(func() {
					if err := db.update(t.Context(), update); err != nil && !errors.Is(err, errChangedMind) {
						t.Error(err)
					}
				})
			}
			c.disperse()
			for _, d := range derivedTables {
				if got, want := lines(t, db, d.table), lines(t, db, d.truth); !slices.Equal(got, want) {
					t.Errorf("seed %d, %s:\n got %q\nwant %q", seed, d.name, got, want)
				}
			}
			sameAfterwards(t, db)
			counts := lines(t, db, "SELECT CAST(COALESCE(SUM(uploads), 0) AS BIGINT), CAST(COALESCE(SUM(deletions), 0) AS BIGINT) FROM day_counts")
			if want := []string{fmt.Sprint(m.came, " ", m.went)}; !slices.Equal(counts, want) {
				t.Errorf("seed %d: counted %q, want %q", seed, counts, want)
			}
			if t.Failed() {
				return
			}
		}
	})
}

// sameAfterwards holds the postures against those that are derived from nothing.
func sameAfterwards(t *testing.T, db *DB) {
	t.Helper()
	const postures = "SELECT * FROM postures ORDER BY artifact_id, distribution"
	got := lines(t, db, postures)
	err := db.update(t.Context(), func(tx *tx) error {
		ids, err := integers(tx, "SELECT id FROM artifacts")
		if err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM postures"); err != nil {
			return err
		}
		return insertPostures(tx, ids)
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := lines(t, db, postures); !slices.Equal(got, want) {
		t.Errorf("postures:\n got %q\nwant %q", got, want)
	}
	stock := lines(t, db, "SELECT names, size_bytes FROM stock")
	sums := lines(t, db, "SELECT COUNT(DISTINCT name), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM artifacts")
	if !slices.Equal(stock, sums) {
		t.Errorf("stock %q, want %q", stock, sums)
	}
	found := lines(t, db, "SELECT s.artifact_id FROM search_texts s JOIN artifacts a ON a.id = s.artifact_id ORDER BY s.artifact_id")
	if all := lines(t, db, "SELECT id FROM artifacts ORDER BY id"); !slices.Equal(found, all) {
		t.Errorf("%q can be found, want %q", found, all)
	}
}
