package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Errors of trusted publishers.
var (
	ErrPublisherNotFound = errors.New("no such trusted publisher")
	ErrPublisherExists   = errors.New("a trusted publisher of this name exists")
	// ErrAssertionUsed: the token was exchanged before.
	ErrAssertionUsed = errors.New("the token was used before")
	// ErrIssuerUnavailable: the platform's keys could not be fetched.
	ErrIssuerUnavailable = errors.New("the issuer is out of reach")
)

// Actions of events.
const (
	ActionPublisherCreate = "publisher.create"
	ActionPublisherDelete = "publisher.delete"
	ActionTokenExchange   = "token.exchange"
)

// PublisherLifetime is how long a token of a trusted publisher works.
const PublisherLifetime = 15 * time.Minute

// KindPublisher is the kind of principals that a CI platform vouches for.
const KindPublisher Kind = "ci"

// An Assertion is what a verified token of a CI platform says of the job that
// holds it.
type Assertion struct {
	ID           string // the claim jti
	ExpiresAt    time.Time
	Repository   string // repository (GitHub), project_path (GitLab)
	RepositoryID string // repository_id, project_id
	Ref          string // full: refs/heads/main
	Environment  string
	Run          string // run_id, job_id: for the audit log
}

// An AssertionVerifier verifies tokens of CI platforms. Package auth/oidc has
// one. Errors: ErrInvalidToken for a token that is not a valid one of the
// issuer for the audience, ErrIssuerUnavailable.
type AssertionVerifier interface {
	Verify(ctx context.Context, issuer, audience, token string) (Assertion, error)
}

// A PublisherSpec says what trusted publisher to make; see [Publisher].
type PublisherSpec struct {
	Name, Issuer, Audience, Repository, RepositoryID, Ref, Environment string

	Roles         []Role
	Distributions []string // that they exist is for the caller to check
	Packages      []string
}

func (spec *PublisherSpec) check() ([]Role, error) {
	var faults ValidationError
	if !ValidTokenName(spec.Name) {
		faults.add("name", "must be 1 to 64 letters, digits, spaces, '.', '_' and '-', the first a letter or digit")
	}
	if u, err := url.Parse(spec.Issuer); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || len(spec.Issuer) > 255 {
		faults.add("issuer", "must be the https:// address of the platform's OpenID Connect issuer")
	}
	for _, f := range []struct{ field, text string }{{"audience", spec.Audience}, {"repository", spec.Repository}, {"ref", spec.Ref}} {
		if f.text == "" {
			faults.add(f.field, "must not be empty")
		}
	}
	if spec.Ref == "*" {
		faults.add("ref", "must begin with something before the *: anybody can push a branch")
	}
	for _, f := range []struct{ field, text string }{
		{"audience", spec.Audience}, {"repository", spec.Repository}, {"repository_id", spec.RepositoryID},
		{"ref", spec.Ref}, {"environment", spec.Environment},
	} {
		if clip(f.text) != f.text {
			faults.add(f.field, "must have at most 128 printable characters")
		}
	}
	roles, err := SortRoles(spec.Roles)
	faults.addFaults(err)
	if HighestRole(roles) > Maintainer {
		faults.add("roles", "must not include admin")
	}
	faults.addFaults(CheckPackages(spec.Packages))
	if len(faults.Fields) > 0 {
		return nil, &faults
	}
	return roles, nil
}

// Publishers returns all trusted publishers by name.
func (s *Service) Publishers(ctx context.Context) ([]Publisher, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	return s.Store.Publishers(ctx)
}

// CreatePublisher makes a trusted publisher in the name of by. Errors: a
// [*ValidationError], ErrRoleTooHigh, ErrTokenScope, ErrTokenPackages,
// ErrPublisherExists.
func (s *Service) CreatePublisher(ctx context.Context, by Principal, spec PublisherSpec, c Client) (Publisher, error) {
	if err := s.ready(); err != nil {
		return Publisher{}, err
	}
	roles, err := spec.check()
	if err != nil {
		return Publisher{}, err
	}
	e := s.event(ActionPublisherCreate, by.Name, c)
	e.Target = spec.Name
	e.Detail = fmt.Sprintf("issuer=%s repository=%s ref=%s environment=%s roles=%s", spec.Issuer, spec.Repository, spec.Ref, spec.Environment, roleList(roles)) +
		describeScope(spec.Distributions, spec.Packages)
	if !by.Has(HighestRole(roles)) {
		return Publisher{}, s.audited(ctx, e, ErrRoleTooHigh)
	}
	if err := by.mayGrant(spec.Distributions, spec.Packages); err != nil {
		return Publisher{}, s.audited(ctx, e, err)
	}
	id, err := random62(s.rand(), 12)
	if err != nil {
		return Publisher{}, err
	}
	version, err := randomVersion(s.rand())
	if err != nil {
		return Publisher{}, err
	}
	p := Publisher{
		ID: "pub_" + id, Name: spec.Name, Issuer: strings.TrimSuffix(spec.Issuer, "/"), Audience: spec.Audience,
		Repository: spec.Repository, RepositoryID: spec.RepositoryID, Ref: spec.Ref, Environment: spec.Environment,
		Roles: roles, Distributions: slices.Compact(slices.Sorted(slices.Values(spec.Distributions))),
		Packages: slices.Compact(slices.Sorted(slices.Values(spec.Packages))),
		Version:  version, CreatedBy: by.Name, CreatedAt: e.Time,
	}
	if err := s.audited(ctx, e, s.Store.CreatePublisher(ctx, p, e)); err != nil {
		return Publisher{}, err
	}
	return p, nil
}

