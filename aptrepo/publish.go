package aptrepo

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/scan"
)

// Publish reads a package from f, checks and scans it, stores it and publishes
// it in a distribution. When it returns without an error and the artifact's
// status is Indexed or Accepted, apt sees the package; with PendingReview it is
// kept, and published once somebody decides so. f is read from its start, twice.
//
// A file that lies there already is no error: New is false. Errors: ErrScope,
// ErrNameScope, ErrReservedName, ErrUnknownDistribution, ErrUnknownComponent, ErrInvalidPackage
// (wrapping a *deb.FormatError), ErrUnsupportedArch, ErrBasePackage, a
// *ConflictError, a *RefusedError, ErrQuarantined, ErrUnavailable, ErrFull. After
// the last two the package may have been stored; publishing the same file again is
// safe and finishes the work.
func (r *Repo) Publish(ctx context.Context, f io.ReadSeeker, o PublishOptions) (Published, error) {
	b := r.NewBatch()
	in := r.incoming(f, o)
	out, err := b.add(ctx, in)
	if err == nil {
		err = b.Publish(ctx)
	}
	if err != nil {
		if !in.recorded {
			r.auditFailure(ctx, in.action(),
				AuditEntry{Target: o.Distribution, Package: in.artifact.Name, Version: in.artifact.Version}, err)
		}
		return Published{}, err
	}
	out.Warnings = r.warnings(ctx, &out)
	return out, nil
}

// incoming is one package on its way in.
type incoming struct {
	repo     *Repo
	file     io.ReadSeeker
	options  PublishOptions
	artifact Artifact
	report   scan.Report
	licence  Licence
	found    assessment
	reused   bool // the pool had the file already
	recorded bool // in the audit log, though it was refused
	own      bool // the package of the repository's keys, see PublishKeyring
	told     []Event
}

func (r *Repo) incoming(f io.ReadSeeker, o PublishOptions) *incoming {
	o.Component = cmp.Or(o.Component, "main")
	o.Origin = cmp.Or(o.Origin, OriginUpload)
	return &incoming{repo: r, file: f, options: o}
}

// action is what the audit log calls it.
func (in *incoming) action() string { return "package." + in.options.Origin }

// accept checks, stores and records the package. It returns the change to
// publish.
func (in *incoming) accept(ctx context.Context) (Published, int64, error) {
	r, o := in.repo, in.options
	if !ActorFrom(ctx).MayWrite(o.Distribution) {
		return Published{}, 0, ErrScope
	}
	d, err := r.distribution(ctx, o.Distribution)
	if err != nil {
		return Published{}, 0, err
	}
	if !slices.Contains(d.Components, o.Component) {
		return Published{}, 0, fmt.Errorf("%w: %s", ErrUnknownComponent, o.Component)
	}
	if err := in.read(ctx, d); err != nil {
		return Published{}, 0, err
	}
	if !ActorFrom(ctx).MayName(in.artifact.Name) {
		return Published{}, 0, ErrNameScope
	}
	if in.artifact.Name == r.keyring() && !in.own {
		return Published{}, 0, ErrReservedName
	}
	if !d.takes(in.artifact.Arch) {
		return Published{}, 0, fmt.Errorf("%w: %s", ErrUnsupportedArch, in.artifact.Arch)
	}
	unlock, err := r.shared().packages.lock(ctx, in.artifact.Key())
	if err != nil {
		return Published{}, 0, err
	}
	defer unlock()
	return in.commit(ctx, d)
}

func (d *Distribution) takes(arch string) bool {
	return arch == "all" || slices.Contains(d.Architectures, arch)
}

