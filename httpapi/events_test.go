package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/scan"
)

var uuidRE = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

type slowError struct{ error }

func (slowError) Timeout() bool { return true }

func TestTestWebhook(t *testing.T) {
	var asked settings.Webhook
	var got WebhookDelivery
	var status int
	var failed error
	f := newFixture(t, func(c *Config) {
		c.TestWebhook = func(_ context.Context, s settings.Webhook, d WebhookDelivery) (int, error) {
			asked, got = s, d
			return status, failed
		}
	})
	admin := f.tokens[auth.Admin]
	post := func() answer { return f.do("POST", "/settings/test-webhook", admin, nil) }
	f.do("POST", "/settings/test-webhook", f.tokens[auth.Maintainer], nil).want(t, 403, "insufficient_role")
	post().want(t, 400, "webhook_not_configured")
	f.json("PATCH", "/settings", admin,
		`{"public_url":"https://repo.example.com","webhook":{"url":"https://hook.example.com/k3y?t=k3y","secret":"s3cr3t"}}`).want(t, 200, "")

	status = 204
	a := post().want(t, 200, "")
	a.keys(t, "status", "http_status", "delivery_id", "duration_ms")
	var out struct {
		Status     string `json:"status"`
		HTTPStatus int    `json:"http_status"`
		ID         string `json:"delivery_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || out.Status != "ok" || out.HTTPStatus != 204 || out.ID != got.ID || !uuidRE.MatchString(got.ID) {
		t.Errorf("%s, %v", a.body, err)
	}
	if asked.Enabled || string(asked.Secret) != "s3cr3t" || got.Event != "webhook.test" {
		t.Errorf("asked for %+v, %+v", asked, got)
	}
	want := `^\{"id":"` + got.ID + `","event":"webhook.test","created_at":"[0-9TZ:-]{20}","repository":"https://repo.example.com","actor":"token:role-admin","data":\{"message":"[^"]+"\}\}$`
	if !regexp.MustCompile(want).Match(got.Body) {
		t.Errorf("body %s", got.Body)
	}
	if got := f.lastEntry(); got != "token:role-admin settings.test_webhook success https://hook.example.com" {
		t.Errorf("entry %q", got)
	}
	former := got.ID
	status, failed = 500, errors.New("the receiver answered with status 500")
	if a := post().want(t, 502, "webhook_failed"); !strings.Contains(a.body, `"http_status":500`) || got.ID == former {
		t.Errorf("%s", a.body)
	}
	if got := f.lastEntry(); got != "token:role-admin settings.test_webhook failure https://hook.example.com the receiver answered with status 500" {
		t.Errorf("entry %q", got)
	}
	status, failed = 0, errors.New("refused")
	if a := post().want(t, 502, "webhook_failed"); strings.Contains(a.body, "http_status") {
		t.Errorf("%s", a.body)
	}
	failed = fmt.Errorf("posting: %w", slowError{errors.New("no answer")})
	post().want(t, 504, "webhook_timeout")

	status, failed = 200, nil
	f.json("PATCH", "/settings", admin, `{"webhook":{"targets":[{"id":"chat","url":"https://chat.example.com/","secret":"0ther"},
		{"id":"off","url":"https://off.example.com/","enabled":false}]}}`).want(t, 200, "")
	f.do("POST", "/settings/test-webhook?target=chat", admin, nil).want(t, 200, "")
	if asked.URL != "https://chat.example.com/" || string(asked.Secret) != "0ther" {
		t.Errorf("asked for %q with %q", asked.URL, string(asked.Secret))
	}
	f.do("POST", "/settings/test-webhook?target=off", admin, nil).want(t, 400, "webhook_not_configured")
	f.do("POST", "/settings/test-webhook?target=none", admin, nil).want(t, 400, "webhook_not_configured")
}

// samples are events with everything that they can have.
func samples() []aptrepo.Event {
	at := time.Date(2026, 5, 12, 10, 0, 3, 5e8, time.UTC)
	a := &aptrepo.Artifact{Name: "nginx", Version: "1.24.0", Arch: "amd64", Status: "s", StatusReason: "cve", SHA256: "9f86"}
	d := &aptrepo.Decision{ID: "dec_1", Name: "nginx", Version: "1.24.0", Arch: "amd64", Ruling: "accepted", Comment: "c", DecidedBy: "admin", DecidedAt: at, Active: true}
	all := aptrepo.Event{
		Time: at, Actor: "token:gitlab-ci", Artifact: a, Scan: &aptrepo.ScanSummary{Verdict: aptrepo.Review}, Reason: "why", Decision: d,
		Findings: []scan.Finding{{ID: "CVE-1", Severity: scan.High, Description: strings.Repeat("ä", 500)}}, From: "jammy", Distribution: "noble",
		Component: "main", Distributions: []string{"jammy"}, Description: "text", Fingerprint: "6F8A", Algorithm: "ed25519",
		Group: "web", Imported: 1, Skipped: 2, Failed: 3, SourceID: "debian", Code: "upstream_unreachable", Detail: "a\nb", Removed: 4, FreedBytes: 5,
	}
	var list []aptrepo.Event
	for _, kind := range settings.WebhookEvents {
		if kind != testEvent {
			all.Kind = aptrepo.EventKind(kind)
			list = append(list, all)
		}
	}
	return list
}

// The bodies are written down, as receivers depend on them.
func TestWebhookBodies(t *testing.T) {
	var lines []string
	for _, e := range samples() {
		d, sent, err := NewWebhookDelivery(e, "https://repo.example.com")
		if !sent || err != nil || d.Event != string(e.Kind) || !uuidRE.MatchString(d.ID) {
			t.Fatalf("%s: %t, %v, %+v", e.Kind, sent, err, d)
		}
		body, found := strings.CutPrefix(string(d.Body), `{"id":"`+d.ID+`","event":"`+d.Event+
			`","created_at":"2026-05-12T10:00:03Z","repository":"https://repo.example.com","actor":"token:gitlab-ci","data":`)
		if !found {
			t.Errorf("%s", d.Body)
		}
		lines = append(lines, d.Event+"\t"+strings.TrimSuffix(body, "}"))
	}
	got := strings.Join(lines, "\n") + "\n"
	const name = "testdata/webhooks.tsv"
	if os.Getenv("REPOD_UPDATE") != "" {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || got != string(want) {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
	for _, kind := range []aptrepo.EventKind{aptrepo.EventPackageRescanned, aptrepo.EventDecisionExpiring, aptrepo.EventKeyExpiring} {
		if _, sent, _ := NewWebhookDelivery(aptrepo.Event{Kind: kind}, ""); sent {
			t.Errorf("%s is sent", kind)
		}
	}
}

// Every kind of event that package aptrepo has is one that a webhook can get, or
// one of the three that are its own affair.
func TestWebhookEventsComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../aptrepo/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	own := []string{"package.rescanned", "decision.expiring", "gpg.expiring"}
	kinds := []string{testEvent}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				kind, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(own, kind) {
					kinds = append(kinds, kind)
				}
			}
		}
		return true
	})
	slices.Sort(kinds)
	if want := slices.Sorted(slices.Values(settings.WebhookEvents)); !slices.Equal(kinds, want) {
		t.Errorf("kinds\n got %q\nwant %q", kinds, want)
	}
}
