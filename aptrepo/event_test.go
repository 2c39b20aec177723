package aptrepo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/storagetest"
	"github.com/repod-io/repod/scan"
)

// A listener hears of events in both ways.
type listener struct {
	f     *fixture
	heard []string // by OnEvent
	last  aptrepo.Event
}

// listen makes a message of each event, of its kind and what matters of it.
func listen(f *fixture) *listener {
	l := &listener{f: f}
	f.OnEvent = func(_ context.Context, e aptrepo.Event) {
		l.heard = append(l.heard, brief(e))
		l.last = e
	}
	f.Messages = func(e aptrepo.Event) []aptrepo.Message {
		text, err := json.Marshal(brief(e))
		if err != nil {
			panic(err)
		}
		return []aptrepo.Message{{Topic: "event", Payload: text}}
	}
	return l
}

func brief(e aptrepo.Event) string {
	parts := []string{string(e.Kind)}
	if e.Artifact != nil {
		parts = append(parts, e.Artifact.Name+":"+string(e.Artifact.Status))
	}
	if e.Scan != nil {
		parts = append(parts, "scan:"+string(e.Scan.Verdict))
	}
	if e.Decision != nil {
		parts = append(parts, string(e.Decision.Ruling))
	}
	for _, f := range e.Findings {
		parts = append(parts, f.ID+":"+string(e.Verdict))
	}
	for _, s := range []string{e.From, e.Distribution, e.Component, strings.Join(e.Distributions, "+"), e.Reason, e.Detail, e.Fingerprint} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

// drain returns the messages that came since the last call.
func (l *listener) drain(t *testing.T) (texts []string) {
	t.Helper()
	list, err := l.f.Store.Outbox(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for _, m := range list {
		var text string
		if err := json.Unmarshal(m.Payload, &text); err != nil {
			t.Fatal(err)
		}
		texts, ids = append(texts, text), append(ids, m.ID)
	}
	if err := l.f.Store.Update(t.Context(), func(tx aptrepo.Tx) error { return tx.DeleteMessages(ids) }); err != nil {
		t.Fatal(err)
	}
	return texts
}

// want checks what was heard, in both ways, since the last call.
func (l *listener) want(t *testing.T, what string, want ...string) {
	t.Helper()
	durable := l.drain(t)
	if !slices.Equal(durable, want) {
		t.Errorf("%s: messages\n got %q\nwant %q", what, durable, want)
	}
	if !slices.Equal(l.heard, durable) {
		t.Errorf("%s: OnEvent\n got %q\nwant %q", what, l.heard, durable)
	}
	l.heard = nil
}

var tool = aptrepo.Selection{Name: "tool", Version: "1.0"}

// Every change makes its events, and no other.
func TestEventsOfSafety(t *testing.T) {
	g := newGuarded(t)
	l := listen(g.fixture)
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	decide := func(r aptrepo.Ruling, days int) {
		t.Helper()
		_, err := g.Decide(g.ctx, aptrepo.DecideOptions{Selection: tool, Ruling: r, Comment: "because", ExpiresIn: time.Duration(days) * 24 * time.Hour})
		do(err)
	}
	rescan := func() {
		t.Helper()
		_, err := g.Rescan(g.ctx, tool)
		do(err)
	}

	g.known.set("tool", cve("CVE-1", scan.Critical))
	_, err := g.try(t, toolDeb, "jammy")
	if !errors.Is(err, aptrepo.ErrVulnerable) {
		t.Fatal(err)
	}
	l.want(t, "a blocked upload", "package.rejected tool:rejected scan:block jammy main jammy")
	g.known.set("tool", cve("CVE-1", scan.High))
	_, err = g.try(t, toolDeb, "jammy")
	do(err)
	l.want(t, "one for review", "package.pending_review tool:pending_review scan:review jammy main jammy")
	_, err = g.try(t, toolDeb, "jammy")
	do(err)
	l.want(t, "the same again")
	decide(aptrepo.RulingAccepted, 1)
	l.want(t, "a decision", "decision.made tool:accepted accepted jammy")

	g.known.set("tool", cve("CVE-1", scan.High), cve("CVE-2", scan.Low), cve("CVE-2", scan.Low))
	_, err = g.Rematch(g.ctx, nil)
	do(err)
	l.want(t, "new data", "package.rescanned tool:accepted jammy", "vulnerabilities.found tool:accepted CVE-2:allow jammy")
	_, err = g.Rematch(g.ctx, nil)
	do(err)
	l.want(t, "the same data")

	do(g.Remind(g.ctx))
	l.want(t, "a decision that expires soon", "decision.expiring tool:accepted accepted")
	do(g.Remind(g.ctx))
	l.want(t, "once")
	g.clock.move(25 * time.Hour)
	do(g.Remind(g.ctx))
	do(g.ExpireDecisions(g.ctx))
	l.want(t, "a decision that expired", "decision.expired tool:pending_review accepted jammy",
		"package.pending_review tool:pending_review scan:review jammy main jammy")

	g.known.set("tool", cve("CVE-3", scan.Medium))
	rescan()
	l.want(t, "a rescan that lets in", "package.rescanned tool:indexed jammy", "vulnerabilities.found tool:indexed CVE-3:warn jammy",
		"package.indexed tool:indexed scan:warn jammy main jammy")
	g.dog.ends = scan.Infected
	rescan()
	l.want(t, "a rescan that finds malware", "package.rescanned tool:quarantined jammy", "package.quarantined tool:quarantined jammy malware: ")
	g.dog.ends = ""
	_, err = g.Release(g.ctx, tool, "a false alarm")
	do(err)
	l.want(t, "a release", "package.released tool:indexed jammy a false alarm")
	for _, want := range [][]string{{"package.quarantined tool:quarantined jammy by hand"}, nil} {
		_, err = g.Quarantine(g.ctx, aptrepo.QuarantineOptions{Selection: tool, Reason: "by hand"})
		do(err)
		l.want(t, "a quarantine", want...)
	}
	_, err = g.Quarantine(g.ctx, aptrepo.QuarantineOptions{Selection: aptrepo.Selection{Name: "none", Version: "1"}})
	if err == nil {
		t.Fatal("quarantined nothing")
	}
	l.want(t, "a failure")
}

func TestEventsOfPublication(t *testing.T) {
	f := newFixture(t)
	l := listen(f)
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.Init(f.ctx, aptrepo.Distribution{Codename: "noble", Description: "new"})
	do(err)
	l.want(t, "a distribution", "distribution.created noble")
	if l.last.Description != "new" || l.last.Actor != "admin" || !l.last.Time.Equal(f.clock.now()) {
		t.Errorf("%+v", l.last)
	}
	_, err = f.Init(f.ctx, aptrepo.Distribution{Codename: "noble"})
	if err == nil {
		t.Fatal("the distribution was made again")
	}
	l.want(t, "one that is there")

	f.publish(t, build("tool", "1.0", "amd64"), "jammy")
	f.publish(t, build("tool", "1.0", "amd64"), "jammy")
	l.want(t, "an upload, twice", "package.indexed tool:indexed scan:allow jammy main jammy")
	_, err = f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: tool, From: "jammy", To: "focal"})
	do(err)
	_, err = f.Migrate(f.ctx, aptrepo.MigrateOptions{From: "jammy", To: "noble"})
	do(err)
	_, err = f.Migrate(f.ctx, aptrepo.MigrateOptions{From: "jammy", To: "noble"})
	do(err)
	l.want(t, "promotions", "package.promoted tool:indexed jammy focal main", "package.promoted tool:indexed jammy noble main")
	_, err = f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: tool, Distribution: "noble"})
	do(err)
	l.want(t, "a removal", "package.deleted tool:indexed noble")
	do(f.Label(f.ctx, "web", []aptrepo.Key{aptrepo.KeyOf("tool", "1.0", "amd64")}))
	do(f.DeleteGroup(f.ctx, "web", true))
	l.want(t, "a group", "package.deleted tool:indexed focal+jammy")
	_, err = f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: tool})
	do(err)
	l.want(t, "a deletion", "package.deleted tool:indexed")

	key, err := f.GenerateKey(f.ctx, aptrepo.KeyOptions{ExpireDays: 31})
	do(err)
	l.want(t, "a key", "gpg.generated "+key.Fingerprint)
	if !l.last.ExpiresAt.Equal(key.ExpiresAt) || l.last.Algorithm != "ed25519" {
		t.Errorf("%+v", l.last)
	}
	do(f.Remind(f.ctx))
	l.want(t, "a key with 31 days left")
	f.clock.move(25 * time.Hour)
	for range 2 {
		do(f.Remind(f.ctx))
	}
	again := &aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now, Logger: f.Logger, OnEvent: f.OnEvent, Messages: f.Messages}
	do(again.Remind(f.ctx)) // as after a restart
	l.want(t, "a key that expires soon", "gpg.expiring "+key.Fingerprint)

	do(f.Record(f.ctx, aptrepo.AuditEntry{Action: "x"}, aptrepo.Event{Kind: aptrepo.EventImportFinished, Detail: "web"}))
	l.want(t, "a recorded event", "import.finished web")
}