// read hashes the file, has it scanned, and fills in the artifact from its
// control fields.
func (in *incoming) read(ctx context.Context, d Distribution) error {
	unpacking := in.repo.shared().unpacking
	select {
	case unpacking <- struct{}{}:
		defer func() { <-unpacking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	size, err := in.file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = in.file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	sums := newSums()
	subject := scan.Subject{Size: size, OS: d.OS, Official: in.options.Official}
	scanners := in.repo.Scanners
	if in.own {
		scanners = nil
	}
	read, err := in.repo.read(ctx, io.TeeReader(in.file, sums), subject, scanners)
	if err != nil {
		var format *deb.FormatError
		if errors.As(err, &format) {
			return fmt.Errorf("%w: %w", ErrInvalidPackage, err)
		}
		return err
	}
	pkg := read.pkg
	in.report, in.licence = read.report, read.licence
	if in.options.Ordinary && isBase(pkg) {
		return ErrBasePackage
	}
	if check := in.options.Check; check != nil {
		if err := check(pkg); err != nil {
			return err
		}
	}
	in.artifact = artifactOf(pkg)
	a := &in.artifact
	a.Size, a.MD5, a.SHA256, a.SHA512 = sums.size, sumOf(sums.md5), sumOf(sums.sha256), sumOf(sums.sha512)
	a.Component = in.options.Component
	a.Origin, a.SourceID = in.options.Origin, in.options.SourceID
	a.UploadedBy = ActorFrom(ctx).Name
	a.UploadedAt = in.repo.now().UTC().Truncate(time.Second)
	return nil
}

// isBase reports whether apt installs a package on every system, or lets nobody
// remove it: Policy 2.5 and 3.8, and Protected (once Important), which apt(8)
// and dpkg(1) know.
func isBase(p *deb.Package) bool {
	return p.Essential || p.Control.Get("Protected") == "yes" || p.Control.Get("Important") == "yes" || p.Priority == "required"
}

// commit stores the file and records it, or finds it recorded. It returns the
// change to publish, 0 for none.
func (in *incoming) commit(ctx context.Context, d Distribution) (Published, int64, error) {
	known, err := in.repo.Store.Artifact(ctx, in.artifact.Key())
	switch {
	case errors.Is(err, ErrArtifactNotFound):
		return in.enter(ctx, d)
	case err != nil:
		return Published{}, 0, err
	case known.Status == Rejected: // holds its key against nobody
		return in.enter(ctx, d)
	case known.SHA256 != in.artifact.SHA256:
		return Published{}, 0, in.conflict(known.SHA256, false)
	case known.Status == Quarantined:
		return Published{}, 0, ErrQuarantined
	case known.Status == PendingReview:
		return in.wait(ctx, known)
	}
	if err := in.repo.admits(ctx, &known, d); err != nil {
		return Published{}, 0, err
	}
	return in.record(ctx)
}

// enter brings a package in that is new, or was rejected before.
func (in *incoming) enter(ctx context.Context, d Distribution) (Published, int64, error) {
	official, err := in.official(ctx)
	if err != nil {
		return Published{}, 0, err
	}
	if in.found, err = in.repo.assess(ctx, &in.artifact, d, in.report, official); err != nil {
		return Published{}, 0, err
	}
	in.artifact.Status, in.artifact.StatusReason, in.artifact.StatusDetail = in.found.status, in.found.reason, in.found.detail()
	refused := in.refusal()
	if refused != nil && in.found.refused != ErrVulnerable {
		if in.found.refused == ErrMalware {
			err = in.turnAway(ctx)
		}
		return Published{}, 0, cmp.Or(err, refused)
	}
	unlock, err := in.store(ctx)
	if err != nil {
		return Published{}, 0, err
	}
	defer unlock()
	out, seq, err := in.record(ctx)
	switch {
	case err != nil:
		return out, seq, errors.Join(err, in.discard(ctx, err))
	case refused != nil:
		in.recorded = true
		return Published{}, 0, refused
	case !in.reused:
		return out, seq, nil
	}
	// The file lay in the pool before us and may have been on its way out.
	return out, seq, in.restore(ctx, out.Artifact.Filename)
}

// official reports whether the package is its vendor's own.
func (in *incoming) official(ctx context.Context) (bool, error) {
	if in.options.Official || in.options.Origin != OriginUpload || in.repo.Official == nil {
		return in.options.Official, nil
	}
	return in.repo.Official(ctx, &in.artifact)
}

// refusal returns the error of a package that is not let in, nil for others.
func (in *incoming) refusal() error {
	if in.found.refused == nil {
		return nil
	}
	return &RefusedError{Cause: in.found.refused, Scan: in.found.scan.ScanSummary, Detail: in.found.scan.Detail}
}

// turnAway records malware without its bytes.
func (in *incoming) turnAway(ctx context.Context) error {
	in.artifact.Filename = heldName(in.artifact.SHA256) // where nothing is
	_, _, err := in.record(ctx)
	in.recorded = err == nil
	return err
}

// wait adds the distribution to those that a package will be published in once
// it may be.
func (in *incoming) wait(ctx context.Context, known Artifact) (Published, int64, error) {
	out := Published{Artifact: known, Distribution: in.options.Distribution, Component: in.options.Component}
	err := in.repo.Store.Update(ctx, func(tx Tx) error {
		if err := in.repo.label(ctx, tx, &out.Artifact, in.options.Group); err != nil {
			return err
		}
		if err := in.target(tx, known.ID); err != nil {
			return err
		}
		return tx.Audit(in.entry(ctx, &known, ResultPendingReview))
	})
	return out, 0, err
}

// target adds where the package is to go to the targets of an artifact.
func (in *incoming) target(tx Tx, id int64) error {
	targets, err := tx.Targets(id)
	if err != nil {
		return err
	}
	p := Publication{Distribution: in.options.Distribution, Component: in.options.Component}
	if slices.ContainsFunc(targets, p.samePlace) {
		return nil
	}
	return tx.SetTargets(id, append(targets, p))
}

// entry is the audit entry of what became of the package.
func (in *incoming) entry(ctx context.Context, a *Artifact, result string) AuditEntry {
	e := in.repo.audit(ctx, in.action(), result)
	e.Target, e.Package, e.Version = in.options.Distribution, a.Name, a.Version
	e.Detail = "sha256=" + a.SHA256
	return e
}

func (in *incoming) conflict(existing string, deleted bool) error {
	return &ConflictError{in.artifact.Key(), in.artifact.SHA256, existing, deleted}
}

// store puts the file into the pool, beside any other file that has its
// ordinary name, and returns with that name locked. What is not to be published
// goes where nobody can fetch it.
func (in *incoming) store(ctx context.Context) (func(), error) {
	a := &in.artifact
	if !a.Status.Published() {
		return in.hold(ctx)
	}
	plain := poolName(a)
	dir, base := path.Split(plain)
	for _, name := range []string{plain, dir + a.SHA256[:8] + "/" + base} {
		unlock, err := in.repo.shared().files.lock(ctx, name)
		if err != nil {
			return nil, err
		}
		free, err := in.claim(ctx, name)
		if free && err == nil {
			a.Filename = name
			return unlock, nil
		}
		unlock()
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: two pool names of %s are taken", ErrUnavailable, base)
}

// hold keeps the file outside of the public tree.
func (in *incoming) hold(ctx context.Context) (func(), error) {
	name := heldName(in.artifact.SHA256)
	unlock, err := in.repo.shared().files.lock(ctx, name)
	if err != nil {
		return nil, err
	}
	if _, err = in.file.Seek(0, io.SeekStart); err == nil {
		err = storageError(in.repo.Storage.Put(ctx, name, in.file))
	}
	if err != nil {
		unlock()
		return nil, err
	}
	in.artifact.Filename = name
	return unlock, nil
}

// claim creates the pool file name, or finds these very bytes there. It is
// not free when it holds other bytes.
func (in *incoming) claim(ctx context.Context, name string) (free bool, err error) {
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	err = storage.Create(ctx, in.repo.Storage, name, in.file)
	if !errors.Is(err, fs.ErrExist) {
		return err == nil, storageError(err)
	}
	sum, err := in.repo.fileSum(ctx, name)
	if err != nil {
		return false, err
	}
	in.reused = sum == in.artifact.SHA256
	return in.reused, nil
}

// discard takes a file out of the pool that was put there for a record that
// was refused. After ErrUnavailable it stays: the record may have been made.
func (in *incoming) discard(ctx context.Context, refused error) error {
	if in.reused || errors.Is(refused, ErrUnavailable) {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	var taken bool
	err := in.repo.Store.Update(ctx, func(tx Tx) (err error) {
		taken, err = tx.FilenameTaken(in.artifact.Filename)
		return err
	})
	if err != nil || taken {
		return err
	}
	return storageError(in.repo.Storage.Delete(ctx, in.artifact.Filename))
}

// restore writes the pool file again when it has gone.
func (in *incoming) restore(ctx context.Context, name string) error {
	body, _, err := in.repo.Storage.Open(ctx, name)
	if err == nil {
		return body.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return storageError(err)
	}
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return storageError(in.repo.Storage.Put(ctx, name, in.file))
}

// record writes artifact, scan, publication and audit entry in one transaction.
func (in *incoming) record(ctx context.Context) (Published, int64, error) {
	var out Published
	var seq int64
	err := in.repo.Store.Update(ctx, func(tx Tx) error {
		a, err := in.recordArtifact(tx)
		if err != nil {
			return err
		}
		if err := in.repo.label(ctx, tx, &a, in.options.Group); err != nil {
			return err
		}
		out = Published{Artifact: a, Distribution: in.options.Distribution, Component: in.options.Component}
		if out.Scan, err = in.summary(tx, a.ID); err != nil {
			return err
		}
		if !a.Status.Published() {
			out.New = true
			if err := in.target(tx, a.ID); err != nil {
				return err
			}
			result := map[Status]string{PendingReview: ResultPendingReview, Rejected: ResultFailure}[a.Status]
			e := in.entry(ctx, &a, result)
			e.Detail += " " + a.StatusReason
			if err := in.tell(ctx, tx, out); err != nil {
				return err
			}
			return tx.Audit(e)
		}
		p := Publication{
			Distribution: in.options.Distribution, Component: in.options.Component,
			PublishedAt: in.repo.now().UTC().Truncate(time.Second),
		}
		if seq, out.New, err = tx.AddPublication(a.ID, p); err != nil {
			return err
		}
		e := in.entry(ctx, &a, ResultSuccess)
		if out.New {
			out.Artifact.publishedIn(p)
			if err := in.tell(ctx, tx, out); err != nil {
				return err
			}
		} else {
			e.Detail += " already_indexed"
		}
		return tx.Audit(e)
	})
	return out, seq, err
}

// tell tells of what became of the package.
func (in *incoming) tell(ctx context.Context, tx Tx, out Published) (err error) {
	kind := EventPackageIndexed
	switch out.Artifact.Status {
	case PendingReview:
		kind = EventPackagePending
	case Rejected:
		kind = EventPackageRejected
	}
	in.told, err = in.repo.tellAll(ctx, tx, []Event{{
		Kind: kind, Artifact: &out.Artifact, Scan: &out.Scan, Distribution: out.Distribution, Component: out.Component,
		Distributions: []string{out.Distribution},
	}})
	return err
}

// summary returns what is known of the artifact's safety.
func (in *incoming) summary(tx Tx, id int64) (ScanSummary, error) {
	if in.found.status != "" { // it is new
		return in.found.scan.ScanSummary, nil
	}
	s, err := tx.Scan(id)
	return s.ScanSummary, err
}

// recordArtifact returns the recorded artifact with these bytes, recording it
// when the key is free.
func (in *incoming) recordArtifact(tx Tx) (Artifact, error) {
	key := in.artifact.Key()
	known, err := tx.Artifact(key)
	if err == nil && known.Status == Rejected {
		if err := in.replace(tx, known); err != nil {
			return Artifact{}, err
		}
		err = ErrArtifactNotFound
	}
	if err == nil {
		if known.SHA256 != in.artifact.SHA256 {
			return Artifact{}, in.conflict(known.SHA256, false)
		}
		return known, nil
	}
	if !errors.Is(err, ErrArtifactNotFound) {
		return Artifact{}, err
	}
	switch dead, err := tx.Tombstone(key); {
	case err == nil && dead.SHA256 != in.artifact.SHA256:
		return Artifact{}, in.conflict(dead.SHA256, true)
	case err == nil:
		if err := tx.DeleteTombstone(key); err != nil {
			return Artifact{}, err
		}
	case !errors.Is(err, ErrArtifactNotFound):
		return Artifact{}, err
	}
	if in.artifact.Filename == "" { // deleted since we looked
		return Artifact{}, fmt.Errorf("%w: %s changed meanwhile", ErrUnavailable, key.Name)
	}
	if _, err := tx.CancelRemoval(in.artifact.Filename); err != nil {
		return Artifact{}, err
	}
	a := in.artifact
	if err := tx.InsertArtifact(&a); err != nil {
		return Artifact{}, err
	}
	if in.licence.known() {
		if err := tx.PutLicence(a.ID, in.licence); err != nil {
			return Artifact{}, err
		}
	}
	return a, tx.PutScan(a.ID, in.found.scan)
}

// replace makes room for the package where another was rejected.
func (in *incoming) replace(tx Tx, rejected Artifact) error {
	if err := deleteArtifact(tx, rejected); err != nil {
		return err
	}
	if rejected.Filename == in.artifact.Filename {
		return nil
	}
	return tx.ScheduleRemoval(rejected.Filename, in.repo.now().UTC().Truncate(time.Second))
}

// warnings tells an uploader what apt will stumble over.
func (r *Repo) warnings(ctx context.Context, p *Published) []Warning {
	warnings := scanWarnings(p.Scan)
	if p.Artifact.Section == "" {
		warnings = append(warnings, Warning{"missing_section", "the control file has no Section"})
	}
	if p.Artifact.Priority == "" {
		warnings = append(warnings, Warning{"missing_priority", "the control file has no Priority"})
	}
	deps, err := r.dependencies(ctx, p.Artifact, p.Distribution)
	if err != nil {
		r.logger().WarnContext(ctx, "dependencies could not be checked", "package", p.Artifact.Name, "error", err)
		return warnings
	}
	for _, missing := range deps.Missing() {
		warnings = append(warnings, Warning{"missing_dependencies", missing})
	}
	return warnings
}

// scanWarnings tells what a scan did not prove, or found and let pass.
func scanWarnings(s ScanSummary) []Warning {
	var warnings []Warning
	switch {
	case s.Malware == scan.Failed || s.Malware == scan.Incomplete:
		warnings = append(warnings, Warning{"scanner_unavailable", "the search for malware failed or was incomplete"})
	case s.Malware == scan.NotScanned:
		warnings = append(warnings, Warning{"not_scanned", "no scanner for malware is configured"})
	}
	if !s.Covered {
		warnings = append(warnings, Warning{"not_scanned", "there are no vulnerability data for the distribution"})
	}
	if s.Verdict == Warn {
		warnings = append(warnings, Warning{"vulnerabilities", fmt.Sprintf("%d known vulnerabilities", s.Counts.Total())})
	}
	return warnings
}

// artifactOf takes over a package's control fields.
func artifactOf(p *deb.Package) Artifact {
	return Artifact{
		Name:          p.Name,
		Version:       p.Version.String(),
		Arch:          p.Architecture,
		Source:        p.Source,
		SourceVersion: p.SourceVersion,
		Section:       p.Section,
		Priority:      p.Priority,
		Maintainer:    p.Maintainer,
		Description:   p.Description,
		Homepage:      p.Homepage,
		MultiArch:     p.MultiArch,
		Essential:     p.Essential,
		InstalledSize: p.InstalledSize,
		Control:       p.Control.String(),
	}
}

// poolName is the ordinary place of a package's file, as Debian's archive
// has it: pool/COMPONENT/PREFIX/SOURCE/NAME_VERSION_ARCH.deb, without epoch.
func poolName(a *Artifact) string {
	prefix := a.Source[:1]
	if strings.HasPrefix(a.Source, "lib") && len(a.Source) > 3 {
		prefix = a.Source[:4]
	}
	version := a.Version
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	return fmt.Sprintf("pool/%s/%s/%s/%s_%s_%s.deb", a.Component, prefix, a.Source, a.Name, version, a.Arch)
}

// sums hashes what is written to it, in every way that clients are told.
type sums struct {
	md5, sha256, sha512 hash.Hash
	size                int64
}

func newSums() *sums { return &sums{md5: md5.New(), sha256: sha256.New(), sha512: sha512.New()} }

func (s *sums) Write(p []byte) (int, error) {
	s.md5.Write(p)
	s.sha256.Write(p)
	s.sha512.Write(p)
	s.size += int64(len(p))
	return len(p), nil
}

func sumOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// fileSum returns the SHA-256 of a stored file.
func (r *Repo) fileSum(ctx context.Context, key string) (string, error) {
	body, _, err := r.Storage.Open(ctx, key)
	if err != nil {
		return "", storageError(err)
	}
	defer body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, body}); err != nil {
		return "", storageError(err)
	}
	return sumOf(h), nil
}

// contextReader stops reading when ctx ends.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
