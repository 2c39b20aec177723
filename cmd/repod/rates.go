package main

import (
	"context"
	"time"

	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/httpapi"
)

// sharedCounter counts requests in the database that several servers share.
type sharedCounter struct{ db *sqlstore.DB }

// Take implements [httpapi.RateCounter].
func (c sharedCounter) Take(ctx context.Context, key string, limit int, window time.Duration, now time.Time, peek bool) (httpapi.Quota, error) {
	q, err := c.db.TakeQuota(ctx, key, limit, window, now, peek)
	return httpapi.Quota(q), err
}

// rateCounter is nil, which is a counter in memory, for a database that no
// other server has.
func (c *storeConfig) rateCounter(db *sqlstore.DB) httpapi.RateCounter {
	if c.postgres == "" {
		return nil
	}
	return sharedCounter{db}
}
