package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/notify"
	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan"
)

// A desk is a notifier whose jobs run on a real runner, with short pauses.
type desk struct {
	*notifier
	set    *live.Settings
	runner *jobs.Runner

	mu    sync.Mutex
	posts []notify.Delivery
	hooks []notify.Webhook // of posts
	mails []string
	log   bytes.Buffer
}

func (d *desk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

func newDesk(t *testing.T, post func(attempt int) (int, error)) *desk {
	t.Helper()
	d := &desk{set: live.Default()}
	d.set.Webhook.Enabled, d.set.Webhook.URL, d.set.Webhook.Secret = true, "https://hook.example.com/k3y", "s3cr3t"
	d.set.SMTP.Enabled, d.set.SMTP.Recipients = true, []string{"a@example.com", "b@example.com"}
	log := slog.New(slog.NewTextHandler(d, &slog.HandlerOptions{Level: slog.LevelDebug}))
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "jobs.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	d.runner = &jobs.Runner{DB: db, Dialect: jobs.SQLite, Logger: log}
	d.notifier = &notifier{
		settings: func() *live.Settings { return d.set }, log: log, random: func() float64 { return 0.5 },
		await: func(context.Context, ...string) error { return nil },
		post: func(_ context.Context, w notify.Webhook, del notify.Delivery) (int, error) {
			d.mu.Lock()
			d.posts, d.hooks = append(d.posts, del), append(d.hooks, w)
			d.mu.Unlock()
			return post(del.Attempt)
		},
		mail: &mailPoster{log: log, enabled: func(context.Context) bool { return d.set.SMTP.Enabled },
			send: func(_ context.Context, m notify.Mail) error {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.mails = append(d.mails, m.To[0]+" "+m.Subject)
				if m.To[0] == "b@example.com" && len(d.mails) < 4 {
					return &notify.Error{Temporary: true, Err: errors.New("451 later")}
				}
				return nil
			}},
	}
	d.mailTo = (&background{runner: d.runner}).mailTo
	for _, k := range d.kinds() {
		for _, pause := range k.Retry {
			if k.Pause != nil && k.Pause(pause) != pause+pause/20 {
				t.Errorf("pause of %s for %s", k.Pause(pause), pause)
			}
		}
		// The loop stands for the pauses.
		work, attempts := k.Work, 1+len(k.Retry)
		k.Retry = nil
		k.Work = func(ctx context.Context, task *jobs.Task) (result any, err error) {
			for task.Attempt = 1; task.Attempt <= attempts; task.Attempt++ {
				if result, err = work(ctx, task); err == nil || jobs.IsPermanent(err) {
					break
				}
				log.Warn("again", "error", err)
			}
			return result, err
		}
		d.runner.Register(k)
	}
	if err := d.runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.runner.Stop(context.Background()) })
	return d
}

// tell enqueues the messages of an event, as the relay does.
func (d *desk) tell(t *testing.T, e aptrepo.Event) (topics []string) {
	t.Helper()
	for _, m := range d.messages(e) {
		topics = append(topics, m.Topic)
		if _, err := d.runner.Enqueue(t.Context(), m.Topic, json.RawMessage(m.Payload), jobs.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	return topics
}

func (d *desk) eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		d.mu.Lock()
		ok := cond()
		d.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never: %s\n%s", what, &d.log)
		}
	}
}

var nginx = &aptrepo.Artifact{Name: "nginx", Version: "1.24.0", Arch: "amd64", Status: aptrepo.PendingReview, StatusReason: "cve"}

func TestDeliver(t *testing.T) {
	answer := func(status int) (int, error) {
		if status/100 == 2 {
			return status, nil
		}
		return status, &notify.WebhookError{Status: status, Err: fmt.Errorf("the receiver answered with status %d", status)}
	}
	for _, tt := range []struct {
		name     string
		statuses []int // of the attempts; the last goes on
		attempts int
		log      string
	}{
		{"delivered", []int{204}, 1, ""},
		{"busy", []int{500, 302, 0, 200}, 4, "msg=again"},
		{"gone", []int{500, 410}, 2, "a webhook delivery is given up"},
		{"dead", []int{500}, 5, "a webhook delivery is given up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t, func(attempt int) (int, error) {
				return answer(tt.statuses[min(attempt, len(tt.statuses))-1])
			})
			d.set.Webhook.MaxAttempts = 5
			d.tell(t, aptrepo.Event{Kind: aptrepo.EventDistributionCreated, Distribution: "jammy"})
			d.eventually(t, "all attempts", func() bool { return len(d.posts) >= tt.attempts && strings.Contains(d.log.String(), tt.log) })
			time.Sleep(100 * time.Millisecond) // for one too many
			d.mu.Lock()
			defer d.mu.Unlock()
			if len(d.posts) != tt.attempts {
				t.Errorf("%d attempts", len(d.posts))
			}
			for i, p := range d.posts {
				if p.ID != d.posts[0].ID || string(p.Body) != string(d.posts[0].Body) || p.Attempt != i+1 || !strings.Contains(string(p.Body), p.ID) {
					t.Errorf("attempt %d: %+v", i+1, p)
				}
			}
			if log := d.log.String(); strings.Contains(log, "k3y") || strings.Contains(log, "s3cr3t") || strings.Contains(log, "given up") != (tt.log == "a webhook delivery is given up") {
				t.Errorf("log\n%s", log)
			}
		})
	}
}

