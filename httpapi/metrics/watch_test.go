package metrics_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/httpapi"
	"github.com/repod-io/repod/httpapi/metrics"
	"github.com/repod-io/repod/scan/clamav"
)

// gathered returns the values of gauges without labels, or of a part.
func gathered(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Error(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if m.GetGauge() != nil {
				values[name] = m.GetGauge().GetValue()
			}
		}
	}
	return values
}

// watch registers sources.
func watch(t *testing.T, s metrics.Sources) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	meter, err := metrics.NewMeter(registry)
	if err != nil {
		t.Fatal(err)
	}
	if err := meter.Watch(s); err != nil {
		t.Fatal(err)
	}
	return registry
}

// Whatever monitors there are, the database is asked once in ten seconds.
func TestWatchAsksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int32
		r := watch(t, metrics.Sources{Outbox: func(context.Context) (int, time.Time, error) {
			time.Sleep(time.Second)
			return int(looks.Add(1)), time.Now(), nil
		}})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if got := gathered(t, r)["repod_outbox_messages"]; got != 1 {
					t.Errorf("%v messages", got)
				}
			})
		}
		all.Wait()
		time.Sleep(9 * time.Second)
		gathered(t, r)
		if n := looks.Load(); n != 1 {
			t.Errorf("%d looks within ten seconds", n)
		}
		time.Sleep(2 * time.Second)
		if got := gathered(t, r)["repod_outbox_messages"]; got != 2 {
			t.Errorf("after ten seconds the answer is still that of look %v", got)
		}
	})
}

// A database that hangs holds up no monitor, gathers no pile of looks, hides
// nothing else, and is found again.
func TestWatchHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int32
		release := make(chan struct{})
		r := watch(t, metrics.Sources{
			Outbox: func(context.Context) (int, time.Time, error) {
				if looks.Add(1) > 1 {
					<-release
				}
				return 1, time.Now(), nil
			},
			Jobs: func(context.Context) ([]jobs.Counts, error) { return []jobs.Counts{{Kind: "mail", Waiting: 4}}, nil },
		})
		if got := gathered(t, r); got["repod_outbox_messages"] != 1 {
			t.Errorf("before: %v", got)
		}
		time.Sleep(time.Minute)
		for range 3 {
			began := time.Now()
			got := gathered(t, r)
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("an answer took %v", took)
			}
			if _, there := got["repod_outbox_messages"]; there || got["repod_collect_success outbox"] != 0 {
				t.Errorf("what is not known is told: %v", got)
			}
			if got["repod_collect_success jobs"] != 1 || got["repod_jobs mail waiting"] != 4 {
				t.Errorf("what is known is hidden: %v", got)
			}
		}
		if n := looks.Load(); n != 2 {
			t.Errorf("%d looks hang", n-1)
		}
		close(release)
		synctest.Wait()
		if got := gathered(t, r); got["repod_outbox_messages"] != 1 || got["repod_collect_success outbox"] != 1 {
			t.Errorf("afterwards: %v", got)
		}
	})
}

// What fails is left out, and no old value stands for it.
func TestWatchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		r := watch(t, metrics.Sources{Free: map[string]func() (uint64, error){
			"data": func() (uint64, error) { return 1, nil },
			"storage": func() (uint64, error) {
				if failing.Load() {
					return 0, errors.New("no such disk")
				}
				return 2, nil
			},
		}})
		if got := gathered(t, r); got["repod_disk_free_bytes storage"] != 2 || got["repod_collect_success disks"] != 1 {
			t.Errorf("%v", got)
		}
		failing.Store(true)
		time.Sleep(time.Minute)
		got := gathered(t, r)
		if _, there := got["repod_disk_free_bytes storage"]; there || got["repod_collect_success disks"] != 0 || got["repod_disk_free_bytes data"] != 1 {
			t.Errorf("%v", got)
		}
		for name := range got {
			if strings.Contains(name, "no such disk") {
				t.Errorf("the cause is told: %s", name)
			}
		}
	})
}

// A scanner that does not answer, or cannot be relied on, is down; where there is
// none, there is nothing to say.
func TestWatchScanner(t *testing.T) {
	for name, tt := range map[string]struct {
		status httpapi.ScannerStatus
		known  bool
		up     float64
	}{
		"none":    {httpapi.ScannerStatus{}, false, 0},
		"well":    {httpapi.ScannerStatus{Enabled: true, Status: clamav.Status{Available: true}}, true, 1},
		"gone":    {httpapi.ScannerStatus{Enabled: true, Status: clamav.Status{Detail: "away"}}, true, 0},
		"limited": {httpapi.ScannerStatus{Enabled: true, Status: clamav.Status{Available: true, Detail: "limits"}}, true, 0},
	} {
		got := gathered(t, watch(t, metrics.Sources{Scanner: func(context.Context) httpapi.ScannerStatus { return tt.status }}))
		up, known := got["repod_scanner_up"]
		if up != tt.up || known != tt.known || got["repod_collect_success scanner"] != 1 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What cannot be looked at is no success.
func TestWatchSpool(t *testing.T) {
	dir := t.TempDir()
	if got := gathered(t, watch(t, metrics.Sources{Spool: dir})); got["repod_collect_success spool"] != 1 || got["repod_spool_bytes"] != 0 {
		t.Error(got)
	}
	got := gathered(t, watch(t, metrics.Sources{Spool: dir + "/gone"}))
	if _, known := got["repod_spool_bytes"]; known || got["repod_collect_success spool"] != 0 {
		t.Error(got)
	}
}
