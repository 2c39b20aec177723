package httpapi

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/aptrepo/upstream/mirrortest"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan/clamav"
)

// newImports returns a server that imports from a mirror, which is its source
// "ubuntu-jammy" and not synced yet.
func newImports(t *testing.T, change ...func(*Config)) (*fixture, *mirrortest.Mirror) {
	t.Helper()
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "jobs.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	m := mirrortest.New(t)
	m.Add("main", debtest.Package{Name: "nginx", Version: "1.24.0-1", Arch: "amd64", Fields: []string{
		"Section: httpd", "Depends: libc6 (>= 2.28), nginx-common"}})
	m.Add("main", debtest.Package{Name: "libc6", Version: "2.36", Arch: "amd64"})
	m.Publish()
	runner := &jobs.Runner{DB: db, Dialect: jobs.SQLite, Logger: slog.New(slog.DiscardHandler)}
	f := newFixture(t, append(change, func(c *Config) {
		c.RateLimits["import_fetch"], c.RateLimits["import_batch"], c.RateLimits["import_sync"] = 0, 0, 0
		c.Jobs = runner
		c.Import = &importer.Importer{
			Repo: c.Repo, Catalog: c.Repo.Store.(*sqlstore.DB),
			Sources: func() []upstream.Source { return c.Settings.Current().Import.Sources },
			Client: func() *upstream.Client {
				return &upstream.Client{Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
			},
			Spool: t.TempDir(), Logger: c.Logger,
		}
		runner.Register(ImportKinds(c.Import, nil)...)
		runner.Register(RetentionKinds(c.Repo, c.Settings)...)
		c.Scanner = func(context.Context) ScannerStatus { return ScannerStatus{} }
		c.UpdateScanner = true
		runner.Register(SafetyKinds(c.Repo, nil, func(context.Context) (clamav.Update, error) {
			return clamav.Update{Result: clamav.UpToDate}, nil
		})...)
	})...)
	if err := runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = runner.Stop(ctx)
	})
	f.sources(m, "ubuntu-jammy")
	return f, m
}

// sources makes a mirror the only source.
func (f *fixture) sources(m *mirrortest.Mirror, id string) {
	f.t.Helper()
	f.json("PATCH", "/settings/", f.tokens[auth.Admin], fmt.Sprintf(`{"import":{"sources":[%s]}}`, sourceBody(m, id))).want(f.t, 200, "")
}

func sourceBody(m *mirrortest.Mirror, id string) string {
	return fmt.Sprintf(`{"id":%q,"url":%q,"suite":%q,"signed_by":%q,"target_distribution":"jammy"}`, id, m.URL, m.Suite, m.PublicKey())
}

func (f *fixture) sync() {
	f.t.Helper()
	f.do("POST", "/import/sync?wait=true", f.tokens[auth.Maintainer], nil).want(f.t, 200, "")
}

