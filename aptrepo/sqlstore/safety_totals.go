package sqlstore

import "strings"

// inQueue are the values of postures.queue.
const inQueue = `CASE WHEN a.status = 'pending_review' THEN 2
	WHEN a.status = 'rejected' AND a.status_reason = 'cve' AND NOT EXISTS (SELECT 1 FROM decisions d
		WHERE d.name = a.name AND d.version_key = a.version_key AND d.arch = a.arch AND d.decided_at >= a.uploaded_at) THEN 1 ELSE 0 END`

// worstOf are the values of postures.worst: by severity those with open
// findings, then what was never covered, then what is clean.
const worstOf = `CASE WHEN s.critical > 0 THEN 7 WHEN s.high > 0 THEN 6 WHEN s.medium > 0 THEN 5
	WHEN s.low > 0 THEN 4 WHEN s.negligible > 0 THEN 3 WHEN s.unknown > 0 THEN 2 WHEN s.covered = 1 THEN 0 ELSE 1 END`

func insertPostures(q querier, ids []int64) error {
	_, err := q.exec(`INSERT INTO postures (artifact_id, distribution, published, status, worst, kev, epss, queue, uploaded_at,
			name, version_key, arch, covered, critical, high, medium, low, negligible, unknown)
		SELECT a.id, p.distribution, p.published, a.status, `+worstOf+`, COALESCE(s.kev, 0), COALESCE(s.epss_max, -1),
			`+inQueue+`, a.uploaded_at, a.name, a.version_key, a.arch, COALESCE(s.covered, 0), COALESCE(s.critical, 0),
			COALESCE(s.high, 0), COALESCE(s.medium, 0), COALESCE(s.low, 0), COALESCE(s.negligible, 0), COALESCE(s.unknown, 0)
		FROM (SELECT value AS artifact_id, '' AS distribution, 1 AS published FROM {ids}
			UNION ALL SELECT artifact_id, distribution, 1 FROM publications
				WHERE sole = 1 AND artifact_id IN (SELECT value FROM {ids})
			UNION ALL SELECT DISTINCT g.artifact_id, g.distribution, 0 FROM targets g
				WHERE g.artifact_id IN (SELECT value FROM {ids}) AND NOT EXISTS (SELECT 1 FROM publications b
					WHERE b.artifact_id = g.artifact_id AND b.distribution = g.distribution)) p
		CROSS JOIN artifacts a LEFT JOIN scans s ON s.artifact_id = a.id WHERE a.id = p.artifact_id`,
		list(ids), list(ids), list(ids))
	return err
}

var summedColumns = []string{"covered", "critical", "high", "medium", "low", "negligible", "unknown"}

// sumPostures adds the rows of some artifacts to the sums, or with the sign "-"
// takes them out.
func sumPostures(q querier, sign string, ids []int64) error {
	sums, updates := sign+"COUNT(*)", "artifacts = posture_sums.artifacts + excluded.artifacts"
	for _, c := range summedColumns {
		sums += ", " + sign + "SUM(" + c + ")"
		updates += ", " + c + " = posture_sums." + c + " + excluded." + c
	}
	_, err := q.exec(`INSERT INTO posture_sums (distribution, published, status, artifacts, `+strings.Join(summedColumns, ", ")+`)
		SELECT distribution, published, status, `+sums+` FROM postures WHERE artifact_id IN (SELECT value FROM {ids})
		GROUP BY distribution, published, status
		ON CONFLICT (distribution, published, status) DO UPDATE SET `+updates, list(ids))
	return err
}

// alive is the condition that an artifact's vulnerabilities are of concern.
const alive = "@.status NOT IN ('rejected', 'quarantined')"

// countFindings counts the open findings of some artifacts, or with the sign
// "-" no more, where table postures says that they are published.
func countFindings(q querier, sign string, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := q.exec(`INSERT INTO vulnerability_counts (distribution, id, weight, fix_state, kev, findings)
		SELECT p.distribution, f.id, f.weight, f.fix_state, f.kev, `+sign+`COUNT(*)
		FROM postures p JOIN findings f ON f.artifact_id = p.artifact_id
		WHERE p.artifact_id IN (SELECT value FROM {ids}) AND p.published = 1 AND `+of("p", alive)+` AND f.open = 1
		GROUP BY p.distribution, f.id, f.weight, f.fix_state, f.kev
		ON CONFLICT (distribution, id, weight, fix_state) DO UPDATE
			SET findings = vulnerability_counts.findings + excluded.findings`, list(ids))
	return err
}
