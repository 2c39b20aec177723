package httpapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
)

// A call is a request that has a route.
type call struct {
	*http.Request
	w     *recorder
	route *route
	vars  map[string]string // placeholders, decoded
	who   auth.Principal    // the zero Principal on public routes
	ip    netip.Addr        // of the client
	id    string            // of the request
}

func (c *call) client() auth.Client { return auth.Client{IP: c.ip, RequestID: c.id} }

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func randomID() string { return rand.Text() }

// ServeHTTP sets what all answers have in common, logs the request, and turns
// a panic into an answer.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := a.Now()
	id := r.Header.Get("X-Request-ID")
	if !requestIDPattern.MatchString(id) {
		id = a.NewRequestID()
	}
	h := w.Header()
	h["X-Request-Id"] = []string{id}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Referrer-Policy"] = []string{"no-referrer"}
	a.allowOrigin(h, r)
	rec := newRecorder(w)
	if r.ContentLength != 0 {
		rec.expect(a.BodyTimeout)
	}
	if a.Observer != nil {
		a.Observer.RequestBegan()
	}
	defer a.finish(rec, r, id, start)
	a.router.ServeHTTP(rec, r)
}

// finish ends a request: also one that panicked.
func (a *api) finish(rec *recorder, r *http.Request, id string, start time.Time) {
	cause := recover()
	if cause != nil && cause != http.ErrAbortHandler {
		a.Logger.ErrorContext(r.Context(), "panic", "cause", cause, "request_id", id, "stack", string(debug.Stack()))
		if rec.status == 0 {
			a.fail(rec, id, nil)
			cause = nil
		} else {
			cause = http.ErrAbortHandler // the client must not take half an answer for a whole one
		}
	}
	method, took := loggedMethod(r.Method), a.Now().Sub(start)
	if r.Method == http.MethodHead {
		rec.bytes = 0 // net/http sends no body
	}
	a.observe(rec, method, took)
	a.Logger.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("method", method),
		slog.String("route", rec.route),
		slog.Int("status", rec.status),
		slog.Duration("duration", took),
		slog.Int64("bytes", rec.bytes),
		slog.String("principal", rec.who),
		slog.String("ip", a.clientIP(r).String()),
		slog.String("request_id", id),
	)
	if cause != nil {
		panic(cause)
	}
}

// loggedMethod keeps made-up methods out of the log.
func loggedMethod(m string) string {
	known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	if slices.Contains(known, m) {
		return m
	}
	return "other"
}

// allowOrigin lets scripts of the configured origins read the answer.
func (a *api) allowOrigin(h http.Header, r *http.Request) {
	if len(a.CORSOrigins) == 0 {
		return
	}
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !slices.Contains(a.CORSOrigins, origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Location, Retry-After, X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset")
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-ID")
		h.Set("Access-Control-Max-Age", "600")
	}
}

// serve runs the checks that come before a route's own, then the route.
func (a *api) serve(rec *recorder, r *http.Request, rt *route) {
	c := &call{Request: r, w: rec, route: rt, ip: a.clientIP(r), id: rec.Header().Get("X-Request-ID")}
	err := a.admit(c)
	if err == nil {
		err = rt.handle(a, c)
	}
	if err == nil {
		return
	}
	if p, _ := problemOf(err); p.Status == http.StatusForbidden {
		// A refusal that could not be recorded is refused as well, with that.
		err = cmp.Or(a.Auth.Denied(c.detach(), c.who, c.client(), rt.method+" "+rt.pattern), err)
	}
	a.fail(rec, c.id, err)
}

// fail answers with the problem that err is, and logs causes that clients are
// not told.
func (a *api) fail(rec *recorder, id string, err error) {
	p, known := problemOf(err)
	if !known {
		p.RequestID = id
	}
	if err != nil && (!known || p.Status >= 500) {
		a.logFault(id, err)
	}
	if rec.status == 0 {
		writeProblem(rec, p)
	}
}

func (a *api) logFault(id string, err error) {
	a.Logger.Error("request failed", "error", err, "request_id", id)
}

// admit checks path, authentication, role and rate limit.
func (a *api) admit(c *call) error {
	var ok bool
	if c.vars, ok = decodeVars(mux.Vars(c.Request)); !ok {
		return errRoute
	}
	if err := a.authorize(c); err != nil {
		if limitErr := a.limit(c, true); limitErr != nil {
			return limitErr
		}
		return err
	}
	return a.limit(c, false)
}

