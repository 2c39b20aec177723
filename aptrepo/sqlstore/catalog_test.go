package sqlstore

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/aptrepo/upstream/catalogtest"
)

func TestCatalogSQLite(t *testing.T) {
	catalogtest.Run(t, func(t *testing.T) upstream.Catalog { return openSQLite(t) })
}

func TestCatalogPostgres(t *testing.T) {
	db := openPostgres(t)
	catalogtest.Run(t, func(t *testing.T) upstream.Catalog { return emptied(t, db) })
}

// tuned changes how long a replacement's transactions are and how many texts a
// search sorts.
func tuned(t testing.TB, length time.Duration, texts int) {
	usualSlice, usualFew := slice, few
	slice, few = length, texts
	t.Cleanup(func() { slice, few = usualSlice, usualFew })
}

// Every way of searching gives the same answers, however few packages tests
// have, and so do the shortest transactions.
func TestCatalogWays(t *testing.T) {
	for _, texts := range []int{-1, 4} {
		t.Run(fmt.Sprint(texts), func(t *testing.T) {
			tuned(t, 0, texts)
			forBoth(t, func(t *testing.T, db *DB) {
				for _, c := range catalogtest.Checks() {
					if !strings.HasPrefix(c.Name, "Search") && c.Name != "Model" && c.Name != "ReplaceOvertaken" {
						continue
					}
					if db.dialect == SQLite {
						db = openSQLite(t)
					} else {
						db = emptied(t, db)
					}
					if err := c.Func(t.Context(), db); err != nil {
						t.Errorf("%s: %v", c.Name, err)
					}
				}
			})
		})
	}
}

// rowsOf counts the rows of the catalogue's tables.
func rowsOf(t *testing.T, db *DB) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, table := range []string{"sources", "stages", "texts", "packages", "provides", "removals"} {
		var n int
		if err := db.conn.Get(&n, "SELECT COUNT(*) FROM catalog_"+table); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			counts[table] = n
		}
	}
	return counts
}

func throng(n int, version string) []upstream.Package {
	list := make([]upstream.Package, n)
	for i := range list {
		list[i] = upstream.Package{
			Component: "main", Name: fmt.Sprintf("crowd%d", i), Version: version, Arch: "all", Provides: "crowd", Synopsis: "one of many " + version,
		}
	}
	return list
}

// ending yields packages and then calls a function, which may give an error.
func ending(list []upstream.Package, then func() error) iter.Seq2[upstream.Package, error] {
	return func(yield func(upstream.Package, error) bool) {
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
		if err := then(); err != nil {
			yield(upstream.Package{}, err)
		}
	}
}

func plain(list []upstream.Package) iter.Seq2[upstream.Package, error] {
	return ending(list, func() error { return nil })
}

func mustReplace(t *testing.T, db *DB, source string, list []upstream.Package) {
	t.Helper()
	if _, err := replaceAll(t.Context(), db, source, plain(list)); err != nil {
		t.Fatal(err)
	}
}

func checkRows(t *testing.T, db *DB, when string, want map[string]int) {
	t.Helper()
	if got := rowsOf(t, db); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: rows %v, want %v", when, got, want)
	}
}

