package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/oidc"
	"github.com/repod-io/repod/auth/oidc/oidctest"
)

// A person logs in by an issuer; the account is found by what the issuer calls
// it, and nobody's account is taken over for its name or address.
func TestOIDCLogin(t *testing.T) {
	issuer := oidctest.Start(t)
	on := true
	f := newFixture(t, func(c *Config) {
		c.Settings.Defaults.PublicURL = "https://repo.example.com"
		c.OIDC = &oidc.Login{
			Verifier: &oidc.Verifier{RootCAs: issuer.RootCAs, Now: c.Now}, Key: make([]byte, 32),
			Config: func(context.Context) (oidc.LoginConfig, bool) {
				return oidc.LoginConfig{
					Issuer: issuer.URL, ClientID: "repod", ClientSecret: oidctest.ClientSecret,
					RedirectURL: "https://repo.example.com/auth/oidc/callback", UsernameClaim: "preferred_username", GroupsClaim: "groups",
					RoleGroups: map[auth.Role][]string{auth.Uploader: {"staff"}, auth.Maintainer: {"leads"}}, AutoProvision: true,
				}, on
			},
		}
	})
	login := func(claims map[string]any, change func(cookie *string)) answer {
		t.Helper()
		a := f.do("GET", "/auth/oidc/login", "", nil)
		if a.status != http.StatusFound {
			t.Fatalf("%d %s", a.status, a.body)
		}
		cookie := a.header.Get("Set-Cookie")
		for _, want := range []string{"repod_oidc=", "Path=/auth/oidc/", "HttpOnly", "SameSite=Lax", "Secure", "Max-Age=600"} {
			if !strings.Contains(cookie, want) {
				t.Errorf("cookie %q lacks %s", cookie, want)
			}
		}
		cookie, _, _ = strings.Cut(cookie, ";")
		if change != nil {
			change(&cookie)
		}
		back := issuer.Authorize(t, a.header.Get("Location"), f.clock.now(), claims)
		a = f.do("GET", "/auth/oidc/callback?"+back.Encode(), "", nil, "Cookie", cookie)
		if got := a.header.Get("Set-Cookie"); !strings.Contains(got, "Max-Age=0") {
			t.Errorf("cookie afterwards: %q", got)
		}
		return a
	}
	var out struct {
		Token string `json:"access_token"`
	}
	login(nil, nil).want(t, 200, "").decode(t, &out)
	a := f.do("GET", "/auth/me", out.Token, nil).want(t, 200, "")
	if want := `{"username":"ann","email":"ann@example.com","full_name":"Ann Lee","roles":["uploader"],"active":true,"auth_source":"oidc"`; !strings.HasPrefix(a.body, want) {
		t.Errorf("me is %s", a.body)
	}
	// Other groups change the roles, which ends the session before; another
	// name does not change the account.
	before := out.Token
	login(map[string]any{"groups": []string{"leads"}, "preferred_username": "other"}, nil).want(t, 200, "").decode(t, &out)
	f.do("GET", "/auth/me", before, nil).want(t, 401, "invalid_token")
	if a := f.do("GET", "/auth/me", out.Token, nil).want(t, 200, ""); !strings.Contains(a.body, `"username":"ann"`) || !strings.Contains(a.body, `"roles":["maintainer"]`) {
		t.Errorf("me is %s", a.body)
	}
	f.json("POST", "/auth/token", "", `{"username":"ann","password":"Admin1234!"}`).want(t, 401, "invalid_credentials")
	f.json("POST", "/auth/change-password", out.Token, `{"current_password":"x","new_password":"`+secondPassword+`"}`).want(t, 409, "ldap_managed")
	f.json("POST", "/auth/mfa", out.Token, `{"password":"x"}`).want(t, 409, "ldap_managed")

	for name, claims := range map[string]map[string]any{
		"the administrator's name": {"sub": "s2", "preferred_username": "ADMIN"},
		"the name of another":      {"sub": "s3", "preferred_username": "ann"},
		"no name":                  {"sub": "s4", "preferred_username": nil},
		"no valid name":            {"sub": "s5", "preferred_username": "a b"},
		"no role":                  {"sub": "s6", "preferred_username": "bob", "groups": nil},
	} {
		if a := login(claims, nil); a.status != 401 || !strings.Contains(a.body, "invalid_credentials") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if got := f.lastEntry(); !strings.HasPrefix(got, "anonymous auth.login failure") {
		t.Errorf("entry %q", got)
	}
	login(nil, func(cookie *string) { *cookie = "repod_oidc=x" }).want(t, 401, "invalid_credentials")
	f.do("GET", "/auth/oidc/callback", "", nil).want(t, 401, "invalid_credentials")
	f.json("PATCH", "/auth/users/ann", f.tokens[auth.Admin], `{"active":false}`).want(t, 200, "")
	login(nil, nil).want(t, 401, "invalid_credentials")

	issuer.Down.Store(true)
	on = false
	f.do("GET", "/auth/oidc/login", "", nil).want(t, 400, "oidc_not_configured")
	newFixture(t).do("GET", "/auth/oidc/login", "", nil).want(t, 400, "oidc_not_configured")
}
