package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/httpapi/ui"
)

const browserAccepts = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestConsoleFiles(t *testing.T) {
	f := newFixture(t)
	tests := []struct {
		target string
		status int
		holds  string // code of the problem, place of the redirect, or part of the body
	}{
		{"/", 302, "/ui/"},
		{"//", 404, "route_not_found"},
		{"/ui", 302, "/ui/"},
		{"/ui/", 200, "<!doctype html>"},
		{"/ui//", 404, "route_not_found"},
		{"/ui/packages", 200, "<!doctype html>"},
		{"/ui/packages/a/1%3A1.0%2Bb1", 200, "<!doctype html>"},
		{"/ui/reset-password?token=abc", 200, "<!doctype html>"},
		{"/ui/js/api.js", 200, "Authorization"},
		{"/ui/server.json", 200, `{"ldap":false,"oidc":false,"mail":false}`},
		{"/ui/nosuch", 404, "route_not_found"},
		{"/ui/js/", 404, "route_not_found"},
		{"/ui/js%2Fapi.js", 404, "route_not_found"},
		{"/ui/js%2fapi.js", 404, "route_not_found"},
		{"/ui/packages/a%2Fb", 404, "route_not_found"},
		{"/ui/../ui/console.css", 404, "route_not_found"},
		{"/ui/%2e%2e/ui.go", 404, "route_not_found"},
		{"/ui/packages/..%2f..%2fconsole.css", 404, "route_not_found"},
		{"/ui/..%5cui.go", 404, "route_not_found"},
		{"/ui/console.css%00", 404, "route_not_found"},
		{"/UI/", 404, "route_not_found"},
	}
	for _, test := range tests {
		a := f.do("GET", test.target, "", nil, "Accept", browserAccepts)
		got := a.body
		if a.status == 302 {
			got = a.header.Get("Location")
			if got != test.holds {
				t.Errorf("%s leads to %s", test.target, got)
			}
		}
		if a.status != test.status || !strings.Contains(got, test.holds) {
			t.Errorf("%s: %d %.100s, want %d %s", test.target, a.status, got, test.status, test.holds)
		}
		if a.status == 404 && a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: type %s", test.target, a.header.Get("Content-Type"))
		}
	}
	f.do("GET", "/", "", nil).want(t, 404, "route_not_found")
	f.do("GET", "/", "", nil, "Accept", "application/json").want(t, 404, "route_not_found")
	f.do("POST", "/ui/", "", nil).want(t, 405, "method_not_allowed")
	a := f.do("GET", "/ui/", "", nil)
	if got := a.header.Values("Content-Security-Policy"); !slices.Equal(got, []string{ui.Policy}) {
		t.Errorf("the policy is %q", got)
	}
	if a := f.do("GET", "/ui/", "", nil, "If-None-Match", a.header.Get("ETag")); a.status != 304 || a.body != "" {
		t.Errorf("with its ETag: %d %q", a.status, a.body)
	}
	if got := f.do("GET", "/ui/server.json", "", nil).header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("what the server offers is kept: %q", got)
	}
}

func TestConsoleOffer(t *testing.T) {
	f := newFixture(t)
	f.json("PATCH", "/settings", f.tokens[auth.Admin], `{"smtp":{"enabled":true,"host":"mail.example.com","from":"repod@example.com"},
		"ldap":{"enabled":true,"url":"ldaps://ldap.example.com","base_dn":"dc=example"},
		"public_url":"https://repo.example.com","oidc":{"enabled":true,"issuer":"https://id.example.com","client_id":"repod"}}`).want(t, 200, "")
	// Single sign-on needs what the program gives to the handler, too.
	if got := f.do("GET", "/ui/server.json", "", nil).body; got != `{"ldap":true,"oidc":false,"mail":true}`+"\n" {
		t.Errorf("offered is %s", got)
	}
}

// A browser that comes back from an issuer is led to the console with what it
// brings, and nowhere else; nothing is used up on the way.
func TestConsoleIssuer(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.OIDC = noIssuer{} })
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for query, want := range map[string]string{
		"?state=a&code=b%26c&iss=https%3A%2F%2Fid.example.com": "/ui/login?state=a&code=b%26c&iss=https%3A%2F%2Fid.example.com",
		"?error=access_denied&state=a":                         "/ui/login?error=access_denied&state=a",
		"?//evil.example.com/":                                 "/ui/login?//evil.example.com/",
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", f.server.URL+"/auth/oidc/callback"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", browserAccepts)
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 302 || res.Header.Get("Location") != want || len(res.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d to %q, cookies %q, %s", query, res.StatusCode, res.Header.Get("Location"), res.Header.Values("Set-Cookie"), body)
		}
	}
}

// The console's table of settings has every leaf of the tree, with the rule
// that the server holds it against.
func TestConsoleSettings(t *testing.T) {
	text, err := os.ReadFile("ui/static/settings.json")
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Rule    string   `json:"rule"`
		Secret  bool     `json:"secret"`
		Choices []string `json:"choices"`
		Help    string   `json:"help"`
	}
	var have map[string]row
	if err := json.Unmarshal(text, &have); err != nil {
		t.Fatal(err)
	}
	choices := map[string][]string{"mailkind": settings.MailKinds, "event": settings.WebhookEvents}
	var walk func(reflect.Type, string)
	walk = func(typ reflect.Type, prefix string) {
		for field := range typ.Fields() {
			name := prefix + field.Tag.Get("json")
			if field.Type.Kind() == reflect.Struct {
				walk(field.Type, name+".")
				continue
			}
			rule := field.Tag.Get("rule")
			want := row{rule, field.Type == reflect.TypeFor[settings.Secret](), choices[rule], have[name].Help}
			if got, ok := have[name]; !ok || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: the console has %+v, the server %+v", name, got, want)
			}
			delete(have, name)
		}
	}
	walk(reflect.TypeFor[settings.Settings](), "")
	if len(have) > 0 {
		t.Errorf("only the console has %q", slices.Sorted(maps.Keys(have)))
	}
}

// noIssuer must not be asked.
type noIssuer struct{ OIDCLogin }
