package httpapi

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
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

// documentedHeaders are the fields that answers refer to.
var documentedHeaders = map[string]openapi.Header{
	"RetryAfter":         numberHeader("Seconds until it makes sense to come again."),
	"RateLimitLimit":     numberHeader("Requests that are taken a minute."),
	"RateLimitRemaining": numberHeader("Requests that may follow at once."),
	"RateLimitReset":     numberHeader("Seconds until one more may follow."),
	"Location":           stringHeader("Where that is which was made, or the job."),
	"JobID":              stringHeader("The job that has ended."),
	"ETag":               stringHeader("Which state this is (RFC 9110, section 8.8.3)."),
	"Challenge":          stringHeader("What authentication is needed (RFC 6750)."),
}

func numberHeader(text string) openapi.Header {
	return openapi.Header{Description: text, Schema: &openapi.Schema{Types: openapi.Types{"integer"}}}
}

func stringHeader(text string) openapi.Header {
	return openapi.Header{Description: text, Schema: &openapi.Schema{Types: openapi.Types{"string"}}}
}

func headerRef(name string) openapi.Header {
	return openapi.Header{Ref: "#/components/headers/" + name}
}

// respond adds an answer, with the fields that all answers of a route have.
func (d *describer) respond(out *openapi.Operation, rt *route, status int, headers map[string]string, content map[string]openapi.MediaType) {
	r := openapi.Response{Description: http.StatusText(status), Headers: map[string]openapi.Header{}, Content: content}
	for field, name := range headers {
		r.Headers[field] = headerRef(name)
	}
	if rt.rate != "" && (!undisclosed[rt.rate] || status == http.StatusTooManyRequests) {
		r.Headers["X-RateLimit-Limit"] = headerRef("RateLimitLimit")
		r.Headers["X-RateLimit-Remaining"] = headerRef("RateLimitRemaining")
		r.Headers["X-RateLimit-Reset"] = headerRef("RateLimitReset")
	}
	out.Responses[strconv.Itoa(status)] = r
}

// successes describes the answers to what worked.
func (d *describer) successes(out *openapi.Operation, rt *route, op operation) {
	status := cmp.Or(op.status, http.StatusOK)
	content, headers := d.content(op), map[string]string{}
	if op.job != nil {
		out.Description = strings.TrimSpace(out.Description + "\n\n" + alsoAsEvents)
		content = map[string]openapi.MediaType{jsonMedia: {Schema: d.Schema(op.job, openapi.Answer)}, eventStream: textMedia}
		headers = map[string]string{"Location": "Location", "X-Job-ID": "JobID"}
		d.respond(out, rt, http.StatusAccepted, map[string]string{"Location": "Location"},
			map[string]openapi.MediaType{jsonMedia: {Schema: d.Schema(jobJSON{}, openapi.Answer)}})
	}
	switch {
	case rt.pattern == "/settings", slices.Contains(op.also, http.StatusNotModified):
		headers["ETag"] = "ETag"
	case status == http.StatusCreated, status == http.StatusFound:
		headers["Location"] = "Location"
	}
	d.respond(out, rt, status, headers, content)
	for _, other := range op.also {
		switch other {
		case http.StatusNotModified:
			d.respond(out, rt, other, map[string]string{"ETag": "ETag"}, nil)
		case http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			d.respond(out, rt, other, map[string]string{"Location": "Location"}, nil)
		case http.StatusRequestedRangeNotSatisfiable:
			d.respond(out, rt, other, nil, map[string]openapi.MediaType{"text/plain": textMedia})
		default:
			d.respond(out, rt, other, headers, content)
		}
	}
	if op.down != nil {
		d.respond(out, rt, http.StatusServiceUnavailable, nil, map[string]openapi.MediaType{jsonMedia: {Schema: d.Schema(op.down, openapi.Answer)}})
	}
}

var textMedia = openapi.MediaType{Schema: &openapi.Schema{Types: openapi.Types{"string"}}}

