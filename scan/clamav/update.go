package clamav

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// ErrUpdating is returned when an update is under way already.
var ErrUpdating = errors.New("an update of the signatures is under way")

// MaxOutput bounds what is kept of the output of an update, in bytes: its end.
const MaxOutput = 16 << 10

// How an update ended.
const (
	Updated  = "updated"
	UpToDate = "up_to_date"
)

// An Update is what came of updating the signatures.
type Update struct {
	Result string // Updated or UpToDate; "" after a failure
	Status Status // after it
	// Output is the end of what the program wrote, at most MaxOutput bytes of
	// valid UTF-8. It is set after a failure, too.
	Output string
}

// An Updater fetches new signatures and has clamd load them. Only one update
// runs at a time.
type Updater struct {
	Scanner *Scanner
	// Run runs the program that fetches signatures, such as freshclam, and
	// writes its output and messages to output. An error is one of the program,
	// its exit code for example. Required.
	Run func(ctx context.Context, output io.Writer) error
	// Wait is how long to wait for the new version after clamd was told to load
	// it. It is spent in full when there is nothing new. 0: 30 s.
	Wait time.Duration

	running sync.Mutex
}

// Update runs the program, has clamd reload and compares versions. Its error is
// ErrUpdating, that of Run, or that of clamd.
//
// clamd is told to reload whatever the program wrote: it may have done its work
// in an earlier run that clamd was not there for.
func (u *Updater) Update(ctx context.Context) (Update, error) {
	if !u.running.TryLock() {
		return Update{}, ErrUpdating
	}
	defer u.running.Unlock()
	before := u.Scanner.version(ctx)
	var output tail
	err := u.Run(ctx, &output)
	result := Update{Output: output.text()}
	if err != nil {
		return result, fmt.Errorf("update the signatures: %w", err)
	}
	wait := u.Wait
	if wait <= 0 {
		wait = 30 * time.Second
	}
	result.Status, err = u.Scanner.Reload(ctx, before, wait)
	switch {
	case err != nil:
		return result, fmt.Errorf("update the signatures: %w", err)
	case before.Available && result.Status.same(before):
		result.Result = UpToDate
	default:
		result.Result = Updated
	}
	return result, nil
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex // programs have two outputs
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	p = p[max(0, n-MaxOutput):]
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - MaxOutput; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return n, nil
}

// text returns what was kept, without what is not UTF-8: a character that was
// cut, for example.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.kept), "")
}