// Nothing is left of what was replaced, failed, was overtaken or forgotten.
func TestCatalogRows(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		tuned(t, 0, few)
		mustReplace(t, db, "jammy", throng(400, "1"))
		full := map[string]int{"sources": 1, "texts": 400, "packages": 400, "provides": 400}
		checkRows(t, db, "one source", full)

		failed := errors.New("failed")
		_, err := replaceAll(t.Context(), db, "jammy", ending(throng(400, "2"), func() error { return failed }))
		if !errors.Is(err, failed) {
			t.Errorf("error %v", err)
		}
		checkRows(t, db, "after a failure", full)

		_, err = replaceAll(t.Context(), db, "jammy", ending(throng(400, "3"), func() error {
			mustReplace(t, db, "jammy", throng(300, "1"))
			return nil
		}))
		if !errors.Is(err, upstream.ErrSuperseded) {
			t.Errorf("error %v", err)
		}
		checkRows(t, db, "after one overtook", map[string]int{"sources": 1, "texts": 300, "packages": 300, "provides": 300})

		mustReplace(t, db, "noble", throng(300, "1"))
		checkRows(t, db, "two sources", map[string]int{"sources": 2, "texts": 300, "packages": 600, "provides": 600})
		mustReplace(t, db, "noble", throng(300, "2"))
		checkRows(t, db, "all changed", map[string]int{"sources": 2, "texts": 600, "packages": 600, "provides": 600})
		for _, id := range []string{"jammy", "noble"} {
			if err := db.ForgetSource(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		checkRows(t, db, "all forgotten", map[string]int{})
		if db.dialect == SQLite {
			var terms int
			if err := db.conn.Get(&terms, "SELECT COUNT(*) FROM catalog_search_terms"); err != nil || terms != 0 {
				t.Errorf("%d terms are left in the index, %v", terms, err)
			}
		}
	})
}

// What did not change is not written again.
func TestCatalogUnchanged(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		list := throng(500, "1")
		mustReplace(t, db, "jammy", list)
		ids := func() (ids []int64) {
			if err := db.conn.Select(&ids, "SELECT id FROM catalog_packages ORDER BY id"); err != nil {
				t.Fatal(err)
			}
			return ids
		}
		before := ids()
		slices.Reverse(list)
		list[7].Depends = "changed"
		mustReplace(t, db, "jammy", list)
		after := ids()
		kept := slices.DeleteFunc(slices.Clone(after), func(id int64) bool { return !slices.Contains(before, id) })
		if len(after) != 500 || len(kept) != 499 {
			t.Errorf("of %d rows %d were kept, want 499 of 500", len(after), len(kept))
		}
	})
}

