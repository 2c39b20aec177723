package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/upstream"
)

// Kinds of jobs.
const (
	jobFetch        = "import_fetch"
	jobBatch        = "import_batch"
	jobSync         = "import_sync"
	jobSyncSource   = "import_sync_source"
	jobSyncSecurity = "import_sync_security"
)

// orderArgs are the arguments of jobs that import.
type orderArgs struct {
	Actor actorJSON      `json:"actor"`
	Order importer.Order `json:"order"`
}

// syncArgs are those of jobs that sync.
type syncArgs struct {
	Actor    actorJSON `json:"actor"`
	SourceID string    `json:"source_id,omitempty"`
}

func (a orderArgs) actor(ctx context.Context) context.Context { return a.Actor.actor(ctx) }
func (a syncArgs) actor(ctx context.Context) context.Context  { return a.Actor.actor(ctx) }

func actorOf(c *call) actorJSON { return actorJSON(aptrepo.ActorFrom(c.Context())) }

// ImportKinds are the kinds of jobs by which the API imports, for the Runner
// that is its Config.Jobs. A job whose server died is taken over: what it had
// imported by then is present.
//
// After a sync of security sources updateFeeds, unless it is nil, fetches
// vulnerability data, and all packages are held against them.
func ImportKinds(im *importer.Importer, updateFeeds UpdateFeeds) []jobs.Kind {
	again := []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute}
	kinds := []jobs.Kind{
		{Name: jobFetch, Work: orderWork(im, "import.fetch", fetchResult), Timeout: 6 * time.Hour},
		{Name: jobBatch, Work: orderWork(im, "import.batch", batchResult), Timeout: 24 * time.Hour},
		{Name: jobSync, Work: syncWork(im, "import.sync", importer.Scope{}, nil)},
		{Name: jobSyncSource, Work: syncWork(im, "import.sync_source", importer.Scope{}, nil)},
		{Name: jobSyncSecurity, Work: syncWork(im, "import.sync_security", importer.Scope{Security: true}, updateFeeds), Timeout: 6 * time.Hour},
	}
	for i := range kinds {
		kinds[i].Retry = again
	}
	return kinds
}

func report(t *jobs.Task) importer.Progress {
	return func(done, total int, message string) {
		t.Report(jobs.Progress{Done: done, Total: total, Message: message})
	}
}

func orderWork(im *importer.Importer, action string, result func([]importer.Result) (any, error)) func(context.Context, *jobs.Task) (any, error) {
	return work(func(ctx context.Context, t *jobs.Task, args orderArgs) (any, error) {
		results, err := im.Import(ctx, action, args.Order, report(t))
		if err != nil {
			return nil, err
		}
		return result(results)
	})
}

// fetchJSON is the result of a fetch.
type fetchJSON struct {
	Status   string     `json:"status" rule:"imported|already_present|pending_review|partial"`
	Imported int        `json:"imported"`
	Skipped  int        `json:"skipped"`
	Errors   int        `json:"errors"`
	Results  []itemJSON `json:"results"`
}

type itemJSON struct {
	Name     string          `json:"name"`
	Version  string          `json:"version"`
	Arch     string          `json:"arch"`
	Status   importer.Status `json:"status" rule:"imported|already_present|pending_review|rejected|error"`
	SourceID string          `json:"source_id"`
	SHA256   string          `json:"sha256"`
	Code     string          `json:"code,omitempty"`
	Detail   string          `json:"detail"`
}

// told is what clients are told of an error that regards one thing of several.
func told(err error) (code, detail string) {
	if err == nil {
		return "", ""
	}
	p, _ := problemOf(err)
	return p.Code, p.Detail
}

func fetchResult(results []importer.Result) (any, error) {
	r := results[0]
	if r.Err != nil {
		return nil, r.Err
	}
	out := fetchJSON{
		Status: string(r.Items[0].Status), Imported: r.Count(importer.Imported),
		Skipped: r.Count(importer.AlreadyPresent), Errors: r.Count(importer.Failed),
	}
	for _, item := range r.Items {
		code, detail := told(item.Err)
		out.Results = append(out.Results, itemJSON{item.Name, item.Version, item.Arch, item.Status, item.SourceID, item.SHA256, code, detail})
	}
	if err := r.Items[0].Err; err != nil {
		p, known := problemOf(err)
		if !known {
			return nil, err
		}
		var encodeErr error
		if p.Results, encodeErr = json.Marshal(out.Results); encodeErr != nil {
			return nil, encodeErr
		}
		return nil, p
	}
	if out.Errors > 0 {
		out.Status = "partial"
	}
	return out, nil
}

type batchRowJSON struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Arch         string `json:"arch"`
	Distribution string `json:"distribution"`
	Status       string `json:"status" rule:"imported|already_present|pending_review|rejected|partial|error"`
	Imported     int    `json:"imported"`
	Skipped      int    `json:"skipped"`
	Code         string `json:"code"`
	Detail       string `json:"detail"`
}

type batchJSON struct {
	Status   string         `json:"status" rule:"done|partial|error"`
	Total    int            `json:"total"`
	Imported int            `json:"imported"`
	Skipped  int            `json:"skipped"`
	Errors   int            `json:"errors"`
	Results  []batchRowJSON `json:"results"`
}

