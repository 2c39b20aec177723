package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/scan/clamav"
	"github.com/repod-io/repod/scan/vuln"
)

// Kinds of jobs.
const (
	jobRescan       = "rescan"
	jobClamAVUpdate = "clamav_update"
)

// UpdateFeeds fetches vulnerability data. A feed that failed is told of in the
// result; the error is of what concerns all.
type UpdateFeeds func(ctx context.Context) ([]vuln.Result, error)

// ErrNoScanner says that there is no scanner whose signatures could be updated.
var ErrNoScanner = errors.New("no scanner for malware, or no command to update it")

// A ScannerStatus says how the scanner for malware is.
type ScannerStatus struct {
	Enabled bool   // there is one in the settings
	Address string // of it
	clamav.Status
}

// SafetyKinds are the kinds of jobs by which the API scans again, for the Runner
// that is its Config.Jobs.
func SafetyKinds(repo *aptrepo.Repo, updateFeeds UpdateFeeds, updateScanner func(context.Context) (clamav.Update, error)) []jobs.Kind {
	return []jobs.Kind{
		{Name: jobRescan, Work: rescanWork(repo, updateFeeds), Timeout: 24 * time.Hour, Retry: []time.Duration{time.Minute}},
		{Name: jobClamAVUpdate, Work: clamavWork(repo, updateScanner), Timeout: time.Hour},
	}
}

// rescanArgs are the arguments of jobs that scan again.
type rescanArgs struct {
	Actor        actorJSON      `json:"actor"`
	Distribution string         `json:"distribution,omitempty"`
	Status       aptrepo.Status `json:"status,omitempty"`
	// Feeds has vulnerability data fetched first.
	Feeds bool `json:"feeds,omitempty"`
}

func (a rescanArgs) actor(ctx context.Context) context.Context { return a.Actor.actor(ctx) }

type changedJSON struct {
	Name     string         `json:"name"`
	Version  string         `json:"version"`
	Arch     string         `json:"arch"`
	Previous aptrepo.Status `json:"previous_status"`
	Status   aptrepo.Status `json:"status"`
}

type rescanAllJSON struct {
	Status  string        `json:"status"`
	Scanned int           `json:"scanned"`
	Failed  int           `json:"failed"`
	Changed []changedJSON `json:"changed"`
}

func rescanWork(repo *aptrepo.Repo, updateFeeds UpdateFeeds) func(context.Context, *jobs.Task) (any, error) {
	return work(func(ctx context.Context, t *jobs.Task, args rescanArgs) (any, error) {
		if args.Feeds && updateFeeds != nil {
			if _, err := refreshFeeds(ctx, repo, updateFeeds, report(t)); err != nil {
				return nil, err
			}
		}
		done, err := repo.RescanAll(ctx, args.Distribution, args.Status, report(t))
		if err != nil {
			return nil, err
		}
		out := rescanAllJSON{"done", done.Scanned, done.Failed, []changedJSON{}}
		for _, c := range done.Changed {
			a := c.Artifact
			out.Changed = append(out.Changed, changedJSON{a.Name, a.Version, a.Arch, c.Previous, a.Status})
		}
		return out, nil
	})
}

type feedJSON struct {
	ID     string     `json:"id"`
	Status vuln.State `json:"status"`
	Detail string     `json:"detail"`
}

// refreshFeeds fetches vulnerability data and holds all packages against them, and
// against the policy, which may have changed although the data have not.
func refreshFeeds(ctx context.Context, repo *aptrepo.Repo, update UpdateFeeds, progress importer.Progress) ([]feedJSON, error) {
	progress(0, 0, "vulnerability data")
	results, err := update(ctx)
	if err != nil {
		return nil, err
	}
	feeds := []feedJSON{}
	for _, r := range results {
		feeds = append(feeds, feedJSON{r.ID, r.State, oneLine(r.Detail)})
	}
	_, err = repo.Rematch(ctx, func(done, total int) { progress(done, total, "matching") })
	return feeds, err
}

