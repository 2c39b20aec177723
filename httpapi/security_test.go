package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
	"github.com/repod-io/repod/scan"
)

// known is vulnerability data by source package.
type known struct {
	mu       sync.Mutex
	findings map[string][]scan.Finding
}

func (k *known) set(source string, findings ...scan.Finding) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.findings[source] = findings
}

func (k *known) Match(_ context.Context, inv scan.Inventory) ([]scan.Finding, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.findings[inv.Source]), true, nil
}

func (k *known) Data(context.Context) (scan.Data, error) {
	return scan.Data{Generation: 1, Date: time.Date(2026, 5, 12, 3, 0, 0, 0, time.UTC)}, nil
}

// reporter is a scanner that finds what it is told.
type reporter struct{ malware scan.Malware }

func (r *reporter) Name() string                                           { return "reporter" }
func (r *reporter) Begin(context.Context, scan.Subject) (scan.Pass, error) { return r, nil }
func (r *reporter) Open(deb.File) (io.WriteCloser, error)                  { return nil, nil }
func (r *reporter) Finish(error) scan.Report                               { return scan.Report{Malware: r.malware} }
func (r *reporter) Abort()                                                 {}

func newSecurity(t *testing.T) (*fixture, *known, *reporter) {
	k, r := &known{findings: map[string][]scan.Finding{}}, &reporter{scan.Malware{Status: scan.Clean}}
	f := newFixture(t, func(c *Config) { c.Repo.Matcher, c.Repo.Scanners = k, []scan.Scanner{r} })
	return f, k, r
}

func finding(id string, severity scan.Severity) scan.Finding {
	score := 7.5
	return scan.Finding{
		ID: id, Severity: severity, CVSS: &score, Package: "tool", InstalledVersion: "1.0", FixState: scan.Fixed, FixedVersion: "1.1",
		Gates: true, Description: "A flaw.", URLs: []string{"https://example.org/" + id},
	}
}

// offer uploads a package, whatever comes of it.
func (f *fixture) offer(p debtest.Package, codename string) answer {
	f.t.Helper()
	return f.upload(f.tokens[auth.Uploader], part{"file", string(p.Build())}, part{"distribution", codename})
}

var tool = debtest.Package{Name: "tool", Version: "1.0"}

func TestUploadGate(t *testing.T) {
	f, k, r := newSecurity(t)
	r.malware = scan.Malware{Status: scan.Infected, Signature: "Test.Virus"}
	a := f.offer(tool, "jammy").want(t, 422, "rejected_malware")
	if !strings.Contains(a.body, `"signature":"Test.Virus"`) || !strings.Contains(a.body, `"verdict":"block"`) {
		t.Errorf("malware: %s", a.body)
	}
	r.malware = scan.Malware{Status: scan.Failed, Detail: "connection refused"}
	a = f.offer(tool, "jammy").want(t, 503, "scanner_unavailable")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.malware = scan.Malware{Status: scan.Clean}
	k.set("tool", finding("CVE-2024-1", scan.Critical))
	a = f.offer(tool, "jammy").want(t, 422, "rejected_cve")
	if !strings.Contains(a.body, `"critical":1`) {
		t.Errorf("cve: %s", a.body)
	}
	k.set("tool", finding("CVE-2024-1", scan.High))
	a = f.offer(tool, "jammy").want(t, 202, "")
	if !strings.Contains(a.body, `"status":"pending_review","filename":null`) {
		t.Errorf("review: %s", a.body)
	}
	f.do("GET", "/apt/pool/main/t/tool/tool_1.0_amd64.deb", "", nil).want(t, 404, "")
	k.set("other", finding("CVE-2024-2", scan.Medium))
	a = f.offer(debtest.Package{Name: "other", Version: "1.0"}, "jammy").want(t, 201, "")
	if !strings.Contains(a.body, `"code":"vulnerabilities"`) || !strings.Contains(a.body, `"medium":1`) {
		t.Errorf("warn: %s", a.body)
	}
}

