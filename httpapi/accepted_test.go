package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/repod-io/repod/auth"
)

// faults returns the fields that an answer says are wrong, with why.
func (a answer) faults() map[string]string {
	var p problem
	out := map[string]string{}
	if json.Unmarshal([]byte(a.body), &p) == nil {
		for _, f := range p.Errors {
			out[f.Field] = f.Message
		}
	}
	return out
}

// caller returns a token that the route takes.
func (f *fixture) caller(rt route) string {
	if slices.Contains(strings.Fields(operations[rt.method+" "+rt.pattern].codes), "token_not_allowed") {
		return f.login()
	}
	return f.tokens[auth.Admin]
}

// Bounds and words of parameters are those that are described: a value beyond is
// refused, one at the bound is not.
func TestDescribedParameters(t *testing.T) {
	f := newFixture(t)
	p, err := described()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, rt := range routes {
		for _, param := range p.doc.Paths[documentedPath(rt.pattern)][strings.ToLower(rt.method)].Parameters {
			if param.In != "query" || param.Name == "wait" || rt.pattern == "/auth/oidc/callback" { // for which the fixture lacks the parts
				continue
			}
			var good, bad []string
			s := param.Schema
			switch {
			case s.Minimum != nil:
				good = []string{fmt.Sprint(*s.Minimum), fmt.Sprint(*s.Maximum)}
				bad = []string{fmt.Sprint(*s.Minimum - 1), fmt.Sprint(*s.Maximum + 1), "x"}
			case s.Enum != nil:
				good, bad = s.Enum, []string{"nosuch"}
			case s.Items != nil:
				good, bad = []string{strings.Join(s.Items.Enum, ",")}, []string{"nosuch", s.Items.Enum[0] + ",nosuch"}
			case s.Type == "boolean":
				good, bad = []string{"false"}, []string{"maybe"}
			case s.MaxLength != nil:
				bad = []string{strings.Repeat("x", int(*s.MaxLength)+1)}
			}
			if len(bad) == 0 {
				t.Errorf("%s %s: %s has no bounds", rt.method, rt.pattern, param.Name)
			}
			ask := func(value string) answer {
				tried++
				target := placeholders.Replace(rt.pattern) + "?" + url.Values{param.Name: {value}}.Encode()
				return f.do(rt.method, target, f.caller(rt), nil, "Content-Type", "application/json")
			}
			for _, value := range bad {
				if a := ask(value); a.status != 422 || a.faults()[param.Name] == "" {
					t.Errorf("%s %s: %s=%.20s: %d %s", rt.method, rt.pattern, param.Name, value, a.status, a.body)
				}
			}
			for _, value := range good {
				if a := ask(value); a.faults()[param.Name] != "" {
					t.Errorf("%s %s: %s=%s: %d %s", rt.method, rt.pattern, param.Name, value, a.status, a.body)
				}
			}
			if a := ask(""); param.Required != (a.faults()[param.Name] != "") {
				t.Errorf("%s %s: %s is required: %v; %d %s", rt.method, rt.pattern, param.Name, param.Required, a.status, a.body)
			}
		}
	}
	if tried < 200 {
		t.Errorf("only %d requests were made", tried)
	}
}

// sources parses the package.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// A reader is a function: what parameters it reads, and whom it calls.
type reader struct{ reads, calls []string }

func readers(t *testing.T) map[string]reader {
	out := map[string]reader{}
	for _, file := range sources(t) {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Name.Name == "truth" { // whose words are no names
				continue
			}
			r := out[f.Name.Name] // methods of one name are taken together
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				name := calledName(call.Fun)
				r.calls = append(r.calls, name)
				if !slices.Contains([]string{"text", "word", "number", "oneOf", "truth", "moment", "listed"}, name) {
					return true
				}
				for _, arg := range call.Args[:min(2, len(call.Args))] {
					if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
						param, _ := strconv.Unquote(lit.Value)
						r.reads = append(r.reads, param)
						break
					}
				}
				return true
			})
			out[f.Name.Name] = r
		}
	}
	return out
}

func calledName(fun ast.Expr) string {
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	case *ast.IndexExpr:
		return calledName(fun.X)
	}
	return ""
}