type clamavUpdateJSON struct {
	Status           string    `json:"status"`
	SignatureVersion string    `json:"signature_version"`
	SignatureDate    timestamp `json:"signature_date"`
	Output           string    `json:"output"`
}

func clamavWork(repo *aptrepo.Repo, update func(context.Context) (clamav.Update, error)) func(context.Context, *jobs.Task) (any, error) {
	return work(func(ctx context.Context, _ *jobs.Task, _ rescanArgs) (any, error) {
		done, err := update(ctx)
		e := aptrepo.AuditEntry{Action: "security.clamav_update", Result: aptrepo.ResultSuccess, Detail: done.Result}
		if err != nil {
			e.Result, e.Detail = aptrepo.ResultFailure, oneLine(err.Error())
		}
		if err := repo.Record(ctx, e); err != nil {
			return nil, err
		}
		if errors.Is(err, ErrNoScanner) {
			return nil, errNoScanner
		}
		if err != nil {
			return nil, newProblem(http.StatusBadGateway, "clamav_update_failed", "The signatures could not be updated: %s", oneLine(err.Error()))
		}
		return clamavUpdateJSON{done.Result, done.Status.SignatureVersion, timestamp(done.Status.SignatureDate), done.Output}, nil
	})
}

// errNoScanner has no Retry-After: it does not pass.
var errNoScanner = newProblem(http.StatusServiceUnavailable, "clamav_not_configured",
	"There is no setting scan.clamav_address, or no command to update its signatures.")

type clamavStatusJSON struct {
	Enabled          bool      `json:"enabled"`
	Available        bool      `json:"available"`
	EngineVersion    *string   `json:"engine_version"`
	SignatureVersion *string   `json:"signature_version"`
	SignatureDate    timestamp `json:"signature_date"`
	Address          string    `json:"address"`
	Detail           string    `json:"detail"`
}

func (a *api) clamavStatus(c *call) error {
	var s ScannerStatus
	if a.Scanner != nil {
		s = a.Scanner(c.Context())
	}
	if !c.who.Has(auth.Maintainer) {
		s.Address = ""
	}
	return writeJSON(c.w, http.StatusOK, clamavStatusJSON{s.Enabled, s.Available, orNull(s.EngineVersion), orNull(s.SignatureVersion), timestamp(s.SignatureDate), s.Address, oneLine(s.Detail)})
}

func (a *api) clamavUpdate(c *call) error {
	if a.Scanner == nil || !a.UpdateScanner || a.Settings.Current().Scan.ClamAVAddress == "" {
		return errNoScanner
	}
	return a.do(c, workload{kind: jobClamAVUpdate, args: rescanArgs{Actor: actorOf(c)}, join: "update"})
}

type rescanAllBody struct {
	Distribution *string `json:"distribution" rule:"trim,1..40"`
	Status       *string `json:"status" rule:"trim,1..40" enum:"statuses"`
}

func (a *api) rescanAll(c *call) error {
	if err := c.needAllNames(); err != nil {
		return err
	}
	var in rescanAllBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	args := rescanArgs{Actor: actorOf(c)}
	if in.Status != nil {
		args.Status = aptrepo.Status(*in.Status)
		if !slices.Contains(aptrepo.Statuses(), args.Status) {
			return invalid(fault{"status", "must be a status of packages"})
		}
	}
	if in.Distribution != nil {
		args.Distribution = *in.Distribution
		if _, err := a.Repo.Distribution(c.Context(), args.Distribution); err != nil {
			return err
		}
	}
	return a.do(c, workload{kind: jobRescan, args: args})
}

// rescanPeriodic is the name of the schedule by which all is scanned again.
const rescanPeriodic = "rescan"

// ScheduleRescans makes a Runner, which knows SafetyKinds, fetch vulnerability
// data and scan everything again at the times of the settings.
func ScheduleRescans(r *jobs.Runner, s *settings.Settings) error {
	return schedule(r, s.Scan.RescanCron, s.Import.Timezone, jobs.Periodic{
		Name: rescanPeriodic, Kind: jobRescan, Args: rescanArgs{Actor: actorJSON{Name: "system"}, Feeds: true},
	})
}
