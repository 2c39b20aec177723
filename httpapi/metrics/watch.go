package metrics

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/httpapi"
	"github.com/repod-io/repod/scan/vuln"
)

const (
	freshFor = 10 * time.Second // how old what was looked up may be
	within   = 3 * time.Second  // bounds the time to look
)

// Sources are what Watch looks at; nil ones are left out.
type Sources struct {
	Repo *aptrepo.Repo
	// Jobs returns the jobs in the database: the method of a jobs.Runner.
	Jobs func(ctx context.Context) ([]jobs.Counts, error)
	// Outbox returns how many messages wait to become jobs, and the time of the
	// oldest: the method OutboxDepth of a sqlstore.DB.
	Outbox func(ctx context.Context) (n int, oldest time.Time, err error)
	// Feeds describes the data on vulnerabilities.
	Feeds func(ctx context.Context) ([]vuln.FeedStatus, error)
	// Downloads counts downloads.
	Downloads *aptrepo.DownloadCounter
	// Scanner says how the scanner for malware is: that of an httpapi.Config.
	Scanner func(ctx context.Context) httpapi.ScannerStatus
	// Spool is the directory where files lie while they arrive. Empty: none.
	Spool string
	// Free returns the bytes that are free on disks, by what they are for:
	// "data", "storage".
	Free map[string]func() (uint64, error)
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Watch registers what is looked up when a monitor asks.
func (m *Meter) Watch(s Sources) error {
	if s.Now == nil {
		s.Now = time.Now
	}
	w := &watcher{now: s.Now}
	if s.Repo != nil {
		w.add("artifacts", s.artifacts)
		w.add("publication", s.publication)
		w.add("signing", s.signing)
	}
	if s.Jobs != nil {
		w.add("jobs", s.jobs)
	}
	if s.Outbox != nil {
		w.add("outbox", s.outbox)
	}
	if s.Feeds != nil {
		w.add("feeds", s.feeds)
	}
	if s.Free != nil {
		w.add("disks", s.disks)
	}
	if s.Scanner != nil {
		w.add("scanner", s.scanner)
	}
	if s.Spool != "" {
		w.add("spool", s.spool)
	}
	if s.Downloads != nil {
		w.add("downloads", s.downloads)
	}
	return m.registry.Register(w)
}

// desc describes a measure that is looked up.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

var (
	descSuccess       = desc("collect_success", "Whether a part of what is looked up for a monitor could be found out in time: 1 or 0.", "part")
	descArtifacts     = desc("artifacts", "Packages, each version and architecture by itself, by status.", "status")
	descArtifactBytes = desc("artifact_bytes", "Size of all packages.")
	descNames         = desc("package_names", "Names of packages.")
	descWaiting       = desc("review_waiting", "Rejected packages that wait for a decision.")
	descDistributions = desc("distributions", "Distributions.")
	descPending       = desc("publication_pending_changes", "Changes that were accepted and that apt does not see yet, in all distributions.")
	descOldest        = desc("publication_oldest_timestamp_seconds", "When the distribution that was published longest ago was published.")
	descKey           = desc("signing_key_expiry_timestamp_seconds", "When the active signing key ends; +Inf for one that does not.")
	descJobs          = desc("jobs", "Jobs in the database by kind and state: waiting, running and, for a day, done and failed.", "kind", "state")
	descJobWait       = desc("job_wait_seconds", "How long the job that waits longest could have been begun.", "kind")
	descOutbox        = desc("outbox_messages", "Messages about changes that are to become jobs: webhooks and mail.")
	descOutboxAge     = desc("outbox_oldest_age_seconds", "Age of the oldest of them, 0 without any.")
	descFeedDate      = desc("feed_timestamp_seconds", "Date of the data on vulnerabilities, of the oldest feed of a kind.", "kind")
	descFeedFailed    = desc("feeds_failed", "Feeds whose last import failed.", "kind")
	descFree          = desc("disk_free_bytes", "Free space on the disk of the data directory and on that of the storage.", "area")
	descSpool         = desc("spool_bytes", "Size of the files that are arriving, or are being unpacked.")
	descScanner       = desc("scanner_up", "Whether the scanner for malware answers and can be relied on: 1 or 0; missing without one.")
	descSignatures    = desc("scanner_signatures_timestamp_seconds", "Date of the scanner's signatures.")
	descDownloads     = desc("downloads_total", "Downloads that began, by kind of client.", "client")
	descDownloadBytes = desc("download_bytes_total", "Bytes of packages that were downloaded.")
	descLost          = desc("downloads_lost_total", "Downloads that the statistics lack, since they could not be written.")
)

// described are all of them, counted those that only grow.
var (
	described = slices.Concat(counted, []*prometheus.Desc{
		descSuccess, descArtifacts, descArtifactBytes, descNames, descWaiting, descDistributions, descPending, descOldest,
		descKey, descJobs, descJobWait, descOutbox, descOutboxAge, descFeedDate, descFeedFailed, descFree,
		descSpool, descScanner, descSignatures,
	})
	counted = []*prometheus.Desc{descDownloads, descDownloadBytes, descLost}
)

func (s *Sources) artifacts(ctx context.Context, set setter) error {
	o, err := s.Repo.Store.Overview(ctx, aptrepo.OverviewQuery{ArrivedSince: s.Now(), ExpiringBy: time.Unix(1, 0)})
	if err != nil {
		return err
	}
	for _, status := range []aptrepo.Status{aptrepo.Indexed, aptrepo.PendingReview, aptrepo.Rejected, aptrepo.Quarantined} {
		set(descArtifacts, float64(o.ByStatus[status]), string(status))
	}
	set(descArtifactBytes, float64(o.SizeBytes))
	set(descNames, float64(o.Names))
	set(descWaiting, float64(o.Waiting))
	set(descDistributions, float64(o.Distributions))
	return nil
}

func (s *Sources) publication(ctx context.Context, set setter) error {
	heads, err := s.Repo.Store.Heads(ctx)
	if err != nil {
		return err
	}
	var pending int64
	for _, h := range heads {
		pending += max(0, h.LastSeq-h.AppliedSeq)
	}
	set(descPending, float64(pending))
	all, err := s.Repo.Store.Distributions(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	oldest := slices.MinFunc(all, func(a, b aptrepo.Distribution) int { return a.LastPublishedAt.Compare(b.LastPublishedAt) })
	set(descOldest, seconds(oldest.LastPublishedAt))
	return nil
}

func (s *Sources) signing(ctx context.Context, set setter) error {
	ring, err := s.Repo.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range ring.Keys {
		if k.State != aptrepo.KeyActive {
			continue
		}
		until := math.Inf(1)
		if !k.ExpiresAt.IsZero() {
			until = seconds(k.ExpiresAt)
		}
		set(descKey, until)
		return nil
	}
	return aptrepo.ErrNoSigningKey
}

func (s *Sources) jobs(ctx context.Context, set setter) error {
	all, err := s.Jobs(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		set(descJobs, float64(c.Waiting), c.Kind, "waiting")
		set(descJobs, float64(c.Running), c.Kind, "running")
		set(descJobs, float64(c.Done), c.Kind, "done")
		set(descJobs, float64(c.Failed), c.Kind, "failed")
		set(descJobWait, c.Waited.Seconds(), c.Kind)
	}
	return nil
}

func (s *Sources) outbox(ctx context.Context, set setter) error {
	n, oldest, err := s.Outbox(ctx)
	if err != nil {
		return err
	}
	age := 0.0
	if n > 0 {
		age = max(0, s.Now().Sub(oldest).Seconds())
	}
	set(descOutbox, float64(n))
	set(descOutboxAge, age)
	return nil
}

func (s *Sources) feeds(ctx context.Context, set setter) error {
	all, err := s.Feeds(ctx)
	if err != nil {
		return err
	}
	dates, failed := make(map[string]time.Time), make(map[string]int)
	for _, f := range all {
		kind := string(f.Kind)
		failed[kind] += 0
		if f.State == vuln.Failed {
			failed[kind]++
		}
		if old, known := dates[kind]; !f.Date.IsZero() && (!known || f.Date.Before(old)) {
			dates[kind] = f.Date
		}
	}
	for kind, n := range failed {
		set(descFeedFailed, float64(n), kind)
	}
	for kind, date := range dates {
		set(descFeedDate, seconds(date), kind)
	}
	return nil
}

func (s *Sources) disks(_ context.Context, set setter) error {
	var errs []error
	for _, area := range slices.Sorted(maps.Keys(s.Free)) {
		free, err := s.Free[area]()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		set(descFree, float64(free), area)
	}
	return errors.Join(errs...)
}

func (s *Sources) scanner(ctx context.Context, set setter) error {
	status := s.Scanner(ctx)
	if !status.Enabled {
		return nil
	}
	up := 0.0
	if status.Available && status.Detail == "" {
		up = 1
	}
	set(descScanner, up)
	if !status.SignatureDate.IsZero() {
		set(descSignatures, seconds(status.SignatureDate))
	}
	return nil
}

func (s *Sources) spool(_ context.Context, set setter) error {
	entries, err := os.ReadDir(s.Spool)
	if err != nil {
		return err
	}
	var size int64
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist): // it has arrived
		case err != nil:
			return err
		case info.Mode().IsRegular():
			size += info.Size()
		}
	}
	set(descSpool, float64(size))
	return nil
}

