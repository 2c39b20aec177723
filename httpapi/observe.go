package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"
)

// An Observer measures requests; [github.com/repod-io/repod/httpapi/metrics] has
// one for Prometheus. Its methods are called for each request, concurrently, and
// must not block.
type Observer interface {
	// RequestBegan is called when a request has arrived, RequestEnded once for
	// each of them when it has been answered, or broke off.
	RequestBegan()
	RequestEnded(r Observation)
}

// An Observation is what may be told of a request without growing with what
// clients send: all its words are of small sets.
type Observation struct {
	Route    string // the pattern, such as "/artifacts/{name}"; "" when none matched
	Method   string // "GET", "POST" ...; "other" for made-up ones
	Status   int    // 0: nothing was answered
	Code     string // that of the problem that was answered, such as "rate_limited"; "" for none
	Duration time.Duration
	Sent     int64 // bytes of the answer's body
	Uploaded int64 // bytes of the package that arrived whole; 0 on other routes
}

func (a *api) observe(rec *recorder, method string, took time.Duration) {
	if a.Observer == nil {
		return
	}
	a.Observer.RequestEnded(Observation{
		Route: rec.route, Method: method, Status: rec.status, Code: rec.code,
		Duration: took, Sent: rec.bytes, Uploaded: rec.uploaded,
	})
}

// metricsPath is where Config.Metrics answers.
const metricsPath = "/metrics"

// metrics answers what a monitor asks.
func (a *api) metrics(c *call) error {
	if a.Metrics == nil {
		return errRoute
	}
	setAPIHeaders(c.w.Header())
	a.Metrics.ServeHTTP(c.w, c.Request)
	return nil
}

// monitors reports whether token is the one of Config.MetricsToken. Nothing is
// asked of the database, so that a monitor sees it fail.
func (a *api) monitors(token string) bool {
	if a.MetricsToken == "" {
		return false
	}
	// Hashes are of one length, which the comparison would tell otherwise.
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(a.MetricsToken))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
