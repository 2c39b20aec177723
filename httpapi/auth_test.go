package httpapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
)

// login returns a session token of admin.
func (f *fixture) login() string {
	f.t.Helper()
	a := f.do("POST", "/auth/token", "", strings.NewReader(`{"username":"admin","password":"`+password+`"}`), "Content-Type", "application/json")
	a.want(f.t, 200, "").keys(f.t, "access_token", "token_type", "expires_in")
	var out struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
	}
	a.decode(f.t, &out)
	if out.Type != "bearer" || out.Expires != 3600 {
		f.t.Errorf("login answers %s", a.body)
	}
	return out.Token
}

func TestLogin(t *testing.T) {
	f := newFixture(t)
	session := f.login()
	a := f.do("GET", "/auth/me", session, nil).want(t, 200, "")
	a.keys(t, "username", "email", "full_name", "roles", "active", "auth_source", "created_at", "last_login")
	if !strings.Contains(a.body, `"username":"admin"`) || !strings.Contains(a.body, `"last_login":"2026-05-12T10:00:00Z"`) {
		t.Errorf("me is %s", a.body)
	}
	tests := []struct {
		body   string
		status int
		code   string
	}{
		{`{"username":"admin","password":"wrong"}`, 401, "invalid_credentials"},
		{`{"username":"nobody","password":"wrong"}`, 401, "invalid_credentials"},
		{`{"username":"admin"}`, 422, "validation_failed"},
		{`{"username":"admin","password":""}`, 422, "validation_failed"},
		{`{"username":"admin","password":"` + strings.Repeat("x", 129) + `"}`, 422, "validation_failed"},
		{`{"username":"admin","password":"` + password + `","totp":"1"}`, 422, "validation_failed"},
		{`{"username":"admin","password":"` + password + `","otp":""}`, 422, "validation_failed"},
		{`{"username":"admin","Password":"` + password + `"}`, 422, "validation_failed"},
		{`{"username":"admin","password":"x","password":"` + password + `"}`, 400, "invalid_json"},
		{`{"username":1,"password":"x"}`, 422, "validation_failed"},
		{`null`, 422, "validation_failed"},
		{``, 400, "invalid_json"},
		{`{} {}`, 400, "invalid_json"},
		{strings.Repeat(" ", maxJSON+1), 413, "body_too_large"},
	}
	for _, test := range tests {
		a := f.do("POST", "/auth/token", "", strings.NewReader(test.body), "Content-Type", "application/json; charset=utf-8")
		a.want(t, test.status, test.code)
		if strings.Contains(a.body, password) {
			t.Errorf("the answer shows the password: %s", a.body)
		}
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", ";"} {
		f.do("POST", "/auth/token", "", strings.NewReader(`{}`), "Content-Type", contentType).want(t, 422, "unsupported_content_type")
	}
	f.do("POST", "/auth/token", "", strings.NewReader(`{}`), "Content-Type", "application/json", "Content-Encoding", "gzip").want(t, 422, "unsupported_content_type")
	if strings.Contains(f.log.String(), password) {
		t.Error("the log shows the password")
	}
}

func TestLoginThrottle(t *testing.T) {
	f := newFixture(t)
	for range 5 {
		f.post("/auth/token", `{"username":"admin","password":"wrong"}`, 0).want(t, 401, "invalid_credentials")
	}
	a := f.post("/auth/token", `{"username":"admin","password":"`+password+`"}`, 0).want(t, 429, "too_many_attempts")
	if a.header.Get("Retry-After") != "1" || !strings.Contains(a.body, `"retry_after":1`) {
		t.Errorf("throttled answer: %v %s", a.header, a.body)
	}
	f.clock.move(time.Second)
	f.login()
}

func TestLogout(t *testing.T) {
	f := newFixture(t)
	first, second := f.login(), f.login()
	f.do("POST", "/auth/logout", f.tokens[auth.Admin], nil).want(t, 403, "token_not_allowed")
	f.do("POST", "/auth/logout?everywhere=maybe", first, nil).want(t, 422, "validation_failed")
	f.do("POST", "/auth/logout", first, nil).want(t, 204, "")
	f.do("GET", "/auth/me", first, nil).want(t, 401, "invalid_token")
	f.do("GET", "/auth/me", second, nil).want(t, 200, "")
	f.do("POST", "/auth/logout?everywhere=true", second, nil).want(t, 204, "")
	f.do("GET", "/auth/me", second, nil).want(t, 401, "invalid_token")
}

