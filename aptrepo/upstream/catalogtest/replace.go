package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/repod-io/repod/aptrepo/upstream"
)

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// failed is the state after a failure.
func failed(source string) upstream.State {
	return upstream.State{
		SourceID: source, Status: upstream.Error, LastAttempt: at(20), LastSync: at(10), Code: "upstream_rejected",
		Reason: "rollback", Detail: "the date goes back", Memo: []byte(`{"etag":"\u0000 ü"}`),
	}
}

func stateRoundTrip(p *probe) {
	want := failed("jammy")
	given := want
	given.Generation, given.PackageCount = 7, 8 // not SaveState's to set
	p.ok("SaveState", p.c.SaveState(p.ctx, given))
	p.equal("state", p.state("jammy"), want)
	again := upstream.State{SourceID: "jammy", Status: upstream.OK, LastAttempt: at(30), LastSync: at(30), Memo: []byte("{}")}
	p.ok("SaveState", p.c.SaveState(p.ctx, again))
	p.equal("state after the next attempt", p.state("jammy"), again)
}

func stateOrder(p *probe) {
	for _, id := range []string{"noble", "a.b", "jammy-security", "a-b", "jammy"} {
		p.ok("SaveState", p.c.SaveState(p.ctx, failed(id)))
	}
	states, err := p.c.SourceStates(p.ctx)
	p.ok("SourceStates", err)
	var ids []string
	for _, s := range states {
		ids = append(ids, s.SourceID)
	}
	p.equal("order", ids, []string{"a-b", "a.b", "jammy", "jammy-security", "noble"})
}

// A failure leaves what was there.
func saveStateKeeps(p *probe) {
	p.replace("jammy", "hello 1 amd64", "world 1 amd64")
	p.ok("SaveState", p.c.SaveState(p.ctx, failed("jammy")))
	want := failed("jammy")
	want.Generation, want.PackageCount = 1, 2
	p.equal("state", p.state("jammy"), want)
	p.offersAre([]string{"jammy"}, []string{"hello"}, "hello 1 amd64 jammy")
}

// full has a value in every field, each another.
func full() upstream.Package {
	p := upstream.Package{SourceID: "jammy", Name: "hello", Version: "1:2.10~rc1-2", Arch: "amd64", Provides: "hi (= 1), hey", Essential: true}
	v := reflect.ValueOf(&p).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case !f.IsZero():
		case f.Kind() == reflect.String:
			f.SetString("Text " + strconv.Itoa(i) + " ü 'quoted' \"so\" \\ % \n two")
		case f.Kind() == reflect.Int64:
			f.SetInt(1<<40 + int64(i))
		}
	}
	return p
}

func replaceRoundTrip(p *probe) {
	state := upstream.State{
		SourceID: "jammy", Status: upstream.OK, LastAttempt: at(5), LastSync: at(5), Memo: []byte(`{"a":1}`), PackageCount: 99,
	}
	given := full()
	given.SourceID = "" // the state says which it is
	done, err := p.c.ReplacePackages(p.ctx, state, each([]upstream.Package{given}))
	p.ok("ReplacePackages", err)
	p.equal("done", done, upstream.Replaced{Added: 1})
	state.Generation, state.PackageCount = 1, 1
	p.equal("state", p.state("jammy"), state)
	offers, err := p.c.Offers(p.ctx, []string{"jammy"}, []string{"hello"})
	p.ok("Offers", err)
	p.equal("offers", offers, []upstream.Package{full()})
	found, err := p.c.SearchPackages(p.ctx, upstream.Query{Q: "hello", Sources: []string{"jammy"}, Limit: 5})
	p.ok("SearchPackages", err)
	p.equal("found", found, []upstream.Found{{Package: full(), SyncedAt: at(5)}})
}

