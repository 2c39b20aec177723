package httpapi

import (
	"net/http"
	"time"

	"github.com/repod-io/repod/auth"
)

type loginBody struct {
	Username string `json:"username" rule:"required,trim,1..64"`
	Password string `json:"password" rule:"required,1..128"`
	OTP      string `json:"otp" rule:"trim,1..32"` // beyond the reference
}

func (a *api) login(c *call) error {
	var in loginBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	token, lifetime, err := a.Auth.LoginOTP(c.Context(), in.Username, in.Password, in.OTP, c.client())
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newSessionJSON(token, lifetime))
}

type sessionJSON struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"` // seconds
}

func newSessionJSON(token auth.Secret, lifetime time.Duration) sessionJSON {
	return sessionJSON{string(token), "bearer", int(lifetime / time.Second)}
}

func (a *api) logout(c *call) error {
	q := newQuery(c.Request)
	everywhere := q.truth("everywhere")
	if err := q.err(); err != nil {
		return err
	}
	if err := a.Auth.Logout(c.detach(), c.who, everywhere, c.client()); err != nil {
		return err
	}
	return noContent(c)
}

// noContent answers that what was asked is done.
func noContent(c *call) error {
	setAPIHeaders(c.w.Header())
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// userJSON is a user, or the user that an API token acts as.
type userJSON struct {
	Username   string      `json:"username"`
	Email      string      `json:"email"`
	FullName   string      `json:"full_name"`
	Roles      []auth.Role `json:"roles"`
	Active     bool        `json:"active"`
	AuthSource string      `json:"auth_source" rule:"local|ldap|oidc|token|ci"`
	CreatedAt  timestamp   `json:"created_at"`
	LastLogin  timestamp   `json:"last_login"`
	Token      *ownToken   `json:"token,omitempty"`
}

type ownToken struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	Distributions []string  `json:"distributions"`
	Packages      []string  `json:"packages,omitempty"` // beyond the reference
	ExpiresAt     timestamp `json:"expires_at"`
}

func newUser(p auth.Principal) userJSON {
	if t := p.Token; t != nil {
		return userJSON{
			Username: p.Name, Roles: list(t.Roles), Active: true, AuthSource: "token", CreatedAt: timestamp(t.CreatedAt),
			Token: &ownToken{t.ID, t.Name, list(t.Distributions), t.Packages, timestampOf(t.ExpiresAt)},
		}
	}
	if t := p.Publisher; t != nil {
		return userJSON{
			Username: p.Name, Roles: list(t.Roles), Active: true, AuthSource: "ci", CreatedAt: timestamp(t.CreatedAt),
			Token: &ownToken{t.ID, t.Name, list(t.Distributions), t.Packages, timestamp(p.ExpiresAt)},
		}
	}
	return newUserJSON(p.User)
}

func (a *api) me(c *call) error { return writeJSON(c.w, http.StatusOK, newUser(c.who)) }

type rolesJSON struct {
	Roles map[string]auth.RoleInfo `json:"roles"`
}

func (a *api) roles(c *call) error {
	out := rolesJSON{map[string]auth.RoleInfo{}}
	for _, info := range auth.Roles() {
		out.Roles[info.Role.String()] = info
	}
	return writeJSON(c.w, http.StatusOK, out)
}

type tokenJSON struct {
	ID            string      `json:"id"`
	Token         string      `json:"token,omitempty"` // the secret, shown once
	Name          string      `json:"name"`
	Roles         []auth.Role `json:"roles"`
	Prefix        string      `json:"prefix"`
	Distributions []string    `json:"distributions"`
	Packages      []string    `json:"packages,omitempty"` // beyond the reference
	CreatedBy     string      `json:"created_by"`
	CreatedAt     timestamp   `json:"created_at"`
	ExpiresAt     timestamp   `json:"expires_at"`
	LastUsedAt    timestamp   `json:"last_used_at"`
}

func newToken(t auth.APIToken) tokenJSON {
	return tokenJSON{
		ID: t.ID, Name: t.Name, Roles: list(t.Roles), Prefix: t.Prefix, Distributions: list(t.Distributions),
		Packages: t.Packages, CreatedBy: t.CreatedBy, CreatedAt: timestamp(t.CreatedAt),
		ExpiresAt: timestampOf(t.ExpiresAt), LastUsedAt: timestampOf(t.LastUsedAt),
	}
}

type tokensJSON struct {
	Tokens []tokenJSON `json:"tokens"`
	Total  int         `json:"total"`
}

func (a *api) listTokens(c *call) error {
	tokens, err := a.Auth.Tokens(c.Context())
	if err != nil {
		return err
	}
	out := tokensJSON{[]tokenJSON{}, len(tokens)}
	for _, t := range tokens {
		out.Tokens = append(out.Tokens, newToken(t))
	}
	return writeJSON(c.w, http.StatusOK, out)
}

// newTokenBody is the body of createToken.
type newTokenBody struct {
	Name          string   `json:"name" rule:"required,trim"`
	Roles         []string `json:"roles" rule:"required" enum:"roles"`
	ExpiresInDays *int     `json:"expires_in_days" rule:"1..3650"`
	Distributions []string `json:"distributions" rule:"0..1000"`
	Packages      []string `json:"packages" rule:"1..100"` // beyond the reference
}

// spec checks what auth would check too, so that all faults of the body are
// told before anything that it names is looked up.
func (in *newTokenBody) spec() (auth.TokenSpec, error) {
	roles, err := auth.ParseRoles(in.Roles)
	var faults []fault
	if err != nil {
		p, _ := problemOf(err)
		faults = p.Errors
	}
	if !auth.ValidTokenName(in.Name) {
		faults = append([]fault{{"name", "must be 1 to 64 letters, digits, spaces, '.', '_' and '-', the first a letter or digit"}}, faults...)
	}
	if err := auth.CheckPackages(in.Packages); err != nil {
		p, _ := problemOf(err)
		faults = append(faults, p.Errors...)
	}
	if len(faults) > 0 {
		return auth.TokenSpec{}, invalid(faults...)
	}
	spec := auth.TokenSpec{Name: in.Name, Roles: roles, Distributions: in.Distributions, Packages: in.Packages}
	if in.ExpiresInDays != nil {
		spec.ExpiresInDays = *in.ExpiresInDays
	}
	return spec, nil
}

func (a *api) createToken(c *call) error {
	var in newTokenBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	spec, err := in.spec()
	if err != nil {
		return err
	}
	for _, codename := range spec.Distributions {
		if _, err := a.Repo.Distribution(c.Context(), codename); err != nil {
			return err
		}
	}
	text, t, err := a.Auth.CreateToken(c.detach(), c.who, spec, c.client())
	if err != nil {
		return err
	}
	out := newToken(t)
	out.Token = string(text)
	return writeJSON(c.w, http.StatusCreated, out)
}

func (a *api) revokeToken(c *call) error {
	if err := a.Auth.RevokeToken(c.detach(), c.who, c.vars["token_id"], c.client()); err != nil {
		return err
	}
	return noContent(c)
}