func TestEventsWanted(t *testing.T) {
	d := newDesk(t, func(int) (int, error) { return 200, nil })
	pending := aptrepo.Event{Kind: aptrepo.EventPackagePending, Artifact: nginx, Distribution: "jammy", Scan: &aptrepo.ScanSummary{}}
	want := func(what string, e aptrepo.Event, topics ...string) {
		t.Helper()
		var got []string
		for _, m := range d.messages(e) {
			got = append(got, m.Topic)
		}
		if !slices.Equal(got, topics) {
			t.Errorf("%s: messages %q, want %q", what, got, topics)
		}
	}
	want("both", pending, topicWebhook, topicMail)
	d.set.Webhook.Events = []string{"package.indexed"}
	want("another event", pending, topicMail)
	want("that event", aptrepo.Event{Kind: aptrepo.EventPackageIndexed, Artifact: nginx, Scan: &aptrepo.ScanSummary{}}, topicWebhook)
	d.set.SMTP.Kinds = []string{"sync_failed"}
	want("another kind", pending)
	want("that kind", aptrepo.Event{Kind: aptrepo.EventSyncFailed}, topicMail)
	want("no news", aptrepo.Event{Kind: aptrepo.EventSyncFailed, Again: true})
	d.set.SMTP.Recipients = nil
	want("nobody", aptrepo.Event{Kind: aptrepo.EventSyncFailed})
	d.set = live.Default()
	want("nothing is set", pending)

	d.set.Webhook.Enabled, d.set.Webhook.URL = true, "https://x/"
	d.tell(t, pending)
	d.eventually(t, "it is delivered", func() bool { return len(d.posts) == 1 })
	messages := d.messages(pending)
	d.set.Webhook.Enabled = false // while it waits
	if _, err := d.runner.Enqueue(t.Context(), topicWebhook, json.RawMessage(messages[0].Payload), jobs.Options{}); err != nil {
		t.Fatal(err)
	}
	d.eventually(t, "it is dropped", func() bool { return strings.Contains(d.log.String(), "switched off") })
	if len(d.posts) != 1 {
		t.Error("it was posted though switched off")
	}
}