// DeletePublisher removes a trusted publisher in the name of by; its tokens end
// at once. Errors: ErrPublisherNotFound.
func (s *Service) DeletePublisher(ctx context.Context, by Principal, id string, c Client) error {
	if err := s.ready(); err != nil {
		return err
	}
	e := s.event(ActionPublisherDelete, by.Name, c)
	e.Target = clip(id)
	p, err := s.Store.Publisher(ctx, id)
	if err == nil {
		e.Target, e.Detail = p.Name, "id="+id
		err = s.Store.DeletePublisher(ctx, id, e)
	}
	return s.audited(ctx, e, err)
}

// maxAssertion bounds a token of a platform, in bytes; theirs have one to two
// thousand.
const maxAssertion = 16 << 10

// Exchange gives a CI job that shows a token of its platform one of ours, for
// fifteen minutes. It returns ErrInvalidToken, whatever is wrong, to one that
// no trusted publisher is for, and ErrIssuerUnavailable when the platform's
// keys cannot be fetched. A token can be exchanged once.
func (s *Service) Exchange(ctx context.Context, token string, c Client) (Secret, Publisher, error) {
	if err := s.ready(); err != nil {
		return "", Publisher{}, err
	}
	p, a, err := s.trusted(ctx, token)
	e := s.event(ActionTokenExchange, "anonymous", c)
	e.Detail = fmt.Sprintf("repository=%s ref=%s environment=%s run=%s", clip(a.Repository), clip(a.Ref), clip(a.Environment), clip(a.Run))
	if err == nil {
		e.User, e.Target = "ci:"+p.Name, p.Issuer
		sum := sha256.Sum256([]byte(p.Issuer + "\n" + a.ID))
		err = s.Store.UseAssertion(ctx, hex.EncodeToString(sum[:]), a.ExpiresAt.Add(time.Minute), e) // clocks differ
	}
	switch {
	case errors.Is(err, ErrInvalidToken), errors.Is(err, ErrAssertionUsed):
		s.log().InfoContext(ctx, "a CI token was refused", "reason", err, "ip", c.IP, "request_id", c.RequestID)
		e.User, e.Detail = "anonymous", e.Detail+": "+err.Error()
		if err := s.recordFailure(ctx, e); err != nil {
			return "", Publisher{}, err
		}
		return "", Publisher{}, ErrInvalidToken
	case err != nil:
		return "", Publisher{}, fmt.Errorf("exchange a CI token: %w", err)
	}
	text, err := s.signSession("ci:"+p.ID, p.Version, s.now(), PublisherLifetime)
	return text, p, err
}

// trusted returns the first publisher that a token is for. The token's issuer
// is only a hint where to look: each rule has its own, by whose keys the token
// is then verified.
func (s *Service) trusted(ctx context.Context, token string) (Publisher, Assertion, error) {
	issuer := issuerOf(token)
	all, err := s.Store.Publishers(ctx)
	if err != nil {
		return Publisher{}, Assertion{}, err
	}
	reason := fmt.Errorf("%w: no trusted publisher has the issuer %q", ErrInvalidToken, clip(issuer))
	var last Assertion
	if s.Assertions == nil || len(token) > maxAssertion {
		return Publisher{}, last, reason
	}
	for _, p := range all {
		if p.Issuer != strings.TrimSuffix(issuer, "/") {
			continue
		}
		a, err := s.Assertions.Verify(ctx, issuer, p.Audience, token)
		if errors.Is(err, ErrInvalidToken) {
			reason = err
			continue
		}
		if err != nil {
			return Publisher{}, last, err
		}
		last = a
		switch {
		case a.ID == "":
			reason = fmt.Errorf("%w: it has no jti", ErrInvalidToken)
		case !p.accepts(a):
			reason = fmt.Errorf("%w: no trusted publisher is for the repository, reference and environment", ErrInvalidToken)
		default:
			return p, a, nil
		}
	}
	return Publisher{}, last, reason
}

func (p *Publisher) accepts(a Assertion) bool {
	return strings.EqualFold(p.Repository, a.Repository) && a.Repository != "" && matches(p.Ref, a.Ref) &&
		(p.RepositoryID == "" || p.RepositoryID == a.RepositoryID) && (p.Environment == "" || p.Environment == a.Environment)
}

// issuerOf reads the issuer that a token claims to have.
func issuerOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > maxAssertion {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// publisherSession returns the principal of a token that Exchange gave.
func (s *Service) publisherSession(ctx context.Context, claims *sessionClaims) (Principal, error) {
	p, err := s.Store.Publisher(ctx, strings.TrimPrefix(claims.Subject, "ci:"))
	switch {
	case errors.Is(err, ErrPublisherNotFound), err == nil && p.Version != claims.Version:
		return Principal{}, fmt.Errorf("%w: the trusted publisher is gone", ErrInvalidToken)
	case err != nil:
		return Principal{}, fmt.Errorf("look up a trusted publisher: %w", err)
	}
	return Principal{
		Kind: KindPublisher, Name: "ci:" + p.Name, Roles: p.Roles, Publisher: &p,
		SessionID: claims.ID, ExpiresAt: claims.ExpiresAt.UTC(),
	}, nil
}
