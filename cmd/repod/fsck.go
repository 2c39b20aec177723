package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/repod-io/repod/aptrepo"
)

// fsckOptions says what to check and how to tell.
type fsckOptions struct {
	repair bool
	quick  bool
	json   bool
}

func (p *program) fsckCommand() *cobra.Command {
	var o fsckOptions
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Compare database, files and indices",
		Long: `fsck compares every package in the database with its file, every file with the
database, every index with both and with its signatures, what the database counts
and copies with what that follows from, and checks published bills of materials
and the chain of the audit log. It may run beside a server, with the same settings.
The exit status is 1 when it found faults, also those that it repaired.

--repair takes packages whose file is lost or damaged out of the distributions,
moves unknown files to lost+found and makes wrong indices, counts and bills anew.
It deletes no package. A broken audit chain cannot be repaired.`,
		Example: "  repod fsck --data-dir /var/lib/repod",
		GroupID: "server",
		Args:    cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.repair, "repair", false, "repair what can be repaired")
	flags.BoolVar(&o.quick, "quick", false, "compare sizes only, without reading the files")
	flags.BoolVar(&o.json, "json", false, "print a JSON object")
	return p.onStore(cmd, func(ctx context.Context, on *opened, _ []string) error { return p.fsck(ctx, on.repo, o) })
}

// A fault is one line of fsck's findings.
type fault struct {
	Kind         string `json:"kind"`
	Name         string `json:"name"`
	Version      string `json:"version"`
	Arch         string `json:"arch"`
	Distribution string `json:"distribution"`
	Detail       string `json:"detail"`
}

// fsckResult is what fsck --json prints.
type fsckResult struct {
	Artifacts     int      `json:"artifacts"`
	Published     int      `json:"published"`
	Distributions []string `json:"distributions"`
	Faults        []fault  `json:"faults"`
}

func (p *program) fsck(ctx context.Context, repo *aptrepo.Repo, o fsckOptions) error {
	progress, done := p.fsckProgress()
	report, err := repo.Fsck(ctx, aptrepo.FsckOptions{
		ReadFiles: !o.quick,
		Repair:    o.repair,
		Progress:  progress,
	})
	done()
	result := fsckResult{report.Artifacts, report.Published, report.Distributions, []fault{}}
	for _, f := range report.Faults {
		result.Faults = append(result.Faults, fault{f.Kind, f.Name, f.Version, f.Arch, f.Distribution, f.Detail})
	}
	if err := p.printFsck(result, o); err != nil {
		return err
	}
	switch {
	case err != nil:
		return fmt.Errorf("the check did not get to its end: %w", err)
	case len(result.Faults) > 0:
		return errReported
	}
	return nil
}

// fsckProgress returns what shows progress on a terminal, and its end.
func (p *program) fsckProgress() (show func(done, total int), end func()) {
	if !isTerminal(p.stderr) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionSetDescription("checking"),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	show = func(done, total int) {
		bar.ChangeMax(max(total, 1))
		_ = bar.Set(done) // a bar that cannot be drawn stops no check
	}
	return show, func() { _ = bar.Clear() }
}

func (p *program) printFsck(r fsckResult, o fsckOptions) error {
	if o.json {
		return json.NewEncoder(p.stdout).Encode(r)
	}
	for _, f := range r.Faults {
		what := cmp.Or(strings.TrimSpace(strings.Join([]string{f.Name, f.Version, f.Arch}, " ")), f.Distribution, "-")
		if _, err := fmt.Fprintln(p.stdout, oneLine(fmt.Sprintf("%s: %s: %s", f.Kind, what, f.Detail))); err != nil {
			return err
		}
	}
	summary := fmt.Sprintf("%d packages checked, %d of them published: ", r.Artifacts, r.Published)
	switch {
	case len(r.Faults) == 0:
		summary += "no faults"
	case o.repair:
		summary += fmt.Sprintf("%d faults; run repod fsck again to see what is left", len(r.Faults))
	default:
		summary += fmt.Sprintf("%d faults; repod fsck --repair repairs what can be repaired", len(r.Faults))
	}
	_, err := fmt.Fprintln(p.stdout, summary)
	return err
}