func replaceCounts(p *probe) {
	for i, step := range []struct {
		specs []string
		want  upstream.Replaced
	}{
		{[]string{"a 1 amd64", "b 1 amd64", "c 1 all"}, upstream.Replaced{Added: 3}},
		{[]string{"c 1 all", "a 1 amd64", "b 1 amd64"}, upstream.Replaced{Kept: 3}},
		{[]string{"a 1 amd64", "b 1 amd64 depends=c", "d 1 all"}, upstream.Replaced{Added: 2, Removed: 2, Kept: 1}},
		{[]string{"a 1 amd64", "a 1 amd64 component=extra", "a 1 arm64", "a 2 amd64"}, upstream.Replaced{Added: 3, Removed: 2, Kept: 1}},
		{nil, upstream.Replaced{Removed: 4}},
		{nil, upstream.Replaced{}},
		{[]string{"a 1 amd64"}, upstream.Replaced{Added: 1}},
	} {
		p.equal(fmt.Sprintf("step %d", i), p.replace("jammy", step.specs...), step.want)
		s := p.state("jammy")
		p.equal(fmt.Sprintf("step %d: generation and packages", i), []int{int(s.Generation), int(s.PackageCount)}, []int{i + 1, len(step.specs)})
	}
}

// A change of any field is a change.
func replaceFields(p *probe) {
	p.replaceList("jammy", []upstream.Package{full()})
	for i := range reflect.TypeFor[upstream.Package]().NumField() {
		name := reflect.TypeFor[upstream.Package]().Field(i).Name
		if name == "SourceID" {
			continue
		}
		changed := full()
		switch f := reflect.ValueOf(&changed).Elem().Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.Int64:
			f.SetInt(f.Int() + 1)
		default:
			f.SetString(f.String() + "1")
		}
		p.equal("changed "+name, p.replaceList("jammy", []upstream.Package{changed}), upstream.Replaced{Added: 1, Removed: 1})
		offers, err := p.c.Offers(p.ctx, []string{"jammy"}, []string{"hello", "hello1"})
		p.ok("Offers", err)
		p.equal("offers after a change of "+name, offers, []upstream.Package{changed})
		p.replaceList("jammy", []upstream.Package{full()})
	}
}

// Sources do not meddle with each other.
func replaceOthers(p *probe) {
	p.replace("jammy", "a 1 amd64", "b 1 amd64")
	p.replace("noble", "a 1 amd64", "b 1 amd64")
	p.replace("jammy", "a 2 amd64")
	p.offersAre([]string{"jammy", "noble"}, []string{"a", "b"}, "a 1 amd64 noble", "a 2 amd64 jammy", "b 1 amd64 noble")
	p.equal("generation of the other", p.state("noble").Generation, int64(1))
}

var errWanted = errors.New("wanted")

// before yields packages and then calls f, which may give an error.
func before(list []upstream.Package, f func() error) iter.Seq2[upstream.Package, error] {
	return func(yield func(upstream.Package, error) bool) {
		for p := range each(list) {
			if !yield(p, nil) {
				return
			}
		}
		if err := f(); err != nil {
			yield(upstream.Package{}, err)
		}
	}
}

// many are so many packages that no store takes them in one go.
func many(n int, version string) []upstream.Package {
	list := make([]upstream.Package, n)
	for i := range list {
		list[i] = made(fmt.Sprintf("many%d %s amd64 provides=crowd", i, version))
	}
	return list
}

const multitude = 700

func replaceFails(p *probe) {
	p.replace("jammy", "a 1 amd64", "b 1 amd64")
	was := p.state("jammy")
	for _, list := range [][]upstream.Package{nil, makeAll([]string{"a 1 amd64", "c 1 amd64"}), many(multitude, "1")} {
		_, err := p.c.ReplacePackages(p.ctx, synced(was, 9), before(list, func() error { return errWanted }))
		p.is("ReplacePackages", err, errWanted)
		p.equal("state", p.state("jammy"), was)
		p.offersAre([]string{"jammy"}, []string{"a", "b", "c", "crowd"}, "a 1 amd64 jammy", "b 1 amd64 jammy")
	}
	_, err := p.c.ReplacePackages(p.ctx, synced(upstream.State{SourceID: "new"}, 9), before(many(3, "1"), func() error { return errWanted }))
	p.is("ReplacePackages of a new source", err, errWanted)
	p.equal("state of the new source", p.state("new"), upstream.State{SourceID: "new"})
	states, err := p.c.SourceStates(p.ctx)
	p.ok("SourceStates", err)
	p.equal("sources", len(states), 1)
	p.equal("the next try", p.replace("jammy", "a 1 amd64", "c 1 amd64"), upstream.Replaced{Added: 1, Removed: 1, Kept: 1})
	p.offersAre([]string{"jammy", "new"}, []string{"a", "b", "c", "crowd"}, "a 1 amd64 jammy", "c 1 amd64 jammy")
}

