package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/index"
	"github.com/repod-io/repod/scan/vuln"
)

func (p *program) vulndbCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vulndb",
		Short: "Bring vulnerability data in by hand",
		Long: `vulndb works on the vulnerability data of a server, also beside a running one,
for servers that have no way to the Internet: by feeds that were downloaded
elsewhere, or by a bundle that another repod has exported. All servers of a
PostgreSQL database get what is imported at one of them. Packages are held
against the new data at the next rescan.`,
		GroupID: "server",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(p.vulndbImportCommand(), p.vulndbExportCommand(), p.vulndbStatusCommand())
	return cmd
}

func (p *program) vulndbImportCommand() *cobra.Command {
	var force bool
	var keyring string
	cmd := &cobra.Command{
		Use:   "import KIND=PATH... | BUNDLE",
		Short: "Import feeds, or a bundle, from files",
		Long: `import reads feeds from files: KIND is debian (the security tracker's JSON),
ubuntu or osv (OSV: JSON, zip, or a directory of JSON files), kev or epss. Or it
takes a bundle that repod vulndb export has written, if it is signed by a key in
--keyring: that server's /apt/repod.asc. A feed that has lost a fifth of its
records, or a release, is refused without --force.`,
		Example: "  repod vulndb import debian=json kev=known_exploited_vulnerabilities.json\n" +
			"  repod vulndb import bundle.tar --keyring repod.asc",
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().BoolVar(&force, "force", false, "take data that look incomplete")
	cmd.Flags().StringVar(&keyring, "keyring", "", "`file` with the public keys that sign bundles")
	return p.onStore(cmd, func(ctx context.Context, o *opened, args []string) error {
		db := openVulnData(o, slog.New(slog.DiscardHandler))
		defer db.Close()
		var results []vuln.Result
		err := db.change(ctx, func(ctx context.Context) (err error) {
			if kind, _, feeds := strings.Cut(args[0], "="); feeds && kind != "" {
				results, err = importFeeds(ctx, db.DB, args, force)
			} else {
				results, err = importBundle(ctx, db.DB, args, keyring, force)
			}
			return err
		})
		if err != nil {
			return err
		}
		return p.printFeeds(ctx, o.repo, results)
	})
}

func importFeeds(ctx context.Context, db *vuln.DB, args []string, force bool) ([]vuln.Result, error) {
	var feeds []vuln.Feed
	for _, arg := range args {
		kind, path, _ := strings.Cut(arg, "=")
		feed := vuln.Feed{ID: kind, Kind: vuln.Kind(kind), Force: force}
		switch feed.Kind {
		case vuln.Debian, vuln.Ubuntu, vuln.OSV, vuln.KEV, vuln.EPSS:
		default:
			return nil, usagef("%s: want debian, ubuntu, osv, kev or epss", kind)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			root, err := os.OpenRoot(path)
			if err != nil {
				return nil, err
			}
			defer root.Close()
			feed.Dir = root.FS()
		} else {
			f, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			feed.Data = f
		}
		feeds = append(feeds, feed)
	}
	return db.Import(ctx, feeds...)
}

func importBundle(ctx context.Context, db *vuln.DB, args []string, keyring string, force bool) ([]vuln.Result, error) {
	if len(args) != 1 || keyring == "" {
		return nil, usagef("a bundle needs --keyring, and is imported alone")
	}
	text, err := os.ReadFile(keyring)
	if err != nil {
		return nil, err
	}
	keys, err := index.ParseKeyring(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyring, err)
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return db.ImportBundle(ctx, f, func(data, signature []byte) error {
		_, err := index.VerifyDetached(data, signature, keys, time.Now())
		return err
	}, force)
}

// printFeeds tells how feeds were imported, and records it.
func (p *program) printFeeds(ctx context.Context, repo *aptrepo.Repo, results []vuln.Result) error {
	var failed error
	var done []string
	for _, r := range results {
		line := fmt.Sprintf("%s: %s, %d records", r.ID, r.State, r.Records)
		if r.Detail != "" {
			line += ": " + r.Detail
		}
		done = append(done, fmt.Sprintf("%s=%s", r.ID, r.State))
		if r.State == vuln.Failed {
			failed = errReported
			fmt.Fprintln(p.stderr, "repod: "+oneLine(line))
		} else if _, err := fmt.Fprintln(p.stdout, oneLine(line)); err != nil {
			return err
		}
	}
	e := aptrepo.AuditEntry{Action: "security.vulndb_import", Result: aptrepo.ResultSuccess, Detail: strings.Join(done, " ")}
	if failed != nil {
		e.Result = aptrepo.ResultPartial
	}
	return errors.Join(repo.Record(ctx, e), failed)
}

func (p *program) vulndbExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a signed bundle to standard output",
		Long: `export writes the vulnerability data as one file, signed with the repository's
key, for repod vulndb import on another server.`,
		Example: "  repod vulndb export >bundle.tar",
		Args:    cobra.NoArgs,
	}
	return p.onStore(cmd, func(ctx context.Context, o *opened, _ []string) error {
		if isTerminal(p.stdout) {
			return usagef("a bundle is no text: redirect it to a file")
		}
		db := openVulnData(o, slog.New(slog.DiscardHandler))
		defer db.Close()
		if err := db.follow(ctx); err != nil {
			return err
		}
		return db.Export(ctx, p.stdout, func(data []byte) ([]byte, error) { return o.repo.SignDetached(ctx, data) })
	})
}

func (p *program) vulndbStatusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how old the vulnerability data are",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return p.onStore(cmd, func(ctx context.Context, o *opened, _ []string) error {
		db := openVulnData(o, slog.New(slog.DiscardHandler))
		defer db.Close()
		if err := db.follow(ctx); err != nil {
			return err
		}
		feeds, err := db.Status(ctx)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(p.stdout).Encode(feeds)
		}
		if len(feeds) == 0 {
			_, err := fmt.Fprintln(p.stdout, "no data were ever imported")
			return err
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		for _, f := range feeds {
			fmt.Fprintf(w, "%s\t%s\t%d records\tof %s\t%s\n", oneLine(f.ID), f.State, f.Records, f.Date.Format(time.DateOnly), oneLine(f.Detail))
		}
		return w.Flush()
	})
}
