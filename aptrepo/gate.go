package aptrepo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/copyright"
	"github.com/repod-io/repod/scan"
)

// Reasons for a status other than Indexed, as Artifact.StatusReason has them.
const (
	ReasonMalware         = "malware"
	ReasonCVE             = "cve"
	ReasonScanner         = "scanner_error" // the scan proves nothing
	ReasonDecision        = "decision"
	ReasonManual          = "manual"
	ReasonDecisionExpired = "decision_expired"
	ReasonRescan          = "rescan"
)

// A RefusedError says that the gate lets a package not in. It matches
// ErrMalware, ErrVulnerable or ErrScanner, whichever Cause is.
type RefusedError struct {
	Cause error
	Scan  ScanSummary
	// Detail says what the scanner did not do, with ErrScanner.
	Detail string
}

func (e *RefusedError) Error() string {
	switch e.Cause {
	case ErrMalware:
		return fmt.Sprintf("%s: %s", e.Cause, e.Scan.Signature)
	case ErrScanner:
		return fmt.Sprintf("%s: %s", e.Cause, e.Detail)
	}
	return e.Cause.Error()
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Cause }

// defaultScanTimeout is that of the API's settings.
const defaultScanTimeout = 2 * time.Minute

// policy returns what a distribution lets in.
func (r *Repo) policy(codename string) scan.Policy {
	if r.Policy == nil {
		return scan.DefaultPolicy()
	}
	return r.Policy(codename)
}

// A reading is what came of reading a package.
type reading struct {
	pkg     *deb.Package
	report  scan.Report
	licence Licence
}

// read reads a package, and shows it to scanners meanwhile.
func (r *Repo) read(ctx context.Context, f io.Reader, s scan.Subject, scanners []scan.Scanner) (reading, error) {
	var out reading
	var finder copyright.Finder
	opts := &deb.Options{Limits: r.Limits, Interrupt: ctx.Err, VisitLink: finder.VisitLink}
	f = contextReader{ctx, f}
	var err error
	if len(scanners) == 0 {
		opts.Visit = finder.Visit(nil)
		out.pkg, err = deb.Read(f, opts)
	} else {
		scanning, cancel := context.WithTimeout(ctx, cmp.Or(r.ScanTimeout, defaultScanTimeout))
		defer cancel()
		begin := time.Now()
		run := scan.Begin(scanning, scanners, s)
		defer run.Abort()
		opts.Visit = finder.Visit(run.Visit)
		if out.pkg, err = deb.Read(f, opts); err == nil {
			out.report = run.Finish()
			r.observer().PackageScanned(time.Since(begin), out.report.Malware.Status)
			r.noteScanner(ctx, out.report.Malware)
		}
	}
	if err != nil {
		return reading{}, err
	}
	out.licence = licenceOf(finder.Found())
	return out, nil
}

func licenceOf(f copyright.Found) Licence {
	l := Licence{Expression: f.Expression, MachineReadable: f.MachineReadable, SHA256: f.SHA256, In: f.In}
	for _, ref := range f.Refs {
		l.Refs = append(l.Refs, LicenceRef(ref))
	}
	return l
}

// An assessment is what a scan and a match say of an artifact, and what follows.
type assessment struct {
	scan    Scan
	verdict Verdict
	status  Status
	reason  string // of the status
	refused error  // ErrMalware, ErrVulnerable or ErrScanner when it is not let in
}

// assess holds the report on an artifact, and its known vulnerabilities, against
// the policy of a distribution.
func (r *Repo) assess(ctx context.Context, a *Artifact, d Distribution, report scan.Report, official bool) (assessment, error) {
	m := report.Malware
	out := assessment{scan: Scan{Official: official, Engine: m.Engine, Detail: m.Detail, Components: report.Components}}
	s := &out.scan
	s.Malware, s.Signature = m.Status, m.Signature
	if m.Detail != "" && m.Path != "" {
		s.Detail = m.Path + ": " + m.Detail
	}
	data, err := r.vulnerabilityData(ctx)
	if err != nil {
		return out, err
	}
	if err := r.match(ctx, a, d, s, data); err != nil {
		return out, err
	}
	if s.Malware != scan.NotScanned || s.Covered {
		s.ScannedAt = r.now().UTC().Truncate(time.Second)
	}
	s.sumUp(nil)
	out.rule(r.policy(d.Codename))
	s.Verdict = out.verdict
	r.observer().PackageJudged(out.verdict)
	return out, nil
}

// detail says more about the reason of the status.
func (out *assessment) detail() string {
	switch out.reason {
	case ReasonMalware:
		return out.scan.Signature
	case ReasonScanner:
		return out.scan.Detail
	}
	return ""
}

// vulnerabilityData describes what match works on. It may cost as much as a match,
// and is to be asked for before.
func (r *Repo) vulnerabilityData(ctx context.Context) (scan.Data, error) {
	if r.Matcher == nil {
		return scan.Data{}, nil
	}
	data, err := r.Matcher.Data(ctx)
	if err != nil {
		return data, fmt.Errorf("vulnerability data: %w", err)
	}
	return data, nil
}