// decodeVars decodes placeholders. No name in the API holds control characters
// or is not UTF-8, and some stores choke on them.
func decodeVars(raw map[string]string) (map[string]string, bool) {
	vars := make(map[string]string, len(raw))
	for name, value := range raw {
		if name == "path" { // the APT tree decodes it by segments
			continue
		}
		decoded, err := url.PathUnescape(value)
		if err != nil || !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, unicode.IsControl) {
			return nil, false
		}
		vars[name] = decoded
	}
	return vars, true
}

// authorize finds out who calls, and whether it may.
func (a *api) authorize(c *call) error {
	if c.route.role == public {
		return nil
	}
	token, err := bearer(c.Header)
	if err != nil {
		return err
	}
	if c.route.pattern == metricsPath && a.monitors(token) {
		c.w.who = "metrics token"
		return nil
	}
	if c.who, err = a.Auth.Authenticate(c.Context(), token); err != nil {
		return err
	}
	c.w.who = c.who.Name
	actor := aptrepo.Actor{Name: c.who.Name, RequestID: c.id}
	if c.ip.IsValid() {
		actor.IP = c.ip.String()
	}
	actor.Distributions, actor.Packages = c.who.Scope(), c.who.Packages()
	c.Request = c.WithContext(aptrepo.WithActor(c.Context(), actor))
	if err := c.need(c.route.role); err != nil {
		return err
	}
	if c.route.role == auth.Admin && c.route.method != http.MethodGet && !grants[c.route.pattern] && c.narrowed() {
		return errNarrowed
	}
	return nil
}

// grants are the routes of admins where package auth sees to it that nobody gives
// what is not theirs.
var grants = map[string]bool{
	"/auth/api-tokens": true, "/auth/api-tokens/{token_id}": true,
	"/auth/trusted-publishers": true, "/auth/trusted-publishers/{publisher_id}": true,
}

// errNarrowed keeps tokens from giving themselves what they lack, by way of a new
// user or other settings.
var errNarrowed = newProblem(http.StatusForbidden, "token_scope",
	"A token that is narrowed to distributions or package names may not change users, sources, keys or settings.")

// narrowed reports whether the caller may write to a part of the repository only.
func (c *call) narrowed() bool { return len(c.who.Scope())+len(c.who.Packages()) > 0 }

// need checks the caller's role.
func (c *call) need(role auth.Role) error {
	if c.who.Has(role) {
		return nil
	}
	return c.lacks(role, "This needs the role %s.")
}

// lacks is the refusal of a caller without a role; detail has a verb for it.
func (c *call) lacks(role auth.Role, detail string) error {
	p := newProblem(http.StatusForbidden, "insufficient_role", detail, role)
	p.RequiredRole, p.Roles = role.String(), c.who.Roles
	return p
}

// needSession refuses API tokens, before a body that none may send is looked at.
func (c *call) needSession() error {
	if c.who.Kind != auth.KindSession {
		return auth.ErrTokenNotAllowed
	}
	return nil
}

// needAllNames refuses tokens that are narrowed to package names, where all
// packages are concerned.
func (c *call) needAllNames() error {
	if len(c.who.Packages()) > 0 {
		return aptrepo.ErrNameScope
	}
	return nil
}

// bearer returns the token of a request.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", errNoToken
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", auth.ErrInvalidToken
	}
	return strings.TrimLeft(token, " "), nil
}

// maxJSON bounds a JSON body.
const maxJSON = 1 << 20

var errBodyTooLarge = newProblem(http.StatusRequestEntityTooLarge, "body_too_large", "A JSON body has at most %d bytes.", maxJSON)

// decode reads the JSON body into the struct that dst points to; see the
// function decode.
func (a *api) decode(c *call, dst any) error {
	data, err := a.read(c)
	if err != nil || data == nil {
		return err
	}
	return decode(data, dst)
}

// read returns the JSON body; nil for an empty one that may be so.
func (a *api) read(c *call) ([]byte, error) {
	if c.ContentLength > maxJSON {
		return nil, errBodyTooLarge
	}
	if c.route.body != optionalJSON {
		if err := c.contentType("application/json"); err != nil {
			return nil, err
		}
	}
	body := http.MaxBytesReader(c.w, a.progress(c, c.Body), maxJSON)
	data, err := io.ReadAll(body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errBodyTooLarge
	case err != nil:
		return nil, errInvalidJSON // cut off: the client hardly reads this
	case len(data) == 0 && c.route.body == optionalJSON:
		return nil, nil
	case c.route.body == optionalJSON:
		if err := c.contentType("application/json"); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// detach returns a context for work that shall not stop half-way because the
// client has gone.
func (c *call) detach() context.Context { return context.WithoutCancel(c.Context()) }
