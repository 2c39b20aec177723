package metrics_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/httpapi/metrics"
)

// A program has its registry measured into, and serves it wherever it likes; with
// httpapi.Config.Metrics it stands at /metrics, for administrators.
func Example() {
	registry := prometheus.NewRegistry()
	meter, err := metrics.NewMeter(registry)
	if err != nil {
		panic(err)
	}
	repo := &aptrepo.Repo{
		Storage:  meter.Storage(new(storage.Mem)),
		Observer: meter,
		OnEvent:  meter.Event,
	}
	repo.Observer.PublicationEnded(20*time.Millisecond, nil) // as the repository does

	answer := httptest.NewRecorder()
	metrics.Handler(registry, slog.Default()).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "repod_publications_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// repod_publications_total{outcome="done"} 1
	// repod_publications_total{outcome="failed"} 0
}
