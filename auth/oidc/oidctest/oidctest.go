// Package oidctest runs an OpenID Connect issuer for tests.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
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
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// Token signs a token for a job of GitHub's acme/tool on its main branch, with
// an audience of "repod", that lasts five minutes from a time. Claims in change
// replace others; nil removes one.
func (i *Issuer) Token(t testing.TB, now time.Time, change map[string]any) string {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": i.URL, "aud": "repod", "sub": "repo:acme/tool:ref:refs/heads/main", "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"repository": "acme/tool", "repository_id": "42", "ref": "refs/heads/main", "run_id": "7",
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "1"
	text, err := token.SignedString(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
