package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// A Client makes the requests of a Syncer and a Downloader. The zero value and
// nil work. Its fields must not change after the first use; it is safe for
// concurrent use.
type Client struct {
	// Transport carries requests out. Where they may go is its business: give
	// it a dialler that refuses what it should not reach, such as
	// outbound.Policy has, and no proxy. Nil: one without proxy, that may
	// reach any address.
	Transport http.RoundTripper
	// Timeout bounds the time without progress: in each span of this length
	// there must come the header of an answer, or MinRate bytes for each of
	// its seconds, or the end. 0: 30 s.
	Timeout time.Duration
	// MinRate is in bytes per second. 0: 1024.
	MinRate int64
	// Permanent reports errors of Transport that another attempt does not mend,
	// such as the refusal of an address. Nil: there are none.
	Permanent func(error) bool
	// Pause waits between attempts. Nil: a timer that ends with ctx.
	Pause func(ctx context.Context, d time.Duration) error
	// UserAgent is sent with each request. "": "repod".
	UserAgent string
}

const (
	attempts     = 3 // of which two are retries
	firstPause   = time.Second
	longestPause = time.Minute // whatever a server asks for
	maxRedirects = 3
)

// ordinary is the transport of clients that have none.
var ordinary = sync.OnceValue(func() http.RoundTripper {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    30 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
})

func (c *Client) transport() http.RoundTripper {
	if c == nil || c.Transport == nil {
		return ordinary()
	}
	return c.Transport
}

func (c *Client) timeout() time.Duration {
	if c == nil || c.Timeout <= 0 {
		return 30 * time.Second
	}
	return c.Timeout
}

// perTimeout is how many bytes there must come in each span of Timeout.
func (c *Client) perTimeout() int64 {
	rate := int64(1024)
	if c != nil && c.MinRate > 0 {
		rate = c.MinRate
	}
	return max(1, int64(c.timeout().Seconds()*float64(rate)))
}

func (c *Client) userAgent() string {
	if c == nil || c.UserAgent == "" {
		return "repod"
	}
	return c.UserAgent
}

