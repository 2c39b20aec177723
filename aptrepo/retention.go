package aptrepo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repod-io/repod/aptrepo/retention"
)

// removalsPerUpdate is how many artifacts leave, about, in one transaction:
// others wait for it.
const removalsPerUpdate = 200

// RetentionOptions say what RunRetention removes.
type RetentionOptions struct {
	// KeepVersions is how many of the newest versions stay of each name and
	// architecture in each distribution. 0 or less: all.
	KeepVersions int
	// SupersededFor is how long a version stays beside a newer one. 0 or less:
	// for ever. Package retention tells both rules exactly.
	SupersededFor time.Duration
	// AuditFor is how long audit entries stay in the Store. 0 or less: for ever.
	AuditFor time.Duration
	// DryRun reports what would be removed, and removes nothing.
	DryRun bool
	// Force removes what is planned even if it empties a distribution. The rules
	// never plan that: without Force, a Store that contradicts itself is not
	// believed.
	Force bool
	// Progress, when set, is called as packages leave.
	Progress func(done, total int)
}

// A Retired is an artifact that left a distribution.
type Retired struct {
	Name         string
	Version      string
	Arch         string
	Distribution string
	Reason       retention.Reason
	Size         int64 // bytes
}

// A RetentionReport tells what RunRetention removed, or would have.
type RetentionReport struct {
	RanAt  time.Time
	DryRun bool
	// Removed are the artifacts that left distributions, by distribution, name,
	// architecture and version, the newest first.
	Removed []Retired
	// Deleted counts the artifacts that left the last distribution they were in
	// and were deleted; FreedBytes is the size of their files, which go when
	// KeepGenerations has passed.
	Deleted    int
	FreedBytes int64
	// Rejected counts the records of packages rejected 90 days ago or longer.
	Rejected int
	// AuditEntries counts those moved into the archive.
	AuditEntries int
}

// RunRetention takes versions out of the distributions that they have outstayed
// by the rules, and publishes each distribution once when all have left, unless
// Run finds some removed and publishes that before. The newest version of a name
// and architecture stays, and so does what was promoted into the distribution, see
// Promote. An artifact that is left in no distribution is deleted as Delete does
// it: its file can be fetched for KeepGenerations, and its key never gets other
// bytes. What was unpublished by hand, waits for a decision or is in quarantine is
// not touched.
//
// It also deletes the records of what was rejected 90 days ago, moves the oldest
// audit entries into the archive in storage, from which VerifyAudit reads them
// back, and sweeps the pool: files that nothing has named for KeepGenerations are
// moved to lost+found, and deleted from there after 90 days.
//
// Each removal is audited with it in one transaction, so that a run that is
// stopped leaves nothing half done, and the next one goes on from there. What the
// rules say is looked at again in that transaction: who publishes, promotes or
// unpublishes meanwhile need not wait, and two runs at once do no harm. Memory
// grows with what is removed, not with the repository.
//
// Errors: ErrWouldEmpty, ErrScope (the actor may not write everything),
// ErrUnavailable, ErrFull. After an error the report tells what was done.
func (r *Repo) RunRetention(ctx context.Context, o RetentionOptions) (RetentionReport, error) {
	if a := ActorFrom(ctx); len(a.Distributions)+len(a.Packages) > 0 {
		return RetentionReport{}, ErrScope
	}
	run := &retiring{
		repo: r, options: o, rules: retention.Rules{Keep: o.KeepVersions, After: o.SupersededFor},
		batch: r.NewBatch(), left: make(map[int64]int),
	}
	run.report = RetentionReport{RanAt: r.now().UTC().Truncate(time.Second), DryRun: o.DryRun}
	err := run.packages(ctx)
	if o.DryRun {
		return run.report, errors.Join(err, run.count(ctx))
	}
	err = errors.Join(err, run.batch.Publish(ctx))
	for _, step := range []func(context.Context) error{run.rejected, run.auditLog, run.orphans} {
		if ctx.Err() == nil {
			err = errors.Join(err, step(ctx))
		}
	}
	return run.report, run.finish(ctx, err)
}

// retiring is a run of retention.
type retiring struct {
	repo    *Repo
	options RetentionOptions
	rules   retention.Rules
	report  RetentionReport
	batch   *Batch
	// left counts, in a dry run, the publications that stay of artifacts of which
	// one leaves.
	left map[int64]int
}

// foresee notes what would leave.
func (run *retiring) foresee(out []leaving) {
	for _, l := range out {
		run.report.add(l)
		stay, known := run.left[l.ID]
		if !known {
			stay = l.Publications
		}
		stay -= l.places
		run.left[l.ID] = stay
		if stay == 0 {
			run.report.Deleted++
			run.report.FreedBytes += l.Size
		}
	}
}

// count tells what else would go.
func (run *retiring) count(ctx context.Context) error {
	keys, err := run.repo.longRejected(ctx)
	if err != nil {
		return err
	}
	run.report.Rejected = len(keys)
	before, ok := run.auditBefore()
	if !ok {
		return nil
	}
	page, err := run.repo.Store.AuditPage(ctx, AuditQuery{End: before, PerPage: 1})
	run.report.AuditEntries = page.Total
	return err
}

// auditBefore returns the time before which audit entries go.
func (run *retiring) auditBefore() (time.Time, bool) {
	return run.report.RanAt.Add(-run.options.AuditFor), run.options.AuditFor > 0
}

func (run *retiring) auditLog(ctx context.Context) (err error) {
	if before, ok := run.auditBefore(); ok {
		run.report.AuditEntries, err = run.repo.archiveAudit(ctx, before)
	}
	return err
}

// finish audits the run, and tells of it if packages went.
func (run *retiring) finish(ctx context.Context, failed error) error {
	rep := &run.report
	e := AuditEntry{Action: "retention.run", Result: ResultSuccess}
	e.Detail = fmt.Sprintf("removed=%d deleted=%d freed=%d rejected=%d audit=%d",
		len(rep.Removed), rep.Deleted, rep.FreedBytes, rep.Rejected, rep.AuditEntries)
	went := len(rep.Removed)+rep.Rejected > 0
	if failed != nil {
		e.Result = ResultFailure
		if went {
			e.Result = ResultPartial
		}
		e.Detail += ": " + reason(failed)
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var told []Event
	if failed == nil && went {
		told = append(told, Event{Kind: EventRetentionFinished, Removed: len(rep.Removed), FreedBytes: rep.FreedBytes})
	}
	return errors.Join(failed, run.repo.Record(limited, e, told...))
}
