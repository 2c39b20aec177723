package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/notify"
	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/httpapi"
)

// Topics of messages about events, which are kinds of jobs, too.
const (
	topicWebhook  = "event.webhook"
	topicMail     = "event.mail"      // to all operators
	topicMailEach = "event.mail_each" // to one
)

// visible is how long a delivery waits for apt to see what it tells of.
const visible = 10 * time.Second

// A notifier lets webhooks and operators know of events.
type notifier struct {
	settings func() *live.Settings
	// post makes one attempt at a webhook: that of a notify.Poster.
	post func(context.Context, notify.Webhook, notify.Delivery) (int, error)
	// await waits until apt sees what was committed to distributions.
	await func(ctx context.Context, codenames ...string) error
	// mailTo has a notice sent to one operator, once for a key.
	mailTo func(ctx context.Context, n notify.Notice, key string) error
	mail   *mailPoster
	random func() float64 // from 0 up to 1
	log    *slog.Logger
}

// newNotifier makes messages of the repository's events.
func (c *serveConfig) newNotifier(o *opened, set *live.Service, mail *mailPoster) *notifier {
	n := &notifier{
		settings: set.Current, post: c.poster.Post, await: o.repo.AwaitPublication, mail: mail, random: rand.Float64, log: c.log,
	}
	o.repo.Messages = n.messages
	return n
}

// webhookArgs are the arguments of a job that delivers. The body is text, since
// a database may write JSON in another way, and the signature is over each byte.
type webhookArgs struct {
	ID    string `json:"id"`
	Event string `json:"event"`
	To    string `json:"to,omitempty"` // the receiver, see settings.Webhook
	Body  string `json:"body"`
	Text  string `json:"text"` // for chats
	// Distributions are those where apt should see it first.
	Distributions []string `json:"distributions,omitempty"`
}

// messages is what is to be done about an event, by the settings as they are.
func (n *notifier) messages(e aptrepo.Event) []aptrepo.Message {
	var list []aptrepo.Message
	add := func(topic string, args any) {
		payload, err := json.Marshal(args)
		if err != nil {
			n.log.Error("an event cannot be told of", "event", e.Kind, "error", err)
			return
		}
		list = append(list, aptrepo.Message{Topic: topic, Payload: payload})
	}
	now := n.settings()
	if to := receivers(&now.Webhook, string(e.Kind)); len(to) > 0 {
		d, sent, err := httpapi.NewWebhookDelivery(e, now.PublicURL)
		switch {
		case err != nil:
			n.log.Error("an event cannot be told of", "event", e.Kind, "error", err)
		case sent:
			for _, id := range to {
				add(topicWebhook, webhookArgs{d.ID, d.Event, id, string(d.Body), e.String(), places(e)})
			}
		}
	}
	if kind := mailKind(e); kind != "" && now.SMTP.Enabled && len(now.SMTP.Recipients) > 0 && slices.Contains(now.SMTP.Kinds, kind) {
		add(topicMail, noticeOf(e, now.PublicURL))
	}
	return list
}

// receivers are those that are to get an event.
func receivers(s *live.Webhook, event string) (ids []string) {
	if !s.Enabled {
		return nil
	}
	for _, id := range s.Receivers() {
		if one, _ := s.Receiver(id); len(one.Events) == 0 || slices.Contains(one.Events, event) {
			ids = append(ids, id)
		}
	}
	return ids
}

// places are the distributions whose publication an event is about.
func places(e aptrepo.Event) []string {
	if e.Distribution != "" {
		return []string{e.Distribution}
	}
	return e.Distributions
}

// kinds returns what is done about each topic.
func (n *notifier) kinds() []jobs.Kind {
	return []jobs.Kind{
		{
			Name: topicWebhook, Internal: true, Queue: "webhook", Work: n.deliver, Timeout: 2 * time.Minute,
			Retry: notify.WebhookRetry(), Pause: func(d time.Duration) time.Duration { return notify.Jitter(d, n.random()) },
		},
		{Name: topicMail, Internal: true, Work: n.mailAll, Timeout: time.Minute, Retry: mailRetry},
		{Name: topicMailEach, Internal: true, Work: n.mailOne, Timeout: 3 * time.Minute, Retry: mailRetry},
	}
}

// deliver makes one attempt to deliver an event.
func (n *notifier) deliver(ctx context.Context, t *jobs.Task) (any, error) {
	var args webhookArgs
	if err := t.Args(&args); err != nil {
		return nil, err
	}
	s, known := n.settings().Webhook.Receiver(args.To)
	if !known || !s.Enabled {
		n.log.DebugContext(ctx, "a delivery is dropped: the webhook is switched off", "delivery", args.ID, "target", args.To)
		return nil, nil
	}
	if err := n.wait(ctx, args.Distributions); err != nil {
		return nil, err
	}
	_, err := n.post(ctx, webhookOf(s), notify.Delivery{ID: args.ID, Event: args.Event, Attempt: t.Attempt, Body: []byte(args.Body), Text: args.Text})
	var failed *notify.WebhookError
	if !errors.As(err, &failed) || !failed.Gone() && t.Attempt < int(s.MaxAttempts) {
		return nil, err
	}
	n.log.ErrorContext(ctx, "a webhook delivery is given up", "delivery", args.ID, "event", args.Event, "target", args.To,
		"receiver", receiver(s.URL), "attempts", t.Attempt, "http_status", failed.Status, "error", err)
	return nil, jobs.Permanent(err)
}

