package resolve

import (
	"testing"
)

func TestReasons(t *testing.T) {
	for _, tt := range []struct {
		target, offers, want string // of the item after app
	}{
		{"", "app 1; Depends: a \n a 1", "the only version offered"},
		{"", "app 1; Depends: a \n a 1 1 \n a 1 2 \n a 2 \n a 3", "newest of 3 offered"},
		{"", "app 1; Depends: a (= 1.2) \n a 1.2 \n a 2", "the only one of 2 offered that satisfies = 1.2"},
		{"", "app 1; Depends: a (>= 2) \n a 1 \n a 2 \n a 3", "newest of 2 that satisfy >= 2, of 3 offered"},
		{"", "app 1; Depends: m \n exim4 1; Provides: m", "provides m; no other package does"},
		{"", "app 1; Depends: m \n exim4 1; Provides: m (= 2) \n postfix 1; Provides: m \n exim4 2; Provides: m",
			"provides m; first by name of 2 that do"},
		{"", "app 1; Depends: m; Conflicts: exim4 \n exim4 1; Provides: m \n postfix 1; Provides: m",
			"provides m; one of 2 that do; passed over because app 1 conflicts with exim4 1: exim4"},
		{"", "app 1; Depends: a | b \n b 1", "the only version offered; no source offers a"},
		{"", "app 1; Depends: a | b \n b 1 \n x 1; Provides: a",
			"the only version offered; a is no package, but a name that others provide, such as x"},
		{"", "app 1; Depends: a; Breaks: a \n a 1", "the only version offered; taken although app 1 breaks a 1: a"},
		{"", "app 1; Depends: a | b | c | d | e; Conflicts: a, b, c, d \n a 1 \n b 1 \n c 1 \n d 1 \n e 1",
			"the only version offered; passed over because app 1 conflicts with a 1: a; " +
				"passed over because app 1 conflicts with b 1: b; passed over because app 1 conflicts with c 1: c"},
		{"", "app 1; Depends: a | b | c | d | e | f \n f 1",
			"the only version offered; no source offers a; no source offers b; no source offers c; no source offers d; and so on"},
		{"", "app 1; Depends: m (>= 1) \n a 1; Provides: m (= 1), m (= 3), m", "provides m (= 3); no other package does"},
		{"a 2", "app 1; Depends: a (>= 2)", "published, satisfies >= 2"},
		{"a 2 arm64 foreign", "app 1; Depends: a", "published for arm64 (Multi-Arch: foreign)"},
		{"a 2", "app 1; Depends: a", "published"},
		{"a 2; Provides: m (= 5)", "app 1; Depends: m (>= 2)", "published, provides m (= 5)"},
		{"a 2; Breaks: app", "app 1; Depends: a", "published; taken although a 2 breaks app 1: app"},

		{"", "app 1; Depends: a (= 1.18-6)", "no source offers a (= 1.18-6)"},
		{"", "app 1; Depends: a:any", "no source offers a:any"},
		{"", "app 1; Depends: a (>= 3) \n a 2", "a 2 is offered, but >= 3 is needed"},
		{"", "app 1; Depends: a (>= 9) \n a 1 \n a 2 \n a 3 \n a 4", "a 4, 3, 2 and 1 more are offered, but >= 9 is needed"},
		{"a 1", "app 1; Depends: a (>= 3) \n a 2", "a 2 is offered, but >= 3 is needed; published: 1"},
		{"", "app 1; Depends: a \n a 2 arm64 \n a 2 i386", "a is offered for arm64, i386, not for amd64"},
		{"", "app 1; Depends: a:i386 \n a 2", "a is offered for amd64, not for i386"},
		{"", "app 1; Depends: m (>= 1) \n a 2; Provides: m", "a provides m, but >= 1 is needed"},
		{"", "app 1; Depends: a | b (= 1) | c \n b 2", "no source offers a; b 2 is offered, but = 1 is needed; no source offers c"},
		{"", "app 1; Depends: a | b | c | d | e | f",
			"no source offers a; no source offers b; no source offers c; no source offers d; nor is any of the other 2 alternatives there"},
	} {
		plan, err := resolveText(t, app(), tt.target, tt.offers)
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Items[1].Reason; got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.offers, got, tt.want)
		}
	}
}

func TestReasonsOfTheAskedFor(t *testing.T) {
	for _, tt := range []struct{ version, target, offers, want string }{
		{"", "", "app 1", "the only version offered"},
		{"", "", "app 1 \n app 2", "newest of 2 offered"},
		{"1", "", "app 1 \n app 2", "the version asked for"},
		{"1.2", "", "app 1.2-1 \n app 1.2-3 \n app 2", "newest of 2 whose upstream version is 1.2"},
		{"1", "app 1", "app 1", "the version asked for; published already"},
	} {
		plan, err := resolveText(t, Request{Name: "app", Version: tt.version, Arch: "amd64"}, tt.target, tt.offers)
		if err != nil || plan.Items[0].Reason != tt.want {
			t.Errorf("%q of %s: %q, %v", tt.version, tt.offers, plan.Items[0].Reason, err)
		}
	}
}
