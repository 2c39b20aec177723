package aptrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Promote publishes one version of a package, in one or all of its
// architectures, in a second distribution; the first keeps it. It returns a
// Move for each architecture; the target has all of them or, on an error,
// none. Retention never takes out of the target what was promoted there.
//
// Errors: ErrScope, ErrNameScope, ErrSameDistribution, ErrUnknownDistribution,
// ErrPackageNotFound, ErrVersionNotFound (also: not in From),
// ErrNotPublished (anywhere), ErrUnknownComponent, ErrUnsupportedArch, a
// *RefusedError with ErrBlocked.
func (r *Repo) Promote(ctx context.Context, o PromoteOptions) ([]Move, error) {
	var moves []Move
	var told []Event
	var seq int64
	about := AuditEntry{Target: o.From + " -> " + o.To, Package: o.Name, Version: o.Version}
	artifacts, err := r.find(ctx, o.Selection)
	var blocked map[int64]error
	if err == nil || notFound(err) { // which is told in its turn
		blocked, err = r.blocked(ctx, o.To, artifacts)
	}
	if err != nil {
		r.auditFailure(ctx, "distribution.promote", about, err)
		return nil, err
	}
	err = r.between(ctx, o.From, o.To, func(tx Tx, target Distribution) error {
		if !ActorFrom(ctx).MayName(o.Name) {
			return ErrNameScope
		}
		artifacts, err := selected(tx, o.Selection)
		if err != nil {
			return err
		}
		if moves, err = promotions(artifacts, o, target); err != nil {
			return err
		}
		for _, m := range moves {
			if refused := blocked[m.Artifact.ID]; refused != nil {
				return refused
			}
		}
		if seq, err = r.copyInto(tx, o.To, moves, true); err != nil {
			return err
		}
		if told, err = r.tellMoved(ctx, tx, o.From, o.To, moves); err != nil {
			return err
		}
		e := r.audit(ctx, "distribution.promote", ResultSuccess)
		e.Target, e.Package, e.Version = about.Target, about.Package, about.Version
		e.Detail = summary(moves)
		return tx.Audit(e)
	})
	if err != nil {
		r.auditFailure(ctx, "distribution.promote", about, err)
		return nil, err
	}
	return moves, r.finishMoves(ctx, o.To, told, seq)
}

// blocked returns what the policy of a distribution keeps out, of artifacts that
// are published elsewhere, by their ID.
func (r *Repo) blocked(ctx context.Context, codename string, artifacts []Artifact) (map[int64]error, error) {
	d, err := r.distribution(ctx, codename)
	if errors.Is(err, ErrUnknownDistribution) {
		return nil, nil // it is told in its turn
	}
	if err != nil {
		return nil, err
	}
	blocked := make(map[int64]error)
	for i := range artifacts {
		if len(artifacts[i].Publications) == 0 {
			continue
		}
		err := r.admits(ctx, &artifacts[i], d)
		var refused *RefusedError
		if errors.As(err, &refused) {
			blocked[artifacts[i].ID] = &RefusedError{Cause: ErrBlocked, Scan: refused.Scan}
		} else if err != nil {
			return nil, err
		}
	}
	return blocked, nil
}

// between runs f in a transaction on two distributions that exist, differ and
// are within the actor's scope as far as to is concerned.
func (r *Repo) between(ctx context.Context, from, to string, f func(tx Tx, target Distribution) error) error {
	if !ActorFrom(ctx).MayWrite(to) {
		return ErrScope
	}
	if from == to {
		return ErrSameDistribution
	}
	return r.Store.Update(ctx, func(tx Tx) error {
		if _, err := tx.Distribution(from); err != nil {
			return err
		}
		target, err := tx.Distribution(to)
		if err != nil {
			return err
		}
		return f(tx, target)
	})
}

