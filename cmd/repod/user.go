package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/auth"
)

func (p *program) userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "user",
		Short:   "Help users who are locked out",
		GroupID: "server",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(p.resetPasswordCommand())
	return cmd
}

// resetOptions says how a user gets a new password.
type resetOptions struct {
	stdin    bool
	activate bool
	json     bool
}

func (p *program) resetPasswordCommand() *cobra.Command {
	var o resetOptions
	cmd := &cobra.Command{
		Use:   "reset-password NAME",
		Short: "Give a local user a new password",
		Long: `reset-password gives a local user a new password, for when nobody is left who
could do it in the console. It works on the server's own data, with the same
settings, also beside a running server, and ends the user's sessions. Without
--password-stdin the password is random and printed once.`,
		Example: "  repod user reset-password admin --data-dir /var/lib/repod",
		Args:    cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.stdin, "password-stdin", false, "read the password from the first line of standard input")
	flags.BoolVar(&o.activate, "activate", false, "activate the user, too")
	flags.BoolVar(&o.json, "json", false, "print a JSON object")
	return p.onStore(cmd, func(ctx context.Context, on *opened, args []string) error {
		return p.resetPassword(ctx, on, args[0], o)
	})
}

func (p *program) resetPassword(ctx context.Context, on *opened, name string, o resetOptions) error {
	given := ""
	if o.stdin {
		var err error
		if given, err = readLine(p.stdin); err != nil {
			return err
		}
	}
	users := &auth.Service{Store: on.db, Failures: on.db, Key: on.secretKey}
	password := auth.Secret(given)
	if !o.stdin {
		var err error
		if password, err = users.GeneratePassword(name); err != nil {
			return err
		}
	}
	by := auth.Principal{Name: "system"}
	if err := users.SetPassword(ctx, by, name, string(password), auth.Client{}); err != nil {
		return resetFailure(name, err)
	}
	if o.activate {
		active := true
		if _, err := users.UpdateUser(ctx, by, name, auth.UserPatch{Active: &active}, auth.Client{}); err != nil {
			return err
		}
	}
	return p.printReset(name, password, o)
}

// resetFailure says what to do next.
func resetFailure(name string, err error) error {
	switch {
	case errors.Is(err, auth.ErrUserNotFound):
		return fmt.Errorf("there is no user %s here (check --data-dir or --database-url)", name)
	case errors.Is(err, auth.ErrDirectoryManaged):
		return fmt.Errorf("the password of %s is kept by the directory", name)
	}
	return err
}

func (p *program) printReset(name string, password auth.Secret, o resetOptions) error {
	shown := string(password)
	if o.stdin {
		shown = "" // whoever gave it knows it
	}
	var err error
	switch {
	case o.json:
		err = json.NewEncoder(p.stdout).Encode(struct {
			Username string `json:"username"`
			Password string `json:"password,omitempty"`
		}{name, shown})
	case shown == "":
		_, err = fmt.Fprintf(p.stdout, "user %s has a new password\n", name)
	default:
		_, err = fmt.Fprintf(p.stdout, "user %s, password %s (shown only this once)\n", name, shown)
	}
	return err
}

// readLine returns the first line of r.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64<<10)).ReadString('\n')
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("standard input has no password in its first line")
		}
		return "", err
	}
	return line, nil
}
