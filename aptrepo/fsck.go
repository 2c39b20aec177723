package aptrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// orphanAge is how old a pool file must be before it counts as an orphan:
// a younger one may belong to an upload that is under way.
const orphanAge = time.Hour

// Kinds of Fault.
const (
	FaultMissingFile  = "missing_file"  // a recorded artifact has no file
	FaultHashMismatch = "hash_mismatch" // its file has other contents
	FaultOrphanFile   = "orphan_file"   // a file in the pool, or held back, belongs to nothing
	FaultStaleIndex   = "stale_index"   // an index differs from the Store
	FaultStaleTable   = "stale_table"   // what the Store derives differs from what it is derived from
	FaultBrokenChain  = "broken_chain"  // the audit log was tampered with
)

// A Fault is one disagreement between Store, files and indexes.
type Fault struct {
	Kind         string
	Name         string // of the artifact, as Version and Arch; "" when none is concerned
	Version      string
	Arch         string
	Distribution string // of a stale index
	Detail       string // what was found, and done about it
}

// FsckOptions says how thorough Fsck is.
type FsckOptions struct {
	// ReadFiles reads every file and compares its SHA-256; otherwise sizes.
	ReadFiles bool
	// Repair unpublishes artifacts whose file is lost or damaged, moves orphan
	// files to lost+found/ in storage and rebuilds stale indexes. Nothing
	// readable is deleted; RunRetention clears lost+found/ after 90 days.
	Repair bool
	// OrphanAge is the age below which an unknown pool file is left alone.
	// Default 1 hour; lower it only where no other process uploads.
	OrphanAge time.Duration
	// Progress, when set, is called as artifacts are checked.
	Progress func(done, total int)
}

// A FsckReport is the outcome of Fsck.
type FsckReport struct {
	Artifacts     int // checked
	Published     int // of them, published at least once
	Distributions []string
	Faults        []Fault
}

// Fsck compares every artifact, pool file, index entry and audit entry with
// each other, and what the Store derives with what it follows from. Uploads may go on meanwhile. Memory grows with the number of
// artifacts (about 200 bytes for each). The error tells of a check that could
// not be made; what was found is in the report.
func (r *Repo) Fsck(ctx context.Context, o FsckOptions) (FsckReport, error) {
	if o.OrphanAge == 0 {
		o.OrphanAge = orphanAge
	}
	c := &checker{repo: r, options: o, started: r.now()}
	for _, step := range []func(context.Context) error{c.derived, c.files, c.orphans, c.indexes, c.bills, c.auditLog} {
		if err := step(ctx); err != nil {
			return c.report, err
		}
	}
	return c.report, nil
}

// SyncIndex reads file store and database again, repairs what disagrees and
// publishes every distribution anew. Uploads may go on meanwhile.
func (r *Repo) SyncIndex(ctx context.Context) (FsckReport, error) {
	report, err := r.Fsck(ctx, FsckOptions{ReadFiles: true, Repair: true, OrphanAge: time.Second})
	if err != nil {
		return report, err
	}
	for _, codename := range report.Distributions {
		if err := r.publisher(codename).republish(ctx); err != nil {
			return report, err
		}
	}
	return report, r.Store.Update(ctx, func(tx Tx) error {
		e := r.audit(ctx, "index.sync", ResultSuccess)
		e.Detail = fmt.Sprintf("published=%d repaired=%d", report.Published, len(report.Faults))
		return tx.Audit(e)
	})
}

type checker struct {
	repo    *Repo
	options FsckOptions
	started time.Time
	names   map[string]bool // pool files of artifacts
	report  FsckReport
}

func (c *checker) fault(f Fault) { c.report.Faults = append(c.report.Faults, f) }

// A DerivedStore is a [Store] that keeps sums, copies and search indexes beside
// what they follow from, and can derive them anew.
type DerivedStore interface {
	// CheckDerived compares what is derived with what it should be, and mends it
	// if it is told to. Updates may go on meanwhile.
	CheckDerived(ctx context.Context, mend bool) ([]Drift, error)
}

// A Drift is a derived table that is not what it should be.
type Drift struct {
	Table string // in the Store's words
	Rows  int64  // that are wrong, missing or too many; about
}

// derived checks what the Store derives.
func (c *checker) derived(ctx context.Context) error {
	s, ok := c.repo.Store.(DerivedStore)
	if !ok {
		return nil
	}
	wrong, err := s.CheckDerived(ctx, c.options.Repair)
	for _, w := range wrong {
		f := Fault{Kind: FaultStaleTable, Detail: fmt.Sprintf("table %s: %d rows differ from what they follow from", w.Table, w.Rows)}
		if c.options.Repair {
			f.Detail += "; derived anew"
		}
		c.fault(f)
	}
	return err
}

// files checks that every artifact has its file.
func (c *checker) files(ctx context.Context) error {
	page, err := c.repo.Store.ArtifactRows(ctx, PackageQuery{Page: 1, PerPage: 1})
	if err != nil {
		return err
	}
	c.names = make(map[string]bool)
	for a, err := range c.repo.Store.EachArtifact(ctx) {
		if err != nil {
			return err
		}
		c.names[a.Filename] = true
		c.report.Artifacts++
		if len(a.Publications) > 0 {
			c.report.Published++
		}
		if err := c.file(ctx, a); err != nil {
			return err
		}
		if c.options.Progress != nil {
			c.options.Progress(c.report.Artifacts, max(page.Total, c.report.Artifacts))
		}
	}
	return nil
}

