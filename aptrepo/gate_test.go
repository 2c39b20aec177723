package aptrepo_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/scan"
)

// A watchdog is a scanner that finds "malware" in a file with that content, and
// fails or gives up when it is told to.
type watchdog struct {
	mu   sync.Mutex
	ends scan.MalwareStatus // "" as it finds
}

func (w *watchdog) Name() string { return "watchdog" }

func (w *watchdog) Begin(context.Context, scan.Subject) (scan.Pass, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &watch{ends: w.ends}, nil
}

type watch struct {
	ends scan.MalwareStatus
	text bytes.Buffer
}

type closer struct{ io.Writer }

func (closer) Close() error { return nil }

func (w *watch) Open(deb.File) (io.WriteCloser, error) { return closer{&w.text}, nil }
func (w *watch) Abort()                                {}
func (w *watch) Finish(err error) scan.Report {
	m := scan.Malware{Status: scan.Clean, Engine: "watchdog 1"}
	switch {
	case err != nil:
		m.Status, m.Detail = scan.Failed, err.Error()
	case w.ends != "":
		m.Status, m.Detail = w.ends, "told to"
	case strings.Contains(w.text.String(), "malware"):
		m.Status, m.Signature = scan.Infected, "Test.Malware"
	}
	return scan.Report{Malware: m}
}

// An almanac knows vulnerabilities by source package.
type almanac struct {
	mu         sync.Mutex
	generation int64
	known      map[string][]scan.Finding
}

func (a *almanac) set(source string, findings ...scan.Finding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.generation++
	if a.known == nil {
		a.known = make(map[string][]scan.Finding)
	}
	a.known[source] = findings
}

func (a *almanac) Match(_ context.Context, inv scan.Inventory) ([]scan.Finding, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.known[inv.Source]), a.generation > 0, nil
}

func (a *almanac) Data(context.Context) (scan.Data, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return scan.Data{Generation: a.generation, Date: time.Unix(1_700_000_000, 0).UTC()}, nil
}

func cve(id string, severity scan.Severity) scan.Finding {
	return scan.Finding{ID: id, Severity: severity, Package: "tool", InstalledVersion: "1.0", FixState: scan.NotFixed, Gates: true}
}

// A guarded fixture has a scanner and vulnerability data.
type guarded struct {
	*fixture
	dog   *watchdog
	known *almanac
}

func newGuarded(t *testing.T) *guarded {
	g := &guarded{newFixture(t), &watchdog{}, &almanac{}}
	g.Scanners, g.Matcher = []scan.Scanner{g.dog}, g.known
	g.known.set("nothing")
	return g
}

func (g *guarded) try(t *testing.T, data []byte, codename string) (aptrepo.Published, error) {
	t.Helper()
	return g.Publish(g.ctx, bytes.NewReader(data), aptrepo.PublishOptions{Distribution: codename})
}

// state renders an artifact's status and reason, and where apt sees it.
func (g *guarded) state(t *testing.T, name string) string {
	t.Helper()
	a, err := g.Artifact(g.ctx, aptrepo.Selection{Name: name, Version: "1.0"})
	if err != nil {
		return err.Error()
	}
	out := strings.TrimSpace(string(a.Status) + " " + a.StatusReason)
	for _, codename := range []string{"focal", "jammy"} {
		if slices.Contains(packages(t, g.Repo, codename, "amd64"), name+" 1.0 amd64") {
			out += " in " + codename
		}
	}
	f, err := g.OpenFile(g.ctx, "pool/main/t/tool/tool_1.0_amd64.deb")
	if err == nil {
		f.Close()
	}
	if err == nil != (a.Status == aptrepo.Indexed || a.Status == aptrepo.Accepted) {
		t.Errorf("status %s, and the file in the public tree: %v", a.Status, err)
	}
	return out
}

func (g *guarded) expect(t *testing.T, want string) {
	t.Helper()
	if got := g.state(t, "tool"); got != want {
		t.Errorf("the package is %q, want %q", got, want)
	}
}

var toolDeb = build("tool", "1.0", "amd64")

