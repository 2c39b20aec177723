// Package metrics measures a repository for Prometheus.
//
//	registry := prometheus.NewRegistry()
//	meter, err := metrics.NewMeter(registry)
//	...
//	repo.Observer, repo.Storage = meter, meter.Storage(backend)
//	err = meter.Watch(metrics.Sources{Repo: repo})
//	handler, err := httpapi.New(httpapi.Config{
//		Observer: meter, Metrics: metrics.Handler(registry, logger), ...
//	})
//
// There are no globals: what is measured belongs to the registry that a program
// gives, beside measures of its own.
//
// # Labels
//
// Their values are of sets that do not grow with what clients send or keep here:
// patterns of routes, methods, classes of statuses, codes of problems, kinds of
// events, jobs and feeds. No name of a package, distribution, user or file is
// among them.
//
// # What asks the database
//
// Most measures are counted in memory as things happen. Those of Watch are looked
// up when a monitor asks: at most every ten seconds however many ask, within
// three seconds, and never twice at a time. What cannot be found out is left out
// of the answer, and repod_collect_success says so.
package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/httpapi"
	"github.com/repod-io/repod/scan"
)

// A Meter counts what happens. It is an [httpapi.Observer] and an
// [aptrepo.Observer]; its methods Attempt and Event are for the Observe of a
// jobs.Runner and the OnEvent of a Repo. All of them may be called concurrently.
type Meter struct {
	registry prometheus.Registerer

	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	problems  *prometheus.CounterVec
	sent      prometheus.Counter
	uploaded  prometheus.Counter
	published *prometheus.CounterVec
	publish   prometheus.Histogram
	queued    prometheus.Histogram
	scans     *prometheus.CounterVec
	scan      prometheus.Histogram
	verdicts  *prometheus.CounterVec
	attempts  *prometheus.CounterVec
	work      *prometheus.HistogramVec
	events    *prometheus.CounterVec
	storage   *prometheus.HistogramVec
	faults    *prometheus.CounterVec
}

var (
	_ httpapi.Observer = (*Meter)(nil)
	_ aptrepo.Observer = (*Meter)(nil)
)

// The bounds of histograms, in seconds.
var (
	quick = []float64{.001, .005, .025, .1, .5, 2.5, 10, 60}
	long  = []float64{.1, 1, 10, 60, 600, 3600}
)

// NewMeter returns a Meter whose measures are registered. It fails when the
// registry has some of those names already.
func NewMeter(r prometheus.Registerer) (*Meter, error) {
	m := &Meter{
		registry: r,
		requests: counters("http_requests_total", "Requests that were answered, by pattern of the route, method and class of the status.",
			"route", "method", "status"),
		duration: histograms("http_request_duration_seconds", "Time from a request's arrival to the end of its answer.", quick, "route"),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "http_requests_in_flight", Help: "Requests that are being answered, streams of events among them."}),
		problems: counters("http_problems_total", "Answers that were a problem, by its code: invalid_credentials, rate_limited, internal_error and so on.",
			"code"),
		sent:      counter("http_response_bytes_total", "Bytes of answers' bodies that were sent."),
		uploaded:  counter("upload_bytes_total", "Bytes of packages that clients have uploaded whole, whatever became of them."),
		published: counters("publications_total", "Tries to publish a distribution: done, or failed.", "outcome"),
		publish:   histogram("publication_duration_seconds", "Time that it took to render, sign and store a generation of a distribution.", quick),
		queued:    histogram("publication_queue_seconds", "Time that a change waited until its distribution was free to be published.", quick),
		scans:     counters("malware_scans_total", "Packages that the scanners have read: clean, infected, incomplete, error or not_scanned.", "result"),
		scan:      histogram("package_scan_duration_seconds", "Time that it took to unpack a package and show it to the scanners.", quick),
		verdicts:  counters("verdicts_total", "What the policy made of packages: allow, warn, review or block.", "verdict"),
		attempts:  counters("job_attempts_total", "Attempts at jobs that ended on this server: done, failed, retry or interrupted.", "kind", "outcome"),
		work:      histograms("job_attempt_duration_seconds", "Time that attempts at jobs took.", long, "kind"),
		events:    counters("events_total", "Events of the repository that this server brought about, such as package.indexed and sync.failed.", "kind"),
		storage: histograms("storage_operation_duration_seconds", "Time that operations of the storage took, for list and open without the reading.",
			quick, "operation"),
		faults: counters("storage_errors_total", "Operations of the storage that failed. That a file is missing is no failure.", "operation"),
	}
	m.known()
	return m, register(r, m.requests, m.duration, m.inFlight, m.problems, m.sent, m.uploaded, m.published, m.publish, m.queued,
		m.scans, m.scan, m.verdicts, m.attempts, m.work, m.events, m.storage, m.faults)
}

