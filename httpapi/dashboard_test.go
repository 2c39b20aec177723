package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/clamav"
)

// dashboardJSON is the answer of GET /dashboard/stats.
type dashboardJSON struct {
	Packages      stockJSON      `json:"packages"`
	Distributions int            `json:"distributions"`
	Downloads     fetchedJSON    `json:"downloads"`
	Security      safetyJSON     `json:"security"`
	Activity      []activityJSON `json:"activity"`
	Recent        []arrivalJSON  `json:"recent"`
	Alerts        []alertJSON    `json:"alerts"`
}

func (f *fixture) dashboard() (d dashboardJSON) {
	f.t.Helper()
	if f.config.Downloads != nil {
		if err := f.config.Downloads.Flush(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
	}
	f.get("/dashboard/stats", auth.Viewer).want(f.t, 200, "").decode(f.t, &d)
	return d
}

func (f *fixture) historyOf(days int) (all []historyJSON) {
	f.t.Helper()
	var out struct {
		Days    int           `json:"days"`
		History []historyJSON `json:"history"`
	}
	f.get(fmt.Sprintf("/dashboard/history?days=%d", days), auth.Viewer).want(f.t, 200, "").decode(f.t, &out)
	if out.Days != days || len(out.History) != days {
		f.t.Errorf("%d of %d days", len(out.History), days)
	}
	return out.History
}

func TestDashboardOfNothing(t *testing.T) {
	f := newFixture(t)
	a := f.get("/dashboard/stats", auth.Viewer).want(t, 200, "")
	a.keys(t, "packages", "distributions", "downloads", "security", "activity", "recent", "alerts", "clamav", "last_sync", "next_sync")
	for _, want := range []string{
		`"packages":{"total":0,"artifacts":0,"total_size_bytes":0,"uploaded_today":0,"by_status":{"accepted":0,"indexed":0,"pending_review":0,"quarantined":0,"rejected":0}},"distributions":2`,
		`"downloads":{"today":0,"last_7_days":0,"last_30_days":0}`,
		`"security":{"scanned":0,"unscanned":0,"critical":0,"high":0,"medium":0,"low":0,"negligible":0,"unknown":0,"kev":0,"pending_review":0,"quarantined":0,"decisions_expiring":[]}`,
		`"activity":[{"date":"2026-05-06","uploads":0,"imports":0,"rejections":0},`,
		`"recent":[],"alerts":[],"clamav":{"enabled":false,"available":false,"signature_date":null},"last_sync":null,"next_sync":"2026-05-13T03:00:00Z"}`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("an empty dashboard lacks %s: %s", want, a.body)
		}
	}
	a = f.get("/dashboard/history?days=2", auth.Viewer).want(t, 200, "")
	const day = `"uploads":0,"imports":0,"rejections":0,"decisions":0,"scans":0,"deletions":0,"downloads":0}`
	if want := `{"days":2,"history":[{"date":"2026-05-11",` + day + `,{"date":"2026-05-12",` + day + "]}\n"; a.body != want {
		t.Errorf("history is %s, want %s", a.body, want)
	}
}

