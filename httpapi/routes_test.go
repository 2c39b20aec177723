package httpapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
)

// placeholders are values for the placeholders of patterns, none of which
// names anything that exists.
var placeholders = strings.NewReplacer("{path:.*}", "dists/none/InRelease", "{name}", "no-such-package",
	"{version}", "1.0", "{codename}", "nosuch", "{username}", "nosuch", "{token_id}", "tok_nosuch000000", "{publisher_id}", "pub_nosuch",
	"{job_id}", "job_nosuch", "{package_name}", "no-such-package", "{group_name}", "nosuch", "{source_id}", "nosuch", "{asset}", "page.js")

// forSessions are the routes that refuse API tokens.
var forSessions = map[string]bool{
	"/auth/logout": true, "/auth/change-password": true, "/auth/mfa": true, "/auth/mfa/confirm": true,
	"/auth/mfa/recovery-codes": true, "/auth/mfa/disable": true,
}

// forJobs are the routes that need what the fixture has not.
var forJobs = map[string]string{
	"/security/clamav/update": "clamav_not_configured", "/security/rescan": "jobs_unavailable", "/settings/run-retention": "jobs_unavailable",
}

// publicWrites are the routes that change something for anybody.
var publicWrites = map[string]bool{"/auth/token": true, "/auth/forgot-password": true, "/auth/reset-password": true, "/auth/oidc/exchange": true}

// TestRoutesMatrix calls every route as everyone. Who may not, gets 401 or
// 403; who may, gets further, whatever the route thinks of an empty request.
func TestRoutesMatrix(t *testing.T) {
	f := newFixture(t)
	revoked := f.newToken(auth.TokenSpec{Name: "revoked", Roles: []auth.Role{auth.Admin}})
	tokens, err := f.users.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(tokens, func(tok auth.APIToken) bool { return tok.Name == "revoked" })
	admin := auth.Principal{Kind: auth.KindSession, Name: "admin", Roles: []auth.Role{auth.Admin}}
	if err := f.users.RevokeToken(t.Context(), admin, tokens[i].ID, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	for _, rt := range routes {
		t.Run(rt.method+rt.pattern, func(t *testing.T) {
			f.t = t
			target := placeholders.Replace(rt.pattern)
			if rt.role == public {
				// A bad token on a public route is ignored.
				for _, token := range []string{"", "garbage", revoked} {
					if a := f.do(rt.method, target, token, nil); a.status == 401 || a.status == 403 || a.status >= 500 {
						t.Errorf("token %q: %d %s", token, a.status, a.body)
					}
				}
				return
			}
			a := f.do(rt.method, target, "", nil).want(t, 401, "authentication_required")
			if got := a.header.Get("WWW-Authenticate"); got != "Bearer" {
				t.Errorf("challenge is %q", got)
			}
			a = f.do(rt.method, target, "garbage", nil).want(t, 401, "invalid_token")
			if got := a.header.Get("WWW-Authenticate"); got != `Bearer error="invalid_token"` {
				t.Errorf("challenge is %q", got)
			}
			f.do(rt.method, target, revoked, nil).want(t, 401, "invalid_token")
			for role := auth.Viewer; role <= auth.Admin; role++ {
				if forSessions[rt.pattern] || role >= rt.role && rt.pattern == "/settings/gpg/generate" {
					continue // tested elsewhere
				}
				a := f.do(rt.method, target, f.tokens[role], nil)
				if role < rt.role {
					a.want(t, 403, "insufficient_role")
					var p problem
					a.decode(t, &p)
					if p.RequiredRole != rt.role.String() || !slices.Equal(p.Roles, []auth.Role{role}) {
						t.Errorf("extras are %q and %v", p.RequiredRole, p.Roles)
					}
				} else if code := forJobs[rt.pattern]; code != "" {
					a.want(t, 503, code)
				} else if a.status == 401 || a.status == 403 || a.status == 405 || a.status >= 500 {
					t.Errorf("%s: %d %s", role, a.status, a.body)
				}
			}
		})
	}
}

// forgeries are tokens that look like those of the server and are not: made
// from a session of the administrator and an API token of each kind.
func forgeries(t *testing.T, f *fixture) map[string]string {
	session := f.login()
	parts := strings.Split(session, ".")
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	sign := func(head, body string, key []byte) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(head + "." + body))
		return head + "." + body + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	raised := strings.Replace(string(claims), "{", `{"roles":["admin"],`, 1)
	keys, err := f.repo.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	expiring := f.newToken(auth.TokenSpec{Name: "expiring", Roles: []auth.Role{auth.Admin}, ExpiresInDays: 1})
	unknown := expiring[:len(expiring)-7] + "0" + expiring[len(expiring)-6:]
	f.clock.move(24*time.Hour + time.Second) // the session has expired, too
	fresh := f.session("admin", password)
	fp := strings.Split(fresh, ".")
	return map[string]string{
		"expired session":        session,
		"expired API token":      expiring,
		"unknown API token":      unknown,
		"alg none":               part(`{"alg":"none","typ":"JWT"}`) + "." + fp[1] + ".",
		"alg None, signature":    part(`{"alg":"None","typ":"JWT"}`) + "." + fp[1] + "." + fp[2],
		"no signature":           fp[0] + "." + fp[1] + ".",
		"empty key":              sign(fp[0], fp[1], nil),
		"zero key":               sign(fp[0], fp[1], make([]byte, 32)),
		"public key as key":      sign(fp[0], fp[1], keys.Armored),
		"HS512":                  sign(part(`{"alg":"HS512","typ":"JWT"}`), fp[1], make([]byte, 32)),
		"kid":                    sign(part(`{"alg":"HS256","kid":"../../dev/null","typ":"JWT"}`), fp[1], nil),
		"jku":                    sign(part(`{"alg":"HS256","jku":"http://127.0.0.1:1/","typ":"JWT"}`), fp[1], nil),
		"roles raised":           fp[0] + "." + part(raised) + "." + fp[2],
		"two sessions mixed":     fp[0] + "." + parts[1] + "." + fp[2],
		"padding":                fresh + "=",
		"line end":               fp[0] + "." + fp[1] + "." + fp[2][:10] + "%0a" + fp[2][10:],
		"many dots":              strings.Repeat(".", 8000),
		"space":                  fresh + " " + fresh,
		"API token as a session": "repod_" + fresh,
		"reset token":            strings.Repeat("A", 43),
	}
}

