package httpapi

import (
	"slices"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/httpapi/openapi"
	"github.com/repod-io/repod/sbom"
)

// An operation is what the table of routes does not tell of one: see describe
// for what is made of both.
type operation struct {
	id      string // "": the name of the handler
	summary string
	text    string // more; CommonMark
	query   []openapi.Parameter
	body    any    // like the JSON body; what it holds is the default
	needs   string // members of the body that are required, where its type does not tell
	status  int    // of success; 0: 200
	answer  any    // like the JSON answer; nil: none
	also    []int
	media   []string // of an answer that is no JSON, or not always
	job     any      // like the result: it is done in the background
	down    any      // like the answer with status 503, where that is no problem
	codes   string   // of errors, beyond those that follow from the route
}

// Parameters of queries. Bounds are those that package query is asked for.

func wordParam(name, text string) openapi.Parameter { return textParam(name, 256, text) }

func textParam(name string, most int64, text string) openapi.Parameter {
	p := openapi.Parameter{Name: name, In: "query", Description: text, Schema: &openapi.Schema{Types: openapi.Types{"string"}}}
	p.Schema.Bound(0, most)
	return p
}

func numberParam(name string, fallback, low, high int64, text string) openapi.Parameter {
	p := openapi.Parameter{Name: name, In: "query", Description: text,
		Schema: &openapi.Schema{Types: openapi.Types{"integer"}, Default: fallback}}
	p.Schema.Bound(low, high)
	return p
}

// oneOfParam is a word of several; the first is the default unless it is "".
func oneOfParam(name, text string, words ...string) openapi.Parameter {
	s := &openapi.Schema{Types: openapi.Types{"string"}, Enum: words}
	if words[0] == "" {
		s.Enum = words[1:]
	} else {
		s.Default = words[0]
	}
	return openapi.Parameter{Name: name, In: "query", Description: text, Schema: s}
}

func truthParam(name, text string) openapi.Parameter {
	return openapi.Parameter{Name: name, In: "query", Description: text,
		Schema: &openapi.Schema{Types: openapi.Types{"boolean"}, Default: false}}
}

// listParam is a list of words, separated by commas.
func listParam(name, text string, words []string) openapi.Parameter {
	explode := false
	return openapi.Parameter{Name: name, In: "query", Description: text, Style: "form", Explode: &explode,
		Schema: &openapi.Schema{Types: openapi.Types{"array"}, Items: &openapi.Schema{Types: openapi.Types{"string"}, Enum: words}}}
}

func pageParams(perPage, most int64) []openapi.Parameter {
	return []openapi.Parameter{
		numberParam("page", 1, 1, 1_000_000_000, "Which page; one past the end is empty."),
		numberParam("per_page", perPage, 1, most, "Items on a page."),
	}
}

func required(p openapi.Parameter) openapi.Parameter {
	p.Required = true
	return p
}

// words turns named strings into plain ones.
func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return out
}

var (
	inDistribution = wordParam("distribution", "Only what is published in this distribution.")
	ofArch         = wordParam("arch", "Only this architecture.")
	chosenArch     = wordParam("arch", "Which architecture; else amd64 if there is one, else the first by name.")
	everyArch      = wordParam("arch", "Only this architecture; else every one of the version.")
	wait           = truthParam("wait", "Answer when the job has ended, with its result.")
	lastDays       = []openapi.Parameter{numberParam("days", 30, 1, 365, "How many days, of which today (UTC) is the last.")}
	searched       = textParam("q", 128, "Part of a name or description, without regard to case.")

	packageParams = append([]openapi.Parameter{
		searched, inDistribution, ofArch, oneOfParam("status", "Only of this status.", noOrStatus()...),
		wordParam("section", "Only of this section."),
		oneOfParam("sort", "By what; a minus sign turns the order around.", words([]aptrepo.Sort{
			aptrepo.SortName, aptrepo.SortNameDesc, aptrepo.SortUploaded, aptrepo.SortUploadedDesc, aptrepo.SortSize, aptrepo.SortSizeDesc})...),
	}, pageParams(50, 200)...)
	dependencyParams = []openapi.Parameter{
		wordParam("version", "Which version; else the newest that is published."), chosenArch,
		wordParam("distribution", "Which distribution; else the first that it is published in."),
	}
	billParams = []openapi.Parameter{
		oneOfParam("format", "Format of the bill of materials.", string(sbom.CycloneDX), string(sbom.SPDX)),
		wordParam("version", "Version of the format; else the newest that is known."),
	}
	billMedia = []string{"application/vnd.cyclonedx+json", "application/spdx+json"}
)

