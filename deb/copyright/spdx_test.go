package copyright_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/repod-io/repod/deb/copyright"
)

// A grammar checks expressions against Annex D of SPDX 2.3, written down here
// once more and without regard to how they are made.
type grammar struct {
	tokens []string
	refs   []string // seen
	fault  string
}

var idString = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)

var lists = sync.OnceValues(func() (licenses, exceptions []string) {
	read := func(name string) []string {
		text, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		return strings.Fields(string(text))
	}
	return read("spdx/licenses.txt"), read("spdx/exceptions.txt")
})

// checkExpression returns what is wrong, and the references.
func checkExpression(s string) (fault string, refs []string) {
	spaced := strings.ReplaceAll(strings.ReplaceAll(s, "(", "( "), ")", " )")
	g := grammar{tokens: strings.Split(spaced, " ")}
	g.expression()
	if g.fault == "" && len(g.tokens) > 0 {
		g.fault = "there is more: " + strings.Join(g.tokens, " ")
	}
	return g.fault, g.refs
}

func (g *grammar) next() string {
	if len(g.tokens) == 0 {
		return ""
	}
	return g.tokens[0]
}

func (g *grammar) take() (token string) {
	if token = g.next(); token == "" {
		g.fault = "it ends early, or has two blanks"
		return ""
	}
	g.tokens = g.tokens[1:]
	return token
}

// expression reads terms joined by one operator. With two it would be legal, but
// what this package makes has parentheses then.
func (g *grammar) expression() {
	op := ""
	for g.term(); g.fault == "" && (g.next() == "AND" || g.next() == "OR"); g.term() {
		this := g.take()
		if op != "" && op != this {
			g.fault = "AND beside OR"
		}
		op = this
	}
}

func (g *grammar) term() {
	if g.next() == "(" {
		g.take()
		g.expression()
		if g.fault == "" && g.take() != ")" {
			g.fault = "a parenthesis is open"
		}
		return
	}
	licenses, exceptions := lists()
	id := g.take()
	if ref, ok := strings.CutPrefix(id, "LicenseRef-"); ok {
		g.refs = append(g.refs, id)
		if !idString.MatchString(ref) {
			g.fault = "no reference: " + id
		}
	} else if bare, plus := strings.CutSuffix(id, "+"); !slices.Contains(licenses, bare) || plus && strings.Contains(bare, "GPL") {
		g.fault = "no licence: " + id
	}
	if g.fault == "" && g.next() == "WITH" {
		g.take()
		if exception := g.take(); !slices.Contains(exceptions, exception) {
			g.fault = "no exception: " + exception
		}
	}
}

// hashed matches the hash at the end of a reference.
var hashed = regexp.MustCompile(`-[a-z2-7]{26}$`)

// checkFile holds what Parse returns against what it promises.
func checkFile(t interface {
	Helper()
	Errorf(string, ...any)
}, f copyright.File) {
	t.Helper()
	var refs []string
	if f.Expression != "" {
		var fault string
		if fault, refs = checkExpression(f.Expression); fault != "" {
			t.Errorf("%s: %s", f.Expression, fault)
		}
	}
	slices.Sort(refs)
	var ids []string
	for _, r := range f.Refs {
		ids = append(ids, r.ID)
		if len(r.Name) > 256 || !utf8.ValidString(r.Name) || strings.ContainsFunc(r.Name, unicode.IsControl) {
			t.Errorf("the name %q", r.Name)
		}
		if len(r.ID) > 128 || !strings.HasPrefix(r.ID, "LicenseRef-Debian-") {
			t.Errorf("the reference %q", r.ID)
		}
	}
	if refs = slices.Compact(refs); !slices.Equal(refs, ids) {
		t.Errorf("%s: references %q", f.Expression, ids)
	}
	if !f.MachineReadable && (f.Expression != "" || f.Licenses != nil) {
		t.Errorf("free text is under %q %v", f.Expression, f.Licenses)
	}
	for _, l := range f.Licenses {
		if fault, _ := checkExpression(l.Expression); fault != "" {
			t.Errorf("%q is %s: %s", l.Name, l.Expression, fault)
		}
	}
}

func TestCheckerChecks(t *testing.T) {
	for _, s := range []string{
		"", "FOO", "ISC AND", "AND ISC", "ISC ISC", "ISC  AND X11", "(ISC", "ISC)", "ISC and X11", "GPL-2.0", "GPL-2.0-only+", "ISC WITH", "ISC WITH X11",
		"LicenseRef-a_b", "LicenseRef-", "ISC OR X11 AND Zlib", "()", "ISC WITH Font-exception-2.0 WITH Font-exception-2.0", "isc",
	} {
		if fault, _ := checkExpression(s); fault == "" {
			t.Errorf("%q passes", s)
		}
	}
	for _, s := range []string{"ISC", "(ISC OR X11) AND Apache-2.0+", "GPL-2.0-only WITH Font-exception-2.0", "LicenseRef-a.b-1"} {
		if fault, _ := checkExpression(s); fault != "" {
			t.Errorf("%q: %s", s, fault)
		}
	}
}

