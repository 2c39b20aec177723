package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// chainHead is the end of the audit chain.
type chainHead struct {
	id   int64
	hash string
	// forged says that somebody without the key has written the head in the
	// database. Signing what is appended to it would make it genuine.
	forged bool
}

// notSigned is the MAC behind a forged head. Unlike an empty one, it stays.
const notSigned = "not signed"

// SignAudit makes the database sign the head of the audit log with a key,
// which [aptrepo.AuditKey] derives, in the transactions that move it. Call it
// before anything is written; all that write the database need the same key
// from then on. A database that was written without a key is signed now, as it
// is. A head that another has changed is never signed again: what is appended to
// it is recorded, but verification fails from there on.
func (d *DB) SignAudit(ctx context.Context, key []byte) error {
	d.auditKey = key
	return d.update(ctx, func(t *tx) error {
		var mac string
		if _, err := get(t, "SELECT mac FROM audit_head", nil, &mac); err != nil || mac != "" {
			return err
		}
		t.batch.head.forged = false
		anchor, err := anchorOf(t)
		if err != nil {
			return err
		}
		return errors.Join(t.saveAnchor(anchor), t.batch.head.save(t, key))
	})
}

// AuditHead implements [aptrepo.Store].
func (d *DB) AuditHead(ctx context.Context) (h aptrepo.AuditHead, err error) {
	err = d.read(ctx, func(q querier) error {
		found, err := get(q, "SELECT last_id, last_hash, mac FROM audit_head", nil, &h.ID, &h.Hash, &h.MAC)
		if err == nil && !found {
			err = errors.New("the head of the audit chain is gone")
		}
		return err
	})
	return h, err
}

func lockHead(q *session, key []byte) (chainHead, error) {
	var h aptrepo.AuditHead
	found, err := get(q, q.dialect.lockHead(), nil, &h.ID, &h.Hash, &h.MAC)
	if err == nil && !found {
		err = errors.New("the head of the audit chain is gone")
	}
	return chainHead{h.ID, h.Hash, key != nil && !h.SignedBy(key)}, err
}

func (h chainHead) save(q querier, key []byte) error {
	mac := notSigned
	if !h.forged {
		mac = aptrepo.AuditHead{ID: h.id, Hash: h.hash}.Sign(key).MAC
	}
	_, err := q.exec("UPDATE audit_head SET last_id = ?, last_hash = ?, mac = ?", h.id, h.hash, mac)
	return err
}

// Audit appends to the chain. The head moves in memory; the batch writes it.
func (t *tx) Audit(e aptrepo.AuditEntry) error {
	head := &t.batch.head
	// What is audited may come from an attacker, but must be recorded.
	for _, text := range []*string{
		&e.Action, &e.User, &e.IP, &e.Result, &e.Target, &e.Package, &e.Version, &e.Detail, &e.RequestID,
	} {
		*text = keepable(*text)
	}
	e.ID = head.id + 1
	e.Time = e.Time.UTC().Truncate(time.Second)
	hash, err := e.Chain(head.hash)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO audit
		(id, at, action, user_name, ip, result, target, package, version, detail, request_id, hash)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, micros(e.Time), e.Action, e.User, e.IP, e.Result, e.Target, e.Package, e.Version, e.Detail, e.RequestID, hash)
	if err != nil {
		return err
	}
	head.id, head.hash = e.ID, hash
	t.deeds.at = e.Time
	return nil
}

// AuditEntries implements [aptrepo.Store].
func (d *DB) AuditEntries(ctx context.Context, after int64, limit int) ([]aptrepo.AuditEntry, error) {
	var entries []aptrepo.AuditEntry
	err := d.read(ctx, func(q querier) (err error) {
		entries, err = auditEntries(q, "WHERE id > ? ORDER BY id LIMIT ?", after, limit)
		return err
	})
	return entries, err
}

func auditEntries(q querier, which string, args ...any) (entries []aptrepo.AuditEntry, err error) {
	err = each(q, `SELECT id, at, action, user_name, ip, result, target, package, version, detail, request_id, hash
		FROM audit `+which, args, func(rows *sql.Rows) error {
		var e aptrepo.AuditEntry
		var at int64
		err := rows.Scan(&e.ID, &at, &e.Action, &e.User, &e.IP, &e.Result, &e.Target,
			&e.Package, &e.Version, &e.Detail, &e.RequestID, &e.Hash)
		e.Time = timeOf(at)
		entries = append(entries, e)
		return err
	})
	return entries, err
}

// AuditPage implements [aptrepo.Store].
func (d *DB) AuditPage(ctx context.Context, query aptrepo.AuditQuery) (aptrepo.Page[aptrepo.AuditEntry], error) {
	where, args := d.auditWhere(query)
	order := " ORDER BY id DESC LIMIT ? OFFSET ?"
	if query.Oldest {
		order = " ORDER BY id LIMIT ? OFFSET ?"
	}
	var page aptrepo.Page[aptrepo.AuditEntry]
	err := d.read(ctx, func(q querier) error {
		if !query.NoTotal {
			if _, err := get(q, "SELECT COUNT(*) FROM audit"+where, args, &page.Total); err != nil {
				return err
			}
		}
		var err error
		page.Items, err = auditEntries(q, where+order, append(args, bounds(query.Page, query.PerPage)...)...)
		return err
	})
	return page, err
}

// auditWhere renders the conditions of a query.
func (d *DB) auditWhere(q aptrepo.AuditQuery) (where string, args []any) {
	var terms []string
	add := func(term string, values ...any) {
		terms = append(terms, term)
		args = append(args, values...)
	}
	for _, f := range []struct{ column, value string }{
		{"user_name", q.User}, {"action", q.Action}, {"result", q.Result}, {"package", q.Package},
	} {
		if f.value == "" {
			continue
		}
		value := lowerASCII(f.value)
		add("LOWER("+f.column+") = ?", value)
		switch { // what the indexes leave out
		case f.column == "package":
			add("package <> ''")
		case f.column == "result" && value != aptrepo.ResultSuccess:
			add("result <> 'success'")
		}
	}
	if q.Q != "" {
		text := lowerASCII(q.Q)
		any := make([]string, 0, 4)
		for _, column := range []string{"user_name", "package", "target", "detail"} {
			any = append(any, d.dialect.position("LOWER("+column+")")+" > 0")
		}
		add("("+strings.Join(any, " OR ")+")", text, text, text, text)
	}
	if !q.Start.IsZero() {
		add("at >= ?", micros(q.Start))
	}
	if !q.End.IsZero() {
		add("at < ?", micros(q.End))
	}
	switch {
	case q.Behind != 0 && q.Oldest:
		add("id > ?", q.Behind)
	case q.Behind != 0:
		add("id < ?", q.Behind)
	}
	if len(terms) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(terms, " AND "), args
}

// lowerASCII is what LOWER does in both databases, to ASCII letters only.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
