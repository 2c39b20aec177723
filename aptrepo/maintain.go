package aptrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/repod-io/repod/index"
)

const (
	retryInterval = time.Second // how soon unpublished changes are tried again
	sweepInterval = time.Hour
	removalBatch  = 500

	// rejectedKept is how long somebody may still accept what was rejected.
	rejectedKept = 90 * 24 * time.Hour
)

// Recover publishes every change that was committed and not yet published,
// because a program or a machine stopped in between. It is the same code that
// publishes after an upload. It also sees to it that there is a signing key, and
// that nothing is published with a lower number or an earlier Date than what
// storage has: see [Repo.Restored]. Call it before serving.
func (r *Repo) Recover(ctx context.Context) error {
	if _, err := r.signer(ctx); err != nil {
		return err
	}
	if err := r.overtakeAll(ctx); err != nil {
		return err
	}
	return r.catchUpAll(ctx)
}

func (r *Repo) catchUpAll(ctx context.Context) error {
	heads, err := r.Store.Heads(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for codename, h := range heads {
		errs = append(errs, r.catchUp(ctx, codename, h))
	}
	return errors.Join(errs...)
}

func (r *Repo) catchUp(ctx context.Context, codename string, h Head) error {
	p := r.publisher(codename)
	var err error
	switch s := p.current.Load(); {
	case h.Generation == 0:
		err = p.ensure(ctx)
	case h.AppliedSeq < h.LastSeq:
		err = p.publish(ctx, h.LastSeq)
	case s == nil || s.gen.Number < h.Generation:
		_, err = p.refresh(ctx)
	}
	if err == nil && r.Materialise {
		err = p.rematerialise(ctx)
	}
	if err != nil {
		return fmt.Errorf("distribution %s: %w", codename, err)
	}
	return nil
}

// Run keeps the repository up until ctx ends: it publishes what an earlier
// failure left unpublished, takes over what other servers published, renews
// Valid-Until, signs anew when a key has retired, keeps the package of Keyring
// published, compacts indexes, sweeps files that nobody needs any more, and
// publishes bills of materials if Bills says so.
// Errors are logged and tried again. It returns ctx's error.
func (r *Repo) Run(ctx context.Context) error {
	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	if r.Bills != nil {
		var beside sync.WaitGroup
		defer beside.Wait()
		beside.Go(func() { r.runBills(ctx) })
	}
	nextSweep, nextMark := r.now(), r.now()
	failing := false
	for {
		select {
		case <-ctx.Done():
			r.markAtEnd(ctx)
			return ctx.Err()
		case <-retry.C:
		}
		minute := false
		if now := r.now(); !now.Before(nextMark) {
			minute = true
			nextMark = now.Add(markInterval)
			r.logMark(ctx, r.markAudit(ctx))
			if err := r.ExpireDecisions(ctx); err != nil && ctx.Err() == nil {
				r.logger().ErrorContext(ctx, "decisions could not be ended", "error", err)
			}
			if err := errors.Join(r.Remind(ctx), r.noteRetired(ctx), r.warnOfKeys(ctx)); err != nil && ctx.Err() == nil {
				r.logger().ErrorContext(ctx, "nobody could be reminded of what is about to end", "error", err)
			}
		}
		err := errors.Join(r.catchUpAll(ctx), r.renew(ctx), r.Compact(ctx))
		if err != nil && !failing && ctx.Err() == nil {
			r.logger().ErrorContext(ctx, "repository upkeep failed; it is tried again every second", "error", err)
		}
		failing = err != nil
		r.keepKeyring(ctx, minute)
		if now := r.now(); !failing && !now.Before(nextSweep) {
			nextSweep = now.Add(sweepInterval)
			if err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
				r.logger().ErrorContext(ctx, "sweeping failed", "error", err)
			}
		}
	}
}

