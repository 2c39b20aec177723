package resolve

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestPlans(t *testing.T) {
	for _, tt := range []struct {
		name, target, offers, want string
	}{
		{"alone", "", "app 1", "import app 1"},
		{"pre-depends first, then breadth first", "",
			"app 1; Depends: a, b; Pre-Depends: p \n a 1; Depends: c \n b 1 \n c 1 \n p 1; Depends: q \n q 1",
			"import app 1, import p 1, import a 1, import b 1, import q 1, import c 1"},
		{"each once", "", "app 1; Depends: a, b \n a 1; Depends: c \n b 1; Depends: c, a, app \n c 1",
			"import app 1, import a 1, import b 1, import c 1"},
		{"loops end", "", "app 1; Depends: a \n a 1; Depends: b \n b 1; Depends: app, a, b",
			"import app 1, import a 1, import b 1"},
		{"newest that meets the constraint", "", "app 1; Depends: a (<< 3) \n a 1 \n a 2.10 \n a 2.9 \n a 3",
			"import app 1, import a 2.10"},
		{"a published version wins over a newer offer", "a 1", "app 1; Depends: a (>= 1) \n a 2", "import app 1, present a 1"},
		{"a published version that is too old does not", "a 1", "app 1; Depends: a (>= 2) \n a 2", "import app 1, import a 2"},
		{"the newest published version", "a 1 \n a 3 \n a 2", "app 1; Depends: a", "import app 1, present a 3"},
		{"a published alternative wins", "b 1", "app 1; Depends: a | b \n a 1 \n b 2", "import app 1, present b 1"},
		{"a published provider wins", "x 1; Provides: b", "app 1; Depends: a | b \n a 1 \n b 2", "import app 1, present x 1 as b"},
		{"what the plan counts on wins over what else is published", "a 1 \n b 1",
			"app 1; Depends: b, a | b", "import app 1, present b 1"},
		{"what the plan imports wins over an offer", "", "app 1; Depends: b, a | b \n a 1 \n b 1", "import app 1, import b 1"},
		{"but not over what is published", "a 1", "app 1; Depends: b, a | b \n b 1", "import app 1, import b 1, present a 1"},
		{"unless that conflicts", "a 1", "app 1; Depends: b, a | b \n b 1; Conflicts: a", "import app 1, import b 1"},
		{"the plan keeps a version that will do", "libfoo 1",
			"app 1; Depends: libfoo (>= 2), bar \n bar 1; Depends: libfoo \n libfoo 2",
			"import app 1, import libfoo 2, import bar 1"},
		{"first alternative", "", "app 1; Depends: a | b \n a 1 \n b 1", "import app 1, import a 1"},
		{"first alternative that can be met", "", "app 1; Depends: a (>= 2) | b \n a 1 \n b 1", "import app 1, import b 1"},
		{"real packages before providers", "", "app 1; Depends: a | b \n x 1; Provides: a \n b 1", "import app 1, import b 1"},
		{"a real package before a provider of its name", "", "app 1; Depends: m \n a 1; Provides: m \n m 1", "import app 1, import m 1"},
		{"providers by name", "", "app 1; Depends: m | n \n y 1; Provides: m \n x 1; Provides: m \n x 2; Provides: m \n a 1; Provides: n",
			"import app 1, import x 2 as m"},
		{"versioned provides", "", "app 1; Depends: api (>= 5) \n a 9; Provides: api \n b 1; Provides: api (= 4) \n c 1; Provides: api (= 6)",
			"import app 1, import c 1 as api"},
		{"dependencies of what is published", "a 1; Depends: b", "app 1; Depends: a \n b 1", "import app 1, present a 1, import b 1"},
		{"the asked-for package is published", "app 1.0-0; Depends: a", "app 1.0; Depends: a \n a 1", "present app 1.0-0, import a 1"},
		{"an older one is not it", "app 1", "app 2", "import app 2"},
		{"nor that of another architecture", "app 1 arm64", "app 1", "import app 1"},
		{"unresolved", "", "app 1; Depends: a (>= 2) | b, c \n a 1", "import app 1, unresolved a >= 2, unresolved c"},
		{"unresolved once", "", "app 1; Depends: a, x \n x 1; Depends: a, a (>= 1)", "import app 1, unresolved a, import x 1, unresolved a >= 1"},
		{"two versions of one name", "", "app 1; Depends: a (= 1), b \n b 1; Depends: a (= 2) \n a 1 \n a 2",
			"import app 1, import a 1, import b 1, import a 2, ! a 2 and a 1 cannot be installed together"},
		{"the asked-for version serves those who depend on it", "", "app 2; Depends: a \n a 1; Depends: app (>= 1)",
			"import app 2, import a 1"},

		{"candidates of one architecture", "", "app 1; Depends: a, b \n a 2 arm64 \n a 1 \n b 1 all; Depends: c \n c 2 arm64 \n c 1",
			"import app 1, import a 1, import b 1 all, import c 1"},
		{"none of another, even if foreign", "", "app 1; Depends: a \n a 1 arm64 foreign", "import app 1, unresolved a"},
		{"a published foreign one counts", "a 1 arm64 foreign", "app 1; Depends: a \n a 2", "import app 1, present a 1 arm64"},
		{"a native one is better", "a 2 arm64 foreign \n a 1", "app 1; Depends: a", "import app 1, present a 1"},
		{"so is one that is imported", "a 2 arm64 foreign", "app 1; Depends: b, a | b \n b 1", "import app 1, import b 1"},
		{"unresolved for two architectures", "", "app 1; Depends: x, a:i386 \n a 1 i386; Depends: x",
			"import app 1, unresolved x, import a 1 i386, unresolved x"},
		{"a published one of another architecture does not", "a 1 arm64 same \n b 1 arm64 allowed",
			"app 1; Depends: a, b", "import app 1, unresolved a, unresolved b"},
		{"unless it is allowed and any will do", "b 1 arm64 allowed", "app 1; Depends: b:any", "import app 1, present b 1 arm64"},
		{"native", "a 1 arm64 allowed", "app 1; Depends: a:native \n a 1", "import app 1, import a 1"},
		{"an architecture by name", "", "app 1; Depends: a:i386 \n a 2 \n a 1 i386; Depends: b \n b 1 i386 \n b 1",
			"import app 1, import a 1 i386, import b 1 i386"},
	} {
		t.Run(tt.name, func(t *testing.T) { checkPlan(t, tt.target, tt.offers, tt.want) })
	}
}