// A sync that stopped at any statement, as when the server is killed, is never
// seen, and the next one takes its traces away.
func TestCatalogCrash(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		tuned(t, 0, few)
		old := throng(40, "1")
		mustReplace(t, db, "jammy", old)
		stop := errors.New("stopped")
		for _, at := range []int{0, 1, 2, 3, 7} {
			states, err := db.SourceStates(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r := &replacement{db: db, state: states[0]}
			if err := r.begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := r.readPresent(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i, p := range throng(10, "2") {
				if i == at {
					break
				}
				if err := errors.Join(r.add(t.Context(), p), r.flush(t.Context())); err != nil {
					t.Fatal(err)
				}
			}
			if at%2 == 1 {
				if err := r.remove(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if at == 7 { // the last transaction fails when all is done
				err := db.update(t.Context(), func(x *tx) error {
					if _, err := x.exec("UPDATE catalog_sources SET generation = generation + 1 WHERE id = ?", r.source); err != nil {
						return err
					}
					if _, err := x.exec("DELETE FROM catalog_stages WHERE id = ?", r.stage); err != nil {
						return err
					}
					return stop
				})
				if !errors.Is(err, stop) {
					t.Fatal(err)
				}
			}
			offers, err := db.Offers(t.Context(), []string{"jammy"}, []string{"crowd"})
			if err != nil || len(offers) != 40 || slices.ContainsFunc(offers, func(p upstream.Package) bool { return p.Version != "1" }) {
				t.Errorf("stopped at %d: %d offers, %v", at, len(offers), err)
			}
		}
		if n := rowsOf(t, db)["packages"]; n < 45 {
			t.Fatalf("only %d rows: nothing is left to be swept", n)
		}
		mustReplace(t, db, "jammy", old)
		checkRows(t, db, "after the next sync", map[string]int{"sources": 1, "texts": 40, "packages": 40, "provides": 40})
	})
}

// What crashes leave behind does not pile up: of a source whose syncs always
// crash, some last ones are kept.
func TestCatalogCrashLoop(t *testing.T) {
	db := openSQLite(t)
	list := throng(50, "1")
	for i := range 10 {
		r := &replacement{db: db, state: upstream.State{SourceID: "jammy"}}
		if err := errors.Join(r.begin(t.Context()), db.sweepCatalog(t.Context()), r.readPresent(t.Context())); err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			p.Version = fmt.Sprint(i)
			if err := r.add(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := rowsOf(t, db)["packages"]; n != maxStages*len(list) {
		t.Errorf("%d rows are left, want %d", n, maxStages*len(list))
	}
}

// Forgetting ends even when it was interrupted.
func TestCatalogForgetInterrupted(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		tuned(t, 0, few)
		mustReplace(t, db, "jammy", throng(400, "1"))
		// As after its first transaction.
		if _, err := db.conn.Exec("UPDATE catalog_sources SET source_id = NULL"); err != nil {
			t.Fatal(err)
		}
		mustReplace(t, db, "jammy", throng(10, "2"))
		checkRows(t, db, "after the next sync", map[string]int{"sources": 1, "texts": 10, "packages": 10, "provides": 10})
	})
}

// A database that is full fails the sync, and is as it was.
func TestCatalogFull(t *testing.T) {
	db := openSQLite(t)
	mustReplace(t, db, "jammy", throng(10, "1"))
	// SQLite raises that to the number of pages there are.
	if _, err := db.writer.session.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := replaceAll(t.Context(), db, "jammy", plain(throng(5000, "2"))); !errors.Is(err, aptrepo.ErrFull) {
		t.Errorf("error %v, want ErrFull", err)
	}
	offers, err := db.Offers(t.Context(), []string{"jammy"}, []string{"crowd"})
	if err != nil || len(offers) != 10 || offers[0].Version != "1" {
		t.Errorf("%d offers, %v", len(offers), err)
	}
	states, err := db.SourceStates(t.Context())
	if err != nil || len(states) != 1 || states[0].Generation != 1 {
		t.Errorf("states %+v, %v", states, err)
	}
}

// A connection that breaks in the last transaction undoes that, and nothing
// counts.
func TestCatalogConnectionBreaks(t *testing.T) {
	p, dsn := startProxy(t)
	db := openPostgresAt(t, dsn)
	mustReplace(t, db, "jammy", throng(10, "1"))
	p.cutAfter("the last words")
	s := upstream.State{SourceID: "jammy", Status: upstream.OK, Generation: 1, Memo: []byte("the last words")}
	if _, err := db.ReplacePackages(t.Context(), s, plain(throng(700, "2"))); !errors.Is(err, aptrepo.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	p.cutAfter("")
	offers, err := db.Offers(t.Context(), []string{"jammy"}, []string{"crowd"})
	if err != nil || len(offers) != 10 || offers[0].Version != "1" {
		t.Errorf("%d offers, %v", len(offers), err)
	}
	mustReplace(t, db, "jammy", throng(700, "2"))
	checkRows(t, db, "after the next sync", map[string]int{"sources": 1, "texts": 700, "packages": 700, "provides": 700})
}

// Two servers sync the same source, again and again.
func TestCatalogTwoServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "repod.db")
	t.Run("SQLite", func(t *testing.T) { racingCatalogs(t, openSQLiteAt(t, path), openSQLiteAt(t, path)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := pgtest.Database(t)
		racingCatalogs(t, openPostgresAt(t, dsn), openPostgresAt(t, dsn))
	})
}

func racingCatalogs(t *testing.T, servers ...*DB) {
	tuned(t, 0, few)
	var won atomic.Int64
	done := make(chan bool)
	for s, db := range servers {
		go func() {
			defer func() { done <- true }()
			for round := range 8 {
				_, err := replaceAll(t.Context(), db, "jammy", plain(throng(100, fmt.Sprintf("%d.%d", s, round))))
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, upstream.ErrSuperseded) {
					t.Error(err)
				}
				offers, err := db.Offers(t.Context(), []string{"jammy"}, []string{"crowd"})
				versions := make(map[string]bool)
				for _, p := range offers {
					versions[p.Version] = true
				}
				if err != nil || len(versions) > 1 || len(offers)%100 != 0 {
					t.Errorf("%d offers of versions %v, %v", len(offers), versions, err)
				}
			}
		}()
	}
	for range servers {
		<-done
	}
	states, err := servers[0].SourceStates(t.Context())
	if err != nil || len(states) != 1 || states[0].Generation != won.Load() || won.Load() == 0 {
		t.Errorf("states %+v, %v after %d successes", states, err, won.Load())
	}
	mustReplace(t, servers[0], "jammy", throng(100, "99"))
	checkRows(t, servers[0], "in the end", map[string]int{"sources": 1, "texts": 100, "packages": 100, "provides": 100})
}

// Others wait for a sync no longer than a few of its transactions take.
func TestCatalogLetsOthersWrite(t *testing.T) {
	db := openSQLite(t)
	var longest time.Duration
	var updates int
	over := make(chan bool)
	synced := make(chan error)
	go func() {
		_, err := replaceAll(t.Context(), db, "jammy", shelf("jammy", 1, 4000, 0, 0))
		close(over)
		synced <- err
	}()
	for running := true; running; {
		start := time.Now()
		if err := db.scribble(t.Context(), "beside"); err != nil {
			t.Fatal(err)
		}
		longest, updates = max(longest, time.Since(start)), updates+1
		select {
		case <-over:
			running = false
		default:
		}
	}
	if err := <-synced; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d updates, the longest took %v", updates, longest)
	if updates < 10 {
		t.Errorf("only %d updates came through during the sync of 4000 packages, the longest took %v", updates, longest)
	}
}

// However much work there is, no transaction lasts longer than its slice and the
// step in which that ends.
func TestCatalogSlices(t *testing.T) {
	db := openSQLite(t)
	tuned(t, 2*time.Millisecond, few)
	transactions := make(map[*tx]int)
	steps := 0
	err := db.slices(t.Context(), always, func(x *tx) (bool, error) {
		transactions[x]++
		time.Sleep(time.Millisecond)
		steps++
		return steps < 30, nil
	})
	if err != nil || steps != 30 {
		t.Fatalf("%d steps, %v", steps, err)
	}
	for _, n := range transactions {
		if n > 3 {
			t.Errorf("a transaction of 2 ms has %d steps of 1 ms", n)
		}
	}
}

// Text that a database cannot keep, and what no index has room for, is refused
// as a whole.
func TestCatalogRefuses(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		mustReplace(t, db, "jammy", throng(3, "1"))
		for name, spoil := range map[string]func(p *upstream.Package){
			"NUL":       func(p *upstream.Package) { p.Depends = "a\x00b" },
			"no UTF-8":  func(p *upstream.Package) { p.Synopsis = "\xff" },
			"version":   func(p *upstream.Package) { p.Version = "one two" },
			"long name": func(p *upstream.Package) { p.Name = strings.Repeat("x", 2000) },
			"twice":     func(p *upstream.Package) { p.Name, p.Depends = "crowd0", "else" },
		} {
			list := throng(3, "2")
			spoil(&list[2])
			if _, err := replaceAll(t.Context(), db, "jammy", plain(list)); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if err := db.SaveState(t.Context(), upstream.State{SourceID: "a\x00"}); !errors.Is(err, aptrepo.ErrInvalid) {
			t.Errorf("a source with NUL: error %v", err)
		}
		if err := db.SaveState(t.Context(), upstream.State{SourceID: "b", Detail: "it sent \x00 and \xff"}); err != nil {
			t.Errorf("a detail with NUL: error %v", err)
		}
		offers, err := db.Offers(t.Context(), []string{"jammy"}, []string{"crowd"})
		if err != nil || len(offers) != 3 || offers[0].Version != "1" {
			t.Errorf("%d offers, %v", len(offers), err)
		}
	})
}

