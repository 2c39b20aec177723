package sqlstore

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTakeQuota(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		start := time.Unix(1e9, 0)
		for i, step := range []struct {
			key    string
			second int
			peek   bool
			want   Quota
		}{
			{"a", 0, true, Quota{Remaining: 2}},
			{"a", 0, false, Quota{Remaining: 1, Reset: 60 * time.Second}},
			{"a", 10, true, Quota{Remaining: 1, Reset: 50 * time.Second}},
			{"a", 10, false, Quota{Reset: 50 * time.Second}},
			{"a", 20, false, Quota{Reset: 40 * time.Second, Exceeded: true}},
			{"a", 20, true, Quota{Reset: 40 * time.Second, Exceeded: true}},
			{"b", 20, false, Quota{Remaining: 1, Reset: 60 * time.Second}},
			{"a", 59, false, Quota{Reset: time.Second, Exceeded: true}}, // what was refused does not count
			{"a", 60, false, Quota{Reset: 10 * time.Second}},            // the first one has lapsed
			{"a", 200, false, Quota{Remaining: 1, Reset: 60 * time.Second}},
			{"b'\x00", 200, false, Quota{Remaining: 1, Reset: 60 * time.Second}},
		} {
			got, err := db.TakeQuota(t.Context(), step.key, 2, time.Minute, start.Add(time.Duration(step.second)*time.Second), step.peek)
			if err != nil || got != step.want {
				t.Errorf("step %d: %+v, %v; want %+v", i, got, err, step.want)
			}
		}
		var left int
		if err := db.conn.Get(&left, "SELECT COUNT(*) FROM rate_hits"); err != nil || left > 3 {
			t.Errorf("%d rows are left, %v", left, err)
		}
	})
}

// Of many at once no more than the limit get through.
func TestTakeQuotaRace(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		var through atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				q, err := db.TakeQuota(t.Context(), "a", 7, time.Minute, time.Unix(1e9, 0), false)
				if err != nil {
					t.Error(err)
				} else if !q.Exceeded {
					through.Add(1)
				}
			})
		}
		wg.Wait()
		if through.Load() != 7 {
			t.Errorf("%d got through, want 7", through.Load())
		}
	})
}
