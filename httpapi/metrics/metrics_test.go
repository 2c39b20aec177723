package metrics_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/sqlstore/sqlitetest"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/storagetest"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/httpapi"
	"github.com/repod-io/repod/httpapi/metrics"
	"github.com/repod-io/repod/index"
	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/clamav"
	"github.com/repod-io/repod/scan/vuln"
)

// A fixture is a repository whose handler is measured.
type fixture struct {
	registry *prometheus.Registry
	meter    *metrics.Meter
	repo     *aptrepo.Repo
	db       *sqlstore.DB
	handler  http.Handler
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{registry: prometheus.NewPedanticRegistry()}
	var err error
	if f.meter, err = metrics.NewMeter(f.registry); err != nil {
		t.Fatal(err)
	}
	f.db = sqlitetest.Open(t, filepath.Join(t.TempDir(), "repod.db"))
	silent := slog.New(slog.DiscardHandler)
	f.repo = &aptrepo.Repo{
		Storage: f.meter.Storage(new(storage.Mem)), Store: f.db, Logger: silent,
		Observer: f.meter, OnEvent: f.meter.Event, Scanners: []scan.Scanner{clean{}},
	}
	users := &auth.Service{Store: f.db, Key: make([]byte, auth.KeySize), Argon2id: auth.Argon2id{Memory: 8, Time: 1, Threads: 1}}
	t.Cleanup(func() { users.Close(context.Background()) })
	set := &settings.Service{Store: f.db, Key: make([]byte, 32), Defaults: settings.Default(), Logger: silent}
	if err := set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.handler, err = httpapi.New(httpapi.Config{
		Repo: f.repo, Auth: users, Settings: set, SpoolDir: t.TempDir(), Logger: silent,
		Observer: f.meter, Metrics: metrics.Handler(f.registry, silent), MetricsToken: "sesame",
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// clean is a scanner that finds nothing.
type clean struct{}

func (clean) Name() string                                           { return "clean" }
func (clean) Begin(context.Context, scan.Subject) (scan.Pass, error) { return clean{}, nil }
func (clean) Open(deb.File) (io.WriteCloser, error)                  { return nil, nil }
func (clean) Abort()                                                 {}
func (clean) Finish(error) scan.Report {
	return scan.Report{Malware: scan.Malware{Status: scan.Clean}}
}

// publish makes a distribution with one package.
func (f *fixture) publish(t *testing.T, codename, name string) {
	t.Helper()
	if _, err := f.repo.Init(t.Context(), aptrepo.Distribution{Codename: codename}); err != nil {
		t.Fatal(err)
	}
	_, err := f.repo.Publish(t.Context(), bytes.NewReader(debtest.Package{Name: name}.Build()), aptrepo.PublishOptions{Distribution: codename})
	if err != nil {
		t.Fatal(err)
	}
}

// get asks the handler, and returns the answer's body.
func (f *fixture) get(t testing.TB, path string) string {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Authorization", "Bearer sesame")
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w.Body.String()
}

// spool makes a directory with files of seven bytes, and a directory.
func (f *fixture) spool(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "a"), []byte("1234"), 0o600), os.WriteFile(filepath.Join(dir, "b"), []byte("567"), 0o600),
		os.Mkdir(filepath.Join(dir, "c"), 0o700),
	)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// watchAll has everything looked up.
func (f *fixture) watchAll(t *testing.T) {
	t.Helper()
	counter := &aptrepo.DownloadCounter{Store: f.db}
	counter.Count(aptrepo.Served{Filename: "pool/x.deb", Begins: true, Bytes: 7})
	err := f.meter.Watch(metrics.Sources{
		Repo: f.repo, Outbox: f.db.OutboxDepth, Downloads: counter,
		Jobs: func(context.Context) ([]jobs.Counts, error) {
			return []jobs.Counts{{Kind: "event.webhook", Waiting: 2, Running: 1, Done: 5, Failed: 3, Waited: 90 * time.Second}}, nil
		},
		Feeds: func(context.Context) ([]vuln.FeedStatus, error) {
			return []vuln.FeedStatus{
				{ID: "a", Kind: "osv", State: vuln.OK, Date: time.Unix(2000, 0)},
				{ID: "b", Kind: "osv", State: vuln.Failed, Date: time.Unix(1000, 0)},
				{ID: "c", Kind: "osv", State: vuln.Never},
			}, nil
		},
		Scanner: func(context.Context) httpapi.ScannerStatus {
			return httpapi.ScannerStatus{Enabled: true, Status: clamav.Status{Available: true, SignatureDate: time.Unix(3000, 0)}}
		},
		Spool: f.spool(t),
		Free:  map[string]func() (uint64, error){"data": func() (uint64, error) { return 4096, nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What a monitor reads after a known history.
func TestValues(t *testing.T) {
	f := newFixture(t)
	f.publish(t, "jammy", "secret-name")
	f.watchAll(t)
	f.meter.Attempt("event.webhook", time.Second, jobs.AttemptFailed)
	f.get(t, "/artifacts/secret-name/1.0")
	err := f.db.Update(t.Context(), func(tx aptrepo.Tx) error {
		return tx.Enqueue(aptrepo.Message{Topic: "t", CreatedAt: time.Now().Add(-time.Hour)})
	})
	if err != nil {
		t.Fatal(err)
	}
	text := f.get(t, "/metrics")
	for _, want := range []string{
		`repod_http_requests_total{method="GET",route="/artifacts/{name}/{version}",status="4xx"} 1`,
		`repod_http_request_duration_seconds_count{route="/artifacts/{name}/{version}"} 1`,
		`repod_http_requests_in_flight 1`,
		`repod_http_problems_total{code="invalid_token"} 1`,
		`repod_publications_total{outcome="done"} 2`,
		`repod_publications_total{outcome="failed"} 0`,
		`repod_publication_duration_seconds_count 2`,
		`repod_publication_queue_seconds_count 2`,
		`repod_malware_scans_total{result="clean"} 1`,
		`repod_package_scan_duration_seconds_count 1`,
		`repod_verdicts_total{verdict="allow"} 1`,
		`repod_job_attempts_total{kind="event.webhook",outcome="failed"} 1`,
		`repod_events_total{kind="package.indexed"} 1`,
		`repod_events_total{kind="sync.failed"} 0`,
		`repod_storage_errors_total{operation="put"} 0`,
		`repod_artifacts{status="indexed"} 1`,
		`repod_artifacts{status="quarantined"} 0`,
		`repod_package_names 1`,
		`repod_distributions 1`,
		`repod_publication_pending_changes 0`,
		`repod_signing_key_expiry_timestamp_seconds +Inf`,
		`repod_jobs{kind="event.webhook",state="failed"} 3`,
		`repod_jobs{kind="event.webhook",state="waiting"} 2`,
		`repod_job_wait_seconds{kind="event.webhook"} 90`,
		`repod_outbox_messages 1`,
		`repod_outbox_oldest_age_seconds 3600`,
		`repod_feed_timestamp_seconds{kind="osv"} 1000`,
		`repod_feeds_failed{kind="osv"} 1`,
		`repod_disk_free_bytes{area="data"} 4096`,
		`repod_spool_bytes 7`, `repod_scanner_up 1`, `repod_scanner_signatures_timestamp_seconds 3000`,
		`repod_downloads_total{client="other"} 1`,
		`repod_download_bytes_total 7`,
		`repod_collect_success{part="publication"} 1`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	for _, never := range []string{"secret-name", "jammy", "sesame", "pool/"} {
		if strings.Contains(text, never) {
			t.Errorf("a stranger's word is in the answer: %s", never)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// A publication that fails counts as such, and takes no place among the times of
// those that did not.
func TestPublicationFails(t *testing.T) {
	f := newFixture(t)
	f.publish(t, "jammy", "hello")
	f.repo.Signer = signer{}
	if err := f.repo.Resign(t.Context()); err == nil {
		t.Fatal("signed by nobody")
	}
	text := f.get(t, "/metrics")
	for _, want := range []string{`repod_publications_total{outcome="failed"} 1`, `repod_publication_duration_seconds_count 2`} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// signer cannot sign.
type signer struct{ index.Signer }

func (signer) ClearSign(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("the key is gone")
}

// Names and help follow Prometheus's conventions, and the README lists them all.
func TestNames(t *testing.T) {
	f := newFixture(t)
	f.publish(t, "jammy", "hello")
	f.watchAll(t)
	f.meter.Attempt("event.webhook", time.Second, jobs.AttemptDone)
	f.get(t, "/health/live")
	problems, err := testutil.GatherAndLint(f.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(repod_[a-z_]+)`").FindAllStringSubmatch(string(readme), -1)
	var told []string
	for _, row := range rows {
		told = append(told, row[1])
	}
	slices.Sort(told)
	names := []string{"repod_build_info"} // of the program
	for _, family := range families {
		names = append(names, family.GetName())
	}
	slices.Sort(names)
	if !slices.Equal(names, told) {
		t.Errorf("the README lists\n%s\nthere are\n%s", strings.Join(told, "\n"), strings.Join(names, "\n"))
	}
	// What the README's alerts look at exists.
	for _, used := range regexp.MustCompile(`repod_[a-z_]+`).FindAllString(string(readme), -1) {
		base := regexp.MustCompile(`_(count|sum|bucket)$`).ReplaceAllString(used, "")
		if !slices.Contains(names, used) && !slices.Contains(names, base) {
			t.Errorf("the README speaks of %s", used)
		}
	}
}

// A wrapped storage is as good as what it wraps, and its failures count.
func TestStorage(t *testing.T) {
	meter, err := metrics.NewMeter(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	storagetest.Run(t, func(t *testing.T) storage.Backend { return meter.Storage(new(storage.Mem)) })

	registry := prometheus.NewRegistry()
	if meter, err = metrics.NewMeter(registry); err != nil {
		t.Fatal(err)
	}
	s := meter.Storage(broken{new(storage.Mem)})
	_, _, _ = s.Open(t.Context(), "missing")
	_ = s.Put(t.Context(), "x", strings.NewReader("x"))
	want := `# HELP repod_storage_errors_total Operations of the storage that failed. That a file is missing is no failure.
# TYPE repod_storage_errors_total counter
repod_storage_errors_total{operation="create"} 0
repod_storage_errors_total{operation="delete"} 0
repod_storage_errors_total{operation="list"} 0
repod_storage_errors_total{operation="open"} 0
repod_storage_errors_total{operation="put"} 1
repod_storage_errors_total{operation="stat"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "repod_storage_errors_total"); err != nil {
		t.Error(err)
	}
}

// broken is a storage that takes nothing.
type broken struct{ storage.Backend }

func (broken) Put(context.Context, string, io.ReadSeeker) error {
	return errors.New("the disk is gone")
}

// Two meters on one registry would count the same twice.
func TestRegistersOnce(t *testing.T) {
	r := prometheus.NewRegistry()
	if _, err := metrics.NewMeter(r); err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.NewMeter(r); err == nil {
		t.Error("a second meter is taken")
	}
}

// BenchmarkRequest is what a request costs with a meter and without.
func BenchmarkRequest(b *testing.B) {
	f := newFixture(b)
	for _, bench := range []struct {
		name  string
		meter httpapi.Observer
	}{{"unmeasured", nil}, {"measured", f.meter}} {
		b.Run(bench.name, func(b *testing.B) {
			silent := slog.New(slog.DiscardHandler)
			h, err := httpapi.New(httpapi.Config{
				Repo: f.repo, Auth: &auth.Service{Store: f.db, Key: make([]byte, auth.KeySize)}, SpoolDir: b.TempDir(), Logger: silent,
				Settings: &settings.Service{Store: f.db, Key: make([]byte, 32), Defaults: settings.Default()}, Observer: bench.meter,
			})
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/health/live", nil)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(nowhere{http.Header{}}, r)
			}
		})
	}
}

// BenchmarkRequestEnded is the meter's part alone.
func BenchmarkRequestEnded(b *testing.B) {
	m, err := metrics.NewMeter(prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	o := httpapi.Observation{Route: "/artifacts/{name}", Method: "GET", Status: 200, Duration: time.Millisecond, Sent: 1000}
	b.ReportAllocs()
	for b.Loop() {
		m.RequestBegan()
		m.RequestEnded(o)
	}
}

// nowhere is where answers go.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header       { return n.header }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}
