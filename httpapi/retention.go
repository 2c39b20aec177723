package httpapi

import (
	"context"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/settings"
)

const (
	jobRetention      = "retention"
	retentionPeriodic = "retention"
	// retentionCron is when retention runs by itself, in import.timezone.
	retentionCron = "0 2 * * *"

	// Keys of jobs of which one runs at a time. The first is that of schedule.
	retentionRun = "all"
	retentionDry = "dry_run"
)

// RetentionKinds are the kinds of jobs by which the API lets old versions go, as
// the settings are when a job begins, for the Runner that is its Config.Jobs. A
// job whose server died is taken over: what went until then is not in its report.
func RetentionKinds(repo *aptrepo.Repo, set *settings.Service) []jobs.Kind {
	again := []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute}
	return []jobs.Kind{{Name: jobRetention, Work: retentionWork(repo, set), Timeout: 6 * time.Hour, Retry: again}}
}

// ScheduleRetention makes a Runner, which knows RetentionKinds, run retention
// every day.
func ScheduleRetention(r *jobs.Runner, s *settings.Settings) error {
	return schedule(r, retentionCron, s.Import.Timezone, jobs.Periodic{
		Name: retentionPeriodic, Kind: jobRetention, Args: retentionArgs{Actor: actorJSON{Name: "system"}},
	})
}

// retentionArgs are the arguments of jobs of retention.
type retentionArgs struct {
	Actor  actorJSON `json:"actor"`
	DryRun bool      `json:"dry_run,omitempty"`
}

func (a retentionArgs) actor(ctx context.Context) context.Context { return a.Actor.actor(ctx) }

func (a *api) runRetention(c *call) error {
	q := newQuery(c.Request)
	args, join := retentionArgs{Actor: actorOf(c), DryRun: q.truth("dry_run")}, retentionRun
	if err := q.err(); err != nil {
		return err
	}
	if args.DryRun {
		join = retentionDry
	}
	return a.do(c, workload{kind: jobRetention, args: args, join: join, wait: true})
}

type retiredJSON struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Arch         string `json:"arch"`
	Distribution string `json:"distribution"`
	Reason       string `json:"reason" rule:"retention_days|keep_versions"`
	Size         int64  `json:"size_bytes"`
}

type retentionJSON struct {
	Status       string        `json:"status"`
	DryRun       bool          `json:"dry_run"`
	RanAt        timestamp     `json:"ran_at"`
	RemovedCount int           `json:"removed_count"`
	FreedBytes   int64         `json:"freed_bytes"`
	Removed      []retiredJSON `json:"removed"`
	Deleted      int           `json:"artifacts_deleted"`
	AuditEntries int           `json:"audit_entries_removed"`
	Rejected     int           `json:"rejected_records_removed"`
}

func retentionWork(repo *aptrepo.Repo, set *settings.Service) func(context.Context, *jobs.Task) (any, error) {
	return work(func(ctx context.Context, t *jobs.Task, args retentionArgs) (any, error) {
		if err := set.Refresh(ctx); err != nil { // another server may have changed them just now
			return nil, err
		}
		now := set.Current()
		report, err := repo.RunRetention(ctx, aptrepo.RetentionOptions{
			KeepVersions:  int(now.KeepVersions),
			SupersededFor: days(now.RetentionDays),
			AuditFor:      days(now.AuditRetentionDays),
			DryRun:        args.DryRun,
			Progress:      func(done, total int) { t.Report(jobs.Progress{Done: done, Total: total}) },
		})
		if err != nil {
			return nil, err
		}
		out := retentionJSON{
			Status: "ok", DryRun: report.DryRun, RanAt: timestamp(report.RanAt), RemovedCount: len(report.Removed),
			FreedBytes: report.FreedBytes, Removed: make([]retiredJSON, len(report.Removed)), Deleted: report.Deleted,
			AuditEntries: report.AuditEntries, Rejected: report.Rejected,
		}
		for i, r := range report.Removed {
			out.Removed[i] = retiredJSON{r.Name, r.Version, r.Arch, r.Distribution, string(r.Reason), r.Size}
		}
		return out, nil
	})
}

func days(n int64) time.Duration { return time.Duration(n) * 24 * time.Hour }
