// Package oidc verifies tokens by which a CI platform vouches for its jobs
// (OpenID Connect Core 1.0, section 2; GitHub Actions and GitLab).
package oidc

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/repod-io/repod/auth"
)

const (
	fetchTimeout = 10 * time.Second
	maxAnswer    = 1 << 20   // bytes of an issuer's configuration or keys
	keepFor      = time.Hour // before the configuration is fetched again
)

// algorithms are those of public keys. A token signed with a shared key, or not
// at all, proves nothing.
var algorithms = []string{goidc.RS256, goidc.RS384, goidc.RS512, goidc.ES256, goidc.ES384, goidc.ES512, goidc.PS256, goidc.PS384, goidc.PS512, goidc.EdDSA}

// A Verifier is an [auth.AssertionVerifier]. It fetches the configuration and
// keys of the issuers that it is asked about (OpenID Connect Discovery 1.0) and
// keeps them. The zero value is ready for use; its fields must not change after
// the first call.
type Verifier struct {
	// Dial opens connections. Nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RootCAs are the authorities to trust. Nil: the system's.
	RootCAs *x509.CertPool
	// Now is the clock. Nil: time.Now.
	Now func() time.Time

	once   sync.Once
	client *http.Client

	mu      sync.Mutex
	issuers map[string]*issuer
}

var _ auth.AssertionVerifier = (*Verifier)(nil)

// An issuer is one whose configuration is known.
type issuer struct {
	provider *goidc.Provider
	fetched  time.Time
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// claims are those of GitHub Actions and of GitLab.
type claims struct {
	ID string `json:"jti"`

	Repository   string `json:"repository"`
	RepositoryID string `json:"repository_id"`
	RunID        string `json:"run_id"`

	ProjectPath string `json:"project_path"`
	ProjectID   string `json:"project_id"`
	JobID       string `json:"job_id"`

	Ref         string `json:"ref"`
	RefType     string `json:"ref_type"` // branch, tag
	Environment string `json:"environment"`
}

// fullRef returns the full name of the ref. GitHub gives it; GitLab gives a
// short one beside its type, and a branch may be called as a tag is, or
// "refs/heads/main".
func (c *claims) fullRef() string {
	switch {
	case c.ProjectPath == "":
		return c.Ref
	case c.RefType == "branch":
		return "refs/heads/" + c.Ref
	case c.RefType == "tag":
		return "refs/tags/" + c.Ref
	}
	return ""
}

// Verify implements [auth.AssertionVerifier]: signature, issuer, audience and
// times.
func (v *Verifier) Verify(ctx context.Context, issuer, audience, token string) (auth.Assertion, error) {
	provider, err := v.provider(ctx, issuer)
	if err != nil {
		return auth.Assertion{}, fmt.Errorf("%w: %w", auth.ErrIssuerUnavailable, err)
	}
	verified, err := provider.Verifier(&goidc.Config{
		ClientID: audience, SupportedSigningAlgs: algorithms, Now: v.now,
	}).Verify(ctx, token)
	if err != nil {
		// The library has no error of its own for keys that it cannot fetch.
		if strings.Contains(err.Error(), "fetching keys") {
			return auth.Assertion{}, fmt.Errorf("%w: %w", auth.ErrIssuerUnavailable, err)
		}
		return auth.Assertion{}, fmt.Errorf("%w: %w", auth.ErrInvalidToken, err)
	}
	var c claims
	if err := verified.Claims(&c); err != nil {
		return auth.Assertion{}, fmt.Errorf("%w: claims: %w", auth.ErrInvalidToken, err)
	}
	if verified.IssuedAt.After(v.now().Add(time.Minute)) {
		return auth.Assertion{}, fmt.Errorf("%w: issued in the future", auth.ErrInvalidToken)
	}
	return auth.Assertion{
		ID: c.ID, ExpiresAt: verified.Expiry,
		Repository: cmp.Or(c.Repository, c.ProjectPath), RepositoryID: cmp.Or(c.RepositoryID, c.ProjectID),
		Ref: c.fullRef(), Environment: c.Environment, Run: cmp.Or(c.RunID, c.JobID),
	}, nil
}

// provider returns what is known of an issuer. Only those that a rule names are
// ever asked about, so that the map stays small.
func (v *Verifier) provider(ctx context.Context, name string) (*goidc.Provider, error) {
	v.once.Do(v.prepare)
	v.mu.Lock()
	known := v.issuers[name]
	v.mu.Unlock()
	if known != nil && v.now().Sub(known.fetched) < keepFor {
		return known.provider, nil
	}
	// The provider keeps the context's client, and no more of it.
	provider, err := goidc.NewProvider(goidc.ClientContext(context.WithoutCancel(ctx), v.client), name)
	if err != nil {
		if known != nil {
			return known.provider, nil // as it was is better than not at all
		}
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.issuers[name] = &issuer{provider, v.now()}
	return provider, nil
}

func (v *Verifier) prepare() {
	dial := v.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	v.issuers = make(map[string]*issuer)
	v.client = &http.Client{
		Timeout: fetchTimeout,
		Transport: bounded{&http.Transport{
			DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: v.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: fetchTimeout, ResponseHeaderTimeout: fetchTimeout, MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("issuers must not redirect") },
	}
}

// bounded cuts answers off that are too long.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}
