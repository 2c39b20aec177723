package httpapi

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/repod-io/repod/aptrepo"
)

// Together they are less than the five seconds within which a load balancer is to
// hear of a loss.
const (
	healthAge     = 2 * time.Second // how old a result may be
	healthTimeout = 2 * time.Second // after which a subsystem counts as failed
)

// A health remembers how the repository is, so that strangers who ask often
// cost nothing.
type health struct {
	check func(context.Context) aptrepo.Health
	// scanner returns how the scanner for malware is. Nil: there is none.
	scanner func(context.Context) ScannerStatus
	now     func() time.Time

	probes singleflight.Group
	mu     sync.Mutex
	last   condition
	at     time.Time
}

// A condition is how everything is.
type condition struct {
	aptrepo.Health
	scans   bool  // there is a scanner for malware
	scanner error // nil: it works
}

var (
	errNoAnswer    = errors.New("no answer in time")
	errScannerAway = errors.New("the scanner is not available")
)

// probe finds out how everything is: the scanner, which may be far away or hang,
// beside the rest.
func (h *health) probe(ctx context.Context) condition {
	if h.scanner == nil {
		return condition{Health: h.check(ctx)}
	}
	scanner := make(chan ScannerStatus, 1)
	go func() { scanner <- h.scanner(ctx) }()
	c := condition{Health: h.check(ctx)}
	select {
	case s := <-scanner:
		if c.scans = s.Enabled; s.Enabled && !s.Available {
			c.scanner = errScannerAway
		}
	case <-ctx.Done(): // one that hangs must not look like a lost database
		c.scans, c.scanner = true, errNoAnswer
	}
	return c
}

// get returns the present state, or one that is at most healthAge old.
func (h *health) get() condition {
	h.mu.Lock()
	last, at := h.last, h.at
	h.mu.Unlock()
	if !at.IsZero() && h.now().Sub(at) < healthAge {
		return last
	}
	// All callers share one probe, which therefore belongs to none of them.
	probe := h.probes.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
		defer cancel()
		result := h.probe(ctx)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.last, h.at = result, h.now()
		return result, nil
	})
	// A subsystem may hang in spite of its context.
	late := time.NewTimer(healthTimeout + healthTimeout/4)
	defer late.Stop()
	select {
	case r := <-probe:
		return r.Val.(condition)
	case <-late.C:
		return condition{Health: aptrepo.Health{Database: errNoAnswer, Storage: errNoAnswer, Signing: errNoAnswer}}
	}
}

type healthJSON struct {
	Status     string            `json:"status" rule:"healthy|degraded|unhealthy"`
	Subsystems map[string]string `json:"subsystems"`
}

func (a *api) showHealth(c *call) error {
	h := a.health.get()
	word := func(err error) string {
		if err != nil {
			return "error"
		}
		return "ok"
	}
	status, code := "healthy", http.StatusOK
	switch {
	case h.Database != nil || h.Storage != nil:
		status, code = "unhealthy", http.StatusServiceUnavailable
	case h.Signing != nil || h.scanner != nil:
		status = "degraded"
	}
	scanner := "disabled"
	if h.scans {
		scanner = word(h.scanner)
	}
	return writeJSON(c.w, code, healthJSON{status, map[string]string{
		"database": word(h.Database),
		"storage":  word(h.Storage),
		"signing":  word(h.Signing),
		"clamav":   scanner,
	}})
}

type aliveJSON struct {
	Status string `json:"status"`
}

func (a *api) live(c *call) error {
	return writeJSON(c.w, http.StatusOK, aliveJSON{"alive"})
}

type notReadyJSON struct {
	Status  string   `json:"status"`
	Failing []string `json:"failing"` // empty while starting or shutting down
}

func (a *api) ready(c *call) error {
	h := a.health.get()
	failing := []string{}
	if h.Database != nil {
		failing = append(failing, "database")
	}
	if h.Storage != nil {
		failing = append(failing, "storage")
	}
	if a.Ready() && len(failing) == 0 {
		return writeJSON(c.w, http.StatusOK, aliveJSON{"ready"})
	}
	return writeJSON(c.w, http.StatusServiceUnavailable, notReadyJSON{"not_ready", failing})
}
