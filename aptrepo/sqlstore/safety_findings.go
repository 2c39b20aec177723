package sqlstore

import (
	"crypto/sha256"
	"database/sql"
	"time"

	"github.com/repod-io/repod/scan"
)

const findingColumns = `f.id, f.severity, f.cvss, f.epss, f.kev, f.package, f.ecosystem, f.installed_version, f.fixed_version,
	f.fix_state, f.gates, f.confidence, x.advisories, x.description, x.urls`

const findingTables = "findings f JOIN finding_texts x ON x.id = f.text_id"

// scanFinding reads findingColumns, and more columns that follow them.
func scanFinding(rows *sql.Rows, f *scan.Finding, more ...any) error {
	var severity, fixState, advisories, urls string
	var kev, gates int64
	err := rows.Scan(append([]any{&f.ID, &severity, &f.CVSS, &f.EPSS, &kev, &f.Package, &f.Ecosystem, &f.InstalledVersion,
		&f.FixedVersion, &fixState, &gates, &f.Confidence, &advisories, &f.Description, &urls}, more...)...)
	if err != nil {
		return err
	}
	f.Severity, f.FixState, f.KEV, f.Gates = scan.Severity(severity), scan.FixState(fixState), kev != 0, gates != 0
	if f.Advisories, err = unlist(advisories); err != nil {
		return err
	}
	f.URLs, err = unlist(urls)
	f.Advisories, f.URLs = cloned(f.Advisories), cloned(f.URLs)
	return err
}

// findingsOf reads the findings of artifacts, in their order.
func findingsOf(q querier, ids []int64) (map[int64][]scan.Finding, error) {
	byID := make(map[int64][]scan.Finding)
	err := each(q, "SELECT "+findingColumns+", f.artifact_id FROM "+findingTables+
		" WHERE f.artifact_id IN (SELECT value FROM {ids}) ORDER BY f.artifact_id, f.place",
		[]any{list(ids)}, func(rows *sql.Rows) error {
			var f scan.Finding
			var id int64
			err := scanFinding(rows, &f, &id)
			byID[id] = append(byID[id], f)
			return err
		})
	return byID, err
}

// replaceFindings puts findings, which are tidy, in place of those that an
// artifact has.
func (t *tx) replaceFindings(id int64, findings []scan.Finding) error {
	if err := t.uncount(id); err != nil {
		return err
	}
	about, _, err := t.placed(id)
	if err != nil {
		return err
	}
	settled, err := settledBy(t, about.name, about.versionKey, about.arch)
	if err != nil {
		return err
	}
	return t.deleteFindings(id, func() error { return t.insertFindings(id, findings, settled) })
}

// deleteFindings deletes an artifact's findings, and after what then follows the
// texts that nobody needs any more.
func (t *tx) deleteFindings(id int64, then func() error) error {
	texts, err := integers(t, "SELECT text_id FROM findings WHERE artifact_id = ?", id)
	if err != nil {
		return err
	}
	if len(texts) > 0 {
		if _, err := t.exec("DELETE FROM findings WHERE artifact_id = ?", id); err != nil {
			return err
		}
	}
	if then != nil {
		if err := then(); err != nil {
			return err
		}
	}
	if len(texts) == 0 {
		return nil
	}
	_, err = t.exec(`DELETE FROM finding_texts WHERE id IN (SELECT value FROM {ids}) AND NOT EXISTS
		(SELECT 1 FROM findings f WHERE f.id = finding_texts.finding_id AND f.text_id = finding_texts.id)`, list(texts))
	return err
}

// findingRows is how many findings a statement inserts.
const findingRows = 20

const (
	insertFindingTexts = "INSERT INTO finding_texts (finding_id, digest, advisories, description, urls) VALUES "
	insertFindings     = `INSERT INTO findings (artifact_id, place, id, text_id, open, weight, kev, fix_state, cvss, epss, severity,
		package, ecosystem, installed_version, fixed_version, gates, confidence) VALUES `
	findingValues = `(?, ?, ?, (SELECT x.id FROM finding_texts x WHERE x.finding_id = ? AND x.digest = ?),
		?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

func (t *tx) insertFindings(id int64, findings []scan.Finding, settled map[string]bool) error {
	for from := 0; from < len(findings); from += findingRows {
		part := findings[from:min(from+findingRows, len(findings))]
		var texts, values []any
		for i := range part {
			f := &part[i]
			advisories, urls := list(f.Advisories), list(f.URLs)
			sum := sha256.Sum256([]byte(advisories + "\x00" + urls + "\x00" + f.Description))
			texts = append(texts, f.ID, sum[:], advisories, f.Description, urls)
			values = append(values, id, from+i, f.ID, f.ID, sum[:], integer(!settled[f.ID]), weightOf(f), integer(f.KEV),
				string(f.FixState), f.CVSS, f.EPSS, string(f.Severity), f.Package, f.Ecosystem, f.InstalledVersion,
				f.FixedVersion, integer(f.Gates), f.Confidence)
		}
		_, err := t.exec(insertFindingTexts+repeated("(?, ?, ?, ?, ?)", len(part))+" ON CONFLICT DO NOTHING", texts...)
		if err != nil {
			return err
		}
		if _, err := t.exec(insertFindings+repeated(findingValues, len(part)), values...); err != nil {
			return err
		}
	}
	return nil
}

// reopen opens and closes the findings of the artifact of that key, if there is
// one, as the decisions about it say now. The last of them was made at a time.
func (t *tx) reopen(name string, version []byte, arch string, at time.Time) error {
	var id int64
	found, err := get(t, "SELECT id FROM artifacts WHERE name = ? AND version_key = ? AND arch = ?", []any{name, version, arch}, &id)
	if err != nil || !found {
		return err
	}
	t.touched(id) // the queue depends on there being a decision
	t.describe(id, at)
	settled, err := settledBy(t, name, version, arch)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(settled))
	for finding := range settled {
		ids = append(ids, finding)
	}
	const other = `artifact_id = ? AND open <> CASE WHEN id IN (SELECT value FROM {texts}) THEN 0 ELSE 1 END`
	var place int64
	stale, err := get(t, "SELECT place FROM findings WHERE "+other+" LIMIT 1", []any{id, list(ids)}, &place)
	if err != nil || !stale {
		return err
	}
	if err := t.uncount(id); err != nil {
		return err
	}
	_, err = t.exec("UPDATE findings SET open = 1 - open WHERE "+other, id, list(ids))
	return err
}