func batchResult(results []importer.Result) (any, error) {
	out := batchJSON{Status: "done", Total: len(results), Results: []batchRowJSON{}}
	lost := 0
	for i := range results {
		r := &results[i]
		row := batchRowJSON{
			Name: r.Request.Name, Version: r.Request.Version, Arch: r.Request.Arch, Distribution: r.Request.Distribution,
			Status: "error", Imported: r.Count(importer.Imported), Skipped: r.Count(importer.AlreadyPresent),
		}
		err, failed := r.Err, r.Count(importer.Failed)
		if err == nil {
			asked := r.Items[0]
			row.Version, row.Arch, row.Status, err = asked.Version, asked.Arch, string(asked.Status), asked.Err
		} else {
			failed = 1
		}
		switch {
		case err != nil:
			lost++
		case failed > 0:
			row.Status = "partial"
			err = firstFailure(r.Items)
		}
		row.Code, row.Detail = told(err)
		out.Imported, out.Skipped, out.Errors = out.Imported+row.Imported, out.Skipped+row.Skipped, out.Errors+failed
		out.Results = append(out.Results, row)
	}
	switch {
	case lost == len(results):
		out.Status = "error"
	case out.Errors > 0:
		out.Status = "partial"
	}
	return out, nil
}

func firstFailure(items []importer.Item) error {
	for _, item := range items {
		if item.Err != nil {
			return fmt.Errorf("%s: %w", item.Name, item.Err)
		}
	}
	return nil
}

type sourceResultJSON struct {
	SourceID     string `json:"source_id"`
	Status       string `json:"status" rule:"ok|not_modified|error"`
	PackageCount int64  `json:"package_count"`
	Code         string `json:"code"`
	Detail       string `json:"detail"`
}

type syncJSON struct {
	Status  string             `json:"status" rule:"done|partial"`
	OK      int                `json:"ok"`
	Failed  int                `json:"failed"`
	Sources []sourceResultJSON `json:"sources"`
	Feeds   []feedJSON         `json:"feeds,omitempty"` // of security updates
}

func syncWork(im *importer.Importer, action string, scope importer.Scope, updateFeeds UpdateFeeds) func(context.Context, *jobs.Task) (any, error) {
	return work(func(ctx context.Context, t *jobs.Task, args syncArgs) (any, error) {
		s := scope
		s.SourceID = args.SourceID
		results, err := im.Sync(ctx, action, s, report(t))
		if err != nil {
			return nil, err
		}
		var feeds []feedJSON
		if updateFeeds != nil {
			if feeds, err = refreshFeeds(ctx, im.Repo, updateFeeds, report(t)); err != nil {
				return nil, err
			}
		}
		out, err := syncResult(results)
		if err != nil {
			return nil, err
		}
		out.Feeds = feeds
		return out, nil
	})
}

// syncResult fails when every source has, with the first one's error.
func syncResult(results []importer.SourceResult) (*syncJSON, error) {
	out := &syncJSON{Status: "done", Sources: []sourceResultJSON{}}
	var first error
	for _, r := range results {
		row := sourceResultJSON{SourceID: r.SourceID, Status: "ok", PackageCount: r.PackageCount}
		switch {
		case r.Err != nil:
			out.Failed++
			row.Status = "error"
			row.Code, row.Detail = told(r.Err)
			if first == nil {
				first = r.Err
			}
		case r.NotModified:
			out.OK++
			row.Status = "not_modified"
		default:
			out.OK++
		}
		out.Sources = append(out.Sources, row)
	}
	if out.OK > 0 || first == nil {
		if out.Failed > 0 {
			out.Status = "partial"
		}
		return out, nil
	}
	p, known := problemOf(first)
	if !known {
		return nil, first
	}
	var err error
	if p.Sources, err = json.Marshal(out.Sources); err != nil {
		return nil, err
	}
	return nil, p
}

// importProblem answers errors of imports that carry more than their name.
func importProblem(err error) (*problem, bool) {
	var f *upstream.Failure
	switch {
	case errors.As(err, &f):
		p := newProblem(http.StatusBadGateway, string(f.Code), "%s", oneLine(f.Detail))
		p.Reason = string(f.Reason)
		return p, true
	case errors.Is(err, importer.ErrNotOffered):
		return newProblem(http.StatusNotFound, "package_not_found", "%s", oneLine(err.Error())), true
	case errors.Is(err, importer.ErrTooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, "upload_too_large", "%s", oneLine(err.Error())), true
	}
	return nil, false
}

// syncPeriodic is the name of the schedule by which all sources are synced.
const syncPeriodic = "import_sync"

// ScheduleImports makes a Runner, which knows ImportKinds, sync all sources at
// the times of the settings, in place of those it had. Call it again when they
// change. Every server does so; one of them does the work.
func ScheduleImports(r *jobs.Runner, s settings.Import) error {
	cron := s.Schedule
	if !s.ScheduleEnabled {
		cron = ""
	}
	return schedule(r, cron, s.Timezone, jobs.Periodic{
		Name: syncPeriodic, Kind: jobSync, Args: syncArgs{Actor: actorJSON{Name: "system"}},
	})
}
