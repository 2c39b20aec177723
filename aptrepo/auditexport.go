package aptrepo

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"time"
)

// An AuditFormat is a form in which audit entries leave the repository.
type AuditFormat string

// The formats of ExportAudit.
const (
	// AuditLines has a JSON object a line (JSON Lines): the entry as
	// [AuditEntry.Chain] hashes it, and that hash.
	AuditLines AuditFormat = "jsonl"
	// AuditCSV is CSV (RFC 4180) with a header line. Cells that a spreadsheet
	// would take for formulas begin with an apostrophe.
	AuditCSV AuditFormat = "csv"
)

// exportBatch is how many entries are read at a time.
const exportBatch = 1000

// ExportAudit writes all entries that q selects, whatever its Page; PerPage,
// Behind and NoTotal are ignored too. Nothing is written before the first
// entries have been read. Memory does not grow with the log.
func ExportAudit(ctx context.Context, s Store, q AuditQuery, format AuditFormat, w io.Writer) error {
	q.Page, q.PerPage, q.Behind, q.NoTotal = 1, exportBatch, 0, true
	out := newAuditWriter(format, w)
	for {
		page, err := s.AuditPage(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range page.Items {
			if err := out.write(e); err != nil {
				return err
			}
			q.Behind = e.ID
		}
		if err := out.flush(); err != nil || len(page.Items) < exportBatch {
			return err
		}
	}
}

// An auditWriter writes entries in some format.
type auditWriter interface {
	write(e AuditEntry) error
	flush() error
}

func newAuditWriter(format AuditFormat, w io.Writer) auditWriter {
	if format == AuditCSV {
		out := &csvWriter{w: csv.NewWriter(w)}
		out.w.UseCRLF = true // RFC 4180
		return out
	}
	out := bufio.NewWriter(w)
	return &linesWriter{out, json.NewEncoder(out)}
}

type linesWriter struct {
	out     *bufio.Writer
	encoder *json.Encoder
}

func (w *linesWriter) write(e AuditEntry) error { return w.encoder.Encode(e) }
func (w *linesWriter) flush() error             { return w.out.Flush() }

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

func (w *csvWriter) write(e AuditEntry) error {
	if err := w.begin(); err != nil {
		return err
	}
	row := []string{
		strconv.FormatInt(e.ID, 10), e.Time.UTC().Format(time.RFC3339), e.Action, e.User, e.IP, e.Result,
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
// log.
func unformula(cell string) string {
	if cell != "" && slices.Contains([]byte("=+-@\t\r\n"), cell[0]) {
		return "'" + cell
	}
	return cell
}
