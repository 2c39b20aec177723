package deb_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
)

// canonicalRelations maps what Debian Policy 7 allows to canonical spelling.
var canonicalRelations = [][2]string{
	{"a", "a"},
	{"a,b", "a, b"},
	{"libc6 (>= 2.34)", "libc6 (>= 2.34)"},
	{"libc6(>=2.34)", "libc6 (>= 2.34)"},
	{"a ( << 1:2-3 ) , b", "a (<< 1:2-3), b"},
	{"a | b (= 1) | c", "a | b (= 1) | c"},
	{"a,\n b |\n\tc", "a, b | c"},
	{"python3:any (>= 3.9~)", "python3:any (>= 3.9~)"},
	{"gcc:native", "gcc:native"},
	{"libfoo:amd64", "libfoo:amd64"},
	{"libfoo:kfreebsd-amd64", "libfoo:kfreebsd-amd64"},
	{"a (>> 1) [amd64 i386]", "a (>> 1) [amd64 i386]"},
	{"a [!amd64 !any-i386] <!nocheck>", "a [!amd64 !any-i386] <!nocheck>"},
	{"a [linux-any]<!stage1 !nocheck> <cross>", "a [linux-any] <!stage1 !nocheck> <cross>"},
	{"default-mta | mail-transport-agent", "default-mta | mail-transport-agent"},
	{"g++, libstdc++6, 0ad", "g++, libstdc++6, 0ad"},
}

// lenientRelations are what dpkg and so we read, but dpkg's Perl modules do
// not or not as the same.
var lenientRelations = [][2]string{
	{"a (< 1)", "a (<= 1)"},
	{"a (> 1)", "a (>= 1)"},
	{"a (1)", "a (= 1)"},
	{"Foo_bar", "Foo_bar"},
	{"", ""},
	{" \n ", ""},
}

func TestParseRelations(t *testing.T) {
	for _, c := range append(canonicalRelations, lenientRelations...) {
		rels, err := deb.ParseRelations(c[0])
		if err != nil {
			t.Errorf("%q: %v", c[0], err)
			continue
		}
		if got := rels.String(); got != c[1] {
			t.Errorf("%q: got %q, want %q", c[0], got, c[1])
		}
	}
}

func TestParseRelationsRefuses(t *testing.T) {
	// dpkg refuses to install packages that depend on these.
	for _, s := range []string{
		"a,", "a, ,b", ",a", "a|", "|a", "a (= 1) (= 2)", "a (==1)", "a (=> 1)", "a (=< 1)", "a (>=)", "a (>= 1",
		"a (>= 1:)", "a (= 1) b", "a b", "a:", "a :any", "_a", ".a", "a (>= v1)", "a ()", "a)", "a (>= 1 2)", "a (!= 1)",
		"a (<> 1)", "${shlibs:Depends}", "a (= ${binary:Version})", "a (>= 1))", "a:AMD", "é", "a\x00", "a;b", "a\r,b",
		// And the lists of source packages have a syntax, too.
		"a []", "a [amd64", "a [amd64 !i386]", "a [foo]", "a [linux]", "a <", "a <>", "a <!>", "a [amd64,i386]", "a <!a>b", "a [! amd64]",
	} {
		if rels, err := deb.ParseRelations(s); err == nil {
			t.Errorf("%q: accepted as %q", s, rels)
		}
	}
	for _, s := range []string{
		strings.Repeat("a,", deb.MaxRelations) + "a",
		strings.Repeat("a|", deb.MaxRelations) + "a",
		"a" + strings.Repeat("b", deb.MaxRelationsLength),
	} {
		if _, err := deb.ParseRelations(s); !errors.Is(err, deb.ErrTooLarge) {
			t.Errorf("%d bytes: got %v, want ErrTooLarge", len(s), err)
		}
	}
	if _, err := deb.ParseRelations(strings.Repeat("a,", deb.MaxRelations-1) + "a"); err != nil {
		t.Errorf("as many as allowed: %v", err)
	}
}

