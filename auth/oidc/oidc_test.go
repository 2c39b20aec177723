package oidc_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/authtest"
	"github.com/repod-io/repod/auth/oidc"
	"github.com/repod-io/repod/auth/oidc/oidctest"
)

func Example() {
	service := &auth.Service{Store: new(authtest.Mem), Key: make([]byte, auth.KeySize), Assertions: new(oidc.Verifier)}
	_, _, err := service.Exchange(context.Background(), "not a token", auth.Client{})
	fmt.Println(errors.Is(err, auth.ErrInvalidToken))
	// Output: true
}

var now = time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)

func verifier(i *oidctest.Issuer) *oidc.Verifier {
	return &oidc.Verifier{RootCAs: i.RootCAs, Now: func() time.Time { return now }}
}

func TestVerify(t *testing.T) {
	issuer, other := oidctest.Start(t), oidctest.Start(t)
	v := verifier(issuer)
	got, err := v.Verify(t.Context(), issuer.URL, "repod", issuer.Token(t, now, map[string]any{"jti": "one", "environment": "prod"}))
	want := auth.Assertion{
		ID: "one", ExpiresAt: now.Add(5 * time.Minute), Repository: "acme/tool", RepositoryID: "42",
		Ref: "refs/heads/main", Environment: "prod", Run: "7",
	}
	got.ExpiresAt = got.ExpiresAt.UTC()
	if err != nil || got != want {
		t.Errorf("Verify = %+v, %v; want %+v", got, err, want)
	}
	for _, of := range []struct{ ref, kind, want string }{
		{"main", "branch", "refs/heads/main"}, {"v1", "tag", "refs/tags/v1"}, {"refs/tags/v1", "branch", "refs/heads/refs/tags/v1"},
		{"refs/heads/main", "merge_request", ""},
	} {
		gitlab := map[string]any{
			"repository": nil, "repository_id": nil, "run_id": nil, "project_path": "acme/tool", "project_id": "9", "job_id": "3",
			"ref": of.ref, "ref_type": of.kind,
		}
		got, err := v.Verify(t.Context(), issuer.URL, "repod", issuer.Token(t, now, gitlab))
		if err != nil || got.Repository != "acme/tool" || got.RepositoryID != "9" || got.Run != "3" || got.Ref != of.want {
			t.Errorf("Verify of GitLab's = %+v, %v", got, err)
		}
	}
	good := issuer.Token(t, now, nil)
	parts := strings.Split(good, ".")
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	shared := part(`{"alg":"HS256","kid":"1"}`) + "." + parts[1]
	mac := hmac.New(sha256.New, []byte("public key"))
	mac.Write([]byte(shared))
	for name, token := range map[string]string{
		"another audience":       issuer.Token(t, now, map[string]any{"aud": "other"}),
		"no audience":            issuer.Token(t, now, map[string]any{"aud": nil}),
		"another issuer":         issuer.Token(t, now, map[string]any{"iss": "https://evil.example"}),
		"expired":                issuer.Token(t, now.Add(-time.Hour), nil),
		"not yet valid":          issuer.Token(t, now.Add(time.Hour), map[string]any{"iat": now.Unix()}),
		"from the future":        issuer.Token(t, now, map[string]any{"iat": now.Add(time.Hour).Unix()}),
		"no expiry":              issuer.Token(t, now, map[string]any{"exp": nil}),
		"another's key":          other.Token(t, now, map[string]any{"iss": issuer.URL}),
		"alg none":               part(`{"alg":"none"}`) + "." + parts[1] + ".",
		"shared key":             shared + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"changed":                parts[0] + "." + part(`{"iss":"`+issuer.URL+`","aud":"repod","exp":99999999999}`) + "." + parts[2],
		"cut":                    good[:len(good)-2],
		"claims of another kind": issuer.Token(t, now, map[string]any{"repository": 7}),
		"no token":               "x",
		"":                       "",
	} {
		if _, err := v.Verify(t.Context(), issuer.URL, "repod", token); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Keys are fetched once, and an issuer that cannot be reached says nothing of
// a token.
func TestIssuer(t *testing.T) {
	issuer := oidctest.Start(t)
	v := verifier(issuer)
	issuer.Down.Store(true)
	if _, err := v.Verify(t.Context(), issuer.URL, "repod", issuer.Token(t, now, nil)); !errors.Is(err, auth.ErrIssuerUnavailable) {
		t.Errorf("while it is down: %v", err)
	}
	issuer.Down.Store(false)
	for range 3 {
		if _, err := v.Verify(t.Context(), issuer.URL, "repod", issuer.Token(t, now, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n := issuer.Fetches.Load(); n != 3 { // one in vain, configuration, keys
		t.Errorf("%d fetches", n)
	}
	issuer.Down.Store(true)
	if _, err := v.Verify(t.Context(), issuer.URL, "repod", issuer.Token(t, now, nil)); err != nil {
		t.Errorf("with keys at hand: %v", err)
	}
	refused := errors.New("refused")
	blocked := verifier(issuer)
	blocked.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, refused }
	if _, err := blocked.Verify(t.Context(), issuer.URL, "repod", issuer.Token(t, now, nil)); !errors.Is(err, auth.ErrIssuerUnavailable) || !errors.Is(err, refused) {
		t.Errorf("by a dialler that refuses: %v", err)
	}
	strange := &oidc.Verifier{}
	if _, err := strange.Verify(t.Context(), issuer.URL, "repod", issuer.Token(t, now, nil)); !errors.Is(err, auth.ErrIssuerUnavailable) {
		t.Errorf("with a certificate nobody trusts: %v", err)
	}
}
