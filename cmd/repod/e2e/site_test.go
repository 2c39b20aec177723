package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A site is a repository under a drill, as clients see it: at one address,
// whatever becomes of the servers behind it.
type site struct {
	check   *checker
	token   string
	history *history
	ledger  *ledger
	lag     time.Duration // see model
	// fsck of the data directories, with these settings.
	dir  string
	args []string
}

// comesAndGoes starts a server that a test ends, and starts again on the same
// address and data. Clients of the site wait while it is away.
func comesAndGoes(t *testing.T) (s *server, x *site, again func() *server) {
	t.Helper()
	address, dir := freeAddress(t), t.TempDir()
	front := newRelay(t, address)
	front.patience = startLimit
	again = func() *server { return serve(t, dir, "--listen", address, "--distributions", both) }
	s = again()
	return s, newSite(t, s, "http://"+front.address, sqliteLedger(t, dir)), again
}

// newSite returns a site whose servers, of which s is one, are reached at a base
// address. The ledger may be nil.
func newSite(t *testing.T, s *server, base string, l *ledger, args ...string) *site {
	t.Helper()
	x := &site{token: newToken(t, s), history: newHistory(t), ledger: l, dir: s.Dir, args: args}
	x.check = newChecker(t, s)
	x.check.base = base + "/apt/"
	return x
}

func (x *site) url() string { return strings.TrimSuffix(x.check.base, "/apt/") }

// ask sends a request of a drill's own, which is in the history as those of the
// load are.
func (x *site) ask(t *testing.T, op string, p pkg, c *api) *answer {
	t.Helper()
	id := x.history.ask(op, p)
	a, err := send(t.Context(), op, p, c)
	x.history.answer(id, a, err)
	if err != nil {
		t.Fatalf("%s of %s: %v", op, p.ID(), err)
	}
	return a
}

// must is ask for an answer that has to come.
func (x *site) must(t *testing.T, op string, p pkg, status int, c *api) {
	t.Helper()
	if a := x.ask(t, op, p, c); a.Status != status {
		t.Errorf("%s of %s: status %d, want %d: %s", op, p.ID(), a.Status, status, a.Body)
	}
}

// uploaded publishes p and reports whether that worked.
func (x *site) uploaded(t *testing.T, c *api, p pkg) error {
	t.Helper()
	if a := x.ask(t, "upload", p, c); a.Status != http.StatusCreated && a.Status != http.StatusOK {
		return fmt.Errorf("status %d: %s", a.Status, a.Body)
	}
	return nil
}

func send(ctx context.Context, op string, p pkg, c *api) (*answer, error) {
	switch op {
	case "upload":
		return c.upload(ctx, "bookworm", p.Deb)
	case "promote":
		return c.promote(ctx, p, "bookworm", "trixie")
	case "delete":
		return c.remove(ctx, p)
	}
	panic("no such operation: " + op)
}

// settle checks everything once the load has ended and faults are over, by the
// history, the served tree, the database and the storage; and returns what there
// is to tell.
func (l *load) settle() (told string) {
	t, x := l.t, l.site
	t.Helper()
	ctx := t.Context()
	served := make(map[string]map[string]string)
	for _, codename := range []string{"bookworm", "trixie"} {
		since := time.Now()
		st, err := x.check.verify(ctx, codename, true)
		if err != nil {
			t.Errorf("INV2: at last: %v", err)
			continue
		}
		if err := x.check.pool(ctx, st); err != nil {
			t.Errorf("INV1: at last: %v", err)
		}
		x.history.saw("last", codename, since, st)
		served[codename] = make(map[string]string)
		for id, p := range st.Packages {
			served[codename][id] = p["SHA256"]
		}
	}
	l.again()
	records, err := x.history.read()
	if err != nil {
		t.Fatal(err)
	}
	v := judge(records, x.lag)
	for i, fault := range v.Faults {
		if i == 10 {
			t.Errorf("and %d faults more", len(v.Faults)-i)
			break
		}
		t.Error(fault)
	}
	orphans := x.books(t, records, served)
	runs, failed, cut, without := l.aptTold()
	if runs == 0 || v.States < 4 || v.Done == 0 {
		t.Errorf("nothing was proved: %d updates, %d states, %d changes", runs, v.States, v.Done)
	}
	return fmt.Sprintf("%d changes acknowledged, %d left open, %d lost or undone; %d states and %d reads verified (%d broken off); apt-get update %d times, %d failed (%d broken off; without by-hash %d of %d failed); %d files left by broken uploads",
		v.Done, v.Unknown, len(v.Faults), v.States, l.reads, l.cut, runs, failed, cut, without.failed, without.runs, orphans)
}

// books checks the database and the storage, and runs the program's own fsck.
func (x *site) books(t *testing.T, records []record, served map[string]map[string]string) (orphans int) {
	t.Helper()
	if x.ledger != nil {
		m, _ := newModel(records, x.lag)
		var err error
		if orphans, err = x.ledger.contents(t.Context(), served); err != nil {
			t.Error(err)
		}
		if err := errors.Join(x.ledger.audit(t.Context(), m), x.ledger.generations(t.Context())); err != nil {
			t.Error(err)
		}
	}
	fsck(t, x.dir, x.args...)
	return orphans
}

// again fetches index files of the states that were seen, INV2: 15 minutes are
// promised for them. Of very many it takes a part.
func (l *load) again() {
	names := make(chan string)
	var all sync.WaitGroup
	var missing atomic.Int64
	for range 8 {
		all.Go(func() {
			for name := range names {
				f := l.files[name]
				if _, err := l.site.check.check(l.t.Context(), name, f.listed); err != nil && missing.Add(1) <= 3 {
					l.t.Errorf("INV2: of the state of %s: %v", f.date, err)
				}
			}
		})
	}
	tried := 0
	for name, f := range l.files {
		if date, err := time.Parse(time.RFC1123, f.date); err != nil || time.Since(date) > 14*time.Minute {
			continue
		}
		if tried++; tried > 2000 {
			break
		}
		names <- name
	}
	close(names)
	all.Wait()
	if n := missing.Load(); n > 3 {
		l.t.Errorf("INV2: %d of %d files by hash are gone", n, tried)
	}
}

func (l *load) aptTold() (runs, failed, cut int, without aptCount) {
	for name, c := range l.apt {
		if name == "without by-hash" {
			without = *c
			continue
		}
		if c.runs == 0 {
			l.t.Errorf("apt %s made no update", name)
		}
		runs, failed, cut = runs+c.runs, failed+c.failed, cut+c.cut
	}
	return runs, failed, cut, without
}
