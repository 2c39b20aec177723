package aptrepo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/scan"
)

// DecideOptions say what somebody decides about a version.
type DecideOptions struct {
	Selection // Arch "": every architecture with something to decide
	Ruling    Ruling
	Comment   string        // required
	ExpiresIn time.Duration // 0: never
	// Findings are the IDs that are decided about. Empty: all open ones.
	Findings []string
}

// A Decided is what a decision did to one architecture.
type Decided struct {
	Artifact Artifact // as it is now
	Previous Status
	Decision Decision
}

// Decide records a decision about an artifact and lets it take effect: one that
// waits, or was rejected for its vulnerabilities, is published where it was meant
// to go, or taken out of every distribution. A decision of another kind than
// that about other findings stands beside it.
//
// Errors: ErrScope, ErrNameScope, ErrPackageNotFound, ErrVersionNotFound,
// ErrQuarantined, ErrNothingToDecide, ErrNoFile, a *FieldError for findings that the
// artifact has not.
func (r *Repo) Decide(ctx context.Context, o DecideOptions) ([]Decided, error) {
	about := AuditEntry{Package: o.Name, Version: o.Version}
	artifacts, err := r.find(ctx, o.Selection)
	if err != nil {
		r.auditFailure(ctx, "security.decide", about, err)
		return nil, err
	}
	var done []Decided
	for _, a := range artifacts {
		d, err := r.decide(ctx, a, o)
		if errors.Is(err, ErrNothingToDecide) && o.Arch == "" && len(artifacts) > 1 {
			continue
		}
		if err != nil {
			r.auditFailure(ctx, "security.decide", about, err)
			return done, err
		}
		done = append(done, d)
	}
	if done == nil {
		r.auditFailure(ctx, "security.decide", about, ErrNothingToDecide)
		return nil, ErrNothingToDecide
	}
	return done, nil
}

func newDecisionID() string { return "dec_" + rand.Text() }

// find returns the artifacts of a selection, by architecture.
func (r *Repo) find(ctx context.Context, s Selection) ([]Artifact, error) {
	var found []Artifact
	err := r.Store.Update(ctx, func(tx Tx) (err error) {
		found, err = selected(tx, s)
		return err
	})
	return found, err
}

func (r *Repo) decide(ctx context.Context, a Artifact, o DecideOptions) (Decided, error) {
	now := r.now().UTC().Truncate(time.Second)
	d := Decision{
		ID: newDecisionID(), Name: a.Name, Version: a.Version, Arch: a.Arch, Ruling: o.Ruling, Comment: o.Comment,
		Findings: o.Findings, DecidedBy: ActorFrom(ctx).Name, DecidedAt: now, Active: true,
	}
	if o.ExpiresIn > 0 {
		d.ExpiresAt = now.Add(o.ExpiresIn)
	}
	var previous Status
	after, err := r.change(ctx, a.Key(), "security.decide", EventDecisionMade, func(c *changing) error {
		previous = c.artifact.Status
		if d.Findings == nil {
			d.Findings = c.openFindings()
		}
		if err := c.mayDecide(d); err != nil {
			return err
		}
		c.decide(d)
		c.about = &d
		c.detail = fmt.Sprintf("%s %s %s", a.Arch, d.Ruling, strings.Join(d.Findings, " "))
		return nil
	})
	return Decided{after, previous, d}, err
}

// mayDecide reports what speaks against a decision.
func (c *changing) mayDecide(d Decision) error {
	switch c.artifact.Status {
	case Quarantined:
		return ErrQuarantined
	case Rejected:
		if c.artifact.StatusReason == ReasonMalware {
			return ErrNothingToDecide
		}
	case Indexed:
		if len(d.Findings) == 0 && (d.Ruling == RulingAccepted || d.Ruling == RulingNotAffected) {
			return ErrNothingToDecide
		}
	}
	for i, id := range d.Findings {
		if !slices.ContainsFunc(c.scan.Findings, func(f scan.Finding) bool { return f.ID == id }) {
			return &FieldError{fmt.Sprintf("cve_ids[%d]", i), "is not among the open findings"}
		}
	}
	return nil
}