func TestImportSearchAndResolve(t *testing.T) {
	f, _ := newImports(t)
	f.get("/import/search?q=nginx", auth.Viewer).want(t, 424, "sources_not_synced")
	f.get("/import/resolve/nginx", auth.Viewer).want(t, 424, "sources_not_synced")
	f.sync()

	a := f.get("/import/search?q=NGI&limit=5", auth.Viewer).want(t, 200, "")
	a.keys(t, "query", "count", "results")
	var found struct {
		Query   string
		Count   int
		Results []map[string]any
	}
	a.decode(t, &found)
	if found.Query != "NGI" || found.Count != 1 || len(found.Results) != 1 {
		t.Fatalf("found %s", a.body)
	}
	hit := found.Results[0]
	for key, want := range map[string]any{
		"name": "nginx", "version": "1.24.0-1", "arch": "amd64", "section": "httpd", "depends": "libc6 (>= 2.28), nginx-common",
		"source_id": "ubuntu-jammy", "suite": "bookworm", "component": "main", "security": false,
	} {
		if hit[key] != want {
			t.Errorf("%s is %v, want %v", key, hit[key], want)
		}
	}
	for _, key := range []string{"description", "size_bytes", "sha256", "synced_at"} {
		if hit[key] == nil || hit[key] == "" {
			t.Errorf("no %s in %s", key, a.body)
		}
	}
	f.get("/import/search?q=nothing", auth.Viewer).want(t, 200, "")
	f.get("/import/search", auth.Viewer).want(t, 422, "validation_failed")
	f.get("/import/search?q=x&limit=101", auth.Viewer).want(t, 422, "validation_failed")
	f.get("/import/search?q=x&source_id=nosuch", auth.Viewer).want(t, 400, "unknown_source")

	a = f.get("/import/resolve/nginx?distribution=jammy", auth.Viewer).want(t, 200, "")
	var plan struct {
		Name, Version, Arch, Distribution string
		Total                             int
		Present                           int `json:"already_present"`
		Import                            int `json:"to_import"`
		Unresolved                        int
		Packages                          []map[string]any
	}
	a.decode(t, &plan)
	if plan.Name != "nginx" || plan.Version != "1.24.0-1" || plan.Arch != "amd64" || plan.Distribution != "jammy" ||
		plan.Total != 3 || plan.Present != 0 || plan.Import != 2 || plan.Unresolved != 1 {
		t.Errorf("plan is %s", a.body)
	}
	missing := plan.Packages[2]
	if missing["name"] != "nginx-common" || missing["status"] != "unresolved" || missing["source_id"] != nil || missing["required_by"] != "nginx" {
		t.Errorf("unresolved: %v", missing)
	}
	if c := plan.Packages[1]; c["relation"] != "depends" || c["constraint"] != ">= 2.28" || c["provides"] != nil || c["source_id"] != "ubuntu-jammy" {
		t.Errorf("to import: %v", c)
	}
	f.get("/import/resolve/nginx?distribution=nosuch", auth.Viewer).want(t, 400, "unknown_distribution")
	f.get("/import/resolve/nginx?version=9", auth.Viewer).want(t, 404, "version_not_found")
	f.get("/import/resolve/nothing", auth.Viewer).want(t, 404, "package_not_found")
}

func TestImportFetch(t *testing.T) {
	f, m := newImports(t)
	token := f.tokens[auth.Uploader]
	fetch := func(body string) answer { return f.json("POST", "/import/fetch", token, body) }
	fetch(`{"name":"nginx","distribution":"jammy"}`).want(t, 424, "sources_not_synced")
	f.sync()

	a := fetch(`{"name":"nginx","version":"1.24.0","arch":"amd64","distribution":"jammy","group":"web"}`).want(t, 201, "")
	var out fetchJSON
	a.decode(t, &out)
	if out.Status != "partial" || out.Imported != 2 || out.Errors != 1 || out.Results[0].Name != "nginx" || out.Results[0].Version != "1.24.0-1" ||
		out.Results[0].SHA256 == "" || a.header.Get("X-Job-ID") == "" || !strings.HasPrefix(a.header.Get("Location"), "/jobs/job_") {
		t.Errorf("fetch: %s %v", a.body, a.header)
	}
	if got := f.lastEntry(); !strings.HasPrefix(got, "token:role-uploader import.fetch partial") {
		t.Errorf("entry %q", got)
	}
	a = fetch(`{"name":"libc6","distribution":"jammy"}`).want(t, 200, "")
	if !strings.Contains(a.body, `"status":"already_present"`) {
		t.Errorf("fetch again: %s", a.body)
	}
	a = f.json("POST", "/import/fetch?wait=false", token, `{"name":"libc6","distribution":"jammy"}`).want(t, 202, "")
	if !strings.Contains(a.body, `"kind":"import_fetch"`) {
		t.Errorf("not waiting: %s", a.body)
	}
	for body, want := range map[string]struct {
		status int
		code   string
	}{
		`{}`:                              {422, "validation_failed"},
		`{"name":"A","distribution":"x"}`: {422, "validation_failed"},
		`{"name":"nginx","distribution":"jammy","group":"-"}`:         {422, "validation_failed"},
		`{"name":"nginx","distribution":"nosuch"}`:                    {400, "unknown_distribution"},
		`{"name":"nginx","distribution":"jammy","component":"x"}`:     {400, "unknown_component"},
		`{"name":"nginx","distribution":"jammy","arch":"riscv64"}`:    {400, "unsupported_architecture"},
		`{"name":"nginx","distribution":"jammy","source_id":"x"}`:     {400, "unknown_source"},
		`{"name":"nginx","distribution":"jammy","version":"9"}`:       {404, "version_not_found"},
		`{"name":"nothing","distribution":"jammy"}`:                   {404, "package_not_found"},
		`{"name":"nginx","distribution":"focal","source_id":null}`:    {424, "sources_not_synced"},
		`{"name":"nginx","distribution":"jammy","dependencies":"no"}`: {422, "validation_failed"},
	} {
		fetch(body).want(t, want.status, want.code)
	}
	scoped := f.newToken(auth.TokenSpec{Name: "focal", Roles: []auth.Role{auth.Uploader}, Distributions: []string{"focal"}})
	f.json("POST", "/import/fetch", scoped, `{"name":"nginx","distribution":"jammy"}`).want(t, 403, "token_scope")

	// The groups that came of it.
	a = f.get("/import/groups", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"name":"web","package_count":2,`) || !strings.Contains(a.body, `"created_by":"token:role-uploader"`) {
		t.Errorf("groups: %s", a.body)
	}
	f.do("DELETE", "/import/groups/web?packages=true", f.tokens[auth.Maintainer], nil).want(t, 204, "")
	f.do("DELETE", "/import/groups/web", f.tokens[auth.Maintainer], nil).want(t, 404, "group_not_found")
	a = f.get("/distributions/jammy/packages", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"total":0`) {
		t.Errorf("jammy has %s", a.body)
	}

	// An archive that does not keep its word, for the package that was asked for.
	m.Add("main", debtest.Package{Name: "tool", Version: "1.0", Arch: "amd64"})
	m.Release.Date = m.Release.Date.Add(time.Second)
	m.Publish()
	f.sync()
	offers, err := f.config.Import.Catalog.Offers(t.Context(), []string{"ubuntu-jammy"}, []string{"tool"})
	if err != nil || len(offers) != 1 {
		t.Fatal(offers, err)
	}
	body := m.Get(offers[0].Filename)
	body[100] ^= 1
	m.Put(offers[0].Filename, body)
	a = fetch(`{"name":"tool","distribution":"jammy"}`).want(t, 502, "upstream_hash_mismatch")
	if !strings.Contains(a.body, `"results":[{"name":"tool"`) {
		t.Errorf("no results in %s", a.body)
	}
}

