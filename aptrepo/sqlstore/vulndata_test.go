package sqlstore

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/vulnsync"
)

// Of several servers that make data current at once, one does.
func TestVulnerabilityData(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		if c, err := db.VulnerabilityData(t.Context()); c != (vulnsync.Current{}) || err != nil {
			t.Fatalf("at first: %+v, %v", c, err)
		}
		var won atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				c := vulnsync.Current{Number: 1, SHA256: fmt.Sprint("sum-", i), At: time.Unix(1e9, 0).UTC()}
				switch err := db.SetVulnerabilityData(t.Context(), c); {
				case err == nil:
					won.Add(1)
					winner.Store(c)
				case !errors.Is(err, vulnsync.ErrStale):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, err := db.VulnerabilityData(t.Context())
		if won.Load() != 1 || err != nil || got != winner.Load() {
			t.Errorf("%d have succeeded; current is %+v, %v, want %+v", won.Load(), got, err, winner.Load())
		}
		for _, number := range []int64{0, 1, 3} {
			if err := db.SetVulnerabilityData(t.Context(), vulnsync.Current{Number: number}); !errors.Is(err, vulnsync.ErrStale) {
				t.Errorf("number %d after 1: %v", number, err)
			}
		}
		if err := db.SetVulnerabilityData(t.Context(), vulnsync.Current{Number: 2, SHA256: "a\x00"}); err == nil {
			t.Error("a text that PostgreSQL cannot hold is taken")
		}
	})
}
