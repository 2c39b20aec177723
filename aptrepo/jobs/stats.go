package jobs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// An Attempt is how one attempt at a job went.
type Attempt string

// The attempts.
const (
	AttemptDone        Attempt = "done"
	AttemptFailed      Attempt = "failed" // the job has ended with it
	AttemptRetry       Attempt = "retry"  // it failed, another will follow
	AttemptInterrupted Attempt = "interrupted"
)

// observe tells the Runner's observer of an attempt.
func (r *Runner) observe(k *Kind, took time.Duration, a Attempt) {
	if r.Observe != nil {
		r.Observe(k.Name, took, a)
	}
}

// Counts are the jobs of one kind that are in the database, those of all
// servers.
type Counts struct {
	Kind    string
	Waiting int // for their turn, their time or another attempt
	Running int
	// Done and Failed ended within the last day: after that they are forgotten.
	Done, Failed int
	// Waited is how long the one that waits longest could have been begun
	// already; 0: none could.
	Waited time.Duration
}

// Counts returns those of each kind that has been registered or has jobs, by name.
// It looks at each job, which are those of a day. The Runner need not have been
// started, if another has on the same database.
func (r *Runner) Counts(ctx context.Context) ([]Counts, error) {
	// Both sides of the difference are by the database's clock.
	rows, err := r.DB.QueryContext(ctx, fmt.Sprintf(`SELECT kind, state, COUNT(*),
		COALESCE(MAX(CASE WHEN state IN ('available', 'retryable', 'scheduled') THEN %s END), 0)
		FROM river_job GROUP BY kind, state`, r.Dialect.secondsSince("scheduled_at")))
	if err != nil {
		return nil, fmt.Errorf("counting jobs: %w", err)
	}
	defer rows.Close()
	all := make(map[string]*Counts, len(r.kinds))
	for name := range r.kinds {
		all[name] = &Counts{Kind: name}
	}
	for rows.Next() {
		var kind, state string
		var n int
		var waited float64
		if err := rows.Scan(&kind, &state, &n, &waited); err != nil {
			return nil, fmt.Errorf("counting jobs: %w", err)
		}
		if all[kind] == nil {
			all[kind] = &Counts{Kind: kind}
		}
		all[kind].add(state, n, waited)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("counting jobs: %w", err)
	}
	list := make([]Counts, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, *all[name])
	}
	return list, nil
}

// add notes that n jobs are in a state of River's.
func (c *Counts) add(state string, n int, waited float64) {
	switch state {
	case "running":
		c.Running += n
	case "completed":
		c.Done += n
	case "cancelled", "discarded":
		c.Failed += n
	default:
		c.Waiting += n
		c.Waited = max(c.Waited, time.Duration(waited*float64(time.Second)))
	}
}
