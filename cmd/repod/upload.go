package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"
)

// errChanged stops an upload whose file is not what it was when it began.
var errChanged = errors.New("the file changed while it was uploaded")

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
	Error  *problem        `json:"error,omitempty"`

	err error
}

// published is what the server says about an accepted package.
type published struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Arch         string `json:"arch"`
	Distribution string `json:"distribution"`
	Component    string `json:"component"`
	Status       string `json:"status"`
	Warnings     []struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"warnings"`
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
	c.note = show.note

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
				outcomes <- c.uploadFile(ctx, f, o, show.sent)
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
func (c *client) uploadFile(ctx context.Context, path string, o uploadOptions, sent func(int64)) uploaded {
	u := uploaded{File: path}
	answer, err := c.sendFile(ctx, path, o, sent)
	if err == nil {
		err = decode(answer, &published{})
	}
	if err != nil {
		u.err = err
		if !errors.As(err, &u.Error) {
			u.Error = &problem{Detail: oneLine(err.Error())}
		}
		return u
	}
	u.Result = answer
	return u
}

func (c *client) sendFile(ctx context.Context, path string, o uploadOptions, sent func(int64)) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "upload", Path: path, Err: errors.New("not a regular file")}
	}
	head, tail, contentType, err := envelope(filepath.Base(path), o)
	if err != nil {
		return nil, err
	}
	var last *countingReader
	return c.do(ctx, request{
		method: http.MethodPost,
		path:   "/upload/",
		body: func() (io.Reader, int64, string, error) {
			if last != nil {
				sent(-last.stop())
			}
			// A section of its own for each attempt: the transport may still
			// read the former one for a moment.
			last = &countingReader{r: io.NewSectionReader(f, 0, info.Size()), left: info.Size(), sent: sent}
			body := io.MultiReader(bytes.NewReader(head), last, bytes.NewReader(tail))
			return body, int64(len(head)) + info.Size() + int64(len(tail)), contentType, nil
		},
	})
}

// envelope returns the multipart text before and after the file's bytes, so
// that a file of any size is sent without holding it in memory.
func envelope(filename string, o uploadOptions) (head, tail []byte, contentType string, err error) {
	var text bytes.Buffer
	w := multipart.NewWriter(&text)
	if err := w.WriteField("distribution", o.distribution); err != nil {
		return nil, nil, "", err
	}
	if o.component != "" {
		if err := w.WriteField("component", o.component); err != nil {
			return nil, nil, "", err
		}
	}
	if _, err := w.CreateFormFile("file", filename); err != nil {
		return nil, nil, "", err
	}
	n := text.Len()
	if err := w.Close(); err != nil {
		return nil, nil, "", err
	}
	return text.Bytes()[:n:n], text.Bytes()[n:], w.FormDataContentType(), nil
}

// A countingReader tells how many bytes were read of a file, and refuses one
// that turns out shorter than it was.
type countingReader struct {
	r    io.Reader
	left int64
	sent func(int64)

	mu      sync.Mutex
	total   int64
	stopped bool
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return 0, io.ErrClosedPipe
	}
	c.total += int64(n)
	c.left -= int64(n)
	if n > 0 {
		c.sent(int64(n))
	}
	if err == io.EOF && c.left > 0 {
		return n, errChanged
	}
	return n, err
}

// stop ends the reader and returns how many bytes it told.
func (c *countingReader) stop() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	return c.total
}

// describe says in one line what became of a file.
func (u uploaded) describe() (line string, warnings []string) {
	var a published
	if u.err != nil {
		return fmt.Sprintf("%s: failed: %s", u.File, oneLine(u.err.Error())), nil
	}
	if err := decode(u.Result, &a); err != nil {
		return fmt.Sprintf("%s: %v", u.File, err), nil
	}
	for _, w := range a.Warnings {
		warnings = append(warnings, oneLine(fmt.Sprintf("%s: warning: %s: %s", u.File, w.Code, w.Message)))
	}
	return oneLine(fmt.Sprintf("%s: %s: %s %s %s in %s/%s",
		u.File, a.Status, a.Name, a.Version, a.Arch, a.Distribution, a.Component)), warnings
}
