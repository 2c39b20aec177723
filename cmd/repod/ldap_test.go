package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/repod-io/repod/auth/ldap/slapdtest"
)

const staff = `dn: uid=alice,dc=test,dc=example
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: A
mail: alice@test.example
userPassword: alicepw

dn: cn=admins,dc=test,dc=example
objectClass: groupOfNames
cn: admins
member: uid=alice,dc=test,dc=example

`

// A user of a real directory logs in to a real server, and gets the role of
// her group; the policy for outgoing connections binds administrators too.
func TestDirectory(t *testing.T) {
	directory := slapdtest.Start(t, staff)
	for _, test := range []struct {
		outbound     string
		test, login  int
		code, wanted string
	}{
		{"any", 200, 200, "", `"roles":["admin"]`},
		{"private", 502, 503, "ldap_unavailable", ""},
	} {
		t.Run(test.outbound, func(t *testing.T) {
			s := startServer(t, "--outbound", test.outbound)
			admin, err := makeToken(s.url, "admin", testPassword)
			if err != nil {
				t.Fatal(err)
			}
			patch, err := json.Marshal(map[string]any{"ldap": map[string]any{
				"enabled": true, "url": directory.TLS, "ca_pem": directory.CAPEM, "base_dn": slapdtest.BaseDN,
				"bind_dn": slapdtest.AdminDN, "bind_password": slapdtest.AdminPassword,
				"group_base_dn": slapdtest.BaseDN, "group_filter": "(member={dn})", "attr_groups": "",
				"role_groups": map[string][]string{"admin": {"CN=Admins,dc=test,dc=example"}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if status, body := s.call(t, "PATCH", "/settings/", admin, string(patch)); status != 200 {
				t.Fatalf("%d %s", status, body)
			}
			if status, body := s.call(t, "POST", "/settings/test-ldap", admin, ""); status != test.test {
				t.Errorf("test: %d %s", status, body)
			}
			status, body := s.call(t, "POST", "/auth/token", "", `{"username":"alice","password":"alicepw"}`)
			if status != test.login || !strings.Contains(body, test.code) {
				t.Fatalf("login: %d %s", status, body)
			}
			if test.wanted == "" {
				return
			}
			var out struct {
				Token string `json:"access_token"`
			}
			if err := json.Unmarshal([]byte(body), &out); err != nil {
				t.Fatal(err)
			}
			if _, body := s.call(t, "GET", "/auth/me", out.Token, ""); !strings.Contains(body, test.wanted) || !strings.Contains(body, `"auth_source":"ldap"`) {
				t.Errorf("me is %s", body)
			}
		})
	}
}

// call sends a JSON request.
func (s *testServer) call(t *testing.T, method, path, token, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
