package aptrepo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Unpublish takes a version, in one or all architectures and components, out
// of one distribution. It stays known and can be published again. The
// artifacts returned are those taken out.
//
// Errors: ErrScope, ErrNameScope, ErrUnknownDistribution, ErrPackageNotFound,
// ErrVersionNotFound (also: not in that distribution).
func (r *Repo) Unpublish(ctx context.Context, o UnpublishOptions) ([]Artifact, error) {
	var gone []Artifact
	var told []Event
	var last int64
	about := AuditEntry{Target: o.Distribution, Package: o.Name, Version: o.Version}
	err := r.Store.Update(ctx, func(tx Tx) error {
		if !ActorFrom(ctx).MayWrite(o.Distribution) {
			return ErrScope
		}
		if !ActorFrom(ctx).MayName(o.Name) {
			return ErrNameScope
		}
		if _, err := tx.Distribution(o.Distribution); err != nil {
			return err
		}
		artifacts, err := selected(tx, o.Selection)
		if err != nil {
			return err
		}
		for _, a := range artifacts {
			seq, err := takeOut(tx, a, o.Distribution, o.Component)
			if err != nil {
				return err
			}
			if seq > 0 {
				gone, last = append(gone, a), seq
			}
		}
		if gone == nil {
			return ErrVersionNotFound
		}
		for i := range gone {
			e, err := r.tell(ctx, tx, Event{Kind: EventPackageDeleted, Artifact: &gone[i], Distributions: []string{o.Distribution}})
			if err != nil {
				return err
			}
			told = append(told, e)
		}
		e := r.audit(ctx, "package.unpublish", ResultSuccess)
		e.Target, e.Package, e.Version = about.Target, about.Package, about.Version
		e.Detail = archList(gone)
		return tx.Audit(e)
	})
	if err != nil {
		r.auditFailure(ctx, "package.unpublish", about, err)
		return nil, r.alreadyGone(ctx, err)
	}
	if err := r.publisher(o.Distribution).publish(ctx, last); err != nil {
		return nil, err
	}
	r.emit(ctx, told...)
	return gone, nil
}

// alreadyGone returns the error of a removal that did nothing. An earlier try may
// have taken out what this one does not find, and have failed to publish that:
// then it is published first, so that who is told that something is not there
// can rely on apt not finding it either.
func (r *Repo) alreadyGone(ctx context.Context, err error) error {
	if !errors.Is(err, ErrPackageNotFound) && !errors.Is(err, ErrVersionNotFound) {
		return err
	}
	heads, failed := r.Store.Heads(ctx)
	if failed != nil {
		return failed
	}
	for codename, h := range heads {
		if h.AppliedSeq < h.LastSeq {
			failed = errors.Join(failed, r.publisher(codename).publish(ctx, h.LastSeq))
		}
	}
	if failed != nil {
		return failed
	}
	return err
}

// tellDeleted tells of artifacts that leave all distributions.
func (r *Repo) tellDeleted(ctx context.Context, tx Tx, gone []Artifact) ([]Event, error) {
	var events []Event
	for i := range gone {
		events = append(events, Event{Kind: EventPackageDeleted, Artifact: &gone[i], Distributions: gone[i].Distributions()})
	}
	return r.tellAll(ctx, tx, events)
}

// takeOut removes an artifact from a component of a distribution, or from all
// when component is "", and returns the last change, 0 when there was none.
func takeOut(tx Tx, a Artifact, codename, component string) (int64, error) {
	var last int64
	for _, p := range a.Publications {
		if p.Distribution != codename || component != "" && p.Component != component {
			continue
		}
		seq, removed, err := tx.RemovePublication(a.ID, codename, p.Component)
		if err != nil {
			return 0, err
		}
		if removed {
			last = seq
		}
	}
	return last, nil
}

// takeOutEverywhere removes an artifact from all distributions and notes in last
// what is to be published.
func takeOutEverywhere(tx Tx, a Artifact, last map[string]int64) error {
	for _, codename := range a.Distributions() {
		seq, err := takeOut(tx, a, codename, "")
		if err != nil {
			return err
		}
		last[codename] = max(last[codename], seq)
	}
	return nil
}

