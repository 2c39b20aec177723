// Package storetest checks implementations of aptrepo.Store.
//
// The rules are plain functions on a store, so that they can be tested
// themselves, on stores that break them.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// A Check is one rule of the contract of aptrepo.Store. Func wants an empty
// store, and returns what is wrong with it.
type Check struct {
	Name string
	Func func(ctx context.Context, s aptrepo.Store) error
}

// Run tests the stores that open makes, a fresh and empty one for each check.
func Run(t *testing.T, open func(t *testing.T) aptrepo.Store) {
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
	for _, group := range [][]rule{updateRules, artifactRules, publicationRules, listingRules, generationRules, recordRules, safetyRules, postureRules, billRules,
		downloadRules, overviewRules, retentionRules} {
		for _, r := range group {
			all = append(all, Check{r.name, func(ctx context.Context, s aptrepo.Store) error {
				p := &probe{ctx: ctx, s: s}
				r.check(p)
				return errors.Join(p.faults...)
			}})
		}
	}
	return all
}

type rule struct {
	name  string
	check func(p *probe)
}

// A probe is a store under test and what was found wrong with it.
type probe struct {
	ctx context.Context
	s   aptrepo.Store

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

// update runs fn in a transaction that must succeed.
func (p *probe) update(fn func(tx aptrepo.Tx) error) {
	p.ok("Update", p.s.Update(p.ctx, fn))
}

// parallel runs n functions at once and waits for them.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// epoch is the time at which things happen in these tests.
var epoch = time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)

// at is epoch plus seconds.
func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// distributions creates distributions.
func (p *probe) distributions(codenames ...string) {
	p.update(func(tx aptrepo.Tx) error {
		for _, c := range codenames {
			_, err := tx.InsertDistribution(aptrepo.Distribution{
				Codename: c, Components: []string{"main", "extra"}, Architectures: []string{"amd64", "arm64"}, CreatedAt: epoch,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// made returns an artifact as an upload would give it. spec is
// "name version arch", to which fields "key=value" may be added.
func made(spec string) *aptrepo.Artifact {
	words := strings.Fields(spec)
	a := &aptrepo.Artifact{
		Name: words[0], Version: words[1], Arch: words[2], Source: words[0], SourceVersion: words[1],
		Component: "main", Section: "utils", Priority: "optional", Description: "a package", Size: 100,
		Filename: "pool/" + strings.Join(words[:3], "_") + ".deb", SHA256: strings.Join(words[:3], "-"),
		Status: aptrepo.Indexed, Origin: "upload", UploadedBy: "admin", UploadedAt: epoch,
	}
	provides := ""
	for _, w := range words[3:] {
		key, value, _ := strings.Cut(w, "=")
		value = strings.ReplaceAll(value, "_", " ")
		switch key {
		case "section":
			a.Section = value
		case "status":
			a.Status = aptrepo.Status(strings.ReplaceAll(value, " ", "_"))
		case "description":
			a.Description = value
		case "provides":
			provides = "Provides: " + value + "\n"
		case "size":
			fmt.Sscan(value, &a.Size)
		case "uploaded":
			var seconds int
			fmt.Sscan(value, &seconds)
			a.UploadedAt = at(seconds)
		}
	}
	a.Control = "Package: " + a.Name + "\nVersion: " + a.Version + "\nArchitecture: " + a.Arch + "\n" + provides
	return a
}

// insert adds artifacts and returns their IDs by "name version arch".
func (p *probe) insert(specs ...string) map[string]int64 {
	ids := make(map[string]int64)
	p.update(func(tx aptrepo.Tx) error {
		for _, spec := range specs {
			a := made(spec)
			if err := tx.InsertArtifact(a); err != nil {
				return fmt.Errorf("%s: %w", spec, err)
			}
			ids[label(*a)] = a.ID
		}
		return nil
	})
	return ids
}

// publish publishes an artifact at a second in places "codename/component".
func (p *probe) publish(id int64, second int, places ...string) {
	p.update(func(tx aptrepo.Tx) error {
		for _, place := range places {
			if _, _, err := tx.AddPublication(id, publication(place, second)); err != nil {
				return fmt.Errorf("publishing in %s: %w", place, err)
			}
		}
		return nil
	})
}

func publication(place string, second int) aptrepo.Publication {
	codename, component, _ := strings.Cut(place, "/")
	return aptrepo.Publication{Distribution: codename, Component: component, PublishedAt: at(second)}
}

// stock is insert and publish: each spec is followed by its places, if any, as
// words beginning with "@".
func (p *probe) stock(specs ...string) map[string]int64 {
	all := make(map[string]int64)
	for _, spec := range specs {
		var words, places []string
		for _, w := range strings.Fields(spec) {
			if place, ok := strings.CutPrefix(w, "@"); ok {
				places = append(places, place)
			} else {
				words = append(words, w)
			}
		}
		for name, id := range p.insert(strings.Join(words, " ")) {
			all[name] = id
			p.publish(id, 0, places...)
		}
	}
	return all
}

// label is how an artifact is called in these tests.
func label(a aptrepo.Artifact) string { return a.Name + " " + a.Version + " " + a.Arch }

func labels(list []aptrepo.Artifact) []string {
	names := []string{}
	for _, a := range list {
		names = append(names, label(a))
	}
	return names
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// places renders publications as "codename/component".
func places(list []aptrepo.Publication) []string {
	names := []string{}
	for _, p := range list {
		names = append(names, p.Distribution+"/"+p.Component)
	}
	return names
}

// errWanted is an error that a function gives to Update.
var errWanted = errors.New("wanted")
