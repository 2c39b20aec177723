package aptrepo

import (
	"context"
	"fmt"
	"slices"

	"github.com/repod-io/repod/aptrepo/retention"
	"github.com/repod-io/repod/deb"
)

// A leaving is an artifact on its way out of a distribution.
type leaving struct {
	PublishedVersion
	reason retention.Reason
	places int // its publications in the distribution
}

// packages takes versions out of every distribution.
func (run *retiring) packages(ctx context.Context) error {
	if run.rules.None() {
		return nil
	}
	all, err := run.repo.Store.Distributions(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if err := run.distribution(ctx, d); err != nil {
			return fmt.Errorf("distribution %s: %w", d.Codename, err)
		}
	}
	return nil
}

// distribution looks at the publications of a distribution, a name at a time, and
// has those names dealt with of which something leaves.
func (run *retiring) distribution(ctx context.Context, d Distribution) error {
	var names []string // to be dealt with
	var group []PublishedVersion
	due, seen := 0, 0
	flush := func() error {
		out := run.plan(group)
		group = group[:0]
		if len(out) > 0 {
			if run.options.DryRun {
				run.foresee(out)
				return nil
			}
			names, due = append(names, out[0].Name), due+len(out)
		}
		if due < removalsPerUpdate {
			return nil
		}
		err := run.retire(ctx, d.Codename, names)
		names, due = nil, 0
		run.progress(seen, d.ArtifactCount)
		return err
	}
	for v, err := range run.repo.Store.EachPublishedVersion(ctx, d.Codename) {
		if err != nil {
			return err
		}
		if len(group) > 0 && group[0].Name != v.Name {
			if err := flush(); err != nil {
				return err
			}
		}
		group = append(group, v)
		seen++
	}
	if err := flush(); err != nil || names == nil {
		return err
	}
	return run.retire(ctx, d.Codename, names)
}

func (run *retiring) progress(done, total int) {
	if run.options.Progress != nil {
		run.options.Progress(done, max(done, total))
	}
}

// plan returns which of the publications of one name in one distribution leave.
func (run *retiring) plan(group []PublishedVersion) []leaving {
	if len(group) < 2 {
		return nil
	}
	var out []leaving
	byArch := make(map[string][]leaving)
	var archs []string
	for _, v := range group {
		artifacts := byArch[v.Arch]
		if artifacts == nil {
			archs = append(archs, v.Arch)
		}
		// Those of one artifact, in several components, follow each other.
		if n := len(artifacts) - 1; n >= 0 && artifacts[n].ID == v.ID {
			artifacts[n].also(v.Publication)
			continue
		}
		byArch[v.Arch] = append(artifacts, leaving{PublishedVersion: v, places: 1})
	}
	slices.Sort(archs)
	for _, arch := range archs {
		artifacts := byArch[arch]
		versions := make([]retention.Version, len(artifacts))
		for i, a := range artifacts {
			v, err := deb.ParseVersion(a.Version)
			if err != nil { // the gate takes none such: nothing can be said of them
				return nil
			}
			versions[i] = retention.Version{Version: v, Published: a.Publication.PublishedAt, Promoted: a.Publication.Promoted}
		}
		for i, reason := range run.rules.Plan(versions, run.report.RanAt) {
			if reason != retention.Stays {
				artifacts[i].reason = reason
				out = append(out, artifacts[i])
			}
		}
	}
	return out
}

// also notes another component in which the artifact is published.
func (l *leaving) also(p Publication) {
	l.places++
	l.Publication.Promoted = l.Publication.Promoted || p.Promoted
	if p.PublishedAt.Before(l.Publication.PublishedAt) {
		l.Publication.PublishedAt = p.PublishedAt
	}
}

// retire takes out of a distribution what leaves of some names, as the rules have
// it at that moment.
func (run *retiring) retire(ctx context.Context, codename string, names []string) error {
	var gone []leaving
	var deleted int
	var freed, last int64
	err := run.repo.Store.Update(ctx, func(tx Tx) error {
		published, err := tx.PublishedVersions(codename, names)
		if err != nil {
			return err
		}
		for first := 0; first < len(published); {
			end := first + 1
			for end < len(published) && published[end].Name == published[first].Name {
				end++
			}
			gone = append(gone, run.plan(published[first:end])...)
			first = end
		}
		for _, l := range gone {
			seq, dead, err := run.takeOut(ctx, tx, l)
			if err != nil {
				return err
			}
			last = max(last, seq)
			if dead {
				deleted, freed = deleted+1, freed+l.Size
			}
		}
		return run.emptied(tx, codename, len(gone))
	})
	if err != nil {
		return err
	}
	if last > 0 {
		run.batch.last[codename] = max(run.batch.last[codename], last)
	}
	for _, l := range gone {
		run.report.add(l)
	}
	run.report.Deleted += deleted
	run.report.FreedBytes += freed
	return nil
}

// takeOut takes an artifact out of a distribution, and deletes it if it was in no
// other.
func (run *retiring) takeOut(ctx context.Context, tx Tx, l leaving) (seq int64, deleted bool, err error) {
	a, err := tx.Artifact(KeyOf(l.Name, l.Version, l.Arch))
	if err != nil {
		return 0, false, err
	}
	codename := l.Publication.Distribution
	if seq, err = takeOut(tx, a, codename, ""); err != nil {
		return 0, false, err
	}
	e := run.repo.audit(ctx, "package.unpublish", ResultSuccess)
	e.Target, e.Package, e.Version = codename, a.Name, a.Version
	e.Detail = fmt.Sprintf("%s retention %s", a.Arch, l.reason)
	if err := tx.Audit(e); err != nil || len(a.Distributions()) > 1 {
		return seq, false, err
	}
	if err := run.repo.entomb(tx, a, false); err != nil {
		return 0, false, err
	}
	e.Action, e.Target = "package.delete", ""
	return seq, true, tx.Audit(e)
}

// emptied returns ErrWouldEmpty when nothing is left of a distribution that
// something left.
func (run *retiring) emptied(tx Tx, codename string, removed int) error {
	if removed == 0 || run.options.Force {
		return nil
	}
	d, err := tx.Distribution(codename)
	if err == nil && d.ArtifactCount == 0 {
		err = ErrWouldEmpty
	}
	return err
}

func (rep *RetentionReport) add(l leaving) {
	rep.Removed = append(rep.Removed, Retired{
		Name: l.Name, Version: l.Version, Arch: l.Arch, Distribution: l.Publication.Distribution, Reason: l.reason, Size: l.Size,
	})
}
