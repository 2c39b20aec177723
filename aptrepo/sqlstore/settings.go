package sqlstore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/settings"
)

var _ settings.Store = (*DB)(nil)

// LoadSettings implements [settings.Store].
func (d *DB) LoadSettings(ctx context.Context) (doc settings.Document, err error) {
	err = d.read(ctx, func(q querier) error {
		found, err := get(q, "SELECT version, document FROM settings", nil, &doc.Version, &doc.JSON)
		if err == nil && !found {
			err = errors.New("the row of the settings is gone")
		}
		return err
	})
	return doc, err
}

// SaveSettings implements [settings.Store]. The entry in the audit log names
// the leaves and not their values.
func (d *DB) SaveSettings(ctx context.Context, doc settings.Document, c settings.Change) error {
	actor := aptrepo.ActorFrom(ctx)
	return d.update(ctx, func(t *tx) error {
		n, err := t.exec("UPDATE settings SET version = ?, document = ? WHERE version = ?",
			doc.Version, string(doc.JSON), doc.Version-1)
		if err != nil {
			return err
		}
		if n == 0 {
			return settings.ErrStale
		}
		return t.Audit(aptrepo.AuditEntry{
			Time: time.Now().UTC(), Action: c.Action, Target: c.Target, User: actor.Name, IP: actor.IP, RequestID: actor.RequestID,
			Result: aptrepo.ResultSuccess, Detail: strings.Join(c.Paths, " "),
		})
	})
}
