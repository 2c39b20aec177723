package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/oidc"
	"github.com/repod-io/repod/auth/oidc/oidctest"
	"github.com/repod-io/repod/deb/debtest"
)

// TestEveryChangeIsAudited calls every route that changes something, in an
// order in which each succeeds, and expects one entry of its action; a route
// without a row here fails.
func TestEveryChangeIsAudited(t *testing.T) {
	issuer := oidctest.Start(t)
	f, mirror := newImports(t, func(c *Config) {
		c.TestLDAP = func(context.Context, settings.LDAP) (bool, error) { return true, nil }
		c.TestMail = func(context.Context, settings.SMTP, string) error { return nil }
		c.TestWebhook = func(context.Context, settings.Webhook, WebhookDelivery) (int, error) { return 200, nil }
	})
	f.users.Assertions = &oidc.Verifier{RootCAs: issuer.RootCAs, Now: f.clock.now}
	admin := f.tokens[auth.Admin]
	var last answer // of the row before
	field := func(name string) string {
		t.Helper()
		var out map[string]any
		last.decode(t, &out)
		return fmt.Sprint(out[name])
	}
	var session, secret string
	otp := func() string {
		f.clock.move(30 * time.Second)
		text, err := totp.GenerateCode(secret, f.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	rows := []struct {
		route, action string // "METHOD PATTERN"
		call          func() answer
	}{
		{"POST /auth/users", "user.create", func() answer {
			return f.json("POST", "/auth/users", admin, `{"username":"jsmith","email":"jsmith@example.com","roles":["admin"],"password":"`+password+`"}`)
		}},
		{"PATCH /auth/users/{username}", "user.update", func() answer {
			return f.json("PATCH", "/auth/users/jsmith", admin, `{"roles":["viewer"]}`)
		}},
		{"POST /auth/token", "auth.login", func() answer {
			return f.json("POST", "/auth/token", "", `{"username":"jsmith","password":"`+password+`"}`)
		}},
		{"POST /auth/change-password", "auth.password_change", func() answer {
			session = field("access_token")
			return f.json("POST", "/auth/change-password", session, `{"current_password":"`+password+`","new_password":"`+secondPassword+`"}`)
		}},
		// What has no entry changes nothing that counts: the secret is in force
		// once it is confirmed.
		{"POST /auth/mfa", "", func() answer {
			return f.json("POST", "/auth/mfa", session, `{"password":"`+secondPassword+`"}`)
		}},
		{"POST /auth/mfa/confirm", "auth.mfa_enable", func() answer {
			secret = field("secret")
			return f.json("POST", "/auth/mfa/confirm", session, `{"otp":"`+otp()+`"}`)
		}},
		{"POST /auth/mfa/recovery-codes", "auth.mfa_recovery_codes", func() answer {
			return f.json("POST", "/auth/mfa/recovery-codes", session, `{"password":"`+secondPassword+`","otp":"`+otp()+`"}`)
		}},
		{"POST /auth/mfa/disable", "auth.mfa_disable", func() answer {
			return f.json("POST", "/auth/mfa/disable", session, `{"password":"`+secondPassword+`","otp":"`+otp()+`"}`)
		}},
		{"POST /auth/mfa", "", func() answer {
			return f.json("POST", "/auth/mfa", session, `{"password":"`+secondPassword+`"}`)
		}},
		{"POST /auth/mfa/confirm", "auth.mfa_enable", func() answer {
			secret = field("secret")
			return f.json("POST", "/auth/mfa/confirm", session, `{"otp":"`+otp()+`"}`)
		}},
		{"DELETE /auth/users/{username}/mfa", "user.mfa_reset", func() answer {
			return f.do("DELETE", "/auth/users/jsmith/mfa", admin, nil)
		}},
		{"POST /auth/forgot-password", "auth.password_reset_request", func() answer {
			return f.json("POST", "/auth/forgot-password", "", `{"email":"jsmith@example.com"}`)
		}},
		{"POST /auth/reset-password", "auth.password_reset", func() answer {
			mail, ok, err := f.users.IssueReset(t.Context(), "message-1", "jsmith@example.com")
			if err != nil || !ok {
				t.Fatalf("IssueReset: %t, %v", ok, err)
			}
			return f.json("POST", "/auth/reset-password", "", fmt.Sprintf(`{"token":%q,"new_password":"Third horse 3"}`, string(mail.Token)))
		}},
		{"POST /auth/users/{username}/reset-password", "user.password_reset", func() answer {
			return f.json("POST", "/auth/users/jsmith/reset-password", admin, `{"new_password":"`+secondPassword+`"}`)
		}},
		{"POST /auth/token", "auth.login", func() answer {
			return f.json("POST", "/auth/token", "", `{"username":"jsmith","password":"`+secondPassword+`"}`)
		}},
		{"POST /auth/logout", "auth.logout", func() answer { return f.do("POST", "/auth/logout", field("access_token"), nil) }},
		{"DELETE /auth/users/{username}", "user.delete", func() answer { return f.do("DELETE", "/auth/users/jsmith", admin, nil) }},

		{"POST /auth/api-tokens", "token.create", func() answer {
			return f.json("POST", "/auth/api-tokens", admin, `{"name":"ci","roles":["uploader"]}`)
		}},
		{"DELETE /auth/api-tokens/{token_id}", "token.revoke", func() answer {
			return f.do("DELETE", "/auth/api-tokens/"+field("id"), admin, nil)
		}},
		{"POST /auth/trusted-publishers", "publisher.create", func() answer {
			return f.json("POST", "/auth/trusted-publishers", admin, fmt.Sprintf(
				`{"name":"tool","issuer":%q,"repository":"acme/tool","ref":"refs/heads/main","roles":["uploader"]}`, issuer.URL))
		}},
		{"POST /auth/oidc/exchange", "token.exchange", func() answer {
			return f.json("POST", "/auth/oidc/exchange", "", fmt.Sprintf(`{"token":%q}`, issuer.Token(t, f.clock.now(), nil)))
		}},
		{"DELETE /auth/trusted-publishers/{publisher_id}", "publisher.delete", func() answer {
			all, err := f.users.Publishers(t.Context())
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			return f.do("DELETE", "/auth/trusted-publishers/"+all[0].ID, admin, nil)
		}},

		{"POST /distributions/init", "distribution.init", func() answer {
			return f.post("/distributions/init", `{"codename":"noble"}`, auth.Admin)
		}},
		{"POST /upload", "package.upload", func() answer {
			return f.publish(debtest.Package{Name: "tool", Version: "1.0"}, "jammy")
		}},
		{"POST /distributions/promote", "distribution.promote", func() answer {
			return f.post("/distributions/promote", `{"name":"tool","version":"1.0","from_distribution":"jammy","to_distribution":"focal"}`, auth.Admin)
		}},
		{"POST /distributions/migrate", "distribution.migrate", func() answer {
			return f.post("/distributions/migrate", `{"from_distribution":"jammy","to_distribution":"noble"}`, auth.Admin)
		}},
		{"DELETE /distributions/{codename}/packages/{name}/{version}", "package.unpublish", func() answer {
			return f.do("DELETE", "/distributions/focal/packages/tool/1.0", admin, nil)
		}},
		{"POST /security/packages/{name}/{version}/quarantine", "security.quarantine", func() answer {
			return f.do("POST", "/security/packages/tool/1.0/quarantine", admin, nil)
		}},
		{"POST /security/packages/{name}/{version}/release", "security.release", func() answer {
			return f.do("POST", "/security/packages/tool/1.0/release", admin, nil)
		}},
		{"POST /security/packages/{name}/{version}/rescan", "security.rescan", func() answer {
			return f.do("POST", "/security/packages/tool/1.0/rescan", admin, nil)
		}},
		{"POST /security/packages/{name}/{version}/decide", "security.decide", func() answer {
			return f.json("POST", "/security/packages/tool/1.0/decide", admin, `{"decision":"upgrade_required","comment":"old"}`)
		}},
		{"DELETE /artifacts/{name}/{version}", "package.delete", func() answer { return f.do("DELETE", "/artifacts/tool/1.0", admin, nil) }},
		{"POST /artifacts/admin/sync-index", "index.sync", func() answer { return f.do("POST", "/artifacts/admin/sync-index", admin, nil) }},

		{"POST /import/sources", "import.source_create", func() answer {
			return f.json("POST", "/import/sources", admin, strings.Replace(sourceBody(mirror, "security"), "{", `{"security":true,`, 1))
		}},
		{"POST /import/sync-security", "import.sync_security", func() answer {
			return f.do("POST", "/import/sync-security?wait=true", admin, nil)
		}},
		{"DELETE /import/sources/{source_id}", "import.source_delete", func() answer {
			return f.do("DELETE", "/import/sources/security", admin, nil)
		}},
		{"POST /import/sync", "import.sync", func() answer { return f.do("POST", "/import/sync?wait=true", admin, nil) }},
		{"POST /import/sync/{source_id}", "import.sync_source", func() answer {
			return f.do("POST", "/import/sync/ubuntu-jammy?wait=true", admin, nil)
		}},
		{"POST /import/fetch", "package.import import.fetch", func() answer {
			return f.json("POST", "/import/fetch", admin, `{"name":"libc6","distribution":"jammy","group":"base"}`)
		}},
		{"POST /import/batch", "import.batch", func() answer {
			return f.json("POST", "/import/batch?wait=true", admin, `{"packages":[{"name":"libc6","distribution":"jammy"}]}`)
		}},
		{"DELETE /import/groups/{group_name}", "import.group_delete", func() answer {
			return f.do("DELETE", "/import/groups/base", admin, nil)
		}},

		{"PATCH /settings", "settings.update", func() answer {
			return f.json("PATCH", "/settings", admin, `{"scan":{"clamav_address":"unix:///run/clamd"},"ldap":{"url":"ldap://ldap.example.com","base_dn":"dc=example"},"smtp":{"host":"mail.example.com","from":"repod@example.com"},"webhook":{"url":"https://hook.example.com/k3y"}}`)
		}},
		{"POST /security/clamav/update", "security.clamav_update", func() answer {
			return f.do("POST", "/security/clamav/update?wait=true", admin, nil)
		}},
		{"POST /security/rescan", "security.rescan", func() answer { return f.do("POST", "/security/rescan?wait=true", admin, nil) }},
		{"POST /settings/run-retention", "retention.run", func() answer { return f.do("POST", "/settings/run-retention", admin, nil) }},
		{"POST /settings/test-ldap", "settings.test_ldap", func() answer { return f.do("POST", "/settings/test-ldap", admin, nil) }},
		{"POST /settings/test-webhook", "settings.test_webhook", func() answer { return f.do("POST", "/settings/test-webhook", admin, nil) }},
		{"POST /settings/test-email", "settings.test_email", func() answer {
			return f.json("POST", "/settings/test-email", admin, `{"to":"ops@example.com"}`)
		}},
		{"POST /settings/gpg/generate", "settings.gpg_generate", func() answer {
			return f.do("POST", "/settings/gpg/generate", admin, nil)
		}},
	}
	for _, row := range rows {
		before := f.actions()
		if last = row.call(); last.status >= 300 {
			t.Fatalf("%s: %d %s", row.route, last.status, last.body)
		}
		var got []string
		for _, line := range f.actions()[len(before):] {
			fields := strings.Fields(line)
			got = append(got, fields[0])
			if fields[2] != "success" {
				t.Errorf("%s: entry %q", row.route, line)
			}
		}
		if strings.Join(got, " ") != row.action {
			t.Errorf("%s: entries %q, want %q", row.route, got, row.action)
		}
	}
	for _, rt := range routes {
		has := false
		for _, row := range rows {
			has = has || row.route == rt.method+" "+rt.pattern
		}
		if rt.method != http.MethodGet && !has {
			t.Errorf("%s %s has no row", rt.method, rt.pattern)
		}
	}
}

// Every refusal of somebody who is known is in the audit log, once.
func TestEveryRefusalIsAudited(t *testing.T) {
	f := newFixture(t)
	for _, rt := range routes {
		if rt.role == public || rt.role == auth.Viewer {
			continue
		}
		before := f.actions()
		f.do(rt.method, placeholders.Replace(rt.pattern), f.tokens[rt.role-1], nil).want(t, 403, "insufficient_role")
		want := fmt.Sprintf("auth.denied token:role-%s denied %s %s", rt.role-1, rt.method, rt.pattern)
		if got := f.actions()[len(before):]; !slices.Equal(got, []string{want}) {
			t.Errorf("entries %q, want %q", got, want)
		}
	}
}
