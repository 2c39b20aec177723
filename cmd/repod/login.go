package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/repod-io/repod/httpapi/client"
)

type loginOptions struct {
	username string
	stdin    bool
}

func (p *program) loginCommand() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Print the token of a new session",
		Long: `login asks for a password, and for a one-time password where the user has that,
and prints the token of a session, which lasts an hour. Programs use API tokens:
see repod token create.`,
		Example: "  export REPOD_TOKEN=$(repod login --username ann)",
		GroupID: "client",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.login(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.username, "username", "u", "admin", "`name` of the user")
	flags.BoolVar(&o.stdin, "password-stdin", false, "read the password from the first line of standard input")
	return cmd
}

func (p *program) login(ctx context.Context, o loginOptions) error {
	c, err := p.client(0)
	if err != nil {
		return err
	}
	who := client.Login{Username: o.username}
	if o.stdin {
		who.Password, err = readLine(p.stdin)
	} else {
		who.Password, err = p.ask("Password of " + oneLine(o.username))
	}
	if err != nil {
		return err
	}
	if c, err = c.WithToken(""); err != nil { // REPOD_TOKEN may have expired
		return err
	}
	session, err := c.Login(ctx, who)
	var refusal *client.Error
	if errors.As(err, &refusal) && refusal.Code == "otp_required" && !o.stdin {
		if who.OTP, err = p.ask("One-time password"); err == nil {
			session, err = c.Login(ctx, who)
		}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, session.AccessToken)
	return err
}

// ask reads a secret from the terminal without showing it.
func (p *program) ask(what string) (string, error) {
	f, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", usagef("there is no terminal to ask for the password: use --password-stdin")
	}
	fmt.Fprint(p.stderr, what+": ")
	secret, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(p.stderr)
	return string(secret), err
}
