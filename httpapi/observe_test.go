package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb/debtest"
)

// witness is an Observer that remembers.
type witness struct {
	mu    sync.Mutex
	began int
	seen  []Observation
}

func (w *witness) RequestBegan() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began++
}

func (w *witness) RequestEnded(o Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, o)
}

// last waits for the end of the n-th request, which its answer may overtake.
func (w *witness) last(t *testing.T, n int) Observation {
	t.Helper()
	for range 500 {
		w.mu.Lock()
		seen, began := w.seen, w.began
		w.mu.Unlock()
		if len(seen) >= n {
			if len(seen) != n || began != n {
				t.Fatalf("%d requests began and %d ended, want %d", began, len(seen), n)
			}
			return seen[n-1]
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("request %d is not observed", n)
	return Observation{}
}

func TestObserver(t *testing.T) {
	w := new(witness)
	f := newFixture(t, func(c *Config) { c.Observer, c.RateLimits = w, RateLimits{"upload": 1} })
	pkg := debtest.Package{Name: "observed"}.Build()
	form := []part{{"file", string(pkg)}, {"distribution", "jammy"}}
	for i, test := range []struct {
		do   func()
		want Observation // but for Duration, and Sent where it is 0
	}{
		{func() { f.get("/artifacts/some-name/1.0", auth.Viewer) },
			Observation{Route: "/artifacts/{name}/{version}", Method: "GET", Status: 404, Code: "package_not_found"}},
		{func() { f.do("GET", "/made/up", "", nil) }, Observation{Method: "GET", Status: 404, Code: "route_not_found"}},
		{func() { f.do("PROPFIND", "/health", "", nil) },
			Observation{Route: "/health", Method: "other", Status: 405, Code: "method_not_allowed"}},
		{func() { f.do("HEAD", "/health/live", "", nil) }, Observation{Route: "/health/live", Method: "HEAD", Status: 200}},
		{func() { f.get("/health/live", auth.Viewer) },
			Observation{Route: "/health/live", Method: "GET", Status: 200, Sent: int64(len(`{"status":"alive"}` + "\n"))}},
		{func() { f.upload(f.tokens[auth.Uploader], form...) },
			Observation{Route: "/upload", Method: "POST", Status: 201, Uploaded: int64(len(pkg))}},
		{func() { f.upload(f.tokens[auth.Uploader], form...) },
			Observation{Route: "/upload", Method: "POST", Status: 429, Code: "rate_limited"}},
		{func() { f.do("GET", "/auth/me", "wrong", nil) }, Observation{Route: "/auth/me", Method: "GET", Status: 401, Code: "invalid_token"}},
	} {
		test.do()
		got := w.last(t, i+1)
		got.Duration = test.want.Duration
		if test.want.Sent == 0 {
			got.Sent = 0
		}
		if got != test.want {
			t.Errorf("%+v, want %+v", got, test.want)
		}
	}
}

// A request that panics is observed like any other.
func TestObserverSeesPanics(t *testing.T) {
	w := new(witness)
	f := newFixture(t, func(c *Config) { c.Observer = w })
	f.restart(f.config, func(a *api) {
		a.router = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				w.WriteHeader(http.StatusOK)
			}
			panic("x")
		})
	})
	f.do("GET", "/", "", nil)
	if got := w.last(t, 1); got.Status != 500 || got.Code != "internal_error" {
		t.Errorf("%+v", got)
	}
	// Half an answer, too, is one request less under way.
	if resp, err := http.Get(f.server.URL + "/late"); err == nil {
		resp.Body.Close()
	}
	if got := w.last(t, 2); got.Status != 200 {
		t.Errorf("%+v", got)
	}
}

func TestMetricsAccess(t *testing.T) {
	const token = "0123456789abcdef-metrics"
	f := newFixture(t, func(c *Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "repod_up 1\n") })
		c.MetricsToken = token
	})
	for role := auth.Viewer; role < auth.Admin; role++ {
		f.get("/metrics", role).want(t, 403, "insufficient_role")
	}
	f.get("/metrics", auth.Admin).want(t, 200, "")
	f.do("GET", "/metrics", "", nil).want(t, 401, "authentication_required")
	f.do("GET", "/metrics?token="+token, "", nil).want(t, 401, "authentication_required")
	f.do("POST", "/metrics", token, nil).want(t, 405, "method_not_allowed")
	for _, wrong := range []string{token[1:], token + "x", strings.ToUpper(token), ""} {
		if a := f.do("GET", "/metrics", "", nil, "Authorization", "Bearer "+wrong); a.status != 401 {
			t.Errorf("the token %q is answered %d", wrong, a.status)
		}
	}
	// It opens nothing else.
	for _, path := range []string{"/settings", "/packages", "/auth/me"} {
		f.do("GET", path, token, nil).want(t, 401, "invalid_token")
	}
	if a := f.do("GET", "/metrics/", token, nil); a.status != 200 || a.body != "repod_up 1\n" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %v", a.status, a.body, a.header)
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	f.do("GET", "/metrics", token, nil).want(t, 200, "")
	if log := f.log.String(); strings.Contains(log, token) || !strings.Contains(log, `"principal":"metrics token"`) {
		t.Errorf("the log is\n%s", log)
	}
}

func TestMetricsSwitchedOff(t *testing.T) {
	f := newFixture(t)
	f.get("/metrics", auth.Admin).want(t, 404, "route_not_found")
	f.do("GET", "/metrics", "", nil, "Authorization", "Bearer ").want(t, 401, "invalid_token")
}

// The answer to HEAD has no body, and none is counted.
func TestHeadSendsNothing(t *testing.T) {
	w := new(witness)
	f := newFixture(t, func(c *Config) { c.Observer = w })
	f.do("HEAD", "/health/live", "", nil)
	if got := w.last(t, 1); got.Sent != 0 {
		t.Errorf("%d bytes were sent", got.Sent)
	}
	if !strings.Contains(f.log.String(), `"method":"HEAD","route":"/health/live","status":200`) || !strings.Contains(f.log.String(), `"bytes":0,`) {
		t.Errorf("the log says %s", f.log)
	}
}
