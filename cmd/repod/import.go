package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/httpapi/client"
)

// importOptions say what to import.
type importOptions struct {
	distribution string
	arch         string
	component    string
	source       string
	group        string
	alone        bool
	dryRun       bool
	json         bool
}

func (p *program) importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import NAME[=VERSION]... --distribution CODENAME",
		Short: "Import packages from upstream archives",
		Long: `import has the server fetch packages from the archives that it knows, with what
they depend on and the distribution lacks, and publish them together. The server
goes on when this command is interrupted; importing again finds what is there.
The exit status is 1 when a package that was asked for could not be imported.`,
		Example: `  repod import nginx curl=7.88.1-10+deb12u5 --distribution bookworm
  repod import nginx --distribution bookworm --dry-run`,
		GroupID: "client",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.distribution == "" {
				return usagef("--distribution is required: the codename to import into")
			}
			if o.dryRun {
				return p.planImport(cmd.Context(), args, o)
			}
			return p.importPackages(cmd.Context(), args, o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&o.distribution, "distribution", "d", "", "`codename` to import into (required)")
	flags.StringVarP(&o.component, "component", "c", "main", "`component` to import into")
	flags.StringVar(&o.arch, "arch", "amd64", "`architecture`")
	flags.StringVar(&o.source, "source", "", "only from the source of this `ID` (default: all that serve the distribution)")
	flags.StringVar(&o.group, "group", "", "put the packages into this `group`")
	flags.BoolVar(&o.alone, "no-dependencies", false, "import nothing but the packages named")
	flags.BoolVar(&o.dryRun, "dry-run", false, "show what would be imported")
	flags.BoolVar(&o.json, "json", false, "print the answers of the API")
	return cmd
}

func (o importOptions) wanted(arg string) client.Wanted {
	name, version, _ := strings.Cut(arg, "=")
	return client.Wanted{
		Name: name, Version: version, Arch: o.arch, Distribution: o.distribution, Component: o.component, SourceID: o.source,
	}
}

func (p *program) importPackages(ctx context.Context, args []string, o importOptions) error {
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	dependencies := !o.alone
	batch := client.Batch{Dependencies: &dependencies, Group: o.group}
	for _, arg := range args {
		batch.Packages = append(batch.Packages, o.wanted(arg))
	}
	show, end := p.jobProgress("importing")
	var answer json.RawMessage
	out, err := c.ImportBatch(client.KeepBody(ctx, &answer), batch, show)
	end()
	if err != nil {
		return err
	}
	if o.json {
		if _, err := fmt.Fprintf(p.stdout, "%s\n", answer); err != nil {
			return err
		}
	} else if err := p.printImport(out); err != nil {
		return err
	}
	for _, r := range out.Results {
		if r.Status == "error" {
			return errReported
		}
	}
	return nil
}

func (p *program) printImport(out client.Imported) error {
	for _, r := range out.Results {
		line := fmt.Sprintf("%s %s %s: %s", r.Name, r.Version, r.Arch, strings.ReplaceAll(r.Status, "_", " "))
		if r.Imported > 1 {
			line += fmt.Sprintf(", with %d more packages", r.Imported-1)
		}
		if r.Code == "" {
			if _, err := fmt.Fprintln(p.stdout, oneLine(line)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(p.stderr, oneLine(fmt.Sprintf("repod: %s: %s (%s)", line, strings.TrimSuffix(r.Detail, "."), r.Code)))
	}
	return nil
}

// planImport shows what the server would do for each package.
func (p *program) planImport(ctx context.Context, args []string, o importOptions) error {
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	for _, arg := range args {
		w := o.wanted(arg)
		var answer json.RawMessage
		plan, err := c.Plan(client.KeepBody(ctx, &answer), w.Name, client.PlanQuery{
			Version: w.Version, Arch: w.Arch, Distribution: w.Distribution, SourceID: w.SourceID,
		})
		if err != nil {
			return fmt.Errorf("%s: %w", w.Name, err)
		}
		if o.json {
			_, err = p.stdout.Write(answer)
		} else {
			err = p.printPlan(plan)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *program) printPlan(plan client.Plan) error {
	var b strings.Builder
	for _, item := range plan.Packages {
		if item.Status == "already_present" {
			continue
		}
		words := strings.Fields(strings.Join([]string{item.Name, item.Version, item.Arch}, " "))
		fmt.Fprintf(&b, "%s: %s", strings.Join(words, " "), strings.ReplaceAll(item.Status, "_", " "))
		if item.RequiredBy != "" {
			fmt.Fprintf(&b, " for %s", item.RequiredBy)
		}
		fmt.Fprintf(&b, " (%s)\n", item.Reason)
	}
	for _, conflict := range plan.Conflicts {
		fmt.Fprintf(&b, "note: %s\n", conflict)
	}
	fmt.Fprintf(&b, "%d packages to import, %.1f MB\n", plan.Import, float64(plan.Bytes)/1e6)
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(p.stdout, oneLine(line)); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) syncCommand() *cobra.Command {
	var security, asJSON bool
	cmd := &cobra.Command{
		Use:   "sync [SOURCE]",
		Short: "Fetch the indices of upstream archives",
		Long: `sync has the server fetch the indices of one source, or of all that are enabled,
and verify them. What did not change is not fetched again. The exit status is 1
when a source failed; it keeps what it had.`,
		Example: "  repod sync\n  repod sync debian-bookworm",
		GroupID: "client",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sync := (*client.Client).Sync
			switch {
			case security && len(args) > 0:
				return usagef("name a source or --security, not both")
			case security:
				sync = (*client.Client).SyncSecurity
			case len(args) > 0:
				sync = func(c *client.Client, ctx context.Context, show func(client.Job)) (client.Synced, error) {
					return c.SyncSource(ctx, args[0], show)
				}
			}
			return p.sync(cmd.Context(), sync, asJSON)
		},
	}
	cmd.Flags().BoolVar(&security, "security", false, "only sources of security updates")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer of the API")
	return cmd
}

func (p *program) sync(ctx context.Context, sync func(*client.Client, context.Context, func(client.Job)) (client.Synced, error), asJSON bool) error {
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	show, end := p.jobProgress("syncing")
	var answer json.RawMessage
	out, err := sync(c, client.KeepBody(ctx, &answer), show)
	end()
	if err != nil {
		return err
	}
	if asJSON {
		if _, err := fmt.Fprintf(p.stdout, "%s\n", answer); err != nil {
			return err
		}
	} else {
		for _, s := range out.Sources {
			if s.Status == "error" {
				fmt.Fprintln(p.stderr, oneLine(fmt.Sprintf("repod: %s: %s (%s)", s.SourceID, strings.TrimSuffix(s.Detail, "."), s.Code)))
				continue
			}
			state := map[string]string{"ok": "synced", "not_modified": "unchanged"}[s.Status]
			if _, err := fmt.Fprintln(p.stdout, oneLine(fmt.Sprintf("%s: %s, %d packages", s.SourceID, state, s.PackageCount))); err != nil {
				return err
			}
		}
	}
	if out.Failed > 0 {
		return errReported
	}
	return nil
}
