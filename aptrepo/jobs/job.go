package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// A Status says where a job is between its beginning and its end.
type Status string

// The statuses. A job that waits for another attempt is queued.
const (
	Queued  Status = "queued"
	Running Status = "running"
	Done    Status = "done"
	Error   Status = "error"
)

// A Job is a piece of work as it stands in the database.
type Job struct {
	ID        string // "job_" and base62
	Kind      string
	Status    Status
	Progress  Progress
	CreatedBy string
	CreatedAt time.Time

	// Those below are set at the end.
	FinishedAt time.Time
	Result     json.RawMessage // of a job that is Done
	Failure    *Failure        // of one that ended in Error
}

// Ended reports whether nothing more will change.
func (j Job) Ended() bool { return j.Status == Done || j.Status == Error }

// ErrNotFound says that there is no such job, or no longer.
var ErrNotFound = errors.New("no such job")

const (
	idPrefix = "job_"
	idDigits = 6 // at least
	base62   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// formatID returns the text that stands for a number of River's.
func formatID(n int64) string {
	var digits []byte
	for n > 0 || len(digits) < idDigits {
		digits = append([]byte{base62[n%62]}, digits...)
		n /= 62
	}
	return idPrefix + string(digits)
}

// parseID returns the number behind a text. Each job has one text.
func parseID(id string) (int64, bool) {
	digits, ok := strings.CutPrefix(id, idPrefix)
	if !ok || len(digits) > 11 { // 62^11 > 2^63
		return 0, false
	}
	var n int64
	for i := range digits {
		value := strings.IndexByte(base62, digits[i])
		if value < 0 || n > (1<<63-1-int64(value))/62 {
			return 0, false
		}
		n = n*62 + int64(value)
	}
	return n, n > 0 && formatID(n) == id
}

// An envelope is what River keeps as the arguments of a job.
type envelope struct {
	kind string

	Key       string          `json:"key,omitempty" river:"unique"`
	CreatedBy string          `json:"created_by,omitempty"`
	Internal  bool            `json:"internal,omitempty"`
	Args      json.RawMessage `json:"args,omitempty"`
}

// Kind is for River.
func (e envelope) Kind() string { return e.kind }

// An outcome is what River keeps as a job's output.
type outcome struct {
	Progress Progress        `json:"progress"`
	Result   json.RawMessage `json:"result,omitempty"`
	Failure  *Failure        `json:"failure,omitempty"`
}

// jobOf reads a row of River's. It returns ErrNotFound for one that users are
// not shown.
func jobOf(row *rivertype.JobRow) (Job, error) {
	var e envelope
	if err := json.Unmarshal(row.EncodedArgs, &e); err != nil {
		return Job{}, fmt.Errorf("job %d: reading its arguments: %w", row.ID, err)
	}
	var metadata struct {
		Output outcome `json:"output"`
	}
	if err := json.Unmarshal(row.Metadata, &metadata); err != nil {
		return Job{}, fmt.Errorf("job %d: reading its state: %w", row.ID, err)
	}
	if e.Internal {
		return Job{}, ErrNotFound
	}
	out := metadata.Output
	j := Job{
		ID: formatID(row.ID), Kind: row.Kind, Status: Queued, Progress: out.Progress,
		CreatedBy: e.CreatedBy, CreatedAt: row.CreatedAt.UTC(),
	}
	switch row.State {
	case rivertype.JobStateRunning:
		j.Status = Running
	case rivertype.JobStateCompleted:
		j.Status, j.Result = Done, out.Result
	case rivertype.JobStateCancelled, rivertype.JobStateDiscarded:
		j.Status, j.Failure = Error, out.Failure
		if j.Failure == nil { // nobody was there to say how it ended
			f := interrupted
			j.Failure = &f
		}
	}
	if row.FinalizedAt != nil {
		j.FinishedAt = row.FinalizedAt.UTC()
	}
	return j, nil
}

// encode returns v as JSON that both databases take: PostgreSQL's has no NUL.
func encode(v any) (json.RawMessage, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	for i := 0; i+6 <= len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if bytes.Equal(text[i:i+6], []byte(`\u0000`)) {
			copy(text[i:], `\ufffd`)
		}
		i++ // what follows a backslash begins no escape
	}
	return text, nil
}
