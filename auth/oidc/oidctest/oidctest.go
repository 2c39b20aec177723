// Package oidctest runs an OpenID Connect issuer for tests.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// An Issuer is an HTTPS server on loopback with one signing key, until the end
// of its test.
type Issuer struct {
	URL     string
	RootCAs *x509.CertPool // to trust it
	// Down makes it answer 503.
	Down atomic.Bool
	// Fetches counts the requests that it has answered.
	Fetches atomic.Int32

	key    *ecdsa.PrivateKey
	server *httptest.Server

	mu    sync.Mutex
	codes map[string]authorization
}

// An authorization is what a code stands for.
type authorization struct {
	challenge, redirect, client string
	claims                      map[string]any
	at                          time.Time
}

// ClientSecret is that of every client.
const ClientSecret = "oidctest-secret"

// Authorize does what a person does who follows a login's redirect and agrees:
// it returns the query with which the issuer sends the browser back. Claims in
// change replace others of the ID token, as for Token.
func (i *Issuer) Authorize(t testing.TB, location string, now time.Time, change map[string]any) url.Values {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(location, i.URL+"/auth?") {
		t.Fatalf("the login leads to %s", location)
	}
	q := u.Query()
	if q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" ||
		q.Get("state") == "" || q.Get("nonce") == "" || !strings.Contains(q.Get("scope"), "openid") {
		t.Errorf("the login asks %v", q)
	}
	claims := map[string]any{
		"sub": "subject-1", "aud": q.Get("client_id"), "nonce": q.Get("nonce"), "preferred_username": "ann", "name": "Ann Lee",
		"email": "ann@example.com", "email_verified": true, "groups": []string{"staff"}, "repository": nil, "ref": nil,
	}
	maps.Copy(claims, change)
	code := rand.Text()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.codes == nil {
		i.codes = map[string]authorization{}
	}
	i.codes[code] = authorization{q.Get("code_challenge"), q.Get("redirect_uri"), q.Get("client_id"), claims, now}
	return url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {i.URL}}
}

// token answers the token endpoint: a code works once, for its client, redirect
// address and PKCE verifier.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	a, ok := i.codes[r.FormValue("code")]
	delete(i.codes, r.FormValue("code"))
	i.mu.Unlock()
	client, secret, basic := r.BasicAuth()
	if !basic {
		client, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || r.Method != http.MethodPost || r.FormValue("grant_type") != "authorization_code" || client != a.client || secret != ClientSecret ||
		r.FormValue("redirect_uri") != a.redirect || base64.RawURLEncoding.EncodeToString(sum[:]) != a.challenge {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant"})
		return
	}
	text, err := i.sign(a.at, a.claims)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": text})
}

// Start starts an issuer.
func Start(t testing.TB) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{key: key}
	i.server = httptest.NewTLSServer(i)
	t.Cleanup(i.server.Close)
	i.URL = i.server.URL
	i.RootCAs = x509.NewCertPool()
	i.RootCAs.AddCert(i.server.Certificate())
	return i
}

// ServeHTTP answers with the configuration and the keys.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.Fetches.Add(1)
	if i.Down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth",
			"token_endpoint": i.URL + "/token", "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	case "/keys":
		point, err := i.key.PublicKey.Bytes() // 4, X, Y
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		text := base64.RawURLEncoding.EncodeToString
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
			"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "alg": "ES256", "x": text(point[1:33]), "y": text(point[33:]),
		}}})
	case "/token":
		i.token(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// Token signs a token for a job of GitHub's acme/tool on its main branch, with
// an audience of "repod", that lasts five minutes from a time. Claims in change
// replace others; nil removes one.
func (i *Issuer) Token(t testing.TB, now time.Time, change map[string]any) string {
	t.Helper()
	text, err := i.sign(now, change)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (i *Issuer) sign(now time.Time, change map[string]any) (string, error) {
	claims := jwt.MapClaims{
		"iss": i.URL, "aud": "repod", "sub": "repo:acme/tool:ref:refs/heads/main", "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"repository": "acme/tool", "repository_id": "42", "ref": "refs/heads/main", "run_id": "7",
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "1"
	return token.SignedString(i.key)
}
