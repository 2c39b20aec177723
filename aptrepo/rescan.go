package aptrepo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/repod-io/repod/scan"
)

// A Rescanned is what a new scan made of an artifact.
type Rescanned struct {
	Artifact Artifact // as it is now
	Previous Status
	// NewFindings are the IDs of findings that it did not have before.
	NewFindings []string
	Scan        ScanSummary
}

// Rescan scans a version again, in one or all architectures, and applies the
// policy to what is found. An artifact may be taken out by that, or let in.
//
// Errors: ErrScope, ErrNameScope, ErrPackageNotFound, ErrVersionNotFound,
// ErrNoFile; a *RefusedError with ErrScanner when the scan failed: nothing changes then.
func (r *Repo) Rescan(ctx context.Context, s Selection) ([]Rescanned, error) {
	return r.again(ctx, s, rescanning, afterRescan)
}

// afterRescan draws the consequences of a new scan.
func afterRescan(c *changing) error {
	if c.scan.Malware == scan.Infected && c.before != Rejected {
		c.endDecisions("")
		c.set(Quarantined, ReasonMalware, c.scan.Signature)
		return nil
	}
	c.follow(ReasonRescan)
	return nil
}

// Release lets a version out of quarantine, in one or all architectures, after
// it was scanned again: it is published where it was, or waits for review.
//
// Errors: those of Rescan; ErrNotQuarantined; a *RefusedError with ErrMalware.
func (r *Repo) Release(ctx context.Context, s Selection, comment string) ([]Rescanned, error) {
	return r.again(ctx, s, releasing, func(c *changing) error {
		switch v := c.verdict(); {
		case c.before != Quarantined:
			return ErrNotQuarantined
		case c.scan.Malware == scan.Infected:
			return &RefusedError{Cause: ErrMalware, Scan: c.scan.ScanSummary}
		case v == Review || v == Block:
			c.set(PendingReview, ReasonCVE, comment)
		default:
			c.set(Indexed, "", comment)
		}
		return nil
	})
}

// An operation is why artifacts are scanned again.
type operation struct {
	action string // for the audit log
	event  EventKind
	only   Status // of a selection with several architectures; "": any
}

var (
	rescanning = operation{"security.rescan", EventPackageRescanned, ""}
	releasing  = operation{"security.release", EventPackageReleased, Quarantined}
)

// again scans artifacts and lets f draw the consequences.
func (r *Repo) again(ctx context.Context, s Selection, op operation, f func(*changing) error) ([]Rescanned, error) {
	artifacts, err := r.find(ctx, s)
	var done []Rescanned
	for _, a := range artifacts {
		if err != nil {
			break
		}
		if op.only != "" && s.Arch == "" && a.Status != op.only && len(artifacts) > 1 {
			continue
		}
		out := Rescanned{Previous: a.Status}
		out.Artifact, err = r.change(ctx, a.Key(), op.action, op.event, func(c *changing) error {
			c.detail = a.Arch
			before := c.findings()
			if err := c.rescan(ctx); err != nil {
				return err
			}
			out.NewFindings = c.newSince(before)
			c.foundNew(out.NewFindings)
			if err := f(c); err != nil {
				return err
			}
			c.scan.sumUp(c.settled())
			out.Scan = c.scan.ScanSummary
			return nil
		})
		done = append(done, out)
	}
	if err == nil && done == nil {
		err = ErrNotQuarantined
	}
	if err != nil {
		r.auditFailure(ctx, op.action, AuditEntry{Package: s.Name, Version: s.Version}, err)
		return nil, err
	}
	return done, nil
}

func (c *changing) findings() map[string]bool {
	ids := make(map[string]bool)
	for _, f := range c.scan.Findings {
		ids[f.ID] = true
	}
	return ids
}

