package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/aptrepo"
)

func (p *program) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "audit",
		Short:   "Export and verify the audit log",
		GroupID: "server",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(p.exportAuditCommand(), p.verifyAuditCommand())
	return cmd
}

func (p *program) exportAuditCommand() *cobra.Command {
	var format, since, until string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the audit log to standard output",
		Long: `export writes the entries of the audit log to standard output, oldest first: as
JSON Lines, an object a line with the hash that chains it to the one before, or
as CSV. It works on the server's own data, also beside a running server.`,
		Args:    cobra.NoArgs,
		Example: "  repod audit export --since 2026-05-01 >audit.jsonl",
	}
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "jsonl", "jsonl or csv")
	flags.StringVar(&since, "since", "", "only entries from this `day` on (2026-05-01, UTC)")
	flags.StringVar(&until, "until", "", "only entries before this `day`")
	return p.onStore(cmd, func(ctx context.Context, o *opened, _ []string) error {
		q := aptrepo.AuditQuery{Oldest: true}
		var err error
		if q.Start, err = dayFlag("since", since); err != nil {
			return err
		}
		if q.End, err = dayFlag("until", until); err != nil {
			return err
		}
		f := aptrepo.AuditFormat(format)
		if f != aptrepo.AuditLines && f != aptrepo.AuditCSV {
			return usagef("--format: want jsonl or csv")
		}
		return aptrepo.ExportAudit(ctx, o.db, q, f, p.stdout)
	})
}

// dayFlag reads the value of a flag, which may be empty.
func dayFlag(flag, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, value)
	if err != nil {
		return at, usagef("--%s: want a day as 2026-05-01", flag)
	}
	return at, nil
}

func (p *program) verifyAuditCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that nobody changed the audit log",
		Long: `verify reads the whole audit log, with what its archive has, and checks that no
entry was changed, removed, put in another's place or cut off. It works on the server's own data, also
beside a running server. The exit status is 1 when the log is broken. The check
is itself an entry of the log.`,
		Args:    cobra.NoArgs,
		Example: "  repod audit verify --data-dir /var/lib/repod",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return p.onStore(cmd, func(ctx context.Context, o *opened, _ []string) error {
		report, err := o.repo.VerifyAudit(ctx)
		if err != nil {
			return err
		}
		if err := p.printAudit(report, asJSON); err != nil {
			return err
		}
		if report.BrokenAt != 0 {
			return errReported
		}
		return nil
	})
}

func (p *program) printAudit(r aptrepo.AuditReport, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(struct {
			Status   string `json:"status"`
			Entries  int    `json:"entries"`
			BrokenAt int64  `json:"broken_at,omitempty"`
			Detail   string `json:"detail,omitempty"`
			Head     string `json:"head"`
		}{map[bool]string{true: "ok", false: "broken"}[r.BrokenAt == 0], r.Entries, r.BrokenAt, r.Detail, r.Head})
	}
	if r.BrokenAt != 0 {
		_, err := fmt.Fprintln(p.stdout, oneLine(fmt.Sprintf("broken at entry %d: %s", r.BrokenAt, r.Detail)))
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "%d entries, none was changed; the last has the hash %s\n", r.Entries, r.Head)
	return err
}
