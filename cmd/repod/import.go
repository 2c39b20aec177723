package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
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

// wanted is a package in the body of POST /import/batch.
type wanted struct {
	Name         string `json:"name"`
	Version      string `json:"version,omitempty"`
	Arch         string `json:"arch"`
	Distribution string `json:"distribution"`
	Component    string `json:"component"`
	SourceID     string `json:"source_id,omitempty"`
}

func (o importOptions) wanted(arg string) wanted {
	name, version, _ := strings.Cut(arg, "=")
	return wanted{name, version, o.arch, o.distribution, o.component, o.source}
}

// importResult is the result of POST /import/batch.
type importResult struct {
	Status   string `json:"status"`
	Imported int    `json:"imported"`
	Skipped  int    `json:"skipped"`
	Results  []struct {
		Name     string `json:"name"`
		Version  string `json:"version"`
		Arch     string `json:"arch"`
		Status   string `json:"status"`
		Imported int    `json:"imported"`
		Skipped  int    `json:"skipped"`
		Code     string `json:"code"`
		Detail   string `json:"detail"`
	} `json:"results"`
}

func (p *program) importPackages(ctx context.Context, args []string, o importOptions) error {
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	body := struct {
		Packages     []wanted `json:"packages"`
		Dependencies bool     `json:"dependencies"`
		Group        string   `json:"group,omitempty"`
	}{nil, !o.alone, o.group}
	for _, arg := range args {
		body.Packages = append(body.Packages, o.wanted(arg))
	}
	show, end := p.jobProgress("importing")
	answer, err := c.work(ctx, request{method: http.MethodPost, path: "/import/batch", body: jsonBody(body)}, show)
	end()
	if err != nil {
		return err
	}
	var out importResult
	if err := decode(answer, &out); err != nil {
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

func (p *program) printImport(out importResult) error {
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
		query := url.Values{"arch": {w.Arch}, "distribution": {w.Distribution}}
		if w.Version != "" {
			query.Set("version", w.Version)
		}
		if w.SourceID != "" {
			query.Set("source_id", w.SourceID)
		}
		answer, err := c.do(ctx, request{method: http.MethodGet, path: "/import/resolve/" + url.PathEscape(w.Name), query: query})
		if err != nil {
			return fmt.Errorf("%s: %w", w.Name, err)
		}
		if err := p.printPlan(answer, o.json); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) printPlan(answer []byte, asJSON bool) error {
	if asJSON {
		_, err := p.stdout.Write(answer)
		return err
	}
	var plan struct {
		Import   int   `json:"to_import"`
		Bytes    int64 `json:"download_bytes"`
		Packages []struct {
			Name       string `json:"name"`
			Version    string `json:"version"`
			Arch       string `json:"arch"`
			Status     string `json:"status"`
			RequiredBy string `json:"required_by"`
			Reason     string `json:"reason"`
		} `json:"packages"`
		Conflicts []string `json:"conflicts"`
	}
	if err := decode(answer, &plan); err != nil {
		return err
	}
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
			path := "/import/sync"
			switch {
			case security && len(args) > 0:
				return usagef("name a source or --security, not both")
			case security:
				path = "/import/sync-security"
			case len(args) > 0:
				path += "/" + url.PathEscape(args[0])
			}
			return p.sync(cmd.Context(), path, asJSON)
		},
	}
	cmd.Flags().BoolVar(&security, "security", false, "only sources of security updates")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer of the API")
	return cmd
}

func (p *program) sync(ctx context.Context, path string, asJSON bool) error {
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	show, end := p.jobProgress("syncing")
	answer, err := c.work(ctx, request{method: http.MethodPost, path: path}, show)
	end()
	if err != nil {
		return err
	}
	var out struct {
		Failed  int `json:"failed"`
		Sources []struct {
			SourceID     string `json:"source_id"`
			Status       string `json:"status"`
			PackageCount int    `json:"package_count"`
			Code         string `json:"code"`
			Detail       string `json:"detail"`
		} `json:"sources"`
	}
	if err := json.Unmarshal(answer, &out); err != nil {
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