func (c *Client) pause(ctx context.Context, d time.Duration) error {
	if c != nil && c.Pause != nil {
		return c.Pause(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A transient error may be gone at the next attempt.
type transient struct {
	err   error
	after time.Duration // what the server asked to wait; 0 for nothing
}

func (e *transient) Error() string { return e.err.Error() }
func (e *transient) Unwrap() error { return e.err }

// A statusError is an answer that says no.
type statusError struct{ code int }

func (e *statusError) Error() string { return fmt.Sprintf("HTTP status %d", e.code) }

// isGone reports whether the server said that it does not have a file.
func isGone(err error) bool {
	var s *statusError
	return errors.As(err, &s) && (s.code == http.StatusNotFound || s.code == http.StatusGone)
}

// try calls f until it succeeds, fails with what is not transient, or has been
// called often enough. What remains of a transient error is a *Failure with
// code Unreachable; ctx's error comes back as it is.
func (c *Client) try(ctx context.Context, f func() error) error {
	delay := firstPause
	for n := 1; ; n++ {
		err := f()
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		var t *transient
		switch {
		case !errors.As(err, &t):
			return err
		case n == attempts:
			return fail(Unreachable, "%w", t.err)
		}
		if err := c.pause(ctx, min(max(t.after, delay), longestPause)); err != nil {
			return err
		}
		delay *= 4
	}
}

var errStalled = errors.New("too slow: the server sent less than it should in the time it has")

// An answer is a response whose body must be read, at some speed, and closed.
type answer struct {
	*http.Response
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	span   time.Duration
	need   int64 // bytes in each span
	got    int64 // in the present one
}

// open makes one attempt at a GET request and follows redirects.
func (c *Client) open(ctx context.Context, t *site, u *url.URL, header http.Header) (*answer, error) {
	a := &answer{span: c.timeout(), need: c.perTimeout()}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.timer = time.AfterFunc(a.span, func() { a.cancel(errStalled) })
	for hops := 0; ; hops++ {
		resp, err := c.send(a.ctx, t, u, header)
		if err != nil {
			a.release()
			if c != nil && c.Permanent != nil && c.Permanent(err) {
				return nil, fail(Unreachable, "%w", err)
			}
			return nil, &transient{err: a.cause(err)}
		}
		a.Response = resp
		if !isRedirect(resp.StatusCode) {
			break
		}
		resp.Body.Close()
		if hops == maxRedirects {
			a.release()
			return nil, fail(Unreachable, "more than %d redirects", maxRedirects)
		}
		if u, err = redirected(u, resp.Header.Get("Location")); err != nil {
			a.release()
			return nil, err
		}
	}
	a.timer.Reset(a.span)
	if err := refused(a.Response); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (c *Client) send(ctx context.Context, t *site, u *url.URL, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("no request can be made of this URL")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", c.userAgent())
	// Hashes are of the files as they lie in the archive.
	req.Header.Set("Accept-Encoding", "identity")
	t.authorize(req)
	return c.transport().RoundTrip(req)
}

func isRedirect(code int) bool {
	switch code {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirected returns where an answer leads. To go from HTTPS to plain HTTP
// would let anybody on the way see what is asked for.
func redirected(from *url.URL, location string) (*url.URL, error) {
	u, err := from.Parse(location)
	switch {
	case location == "" || err != nil:
		return nil, fail(Unreachable, "redirect to no URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, fail(Unreachable, "redirect to something else than HTTP")
	case u.Scheme == "http" && from.Scheme == "https":
		return nil, fail(Unreachable, "redirect from HTTPS to plain HTTP")
	case u.User != nil:
		return nil, fail(Unreachable, "redirect with a user name")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// refused returns the error of an answer by its status alone.
func refused(r *http.Response) error {
	switch {
	case r.StatusCode == http.StatusOK, r.StatusCode == http.StatusPartialContent, r.StatusCode == http.StatusNotModified:
		return nil
	case r.StatusCode >= 500, r.StatusCode == http.StatusTooManyRequests:
		return &transient{&statusError{r.StatusCode}, retryAfter(r.Header.Get("Retry-After"))}
	}
	err := &statusError{r.StatusCode}
	return fail(Unreachable, "%w", err)
}

// retryAfter reads the header field of that name (RFC 9110, section 10.2.3).
func retryAfter(value string) time.Duration {
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(value); err == nil {
		return time.Until(t)
	}
	return 0
}

// Read reads the body. Errors other than io.EOF are transient.
func (a *answer) Read(p []byte) (int, error) {
	n, err := a.Body.Read(p)
	if a.got += int64(n); a.got >= a.need {
		a.got = 0
		a.timer.Reset(a.span)
	}
	if err != nil && err != io.EOF {
		err = &transient{err: a.cause(err)}
	}
	return n, err
}

// cause replaces an error by the one that made it.
func (a *answer) cause(err error) error {
	if errors.Is(context.Cause(a.ctx), errStalled) {
		return errStalled
	}
	return err
}

func (a *answer) release() {
	a.timer.Stop()
	a.cancel(nil)
}

// Close ends the request.
func (a *answer) Close() {
	a.Body.Close()
	a.release()
}

// A page is a small file, or the answer that there is no newer one.
type page struct {
	body         []byte
	notModified  bool
	etag         string
	lastModified string
}

// get fetches a small file into memory. With a validator it may be told that
// there is no newer one.
func (c *Client) get(ctx context.Context, t *site, u *url.URL, known page, limit int64) (*page, error) {
	header := make(http.Header)
	if known.etag != "" {
		header.Set("If-None-Match", known.etag)
	}
	if known.lastModified != "" {
		header.Set("If-Modified-Since", known.lastModified)
	}
	var p *page
	err := c.try(ctx, func() error {
		a, err := c.open(ctx, t, u, header)
		if err != nil {
			return err
		}
		defer a.Close()
		p, err = readPage(a, len(header) > 0, limit)
		return err
	})
	return p, err
}

func readPage(a *answer, conditional bool, limit int64) (*page, error) {
	p := &page{}
	if settled(a.Header) {
		p.etag, p.lastModified = validator(a.Header.Get("ETag")), validator(a.Header.Get("Last-Modified"))
	}
	switch {
	case a.StatusCode == http.StatusOK:
	case a.StatusCode == http.StatusNotModified && conditional:
		p.notModified = true
		return p, nil
	default:
		return nil, fail(Unreachable, "HTTP status %d to a request that does not allow it", a.StatusCode)
	}
	if a.ContentLength > limit {
		return nil, reject(TooLarge, "more than %d bytes", limit)
	}
	var err error
	if p.body, err = io.ReadAll(io.LimitReader(a, limit+1)); err != nil {
		return nil, err
	}
	if int64(len(p.body)) > limit {
		return nil, reject(TooLarge, "more than %d bytes", limit)
	}
	return p, nil
}

// settled reports whether validators may be relied on. They are often made of
// a time in seconds: a file that was changed just now may change once more and
// keep them (RFC 9110, section 8.8.2.2).
func settled(h http.Header) bool {
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return true
	}
	sent, err := http.ParseTime(h.Get("Date"))
	return err == nil && sent.Sub(modified) >= 2*time.Second
}

// validator returns a header field's value that is kept to be sent back, or ""
// for one that nobody would send in earnest.
func validator(value string) string {
	if len(value) > 256 {
		return ""
	}
	return value
}