// decide adds a decision and sets the status that follows.
func (c *changing) decide(d Decision) {
	for i := range c.decisions {
		if old := &c.decisions[i]; old.Active && contains(d.Findings, old.Findings) {
			old.Active = false
			c.changed = append(c.changed, *old)
		}
	}
	c.decisions = append([]Decision{d}, c.decisions...)
	c.changed = append(c.changed, d)
	switch d.Ruling {
	case RulingRejected:
		c.endDecisions(d.ID)
		c.set(Quarantined, ReasonDecision, d.Comment)
	case RulingUpgradeRequired:
		c.set(Rejected, ReasonDecision, d.Comment)
	default:
		if v := c.verdict(); v != Review && v != Block {
			c.set(Accepted, "", d.Comment)
		}
	}
}

// endDecisions makes all decisions inactive but one: a quarantine ends them.
func (c *changing) endDecisions(but string) {
	for i := range c.decisions {
		if d := &c.decisions[i]; d.Active && d.ID != but {
			d.Active = false
			c.changed = append(c.changed, *d)
		}
	}
}

func contains(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// A changing is an artifact whose status may change.
type changing struct {
	repo      *Repo
	artifact  Artifact
	scan      Scan
	decisions []Decision // newest first
	targets   []Publication

	before  Status
	licence *Licence   // to be written, unless it is nil
	changed []Decision // the same
	detail  string     // for the audit log
	quiet   bool       // only a new status is audited

	about *Decision      // that the change is about
	found []scan.Finding // that are new
	told  []Event
}

func (c *changing) set(status Status, reason, detail string) {
	c.artifact.Status, c.artifact.StatusReason, c.artifact.StatusDetail = status, reason, detail
}

// settled returns the findings that active decisions settle.
func (c *changing) settled() map[string]bool { return settledBy(c.decisions) }

// settledBy returns the findings that active decisions settle.
func settledBy(decisions []Decision) map[string]bool {
	settled := make(map[string]bool)
	for _, d := range decisions {
		if !d.Settles() {
			continue
		}
		for _, id := range d.Findings {
			settled[id] = true
		}
	}
	return settled
}

func (c *changing) openFindings() []string {
	settled := c.settled()
	ids := []string{}
	for _, f := range c.scan.Findings {
		if !settled[f.ID] && !slices.Contains(ids, f.ID) {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// places are where the artifact is published, or to be published.
func (c *changing) places() []Publication {
	if c.before.Published() {
		return c.artifact.Publications
	}
	return c.targets
}

// verdict is the strictest of the distributions' policies, decisions regarded.
func (c *changing) verdict() Verdict {
	v := Allow
	for _, p := range c.places() {
		v = scan.Strictest(v, c.scan.judge(c.repo.policy(p.Distribution), c.decisions))
	}
	return v
}

// change loads what is known of an artifact, lets f change it, and carries out
// what follows: the file moves into or out of the public tree, and what apt sees
// is published before change returns.
func (r *Repo) change(ctx context.Context, key Key, action string, kind EventKind, f func(*changing) error) (Artifact, error) {
	if !ActorFrom(ctx).MayName(key.Name) {
		return Artifact{}, ErrNameScope
	}
	unlock, err := r.shared().packages.lock(ctx, key)
	if err != nil {
		return Artifact{}, err
	}
	defer unlock()
	c, err := r.load(ctx, key)
	if err != nil {
		return Artifact{}, err
	}
	if err := ActorFrom(ctx).mayWriteAll(c.places()); err != nil {
		return Artifact{}, err
	}
	if err := f(c); err != nil {
		return Artifact{}, err
	}
	former := c.artifact.Filename
	if err := c.moveFile(ctx); err != nil {
		return Artifact{}, err
	}
	b := r.NewBatch()
	if err := c.record(ctx, action, kind, b.last); err != nil {
		return Artifact{}, err
	}
	b.events = c.told
	if err := b.Publish(ctx); err != nil {
		return Artifact{}, err
	}
	if former != c.artifact.Filename {
		err = storageError(r.Storage.Delete(ctx, former))
	}
	return c.artifact, err
}

// load reads what is known of an artifact.
func (r *Repo) load(ctx context.Context, key Key) (*changing, error) {
	c := &changing{repo: r}
	err := r.Store.Update(ctx, func(tx Tx) (err error) {
		if c.artifact, err = tx.Artifact(key); err != nil {
			return err
		}
		if c.scan, err = tx.Scan(c.artifact.ID); err != nil {
			return err
		}
		if c.decisions, err = tx.Decisions(key); err != nil {
			return err
		}
		c.targets, err = tx.Targets(c.artifact.ID)
		return err
	})
	c.before = c.artifact.Status
	return c, err
}

// moveFile copies the file to where it belongs by the new status. The former
// copy is deleted once nothing names it.
func (c *changing) moveFile(ctx context.Context) error {
	a := &c.artifact
	held := strings.HasPrefix(a.Filename, heldPrefix)
	if c.before == Rejected && a.Status != Rejected { // its bytes may be gone
		body, err := c.open(ctx)
		if err != nil {
			return err
		}
		body.Close()
	}
	switch {
	case a.Status.Published() == !held:
		return nil
	case !a.Status.Published():
		return c.copyFile(ctx, heldName(a.SHA256))
	}
	// As a new package finds its place in the pool.
	in := &incoming{repo: c.repo, artifact: *a}
	body, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	in.file = body
	unlock, err := in.store(ctx)
	if err != nil {
		return err
	}
	unlock()
	a.Filename = in.artifact.Filename
	return nil
}

func (c *changing) open(ctx context.Context) (io.ReadSeekCloser, error) {
	f, err := c.repo.openPool(ctx, c.artifact.Filename)
	if c.before == Rejected && errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoFile
	}
	if err != nil {
		return nil, fmt.Errorf("the file of %s %s: %w", c.artifact.Name, c.artifact.Version, err)
	}
	return f, nil
}

func (c *changing) copyFile(ctx context.Context, to string) error {
	body, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := storageError(c.repo.Storage.Put(ctx, to, body)); err != nil {
		return err
	}
	c.artifact.Filename = to
	return nil
}

// record writes what has changed in one transaction, and notes in last what is
// to be published.
func (c *changing) record(ctx context.Context, action string, kind EventKind, last map[string]int64) error {
	r, a := c.repo, &c.artifact
	return r.Store.Update(ctx, func(tx Tx) error {
		now, err := tx.Artifact(a.Key())
		if err != nil {
			return err
		}
		if now.Status != c.before {
			return fmt.Errorf("%w: %s changed meanwhile", ErrUnavailable, a.Name)
		}
		for _, d := range c.changed {
			if err := tx.PutDecision(d); err != nil {
				return err
			}
		}
		c.scan.sumUp(c.settled())
		c.scan.Verdict = c.verdict()
		if err := tx.PutScan(a.ID, c.scan); err != nil {
			return err
		}
		if c.licence != nil {
			if err := tx.PutLicence(a.ID, *c.licence); err != nil {
				return err
			}
		}
		if now.Status != a.Status || now.StatusReason != a.StatusReason || now.StatusDetail != a.StatusDetail {
			if err := tx.SetStatus(a.ID, a.Status, a.StatusReason, a.StatusDetail); err != nil {
				return err
			}
		}
		if now.Filename != a.Filename {
			if err := tx.SetFilename(a.ID, a.Filename); err != nil {
				return err
			}
		}
		places := c.places()
		if err := c.place(tx, last); err != nil {
			return err
		}
		if c.told, err = r.tellAll(ctx, tx, c.news(kind, places)); err != nil {
			return err
		}
		if c.quiet && a.Status == c.before {
			return nil
		}
		e := r.audit(ctx, action, ResultSuccess)
		e.Package, e.Version, e.Detail = a.Name, a.Version, c.detail
		return tx.Audit(e)
	})
}

// news are the events of a change of some kind, to an artifact that was, or was
// to be, published at places.
func (c *changing) news(kind EventKind, places []Publication) []Event {
	e := Event{Kind: kind, Artifact: &c.artifact, Distributions: codenames(places)}
	changed := c.artifact.Status != c.before
	switch kind {
	case EventDecisionMade:
		e.Decision = c.about
		return []Event{e} // it has the status
	case EventPackageReleased:
		e.Reason = c.artifact.StatusDetail
		return []Event{e} // so has this
	case EventPackageQuarantined:
		if !changed {
			return nil
		}
		return []Event{c.becomes(e, places)}
	case EventDecisionExpired:
		e.Decision = c.about
	}
	events := []Event{e}
	if len(c.found) > 0 {
		e.Kind, e.Findings, e.Verdict = EventVulnerabilities, c.found, c.verdictOn(c.found, places)
		events = append(events, e)
	}
	if changed {
		events = append(events, c.becomes(Event{Artifact: &c.artifact, Distributions: e.Distributions}, places))
	}
	return events
}

// becomes completes an event that tells of a new status.
func (c *changing) becomes(e Event, places []Publication) Event {
	a := &c.artifact
	switch a.Status {
	case Quarantined:
		e.Kind, e.Reason = EventPackageQuarantined, a.StatusDetail
		if a.StatusReason == ReasonMalware {
			e.Reason = ReasonMalware + ": " + a.StatusDetail
		}
		return e
	case PendingReview:
		e.Kind = EventPackagePending
	default:
		e.Kind = EventPackageIndexed
	}
	e.Scan = &c.scan.ScanSummary
	if len(places) > 0 {
		e.Distribution, e.Component = places[0].Distribution, places[0].Component
	}
	return e
}

// verdictOn is what the policies of places make of findings, the strictest.
func (c *changing) verdictOn(findings []scan.Finding, places []Publication) Verdict {
	settled := c.settled()
	v := Allow
	for _, p := range places {
		v = scan.Strictest(v, c.repo.policy(p.Distribution).Findings(findings, func(f scan.Finding) bool { return settled[f.ID] }))
	}
	return v
}

// place publishes an artifact at its targets, or takes it out of where it is.
func (c *changing) place(tx Tx, last map[string]int64) error {
	a := &c.artifact
	switch {
	case c.before.Published() && !a.Status.Published():
		if err := takeOutEverywhere(tx, *a, last); err != nil {
			return err
		}
		c.targets = a.Publications
		a.Publications = nil
		return tx.SetTargets(a.ID, c.targets)
	case !c.before.Published() && a.Status.Published():
		for _, p := range c.targets {
			d, err := tx.Distribution(p.Distribution)
			if errors.Is(err, ErrUnknownDistribution) {
				continue
			}
			if err != nil {
				return err
			}
			if !d.takes(a.Arch) || !slices.Contains(d.Components, p.Component) {
				continue // it has ceased to take it
			}
			p.PublishedAt = c.repo.now().UTC().Truncate(time.Second)
			seq, _, err := tx.AddPublication(a.ID, p)
			if err != nil {
				return err
			}
			last[p.Distribution] = max(last[p.Distribution], seq)
			a.publishedIn(p)
		}
		c.targets = nil
		return tx.SetTargets(a.ID, nil)
	}
	return nil
}

// QuarantineOptions name what Quarantine takes out, and why.
type QuarantineOptions struct {
	Selection
	Reason string
}

// Quarantine takes a version, in one or all architectures, out of every
// distribution, and its file out of the public tree. Only Release leads back.
// Doing it again changes nothing. It returns the artifacts as they were before.
//
// Errors: ErrScope, ErrNameScope, ErrPackageNotFound, ErrVersionNotFound,
// ErrNoFile.
func (r *Repo) Quarantine(ctx context.Context, o QuarantineOptions) ([]Artifact, error) {
	artifacts, err := r.find(ctx, o.Selection)
	for _, a := range artifacts {
		if err != nil {
			break
		}
		_, err = r.change(ctx, a.Key(), "security.quarantine", EventPackageQuarantined, func(c *changing) error {
			if c.before == Rejected && c.artifact.StatusReason == ReasonMalware {
				return ErrNoFile
			}
			c.endDecisions("")
			c.set(Quarantined, ReasonManual, o.Reason)
			c.detail = a.Arch + " " + o.Reason
			return nil
		})
	}
	if err != nil {
		r.auditFailure(ctx, "security.quarantine", AuditEntry{Package: o.Name, Version: o.Version}, err)
	}
	return artifacts, err
}