func TestGate(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(g *guarded)
		refused error
		want    string
	}{
		{"clean", func(*guarded) {}, nil, "indexed in jammy"},
		{"malware", nil, aptrepo.ErrMalware, "rejected malware"},
		{"critical", func(g *guarded) { g.known.set("tool", cve("CVE-1", scan.Critical)) }, aptrepo.ErrVulnerable, "rejected cve"},
		{"high", func(g *guarded) { g.known.set("tool", cve("CVE-1", scan.High)) }, nil, "pending_review cve"},
		{"medium", func(g *guarded) { g.known.set("tool", cve("CVE-1", scan.Medium)) }, nil, "indexed in jammy"},
		{"unimportant", func(g *guarded) {
			f := cve("CVE-1", scan.Critical)
			f.Gates = false
			g.known.set("tool", f)
		}, nil, "indexed in jammy"},
		{"scanner down, block", func(g *guarded) { g.dog.ends = scan.Failed }, aptrepo.ErrScanner, "package does not exist"},
		{"incomplete, block", func(g *guarded) { g.dog.ends = scan.Incomplete }, aptrepo.ErrScanner, "package does not exist"},
		{"scanner down, review", func(g *guarded) {
			g.dog.ends = scan.Failed
			g.Policy = func(string) scan.Policy { return scan.Policy{Failure: scan.Review} }
		}, nil, "pending_review scanner_error"},
		{"scanner down, allow", func(g *guarded) {
			g.dog.ends = scan.Failed
			g.Policy = func(string) scan.Policy { return scan.Policy{Failure: scan.Allow} }
		}, nil, "indexed in jammy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuarded(t)
			data := toolDeb
			if c.prepare == nil {
				data = build("tool", "1.0", "amd64", "Homepage", "https://malware.example")
			} else {
				c.prepare(g)
			}
			_, err := g.try(t, data, "jammy")
			if !errors.Is(err, c.refused) {
				t.Errorf("Publish: %v, want %v", err, c.refused)
			}
			g.expect(t, c.want)
		})
	}
}

func (g *guarded) decide(t *testing.T, ruling aptrepo.Ruling, ids ...string) aptrepo.Decided {
	t.Helper()
	done, err := g.Decide(g.ctx, aptrepo.DecideOptions{
		Selection: aptrepo.Selection{Name: "tool", Version: "1.0"}, Ruling: ruling, Comment: "because", Findings: ids,
	})
	if err != nil {
		t.Fatal(err)
	}
	return done[0]
}