// checkPlan compares the plan for app with what it should be, as show renders it.
func checkPlan(t *testing.T, target, offers, want string) {
	t.Helper()
	plan, err := resolveText(t, app(), target, offers)
	if err != nil {
		t.Fatal(err)
	}
	if got := show(plan); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestVersionChoice(t *testing.T) {
	const offers = `
		app 1.18.0-6 ; Depends: missing
		app 1.24.0-1ubuntu1
		app 1.24.0-1ubuntu2 2
		app 1.24.0-1ubuntu2 1 1111
		app 1:1.20-1
		app 1:1.20-1.1 arm64
		app 1.10-2-3
		app 1.19 arm64`
	for _, tt := range []struct {
		version, arch, want string
		err                 error
	}{
		{"", "amd64", "1:1.20-1", nil},
		{"", "arm64", "1:1.20-1.1", nil},
		{"1.18.0-6", "amd64", "1.18.0-6", nil},
		{"0:1.18.0-06", "amd64", "1.18.0-6", nil},
		{"1.24.0", "amd64", "1.24.0-1ubuntu2", nil},
		{"1.20", "amd64", "1:1.20-1", nil},
		{"1.24.0-1", "amd64", "", ErrVersionNotFound},
		{"1:1.20", "amd64", "", ErrVersionNotFound},
		{"1.10-2", "amd64", "", ErrVersionNotFound},
		{"1.24", "amd64", "", ErrVersionNotFound},
		{"1.19", "amd64", "", ErrVersionNotFound},
		{"1.19", "arm64", "1.19", nil},
		{"no version", "amd64", "", ErrVersionNotFound},
		{"", "i386", "", ErrPackageNotFound},
	} {
		req := Request{Name: "app", Version: tt.version, Arch: tt.arch}
		plan, err := resolveText(t, req, "", offers)
		if !errors.Is(err, tt.err) {
			t.Errorf("%q for %s: error %v, want %v", tt.version, tt.arch, err, tt.err)
		}
		if err != nil {
			continue
		}
		p := plan.Items[0].Package
		if p.Version.String() != tt.want || len(plan.Items) != 1 {
			t.Errorf("%q for %s: got %s, want %s alone", tt.version, tt.arch, show(plan), tt.want)
		}
		if tt.want == "1.24.0-1ubuntu2" && p.Preference != 1 {
			t.Errorf("%q: preference %d", tt.version, p.Preference)
		}
	}
	if _, err := resolveText(t, Request{Name: "mta", Arch: "amd64"}, "", "a 1; Provides: mta"); !errors.Is(err, ErrPackageNotFound) ||
		!strings.Contains(err.Error(), "such as a") {
		t.Errorf("a virtual package: %v", err)
	}
}

func TestPreferenceOfDependencies(t *testing.T) {
	plan, err := resolveText(t, app(), "", "app 1; Depends: a \n a 1 3 10 \n a 1 1 20 \n a 1 2 30")
	if err != nil || plan.Items[1].Package.Size != 20 {
		t.Errorf("got %v, %v", full(plan), err)
	}
}

func TestItems(t *testing.T) {
	plan, err := resolveText(t, app(), "libc6 2.36 \n libold 1", `
		app 1 100; Pre-Depends: libc6 (>= 2.28); Depends: exim4 | mta, libold (>= 2) | none:any, gone (= 3)
		bsmtp 2 30; Provides: mta; Depends: gone (= 3), libc6`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Item{
		{Name: "app", Status: Import},
		{Name: "libc6", Status: Present, RequiredBy: "app", Relation: PreDepends, Dependency: "libc6 (>= 2.28)", Constraint: ">= 2.28"},
		{Name: "bsmtp", Status: Import, RequiredBy: "app", Relation: Depends, Dependency: "exim4 | mta", Provides: "mta"},
		{Name: "libold", Status: Unresolved, RequiredBy: "app", Relation: Depends, Dependency: "libold (>= 2) | none:any", Constraint: ">= 2"},
		{Name: "gone", Status: Unresolved, RequiredBy: "app", Relation: Depends, Dependency: "gone (= 3)", Constraint: "= 3"},
	}
	for i, item := range plan.Items {
		if (item.Package == nil) != (item.Status == Unresolved) || item.Reason == "" {
			t.Errorf("package %v, reason %q of %s", item.Package, item.Reason, item.Name)
		}
		item.Package, item.Reason = nil, ""
		if i >= len(want) || item != want[i] {
			t.Errorf("item %d: %+v", i, item)
		}
	}
	if plan.Present != 1 || plan.Import != 2 || plan.Unresolved != 2 || plan.DownloadBytes != 130 || len(plan.Items) != len(want) {
		t.Errorf("plan %s", full(plan))
	}
	if plan.Items[1].Package.Ref != "libc6 2.36" {
		t.Errorf("the present package is %+v", plan.Items[1].Package)
	}
}

// A recorder is a Universe that remembers what it was asked for.
type recorder struct {
	Universe
	calls []string
	fail  error
}

func (r *recorder) Packages(ctx context.Context, names []string) ([]*Package, error) {
	r.calls = append(r.calls, strings.Join(names, " "))
	if r.fail != nil {
		return nil, r.fail
	}
	found, err := r.Universe.Packages(ctx, names)
	// What was not asked for, things twice and nil are harmless.
	return append(append(found, found...), nil, &Package{Name: "unasked"}), err
}

func TestUniversesAreAskedOncePerLevel(t *testing.T) {
	target := &recorder{Universe: NewIndex(parse(t, "b 1 \n d 1"))}
	offers := &recorder{Universe: NewIndex(parse(t, `
		app 1; Depends: a, b | x, unasked
		a 1; Depends: c, d, a, app | y
		c 1; Depends: a, b, c, d, x`))}
	plan, err := Resolve(t.Context(), app(), target, offers)
	if err != nil {
		t.Fatal(err)
	}
	const want = "import app 1, import a 1, present b 1, unresolved unasked, import c 1, present d 1, unresolved x"
	if got := show(plan); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if want := []string{"app", "a b unasked x", "c d y"}; !slices.Equal(target.calls, want) {
		t.Errorf("target: %q, want %q", target.calls, want)
	}
	if want := []string{"app", "a unasked", "c", "x"}; !slices.Equal(offers.calls, want) {
		t.Errorf("offers: %q, want %q", offers.calls, want)
	}
}

func TestErrorsOfUniverses(t *testing.T) {
	broken := errors.New("broken")
	good := NewIndex(parse(t, "app 1; Depends: a"))
	for _, u := range [][2]Universe{
		{&recorder{fail: broken}, good}, {good, &recorder{fail: broken}}, {nil, &recorder{fail: broken}},
	} {
		if plan, err := Resolve(t.Context(), app(), u[0], u[1]); !errors.Is(err, broken) || plan != nil {
			t.Errorf("got %v, %v", plan, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Resolve(ctx, app(), nil, good); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if plan, err := Resolve(t.Context(), app(), nil, good); err != nil || show(plan) != "import app 1, unresolved a" {
		t.Errorf("without a target: %v, %v", plan, err)
	}
	if _, err := Resolve(t.Context(), app(), good, nil); !errors.Is(err, ErrPackageNotFound) {
		t.Errorf("without offers: %v", err)
	}
}
