package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/httpapi/client"
)

// maxParallel bounds --parallel: more gains nothing.
const maxParallel = 32

// uploadOptions says where files go and how.
type uploadOptions struct {
	distribution string
	component    string
	parallel     int
	retries      int
	json         bool
}

func (p *program) uploadCommand() *cobra.Command {
	var o uploadOptions
	cmd := &cobra.Command{
		Use:   "upload FILE... --distribution CODENAME",
		Short: "Publish packages",
		Long: `upload publishes .deb files. When it says that a package is indexed, apt
sees it. Uploading the same file again changes nothing. A file that fails is
sent from its beginning again when the connection broke or the server was
busy; the others go on. The exit status is 1 when any file failed.`,
		Example: "  repod upload hello_1.0_amd64.deb --distribution jammy",
		GroupID: "client",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			return p.upload(cmd.Context(), files, o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&o.distribution, "distribution", "d", "", "`codename` to publish in (required)")
	flags.StringVarP(&o.component, "component", "c", "", "`component` of the distribution (default main)")
	flags.IntVarP(&o.parallel, "parallel", "p", 4, "`number` of uploads at a time")
	flags.IntVar(&o.retries, "retries", defaultRetries, "`number` of attempts after a failed one")
	flags.BoolVar(&o.json, "json", false, "print one JSON object for each file")
	return cmd
}

// An uploaded is the outcome for one file.
type uploaded struct {
	File   string          `json:"file"`
	Result json.RawMessage `json:"result,omitempty"` // as the server said
	Error  *client.Error   `json:"error,omitempty"`

	published client.Published
	err       error
}

// upload sends the files, several at a time, and prints each outcome.
func (p *program) upload(ctx context.Context, files []string, o uploadOptions) error {
	switch {
	case o.distribution == "":
		return usagef("--distribution is required: the codename to publish in")
	case o.parallel < 1 || o.parallel > maxParallel:
		return usagef("--parallel takes 1 to %d", maxParallel)
	case o.retries < 0:
		return usagef("--retries takes 0 or more")
	}
	c, err := p.client(o.retries)
	if err != nil {
		return err
	}
	show := newProgress(p, files, o.json)
	c.Note = noteTo(show.note)

	outcomes := make(chan uploaded)
	queue := make(chan string)
	go func() {
		defer close(queue)
		for _, f := range files {
			queue <- f
		}
	}()
	var workers sync.WaitGroup
	for range min(o.parallel, len(files)) {
		workers.Go(func() {
			for f := range queue {
				outcomes <- uploadFile(ctx, c, f, o, show.sent)
			}
		})
	}
	go func() {
		workers.Wait()
		close(outcomes)
	}()
	failed := 0
	for u := range outcomes {
		if u.err != nil {
			failed++
		}
		show.outcome(u)
	}
	return show.finish(ctx, failed)
}

// uploadFile sends one file; sent is told how many bytes went, and a negative
// number when some have to go again.
func uploadFile(ctx context.Context, c *client.Client, path string, o uploadOptions, sent func(int64)) uploaded {
	u := uploaded{File: path}
	u.published, u.err = func() (client.Published, error) {
		if err := ctx.Err(); err != nil {
			return client.Published{}, err
		}
		f, err := os.Open(path)
		if err != nil {
			return client.Published{}, err
		}
		defer f.Close()
		return c.Upload(client.KeepBody(ctx, &u.Result), client.Upload{
			Distribution: o.distribution, Component: o.component, File: f, Sent: sent,
		})
	}()
	if u.err != nil && !errors.As(u.err, &u.Error) {
		u.Error = &client.Error{Message: oneLine(u.err.Error())}
	}
	return u
}

// describe says in one line what became of a file.
func (u uploaded) describe() (line string, warnings []string) {
	if u.err != nil {
		return fmt.Sprintf("%s: failed: %s", u.File, explain(u.err)), nil
	}
	a := u.published
	for _, w := range a.Warnings {
		warnings = append(warnings, oneLine(fmt.Sprintf("%s: warning: %s: %s", u.File, w.Code, w.Message)))
	}
	return oneLine(fmt.Sprintf("%s: %s: %s %s %s in %s/%s",
		u.File, a.Status, a.Name, a.Version, a.Arch, a.Distribution, a.Component)), warnings
}