// known begins at 0 what alerts look at: Prometheus sees no increase in the first
// value of a series.
func (m *Meter) known() {
	for _, outcome := range []string{"done", "failed"} {
		m.published.WithLabelValues(outcome)
	}
	for _, result := range []scan.MalwareStatus{scan.Clean, scan.Infected, scan.Incomplete, scan.Failed} {
		m.scans.WithLabelValues(string(result))
	}
	for _, v := range []scan.Verdict{scan.Allow, scan.Warn, scan.Review, scan.Block} {
		m.verdicts.WithLabelValues(string(v))
	}
	for _, op := range []string{opOpen, opStat, opPut, opCreate, opDelete, opList} {
		m.faults.WithLabelValues(op)
	}
	for _, code := range []string{"invalid_credentials", "invalid_token", "rate_limited", "internal_error"} {
		m.problems.WithLabelValues(code)
	}
	m.events.WithLabelValues(string(aptrepo.EventSyncFailed))
	m.events.WithLabelValues(string(aptrepo.EventScannerUnavailable))
}

// namespace begins all names.
const namespace = "repod"

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histogram(name, help string, bounds []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: bounds})
}

func histograms(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: bounds}, labels)
}

func register(r prometheus.Registerer, all ...prometheus.Collector) error {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// RequestBegan implements [httpapi.Observer].
func (m *Meter) RequestBegan() { m.inFlight.Inc() }

// classes are those of statuses. Requests that broke off before an answer have
// none.
var classes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// RequestEnded implements [httpapi.Observer].
func (m *Meter) RequestEnded(o httpapi.Observation) {
	m.inFlight.Dec()
	route, class := o.Route, classes[0]
	if route == "" {
		route = "none"
	}
	if c := o.Status / 100; c > 0 && c < len(classes) {
		class = classes[c]
	}
	m.requests.WithLabelValues(route, o.Method, class).Inc()
	m.duration.WithLabelValues(route).Observe(o.Duration.Seconds())
	m.sent.Add(float64(o.Sent))
	m.uploaded.Add(float64(o.Uploaded))
	if o.Code != "" {
		m.problems.WithLabelValues(o.Code).Inc()
	}
}

// PublicationQueued implements [aptrepo.Observer].
func (m *Meter) PublicationQueued(waited time.Duration) { m.queued.Observe(waited.Seconds()) }

// PublicationEnded implements [aptrepo.Observer].
func (m *Meter) PublicationEnded(took time.Duration, err error) {
	if err != nil {
		m.published.WithLabelValues("failed").Inc()
		return
	}
	m.published.WithLabelValues("done").Inc()
	m.publish.Observe(took.Seconds())
}

// PackageScanned implements [aptrepo.Observer].
func (m *Meter) PackageScanned(took time.Duration, s scan.MalwareStatus) {
	result := string(s)
	if s == scan.NotScanned {
		result = "not_scanned"
	}
	m.scans.WithLabelValues(result).Inc()
	m.scan.Observe(took.Seconds())
}

// PackageJudged implements [aptrepo.Observer].
func (m *Meter) PackageJudged(v aptrepo.Verdict) { m.verdicts.WithLabelValues(string(v)).Inc() }

// Attempt counts an attempt at a job.
func (m *Meter) Attempt(kind string, took time.Duration, a jobs.Attempt) {
	m.attempts.WithLabelValues(kind, string(a)).Inc()
	m.work.WithLabelValues(kind).Observe(took.Seconds())
}

// Event counts an event.
func (m *Meter) Event(_ context.Context, e aptrepo.Event) {
	m.events.WithLabelValues(string(e.Kind)).Inc()
}

// atOnce bounds the monitors that are answered at a time.
const atOnce = 4

// Handler answers GET with what g has gathered, in the format that is asked for;
// more than four at a time, with 503. Causes of failures go to log.
func Handler(g prometheus.Gatherer, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: atOnce,
	})
}