// markAtEnd marks the end of the audit log once more.
func (r *Repo) markAtEnd(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r.logMark(ctx, r.markAudit(ctx))
}

func (r *Repo) logMark(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		r.logger().WarnContext(ctx, "the head of the audit log was not put into storage", "error", err)
	}
}

// Resign signs every distribution anew, as the keys and settings are now.
func (r *Repo) Resign(ctx context.Context) error {
	all, err := r.Store.Distributions(ctx)
	errs := []error{err}
	for _, d := range all {
		errs = append(errs, r.publisher(d.Codename).republish(ctx))
	}
	return errors.Join(errs...)
}

func (r *Repo) knownPublishers() []*publisher {
	s := r.shared()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*publisher
	for _, p := range s.publishers {
		all = append(all, p)
	}
	return all
}

// Compact brings the index files that have grown by many appends back into
// sorted order and large chunks. Publications go on meanwhile. Run calls it.
func (r *Repo) Compact(ctx context.Context) error {
	var errs []error
	for _, p := range r.knownPublishers() {
		s := p.current.Load()
		if s == nil {
			continue
		}
		for dir, log := range s.logs {
			if log.NeedsCompaction() {
				errs = append(errs, p.compact(ctx, dir, log))
			}
		}
	}
	return errors.Join(errs...)
}

// compact rewrites one log while others publish, then publishes the result
// with what came meanwhile. A log that has changed otherwise than by growing
// is left for the next time.
func (p *publisher) compact(ctx context.Context, dir string, base *index.Log) error {
	sorted, err := base.Compact(ctx, p.blobs)
	if err != nil {
		return fmt.Errorf("compacting %s of %s: %w", dir, p.codename, err)
	}
	err = p.exclusive(ctx, func(ctx context.Context) error {
		return p.advance(ctx, func(ctx context.Context, cur *snapshot, d Distribution) (map[string]*index.Log, int64, error) {
			log, err := cur.logs[dir].Adopt(ctx, p.blobs, sorted, base)
			if err != nil {
				return nil, 0, err
			}
			compacted := *cur
			compacted.logs = completeLogs(cur.logs, d)
			compacted.logs[dir] = log
			return p.edit(ctx, &compacted, d)
		})
	})
	if errors.Is(err, index.ErrMoved) {
		return nil
	}
	return err
}

// Sweep deletes what nobody needs any more: pool files of packages deleted
// KeepGenerations ago, the manifests and chunks of generations that were
// superseded then, and the files of packages rejected 90 days ago, whose records
// stay. Run calls it every hour.
func (r *Repo) Sweep(ctx context.Context) error {
	errs := []error{r.sweepPool(ctx), r.sweepRejected(ctx)}
	distributions, err := r.Store.Distributions(ctx)
	if err != nil {
		return err
	}
	for _, d := range distributions {
		errs = append(errs, r.publisher(d.Codename).sweep(ctx))
	}
	return errors.Join(errs...)
}

