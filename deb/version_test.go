package deb_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
)

// needProgram skips a test that compares us with an outside program which is
// not there. In CI, where it has to be, the test fails.
func needProgram(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
}

func TestParseVersion(t *testing.T) {
	for _, c := range []struct {
		in                 string
		epoch              uint32
		upstream, revision string
	}{
		{"1.0", 0, "1.0", ""},
		{"0", 0, "0", ""},
		{"1:2.3-4", 1, "2.3", "4"},
		{"00:1", 0, "1", ""},
		{"2147483647:1-1", 2147483647, "1", "1"},
		{"1:2:3-4-5", 1, "2:3-4", "5"},
		{"1.0-1~bpo12+1", 0, "1.0", "1~bpo12+1"},
		{"1.18.0-6ubuntu14.4", 0, "1.18.0", "6ubuntu14.4"},
		{"1.", 0, "1.", ""},
		{"1.0+dfsg~rc1", 0, "1.0+dfsg~rc1", ""},
	} {
		v, err := deb.ParseVersion(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if v.Epoch() != c.epoch || v.Upstream() != c.upstream || v.Revision() != c.revision || v.String() != c.in {
			t.Errorf("%q: got %d %q %q %q", c.in, v.Epoch(), v.Upstream(), v.Revision(), v)
		}
	}
}

// malformedVersions are refused by dpkg --install as well, but for those in
// stricterVersions.
var malformedVersions = []string{
	"", "abc", "v1.2", "1-", "1.0-", ":1", "1:", "99999999999:1", "2147483648:1", "~1", "-1:1", "-1",
	"1 2", "1.0/x", "1.0-a_b", "1_2", "1.0-1:2", "1.0\n", "a:1", "1.0-é", "..", "1:-1", "1\x00",
}

var stricterVersions = []string{"+1:1", " 1", "1 ", "1" + strings.Repeat("0", 255)}

func TestParseVersionRefuses(t *testing.T) {
	for _, s := range append(malformedVersions, stricterVersions...) {
		if v, err := deb.ParseVersion(s); err == nil {
			t.Errorf("%q: accepted as %v", s, v)
		}
	}
}

// compared holds pairs of versions of which the first is earlier, or equal
// where the operator says so.
var compared = []struct{ a, op, b string }{
	{"1.0", "<", "1.1"}, {"1.9", "<", "1.10"}, {"1.0", "<", "1.0-1"}, {"1.0~rc1", "<", "1.0"},
	{"1.0~~", "<", "1.0~"}, {"1.0~~a", "<", "1.0~"}, {"1.0~", "<", "1.0"}, {"1.0", "<", "1.0a"},
	{"1.0a", "<", "1.0+"}, {"1.0-1", "<", "1.0+"}, {"2.0", "<", "1:1.0"},
	{"1.0Z", "<", "1.0a"}, {"1.0a", "<", "1.0aa"}, {"1a1", "<", "1a10"}, {"1.0-1", "<", "1.0-1.1"},
	{"1.0-1~bpo1", "<", "1.0-1"}, {"1.2.3-1", "<", "1.2.3-1ubuntu1"}, {"1.0", "<", "1.0.0"},
	{"9999999999999999999999", "<", "10000000000000000000000"}, {"1.0-0~", "<", "1.0"},
	{"1.0", "=", "1.0-0"}, {"1.0", "=", "0:1.0"}, {"1.0", "=", "1.00"}, {"01", "=", "1"},
	{"1.", "=", "1.0"}, {"1a", "=", "1a0"}, {"1.0-00", "=", "1.0"}, {"000:1", "=", "1"},
	{"1~", "=", "1~0"}, {"1.0-a", "=", "1.0-a0"}, {"0.0", "=", "0."}, {"1-2-0", "=", "1-2-00"},
	{"1.0-2", "<", "1.0-2-0"}, {"1-1", "<", "1.1"},
}

func TestCompare(t *testing.T) {
	for _, c := range compared {
		want := 0
		if c.op == "<" {
			want = -1
		}
		if got := deb.CompareVersions(c.a, c.b); got != want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", c.a, c.b, got, want)
		}
		if got := deb.CompareVersions(c.b, c.a); got != -want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", c.b, c.a, got, -want)
		}
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"1.0": "1.0", "0:1.0": "1.0", "1.0-0": "1.0", "1.00": "1.0", "01.0": "1.0", "1.0-00": "1.0",
		"1.": "1.0", "1:1.0": "1:1.0", "0:1:2": "0:1:2", "1-2-0": "1-2-0", "1-2-00": "1-2-0", "1.0-1": "1.0-1",
		"1a0": "1a", "1.0-0~": "1.0-0~0", "0": "0", "00": "0", "007:1": "7:1", "1.010-0ubuntu01": "1.10-0ubuntu1",
		"1~": "1~0", "1-0-0": "1-0-0",
	} {
		v := mustVersion(t, in)
		if got := v.Canonical(); got != want {
			t.Errorf("Canonical(%q) = %q, want %q", in, got, want)
		}
	}
	if (deb.Version{}).Canonical() != "" || len((deb.Version{}).SortKey()) != 0 {
		t.Error("the zero Version has a spelling")
	}
}

