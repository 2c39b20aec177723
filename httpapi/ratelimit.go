package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// rateWindow is what limits are counted in.
const rateWindow = time.Minute

// A RateCounter counts requests in a sliding window. It must be safe for
// concurrent use. Servers that share one share their limits.
//
// (go-chi/httprate estimates the count from two fixed windows, tells the reset
// as a time of day and asks to wait for a whole window; what clients of this
// API are told is exact.)
type RateCounter interface {
	// Take counts a request of key, unless limit requests within the last
	// window have been counted: then Quota.Exceeded is set and nothing is
	// counted. With peek it counts nothing in any case.
	Take(ctx context.Context, key string, limit int, window time.Duration, now time.Time, peek bool) (Quota, error)
}

// A Quota is where a key stands.
type Quota struct {
	Remaining int           // requests that may follow at once
	Reset     time.Duration // until one more may; 0 when none is counted
	Exceeded  bool          // the request is one too many
}

// memoryCounter is the RateCounter of a single handler.
type memoryCounter struct {
	mu      sync.Mutex
	counted map[string][]time.Time // oldest first, at most limit of them
	swept   time.Time
}

// maxRateKeys bounds the memory that strangers with many addresses can take.
const maxRateKeys = 1 << 16

func (c *memoryCounter) Take(_ context.Context, key string, limit int, window time.Duration, now time.Time, peek bool) (Quota, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(now, window)
	times := since(c.counted[key], now.Add(-window))
	var q Quota
	switch {
	case len(times) >= limit:
		q.Exceeded = true
	case !peek:
		times = append(times, now)
		c.counted[key] = times
	}
	q.Remaining = max(0, limit-len(times))
	if len(times) > 0 {
		q.Reset = times[0].Add(window).Sub(now)
	}
	return q, nil
}

// sweep forgets keys once a window, and some more when there are too many.
func (c *memoryCounter) sweep(now time.Time, window time.Duration) {
	if c.counted == nil {
		c.counted = map[string][]time.Time{}
	}
	if now.Sub(c.swept) < window && len(c.counted) < maxRateKeys {
		return
	}
	if now.Sub(c.swept) >= window {
		c.swept = now
		for key, times := range c.counted {
			if len(since(times, now.Add(-window))) == 0 {
				delete(c.counted, key)
			}
		}
	}
	for key := range c.counted {
		if len(c.counted) < maxRateKeys {
			return
		}
		delete(c.counted, key)
	}
}

// since drops the times that are not after start.
func since(times []time.Time, start time.Time) []time.Time {
	for len(times) > 0 && !times[0].After(start) {
		times = times[1:]
	}
	return times
}

// undisclosed are the classes whose limits are no part of the API: they only
// keep a single address from taking all the time that hashing passwords costs.
// Who stays below is told nothing of them.
var undisclosed = map[string]bool{"login": true, "exchange": true}

// limit holds a request against its route's limit and tells the client where
// it stands. With peek the request is not counted: it is refused anyhow.
func (a *api) limit(c *call, peek bool) error {
	limit := a.RateLimits[c.route.rate]
	if c.route.rate == "" || limit == 0 {
		return nil
	}
	key := c.who.Name
	if key == "" {
		key = clientKey(c.ip)
	}
	q, err := a.RateCounter.Take(c.Context(), c.route.rate+" "+key, limit, rateWindow, a.Now(), peek)
	if err != nil {
		return err
	}
	if !q.Exceeded && undisclosed[c.route.rate] {
		return nil
	}
	h := c.w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(q.Remaining))
	h.Set("X-RateLimit-Reset", strconv.Itoa(int((q.Reset+time.Second-1)/time.Second)))
	if !q.Exceeded || peek {
		return nil
	}
	return newProblem(http.StatusTooManyRequests, "rate_limited", "At most %d of these requests are taken a minute.", limit).retry(q.Reset)
}
