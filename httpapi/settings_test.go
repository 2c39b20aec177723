package httpapi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
)

func TestSettings(t *testing.T) {
	f := newFixture(t)
	admin := f.tokens[auth.Admin]
	a := f.do("GET", "/settings/", admin, nil).want(t, 200, "")
	a.keys(t, "retention_days", "keep_versions", "audit_retention_days", "public_url", "max_upload_bytes", "signing", "scan", "import", "sbom", "smtp",
		"webhook", "ldap", "oidc", "downloads")
	first := a.header.Get("ETag")
	if first == "" || strings.HasPrefix(first, "W/") {
		t.Errorf("ETag %q", first)
	}
	a = f.do("PATCH", "/settings/", admin, strings.NewReader(`{"smtp":{"password":"canary","port":25},"public_url":"https://repo.example.com"}`),
		"Content-Type", "application/json", "If-Match", first).want(t, 200, "")
	second := a.header.Get("ETag")
	if second == first || !strings.Contains(a.body, `"port":25`) || !strings.Contains(a.body, `"password":"********"`) || strings.Contains(a.body, "canary") {
		t.Errorf("%s, %s", second, a.body)
	}
	if got := f.lastEntry(); got != "token:role-admin settings.update success  public_url smtp.password smtp.port" {
		t.Errorf("entry %q", got)
	}
	f.do("PATCH", "/settings", admin, strings.NewReader(`{"smtp":{"port":26}}`), "Content-Type", "application/json", "If-Match", first).
		want(t, 412, "precondition_failed")
	if a := f.json("PATCH", "/settings", admin, `{}`).want(t, 200, ""); a.header.Get("ETag") != second {
		t.Errorf("an empty patch moves the ETag to %s", a.header.Get("ETag"))
	}
	f.json("PATCH", "/settings", admin, `{"smtp":{"password":"********"}}`).want(t, 200, "")
	if got := string(f.config.Settings.Current().SMTP.Password); got != "canary" {
		t.Errorf("the password is %q", got)
	}
	for body, code := range map[string]string{
		`{`: "invalid_json", `{"smtp":{"port":1,"port":2}}`: "invalid_json", `[]`: "validation_failed", ``: "invalid_json",
		`{"smtp":{"port":"x","tls":"ssl"},"x":1}`: "validation_failed", `{"public_url":null}`: "validation_failed",
	} {
		status := 422
		if code == "invalid_json" {
			status = 400
		}
		f.json("PATCH", "/settings", admin, body).want(t, status, code)
	}
	a = f.json("PATCH", "/settings", admin, `{"smtp":{"port":"x","tls":"ssl"},"x":1}`)
	for _, want := range []string{`"field":"smtp.port"`, `"field":"smtp.tls"`, `"field":"x"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s lacks %s", a.body, want)
		}
	}
	f.get("/settings", auth.Maintainer).want(t, 403, "insufficient_role")
	// In force at once.
	if a := f.do("GET", "/settings/gpg", admin, nil); !strings.Contains(a.body, `"key_url":"https://repo.example.com/apt/repod.asc"`) {
		t.Errorf("%s", a.body)
	}
	f.json("PATCH", "/settings", admin, `{"max_upload_bytes":1048576}`).want(t, 200, "")
	if a := f.upload(f.tokens[auth.Uploader], part{"file", strings.Repeat("x", 1<<20+1)}, part{"distribution", "jammy"}); a.status != 413 {
		t.Errorf("upload: %d %s", a.status, a.body)
	}
}

func TestSettingsTests(t *testing.T) {
	var asked string
	failure := errors.New("bind: LDAP Result Code 49\n\"Invalid Credentials\"")
	var failed error
	f := newFixture(t, func(c *Config) {
		c.TestLDAP = func(_ context.Context, s settings.LDAP) (bool, error) {
			asked = s.URL + " " + string(s.BindPassword)
			return true, failed
		}
		c.TestMail = func(_ context.Context, s settings.SMTP, to string) error {
			asked = s.Host + " " + to
			return failed
		}
	})
	admin := f.tokens[auth.Admin]
	f.do("POST", "/settings/test-ldap", admin, nil).want(t, 400, "ldap_not_configured")
	f.do("POST", "/settings/test-email", admin, nil).want(t, 400, "smtp_not_configured")
	f.json("PATCH", "/settings", admin, `{"ldap":{"url":"ldap://ldap.example.com","base_dn":"dc=x","bind_password":"secret"},
		"smtp":{"host":"mail.example.com","from":"repod@example.com"}}`).want(t, 200, "")

	a := f.do("POST", "/settings/test-ldap", admin, nil).want(t, 200, "")
	if want := `{"status":"ok","message":"Bind and search succeeded","server":"ldap://ldap.example.com","tls":true}`; strings.TrimSpace(a.body) != want {
		t.Errorf("%s, want %s", a.body, want)
	}
	if asked != "ldap://ldap.example.com secret" {
		t.Errorf("asked %q", asked)
	}
	f.do("POST", "/settings/test-email", admin, nil).want(t, 400, "no_recipient")
	f.json("POST", "/settings/test-email", admin, `{"to":"x"}`).want(t, 422, "validation_failed")
	a = f.json("POST", "/settings/test-email", admin, `{"to":"ops@example.com"}`).want(t, 200, "")
	if strings.TrimSpace(a.body) != `{"status":"ok","to":"ops@example.com"}` || asked != "mail.example.com ops@example.com" {
		t.Errorf("%s, asked %q", a.body, asked)
	}
	f.json("PATCH", "/settings", admin, `{"smtp":{"recipients":["first@example.com"]}}`).want(t, 200, "")
	f.do("POST", "/settings/test-email", admin, nil).want(t, 200, "")
	if asked != "mail.example.com first@example.com" || f.lastEntry() != "token:role-admin settings.test_email success first@example.com" {
		t.Errorf("asked %q, entry %q", asked, f.lastEntry())
	}

	failed = failure
	a = f.do("POST", "/settings/test-ldap", admin, nil).want(t, 502, "ldap_failed")
	if !strings.Contains(a.body, "The directory cannot be used: bind: LDAP") {
		t.Errorf("%s", a.body)
	}
	if got := f.lastEntry(); !strings.HasPrefix(got, "token:role-admin settings.test_ldap failure ldap://ldap.example.com bind: LDAP") {
		t.Errorf("entry %q", got)
	}
	f.do("POST", "/settings/test-email", admin, nil).want(t, 502, "smtp_failed")
}

// The database holds no secret in clear.
func TestSettingsSealed(t *testing.T) {
	f := newFixture(t)
	f.json("PATCH", "/settings", f.tokens[auth.Admin], `{"smtp":{"password":"planted-canary-1"},"ldap":{"bind_password":"planted-canary-2"}}`).want(t, 200, "")
	dir := filepath.Dir(f.dbPath)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "planted-canary") {
			t.Errorf("%s holds a secret", file.Name())
		}
	}
	if strings.Contains(f.log.String(), "planted-canary") {
		t.Error("the log holds a secret")
	}
}