func TestImportBatch(t *testing.T) {
	f, _ := newImports(t)
	f.sync()
	token := f.tokens[auth.Uploader]
	a := f.json("POST", "/import/batch?wait=true", token, `{"packages":[{"name":"nginx","distribution":"jammy"},
		{"name":"nothing","distribution":"jammy"},{"name":"libc6","distribution":"jammy"}]}`).want(t, 200, "")
	var out struct {
		Status                           string
		Total, Imported, Skipped, Errors int
		Results                          []struct {
			Name, Status, Code string
			Imported, Skipped  int
		}
	}
	a.decode(t, &out)
	if out.Status != "partial" || out.Total != 3 || out.Imported != 2 || out.Skipped != 1 || out.Errors != 2 {
		t.Errorf("batch: %s", a.body)
	}
	for i, want := range []string{"nginx partial package_not_found", "nothing error package_not_found", "libc6 already_present "} {
		if got := fmt.Sprint(out.Results[i].Name, " ", out.Results[i].Status, " ", out.Results[i].Code); got != want {
			t.Errorf("result %q, want %q", got, want)
		}
	}
	f.json("POST", "/import/batch", token, `{"packages":[{"name":"nginx","distribution":"jammy"}]}`).want(t, 202, "")
	twice := `{"name":"nginx","distribution":"jammy"}`
	f.json("POST", "/import/batch", token, `{"packages":[`+twice+`,`+twice+`]}`).want(t, 422, "validation_failed")
	f.json("POST", "/import/batch", token, `{"packages":[]}`).want(t, 422, "validation_failed")

	// Progress as events, up to the result.
	a = f.do("POST", "/import/batch", token, strings.NewReader(`{"packages":[{"name":"libc6","distribution":"jammy"}]}`),
		"Content-Type", "application/json", "Accept", "text/event-stream").want(t, 200, "")
	if !strings.Contains(a.body, "event: result\n") || a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("events: %s", a.body)
	}
}

