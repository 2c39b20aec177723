package httpapi

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/oidc"
	"github.com/repod-io/repod/auth/oidc/oidctest"
	"github.com/repod-io/repod/deb/debtest"
)

// A CI job exchanges a token of its platform, uploads where its rule lets it,
// and nothing else; when the rule goes, so does the token.
func TestTrustedPublisher(t *testing.T) {
	issuer := oidctest.Start(t)
	f := newFixture(t)
	f.users.Assertions = &oidc.Verifier{RootCAs: issuer.RootCAs, Now: f.clock.now}
	admin := f.tokens[auth.Admin]
	rule := func(change string) string {
		return fmt.Sprintf(`{"name":"tool","issuer":%q,"repository":"Acme/tool","repository_id":"42","ref":"refs/heads/main","roles":["uploader"],"distributions":["jammy"]%s}`, issuer.URL, change)
	}
	exchange := func(token string) answer {
		t.Helper()
		return f.json("POST", "/auth/oidc/exchange", "", fmt.Sprintf(`{"token":%q}`, token))
	}
	exchange(issuer.Token(t, f.clock.now(), nil)).want(t, 401, "invalid_token") // no rule yet

	a := f.json("POST", "/auth/trusted-publishers", admin, rule("")).want(t, 201, "")
	a.keys(t, "id", "name", "issuer", "audience", "repository", "repository_id", "ref", "environment", "roles", "distributions", "created_by", "created_at")
	var made struct{ ID string }
	a.decode(t, &made)
	f.json("POST", "/auth/trusted-publishers", admin, rule("")).want(t, 409, "publisher_exists")
	for _, change := range []string{`,"roles":["admin"]`, `,"ref":"*"`, `,"issuer":"ftp://x"`, `,"issuer":"https://u:p@x"`, `,"x":1`, `,"repository":""`, `,"audience":""`} {
		name := strings.SplitN(change, `"`, 3)[1]
		body := strings.NewReplacer(fmt.Sprintf(`%q:`, name), `"ignored":`).Replace(rule(""))
		f.json("POST", "/auth/trusted-publishers", admin, strings.Replace(body, "}", change+"}", 1)).want(t, 422, "validation_failed")
	}
	f.json("POST", "/auth/trusted-publishers", admin, strings.Replace(rule(""), `["jammy"]`, `["none"]`, 1)).want(t, 400, "unknown_distribution")

	for name, change := range map[string]map[string]any{
		"another repository": {"repository": "evil/tool"}, "another number": {"repository_id": "43"}, "another branch": {"ref": "refs/heads/evil"},
		"a tag of that name": {"ref": "refs/tags/refs/heads/main"}, "another audience": {"aud": "pypi"}, "no jti": {"jti": nil},
		"another issuer": {"iss": "https://evil.example"}, "expired": {"exp": f.clock.now().Add(-time.Second).Unix()},
	} {
		if a := exchange(issuer.Token(t, f.clock.now(), change)); a.status != 401 || !strings.Contains(a.body, `"code":"invalid_token"`) || !strings.Contains(a.body, "The token is not valid, or is no longer.") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if got := f.lastEntry(); !strings.HasPrefix(got, "anonymous token.exchange failure") {
		t.Errorf("entry %q", got)
	}

	token := issuer.Token(t, f.clock.now(), nil)
	var out struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	exchange(token).want(t, 200, "").decode(t, &out)
	if got := f.lastEntry(); out.Expires != 900 || got != "ci:tool token.exchange success "+issuer.URL+" repository=acme/tool ref=refs/heads/main environment= run=7" {
		t.Errorf("expires in %d, entry %q", out.Expires, got)
	}
	exchange(token).want(t, 401, "invalid_token") // once
	if a := f.do("GET", "/auth/me", out.Token, nil).want(t, 200, ""); !strings.Contains(a.body, `"username":"ci:tool"`) || !strings.Contains(a.body, `"auth_source":"ci"`) {
		t.Errorf("%s", a.body)
	}
	f.upload(out.Token, part{"file", string(debtest.Package{Name: "tool"}.Build())}, part{"distribution", "jammy"}).want(t, 201, "")
	f.upload(out.Token, part{"file", string(debtest.Package{Name: "tool2"}.Build())}, part{"distribution", "focal"}).want(t, 403, "token_scope")
	f.do("POST", "/artifacts/admin/sync-index", out.Token, nil).want(t, 403, "insufficient_role")
	f.do("POST", "/auth/logout", out.Token, nil).want(t, 403, "token_not_allowed")
	f.json("POST", "/auth/mfa", out.Token, `{"password":"x"}`).want(t, 403, "token_not_allowed")

	f.clock.move(auth.PublisherLifetime)
	f.do("GET", "/auth/me", out.Token, nil).want(t, 401, "invalid_token")
	exchange(issuer.Token(t, f.clock.now(), nil)).want(t, 200, "").decode(t, &out)
	f.do("DELETE", "/auth/trusted-publishers/"+made.ID, admin, nil).want(t, 204, "")
	f.do("GET", "/auth/me", out.Token, nil).want(t, 401, "invalid_token")
	f.do("DELETE", "/auth/trusted-publishers/"+made.ID, admin, nil).want(t, 404, "publisher_not_found")
}

// Of many that exchange one token at once, one gets one.
func TestExchangeRace(t *testing.T) {
	issuer := oidctest.Start(t)
	f := newFixture(t)
	f.users.Assertions = &oidc.Verifier{RootCAs: issuer.RootCAs, Now: f.clock.now}
	f.json("POST", "/auth/trusted-publishers", f.tokens[auth.Admin], fmt.Sprintf(
		`{"name":"any","issuer":%q,"repository":"acme/tool","ref":"refs/heads/*","roles":["uploader"]}`, issuer.URL)).want(t, 201, "")
	body := fmt.Sprintf(`{"token":%q}`, issuer.Token(t, f.clock.now(), nil))
	var wg sync.WaitGroup
	statuses := make([]int, 6)
	for i := range statuses {
		wg.Go(func() { statuses[i] = f.json("POST", "/auth/oidc/exchange", "", body).status })
	}
	wg.Wait()
	won := 0
	for _, s := range statuses {
		if s == 200 {
			won++
		}
	}
	if won != 1 {
		t.Errorf("answers %v", statuses)
	}
	issuer.Down.Store(true)
	other := oidctest.Start(t)
	other.Down.Store(true)
	f.json("POST", "/auth/trusted-publishers", f.tokens[auth.Admin], fmt.Sprintf(
		`{"name":"down","issuer":%q,"repository":"acme/tool","ref":"refs/heads/*","roles":["uploader"]}`, other.URL)).want(t, 201, "")
	f.json("POST", "/auth/oidc/exchange", "", fmt.Sprintf(`{"token":%q}`, other.Token(t, f.clock.now(), nil))).want(t, 503, "issuer_unavailable")
}
