package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A load is what clients do beside a drill: upload, promote, delete, read, and
// run apt-get update. It ends by stop.
type load struct {
	t       *testing.T
	site    *site
	workers int
	pace    time.Duration // between two uploads of one worker
	keep    int           // packages of a worker, before it deletes its oldest one
	size    int           // of packages, at most
	reading int           // clients that read
	urls    []string      // of servers, which workers and readers use by turns
	cuts    bool          // reads may be broken off: servers are killed
	busy    bool          // reads may be answered with 503: the storage is away

	ctx      context.Context
	cancel   context.CancelFunc
	all      sync.WaitGroup
	mu       sync.Mutex
	latency  map[string][]time.Duration // of what was done at the first try
	statuses map[int]int                // 0: none
	reads    int
	cut      int              // reads that were broken off
	refused  int              // reads that were answered with 503
	files    map[string]dated // that were promised, by name by hash
	recent   []*state         // the last ones that readers saw
	apt      map[string]*aptCount
}

// A dated file is one that a state of that date promises.
type dated struct {
	listed
	date string
}

// An aptCount counts runs of apt-get update.
type aptCount struct{ runs, cut, failed int }

func (x *site) load(t *testing.T) *load {
	l := &load{t: t, site: x, workers: 10, pace: time.Second, keep: 20, size: 200_000, reading: 1, urls: []string{x.url()},
		latency: make(map[string][]time.Duration), statuses: make(map[int]int), files: make(map[string]dated), apt: make(map[string]*aptCount)}
	l.ctx, l.cancel = context.WithCancel(t.Context())
	t.Cleanup(l.cancel)
	return l
}

// start lets the clients begin.
func (l *load) start() {
	for i := range l.workers {
		c := newAPI(l.urls[i%len(l.urls)], l.site.token)
		l.all.Go(func() { l.work(c, i) })
	}
	for i, base := range l.urls {
		check := *l.site.check
		check.base = base + "/apt/"
		for _, codename := range []string{"bookworm", "trixie"} {
			l.all.Go(func() { l.watch(&check, fmt.Sprint(i), codename) })
		}
		for range l.reading {
			l.all.Go(func() { l.fetch(&check) })
		}
		l.all.Go(func() { l.update(fmt.Sprint("by hash ", i), base, "") })
	}
	l.all.Go(func() { l.update("without by-hash", l.site.url(), `Acquire::By-Hash "no";`) })
	l.all.Go(func() { l.update("paused", newPause(l.t, l.site.url(), either(2*time.Second, 20*time.Second)), "") })
}

// stop ends the clients and waits for what is under way.
func (l *load) stop() {
	l.cancel()
	l.all.Wait()
}

// work publishes version after version of a package, promotes some and deletes
// some, and asks again until it is told that something is done.
func (l *load) work(c *api, i int) {
	draw := rand.New(rand.NewPCG(uint64(i), 1))
	var live []pkg
	for n := 1; l.wait(l.pace); n++ {
		p := newPkg(fmt.Sprintf("load-%02d", i), fmt.Sprintf("1.%d", n), 5_000+draw.IntN(l.size-5_000))
		if !l.try(c, "upload", p, http.StatusCreated, http.StatusOK) {
			return
		}
		live = append(live, p)
		if draw.IntN(5) == 0 && !l.try(c, "promote", p, http.StatusOK) {
			return
		}
		if len(live) > l.keep || draw.IntN(10) == 0 {
			p, live = live[0], live[1:]
			if !l.try(c, "delete", p, http.StatusNoContent, http.StatusNotFound) {
				return
			}
		}
	}
}