// An outage is told of once, on however many servers, and again when there was
// none in between.
func TestEventsOfTheScanner(t *testing.T) {
	g := newGuarded(t)
	l := listen(g.fixture)
	server := func() *guarded {
		return &guarded{&fixture{clock: g.clock, files: g.files, ctx: g.ctx, Repo: &aptrepo.Repo{
			Storage: g.Storage, Store: g.Store, Now: g.Now, Logger: g.Logger, Scanners: g.Scanners, Matcher: g.Matcher,
			OnEvent: g.OnEvent, Messages: g.Messages,
		}}, g.dog, g.known}
	}
	other := server()
	n := 0
	upload := func(g *guarded) {
		t.Helper()
		n++
		g.clock.move(time.Minute)
		_, err := g.try(t, build("tool", fmt.Sprintf("1.%d", n), "amd64"), "jammy")
		if down := errors.Is(err, aptrepo.ErrScanner); err != nil && !down || down != (g.dog.ends == scan.Failed) {
			t.Fatal(err)
		}
	}
	uploads := func(ends scan.MalwareStatus, all ...*guarded) {
		t.Helper()
		g.dog.ends = ends
		for _, g := range all {
			upload(g)
		}
	}
	const outage = "scanner.unavailable told to"
	const indexed = "package.indexed tool:indexed scan:allow jammy main jammy"
	uploads(scan.Failed, g, g, other, g)
	l.want(t, "an outage", outage)
	if l.last.Actor != "system" {
		t.Errorf("by %s", l.last.Actor)
	}
	uploads("", other)
	uploads(scan.Failed, other, g)
	l.want(t, "one that only the other saw end", indexed, outage)
	uploads("", g, other)
	uploads(scan.Failed, g)
	l.want(t, "another one", indexed, indexed, outage)
	uploads("", other) // which saw nothing of that outage
	uploads(scan.Failed, other)
	l.want(t, "one after an end that only the other saw", indexed, outage)
	uploads(scan.Failed, server())
	l.want(t, "a server that is started in it")
	uploads("", g)
	uploads(scan.Failed, server())
	l.want(t, "one after a restart", indexed, outage)
}

