package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A history is a file of everything that clients asked, were answered and saw.
// Each request is on disk before it is sent and each answer before anything is
// made of it, so that what the clients were promised does not depend on how the
// test ends. Judging reads the file again.
type history struct {
	path string

	mu   sync.Mutex
	file *os.File
	last int64 // ID of a request
	err  error
}

// A record is a line of a history.
type record struct {
	Kind string // "ask", "answer" or "state"
	At   int64  // nanoseconds since 1970
	ID   int64  `json:",omitempty"` // of the request

	// Of an ask.
	Op      string `json:",omitempty"` // "upload", "promote" or "delete"
	Package string `json:",omitempty"` // name, version and architecture
	SHA256  string `json:",omitempty"`

	// Of an answer.
	Status int    `json:",omitempty"` // 0: none came
	Error  string `json:",omitempty"`

	// Of a state: what a reader was served.
	Reader   string            `json:",omitempty"`
	Since    int64             `json:",omitempty"` // when it was asked for
	Codename string            `json:",omitempty"`
	Date     string            `json:",omitempty"`
	Lists    map[string]string `json:",omitempty"` // SHA-256 by package
}

func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{path: filepath.Join(t.TempDir(), "history")}
	var err error
	if h.file, err = os.OpenFile(h.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.file.Close() })
	return h
}

// ask notes a request that is about to be sent.
func (h *history) ask(op string, p pkg) (id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	h.write(record{Kind: "ask", ID: h.last, Op: op, Package: p.ID(), SHA256: p.SHA256()}, true)
	return h.last
}

