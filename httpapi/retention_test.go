package httpapi

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb/debtest"
)

// ranRetention runs retention and returns its report.
func (f *fixture) ranRetention(query string) (out retentionJSON) {
	f.t.Helper()
	f.do("POST", "/settings/run-retention"+query, f.tokens[auth.Admin], nil).want(f.t, 200, "").decode(f.t, &out)
	return out
}

func TestRunRetention(t *testing.T) {
	f, _ := newImports(t)
	admin := f.tokens[auth.Admin]
	for _, version := range []string{"1.0", "2.0", "10.0"} {
		f.publish(debtest.Package{Name: "tool", Version: version}, "jammy").want(t, 201, "")
	}
	// By default nothing goes.
	a := f.do("POST", "/settings/run-retention", admin, nil).want(t, 200, "")
	a.keys(t, "status", "dry_run", "ran_at", "removed_count", "freed_bytes", "removed", "artifacts_deleted",
		"audit_entries_removed", "rejected_records_removed")
	want := `{"status":"ok","dry_run":false,"ran_at":"2026-05-12T10:00:00Z","removed_count":0,"freed_bytes":0,"removed":[],` +
		`"artifacts_deleted":0,"audit_entries_removed":0,"rejected_records_removed":0}`
	if strings.TrimSpace(a.body) != want || a.header.Get("X-Job-ID") == "" {
		t.Errorf("%s, want %s", a.body, want)
	}
	if got := f.lastEntry(); got != "token:role-admin retention.run success  removed=0 deleted=0 freed=0 rejected=0 audit=0" {
		t.Errorf("entry %q", got)
	}

	// Settings are in force at once.
	f.json("PATCH", "/settings", admin, `{"keep_versions":2}`).want(t, 200, "")
	entries := len(f.actions())
	dry := f.ranRetention("?dry_run=true")
	if !dry.DryRun || dry.RemovedCount != 1 || len(f.actions()) != entries {
		t.Errorf("dry run %+v, %d entries", dry, len(f.actions())-entries)
	}
	f.get("/artifacts/tool/1.0", auth.Viewer).want(t, 200, "")
	a = f.do("POST", "/settings/run-retention?dry_run=false", admin, nil).want(t, 200, "")
	var out struct {
		Removed []map[string]any `json:"removed"`
		Freed   float64          `json:"freed_bytes"`
		Deleted int              `json:"artifacts_deleted"`
	}
	a.decode(t, &out)
	if len(out.Removed) != 1 || out.Deleted != 1 || out.Removed[0]["size_bytes"] != out.Freed || out.Freed < 100 {
		t.Fatalf("%s", a.body)
	}
	delete(out.Removed[0], "size_bytes")
	wantRow := map[string]any{"name": "tool", "version": "1.0", "arch": "amd64", "distribution": "jammy", "reason": "keep_versions"}
	if fmt.Sprint(out.Removed[0]) != fmt.Sprint(wantRow) {
		t.Errorf("removed %v, want %v", out.Removed[0], wantRow)
	}
	f.get("/artifacts/tool/1.0", auth.Viewer).want(t, 404, "version_not_found")

	f.json("PATCH", "/settings", admin, `{"keep_versions":0,"retention_days":7}`).want(t, 200, "")
	if got := f.ranRetention(""); got.RemovedCount != 0 {
		t.Errorf("%+v", got)
	}
	f.clock.move(7 * 24 * time.Hour)
	if got := f.ranRetention(""); got.RemovedCount != 1 || got.Removed[0].Reason != "retention_days" || got.Removed[0].Version != "2.0" {
		t.Errorf("%+v", got)
	}

	f.json("PATCH", "/settings", admin, `{"audit_retention_days":1}`).want(t, 200, "")
	f.clock.move(2 * 24 * time.Hour)
	archived := f.ranRetention("").AuditEntries // settings are changed by another clock
	if archived < 5 {
		t.Errorf("%d audit entries removed", archived)
	}
	var check map[string]any
	f.get("/artifacts/audit/verify", auth.Auditor).want(t, 200, "").decode(t, &check)
	if check["status"] != "ok" || check["first_id"] != float64(archived+1) || check["anchor"] == "" {
		t.Errorf("%v", check)
	}

	// It is a job like others.
	a = f.do("POST", "/settings/run-retention?wait=false", admin, nil).want(t, 202, "")
	var job jobJSON
	a.decode(t, &job)
	if job.Kind != "retention" || a.header.Get("Location") != "/jobs/"+job.ID {
		t.Errorf("%s, %s", a.body, a.header.Get("Location"))
	}
	f.do("POST", "/settings/run-retention?dry_run=maybe", admin, nil).want(t, 422, "validation_failed")
	narrow := f.newToken(auth.TokenSpec{Name: "narrow", Roles: []auth.Role{auth.Admin}, Packages: []string{"tool*"}})
	f.do("POST", "/settings/run-retention", narrow, nil).want(t, 403, "token_scope")
}

// C07: runs at once, while others publish. One works at a time, and whoever asks
// meanwhile gets its report.
func TestRunRetentionAtOnce(t *testing.T) {
	f, _ := newImports(t)
	f.json("PATCH", "/settings", f.tokens[auth.Admin], `{"keep_versions":1}`).want(t, 200, "")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 3 {
				if a := f.do("POST", "/settings/run-retention", f.tokens[auth.Admin], nil); a.status != 200 {
					t.Errorf("%d %s", a.status, a.body)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 10 {
			if a := f.publish(debtest.Package{Name: "tool", Version: fmt.Sprint(i)}, "jammy"); a.status >= 300 {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
	})
	wg.Wait()
	f.ranRetention("")
	report, err := f.repo.Fsck(t.Context(), aptrepo.FsckOptions{ReadFiles: true})
	if err != nil || len(report.Faults) > 0 || report.Published != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

// Every day at two, in the time zone of the settings.
func TestScheduleRetention(t *testing.T) {
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "jobs.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := &jobs.Runner{DB: db, Dialect: jobs.SQLite}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop(t.Context()) })
	s := settings.Default()
	if err := ScheduleRetention(r, s); !errors.Is(err, jobs.ErrUnknownKind) {
		t.Errorf("without the kind: %v", err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	next, err := jobs.NextRun(retentionCron, berlin, time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	if want := time.Date(2026, 7, 2, 0, 0, 0, 0, time.UTC); err != nil || !next.Equal(want) {
		t.Errorf("next run %v, %v; want %v", next, err, want)
	}
	s.Import.Timezone = "Mars/Olympus"
	if err := ScheduleRetention(r, s); err == nil || errors.Is(err, jobs.ErrUnknownKind) {
		t.Errorf("in no time zone: %v", err)
	}
	args, err := json.Marshal(retentionArgs{Actor: actorJSON{Name: "system"}})
	if err != nil || strings.Contains(string(args), "dry_run") {
		t.Errorf("%s, %v", args, err)
	}
}
