package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// A Client calls the API of one server. It is safe for concurrent use as long as
// its fields are not changed. Make one by [New].
type Client struct {
	// UserAgent is sent with each request. Empty: "repod-client".
	UserAgent string
	// Retries is how many failures in a row, of connections and of gateways, are
	// taken before a call that does no harm twice fails. 0: the first one counts.
	Retries int
	// WaitBusy waits as a server asks that takes no more requests now (429), up to
	// 15 minutes at a time, and does not count that as a failure.
	WaitBusy bool
	// Note is told why a call takes longer, before it waits. Nil: nobody is.
	Note func(cause error, delay time.Duration)
	// Wait waits, or returns ctx's error. Nil: by a timer.
	Wait func(ctx context.Context, d time.Duration) error

	base  *url.URL
	token string
	http  *http.Client
}

// New returns a client of the server at an http or https address, which may end
// in a path. token is an API token or that of a session, "" for none. The
// transport, jar and timeout are those of hc; a timeout also bounds uploads and
// jobs. Nil: one that waits 10 minutes for an answer to begin.
func New(address, token string, hc *http.Client) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("the address of the server must be http:// or https:// and a host")
	}
	base.RawQuery, base.Fragment = "", ""
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the token holds characters that no token has")
	}
	if hc == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.ExpectContinueTimeout = 5 * time.Second
		transport.ResponseHeaderTimeout = 10 * time.Minute
		transport.MaxIdleConnsPerHost = 16
		hc = &http.Client{Transport: transport}
	}
	own := *hc
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, token: token, http: &own}, nil
}

// WithToken returns a client that is the same but for its token.
func (c *Client) WithToken(token string) (*Client, error) {
	other, err := New(c.base.String(), token, c.http)
	if err != nil {
		return nil, err
	}
	own := *c
	own.token = other.token
	return &own, nil
}

// Address returns that of the server, without password.
func (c *Client) Address() string { return c.base.Redacted() }

// HasToken reports whether the client has one.
func (c *Client) HasToken() bool { return c.token != "" }

// A request is made anew for each attempt.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	// body returns what to send, its length and its type; nil: nothing.
	body func() (r io.Reader, size int64, contentType string, err error)
	// safe: it may be done twice.
	safe bool
	// take reads a successful answer. Nil: it is not read.
	take func(resp *http.Response) error
}

// jsonBody returns a body for a request.
func jsonBody(v any) func() (io.Reader, int64, string, error) {
	return func() (io.Reader, int64, string, error) {
		text, err := json.Marshal(v)
		return bytes.NewReader(text), int64(len(text)), "application/json", err
	}
}

// Do calls the API with a JSON body, nil for none, and reads the JSON answer into
// out, nil for none. path is escaped: "/artifacts/" + url.PathEscape(name). It is
// for what has no method; failures are not repeated unless method is GET.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body, out any) error {
	r := request{method: method, path: path, query: query, safe: method == http.MethodGet}
	if body != nil {
		r.body = jsonBody(body)
	}
	return c.exchange(ctx, r, out)
}

// exchange sends a request and reads a JSON answer into out, unless that is nil.
func (c *Client) exchange(ctx context.Context, r request, out any) error {
	if out != nil {
		r.take = func(resp *http.Response) error { return c.decode(ctx, resp.Body, out) }
	}
	return c.send(ctx, r)
}

// send sends a request, again after failures that may pass.
func (c *Client) send(ctx context.Context, r request) error {
	return c.persist(ctx, func() (bool, error) { return false, c.try(ctx, r) }, r.safe)
}

// persist calls f until it succeeds, or fails for good. f reports whether it came
// further than before; failures are counted anew then.
func (c *Client) persist(ctx context.Context, f func() (further bool, err error), safe bool) error {
	for failures := 0; ; {
		further, err := f()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if further {
			failures = 0
		}
		delay, counts := retryDelay(err, failures)
		if counts {
			failures++
		}
		switch {
		case delay < 0, counts && (!safe || failures > c.Retries), !counts && !c.WaitBusy:
			return err
		}
		if c.Note != nil && !errors.Is(err, errCut) {
			c.Note(err, delay)
		}
		wait := c.Wait
		if wait == nil {
			wait = sleep
		}
		if err := wait(ctx, delay); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// try sends a request once.
func (c *Client) try(ctx context.Context, r request) error {
	if r.path == "" {
		return errors.New("a name or ID is empty")
	}
	u := c.base.JoinPath(r.path)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), nil)
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "repod-client")
	if c.UserAgent != "" {
		req.Header.Set("User-Agent", c.UserAgent)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.body != nil {
		body, size, contentType, err := r.body()
		if err != nil {
			return err
		}
		req.Body, req.ContentLength = io.NopCloser(body), size
		req.Header.Set("Content-Type", contentType)
		if size > 64<<10 { // a refusal then comes before the body goes
			req.Header.Set("Expect", "100-continue")
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return errorOf(resp)
	}
	if r.take == nil {
		return nil
	}
	return r.take(resp)
}

// decode reads an answer into out, and keeps its text where ctx says so.
func (c *Client) decode(ctx context.Context, r io.Reader, out any) error {
	text, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("%w: it is too long", ErrAnswer)
	}
	return parse(ctx, text, out)
}

func parse(ctx context.Context, text []byte, out any) error {
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if kept, ok := ctx.Value(bodyKey{}).(*json.RawMessage); ok {
		*kept = text
	}
	return nil
}

type bodyKey struct{}

// KeepBody returns a context in which calls put the JSON text of a successful
// answer, or of the result of a job, into kept, too: with members that this
// package does not know. Calls at the same time need contexts of their own.
func KeepBody(ctx context.Context, kept *json.RawMessage) context.Context {
	return context.WithValue(ctx, bodyKey{}, kept)
}
