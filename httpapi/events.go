package httpapi

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// A WebhookDelivery is an event on its way to a webhook.
type WebhookDelivery struct {
	ID    string // the same at each attempt; a random UUID
	Event string
	Body  []byte // JSON
}

// testEvent is the event of a webhook that is tried.
const testEvent = "webhook.test"

// NewWebhookDelivery returns what a webhook gets of an event, and false for
// events that are not sent. repository is what clients call the server.
func NewWebhookDelivery(e aptrepo.Event, repository string) (d WebhookDelivery, sent bool, err error) {
	data := eventData(e)
	if data == nil {
		return d, false, nil
	}
	d, err = newDelivery(string(e.Kind), e.Time, repository, e.Actor, data)
	return d, true, err
}

func newDelivery(event string, at time.Time, repository, actor string, data any) (WebhookDelivery, error) {
	d := WebhookDelivery{ID: newUUID(), Event: event}
	var err error
	d.Body, err = json.Marshal(struct {
		ID         string    `json:"id"`
		Event      string    `json:"event"`
		CreatedAt  timestamp `json:"created_at"`
		Repository string    `json:"repository"`
		Actor      string    `json:"actor"`
		Data       any       `json:"data"`
	}{d.ID, event, timestamp(at), repository, actor, data})
	return d, err
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// packageJSON begins the data of events about artifacts.
type packageJSON struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
}

// mostFound and mostDescription bound what an event lists of vulnerabilities: a
// kernel has thousands.
const (
	mostFound       = 100
	mostDescription = 300 // characters
)

// eventData is the member data of an event, nil for one that is not sent.
func eventData(e aptrepo.Event) any {
	var pkg packageJSON
	var status aptrepo.Status
	if a := e.Artifact; a != nil {
		pkg, status = packageJSON{a.Name, a.Version, a.Arch}, a.Status
	}
	switch e.Kind {
	case aptrepo.EventPackageIndexed, aptrepo.EventPackagePending, aptrepo.EventPackageRejected:
		return gateData(e, pkg)
	case aptrepo.EventPackageQuarantined, aptrepo.EventPackageReleased:
		return struct {
			packageJSON
			Distributions []string       `json:"distributions"`
			Status        aptrepo.Status `json:"status"`
			Reason        string         `json:"reason"`
		}{pkg, list(e.Distributions), status, e.Reason}
	case aptrepo.EventPackagePromoted:
		return struct {
			packageJSON
			From      string `json:"from_distribution"`
			To        string `json:"to_distribution"`
			Component string `json:"component"`
		}{pkg, e.From, e.Distribution, e.Component}
	case aptrepo.EventPackageDeleted:
		return struct {
			packageJSON
			Distributions []string `json:"distributions"`
		}{pkg, list(e.Distributions)}
	case aptrepo.EventDecisionMade, aptrepo.EventDecisionExpired:
		return struct {
			decisionJSON
			Status aptrepo.Status `json:"status"`
		}{newDecision(*e.Decision), status}
	case aptrepo.EventVulnerabilities:
		return struct {
			packageJSON
			Status aptrepo.Status `json:"status"`
			CVEs   []cveJSON      `json:"cves"`
			Total  int            `json:"cves_total"`
		}{pkg, status, foundJSON(e.Findings), len(e.Findings)}
	}
	return otherData(e)
}

// gateData is what became of a package at the gate, or by a rescan.
func gateData(e aptrepo.Event, pkg packageJSON) any {
	data := struct {
		packageJSON
		Distribution  string         `json:"distribution"`
		Component     string         `json:"component"`
		Distributions []string       `json:"distributions"`
		Status        aptrepo.Status `json:"status"`
		SHA256        string         `json:"sha256"`
		StatusReason  *string        `json:"status_reason,omitempty"`
		Scan          *scanJSON      `json:"scan,omitempty"`
	}{packageJSON: pkg, Distribution: e.Distribution, Component: e.Component, Distributions: list(e.Distributions),
		Status: e.Artifact.Status, SHA256: e.Artifact.SHA256}
	if e.Kind != aptrepo.EventPackageIndexed && e.Scan != nil {
		s := newScan(*e.Scan)
		data.StatusReason, data.Scan = &e.Artifact.StatusReason, &s
	}
	return data
}