func TestDecide(t *testing.T) {
	g := newGuarded(t)
	g.known.set("tool", cve("CVE-1", scan.High), cve("CVE-2", scan.High))
	if _, err := g.try(t, toolDeb, "jammy"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.try(t, toolDeb, "focal"); err != nil { // one more target
		t.Fatal(err)
	}
	g.expect(t, "pending_review cve")
	g.decide(t, aptrepo.RulingAccepted, "CVE-1")
	g.expect(t, "pending_review cve") // the other is open
	g.decide(t, aptrepo.RulingNotAffected)
	g.expect(t, "accepted in focal in jammy")

	g.known.set("tool", cve("CVE-1", scan.High), cve("CVE-2", scan.High), cve("CVE-3", scan.High))
	changed, err := g.Rematch(g.ctx, nil)
	if err != nil || len(changed) != 1 || !slices.Equal(changed[0].NewFindings, []string{"CVE-3"}) {
		t.Errorf("Rematch: %+v, %v", changed, err)
	}
	g.expect(t, "pending_review rescan")
	g.decide(t, aptrepo.RulingRejected)
	g.expect(t, "quarantined decision")
	if _, err := g.try(t, toolDeb, "jammy"); !errors.Is(err, aptrepo.ErrQuarantined) {
		t.Errorf("upload of what is in quarantine: %v", err)
	}
	if _, err := g.Release(g.ctx, aptrepo.Selection{Name: "tool", Version: "1.0"}, "again"); err != nil {
		t.Fatal(err)
	}
	g.expect(t, "pending_review cve")
	g.known.set("tool")
	if _, err := g.Rescan(g.ctx, aptrepo.Selection{Name: "tool", Version: "1.0"}); err != nil {
		t.Fatal(err)
	}
	g.expect(t, "indexed in focal in jammy")
	_, err = g.Decide(g.ctx, aptrepo.DecideOptions{Selection: aptrepo.Selection{Name: "tool", Version: "1.0"}, Ruling: aptrepo.RulingAccepted, Comment: "x"})
	if !errors.Is(err, aptrepo.ErrNothingToDecide) {
		t.Errorf("Decide about nothing: %v", err)
	}
}

// What could not be scanned does not get in because its vulnerabilities are
// harmless, but by a decision, as long as that holds.
func TestFailedScanWaits(t *testing.T) {
	g := newGuarded(t)
	g.dog.ends = scan.Incomplete
	g.Policy = func(string) scan.Policy { return scan.Policy{Failure: scan.Review} }
	if _, err := g.try(t, toolDeb, "jammy"); err != nil {
		t.Fatal(err)
	}
	rematch := func(severity scan.Severity) {
		t.Helper()
		g.known.set("tool", cve("CVE-1", severity))
		if _, err := g.Rematch(g.ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	rematch(scan.Low)
	g.expect(t, "pending_review scanner_error")
	_, err := g.Decide(g.ctx, aptrepo.DecideOptions{
		Selection: aptrepo.Selection{Name: "tool", Version: "1.0"}, Ruling: aptrepo.RulingAccepted, Comment: "read it", ExpiresIn: 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	g.expect(t, "accepted in jammy")
	rematch(scan.Negligible)
	g.expect(t, "accepted in jammy")
	g.clock.move(25 * time.Hour)
	if err := g.ExpireDecisions(g.ctx); err != nil {
		t.Fatal(err)
	}
	g.expect(t, "pending_review decision_expired")
	g.dog.ends = ""
	if _, err := g.Rescan(g.ctx, aptrepo.Selection{Name: "tool", Version: "1.0"}); err != nil {
		t.Fatal(err)
	}
	g.expect(t, "indexed in jammy")
}

// A policy that has changed is applied to what was found before.
func TestPolicyChanges(t *testing.T) {
	g := newGuarded(t)
	high := scan.Allow
	g.Policy = func(string) scan.Policy {
		return scan.Policy{Severities: map[scan.Severity]scan.Verdict{scan.High: high}}
	}
	g.known.set("tool", cve("CVE-1", scan.High))
	if _, err := g.try(t, toolDeb, "jammy"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		high    scan.Verdict
		changed int
		want    string
	}{
		{scan.Allow, 0, "indexed in jammy"}, {scan.Review, 1, "pending_review rescan"}, {scan.Review, 0, "pending_review rescan"},
		{scan.Warn, 1, "indexed in jammy"},
	} {
		high = step.high
		changed, err := g.Rematch(g.ctx, nil)
		if err != nil || len(changed) != step.changed {
			t.Errorf("%s: %+v, %v", high, changed, err)
		}
		g.expect(t, step.want)
	}
}

// An acceptance ends when there is a fix that there was not, for what is fixed.
func TestFixReopens(t *testing.T) {
	g := newGuarded(t)
	g.known.set("tool", cve("CVE-1", scan.High), cve("CVE-2", scan.High), cve("CVE-3", scan.High))
	if _, err := g.try(t, toolDeb, "jammy"); err != nil {
		t.Fatal(err)
	}
	g.decide(t, aptrepo.RulingNotAffected, "CVE-3")
	g.decide(t, aptrepo.RulingAccepted, "CVE-1", "CVE-2")
	g.expect(t, "accepted in jammy")
	fixed := func(id string) scan.Finding {
		f := cve(id, scan.High)
		f.FixState, f.FixedVersion = scan.Fixed, "1.1"
		return f
	}
	rematch := func(findings ...scan.Finding) {
		t.Helper()
		g.known.set("tool", findings...)
		if _, err := g.Rematch(g.ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	rematch(cve("CVE-1", scan.High), cve("CVE-2", scan.High), fixed("CVE-3"))
	g.expect(t, "accepted in jammy") // a fix for what does not concern it
	rematch(fixed("CVE-1"), cve("CVE-2", scan.High), fixed("CVE-3"))
	g.expect(t, "pending_review rescan")
	open, err := g.Store.Vulnerabilities(g.ctx, aptrepo.VulnerabilityQuery{})
	if err != nil || len(open.Items) != 1 || open.Items[0].Finding.ID != "CVE-1" {
		t.Errorf("open: %+v, %v", open, err)
	}
	g.decide(t, aptrepo.RulingAccepted, "CVE-1")
	g.expect(t, "accepted in jammy")
	rematch(fixed("CVE-1"), cve("CVE-2", scan.High), fixed("CVE-3"), cve("CVE-4", scan.Low))
	g.expect(t, "accepted in jammy") // the fix was known when it was accepted
}

func TestDecisionExpires(t *testing.T) {
	g := newGuarded(t)
	g.known.set("tool", cve("CVE-1", scan.High))
	if _, err := g.try(t, toolDeb, "jammy"); err != nil {
		t.Fatal(err)
	}
	_, err := g.Decide(g.ctx, aptrepo.DecideOptions{
		Selection: aptrepo.Selection{Name: "tool", Version: "1.0"}, Ruling: aptrepo.RulingAccepted, Comment: "for now", ExpiresIn: 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	g.expect(t, "accepted in jammy")
	for _, step := range []struct {
		move time.Duration
		want string
	}{{23 * time.Hour, "accepted in jammy"}, {2 * time.Hour, "pending_review decision_expired"}} {
		g.clock.move(step.move)
		if err := g.ExpireDecisions(g.ctx); err != nil {
			t.Fatal(err)
		}
		g.expect(t, step.want)
	}
}

func TestQuarantine(t *testing.T) {
	g := newGuarded(t)
	for _, codename := range []string{"jammy", "focal"} {
		if _, err := g.try(t, toolDeb, codename); err != nil {
			t.Fatal(err)
		}
	}
	s := aptrepo.Selection{Name: "tool", Version: "1.0"}
	before, err := g.Quarantine(g.ctx, aptrepo.QuarantineOptions{Selection: s, Reason: "odd"})
	if err != nil || len(before) != 1 || len(before[0].Publications) != 2 {
		t.Fatal(before, err)
	}
	g.expect(t, "quarantined manual")
	if before, err = g.Quarantine(g.ctx, aptrepo.QuarantineOptions{Selection: s, Reason: "odd"}); err != nil || len(before[0].Publications) != 0 {
		t.Errorf("again: %+v, %v", before, err)
	}
	g.dog.ends = scan.Failed
	if _, err := g.Release(g.ctx, s, ""); !errors.Is(err, aptrepo.ErrScanner) {
		t.Errorf("Release with a scanner that fails: %v", err)
	}
	g.expect(t, "quarantined manual")
	g.dog.ends = ""
	if _, err := g.Release(g.ctx, s, ""); err != nil {
		t.Fatal(err)
	}
	g.expect(t, "indexed in focal in jammy")
	if _, err := g.Release(g.ctx, s, ""); !errors.Is(err, aptrepo.ErrNotQuarantined) {
		t.Errorf("Release again: %v", err)
	}
	for _, err := range g.files.List(g.ctx, "held/") {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("something is still held: %v", err)
		}
	}
	clean(t, g.Repo)
}

// The bytes of what was rejected are kept for 90 days, for somebody to accept it.
func TestRejectedIsForgotten(t *testing.T) {
	g := newGuarded(t)
	g.known.set("tool", cve("CVE-1", scan.Critical))
	if _, err := g.try(t, toolDeb, "jammy"); !errors.Is(err, aptrepo.ErrVulnerable) {
		t.Fatal(err)
	}
	for _, step := range []struct {
		move time.Duration
		kept int
	}{{89 * 24 * time.Hour, 1}, {2 * 24 * time.Hour, 0}} {
		g.clock.move(step.move)
		if err := g.Sweep(g.ctx); err != nil {
			t.Fatal(err)
		}
		kept := 0
		for _, err := range g.files.List(g.ctx, "held/") {
			if err != nil {
				t.Fatal(err)
			}
			kept++
		}
		if kept != step.kept {
			t.Errorf("%d files are kept, want %d", kept, step.kept)
		}
		clean(t, g.Repo)
	}
	g.expect(t, "rejected cve")
	_, err := g.Decide(g.ctx, aptrepo.DecideOptions{Selection: aptrepo.Selection{Name: "tool", Version: "1.0"}, Ruling: aptrepo.RulingAccepted, Comment: "x"})
	if !errors.Is(err, aptrepo.ErrNoFile) {
		t.Errorf("Decide: %v", err)
	}
	if _, err := g.Quarantine(g.ctx, aptrepo.QuarantineOptions{Selection: aptrepo.Selection{Name: "tool", Version: "1.0"}}); !errors.Is(err, aptrepo.ErrNoFile) {
		t.Errorf("Quarantine: %v", err)
	}
	g.known.set("tool")
	if changed, err := g.Rematch(g.ctx, nil); err != nil || len(changed) > 0 {
		t.Errorf("Rematch: %+v, %v", changed, err)
	}
	g.expect(t, "rejected cve")
	if _, err := g.try(t, toolDeb, "jammy"); err != nil {
		t.Fatal(err)
	}
	g.expect(t, "indexed in jammy")
}

// A rejected package does not hold its name and version.
func TestRejectedIsReplaced(t *testing.T) {
	g := newGuarded(t)
	g.known.set("tool", cve("CVE-1", scan.Critical))
	if _, err := g.try(t, toolDeb, "jammy"); !errors.Is(err, aptrepo.ErrVulnerable) {
		t.Fatal(err)
	}
	g.known.set("tool")
	if _, err := g.try(t, build("tool", "1.0", "amd64", "Homepage", "https://example.com"), "jammy"); err != nil {
		t.Fatal(err)
	}
	g.expect(t, "indexed in jammy")
	clean(t, g.Repo)
}
