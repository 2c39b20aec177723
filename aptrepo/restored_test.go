package aptrepo_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore"
)

// behind returns a repository whose storage has later generations than its Store:
// the clock is where it was when the Store's last generation was published.
func behind(t *testing.T, publications int) (f *fixture, number int64, date time.Time) {
	t.Helper()
	f = newFixture(t)
	for i := range publications {
		f.clock.move(time.Hour)
		f.publish(t, build("later", []string{"1", "2", "3"}[i], "amd64"), "jammy")
	}
	g, err := f.Store.Generation(f.ctx, "jammy")
	if err != nil {
		t.Fatal(err)
	}
	f.clock.move(-time.Duration(publications) * time.Hour)
	f.Store = openStore(t, t.TempDir())
	for _, codename := range []string{"jammy", "focal"} {
		err := f.Store.Update(f.ctx, func(tx aptrepo.Tx) error {
			_, err := tx.InsertDistribution(aptrepo.Distribution{Codename: codename, Components: []string{"main"}, Architectures: []string{"amd64"}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return f, g.Number, g.Date
}

// A start never publishes below what storage has, whatever the database and the
// clock say: neither by number nor by Date.
func TestRecoverFollowsStorage(t *testing.T) {
	for _, first := range []string{"never published", "published before"} {
		t.Run(first, func(t *testing.T) {
			f, number, date := behind(t, 3)
			f.Repo = f.restarted()
			if first == "published before" { // by a program that did not look
				g := aptrepo.Generation{Distribution: "jammy", Number: 1, Manifest: "index/jammy/generations/000000000001-x.json", Date: f.clock.now(), PublishedAt: f.clock.now()}
				if err := f.Store.AdvanceGeneration(f.ctx, g); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Recover(f.ctx); err != nil {
				t.Fatal(err)
			}
			g, err := f.Store.Generation(f.ctx, "jammy")
			if err != nil || g.Number <= number || g.Date.Before(date) {
				t.Errorf("generation %d of %v, %v; storage has %d of %v", g.Number, g.Date, err, number, date)
			}
			if got := release(t, f.Repo, "jammy").Date; got.Before(date) {
				t.Errorf("InRelease is of %v, clients have seen %v", got, date)
			}
			clean(t, f.Repo)
			// Once is enough.
			if err := f.restarted().Recover(f.ctx); err != nil {
				t.Fatal(err)
			}
			if again, err := f.Store.Generation(f.ctx, "jammy"); err != nil || again.Number != g.Number {
				t.Errorf("the next start has published %d, %v", again.Number, err)
			}
		})
	}
}

// A crash between the two steps of following storage loses nothing.
func TestRecoverGoesOnAfterACrash(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("hello", "1", "amd64"), "jammy")
	date := f.clock.now().Add(time.Hour)
	err := f.Store.Update(f.ctx, func(tx aptrepo.Tx) error { return tx.RaiseGeneration("jammy", 500, date) })
	if err != nil {
		t.Fatal(err)
	}
	f.Repo = f.restarted()
	if err := f.Recover(f.ctx); err != nil {
		t.Fatal(err)
	}
	g, err := f.Store.Generation(f.ctx, "jammy")
	if err != nil || g.Number != 501 || !release(t, f.Repo, "jammy").Date.Equal(date) {
		t.Errorf("generation %d, %v; Date %v", g.Number, err, release(t, f.Repo, "jammy").Date)
	}
	clean(t, f.Repo)
}

// An ordinary start publishes nothing.
func TestRecoverLeavesAlone(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("hello", "1", "amd64"), "jammy")
	before, err := f.Store.Generation(f.ctx, "jammy")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.restarted().Recover(f.ctx); err != nil {
		t.Fatal(err)
	}
	if after, err := f.Store.Generation(f.ctx, "jammy"); err != nil || after.Number != before.Number {
		t.Errorf("generation %d after %d, %v", after.Number, before.Number, err)
	}
}

// A restore is recorded, and the mark of entries that are lost is put aside, so
// that the log can be verified from then on.
func TestRestoredIsRecorded(t *testing.T) {
	f := newFixture(t)
	f.SecretKey = []byte(strings.Repeat("k", 32))
	if err := f.Store.(*sqlstore.DB).SignAudit(f.ctx, aptrepo.AuditKey(f.SecretKey)); err != nil {
		t.Fatal(err)
	}
	f.publish(t, build("hello", "1", "amd64"), "jammy")
	mark := aptrepo.AuditHead{ID: 900, Hash: strings.Repeat("a", 64)}
	text, err := json.Marshal(mark.Sign(aptrepo.AuditKey(f.SecretKey)))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.files.Put(f.ctx, "audit/head.json", bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	const later = "audit/archive/000000000800.jsonl.gz"
	if err := f.files.Put(f.ctx, later, strings.NewReader("of entries that are lost")); err != nil {
		t.Fatal(err)
	}
	if report, err := f.VerifyAudit(f.ctx); err != nil || report.BrokenAt == 0 {
		t.Fatalf("before: %+v, %v", report, err)
	}
	if err := f.Restored(f.ctx, "of a test"); err != nil {
		t.Fatal(err)
	}
	entries, err := f.Store.AuditEntries(f.ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	last := entries[len(entries)-1]
	if last.Action != "repository.restore" || !strings.HasPrefix(last.Detail, "of a test; the log had had 8") {
		t.Errorf("recorded %+v", last)
	}
	for _, key := range []string{"audit/head.json", later} {
		if _, _, err := f.files.Open(f.ctx, "lost+found/"+key); err != nil {
			t.Errorf("%s is lost: %v", key, err)
		}
	}
	if _, _, err := f.files.Open(f.ctx, later); err == nil {
		t.Errorf("%s is still there", later)
	}
	clean(t, f.Repo)
}
