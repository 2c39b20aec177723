package httpapi

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/httpapi/openapi"
	"github.com/repod-io/repod/scan"
)

// tags group the routes by the first segment of their pattern.
var tags = []struct{ name, text, segments string }{
	{"auth", "Sessions, users, API tokens, second factors and trusted publishers.", "auth"},
	{"packages", "What the repository holds, and uploads.", "packages artifacts upload"},
	{"distributions", "Where packages are published.", "distributions"},
	{"import", "Packages of upstream archives.", "import"},
	{"security", "Malware, vulnerabilities, and decisions about them.", "security"},
	{"sbom", "Bills of materials.", "sbom"},
	{"statistics", "Downloads and the dashboard.", "downloads dashboard"},
	{"settings", "What administrators set, and signing keys.", "settings"},
	{"jobs", "Work in the background.", "jobs"},
	{"health", "For load balancers and monitoring.", "health metrics"},
	{"apt", "The tree that apt reads.", "apt"},
	{"pages", "This description, and pages for browsers.", "openapi.json docs ui"},
}

const aboutAPI = "The API of a private APT repository.\n\n" +
	"Errors are problems (RFC 9457): programs look at `code`. Any path may answer 404 `route_not_found` or 405 `method_not_allowed`; " +
	"every GET answers HEAD. One trailing slash of a path is ignored. " +
	"Members that a program does not know are to be ignored; members of bodies that the server does not know are refused. " +
	"`null` for an optional member of a body is the same as none, except in `PATCH /settings`."

// describer makes the description of the API from the table of routes, what
// operations adds to it, the types of bodies and answers, and the table of
// errors.
type describer struct {
	*openapi.Reflector
	limits RateLimits
	codes  map[string]int
}

// describe returns the description as JSON.
func describe(version string, limits RateLimits) ([]byte, error) {
	d := &describer{Reflector: newReflector(), limits: limits, codes: problemCodes()}
	doc := openapi.Document{
		OpenAPI: openapi.Version,
		Info:    openapi.Info{Title: "repod", Version: cmp.Or(version, "development"), Description: aboutAPI},
		Servers: []openapi.Server{{URL: "./"}},
		Paths:   map[string]openapi.PathItem{},
		Components: openapi.Components{
			Headers: documentedHeaders,
			SecuritySchemes: map[string]openapi.SecurityScheme{
				"session":  {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "What POST /auth/token answers, for an hour."},
				"apiToken": {Type: "http", Scheme: "bearer", BearerFormat: "repod_...", Description: "What POST /auth/api-tokens answers, until it expires or is revoked."},
			},
		},
	}
	for _, t := range tags {
		doc.Tags = append(doc.Tags, openapi.Tag{Name: t.name, Description: t.text})
	}
	d.Schema(problem{}, openapi.Answer)
	for i := range routes {
		path := documentedPath(routes[i].pattern)
		if doc.Paths[path] == nil {
			doc.Paths[path] = openapi.PathItem{}
		}
		doc.Paths[path][strings.ToLower(routes[i].method)] = d.operation(&routes[i])
	}
	doc.Components.Schemas = d.Schemas
	return json.Marshal(doc)
}

// documentedPath is a pattern as OpenAPI writes it.
func documentedPath(pattern string) string { return strings.ReplaceAll(pattern, ":.*}", "}") }

// newReflector knows the types whose JSON form reflection does not tell.
func newReflector() *openapi.Reflector {
	enum := func(words []string) *openapi.Schema {
		return &openapi.Schema{Types: openapi.Types{"string"}, Enum: words}
	}
	var roles []string
	for _, info := range auth.Roles() {
		roles = append(roles, info.Role.String())
	}
	statuses := words(aptrepo.Statuses())
	known := map[reflect.Type]*openapi.Schema{
		reflect.TypeFor[json.RawMessage](): {},
		reflect.TypeFor[settings.Secret](): {Types: openapi.Types{"string"}, Format: "password"},
	}
	enums := map[reflect.Type][]string{
		reflect.TypeFor[auth.Role]():       roles,
		reflect.TypeFor[aptrepo.Status]():  statuses,
		reflect.TypeFor[aptrepo.Verdict](): words([]aptrepo.Verdict{scan.Allow, scan.Warn, scan.Review, scan.Block}),
		reflect.TypeFor[aptrepo.Ruling](): words([]aptrepo.Ruling{
			aptrepo.RulingAccepted, aptrepo.RulingNotAffected, aptrepo.RulingRejected, aptrepo.RulingUpgradeRequired}),
		reflect.TypeFor[scan.Severity](): words(severities),
		reflect.TypeFor[scan.FixState](): words([]scan.FixState{scan.Fixed, scan.NotFixed, scan.WontFix, scan.FixUnknown}),
		reflect.TypeFor[jobs.Status]():   words([]jobs.Status{jobs.Queued, jobs.Running, jobs.Done, jobs.Error}),
	}
	return &openapi.Reflector{
		Schemas: map[string]*openapi.Schema{},
		Name:    componentName,
		Enums: map[string][]string{
			"roles": roles, "statuses": statuses,
			"event": settings.WebhookEvents, "mailkind": settings.MailKinds, // rules of settings
		},
		Known: func(t reflect.Type, field string) *openapi.Schema {
			if t == reflect.TypeFor[timestamp]() {
				s := &openapi.Schema{Types: openapi.Types{"string"}, Format: "date-time"}
				if slices.Contains(maybeNever, field) {
					s.Types = append(s.Types, "null")
				}
				return s
			}
			if list, ok := enums[t]; ok {
				return enum(list)
			}
			if s := known[t]; s != nil {
				own := *s
				return &own
			}
			return nil
		},
	}
}

