package vuln

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// A State says how a feed stands.
type State string

// The states of feeds.
const (
	OK        State = "ok"
	Unchanged State = "unchanged" // as a result: there was nothing new
	Failed    State = "error"     // the former data stay in use
	Never     State = "never"     // there are no data
)

// feedStates say how the last import of each feed went, by its ID. They change
// without a new generation, and are kept apart from it.
type feedStates map[string]feedState

type feedState struct {
	Kind     Kind      `json:"kind"`
	Failed   bool      `json:"failed"`
	Detail   string    `json:"detail"`
	Date     time.Time `json:"date"` // of the data in use
	Imported time.Time `json:"imported"`
	Tried    time.Time `json:"tried"`
}

func readStates(root *os.Root) (feedStates, error) {
	states := make(feedStates)
	b, err := readBounded(root, statusName)
	if errors.Is(err, fs.ErrNotExist) {
		return states, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &states)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of feeds: %w", err)
	}
	return states, nil
}

func (s feedStates) write(root *os.Root) error {
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(root, statusName, b)
}

// date returns the date of a feed's data: that of the last time they were
// found to be still the same.
func (s feedStates) date(f manifestFeed) time.Time {
	if date := s[f.ID].Date; date.After(f.Date) {
		return date
	}
	return f.Date
}

func (s feedStates) status(id string, m manifest) FeedStatus {
	state := s[id]
	f, ok := m.feed(id)
	status := FeedStatus{
		ID: id, Kind: state.Kind, State: OK, Detail: state.Detail,
		Imported: state.Imported, Tried: state.Tried,
	}
	switch {
	case !ok:
		status.State = Never
		if status.Detail == "" {
			status.Detail = "never imported"
		}
		return status
	case state.Failed:
		status.State = Failed
	}
	status.Kind, status.Records, status.Date, status.Places = f.Kind, f.Records, s.date(f), f.Places
	if status.Imported.IsZero() {
		status.Imported = m.Created
	}
	return status
}

// record notes how an import went.
func (s feedStates) record(r Result, kind Kind, now time.Time) {
	state := s[r.ID]
	state.Kind, state.Tried, state.Detail, state.Failed = kind, now, r.Detail, r.State == Failed
	if r.State != Failed {
		state.Imported, state.Date = now, r.Date
	}
	s[r.ID] = state
}
