package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/httpapi/client"
)

func (p *program) promoteCommand() *cobra.Command {
	var (
		o      client.Promotion
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

func (p *program) promote(ctx context.Context, o client.Promotion, asJSON bool) error {
	if o.From == "" || o.To == "" {
		return usagef("--from and --to are required: codenames of two distributions")
	}
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	promoted, err := c.Promote(client.KeepBody(ctx, &answer), o)
	if err != nil {
		return err
	}
	if asJSON {
		_, err := fmt.Fprintf(p.stdout, "%s\n", answer)
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