// Handlers read the parameters that are described, and no others.
func TestReadParametersAreDescribed(t *testing.T) {
	p, err := described()
	if err != nil {
		t.Fatal(err)
	}
	all := readers(t)
	for _, rt := range routes {
		want := map[string]bool{}
		for _, param := range p.doc.Paths[documentedPath(rt.pattern)][strings.ToLower(rt.method)].Parameters {
			if param.In == "query" {
				want[param.Name] = true
			}
		}
		got, visited := map[string]bool{}, map[string]bool{}
		var visit func(name string)
		visit = func(name string) {
			if visited[name] {
				return
			}
			visited[name] = true
			for _, read := range all[name].reads {
				got[read] = true
			}
			for _, called := range all[name].calls {
				visit(called)
			}
		}
		visit(operationID(&rt))
		if !maps.Equal(got, want) {
			t.Errorf("%s %s reads %v, described are %v", rt.method, rt.pattern, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
}

// Every code of a problem in the source is in the table that the description is
// made of, with its status.
func TestCodesAreKnown(t *testing.T) {
	codes := problemCodes()
	used := map[string]bool{}
	statuses := map[string]int{}
	for status := 400; status < 600; status++ {
		name := strings.NewReplacer(" ", "", "-", "").Replace(http.StatusText(status))
		statuses["Status"+name] = status
	}
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || calledName(call.Fun) != "newProblem" {
				return true
			}
			status, ok1 := call.Args[0].(*ast.SelectorExpr)
			lit, ok2 := call.Args[1].(*ast.BasicLit)
			if !ok1 || !ok2 {
				return true
			}
			code, _ := strconv.Unquote(lit.Value)
			used[code] = true
			if want := statuses[status.Sel.Name]; codes[code] != want || want == 0 {
				t.Errorf("%s is made with status %d, the table has %d", code, want, codes[code])
			}
			return true
		})
	}
	for code, status := range ownCodes {
		dynamic := strings.HasPrefix(code, "upstream_") || slices.Contains([]string{"interrupted", "webhook_failed", "ldap_failed", "smtp_failed"}, code)
		if !used[code] && !dynamic {
			t.Errorf("no problem has the code %s", code)
		}
		if http.StatusText(status) == "" {
			t.Errorf("%s has status %d", code, status)
		}
	}
}

// object is a schema of the description, as JSON has it.
type object map[string]any

// bodySchema returns the schema of an operation's JSON body, with references
// replaced by what they name.
func bodySchema(t *testing.T, rt route) object {
	t.Helper()
	text, err := describe("", DefaultRateLimits())
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct{ Schema object }
			}
		}
		Components struct{ Schemas map[string]object }
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	s := doc.Paths[documentedPath(rt.pattern)][strings.ToLower(rt.method)].RequestBody.Content[jsonMedia].Schema
	if ref, ok := s["$ref"].(string); ok {
		s = doc.Components.Schemas[ref[strings.LastIndexByte(ref, '/')+1:]]
	}
	return s
}

// What bodies must have, may have and how large it may be is as described.
func TestDescribedBodies(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		for class := range DefaultRateLimits() {
			c.RateLimits[class] = 0
		}
	})
	for _, rt := range routes {
		if rt.body != jsonBody && rt.body != optionalJSON || rt.pattern == "/settings" { // which has its own rules, and their tests
			continue
		}
		send := func(body any) map[string]string {
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			return f.do(rt.method, placeholders.Replace(rt.pattern), f.caller(rt), bytes.NewReader(text), "Content-Type", jsonMedia).faults()
		}
		schema := bodySchema(t, rt)
		properties, _ := schema["properties"].(map[string]any)
		if len(properties) == 0 {
			t.Errorf("%s %s: no body is described", rt.method, rt.pattern)
		}
		missing := []string{}
		for field, message := range send(map[string]any{}) {
			if strings.HasSuffix(message, "is required") || rt.pattern == "/import/sources" && field != "keyring" && field != "signed_by" {
				missing = append(missing, field)
			}
		}
		want := []string{}
		if list, ok := schema["required"].([]any); ok {
			for _, name := range list {
				want = append(want, name.(string))
			}
		}
		slices.Sort(missing)
		if !reflect.DeepEqual(missing, want) {
			t.Errorf("%s %s needs %q, described is %q", rt.method, rt.pattern, missing, want)
		}
		if got := send(map[string]any{"no_such_field": 1})["no_such_field"]; got != "is not a known field" {
			t.Errorf("%s %s: a field that is none: %q", rt.method, rt.pattern, got)
		}
		for name, property := range properties {
			for _, bad := range beyond(property.(map[string]any)) {
				faults := send(map[string]any{name: bad})
				if !slices.ContainsFunc(slices.Collect(maps.Keys(faults)), func(field string) bool { return field == name || strings.HasPrefix(field, name+"[") }) {
					t.Errorf("%s %s: %s of %.30v is taken: %v", rt.method, rt.pattern, name, bad, faults)
				}
			}
		}
	}
}

// beyond returns values that a property does not take.
func beyond(p object) []any {
	bad := []any{map[string]any{"x": 1}}
	number := func(key string) (int64, bool) {
		n, ok := p[key].(float64)
		return int64(n), ok
	}
	if n, ok := number("minimum"); ok {
		bad = append(bad, n-1)
	}
	if n, ok := number("maximum"); ok {
		bad = append(bad, n+1)
	}
	if n, ok := number("minLength"); ok {
		bad = append(bad, strings.Repeat("x", int(n)-1))
	}
	if n, ok := number("maxLength"); ok {
		bad = append(bad, strings.Repeat("x", int(n)+1))
	}
	if n, ok := number("minItems"); ok {
		bad = append(bad, make([]string, n-1))
	}
	if n, ok := number("maxItems"); ok && n < 1000 {
		bad = append(bad, slices.Repeat([]string{"x"}, int(n)+1))
	}
	if p["enum"] != nil {
		bad = append(bad, "no-such-word")
	}
	switch p["type"] {
	case "string":
		bad = append(bad, 7, true, []string{})
	case "integer":
		bad = append(bad, "7", 7.5)
	case "boolean":
		bad = append(bad, "true", 1)
	}
	return bad
}