func archList(artifacts []Artifact) string {
	var names []string
	for _, a := range artifacts {
		names = append(names, a.Arch)
	}
	return strings.Join(names, " ")
}

// Delete takes a version, in one or all architectures, out of every
// distribution and every listing. Its file can be fetched for
// KeepGenerations longer. Name, version, architecture and hash stay on
// record: the same bytes may come back, others give ErrConflict for ever,
// unless Forget is set.
//
// Errors: ErrScope (published outside the actor's scope), ErrNameScope,
// ErrPackageNotFound, ErrVersionNotFound. With Forget, versions deleted before are found too.
func (r *Repo) Delete(ctx context.Context, o DeleteOptions) ([]Artifact, error) {
	var gone []Artifact
	b := r.NewBatch()
	about := AuditEntry{Package: o.Name, Version: o.Version}
	err := r.Store.Update(ctx, func(tx Tx) error {
		if !ActorFrom(ctx).MayName(o.Name) {
			return ErrNameScope
		}
		artifacts, err := selected(tx, o.Selection)
		if err != nil {
			if o.Forget {
				return r.forgetDead(ctx, tx, o, err)
			}
			return err
		}
		gone = artifacts
		for _, a := range artifacts {
			if err := r.bury(ctx, tx, a, o.Forget, b.last); err != nil {
				return err
			}
		}
		if b.events, err = r.tellDeleted(ctx, tx, gone); err != nil {
			return err
		}
		e := r.audit(ctx, "package.delete", ResultSuccess)
		e.Package, e.Version, e.Detail = about.Package, about.Version, archList(gone)
		if o.Forget {
			e.Detail += " forget"
		}
		return tx.Audit(e)
	})
	if err != nil {
		r.auditFailure(ctx, "package.delete", about, err)
		return nil, r.alreadyGone(ctx, err)
	}
	if err := b.Publish(ctx); err != nil {
		return nil, err
	}
	return gone, nil
}

// bury deletes one artifact and notes in last what is to be published.
func (r *Repo) bury(ctx context.Context, tx Tx, a Artifact, forget bool, last map[string]int64) error {
	targets, err := tx.Targets(a.ID)
	if err != nil {
		return err
	}
	if err := ActorFrom(ctx).mayWriteAll(slices.Concat(a.Publications, targets)); err != nil {
		return err
	}
	if err := takeOutEverywhere(tx, a, last); err != nil {
		return err
	}
	return r.entomb(tx, a, forget)
}

// entomb deletes an artifact that is published nowhere. Its file can be fetched
// for a time, and its key is taken for ever unless that is to be forgotten.
func (r *Repo) entomb(tx Tx, a Artifact, forget bool) error {
	if err := deleteArtifact(tx, a); err != nil {
		return err
	}
	now := r.now().UTC().Truncate(time.Second)
	if err := tx.ScheduleRemoval(a.Filename, now.Add(r.keep())); err != nil {
		return err
	}
	if forget {
		return tx.DeleteTombstone(a.Key())
	}
	return tx.PutTombstone(Tombstone{Key: a.Key(), SHA256: a.SHA256, DeletedAt: now})
}

// deleteArtifact deletes an artifact and ends the decisions about it: they were
// about its bytes, and others may come under its name.
func deleteArtifact(tx Tx, a Artifact) error {
	decisions, err := tx.Decisions(a.Key())
	if err != nil {
		return err
	}
	for _, d := range decisions {
		if !d.Active {
			continue
		}
		d.Active = false
		if err := tx.PutDecision(d); err != nil {
			return err
		}
	}
	return tx.DeleteArtifact(a.ID)
}

// forgetDead frees the key of a version that was deleted before. notFound is
// the error when there is none.
func (r *Repo) forgetDead(ctx context.Context, tx Tx, o DeleteOptions, notFound error) error {
	key := KeyOf(o.Name, o.Version, o.Arch)
	if _, err := tx.Tombstone(key); err != nil {
		if errors.Is(err, ErrArtifactNotFound) {
			return notFound
		}
		return err
	}
	if err := tx.DeleteTombstone(key); err != nil {
		return err
	}
	e := r.audit(ctx, "package.delete", ResultSuccess)
	e.Package, e.Version, e.Detail = o.Name, o.Version, o.Arch+" forget"
	return tx.Audit(e)
}