// Long texts are kept whole, though an index has room for their beginning only.
func TestCatalogLongSynopsis(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		r := rand.New(rand.NewPCG(1, 1))
		var long strings.Builder
		for long.Len() < 10_000 {
			long.WriteRune(rune('a' + r.IntN(0x3000)))
		}
		list := throng(2, "1")
		list[1].Synopsis = long.String()
		mustReplace(t, db, "jammy", list)
		beginning := string([]rune(long.String())[100:110])
		found, err := db.SearchPackages(t.Context(), upstream.Query{Q: beginning, Sources: []string{"jammy"}, Limit: 9})
		if err != nil || len(found) != 1 || found[0].Synopsis != list[1].Synopsis {
			t.Errorf("%d found, %v", len(found), err)
		}
	})
}

func TestSuccessor(t *testing.T) {
	for prefix, want := range map[string]string{
		"a": "b", "az": "a{", "": "", "é": "ê", "a\U0010ffff": "b", "\U0010ffff": "", "\ud7ff": "\ue000", "a\x7f": "a\u0080",
	} {
		if got := successor(prefix); got != want {
			t.Errorf("successor of %q is %q, want %q", prefix, got, want)
		}
	}
}

// FuzzCatalogSearch holds searches against Go's own, for any text.
func FuzzCatalogSearch(f *testing.F) {
	for _, seed := range [][3]string{
		{"libc++", "GNU C++ Library", "c++"}, {"a", "100% \"quoted\" it's", "\"q"}, {"a-b", "a\\b*c", "*"}, {"x", "ÉCOLE ΣΟΦΙΑ", "σο"},
		{"or", "OR AND NOT", "OR AND"}, {"n", "日本語パッケージ", "本語"}, {"ab", "b", ""}, {"aaaa", "aaaaaa", "aaa"}, {"q", "ends in \x1f", "\x1f"},
		{"X", "0", ""}, {"i̇", "İ", "İ"}, {"p", "tab\tbell\a", "\a"}, {"u", "\U0010ffff", "\U0010ffff"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	db := openSQLite(f)
	f.Fuzz(func(t *testing.T, name, synopsis, q string) {
		p := upstream.Package{Name: name, Version: "1", Arch: "all", Component: "main", Synopsis: synopsis}
		text := name + synopsis
		if !validText(text) || !validText(q) || strings.Contains(text+q, fieldEnd) || len(fold(text)) > maxIndexed || name == "" {
			t.Skip("not kept, or not searched")
		}
		other := upstream.Package{Name: "other", Version: "1", Arch: "all", Component: "none"}
		if name == other.Name {
			t.Skip("there twice")
		}
		mem := new(catalogtest.Mem)
		list := []upstream.Package{p, other}
		if _, err := replaceAll(t.Context(), db, "fuzz", plain(list)); err != nil {
			t.Fatal(err)
		}
		s := upstream.State{SourceID: "fuzz", LastSync: time.Unix(1e9, 0).UTC()}
		if _, err := mem.ReplacePackages(t.Context(), s, plain(list)); err != nil {
			t.Fatal(err)
		}
		query := upstream.Query{Q: q, Sources: []string{"fuzz"}, Limit: 1 + utf8.RuneCountInString(name)%3}
		want, _ := mem.SearchPackages(t.Context(), query)
		for _, few = range []int{-1, 1, 3000} {
			got, err := db.SearchPackages(t.Context(), query)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("searching %q in %q and %q with few %d:\n got %v, %v\nwant %v", q, name, synopsis, few, got, err, want)
			}
		}
	})
}
