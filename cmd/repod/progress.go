package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A progress shows how uploads go: a bar over all files when standard error is
// a terminal, and a line for each file that is done.
type progress struct {
	p     *program
	files int
	json  bool

	mu     sync.Mutex
	bar    *progressbar.ProgressBar // nil without a terminal
	failed error                    // of writing to standard output
}

func newProgress(p *program, files []string, asJSON bool) *progress {
	s := &progress{p: p, files: len(files), json: asJSON}
	if !isTerminal(p.stderr) {
		return s
	}
	var total int64
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			total += info.Size()
		}
	}
	s.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionSetDescription("uploading"),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish(),
	)
	return s
}

// sent counts bytes on their way; a negative number takes some back.
func (s *progress) sent(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Add64(n) // a bar that cannot be drawn stops no upload
	}
}

// note prints a line about a delay.
func (s *progress) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintln(s.p.stderr, "repod: "+oneLine(fmt.Sprintf(format, args...)))
}

// outcome prints what became of a file: failures and warnings to standard
// error, successes (and as JSON both) to standard output.
func (s *progress) outcome(u uploaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	line, warnings := u.describe()
	var err error
	if s.json {
		err = json.NewEncoder(s.p.stdout).Encode(u)
	} else if u.err == nil {
		_, err = fmt.Fprintln(s.p.stdout, line)
	}
	if err != nil {
		s.failed = err
	}
	if u.err != nil {
		fmt.Fprintln(s.p.stderr, line)
	}
	for _, w := range warnings {
		fmt.Fprintln(s.p.stderr, w)
	}
}

// finish removes the bar and returns the outcome of the whole.
func (s *progress) finish(ctx context.Context, failed int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.failed != nil:
		return s.failed
	case failed > 0 && s.files == 1:
		return errReported
	case failed > 0:
		return fmt.Errorf("%d of %d files failed", failed, s.files)
	}
	return nil
}

// clear makes room for a line.
func (s *progress) clear() {
	if s.bar != nil {
		_ = s.bar.Clear()
	}
}
