package httpapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// The description is a valid document of OpenAPI 3.1, the same each time, and has
// the routes of the table and no others.
func TestDescription(t *testing.T) {
	text, err := describe("1.2.3", DefaultRateLimits())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if again, err := describe("1.2.3", DefaultRateLimits()); err != nil || !bytes.Equal(again, text) {
			t.Fatal("it is another each time")
		}
	}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = false
	doc, err := loader.LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableSchemaDefaultsValidation(), openapi3.EnableMultiError()); err != nil {
		t.Error(err)
	}
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("it is of OpenAPI %s", doc.OpenAPI)
	}
	var want, got []string
	ids := map[string]bool{}
	for _, rt := range routes {
		want = append(want, rt.method+" "+documentedPath(rt.pattern))
		if _, ok := operations[rt.method+" "+rt.pattern]; !ok {
			t.Errorf("%s %s has no row in operations", rt.method, rt.pattern)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			got = append(got, method+" "+path)
			if ids[op.OperationID] || op.Summary == "" || len(op.Tags) != 1 {
				t.Errorf("%s %s: ID %q, summary %q, tags %q", method, path, op.OperationID, op.Summary, op.Tags)
			}
			ids[op.OperationID] = true
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("it has  %q\nroutes: %q", got, want)
	}
	for key := range operations {
		if !slices.ContainsFunc(routes, func(rt route) bool { return rt.method+" "+rt.pattern == key }) {
			t.Errorf("%s is described, and no route", key)
		}
	}
}

// What a program has to know of a route is there.
func TestDescribedOperation(t *testing.T) {
	p, err := described()
	if err != nil {
		t.Fatal(err)
	}
	fetch := p.doc.Paths["/import/fetch"]["post"]
	if got := slices.Sorted(maps.Keys(fetch.Responses)); !slices.Equal(got, []string{
		"200", "201", "202", "400", "401", "403", "404", "409", "413", "422", "424", "429", "500", "502", "503", "507"}) {
		t.Errorf("responses are %q", got)
	}
	if fetch.Responses["200"].Content["text/event-stream"] == nil || fetch.Responses["429"].Headers["Retry-After"] == nil ||
		fetch.Responses["201"].Headers["X-RateLimit-Remaining"] == nil || fetch.Role != "uploader" || !fetch.RequestBody.Required || len(fetch.Security) != 2 {
		t.Errorf("it is described as %+v", fetch)
	}
	if logout := p.doc.Paths["/auth/logout"]["post"]; len(logout.Security) != 1 || logout.Security[0]["session"] == nil {
		t.Errorf("logout takes %v", logout.Security)
	}
	if live := p.doc.Paths["/health/live"]["get"]; live.Security == nil || len(live.Security) > 0 || live.Role != "public" {
		t.Errorf("health takes %v", live.Security)
	}
	if _, ok := p.doc.Paths["/upload"]["post"].RequestBody.Content["multipart/form-data"]; !ok {
		t.Error("uploads are not described as forms")
	}
}

func TestOpenAPI(t *testing.T) {
	f := newFixture(t)
	a := f.do("GET", "/openapi.json", "", nil)
	var doc map[string]any
	a.want(t, 200, "").decode(t, &doc)
	tag := a.header.Get("ETag")
	if doc["openapi"] != "3.1.0" || tag == "" || a.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("openapi %v, header %v", doc["openapi"], a.header)
	}
	for header, status := range map[string]int{tag: 304, `"x", W/` + tag: 304, `"x"`: 200, "*": 304} {
		a := f.do("GET", "/openapi.json", "", nil, "If-None-Match", header)
		if a.status != status || a.header.Get("ETag") != tag || (a.body == "") != (status == 304) {
			t.Errorf("If-None-Match %s: %d, ETag %s, %d bytes", header, a.status, a.header.Get("ETag"), len(a.body))
		}
	}
	if strings.Contains(a.body, "httpapi.") || strings.Contains(a.body, "github.com") {
		t.Error("it tells of packages")
	}
	// The limits are those of this server.
	f = newFixture(t, func(c *Config) { c.RateLimits = RateLimits{"upload": 7} })
	var limits struct {
		Paths map[string]map[string]struct {
			Limit int `json:"x-rate-limit"`
		}
	}
	if err := json.Unmarshal([]byte(f.do("GET", "/openapi.json", "", nil).body), &limits); err != nil {
		t.Fatal(err)
	}
	if got := limits.Paths["/upload"]["post"].Limit; got != 7 {
		t.Errorf("the limit of uploads is described as %d", got)
	}
}

func BenchmarkDescribe(b *testing.B) {
	for b.Loop() {
		text, err := describe("1.2.3", DefaultRateLimits())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(text)), "bytes")
	}
}
