package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"
)

// An SBOMQuery says which bill of materials is wanted. Zero: CycloneDX, in the
// newest version that the server knows, of all distributions.
type SBOMQuery struct {
	Format       string `url:"format"` // cyclonedx, spdx
	Version      string `url:"version"`
	Distribution string `url:"distribution"`
}

// SBOM writes the bill of materials of a distribution, or of all, to w. When the
// connection breaks on the way, the call is repeated only if w is a [Restarter].
func (c *Client) SBOM(ctx context.Context, w io.Writer, q SBOMQuery) error {
	return c.download(ctx, "/sbom/export", q, w)
}

// PackageSBOM writes the bill of materials of a version to w, as [Client.SBOM]
// does; q.Distribution counts for nothing.
func (c *Client) PackageSBOM(ctx context.Context, w io.Writer, name, version, arch string, q SBOMQuery) error {
	return c.download(ctx, at("sbom", name, version), struct {
		archQuery
		Format  string `url:"format"`
		Version string `url:"version"`
	}{archQuery{arch}, q.Format, q.Version}, w)
}

// A Restarter is a writer that can forget what was written to it.
type Restarter interface {
	Restart() error
}

// download writes an answer of any size to w.
func (c *Client) download(ctx context.Context, path string, query any, w io.Writer) error {
	restarter, again := w.(Restarter)
	return c.send(ctx, request{method: http.MethodGet, path: path, query: queryOf(query), safe: true, header: http.Header{"Accept": {"*/*"}},
		take: func(resp *http.Response) error {
			if again {
				if err := restarter.Restart(); err != nil {
					return err
				}
			}
			n, err := io.Copy(w, resp.Body)
			switch {
			case err != nil && n > 0 && !again:
				return &cutError{err}
			case err != nil:
				return fmt.Errorf("reading the answer: %w", err)
			}
			return nil
		}})
}

// An AuditQuery says which entries of the audit log are listed.
type AuditQuery struct {
	User    string `url:"user"`
	Action  string `url:"action"`
	Result  string `url:"result"`
	Package string `url:"package"`
	Q       string `url:"q"`     // part of user, package, target or detail
	Start   string `url:"start"` // RFC 3339 or a date
	End     string `url:"end"`   // before that; a date includes its day
	Sort    string `url:"sort"`  // desc, asc
	Paging
}

// AuditLog lists entries of the audit log, newest first.
func (c *Client) AuditLog(ctx context.Context, q AuditQuery) (Page[AuditEntry], error) {
	return get[Page[AuditEntry]](ctx, c, "/artifacts/audit/logs", q)
}

// AllAudit yields the entries of all pages that [Client.AuditLog] has.
func (c *Client) AllAudit(ctx context.Context, q AuditQuery) iter.Seq2[AuditEntry, error] {
	return pages(func(p Paging) (Page[AuditEntry], error) {
		q.Paging = p
		return c.AuditLog(ctx, q)
	})
}

// VerifyAudit has the server check the chain of the audit log.
func (c *Client) VerifyAudit(ctx context.Context) (AuditVerdict, error) {
	return get[AuditVerdict](ctx, c, "/artifacts/audit/verify", nil)
}

// Settings are the settings of a server: a tree in JSON, secrets masked. What it
// holds stands in the server's description, /openapi.json.
type Settings struct {
	JSON json.RawMessage
	ETag string // of this state
}

// Settings returns the settings.
func (c *Client) Settings(ctx context.Context) (Settings, error) {
	return c.settings(ctx, request{method: http.MethodGet, path: "/settings", safe: true})
}

// PatchSettings changes the settings that patch, which is marshalled to JSON,
// names, and returns all. With an ETag it does so only if they are still in that
// state. Codes: validation_failed, precondition_failed.
func (c *Client) PatchSettings(ctx context.Context, patch any, etag string) (Settings, error) {
	r := request{method: http.MethodPatch, path: "/settings", body: jsonBody(patch)}
	if etag != "" {
		r.header = http.Header{"If-Match": {etag}}
	}
	return c.settings(ctx, r)
}

func (c *Client) settings(ctx context.Context, r request) (Settings, error) {
	var out Settings
	r.take = func(resp *http.Response) error {
		out.ETag = resp.Header.Get("ETag")
		return c.decode(ctx, resp.Body, &out.JSON)
	}
	err := c.send(ctx, r)
	return out, err
}

// Health returns which parts of the server work. When too few do for the server
// to work at all, it is an [*Error] with status 503.
func (c *Client) Health(ctx context.Context) (Health, error) {
	return get[Health](ctx, c, "/health", nil)
}

// Ready fails unless the server can work.
func (c *Client) Ready(ctx context.Context) error {
	return c.exchange(ctx, request{method: http.MethodGet, path: "/health/ready", safe: true}, &struct{}{})
}

// Clock returns the server's time, to the second; zero when something in between
// keeps it.
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := c.send(ctx, request{method: http.MethodGet, path: "/health/live", safe: true, take: func(resp *http.Response) error {
		now, _ = http.ParseTime(resp.Header.Get("Date"))
		return nil
	}})
	return now, err
}