// Every kind of thing that happens is on the dashboard, on its day.
func TestDashboard(t *testing.T) {
	f, k, r := newSecurity(t)
	counted(&f.config)
	f.restart(f.config, nil)
	maintainer := f.tokens[auth.Maintainer]

	f.publish(pkg("plain", "1.0"), "jammy")
	f.do("GET", "/apt/pool/main/p/plain/plain_1.0_amd64.deb", "", nil).want(t, 200, "")
	f.downloads("", auth.Viewer)
	f.clock.move(24 * time.Hour)
	exploited := finding("CVE-2024-9", scan.Medium)
	exploited.KEV, exploited.Gates = true, false
	k.set("plain", exploited)
	f.publish(pkg("plain", "2.0"), "jammy")
	f.publish(debtest.Package{Name: "plain", Version: "2.0", Arch: "arm64"}, "jammy")
	f.upload(f.tokens[auth.Uploader], part{"file", string(pkg("plain", "2.0").Build())}, part{"distribution", "jammy"}).want(t, 200, "") // is there
	k.set("tool", finding("CVE-2024-1", scan.High))
	f.offer(tool, "focal").want(t, 202, "")
	f.offer(debtest.Package{Name: "tool", Version: "2.0"}, "jammy").want(t, 202, "")
	k.set("worse", finding("CVE-2024-2", scan.Critical))
	f.offer(pkg("worse", "1.0"), "jammy").want(t, 422, "rejected_cve")
	r.malware = scan.Malware{Status: scan.Infected, Signature: "Test.Virus"}
	f.offer(pkg("virus", "1.0"), "jammy").want(t, 422, "rejected_malware")
	r.malware = scan.Malware{Status: scan.Failed, Detail: "connection refused"}
	f.offer(pkg("unscanned", "1.0"), "jammy").want(t, 503, "scanner_unavailable") // leaves nothing
	r.malware = scan.Malware{Status: scan.Clean}
	f.json("POST", "/security/packages/tool/1.0/decide", maintainer, `{"decision":"accepted","comment":"x","expires_in_days":7}`).want(t, 200, "")
	f.json("POST", "/security/packages/plain/1.0/quarantine", maintainer, `{"reason":"odd"}`).want(t, 200, "")
	for range 3 {
		f.do("GET", "/apt/pool/main/t/tool/tool_1.0_amd64.deb", "", nil).want(t, 200, "")
	}

	d := f.dashboard()
	if p := d.Packages; p.Total != 4 || p.Artifacts != 7 || p.Today != 6 || p.Size < 1000 ||
		fmt.Sprint(p.ByStatus) != "map[accepted:1 indexed:2 pending_review:1 quarantined:1 rejected:2]" {
		t.Errorf("packages %+v", p)
	}
	if d.Distributions != 2 || d.Downloads != (fetchedJSON{3, 4, 4}) {
		t.Errorf("%d distributions, downloads %+v", d.Distributions, d.Downloads)
	}
	s := d.Security
	if s.Scanned != 7 || s.Unscanned != 0 || s.KEV != 2 || s.Medium != 2 || s.High != 1 || s.Critical != 1 || s.Pending != 1 || s.Quarantined != 1 {
		t.Errorf("security %+v", s)
	}
	if len(s.Expiring) != 1 || s.Expiring[0].Name != "tool" || s.Expiring[0].Decision != aptrepo.RulingAccepted || s.Expiring[0].Arch != "amd64" {
		t.Errorf("expiring %+v", s.Expiring)
	}
	if len(d.Activity) != 7 || d.Activity[5] != (activityJSON{"2026-05-12", 1, 0, 0}) || d.Activity[6] != (activityJSON{"2026-05-13", 4, 0, 2}) {
		t.Errorf("activity %+v", d.Activity)
	}
	if len(d.Recent) != 7 {
		t.Fatalf("recent %+v", d.Recent)
	}
	for _, one := range d.Recent {
		if one.Name == "tool" && one.Version == "1.0" && (one.Kind != "upload" || one.Distribution != "focal" || one.Status != aptrepo.Accepted || one.User != "token:role-uploader") ||
			one.Name == "tool" && one.Version == "2.0" && one.Distribution != "jammy" {
			t.Errorf("recent %+v", one)
		}
	}
	var alerts []string
	for _, one := range d.Alerts {
		alerts = append(alerts, one.Kind+" "+one.Name+": "+one.Message)
	}
	if got, want := strings.Join(alerts, "\n"), strings.Join([]string{
		"quarantined : 1 package is in quarantine", "pending_review : 1 package waits for review",
		"rejected : 1 package was rejected and waits for a decision",
		"kev plain: plain 2.0 (amd64) has a vulnerability that is known to be exploited",
		"kev plain: plain 2.0 (arm64) has a vulnerability that is known to be exploited",
		"decision_expiring tool: The decision about tool 1.0 (amd64) ends on 2026-05-20",
	}, "\n"); got != want {
		t.Errorf("alerts:\n%s\nwant:\n%s", got, want)
	}

	f.do("DELETE", "/artifacts/plain/2.0?arch=arm64", f.tokens[auth.Admin], nil).want(t, 204, "")
	f.json("POST", "/security/packages/tool/2.0/decide", maintainer, `{"decision":"rejected","comment":"x"}`).want(t, 200, "")
	f.clock.move(24 * time.Hour)
	f.do("POST", "/security/packages/plain/2.0/rescan", maintainer, nil).want(t, 200, "")
	want := []historyJSON{
		{Date: "2026-05-12", Uploads: 1, Scans: 1, Downloads: 1},
		{Date: "2026-05-13", Uploads: 4, Rejections: 2, Scans: 6, Decisions: 2, Deletions: 1, Downloads: 3},
		{Date: "2026-05-14", Scans: 1},
	}
	got := f.historyOf(4)[1:]
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("history %+v, want %+v", got[i], want[i])
		}
	}
	f.restart(f.config, nil)
	if again := f.historyOf(4)[1:]; fmt.Sprint(again) != fmt.Sprint(got) {
		t.Errorf("after a restart %+v", again)
	}
}

