package sqlstore

import (
	"database/sql"
	"errors"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// A tx is one update's part of a batch.
type tx struct {
	batch  *batch
	failed error // of the first statement that failed
	ended  bool

	derived derived
	deeds   deeds // become a part of derived when the update is kept
}

var errEnded = errors.New("transaction used after its end")

func (t *tx) exec(query string, args ...any) (int64, error) {
	if t.ended {
		return 0, errEnded
	}
	n, err := t.batch.session.exec(query, args...)
	return n, t.note(err)
}

func (t *tx) query(query string, args ...any) (*sql.Rows, error) {
	if t.ended {
		return nil, errEnded
	}
	rows, err := t.batch.session.query(query, args...)
	return rows, t.note(err)
}

// note keeps the first failure: PostgreSQL runs no further statement after
// one, so no update may go on as if nothing had been.
func (t *tx) note(err error) error {
	if err != nil && t.failed == nil {
		t.failed = err
	}
	return err
}

// Known implements [aptrepo.Tx].
func (t *tx) Known(name string) (bool, error) {
	var id int64
	return get(t, "SELECT id FROM artifacts WHERE name = ? LIMIT 1", []any{name}, &id)
}

// FilenameTaken implements [aptrepo.Tx].
func (t *tx) FilenameTaken(filename string) (bool, error) {
	var id int64
	return get(t, "SELECT id FROM artifacts WHERE filename = ? LIMIT 1", []any{filename}, &id)
}

// Tombstone implements [aptrepo.Tx].
func (t *tx) Tombstone(key aptrepo.Key) (aptrepo.Tombstone, error) {
	var deleted int64
	stone := aptrepo.Tombstone{Key: aptrepo.KeyOf(key.Name, key.Version, key.Arch)}
	found, err := get(t, "SELECT sha256, deleted_at FROM tombstones WHERE name = ? AND version = ? AND arch = ?",
		[]any{stone.Key.Name, stone.Key.Version, stone.Key.Arch}, &stone.SHA256, &deleted)
	if err == nil && !found {
		err = aptrepo.ErrArtifactNotFound
	}
	if err != nil {
		return aptrepo.Tombstone{}, err
	}
	stone.DeletedAt = timeOf(deleted)
	return stone, nil
}

// PutTombstone implements [aptrepo.Tx].
func (t *tx) PutTombstone(s aptrepo.Tombstone) error {
	key := aptrepo.KeyOf(s.Key.Name, s.Key.Version, s.Key.Arch)
	_, err := t.exec(`INSERT INTO tombstones (name, version, arch, sha256, deleted_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (name, version, arch) DO UPDATE SET sha256 = excluded.sha256, deleted_at = excluded.deleted_at`,
		key.Name, key.Version, key.Arch, s.SHA256, micros(s.DeletedAt))
	return err
}

// DeleteTombstone implements [aptrepo.Tx].
func (t *tx) DeleteTombstone(key aptrepo.Key) error {
	key = aptrepo.KeyOf(key.Name, key.Version, key.Arch)
	_, err := t.exec("DELETE FROM tombstones WHERE name = ? AND version = ? AND arch = ?", key.Name, key.Version, key.Arch)
	return err
}

// ScheduleRemoval implements [aptrepo.Tx].
func (t *tx) ScheduleRemoval(filename string, at time.Time) error {
	_, err := t.exec(`INSERT INTO removals (filename, due_at) VALUES (?, ?)
		ON CONFLICT (filename) DO UPDATE SET due_at = excluded.due_at`, filename, micros(at))
	return err
}

// CancelRemoval implements [aptrepo.Tx].
func (t *tx) CancelRemoval(filename string) (bool, error) {
	n, err := t.exec("DELETE FROM removals WHERE filename = ?", filename)
	return n > 0, err
}

// PutSigningKey implements [aptrepo.Tx].
func (t *tx) PutSigningKey(k aptrepo.SigningKey) error {
	private := k.Private
	if private == nil {
		private = []byte{}
	}
	_, err := t.exec(`INSERT INTO signing_keys (fingerprint, private, active, created_at, retires_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (fingerprint) DO UPDATE SET private = excluded.private, active = excluded.active,
			created_at = excluded.created_at, retires_at = excluded.retires_at`,
		k.Fingerprint, private, integer(k.Active), micros(k.CreatedAt), micros(k.RetiresAt))
	return err
}

// SigningKeys implements [aptrepo.Tx].
func (t *tx) SigningKeys() ([]aptrepo.SigningKey, error) { return signingKeys(t) }

func signingKeys(q querier) ([]aptrepo.SigningKey, error) {
	var keys []aptrepo.SigningKey
	err := each(q, `SELECT fingerprint, private, active, created_at, retires_at
		FROM signing_keys ORDER BY created_at DESC, id DESC`, nil, func(rows *sql.Rows) error {
		var k aptrepo.SigningKey
		var active, created, retires int64
		err := rows.Scan(&k.Fingerprint, &k.Private, &active, &created, &retires)
		k.Active, k.CreatedAt, k.RetiresAt = active != 0, timeOf(created), timeOf(retires)
		keys = append(keys, k)
		return err
	})
	return keys, err
}