// wait sleeps and reports whether the load goes on.
func (l *load) wait(d time.Duration) bool {
	select {
	case <-l.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// try sends a request until it is done, or the load ends. done are the statuses
// that say so, at the first try only the first of them.
func (l *load) try(c *api, op string, p pkg, done ...int) bool {
	for n := 0; ; n++ {
		began := time.Now()
		id := l.site.history.ask(op, p)
		a, err := send(l.t.Context(), op, p, c)
		l.site.history.answer(id, a, err)
		took, status := time.Since(began), 0
		if err == nil {
			status = a.Status
		}
		l.mu.Lock()
		l.statuses[status]++
		if n == 0 && status == done[0] {
			l.latency[op] = append(l.latency[op], took)
		}
		l.mu.Unlock()
		switch {
		case status == done[0] || n > 0 && slices.Contains(done, status):
			return true
		case status != 0 && status < 500:
			l.t.Errorf("%s of %s, try %d: status %d: %s", op, p.ID(), n+1, status, a.Body)
			return false
		}
		if !l.wait(200 * time.Millisecond) {
			return false
		}
	}
}

// watch verifies the current state of a distribution over and over.
func (l *load) watch(check *checker, reader, codename string) {
	for l.wait(250 * time.Millisecond) {
		since := time.Now()
		st, err := check.verify(l.t.Context(), codename, false)
		if !l.excuse("state of "+codename, err) {
			continue
		}
		l.site.history.saw(reader, codename, since, st)
		l.remember(st)
	}
}

// remember keeps what a state promises.
func (l *load) remember(st *state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, f := range st.Files {
		l.files[name] = dated{f, st.Date}
	}
	if l.recent = append(l.recent, st); len(l.recent) > 40 {
		l.recent = l.recent[1:]
	}
}

// fetch reads InRelease and package files, 50 times a second at most.
func (l *load) fetch(check *checker) {
	for l.wait(20 * time.Millisecond) {
		began, what := time.Now(), "pool"
		var err error
		if st := l.someState(); rand.IntN(2) == 0 || st == nil || len(st.Packages) == 0 {
			what = "InRelease"
			_, err = check.fetch(l.t.Context(), "dists/bookworm/InRelease")
		} else {
			one := slices.Collect(maps.Keys(st.Packages))[0]
			err = check.pool(l.t.Context(), &state{Packages: map[string]stanza{one: st.Packages[one]}})
		}
		if l.excuse("read", err) {
			l.mu.Lock()
			l.latency[what] = append(l.latency[what], time.Since(began))
			l.mu.Unlock()
		}
	}
}

// someState returns a state that a reader has seen.
func (l *load) someState() *state {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) == 0 {
		return nil
	}
	return l.recent[rand.IntN(len(l.recent))]
}

// excuse counts a read and reports whether it went well. One that is broken off
// is a failure unless servers are being killed; a wrong answer always is.
func (l *load) excuse(what string, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	var lost net.Error
	switch {
	case err == nil:
		return true
	case l.cuts && !strings.Contains(err.Error(), "status ") &&
		(errors.As(err, &lost) || strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "reset")):
		l.cut++
	case l.busy && (strings.Contains(err.Error(), "status 503") || errors.Is(err, io.ErrUnexpectedEOF)):
		l.refused++
	default:
		l.t.Errorf("%s: %v", what, err)
	}
	return false
}

// broken are the complaints of apt that come from connections, not from what was
// served.
var broken = regexp.MustCompile(`(?i)could not connect|connection (failed|timed out|refused|reset)|unable to connect|error reading from server|undetermined error|(server|remote end) closed the connection|503 +Service Unavailable|Failed to fetch \S+\s*$|some index files failed`)

// update runs apt-get update over and over, with a line of configuration. Only
// clients by hash are promised to see no mismatch; others are counted.
func (l *load) update(name, base, config string) {
	root := newAptRoot(l.t, base+"/apt/", "bookworm", l.site.check.keyring)
	root.configure(l.t, "Acquire::Retries \"3\";\n"+config+"\n")
	count := new(aptCount)
	l.mu.Lock()
	l.apt[name] = count
	l.mu.Unlock()
	for l.wait(200 * time.Millisecond) {
		err := root.update(l.t.Context())
		l.mu.Lock()
		count.runs++
		switch {
		case err == nil:
		case l.cuts && onlyBroken(err), l.busy && onlyBroken(err):
			count.cut++
		default:
			count.failed++
			if name != "without by-hash" {
				l.t.Errorf("apt %s: %v", name, err)
			}
		}
		l.mu.Unlock()
	}
}

// onlyBroken reports whether all that apt complains of is the connection.
func onlyBroken(err error) bool {
	found := false
	for line := range strings.Lines(err.Error()) {
		if strings.HasPrefix(line, "W:") || strings.HasPrefix(line, "E:") {
			found = true
			if !broken.MatchString(line) {
				return false
			}
		}
	}
	return found
}

// newPause returns the address of a server that passes requests on to base, and
// lets those for index files wait: a client that is stopped between InRelease
// and what that lists.
func newPause(t *testing.T, base string, d time.Duration) string {
	t.Helper()
	to, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	// apt takes 502 for an answer, and goes on without by-hash; a connection that
	// breaks it tries again.
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	return listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/by-hash/") {
			select {
			case <-time.After(d):
			case <-r.Context().Done():
			}
		}
		proxy.ServeHTTP(w, r)
	}))
}