// What the parts beside the repository say.
func TestDashboardAlerts(t *testing.T) {
	status := ScannerStatus{Enabled: true, Status: clamav.Status{Available: true, SignatureDate: time.Date(2026, 5, 12, 6, 24, 30, 0, time.UTC)}}
	f, m := newImports(t)
	f.config.Scanner = func(context.Context) ScannerStatus { return status }
	f.restart(f.config, nil)
	if d := f.dashboard(); len(d.Alerts) != 0 {
		t.Errorf("alerts %+v", d.Alerts)
	}
	f.sync()
	f.json("POST", "/import/fetch", f.tokens[auth.Uploader], `{"name":"libc6","distribution":"jammy"}`).want(t, 201, "")
	a := f.get("/dashboard/stats", auth.Viewer)
	if want := `"clamav":{"enabled":true,"available":true,"signature_date":"2026-05-12T06:24:30Z"}`; !strings.Contains(a.body, want) {
		t.Errorf("%s lacks %s", a.body, want)
	}
	if strings.Contains(a.body, `"last_sync":null`) || !strings.Contains(a.body, `"kind":"import","name":"libc6"`) ||
		!strings.Contains(a.body, `{"date":"2026-05-12","uploads":0,"imports":1,"rejections":0}`) {
		t.Errorf("after an import: %s", a.body)
	}
	status.Available = false
	m.Put(m.Dist("InRelease"), []byte("not signed"))
	f.do("POST", "/import/sync?wait=true", f.tokens[auth.Maintainer], nil)
	f.json("POST", "/settings/gpg/generate", f.tokens[auth.Admin], `{"expire_days":31}`).want(t, 200, "")
	var kinds []string
	for _, one := range f.dashboard().Alerts {
		kinds = append(kinds, one.Kind)
	}
	if fmt.Sprint(kinds) != "[scanner_unavailable sync_failed]" {
		t.Errorf("alerts %q", kinds)
	}
	f.clock.move(2 * 24 * time.Hour)
	alerts := f.dashboard().Alerts
	if len(alerts) != 3 || alerts[1].Kind != "key_expiring" || !strings.HasSuffix(alerts[1].Message, "expires on 2026-06-12") {
		t.Errorf("alerts %+v", alerts)
	}
	f.json("POST", "/settings/gpg/generate", f.tokens[auth.Admin], `{}`).want(t, 200, "")
	if alerts := f.dashboard().Alerts; len(alerts) != 2 {
		t.Errorf("alerts after the key was replaced %+v", alerts)
	}
	f.json("PATCH", "/settings/", f.tokens[auth.Admin], `{"import":{"schedule_enabled":false}}`).want(t, 200, "")
	if a := f.get("/dashboard/stats", auth.Viewer); !strings.Contains(a.body, `"next_sync":null`) {
		t.Errorf("without a schedule: %s", a.body)
	}
}

// Alerts are bounded, and the most urgent come first.
func TestAlertsBounded(t *testing.T) {
	o := &aptrepo.Overview{ByStatus: map[aptrepo.Status]int{aptrepo.PendingReview: 2}, Waiting: 3}
	for i := range 40 {
		o.Exploited = append(o.Exploited, aptrepo.Key{Name: fmt.Sprint("p", i), Version: "1", Arch: "all"})
	}
	sources := []importer.SourceStatus{
		{Source: upstream.Source{ID: "off"}, State: upstream.State{Status: upstream.Error}},
		{Source: upstream.Source{ID: "on", Enabled: true}, State: upstream.State{Status: upstream.Error, Detail: "a\nb " + strings.Repeat("x", 500)}},
	}
	all := alerts(o, ScannerStatus{}, aptrepo.KeyRing{}, sources, time.Now())
	if len(all) != 20 || all[0].Message != "2 packages wait for review" || all[1].Message != "3 packages were rejected and wait for a decision" ||
		all[2].Kind != "sync_failed" || !strings.HasPrefix(all[2].Message, "The source on could not be synced: a b xxx") || len(all[2].Message) > 200 ||
		all[19].Name != "p16" {
		text, _ := json.MarshalIndent(all, "", " ")
		t.Errorf("%s", text)
	}
}