// TestRoles compares with the contract's text.
func TestRoles(t *testing.T) {
	const want = `{"roles":{"viewer":{"level":1,"label":"Viewer","description":"Read-only access","permissions":["read"]},"uploader":{"level":2,"label":"Uploader","description":"Viewer, plus publish and import packages","permissions":["read","upload","import"]},"auditor":{"level":3,"label":"Auditor","description":"Uploader, plus audit logs and security review queue","permissions":["read","upload","import","audit","review"]},"maintainer":{"level":4,"label":"Maintainer","description":"Auditor, plus sync sources, quarantine, CVE decisions, distributions","permissions":["read","upload","import","audit","review","sync","decide","quarantine","distribute","delete"]},"admin":{"level":5,"label":"Administrator","description":"Full access, user management and configuration","permissions":["read","upload","import","audit","review","sync","decide","quarantine","distribute","delete","users","settings"]}}}`
	f := newFixture(t)
	var got, wanted any
	f.do("GET", "/auth/roles", "", nil).want(t, 200, "").decode(t, &got)
	json.Unmarshal([]byte(want), &wanted)
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("roles are %v", got)
	}
}

func TestAPITokens(t *testing.T) {
	f := newFixture(t)
	a := f.post("/auth/api-tokens", `{"name":"gitlab-ci","roles":["auditor","uploader"],"expires_in_days":2,"distributions":["jammy"]}`, auth.Admin)
	a.want(t, 201, "").keys(t, "id", "token", "name", "roles", "prefix", "distributions", "created_by", "created_at", "expires_at", "last_used_at")
	var made tokenJSON
	json.Unmarshal([]byte(strings.ReplaceAll(a.body, "null", `"2026-01-01T00:00:00Z"`)), &made)
	for _, want := range []string{`"roles":["uploader","auditor"]`, `"created_by":"token:role-admin"`,
		`"created_at":"2026-05-12T10:00:00Z"`, `"expires_at":"2026-05-14T10:00:00Z"`, `"last_used_at":null`, `"distributions":["jammy"]`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s lacks %s", a.body, want)
		}
	}
	me := f.do("GET", "/auth/me", made.Token, nil).want(t, 200, "")
	want := fmt.Sprintf(`{"username":"token:gitlab-ci","email":"","full_name":"","roles":["uploader","auditor"],"active":true,"auth_source":"token",`+
		`"created_at":"2026-05-12T10:00:00Z","last_login":null,"token":{"id":%q,"name":"gitlab-ci","distributions":["jammy"],"expires_at":"2026-05-14T10:00:00Z"}}`, made.ID)
	if strings.TrimSpace(me.body) != want {
		t.Errorf("me is %s, want %s", me.body, want)
	}
	listed := f.get("/auth/api-tokens", auth.Admin).want(t, 200, "")
	listed.keys(t, "tokens", "total")
	if !strings.Contains(listed.body, made.ID) || strings.Contains(listed.body, made.Token) || !strings.Contains(listed.body, `"total":6`) {
		t.Errorf("list is %s", listed.body)
	}

	tests := []struct {
		body   string
		status int
		code   string
	}{
		{`{"name":"gitlab-ci","roles":["viewer"]}`, 409, "token_name_taken"},
		{`{"name":"x","roles":["root"]}`, 422, "validation_failed"},
		{`{"name":"x","roles":[]}`, 422, "validation_failed"},
		{`{"name":"x"}`, 422, "validation_failed"},
		{`{"name":"../x","roles":["viewer"],"distributions":["nosuch"]}`, 422, "validation_failed"},
		{`{"name":"x","roles":["viewer"],"distributions":["nosuch"]}`, 400, "unknown_distribution"},
		{`{"name":"x","roles":["viewer"],"expires_in_days":0}`, 422, "validation_failed"},
		{`{"name":"x","roles":["viewer"],"id":"tok_1"}`, 422, "validation_failed"},
	}
	for _, test := range tests {
		f.post("/auth/api-tokens", test.body, auth.Admin).want(t, test.status, test.code)
	}
	f.do("DELETE", "/auth/api-tokens/"+made.ID, f.tokens[auth.Admin], nil).want(t, 204, "")
	f.do("GET", "/auth/me", made.Token, nil).want(t, 401, "invalid_token")
	f.do("DELETE", "/auth/api-tokens/"+made.ID, f.tokens[auth.Admin], nil).want(t, 404, "token_not_found")
}

func TestSpecNamesEveryFault(t *testing.T) {
	in := newTokenBody{Name: "/", Roles: []string{"root"}}
	_, err := in.spec()
	p, _ := problemOf(err)
	var fields []string
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	if !reflect.DeepEqual(fields, []string{"name", "roles[0]"}) {
		t.Errorf("faults are in %v", fields)
	}
}
