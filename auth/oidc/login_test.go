package oidc_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/oidc"
	"github.com/repod-io/repod/auth/oidc/oidctest"
)

func login(i *oidctest.Issuer, clock func() time.Time) *oidc.Login {
	return &oidc.Login{
		Verifier: &oidc.Verifier{RootCAs: i.RootCAs, Now: clock}, Key: make([]byte, 32),
		Config: func(context.Context) (oidc.LoginConfig, bool) {
			return oidc.LoginConfig{
				Issuer: i.URL, ClientID: "repod", ClientSecret: oidctest.ClientSecret, Scopes: []string{"profile"},
				RedirectURL: "https://repo.example.com/auth/oidc/callback", UsernameClaim: "preferred_username", GroupsClaim: "groups",
				RoleGroups: map[auth.Role][]string{auth.Uploader: {"staff"}, auth.Admin: {"ops"}}, AutoProvision: true,
			}, true
		},
	}
}

func TestLogin(t *testing.T) {
	issuer := oidctest.Start(t)
	at := now
	l := login(issuer, func() time.Time { return at })
	begin := func() (string, string) {
		t.Helper()
		redirect, flow, err := l.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return redirect, flow
	}
	redirect, flow := begin()
	back := issuer.Authorize(t, redirect, now, nil)
	u, err := l.Finish(t.Context(), flow, back.Get("state"), back.Get("code"), back.Get("iss"))
	if err != nil || u.ID != issuer.URL+" subject-1" || u.Username != "ann" || u.Email != "ann@example.com" || u.FullName != "Ann Lee" ||
		!slices.Equal(u.Roles, []auth.Role{auth.Uploader}) || !u.RolesManaged || !u.Provision {
		t.Errorf("Finish = %+v, %v", u, err)
	}
	if _, err := l.Finish(t.Context(), flow, back.Get("state"), back.Get("code"), ""); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("the same code again: %v", err)
	}
	_, otherFlow := begin()
	for name, test := range map[string]struct {
		claims map[string]any
		change func(flow *string, back url.Values)
	}{
		"no cookie":        {nil, func(flow *string, _ url.Values) { *flow = "" }},
		"another's cookie": {nil, func(flow *string, _ url.Values) { *flow = otherFlow }},
		"changed cookie":   {nil, func(flow *string, _ url.Values) { *flow = "A" + (*flow)[1:] + "A" }},
		"another state":    {nil, func(_ *string, back url.Values) { back.Set("state", "x") }},
		"no state":         {nil, func(_ *string, back url.Values) { back.Del("state") }},
		"no code":          {nil, func(_ *string, back url.Values) { back.Del("code") }},
		"made-up code":     {nil, func(_ *string, back url.Values) { back.Set("code", "x") }},
		"mix-up":           {nil, func(_ *string, back url.Values) { back.Set("iss", "https://evil.example") }},
		"too late":         {nil, func(*string, url.Values) { at = at.Add(oidc.FlowLifetime + time.Second) }},
		"another nonce":    {map[string]any{"nonce": "x"}, nil},
		"no nonce":         {map[string]any{"nonce": nil}, nil},
		"another audience": {map[string]any{"aud": "other"}, nil},
		"another party":    {map[string]any{"aud": []string{"repod", "other"}, "azp": "other"}, nil},
		"another issuer":   {map[string]any{"iss": "https://evil.example"}, nil},
		"expired":          {map[string]any{"exp": now.Add(-time.Hour).Unix()}, nil},
		"no subject":       {map[string]any{"sub": nil}, nil},
	} {
		at = now
		redirect, flow := begin()
		back := issuer.Authorize(t, redirect, now, test.claims)
		if test.change != nil {
			test.change(&flow, back)
		}
		if u, err := l.Finish(t.Context(), flow, back.Get("state"), back.Get("code"), back.Get("iss")); !errors.Is(err, auth.ErrInvalidToken) || u.ID != "" {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
	at = now
	for name, test := range map[string]struct {
		claims map[string]any
		roles  []auth.Role
		email  string
	}{
		"two groups":      {map[string]any{"groups": []string{"ops", "staff"}}, []auth.Role{auth.Uploader, auth.Admin}, "ann@example.com"},
		"one as text":     {map[string]any{"groups": "ops"}, []auth.Role{auth.Admin}, "ann@example.com"},
		"no group":        {map[string]any{"groups": nil}, nil, "ann@example.com"},
		"part of a name":  {map[string]any{"groups": []any{"op", "opss", 7}}, nil, "ann@example.com"},
		"unproven e-mail": {map[string]any{"email_verified": false}, []auth.Role{auth.Uploader}, ""},
	} {
		redirect, flow := begin()
		back := issuer.Authorize(t, redirect, now, test.claims)
		u, err := l.Finish(t.Context(), flow, back.Get("state"), back.Get("code"), "")
		if err != nil || !slices.Equal(u.Roles, test.roles) || u.Email != test.email {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
}

func TestLoginUnavailable(t *testing.T) {
	issuer := oidctest.Start(t)
	l := login(issuer, func() time.Time { return now })
	issuer.Down.Store(true)
	if _, _, err := l.Begin(t.Context()); !errors.Is(err, auth.ErrIssuerUnavailable) {
		t.Errorf("Begin while it is down: %v", err)
	}
	issuer.Down.Store(false)
	redirect, flow, err := l.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	back := issuer.Authorize(t, redirect, now, nil)
	issuer.Down.Store(true)
	if _, err := l.Finish(t.Context(), flow, back.Get("state"), back.Get("code"), ""); !errors.Is(err, auth.ErrIssuerUnavailable) {
		t.Errorf("Finish while it is down: %v", err)
	}
	l.Config = func(context.Context) (oidc.LoginConfig, bool) { return oidc.LoginConfig{}, false }
	if _, _, err := l.Begin(t.Context()); !errors.Is(err, oidc.ErrOff) {
		t.Errorf("Begin while it is off: %v", err)
	}
}