// answer notes what came of it.
func (h *history) answer(id int64, a *answer, err error) {
	r := record{Kind: "answer", ID: id}
	if err != nil {
		r.Error = err.Error()
	} else {
		r.Status = a.Status
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.write(r, true)
}

// saw notes a verified state that a reader asked for at a time.
func (h *history) saw(reader, codename string, since time.Time, st *state) {
	lists := make(map[string]string, len(st.Packages))
	for id, p := range st.Packages {
		lists[id] = p["SHA256"]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.write(record{Kind: "state", Reader: reader, Since: since.UnixNano(), Codename: codename, Date: st.Date, Lists: lists}, false)
}

func (h *history) write(r record, sync bool) {
	r.At = time.Now().UnixNano()
	line, err := json.Marshal(r)
	if err == nil {
		_, err = h.file.Write(append(line, '\n'))
	}
	if err == nil && sync {
		err = h.file.Sync()
	}
	if err != nil && h.err == nil {
		h.err = err
	}
}

// read returns the records in the order in which they were written.
func (h *history) read() ([]record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return nil, h.err
	}
	f, err := os.Open(h.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []record
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, lines.Err()
}

// A request is one of a history, with what it does to a model. All requests
// about a package come one after the other, from one client.
type request struct {
	op, pkg, sum string
	asked        int64
	answered     int64
	status       int
}

// Outcomes of requests.
const (
	done    = iota // it is answered that it was done, now or before
	nothing        // it is answered that it was not done
	unknown        // no answer, or one that leaves it open: done, half, not, or later

)

func (q *request) outcome() int {
	switch {
	case q.status == 0 || q.status >= 500:
		return unknown
	case q.status < 300 && q.status != 202 || q.op == "delete" && q.status == 404:
		return done
	}
	return nothing
}

// effect returns what the request makes of a package in a distribution: its
// hash, "" for absent; and whether it concerns that distribution at all.
func (q *request) effect(codename string) (sum string, concerns bool) {
	switch q.op {
	case "upload":
		return q.sum, codename == "bookworm"
	case "promote":
		return q.sum, codename == "trixie"
	case "delete":
		return "", true
	}
	panic("no such operation: " + q.op)
}

// A verdict is what judging a history found.
type verdict struct {
	Requests, Done, Unknown int
	States                  int // that readers saw
	Faults                  []string
}

// A model knows what a repository may list, by its history.
type model struct {
	requests map[string][]*request // by package, in order
	lag      time.Duration         // how much later a reader may see a change
}

func newModel(records []record, lag time.Duration) (*model, verdict) {
	m := &model{requests: make(map[string][]*request), lag: lag}
	byID := make(map[int64]*request)
	var v verdict
	for _, r := range records {
		switch r.Kind {
		case "ask":
			q := &request{op: r.Op, pkg: r.Package, sum: r.SHA256, asked: r.At}
			byID[r.ID], m.requests[r.Package] = q, append(m.requests[r.Package], q)
		case "answer":
			byID[r.ID].answered, byID[r.ID].status = r.At, r.Status
		}
	}
	for _, q := range byID {
		v.Requests++
		switch q.outcome() {
		case done:
			v.Done++
		case unknown:
			v.Unknown++
		}
	}
	return m, v
}

// allowed returns what a distribution may have of a package in a state that
// somebody asked for at one time and had at another. What is under way, or has
// no answer, may be or not be; the next answer that says "done" settles it.
func (m *model) allowed(codename, pkg string, since, until int64) []string {
	may := []string{""}
	for _, q := range m.requests[pkg] {
		sum, concerns := q.effect(codename)
		switch {
		case q.asked > until:
			return may
		case !concerns || q.outcome() == nothing:
		case q.outcome() == done && q.answered+int64(m.lag) <= since:
			may = []string{sum}
		default:
			may = append(may, sum)
		}
	}
	return may
}

// judge replays a history: each state that a reader saw must be one that the
// requests allow, and the dates that one reader saw never go back.
func judge(records []record, lag time.Duration) verdict {
	m, v := newModel(records, lag)
	newest := make(map[string]time.Time) // by reader and distribution
	for _, r := range records {
		if r.Kind != "state" {
			continue
		}
		v.States++
		v.Faults = append(v.Faults, m.compare(r)...)
		date, err := time.Parse(time.RFC1123, r.Date)
		if err != nil {
			v.fault("a Release has the date %q", r.Date)
			continue
		}
		who := r.Reader + " " + r.Codename
		if date.Before(newest[who]) {
			v.fault("INV3: reader %s saw %s after %s", who, date, newest[who])
		}
		newest[who] = date
	}
	return v
}

func (v *verdict) fault(format string, args ...any) {
	v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
}

// compare returns what is wrong with a state.
func (m *model) compare(r record) (faults []string) {
	for pkg := range m.requests {
		if may := m.allowed(r.Codename, pkg, r.Since, r.At); !slices.Contains(may, r.Lists[pkg]) {
			kind := "INV1: acknowledged and not listed"
			if r.Lists[pkg] != "" {
				kind = "INV4: listed, and deleted or never uploaded"
			}
			faults = append(faults, fmt.Sprintf("%s: %s in %s of %s: %s", kind, pkg, r.Codename, r.Date, m.tell(pkg, r.Since)))
		}
	}
	for pkg := range r.Lists {
		if m.requests[pkg] == nil {
			faults = append(faults, fmt.Sprintf("INV4: %s in %s of %s was never uploaded", pkg, r.Codename, r.Date))
		}
	}
	return faults
}

// tell says what was asked about a package, with times relative to one.
func (m *model) tell(pkg string, at int64) string {
	var text strings.Builder
	for _, q := range m.requests[pkg] {
		fmt.Fprintf(&text, "%s %v..%v %d; ", q.op, time.Duration(q.asked-at), time.Duration(q.answered-at), q.status)
	}
	return text.String()
}

// TestJudge gives the judge histories that are right and some that are not.
func TestJudge(t *testing.T) {
	ask := func(id int64, op string) record {
		return record{Kind: "ask", ID: id, Op: op, Package: "p 1 amd64", SHA256: "aa"}
	}
	answer := func(id int64, status int) record { return record{Kind: "answer", ID: id, Status: status} }
	const early, late = "Mon, 02 Jan 2006 15:04:05 UTC", "Mon, 02 Jan 2006 15:04:06 UTC"
	state := func(codename, date string, lists map[string]string) record {
		return record{Kind: "state", Codename: codename, Date: date, Lists: lists}
	}
	there, away := map[string]string{"p 1 amd64": "aa"}, map[string]string{}
	uploaded := []record{ask(1, "upload"), answer(1, 201)}
	after := func(rest ...record) []record { return append(slices.Clone(uploaded), rest...) }
	for _, tt := range []struct {
		name    string
		records []record
		want    string // a part of the fault; empty for none
	}{
		{"uploaded and listed", after(state("bookworm", early, there)), ""},
		{"uploaded and lost", after(state("bookworm", early, away)), "INV1"},
		{"other bytes", after(state("bookworm", early, map[string]string{"p 1 amd64": "bb"})), "INV4"},
		{"in a distribution that it is not for", after(state("trixie", early, there)), "INV4"},
		{"under way, not yet", []record{ask(1, "upload"), state("bookworm", early, away), answer(1, 201)}, ""},
		{"under way, already", []record{ask(1, "upload"), state("bookworm", early, there), answer(1, 201)}, ""},
		{"no answer, not done", []record{ask(1, "upload"), state("bookworm", early, away)}, ""},
		{"no answer, done", []record{ask(1, "upload"), state("bookworm", early, there)}, ""},
		{"503, done all the same", []record{ask(1, "upload"), answer(1, 503), state("bookworm", early, there)}, ""},
		{"refused", []record{ask(1, "upload"), answer(1, 422), state("bookworm", early, there)}, "INV4"},
		{"not asked yet", []record{state("bookworm", early, there), ask(1, "upload"), answer(1, 201)}, "INV4"},
		{"never asked", []record{state("bookworm", early, there)}, "never uploaded"},
		{"deleted", after(ask(2, "delete"), answer(2, 204), state("bookworm", early, away)), ""},
		{"deleted and listed", after(ask(2, "delete"), answer(2, 204), state("bookworm", early, there)), "INV4"},
		{"deleted by the second try", after(ask(2, "delete"), answer(2, 503), ask(3, "delete"), answer(3, 404), state("bookworm", early, there)), "INV4"},
		{"promoted and not there", after(ask(2, "promote"), answer(2, 200), state("trixie", early, away)), "INV1"},
		{"date goes back", []record{state("bookworm", late, away), state("bookworm", early, away)}, "INV3"},
		{"date stays", []record{state("bookworm", late, away), state("bookworm", late, away)}, ""},
		{"a date that is none", []record{state("bookworm", "today", away)}, "date"},
	} {
		for i := range tt.records {
			tt.records[i].At, tt.records[i].Since = int64(i+1), int64(i+1)
		}
		faults := strings.Join(judge(tt.records, 0).Faults, "\n")
		if tt.want == "" && faults != "" || !strings.Contains(faults, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, faults, tt.want)
		}
	}
}