// maybeNever are the times that are null when something has not happened, or
// will not.
var maybeNever = []string{
	"data_date", "decision_expires_at", "expires_at", "last_attempt", "last_login", "last_published_at", "last_run", "last_sync",
	"last_used_at", "next_run", "next_sync", "retires_at", "scanned_at", "signature_date",
}

var pageType = regexp.MustCompile(`^page\[.*\.(\w+)\]$`)

// componentName names the schema of a struct: "User" that of userJSON.
func componentName(t reflect.Type, k openapi.Kind) string {
	name := t.Name()
	if m := pageType.FindStringSubmatch(name); m != nil {
		name = strings.TrimSuffix(m[1], "JSON") + "Page"
	}
	for _, suffix := range []string{"JSON", "Answer"} {
		name = strings.TrimSuffix(name, suffix)
	}
	if name == "" {
		return ""
	}
	for _, initials := range []string{"cve", "ldap"} {
		if rest, ok := strings.CutPrefix(name, initials); ok {
			name = strings.ToUpper(initials) + rest
		}
	}
	name = strings.ToUpper(name[:1]) + name[1:]
	switch path := t.PkgPath(); {
	case strings.HasSuffix(path, "/settings") && name != "Settings":
		name += "Settings"
	case strings.HasSuffix(path, "/jobs"):
		name = "Job" + name
	}
	switch {
	case k == openapi.Patch && !strings.HasSuffix(name, "Body"):
		name += "Patch"
	case k == openapi.Body && !strings.HasSuffix(name, "Body"):
		name += "Body"
	}
	return name
}

// operation describes a route.
func (d *describer) operation(rt *route) *openapi.Operation {
	op := operations[rt.method+" "+rt.pattern]
	out := &openapi.Operation{
		ID: cmp.Or(op.id, operationID(rt)), Tags: []string{tagOf(rt.pattern)}, Summary: op.summary, Description: op.text,
		Parameters: pathParams(rt.pattern), Responses: map[string]openapi.Response{}, Security: security(rt, op), Role: "public",
	}
	if rt.role != public {
		out.Role = rt.role.String()
	}
	if !undisclosed[rt.rate] {
		out.RateLimit = d.limits[rt.rate]
	}
	out.Parameters = append(out.Parameters, op.query...)
	if op.job != nil && !takes(op.query, "wait") {
		out.Parameters = append(out.Parameters, wait)
	}
	if rt.pattern == "/settings" && rt.method == http.MethodPatch {
		out.Parameters = append(out.Parameters, openapi.Parameter{Name: "If-Match", In: "header",
			Description: "Change them only if they are still those of this ETag.", Schema: &openapi.Schema{Types: openapi.Types{"string"}}})
	}
	out.RequestBody = d.requestBody(rt, op)
	d.successes(out, rt, op)
	d.failures(out, rt, op)
	return out
}

// operationID is the name of the route's handler.
func operationID(rt *route) string {
	name := runtime.FuncForPC(reflect.ValueOf(rt.handle).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}

func tagOf(pattern string) string {
	segment, _, _ := strings.Cut(pattern[1:], "/")
	for _, t := range tags {
		if slices.Contains(strings.Fields(t.segments), segment) {
			return t.name
		}
	}
	return "pages"
}

func takes(params []openapi.Parameter, name string) bool {
	return slices.ContainsFunc(params, func(p openapi.Parameter) bool { return p.Name == name })
}

var placeholder = regexp.MustCompile(`\{(\w+)(:\.\*)?\}`)

func pathParams(pattern string) []openapi.Parameter {
	var out []openapi.Parameter
	for _, m := range placeholder.FindAllStringSubmatch(pattern, -1) {
		out = append(out, openapi.Parameter{Name: m[1], In: "path", Required: true, Schema: &openapi.Schema{Types: openapi.Types{"string"}}})
	}
	return out
}

func security(rt *route, op operation) []map[string][]string {
	session, token := map[string][]string{"session": {}}, map[string][]string{"apiToken": {}}
	switch {
	case rt.role == public:
		return []map[string][]string{}
	case slices.Contains(strings.Fields(op.codes), "token_not_allowed"):
		return []map[string][]string{session}
	}
	return []map[string][]string{session, token}
}

// requestBody describes what a route takes.
func (d *describer) requestBody(rt *route, op operation) *openapi.RequestBody {
	switch {
	case rt.body == noBody:
		return nil
	case rt.body == uploadBody:
		text := &openapi.Schema{Types: openapi.Types{"string"}}
		return &openapi.RequestBody{Required: true, Content: map[string]openapi.MediaType{multipartMedia: {Schema: &openapi.Schema{
			Types: openapi.Types{"object"}, Required: []string{"distribution", "file"},
			Properties: map[string]*openapi.Schema{
				"file":         {Types: openapi.Types{"string"}, ContentMediaType: contentTypeOf(".deb", true), Description: "The package. Its file name is not looked at."},
				"distribution": text,
				"component":    {Types: openapi.Types{"string"}, Default: "main"},
			},
		}}}}
	}
	kind := openapi.Body
	if rt.method == http.MethodPatch {
		kind = openapi.Patch
	}
	schema := d.Schema(op.body, kind)
	if op.needs != "" {
		d.Schemas[componentName(reflect.TypeOf(op.body), kind)].Required = strings.Fields(op.needs)
	}
	return &openapi.RequestBody{Required: rt.body == jsonBody, Content: map[string]openapi.MediaType{jsonMedia: {Schema: schema}}}
}