func mustVersion(t testing.TB, s string) deb.Version {
	t.Helper()
	v, err := deb.ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// checkPair verifies what must hold between any two versions.
func checkPair(t testing.TB, a, b deb.Version) {
	t.Helper()
	c := a.Compare(b)
	if got := deb.CompareVersions(a.String(), b.String()); got != c {
		t.Errorf("CompareVersions(%q, %q) = %d, Compare = %d", a, b, got, c)
	}
	if got := b.Compare(a); got != -c {
		t.Errorf("Compare(%q, %q) = %d, reversed %d", a, b, c, got)
	}
	if got := bytes.Compare(a.SortKey(), b.SortKey()); got != c {
		t.Errorf("Compare(%q, %q) = %d, by sort key %d", a, b, c, got)
	}
	if same := a.Canonical() == b.Canonical(); same != (c == 0) {
		t.Errorf("Compare(%q, %q) = %d, canonical %q and %q", a, b, c, a.Canonical(), b.Canonical())
	}
	again := mustVersion(t, a.Canonical())
	if again.Compare(a) != 0 || again.Canonical() != a.Canonical() {
		t.Errorf("%q: canonical %q is another version, or not canonical", a, again)
	}
	if n := len(a.SortKey()); n > 2*deb.MaxVersionLength+16 {
		t.Errorf("%q: the sort key has %d bytes", a, n)
	}
}

// randomVersion makes versions that differ in what matters to the order:
// zeros, tildes, empty parts.
func randomVersion(rnd *rand.Rand) string {
	const chars = "0001129aZz.+~-:~.0"
	b := []byte{"0123"[rnd.IntN(4)]}
	for range rnd.IntN(7) {
		b = append(b, chars[rnd.IntN(len(chars))])
	}
	return string(b)
}

func TestVersionProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var versions []deb.Version
	for len(versions) < 400 {
		if v, err := deb.ParseVersion(randomVersion(rnd)); err == nil {
			versions = append(versions, v)
		}
	}
	for _, a := range versions {
		for _, b := range versions {
			checkPair(t, a, b)
		}
		if t.Failed() {
			return
		}
	}
}

