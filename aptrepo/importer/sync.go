package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/upstream"
)

// A SourceResult says how the sync of one source went.
type SourceResult struct {
	SourceID     string
	NotModified  bool
	PackageCount int64
	Err          error // a *upstream.Failure, or what kept the sync from its end
}

// Scope names sources: All, Security, or one by its ID.
type Scope struct {
	Security bool   // only those with security updates
	SourceID string // only this one
}

// Select returns the sources of a scope that are enabled. Errors:
// ErrUnknownSource, ErrSourceDisabled, ErrNoSources.
func (im *Importer) Select(s Scope) ([]upstream.Source, error) {
	if s.SourceID != "" {
		source, err := im.source(s.SourceID)
		if err == nil && !source.Enabled {
			err = fmt.Errorf("%w: %s", ErrSourceDisabled, s.SourceID)
		}
		return []upstream.Source{source}, err
	}
	var list []upstream.Source
	for _, source := range im.sources() {
		if source.Enabled && (source.Security || !s.Security) {
			list = append(list, source)
		}
	}
	if len(list) == 0 {
		return nil, ErrNoSources
	}
	return list, nil
}

// Sync fetches the indices of the sources of a scope and records it in the
// audit log as action. Failures of sources are in the results, which are in the
// order of the configuration; a source that failed keeps its former packages.
// Errors: those of Select, aptrepo.ErrUnavailable, ctx's.
func (im *Importer) Sync(ctx context.Context, action string, s Scope, progress Progress) ([]SourceResult, error) {
	sources, err := im.Select(s)
	if err != nil {
		return nil, err
	}
	former, err := im.states(ctx)
	if err != nil {
		return nil, err
	}
	results := make([]SourceResult, len(sources))
	var done atomic.Int64
	im.each(len(sources), func(i int) {
		if progress != nil {
			progress(int(done.Load()), len(sources), sources[i].ID)
		}
		results[i] = im.sync(ctx, sources[i])
		if n := int(done.Add(1)); progress != nil {
			progress(n, len(sources), sources[i].ID)
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := im.RefreshOffers(ctx); err != nil {
		return nil, err
	}
	return results, im.recordSync(ctx, action, s, results, former)
}

func (im *Importer) sync(ctx context.Context, source upstream.Source) SourceResult {
	im.syncing.Store(source.ID, true)
	defer im.syncing.Delete(source.ID)
	syncer := &upstream.Syncer{
		Client: im.client(), Keyrings: im.Keyrings, Catalog: im.Catalog, Dir: im.Cache, Now: im.Now, Logger: im.logger(),
	}
	out, err := syncer.Sync(ctx, source)
	return SourceResult{SourceID: source.ID, NotModified: out.NotModified, PackageCount: out.PackageCount, Err: err}
}

func (im *Importer) recordSync(ctx context.Context, action string, s Scope, results []SourceResult, former map[string]upstream.State) error {
	var failures []aptrepo.Event
	for _, r := range results {
		if r.Err != nil {
			code, detail := told(r.Err)
			failures = append(failures, aptrepo.Event{
				Kind: aptrepo.EventSyncFailed, SourceID: r.SourceID, Code: code, Detail: detail, LastSync: former[r.SourceID].LastSync,
			})
		}
	}
	failed := len(failures)
	e := aptrepo.AuditEntry{
		Action: action, Result: aptrepo.ResultSuccess, Target: s.SourceID,
		Detail: fmt.Sprintf("ok=%d failed=%d", len(results)-failed, failed),
	}
	switch {
	case failed == len(results):
		e.Result = aptrepo.ResultFailure
	case failed > 0:
		e.Result = aptrepo.ResultPartial
	}
	return im.Repo.Record(context.WithoutCancel(ctx), e, failures...)
}

// told is what an event says of the failure of a source. What is no fault of
// the source is for the log.
func told(err error) (code, detail string) {
	var f *upstream.Failure
	if errors.As(err, &f) {
		return string(f.Code), f.Detail
	}
	return "internal_error", "Internal server error"
}

// A SourceStatus is a configured source and how its syncs went.
type SourceStatus struct {
	upstream.Source
	State   upstream.State
	Syncing bool // on this server, now
}

// Status returns all configured sources, by ID.
func (im *Importer) Status(ctx context.Context) ([]SourceStatus, error) {
	states, err := im.states(ctx)
	if err != nil {
		return nil, err
	}
	var list []SourceStatus
	for _, source := range im.sources() {
		st, known := states[source.ID]
		if !known {
			st = upstream.State{SourceID: source.ID, Status: upstream.Never}
		}
		_, syncing := im.syncing.Load(source.ID)
		list = append(list, SourceStatus{source, st, syncing})
	}
	slices.SortFunc(list, func(a, b SourceStatus) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// LastAttempt is when a source was last synced, with or without success; zero
// for never.
func LastAttempt(list []SourceStatus) time.Time {
	var last time.Time
	for _, s := range list {
		if s.State.LastAttempt.After(last) {
			last = s.State.LastAttempt
		}
	}
	return last
}

// SourcesChanged drops what was fetched of sources that are gone, or that read
// something else now: another URL, suite, component or architecture. Call it
// when the configuration has changed.
func (im *Importer) SourcesChanged(ctx context.Context, before, after []upstream.Source) error {
	var errs []error
	for _, old := range before {
		i := slices.IndexFunc(after, func(s upstream.Source) bool { return s.ID == old.ID })
		if i < 0 || !old.SameContents(after[i]) {
			errs = append(errs, im.Catalog.ForgetSource(ctx, old.ID))
		}
	}
	return errors.Join(errs...)
}