// match fills in the known vulnerabilities of an artifact in a distribution, by
// those data.
func (r *Repo) match(ctx context.Context, a *Artifact, d Distribution, s *Scan, data scan.Data) (err error) {
	if r.Matcher == nil {
		return nil
	}
	s.Findings, s.Covered, err = r.Matcher.Match(ctx, scan.Inventory{
		Subject: scan.Subject{
			Name: a.Name, Version: a.Version, Arch: a.Arch, Source: a.Source, SourceVersion: a.SourceVersion,
			Size: a.Size, OS: d.OS, Official: s.Official,
		},
		Components: s.Components,
	})
	if err != nil {
		return fmt.Errorf("vulnerabilities of %s %s: %w", a.Name, a.Version, err)
	}
	s.DataGeneration, s.DataDate = data.Generation, data.Date
	slices.SortFunc(s.Findings, worstFirst)
	return nil
}

var severities = scan.Severities()

func worstFirst(a, b scan.Finding) int {
	return cmp.Or(
		cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)),
		cmp.Compare(a.ID, b.ID), cmp.Compare(a.Package, b.Package))
}

// sumUp counts the findings that nothing settles.
func (s *Scan) sumUp(settled map[string]bool) {
	s.Counts, s.KEV, s.EPSSMax = SeverityCounts{}, 0, nil
	counts := map[scan.Severity]*int{
		scan.Critical: &s.Counts.Critical, scan.High: &s.Counts.High, scan.Medium: &s.Counts.Medium,
		scan.Low: &s.Counts.Low, scan.Negligible: &s.Counts.Negligible,
	}
	for _, f := range s.Findings {
		if settled[f.ID] {
			continue
		}
		if n := counts[f.Severity]; n != nil {
			*n++
		} else {
			s.Counts.Unknown++
		}
		if f.KEV {
			s.KEV++
		}
		if f.EPSS != nil && (s.EPSSMax == nil || *f.EPSS > *s.EPSSMax) {
			s.EPSSMax = f.EPSS
		}
	}
}

// judge returns what a policy makes of a scan when decisions are regarded.
func (s *Scan) judge(p scan.Policy, decisions []Decision) Verdict {
	settled := settledBy(decisions)
	v := p.Findings(s.Findings, func(f scan.Finding) bool { return settled[f.ID] })
	switch s.Malware {
	case scan.Infected:
		return Block
	case scan.Failed, scan.Incomplete:
		if !s.failureAccepted(decisions) {
			return scan.Strictest(v, p.OnFailure())
		}
	}
	return v
}

// failureAccepted reports whether somebody has let the package in who knew that
// the last scan had failed.
func (s *Scan) failureAccepted(decisions []Decision) bool {
	return slices.ContainsFunc(decisions, func(d Decision) bool { return d.Settles() && !d.DecidedAt.Before(s.ScannedAt) })
}

// rule derives verdict and status.
func (out *assessment) rule(p scan.Policy) {
	s := &out.scan
	out.verdict = p.Findings(s.Findings, nil)
	failed := s.Malware == scan.Failed || s.Malware == scan.Incomplete
	switch {
	case s.Malware == scan.Infected:
		out.verdict, out.status, out.reason, out.refused = Block, Rejected, ReasonMalware, ErrMalware
	case failed && p.OnFailure() == Block:
		out.verdict, out.refused = Block, ErrScanner
	case out.verdict == Block:
		out.status, out.reason, out.refused = Rejected, ReasonCVE, ErrVulnerable
	case failed && p.OnFailure() == Review:
		out.verdict, out.status, out.reason = Review, PendingReview, ReasonScanner
	case out.verdict == Review:
		out.status, out.reason = PendingReview, ReasonCVE
	default:
		out.status = Indexed
	}
}

// heldPrefix begins the keys of files that are held back.
const heldPrefix = "held/"

// heldName is the key in storage of a file that must not be fetched by anybody:
// it lies outside of the public tree.
func heldName(sha256 string) string { return heldPrefix + sha256[:2] + "/" + sha256 + ".deb" }

// admits applies the policy of a distribution to an artifact that is published
// elsewhere. It returns a *RefusedError if it must not be published there.
func (r *Repo) admits(ctx context.Context, a *Artifact, d Distribution) error {
	if a.PublishedIn(d.Codename) {
		return nil
	}
	s, err := r.Store.Scan(ctx, a.ID)
	if err != nil {
		return err
	}
	if err := r.match(ctx, a, d, &s, scan.Data{}); err != nil { // s is not kept
		return err
	}
	decisions, err := r.Store.Decisions(ctx, a.Key())
	if err != nil {
		return err
	}
	s.sumUp(settledBy(decisions))
	s.Verdict = s.judge(r.policy(d.Codename), decisions)
	if s.Verdict == Review || s.Verdict == Block {
		return &RefusedError{Cause: ErrVulnerable, Scan: s.ScanSummary}
	}
	return nil
}
