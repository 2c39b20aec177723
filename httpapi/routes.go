package httpapi

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/repod-io/repod/auth"
)

// A bodyKind says what body a route takes.
type bodyKind int

const (
	noBody       bodyKind = iota // one that comes is not read
	jsonBody                     // at most maxJSON
	optionalJSON                 // the same; an empty body is {}
	uploadBody                   // multipart/form-data, see upload
)

// public stands for the role of those who need none.
const public auth.Role = 0

// A route is one thing that the server does. The path's pattern has
// placeholders, which stand for one segment each.
type route struct {
	method  string
	pattern string
	role    auth.Role // least role; public: authentication is not looked at
	rate    string    // class of the rate limit, "" for none
	body    bodyKind
	handle  func(*api, *call) error
}

// routes is all that the server does: nothing is registered elsewhere.
var routes = []route{
	{"GET", "/apt/{path:.*}", public, "", noBody, (*api).aptTree},

	{"POST", "/auth/token", public, "login", jsonBody, (*api).login},
	{"POST", "/auth/logout", auth.Viewer, "", noBody, (*api).logout},
	{"GET", "/auth/me", auth.Viewer, "", noBody, (*api).me},
	{"POST", "/auth/change-password", auth.Viewer, "", jsonBody, (*api).changePassword},
	{"GET", "/auth/roles", public, "", noBody, (*api).roles},
	{"GET", "/auth/users", auth.Admin, "", noBody, (*api).listUsers},
	{"POST", "/auth/users", auth.Admin, "", jsonBody, (*api).createUser},
	{"PATCH", "/auth/users/{username}", auth.Admin, "", jsonBody, (*api).updateUser},
	{"DELETE", "/auth/users/{username}", auth.Admin, "", noBody, (*api).deleteUser},
	{"POST", "/auth/users/{username}/reset-password", auth.Admin, "", jsonBody, (*api).setPassword},
	{"POST", "/auth/forgot-password", public, "forgot_password", jsonBody, (*api).forgotPassword},
	{"POST", "/auth/reset-password", public, "reset_password", jsonBody, (*api).resetPassword},
	{"DELETE", "/auth/users/{username}/mfa", auth.Admin, "", noBody, (*api).resetFactor},
	{"GET", "/auth/mfa", auth.Viewer, "", noBody, (*api).showFactor},
	{"POST", "/auth/mfa", auth.Viewer, "", jsonBody, (*api).enrolFactor},
	{"POST", "/auth/mfa/confirm", auth.Viewer, "", jsonBody, (*api).confirmFactor},
	{"POST", "/auth/mfa/recovery-codes", auth.Viewer, "", jsonBody, (*api).renewRecoveryCodes},
	{"POST", "/auth/mfa/disable", auth.Viewer, "", jsonBody, (*api).disableFactor},
	{"GET", "/auth/trusted-publishers", auth.Admin, "", noBody, (*api).listPublishers},
	{"POST", "/auth/trusted-publishers", auth.Admin, "", jsonBody, (*api).createPublisher},
	{"DELETE", "/auth/trusted-publishers/{publisher_id}", auth.Admin, "", noBody, (*api).deletePublisher},
	{"GET", "/auth/oidc/login", public, "login", noBody, (*api).beginOIDC},
	{"GET", "/auth/oidc/callback", public, "login", noBody, (*api).finishOIDC},
	{"POST", "/auth/oidc/exchange", public, "exchange", jsonBody, (*api).exchange},
	{"GET", "/auth/api-tokens", auth.Admin, "", noBody, (*api).listTokens},
	{"POST", "/auth/api-tokens", auth.Admin, "", jsonBody, (*api).createToken},
	{"DELETE", "/auth/api-tokens/{token_id}", auth.Admin, "", noBody, (*api).revokeToken},

	{"POST", "/upload", auth.Uploader, "upload", uploadBody, (*api).upload},

	{"GET", "/packages", auth.Viewer, "", noBody, (*api).listPackages},
	{"GET", "/artifacts", auth.Viewer, "", noBody, (*api).listArtifacts},
	{"GET", "/artifacts/{name}", auth.Viewer, "", noBody, (*api).showPackage},
	{"GET", "/artifacts/{name}/dependencies", auth.Viewer, "", noBody, (*api).dependencies},
	{"GET", "/artifacts/{name}/install", auth.Viewer, "", noBody, (*api).install},
	{"GET", "/artifacts/{name}/{version}", auth.Viewer, "", noBody, (*api).showArtifact},
	{"DELETE", "/artifacts/{name}/{version}", auth.Maintainer, "", noBody, (*api).deleteArtifact},
	{"GET", "/artifacts/audit/logs", auth.Auditor, "", noBody, (*api).auditLogs},
	{"GET", "/artifacts/audit/verify", auth.Auditor, "", noBody, (*api).verifyAudit},
	{"POST", "/artifacts/admin/sync-index", auth.Maintainer, "", noBody, (*api).syncIndex},

	{"GET", "/import/search", auth.Viewer, "", noBody, (*api).importSearch},
	{"GET", "/import/resolve/{package_name}", auth.Viewer, "", noBody, (*api).importResolve},
	{"POST", "/import/fetch", auth.Uploader, "import_fetch", jsonBody, (*api).importFetch},
	{"POST", "/import/batch", auth.Uploader, "import_batch", jsonBody, (*api).importBatch},
	{"GET", "/import/sync-status", auth.Viewer, "", noBody, (*api).syncStatus},
	{"POST", "/import/sync", auth.Maintainer, "import_sync", noBody, (*api).syncAll},
	{"GET", "/import/groups", auth.Viewer, "", noBody, (*api).importGroups},
	{"DELETE", "/import/groups/{group_name}", auth.Maintainer, "", noBody, (*api).deleteGroup},
	{"POST", "/import/sync/{source_id}", auth.Maintainer, "", noBody, (*api).syncOne},
	{"POST", "/import/sync-security", auth.Maintainer, "", noBody, (*api).syncSecurity},
	{"GET", "/import/sync-schedule", auth.Viewer, "", noBody, (*api).syncSchedule},
	{"GET", "/import/sources", auth.Admin, "", noBody, (*api).listSources},
	{"POST", "/import/sources", auth.Admin, "", jsonBody, (*api).createSource},
	{"DELETE", "/import/sources/{source_id}", auth.Admin, "", noBody, (*api).deleteSource},

	{"GET", "/security/vulnerabilities", auth.Viewer, "", noBody, (*api).vulnerabilities},
	{"GET", "/security/packages-posture", auth.Viewer, "", noBody, (*api).posture},
	{"GET", "/security/packages/{name}/{version}/cve", auth.Viewer, "", noBody, (*api).artifactCVEs},
	{"GET", vexPath, auth.Viewer, "", noBody, (*api).openVEX},
	{"GET", vexPath + ".asc", auth.Viewer, "", noBody, (*api).openVEXSignature},
	{"GET", "/security/review-queue", auth.Auditor, "", noBody, (*api).reviewQueue},
	{"GET", "/security/clamav/status", auth.Viewer, "", noBody, (*api).clamavStatus},
	{"POST", "/security/clamav/update", auth.Maintainer, "", noBody, (*api).clamavUpdate},
	{"POST", "/security/rescan", auth.Maintainer, "", optionalJSON, (*api).rescanAll},
	{"POST", "/security/packages/{name}/{version}/decide", auth.Maintainer, "", jsonBody, (*api).decide},
	{"POST", "/security/packages/{name}/{version}/rescan", auth.Maintainer, "", noBody, (*api).rescan},
	{"POST", "/security/packages/{name}/{version}/quarantine", auth.Maintainer, "", optionalJSON, (*api).quarantine},
	{"POST", "/security/packages/{name}/{version}/release", auth.Maintainer, "", optionalJSON, (*api).release},

	{"GET", "/sbom/export", auth.Viewer, "", noBody, (*api).exportSBOM},
	{"GET", "/sbom/{name}/{version}", auth.Viewer, "", noBody, (*api).packageSBOM},
	{"GET", "/sbom/preview", auth.Viewer, "", noBody, (*api).previewSBOM},

	{"GET", "/downloads/stats", auth.Viewer, "", noBody, (*api).downloadStats},
	{"GET", "/dashboard/stats", auth.Viewer, "", noBody, (*api).dashboardStats},
	{"GET", "/dashboard/history", auth.Viewer, "", noBody, (*api).dashboardHistory},

	{"GET", "/distributions", auth.Viewer, "", noBody, (*api).listDistributions},
	{"POST", "/distributions/init", auth.Maintainer, "", jsonBody, (*api).initDistribution},
	{"POST", "/distributions/promote", auth.Maintainer, "", jsonBody, (*api).promote},
	{"POST", "/distributions/migrate", auth.Maintainer, "", jsonBody, (*api).migrate},
	{"GET", "/distributions/{codename}/packages", auth.Viewer, "", noBody, (*api).listPublished},
	{"DELETE", "/distributions/{codename}/packages/{name}/{version}", auth.Maintainer, "", noBody, (*api).unpublish},

	{"GET", "/settings", auth.Admin, "", noBody, (*api).showSettings},
	{"PATCH", "/settings", auth.Admin, "", jsonBody, (*api).patchSettings},
	{"POST", "/settings/test-ldap", auth.Admin, "", noBody, (*api).testLDAP},
	{"POST", "/settings/test-webhook", auth.Admin, "", noBody, (*api).testWebhook},
	{"POST", "/settings/test-email", auth.Admin, "", optionalJSON, (*api).testEmail},
	{"GET", "/settings/next-sync", auth.Admin, "", noBody, (*api).showNextSync},
	{"POST", "/settings/run-retention", auth.Admin, "", noBody, (*api).runRetention},
	{"GET", "/settings/gpg", auth.Admin, "", noBody, (*api).showKeys},
	{"POST", "/settings/gpg/generate", auth.Admin, "", optionalJSON, (*api).generateKey},

	{"GET", "/", public, "", noBody, (*api).home},
	{"GET", "/ui", public, "", noBody, (*api).consoleFiles},
	{"GET", "/ui/{path:.*}", public, "", noBody, (*api).consoleFiles},

	{"GET", "/jobs/{job_id}", auth.Viewer, "", noBody, (*api).showJob},

	{"GET", "/health", public, "", noBody, (*api).showHealth},
	{"GET", "/health/live", public, "", noBody, (*api).live},
	{"GET", "/health/ready", public, "", noBody, (*api).ready},
	{"GET", metricsPath, auth.Admin, "", noBody, (*api).metrics}, // or Config.MetricsToken

	{"GET", "/openapi.json", public, "", noBody, (*api).openAPI},
	{"GET", "/docs", public, "", noBody, (*api).docs},
	{"GET", "/docs/{asset}", public, "", noBody, (*api).docsAsset},
}

