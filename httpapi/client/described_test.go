package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/repod-io/repod/httpapi/client"
)

// A description is that of the API, by which a server of the tests answers.
type description struct {
	Paths map[string]map[string]struct {
		Parameters []struct{ Name, In string }
		Responses  map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct{ Schemas map[string]map[string]any }

	bodies *jsonschema.Compiler
	mu     sync.Mutex
	called []string // "GET /path"
	answer any      // the last one
	fault  error
}

const descriptionURL = "https://repod.test/openapi.json"

// describe fetches the description of a real server.
func describe(t *testing.T) *description {
	t.Helper()
	resp, err := http.Get(newServer(t).URL + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	d := &description{bodies: jsonschema.NewCompiler()}
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	seal(doc)
	if err := d.bodies.AddResource(descriptionURL, doc); err != nil {
		t.Fatal(err)
	}
	return d
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

// find returns the path of the description that a request is for: the one with
// the fewest placeholders.
func (d *description) find(method, path string) string {
	best := ""
	for _, template := range slices.Sorted(maps.Keys(d.Paths)) {
		want, got := strings.Split(template, "/"), strings.Split(path, "/")
		fits := len(want) == len(got) && d.Paths[template][method].Responses != nil
		for i := range min(len(want), len(got)) {
			fits = fits && (want[i] == got[i] || strings.HasPrefix(want[i], "{"))
		}
		if fits && (best == "" || strings.Count(template, "{") < strings.Count(best, "{")) {
			best = template
		}
	}
	return best
}

// ServeHTTP checks a request against the description, and answers with a value of
// its schema that has every member.
func (d *description) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	method := strings.ToLower(r.Method)
	template := d.find(method, r.URL.Path)
	d.called = append(d.called, r.Method+" "+template)
	op, ok := d.Paths[template][method]
	if !ok {
		d.fault = fmt.Errorf("%s %s is not described", r.Method, r.URL.Path)
		return
	}
	for name := range r.URL.Query() {
		if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.In == "query" && p.Name == name }) {
			d.fault = fmt.Errorf("%s %s has no parameter %s", r.Method, template, name)
		}
	}
	if r.Header.Get("Content-Type") == "application/json" {
		if err := d.check(r.Body, template, method); err != nil {
			d.fault = fmt.Errorf("%s %s: %w", r.Method, template, err)
		}
	}
	if template == "/jobs/{job_id}" && strings.Contains(r.Header.Get("Accept"), "event-stream") {
		text, _ := json.Marshal(map[string]any{"job_id": "job_x", "status": "done", "result": d.answer})
		fmt.Fprintf(w, "event: result\ndata: %s\n\n", text)
		return
	}
	for _, status := range []string{"201", "200", "204"} {
		response, ok := op.Responses[status]
		if !ok {
			continue
		}
		media, isJSON := response.Content["application/json"]
		var code int
		fmt.Sscan(status, &code)
		if _, job := op.Responses["202"]; job && r.URL.Query().Get("wait") == "false" {
			d.answer = d.sample(media.Schema)
			w.WriteHeader(202)
			fmt.Fprint(w, `{"job_id":"job_x","status":"queued"}`)
			return
		}
		w.WriteHeader(code)
		if isJSON {
			d.answer = d.sample(media.Schema)
			_ = json.NewEncoder(w).Encode(d.answer)
		}
		return
	}
}

func (d *description) check(body io.Reader, template, method string) error {
	at := descriptionURL + "#"
	for _, key := range []string{"paths", template, method, "requestBody", "content", "application/json", "schema"} {
		at += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
	}
	schema, err := d.bodies.Compile(at)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(body)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// sample returns a value of a schema that has every member, and none that is zero.
func (d *description) sample(s map[string]any) any {
	if ref, ok := s["$ref"].(string); ok {
		return d.sample(d.Components.Schemas[ref[strings.LastIndexByte(ref, '/')+1:]])
	}
	if alternatives, ok := s["anyOf"].([]any); ok {
		return d.sample(alternatives[0].(map[string]any))
	}
	kind, ok := s["type"].(string)
	if list, several := s["type"].([]any); several {
		kind, ok = list[0].(string), true
	}
	switch {
	case !ok:
		return map[string]any{"x": "y"}
	case s["enum"] != nil:
		return s["enum"].([]any)[0]
	case s["format"] == "date-time":
		return "2026-05-12T10:00:00Z"
	}
	switch kind {
	case "string":
		return "text"
	case "integer":
		return 7.0
	case "number":
		return 0.5
	case "boolean":
		return true
	case "array":
		return []any{d.sample(s["items"].(map[string]any))}
	}
	out := map[string]any{}
	if values, ok := s["additionalProperties"].(map[string]any); ok {
		out["key"] = d.sample(values)
	}
	properties, _ := s["properties"].(map[string]any)
	for name, property := range properties {
		out[name] = d.sample(property.(map[string]any))
	}
	return out
}

// fill gives every field of an argument a value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	}
}