// Whatever call to storage fails: there is a message when there is a record, and
// one only, however often the upload is tried.
func TestEventsOfFailures(t *testing.T) {
	var f *fixture
	open := func() storage.Backend {
		f = newFixture(t)
		return f.files
	}
	recorded := map[bool]int{}
	for faulty := range storagetest.EachCall(storagetest.Fail, 1, open) {
		l := listen(f)
		f.Repo = &aptrepo.Repo{Storage: faulty, Store: f.Store, Now: f.Now, Logger: f.Logger, Messages: f.Messages}
		upload := func() error {
			_, err := f.Publish(f.ctx, bytes.NewReader(toolDeb), aptrepo.PublishOptions{Distribution: "jammy"})
			return err
		}
		if err := upload(); err != nil && !errors.Is(err, aptrepo.ErrUnavailable) {
			t.Fatal(err)
		}
		a, err := f.Store.Artifacts(t.Context(), "tool")
		if err != nil {
			t.Fatal(err)
		}
		recorded[len(a) > 0]++
		first := l.drain(t)
		if len(first) != len(a) {
			t.Errorf("call %d: %d artifacts, messages %q", faulty.Call, len(a), first)
		}
		if err := upload(); err != nil {
			t.Fatal(err)
		}
		if all := append(first, l.drain(t)...); len(all) != 1 {
			t.Errorf("call %d, tried again: messages %q", faulty.Call, all)
		}
	}
	if recorded[true] < 3 || recorded[false] == 0 {
		t.Errorf("recorded before the fault or not: %v", recorded)
	}
}

// AwaitPublication returns when apt sees what was recorded.
func TestAwaitPublication(t *testing.T) {
	f := newFixture(t)
	b := f.NewBatch()
	if _, err := b.Add(f.ctx, bytes.NewReader(toolDeb), aptrepo.PublishOptions{Distribution: "jammy"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.AwaitPublication(ctx, "jammy"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before the publication: %v", err)
	}
	if err := f.AwaitPublication(t.Context(), "focal", "none"); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
	done := make(chan error)
	go func() { done <- f.AwaitPublication(t.Context(), "jammy") }()
	if err := b.Publish(f.ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
