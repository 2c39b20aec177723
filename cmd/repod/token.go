package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/httpapi/client"
)

func (p *program) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Create, list and revoke API tokens",
		GroupID: "client",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(p.tokenCreateCommand(), p.tokenListCommand(), p.tokenRevokeCommand())
	return cmd
}

func (p *program) tokenCreateCommand() *cobra.Command {
	var t client.NewToken
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create an API token and print it",
		Long: `create makes an API token for a program and prints it, this once. It can do what
its roles can, in the distributions and for the packages that are named, if any
are. Only administrators may create tokens.`,
		Example: "  repod token create gitlab-ci --role uploader --distribution jammy --expires-in-days 90",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.Name = args[0]
			return p.createToken(cmd.Context(), t, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&t.Roles, "role", []string{"uploader"}, "`role`: viewer, uploader, auditor, maintainer or admin; may be repeated")
	flags.StringSliceVarP(&t.Distributions, "distribution", "d", nil, "only this `codename`; may be repeated (default: all)")
	flags.StringSliceVar(&t.Packages, "package", nil, "only packages of this `name`, or of all that begin so, as acme-*; may be repeated (default: all)")
	flags.IntVar(&t.ExpiresInDays, "expires-in-days", 0, "end it after so many `days` (default: never)")
	flags.BoolVar(&asJSON, "json", false, "print the answer of the API")
	return cmd
}

func (p *program) createToken(ctx context.Context, t client.NewToken, asJSON bool) error {
	c, err := p.client(0) // a second one would be another token
	if err != nil {
		return err
	}
	var answer json.RawMessage
	made, err := c.CreateToken(client.KeepBody(ctx, &answer), t)
	if err != nil {
		return err
	}
	if asJSON {
		_, err = fmt.Fprintf(p.stdout, "%s\n", answer)
	} else {
		_, err = fmt.Fprintln(p.stdout, made.Token)
	}
	return err
}

func (p *program) tokenListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the API tokens, without their secrets",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.listTokens(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (p *program) listTokens(ctx context.Context, asJSON bool) error {
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	tokens, err := c.Tokens(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		if tokens == nil {
			tokens = []client.APIToken{}
		}
		return json.NewEncoder(p.stdout).Encode(tokens)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, t := range tokens {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\tlast used %s\texpires %s\n", t.ID, oneLine(t.Name), strings.Join(t.Roles, ","),
			cmp.Or(strings.Join(t.Distributions, ","), "all distributions"), dateOr(t.LastUsedAt), dateOr(t.ExpiresAt))
	}
	return w.Flush()
}

func dateOr(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format(time.DateOnly)
}

func (p *program) tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID...",
		Short: "End API tokens",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			c, err := p.client(defaultRetries)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if err := c.RevokeToken(cmd.Context(), id); err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
			}
			return nil
		},
	}
}
