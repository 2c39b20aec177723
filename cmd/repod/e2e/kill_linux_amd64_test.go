package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestDrillR1EveryStep kills the server at each system call that makes
// something durable or visible while a script uploads, promotes and deletes,
// and starts it again: what was acknowledged is there, what was not is there
// or not but never half, signatures and hashes are right, and fsck finds
// nothing. Then the script goes on to its end.
func TestDrillR1EveryStep(t *testing.T) {
	slow(t)
	needPrograms(t, "gpgv", "apt-get")
	d := newDrill(t)
	total := d.run(t, crash{})
	t.Logf("the script makes %d steps", total)
	for i, at := range crashes(total) {
		t.Run(at.String(), func(t *testing.T) {
			drill := *d
			drill.apt = i%8 == 0
			drill.run(t, at)
		})
	}
	slowest := quantile(d.tally.starts, 100)
	report(t, figure{"R1", fmt.Sprintf("kill -9 before or after each of the %d system calls by which uploads, promotions and deletions become durable or visible", total),
		fmt.Sprintf("%d kills: what was acknowledged is there, nothing is half; ready again in %v at most", d.tally.kills, slowest),
		"INV1-7 each time; ready ≤ 5 s", slowest > 5*time.Second})
}

// TestDrillR1FirstStart kills a server at each step of its very first start,
// while it makes its keys, its database and its first distributions.
func TestDrillR1FirstStart(t *testing.T) {
	slow(t)
	needPrograms(t, "gpgv")
	s := serveTraced(t, t.TempDir(), crash{}, true, "--distributions", both)
	s.end()
	t.Logf("a first start makes %d steps", s.Steps)
	for _, at := range crashes(s.Steps) {
		t.Run(at.String(), func(t *testing.T) {
			dir := t.TempDir()
			killed := serveTraced(t, dir, at, true, "--distributions", both)
			killed.end()
			t.Logf("killed at %s", killed.Killed)
			s := serve(t, dir, "--distributions", both)
			newToken(t, s)
			check := newChecker(t, s)
			for _, codename := range []string{"bookworm", "trixie"} {
				if _, err := check.verify(t.Context(), codename, true); err != nil {
					t.Error(err)
				}
			}
			s.stop(t)
			fsck(t, dir)
		})
	}
}

// crashes returns a crash at each of a number of steps, before and after it by
// turns. A thorough run has both at every step.
func crashes(steps int) []crash {
	var all []crash
	for step := 1; step <= steps; step++ {
		for _, after := range []bool{false, true} {
			if thorough() || long() || after == (step%2 == 0) {
				all = append(all, crash{Step: step, After: after})
			}
		}
	}
	return all
}

// A drill is a script of changes, a repository to start it on, and what is
// known of the outcome.
type drill struct {
	template string // data directory that each run copies
	token    string
	check    *checker
	apt      bool // let apt judge, too
	tally    *tally
}

// A tally counts over the runs of a drill.
type tally struct {
	kills  int
	starts []time.Duration
}

// newDrill makes a repository with two empty distributions.
func newDrill(t *testing.T) *drill {
	t.Helper()
	d := &drill{template: t.TempDir(), tally: new(tally)}
	s := serve(t, d.template, "--distributions", both)
	d.token = newToken(t, s)
	d.check = newChecker(t, s)
	s.stop(t)
	return d
}

// An action is one request of the script. It says what it makes of the
// contents of the distributions.
type action struct {
	name   string
	do     func(c *api) (*answer, error)
	wants  []int // statuses of success; the later ones when it is repeated
	effect func(c contents)
}

// contents is what a repository lists: SHA-256 by "codename name version arch".
type contents map[string]string

func (c contents) add(codename string, p pkg) { c[codename+" "+p.ID()] = p.SHA256() }

func (c contents) drop(codename string, p pkg) { delete(c, codename+" "+p.ID()) }

// script returns the actions of a drill. Running one again after it succeeded
// does no harm, as the API promises.
func script(t *testing.T) []action {
	ctx := t.Context()
	one, two, three := newPkg("one", "1.0", 500), newPkg("two", "2:1.0~rc1+b1", 70_000), newPkg("three", "1.0-1", 500)
	upload := func(p pkg) action {
		return action{"upload " + p.Name,
			func(c *api) (*answer, error) { return c.upload(ctx, "bookworm", p.Deb) },
			[]int{http.StatusCreated, http.StatusOK}, func(c contents) { c.add("bookworm", p) }}
	}
	promote := func(p pkg) action {
		return action{"promote " + p.Name,
			func(c *api) (*answer, error) { return c.promote(ctx, p, "bookworm", "trixie") },
			[]int{http.StatusOK}, func(c contents) { c.add("trixie", p) }}
	}
	remove := func(p pkg) action {
		return action{"delete " + p.Name,
			func(c *api) (*answer, error) { return c.remove(ctx, p) },
			[]int{http.StatusNoContent, http.StatusNotFound}, func(c contents) { c.drop("bookworm", p); c.drop("trixie", p) }}
	}
	return []action{upload(one), upload(two), promote(one), promote(two), remove(one), upload(three), remove(two)}
}

