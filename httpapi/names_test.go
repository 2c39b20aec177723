package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/oidc"
	"github.com/repod-io/repod/auth/oidc/oidctest"
	"github.com/repod-io/repod/deb/debtest"
)

// A token for acme-* changes no other package, by whatever route.
func TestNameScope(t *testing.T) {
	f := newFixture(t)
	a := f.post("/auth/api-tokens", `{"name":"acme","roles":["maintainer"],"packages":["acme-*","acme-*"]}`, auth.Admin).want(t, 201, "")
	a.keys(t, "id", "token", "name", "roles", "prefix", "distributions", "packages", "created_by", "created_at", "expires_at", "last_used_at")
	var made struct{ ID, Token string }
	a.decode(t, &made)
	for _, target := range []string{"/auth/me", "/auth/api-tokens"} {
		token := map[string]string{"/auth/me": made.Token}[target]
		if token == "" {
			token = f.tokens[auth.Admin]
		}
		if a := f.do("GET", target, token, nil).want(t, 200, ""); strings.Count(a.body, `"distributions":[],"packages":["acme-*"],`) != 1 {
			t.Errorf("%s is %s", target, a.body)
		}
	}
	for _, name := range []string{"openssl", "acme-old"} {
		f.publish(pkg(name, "1.0"), "jammy")
	}

	upload := func(name string) answer {
		return f.upload(made.Token, part{"file", string(pkg(name, "2.0").Build())}, part{"distribution", "jammy"})
	}
	a = upload("openssl").want(t, 403, "token_scope")
	if !strings.Contains(a.body, "The token may write to its own package names only.") {
		t.Errorf("refusal is %s", a.body)
	}
	f.do("GET", "/artifacts/openssl/2.0", made.Token, nil).want(t, 404, "version_not_found")
	f.do("GET", "/artifacts/openssl/1.0", made.Token, nil).want(t, 200, "") // reading is not narrowed
	upload("acme-tool").want(t, 201, "")

	for _, route := range []struct{ method, target, body string }{
		{"POST", "/distributions/promote", `{"name":"NAME","version":"1.0","from_distribution":"jammy","to_distribution":"focal"}`},
		{"POST", "/distributions/migrate", `{"from_distribution":"jammy","to_distribution":"focal","packages":["NAME"]}`},
		{"DELETE", "/distributions/jammy/packages/NAME/1.0", ""},
		{"POST", "/security/packages/NAME/1.0/rescan", ""},
		{"POST", "/security/packages/NAME/1.0/quarantine", `{}`},
		{"POST", "/security/packages/NAME/1.0/release", `{}`},
		{"POST", "/security/packages/NAME/1.0/decide", `{"decision":"rejected","comment":"x"}`},
		{"DELETE", "/artifacts/NAME/1.0", ""},
	} {
		try := func(name string) answer {
			named := strings.NewReplacer("NAME", name)
			return f.json(route.method, named.Replace(route.target), made.Token, named.Replace(route.body))
		}
		try("openssl").want(t, 403, "token_scope")
		if a := try("acme-old"); a.status >= 300 && a.status != 409 {
			t.Errorf("%s %s of its own package: %d %s", route.method, route.target, a.status, a.body)
		}
	}
	for target, body := range map[string]string{
		"/distributions/init":    `{"codename":"noble"}`,
		"/distributions/migrate": `{"from_distribution":"jammy","to_distribution":"focal"}`,
		"/security/rescan":       `{}`,
		"/import/sync-security":  ``,
	} {
		f.json("POST", target, made.Token, body).want(t, 403, "token_scope")
	}
}

func TestNamePatterns(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct{ packages, field string }{
		{`[]`, "packages"},
		{`["*"]`, "packages[0]"},
		{`["acme",""]`, "packages[1]"},
		{`["ac*me"]`, "packages[0]"},
		{`["Acme"]`, "packages[0]"},
		{`"acme"`, "packages"},
		{`[` + strings.Repeat(`"acme",`, 100) + `"acme"]`, "packages"},
	} {
		for target, body := range map[string]string{
			"/auth/api-tokens":         `{"name":"x","roles":["viewer"],"packages":%s}`,
			"/auth/trusted-publishers": `{"name":"x","issuer":"https://ci.example","repository":"acme/tool","ref":"main","roles":["viewer"],"packages":%s}`,
		} {
			a := f.post(target, fmt.Sprintf(body, tt.packages), auth.Admin).want(t, 422, "validation_failed")
			if !strings.Contains(a.body, fmt.Sprintf(`"field":%q`, tt.field)) {
				t.Errorf("%s %s: %s", target, tt.packages, a.body)
			}
		}
	}
	narrow := f.newToken(auth.TokenSpec{Name: "narrow", Roles: []auth.Role{auth.Admin}, Packages: []string{"acme-*"}})
	f.json("POST", "/auth/api-tokens", narrow, `{"name":"wide","roles":["viewer"]}`).want(t, 403, "token_scope")
	f.json("POST", "/auth/api-tokens", narrow, `{"name":"own","roles":["viewer"],"packages":["acme-x"]}`).want(t, 201, "")
	f.json("POST", "/auth/trusted-publishers", narrow,
		`{"name":"wide","issuer":"https://ci.example","repository":"acme/tool","ref":"main","roles":["viewer"]}`).want(t, 403, "token_scope")
}

