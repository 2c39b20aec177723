package jobs

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// Counts and observations of jobs that end in each way.
func TestCounts(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		r, _ := newRunner(t, d)
		var mu sync.Mutex
		seen := map[string]map[Attempt]int{}
		r.Observe = func(kind string, took time.Duration, a Attempt) {
			mu.Lock()
			defer mu.Unlock()
			if seen[kind] == nil {
				seen[kind] = map[Attempt]int{}
			}
			seen[kind][a]++
			if took < 0 || took > time.Minute {
				t.Errorf("%s took %v", kind, took)
			}
		}
		broken := errors.New("broken")
		work := func(err error) func(context.Context, *Task) (any, error) {
			return func(context.Context, *Task) (any, error) { return nil, err }
		}
		begun, release := make(chan struct{}), make(chan struct{})
		start(t, r,
			Kind{Name: "good", Work: work(nil)},
			Kind{Name: "bad", Work: work(broken)},
			Kind{Name: "stubborn", Work: work(broken), Retry: []time.Duration{time.Hour}},
			Kind{Name: "slow", Work: func(context.Context, *Task) (any, error) {
				close(begun)
				<-release
				return nil, nil
			}},
			Kind{Name: "late", Work: work(nil)},
		)
		defer close(release)
		for _, kind := range []string{"good", "good", "bad", "stubborn", "slow"} {
			if _, err := r.Enqueue(t.Context(), kind, nil, Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.Enqueue(t.Context(), "late", nil, Options{NotBefore: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		<-begun
		want := map[string]Counts{
			"good": {Kind: "good", Done: 2}, "bad": {Kind: "bad", Failed: 1}, "stubborn": {Kind: "stubborn", Waiting: 1},
			"slow": {Kind: "slow", Running: 1}, "late": {Kind: "late", Waiting: 1},
		}
		got := map[string]Counts{}
		for range 500 {
			all, err := r.Counts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wrong := 0
			for _, c := range all {
				got[c.Kind] = c
				if w, known := want[c.Kind]; known && c != w {
					wrong++
				}
			}
			if wrong == 0 && len(got) > len(want) { // the runner's own kind beside them
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		for kind, w := range want {
			if got[kind] != w {
				t.Errorf("%+v, want %+v", got[kind], w)
			}
		}
		// One that only looks knows no kinds.
		looker, _ := newRunner(t, d)
		seenByOther, err := looker.Counts(t.Context())
		if err != nil {
			t.Error(err)
		}
		for _, c := range seenByOther {
			if w, known := want[c.Kind]; known && c != w {
				t.Errorf("one that looks sees %+v, want %+v", c, w)
			}
			delete(want, c.Kind)
		}
		if len(want) > 0 {
			t.Errorf("one that looks does not see %v", want)
		}
		mu.Lock()
		defer mu.Unlock()
		for kind, a := range map[string]Attempt{"good": AttemptDone, "bad": AttemptFailed, "stubborn": AttemptRetry} {
			if len(seen[kind]) != 1 || seen[kind][a] == 0 {
				t.Errorf("attempts at %s: %v, want %s", kind, seen[kind], a)
			}
		}
	})
}

// A job that could have been begun long ago says how long ago.
func TestCountsWaiting(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		r, _ := newRunner(t, d)
		start(t, r, Kind{Name: "kind", Work: func(context.Context, *Task) (any, error) { return nil, nil }})
		for _, wait := range []time.Duration{time.Hour, 2 * time.Hour} {
			if _, err := r.Enqueue(t.Context(), "kind", nil, Options{NotBefore: time.Now().Add(wait)}); err != nil {
				t.Fatal(err)
			}
		}
		// Nobody fetches a job of an unknown queue.
		if _, err := r.DB.Exec("UPDATE river_job SET queue = 'nobody', scheduled_at = " + d.dialect.ago(90*time.Second)); err != nil {
			t.Fatal(err)
		}
		all, err := r.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.Kind == "kind" && (c.Waiting != 2 || c.Waited < 89*time.Second || c.Waited > 2*time.Minute) {
				t.Errorf("%+v", c)
			}
		}
	})
}
