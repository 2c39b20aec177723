package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// An api calls the HTTP API as a client that somebody else wrote would: with
// net/http and nothing of repod.
type api struct {
	base  string
	token string
	http  *http.Client
}

// requestLimit ends a request that is never answered; it is no measure of
// how quick answers should be.
const requestLimit = 60 * time.Second

func newAPI(base, token string) *api {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 256
	return &api{base, token, &http.Client{Transport: transport, Timeout: requestLimit}}
}

// An answer is what the API said.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// A problem is a refusal (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

// refusal returns the problem document of an answer. Every refusal has one.
func (a *answer) refusal() (problem, error) {
	var p problem
	if ct := a.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/problem+json") {
		return p, fmt.Errorf("status %d has Content-Type %q: %s", a.Status, ct, a.Body)
	}
	if err := json.Unmarshal(a.Body, &p); err != nil {
		return p, fmt.Errorf("status %d: %w: %s", a.Status, err, a.Body)
	}
	if p.Status != a.Status || p.Code == "" || p.Detail == "" || p.Type != "urn:repod:error:"+p.Code {
		return p, fmt.Errorf("status %d: incomplete problem: %s", a.Status, a.Body)
	}
	return p, nil
}

// do sends a request and reads the whole answer.
func (c *api) do(ctx context.Context, method, path, contentType string, body io.Reader) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &answer{resp.StatusCode, resp.Header, text}, nil
}

func (c *api) post(ctx context.Context, path string, body any) (*answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodPost, path, "application/json", bytes.NewReader(text))
}

// upload sends a package.
func (c *api) upload(ctx context.Context, codename string, deb []byte) (*answer, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	w.WriteField("distribution", codename)
	part, err := w.CreateFormFile("file", "package.deb")
	if err != nil {
		return nil, err
	}
	part.Write(deb)
	w.Close()
	return c.do(ctx, http.MethodPost, "/upload/", w.FormDataContentType(), &body)
}

// uploaded publishes p and reports whether that worked.
func uploaded(ctx context.Context, c *api, p pkg) error {
	a, err := c.upload(ctx, "bookworm", p.Deb)
	if err == nil && a.Status != http.StatusCreated && a.Status != http.StatusOK {
		err = errors.New(string(a.Body))
	}
	return err
}

// promote copies a version from one distribution to another.
func (c *api) promote(ctx context.Context, p pkg, from, to string) (*answer, error) {
	return c.post(ctx, "/distributions/promote", map[string]string{
		"name": p.Name, "version": p.Version, "from_distribution": from, "to_distribution": to})
}

// unpublish takes a version out of one distribution.
func (c *api) unpublish(ctx context.Context, p pkg, codename string) (*answer, error) {
	return c.do(ctx, http.MethodDelete,
		"/distributions/"+codename+"/packages/"+url.PathEscape(p.Name)+"/"+url.PathEscape(p.Version), "", nil)
}

// remove takes a version out of the whole repository.
func (c *api) remove(ctx context.Context, p pkg) (*answer, error) {
	return c.do(ctx, http.MethodDelete, "/artifacts/"+url.PathEscape(p.Name)+"/"+url.PathEscape(p.Version), "", nil)
}

func (c *api) init(ctx context.Context, codename string) (*answer, error) {
	return c.post(ctx, "/distributions/init", map[string]any{"codename": codename, "architectures": []string{"amd64"}})
}

// must fails the test unless the answer has the status that is wanted.
func must(t *testing.T, status int) func(*answer, error) *answer {
	return func(a *answer, err error) *answer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != status {
			t.Fatalf("status %d, want %d: %s", a.Status, status, a.Body)
		}
		return a
	}
}

// newToken logs in as the administrator and returns an API token that may do
// everything the tests do.
func newToken(t *testing.T, s *server) string {
	t.Helper()
	c := newAPI(s.URL, "")
	var login struct {
		AccessToken string `json:"access_token"`
	}
	a := must(t, http.StatusOK)(c.post(t.Context(), "/auth/token",
		map[string]string{"username": "admin", "password": adminPassword}))
	if err := json.Unmarshal(a.Body, &login); err != nil {
		t.Fatal(err)
	}
	c.token = login.AccessToken
	var token struct {
		Token string `json:"token"`
	}
	a = must(t, http.StatusCreated)(c.post(t.Context(), "/auth/api-tokens",
		map[string]any{"name": "end-to-end", "roles": []string{"admin"}}))
	if err := json.Unmarshal(a.Body, &token); err != nil {
		t.Fatal(err)
	}
	return token.Token
}