// otherData is that of events that are not about one artifact.
func otherData(e aptrepo.Event) any {
	switch e.Kind {
	case aptrepo.EventImportFinished:
		return struct {
			Group    string `json:"group"`
			Imported int    `json:"imported"`
			Skipped  int    `json:"skipped"`
			Errors   int    `json:"errors"`
		}{e.Group, e.Imported, e.Skipped, e.Failed}
	case aptrepo.EventSyncFailed:
		return struct {
			SourceID string `json:"source_id"`
			Code     string `json:"code"`
			Detail   string `json:"detail"`
		}{e.SourceID, e.Code, oneLine(e.Detail)}
	case aptrepo.EventScannerUnavailable:
		return struct {
			Detail string `json:"detail"`
		}{oneLine(e.Detail)}
	case aptrepo.EventDistributionCreated:
		return struct {
			Codename    string `json:"codename"`
			Description string `json:"description"`
		}{e.Distribution, e.Description}
	case aptrepo.EventRetentionFinished:
		return struct {
			Removed    int   `json:"removed_count"`
			FreedBytes int64 `json:"freed_bytes"`
		}{e.Removed, e.FreedBytes}
	case aptrepo.EventKeyGenerated:
		return struct {
			Fingerprint string    `json:"fingerprint"`
			Algorithm   string    `json:"algorithm"`
			ExpiresAt   timestamp `json:"expires_at"`
		}{e.Fingerprint, e.Algorithm, timestamp(e.ExpiresAt)}
	}
	return nil
}

// foundJSON lists the worst of new findings.
func foundJSON(findings []scan.Finding) []cveJSON {
	out := newCVEs(findings[:min(len(findings), mostFound)], nil, false)
	for i := range out {
		if d := []rune(out[i].Description); len(d) > mostDescription {
			out[i].Description = string(d[:mostDescription-1]) + "…"
		}
	}
	return out
}

type webhookTestJSON struct {
	Status     string `json:"status"`
	HTTPStatus int    `json:"http_status"`
	ID         string `json:"delivery_id"`
	Duration   int64  `json:"duration_ms"`
}

// testWebhook posts an event whose only sense is to be posted.
func (a *api) testWebhook(c *call) error {
	s := a.Settings.Current()
	q := newQuery(c.Request)
	target := q.text("target", 64)
	if err := q.err(); err != nil {
		return err
	}
	hook, known := s.Webhook.Receiver(target)
	switch {
	case a.TestWebhook == nil || !known && target == "":
		return newProblem(http.StatusBadRequest, "webhook_not_configured", "The setting webhook.url is needed.")
	case !known:
		return newProblem(http.StatusBadRequest, "webhook_not_configured", "webhook.targets has no target of this ID that is enabled.")
	}
	d, err := newDelivery(testEvent, a.Now(), s.PublicURL, c.who.Name, struct {
		Message string `json:"message"`
	}{"This is a test: the webhook of the package repository works."})
	if err != nil {
		return err
	}
	begun := time.Now()
	status, failed := a.TestWebhook(c.detach(), hook, d)
	took := time.Since(begun)
	answer := a.recordTest(c, "settings.test_webhook", receiverOf(hook.URL), "webhook_failed", "The webhook could not be delivered", failed)
	if answer != nil {
		return webhookProblem(answer, status, failed)
	}
	return writeJSON(c.w, http.StatusOK, webhookTestJSON{"ok", status, d.ID, took.Milliseconds()})
}

// receiverOf is what may be told of a URL whose path may be a key.
func receiverOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// webhookProblem adds to the answer to a failed test what it was answered with.
func webhookProblem(answer error, status int, failed error) error {
	var p *problem
	if !errors.As(answer, &p) {
		return answer
	}
	var timed interface{ Timeout() bool }
	if errors.As(failed, &timed) && timed.Timeout() {
		return newProblem(http.StatusGatewayTimeout, "webhook_timeout", "%s", p.Detail)
	}
	p.HTTPStatus = status
	return p
}
