package httpapi

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/upstream"
)

type sourceStatusJSON struct {
	SourceID     string         `json:"source_id"`
	URL          string         `json:"url"`
	Suite        string         `json:"suite"`
	Security     bool           `json:"security"`
	Enabled      bool           `json:"enabled"`
	Target       string         `json:"target_distribution"`
	Status       string         `json:"status" rule:"never|syncing|ok|error"`
	LastAttempt  timestamp      `json:"last_attempt"`
	LastSync     timestamp      `json:"last_sync"`
	PackageCount int64          `json:"package_count"`
	Error        *syncErrorJSON `json:"error"`
}

type sourceStatusesJSON struct {
	Sources []sourceStatusJSON `json:"sources"`
	Total   int                `json:"total"`
}

func (a *api) syncStatus(c *call) error {
	found, err := a.Import.Status(c.Context())
	if err != nil {
		return err
	}
	out := sourceStatusesJSON{[]sourceStatusJSON{}, len(found)}
	for _, s := range found {
		row := sourceStatusJSON{
			SourceID: s.ID, URL: s.PublicURL(), Suite: s.Suite, Security: s.Security, Enabled: s.Enabled,
			Target: s.TargetDistribution, Status: string(s.State.Status), LastAttempt: timestamp(s.State.LastAttempt),
			LastSync: timestamp(s.State.LastSync), PackageCount: s.State.PackageCount,
		}
		if s.Syncing {
			row.Status = "syncing"
		}
		if s.State.Status == upstream.Error {
			row.Error = &syncErrorJSON{s.State.Code, s.State.Reason, s.State.Detail}
		}
		out.Sources = append(out.Sources, row)
	}
	return writeJSON(c.w, http.StatusOK, out)
}

// syncErrorJSON is why a source could not be synced.
type syncErrorJSON struct {
	Code   string `json:"code"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail"`
}

func (a *api) syncAll(c *call) error {
	if _, err := a.Import.Select(importer.Scope{}); err != nil {
		return err
	}
	return a.do(c, workload{kind: jobSync, args: syncArgs{Actor: actorOf(c)}, join: "all"})
}

func (a *api) syncOne(c *call) error {
	id := c.vars["source_id"]
	if _, err := a.Import.Select(importer.Scope{SourceID: id}); err != nil {
		if errors.Is(err, importer.ErrUnknownSource) {
			return settings.ErrSourceNotFound
		}
		return err
	}
	return a.do(c, workload{kind: jobSyncSource, args: syncArgs{actorOf(c), id}, join: id})
}

func (a *api) syncSecurity(c *call) error {
	// The vulnerability data that come with it hold for all packages.
	if err := c.needAllNames(); err != nil {
		return err
	}
	if _, err := a.Import.Select(importer.Scope{Security: true}); err != nil {
		return err
	}
	return a.do(c, workload{kind: jobSyncSecurity, args: syncArgs{Actor: actorOf(c)}, join: "security"})
}

// nextSync is when the schedule of the settings is due next; zero when it is
// off.
func (a *api) nextSync() (timestamp, error) {
	s := a.Settings.Current().Import
	if !s.ScheduleEnabled {
		return timestamp{}, nil
	}
	zone, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return timestamp{}, err
	}
	next, err := jobs.NextRun(s.Schedule, zone, a.Now())
	return timestamp(next), err
}

type securitySourceJSON struct {
	ID    string `json:"id"`
	Suite string `json:"suite"`
}

type syncScheduleJSON struct {
	Enabled  bool                 `json:"enabled"`
	Cron     string               `json:"cron"`
	Timezone string               `json:"timezone"`
	NextRun  timestamp            `json:"next_run"`
	LastRun  timestamp            `json:"last_run"`
	Security []securitySourceJSON `json:"security_sources"`
}

func (a *api) syncSchedule(c *call) error {
	found, err := a.Import.Status(c.Context())
	if err != nil {
		return err
	}
	next, err := a.nextSync()
	if err != nil {
		return err
	}
	s := a.Settings.Current().Import
	out := syncScheduleJSON{s.ScheduleEnabled, s.Schedule, s.Timezone, next, timestamp(importer.LastAttempt(found)), []securitySourceJSON{}}
	for _, source := range found {
		if source.Security && source.Enabled {
			out.Security = append(out.Security, securitySourceJSON{source.ID, source.Suite})
		}
	}
	return writeJSON(c.w, http.StatusOK, out)
}

type nextSyncJSON struct {
	NextRun  timestamp `json:"next_run"`
	Status   string    `json:"status" rule:"scheduled|disabled"`
	Cron     string    `json:"cron"`
	Timezone string    `json:"timezone"`
}

// showNextSync is the schedule as the settings page has it.
func (a *api) showNextSync(c *call) error {
	next, err := a.nextSync()
	if err != nil {
		return err
	}
	s := a.Settings.Current().Import
	status := "disabled"
	if s.ScheduleEnabled {
		status = "scheduled"
	}
	return writeJSON(c.w, http.StatusOK, nextSyncJSON{next, status, s.Schedule, s.Timezone})
}

type sourcesJSON struct {
	Sources settings.Sources `json:"sources"`
	Total   int              `json:"total"`
}

func (a *api) listSources(c *call) error {
	if err := a.Settings.Refresh(c.Context()); err != nil {
		return err
	}
	sources := slices.Clone(a.Settings.Current().Import.Sources)
	slices.SortFunc(sources, func(x, y upstream.Source) int { return cmp.Compare(x.ID, y.ID) })
	return writeJSON(c.w, http.StatusOK, sourcesJSON{sources, len(sources)})
}

func (a *api) createSource(c *call) error {
	data, err := a.read(c)
	if err != nil {
		return err
	}
	source, err := a.Settings.CreateSource(c.detach(), data)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusCreated, settings.MaskSource(source))
}

func (a *api) deleteSource(c *call) error {
	id := c.vars["source_id"]
	if err := a.Settings.DeleteSource(c.detach(), id); err != nil {
		return err
	}
	return noContent(c)
}