// content describes the body of a success, nil for none.
func (d *describer) content(op operation) map[string]openapi.MediaType {
	out := map[string]openapi.MediaType{}
	for _, media := range op.media {
		switch {
		case strings.HasSuffix(media, "json"):
			out[media] = openapi.MediaType{Schema: &openapi.Schema{Types: openapi.Types{"object"}}}
		case strings.HasPrefix(media, "text/"), strings.HasSuffix(media, "signature"), strings.HasSuffix(media, "ndjson"):
			out[media] = textMedia
		default:
			out[media] = openapi.MediaType{}
		}
	}
	if op.answer != nil {
		out[jsonMedia] = openapi.MediaType{Schema: d.Schema(op.answer, openapi.Answer)}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// failures describes the problems that a route may answer, by status.
func (d *describer) failures(out *openapi.Operation, rt *route, op operation) {
	byStatus := map[int][]string{}
	for _, code := range failureCodes(rt, op, len(out.Parameters) > 0) {
		status, ok := d.codes[code]
		if !ok {
			panic("httpapi: no error has the code " + code)
		}
		byStatus[status] = append(byStatus[status], code)
	}
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		if _, told := out.Responses[strconv.Itoa(status)]; told { // /health has an answer of its own
			continue
		}
		codes := slices.Compact(slices.Sorted(slices.Values(byStatus[status])))
		content := map[string]openapi.MediaType{problemMedia: {Schema: &openapi.Schema{AllOf: []*openapi.Schema{
			{Ref: "#/components/schemas/Problem"},
			{Properties: map[string]*openapi.Schema{"code": {Enum: codes}}},
		}}}}
		if tagOf(rt.pattern) == "apt" {
			content = map[string]openapi.MediaType{"text/plain": textMedia}
		}
		headers := map[string]string{}
		if op.job != nil { // which may be what failed
			headers["Location"] = "Location"
		}
		switch status {
		case http.StatusUnauthorized:
			headers["WWW-Authenticate"] = "Challenge"
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			headers["Retry-After"] = "RetryAfter"
		}
		d.respond(out, rt, status, headers, content)
	}
}

// failureCodes lists the codes of a route: those that follow from what it is, and
// those of its operation.
func failureCodes(rt *route, op operation, parameters bool) []string {
	codes := append(strings.Fields(op.codes), "internal_error", "storage_unavailable")
	if tagOf(rt.pattern) == "apt" {
		return append(codes, "route_not_found", "upstream_unreachable")
	}
	if strings.Contains(rt.pattern, "{") {
		codes = append(codes, "route_not_found")
	}
	if parameters {
		codes = append(codes, "validation_failed")
	}
	if rt.role != public {
		codes = append(codes, "authentication_required", "invalid_token", "insufficient_role")
	}
	if rt.role == auth.Admin && rt.method != http.MethodGet && !grants[rt.pattern] {
		codes = append(codes, "token_scope")
	}
	if rt.method != http.MethodGet {
		codes = append(codes, "storage_full", "signing_failed")
	}
	if rt.rate != "" {
		codes = append(codes, "rate_limited")
	}
	switch rt.body {
	case jsonBody, optionalJSON:
		codes = append(codes, "invalid_json", "body_too_large", "unsupported_content_type", "validation_failed")
	case uploadBody:
		codes = append(codes, "unsupported_content_type", "validation_failed")
	}
	if op.job != nil {
		codes = append(codes, "jobs_unavailable", "interrupted")
	}
	return codes
}

// ownCodes are those of problems that are made where they occur, with their
// status.
var ownCodes = map[string]int{
	"blocked_by_policy": 409, "body_too_large": 413, "clamav_not_configured": 503, "clamav_update_failed": 502,
	"duplicate_conflict": 409, "insufficient_role": 403, "internal_error": 500, "invalid_deb": 422, "invalid_json": 400,
	"jobs_unavailable": 503, "ldap_failed": 502, "ldap_not_configured": 400, "method_not_allowed": 405, "no_recipient": 400,
	"oidc_not_configured": 400, "package_not_found": 404, "precondition_failed": 412, "rate_limited": 429, "rejected_cve": 422,
	"rejected_malware": 422, "scanner_unavailable": 503, "smtp_failed": 502, "smtp_not_configured": 400, "token_scope": 403,
	"too_many_attempts": 429, "unsupported_content_type": 422, "upload_too_large": 413, "validation_failed": 422,
	"weak_password": 422, "webhook_failed": 502, "webhook_not_configured": 400, "webhook_timeout": 504,
	// Those of failures of upstream archives and of jobs.
	"upstream_bad_signature": 502, "upstream_hash_mismatch": 502, "upstream_mismatch": 502, "upstream_rejected": 502,
	"upstream_unreachable": 502, "interrupted": 503,
}

// problemCodes returns the status of each code.
func problemCodes() map[string]int {
	codes := maps.Clone(ownCodes)
	for _, row := range errorTable {
		codes[row.code] = row.status
	}
	return codes
}
