package httpapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// auditJSON is an entry as clients see it: what its hash is made of, and that.
type auditJSON struct {
	ID        int64     `json:"id"`
	Timestamp timestamp `json:"timestamp"`
	Action    string    `json:"action"`
	User      string    `json:"user"`
	IP        string    `json:"ip"`
	Result    string    `json:"result"`
	Target    string    `json:"target"`
	Package   string    `json:"package"`
	Version   string    `json:"version"`
	Detail    string    `json:"detail"`
	RequestID string    `json:"request_id"`
	Hash      string    `json:"hash"`
}

func newAuditEntry(e aptrepo.AuditEntry) auditJSON {
	return auditJSON{
		e.ID, timestamp(e.Time), e.Action, e.User, e.IP, e.Result, e.Target, e.Package, e.Version, e.Detail, e.RequestID, e.Hash,
	}
}

// auditLogs answers a page of entries or, to who accepts text/csv or
// application/x-ndjson, all that match.
func (a *api) auditLogs(c *call) error {
	q := newQuery(c.Request)
	query := aptrepo.AuditQuery{
		User: q.word("user"), Action: q.word("action"), Result: q.word("result"), Package: q.word("package"), Q: q.text("q", 128),
		Start: q.moment("start", false), End: q.moment("end", true),
		Oldest: q.oneOf("sort", "desc", "asc") == "asc",
	}
	p := paging{q.number("page", 1, 1, 1_000_000_000), q.number("per_page", 100, 1, 500)}
	if err := q.err(); err != nil {
		return err
	}
	if media := exportType(c.Request); media != "" {
		return a.exportAudit(c, query, media)
	}
	query.Page, query.PerPage = p.page, p.perPage
	page, err := a.Repo.Store.AuditPage(c.Context(), query)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newPage(page.Items, page.Total, p, newAuditEntry))
}

// moment returns a time or date; a date as the end of something includes that
// day.
func (q *query) moment(name string, end bool) time.Time {
	s := q.word(name)
	if s == "" {
		return time.Time{}
	}
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		if end {
			day = day.AddDate(0, 0, 1)
		}
		return day
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil || at.Year() < 1 {
		q.fault(name, "must be a time as 2026-05-12T10:00:00Z or a date as 2026-05-12")
	}
	return at
}

// exportTypes are the media types of the formats that the log can be had in.
var exportTypes = map[string]aptrepo.AuditFormat{
	"text/csv":             aptrepo.AuditCSV,
	"application/x-ndjson": aptrepo.AuditLines,
}

// exportType returns the media type that the client accepts, of exportTypes,
// or "".
func exportType(r *http.Request) string {
	for _, accepted := range r.Header.Values("Accept") {
		for _, media := range strings.Split(accepted, ",") {
			media, _, _ = strings.Cut(strings.TrimSpace(media), ";")
			if exportTypes[media] != "" {
				return media
			}
		}
	}
	return ""
}

// exportAudit streams entries. A failure on the way breaks the connection off,
// so that nobody takes a part for the whole.
func (a *api) exportAudit(c *call, q aptrepo.AuditQuery, media string) error {
	setAPIHeaders(c.w.Header())
	c.w.Header().Set("Content-Type", media+map[string]string{"text/csv": "; charset=utf-8; header=present"}[media])
	if c.Method == http.MethodHead {
		return nil
	}
	err := aptrepo.ExportAudit(c.Context(), a.Repo.Store, q, exportTypes[media], c.w)
	if err != nil && c.w.status != 0 {
		a.logFault(c.id, err)
		panic(http.ErrAbortHandler)
	}
	return err
}

type auditVerdictJSON struct {
	Status   string `json:"status" rule:"ok|broken"`
	Entries  int    `json:"entries"`
	FirstID  int64  `json:"first_id"`
	LastID   int64  `json:"last_id"`
	BrokenAt *int64 `json:"broken_at"`
	Anchor   string `json:"anchor"`
	Head     string `json:"head"`
	Detail   string `json:"detail,omitempty"`
}

func (a *api) verifyAudit(c *call) error {
	report, err := a.Repo.VerifyAudit(c.detach())
	if err != nil {
		return err
	}
	out := auditVerdictJSON{"ok", report.Entries, report.FirstID, report.LastID, nil, report.Anchor, report.Head, report.Detail}
	if report.BrokenAt != 0 {
		out.Status, out.BrokenAt = "broken", &report.BrokenAt
	}
	return writeJSON(c.w, http.StatusOK, out)
}
