package httpapi

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan/clamav"
)

func TestHealth(t *testing.T) {
	var starting atomic.Bool
	f := newFixture(t, func(c *Config) { c.Ready = func() bool { return !starting.Load() } })
	body := func(target string, status int) string {
		t.Helper()
		a := f.do("GET", target, "", nil)
		if a.status != status {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
		return strings.TrimSpace(a.body)
	}
	if got := body("/health", 200); got != `{"status":"healthy","subsystems":{"clamav":"disabled","database":"ok","signing":"ok","storage":"ok"}}` {
		t.Errorf("health is %s", got)
	}
	if got := body("/health/live", 200); got != `{"status":"alive"}` {
		t.Errorf("live is %s", got)
	}
	if got := body("/health/ready", 200); got != `{"status":"ready"}` {
		t.Errorf("ready is %s", got)
	}
	starting.Store(true)
	if got := body("/health/ready", 503); got != `{"status":"not_ready","failing":[]}` {
		t.Errorf("while starting: %s", got)
	}
	body("/health/live", 200)
}

func TestHealthStates(t *testing.T) {
	broken := errors.New("secret path")
	for name, test := range map[string]struct {
		health        aptrepo.Health
		status        int
		word          string
		ready, failed string
	}{
		"database": {aptrepo.Health{Database: broken}, 503, "unhealthy", "not_ready", `["database"]`},
		"storage":  {aptrepo.Health{Storage: broken}, 503, "unhealthy", "not_ready", `["storage"]`},
		"signing":  {aptrepo.Health{Signing: broken}, 200, "degraded", "ready", ""},
		"all":      {aptrepo.Health{Database: broken, Storage: broken, Signing: broken}, 503, "unhealthy", "not_ready", `["database","storage"]`},
	} {
		f := newFixture(t)
		f.restart(f.config, func(a *api) {
			a.health.check = func(context.Context) aptrepo.Health { return test.health }
		})
		a := f.do("GET", "/health", "", nil)
		if a.status != test.status || !strings.Contains(a.body, `"status":"`+test.word+`"`) || strings.Contains(a.body, "secret") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		a = f.do("GET", "/health/ready", "", nil)
		if !strings.Contains(a.body, `"status":"`+test.ready+`"`) || !strings.Contains(a.body, test.failed) {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}

// The scanner counts, but keeps no server from being asked.
func TestHealthOfScanner(t *testing.T) {
	for name, test := range map[string]struct {
		scanner     ScannerStatus
		word, state string
	}{
		"none":    {ScannerStatus{}, "healthy", "disabled"},
		"works":   {ScannerStatus{Enabled: true, Status: clamav.Status{Available: true}}, "healthy", "ok"},
		"is away": {ScannerStatus{Enabled: true}, "degraded", "error"},
	} {
		f := newFixture(t, func(c *Config) { c.Scanner = func(context.Context) ScannerStatus { return test.scanner } })
		a := f.do("GET", "/health", "", nil)
		if a.status != 200 || !strings.Contains(a.body, `"status":"`+test.word+`"`) || !strings.Contains(a.body, `"clamav":"`+test.state+`"`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if a := f.do("GET", "/health/ready", "", nil); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// One that hangs in spite of its context is no reason to say that all is lost.
func TestHealthOfHangingScanner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := health{
			now: time.Now, check: func(context.Context) aptrepo.Health { return aptrepo.Health{} },
			scanner: func(context.Context) ScannerStatus { <-release; return ScannerStatus{} },
		}
		if got := h.get(); got.Database != nil || got.Storage != nil || !got.scans || got.scanner == nil {
			t.Errorf("health is %+v", got)
		}
		close(release)
	})
}

// TestHealthIsShared asks often and at once.
func TestHealthIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var probes atomic.Int32
		h := health{now: time.Now, check: func(context.Context) aptrepo.Health {
			probes.Add(1)
			time.Sleep(time.Second)
			return aptrepo.Health{}
		}}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { h.get() })
		}
		wg.Wait()
		h.get()
		if n := probes.Load(); n != 1 {
			t.Errorf("%d probes for 101 questions", n)
		}
		time.Sleep(healthAge)
		h.get()
		if n := probes.Load(); n != 2 {
			t.Errorf("%d probes after the first is too old", n)
		}
	})
}

// TestHealthFalls lets a subsystem hang right after it was found well. Within 5 s
// whoever asks is told.
func TestHealthFalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		h := health{now: time.Now, check: func(ctx context.Context) aptrepo.Health {
			if hangs.Load() {
				<-ctx.Done()
			}
			return aptrepo.Health{Database: ctx.Err()}
		}}
		if got := h.get(); got.Database != nil {
			t.Fatalf("health is %v", got)
		}
		hangs.Store(true)
		start := time.Now()
		for h.get().Database == nil {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestHealthHangs checks that a hanging subsystem is an answer too.
func TestHealthHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := health{now: time.Now, check: func(context.Context) aptrepo.Health {
			<-release
			return aptrepo.Health{}
		}}
		start := time.Now()
		if got := h.get(); got.Database == nil || got.Storage == nil {
			t.Errorf("health is %v", got)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("the answer took %v", took)
		}
		close(release)
		synctest.Wait()
		if got := h.get(); got.Database != nil {
			t.Errorf("afterwards health is %v", got)
		}
	})
}