// selected returns the artifacts that a selection names.
func selected(tx Tx, s Selection) ([]Artifact, error) {
	versions, err := tx.Versions(s.Name, s.Version)
	if err != nil {
		return nil, err
	}
	artifacts := slices.DeleteFunc(versions, func(a Artifact) bool { return s.Arch != "" && a.Arch != s.Arch })
	if len(artifacts) > 0 {
		return artifacts, nil
	}
	known, err := tx.Known(s.Name)
	switch {
	case err != nil:
		return nil, err
	case known:
		return nil, ErrVersionNotFound
	}
	return nil, ErrPackageNotFound
}

// promotions says what Promote does with each artifact that lies in o.From.
func promotions(artifacts []Artifact, o PromoteOptions, target Distribution) ([]Move, error) {
	anywhere := slices.ContainsFunc(artifacts, func(a Artifact) bool { return len(a.Publications) > 0 })
	if !anywhere {
		return nil, ErrNotPublished
	}
	var moves []Move
	for _, a := range artifacts {
		for _, p := range a.Publications {
			if p.Distribution != o.From {
				continue
			}
			component := o.Component
			if component == "" {
				component = p.Component
			}
			m := move(a, component, target)
			switch m.Outcome {
			case OutcomeArch:
				return nil, fmt.Errorf("%w: %s", ErrUnsupportedArch, a.Arch)
			case OutcomeNoComponent:
				return nil, fmt.Errorf("%w: %s", ErrUnknownComponent, component)
			}
			if !slices.ContainsFunc(moves, m.same) {
				moves = append(moves, m)
			}
		}
	}
	if moves == nil {
		return nil, fmt.Errorf("%w: %s %s is not in %s", ErrVersionNotFound, o.Name, o.Version, o.From)
	}
	return moves, nil
}

func (m Move) same(n Move) bool { return m.Artifact.ID == n.Artifact.ID && m.Component == n.Component }

// move says what happens to an artifact that shall enter a component.
func move(a Artifact, component string, target Distribution) Move {
	m := Move{Artifact: a, Component: component, Outcome: Copied}
	switch {
	case !target.takes(a.Arch):
		m.Outcome = OutcomeArch
	case !slices.Contains(target.Components, component):
		m.Outcome = OutcomeNoComponent
	case slices.ContainsFunc(a.Publications, func(p Publication) bool {
		return p.Distribution == target.Codename && p.Component == component
	}):
		m.Outcome = AlreadyPresent
	}
	return m
}

// copyInto publishes what moves say and returns the change after which all of
// it is published, also what lay there already: a former attempt may have
// failed between recording and publishing it. byHand tells retention that these
// versions were chosen, not moved along with all others.
func (r *Repo) copyInto(tx Tx, codename string, moves []Move, byHand bool) (int64, error) {
	var last int64
	at := r.now().UTC().Truncate(time.Second)
	for i, m := range moves {
		if m.Outcome != Copied && m.Outcome != AlreadyPresent {
			continue
		}
		seq, added, err := tx.AddPublication(m.Artifact.ID, Publication{codename, m.Component, at, byHand})
		if err != nil {
			return 0, err
		}
		if !added {
			moves[i].Outcome = AlreadyPresent
		}
		last = max(last, seq)
	}
	return last, nil
}

// tellMoved tells of what was copied.
func (r *Repo) tellMoved(ctx context.Context, tx Tx, from, to string, moves []Move) ([]Event, error) {
	var events []Event
	for i := range moves {
		if m := &moves[i]; m.Outcome == Copied {
			events = append(events, Event{Kind: EventPackagePromoted, Artifact: &m.Artifact,
				From: from, Distribution: to, Component: m.Component})
		}
	}
	return r.tellAll(ctx, tx, events)
}

// finishMoves publishes what was copied.
func (r *Repo) finishMoves(ctx context.Context, to string, told []Event, seq int64) error {
	if err := r.publisher(to).publish(ctx, seq); err != nil {
		return err
	}
	r.emit(ctx, told...)
	return nil
}