// wait lets apt see first what a receiver may act on. A publication that fails
// does not hold up the event.
func (n *notifier) wait(ctx context.Context, codenames []string) error {
	if len(codenames) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, visible)
	defer cancel()
	if err := n.await(limited, codenames...); err != nil && ctx.Err() == nil && limited.Err() == nil {
		return err
	}
	return ctx.Err()
}

// receiver is what may be told of a URL whose path may be a key.
func receiver(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

func webhookOf(s live.Webhook) notify.Webhook {
	return notify.Webhook{URL: s.URL, Secret: string(s.Secret), Format: s.Format, Timeout: time.Duration(s.TimeoutSeconds) * time.Second}
}

// testWebhook posts an event as the settings say, switched on or not.
func (c *serveConfig) testWebhook(ctx context.Context, s live.Webhook, d httpapi.WebhookDelivery) (int, error) {
	return c.poster.Post(ctx, webhookOf(s), notify.Delivery{
		ID: d.ID, Event: d.Event, Attempt: 1, Body: d.Body, Text: "a test: the webhook of the package repository works",
	})
}

// mailKind is the kind of mail that operators get of an event, "" for none.
func mailKind(e aptrepo.Event) string {
	switch e.Kind {
	case aptrepo.EventPackagePending:
		return "review_needed"
	case aptrepo.EventPackageReleased:
		if e.Artifact.Status == aptrepo.PendingReview {
			return "review_needed"
		}
	case aptrepo.EventPackageRejected:
		return "package_rejected"
	case aptrepo.EventPackageQuarantined:
		return "package_quarantined"
	case aptrepo.EventDecisionMade:
		return "decision_made"
	case aptrepo.EventDecisionExpiring:
		return "decision_expiring"
	case aptrepo.EventDecisionExpired:
		return "decision_expired"
	case aptrepo.EventVulnerabilities:
		if e.Verdict == aptrepo.Review || e.Verdict == aptrepo.Block {
			return "new_vulnerabilities"
		}
	case aptrepo.EventSyncFailed:
		if !e.Again {
			return "sync_failed"
		}
	case aptrepo.EventKeyExpiring:
		return "key_expiring"
	}
	return ""
}

// noticeOf writes a mail about an event.
func noticeOf(e aptrepo.Event, publicURL string) notify.Notice {
	n := notify.Notice{Subject: e.String()}
	fact := func(name, value string) {
		if value != "" {
			n.Facts = append(n.Facts, notify.Fact{Name: name, Value: value})
		}
	}
	if a := e.Artifact; a != nil {
		fact("Package", a.Name+" "+a.Version+" ("+a.Arch+")")
		fact("Status", string(a.Status))
		fact("Reason", a.StatusReason)
		fact("SHA-256", a.SHA256)
	}
	fact("Distributions", strings.Join(e.Distributions, ", "))
	if d := e.Decision; d != nil {
		fact("Decision", string(d.Ruling)+" by "+d.DecidedBy)
		fact("Comment", d.Comment)
		if !d.ExpiresAt.IsZero() {
			fact("Expires", d.ExpiresAt.Format(time.RFC3339))
		}
	}
	for i, f := range e.Findings {
		if i == 20 {
			break
		}
		fact("Vulnerability", f.ID+" "+string(f.Severity))
	}
	fact("Detail", e.Detail)
	fact("By", e.Actor)
	fact("Time", e.Time.Format(time.RFC3339))
	if publicURL != "" {
		n.Link = strings.TrimRight(publicURL, "/") + "/ui/"
	}
	return n
}

// mailAll hands a notice to each operator's own job: an address that is refused
// does not keep it from the others, nor send it to them twice.
func (n *notifier) mailAll(ctx context.Context, t *jobs.Task) (any, error) {
	var notice notify.Notice
	if err := t.Args(&notice); err != nil {
		return nil, err
	}
	if !n.mail.on(ctx, t) {
		return nil, nil
	}
	for _, to := range n.settings().SMTP.Recipients {
		notice.To = to
		if err := n.mailTo(ctx, notice, t.ID+" "+to); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (n *notifier) mailOne(ctx context.Context, t *jobs.Task) (any, error) {
	var notice notify.Notice
	if err := t.Args(&notice); err != nil {
		return nil, err
	}
	if !n.mail.on(ctx, t) {
		return nil, nil
	}
	return nil, n.mail.post(ctx, t, notice.Mail)
}
