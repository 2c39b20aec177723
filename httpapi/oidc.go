package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/repod-io/repod/auth"
)

// OIDCLogin lets people log in by an OpenID Connect issuer. Package auth/oidc
// has one. Errors: auth.ErrInvalidToken, auth.ErrIssuerUnavailable, and others
// for what is not configured.
type OIDCLogin interface {
	// Begin returns where to send a browser, and what it must bring back.
	Begin(ctx context.Context) (redirect, flow string, err error)
	// Finish returns the user that comes back with state and code.
	Finish(ctx context.Context, flow, state, code, issuer string) (auth.ExternalUser, error)
}

const (
	flowCookie = "repod_oidc"
	flowPath   = "/auth/oidc/"
	flowAge    = 10 * time.Minute
)

var errNoOIDC = newProblem(http.StatusBadRequest, "oidc_not_configured", "Logging in by an OpenID Connect issuer is not configured.")

// setFlow keeps a flow in the browser that began it: nobody can make another
// one finish a login.
func (a *api) setFlow(c *call, flow string, age time.Duration) {
	http.SetCookie(c.w, &http.Cookie{
		Name: flowCookie, Value: flow, Path: flowPath, MaxAge: int(age / time.Second), HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(a.baseURL(c.Request), "https://"),
	})
}

func (a *api) beginOIDC(c *call) error {
	if a.OIDC == nil {
		return errNoOIDC
	}
	redirect, flow, err := a.OIDC.Begin(c.Context())
	switch {
	case errors.Is(err, auth.ErrIssuerUnavailable):
		return err
	case err != nil:
		return errNoOIDC
	}
	setAPIHeaders(c.w.Header())
	a.setFlow(c, flow, flowAge)
	c.w.Header().Set("Location", redirect)
	c.w.WriteHeader(http.StatusFound)
	return nil
}

func (a *api) finishOIDC(c *call) error {
	if a.OIDC == nil {
		return errNoOIDC
	}
	if acceptsHTML(c.Header) {
		// A browser comes back. The console hands on what it brings, by a call of
		// its own: so the session is an answer to a script, and in no address.
		return c.redirect(consolePath + "login?" + c.URL.RawQuery)
	}
	q := newQuery(c.Request)
	state, code, issuer := q.text("state", 512), q.text("code", 4096), q.text("iss", 512)
	if err := q.err(); err != nil {
		return err
	}
	var flow string
	if cookie, err := c.Cookie(flowCookie); err == nil {
		flow = cookie.Value
	}
	a.setFlow(c, "", -time.Second) // it is used, however this ends
	user, err := a.OIDC.Finish(c.Context(), flow, state, code, issuer)
	switch {
	case errors.Is(err, auth.ErrInvalidToken):
		a.Logger.InfoContext(c.Context(), "a login by the issuer was refused", "reason", err, "request_id", c.id)
		return auth.ErrInvalidCredentials
	case errors.Is(err, auth.ErrIssuerUnavailable):
		return err
	case err != nil:
		return errNoOIDC
	}
	token, lifetime, err := a.Auth.LoginExternal(c.detach(), user, c.client())
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newSessionJSON(token, lifetime))
}
