package httpapi

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/httpapi/openapi"
)

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
