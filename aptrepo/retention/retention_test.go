package retention_test

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/repod-io/repod/aptrepo/retention"
	"github.com/repod-io/repod/deb"
)

const day = 24 * time.Hour

var now = time.Date(2026, 5, 12, 2, 0, 0, 0, time.UTC)

func version(t interface{ Fatal(...any) }, s string) deb.Version {
	v, err := deb.ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// published returns versions that were published some days ago, as "1.0 30"; a
// third word marks those that were promoted.
func published(t *testing.T, specs ...string) []retention.Version {
	t.Helper()
	var list []retention.Version
	for _, spec := range specs {
		var v, promoted string
		var days int
		if n, _ := fmt.Sscan(spec, &v, &days, &promoted); n < 2 {
			t.Fatalf("bad spec %q", spec)
		}
		list = append(list, retention.Version{
			Version: version(t, v), Published: now.Add(-time.Duration(days) * day), Promoted: promoted != "",
		})
	}
	return list
}

func TestPlan(t *testing.T) {
	const count, age = "keep_versions", "retention_days"
	for name, test := range map[string]struct {
		keep, days int
		versions   []string
		want       []string // "" stays
	}{
		"no rules":                 {0, 0, []string{"1 900", "2 800"}, []string{"", ""}},
		"nothing there":            {1, 1, nil, nil},
		"one":                      {1, 1, []string{"1 900"}, []string{""}},
		"keep one":                 {1, 0, []string{"1 3", "2 2", "3 1"}, []string{count, count, ""}},
		"keep two":                 {2, 0, []string{"1 3", "2 2", "3 1"}, []string{count, "", ""}},
		"keep more than there are": {9, 0, []string{"1 3", "2 2", "3 1"}, []string{"", "", ""}},
		"dpkg's order, not text's": {1, 0, []string{"1.10 9", "1.9 9", "1.10~rc1 9", "1:0 9"}, []string{count, count, count, ""}},
		"not the order of arrival": {1, 0, []string{"3 1", "1 0"}, []string{"", count}},

		// Counted from when the newer one came, not from the upload.
		"age":                         {0, 30, []string{"1 900", "2 31", "3 30", "4 1"}, []string{age, age, "", ""}},
		"superseded a day too late":   {0, 30, []string{"1 900", "2 29"}, []string{"", ""}},
		"superseded just in time":     {0, 30, []string{"1 900", "2 30"}, []string{age, ""}},
		"the newest, however old":     {0, 30, []string{"2 3000"}, []string{""}},
		"an old one that came late":   {0, 30, []string{"1 900", "2 5", "3 400"}, []string{"", "", ""}},
		"the next newer one counts":   {0, 30, []string{"1 900", "2 500", "3 5"}, []string{age, "", ""}},
		"a clock that ran ahead":      {0, 30, []string{"1 900", "2 -5"}, []string{"", ""}},
		"both, and the first is told": {1, 30, []string{"1 900", "2 40"}, []string{count, ""}},
		"either":                      {2, 30, []string{"1 900", "2 90", "3 40", "4 1"}, []string{count, count, "", ""}},

		"promoted":                {1, 1, []string{"1 900 p", "2 800", "3 700"}, []string{"", count, ""}},
		"promoted ones count":     {2, 0, []string{"1 9", "2 9 p", "3 9"}, []string{count, "", ""}},
		"promoted newest":         {1, 1, []string{"1 900", "2 800 p"}, []string{count, ""}},
		"equal versions are one":  {1, 0, []string{"1.0 9", "1.0-0 9", "0.9 9"}, []string{"", "", count}},
		"equal, published first":  {0, 30, []string{"1.0 9", "1.0-0 40", "0.9 50"}, []string{"", "", age}},
		"negative rules are none": {-1, -1, []string{"1 900", "2 800"}, []string{"", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			rules := retention.Rules{Keep: test.keep, After: time.Duration(test.days) * day}
			var got []string
			for _, r := range rules.Plan(published(t, test.versions...), now) {
				got = append(got, string(r))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("plan %q, want %q", got, test.want)
			}
		})
	}
}

// world draws rules and versions that are close to each other.
func world(rt *rapid.T) (retention.Rules, []retention.Version) {
	rules := retention.Rules{Keep: rapid.IntRange(0, 4).Draw(rt, "keep"), After: time.Duration(rapid.IntRange(0, 5).Draw(rt, "days")) * day}
	text := rapid.SampledFrom([]string{
		"1", "1-0", "1-1", "1~rc1", "1.0", "1.9", "1.10", "2", "2+b1", "0:2", "1:0", "1:0-0", "1:0.1~", "3~~", "3~", "3",
	})
	versions := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) retention.Version {
		return retention.Version{
			Version:   version(rt, text.Draw(rt, "version")),
			Published: now.Add(-time.Duration(rapid.IntRange(-24, 24*7).Draw(rt, "hours")) * time.Hour),
			Promoted:  rapid.IntRange(0, 3).Draw(rt, "promoted") == 0,
		}
	}), 0, 10).Draw(rt, "versions")
	return rules, versions
}

