package oidc

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/repod-io/repod/auth"
)

// ErrOff says that nobody can log in by an issuer at the moment.
var ErrOff = errors.New("logging in by an OpenID Connect issuer is switched off")

// FlowLifetime is how long a person may take to log in at the issuer.
const FlowLifetime = 10 * time.Minute

// A LoginConfig says how people log in by an issuer.
type LoginConfig struct {
	Issuer       string
	ClientID     string
	ClientSecret auth.Secret // "": a public client
	Scopes       []string    // "openid" is added when it is missing
	RedirectURL  string      // of the callback, as the issuer has it

	UsernameClaim string // "preferred_username"
	GroupsClaim   string // "groups"
	// RoleGroups lists the groups that give a role; DefaultRole is that of
	// users in none of them, 0: they may not log in.
	RoleGroups    map[auth.Role][]string
	DefaultRole   auth.Role
	AutoProvision bool
}

// A Login is the authorization code flow of OpenID Connect Core 1.0, section
// 3.1, with PKCE (RFC 7636). It keeps nothing: what belongs to a flow is sealed
// and kept by the person's browser, so that any server can finish it.
type Login struct {
	Verifier *Verifier // fetches what issuers publish
	// Config returns the present configuration, and false while it is off.
	Config func(ctx context.Context) (LoginConfig, bool)
	Key    []byte `json:"-"` // 32 bytes: other keys are derived from it
}

// flow is what is sealed.
type flow struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	Issuer   string `json:"issuer"`
	Begun    int64  `json:"begun"` // Unix seconds
}

// Begin returns where to send a browser, and the sealed flow that it must bring
// back. Errors: ErrOff, auth.ErrIssuerUnavailable.
func (l *Login) Begin(ctx context.Context) (redirect, sealed string, err error) {
	c, on := l.Config(ctx)
	if !on {
		return "", "", ErrOff
	}
	client, err := l.client(ctx, c)
	if err != nil {
		return "", "", err
	}
	f := flow{rand.Text(), rand.Text(), oauth2.GenerateVerifier(), c.Issuer, l.Verifier.now().Unix()}
	if sealed, err = l.seal(f); err != nil {
		return "", "", err
	}
	return client.AuthCodeURL(f.State, goidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), sealed, nil
}

func (l *Login) client(ctx context.Context, c LoginConfig) (*oauth2.Config, error) {
	provider, err := l.Verifier.provider(ctx, c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrIssuerUnavailable, err)
	}
	scopes := c.Scopes
	if !slices.Contains(scopes, goidc.ScopeOpenID) {
		scopes = append([]string{goidc.ScopeOpenID}, scopes...)
	}
	return &oauth2.Config{
		ClientID: c.ClientID, ClientSecret: string(c.ClientSecret), Endpoint: provider.Endpoint(), RedirectURL: c.RedirectURL, Scopes: scopes,
	}, nil
}

// Finish returns the user whom the issuer has sent back with a state and code,
// to the browser that has the sealed flow. The issuer's name in the answer (RFC
// 9207), when there is one, must be the one asked. Errors: ErrOff,
// auth.ErrInvalidToken for whatever does not fit, auth.ErrIssuerUnavailable.
func (l *Login) Finish(ctx context.Context, sealed, state, code, issuer string) (auth.ExternalUser, error) {
	c, on := l.Config(ctx)
	if !on {
		return auth.ExternalUser{}, ErrOff
	}
	f, err := l.open(sealed)
	switch {
	case err != nil:
		return auth.ExternalUser{}, refused("no flow")
	case subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) != 1 || state == "":
		return auth.ExternalUser{}, refused("another state")
	case l.Verifier.now().Sub(time.Unix(f.Begun, 0)) > FlowLifetime:
		return auth.ExternalUser{}, refused("it took too long")
	case f.Issuer != c.Issuer || issuer != "" && issuer != c.Issuer:
		return auth.ExternalUser{}, refused("another issuer")
	case code == "":
		return auth.ExternalUser{}, refused("no code")
	}
	client, err := l.client(ctx, c)
	if err != nil {
		return auth.ExternalUser{}, err
	}
	token, err := client.Exchange(goidc.ClientContext(ctx, l.Verifier.client), code, oauth2.VerifierOption(f.Verifier))
	var answered *oauth2.RetrieveError
	switch {
	case errors.As(err, &answered) && answered.Response.StatusCode < 500:
		return auth.ExternalUser{}, refused("the issuer refuses the code: %s", answered.ErrorCode)
	case err != nil:
		return auth.ExternalUser{}, fmt.Errorf("%w: %w", auth.ErrIssuerUnavailable, err)
	}
	raw, _ := token.Extra("id_token").(string)
	return l.user(ctx, c, raw, f.Nonce)
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", auth.ErrInvalidToken, fmt.Sprintf(format, args...))
}

// user verifies an ID token and reads its claims.
func (l *Login) user(ctx context.Context, c LoginConfig, raw, nonce string) (auth.ExternalUser, error) {
	provider, err := l.Verifier.provider(ctx, c.Issuer)
	if err != nil {
		return auth.ExternalUser{}, fmt.Errorf("%w: %w", auth.ErrIssuerUnavailable, err)
	}
	token, err := provider.Verifier(&goidc.Config{ClientID: c.ClientID, SupportedSigningAlgs: algorithms, Now: l.Verifier.now}).Verify(ctx, raw)
	if err != nil {
		return auth.ExternalUser{}, refused("ID token: %v", err)
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1 || token.Subject == "" {
		return auth.ExternalUser{}, refused("ID token: another nonce, or no subject")
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return auth.ExternalUser{}, refused("ID token: claims")
	}
	if party, ok := claims["azp"].(string); ok && party != c.ClientID {
		return auth.ExternalUser{}, refused("ID token: for another client")
	}
	text := func(name string) string {
		s, _ := claims[name].(string)
		return strings.TrimSpace(s)
	}
	u := auth.ExternalUser{
		ID: c.Issuer + " " + token.Subject, Username: text(c.UsernameClaim), FullName: text("name"),
		Roles: c.roles(claims[c.GroupsClaim]), RolesManaged: len(c.RoleGroups) > 0, Provision: c.AutoProvision,
	}
	if verified, ok := claims["email_verified"].(bool); !ok || verified {
		u.Email = text("email")
	}
	return u, nil
}

// roles returns the roles that groups give, or the default one.
func (c *LoginConfig) roles(claim any) (roles []auth.Role) {
	var groups []string
	switch claim := claim.(type) {
	case string:
		groups = []string{claim}
	case []any:
		for _, g := range claim {
			if s, ok := g.(string); ok {
				groups = append(groups, s)
			}
		}
	}
	for role := auth.Viewer; role <= auth.Admin; role++ {
		if slices.ContainsFunc(c.RoleGroups[role], func(g string) bool { return slices.Contains(groups, g) }) {
			roles = append(roles, role)
		}
	}
	if len(roles) == 0 && c.DefaultRole.Valid() {
		roles = []auth.Role{c.DefaultRole}
	}
	return roles
}

func (l *Login) aead() (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, l.Key, nil, "repod OpenID Connect flow", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (l *Login) seal(f flow) (string, error) {
	c, err := l.aead()
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(f)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(c.Seal(nil, nil, text, nil)), nil
}

func (l *Login) open(sealed string) (f flow, err error) {
	c, err := l.aead()
	if err != nil {
		return f, err
	}
	data, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return f, err
	}
	text, err := c.Open(nil, nil, data, nil)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(text, &f)
}
