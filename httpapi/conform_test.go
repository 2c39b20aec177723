package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A promise is the description of the API as other programs read it: the tests
// hold whatever servers answer against it.
type promise struct {
	doc struct {
		Paths map[string]map[string]promised
	}
	compiler *jsonschema.Compiler

	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema
	seen     map[string]bool // "GET /path 200"
}

type promised struct {
	OperationID string
	Summary     string
	Tags        []string
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   struct {
			Type                 any
			Enum                 []string
			Default              any
			Minimum, Maximum     *int64
			MinLength, MaxLength *int64
			Items                *struct{ Enum []string }
		}
	}
	RequestBody *struct {
		Required bool
		Content  map[string]any
	}
	Responses map[string]struct {
		Content map[string]any
		Headers map[string]any
	}
	Security []map[string][]string
	Role     string `json:"x-role"`
}

const promiseURL = "https://repod.test/openapi.json"

// described is the promise of this package, without room for members that it
// does not name.
var described = sync.OnceValues(func() (*promise, error) {
	text, err := describe("1.2.3", DefaultRateLimits())
	if err != nil {
		return nil, err
	}
	return newPromise(text)
})

func newPromise(text []byte) (*promise, error) {
	p := &promise{compiled: map[string]*jsonschema.Schema{}, seen: map[string]bool{}, compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal(text, &p.doc); err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	seal(doc)
	p.compiler.DefaultDraft(jsonschema.Draft2020)
	p.compiler.AssertFormat()
	return p, p.compiler.AddResource(promiseURL, doc)
}

// seal lets objects have the members only that their schema names.
func seal(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["type"] == "object" && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			seal(inner)
		}
	case []any:
		for _, inner := range v {
			seal(inner)
		}
	}
}

// schema returns the schema at a place in the document.
func (p *promise) schema(place ...string) (*jsonschema.Schema, error) {
	at := promiseURL + "#"
	for _, key := range place {
		at += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.compiled[at] == nil {
		s, err := p.compiler.Compile(at)
		if err != nil {
			return nil, err
		}
		p.compiled[at] = s
	}
	return p.compiled[at], nil
}

// patternOf returns the pattern of the route that a request comes to, "" for
// none.
func patternOf(method, path string) string {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	best := ""
	for _, rt := range routes {
		if rt.method != method || !matches(rt.pattern, path) {
			continue
		}
		if best == "" || strings.Count(rt.pattern, "{") < strings.Count(best, "{") {
			best = rt.pattern
		}
	}
	return best
}

func matches(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "{path:.*}"); ok {
		return strings.HasPrefix(path, prefix)
	}
	want, got := strings.Split(pattern, "/"), strings.Split(strings.TrimSuffix(path, "/"), "/")
	if len(want) != len(got) {
		return false
	}
	for i, segment := range want {
		if placeholder := strings.HasPrefix(segment, "{"); placeholder && got[i] == "" || !placeholder && segment != got[i] {
			return false
		}
	}
	return true
}

// check returns what is wrong with an exchange.
func (p *promise) check(method, path, contentType string, request []byte, a answer) error {
	pattern := patternOf(method, path)
	if method == http.MethodOptions || pattern == "" || a.status == http.StatusMethodNotAllowed {
		return nil
	}
	head := method == http.MethodHead
	if head {
		method = http.MethodGet
	}
	place := documentedPath(pattern)
	op, ok := p.doc.Paths[place][strings.ToLower(method)]
	if !ok {
		return fmt.Errorf("%s %s is not described", method, place)
	}
	status := strconv.Itoa(a.status)
	response, ok := op.Responses[status]
	if !ok {
		return fmt.Errorf("status %s is not described", status)
	}
	p.mu.Lock()
	p.seen[method+" "+place+" "+status] = true
	p.mu.Unlock()
	for field := range response.Headers {
		if slices.Contains([]string{"Retry-After", "Location", "ETag", "X-Job-ID", "Accept"}, field) {
			continue // some of the answers with this status have them
		}
		if strings.HasPrefix(field, "X-RateLimit") || a.header.Get(field) != "" {
			continue // limits may be lifted
		}
		return fmt.Errorf("there is no field %s", field)
	}
	for _, field := range []string{"X-RateLimit-Limit", "Retry-After", "Location", "ETag", "X-Job-ID"} {
		if _, described := response.Headers[field]; !described && a.header.Get(field) != "" && place != "/apt/{path}" {
			return fmt.Errorf("the field %s is not described", field)
		}
	}
	if a.status < 300 && len(request) > 0 && contentType == jsonMedia {
		if err := p.validate(withoutNull(request, method), "paths", place, strings.ToLower(method), "requestBody", "content", jsonMedia, "schema"); err != nil {
			return fmt.Errorf("body of the request: %w", err)
		}
	}
	if head || a.body == "" && len(response.Content) == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return err
	}
	for described := range response.Content {
		if bare, _, _ := strings.Cut(described, ";"); bare != media && bare != "*/*" {
			continue
		}
		if media != jsonMedia && media != problemMedia || described == "*/*" {
			return nil
		}
		if err := p.validate([]byte(a.body), "paths", place, strings.ToLower(method), "responses", status, "content", described, "schema"); err != nil {
			return fmt.Errorf("%w\n%s", err, a.body)
		}
		return nil
	}
	return fmt.Errorf("status %s: the type %s is not described", status, media)
}

