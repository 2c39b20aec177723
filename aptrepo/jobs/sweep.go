package jobs

import (
	"context"
	"fmt"
	"time"
)

// sweepAll takes jobs from servers that died, as long as the Runner runs.
func (r *Runner) sweepAll() {
	for {
		if err := r.sweep(r.ctx, r.abandonedJobs()); err != nil && r.ctx.Err() == nil {
			r.Logger.Warn("looking for abandoned jobs failed", "error", err)
		}
		r.wake()
		pause(r.ctx, r.sweepEvery)
		if r.ctx.Err() != nil {
			return
		}
	}
}

// abandonedJobs are those whose server has not been heard of for long.
func (r *Runner) abandonedJobs() string {
	return "state = 'running' AND attempted_at < " + r.Dialect.ago(r.abandoned)
}

// ownJobs are those that an earlier run of the server with the name that is
// the argument began.
func (r *Runner) ownJobs() string {
	return fmt.Sprintf("state = 'running' AND substr(%s, 1, %d) = %s || '/'", r.Dialect.lastServer(), len(r.Server)+1, r.Dialect.placeholder())
}

// sweep ends the attempts that a condition selects. Jobs with attempts left
// become available again, the others end; how, nobody recorded, which is what
// jobOf calls interrupted.
func (r *Runner) sweep(ctx context.Context, condition string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// An UPDATE of nothing would still lock SQLite's database.
	var found bool
	err := r.DB.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM river_job WHERE "+condition+")", args...).Scan(&found)
	if err != nil || !found {
		return err
	}
	for _, statement := range []string{
		"UPDATE river_job SET state = 'discarded', finalized_at = " + r.Dialect.now() + " WHERE attempt >= max_attempts AND " + condition,
		"UPDATE river_job SET state = 'available' WHERE attempt < max_attempts AND " + condition,
	} {
		if _, err := r.DB.ExecContext(ctx, statement, args...); err != nil {
			return err
		}
	}
	return nil
}