// summary counts moves by outcome, for the audit log.
func summary(moves []Move) string {
	var parts []string
	for _, o := range []Outcome{Copied, AlreadyPresent, OutcomeArch, OutcomeNoComponent, OutcomeBlocked} {
		n := 0
		for _, m := range moves {
			if m.Outcome == o {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", o, n))
		}
	}
	return strings.Join(parts, " ")
}

// Migrate publishes all versions and architectures of some or all packages of
// one distribution in another, each in its component. What the target cannot
// take is reported and stays behind; both distributions are published once.
//
// Errors: ErrScope, ErrNameScope (one of the packages is outside the actor's
// scope), ErrSameDistribution, ErrUnknownDistribution, ErrPackageNotFound when
// none of the names is in From.
func (r *Repo) Migrate(ctx context.Context, o MigrateOptions) (Migration, error) {
	var out Migration
	var told []Event
	var added, removed int64
	about := AuditEntry{Target: o.From + " -> " + o.To}
	var artifacts []Artifact
	err := r.Store.Update(ctx, func(tx Tx) (err error) {
		artifacts, err = tx.PublishedIn(o.From, o.Names)
		return err
	})
	var blocked map[int64]error
	if err == nil {
		blocked, err = r.blocked(ctx, o.To, artifacts)
	}
	if err != nil {
		r.auditFailure(ctx, "distribution.migrate", about, err)
		return Migration{}, err
	}
	err = r.between(ctx, o.From, o.To, func(tx Tx, target Distribution) error {
		if o.RemoveSource && !ActorFrom(ctx).MayWrite(o.From) {
			return ErrScope
		}
		artifacts, err := tx.PublishedIn(o.From, o.Names)
		if err != nil {
			return err
		}
		outside := func(a Artifact) bool { return !ActorFrom(ctx).MayName(a.Name) }
		if slices.ContainsFunc(artifacts, outside) {
			return ErrNameScope
		}
		out = migration(artifacts, o, target)
		for i := range out.Moves {
			if m := &out.Moves[i]; m.Outcome == Copied && blocked[m.Artifact.ID] != nil {
				m.Outcome = OutcomeBlocked
			}
		}
		if len(o.Names) > 0 && len(artifacts) == 0 {
			return ErrPackageNotFound
		}
		if added, err = r.copyInto(tx, o.To, out.Moves, false); err != nil {
			return err
		}
		if told, err = r.tellMoved(ctx, tx, o.From, o.To, out.Moves); err != nil {
			return err
		}
		if o.RemoveSource {
			if removed, err = removeMoved(tx, o.From, out.Moves); err != nil {
				return err
			}
		}
		e := r.audit(ctx, "distribution.migrate", out.result())
		e.Target, e.Detail = about.Target, summary(out.Moves)
		return tx.Audit(e)
	})
	if err != nil {
		r.auditFailure(ctx, "distribution.migrate", about, err)
		return Migration{}, err
	}
	return out, errors.Join(
		r.finishMoves(ctx, o.To, told, added),
		r.publisher(o.From).publish(ctx, removed))
}

func migration(artifacts []Artifact, o MigrateOptions, target Distribution) Migration {
	var out Migration
	found := make(map[string]bool)
	for _, a := range artifacts {
		found[a.Name] = true
		for _, p := range a.Publications {
			if p.Distribution == o.From {
				out.Moves = append(out.Moves, move(a, p.Component, target))
			}
		}
	}
	for _, name := range o.Names {
		if !found[name] {
			out.Missing = append(out.Missing, name)
		}
	}
	return out
}

// result is the audited result of a migration.
func (m *Migration) result() string {
	left := slices.ContainsFunc(m.Moves, func(m Move) bool { return m.Outcome != Copied && m.Outcome != AlreadyPresent })
	if left || len(m.Missing) > 0 {
		return ResultPartial
	}
	return ResultSuccess
}

func removeMoved(tx Tx, from string, moves []Move) (int64, error) {
	var last int64
	for _, m := range moves {
		if m.Outcome != Copied && m.Outcome != AlreadyPresent {
			continue
		}
		seq, removed, err := tx.RemovePublication(m.Artifact.ID, from, m.Component)
		if err != nil {
			return 0, err
		}
		if removed {
			last = seq
		}
	}
	return last, nil
}
