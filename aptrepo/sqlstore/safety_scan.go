package sqlstore

import (
	"context"
	"database/sql"
	"reflect"
	"slices"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

const summaryColumns = `s.scanned_at, s.verdict, s.malware, s.signature, s.covered, s.data_date,
	s.critical, s.high, s.medium, s.low, s.negligible, s.unknown, s.kev, s.epss_max`

// scanSummary reads summaryColumns, and more columns that follow them.
func scanSummary(rows *sql.Rows, s *aptrepo.ScanSummary, more ...any) error {
	var scanned, covered, date int64
	var verdict, malware string
	c := &s.Counts
	err := rows.Scan(append([]any{&scanned, &verdict, &malware, &s.Signature, &covered, &date,
		&c.Critical, &c.High, &c.Medium, &c.Low, &c.Negligible, &c.Unknown, &s.KEV, &s.EPSSMax}, more...)...)
	s.ScannedAt, s.DataDate, s.Covered = timeOf(scanned), timeOf(date), covered != 0
	s.Verdict, s.Malware = aptrepo.Verdict(verdict), scan.MalwareStatus(malware)
	return err
}

// summaries reads the summaries of artifacts by ID.
func summaries(q querier, ids []int64) (map[int64]aptrepo.ScanSummary, error) {
	byID := make(map[int64]aptrepo.ScanSummary, len(ids))
	for part := range slices.Chunk(ids, 500) {
		err := each(q, "SELECT "+summaryColumns+", s.artifact_id FROM scans s WHERE s.artifact_id IN (SELECT value FROM {ids})",
			[]any{list(part)}, func(rows *sql.Rows) error {
				var id int64
				var s aptrepo.ScanSummary
				err := scanSummary(rows, &s, &id)
				byID[id] = s
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return byID, nil
}

// ScanSummaries implements [aptrepo.SafetyStore].
func (d *DB) ScanSummaries(ctx context.Context, ids []int64) (byID map[int64]aptrepo.ScanSummary, err error) {
	err = d.read(ctx, func(q querier) error {
		byID, err = summaries(q, ids)
		return err
	})
	return byID, err
}

// scanOf reads what is known of an artifact.
func scanOf(q querier, id int64) (s aptrepo.Scan, found bool, err error) {
	byID, err := scansOf(q, []int64{id})
	s, found = byID[id]
	return s, found, err
}

// scansOf reads what is known of artifacts by ID. It is meant for few.
func scansOf(q querier, ids []int64) (map[int64]aptrepo.Scan, error) {
	var byID map[int64]aptrepo.Scan
	err := each(q, "SELECT "+summaryColumns+`, s.engine, s.detail, s.data_generation, s.official, s.artifact_id
		FROM scans s WHERE s.artifact_id IN (SELECT value FROM {ids})`, []any{list(ids)}, func(rows *sql.Rows) error {
		var s aptrepo.Scan
		var official, id int64
		err := scanSummary(rows, &s.ScanSummary, &s.Engine, &s.Detail, &s.DataGeneration, &official, &id)
		s.Official = official != 0
		if byID == nil {
			byID = make(map[int64]aptrepo.Scan, len(ids))
		}
		byID[id] = s
		return err
	})
	if err != nil || byID == nil {
		return nil, err
	}
	findings, err := findingsOf(q, ids)
	if err != nil {
		return nil, err
	}
	packed, err := componentsOf(q, ids)
	if err != nil {
		return nil, err
	}
	for id, s := range byID {
		s.Findings = findings[id]
		if s.Components, err = unpackComponents(packed[id]); err != nil {
			return nil, err
		}
		byID[id] = s
	}
	return byID, nil
}

// Scan implements [aptrepo.SafetyStore].
func (d *DB) Scan(ctx context.Context, id int64) (s aptrepo.Scan, err error) {
	err = d.read(ctx, func(q querier) error {
		s, _, err = scanOf(q, id)
		return err
	})
	return s, err
}

// Scan implements [aptrepo.SafetyTx].
func (t *tx) Scan(id int64) (aptrepo.Scan, error) {
	s, _, err := scanOf(t, id)
	return s, err
}

// PutScan implements [aptrepo.SafetyTx]. Most scans only confirm the former one:
// findings and components that are the same are not written again.
func (t *tx) PutScan(id int64, s aptrepo.Scan) error {
	s, err := tidyScan(s)
	if err != nil {
		return err
	}
	former, scanned, err := scanOf(t, id)
	if err != nil {
		return err
	}
	if !scanned {
		if err := t.exists(id); err != nil {
			return err
		}
	}
	if !s.ScannedAt.IsZero() && micros(s.ScannedAt) != micros(former.ScannedAt) {
		t.deeds.on(s.ScannedAt).Scans++
	}
	if !equalStanding(&s.ScanSummary, &former.ScanSummary) {
		t.touched(id)
		t.describe(id, s.ScannedAt)
	}
	if !reflect.DeepEqual(s.Findings, former.Findings) {
		t.describe(id, s.ScannedAt)
		if err := t.replaceFindings(id, s.Findings); err != nil {
			return err
		}
	}
	if !reflect.DeepEqual(s.Components, former.Components) {
		t.describe(id, s.ScannedAt)
		if err := t.replaceComponents(id, s.Components); err != nil {
			return err
		}
	}
	return t.putScanRow(id, &s)
}

// equalStanding reports whether two summaries are alike to listings.
func equalStanding(a, b *aptrepo.ScanSummary) bool {
	return a.Covered == b.Covered && a.Counts == b.Counts && a.KEV == b.KEV && reflect.DeepEqual(a.EPSSMax, b.EPSSMax)
}

func (t *tx) putScanRow(id int64, s *aptrepo.Scan) error {
	c := &s.Counts
	_, err := t.exec(`INSERT INTO scans (artifact_id, scanned_at, verdict, malware, signature, engine, detail, official,
			covered, data_date, data_generation, critical, high, medium, low, negligible, unknown, kev, epss_max)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (artifact_id) DO UPDATE SET scanned_at = excluded.scanned_at, verdict = excluded.verdict,
			malware = excluded.malware, signature = excluded.signature, engine = excluded.engine, detail = excluded.detail,
			official = excluded.official, covered = excluded.covered, data_date = excluded.data_date,
			data_generation = excluded.data_generation, critical = excluded.critical, high = excluded.high,
			medium = excluded.medium, low = excluded.low, negligible = excluded.negligible, unknown = excluded.unknown,
			kev = excluded.kev, epss_max = excluded.epss_max`,
		id, micros(s.ScannedAt), string(s.Verdict), string(s.Malware), s.Signature, s.Engine, s.Detail, integer(s.Official),
		integer(s.Covered), micros(s.DataDate), s.DataGeneration, c.Critical, c.High, c.Medium, c.Low, c.Negligible,
		c.Unknown, s.KEV, s.EPSSMax)
	return err
}
