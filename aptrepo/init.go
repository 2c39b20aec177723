package aptrepo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/repod-io/repod/deb"
)

var (
	codenamePattern  = regexp.MustCompile(`^[a-z][a-z0-9]*([.-][a-z0-9]+)*$`)
	componentPattern = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	osPattern        = regexp.MustCompile(`^[a-z][a-z0-9]*:[a-z0-9][a-z0-9.]*$`)
)

// maxListed bounds the components and architectures of a distribution.
const maxListed = 20

// vendorReleases maps well-known codenames to the vendor release whose
// vulnerability data apply.
var vendorReleases = map[string]string{
	"buster": "debian:10", "bullseye": "debian:11", "bookworm": "debian:12", "trixie": "debian:13",
	"bionic": "ubuntu:18.04", "focal": "ubuntu:20.04", "jammy": "ubuntu:22.04", "noble": "ubuntu:24.04",
}

func validCodename(s string) bool { return len(s) <= 40 && codenamePattern.MatchString(s) }

// Init creates a distribution and publishes its signed, empty tree. Only
// Codename is required; see the fields of Distribution for the defaults.
//
// A field that is not valid gives an error with a *FieldError for each;
// otherwise ErrScope or ErrNameScope (an actor with a scope cannot create
// distributions) or ErrDistributionExists.
func (r *Repo) Init(ctx context.Context, d Distribution) (Distribution, error) {
	d = d.withDefaults()
	if err := d.validate(); err != nil {
		return Distribution{}, err
	}
	if len(ActorFrom(ctx).Distributions) > 0 {
		return Distribution{}, ErrScope
	}
	if len(ActorFrom(ctx).Packages) > 0 {
		return Distribution{}, ErrNameScope
	}
	d.CreatedAt = r.now().UTC().Truncate(time.Second)
	var created Event
	err := r.Store.Update(ctx, func(tx Tx) error {
		free, err := tx.InsertDistribution(d)
		if err != nil {
			return err
		}
		if !free {
			return ErrDistributionExists
		}
		e := r.audit(ctx, "distribution.init", ResultSuccess)
		e.Target = d.Codename
		created, err = r.tell(ctx, tx, Event{Kind: EventDistributionCreated, Distribution: d.Codename, Description: d.Description})
		if err != nil {
			return err
		}
		return tx.Audit(e)
	})
	if err != nil {
		r.auditFailure(ctx, "distribution.init", AuditEntry{Target: d.Codename}, err)
		return Distribution{}, err
	}
	if err := r.publisher(d.Codename).ensure(ctx); err != nil {
		return Distribution{}, err
	}
	r.emit(ctx, created)
	return r.Store.Distribution(ctx, d.Codename)
}

// ensure publishes the first generation when there is none.
func (p *publisher) ensure(ctx context.Context) error {
	return p.exclusive(ctx, func(ctx context.Context) error {
		s, err := p.snapshot(ctx)
		if err != nil || s.gen.Number > 0 {
			return err
		}
		if err := p.advance(ctx, p.edit); err != nil {
			return err
		}
		return p.overtake(ctx) // one of that name may have been here before
	})
}

func (d Distribution) withDefaults() Distribution {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&d.Origin, "repod")
	set(&d.Label, "repod")
	set(&d.Suite, d.Codename)
	set(&d.OS, vendorReleases[d.Codename])
	if d.Components == nil {
		d.Components = []string{"main"}
	}
	if d.Architectures == nil {
		d.Architectures = []string{"amd64", "arm64"}
	}
	return d
}

func (d Distribution) validate() error {
	var errs []error
	fault := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{field, fmt.Sprintf(format, args...)})
	}
	if !validCodename(d.Codename) {
		fault("codename", "must be at most 40 lower-case letters, digits, dots and hyphens, starting with a letter")
	}
	line := func(field, value string, most int) {
		if !utf8.ValidString(value) || len(value) > most || strings.ContainsFunc(value, isControl) {
			fault(field, "must be one line of at most %d bytes", most)
		}
	}
	line("description", d.Description, 256)
	line("origin", d.Origin, 64)
	line("label", d.Label, 64)
	if d.Suite != d.Codename {
		line("suite", d.Suite, 64)
	}
	if d.OS != "" && !osPattern.MatchString(d.OS) {
		fault("os", "must be a vendor and its release, such as debian:12")
	}
	errs = append(errs, validList("components", d.Components, func(s string) string {
		if len(s) > 64 || !componentPattern.MatchString(s) {
			return "must be lower-case letters, digits and hyphens, starting with a letter"
		}
		return ""
	})...)
	errs = append(errs, validList("architectures", d.Architectures, func(s string) string {
		if s == "all" || !deb.KnownArchitecture(s) {
			return `must be the name of a Debian architecture; "all" is part of each`
		}
		return ""
	})...)
	return errors.Join(errs...)
}

// validList checks the length of a list, its items, and that none repeats.
func validList(field string, items []string, fault func(string) string) []error {
	var errs []error
	if len(items) < 1 || len(items) > maxListed {
		errs = append(errs, &FieldError{field, fmt.Sprintf("must have 1 to %d items", maxListed)})
	}
	for i, item := range items {
		message := fault(item)
		if message == "" && slices.Contains(items[:i], item) {
			message = "is a repetition"
		}
		if message != "" {
			errs = append(errs, &FieldError{fmt.Sprintf("%s[%d]", field, i), message})
		}
	}
	return errs
}

func isControl(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}

// auditFailure records a failed attempt. Where the Store itself is out of
// reach there is nowhere to record it but the log.
func (r *Repo) auditFailure(ctx context.Context, action string, about AuditEntry, cause error) {
	e := r.audit(ctx, action, ResultFailure)
	e.Target, e.Package, e.Version = about.Target, about.Package, about.Version
	e.Detail = reason(cause)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.Store.Update(ctx, func(tx Tx) error { return tx.Audit(e) }); err != nil {
		r.logger().WarnContext(ctx, "a failed attempt could not be audited", "action", action, "error", err)
	}
}

// reason is what the audit log says of an error: its text when it is one of
// ours, which names nothing internal.
func reason(err error) string {
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFull) {
		return "storage failed"
	}
	text := err.Error()
	if len(text) > 500 {
		text = text[:500]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
