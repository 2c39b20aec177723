package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// TestPlantedSecrets uses every kind of secret there is, some of them wrongly,
// with a server that logs all it can, and then looks for them in its log, its
// audit log, its answers, its mails and each file of its data directory.
func TestPlantedSecrets(t *testing.T) {
	box, address := openPostbox(t)
	data := filepath.Join(t.TempDir(), "data")
	s := startServer(t, "--data-dir", data, "--outbound", "any", "--log-level", "debug", "--rate-limits", "off")
	secrets := map[string]string{
		"administrator's password": testPassword, "user's password": "Canary-Horse-01", "changed password": "Canary-Horse-02",
		"password by an administrator": "Canary-Horse-03", "password by a reset": "Canary-Horse-04",
		"wrong password": "Canary-Horse-05", "weak password": "canary-weak", "SMTP password": "Canary-Horse-06",
		"webhook secret": "Canary-Horse-09", "LDAP password": "Canary-Horse-07", "wrong LDAP user's password": "Canary-Horse-08",
	}
	var shown bytes.Buffer // answers, but those that are the one place to learn a secret
	call := func(method, path, token, body string) string {
		t.Helper()
		status, answer := s.call(t, method, path, token, body)
		if status >= 500 && !strings.Contains(answer, "ldap_") && !strings.Contains(answer, "smtp_") && !strings.Contains(answer, "webhook_") {
			t.Errorf("%s %s: %d %s", method, path, status, answer)
		}
		return answer
	}
	show := func(method, path, token, body string) {
		t.Helper()
		shown.WriteString(call(method, path, token, body) + "\n")
	}
	secret := func(name, answer, field string) string {
		t.Helper()
		var object map[string]any
		if err := json.Unmarshal([]byte(answer), &object); err != nil {
			t.Fatalf("%s: %s", name, answer)
		}
		value := object[field]
		if list, ok := value.([]any); ok {
			value = list[0]
		}
		text, _ := value.(string)
		if text == "" {
			t.Fatalf("%s: no %s in %s", name, field, answer)
		}
		secrets[name] = text
		return text
	}
	login := func(name, password, otp string) string {
		t.Helper()
		return secret("session of "+name, call("POST", "/auth/token", "", fmt.Sprintf(`{"username":%q,"password":%q%s}`, name, password, otp)), "access_token")
	}

	admin := login("admin", testPassword, "")
	api := secret("API token", call("POST", "/auth/api-tokens", admin, `{"name":"ci","roles":["admin"]}`), "token")
	show("PATCH", "/settings/", api, fmt.Sprintf(`{"public_url":"https://repo.example.com",
		"smtp":{"enabled":true,"host":"127.0.0.1","port":%d,"tls":"none","from":"repod@example.com"},
		"webhook":{"enabled":true,"url":"http://127.0.0.1:1/","secret":"Canary-Horse-09"},
		"ldap":{"enabled":true,"url":"ldap://127.0.0.1:1","base_dn":"dc=x","bind_dn":"cn=x","bind_password":"Canary-Horse-07"}}`, address.Port))
	show("POST", "/auth/users", api, `{"username":"jsmith","password":"Canary-Horse-01","email":"jsmith@example.com"}`)
	show("POST", "/auth/users", api, `{"username":"other","password":"canary-weak"}`)
	show("POST", "/auth/users", api, `{"username":"other","password":"Canary-Horse-05","password2":"Canary-Horse-05"}`)
	show("POST", "/auth/token", "", `{"username":"jsmith","password":"Canary-Horse-05"}`)
	show("POST", "/auth/token", "", `{"username":"alice","password":"Canary-Horse-08"}`) // of the directory, which is down
	user := login("jsmith", "Canary-Horse-01", "")
	show("POST", "/auth/change-password", user, `{"current_password":"Canary-Horse-05","new_password":"Canary-Horse-02"}`)
	show("POST", "/auth/change-password", user, `{"current_password":"Canary-Horse-01","new_password":"Canary-Horse-02"}`)
	show("POST", "/auth/users/jsmith/reset-password", api, `{"new_password":"Canary-Horse-03"}`)
	show("POST", "/settings/test-ldap", api, "")
	show("POST", "/settings/test-webhook", api, "")
	show("POST", "/settings/test-email", api, `{"to":"ops@example.com"}`)
	show("GET", "/settings/", api, "")
	show("GET", "/auth/me?token="+api, api, "")
	show("GET", "/packages/?q=x&access_token="+api, "garbage"+api, "")
	show("POST", "/settings/gpg/generate", api, "{}")

	user = login("jsmith", "Canary-Horse-03", "")
	factor := secret("TOTP secret", call("POST", "/auth/mfa", user, `{"password":"Canary-Horse-03"}`), "secret")
	otp, err := totp.GenerateCode(factor, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	recovery := secret("recovery code", call("POST", "/auth/mfa/confirm", user, fmt.Sprintf(`{"otp":%q}`, otp)), "recovery_codes")
	show("POST", "/auth/token", "", `{"username":"jsmith","password":"Canary-Horse-03","otp":"000000"}`)
	login("jsmith", "Canary-Horse-03", fmt.Sprintf(`,"otp":%q`, recovery))

	show("POST", "/auth/forgot-password", "", `{"email":"jsmith@example.com"}`)
	var mails strings.Builder
	link := regexp.MustCompile(`token=([\w-]+)`)
	for secrets["reset token"] == "" {
		_, subject, text := box.next(t)
		if m := link.FindStringSubmatch(text); m != nil {
			secrets["reset token"] = m[1]
			text = strings.Replace(text, m[1], "", 1) // the one place for it
		}
		mails.WriteString(subject + "\n" + text + "\n")
	}
	show("POST", "/auth/reset-password", "", fmt.Sprintf(`{"token":%q,"new_password":"canary-weak"}`, secrets["reset token"]))
	show("POST", "/auth/reset-password", "", fmt.Sprintf(`{"token":%q,"new_password":"Canary-Horse-04"}`, secrets["reset token"]))
	show("POST", "/auth/reset-password", "", fmt.Sprintf(`{"token":%q,"new_password":"Canary-Horse-04"}`, secrets["reset token"]))
	show("GET", "/artifacts/audit/logs?per_page=500", api, "")
	show("GET", "/auth/users", api, "")
	show("GET", "/auth/api-tokens", api, "")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	key, err := os.ReadFile(filepath.Join(data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	secrets["secret key"] = strings.TrimSpace(string(key))
	secrets["private key"] = "PRIVATE KEY BLOCK"
	places := map[string]string{"an answer": shown.String(), "a mail": mails.String()}
	err = filepath.WalkDir(filepath.Dir(s.log), func(path string, d fs.DirEntry, err error) error {
		return addFile(places, path, d, err)
	})
	if err == nil {
		err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error { return addFile(places, path, d, err) })
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(secrets) < 12 || len(places[s.log]) == 0 || len(places[filepath.Join(data, "repod.db")]) == 0 {
		t.Fatalf("%d secrets, %d places", len(secrets), len(places))
	}
	for name, text := range secrets {
		for place, content := range places {
			if strings.Contains(content, text) {
				t.Errorf("%s is in %s", name, place)
			}
		}
	}
}

// addFile reads a file, but that of the secret key.
func addFile(places map[string]string, path string, d fs.DirEntry, err error) error {
	if err != nil || d.IsDir() || d.Name() == "secret.key" {
		return err
	}
	text, err := os.ReadFile(path)
	places[path] = string(text)
	return err
}