// Who may write to a part of the repository cannot get at the rest by way of a user
// or of settings.
func TestNarrowedAdmin(t *testing.T) {
	f := newFixture(t)
	for name, spec := range map[string]auth.TokenSpec{
		"names":         {Packages: []string{"acme-*"}},
		"distributions": {Distributions: []string{"jammy"}},
	} {
		spec.Name, spec.Roles = name, []auth.Role{auth.Admin}
		token := f.newToken(spec)
		for i := range routes {
			r := &routes[i]
			if r.role != auth.Admin || r.method == http.MethodGet || grants[r.pattern] {
				continue
			}
			f.json(r.method, placeholders.Replace(r.pattern), token, `{}`).want(t, 403, "token_scope")
		}
		f.json("POST", "/auth/users", token, `{"username":"other","password":"Sesame-1234","roles":["admin"]}`).want(t, 403, "token_scope")
		f.do("GET", "/auth/users", token, nil).want(t, 200, "") // reading is not narrowed
	}
}

func TestPublisherNameScope(t *testing.T) {
	issuer := oidctest.Start(t)
	f := newFixture(t)
	f.users.Assertions = &oidc.Verifier{RootCAs: issuer.RootCAs, Now: f.clock.now}
	a := f.post("/auth/trusted-publishers", fmt.Sprintf(
		`{"name":"acme","issuer":%q,"repository":"acme/tool","ref":"refs/heads/*","roles":["uploader"],"packages":["acme-*"]}`, issuer.URL), auth.Admin).want(t, 201, "")
	listed := f.get("/auth/trusted-publishers", auth.Admin).want(t, 200, "")
	exchanged := f.json("POST", "/auth/oidc/exchange", "", fmt.Sprintf(`{"token":%q}`, issuer.Token(t, f.clock.now(), nil))).want(t, 200, "")
	var out struct {
		Token string `json:"access_token"`
	}
	exchanged.decode(t, &out)
	me := f.do("GET", "/auth/me", out.Token, nil).want(t, 200, "")
	for _, a := range []answer{a, listed, exchanged, me} {
		if !strings.Contains(a.body, `"packages":["acme-*"]`) {
			t.Errorf("no packages in %s", a.body)
		}
	}
	for name, want := range map[string]int{"acme-tool": 201, "openssl": 403} {
		a := f.upload(out.Token, part{"file", string(debtest.Package{Name: name}.Build())}, part{"distribution", "jammy"})
		if a.status != want {
			t.Errorf("upload of %s: %d %s", name, a.status, a.body)
		}
	}
}

// An import takes what the token may change, and tells of the rest.
func TestImportNameScope(t *testing.T) {
	f, _ := newImports(t)
	f.sync()
	token := f.newToken(auth.TokenSpec{Name: "nginx", Roles: []auth.Role{auth.Uploader}, Packages: []string{"nginx"}})
	for target, body := range map[string]string{"/import/fetch": `%s`, "/import/batch?wait=true": `{"packages":[%s]}`} {
		f.json("POST", target, token, fmt.Sprintf(body, `{"name":"libc6","distribution":"jammy"}`)).want(t, 403, "token_scope")
	}
	a := f.json("POST", "/import/fetch", token, `{"name":"nginx","distribution":"jammy"}`).want(t, 201, "")
	var out fetchJSON
	a.decode(t, &out)
	if out.Imported != 1 || len(out.Results) < 2 || out.Results[1].Name != "libc6" || out.Results[1].Code != "token_scope" {
		t.Errorf("fetch: %s", a.body)
	}
	f.do("GET", "/artifacts/libc6", token, nil).want(t, 404, "package_not_found")

	// What lay there already keeps its label.
	f.json("POST", "/import/fetch", f.tokens[auth.Uploader], `{"name":"libc6","distribution":"jammy"}`).want(t, 201, "")
	f.json("POST", "/import/fetch", token, `{"name":"nginx","distribution":"jammy","group":"web"}`).want(t, 200, "")
	if a := f.get("/import/groups", auth.Viewer).want(t, 200, ""); !strings.Contains(a.body, `"name":"web","package_count":1,`) {
		t.Errorf("groups: %s", a.body)
	}
}
