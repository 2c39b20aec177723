package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// perPage is the most that the API gives at once.
const perPage = 200

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
			query := url.Values{}
			for name, value := range map[string]string{"q": strings.Join(args, ""), "distribution": distribution, "arch": arch} {
				if value != "" {
					query.Set(name, value)
				}
			}
			return p.packages(cmd.Context(), query, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&distribution, "distribution", "d", "", "only those published in `codename`")
	flags.StringVar(&arch, "arch", "", "only those of an `architecture`")
	flags.BoolVar(&asJSON, "json", false, "print a JSON array of the rows that the API gives")
	return cmd
}

func (p *program) packages(ctx context.Context, query url.Values, asJSON bool) error {
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	rows, err := c.packageRows(ctx, query)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(rows)
	}
	return p.packageTable(rows)
}

// packageRows fetches all pages of a listing.
func (c *client) packageRows(ctx context.Context, query url.Values) ([]json.RawMessage, error) {
	rows := []json.RawMessage{}
	query.Set("per_page", strconv.Itoa(perPage))
	for page := 1; ; page++ {
		query.Set("page", strconv.Itoa(page))
		var answer struct {
			Items []json.RawMessage `json:"items"`
			Pages int               `json:"pages"`
		}
		if err := c.get(ctx, "/packages/", query, &answer); err != nil {
			return nil, err
		}
		rows = append(rows, answer.Items...)
		if page >= answer.Pages || len(answer.Items) == 0 {
			return rows, nil
		}
	}
}

func (p *program) packageTable(rows []json.RawMessage) error {
	if len(rows) == 0 {
		fmt.Fprintln(p.stderr, "repod: no package matches")
		return nil
	}
	out := bufio.NewWriter(p.stdout)
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tVERSION\tARCHITECTURES\tDISTRIBUTIONS\tSTATUS\tSIZE")
	for _, row := range rows {
		var r struct {
			Name          string   `json:"name"`
			Version       string   `json:"latest_version"`
			Architectures []string `json:"architectures"`
			Distributions []string `json:"distributions"`
			Status        string   `json:"status"`
			Size          int64    `json:"size_bytes"`
		}
		if err := decode(row, &r); err != nil {
			return err
		}
		fields := []string{r.Name, r.Version, strings.Join(r.Architectures, ","),
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
