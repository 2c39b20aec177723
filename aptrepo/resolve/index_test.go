package resolve

import (
	"fmt"
	"slices"
	"testing"
)

func TestBroken(t *testing.T) {
	x := NewIndex(append([]*Package{nil}, parse(t, `
		a 1; Depends: b, c (>= 2) | d
		b 1 all; Pre-Depends: m (= 2); Depends: a:any, e:native
		c 1
		p 1; Provides: m (= 2)
		e 1 arm64 same`)...))
	var got []string
	for _, b := range x.Broken("amd64") {
		got = append(got, fmt.Sprint(b.Package.Name, " ", b.Relation, " ", b.Dependency))
	}
	if want := []string{"a depends c (>= 2) | d", "b depends e:native"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Packages that are not the same have an order, whatever they differ in.
func TestOrderIsTotal(t *testing.T) {
	packages := parse(t, `
		a 2
		a 1
		a 1-0
		a 1 1
		a 1 all
		a 1 same
		a 1 50
		a 1; Pre-Depends: x
		a 1; Depends: x
		a 1; Provides: x
		a 1; Provides: x (= 1)
		a 1; Conflicts: x
		a 1; Breaks: x`)
	packages = append(packages, &Package{Name: "b", Version: version(t, "1"), Arch: "amd64"})
	for i, p := range packages {
		for j, q := range packages {
			c := compareOffers(p, q)
			if (c == 0) != (i == j) || c != -compareOffers(q, p) {
				t.Errorf("%v and %v: %d", p.Ref, q.Ref, c)
			}
		}
		if twin := *p; compareOffers(p, &twin) != 0 {
			t.Errorf("%v is not its copy", p.Ref)
		}
	}
	p := parsePackage(t, "a 1; Provides: x (= 2), x (= 1), x (= 1-0), x")
	var links []link
	for d := range p.provided {
		links = append(links, link{p, d})
	}
	for i := range links {
		for j := range links {
			if c := compareProviders(links[i], links[j]); (c < 0) != (i < j) || (c == 0) != (i == j) {
				t.Errorf("%s and %s: %d", links[i].provides, links[j].provides, c)
			}
		}
	}
}

func TestMeet(t *testing.T) {
	x := NewIndex(parse(t, `
		a 1
		a 2
		a 3 arm64 foreign
		b 1 all
		c 1; Provides: v, a (= 9)
		d 2; Provides: v (= 2)
		e 1 arm64
		e 1 amd64`))
	for relation, want := range map[string]string{
		"a":               "a 2 amd64", // native, then newest
		"a (>= 3)":        "a 3 arm64", // foreign
		"a (<< 2)":        "a 1 amd64", //
		"a (>= 9)":        "c 1 amd64", // provided
		"v | b":           "b 1 all",   // real before provided
		"x | v":           "c 1 amd64", // by name
		"v (>= 1)":        "d 2 amd64", // provided with a version
		"e":               "e 1 amd64", //
		"e:arm64":         "e 1 arm64", //
		"x":               "",          //
		"a (>= 10) | x":   "",          //
		"x (>= 1) | e, x": "e 1 amd64", // of the second nobody asks
	} {
		asking := parsePackage(t, "asking 1; Depends: "+relation)
		got := ""
		if p := x.Meet(asking.Depends[0], "amd64"); p != nil {
			got = fmt.Sprint(p.Name, " ", p.Version, " ", p.Arch)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", relation, got, want)
		}
	}
}
