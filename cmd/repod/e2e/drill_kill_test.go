package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestDrillR3Kills kills a server under load, at any moment, and starts it
// again.
func TestDrillR3Kills(t *testing.T) {
	slow(t)
	s, x, again := comesAndGoes(t)
	l := x.load(t)
	l.cuts = true
	l.start()

	var starts []time.Duration
	least, most := either(500*time.Millisecond, 2*time.Second), either(2*time.Second, 10*time.Second)
	for until := time.Now().Add(either(12*time.Second, 20*time.Minute)); time.Now().Before(until) && !t.Failed(); {
		time.Sleep(least + rand.N(most-least))
		s.kill()
		began := time.Now()
		s = again()
		starts = append(starts, time.Since(began))
		if err := x.ledger.generations(t.Context()); err != nil {
			t.Error(err)
		}
	}
	l.stop()
	told := l.settle()
	slowest := quantile(starts, 100)
	report(t, figure{"R3", "kill -9 at any moment under load (10 uploads a second, promotions, deletions, reads), started again at once",
		fmt.Sprintf("%d kills: %s; ready again in %v at most", len(starts), told, slowest),
		"0 lost, 0 failed; ready ≤ 5 s", slowest > 5*time.Second})
}
