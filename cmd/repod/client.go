package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	defaultRetries = 5
	maxBackoff     = 30 * time.Second
	// maxRetryAfter is the longest wait a server may ask for.
	maxRetryAfter = 15 * time.Minute
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 20
)

// A client calls the API of one server.
type client struct {
	base    *url.URL
	token   string
	http    *http.Client
	retries int // after failed connections and gateways, in a row

	wait func(context.Context, time.Duration) error
	// note tells the user why it takes longer.
	note func(format string, args ...any)
}

// client returns a client for REPOD_URL and REPOD_TOKEN.
func (p *program) client(retries int) (*client, error) {
	address := p.env("REPOD_URL")
	if address == "" {
		return nil, usagef("REPOD_URL is not set: set it to the server, e.g. https://repo.example.com")
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usagef("REPOD_URL is not an http or https address, e.g. https://repo.example.com")
	}
	token := p.env("REPOD_TOKEN")
	if path := p.env("REPOD_TOKEN_FILE"); token == "" && path != "" {
		if token, err = readSecret(path); err != nil {
			return nil, err
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ExpectContinueTimeout = 5 * time.Second
	transport.ResponseHeaderTimeout = 10 * time.Minute
	transport.MaxIdleConnsPerHost = 16
	return &client{
		base:  base,
		token: token,
		http: &http.Client{
			Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // the token goes nowhere else
			},
		},
		retries: retries,
		wait:    wait,
		note: func(format string, args ...any) {
			fmt.Fprintln(p.stderr, "repod: "+oneLine(fmt.Sprintf(format, args...)))
		},
	}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// A request is made anew for each attempt.
type request struct {
	method string
	path   string
	query  url.Values
	// body returns what to send, its length and its type; nil: nothing.
	body func() (r io.Reader, size int64, contentType string, err error)
	// into gets the body of a successful answer, of any size, from its beginning
	// at each attempt; nil: it is returned.
	into *os.File
}

// jsonBody returns a body for a request.
func jsonBody(v any) func() (io.Reader, int64, string, error) {
	return func() (io.Reader, int64, string, error) {
		text, err := json.Marshal(v)
		return bytes.NewReader(text), int64(len(text)), "application/json", err
	}
}

// do sends a request, again after failures that may pass, and returns the body
// of a successful answer. All requests made with it are safe to repeat.
func (c *client) do(ctx context.Context, r request) ([]byte, error) {
	for failures := 0; ; {
		answer, err := c.try(ctx, r)
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
		delay, counts := retryDelay(err, failures)
		if counts {
			failures++
		}
		if delay < 0 || failures > c.retries {
			return nil, err
		}
		c.note("%s: trying again in %v", cause(err), delay.Round(time.Second))
		if err := c.wait(ctx, delay); err != nil {
			return nil, err
		}
	}
}

// try sends a request once.
func (c *client) try(ctx context.Context, r request) ([]byte, error) {
	u := c.base.JoinPath(r.path)
	u.RawQuery = r.query.Encode()
	req, err := c.request(ctx, r.method, u)
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		body, size, contentType, err := r.body()
		if err != nil {
			return nil, err
		}
		req.Body, req.ContentLength = io.NopCloser(body), size
		req.Header.Set("Content-Type", contentType)
		if size > 64<<10 { // a refusal then comes before the body goes
			req.Header.Set("Expect", "100-continue")
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if r.into != nil && resp.StatusCode == http.StatusOK {
		return nil, fill(r.into, resp.Body)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, problemOf(resp, answer)
	}
	return answer, nil
}

// fill writes all of r to a file that holds nothing else.
func fill(file *os.File, r io.Reader) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	if _, err := io.Copy(io.NewOffsetWriter(file, 0), r); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// request returns a request in the name of the token's owner.
func (c *client) request(ctx context.Context, method string, u *url.URL) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "repod/"+buildVersion().Version)
	return req, nil
}

// get fetches a JSON document into v.
func (c *client) get(ctx context.Context, path string, query url.Values, v any) error {
	answer, err := c.do(ctx, request{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return err
	}
	return decode(answer, v)
}

func decode(answer []byte, v any) error {
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("the answer is not what a repod server says (check REPOD_URL): %w", err)
	}
	return nil
}

// A problem is the server's refusal (RFC 9457).
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors,omitempty"`

	retryAfter time.Duration
}

// Error says what the server refused, and what to do where that is known.
func (e *problem) Error() string {
	text := strings.TrimSuffix(e.Detail, ".")
	for i, f := range e.Errors {
		text += [...]string{": ", ", "}[min(i, 1)] + f.Field + " " + f.Message
	}
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if hint := hints[e.Code]; hint != "" {
		text += ": " + hint
	}
	return oneLine(text)
}

// hints say what to do next, by problem code.
var hints = map[string]string{
	"authentication_required":  "set REPOD_TOKEN to an API token",
	"invalid_token":            "REPOD_TOKEN is wrong, expired or revoked; have an administrator create another",
	"insufficient_role":        "ask an administrator for a token with that role",
	"token_scope":              "this token may not write there; use another distribution or token",
	"unknown_distribution":     "check the codename, or have a maintainer create the distribution",
	"unknown_component":        "check --component",
	"unsupported_architecture": "the distribution does not take this architecture",
	"duplicate_conflict":       "contents of a version never change; give the package a new version",
	"not_published":            "only published versions can be promoted",
	"sources_not_synced":       "have a maintainer run repod sync",
	"unknown_source":           "check --source",
	"no_sources_enabled":       "have an administrator enable sources (setting import.sources)",
	"upload_too_large":         "the server limits the size of uploads",
	"storage_full":             "free space on the server",
	"internal_error":           "the server's log says more",
}

// problemOf reads a refusal, also one that some proxy in between wrote.
func problemOf(resp *http.Response, answer []byte) error {
	e := &problem{}
	if json.Unmarshal(answer, e) != nil || e.Detail == "" {
		*e = problem{Detail: "the server answered " + resp.Status}
		if target := resp.Header.Get("Location"); target != "" && resp.StatusCode < 400 {
			e.Detail += ", redirecting to " + target + ": set REPOD_URL to where the server is"
		}
	}
	e.Status = resp.StatusCode
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		e.retryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// retryDelay says how long to wait before trying again after err, negative
// for never, and whether that counts as a failure: a busy server that says
// when to come back does not.
func retryDelay(err error, failures int) (delay time.Duration, counts bool) {
	backoff := min(time.Second<<min(failures, 10), maxBackoff)
	backoff += rand.N(backoff / 4) // so that many clients do not come back at once
	var e *problem
	if !errors.As(err, &e) {
		if errors.As(err, new(*jobError)) || permanent(err) {
			return -1, true
		}
		return backoff, true
	}
	switch e.Status {
	case http.StatusTooManyRequests:
		return within(max(e.retryAfter, time.Second)), false
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return within(max(e.retryAfter, backoff)), true
	}
	return -1, true
}

func within(d time.Duration) time.Duration {
	if d > maxRetryAfter {
		return -1
	}
	return d
}

// permanent reports whether sending again cannot help: there is no such host,
// it is not trusted or does not speak TLS, or a local file failed.
func permanent(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		dns         *net.DNSError
		file        *os.PathError
	)
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &file) || errors.As(err, &dns) && dns.IsNotFound ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") ||
		errors.Is(err, errChanged)
}

// cause names a transient failure without the request's whole URL.
func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}