func replaceCanceled(p *probe) {
	p.replace("jammy", "a 1 amd64")
	was := p.state("jammy")
	ctx, cancel := context.WithCancel(p.ctx)
	_, err := p.c.ReplacePackages(ctx, synced(was, 9), before(many(multitude, "1"), func() error { cancel(); return nil }))
	p.is("ReplacePackages", err, context.Canceled)
	p.equal("state", p.state("jammy"), was)
	p.offersAre([]string{"jammy"}, []string{"a", "crowd"}, "a 1 amd64 jammy")
	p.equal("the next try", p.replaceList("jammy", many(multitude, "1")), upstream.Replaced{Added: multitude, Removed: 1})
}

func replaceStale(p *probe) {
	p.replace("jammy", "a 1 amd64")
	old := p.state("jammy")
	p.replace("jammy", "a 2 amd64")
	was := p.state("jammy")
	for _, generation := range []int64{0, old.Generation, was.Generation + 1} {
		stale := synced(old, 9)
		stale.Generation = generation
		_, err := p.c.ReplacePackages(p.ctx, stale, each(makeAll([]string{"a 3 amd64"})))
		p.is(fmt.Sprintf("generation %d", generation), err, upstream.ErrSuperseded)
	}
	p.equal("state", p.state("jammy"), was)
	p.offersAre([]string{"jammy"}, []string{"a"}, "a 2 amd64 jammy")
}

// One sync overtakes another one.
func replaceOvertaken(p *probe) {
	p.replace("jammy", "a 1 amd64", "b 1 amd64", "c 1 amd64")
	slow := synced(p.state("jammy"), 9)
	list := append(many(multitude, "1"), makeAll([]string{"a 1 amd64", "b 2 amd64"})...)
	_, err := p.c.ReplacePackages(p.ctx, slow, before(list, func() error {
		p.equal("the fast one", p.replace("jammy", "a 1 amd64", "b 3 amd64"), upstream.Replaced{Added: 1, Removed: 2, Kept: 1})
		return nil
	}))
	p.is("the slow one", err, upstream.ErrSuperseded)
	p.offersAre([]string{"jammy"}, []string{"a", "b", "c", "crowd"}, "a 1 amd64 jammy", "b 3 amd64 jammy")
	p.equal("generation", p.state("jammy").Generation, int64(2))
	p.equal("the next one", p.replace("jammy", "a 1 amd64", "b 2 amd64"), upstream.Replaced{Added: 1, Removed: 1, Kept: 1})
}