func TestSyncRoutes(t *testing.T) {
	f, m := newImports(t)
	maintainer := f.tokens[auth.Maintainer]
	a := f.get("/import/sync-status", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"status":"never","last_attempt":null,"last_sync":null,"package_count":0,"error":null`) {
		t.Errorf("before: %s", a.body)
	}
	f.do("POST", "/import/sync", maintainer, nil).want(t, 202, "")
	a = f.do("POST", "/import/sync/ubuntu-jammy?wait=true", maintainer, nil).want(t, 200, "")
	if !strings.Contains(a.body, `"ok":1,"failed":0,"sources":[{"source_id":"ubuntu-jammy"`) {
		t.Errorf("sync of one: %s", a.body)
	}
	f.do("POST", "/import/sync/nosuch", maintainer, nil).want(t, 404, "source_not_found")
	f.do("POST", "/import/sync-security", maintainer, nil).want(t, 400, "no_sources_enabled")
	a = f.get("/import/sync-status", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"status":"ok"`) || !strings.Contains(a.body, `"package_count":2`) {
		t.Errorf("after: %s", a.body)
	}

	m.Handle(m.Dist("InRelease"), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	a = f.do("POST", "/import/sync?wait=true", maintainer, nil).want(t, 502, "upstream_unreachable")
	if !strings.Contains(a.body, `"sources":[{"source_id":"ubuntu-jammy","status":"error"`) {
		t.Errorf("no sources in %s", a.body)
	}
	a = f.get("/import/sync-status", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"status":"error"`) || !strings.Contains(a.body, `"code":"upstream_unreachable"`) || !strings.Contains(a.body, `"package_count":2`) {
		t.Errorf("after a failure: %s", a.body)
	}

	a = f.get("/import/sync-schedule", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"enabled":true,"cron":"0 3 * * *","timezone":"UTC","next_run":"2026-05-13T03:00:00Z"`) {
		t.Errorf("schedule: %s", a.body)
	}
	f.json("PATCH", "/settings/", f.tokens[auth.Admin], `{"import":{"schedule":"30 4 * * *","timezone":"Europe/Berlin"}}`).want(t, 200, "")
	a = f.get("/settings/next-sync", auth.Admin).want(t, 200, "")
	if a.body != `{"next_run":"2026-05-13T02:30:00Z","status":"scheduled","cron":"30 4 * * *","timezone":"Europe/Berlin"}`+"\n" {
		t.Errorf("next sync: %s", a.body)
	}
	f.json("PATCH", "/settings/", f.tokens[auth.Admin], `{"import":{"schedule_enabled":false}}`).want(t, 200, "")
	a = f.get("/settings/next-sync", auth.Admin).want(t, 200, "")
	if !strings.Contains(a.body, `"next_run":null,"status":"disabled"`) {
		t.Errorf("no next sync: %s", a.body)
	}
}

func TestSourceRoutes(t *testing.T) {
	f, m := newImports(t)
	admin := f.tokens[auth.Admin]
	body := strings.Replace(sourceBody(m, "other"), "http://", "http://user:pass-word@", 1)
	a := f.json("POST", "/import/sources", admin, body).want(t, 201, "")
	if !strings.Contains(a.body, `"id":"other"`) || !strings.Contains(a.body, "user:********@") || strings.Contains(a.body, "pass-word") {
		t.Errorf("created: %s", a.body)
	}
	f.json("POST", "/import/sources", admin, body).want(t, 409, "source_exists")
	f.json("POST", "/import/sources", admin, `{"id":"x"}`).want(t, 422, "validation_failed")
	a = f.get("/import/sources", auth.Admin).want(t, 200, "")
	var list struct {
		Sources []map[string]json.RawMessage
		Total   int
	}
	a.decode(t, &list)
	if list.Total != 2 || len(list.Sources) != 2 || strings.Contains(a.body, "pass-word") {
		t.Errorf("list: %s", a.body)
	}
	a = f.get("/import/sync-status", auth.Viewer).want(t, 200, "")
	if strings.Contains(a.body, "user") {
		t.Errorf("sync-status shows user info: %s", a.body)
	}
	f.do("DELETE", "/import/sources/other", admin, nil).want(t, 204, "")
	f.do("DELETE", "/import/sources/other", admin, nil).want(t, 404, "source_not_found")
	if strings.Contains(f.log.String(), "pass-word") {
		t.Error("the log has the password")
	}
}