func (r *Repo) sweepPool(ctx context.Context) error {
	for {
		due, err := r.Store.DueRemovals(ctx, r.now(), removalBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		for _, name := range due {
			if err := r.removeFile(ctx, name); err != nil {
				return err
			}
		}
	}
}

// sweepRejected deletes the files of packages that were rejected long ago.
func (r *Repo) sweepRejected(ctx context.Context) error {
	for page := 1; ; page++ {
		rows, err := r.Store.ArtifactRows(ctx, PackageQuery{Status: Rejected, Page: page, PerPage: removalBatch})
		if err != nil {
			return err
		}
		for _, a := range rows.Items {
			if r.now().Sub(a.UploadedAt) < rejectedKept || !strings.HasPrefix(a.Filename, heldPrefix) {
				continue
			}
			if err := r.dropRejected(ctx, a.Key()); err != nil {
				return err
			}
		}
		if page*removalBatch >= rows.Total {
			return nil
		}
	}
}

// dropRejected deletes the file of a package unless it is younger than
// rejectedKept, or rejected no more.
func (r *Repo) dropRejected(ctx context.Context, key Key) error {
	unlock, err := r.shared().packages.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := r.load(ctx, key)
	if errors.Is(err, ErrArtifactNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	since := rejectedSince(&c.artifact, c.decisions)
	if c.before != Rejected || !strings.HasPrefix(c.artifact.Filename, heldPrefix) || r.now().Sub(since) < rejectedKept {
		return nil
	}
	return storageError(r.Storage.Delete(ctx, c.artifact.Filename))
}

// removeFile deletes a pool file unless it has come into use again.
func (r *Repo) removeFile(ctx context.Context, name string) error {
	unlock, err := r.shared().files.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	var mine bool
	err = r.Store.Update(ctx, func(tx Tx) error {
		taken, err := tx.FilenameTaken(name)
		if err != nil {
			return err
		}
		noted, err := tx.CancelRemoval(name)
		mine = noted && !taken
		return err
	})
	if err != nil || !mine {
		return err
	}
	return storageError(r.Storage.Delete(ctx, name))
}

// sweep forgets old generations and deletes the files that only they used.
func (p *publisher) sweep(ctx context.Context) error {
	before := p.repo.now().Add(-p.repo.keep())
	var gone []Generation
	err := p.repo.Store.Update(ctx, func(tx Tx) (err error) {
		gone, err = tx.DeleteGenerations(p.codename, before)
		return err
	})
	if err != nil {
		return err
	}
	for _, g := range gone {
		if err := p.repo.Storage.Delete(ctx, g.Manifest); err != nil {
			return storageError(err)
		}
	}
	used, err := p.inUse(ctx)
	if err != nil {
		return err
	}
	// What is published from here on consists of files in use and of files
	// younger than before; no publication may fall between look and deletion.
	return p.exclusive(ctx, func(ctx context.Context) error { return p.deleteUnused(ctx, used, before) })
}

// inUse returns the storage keys below index/CODENAME/ that kept generations
// need.
func (p *publisher) inUse(ctx context.Context) (map[string]bool, error) {
	kept, err := p.repo.Store.Generations(ctx, p.codename)
	if err != nil {
		return nil, err
	}
	used := make(map[string]bool)
	for _, g := range kept {
		s, err := loadSnapshot(ctx, p.blobs, g)
		if errors.Is(err, fs.ErrNotExist) {
			continue // reported by Fsck
		}
		if err != nil {
			return nil, err
		}
		used[g.Manifest] = true
		for _, log := range s.logs {
			for id := range log.BlobIDs() {
				used[p.blobs.key(id)] = true
			}
		}
	}
	return used, nil
}

// deleteUnused deletes old files below index/CODENAME/ that are not in used,
// and by-hash files and patches that Materialise wrote. Young ones may belong to a
// publication that is under way on another server.
func (p *publisher) deleteUnused(ctx context.Context, used map[string]bool, before time.Time) error {
	var old []string
	collect := func(prefix string, keep func(key string) bool) error {
		for info, err := range p.repo.Storage.List(ctx, prefix) {
			if err != nil {
				return storageError(err)
			}
			if info.ModTime.Before(before) && !keep(info.Key) {
				old = append(old, info.Key)
			}
		}
		return nil
	}
	if err := collect("index/"+p.codename+"/", func(key string) bool { return used[key] }); err != nil {
		return err
	}
	cur, err := p.snapshot(ctx)
	if err != nil {
		return err
	}
	root := "dists/" + p.codename + "/"
	err = collect(root, func(key string) bool {
		return !cur.staleFile(strings.TrimPrefix(key, root))
	})
	if err != nil {
		return err
	}
	slices.Sort(old)
	for _, key := range old {
		if err := p.repo.Storage.Delete(ctx, key); err != nil {
			return storageError(err)
		}
	}
	return nil
}
