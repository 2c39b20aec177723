package e2e

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// TestDrillR10Replicas lets two servers of one database and one bucket publish
// the same distributions, and stops one after the other in the middle of what it
// does, for longer than a publication takes: when it goes on, it must not undo
// what the other has done meanwhile.
func TestDrillR10Replicas(t *testing.T) {
	slow(t)
	url, files, _ := newBucket(t)
	db := startPostgres(t)
	where := []string{"--storage-url", url, "--secret-key-file", secretKey(t), "--database-url", db.url(db.address)}
	args := append(where, "--distributions", both)
	servers := []*server{serve(t, t.TempDir(), args...), serve(t, t.TempDir(), args...)}
	x := newSite(t, servers[0], servers[0].URL, openLedger(t, "pgx", db.url(db.address), files), where...)
	x.lag = 10 * time.Second // for one server to hear of what the other has published
	l := x.load(t)
	l.urls = []string{servers[0].URL, servers[1].URL}
	l.start()
	pauses := 0
	for until := time.Now().Add(either(15*time.Second, 10*time.Minute)); time.Now().Before(until); pauses++ {
		time.Sleep(time.Second + rand.N(time.Second))
		p := servers[pauses%2].cmd.Process
		p.Signal(syscall.SIGSTOP)
		time.Sleep(time.Second + rand.N(either(3*time.Second, 12*time.Second)))
		p.Signal(syscall.SIGCONT)
		x.ledger.gapless = true
		if err := x.ledger.generations(t.Context()); err != nil {
			t.Error(err)
		}
	}
	l.stop()
	began := time.Now()
	var one, other *state
	eventually(t, startLimit, func() error {
		var err error
		if one, err = x.check.verify(t.Context(), "bookworm", true); err != nil {
			return err
		}
		if other, err = x.check.at(servers[1]).verify(t.Context(), "bookworm", true); err != nil {
			return err
		}
		if one.Date != other.Date || len(one.Packages) != len(other.Packages) {
			return fmt.Errorf("one server is at %s, the other at %s", one.Date, other.Date)
		}
		return nil
	})
	agreed := time.Since(began).Round(time.Millisecond)
	told := l.settle()
	report(t, figure{"R10", "two servers, PostgreSQL and a bucket, both publish the same distributions; each by turns stopped (SIGSTOP) and continued",
		fmt.Sprintf("%d pauses: %s; generations %d and %d without a gap; both show the same %v after the last change", pauses, told,
			x.ledger.newest["bookworm"].number, x.ledger.newest["trixie"].number, agreed),
		"0 lost, 0 failed, no gap", false})
}
