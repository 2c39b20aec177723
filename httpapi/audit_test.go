package httpapi

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
)

// record appends audit entries.
func (f *fixture) record(entries ...aptrepo.AuditEntry) {
	f.t.Helper()
	err := f.db.Update(f.t.Context(), func(tx aptrepo.Tx) error {
		for _, e := range entries {
			if e.Time.IsZero() {
				e.Time = f.clock.now()
			}
			if err := tx.Audit(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestAuditLogs(t *testing.T) {
	f := newFixture(t)
	day := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	f.record(
		aptrepo.AuditEntry{Time: day, Action: "test.a", User: "Ann", IP: "192.0.2.7", Result: "success", Target: "jammy",
			Package: "nginx", Version: "1.0", Detail: "first", RequestID: "req-1"},
		aptrepo.AuditEntry{Time: day.Add(12 * time.Hour), Action: "test.b", User: "bob", Result: "failure", Package: "curl"},
		aptrepo.AuditEntry{Time: day.Add(24 * time.Hour), Action: "test.c", User: "bob", Result: "denied", Detail: "100%"},
	)
	type answer struct {
		Items []struct {
			Action string `json:"action"`
		} `json:"items"`
		Total   int `json:"total"`
		PerPage int `json:"per_page"`
	}
	for query, want := range map[string]string{
		"?start=2026-06-01":                          "c b a of 3",
		"?start=2026-06-01&sort=asc":                 "a b c of 3",
		"?start=2026-06-01&end=2026-06-01":           "b a of 2",
		"?start=2026-06-01&end=2026-06-01T12:00:00Z": "a of 1",
		"?start=2026-06-01T13:00:00%2B01:00":         "c b of 2",
		"?user=ANN":                                  "a of 1",
		"?user=bob&result=Failure":                   "b of 1",
		"?action=Test.C":                             "c of 1",
		"?package=NGINX":                             "a of 1",
		"?q=100%25":                                  "c of 1",
		"?q=JAMM&user=ann":                           "a of 1",
		"?user=bob&per_page=1&page=2":                "b of 2",
		"?user=bob&page=9":                           "of 2",
		"?user=nobody":                               "of 0",
	} {
		var got answer
		f.get("/artifacts/audit/logs"+query, auth.Auditor).want(t, 200, "").decode(t, &got)
		text := ""
		for _, item := range got.Items {
			text += strings.TrimPrefix(item.Action, "test.") + " "
		}
		if text += fmt.Sprintf("of %d", got.Total); text != want {
			t.Errorf("%s: %s, want %s", query, text, want)
		}
	}
	a := f.get("/artifacts/audit/logs/?user=ann", auth.Auditor).want(t, 200, "")
	if !strings.Contains(a.body, `"timestamp":"2026-06-01T00:00:00Z","action":"test.a","user":"Ann","ip":"192.0.2.7","result":"success",`+
		`"target":"jammy","package":"nginx","version":"1.0","detail":"first","request_id":"req-1","hash":"`) || !strings.Contains(a.body, `"per_page":100,`) {
		t.Errorf("%s", a.body)
	}
	for _, query := range []string{"?start=today", "?end=2026-13-01", "?per_page=501", "?page=0", "?sort=id", "?q=" + strings.Repeat("x", 129), "?user=a&user=b"} {
		f.get("/artifacts/audit/logs"+query, auth.Auditor).want(t, 422, "validation_failed")
	}
	f.get("/artifacts/audit/logs", auth.Uploader).want(t, 403, "insufficient_role")
}

// exportBatch is more than the entries that an export reads at a time.
const exportBatch = 1001

// An export has every entry that matches, more than one reading's worth, and
// is safe to open.
func TestAuditExport(t *testing.T) {
	f := newFixture(t)
	many := make([]aptrepo.AuditEntry, 2*exportBatch+1)
	for i := range many {
		many[i] = aptrepo.AuditEntry{Action: "test.export", User: "bob", Result: "success", Detail: fmt.Sprint(i)}
	}
	many[3].Detail, many[4].Detail, many[5].Detail, many[6].Target = "=cmd|' /C calc'!A0", "a,\"b\"\nc", "+1", "@x"
	f.record(many...)
	token := f.tokens[auth.Auditor]

	a := f.do("GET", "/artifacts/audit/logs?action=test.export&sort=asc&per_page=1", token, nil, "Accept", "text/csv")
	a.want(t, 200, "")
	if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "text/csv") {
		t.Errorf("Content-Type %q", got)
	}
	rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	if err != nil || len(rows) != len(many)+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if strings.Join(rows[0], " ") != "id timestamp action user ip result target package version detail request_id hash" || !strings.Contains(a.body, "hash\r\n") {
		t.Errorf("header %q", rows[0])
	}
	for i, want := range map[int]string{3: "'=cmd|' /C calc'!A0", 4: "a,\"b\"\nc", 5: "'+1", 2 * exportBatch: fmt.Sprint(2 * exportBatch)} {
		if got := rows[i+1][9]; got != want {
			t.Errorf("row %d: detail %q, want %q", i, got, want)
		}
	}
	if rows[7][6] != "'@x" {
		t.Errorf("target %q", rows[7][6])
	}

	a = f.do("GET", "/artifacts/audit/logs?action=test.export", token, nil, "Accept", "text/html, application/x-ndjson;q=0.9")
	lines := strings.Split(strings.TrimSuffix(a.want(t, 200, "").body, "\n"), "\n")
	var first struct{ Detail string }
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != len(many) || first.Detail != fmt.Sprint(2*exportBatch) {
		t.Errorf("%d lines, the first %s, %v", len(lines), lines[0], err)
	}
	a = f.do("GET", "/artifacts/audit/logs?action=nothing", token, nil, "Accept", "text/csv").want(t, 200, "")
	if a.body != strings.Join(rows[0], ",")+"\r\n" {
		t.Errorf("%q", a.body)
	}
	if a := f.do("HEAD", "/artifacts/audit/logs", token, nil, "Accept", "text/csv"); a.status != 200 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.status, a.body)
	}
}

func TestVerifyAudit(t *testing.T) {
	f := newFixture(t)
	a := f.get("/artifacts/audit/verify", auth.Auditor).want(t, 200, "")
	a.keys(t, "status", "entries", "first_id", "last_id", "broken_at", "anchor", "head")
	if !strings.Contains(a.body, `"status":"ok"`) || !strings.Contains(a.body, `"broken_at":null`) {
		t.Errorf("%s", a.body)
	}
	if got := f.lastEntry(); !strings.HasPrefix(got, "token:role-auditor audit.verify success") {
		t.Errorf("entry %q", got)
	}
	f.get("/artifacts/audit/verify", auth.Uploader).want(t, 403, "insufficient_role")
}