const (
	ofPackage      = "package_not_found"
	ofVersion      = "package_not_found version_not_found"
	ofPlace        = "unknown_distribution unknown_component unsupported_architecture"
	ofUpstream     = "upstream_unreachable upstream_hash_mismatch upstream_bad_signature upstream_rejected"
	ofPassword     = "wrong_password too_many_attempts"
	ofFactor       = ofPassword + " wrong_otp token_not_allowed ldap_managed"
	ofGate         = "rejected_malware rejected_cve invalid_deb scanner_unavailable upload_too_large duplicate_conflict reserved_name quarantined"
	alsoAsEvents   = "With `Accept: text/event-stream` the answer is a stream of events `progress` (data: a Job), and at the end `result` (a Job) or `error` (a Problem)."
	eventStream    = "text/event-stream"
	problemMedia   = "application/problem+json"
	jsonMedia      = "application/json"
	multipartMedia = "multipart/form-data"
)

// operations describes each route, by method and pattern.
var operations = map[string]operation{
	"GET /apt/{path:.*}": {
		summary: "Get a file of the APT tree", text: "What apt reads: `dists/`, `pool/`, `repod.asc`, `repod.gpg` and `{codename}.sources`. Ranges and conditional requests are honoured.",
		media: []string{"*/*"}, also: []int{206, 304, 307, 416},
	},

	"POST /auth/token":  {summary: "Log in", body: loginBody{}, answer: sessionJSON{}, codes: "invalid_credentials otp_required wrong_otp too_many_attempts ldap_unavailable"},
	"POST /auth/logout": {summary: "End a session", query: []openapi.Parameter{truthParam("everywhere", "End all sessions of the user.")}, status: 204, codes: "token_not_allowed"},
	"GET /auth/me":      {summary: "Show who is calling", answer: userJSON{}},
	"POST /auth/change-password": {summary: "Change the own password", body: changePasswordBody{}, answer: status{},
		codes: ofPassword + " weak_password ldap_managed token_not_allowed"},
	"GET /auth/roles": {summary: "List the roles", answer: rolesJSON{}},
	"GET /auth/users": {summary: "List the users", answer: usersJSON{}},
	"POST /auth/users": {summary: "Create a user", body: newUserDefault, status: 201, answer: userJSON{},
		codes: "weak_password user_exists email_taken role_too_high"},
	"PATCH /auth/users/{username}": {summary: "Change a user", body: userPatchBody{}, answer: userJSON{},
		codes: "user_not_found last_admin email_taken ldap_managed role_too_high"},
	"DELETE /auth/users/{username}":              {summary: "Delete a user", status: 204, codes: "user_not_found cannot_delete_self last_admin"},
	"POST /auth/users/{username}/reset-password": {summary: "Set the password of a user", body: setPasswordBody{}, answer: status{}, codes: "user_not_found weak_password ldap_managed"},
	"POST /auth/forgot-password":                 {summary: "Ask for a mail to reset a password", body: forgotPasswordBody{}, answer: status{}},
	"POST /auth/reset-password":                  {summary: "Set a password by what a mail said", body: resetPasswordBody{}, answer: status{}, codes: "weak_password invalid_reset_token"},
	"DELETE /auth/users/{username}/mfa":          {summary: "Remove the second factor of a user", status: 204, codes: "user_not_found mfa_not_enrolled"},
	"GET /auth/mfa":                              {summary: "Show the own second factor", answer: factorJSON{}, codes: "token_not_allowed"},
	"POST /auth/mfa":                             {summary: "Begin to enrol a second factor", body: enrolBody{}, answer: enrolmentJSON{}, codes: ofFactor + " mfa_exists"},
	"POST /auth/mfa/confirm":                     {summary: "Confirm a second factor", body: confirmBody{}, answer: recoveryCodes{}, codes: ofFactor + " mfa_exists mfa_not_enrolled"},
	"POST /auth/mfa/recovery-codes":              {summary: "Make new recovery codes", body: bothFactors{}, answer: recoveryCodes{}, codes: ofFactor + " mfa_not_enrolled"},
	"POST /auth/mfa/disable":                     {summary: "Remove the own second factor", body: bothFactors{}, status: 204, codes: ofFactor + " mfa_not_enrolled"},
	"GET /auth/trusted-publishers":               {summary: "List the trusted publishers", answer: publishersJSON{}},
	"POST /auth/trusted-publishers": {summary: "Trust jobs of a CI platform", body: newPublisherDefault, status: 201, answer: publisherJSON{},
		codes: "unknown_distribution role_too_high token_scope publisher_exists"},
	"DELETE /auth/trusted-publishers/{publisher_id}": {summary: "Remove a trusted publisher", status: 204, codes: "publisher_not_found token_scope role_too_high"},
	"GET /auth/oidc/login":                           {summary: "Begin a login by an OpenID Connect issuer", status: 302, codes: "oidc_not_configured issuer_unavailable"},
	"GET /auth/oidc/callback": {summary: "End a login by an OpenID Connect issuer", answer: sessionJSON{},
		query: []openapi.Parameter{textParam("state", 512, "As the issuer says."), textParam("code", 4096, "As the issuer says."), textParam("iss", 512, "As the issuer says.")},
		codes: "oidc_not_configured issuer_unavailable invalid_credentials"},
	"POST /auth/oidc/exchange": {summary: "Exchange the token of a CI job", body: exchangeBody{}, answer: exchangeJSON{}, codes: "invalid_token issuer_unavailable"},
	"GET /auth/api-tokens":     {summary: "List the API tokens", answer: tokensJSON{}},
	"POST /auth/api-tokens": {summary: "Create an API token", text: "This is the only answer that shows the token.", body: newTokenBody{}, status: 201, answer: tokenJSON{},
		codes: "unknown_distribution token_name_taken role_too_high token_scope"},
	"DELETE /auth/api-tokens/{token_id}": {summary: "Revoke an API token", status: 204, codes: "token_not_found token_scope role_too_high"},

	"POST /upload": {summary: "Publish a package", text: "When it answers 201, apt sees the package. 202: it waits for review. 200: it was there.",
		status: 201, also: []int{200, 202}, answer: uploadAnswer{}, codes: ofPlace + " token_scope " + ofGate},

	"GET /packages":                      {summary: "List packages, one row for each name", query: packageParams, answer: page[packageRowJSON]{}},
	"GET /artifacts":                     {summary: "List packages, one row for each version and architecture", query: packageParams, answer: page[artifactRowJSON]{}},
	"GET /artifacts/{name}":              {summary: "Show all versions of a package", answer: packageDetailJSON{}, codes: ofPackage},
	"GET /artifacts/{name}/dependencies": {summary: "Show whether the dependencies of a package are met", query: dependencyParams, answer: dependenciesJSON{}, codes: ofVersion + " unknown_distribution"},
	"GET /artifacts/{name}/install":      {summary: "Tell how to install a package", query: dependencyParams, answer: installJSON{}, codes: ofVersion + " unknown_distribution not_published"},
	"GET /artifacts/{name}/{version}":    {summary: "Show a package", query: []openapi.Parameter{chosenArch}, answer: artifactJSON{}, codes: ofVersion},
	"DELETE /artifacts/{name}/{version}": {summary: "Delete a version", status: 204, codes: ofVersion + " token_scope",
		query: []openapi.Parameter{everyArch, truthParam("forget", "Other contents may bear this version from now on; needs the role admin.")}},
	"GET /artifacts/audit/logs": {summary: "List the audit log", text: "To who accepts `text/csv` or `application/x-ndjson`, all entries that match, not a page.",
		query: append([]openapi.Parameter{
			wordParam("user", "Who did it."), wordParam("action", "What was done."), wordParam("result", "How it ended."), wordParam("package", "With which package."),
			textParam("q", 128, "Part of user, package, target or detail."),
			wordParam("start", "From this time or date on."), wordParam("end", "Before this time, or up to the end of this date."),
			oneOfParam("sort", "Newest or oldest first.", "desc", "asc"),
		}, pageParams(100, 500)...),
		answer: page[auditJSON]{}, media: []string{"text/csv", "application/x-ndjson"}},
	"GET /artifacts/audit/verify":      {summary: "Check the chain of the audit log", answer: auditVerdictJSON{}},
	"POST /artifacts/admin/sync-index": {summary: "Hold files, database and indices against each other", answer: syncIndexJSON{}, codes: "token_scope"},

	"GET /import/search": {summary: "Search the upstream archives", answer: searchJSON{}, codes: "unknown_source sources_not_synced",
		query: []openapi.Parameter{required(searched), wordParam("source_id", "Only this source."), ofArch, numberParam("limit", 20, 1, 100, "Results at most.")}},
	"GET /import/resolve/{package_name}": {summary: "Show what a fetch would import", answer: planJSON{},
		query: []openapi.Parameter{wordParam("version", "Which version; else the newest."), wordParam("arch", "Which architecture; else amd64."),
			wordParam("distribution", "Where it would go."), wordParam("source_id", "Only from this source.")},
		codes: ofVersion + " unknown_distribution unknown_source closure_too_large sources_not_synced"},
	"POST /import/fetch": {summary: "Import a package with its dependencies", body: fetchBody{}, job: fetchJSON{}, also: []int{201}, query: []openapi.Parameter{waitsAtFirst},
		codes: ofPlace + " unknown_source token_scope " + ofVersion + " closure_too_large sources_not_synced upstream_mismatch " + ofGate + " " + ofUpstream},
	"POST /import/batch": {summary: "Import several packages", body: batchBody{}, job: batchJSON{},
		codes: ofPlace + " unknown_source token_scope sources_not_synced " + ofVersion + " closure_too_large"},
	"GET /import/sync-status": {summary: "Show the state of each source", answer: sourceStatusesJSON{}},
	"POST /import/sync":       {summary: "Sync all sources", job: syncJSON{}, codes: "no_sources_enabled " + ofUpstream},
	"GET /import/groups":      {summary: "List the groups of imports", answer: groupsJSON{}},
	"DELETE /import/groups/{group_name}": {summary: "Delete a group", status: 204, codes: "group_not_found token_scope",
		query: []openapi.Parameter{truthParam("packages", "Unpublish its packages, too.")}},
	"POST /import/sync/{source_id}":      {summary: "Sync a source", job: syncJSON{}, codes: "source_not_found source_disabled " + ofUpstream},
	"POST /import/sync-security":         {summary: "Sync the sources of security updates", job: syncJSON{}, codes: "no_sources_enabled token_scope " + ofUpstream},
	"GET /import/sync-schedule":          {summary: "Show when sources are synced", answer: syncScheduleJSON{}},
	"GET /import/sources":                {summary: "List the sources", answer: sourcesJSON{}},
	"POST /import/sources":               {summary: "Add a source", body: upstream.Source{Components: []string{"main"}, Architectures: []string{"amd64"}, Enabled: true}, needs: "id suite url", status: 201, answer: upstream.Source{}, codes: "source_exists"},
	"DELETE /import/sources/{source_id}": {summary: "Remove a source", status: 204, codes: "source_not_found"},

	"GET /security/vulnerabilities": {summary: "List vulnerabilities", answer: vulnerabilitiesJSON{},
		query: append([]openapi.Parameter{listParam("severity", "Only of these severities.", words(severities)),
			oneOfParam("fix_state", "Only such that are fixed, or not.", "", "fixed", "not_fixed", "wont_fix", "unknown"), inDistribution,
			textParam("q", 128, "Part of the ID or of a package's name."),
			oneOfParam("kev", "Only those that are known to be exploited, or are not.", "", "false", "true")}, pageParams(50, 500)...)},
	"GET /security/packages-posture": {summary: "List packages, the least safe first", answer: posturesJSON{},
		query: append([]openapi.Parameter{inDistribution, oneOfParam("status", "Only of this status.", noOrStatus()...)}, pageParams(50, 200)...)},
	"GET /security/packages/{name}/{version}/cve": {summary: "Show the vulnerabilities of a package", query: []openapi.Parameter{chosenArch}, answer: artifactCVEsJSON{}, codes: ofVersion},
	"GET " + vexPath:               {summary: "Get all decisions in force as OpenVEX", media: []string{jsonMedia}},
	"GET " + vexPath + ".asc":      {summary: "Get the signature of the OpenVEX document", media: []string{"application/pgp-signature"}},
	"GET /security/review-queue":   {summary: "List packages that wait for a decision", query: append([]openapi.Parameter{inDistribution}, pageParams(50, 200)...), answer: reviewQueueJSON{}},
	"GET /security/clamav/status":  {summary: "Show the state of the scanner for malware", answer: clamavStatusJSON{}},
	"POST /security/clamav/update": {summary: "Update the signatures of the scanner", job: clamavUpdateJSON{}, codes: "clamav_not_configured clamav_update_failed token_scope"},
	"POST /security/rescan":        {summary: "Scan all packages again", body: rescanAllBody{}, job: rescanAllJSON{}, codes: "unknown_distribution token_scope"},
	"POST /security/packages/{name}/{version}/decide": {summary: "Decide about a package", query: []openapi.Parameter{everyArch}, body: decideBody{}, answer: decidedJSON{},
		codes: ofVersion + " nothing_to_decide quarantined token_scope"},
	"POST /security/packages/{name}/{version}/rescan": {summary: "Scan a package again", query: []openapi.Parameter{everyArch}, answer: rescanJSON{},
		codes: ofVersion + " no_file scanner_unavailable token_scope"},
	"POST /security/packages/{name}/{version}/quarantine": {summary: "Take a package out", query: []openapi.Parameter{everyArch}, body: quarantineBody{}, answer: quarantinedJSON{},
		codes: ofVersion + " no_file token_scope"},
	"POST /security/packages/{name}/{version}/release": {summary: "Let a package out of quarantine", query: []openapi.Parameter{everyArch}, body: releaseBody{}, answer: releasedJSON{},
		codes: ofVersion + " not_quarantined rejected_malware scanner_unavailable token_scope"},

	"GET /sbom/export":           {summary: "Get the bill of materials of a distribution, or of all", query: append(slices.Clone(billParams), inDistribution), media: billMedia, also: []int{206, 304, 416}, codes: "unknown_distribution"},
	"GET /sbom/{name}/{version}": {summary: "Get the bill of materials of a package", query: append(slices.Clone(billParams), chosenArch), media: billMedia, also: []int{206, 304, 416}, codes: ofVersion},
	"GET /sbom/preview": {summary: "Show the beginning of a bill of materials", answer: previewJSON{}, codes: "unknown_distribution",
		query: append(slices.Clone(billParams), inDistribution, ofArch, numberParam("limit", 5, 1, 50, "Components at most."))},

	"GET /downloads/stats":   {summary: "Show what was downloaded", query: lastDays, answer: downloadsJSON{}},
	"GET /dashboard/stats":   {summary: "Show how the repository is", answer: overviewJSON{}},
	"GET /dashboard/history": {summary: "Show what was done each day", query: lastDays, answer: dashboardHistoryJSON{}},

	"GET /distributions":                     {summary: "List the distributions", answer: distributionsJSON{}},
	"POST /distributions/init":               {summary: "Create a distribution", body: initBody{}, status: 201, answer: distributionJSON{}, codes: "distribution_exists token_scope"},
	"POST /distributions/promote":            {summary: "Publish a version in another distribution, too", body: promoteBody{}, answer: promoteAnswer{}, codes: ofPlace + " same_distribution token_scope " + ofVersion + " not_published blocked_by_policy"},
	"POST /distributions/migrate":            {summary: "Publish many packages in another distribution, too", body: migrateBody{}, answer: migrateAnswer{}, codes: "unknown_distribution same_distribution token_scope package_not_found"},
	"GET /distributions/{codename}/packages": {summary: "List what is published in a distribution", query: append([]openapi.Parameter{searched, ofArch, wordParam("component", "Only this component.")}, pageParams(50, 200)...), answer: publishedJSON{}, codes: "distribution_not_found"},
	"DELETE /distributions/{codename}/packages/{name}/{version}": {summary: "Unpublish a version from a distribution", query: []openapi.Parameter{everyArch, wordParam("component", "Only from this component.")},
		status: 204, codes: "token_scope distribution_not_found " + ofVersion},

	"GET /settings": {summary: "Show the settings", text: "Secrets that are set are shown as `" + settings.Mask + "`.", answer: settings.Settings{}},
	"PATCH /settings": {summary: "Change settings", text: "Objects are merged, all else is replaced. `" + settings.Mask + "` leaves a secret as it is.",
		body: settings.Settings{}, answer: settings.Settings{}, codes: "precondition_failed"},
	"POST /settings/test-ldap":    {summary: "Try the directory", answer: ldapTestJSON{}, codes: "ldap_not_configured ldap_failed"},
	"POST /settings/test-webhook": {summary: "Try a webhook", query: []openapi.Parameter{textParam("target", 64, "The ID of the receiver; none: that of `webhook.url`.")}, answer: webhookTestJSON{}, codes: "webhook_not_configured webhook_failed webhook_timeout"},
	"POST /settings/test-email":   {summary: "Send a mail to try the settings", body: testEmailBody{}, answer: emailTestJSON{}, codes: "smtp_not_configured no_recipient smtp_failed"},
	"GET /settings/next-sync":     {summary: "Show when sources are synced next", answer: nextSyncJSON{}},
	"POST /settings/run-retention": {summary: "Let old versions go", job: retentionJSON{},
		query: []openapi.Parameter{waitsAtFirst, truthParam("dry_run", "Only tell what would go.")}},
	"GET /settings/gpg":           {summary: "Show the signing keys", answer: keysJSON{}},
	"POST /settings/gpg/generate": {summary: "Replace the signing key", body: newKeyBody{}, answer: newKeyJSON{}, codes: "foreign_signer"},

	"GET /jobs/{job_id}": {summary: "Show a job", text: alsoAsEvents, answer: jobJSON{}, media: []string{eventStream}, codes: "job_not_found"},

	"GET /health":       {summary: "Show whether the parts of the server work", answer: healthJSON{}, down: healthJSON{}},
	"GET /health/live":  {summary: "Tell that the server runs", answer: aliveJSON{}},
	"GET /health/ready": {summary: "Tell whether the server can work", answer: aliveJSON{}, down: notReadyJSON{}},

	"GET " + metricsPath: {summary: "Get measures for Prometheus", text: "The token that monitors have will do, too.",
		media: []string{"text/plain", "application/openmetrics-text"}, codes: "route_not_found"},

	"GET /":             {summary: "Lead a browser to the console", status: 302, codes: "route_not_found"},
	"GET /ui":           {id: "console", summary: "Get the console", text: "Without a slash at the end: lead there.", media: []string{"text/html; charset=utf-8"}, also: []int{302, 304}},
	"GET /ui/{path:.*}": {summary: "Get a file of the console", media: []string{"*/*"}, also: []int{304}},
	"GET /openapi.json": {summary: "Get this document", media: []string{jsonMedia}, also: []int{304}},
	"GET /docs":         {summary: "Read this document in a browser", media: []string{"text/html; charset=utf-8"}, also: []int{304, 308}},
	"GET /docs/{asset}": {summary: "Get a part of the page", media: []string{"*/*"}, also: []int{304}, codes: "route_not_found"},
}

// waitsAtFirst is wait where waiting is the default.
var waitsAtFirst = openapi.Parameter{Name: "wait", In: "query", Description: wait.Description,
	Schema: &openapi.Schema{Types: openapi.Types{"boolean"}, Default: true}}