// newSince returns the IDs of findings that there were not before, sorted.
func (c *changing) newSince(before map[string]bool) []string {
	var ids []string
	for id := range c.findings() {
		if !before[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// foundNew notes the findings of new IDs, which are sorted, each once.
func (c *changing) foundNew(ids []string) {
	seen := make(map[string]bool)
	for _, f := range c.scan.Findings {
		if _, isNew := slices.BinarySearch(ids, f.ID); isNew && !seen[f.ID] {
			seen[f.ID] = true
			c.found = append(c.found, f)
		}
	}
}

// rescan scans the file and matches anew. A scan that failed is an error.
func (c *changing) rescan(ctx context.Context) error {
	if c.before == Rejected && c.artifact.StatusReason == ReasonMalware {
		return ErrNoFile
	}
	report, err := c.scanFile(ctx)
	if err != nil {
		return err
	}
	m := report.Malware
	if m.Status == scan.Failed || m.Status == scan.Incomplete && c.repo.failsOn(c.places()) {
		return &RefusedError{Cause: ErrScanner, Scan: c.scan.ScanSummary, Detail: m.Detail}
	}
	c.scan.Malware, c.scan.Signature, c.scan.Engine, c.scan.Detail = m.Status, m.Signature, m.Engine, m.Detail
	c.scan.Components = report.Components
	data, err := c.repo.vulnerabilityData(ctx)
	if err != nil {
		return err
	}
	if err := c.rematch(ctx, data); err != nil {
		return err
	}
	if m.Status != scan.NotScanned || c.scan.Covered {
		c.scan.ScannedAt = c.repo.now().UTC().Truncate(time.Second)
	}
	return nil
}

// failsOn reports whether a scan that proves nothing keeps out of one of the
// places.
func (r *Repo) failsOn(places []Publication) bool {
	return slices.ContainsFunc(places, func(p Publication) bool { return r.policy(p.Distribution).OnFailure() == Block })
}

// scanFile reads the stored file again, and shows it to the scanners.
func (c *changing) scanFile(ctx context.Context) (scan.Report, error) {
	if len(c.repo.Scanners) == 0 {
		return scan.Report{Components: c.scan.Components}, nil
	}
	body, err := c.open(ctx)
	if err != nil {
		return scan.Report{}, err
	}
	defer body.Close()
	a := &c.artifact
	read, err := c.repo.read(ctx, body, scan.Subject{
		Name: a.Name, Version: a.Version, Arch: a.Arch, Source: a.Source, SourceVersion: a.SourceVersion, Size: a.Size, Official: c.scan.Official,
	}, c.repo.Scanners)
	if err != nil {
		return scan.Report{}, fmt.Errorf("reading %s %s: %w", a.Name, a.Version, err)
	}
	c.licence = &read.licence
	return read.report, nil
}

// rematch finds the vulnerabilities of the artifact in the distributions where
// it is, or is to be. Of a finding that several have, the worst counts.
func (c *changing) rematch(ctx context.Context, data scan.Data) error {
	if c.repo.Matcher == nil {
		return nil
	}
	var all []scan.Finding
	covered := false
	asked := make(map[string]bool)
	for _, p := range c.places() {
		d, err := c.repo.distribution(ctx, p.Distribution)
		switch {
		case errors.Is(err, ErrUnknownDistribution):
			continue
		case err != nil:
			return err
		case asked[d.OS]:
			continue
		}
		asked[d.OS] = true
		s := c.scan
		if err := c.repo.match(ctx, &c.artifact, d, &s, data); err != nil {
			return err
		}
		c.scan.DataGeneration, c.scan.DataDate = s.DataGeneration, s.DataDate
		covered = covered || s.Covered
		all = append(all, s.Findings...)
	}
	slices.SortStableFunc(all, worstFirst)
	seen := make(map[[2]string]bool)
	before := c.scan.Findings
	c.scan.Findings, c.scan.Covered = nil, covered
	for _, f := range all {
		if key := [2]string{f.ID, f.Package}; !seen[key] {
			seen[key] = true
			c.scan.Findings = append(c.scan.Findings, f)
		}
	}
	c.reopen(before)
	return nil
}

// reopen ends the acceptance of findings for which there is a fix now, and was
// none before: the reason to live with them is gone. What else such a decision
// settles stays settled, by one in its place.
func (c *changing) reopen(before []scan.Finding) {
	unfixed := make(map[[2]string]bool)
	for _, f := range before {
		if f.FixState != scan.Fixed {
			unfixed[[2]string{f.ID, f.Package}] = true
		}
	}
	fixed := func(id string) bool {
		return slices.ContainsFunc(c.scan.Findings, func(f scan.Finding) bool {
			return f.ID == id && f.FixState == scan.Fixed && unfixed[[2]string{f.ID, f.Package}]
		})
	}
	var rest []Decision
	for i := range c.decisions {
		d := &c.decisions[i]
		if !d.Active || d.Ruling != RulingAccepted || !slices.ContainsFunc(d.Findings, fixed) {
			continue
		}
		d.Active = false
		c.changed = append(c.changed, *d)
		if ids := slices.DeleteFunc(slices.Clone(d.Findings), fixed); len(ids) > 0 {
			left := *d
			left.ID, left.Findings, left.Active = newDecisionID(), ids, true
			left.DecidedAt = c.repo.now().UTC().Truncate(time.Second)
			rest = append(rest, left)
		}
	}
	c.changed = append(c.changed, rest...)
	c.decisions = append(rest, c.decisions...)
}

// follow sets the status that the verdict asks for, as the status machine of the
// API's contract has it.
func (c *changing) follow(reason string) {
	strict := c.verdict()
	stop := strict == Review || strict == Block
	byCVE := c.artifact.StatusReason == ReasonCVE || c.artifact.StatusReason == ReasonScanner
	switch {
	case c.before.Published() && stop:
		c.set(PendingReview, reason, "")
	case c.before == PendingReview && !stop:
		c.set(Indexed, "", "")
	case c.before == Rejected && byCVE && !stop:
		c.set(Indexed, "", "")
	case c.before == Rejected && byCVE && strict == Review:
		c.set(PendingReview, ReasonCVE, "")
	}
}

// A RescanReport is what RescanAll has done.
type RescanReport struct {
	Scanned int
	Failed  int         // that could not be scanned; nothing has changed for them
	Changed []Rescanned // those whose status is another now
}

// RescanAll scans what is published, or to be published, in a distribution (in
// all when codename is "") and has a status (any when it is ""), and applies the
// policy.
func (r *Repo) RescanAll(ctx context.Context, codename string, status Status, progress func(done, total int, name string)) (RescanReport, error) {
	var keys []Key
	for inv, err := range r.Store.EachInventory(ctx) {
		if err != nil {
			return RescanReport{}, err
		}
		here := func(p Publication) bool { return codename == "" || p.Distribution == codename }
		a := &inv.Artifact
		if (status == "" || a.Status == status) && (slices.ContainsFunc(a.Publications, here) || slices.ContainsFunc(inv.Targets, here) || codename == "") {
			keys = append(keys, a.Key())
		}
	}
	var out RescanReport
	for i, key := range keys {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if progress != nil {
			progress(i, len(keys), key.Name+" "+key.Version)
		}
		one, err := r.rescanOne(ctx, key)
		switch {
		case errors.Is(err, ErrUnavailable):
			return out, err
		case err != nil:
			out.Failed++
			r.logger().WarnContext(ctx, "a package could not be scanned again", "package", key.Name, "version", key.Version, "error", err)
			continue
		}
		if out.Scanned++; one.Previous != one.Artifact.Status {
			out.Changed = append(out.Changed, one)
		}
	}
	e := r.audit(ctx, "security.rescan", ResultSuccess)
	e.Target, e.Detail = codename, fmt.Sprintf("scanned=%d failed=%d changed=%d", out.Scanned, out.Failed, len(out.Changed))
	return out, r.Store.Update(ctx, func(tx Tx) error { return tx.Audit(e) })
}

func (r *Repo) rescanOne(ctx context.Context, key Key) (out Rescanned, err error) {
	out.Artifact, err = r.change(ctx, key, "security.rescan", EventPackageRescanned, func(c *changing) error {
		out.Previous, c.quiet, c.detail = c.before, true, key.Arch
		before := c.findings()
		if err := c.rescan(ctx); err != nil {
			return err
		}
		c.foundNew(c.newSince(before))
		return afterRescan(c)
	})
	return out, err
}

// ExpireDecisions ends the decisions whose time is over. What was accepted by one
// of them, and by no other, waits for review again. Run calls it.
func (r *Repo) ExpireDecisions(ctx context.Context) error {
	var errs []error
	for {
		due, err := r.Store.ExpiredDecisions(ctx, r.now(), 100)
		if err != nil || len(due) == 0 {
			return errors.Join(append(errs, err)...)
		}
		for _, d := range due {
			if err := r.expire(ctx, d); err != nil {
				errs = append(errs, fmt.Errorf("decision %s: %w", d.ID, err))
			}
		}
		if len(errs) > 0 {
			return errors.Join(errs...)
		}
	}
}

func (r *Repo) expire(ctx context.Context, d Decision) error {
	_, err := r.change(ctx, KeyOf(d.Name, d.Version, d.Arch), "security.decision_expire", EventDecisionExpired, func(c *changing) error {
		c.detail = d.Arch + " " + d.ID
		for i := range c.decisions {
			if c.decisions[i].ID == d.ID {
				c.decisions[i].Active = false
				c.changed = append(c.changed, c.decisions[i])
				c.about = &c.decisions[i]
			}
		}
		v := c.verdict()
		supported := slices.ContainsFunc(c.decisions, func(d Decision) bool { return d.Settles() })
		if c.before == Accepted && (!supported || v == Review || v == Block) {
			c.set(PendingReview, ReasonDecisionExpired, "")
		}
		return nil
	})
	if !errors.Is(err, ErrArtifactNotFound) {
		return err
	}
	d.Active = false // its artifact is gone
	return r.Store.Update(ctx, func(tx Tx) error { return tx.PutDecision(d) })
}

// Rematch holds every artifact against the vulnerability data as they are now,
// without reading files, and applies the policy. It returns what has changed.
func (r *Repo) Rematch(ctx context.Context, progress func(done, total int)) ([]Rescanned, error) {
	if r.Matcher == nil {
		return nil, nil
	}
	// What is known of vulnerabilities holds everywhere, whoever brings it.
	actor := ActorFrom(ctx)
	actor.Distributions, actor.Packages = nil, nil
	ctx = WithActor(ctx, actor)
	data, err := r.vulnerabilityData(ctx)
	if err != nil {
		return nil, err
	}
	var changed []Rescanned
	n := 0
	for inv, err := range r.Store.EachInventory(ctx) {
		if err != nil {
			return changed, err
		}
		out, differs, err := r.rematchOne(ctx, inv, data)
		if err != nil {
			return changed, err
		}
		if differs {
			changed = append(changed, out)
		}
		if n++; progress != nil {
			progress(n, 0)
		}
	}
	return changed, nil
}

// errSame says that a match has found what was known.
var errSame = errors.New("nothing new")

func (r *Repo) rematchOne(ctx context.Context, inv StoredInventory, data scan.Data) (out Rescanned, differs bool, err error) {
	out.Previous = inv.Artifact.Status
	out.Artifact, err = r.change(ctx, inv.Artifact.Key(), "security.rescan", EventPackageRescanned, func(c *changing) error {
		c.quiet = true
		before, had := c.scan, c.findings()
		if err := c.rematch(ctx, data); err != nil {
			return err
		}
		if before.Covered == c.scan.Covered && before.Verdict == c.verdict() && reflect.DeepEqual(before.Findings, c.scan.Findings) {
			return errSame
		}
		out.NewFindings = c.newSince(had)
		c.foundNew(out.NewFindings)
		c.detail = fmt.Sprintf("%s new=%d", inv.Artifact.Arch, len(out.NewFindings))
		if c.scan.ScannedAt.IsZero() && c.scan.Covered {
			c.scan.ScannedAt = r.now().UTC().Truncate(time.Second)
		}
		if c.before != Quarantined {
			c.follow(ReasonRescan)
		}
		c.scan.sumUp(c.settled())
		out.Scan = c.scan.ScanSummary
		return nil
	})
	if errors.Is(err, errSame) || errors.Is(err, ErrArtifactNotFound) || errors.Is(err, ErrNoFile) {
		return out, false, nil
	}
	return out, err == nil, err
}