// Of syncs that begin together one wins, and what it says is there.
func replaceRace(p *probe) {
	p.replace("jammy", "a 0 amd64")
	state := synced(p.state("jammy"), 9)
	var winners []int
	var mu sync.Mutex
	var started, wg sync.WaitGroup
	started.Add(2)
	for i := range 2 {
		wg.Go(func() {
			list := append(many(multitude, strconv.Itoa(i+1)), made(fmt.Sprintf("a %d amd64", i+1)))
			_, err := p.c.ReplacePackages(p.ctx, state, before(list, func() error {
				started.Done()
				started.Wait()
				return nil
			}))
			if err != nil {
				p.is("the one that loses", err, upstream.ErrSuperseded)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			winners = append(winners, i+1)
		})
	}
	wg.Wait()
	if len(winners) != 1 {
		p.errorf("winners %v, want one", winners)
		return
	}
	p.offersAre([]string{"jammy"}, []string{"a", "many7"},
		fmt.Sprintf("a %d amd64 jammy", winners[0]), fmt.Sprintf("many7 %d amd64 jammy", winners[0]))
	p.equal("packages", len(p.offers([]string{"jammy"}, "crowd", "a")), multitude+1)
}

// Until a replacement has ended, nobody sees any of it.
func replaceHides(p *probe) {
	p.replace("jammy", "a 1 amd64", "many3 0 amd64")
	check := func() error {
		p.offersAre([]string{"jammy"}, []string{"a", "b", "crowd", "many3"}, "a 1 amd64 jammy", "many3 0 amd64 jammy")
		p.finds(upstream.Query{Q: "many", Sources: []string{"jammy"}, Limit: 9}, "many3 0 amd64 jammy")
		p.equal("generation", p.state("jammy").Generation, int64(1))
		return nil
	}
	list := append(many(multitude, "1"), made("b 1 amd64"))
	_, err := p.c.ReplacePackages(p.ctx, synced(p.state("jammy"), 9), before(list, check))
	p.ok("ReplacePackages", err)
	p.equal("offers", len(p.offers([]string{"jammy"}, "crowd", "a")), multitude)
}

// A reader never sees a mixture.
func replaceAtomic(p *probe) {
	const n = 150
	p.replaceList("jammy", many(n, "0"))
	var over atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !over.Load() {
				p.wholeOffer(n)
				p.wholeSearch(n)
			}
		})
	}
	for round := range 6 {
		p.replaceList("jammy", many(n, strconv.Itoa(round+1)))
	}
	over.Store(true)
	wg.Wait()
}

func (p *probe) wholeOffer(n int) {
	offers, err := p.c.Offers(p.ctx, []string{"jammy"}, []string{"crowd"})
	p.ok("Offers", err)
	versions := make(map[string]int)
	for _, o := range offers {
		versions[o.Version]++
	}
	if len(versions) != 1 || len(offers) != n {
		p.errorf("a reader saw packages of versions %v, want %d of one", versions, n)
	}
}

func (p *probe) wholeSearch(n int) {
	found, err := p.c.SearchPackages(p.ctx, upstream.Query{Q: "any", Sources: []string{"jammy"}, Limit: 2 * n})
	p.ok("SearchPackages", err)
	versions := make(map[string]int)
	for _, f := range found {
		versions[f.Version]++
	}
	if len(versions) != 1 || len(found) != n {
		p.errorf("a search found packages of versions %v, want %d of one", versions, n)
	}
}

func forgetSource(p *probe) {
	p.ok("ForgetSource of an unknown one", p.c.ForgetSource(p.ctx, "jammy"))
	p.replace("jammy", "a 1 amd64 provides=x")
	p.replace("jammy", "a 2 amd64 provides=x")
	p.replace("noble", "a 3 amd64 provides=x")
	p.ok("ForgetSource", p.c.ForgetSource(p.ctx, "jammy"))
	p.equal("state", p.state("jammy"), upstream.State{SourceID: "jammy"})
	both := []string{"jammy", "noble"}
	p.offersAre(both, []string{"a", "x"}, "a 3 amd64 noble")
	p.finds(upstream.Query{Q: "a", Sources: both, Limit: 9}, "a 3 amd64 noble")
	p.ok("ForgetSource again", p.c.ForgetSource(p.ctx, "jammy"))
	p.equal("from the beginning", p.replace("jammy", "a 2 amd64 provides=x"), upstream.Replaced{Added: 1})
	p.equal("generation", p.state("jammy").Generation, int64(1))
	p.offersAre(both, []string{"a"}, "a 2 amd64 jammy", "a 3 amd64 noble")
}

// A source that is forgotten during a sync stays so.
func forgetMeanwhile(p *probe) {
	p.replace("jammy", "a 1 amd64")
	_, err := p.c.ReplacePackages(p.ctx, synced(p.state("jammy"), 9), before(many(multitude, "1"), func() error {
		p.ok("ForgetSource", p.c.ForgetSource(p.ctx, "jammy"))
		return nil
	}))
	p.is("ReplacePackages", err, upstream.ErrSuperseded)
	p.equal("state", p.state("jammy"), upstream.State{SourceID: "jammy"})
	p.offersAre([]string{"jammy"}, []string{"a", "crowd"})
}
