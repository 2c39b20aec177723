package httpapi

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
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
	if write := a.exporter(c); write != nil {
		return a.exportAudit(c, query, write)
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

// An auditWriter writes entries in a format for export.
type auditWriter interface {
	write(e auditJSON) error
	flush() error
}

// exporter returns the writer of the format that the client prefers to JSON,
// nil when there is none, and sets its Content-Type.
func (a *api) exporter(c *call) auditWriter {
	for _, accepted := range c.Header.Values("Accept") {
		for _, media := range strings.Split(accepted, ",") {
			media, _, _ = strings.Cut(strings.TrimSpace(media), ";")
			switch media {
			case "text/csv":
				c.w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
				w := &csvWriter{w: csv.NewWriter(c.w)}
				w.w.UseCRLF = true // RFC 4180
				return w
			case "application/x-ndjson":
				c.w.Header().Set("Content-Type", "application/x-ndjson")
				out := bufio.NewWriter(c.w)
				return &linesWriter{out, json.NewEncoder(out)}
			}
		}
	}
	return nil
}

// exportBatch is how many entries are read at a time.
const exportBatch = 1000

// exportAudit streams entries. A failure on the way breaks the connection off,
// so that nobody takes a part for the whole.
func (a *api) exportAudit(c *call, q aptrepo.AuditQuery, w auditWriter) error {
	setAPIHeaders(c.w.Header())
	if c.Method == http.MethodHead {
		return nil
	}
	q.PerPage, q.NoTotal = exportBatch, true
	for {
		page, err := a.Repo.Store.AuditPage(c.Context(), q)
		if err != nil && q.Behind == 0 {
			return err
		}
		for _, e := range page.Items {
			if err == nil {
				err = w.write(newAuditEntry(e))
			}
			q.Behind = e.ID
		}
		if err == nil {
			err = w.flush()
		}
		if err != nil {
			a.logFault(c.id, err)
			panic(http.ErrAbortHandler)
		}
		if len(page.Items) < exportBatch {
			return nil
		}
	}
}

// linesWriter writes a JSON object a line.
type linesWriter struct {
	out     *bufio.Writer
	encoder *json.Encoder
}

func (w *linesWriter) write(e auditJSON) error { return w.encoder.Encode(e) }
func (w *linesWriter) flush() error            { return w.out.Flush() }

// csvWriter writes CSV with a header line.
type csvWriter struct {
	w       *csv.Writer
	started bool
}

var csvHeader = []string{
	"id", "timestamp", "action", "user", "ip", "result", "target", "package", "version", "detail", "request_id", "hash",
}

func (w *csvWriter) begin() error {
	if w.started {
		return nil
	}
	w.started = true
	return w.w.Write(csvHeader)
}

func (w *csvWriter) write(e auditJSON) error {
	if err := w.begin(); err != nil {
		return err
	}
	row := []string{
		strconv.FormatInt(e.ID, 10), time.Time(e.Timestamp).UTC().Format(time.RFC3339), e.Action, e.User, e.IP, e.Result,
		e.Target, e.Package, e.Version, e.Detail, e.RequestID, e.Hash,
	}
	for i := range row {
		row[i] = unformula(row[i])
	}
	return w.w.Write(row)
}

func (w *csvWriter) flush() error {
	if err := w.begin(); err != nil {
		return err
	}
	w.w.Flush()
	return w.w.Error()
}

// unformula keeps a spreadsheet from running what somebody has put into the
// log: cells that it would take for formulas begin with an apostrophe.
func unformula(cell string) string {
	if cell != "" && slices.Contains([]byte("=+-@\t\r\n"), cell[0]) {
		return "'" + cell
	}
	return cell
}

func (a *api) verifyAudit(c *call) error {
	report, err := a.Repo.VerifyAudit(c.detach())
	if err != nil {
		return err
	}
	out := struct {
		Status   string `json:"status"`
		Entries  int    `json:"entries"`
		FirstID  int64  `json:"first_id"`
		LastID   int64  `json:"last_id"`
		BrokenAt *int64 `json:"broken_at"`
		Anchor   string `json:"anchor"`
		Head     string `json:"head"`
		Detail   string `json:"detail,omitempty"`
	}{"ok", report.Entries, report.FirstID, report.LastID, nil, report.Anchor, report.Head, report.Detail}
	if report.BrokenAt != 0 {
		out.Status, out.BrokenAt = "broken", &report.BrokenAt
	}
	return writeJSON(c.w, http.StatusOK, out)
}
