package jobs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cron     string
		location *time.Location
		want     string
	}{
		{"0 3 * * *", nil, "2026-05-13T03:00:00Z"},
		{"0 3 * * *", berlin, "2026-05-13T01:00:00Z"},
		{"*/15 10 * * *", nil, "2026-05-12T10:15:00Z"},
		{"0 0 31 2 *", nil, ""},
	} {
		p := Periodic{Name: "x", Cron: tt.cron, Location: tt.location}
		next, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if due := next(time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)); !due.IsZero() {
			got = due.UTC().Format(time.RFC3339)
		}
		if got != tt.want {
			t.Errorf("%q: next is %s, want %s", tt.cron, got, tt.want)
		}
	}
	for _, bad := range []string{"", "* * * *", "@every 1h", "61 * * * *", "0 0 3 * * *", "TZ=0", "CRON_TZ=UTC 0 3 * * *"} {
		p := Periodic{Cron: bad}
		if _, err := p.next(); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// Of two servers with the same schedule, one enqueues each run.
func TestScheduleOnTwoServers(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		var mu sync.Mutex
		var runs []string
		kind := Kind{Name: "sync", Work: func(_ context.Context, t *Task) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			runs = append(runs, t.CreatedBy)
			return nil, nil
		}}
		first, _ := newRunner(t, d)
		second, _ := newRunner(t, d)
		start(t, first, kind)
		start(t, second, kind)
		var dues []time.Time
		// Late enough that both wait for it, on a busy machine too.
		begin := time.Now().Add(time.Second).Truncate(time.Millisecond)
		for i := range 5 {
			dues = append(dues, begin.Add(time.Duration(i)*100*time.Millisecond))
		}
		next := func(after time.Time) time.Time {
			i := slices.IndexFunc(dues, func(due time.Time) bool { return due.After(after) })
			if i < 0 {
				return time.Time{}
			}
			return dues[i]
		}
		for _, r := range []*Runner{first, second} {
			r.schedule(tick{Name: "nightly", Kind: "sync", Args: []byte("{}"), CreatedBy: "system"}, next)
		}
		eventually(t, "all runs", func() bool { mu.Lock(); defer mu.Unlock(); return len(runs) >= len(dues) })
		time.Sleep(time.Until(dues[len(dues)-1].Add(300 * time.Millisecond))) // for one too many
		mu.Lock()
		defer mu.Unlock()
		if len(runs) != len(dues) || runs[0] != "system" {
			t.Errorf("%d runs %q for %d times", len(runs), runs, len(dues))
		}
	})
}

func TestScheduleChanges(t *testing.T) {
	r, _ := newRunner(t, newSQLite(t))
	start(t, r, echo)
	if err := r.Schedule(Periodic{Name: "a", Cron: "0 3 * * *", Kind: "nope"}); !errors.Is(err, ErrUnknownKind) {
		t.Errorf("error is %v", err)
	}
	for _, cron := range []string{"0 3 * * *", "0 4 * * *"} {
		if err := r.Schedule(Periodic{Name: "a", Cron: cron, Kind: "echo"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.schedules) != 1 {
		t.Errorf("%d schedules", len(r.schedules))
	}
	r.Unschedule("a")
	if len(r.schedules) != 0 {
		t.Error("the schedule is still there")
	}
}
