// Package catalogtest checks implementations of upstream.Catalog, and has one in
// memory for the tests of programs that use a catalogue.
//
// The rules are plain functions on a catalogue, so that they can be tested
// themselves, on catalogues that break them.
package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
)

// A Check is one rule of the contract of upstream.Catalog. Func wants an empty
// catalogue, and returns what is wrong with it.
type Check struct {
	Name string
	Func func(ctx context.Context, c upstream.Catalog) error
}

// Run tests the catalogues that open makes, a fresh and empty one for each
// check.
func Run(t *testing.T, open func(t *testing.T) upstream.Catalog) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Func(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Checks returns all rules.
func Checks() []Check {
	var all []Check
	for _, r := range []struct {
		name  string
		check func(p *probe)
	}{
		{"StateRoundTrip", stateRoundTrip},
		{"StateOrder", stateOrder},
		{"SaveStateKeeps", saveStateKeeps},
		{"ReplaceRoundTrip", replaceRoundTrip},
		{"ReplaceCounts", replaceCounts},
		{"ReplaceFields", replaceFields},
		{"ReplaceOthers", replaceOthers},
		{"ReplaceFails", replaceFails},
		{"ReplaceCanceled", replaceCanceled},
		{"ReplaceStale", replaceStale},
		{"ReplaceOvertaken", replaceOvertaken},
		{"ReplaceRace", replaceRace},
		{"ReplaceHides", replaceHides},
		{"ReplaceAtomic", replaceAtomic},
		{"ForgetSource", forgetSource},
		{"ForgetMeanwhile", forgetMeanwhile},
		{"SearchOrder", searchOrder},
		{"SearchNewest", searchNewest},
		{"SearchLiteral", searchLiteral},
		{"SearchCase", searchCase},
		{"SearchSources", searchSources},
		{"SearchArch", searchArch},
		{"SearchLimit", searchLimit},
		{"SearchSyncedAt", searchSyncedAt},
		{"OffersByName", offersByName},
		{"OffersProvided", offersProvided},
		{"OffersMany", offersMany},
		{"Model", model},
	} {
		all = append(all, Check{r.name, func(ctx context.Context, c upstream.Catalog) error {
			p := &probe{ctx: ctx, c: c}
			r.check(p)
			return errors.Join(p.faults...)
		}})
	}
	return all
}

// A probe is a catalogue under test and what was found wrong with it.
type probe struct {
	ctx context.Context
	c   upstream.Catalog

	mu     sync.Mutex
	faults []error
}

func (p *probe) errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Errorf(format, args...))
}

// ok notes an error that should not be.
func (p *probe) ok(doing string, err error) {
	if err != nil {
		p.errorf("%s: %w", doing, err)
	}
}

// is notes an error that does not match the one wanted.
func (p *probe) is(doing string, err, want error) {
	if !errors.Is(err, want) {
		p.errorf("%s: error %v, want %v", doing, err, want)
	}
}

// equal notes a difference.
func (p *probe) equal(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		p.errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// epoch is the time at which things happen in these tests.
var epoch = time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)

// at is epoch plus seconds.
func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// made returns a package. spec is "name version arch", to which fields
// "key=value" may be added, with underscores for spaces.
func made(spec string) upstream.Package {
	words := strings.Fields(spec)
	p := upstream.Package{
		Component: "main", Name: words[0], Version: words[1], Arch: words[2], SourceName: words[0], SourceVersion: words[1],
		Section: "utils", Priority: "optional", InstalledSize: 10, Synopsis: "something",
		Filename: "pool/main/" + strings.Join(words[:3], "_") + ".deb", Size: 100, SHA256: strings.Repeat("ab", 32),
	}
	for _, w := range words[3:] {
		key, value, _ := strings.Cut(w, "=")
		value = strings.ReplaceAll(value, "_", " ")
		switch key {
		case "component":
			p.Component = value
		case "synopsis":
			p.Synopsis = value
		case "provides":
			p.Provides = value
		case "depends":
			p.Depends = value
		}
	}
	return p
}

// label is how a package is called in these tests.
func label(p upstream.Package) string {
	return p.Name + " " + p.Version + " " + p.Arch + " " + p.SourceID
}

func labels(list []upstream.Package) []string {
	names := []string{}
	for _, p := range list {
		names = append(names, label(p))
	}
	return names
}

// each makes a sequence of packages.
func each(list []upstream.Package) iter.Seq2[upstream.Package, error] {
	return func(yield func(upstream.Package, error) bool) {
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func makeAll(specs []string) []upstream.Package {
	var list []upstream.Package
	for _, spec := range specs {
		list = append(list, made(spec))
	}
	return list
}

// state returns the state of a source, or one to begin with.
func (p *probe) state(source string) upstream.State {
	states, err := p.c.SourceStates(p.ctx)
	p.ok("SourceStates", err)
	for _, s := range states {
		if s.SourceID == source {
			return s
		}
	}
	return upstream.State{SourceID: source}
}

// synced is a state after a success.
func synced(s upstream.State, second int) upstream.State {
	s.Status, s.LastAttempt, s.LastSync = upstream.OK, at(second), at(second)
	s.Code, s.Reason, s.Detail = "", "", ""
	return s
}

// replace makes the packages of a source those of specs.
func (p *probe) replace(source string, specs ...string) upstream.Replaced {
	return p.replaceList(source, makeAll(specs))
}

func (p *probe) replaceList(source string, list []upstream.Package) upstream.Replaced {
	done, err := p.c.ReplacePackages(p.ctx, synced(p.state(source), 1), each(list))
	p.ok("ReplacePackages of "+source, err)
	return done
}

// offers returns the labels of what sources offer, in their order.
func (p *probe) offers(sources []string, names ...string) []string {
	list, err := p.c.Offers(p.ctx, sources, names)
	p.ok("Offers", err)
	return sorted(labels(list))
}

func (p *probe) offersAre(sources []string, names []string, want ...string) {
	p.equal(fmt.Sprintf("offers of %v in %v", names, sources), p.offers(sources, names...), append([]string{}, want...))
}

// search returns the labels of what a search finds.
func (p *probe) search(q upstream.Query) []string {
	found, err := p.c.SearchPackages(p.ctx, q)
	p.ok("SearchPackages", err)
	names := []string{}
	for _, f := range found {
		names = append(names, label(f.Package))
	}
	return names
}

func (p *probe) finds(q upstream.Query, want ...string) {
	p.equal(fmt.Sprintf("search %+v", q), p.search(q), append([]string{}, want...))
}