// Each identifier of the lists stands for itself, unless it is vague.
func TestIdentifiers(t *testing.T) {
	licenses, exceptions := lists()
	if len(licenses) < 690 || len(exceptions) < 80 {
		t.Fatalf("%d licences, %d exceptions", len(licenses), len(exceptions))
	}
	vague := []string{"Caldera", "Intel", "MIT", "Nokia", "SL", "X11", "Xerox", "any-OSI"}
	for _, id := range licenses {
		for _, name := range []string{id, strings.ToLower(id), strings.ToUpper(id)} {
			if got := expression(t, name); (got == id) == slices.Contains(vague, id) {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
	for _, id := range exceptions {
		want := "GPL-2.0-only WITH " + id
		if got := expression(t, "GPL-2 with "+id); got != want {
			t.Errorf("%s: %s", want, got)
		}
	}
}

var (
	words = []string{"GPL-2+", "Expat", "MIT", "ISC", "BSD", "Apache-2.0", "Perl", "foo", "Foo", "f+o", "f o", "public-domain", "Zlib", "GPL-2",
		"and", "or", "and/or", ",", "(", ")", "with", "Font", "exception", "later", "or later", "any", "+", "", "\u00e9", "\xff", "\x00", "AND", "WITH"}
	licenseField = rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 12).Draw(t, "words"), rapid.SampledFrom([]string{" ", " ", "-", "\t", ""}).Draw(t, "separator"))
	})
)

func fileOf(licenses []string) copyright.File {
	var b strings.Builder
	b.WriteString(format)
	for _, l := range licenses {
		b.WriteString("\nFiles: x\nLicense: " + l + "\n")
	}
	return copyright.Parse([]byte(b.String()))
}

// TestExpressionProperties: whatever the fields say, the expression is valid,
// and neither the order of paragraphs nor repetition changes it.
func TestExpressionProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.SliceOfN(licenseField, 1, 6).Draw(t, "fields")
		f := fileOf(fields)
		checkFile(t, f)
		if f.Expression == "" {
			t.Errorf("%q say nothing", fields)
		}
		shuffled := rapid.Permutation(append(fields, fields[0])).Draw(t, "shuffled")
		if again := fileOf(shuffled); again.Expression != f.Expression || !slices.Equal(again.Refs, f.Refs) {
			t.Errorf("%q: %s %v\nshuffled %s %v", fields, f.Expression, f.Refs, again.Expression, again.Refs)
		}
		// Each term stands for a paragraph: without the others it is the same.
		for i, field := range fields {
			one := fileOf([]string{field}).Expression
			if !strings.Contains(f.Expression, one) && !strings.Contains(one, " AND ") {
				t.Errorf("%d: %q is %s alone, and not in %s", i, field, one, f.Expression)
			}
		}
	})
}

// TestRefsDiffer: names that differ in more than case have different references.
func TestRefsDiffer(t *testing.T) {
	ref := func(name string) string {
		f := fileOf([]string{name})
		if len(f.Refs) != 1 || f.Expression != f.Refs[0].ID {
			return "" // not one unknown name
		}
		return f.Refs[0].ID
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-c.+ ~-]{1,5}|x{60,70}[a-b+]{0,2}`)
		a, b := strings.Join(strings.Fields(name.Draw(t, "a")), " "), strings.Join(strings.Fields(name.Draw(t, "b")), " ")
		if ra, rb := ref(a), ref(b); ra == rb && a != b && ra != "" {
			t.Errorf("%q and %q are %s", a, b, ra)
		}
		// Nor can a name be made that looks like the reference of another.
		if id, ok := strings.CutPrefix(ref(a), "LicenseRef-Debian-"); ok && id != a && ref(id) == ref(a) {
			t.Errorf("%q and %q are %s", a, id, ref(a))
		}
	})
	if a, b := ref("Foo-Bar"), ref("fOO-bAR"); a != b || a != "LicenseRef-Debian-foo-bar" {
		t.Errorf("case makes a difference: %s, %s", a, b)
	}
	long := strings.Repeat("very-", 100)
	f := fileOf([]string{long + "long"})
	if r := f.Refs[0]; !strings.HasSuffix(r.Name, "...") || len(r.Name) != 256 || r.ID == ref(long+"longer") {
		t.Errorf("a long name: %v", r)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(format))
	f.Add(under("GPL-2+ or Expat, and foo (bar)", "License: Expat"+expatText))
	f.Add(under("MIT", "License: MIT"+expatText))
	f.Add(under("GPL-2+ with Autoconf exception and/or X", "License: GPL-2+ with Autoconf exception"+autoconfText))
	f.Add([]byte("\ufeff" + format + "License:\n x\n\n\n#\nfiles: *\nCopyright:\nLicense:\n\xff\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		checkFile(t, copyright.Parse(text))
		checkFile(t, copyright.Parse(append([]byte(format+"\nFiles: *\nLicense: "), text...)))
	})
}
