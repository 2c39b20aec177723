package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// errReported ends a command with exitFailure when what went wrong has been
// printed already.
var errReported = errors.New("failed, as reported")

// A usageError is a mistake in flags, variables or the configuration file.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// A program is one run of the binary with its surroundings.
type program struct {
	env    func(string) string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	// started is set once the command line has been understood: errors
	// before that are bad usage.
	started bool
}

// run carries out the command line and returns the exit status. It ends early
// when ctx does.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var usage *usageError
	switch {
	case errors.Is(err, errReported):
		return exitFailure
	case !p.started, errors.As(err, &usage):
		first, _, _ := strings.Cut(err.Error(), "\n")
		fmt.Fprintf(stderr, "repod: %s (see %s --help)\n", first, cmd.CommandPath())
		return exitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "repod: interrupted")
	default:
		fmt.Fprintln(stderr, "repod: "+explain(err))
	}
	return exitFailure
}

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "repod",
		Short: "A private APT repository",
		Long: `repod serves a private APT repository and talks to one.

repod serve needs nothing but a directory. The client commands read
  REPOD_URL    the server, e.g. https://repo.example.com
  REPOD_TOKEN  an API token (or REPOD_TOKEN_FILE, a file that holds it)
Exit status: 0 done, 1 failed, 2 bad usage.`,
		Version:       buildVersion().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRun: func(*cobra.Command, []string) {
			p.started = true
		},
	}
	root.SetVersionTemplate("repod {{.Version}}\n")
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.AddGroup(
		&cobra.Group{ID: "server", Title: "On the server:"},
		&cobra.Group{ID: "client", Title: "From anywhere:"},
	)
	root.AddCommand(p.serveCommand(), p.backupCommand(), p.restoreCommand(), p.fsckCommand(), p.doctorCommand(), p.healthCommand(), p.auditCommand(), p.vulndbCommand(), p.userCommand())
	root.AddCommand(p.loginCommand(), p.tokenCommand(), p.uploadCommand(), p.packagesCommand(), p.promoteCommand(), p.sbomCommand(), p.importCommand(), p.syncCommand(), p.versionCommand())
	return root
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// oneLine makes text from elsewhere safe to print on one line of a terminal.
func oneLine(s string) string {
	s = strings.NewReplacer("\r\n", "; ", "\n", "; ").Replace(strings.TrimSpace(s))
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