// Every route that is not public refuses every forged token, with one answer.
func TestRoutesForged(t *testing.T) {
	f := newFixture(t)
	tokens := forgeries(t, f)
	for _, rt := range routes {
		if rt.role == public {
			continue
		}
		for name, token := range tokens {
			a := f.do(rt.method, placeholders.Replace(rt.pattern), token, nil)
			var p problem
			a.decode(t, &p)
			if a.status != 401 || p.Code != "invalid_token" || p.Detail != "The token is not valid, or is no longer." {
				t.Errorf("%s %s with %s: %d %s", rt.method, rt.pattern, name, a.status, a.body)
			}
		}
	}
	if a := f.do("GET", "/auth/me?token="+f.tokens[auth.Admin]+"&access_token="+f.tokens[auth.Admin], "", nil); a.status != 401 {
		t.Errorf("a token in the query: %d", a.status)
	}
	if strings.Contains(f.log.String(), f.tokens[auth.Admin]) {
		t.Error("the token of the query is in the log")
	}
}

// TestRoutesMethods checks HEAD, OPTIONS and what a path does not take.
func TestRoutesMethods(t *testing.T) {
	f := newFixture(t)
	methods := map[string][]string{}
	for _, rt := range routes {
		methods[rt.pattern] = append(methods[rt.pattern], rt.method)
	}
	for pattern, has := range methods {
		if slices.Contains(has, "GET") {
			has = append(has, "HEAD")
		}
		has = append(has, "OPTIONS")
		slices.Sort(has)
		allow := strings.Join(has, ", ")
		target := placeholders.Replace(pattern)
		a := f.do("OPTIONS", target, "", nil)
		if a.status != 204 || a.header.Get("Allow") != allow || a.body != "" {
			t.Errorf("OPTIONS %s: %d, Allow %q", target, a.status, a.header.Get("Allow"))
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "TRACE"} {
			a := f.do(method, target, "", nil)
			if known := slices.Contains(has, method); known == (a.status == 405) {
				t.Errorf("%s %s: %d", method, target, a.status)
			}
			if a.status == 405 && a.header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow %q, want %q", method, target, a.header.Get("Allow"), allow)
			}
		}
		if slices.Contains(has, "GET") {
			get, head := f.do("GET", target, f.tokens[auth.Admin], nil), f.do("HEAD", target, f.tokens[auth.Admin], nil)
			// The use of a token is noted a moment later, and then listed.
			again := f.do("GET", target, f.tokens[auth.Admin], nil)
			for _, name := range []string{"Content-Type", "Content-Length", "Cache-Control", "Etag"} {
				if got := head.header.Get(name); got != get.header.Get(name) && got != again.header.Get(name) {
					t.Errorf("HEAD %s: %s %q, of GET %q", target, name, got, get.header.Get(name))
				}
			}
			if head.body != "" || head.status != get.status {
				t.Errorf("HEAD %s: %d %q, GET %d", target, head.status, head.body, get.status)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	f := newFixture(t)
	f.publish(pkg("audit", "1:1.0~rc1+b1"), "jammy")
	tests := []struct {
		method, target string
		status         int
		code           string
	}{
		{"GET", "/packages", 200, ""},
		{"GET", "/packages/", 200, ""},
		{"GET", "/packages//", 404, "route_not_found"},
		{"GET", "//packages", 404, "route_not_found"},
		{"GET", "/packages/.", 404, "route_not_found"},
		{"GET", "/x/../packages", 404, "route_not_found"},
		{"GET", "/PACKAGES", 404, "route_not_found"},
		{"GET", "/packages;a=b", 404, "route_not_found"},
		{"GET", "/;x/packages", 404, "route_not_found"},
		{"GET", "/%70ackages", 404, "route_not_found"},
		{"GET", "/", 404, "route_not_found"},
		{"GET", "/auth/users;a=b", 404, "route_not_found"},
		{"GET", "/;x/auth/users", 404, "route_not_found"},
		{"GET", "/AUTH/users", 404, "route_not_found"},
		{"GET", "/auth/users/.", 405, "method_not_allowed"},
		{"GET", "/artifacts/audit", 200, ""},
		{"GET", "/artifacts/audit/logs", 200, ""},
		{"GET", "/artifacts/audit/logs/", 200, ""},
		{"DELETE", "/artifacts/audit/verify", 405, "method_not_allowed"},
		{"GET", "/artifacts/admin/sync-index", 405, "method_not_allowed"},
		{"DELETE", "/artifacts/audit/install", 405, "method_not_allowed"},
		{"GET", "/artifacts/audit/1:1.0~rc1+b1", 200, ""},
		{"GET", "/artifacts/audit/1:1.0~rc1+b1/", 200, ""},
		{"GET", "/artifacts/audit/1%3a1.0%7erc1%2Bb1", 200, ""},
		{"GET", "/artifacts/audit%2f1:1.0~rc1+b1", 404, "package_not_found"},
		{"GET", "/artifacts/audit%2Finstall", 404, "package_not_found"},
		{"GET", "/artifacts/audit%00", 404, "route_not_found"},
		{"GET", "/artifacts/%ff", 404, "route_not_found"},
		{"GET", "/artifacts/%c0%ae", 404, "route_not_found"},
		{"GET", "/artifacts/audit%0d%0aX:%20y", 404, "route_not_found"},
		{"GET", "/artifacts/audit/1.0'--", 404, "version_not_found"},
		{"GET", "/artifacts/%252e", 404, "package_not_found"},
		{"GET", "/" + strings.Repeat("a/", 5000), 404, "route_not_found"},
		{"GET", "/artifacts/" + strings.Repeat("a", 20000), 404, "package_not_found"},
	}
	for _, test := range tests {
		a := f.do(test.method, test.target, f.tokens[auth.Admin], nil)
		var p problem
		if a.status >= 400 {
			a.decode(t, &p)
		}
		if a.status != test.status || p.Code != test.code {
			t.Errorf("%s %.60s: %d %s, want %d %s", test.method, test.target, a.status, a.body, test.status, test.code)
		}
	}
}

// TestOnlyTable checks that nothing is registered beside the table.
func TestOnlyTable(t *testing.T) {
	source := ""
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), ".go") && !strings.HasSuffix(file.Name(), "_test.go") && file.Name() != "doc.go" {
			text, err := os.ReadFile(file.Name())
			if err != nil {
				t.Fatal(err)
			}
			source += string(text)
		}
	}
	registers := regexp.MustCompile(`\.(Handle|HandleFunc|PathPrefix|Path|Methods|Subrouter)\(`)
	if found := registers.FindAllString(source, -1); len(found) != 1 {
		t.Errorf("routes are registered in %d places: %v", len(found), found)
	}
	seen := map[string]bool{}
	for _, rt := range routes {
		if key := rt.method + rt.pattern; seen[key] {
			t.Errorf("%s is there twice", key)
		} else {
			seen[key] = true
		}
		if rt.role != public && !rt.role.Valid() || rt.handle == nil {
			t.Errorf("%s %s is incomplete", rt.method, rt.pattern)
		}
		if _, ok := DefaultRateLimits()[rt.rate]; rt.rate != "" && !ok {
			t.Errorf("%s %s: no such rate class: %s", rt.method, rt.pattern, rt.rate)
		}
		if rt.role == public && rt.method != "GET" && !publicWrites[rt.pattern] {
			t.Errorf("%s %s is public", rt.method, rt.pattern)
		}
	}
}