func TestParseBinaryRelations(t *testing.T) {
	for _, c := range []struct {
		field, value string
		ok           bool
	}{
		{"Depends", "a | b (>= 1)", true},
		{"depends", "a [amd64]", false},
		{"Depends", "a <!nocheck>", false},
		{"Conflicts", "a (<< 1)", true},
		{"Conflicts", "a | b", false},
		{"Provides", "a (= 1), b", true},
		{"PROVIDES", "a (>= 1)", false},
		{"Provides", "a | b", false},
		{"Built-Using", "gcc-12 (= 12.2.0-14)", true},
		{"Built-Using", "gcc-12", false},
		{"Enhances", "a (>= 1)", true},
	} {
		_, err := deb.ParseBinaryRelations(c.field, c.value)
		if (err == nil) != c.ok {
			t.Errorf("%s: %s: got %v", c.field, c.value, err)
		}
	}
}

func parseOne(t *testing.T, s string) deb.Dependency {
	t.Helper()
	rels, err := deb.ParseRelations(s)
	if err != nil {
		t.Fatal(err)
	}
	return rels[0][0]
}

func TestSatisfied(t *testing.T) {
	for _, c := range []struct {
		dep, version string
		want         bool
	}{
		{"a", "1", true}, {"b", "1", false},
		{"a (= 1.0)", "1.0-0", true}, {"a (= 1.0)", "1.0-1", false},
		{"a (<< 2)", "2~rc1", true}, {"a (<< 2)", "2", false},
		{"a (<= 2)", "2", true}, {"a (<= 2)", "2-1", false},
		{"a (>= 2)", "2", true}, {"a (>= 2)", "2~", false}, {"a (>= 2)", "1:0", true},
		{"a (>> 2)", "2", false}, {"a (>> 2)", "2-1", true},
		{"a:any (>= 2)", "3", true},
	} {
		if got := parseOne(t, c.dep).SatisfiedBy("a", mustVersion(t, c.version)); got != c.want {
			t.Errorf("%s by a %s: got %v", c.dep, c.version, got)
		}
	}
	for _, c := range []struct {
		dep, provides string
		want          bool
	}{
		{"mta", "mta", true}, {"mta", "mta (= 1)", true}, {"mta", "other", false},
		{"mta (>= 1)", "mta", false}, {"mta (>= 1)", "mta (= 2)", true}, {"mta (>= 3)", "mta (= 2)", false},
		{"mta (= 1)", "mta (= 1-0)", true}, {"mta (>= 1)", "mta (>= 2)", false},
	} {
		if got := parseOne(t, c.dep).SatisfiedByProvides(parseOne(t, c.provides)); got != c.want {
			t.Errorf("%s by Provides: %s: got %v", c.dep, c.provides, got)
		}
	}
}

func TestAppliesTo(t *testing.T) {
	for _, c := range []struct {
		dep, arch string
		profiles  []string
		want      bool
	}{
		{"a", "amd64", nil, true},
		{"a [amd64 i386]", "i386", nil, true}, {"a [amd64 i386]", "arm64", nil, false},
		{"a [!amd64]", "amd64", nil, false}, {"a [!amd64]", "arm64", nil, true},
		{"a [linux-any]", "armhf", nil, true}, {"a [linux-any]", "hurd-i386", nil, false},
		{"a [any-amd64]", "x32", nil, true}, {"a [any-arm]", "armhf", nil, true}, {"a [any-arm]", "arm64", nil, false},
		{"a [!linux-any]", "amd64", nil, false}, {"a [any]", "riscv64", nil, true},
		{"a <!nocheck>", "amd64", nil, true}, {"a <!nocheck>", "amd64", []string{"nocheck"}, false},
		{"a <cross> <stage1 !nodoc>", "amd64", []string{"stage1"}, true},
		{"a <cross> <stage1 !nodoc>", "amd64", []string{"stage1", "nodoc"}, false},
		{"a [amd64] <cross>", "arm64", []string{"cross"}, false},
	} {
		if got := parseOne(t, c.dep).AppliesTo(c.arch, c.profiles...); got != c.want {
			t.Errorf("%s on %s with %v: got %v", c.dep, c.arch, c.profiles, got)
		}
	}
}

// TestRelationsLikeDpkg has dpkg's own parser print what it read.
func TestRelationsLikeDpkg(t *testing.T) {
	needProgram(t, "perl")
	if err := exec.Command("perl", "-MDpkg::Deps", "-e", "1").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("libdpkg-perl is not installed")
		}
		t.Skip("libdpkg-perl is not installed")
	}
	var in bytes.Buffer
	for _, c := range canonicalRelations {
		in.WriteString(c[0] + "\x00")
	}
	cmd := exec.Command("perl", "-MDpkg::Deps", "-0", "-ne",
		`chomp; my $d = deps_parse($_, build_dep => 1, reduce_restrictions => 0); print defined $d ? $d->output() : "refused", "\0"`)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\x00")
	for i, c := range canonicalRelations {
		if lines[i] != c[1] {
			t.Errorf("%q: dpkg prints %q, we %q", c[0], lines[i], c[1])
		}
	}
}

