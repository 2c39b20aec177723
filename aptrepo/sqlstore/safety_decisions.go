package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// decisions reads those that the rest of the query chooses and orders.
func decisions(q querier, rest string, args ...any) (all []aptrepo.Decision, err error) {
	err = each(q, `SELECT id, name, version, arch, ruling, comment, findings, decided_by, decided_at, expires_at, active
		FROM decisions `+rest, args, func(rows *sql.Rows) error {
		var d aptrepo.Decision
		var ruling, findings string
		var decided, expires, active int64
		err := rows.Scan(&d.ID, &d.Name, &d.Version, &d.Arch, &ruling, &d.Comment, &findings, &d.DecidedBy,
			&decided, &expires, &active)
		if err != nil {
			return err
		}
		d.Ruling, d.DecidedAt, d.ExpiresAt, d.Active = aptrepo.Ruling(ruling), timeOf(decided), timeOf(expires), active != 0
		d.Findings, err = unlist(findings)
		d.Findings = cloned(d.Findings)
		all = append(all, d)
		return err
	})
	return all, err
}

func decisionsOn(q querier, key aptrepo.Key) ([]aptrepo.Decision, error) {
	version, ok := versionKey(key.Version)
	if !ok {
		return nil, nil
	}
	return decisions(q, "WHERE name = ? AND version_key = ? AND arch = ? ORDER BY decided_at DESC, seq DESC",
		key.Name, version, key.Arch)
}

// Decisions implements [aptrepo.SafetyStore].
func (d *DB) Decisions(ctx context.Context, key aptrepo.Key) (all []aptrepo.Decision, err error) {
	err = d.read(ctx, func(q querier) error {
		all, err = decisionsOn(q, key)
		return err
	})
	return all, err
}

// Decisions implements [aptrepo.SafetyTx].
func (t *tx) Decisions(key aptrepo.Key) ([]aptrepo.Decision, error) { return decisionsOn(t, key) }

// ExpiredDecisions implements [aptrepo.SafetyStore].
func (d *DB) ExpiredDecisions(ctx context.Context, at time.Time, limit int) (all []aptrepo.Decision, err error) {
	err = d.read(ctx, func(q querier) error {
		all, err = decisions(q, `WHERE active = 1 AND expires_at > 0 AND expires_at <= ?
			ORDER BY expires_at, seq LIMIT ?`, micros(at), limit)
		return err
	})
	return all, err
}

// settledBy returns the IDs of the findings that active decisions about a
// version in an architecture settle.
func settledBy(q querier, name string, version []byte, arch string) (map[string]bool, error) {
	active, err := decisions(q, "WHERE name = ? AND version_key = ? AND arch = ? AND active = 1", name, version, arch)
	if err != nil {
		return nil, err
	}
	settled := make(map[string]bool)
	for _, d := range active {
		if !d.Settles() {
			continue
		}
		for _, id := range d.Findings {
			settled[id] = true
		}
	}
	return settled, nil
}

// activeDecisions returns the active decisions about artifacts of those names,
// newest first.
func activeDecisions(q querier, names []string) (map[aptrepo.Key][]aptrepo.Decision, error) {
	found, err := decisions(q, "WHERE active = 1 AND name IN (SELECT value FROM {texts}) ORDER BY decided_at DESC, seq DESC", list(names))
	if err != nil {
		return nil, err
	}
	byKey := make(map[aptrepo.Key][]aptrepo.Decision)
	for _, d := range found {
		key := aptrepo.KeyOf(d.Name, d.Version, d.Arch)
		byKey[key] = append(byKey[key], d)
	}
	return byKey, nil
}

var rulings = []aptrepo.Ruling{aptrepo.RulingAccepted, aptrepo.RulingNotAffected, aptrepo.RulingRejected, aptrepo.RulingUpgradeRequired}

// PutDecision implements [aptrepo.SafetyTx].
func (t *tx) PutDecision(d aptrepo.Decision) error {
	version, ok := versionKey(d.Version)
	if !ok {
		return &aptrepo.FieldError{Field: "version", Message: "must be a Debian version"}
	}
	if !slices.Contains(rulings, d.Ruling) {
		return &aptrepo.FieldError{Field: "decision", Message: "must be one of those there are"}
	}
	for _, f := range []struct{ name, text string }{
		{"id", d.ID}, {"name", d.Name}, {"version", d.Version}, {"arch", d.Arch},
		{"comment", d.Comment}, {"decided_by", d.DecidedBy},
	} {
		if !validText(f.text) {
			return invalidText(f.name)
		}
	}
	if i := slices.IndexFunc(d.Findings, func(id string) bool { return !validText(id) }); i >= 0 {
		return invalidText("cve_ids")
	}
	var known int64
	again, err := get(t, "SELECT 1 FROM decisions WHERE id = ?", []any{d.ID}, &known)
	if err != nil {
		return err
	}
	if !again {
		t.deeds.on(d.DecidedAt).Decisions++
	}
	n, err := t.exec(`INSERT INTO decisions
			(id, name, version_key, arch, version, ruling, comment, findings, decided_by, decided_at, expires_at, active)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET version = excluded.version, ruling = excluded.ruling, comment = excluded.comment,
			findings = excluded.findings, decided_by = excluded.decided_by, decided_at = excluded.decided_at,
			expires_at = excluded.expires_at, active = excluded.active
		WHERE decisions.name = excluded.name AND decisions.version_key = excluded.version_key
			AND decisions.arch = excluded.arch`,
		d.ID, d.Name, version, d.Arch, d.Version, string(d.Ruling), d.Comment, list(d.Findings), d.DecidedBy,
		micros(d.DecidedAt), micros(d.ExpiresAt), integer(d.Active))
	if err != nil {
		return err
	}
	if n == 0 {
		return &aptrepo.FieldError{Field: "id", Message: "is that of a decision about something else"}
	}
	return t.reopen(d.Name, version, d.Arch, d.DecidedAt)
}
