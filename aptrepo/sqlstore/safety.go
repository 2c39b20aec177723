package sqlstore

import (
	"database/sql"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// SetStatus implements [aptrepo.SafetyTx]. An unknown ID gives
// ErrArtifactNotFound.
func (t *tx) SetStatus(id int64, status aptrepo.Status, reason, detail string) error {
	if !slices.Contains(aptrepo.Statuses(), status) {
		return &aptrepo.FieldError{Field: "status", Message: "must be one of those there are"}
	}
	if !validText(reason) {
		return invalidText("status_reason")
	}
	if status == aptrepo.Rejected {
		var before string
		if _, err := get(t, "SELECT status FROM artifacts WHERE id = ? AND status <> ?", []any{id, string(status)}, &before); err != nil {
			return err
		}
		if before != "" {
			t.deeds.rejected++
		}
	}
	n, err := t.exec("UPDATE artifacts SET status = ?, status_reason = ?, status_detail = ? WHERE id = ?",
		string(status), reason, keepable(detail), id)
	if err != nil {
		return err
	}
	if n == 0 {
		return aptrepo.ErrArtifactNotFound
	}
	t.touched(id)
	t.describe(id, time.Time{})
	_, err = t.exec("UPDATE publications SET status = ? WHERE artifact_id = ?", string(status), id)
	return err
}

// SetFilename implements [aptrepo.SafetyTx]. An unknown ID gives
// ErrArtifactNotFound.
func (t *tx) SetFilename(id int64, filename string) error {
	if !validText(filename) {
		return invalidText("filename")
	}
	n, err := t.exec("UPDATE artifacts SET filename = ? WHERE id = ?", filename, id)
	if err == nil && n == 0 {
		err = aptrepo.ErrArtifactNotFound
	}
	t.touched(id)
	t.describe(id, time.Time{})
	return err
}

// SetTargets implements [aptrepo.SafetyTx]. An unknown ID gives
// ErrArtifactNotFound, an unknown distribution ErrUnknownDistribution.
func (t *tx) SetTargets(id int64, targets []aptrepo.Publication) error {
	_, found, err := t.placed(id)
	if err != nil {
		return err
	}
	if !found {
		return aptrepo.ErrArtifactNotFound
	}
	t.touched(id)
	if _, err := t.exec("DELETE FROM targets WHERE artifact_id = ?", id); err != nil {
		return err
	}
	for _, p := range targets {
		if !validText(p.Component) {
			return invalidText("component")
		}
		if err := t.hasDistribution(p.Distribution); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO targets (artifact_id, distribution, component, promoted) VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, id, p.Distribution, p.Component, integer(p.Promoted))
		if err != nil {
			return err
		}
	}
	return nil
}

// Targets implements [aptrepo.SafetyTx].
func (t *tx) Targets(id int64) ([]aptrepo.Publication, error) {
	byID, err := targetsOf(t, []int64{id})
	return byID[id], err
}

// targetsOf reads where artifacts are to be published.
func targetsOf(q querier, ids []int64) (map[int64][]aptrepo.Publication, error) {
	byID := make(map[int64][]aptrepo.Publication)
	err := each(q, `SELECT artifact_id, distribution, component, promoted FROM targets
		WHERE artifact_id IN (SELECT value FROM {ids}) ORDER BY artifact_id, distribution, component`,
		[]any{list(ids)}, func(rows *sql.Rows) error {
			var id, promoted int64
			var p aptrepo.Publication
			err := rows.Scan(&id, &p.Distribution, &p.Component, &promoted)
			p.Promoted = promoted != 0
			byID[id] = append(byID[id], p)
			return err
		})
	return byID, err
}

// deleteSafety deletes what is known of an artifact's safety, but not the
// decisions about it.
func (t *tx) deleteSafety(id int64) error {
	if err := t.forget(id); err != nil {
		return err
	}
	if err := t.deleteFindings(id, nil); err != nil {
		return err
	}
	for _, statement := range []string{
		"DELETE FROM scan_components WHERE artifact_id = ?",
		"DELETE FROM scans WHERE artifact_id = ?",
		"DELETE FROM licences WHERE artifact_id = ?",
		"DELETE FROM targets WHERE artifact_id = ?",
	} {
		if _, err := t.exec(statement, id); err != nil {
			return err
		}
	}
	return nil
}