func (c *checker) file(ctx context.Context, a Artifact) error {
	kind, err := c.repo.fileFault(ctx, a, c.options.ReadFiles)
	if err != nil || kind == "" {
		return err
	}
	f := Fault{Kind: kind, Name: a.Name, Version: a.Version, Arch: a.Arch, Detail: "file lost"}
	if kind == FaultHashMismatch {
		f.Detail = "file damaged"
	}
	if c.options.Repair && len(a.Publications) > 0 {
		if err := c.repo.withdraw(ctx, a, kind); err != nil {
			return err
		}
		f.Detail += "; unpublished"
	}
	c.fault(f)
	return nil
}

// fileFault returns the kind of fault of an artifact's file, or "".
func (r *Repo) fileFault(ctx context.Context, a Artifact, read bool) (string, error) {
	body, info, err := r.Storage.Open(ctx, a.Filename)
	if errors.Is(err, fs.ErrNotExist) {
		if a.Status == Rejected {
			return "", nil // its bytes are not kept, or not any more
		}
		return FaultMissingFile, nil
	}
	if err != nil {
		return "", storageError(err)
	}
	body.Close()
	if info.Size != a.Size {
		return FaultHashMismatch, nil
	}
	if !read {
		return "", nil
	}
	sum, err := r.fileSum(ctx, a.Filename)
	if err == nil && sum != a.SHA256 {
		return FaultHashMismatch, nil
	}
	return "", err
}

// withdraw unpublishes an artifact whose file cannot be served.
func (r *Repo) withdraw(ctx context.Context, a Artifact, kind string) error {
	b := r.NewBatch()
	err := r.Store.Update(ctx, func(tx Tx) error {
		current, err := tx.Artifact(a.Key())
		if err != nil {
			return err
		}
		if err := takeOutEverywhere(tx, current, b.last); err != nil {
			return err
		}
		e := r.audit(ctx, "package.unpublish", ResultSuccess)
		e.Package, e.Version, e.Detail = a.Name, a.Version, a.Arch+" "+kind
		return tx.Audit(e)
	})
	if notFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return b.Publish(ctx)
}

// orphans looks for files in the pool, or held back, that no artifact and no
// pending removal names.
func (c *checker) orphans(ctx context.Context) error {
	pending, err := c.repo.Store.DueRemovals(ctx, c.repo.now().Add(100*365*24*time.Hour), 1<<31)
	if err != nil {
		return err
	}
	for _, name := range pending {
		c.names[name] = true
	}
	var orphans []string
	for _, prefix := range []string{"pool/", heldPrefix} {
		for info, err := range c.repo.Storage.List(ctx, prefix) {
			if err != nil {
				return storageError(err)
			}
			if !c.names[info.Key] && time.Since(info.ModTime) > c.options.OrphanAge {
				orphans = append(orphans, info.Key)
			}
		}
	}
	for _, name := range orphans {
		if err := c.orphan(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// orphan looks again, with the file's name locked against uploads here, and
// moves it away when asked to.
func (c *checker) orphan(ctx context.Context, name string) error {
	unlock, err := c.repo.shared().files.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	var taken bool
	err = c.repo.Store.Update(ctx, func(tx Tx) (err error) {
		taken, err = tx.FilenameTaken(name)
		return err
	})
	if err != nil || taken {
		return err
	}
	f := Fault{Kind: FaultOrphanFile, Detail: name}
	if c.options.Repair {
		to := lostFound + name
		if err := c.repo.moveFile(ctx, name, to); err != nil {
			return err
		}
		f.Detail += " moved to " + to
	}
	c.fault(f)
	return nil
}

func (r *Repo) moveFile(ctx context.Context, from, to string) error {
	f, err := r.openPool(ctx, from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.Storage.Put(ctx, to, f.ReadSeekCloser); err != nil {
		return storageError(err)
	}
	return storageError(r.Storage.Delete(ctx, from))
}

// indexes compares what is signed with what the Store says is published.
func (c *checker) indexes(ctx context.Context) error {
	distributions, err := c.repo.Store.Distributions(ctx)
	if err != nil {
		return err
	}
	for _, d := range distributions {
		c.report.Distributions = append(c.report.Distributions, d.Codename)
		p := c.repo.publisher(d.Codename)
		err := p.exclusive(ctx, func(ctx context.Context) error {
			if err := c.index(ctx, p); err != nil {
				return err
			}
			return c.written(ctx, p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) index(ctx context.Context, p *publisher) error {
	detail, err := p.compare(ctx)
	if s := p.current.Load(); s != nil && err == nil && detail == "" {
		detail, err = p.damage(ctx, s, c.options.ReadFiles)
	}
	if err != nil || detail == "" {
		return err
	}
	f := Fault{Kind: FaultStaleIndex, Distribution: p.codename, Detail: detail}
	if c.options.Repair {
		if err := p.advanceFrom(ctx, p.bare, p.rebuild); err != nil {
			return err
		}
		f.Detail += "; rebuilt"
	}
	c.fault(f)
	return nil
}

// auditLog verifies the audit log.
func (c *checker) auditLog(ctx context.Context) error {
	report, err := c.repo.verifyAudit(ctx)
	if err == nil && report.BrokenAt != 0 {
		c.fault(Fault{Kind: FaultBrokenChain, Detail: fmt.Sprintf("at entry %d: %s", report.BrokenAt, report.Detail)})
	}
	return err
}
