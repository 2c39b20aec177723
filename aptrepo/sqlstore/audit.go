package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// chainHead is the end of the audit chain.
type chainHead struct {
	id   int64
	hash string
}

func lockHead(q *session) (chainHead, error) {
	var h chainHead
	found, err := get(q, q.dialect.lockHead(), nil, &h.id, &h.hash)
	if err == nil && !found {
		err = errors.New("the head of the audit chain is gone")
	}
	return h, err
}

func (h chainHead) save(q querier) error {
	_, err := q.exec("UPDATE audit_head SET last_id = ?, last_hash = ?", h.id, h.hash)
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
	*head = chainHead{e.ID, hash}
	return nil
}

// AuditEntries implements [aptrepo.Store].
func (d *DB) AuditEntries(ctx context.Context, after int64, limit int) ([]aptrepo.AuditEntry, error) {
	var entries []aptrepo.AuditEntry
	err := d.read(ctx, func(q querier) error {
		return each(q, `SELECT id, at, action, user_name, ip, result, target, package, version, detail, request_id, hash
			FROM audit WHERE id > ? ORDER BY id LIMIT ?`, []any{after, limit}, func(rows *sql.Rows) error {
			var e aptrepo.AuditEntry
			var at int64
			err := rows.Scan(&e.ID, &at, &e.Action, &e.User, &e.IP, &e.Result, &e.Target,
				&e.Package, &e.Version, &e.Detail, &e.RequestID, &e.Hash)
			e.Time = timeOf(at)
			entries = append(entries, e)
			return err
		})
	})
	return entries, err
}