// Each target gets what it wants, by its own secret and format, and one that
// refuses holds up no other.
func TestTargets(t *testing.T) {
	d := newDesk(t, func(int) (int, error) { return 200, nil })
	post := d.post
	d.post = func(ctx context.Context, w notify.Webhook, del notify.Delivery) (int, error) {
		if status, err := post(ctx, w, del); w.URL != "https://down.example.com/k3y" {
			return status, err
		}
		return 500, &notify.WebhookError{Status: 500, Err: errors.New("down")}
	}
	d.set.SMTP.Enabled = false
	d.set.Webhook.Targets = live.Targets{
		{ID: "down", Enabled: true, URL: "https://down.example.com/k3y", Format: "json"},
		{ID: "chat", Enabled: true, URL: "https://chat.example.com/", Secret: "0ther", Format: "slack"},
		{ID: "other", Enabled: true, URL: "https://other.example.com/", Events: []string{"package.indexed"}},
		{ID: "off", URL: "https://off.example.com/"},
		{ID: "gone", Enabled: true, URL: "https://gone.example.com/"},
	}
	event := aptrepo.Event{Kind: aptrepo.EventDistributionCreated, Distribution: "jammy"}
	messages := d.messages(event)
	if len(messages) != 4 {
		t.Fatalf("%d messages", len(messages))
	}
	d.set.Webhook.Targets = d.set.Webhook.Targets[:4] // while it waits
	for _, m := range messages {
		if _, err := d.runner.Enqueue(t.Context(), m.Topic, json.RawMessage(m.Payload), jobs.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	d.eventually(t, "the last is dropped, the first given up", func() bool {
		log := d.log.String()
		return strings.Contains(log, "target=gone") && strings.Contains(log, "given up") && len(d.posts) == 8
	})
	got := make(map[string]notify.Webhook)
	for i, hook := range d.hooks {
		got[hook.URL] = hook
		if d.posts[i].ID != d.posts[0].ID {
			t.Error("receivers do not get the same event")
		}
	}
	if len(got) != 3 || got["https://chat.example.com/"].Secret != "0ther" || got["https://chat.example.com/"].Format != "slack" ||
		got["https://hook.example.com/k3y"].Secret != "s3cr3t" || got["https://down.example.com/k3y"].Secret != "" {
		t.Errorf("posted to %+v", got)
	}
	if log := d.log.String(); strings.Contains(log, "k3y") || !strings.Contains(log, "target=down") {
		t.Errorf("log\n%s", log)
	}
}

// Each operator gets each mail once, also when another's is refused for a while,
// and when handing them out breaks off and is done again.
func TestOperatorMail(t *testing.T) {
	d := newDesk(t, func(int) (int, error) { return 200, nil })
	d.set.Webhook.Enabled = false
	hand, calls := d.mailTo, 0
	d.mailTo = func(ctx context.Context, n notify.Notice, key string) error {
		if calls++; calls == 2 {
			return errors.New("the database is away")
		}
		return hand(ctx, n, key)
	}
	d.tell(t, aptrepo.Event{Kind: aptrepo.EventPackagePending, Artifact: nginx, Actor: "ann"})
	d.eventually(t, "all mails", func() bool { return len(d.mails) >= 4 })
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.mails)
	const subject = " [repod] nginx 1.24.0 (amd64) waits for review: cve"
	if want := []string{"a@example.com" + subject, "b@example.com" + subject, "b@example.com" + subject, "b@example.com" + subject}; !slices.Equal(d.mails, want) {
		t.Errorf("mails %q", d.mails)
	}
}

func TestMailKinds(t *testing.T) {
	released := *nginx
	released.Status = aptrepo.Indexed
	found := []scan.Finding{{ID: "CVE-1"}}
	kinds := map[string]bool{}
	for _, tt := range []struct {
		e    aptrepo.Event
		want string
	}{
		{aptrepo.Event{Kind: aptrepo.EventPackageIndexed}, ""},
		{aptrepo.Event{Kind: aptrepo.EventPackagePending}, "review_needed"},
		{aptrepo.Event{Kind: aptrepo.EventPackageReleased, Artifact: nginx}, "review_needed"},
		{aptrepo.Event{Kind: aptrepo.EventPackageReleased, Artifact: &released}, ""},
		{aptrepo.Event{Kind: aptrepo.EventPackageRejected}, "package_rejected"},
		{aptrepo.Event{Kind: aptrepo.EventPackageQuarantined}, "package_quarantined"},
		{aptrepo.Event{Kind: aptrepo.EventDecisionMade}, "decision_made"},
		{aptrepo.Event{Kind: aptrepo.EventDecisionExpiring}, "decision_expiring"},
		{aptrepo.Event{Kind: aptrepo.EventDecisionExpired}, "decision_expired"},
		{aptrepo.Event{Kind: aptrepo.EventVulnerabilities, Findings: found, Verdict: aptrepo.Review}, "new_vulnerabilities"},
		{aptrepo.Event{Kind: aptrepo.EventVulnerabilities, Findings: found, Verdict: aptrepo.Warn}, ""},
		{aptrepo.Event{Kind: aptrepo.EventSyncFailed}, "sync_failed"},
		{aptrepo.Event{Kind: aptrepo.EventSyncFailed, Again: true}, ""},
		{aptrepo.Event{Kind: aptrepo.EventKeyExpiring}, "key_expiring"},
	} {
		kinds[tt.want] = true
		if got := mailKind(tt.e); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.e.Kind, got, tt.want)
		}
	}
	for _, kind := range live.MailKinds {
		if !kinds[kind] {
			t.Errorf("no event gives a mail %s", kind)
		}
	}
}

// A hookRequest is what a receiver got.
type hookRequest struct {
	header http.Header
	body   string
}

