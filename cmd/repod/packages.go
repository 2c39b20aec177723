package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/httpapi/client"
)

func (p *program) packagesCommand() *cobra.Command {
	var (
		distribution, arch string
		asJSON             bool
	)
	cmd := &cobra.Command{
		Use:   "packages [QUERY]",
		Short: "List packages",
		Long: `packages lists the packages whose name or description holds QUERY, all
without one. For each name it shows the newest published version.`,
		Example: "  repod packages nginx --distribution jammy",
		GroupID: "client",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := client.PackageQuery{Q: strings.Join(args, ""), Distribution: distribution, Arch: arch}
			return p.packages(cmd.Context(), q, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&distribution, "distribution", "d", "", "only those published in `codename`")
	flags.StringVar(&arch, "arch", "", "only those of an `architecture`")
	flags.BoolVar(&asJSON, "json", false, "print a JSON array of the rows that the API gives")
	return cmd
}

func (p *program) packages(ctx context.Context, q client.PackageQuery, asJSON bool) error {
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	var kept json.RawMessage // of the page that a row is on
	texts := []json.RawMessage{}
	rows := []client.PackageRow{}
	for row, err := range c.AllPackages(client.KeepBody(ctx, &kept), q) {
		if err != nil {
			return err
		}
		rows = append(rows, row)
		if kept == nil {
			continue
		}
		var page struct {
			Items []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(kept, &page); err != nil {
			return err
		}
		texts, kept = append(texts, page.Items...), nil
	}
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(texts)
	}
	return p.packageTable(rows)
}

func (p *program) packageTable(rows []client.PackageRow) error {
	if len(rows) == 0 {
		fmt.Fprintln(p.stderr, "repod: no package matches")
		return nil
	}
	out := bufio.NewWriter(p.stdout)
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tVERSION\tARCHITECTURES\tDISTRIBUTIONS\tSTATUS\tSIZE")
	for _, r := range rows {
		fields := []string{r.Name, r.LatestVersion, strings.Join(r.Architectures, ","),
			cmp.Or(strings.Join(r.Distributions, ","), "-"), r.Status, strconv.FormatInt(r.Size, 10)}
		for i, f := range fields {
			fields[i] = oneLine(f)
		}
		fmt.Fprintln(table, strings.Join(fields, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return out.Flush()
}