// run carries the script out on a fresh copy, kills the server on the way,
// starts it again and checks what is there. It returns how many steps were
// made.
func (d *drill) run(t *testing.T, at crash) int {
	dir := t.TempDir()
	output(t, exec.Command("cp", "-a", d.template+"/.", dir)) // with modes
	traced := serveTraced(t, dir, at, false)
	c := newAPI(traced.URL, d.token)
	traced.arm()
	todo := script(t)
	sure, done := contents{}, 0
	for _, a := range todo {
		got, err := a.do(c)
		if err != nil {
			break // perhaps done, perhaps not
		}
		if got.Status != a.wants[0] {
			t.Errorf("%s: status %d: %s", a.name, got.Status, got.Body)
		}
		a.effect(sure)
		done++
	}
	traced.end()
	if done < len(todo) && traced.Killed == "" {
		t.Fatalf("the server broke off at %s: %s", todo[done].name, traced.Log)
	}
	began := time.Now()
	s := serve(t, dir)
	defer s.stop(t)
	d.tally.starts = append(d.tally.starts, time.Since(began))
	maybe := sure.clone()
	if done < len(todo) {
		d.tally.kills++
		t.Logf("killed at %s, during %s", traced.Killed, todo[done].name)
		todo[done].effect(maybe)
	}
	d.judge(t, s, sure, maybe)
	d.finish(t, s, todo[done:], maybe)
	return traced.Steps
}

// finish repeats the action that was broken off and makes the others.
func (d *drill) finish(t *testing.T, s *server, rest []action, wanted contents) {
	c := newAPI(s.URL, d.token)
	for i, a := range rest {
		got, err := a.do(c)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != a.wants[0] && (i > 0 || got.Status != a.wants[len(a.wants)-1]) {
			t.Errorf("after the restart, %s: status %d: %s", a.name, got.Status, got.Body)
		}
		a.effect(wanted)
	}
	d.judge(t, s, wanted, wanted)
}

// judge compares what is served with either of two contents. The package of
// the action that was broken off may be there or not in each distribution:
// one request may publish several generations.
func (d *drill) judge(t *testing.T, s *server, sure, maybe contents) {
	t.Helper()
	check := d.check.at(s)
	found := contents{}
	for _, codename := range []string{"bookworm", "trixie"} {
		st, err := check.verify(t.Context(), codename, true)
		if err != nil {
			t.Errorf("%s: %v", codename, err)
			continue
		}
		if err := check.pool(t.Context(), st); err != nil {
			t.Errorf("%s: %v", codename, err)
		}
		for id, p := range st.Packages {
			found[codename+" "+id] = p["SHA256"]
		}
		if d.apt {
			if err := newAptRoot(t, check.base, codename, check.keyring).update(t.Context()); err != nil {
				t.Errorf("%s: %v", codename, err)
			}
		}
	}
	for id, sum := range found {
		if sum != sure[id] && sum != maybe[id] {
			t.Errorf("%s with SHA-256 %s is listed and was never uploaded, or deleted", id, sum)
		}
	}
	for id := range sure {
		if found[id] == "" && maybe[id] != "" {
			t.Errorf("%s was acknowledged and is not listed", id)
		}
	}
	books := sqliteLedger(t, s.Dir)
	if err := errors.Join(books.generations(t.Context()), books.audit(t.Context(), &model{})); err != nil {
		t.Error(err)
	}
	if _, err := books.contents(t.Context(), byDistribution(found)); err != nil {
		t.Error(err)
	}
	fsck(t, s.Dir)
	if left := leftovers(t, s.Dir); len(left) > 0 && t.Failed() {
		t.Logf("left behind: %v", left)
	}
}

// byDistribution splits the keys of contents.
func byDistribution(c contents) map[string]map[string]string {
	lists := make(map[string]map[string]string)
	for key, sum := range c {
		codename, id, _ := strings.Cut(key, " ")
		if lists[codename] == nil {
			lists[codename] = make(map[string]string)
		}
		lists[codename][id] = sum
	}
	return lists
}

func (c contents) clone() contents {
	d := make(contents, len(c))
	maps.Copy(d, c)
	return d
}
