package httpapi

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/sbom"
)

// billsAtOnce is how many bills of materials are made at a time. Each holds a
// transaction and a processor for as long as it takes; others wait.
const billsAtOnce = 2

// billQuery reads the parameters of all bills.
func (a *api) billQuery(c *call) (aptrepo.BillQuery, *query) {
	q := newQuery(c.Request)
	out := aptrepo.BillQuery{
		Format:  sbom.Format(q.oneOf("format", string(sbom.CycloneDX), string(sbom.SPDX))),
		BaseURL: a.baseURL(c.Request), Author: sbom.Contact{Email: a.Settings.Current().SMTP.From},
		ToolVersion: a.Version, TempDir: a.SpoolDir,
	}
	out.Version = q.oneOf("version", append(sbom.Versions(out.Format), "")...)
	return out, q
}

// exportSBOM answers with the bill of a distribution, or of all.
func (a *api) exportSBOM(c *call) error {
	bill, q := a.billQuery(c)
	bill.Distribution = q.word("distribution")
	if err := q.err(); err != nil {
		return err
	}
	if c.Header.Get("If-None-Match") != "" {
		tag, err := a.Repo.BillTag(c.Context(), bill)
		if err != nil {
			return err
		}
		if unchanged(c.Request, tag) {
			c.w.Header().Set("ETag", etagOf(tag, false))
			c.w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	name := "sbom"
	if bill.Distribution != "" {
		name += "-" + bill.Distribution
	}
	return a.sendBill(c, name+bill.Format.Extension(), func(w io.Writer) (aptrepo.Bill, error) { return a.Repo.SBOM(c.Context(), w, bill) })
}

// packageSBOM answers with the bill of one artifact.
func (a *api) packageSBOM(c *call) error {
	bill, q := a.billQuery(c)
	s := aptrepo.Selection{Name: c.vars["name"], Version: c.vars["version"], Arch: q.word("arch")}
	if err := q.err(); err != nil {
		return err
	}
	return a.sendBill(c, s.Name+"-sbom"+bill.Format.Extension(), func(w io.Writer) (aptrepo.Bill, error) {
		return a.Repo.PackageSBOM(c.Context(), w, s, bill)
	})
}

type previewJSON struct {
	Format       sbom.Format     `json:"format"`
	SpecVersion  string          `json:"spec_version"`
	Distribution *string         `json:"distribution"`
	Total        int             `json:"total_packages"`
	Shown        int             `json:"shown"`
	Truncated    bool            `json:"truncated"`
	Preview      json.RawMessage `json:"preview"`
}

// previewSBOM answers with the beginning of a bill.
func (a *api) previewSBOM(c *call) error {
	bill, q := a.billQuery(c)
	bill.Distribution, bill.Arch, bill.Limit = q.word("distribution"), q.word("arch"), q.number("limit", 5, 1, 50)
	if err := q.err(); err != nil {
		return err
	}
	var doc bytes.Buffer
	made, err := a.makeBill(c.Context(), &doc, func(w io.Writer) (aptrepo.Bill, error) { return a.Repo.SBOM(c.Context(), w, bill) })
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, previewJSON{bill.Format, bill.Version, orNull(bill.Distribution), made.Total, made.Shown, made.Shown < made.Total, doc.Bytes()})
}

// makeBill has a bill written, when it is its turn.
func (a *api) makeBill(ctx context.Context, w io.Writer, write func(w io.Writer) (aptrepo.Bill, error)) (aptrepo.Bill, error) {
	select {
	case a.bills <- struct{}{}:
		defer func() { <-a.bills }()
	case <-ctx.Done():
		return aptrepo.Bill{}, ctx.Err()
	}
	return write(w)
}

// sendBill sends a bill as a file. It is made as a whole first: a client may be
// slow, and an error is to be told in place of a bill that is cut.
func (a *api) sendBill(c *call, name string, write func(w io.Writer) (aptrepo.Bill, error)) error {
	spool, err := a.createSpool()
	if err != nil {
		return err
	}
	defer spool.Close()
	sum, buffer := sha256.New(), bufio.NewWriterSize(spool.disk, 64<<10)
	bill, err := a.makeBill(c.Context(), io.MultiWriter(sum, buffer), write)
	if err == nil {
		if err = buffer.Flush(); err == nil {
			_, err = spool.Seek(0, io.SeekStart)
		}
		if err != nil {
			err = spoolError(err)
		}
	}
	if err != nil {
		return err
	}
	tag := cmp.Or(bill.Tag, hex.EncodeToString(sum.Sum(nil)[:16]))
	h := c.w.Header()
	setAPIHeaders(h)
	h.Set("Content-Type", bill.MediaType)
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(c.Request) && !unchanged(c.Request, tag) {
		h.Set("ETag", etagOf(tag, true))
		h.Set("Content-Encoding", "gzip")
		return sendZipped(c, spool)
	}
	h.Set("ETag", etagOf(tag, false))
	http.ServeContent(c.w, singleRange(c.Request), "", time.Time{}, spool)
	return nil
}

// sendZipped compresses what is read from r. A client that has gone needs no
// answer.
func sendZipped(c *call, r io.Reader) error {
	c.w.WriteHeader(http.StatusOK)
	if c.Method == http.MethodHead {
		return nil
	}
	z, err := gzip.NewWriterLevel(c.w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := io.Copy(z, r); err == nil {
		_ = z.Close()
	}
	return nil
}

func etagOf(tag string, zipped bool) string {
	if zipped {
		return `"` + tag + `-gzip"`
	}
	return `"` + tag + `"`
}

// unchanged reports whether a client has what bears that tag, in either encoding
// (RFC 9110, section 13.1.2).
func unchanged(r *http.Request, tag string) bool {
	for part := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		switch strings.TrimPrefix(strings.TrimSpace(part), "W/") {
		case "*", etagOf(tag, false), etagOf(tag, true):
			return true
		}
	}
	return false
}

// acceptsGzip reports whether a client asks for gzip (RFC 9110, section 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, weight, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(part, " ", "")), ";")
		if coding == "gzip" || coding == "x-gzip" {
			return !slices.Contains([]string{"q=0", "q=0.0", "q=0.00", "q=0.000"}, weight)
		}
	}
	return false
}