// TestCompareLikeDpkg has dpkg itself judge the table above and random pairs.
func TestCompareLikeDpkg(t *testing.T) {
	needProgram(t, "dpkg")
	rnd := rand.New(rand.NewPCG(3, 4))
	var pairs [][2]string
	for _, c := range compared {
		pairs = append(pairs, [2]string{c.a, c.b})
	}
	for len(pairs) < 250 {
		a, b := randomVersion(rnd), randomVersion(rnd)
		_, errA := deb.ParseVersion(a)
		_, errB := deb.ParseVersion(b)
		if errA == nil && errB == nil {
			pairs = append(pairs, [2]string{a, b})
		}
	}
	var in bytes.Buffer
	for _, p := range pairs {
		fmt.Fprintln(&in, p[0], p[1])
	}
	cmd := exec.Command("sh", "-c", `while read a b; do
		if dpkg --compare-versions "$a" lt "$b"; then echo -1
		elif dpkg --compare-versions "$a" eq "$b"; then echo 0
		else echo 1; fi; done`)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	results := bufio.NewScanner(bytes.NewReader(out))
	for _, p := range pairs {
		if !results.Scan() {
			t.Fatal("dpkg said too little")
		}
		if got := fmt.Sprint(deb.CompareVersions(p[0], p[1])); got != results.Text() {
			t.Errorf("CompareVersions(%q, %q) = %s, dpkg says %s", p[0], p[1], got, results.Text())
		}
	}
}

func TestCompareDoesNotAllocate(t *testing.T) {
	a, b := "1:2.34.5-6ubuntu1~bpo12+1", "1:2.34.5-6ubuntu1~bpo12+2"
	va, vb := mustVersion(t, a), mustVersion(t, b)
	if n := testing.AllocsPerRun(100, func() { deb.CompareVersions(a, b); va.Compare(vb) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { deb.ParseVersion(a) }); n != 0 {
		t.Errorf("parsing: %v allocations", n)
	}
}

func FuzzVersion(f *testing.F) {
	for _, c := range compared {
		f.Add(c.a, c.b)
	}
	f.Add("1:2:3-4-5", "0:1:0-0-0")
	f.Fuzz(func(t *testing.T, a, b string) {
		if deb.CompareVersions(a, b) != -deb.CompareVersions(b, a) || deb.CompareVersions(a, a) != 0 {
			t.Errorf("the order of %q and %q depends on the side", a, b)
		}
		va, errA := deb.ParseVersion(a)
		vb, errB := deb.ParseVersion(b)
		if errA != nil || errB != nil {
			return
		}
		checkPair(t, va, vb)
		if strings.ContainsAny(va.Canonical(), "/_ \x00\n%") {
			t.Errorf("%q cannot be part of a file name", a)
		}
	})
}

func ExampleVersion_Compare() {
	for _, s := range []string{"1.0~rc1", "1.0-0", "1:0.9"} {
		v, err := deb.ParseVersion(s)
		if err != nil {
			fmt.Println(err)
			return
		}
		one, _ := deb.ParseVersion("1.0")
		fmt.Println(v, v.Compare(one), v.Canonical())
	}
	// Output:
	// 1.0~rc1 -1 1.0~rc1
	// 1.0-0 0 1.0
	// 1:0.9 1 1:0.9
}

func benchmarkPairs() [][2]string {
	pairs := [][2]string{
		{"1.18.0-6ubuntu14.4", "1.18.0-6ubuntu14.3"}, {"2.36-9+deb12u9", "2.36-9+deb12u10"}, {"1:9.2p1-2", "1:9.2p1-2+deb12u3"},
		{"5.10.0~rc1", "5.10.0"}, {"20230311", "20230312"}, {"0.1.2+git20200101.abcdef-1", "0.1.2+git20200202.abcdef-1"}, {"3.0.11-1~deb12u2", "3.0.9-1"},
	}
	return pairs
}

func BenchmarkCompareVersions(b *testing.B) {
	pairs := benchmarkPairs()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := pairs[i%len(pairs)]
		deb.CompareVersions(p[0], p[1])
	}
}

func BenchmarkVersionCompare(b *testing.B) {
	var pairs [][2]deb.Version
	for _, p := range benchmarkPairs() {
		pairs = append(pairs, [2]deb.Version{mustVersion(b, p[0]), mustVersion(b, p[1])})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := &pairs[i%len(pairs)]
		p[0].Compare(p[1])
	}
}
