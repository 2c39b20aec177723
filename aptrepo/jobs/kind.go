package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// DefaultTimeout bounds an attempt of a kind that names no time of its own.
const DefaultTimeout = time.Hour

// A Kind is something that a Runner can do.
type Kind struct {
	// Name is what Enqueue takes and jobs show: "import_sync". It has letters,
	// digits, '_', '-' and '.', at most 100 of them.
	Name string
	// Work does it. Its result, which becomes JSON, is shown; nil is {}. An
	// error that is a *Failure is shown as it is, any other as an internal
	// error whose text goes to the log. A panic is such an error too. Work must
	// return soon after ctx ends.
	Work func(ctx context.Context, t *Task) (result any, err error)
	// Retry lists the pauses before the second attempt, the third and so on.
	// Empty: there is one attempt, and a job whose server dies ends with code
	// "interrupted".
	Retry []time.Duration
	// Pause, when set, makes another pause, such as one with a random part, of
	// that in Retry.
	Pause func(time.Duration) time.Duration
	// Timeout bounds one attempt. 0: DefaultTimeout.
	Timeout time.Duration
	// Internal jobs are not found by Job: they are of no concern to users.
	// They have workers of their own, so that long work does not hold up mail.
	Internal bool
	// Queue, of an internal kind, names a queue of lower-case letters for it
	// alone, with one worker on each server: its jobs are begun in the order in
	// which they were enqueued, but for those that are tried again, and hold up
	// nothing else.
	Queue string
}

func (k *Kind) timeout() time.Duration { return cmp.Or(k.Timeout, DefaultTimeout) }

// A Failure is how a job ended, as its users see it.
type Failure struct {
	Status int    `json:"status"` // of HTTP, for those who wait for the job
	Code   string `json:"code"`   // for programs
	Detail string `json:"detail"` // a sentence for people
	// Extra, a JSON object, is for those who want to know more; it may be nil.
	Extra json.RawMessage `json:"extra,omitempty"`
}

func (f *Failure) Error() string { return f.Code + ": " + f.Detail }

var (
	internalError = Failure{Status: 500, Code: "internal_error", Detail: "Internal server error"}
	interrupted   = Failure{Status: 503, Code: "interrupted", Detail: "The server stopped before the job was done."}
)

// permanent marks an error that another attempt would not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent returns an error that wraps err and ends a job at once, whatever
// retries its kind has left. It returns nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent reports whether err, or one that it wraps, is of Permanent.
func IsPermanent(err error) bool { return errors.As(err, new(permanent)) }

// failureOf returns what users see of an error.
func failureOf(err error) (f Failure, known bool) {
	var shown *Failure
	if errors.As(err, &shown) {
		return *shown, true
	}
	return internalError, false
}

// Progress is how far a job is. Total is 0 while it is not known.
type Progress struct {
	Done    int    `json:"done"`
	Total   int    `json:"total"`
	Message string `json:"message"`
}

// A Task is one attempt to do a job, as its Work sees it.
type Task struct {
	ID      string // of the job
	Attempt int    // 1, 2 ...
	// CreatedBy is the actor for whom the job is done, "" for the server itself.
	CreatedBy string

	args    json.RawMessage
	changed chan struct{} // holds an element while progress is to be written

	mu       sync.Mutex
	progress Progress
}

// Args reads what Enqueue was given into v, a pointer. Its error is
// permanent: the same arguments will not be right later.
func (t *Task) Args(v any) error {
	if err := json.Unmarshal(t.args, v); err != nil {
		return Permanent(fmt.Errorf("reading the arguments of job %s: %w", t.ID, err))
	}
	return nil
}

// Report notes how far the work is. It is cheap: what others see is written
// at most once a second. It may be called by several goroutines.
func (t *Task) Report(p Progress) {
	t.mu.Lock()
	t.progress = p
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *Task) reported() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.progress
}
