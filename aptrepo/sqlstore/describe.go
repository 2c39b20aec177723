package sqlstore

import (
	"context"
	"time"
)

// A Description is what an operator wants to know of a database.
type Description struct {
	Server string // "PostgreSQL 15.13", "SQLite 3.53.0"
	// Step is the number of the last migration; the program knows no later one.
	Step int
	// Now is the time by the database's clock, which is that of this machine for
	// SQLite.
	Now time.Time
}

// Describe asks the database what it is.
func (d *DB) Describe(ctx context.Context) (Description, error) {
	var out Description
	var version string
	var now int64
	text := "SELECT sqlite_version(), (SELECT MAX(version) FROM repod_migrations), CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
	if d.dialect == Postgres {
		text = `SELECT current_setting('server_version'), (SELECT MAX(version) FROM repod_migrations),
			CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`
	}
	err := d.read(ctx, func(q querier) error {
		_, err := get(q, text, nil, &version, &out.Step, &now)
		return err
	})
	out.Server, out.Now = d.dialect.String()+" "+version, timeOf(now)
	return out, err
}
