package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/httpapi"
)

// TestDrillR12Clock lets the clock of a server stop, go back, and jump ahead by a
// day and by ten years, and back again. The program has no switch for a clock, so
// this is the repository in this process, with its real database and files. All
// times lie in the past of this machine, so that gpgv finds nothing wrong with
// them.
func TestDrillR12Clock(t *testing.T) {
	slow(t)
	dir := t.TempDir()
	var clock atomic.Int64
	clock.Store(time.Now().AddDate(-12, 0, 0).Unix())
	log := new(journal)
	open := func() (*aptrepo.Repo, *sqlstore.DB) {
		files, err := storage.OpenDir(filepath.Join(dir, "files"))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := sqlx.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(dir, "repod.db")))
		if err != nil {
			t.Fatal(err)
		}
		db, err := sqlstore.Open(t.Context(), conn, sqlstore.SQLite)
		if err != nil {
			t.Fatal(err)
		}
		return &aptrepo.Repo{Storage: files, Store: db, Now: func() time.Time { return time.Unix(clock.Load(), 0) },
			Logger: slog.New(slog.NewTextHandler(log, nil))}, db
	}
	repo, db := open()
	if _, err := repo.Init(t.Context(), aptrepo.Distribution{Codename: "bookworm"}); err != nil {
		t.Fatal(err)
	}
	var tree atomic.Pointer[http.Handler]
	set := func() { h := httpapi.Tree(repo); tree.Store(&h) }
	set()
	s := &server{URL: listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*tree.Load()).ServeHTTP(w, r) }))}
	check := newChecker(t, s)
	books := sqliteLedger(t, dir)

	var faults []error
	seen := &state{}
	generations := 0
	for i, jump := range []time.Duration{0, 0, -24 * time.Hour, 0, 24 * time.Hour, 24 * time.Hour, 10 * 365 * 24 * time.Hour, 0, -10 * 365 * 24 * time.Hour, 0, time.Hour} {
		clock.Add(int64(jump / time.Second))
		if i%3 == 2 { // a restart
			db.Close()
			repo, db = open()
			if err := repo.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			set()
		}
		for n := range either(2, 20) {
			p := newPkg(fmt.Sprintf("clock-%d-%d", i, n), "1.0", 100)
			if _, err := repo.Publish(t.Context(), strings.NewReader(string(p.Deb)), aptrepo.PublishOptions{Distribution: "bookworm"}); err != nil {
				t.Fatalf("jump %d by %v: %v", i, jump, err)
			}
			generations++
			st, err := check.verify(t.Context(), "bookworm", true)
			if err != nil {
				t.Fatalf("jump %d by %v: %v", i, jump, err)
			}
			if len(st.Packages) != generations {
				t.Errorf("%d packages are listed, %d were published", len(st.Packages), generations)
			}
			faults = append(faults, notBefore(st, seen), books.generations(t.Context()))
			seen = st
		}
	}
	if err := errors.Join(faults...); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "ahead of the clock") {
		t.Errorf("nobody is told that the last publication is dated ten years ahead: %s", tail(log.String(), 1000))
	}
	if err := books.audit(context.Background(), &model{}); err != nil {
		t.Error(err)
	}
	db.Close()
	report(t, figure{"R12", "a clock that stops, goes back a day, jumps ahead a day and ten years, and back, with restarts",
		fmt.Sprintf("%d publications: each verifies, Date and number never go back; that a Date lies ahead of the clock is logged", generations),
		"INV3; alert", false})
}

func notBefore(st, former *state) error {
	date, err := time.Parse(time.RFC1123, st.Date)
	if err != nil || former.Date == "" {
		return err
	}
	if was, err := time.Parse(time.RFC1123, former.Date); err != nil || date.Before(was) {
		return fmt.Errorf("INV3: %s after %s (%v)", st.Date, former.Date, err)
	}
	return nil
}
