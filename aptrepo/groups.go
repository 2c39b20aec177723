package aptrepo

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A Group is a label on artifacts: those that were imported together. An
// artifact has at most one.
type Group struct {
	Name      string // ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$
	CreatedAt time.Time
	CreatedBy string // actor's name
	// Artifacts are those that bear the label, by name, version and
	// architecture. Tx.PutGroup ignores them.
	Artifacts []Artifact
}

// Groups lists all groups by name.
func (r *Repo) Groups(ctx context.Context) ([]Group, error) { return r.Store.Groups(ctx) }

// Label puts artifacts into a group, which is made if there is none of that
// name. Unknown keys are ignored. Errors: ErrNameScope.
func (r *Repo) Label(ctx context.Context, group string, keys []Key) error {
	return r.Store.Update(ctx, func(tx Tx) error {
		for _, key := range keys {
			if !ActorFrom(ctx).MayName(key.Name) {
				return ErrNameScope
			}
			a, err := tx.Artifact(key)
			if errors.Is(err, ErrArtifactNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if err := r.label(ctx, tx, &a, group); err != nil {
				return err
			}
		}
		return nil
	})
}

// label puts an artifact into a group, if there is one to put it into.
func (r *Repo) label(ctx context.Context, tx Tx, a *Artifact, group string) error {
	if group == "" || a.Group == group {
		return nil
	}
	g := Group{Name: group, CreatedAt: r.now().UTC().Truncate(time.Second), CreatedBy: ActorFrom(ctx).Name}
	if err := tx.PutGroup(g); err != nil {
		return err
	}
	a.Group = group
	return tx.SetGroup(a.ID, group)
}

// DeleteGroup takes the label from all artifacts of a group. With unpublish it
// also takes them out of every distribution. Errors: ErrGroupNotFound;
// ErrNameScope when one of them is outside the actor's scope, ErrScope when it is
// to be taken out of a distribution that is.
func (r *Repo) DeleteGroup(ctx context.Context, name string, unpublish bool) error {
	b := r.NewBatch()
	err := r.Store.Update(ctx, func(tx Tx) error {
		members, err := tx.DeleteGroup(name)
		if err != nil {
			return err
		}
		for _, a := range members {
			if !ActorFrom(ctx).MayName(a.Name) {
				return ErrNameScope
			}
			if !unpublish {
				continue
			}
			if err := r.unpublishAll(ctx, tx, a, b.last); err != nil {
				return err
			}
		}
		if unpublish {
			published := slices.DeleteFunc(members, func(a Artifact) bool { return len(a.Publications) == 0 })
			if b.events, err = r.tellDeleted(ctx, tx, published); err != nil {
				return err
			}
		}
		e := r.audit(ctx, "import.group_delete", ResultSuccess)
		e.Target = name
		return tx.Audit(e)
	})
	if err != nil {
		r.auditFailure(ctx, "import.group_delete", AuditEntry{Target: name}, err)
		return err
	}
	return b.Publish(ctx)
}

// unpublishAll takes an artifact out of every distribution and notes in last what
// is to be published.
func (r *Repo) unpublishAll(ctx context.Context, tx Tx, a Artifact, last map[string]int64) error {
	if err := ActorFrom(ctx).mayWriteAll(a.Publications); err != nil {
		return err
	}
	if err := takeOutEverywhere(tx, a, last); err != nil {
		return err
	}
	for _, codename := range a.Distributions() {
		e := r.audit(ctx, "package.unpublish", ResultSuccess)
		e.Target, e.Package, e.Version, e.Detail = codename, a.Name, a.Version, a.Arch
		if err := tx.Audit(e); err != nil {
			return err
		}
	}
	return nil
}
