package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// OnMessage makes the store call f, which must not block, after each commit
// that put a message into the outbox. Call it before messages are written.
func (d *DB) OnMessage(f func()) { d.onMessage = f }

// Outbox implements [aptrepo.Store].
func (d *DB) Outbox(ctx context.Context, limit int) ([]aptrepo.Message, error) {
	var messages []aptrepo.Message
	err := d.read(ctx, func(q querier) error {
		return each(q, "SELECT id, topic, payload, created_at FROM outbox ORDER BY id LIMIT ?", []any{limit}, func(rows *sql.Rows) error {
			var m aptrepo.Message
			var created int64
			err := rows.Scan(&m.ID, &m.Topic, &m.Payload, &created)
			m.CreatedAt = timeOf(created)
			messages = append(messages, m)
			return err
		})
	})
	return messages, err
}

// OutboxDepth returns how many messages the outbox holds, and when the oldest of
// them was written; the zero time when there is none.
func (d *DB) OutboxDepth(ctx context.Context) (n int, oldest time.Time, err error) {
	err = d.read(ctx, func(q querier) error {
		var at int64
		_, err := get(q, "SELECT COUNT(*), COALESCE(MIN(created_at), 0) FROM outbox", nil, &n, &at)
		if n > 0 {
			oldest = timeOf(at)
		}
		return err
	})
	return n, oldest, err
}

// Enqueue implements [aptrepo.Tx].
func (t *tx) Enqueue(m aptrepo.Message) error {
	if !validText(m.Topic) {
		return invalidText("topic")
	}
	t.batch.enqueued = true
	payload := m.Payload
	if payload == nil {
		payload = []byte{}
	}
	_, err := t.exec("INSERT INTO outbox (topic, payload, created_at) VALUES (?, ?, ?)", m.Topic, payload, micros(m.CreatedAt))
	return err
}

// DeleteMessages implements [aptrepo.Tx].
func (t *tx) DeleteMessages(ids []int64) error {
	_, err := t.exec("DELETE FROM outbox WHERE id IN (SELECT value FROM {ids})", list(ids))
	return err
}