func (p *promise) validate(text []byte, place ...string) error {
	s, err := p.schema(place...)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(value)
}

// withoutNull drops members that are the same as none.
func withoutNull(text []byte, method string) []byte {
	var v map[string]any
	if method == http.MethodPatch || json.Unmarshal(text, &v) != nil {
		return text
	}
	for name, value := range v {
		if value == nil {
			delete(v, name)
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return out
}

// conform holds an exchange of any test against the description.
func (f *fixture) conform(req *http.Request, a answer) {
	f.t.Helper()
	p, err := described()
	if err != nil {
		f.t.Fatal(err)
	}
	var request []byte
	if req.GetBody != nil {
		if body, err := req.GetBody(); err == nil {
			request, _ = io.ReadAll(io.LimitReader(body, maxJSON))
		}
	}
	if err := p.check(req.Method, req.URL.EscapedPath(), req.Header.Get("Content-Type"), request, a); err != nil {
		f.t.Errorf("%s %s: not as described: %v", req.Method, req.URL.Path, err)
	}
}

// The check of exchanges catches what it is there for.
func TestPromiseCatches(t *testing.T) {
	p, err := described()
	if err != nil {
		t.Fatal(err)
	}
	asJSON := http.Header{"Content-Type": {"application/json"}}
	sound := `{"username":"x","email":"","full_name":"","roles":["admin"],"active":true,"auth_source":"local","created_at":"2026-05-12T10:00:00Z","last_login":null}`
	broken := `{"type":"x","title":"x","status":401,"detail":"x","code":"user_exists"}`
	for name, test := range map[string]struct {
		a    answer
		want string
	}{
		"sound":            {answer{200, asJSON, sound}, ""},
		"one member more":  {answer{200, asJSON, sound[:len(sound)-1] + `,"secret":1}`}, "secret"},
		"one member less":  {answer{200, asJSON, strings.Replace(sound, `"email":"",`, "", 1)}, "email"},
		"another type":     {answer{200, asJSON, strings.Replace(sound, `true`, `"yes"`, 1)}, "active"},
		"another word":     {answer{200, asJSON, strings.Replace(sound, `"admin"`, `"root"`, 1)}, "roles"},
		"no time":          {answer{200, asJSON, strings.Replace(sound, `2026-05-12T`, `2026-05-12 `, 1)}, "created_at"},
		"null":             {answer{200, asJSON, strings.Replace(sound, `"2026-05-12T10:00:00Z"`, `null`, 1)}, "created_at"},
		"another status":   {answer{201, asJSON, sound}, "status 201"},
		"another format":   {answer{200, http.Header{"Content-Type": {"text/html"}}, sound}, "text/html"},
		"another code":     {answer{401, http.Header{"Content-Type": {problemMedia}, "Www-Authenticate": {"Bearer"}}, broken}, "code"},
		"no challenge":     {answer{401, http.Header{"Content-Type": {problemMedia}}, broken}, "WWW-Authenticate"},
		"an extra field":   {answer{200, http.Header{"Content-Type": {"application/json"}, "Location": {"/x"}}, sound}, "Location"},
		"no known problem": {answer{401, http.Header{"Content-Type": {problemMedia}, "Www-Authenticate": {"Bearer"}}, "{}"}, "missing"},
	} {
		err := p.check("GET", "/auth/me/", "", nil, test.a)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.check("POST", "/auth/forgot-password", jsonMedia, []byte(`{"email":"a@b.example","x":1}`), answer{200, asJSON, `{"status":"ok"}`}); err == nil {
		t.Error("a member of a body that is not described is taken")
	}
}