func TestHeaders(t *testing.T) {
	f := newFixture(t)
	for _, target := range []string{"/health/live", "/auth/me", "/none"} {
		a := f.get(target, auth.Viewer)
		for name, want := range map[string]string{
			"Cache-Control":           "no-store",
			"X-Frame-Options":         "DENY",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			"Referrer-Policy":         "no-referrer",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", target, name, got)
			}
		}
	}
	for sent, kept := range map[string]bool{
		"req-7f3a": true, "A.b_c-9": true, strings.Repeat("a", 64): true,
		strings.Repeat("a", 65): false, "a b": false, "ä": false, "a\tb": false, "": false,
	} {
		a := f.do("GET", "/health/live", "", nil, "X-Request-ID", sent)
		if got := a.header.Get("X-Request-ID"); (got == sent) != kept {
			t.Errorf("request ID %q is answered %q", sent, got)
		}
	}
}

func TestAuthorizationHeader(t *testing.T) {
	f := newFixture(t)
	token := f.tokens[auth.Viewer]
	for value, status := range map[string]int{
		"Bearer " + token:                      200,
		"bearer " + token:                      200,
		"BEARER  " + token:                     200,
		"Bearer" + token:                       401,
		"Basic " + token:                       401,
		"Bearer " + token + ", Basic x":        401,
		"Bearer":                               401,
		"Bearer ":                              401,
		token:                                  401,
		"Bearer " + strings.Repeat(".", 20000): 401,
	} {
		if a := f.do("GET", "/auth/me", "", nil, "Authorization", value); a.status != status {
			t.Errorf("%.40s: %d", value, a.status)
		}
	}
	f.do("GET", "/auth/me", token, nil, "Authorization", "Bearer "+token).want(t, 401, "invalid_token")
	f.do("GET", "/auth/me?token="+token+"&access_token="+token, "", nil).want(t, 401, "authentication_required")
	f.do("GET", "/auth/me", "", nil, "Cookie", "token="+token).want(t, 401, "authentication_required")
	f.do("POST", "/auth/me", token, nil, "X-HTTP-Method-Override", "GET").want(t, 405, "method_not_allowed")
	if strings.Contains(f.log.String(), token) {
		t.Error("the log shows a token")
	}
}