func TestArchitecturesLikeDpkg(t *testing.T) {
	needProgram(t, "dpkg-architecture")
	out, err := exec.Command("dpkg-architecture", "-L").Output()
	if err != nil {
		t.Fatal(err)
	}
	archs := strings.Fields(string(out))
	if len(archs) < 500 {
		t.Fatalf("dpkg knows %d architectures only", len(archs))
	}
	for _, a := range archs {
		if !deb.KnownArchitecture(a) {
			t.Errorf("%s is not known", a)
		}
	}
	var in bytes.Buffer
	type question struct{ arch, wildcard string }
	var asked []question
	wildcards := []string{"any", "linux-any", "any-amd64", "any-arm", "hurd-any", "gnu-any-any", "musl-any-any", "musl-linux-any",
		"gnu-linux-arm", "any-mips64el", "kfreebsd-any", "base-any-any-any", "eabihf-gnu-linux-any", "bsd-openbsd-any", "any-any-any", "gnu-any-arm64"}
	for _, a := range []string{"amd64", "armhf", "armel", "x32", "arm64", "hurd-i386", "musl-linux-arm64", "musl-linux-armhf", "mips64el", "mipsn32el",
		"kfreebsd-amd64", "openbsd-amd64", "uclibc-linux-armel", "powerpcspe", "solaris-sparc", "darwin-arm64", "mint-m68k", "uclinux-armel"} {
		for _, w := range wildcards {
			asked = append(asked, question{a, w})
			fmt.Fprintln(&in, a, w)
		}
	}
	cmd := exec.Command("perl", "-MDpkg::Arch=debarch_is", "-ane", `print debarch_is($F[0], $F[1]) ? "yes\n" : "no\n"`)
	cmd.Stdin = &in
	out, err = cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, answer := range strings.Fields(string(out)) {
		q := asked[i]
		if got := deb.ArchitectureMatches(q.arch, q.wildcard); got != (answer == "yes") {
			t.Errorf("ArchitectureMatches(%s, %s) = %v, dpkg says %s", q.arch, q.wildcard, got, answer)
		}
	}
}

func TestKnownArchitectureRefuses(t *testing.T) {
	for _, a := range []string{"", "all", "any", "source", "linux-any", "any-amd64", "linux-amd64", "../amd64", "amd64 i386", "AMD64",
		"amd64\n", "x86_64", "linux", "mint-amd64", "-amd64", "amd64-", " amd64", "hurd-armhf", "kfreebsd-armel"} {
		if deb.KnownArchitecture(a) {
			t.Errorf("%q is known", a)
		}
	}
}

func FuzzRelations(f *testing.F) {
	for _, c := range append(canonicalRelations, lenientRelations...) {
		f.Add(c[0])
	}
	f.Add("a (= 1) [!x")
	f.Fuzz(func(t *testing.T, s string) {
		rels, err := deb.ParseRelations(s)
		if err != nil {
			return
		}
		again, err := deb.ParseRelations(rels.String())
		if err != nil {
			t.Fatalf("cannot read %q again: %v", rels, err)
		}
		if again.String() != rels.String() {
			t.Fatalf("%q became %q", rels, again)
		}
		for _, alt := range rels {
			for _, d := range alt {
				if d.Name == "" || strings.ContainsAny(d.Name, " ,|()[]<>:\n") || (d.Operator == deb.AnyVersion) != d.Version.IsZero() {
					t.Fatalf("%q has dependency %+v", s, d)
				}
			}
		}
	})
}

func ExampleParseRelations() {
	rels, err := deb.ParseRelations("libc6 (>= 2.34), default-mta | mail-transport-agent")
	if err != nil {
		fmt.Println(err)
		return
	}
	v, _ := deb.ParseVersion("2.36-9")
	for _, alternatives := range rels {
		for _, d := range alternatives {
			fmt.Printf("%s %q %v\n", d.Name, d.Constraint(), d.SatisfiedBy("libc6", v))
		}
	}
	// Output:
	// libc6 ">= 2.34" true
	// default-mta "" false
	// mail-transport-agent "" false
}
