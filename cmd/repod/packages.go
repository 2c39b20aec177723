package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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

// A promotion is the body of POST /distributions/promote.
type promotion struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Arch      string `json:"arch,omitempty"`
	From      string `json:"from_distribution"`
	To        string `json:"to_distribution"`
	Component string `json:"component,omitempty"`
}

func (p *program) promoteCommand() *cobra.Command {
	var (
		o      promotion
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "promote NAME VERSION --from CODENAME --to CODENAME",
		Short: "Publish a version in another distribution, too",
		Long: `promote publishes a version that is in one distribution in another, too. Both
then share one file. Promoting again changes nothing.`,
		Example: "  repod promote nginx 1.24.0 --from testing --to stable",
		GroupID: "client",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name, o.Version = args[0], args[1]
			return p.promote(cmd.Context(), o, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.From, "from", "", "`codename` where it is (required)")
	flags.StringVar(&o.To, "to", "", "`codename` where it goes (required)")
	flags.StringVar(&o.Arch, "arch", "", "only this `architecture` (default: all of the version)")
	flags.StringVarP(&o.Component, "component", "c", "", "`component` where it goes (default: the one where it is)")
	flags.BoolVar(&asJSON, "json", false, "print the answer of the API")
	return cmd
}

func (p *program) promote(ctx context.Context, o promotion, asJSON bool) error {
	if o.From == "" || o.To == "" {
		return usagef("--from and --to are required: codenames of two distributions")
	}
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	answer, err := c.do(ctx, request{method: http.MethodPost, path: "/distributions/promote", body: jsonBody(o)})
	if err != nil {
		return err
	}
	if asJSON {
		_, err := fmt.Fprintf(p.stdout, "%s\n", answer)
		return err
	}
	var promoted struct {
		Results []struct {
			Arch   string `json:"arch"`
			Status string `json:"status"`
		} `json:"results"`
	}
	if err := decode(answer, &promoted); err != nil {
		return err
	}
	for _, r := range promoted.Results {
		line := fmt.Sprintf("%s %s %s: %s: %s to %s", o.Name, o.Version, r.Arch, r.Status, o.From, o.To)
		if _, err := fmt.Fprintln(p.stdout, oneLine(line)); err != nil {
			return err
		}
	}
	return nil
}