// A server that is killed between two attempts goes on where it was, with the
// same delivery; the test delivery and the mail to operators come from it, too.
func TestEventsSurviveKill(t *testing.T) {
	got := make(chan hookRequest, 50)
	var fail sync.Map // events whose first attempt is refused
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if _, refuse := fail.Load(r.Header.Get("X-Repod-Event")); refuse && r.Header.Get("X-Repod-Attempt") == "1" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		got <- hookRequest{r.Header, string(body)}
	}))
	defer hook.Close()
	seen := map[string]bool{} // what may come again after the kill, by delivery
	next := func(event, attempt string) hookRequest {
		t.Helper()
		select {
		case r := <-got:
			for seen[r.header.Get("X-Repod-Delivery")] {
				r = <-got
			}
			h := r.header
			if h.Get("X-Repod-Event") != event || h.Get("X-Repod-Attempt") != attempt {
				t.Fatalf("got %s, attempt %s; want %s, attempt %s", h.Get("X-Repod-Event"), h.Get("X-Repod-Attempt"), event, attempt)
			}
			if h.Get("X-Repod-Signature") != notify.Signature("s3cr3t", h.Get("X-Repod-Timestamp"), []byte(r.body)) {
				t.Error("the signature is wrong")
			}
			return r
		case <-time.After(60 * time.Second):
			t.Fatalf("%s does not come", event)
		}
		return hookRequest{}
	}
	box, address := openPostbox(t)
	dir := t.TempDir()
	start := func(log string) *testServer {
		s, err := launch(dir, filepath.Join(dir, log), []string{"REPOD_ADMIN_PASSWORD=" + testPassword},
			"--data-dir", filepath.Join(dir, "data"), "--outbound", "any")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.cmd.Process.Kill() })
		return s
	}
	s := start("first.log")
	admin, err := makeToken(s.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	must := func(want int, method, path, body string) {
		t.Helper()
		if status, answer := s.call(t, method, path, admin, body); status != want {
			t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
	}
	must(200, "PATCH", "/settings/", fmt.Sprintf(`{"public_url":"https://repo.example.com","webhook":{"url":%q,"secret":"s3cr3t"},
		"smtp":{"enabled":true,"host":"127.0.0.1","port":%d,"tls":"none","from":"repod@example.com","recipients":["ops@example.com"]}}`,
		hook.URL+"/k3y", address.Port))
	must(200, "POST", "/settings/test-webhook", "")
	if r := next("webhook.test", "1"); !strings.Contains(r.body, `"repository":"https://repo.example.com"`) {
		t.Errorf("%s", r.body)
	}
	must(201, "POST", "/distributions/init", `{"codename":"jammy"}`) // nobody is told: it is not switched on
	must(200, "PATCH", "/settings/", `{"webhook":{"enabled":true}}`)
	fail.Store("package.indexed", true)
	if status, answer := s.send(t, admin, "jammy", debtest.Package{Name: "tool", Version: "1.0", Arch: "amd64"}); status != 201 {
		t.Fatalf("upload: %d %s", status, answer)
	}
	first := next("package.indexed", "1")
	must(200, "POST", "/security/packages/tool/1.0/quarantine", `{"reason":"odd"}`)
	seen[next("package.quarantined", "1").header.Get("X-Repod-Delivery")] = true
	to, subject, text := box.next(t)
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if to != "ops@example.com" || subject != "[repod] tool 1.0 (amd64) is in quarantine: odd" ||
		!strings.Contains(text, "\nhttps://repo.example.com/ui/\n") || !strings.Contains(text, "\nBy: token:test-admin\n") {
		t.Errorf("mail %q to %s:\n%s", subject, to, text)
	}
	s.kill()
	s = start("second.log")
	second := next("package.indexed", "2")
	if second.body != first.body || second.header.Get("X-Repod-Delivery") != first.header.Get("X-Repod-Delivery") {
		t.Errorf("another delivery:\n%s\n%s", first.body, second.body)
	}
	select {
	case r := <-got:
		if !seen[r.header.Get("X-Repod-Delivery")] {
			t.Errorf("more came: %s", r.body)
		}
	case <-time.After(500 * time.Millisecond):
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for _, log := range []string{"first.log", "second.log"} {
		text, err := os.ReadFile(filepath.Join(dir, log))
		if err != nil || strings.Contains(string(text), "k3y") || strings.Contains(string(text), "s3cr3t") {
			t.Errorf("%v, log\n%s", err, text)
		}
	}
}

// BenchmarkDeliver delivers events to a receiver on this machine.
func BenchmarkDeliver(b *testing.B) {
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer hook.Close()
	set := live.Default()
	set.Webhook.Enabled, set.Webhook.URL, set.Webhook.Secret = true, hook.URL, "s3cr3t"
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(b.TempDir(), "jobs.db")))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	quiet := slog.New(slog.DiscardHandler)
	var done sync.WaitGroup
	poster := new(notify.Poster)
	n := &notifier{
		settings: func() *live.Settings { return set }, log: quiet, random: func() float64 { return 0 },
		await: func(context.Context, ...string) error { return nil },
		post: func(ctx context.Context, w notify.Webhook, d notify.Delivery) (int, error) {
			defer done.Done()
			return poster.Post(ctx, w, d)
		},
	}
	r := &jobs.Runner{DB: db, Dialect: jobs.SQLite, Logger: quiet}
	r.Register(n.kinds()...)
	if err := r.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer r.Stop(context.Background())
	const many = 50
	for b.Loop() {
		done.Add(many)
		for range many {
			for _, m := range n.messages(aptrepo.Event{Kind: aptrepo.EventDistributionCreated, Distribution: "jammy"}) {
				if _, err := r.Enqueue(b.Context(), m.Topic, json.RawMessage(m.Payload), jobs.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		}
		done.Wait()
	}
	b.ReportMetric(float64(many*b.N)/b.Elapsed().Seconds(), "deliveries/s")
}