func TestCORS(t *testing.T) {
	const origin = "https://console.example.com"
	f := newFixture(t, func(c *Config) { c.CORSOrigins = []string{origin} })
	a := f.do("OPTIONS", "/packages", "", nil, "Origin", origin, "Access-Control-Request-Method", "GET")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	a = f.do("GET", "/packages", "", nil, "Origin", origin)
	if a.header.Get("Access-Control-Allow-Origin") != origin || a.header.Get("Vary") != "Origin" {
		t.Errorf("refused request: %v", a.header)
	}
	for _, other := range []string{"https://evil.example.com", "null", "https://console.example.com.evil.com"} {
		if got := f.do("GET", "/packages", "", nil, "Origin", other).header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s is allowed as %q", other, got)
		}
	}
	f = newFixture(t)
	if got := f.do("GET", "/packages", "", nil, "Origin", origin).header; got.Get("Access-Control-Allow-Origin") != "" || got.Get("Vary") != "" {
		t.Errorf("without origins: %v", got)
	}
}

func TestConfigRefused(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(*Config){
		"no repository":         func(c *Config) { c.Repo = nil },
		"no users":              func(c *Config) { c.Auth = nil },
		"all origins":           func(c *Config) { c.CORSOrigins = []string{"*"} },
		"origin with a path":    func(c *Config) { c.CORSOrigins = []string{"https://a.example.com/"} },
		"unknown rate class":    func(c *Config) { c.RateLimits = RateLimits{"uploads": 3} },
		"negative rate":         func(c *Config) { c.RateLimits = RateLimits{"upload": -1} },
		"spool is not a folder": func(c *Config) { c.SpoolDir = os.Args[0] },
	} {
		c := f.config
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestPanic(t *testing.T) {
	f := newFixture(t)
	f.restart(f.config, func(a *api) {
		a.router = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				fmt.Fprint(w, "half an answer")
				w.(*recorder).ResponseWriter.(http.Flusher).Flush()
			}
			panic("secret /tmp/x.go:1")
		})
	})
	f.do("GET", "/early", "", nil, "X-Request-ID", "boom").want(t, 500, "internal_error")
	if log := f.log.String(); !strings.Contains(log, "secret /tmp/x.go:1") || !strings.Contains(log, `"request_id":"boom"`) {
		t.Errorf("the log does not tell the cause: %s", log)
	}
	res, err := http.Get(f.server.URL + "/late")
	if err == nil {
		_, err = res.Body.Read(make([]byte, 100))
		for err == nil {
			_, err = res.Body.Read(make([]byte, 100))
		}
		res.Body.Close()
	}
	if err == nil || err.Error() == "EOF" {
		t.Error("half an answer looks whole")
	}
}