func (s *Sources) downloads(_ context.Context, set setter) error {
	tally := s.Downloads.Tally()
	for kind, n := range tally.Downloads {
		set(descDownloads, float64(n), aptrepo.ClientKind(kind).String())
	}
	set(descDownloadBytes, float64(tally.Bytes))
	set(descLost, float64(tally.Lost))
	return nil
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// A setter takes a value that was looked up.
type setter func(d *prometheus.Desc, value float64, labels ...string)

// A watcher is a collector that looks things up.
type watcher struct {
	now   func() time.Time
	parts []*part
}

// A part is looked up by itself, so that one that fails or hangs does not hide the
// others.
type part struct {
	name string
	look func(ctx context.Context, set setter) error

	mu      sync.Mutex
	running chan struct{} // closed at the end of the look that is on; nil without one
	at      time.Time     // of the last look's end
	found   []prometheus.Metric
	err     error
}

func (w *watcher) add(name string, look func(context.Context, setter) error) {
	w.parts = append(w.parts, &part{name: name, look: look})
}

// Describe implements [prometheus.Collector].
func (w *watcher) Describe(out chan<- *prometheus.Desc) {
	for _, d := range described {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (w *watcher) Collect(out chan<- prometheus.Metric) {
	ends := make([]<-chan struct{}, len(w.parts))
	for i, p := range w.parts {
		ends[i] = p.begin(w.now)
	}
	limit := time.NewTimer(within)
	defer limit.Stop()
	late := false
	for i, p := range w.parts {
		if !late {
			select {
			case <-ends[i]:
			case <-limit.C:
				late = true
			}
		}
		p.report(out)
	}
}

// ended is a channel that is closed.
var ended = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// begin starts a look unless one is on or the last was just now. The channel that
// it returns is closed when there is something new.
func (p *part) begin(now func() time.Time) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		return p.running
	}
	if !p.at.IsZero() && now().Sub(p.at).Abs() < freshFor {
		return ended
	}
	done := make(chan struct{})
	p.running = done
	go func() {
		// It belongs to all who ask meanwhile, and may hang in spite of its context.
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		var found []prometheus.Metric
		err := p.look(ctx, func(d *prometheus.Desc, value float64, labels ...string) {
			kind := prometheus.GaugeValue
			if slices.Contains(counted, d) {
				kind = prometheus.CounterValue
			}
			found = append(found, prometheus.MustNewConstMetric(d, kind, value, labels...))
		})
		p.mu.Lock()
		defer p.mu.Unlock()
		p.found, p.err, p.at, p.running = found, err, now(), nil
		close(done)
	}()
	return done
}

// report sends what is known. What hangs is not known.
func (p *part) report(out chan<- prometheus.Metric) {
	p.mu.Lock()
	defer p.mu.Unlock()
	success := 0.0
	if p.running == nil && p.err == nil {
		success = 1
	}
	out <- prometheus.MustNewConstMetric(descSuccess, prometheus.GaugeValue, success, p.name)
	if p.running != nil {
		return
	}
	for _, m := range p.found {
		out <- m
	}
}