// left returns the versions that a plan leaves.
func left(versions []retention.Version, plan []retention.Reason) []retention.Version {
	var list []retention.Version
	for i, v := range versions {
		if plan[i] == retention.Stays {
			list = append(list, v)
		}
	}
	return list
}

func TestNeverTheNewestNorPromoted(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rules, versions := world(rt)
		plan := rules.Plan(versions, now)
		for i, v := range versions {
			newest := !slices.ContainsFunc(versions, func(o retention.Version) bool { return o.Version.Compare(v.Version) > 0 })
			if plan[i] != retention.Stays && (newest || v.Promoted) {
				rt.Fatalf("%s leaves (%s): newest %v, promoted %v", v.Version, plan[i], newest, v.Promoted)
			}
		}
		if len(versions) > 0 && len(left(versions, plan)) == 0 {
			rt.Fatal("nothing is left")
		}
	})
}

// What is left after a plan, a second one for the same moment leaves as it is.
func TestIdempotent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rules, versions := world(rt)
		rest := left(versions, rules.Plan(versions, now))
		for i, reason := range rules.Plan(rest, now) {
			if reason != retention.Stays {
				rt.Fatalf("%s leaves in a second run: %s", rest[i].Version, reason)
			}
		}
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rules, versions := world(rt)
		plan := rules.Plan(versions, now)
		places := make([]int, len(versions))
		for i := range places {
			places[i] = i
		}
		places = rapid.Permutation(places).Draw(rt, "order")
		shuffled := make([]retention.Version, len(versions))
		for to, from := range places {
			shuffled[to] = versions[from]
		}
		for to, reason := range rules.Plan(shuffled, now) {
			if want := plan[places[to]]; reason != want {
				rt.Fatalf("%s: %q in one order, %q in another", shuffled[to].Version, want, reason)
			}
		}
	})
}

// Milder rules let the same stay and more; so does an earlier moment.
func TestMonotone(t *testing.T) {
	milder := func(n int) int {
		if n == 0 {
			return 0 // the mildest
		}
		return n + 1
	}
	rapid.Check(t, func(rt *rapid.T) {
		rules, versions := world(rt)
		other, at := rules, now
		switch rapid.IntRange(0, 4).Draw(rt, "what") {
		case 0:
			other.Keep = milder(rules.Keep)
		case 1:
			other.Keep = 0
		case 2:
			other.After = time.Duration(milder(int(rules.After/day))) * day
		case 3:
			other.After = 0
		default:
			at = now.Add(-time.Duration(rapid.IntRange(0, 200).Draw(rt, "hours")) * time.Hour)
		}
		strict := rules.Plan(versions, now)
		for i, reason := range other.Plan(versions, at) {
			if reason != retention.Stays && strict[i] == retention.Stays {
				rt.Fatalf("%s leaves by %+v at %v and stays by %+v at %v", versions[i].Version, other, at, rules, now)
			}
		}
	})
}

// The newest by the plan is the newest by dpkg, of versions that are hard to
// compare.
func TestNewestLikeDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("there is no dpkg")
	}
	texts := []string{
		"1.0", "1.0-1", "1.0-1~bpo12+1", "1.0-1+b1", "1.0-1ubuntu1", "1.0-10", "1.0-9", "1.0~rc1-1", "1.0+dfsg-1", "1:0.1-1",
		"0:2.0-1", "1.0~~-1", "1.0a-1", "1.0.1-1", "1.00-1", "2.0~beta-1", "1.0-1.1", "1.0-1+deb12u1", "1.0-1+deb12u10", "9.9",
	}
	compared := 0
	for i, a := range texts {
		for _, b := range texts[i+1:] {
			plan := retention.Rules{Keep: 1}.Plan([]retention.Version{{Version: version(t, a)}, {Version: version(t, b)}}, now)
			op := "eq"
			switch {
			case plan[0] == retention.ByCount:
				op = "lt"
			case plan[1] == retention.ByCount:
				op = "gt"
			}
			compared++
			if err := exec.Command(dpkg, "--compare-versions", a, op, b).Run(); err != nil {
				t.Errorf("the plan says %s %s %s, dpkg does not: %v", a, op, b, err)
			}
		}
	}
	if compared < 150 {
		t.Errorf("only %d pairs", compared)
	}
}
