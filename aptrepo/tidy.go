package aptrepo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// rejected deletes the records of what was rejected long ago.
func (run *retiring) rejected(ctx context.Context) error {
	keys, err := run.repo.longRejected(ctx)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(keys, removalsPerUpdate) {
		n := 0
		err := run.repo.Store.Update(ctx, func(tx Tx) error {
			for _, key := range part {
				gone, err := run.repo.forgetRejected(ctx, tx, key)
				if err != nil {
					return err
				}
				if gone {
					n++
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		run.report.Rejected += n
	}
	return nil
}

// longRejected returns the keys of what was rejected long ago.
func (r *Repo) longRejected(ctx context.Context) (keys []Key, err error) {
	for page := 1; ; page++ {
		rows, err := r.Store.ArtifactRows(ctx, PackageQuery{Status: Rejected, Page: page, PerPage: removalBatch})
		if err != nil {
			return nil, err
		}
		for _, a := range rows.Items {
			if r.now().Sub(a.UploadedAt) < rejectedKept {
				continue
			}
			decisions, err := r.Store.Decisions(ctx, a.Key())
			if err != nil {
				return nil, err
			}
			if r.now().Sub(rejectedSince(&a, decisions)) >= rejectedKept {
				keys = append(keys, a.Key())
			}
		}
		if page*removalBatch >= rows.Total {
			return keys, nil
		}
	}
}

// rejectedSince is when a rejected artifact came, or was decided about last.
func rejectedSince(a *Artifact, newestFirst []Decision) time.Time {
	if len(newestFirst) > 0 && newestFirst[0].DecidedAt.After(a.UploadedAt) {
		return newestFirst[0].DecidedAt
	}
	return a.UploadedAt
}

// forgetRejected deletes the record of a package, unless it is rejected no more or
// has been so for a short time only. Its key is free then, as that of a rejected
// package is; its file goes with the next sweep.
func (r *Repo) forgetRejected(ctx context.Context, tx Tx, key Key) (bool, error) {
	a, err := tx.Artifact(key)
	if errors.Is(err, ErrArtifactNotFound) {
		return false, nil
	}
	if err != nil || a.Status != Rejected {
		return false, err
	}
	decisions, err := tx.Decisions(key)
	if err != nil || r.now().Sub(rejectedSince(&a, decisions)) < rejectedKept {
		return false, err
	}
	if err := deleteArtifact(tx, a); err != nil {
		return false, err
	}
	if err := tx.ScheduleRemoval(a.Filename, r.now().UTC().Truncate(time.Second)); err != nil {
		return false, err
	}
	e := r.audit(ctx, "package.delete", ResultSuccess)
	e.Package, e.Version, e.Detail = a.Name, a.Version, a.Arch+" retention rejected"
	return true, tx.Audit(e)
}

// lostFound begins the keys of what was moved away, see Fsck.
const lostFound = "lost+found/"

// orphans moves files away that nothing names: neither an artifact nor a removal
// that is due later. A young one may belong to an upload that goes on, and after
// the database was restored from a backup an old one is worth having: therefore
// they are kept for a time.
func (run *retiring) orphans(ctx context.Context) error {
	r := run.repo
	var free []string
	for _, prefix := range []string{"pool/", heldPrefix} {
		err := r.oldFiles(ctx, prefix, r.keep(), func(names []string) error {
			unnamed, err := r.unnamed(ctx, names)
			free = append(free, unnamed...)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := r.moveOrphans(ctx, free); err != nil {
		return err
	}
	return r.oldFiles(ctx, lostFound, rejectedKept, func(names []string) error {
		for _, name := range names {
			if strings.HasPrefix(name, lostFound+auditArchive) {
				continue // of that, somebody must know
			}
			if err := r.Storage.Delete(ctx, name); err != nil {
				return storageError(err)
			}
		}
		return nil
	})
}

// oldFiles calls f with the names of files that are older than a time, some
// hundred at once.
func (r *Repo) oldFiles(ctx context.Context, prefix string, age time.Duration, f func(names []string) error) error {
	before := r.now().Add(-age)
	var names []string
	for info, err := range r.Storage.List(ctx, prefix) {
		if err != nil {
			return storageError(err)
		}
		if info.ModTime.Before(before) {
			names = append(names, info.Key)
		}
		if len(names) == removalBatch {
			if err := f(names); err != nil {
				return err
			}
			names = names[:0]
		}
	}
	if len(names) == 0 {
		return nil
	}
	return f(names)
}

// unnamed returns those files that no artifact names.
func (r *Repo) unnamed(ctx context.Context, names []string) (free []string, err error) {
	err = r.Store.Update(ctx, func(tx Tx) error {
		for _, name := range names {
			taken, err := tx.FilenameTaken(name)
			if err != nil {
				return err
			}
			if !taken {
				free = append(free, name)
			}
		}
		return nil
	})
	return free, err
}

// moveOrphans moves files away that no artifact names, unless their removal is
// noted: who deletes an artifact does that in the same transaction.
func (r *Repo) moveOrphans(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	pending, err := r.Store.DueRemovals(ctx, r.now().Add(100*365*24*time.Hour), 1<<31)
	if err != nil {
		return err
	}
	noted := make(map[string]bool, len(pending))
	for _, name := range pending {
		noted[name] = true
	}
	c := &checker{repo: r, options: FsckOptions{Repair: true}}
	for _, name := range names {
		if noted[name] {
			continue
		}
		if err := c.orphan(ctx, name); err != nil {
			return err
		}
	}
	for _, f := range c.report.Faults {
		r.logger().WarnContext(ctx, "a file in the pool belonged to nothing", "file", f.Detail)
	}
	return nil
}
