package jobs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// A queue of its own is worked off in order, one job at a time, and however slow
// that is, other jobs go on.
func TestQueue(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		r, _ := newRunner(t, d)
		var mu sync.Mutex
		var got []int
		var paused []time.Duration
		atOnce := 0
		open := make(chan struct{})
		hooks := Kind{
			Name: "hook", Internal: true, Queue: "hooks", Retry: []time.Duration{time.Hour},
			Pause: func(d time.Duration) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				paused = append(paused, d)
				return time.Millisecond
			},
			Work: func(_ context.Context, t *Task) (any, error) {
				<-open
				mu.Lock()
				defer mu.Unlock()
				if atOnce++; atOnce > 1 {
					return nil, Permanent(errors.New("two at once"))
				}
				defer func() { atOnce-- }()
				var n int
				if err := t.Args(&n); err != nil {
					return nil, err
				}
				if n == 2 && t.Attempt == 1 {
					return nil, errors.New("once more")
				}
				got = append(got, n)
				return nil, nil
			},
		}
		mail, sent := sink()
		start(t, r, hooks, mail)
		for n := range 6 {
			enqueue(t, r, "hook", n, Options{})
		}
		enqueue(t, r, "mail", 1, Options{})
		eventually(t, "the mail was sent", func() bool { return len(sent()) == 1 })
		close(open)
		eventually(t, "all hooks were called", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(got) == 6
		})
		mu.Lock()
		defer mu.Unlock()
		firsts := slices.DeleteFunc(slices.Clone(got), func(n int) bool { return n == 2 })
		if !slices.Equal(firsts, []int{0, 1, 3, 4, 5}) || !slices.Contains(got, 2) || !slices.Equal(paused, hooks.Retry) {
			t.Errorf("order %v, pauses %v", got, paused)
		}
	})
}
