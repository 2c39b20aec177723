package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
)

// secondPassword is another one that the policy takes.
const secondPassword = "Better horse 2"

// json sends a request with a JSON body.
func (f *fixture) json(method, target, token, body string) answer {
	f.t.Helper()
	return f.do(method, target, token, strings.NewReader(body), "Content-Type", "application/json")
}

// session logs a user in.
func (f *fixture) session(username, password string) string {
	f.t.Helper()
	body, err := json.Marshal(map[string]string{"username": username, "password": password})
	if err != nil {
		f.t.Fatal(err)
	}
	var out struct {
		Token string `json:"access_token"`
	}
	f.json("POST", "/auth/token", "", string(body)).want(f.t, 200, "").decode(f.t, &out)
	return out.Token
}

// addUser creates a user with the first password.
func (f *fixture) addUser(username string, roles ...string) {
	f.t.Helper()
	body, err := json.Marshal(map[string]any{
		"username": username, "password": password, "email": username + "@example.com", "roles": roles,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.json("POST", "/auth/users", f.tokens[auth.Admin], string(body)).want(f.t, 201, "")
}

// lastEntry returns the newest audit entry as "user action result target detail".
func (f *fixture) lastEntry() string {
	f.t.Helper()
	entries, err := f.db.AuditEntries(f.t.Context(), 0, 10000)
	if err != nil || len(entries) == 0 {
		f.t.Fatalf("%d entries, %v", len(entries), err)
	}
	e := entries[len(entries)-1]
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", e.User, e.Action, e.Result, e.Target, e.Detail))
}

func TestUsers(t *testing.T) {
	f := newFixture(t)
	admin := f.tokens[auth.Admin]
	f.clock.move(time.Second)
	a := f.json("POST", "/auth/users", admin, `{"username":"jsmith","password":"Admin1234!","email":" J@Example.com ","full_name":"J. Smith","roles":["uploader","viewer"]}`)
	a.want(t, 201, "").keys(t, "username", "email", "full_name", "roles", "active", "auth_source", "created_at", "last_login")
	want := `{"username":"jsmith","email":"J@Example.com","full_name":"J. Smith","roles":["viewer","uploader"],"active":true,"auth_source":"local","created_at":"2026-05-12T10:00:01Z","last_login":null}`
	if strings.TrimSpace(a.body) != want || a.header.Get("Location") != "/auth/users" {
		t.Errorf("created %s at %q, want %s", a.body, a.header.Get("Location"), want)
	}
	if got := f.lastEntry(); got != "token:role-admin user.create success jsmith roles=viewer,uploader" {
		t.Errorf("entry %q", got)
	}
	f.json("POST", "/auth/users", admin, `{"username":"bare","password":"Admin1234!"}`).want(t, 201, "")
	f.json("POST", "/auth/users", admin, `{"username":"off","password":"Admin1234!","active":false}`).want(t, 201, "")
	f.json("POST", "/auth/token", "", `{"username":"off","password":"Admin1234!"}`).want(t, 401, "invalid_credentials")

	var list struct {
		Users []struct {
			Username string   `json:"username"`
			Roles    []string `json:"roles"`
		} `json:"users"`
		Total int `json:"total"`
	}
	f.do("GET", "/auth/users", admin, nil).want(t, 200, "").decode(t, &list)
	var names []string
	for _, u := range list.Users {
		names = append(names, u.Username+" "+strings.Join(u.Roles, ","))
	}
	if !slices.Equal(names, []string{"admin admin", "bare viewer", "jsmith viewer,uploader", "off viewer"}) || list.Total != 4 {
		t.Errorf("users are %q, total %d", names, list.Total)
	}
}

func TestCreateUserRefusals(t *testing.T) {
	f := newFixture(t)
	f.addUser("jsmith", "viewer")
	for _, test := range []struct {
		body, code, field string
		status            int
	}{
		{`{"username":"JSmith","password":"Admin1234!"}`, "user_exists", "", 409},
		{`{"username":"other","password":"Admin1234!","email":"JSMITH@example.COM"}`, "email_taken", "", 409},
		{`{"username":"other"}`, "validation_failed", "password", 422},
		{`{"username":"x","password":"Admin1234!"}`, "validation_failed", "username", 422},
		{`{"username":"../x","password":"Admin1234!"}`, "validation_failed", "username", 422},
		{`{"username":"a/b","password":"Admin1234!"}`, "validation_failed", "username", 422},
		{`{"username":"аdmin","password":"Admin1234!"}`, "validation_failed", "username", 422},
		{`{"username":"admin\u200b","password":"Admin1234!"}`, "validation_failed", "username", 422},
		{`{"username":"other","password":"Admin1234!","email":"a@b@c"}`, "validation_failed", "email", 422},
		{`{"username":"other","password":"Admin1234!","email":"a@b.c\r\nBcc: x@y.z"}`, "validation_failed", "email", 422},
		{`{"username":"other","password":"Admin1234!","email":"ä@example.com"}`, "validation_failed", "email", 422},
		{`{"username":"other","password":"Admin1234!","email":"` + strings.Repeat("a", 250) + `@b.cd"}`, "validation_failed", "email", 422},
		{`{"username":"other","password":"Admin1234!","full_name":"` + strings.Repeat("ä", 129) + `"}`, "validation_failed", "full_name", 422},
		{`{"username":"other","password":"Admin1234!","full_name":"a\nb"}`, "validation_failed", "full_name", 422},
		{`{"username":"other","password":"Admin1234!","roles":[]}`, "validation_failed", "roles", 422},
		{`{"username":"other","password":"Admin1234!","roles":["root"]}`, "validation_failed", "roles[0]", 422},
		{`{"username":"other","password":"Admin1234!","roles":["viewer","viewer"]}`, "validation_failed", "roles[1]", 422},
		{`{"username":"other","password":"Admin1234!","active":1}`, "validation_failed", "active", 422},
		{`{"username":"other","password":"Admin1234!","token_version":1}`, "validation_failed", "token_version", 422},
		{`{"username":"other","password":"Admin1234!","password_hash":"x"}`, "validation_failed", "password_hash", 422},
		{`{"username":"other","password":"short"}`, "weak_password", "password", 422},
		{`{"username":"Password123","password":"password123"}`, "weak_password", "password", 422},
	} {
		before := f.lastEntry()
		a := f.json("POST", "/auth/users", f.tokens[auth.Admin], test.body).want(t, test.status, test.code)
		var p problem
		a.decode(t, &p)
		if test.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != test.field) {
			t.Errorf("%s: errors are %v, want field %s", test.body, p.Errors, test.field)
		}
		if after := f.lastEntry(); test.status == 422 && after != before {
			t.Errorf("%s: entry %q", test.body, after)
		} else if test.status == 409 && !strings.Contains(after, "user.create failure") {
			t.Errorf("%s: entry %q", test.body, after)
		}
	}
	if users, err := f.users.Users(t.Context()); err != nil || len(users) != 2 {
		t.Errorf("%d users, %v", len(users), err)
	}
}

func TestUpdateUser(t *testing.T) {
	f := newFixture(t)
	f.addUser("jsmith", "viewer")
	f.addUser("other", "viewer")
	admin := f.tokens[auth.Admin]
	session := f.session("jsmith", password)

	// What is no right leaves the session alone.
	f.json("PATCH", "/auth/users/jsmith", admin, `{"full_name":"J","email":""}`).want(t, 200, "")
	f.do("GET", "/auth/me", session, nil).want(t, 200, "")
	if got, want := f.lastEntry(), `token:role-admin user.update success jsmith email: "jsmith@example.com" -> ""; full_name: "" -> "J"`; got != want {
		t.Errorf("entry %q, want %q", got, want)
	}
	// Other roles end it at once, and so does being deactivated.
	f.json("PATCH", "/auth/users/JSMITH", admin, `{"roles":["auditor"]}`).want(t, 200, "")
	f.do("GET", "/auth/me", session, nil).want(t, 401, "invalid_token")
	if got, want := f.lastEntry(), "token:role-admin user.update success jsmith roles: viewer -> auditor"; got != want {
		t.Errorf("entry %q, want %q", got, want)
	}
	session = f.session("jsmith", password)
	f.json("PATCH", "/auth/users/jsmith", admin, `{"active":false}`).want(t, 200, "")
	f.do("GET", "/auth/me", session, nil).want(t, 401, "invalid_token")
	f.json("PATCH", "/auth/users/jsmith", admin, `{"active":true}`).want(t, 200, "")
	f.do("GET", "/auth/me", session, nil).want(t, 401, "invalid_token")

	for _, test := range []struct {
		target, body, code string
		status             int
	}{
		{"jsmith", `{}`, "validation_failed", 422},
		{"jsmith", `{"roles":null}`, "validation_failed", 422},
		{"jsmith", `{"roles":[]}`, "validation_failed", 422},
		{"jsmith", `{"username":"x"}`, "validation_failed", 422},
		{"jsmith", `{"email":"x"}`, "validation_failed", 422},
		{"jsmith", `{"email":"Other@example.com"}`, "email_taken", 409},
		{"nobody", `{"active":true}`, "user_not_found", 404},
		{"n%20b", `{"active":true}`, "user_not_found", 404},
		{"admin", `{"roles":["maintainer"]}`, "last_admin", 409},
		{"admin", `{"active":false}`, "last_admin", 409},
	} {
		f.json("PATCH", "/auth/users/"+test.target, admin, test.body).want(t, test.status, test.code)
	}
}

func TestDeleteUser(t *testing.T) {
	f := newFixture(t)
	f.addUser("second", "admin")
	session, own := f.session("second", password), f.session("admin", password)
	f.do("DELETE", "/auth/users/Admin", own, nil).want(t, 409, "cannot_delete_self")
	f.do("DELETE", "/auth/users/second", own, nil).want(t, 204, "")
	f.do("GET", "/auth/me", session, nil).want(t, 401, "invalid_token")
	f.do("DELETE", "/auth/users/second", own, nil).want(t, 404, "user_not_found")
	f.do("DELETE", "/auth/users/admin", f.tokens[auth.Admin], nil).want(t, 409, "last_admin")
	if got := f.lastEntry(); got != "token:role-admin user.delete failure admin no active administrator would be left" {
		t.Errorf("entry %q", got)
	}
	// A later user of that name does not inherit the sessions.
	f.addUser("second", "admin")
	f.do("GET", "/auth/me", session, nil).want(t, 401, "invalid_token")
}

func TestChangePassword(t *testing.T) {
	f := newFixture(t)
	f.addUser("jsmith", "viewer")
	other, own := f.session("jsmith", password), f.session("jsmith", password)
	body := func(current, fresh string) string {
		return fmt.Sprintf(`{"current_password":%q,"new_password":%q}`, current, fresh)
	}
	for _, test := range []struct {
		token, body, code string
		status            int
	}{
		{f.tokens[auth.Viewer], body(password, secondPassword), "token_not_allowed", 403},
		{own, `{}`, "validation_failed", 422},
		{own, body(password, "weak"), "weak_password", 422},
		{own, body(password, "JSmith"), "weak_password", 422},
		{own, body("wrong", "weak"), "weak_password", 422},
		{own, body("wrong", secondPassword), "wrong_password", 400},
		{own, body(password, password), "weak_password", 422},
	} {
		a := f.json("POST", "/auth/change-password", test.token, test.body).want(t, test.status, test.code)
		if test.code == "weak_password" && !strings.Contains(a.body, `"field":"new_password"`) {
			t.Errorf("%s", a.body)
		}
	}
	a := f.json("POST", "/auth/change-password", own, body(password, secondPassword)).want(t, 200, "")
	if strings.TrimSpace(a.body) != `{"status":"password_changed"}` {
		t.Errorf("%s", a.body)
	}
	if got := f.lastEntry(); got != "jsmith auth.password_change success jsmith" {
		t.Errorf("entry %q", got)
	}
	f.do("GET", "/auth/me", own, nil).want(t, 200, "")
	f.do("GET", "/auth/me", other, nil).want(t, 401, "invalid_token")
	f.json("POST", "/auth/token", "", `{"username":"jsmith","password":"`+password+`"}`).want(t, 401, "invalid_credentials")
	later := f.session("jsmith", secondPassword)
	// Once more, in another session: now the first one ends too.
	f.json("POST", "/auth/change-password", later, body(secondPassword, password)).want(t, 200, "")
	f.do("GET", "/auth/me", own, nil).want(t, 401, "invalid_token")
	f.do("GET", "/auth/me", later, nil).want(t, 200, "")
	f.do("POST", "/auth/logout", later, nil).want(t, 204, "")
	f.do("GET", "/auth/me", later, nil).want(t, 401, "invalid_token")
	if topics := f.topics(); !slices.Equal(topics, []string{"auth.password_changed", "auth.password_changed"}) {
		t.Errorf("messages %q", topics)
	}
}

// topics returns the topics of the outbox.
func (f *fixture) topics() []string {
	f.t.Helper()
	messages, err := f.db.Outbox(f.t.Context(), 100)
	if err != nil {
		f.t.Fatal(err)
	}
	var topics []string
	for _, m := range messages {
		topics = append(topics, m.Topic)
	}
	return topics
}

// Guessing the current password is throttled like guessing at the login.
func TestChangePasswordThrottled(t *testing.T) {
	f := newFixture(t)
	f.addUser("jsmith", "viewer")
	own := f.session("jsmith", password)
	wrong := fmt.Sprintf(`{"current_password":"wrong","new_password":%q}`, secondPassword)
	for range 5 {
		f.json("POST", "/auth/change-password", own, wrong).want(t, 400, "wrong_password")
	}
	a := f.json("POST", "/auth/change-password", own, wrong).want(t, 429, "too_many_attempts")
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	f.json("POST", "/auth/token", "", `{"username":"jsmith","password":"`+password+`"}`).want(t, 429, "too_many_attempts")
	f.json("POST", "/auth/users/jsmith/reset-password", f.tokens[auth.Admin], fmt.Sprintf(`{"new_password":%q}`, secondPassword)).want(t, 200, "")
	f.session("jsmith", secondPassword) // an administrator forgives
}

func TestSetPassword(t *testing.T) {
	f := newFixture(t)
	f.addUser("jsmith", "viewer")
	session := f.session("jsmith", password)
	target := "/auth/users/jsmith/reset-password"
	admin := f.tokens[auth.Admin]
	f.json("POST", target, admin, `{"new_password":"weak"}`).want(t, 422, "weak_password")
	f.json("POST", target, admin, `{"new_password":"`+password+`"}`).want(t, 422, "weak_password")
	f.json("POST", "/auth/users/nobody/reset-password", admin, `{"new_password":"`+secondPassword+`"}`).want(t, 404, "user_not_found")
	f.do("GET", "/auth/me", session, nil).want(t, 200, "")
	a := f.json("POST", target, admin, `{"new_password":"`+secondPassword+`"}`).want(t, 200, "")
	if strings.TrimSpace(a.body) != `{"username":"jsmith","status":"password_reset"}` {
		t.Errorf("%s", a.body)
	}
	if got := f.lastEntry(); got != "token:role-admin user.password_reset success jsmith" {
		t.Errorf("entry %q", got)
	}
	f.do("GET", "/auth/me", session, nil).want(t, 401, "invalid_token")
	f.session("jsmith", secondPassword)
}

func TestPasswordReset(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RateLimits["forgot_password"], c.RateLimits["reset_password"] = 0, 0 })
	f.addUser("jsmith", "viewer")
	known := f.json("POST", "/auth/forgot-password", "", `{"email":"JSmith@Example.com"}`).want(t, 200, "")
	unknown := f.json("POST", "/auth/forgot-password", "", `{"email":"nobody@example.com"}`).want(t, 200, "")
	if known.body != unknown.body || !strings.Contains(known.body, `"status":"ok"`) {
		t.Errorf("%s, %s", known.body, unknown.body)
	}
	f.json("POST", "/auth/forgot-password", "", `{"email":"nobody"}`).want(t, 422, "validation_failed")
	f.json("POST", "/auth/forgot-password", "", `{"email":["a@b.c"]}`).want(t, 422, "validation_failed")
	if topics := f.topics(); !slices.Equal(topics, []string{"auth.password_reset", "auth.password_reset"}) {
		t.Errorf("messages %q", topics)
	}
	session := f.session("jsmith", password)
	mail, ok, err := f.users.IssueReset(t.Context(), "message-1", "jsmith@example.com")
	if err != nil || !ok {
		t.Fatalf("IssueReset: %t, %v", ok, err)
	}
	try := func(token, password, code string, status int) {
		t.Helper()
		f.json("POST", "/auth/reset-password", "", fmt.Sprintf(`{"token":%q,"new_password":%q}`, token, password)).want(t, status, code)
	}
	token := string(mail.Token)
	f.json("POST", "/auth/reset-password", "", `{"token":null,"new_password":"`+secondPassword+`"}`).want(t, 422, "validation_failed")
	try("", secondPassword, "validation_failed", 422)
	try(token, "weak", "weak_password", 422)
	try(token, password, "weak_password", 422) // it is the current one
	try(token[1:], secondPassword, "invalid_reset_token", 400)
	try(strings.ToUpper(token), secondPassword, "invalid_reset_token", 400)
	f.do("GET", "/auth/me", token, nil).want(t, 401, "invalid_token")
	f.clock.move(auth.ResetLifetime - time.Second)
	try(token, secondPassword, "", 200)
	if got := f.lastEntry(); got != "jsmith auth.password_reset success jsmith" {
		t.Errorf("entry %q", got)
	}
	try(token, password, "invalid_reset_token", 400)
	f.do("GET", "/auth/me", session, nil).want(t, 401, "invalid_token")
	f.session("jsmith", secondPassword)
}