func TestDecideRoute(t *testing.T) {
	f, k, _ := newSecurity(t)
	k.set("tool", finding("CVE-2024-1", scan.High), finding("CVE-2024-2", scan.Low))
	f.offer(tool, "jammy").want(t, 202, "")
	maintainer := f.tokens[auth.Maintainer]

	a := f.get("/security/review-queue", auth.Auditor).want(t, 200, "")
	if !strings.Contains(a.body, `"total":1,"blocked_count":0,"review_count":1`) || !strings.Contains(a.body, `"target_distributions":["jammy"]`) ||
		!strings.Contains(a.body, `"id":"CVE-2024-1"`) {
		t.Errorf("queue: %s", a.body)
	}
	a = f.get("/security/packages/tool/1.0/cve", auth.Viewer).want(t, 200, "")
	a.keys(t, "name", "version", "arch", "distributions", "status", "scanned", "scanned_at", "data_date", "counts", "total", "cves", "decision", "decisions")
	if !strings.Contains(a.body, `"data_date":"2026-05-12T03:00:00Z"`) || !strings.Contains(a.body, `"total":2`) {
		t.Errorf("cve: %s", a.body)
	}
	const path = "/security/packages/tool/1.0/decide"
	for body, code := range map[string]string{
		`{}`:                                     "validation_failed",
		`{"decision":"maybe","comment":"x"}`:     "validation_failed",
		`{"decision":"accepted","comment":"  "}`: "validation_failed",
		`{"decision":"rejected","comment":"x","expires_in_days":1}`:                   "validation_failed",
		`{"decision":"accepted","comment":"x","cve_ids":["CVE-1999-1"]}`:              "validation_failed",
		`{"decision":"accepted","comment":"x","expires_in_days":0}`:                   "validation_failed",
		`{"decision":"accepted","comment":"x","other":true,"cve_ids":["CVE-2024-1"]}`: "validation_failed",
	} {
		f.json("POST", path, maintainer, body).want(t, 422, code)
	}
	a = f.json("POST", path, maintainer, `{"decision":"accepted","comment":"Risk accepted after analysis.","expires_in_days":30}`).want(t, 200, "")
	if !strings.Contains(a.body, `"status":"accepted","name":"tool"`) || !strings.Contains(a.body, `"previous_status":"pending_review","distributions":["jammy"]`) ||
		!strings.Contains(a.body, `"cve_ids":["CVE-2024-1","CVE-2024-2"]`) {
		t.Errorf("decide: %s", a.body)
	}
	f.do("GET", "/apt/pool/main/t/tool/tool_1.0_amd64.deb", "", nil).want(t, 200, "")
	a = f.get("/artifacts/tool/1.0", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"status":"accepted"`) || !strings.Contains(a.body, `"decision":{"id":"dec_`) {
		t.Errorf("artifact: %s", a.body)
	}
	a = f.get("/security/vulnerabilities", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"items":[]`) || !strings.Contains(a.body, `"packages_scanned":1`) {
		t.Errorf("settled findings are listed: %s", a.body)
	}
	f.json("POST", "/security/packages/none/1.0/decide", maintainer, `{"decision":"accepted","comment":"x"}`).want(t, 404, "package_not_found")
	f.json("POST", path, f.tokens[auth.Auditor], `{"decision":"accepted","comment":"x"}`).want(t, 403, "insufficient_role")
}

// Decisions are one OpenVEX document, signed by the key that clients trust.
func TestOpenVEX(t *testing.T) {
	f, k, _ := newSecurity(t)
	maintainer := f.tokens[auth.Maintainer]
	fetch := func() string {
		t.Helper()
		doc := f.get("/security/openvex.json", auth.Viewer).want(t, 200, "")
		signature := f.get("/security/openvex.json.asc", auth.Viewer).want(t, 200, "")
		keys, err := index.ParseKeyring([]byte(f.do("GET", "/apt/repod.asc", "", nil).want(t, 200, "").body))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := index.VerifyDetached([]byte(doc.body), []byte(signature.body), keys, time.Now()); err != nil {
			t.Errorf("the signature: %v", err)
		}
		return doc.body
	}
	if doc := fetch(); !strings.Contains(doc, `"version": 1,`) || !strings.Contains(doc, `"statements": []`) {
		t.Errorf("without decisions: %s", doc)
	}
	k.set("tool", finding("CVE-2024-1", scan.High), finding("CVE-2024-2", scan.High))
	f.offer(tool, "jammy").want(t, 202, "")
	const path = "/security/packages/tool/1.0/decide"
	f.json("POST", path, maintainer, `{"decision":"accepted","comment":"for now","cve_ids":["CVE-2024-1"]}`).want(t, 200, "")
	f.json("POST", path, maintainer, `{"decision":"not_affected","comment":"never called","cve_ids":["CVE-2024-2"]}`).want(t, 200, "")
	var doc struct {
		ID         string `json:"@id"`
		Version    int
		Statements []struct {
			Vulnerability struct{ Name string }
			Products      []struct{ Identifiers struct{ PURL string } }
			Status        string
			Impact        string `json:"impact_statement"`
			Action        string `json:"action_statement"`
		}
	}
	text := fetch()
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(doc.ID, "/security/openvex.json") || doc.Version != 3 || len(doc.Statements) != 2 {
		t.Fatalf("with two decisions: %s", text)
	}
	for i, want := range []string{
		"CVE-2024-1 affected The risk is accepted: for now",
		"CVE-2024-2 not_affected never called",
	} {
		s := doc.Statements[i]
		if len(s.Products) != 2 || s.Products[0].Identifiers.PURL != "pkg:deb/repod/tool@1.0?arch=amd64&distro=jammy" ||
			s.Products[1].Identifiers.PURL != "pkg:deb/ubuntu/tool@1.0?arch=amd64&distro=ubuntu-22.04" {
			t.Errorf("products %+v", s.Products)
		}
		if got := s.Vulnerability.Name + " " + s.Status + " " + s.Impact + s.Action; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f.json("POST", "/security/packages/tool/1.0/quarantine", maintainer, "{}").want(t, 200, "") // ends them
	if doc := fetch(); !strings.Contains(doc, `"version": 5,`) || !strings.Contains(doc, `"statements": []`) {
		t.Errorf("after they have ended: %s", doc)
	}
}

func TestQuarantineRoutes(t *testing.T) {
	f, k, r := newSecurity(t)
	maintainer := f.tokens[auth.Maintainer]
	f.offer(tool, "jammy").want(t, 201, "")
	f.offer(tool, "focal").want(t, 201, "")
	a := f.json("POST", "/security/packages/tool/1.0/quarantine", maintainer, `{"reason":"odd"}`).want(t, 200, "")
	if !strings.Contains(a.body, `"removed_from":["focal","jammy"]`) {
		t.Errorf("quarantine: %s", a.body)
	}
	f.do("GET", "/apt/pool/main/t/tool/tool_1.0_amd64.deb", "", nil).want(t, 404, "")
	a = f.do("POST", "/security/packages/tool/1.0/quarantine", maintainer, nil).want(t, 200, "")
	if !strings.Contains(a.body, `"removed_from":[]`) {
		t.Errorf("again: %s", a.body)
	}
	f.offer(tool, "jammy").want(t, 409, "quarantined")
	f.json("POST", "/security/packages/tool/1.0/decide", maintainer, `{"decision":"accepted","comment":"x"}`).want(t, 409, "quarantined")
	r.malware = scan.Malware{Status: scan.Infected, Signature: "Test.Virus"}
	f.do("POST", "/security/packages/tool/1.0/release", maintainer, nil).want(t, 422, "rejected_malware")
	r.malware = scan.Malware{Status: scan.Clean}
	a = f.do("POST", "/security/packages/tool/1.0/release", maintainer, nil).want(t, 200, "")
	if !strings.Contains(a.body, `"status":"indexed"`) || !strings.Contains(a.body, `"distributions":["focal","jammy"]`) {
		t.Errorf("release: %s", a.body)
	}
	f.do("POST", "/security/packages/tool/1.0/release", maintainer, nil).want(t, 409, "not_quarantined")

	k.set("tool", finding("CVE-2024-1", scan.High))
	a = f.do("POST", "/security/packages/tool/1.0/rescan", maintainer, nil).want(t, 200, "")
	if !strings.Contains(a.body, `"previous_status":"indexed","status":"pending_review","new_cves":["CVE-2024-1"]`) {
		t.Errorf("rescan: %s", a.body)
	}
	a = f.get("/security/vulnerabilities?severity=high,critical&kev=false&q=tool", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"summary":{"critical":0,"high":1`) || !strings.Contains(a.body, `"affected":[{"name":"tool","version":"1.0"`) {
		t.Errorf("vulnerabilities: %s", a.body)
	}
	f.get("/security/vulnerabilities?severity=terrible", auth.Viewer).want(t, 422, "validation_failed")
	a = f.get("/security/packages-posture", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"total_packages":1,"scanned_packages":1,"unscanned_packages":0`) || !strings.Contains(a.body, `"worst_severity":"high"`) {
		t.Errorf("posture: %s", a.body)
	}
	a = f.get("/packages/", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"vulnerabilities":{"scanned":true,"critical":0,"high":1`) {
		t.Errorf("packages: %s", a.body)
	}
}

// What waits for review in one distribution is not let into another by a
// promotion, nor by the policy of a stricter one.
func TestPromotionGate(t *testing.T) {
	f, k, _ := newSecurity(t)
	f.config.Repo.Policy = func(codename string) scan.Policy {
		if codename == "focal" {
			return scan.Policy{Severities: map[scan.Severity]scan.Verdict{scan.Medium: scan.Block}}
		}
		return scan.DefaultPolicy()
	}
	k.set("tool", finding("CVE-2024-1", scan.Medium))
	f.offer(tool, "jammy").want(t, 201, "")
	a := f.post("/distributions/promote", `{"name":"tool","version":"1.0","from_distribution":"jammy","to_distribution":"focal"}`, auth.Maintainer).
		want(t, 409, "blocked_by_policy")
	if !strings.Contains(a.body, `"medium":1`) {
		t.Errorf("promote: %s", a.body)
	}
	a = f.post("/distributions/migrate", `{"from_distribution":"jammy","to_distribution":"focal"}`, auth.Maintainer).want(t, 200, "")
	if !strings.Contains(a.body, `"status":"blocked_by_policy"`) || !strings.Contains(a.body, `"migrated":0`) {
		t.Errorf("migrate: %s", a.body)
	}
	if rows, err := f.repo.PublishedRows(t.Context(), aptrepo.PublishedQuery{Distribution: "focal"}); err != nil || rows.Total != 0 {
		t.Errorf("focal has %d, %v", rows.Total, err)
	}
}

func TestClamAVStatus(t *testing.T) {
	f := newFixture(t)
	a := f.get("/security/clamav/status", auth.Viewer).want(t, 200, "")
	if a.body != `{"enabled":false,"available":false,"engine_version":null,"signature_version":null,"signature_date":null,"address":"","detail":""}`+"\n" {
		t.Errorf("status: %s", a.body)
	}
	a = f.do("POST", "/security/clamav/update", f.tokens[auth.Maintainer], nil).want(t, 503, "clamav_not_configured")
	if a.header.Get("Retry-After") != "" {
		t.Error("asks to come again")
	}
}
