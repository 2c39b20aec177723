package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// wake tells those who wait in this process that some job has changed.
func (r *Runner) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes != nil {
		close(r.changes)
		r.changes = nil
	}
}

// change returns a channel that is closed at the next wake.
func (r *Runner) change() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes == nil {
		r.changes = make(chan struct{})
	}
	return r.changes
}

// watchEnds wakes up when jobs end.
func (r *Runner) watchEnds(ended <-chan *river.Event) {
	for range ended {
		r.wake()
	}
}

// Changed waits until a job is another than the one given, in status or
// progress, and returns it. One that has ended it returns at once. Changes on
// this server are seen directly, those on others within a second. Changed
// returns ErrNotFound when the job is gone, ErrStopped when the Runner stops,
// and ctx's error when ctx ends.
func (r *Runner) Changed(ctx context.Context, seen Job) (Job, error) {
	if _, err := r.started(); err != nil {
		return Job{}, err
	}
	poll := time.NewTicker(r.pollEvery)
	defer poll.Stop()
	for {
		change := r.change() // before the job is read, so that nothing is missed
		job, err := r.Job(ctx, seen.ID)
		if err != nil || job.Ended() || job.Status != seen.Status || job.Progress != seen.Progress {
			return job, err
		}
		select {
		case <-ctx.Done():
			return Job{}, ctx.Err()
		case <-r.ctx.Done():
			return Job{}, ErrStopped
		case <-change:
		case <-poll.C:
		}
	}
}
