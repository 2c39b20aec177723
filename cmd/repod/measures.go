package main

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/httpapi/metrics"
	"github.com/repod-io/repod/scan/vuln"
)

// measures is what GET /metrics tells.
type measures struct {
	registry *prometheus.Registry
	meter    *metrics.Meter
}

// newMeasures lets what the repository does be measured. It must come before the
// repository is used.
func newMeasures(o *opened) (*measures, error) {
	m := &measures{registry: prometheus.NewRegistry()}
	var err error
	if m.meter, err = metrics.NewMeter(m.registry); err != nil {
		return nil, err
	}
	o.repo.Observer, o.repo.OnEvent = m.meter, m.meter.Event
	o.repo.Storage = m.meter.Storage(o.repo.Storage)
	v := buildVersion()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "repod_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": v.Version, "revision": v.Revision, "goversion": v.Go},
	})
	info.Set(1)
	return m, m.register(info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewDBStatsCollector(o.db.Pool(), "requests"))
}

func (m *measures) register(all ...prometheus.Collector) error {
	for _, c := range all {
		if err := m.registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// watch adds what is looked up for a monitor.
func (m *measures) watch(c serveConfig, o *opened, work *background, safety *scanning, counter *aptrepo.DownloadCounter) error {
	s := metrics.Sources{Downloads: counter}
	s.Repo, s.Jobs, s.Outbox = o.repo, work.runner.Counts, o.db.OutboxDepth
	s.Feeds = func(ctx context.Context) ([]vuln.FeedStatus, error) { return safety.db.Status(ctx) }
	s.Free = map[string]func() (uint64, error){"data": func() (uint64, error) { return freeBytes(c.dataDir) }}
	s.Scanner, s.Spool = safety.status, filepath.Join(c.dataDir, "spool")
	if c.files != "" {
		s.Free["storage"] = func() (uint64, error) { return freeBytes(c.files) }
	}
	return errors.Join(m.meter.Watch(s), m.register(collectors.NewDBStatsCollector(work.pool, "jobs")))
}

func freeBytes(path string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}