func TestAccessLog(t *testing.T) {
	f := newFixture(t)
	f.do("GET", "/artifacts/secret-name?q=secret-query", f.tokens[auth.Viewer], nil, "X-Request-ID", "r-1", "User-Agent", "secret-agent")
	f.do("GET", "/no/such%7f%1b%0a/secret-path", "", nil)
	log := f.log.String()
	for _, want := range []string{`"method":"GET"`, `"route":"/artifacts/{name}"`, `"status":404`, `"principal":"token:role-viewer"`, `"request_id":"r-1"`, `"bytes":`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s: %s", want, log)
		}
	}
	if strings.Contains(log, "secret") || strings.ContainsAny(log, "\x00\x1b\x7f\r") {
		t.Errorf("the log tells too much: %s", log)
	}
}

func TestDeniedIsAudited(t *testing.T) {
	f := newFixture(t)
	f.get("/settings/gpg", auth.Viewer).want(t, 403, "insufficient_role")
	want := "auth.denied token:role-viewer denied GET /settings/gpg"
	if got := f.actions(); !slices.Contains(got, want) {
		t.Errorf("audit log lacks %q: %q", want, got)
	}
}

// What each route asks of its callers was written down once more, by hand:
// who changes the one table has to change the other.
func TestRolesAsWrittenDown(t *testing.T) {
	text, err := os.ReadFile("testdata/roles.tsv")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		f := strings.Split(line, "\t")
		want[f[1]+" "+f[0]] = f[2] + " " + f[3]
	}
	for _, rt := range routes {
		role := "public"
		if rt.role != public {
			role = rt.role.String()
		}
		limit := DefaultRateLimits()[rt.rate]
		if rt.rate == "" || undisclosed[rt.rate] {
			limit = 0
		}
		key := rt.method + " " + rt.pattern
		if got := fmt.Sprint(role, " ", limit); got != want[key] {
			t.Errorf("%s: %s, written down is %q", key, got, want[key])
		}
		delete(want, key)
	}
	for key := range want {
		t.Errorf("%s is not served", key)
	}
}
