package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// changers is how many clients change the repository at once in
// TestAptBesideChanges.
const changers = 200

// TestAptBesideChanges runs apt-get update over and over while 200 clients
// upload, promote and delete. Not one update may fail, and the lists that apt
// keeps must always belong together. A checker beside them fetches every file
// of every state it sees.
func TestAptBesideChanges(t *testing.T) {
	slow(t)
	s := serve(t, t.TempDir(), "--distributions", both)
	c := newAPI(s.URL, newToken(t, s))
	check := newChecker(t, s)
	updates := 15
	if thorough() {
		updates = 100
	}

	// The updates end by count; then all others end.
	ctx, stop := context.WithCancel(t.Context())
	var apt, others sync.WaitGroup
	last := make([]pkg, changers)
	cycles := make([]int, changers)
	for i := range changers {
		others.Go(func() { last[i], cycles[i] = change(ctx, t, c, i) })
	}
	for _, codename := range []string{"bookworm", "trixie"} {
		root := newAptRoot(t, check.base, codename, check.keyring)
		apt.Go(func() {
			for n := range updates {
				if err := root.update(t.Context()); err != nil {
					t.Errorf("update %d of %s: %v", n+1, codename, err)
					return
				}
			}
		})
		others.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				if _, err := check.verify(t.Context(), codename, false); err != nil {
					t.Errorf("state %d of %s: %v", n, codename, err)
					return
				}
			}
		})
	}
	others.Go(func() { watch(ctx, t, c, check) })
	apt.Wait()
	stop()
	others.Wait()

	total := 0
	for _, n := range cycles {
		total += n
	}
	t.Logf("%d uploads, promotions and deletions each beside %d updates of each distribution", total, updates)
	for _, codename := range []string{"bookworm", "trixie"} {
		st, err := check.verify(t.Context(), codename, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(st.Packages) != changers {
			t.Errorf("%s lists %d packages, want %d", codename, len(st.Packages), changers)
		}
		for _, p := range last {
			if got := st.Packages[p.ID()]["SHA256"]; got != p.SHA256() {
				t.Errorf("%s lists %s with %q, uploaded was %s", codename, p.ID(), got, p.SHA256())
			}
		}
	}
	s.stop(t)
	fsck(t, s.Dir)
	if left := leftovers(t, s.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// watch publishes packages and takes them away again, and looks each time
// whether the answer came too early: the state that is served after it must
// show the change.
func watch(ctx context.Context, t *testing.T, c *api, check *checker) {
	for n := 1; ctx.Err() == nil; n++ {
		p := newPkg("watched", fmt.Sprintf("1.%d", n), 100)
		for _, step := range []struct {
			do    func() (*answer, error)
			want  int
			shows bool
		}{
			{func() (*answer, error) { return c.upload(t.Context(), "bookworm", p.Deb) }, http.StatusCreated, true},
			{func() (*answer, error) { return c.remove(t.Context(), p) }, http.StatusNoContent, false},
		} {
			a, err := step.do()
			if err != nil || a.Status != step.want {
				t.Errorf("the watched package: %v, %+v", err, a)
				return
			}
			st, err := check.verify(t.Context(), "bookworm", false)
			if err != nil {
				t.Error(err)
				return
			}
			if _, ok := st.Packages[p.ID()]; ok != step.shows {
				t.Errorf("after status %d, %s is listed: %v", step.want, p.ID(), ok)
			}
		}
	}
}

// change publishes version after version of one package in both
// distributions, and takes the former one away, until ctx ends. It returns
// the version that is left, and how many there were.
func change(ctx context.Context, t *testing.T, c *api, i int) (pkg, int) {
	expect := func(want int, a *answer, err error) bool {
		if err != nil {
			t.Errorf("client %d: %v", i, err)
			return false
		}
		if a.Status != want {
			t.Errorf("client %d: status %d, want %d: %s", i, a.Status, want, a.Body)
		}
		return a.Status == want
	}
	var former pkg
	for n := 1; ; n++ {
		p := newPkg(fmt.Sprintf("package-%03d", i), fmt.Sprintf("1.%d", n), 2000)
		a, err := c.upload(t.Context(), "bookworm", p.Deb)
		ok := expect(http.StatusCreated, a, err)
		if ok {
			a, err = c.promote(t.Context(), p, "bookworm", "trixie")
			ok = expect(http.StatusOK, a, err)
		}
		switch {
		case !ok:
			return p, n
		case n > 1 && i%2 == 0:
			a, err = c.remove(t.Context(), former)
			ok = expect(http.StatusNoContent, a, err)
		case n > 1:
			a, err = c.unpublish(t.Context(), former, "bookworm")
			ok = expect(http.StatusNoContent, a, err)
			a, err = c.unpublish(t.Context(), former, "trixie")
			ok = expect(http.StatusNoContent, a, err) && ok
		}
		if former = p; !ok || ctx.Err() != nil {
			return p, n
		}
	}
}
