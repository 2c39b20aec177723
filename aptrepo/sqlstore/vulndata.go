package sqlstore

import (
	"context"
	"errors"

	"github.com/repod-io/repod/aptrepo/vulnsync"
)

var _ vulnsync.Store = (*DB)(nil)

// VulnerabilityData implements [vulnsync.Store].
func (d *DB) VulnerabilityData(ctx context.Context) (c vulnsync.Current, err error) {
	err = d.read(ctx, func(q querier) error {
		var at int64
		found, err := get(q, "SELECT number, sha256, at FROM vulnerability_data", nil, &c.Number, &c.SHA256, &at)
		if err == nil && !found {
			err = errors.New("the row of the vulnerability data is gone")
		}
		if c.Number > 0 {
			c.At = timeOf(at)
		}
		return err
	})
	return c, err
}

// SetVulnerabilityData implements [vulnsync.Store].
func (d *DB) SetVulnerabilityData(ctx context.Context, c vulnsync.Current) error {
	if !validText(c.SHA256) {
		return invalidText("SHA-256")
	}
	return d.update(ctx, func(t *tx) error {
		n, err := t.exec("UPDATE vulnerability_data SET number = ?, sha256 = ?, at = ? WHERE number = ?",
			c.Number, c.SHA256, micros(c.At), c.Number-1)
		if err == nil && n == 0 {
			err = vulnsync.ErrStale
		}
		return err
	})
}
