package httpapi

import (
	"fmt"
	"testing"
	"time"
)

func TestMemoryCounter(t *testing.T) {
	start := time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)
	c := &memoryCounter{}
	take := func(key string, after time.Duration, peek bool) Quota {
		t.Helper()
		q, err := c.Take(t.Context(), key, 3, time.Minute, start.Add(after), peek)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	steps := []struct {
		name string
		key  string
		at   time.Duration
		peek bool
		want Quota
	}{
		{"a look counts nothing", "a", 0, true, Quota{Remaining: 3}},
		{"first", "a", 0, false, Quota{Remaining: 2, Reset: time.Minute}},
		{"second", "a", 10 * time.Second, false, Quota{Remaining: 1, Reset: 50 * time.Second}},
		{"third", "a", 20 * time.Second, false, Quota{Remaining: 0, Reset: 40 * time.Second}},
		{"one too many", "a", 30 * time.Second, false, Quota{Reset: 30 * time.Second, Exceeded: true}},
		{"another key", "b", 30 * time.Second, false, Quota{Remaining: 2, Reset: time.Minute}},
		{"just before", "a", time.Minute - 1, false, Quota{Reset: 1, Exceeded: true}},
		// Had the refused ones counted, there would be no room.
		{"the first has left", "a", time.Minute, false, Quota{Remaining: 0, Reset: 10 * time.Second}},
		{"full again", "a", time.Minute + time.Second, false, Quota{Reset: 9 * time.Second, Exceeded: true}},
		{"an hour later", "a", time.Hour, false, Quota{Remaining: 2, Reset: time.Minute}},
	}
	for _, s := range steps {
		if got := take(s.key, s.at, s.peek); got != s.want {
			t.Errorf("%s: got %+v, want %+v", s.name, got, s.want)
		}
	}
	if n := len(c.counted); n != 1 {
		t.Errorf("%d keys are kept, want only the one in use", n)
	}
}

func TestMemoryCounterIsBounded(t *testing.T) {
	c := &memoryCounter{}
	now := time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)
	for i := range maxRateKeys + 1000 {
		c.Take(t.Context(), fmt.Sprint(i), 3, time.Minute, now, false)
	}
	if n := len(c.counted); n > maxRateKeys {
		t.Errorf("%d keys are kept", n)
	}
}