// Of those who use one token at once, one succeeds.
func TestPasswordResetRace(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RateLimits["reset_password"] = 0 })
	f.addUser("jsmith", "viewer")
	mail, _, err := f.users.IssueReset(t.Context(), "message-1", "jsmith@example.com")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	codes := make([]int, 6)
	for i := range codes {
		wg.Go(func() {
			codes[i] = f.json("POST", "/auth/reset-password", "",
				fmt.Sprintf(`{"token":%q,"new_password":"Better horse %d"}`, string(mail.Token), i)).status
		})
	}
	wg.Wait()
	slices.Sort(codes)
	if !slices.Equal(codes, []int{200, 400, 400, 400, 400, 400}) {
		t.Errorf("answers %v", codes)
	}
}

// A flood of logins from one address meets a limit that others do not notice.
func TestLoginLimit(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RateLimits["login"] = 3 })
	body := `{"username":"admin","password":"` + password + `"}`
	for range 3 {
		if a := f.json("POST", "/auth/token", "", body).want(t, 200, ""); a.header.Get("X-RateLimit-Limit") != "" {
			t.Error("the limit is disclosed")
		}
	}
	if a := f.json("POST", "/auth/token", "", body).want(t, 429, "rate_limited"); a.header.Get("Retry-After") != "60" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
}

// The routes for those who cannot log in are limited by address.
func TestPublicAuthLimits(t *testing.T) {
	f := newFixture(t)
	for i, target := range []string{"/auth/forgot-password", "/auth/reset-password"} {
		body := []string{`{"email":"a@example.com"}`, `{"token":"x","new_password":"` + secondPassword + `"}`}[i]
		for range 5 {
			if a := f.json("POST", target, "", body); a.status == 429 || a.header.Get("X-RateLimit-Limit") != "5" {
				t.Errorf("%s: %d, limit %q", target, a.status, a.header.Get("X-RateLimit-Limit"))
			}
		}
		if a := f.json("POST", target, "", body).want(t, 429, "rate_limited"); a.header.Get("Retry-After") != "60" {
			t.Errorf("%s: Retry-After %q", target, a.header.Get("Retry-After"))
		}
	}
}
