package resolve

import (
	"fmt"
	"testing"

	"github.com/repod-io/repod/deb"
)

func TestConflicts(t *testing.T) {
	for _, tt := range []struct {
		name, target, offers, want string
	}{
		{"an alternative that conflicts loses", "", "app 1; Depends: x, a | b \n x 1 \n a 1; Conflicts: x \n b 1",
			"import app 1, import x 1, import b 1"},
		{"in the other direction", "", "app 1; Depends: x, a | b \n x 1; Breaks: a (<< 2) \n a 1 \n b 1",
			"import app 1, import x 1, import b 1"},
		{"a version that is not meant does not", "", "app 1; Depends: x, a | b \n x 1; Breaks: a (<< 2) \n a 2 \n b 1",
			"import app 1, import x 1, import a 2"},
		{"the newest version stands for its name", "", "app 1; Depends: x, a | b \n x 1; Breaks: a (>= 2) \n a 2 \n a 1 \n b 1",
			"import app 1, import x 1, import b 1"},
		{"and no older one is taken", "", "app 1; Depends: x, a \n x 1; Breaks: a (>= 2) \n a 2 \n a 1",
			"import app 1, import x 1, import a 2, ! x 1 breaks a 2: a (>= 2)"},
		{"also if it provides its name", "", "app 1; Depends: x, a (>= 2) | b \n x 1; Breaks: a (>= 2) \n a 2 \n a 1; Provides: a (= 3) \n b 1",
			"import app 1, import x 1, import b 1"},
		{"and if nothing else is there", "", "app 1; Depends: x, a (>= 2) \n x 1; Conflicts: a (= 2) \n a 2 \n a 1; Provides: a (= 3)",
			"import app 1, import x 1, import a 2, ! x 1 conflicts with a 2: a (= 2)"},
		{"a provider that conflicts loses", "", "app 1; Depends: x, m \n x 1 \n a 1; Provides: m; Conflicts: x \n b 1; Provides: m",
			"import app 1, import x 1, import b 1 as m"},
		{"by what is provided", "", "app 1; Depends: x, a | b \n x 1; Provides: m \n a 1; Conflicts: m; Provides: m \n b 1",
			"import app 1, import x 1, import b 1"},
		{"by what is provided, the other way", "", "app 1; Depends: x, a | b \n x 1; Conflicts: m; Provides: m \n a 1; Provides: m \n b 1",
			"import app 1, import x 1, import b 1"},
		{"an unversioned provision is no version", "", "app 1; Depends: x, a | b \n x 1; Conflicts: m (<< 2) \n a 1; Provides: m \n b 1",
			"import app 1, import x 1, import a 1"},
		{"with itself a package does not", "", "app 1; Depends: a \n a 1; Provides: m; Conflicts: m, a, app (<< 1)", "import app 1, import a 1"},
		{"what must be is told of", "", "app 1; Depends: a, b \n a 1; Conflicts: b \n b 1; Breaks: a",
			"import app 1, import a 1, import b 1, ! a 1 conflicts with b 1: b, ! b 1 breaks a 1: a"},
		{"also with what is published", "b 1; Conflicts: app", "app 1; Depends: b", "import app 1, present b 1, ! b 1 conflicts with app 1: app"},
		{"what is published and not needed does not matter", "b 1; Conflicts: app", "app 1", "import app 1"},
		{"a published alternative without a conflict wins", "a 1; Conflicts: app \n b 1", "app 1; Depends: a | b", "import app 1, present b 1"},
		{"a published older version, too", "a 1 \n a 2", "app 1; Depends: a; Breaks: a (>= 2)", "import app 1, present a 1"},
		{"a published one with a conflict wins over an offer", "a 1; Conflicts: app", "app 1; Depends: a | b \n b 1",
			"import app 1, present a 1, ! a 1 conflicts with app 1: app"},
		{"all of them conflict", "", "app 1; Conflicts: m; Depends: m \n a 1; Provides: m \n b 1; Provides: m",
			"import app 1, import a 1 as m, ! app 1 conflicts with a 1: m"},
		{"a name that is provided twice is told of once", "", "app 1; Conflicts: m; Depends: a \n a 1; Provides: m, m (= 1)",
			"import app 1, import a 1, ! app 1 conflicts with a 1: m"},
		{"two architectures exclude each other", "", "app 1; Depends: a, a:i386 \n a 1 \n a 1 i386",
			"import app 1, import a 1, import a 1 i386, ! a 1 and a 1 cannot be installed together"},
		{"unless they are of one version and same", "", "app 1; Depends: a, a:i386 \n a 1 same \n a 1 i386 same",
			"import app 1, import a 1, import a 1 i386"},
		{"an architecture that is meant", "", "app 1; Depends: a:i386; Conflicts: a:i386, a:arm64 \n a 1 i386",
			"import app 1, import a 1 i386, ! app 1 conflicts with a 1: a:i386"},
	} {
		t.Run(tt.name, func(t *testing.T) { checkPlan(t, tt.target, tt.offers, tt.want) })
	}
}

func TestConflictsAreBounded(t *testing.T) {
	m := deb.Relations{{{Name: "m"}}}
	root := &Package{Name: "app", Arch: "amd64"}
	packages := []*Package{root}
	for range 100 {
		p := &Package{Name: fmt.Sprint("p", len(packages)), Arch: "all", Provides: m, Conflicts: m}
		root.Depends = append(root.Depends, deb.Alternatives{{Name: p.Name}})
		packages = append(packages, p)
	}
	plan, err := Resolve(t.Context(), app(), nil, NewIndex(packages))
	if err != nil || len(plan.Conflicts) != MaxConflicts || len(plan.Items) != 101 {
		t.Errorf("%d conflicts, %v", len(plan.Conflicts), err)
	}
}
