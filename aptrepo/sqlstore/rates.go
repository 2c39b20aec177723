package sqlstore

import (
	"context"
	"time"
)

// A Quota is where a key stands; see DB.TakeQuota.
type Quota struct {
	Remaining int           // that may follow at once
	Reset     time.Duration // until one more may; 0 when none is counted
	Exceeded  bool          // this one is one too many
}

// TakeQuota counts something of a key, unless limit of it within the last
// window are counted: then Exceeded is set and nothing is counted. With peek it
// counts nothing in any case. Servers that share the database share the counts;
// now is by the clock of each, which should not be far apart. Each call that is
// no peek is a transaction that writes.
func (d *DB) TakeQuota(ctx context.Context, key string, limit int, window time.Duration, now time.Time, peek bool) (q Quota, err error) {
	count := func(on querier) (n int, err error) {
		var first int64
		_, err = get(on, "SELECT COUNT(*), COALESCE(MIN(at), 0) FROM rate_hits WHERE bucket = ? AND at > ?",
			[]any{key, micros(now.Add(-window))}, &n, &first)
		q = Quota{Remaining: max(0, limit-n), Exceeded: n >= limit}
		if n > 0 {
			q.Reset = timeOf(first).Add(window).Sub(now)
		}
		return n, err
	}
	if peek {
		err = d.read(ctx, func(on querier) error {
			_, err := count(on)
			return err
		})
		return q, err
	}
	err = d.update(ctx, func(t *tx) error {
		n, err := count(t)
		if err != nil || q.Exceeded {
			return err
		}
		if n == 0 { // now and then: what is past counting
			if _, err := t.exec("DELETE FROM rate_hits WHERE at <= ?", micros(now.Add(-window))); err != nil {
				return err
			}
			q.Reset = window
		}
		q.Remaining--
		_, err = t.exec("INSERT INTO rate_hits (bucket, at) VALUES (?, ?)", keepable(key), micros(now))
		return err
	})
	return q, err
}