// special are arguments that are more than texts and numbers.
var special = map[reflect.Type]any{
	reflect.TypeFor[io.Writer]():          io.Discard,
	reflect.TypeFor[any]():                map[string]any{"keep_versions": 3},
	reflect.TypeFor[func(client.Job)]():   (func(client.Job))(nil),
	reflect.TypeFor[client.Upload]():      client.Upload{Distribution: "jammy", Component: "main", File: strings.NewReader("x"), Size: 1},
	reflect.TypeFor[client.Ruling]():      client.Ruling{Decision: "accepted", Comment: "x", ExpiresInDays: 7, CVEIDs: []string{"x"}},
	reflect.TypeFor[client.RescanScope](): client.RescanScope{Distribution: "jammy", Status: "indexed"},
	reflect.TypeFor[client.NewUser]():     client.NewUser{Username: "x", Password: "x", Email: "x", FullName: "x", Roles: []string{"admin"}, Active: new(bool)},
	reflect.TypeFor[client.NewToken]():    client.NewToken{Name: "x", Roles: []string{"admin"}, ExpiresInDays: 7, Distributions: []string{"x"}, Packages: []string{"x"}},
}

// elsewhere are the methods that call no route of their own.
var elsewhere = []string{"WithToken", "Address", "HasToken", "Do", "Follow"}

// withoutMethod are the routes that the client has no method for: pages, what
// administrators do in a browser, and statistics.
var withoutMethod = strings.Fields(`
GET:/ GET:/metrics GET:/ui GET:/ui/{path} GET:/apt/{path} GET:/openapi.json GET:/docs GET:/docs/{asset}
POST:/auth/change-password GET:/auth/roles PATCH:/auth/users/{username} POST:/auth/users/{username}/reset-password
POST:/auth/forgot-password POST:/auth/reset-password DELETE:/auth/users/{username}/mfa
GET:/auth/mfa POST:/auth/mfa POST:/auth/mfa/confirm POST:/auth/mfa/recovery-codes POST:/auth/mfa/disable
GET:/auth/trusted-publishers POST:/auth/trusted-publishers DELETE:/auth/trusted-publishers/{publisher_id}
GET:/auth/oidc/login GET:/auth/oidc/callback POST:/auth/oidc/exchange
POST:/artifacts/admin/sync-index DELETE:/import/groups/{group_name} GET:/import/sync-schedule
GET:/security/openvex.json GET:/security/openvex.json.asc POST:/security/clamav/update
GET:/sbom/preview GET:/downloads/stats GET:/dashboard/stats GET:/dashboard/history
POST:/settings/test-ldap POST:/settings/test-webhook POST:/settings/test-email GET:/settings/next-sync
POST:/settings/run-retention GET:/settings/gpg POST:/settings/gpg/generate
`)

// Every method calls a route that is described, with parameters and a body as
// described, and loses nothing of the answer. The routes without a method are
// those of the list: who adds one has to think of the client.
func TestMethods(t *testing.T) {
	d := describe(t)
	srv := httptest.NewServer(d)
	defer srv.Close()
	c, err := client.New(srv.URL, "repod_x", nil)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	value := reflect.ValueOf(c)
	for i := range value.NumMethod() {
		name := value.Type().Method(i).Name
		if slices.Contains(elsewhere, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			d.called, d.answer, d.fault = nil, nil, nil
			var kept json.RawMessage
			out := call(t, value.Method(i), client.KeepBody(t.Context(), &kept))
			for _, route := range d.called {
				all[strings.Replace(route, " ", ":", 1)] = true
			}
			if d.fault != nil || len(d.called) == 0 {
				t.Fatalf("it called %q: %v", d.called, d.fault)
			}
			if _, ok := out.(time.Time); ok || d.answer == nil || out == nil {
				return
			}
			if name == "Published" { // whose caller knows of which distribution
				delete(d.answer.(map[string]any), "codename")
			}
			if s, ok := out.(client.Settings); ok {
				out = s.JSON
			}
			if got, want := plain(t, out), unwrapped(d.answer, out); !reflect.DeepEqual(got, want) {
				t.Errorf("of  %v\nthe client keeps\n    %v", want, got)
			}
			if len(kept) == 0 {
				t.Error("the body was not kept")
			}
		})
	}
	for path, item := range d.Paths {
		for method := range item {
			route := strings.ToUpper(method) + ":" + path
			if all[route] == slices.Contains(withoutMethod, route) {
				t.Errorf("%s has a method: %v, and the list says the contrary", route, all[route])
			}
		}
	}
}

// call calls a method with made-up arguments and returns its first result, nil for
// none or an iterator, whose first row is read.
func call(t *testing.T, method reflect.Value, ctx context.Context) any {
	t.Helper()
	var args []reflect.Value
	for i := range method.Type().NumIn() {
		arg := reflect.New(method.Type().In(i)).Elem()
		if given, ok := special[arg.Type()]; ok {
			arg.Set(reflect.ValueOf(given))
		} else if i == 0 {
			arg.Set(reflect.ValueOf(ctx))
		} else {
			fill(arg)
		}
		args = append(args, arg)
	}
	out := method.Call(args)
	if rows := out[0]; rows.Kind() == reflect.Func {
		for _, err := range rows.Seq2() {
			if !err.IsNil() {
				t.Fatal(err)
			}
			break
		}
		return nil
	}
	if err, _ := out[len(out)-1].Interface().(error); err != nil {
		t.Fatal(err)
	}
	if len(out) == 1 {
		return nil
	}
	return out[0].Interface()
}

// plain returns what a value is as JSON.
func plain(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// unwrapped returns the list of an answer that a method returns as a list.
func unwrapped(answer, out any) any {
	object, ok := answer.(map[string]any)
	if reflect.TypeOf(out).Kind() != reflect.Slice || !ok || reflect.TypeOf(out) == reflect.TypeFor[json.RawMessage]() {
		return answer
	}
	for _, member := range object {
		if list, ok := member.([]any); ok {
			return list
		}
	}
	return answer
}