// A resource is what answers at one pattern, by method.
type resource struct {
	api     *api
	pattern string
	methods map[string]*route
	allow   string // field Allow
}

// newRouter registers the table. Patterns with fewer placeholders come first,
// so that a static segment wins; the APT tree, asked for most, before all.
func (a *api) newRouter() http.Handler {
	byPattern := map[string]*resource{}
	var resources []*resource
	add := func(pattern string) *resource {
		res := byPattern[pattern]
		if res == nil {
			res = &resource{api: a, pattern: pattern, methods: map[string]*route{}}
			byPattern[pattern] = res
			resources = append(resources, res)
		}
		return res
	}
	for i := range routes {
		add(routes[i].pattern).methods[routes[i].method] = &routes[i]
	}
	slices.SortStableFunc(resources[1:], func(x, y *resource) int {
		return cmp.Compare(strings.Count(x.pattern, "{"), strings.Count(y.pattern, "{"))
	})
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	router.NotFoundHandler = http.HandlerFunc(a.notFound)
	for _, res := range resources {
		res.allow = res.allowed()
		pattern := res.pattern
		if !strings.HasSuffix(pattern, ".*}") {
			pattern += "{slash:/?}"
		}
		router.Handle(pattern, res)
	}
	return router
}

func (res *resource) allowed() string {
	methods := []string{"OPTIONS"}
	for method := range res.methods {
		methods = append(methods, method)
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// ServeHTTP picks the route by method.
func (res *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := w.(*recorder)
	rec.route = res.pattern
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	rt := res.methods[method]
	switch {
	case rt != nil:
		res.api.serve(rec, r, rt)
	case method == http.MethodOptions:
		w.Header().Set("Allow", res.allow)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", res.allow)
		writeProblem(w, newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "This route takes %s.", res.allow))
	}
}

func (a *api) notFound(w http.ResponseWriter, _ *http.Request) {
	p, _ := problemOf(errRoute)
	writeProblem(w, p)
}
