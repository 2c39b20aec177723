package aptrepo_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/repod-io/repod/aptrepo"
)

// A model is what a repository must look like: which contents a package has
// for ever, and where it is published.
type model struct {
	contents  map[string]int             // "name version arch" -> variant, also of deleted ones
	live      map[string]bool            // known, not deleted
	published map[string]map[string]bool // by codename
}

func (m *model) line(name, version string) string { return name + " " + version + " amd64" }

// TestModel runs random operations and compares what apt would see with a
// model after each.
func TestModel(t *testing.T) {
	codenames := []string{"focal", "jammy"}
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t)
		m := model{map[string]int{}, map[string]bool{}, map[string]map[string]bool{"jammy": {}, "focal": {}}}
		name := rapid.SampledFrom([]string{"hello", "libc"})
		version := rapid.SampledFrom([]string{"1", "2", "1:1"})
		where := rapid.SampledFrom(codenames)

		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(rt *rapid.T) {
				n, v, d, variant := name.Draw(rt, "name"), version.Draw(rt, "version"), where.Draw(rt, "in"), rapid.IntRange(0, 1).Draw(rt, "variant")
				data := build(n, v, "amd64", "X-Variant", fmt.Sprint(variant))
				_, err := f.Publish(f.ctx, bytes.NewReader(data), aptrepo.PublishOptions{Distribution: d})
				had, known := m.contents[m.line(n, v)]
				if known && had != variant {
					if !errors.Is(err, aptrepo.ErrConflict) {
						rt.Fatalf("other contents: %v, want ErrConflict", err)
					}
					return
				}
				if err != nil {
					rt.Fatal(err)
				}
				m.contents[m.line(n, v)] = variant
				m.live[m.line(n, v)] = true
				m.published[d][m.line(n, v)] = true
			},
			"promote": func(rt *rapid.T) {
				n, v, d := name.Draw(rt, "name"), version.Draw(rt, "version"), where.Draw(rt, "from")
				to := codenames[1-slices.Index(codenames, d)]
				_, err := f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: aptrepo.Selection{Name: n, Version: v}, From: d, To: to})
				if m.published[d][m.line(n, v)] != (err == nil) {
					rt.Fatalf("in %s: %v, error %v", d, m.published[d][m.line(n, v)], err)
				}
				if err == nil {
					m.published[to][m.line(n, v)] = true
				}
			},
			"unpublish": func(rt *rapid.T) {
				n, v, d := name.Draw(rt, "name"), version.Draw(rt, "version"), where.Draw(rt, "from")
				_, err := f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: aptrepo.Selection{Name: n, Version: v}, Distribution: d})
				if m.published[d][m.line(n, v)] != (err == nil) {
					rt.Fatalf("in %s: %v, error %v", d, m.published[d][m.line(n, v)], err)
				}
				delete(m.published[d], m.line(n, v))
			},
			"delete": func(rt *rapid.T) {
				n, v := name.Draw(rt, "name"), version.Draw(rt, "version")
				_, err := f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: n, Version: v}})
				if m.live[m.line(n, v)] != (err == nil) {
					rt.Fatalf("live: %v, error %v", m.live[m.line(n, v)], err)
				}
				delete(m.live, m.line(n, v))
				for _, d := range codenames {
					delete(m.published[d], m.line(n, v))
				}
			},
			"migrate": func(rt *rapid.T) {
				d, remove := where.Draw(rt, "from"), rapid.Bool().Draw(rt, "remove")
				to := codenames[1-slices.Index(codenames, d)]
				if _, err := f.Migrate(f.ctx, aptrepo.MigrateOptions{From: d, To: to, RemoveSource: remove}); err != nil {
					rt.Fatal(err)
				}
				maps.Copy(m.published[to], m.published[d])
				if remove {
					clear(m.published[d])
				}
			},
			"restart": func(rt *rapid.T) {
				f.Repo = &aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now, Logger: f.Logger}
				if err := f.Recover(f.ctx); err != nil {
					rt.Fatal(err)
				}
			},
			"sweep": func(rt *rapid.T) {
				f.clock.move(time.Duration(rapid.IntRange(-30, 30).Draw(rt, "hours")) * time.Hour)
				if err := f.Sweep(f.ctx); err != nil {
					rt.Fatal(err)
				}
			},
			"sync": func(rt *rapid.T) {
				report, err := f.SyncIndex(f.ctx)
				if err != nil || len(report.Faults) > 0 {
					rt.Fatal(err, report.Faults)
				}
			},
			"": func(rt *rapid.T) {
				for _, d := range codenames {
					got := packages(t, f.Repo, d, "amd64")
					slices.Sort(got)
					if want := slices.Sorted(maps.Keys(m.published[d])); !slices.Equal(got, want) {
						rt.Fatalf("%s holds %q, want %q", d, got, want)
					}
				}
			},
		})
	})
}
