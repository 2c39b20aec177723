package vuln

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
)

// ordered has versions of each ecosystem in ascending order; those with "=" in
// front are equal to the one before.
var ordered = map[string]string{
	"Debian:12": `1.0~~ 1.0~rc1 1.0~rc1-1 1.0 =1.0-0 =0:1.0 1.0-1~deb12u1 1.0-1 1.0-1+b1 1.0-1+deb12u1 1.0-1+deb12u2
		1.0-1+deb12u10 1.0+dfsg-1 1.0.1-1 1.00.2 1.2 1.10 1:0.1 2:0`,
	"Ubuntu:22.04:LTS": `3.0.2-0ubuntu1 3.0.2-0ubuntu1.2 3.0.2-0ubuntu1.10 3.0.2-0ubuntu1.10+esm1`,
	// The first line is the example of Semantic Versioning 2.0.0, chapter 11.
	"npm": `1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0
		=1.0.0+build.5 =v1.0.0 =1.0 =1 1.0.1-0 1.0.1-1 1.0.1--1 1.0.1-1a 1.0.1 1.2.0 1.10.0 2.0.0-rc.1 2.0.0 2.0.0.1
		99999999999999999999.0.0 100000000000000000000.0.0`,
	"crates.io": `0.6.3 0.6.14 1.0.0-alpha.2 1.0.0-alpha.10 1.0.0 1.6.1`,
	// Pseudo-versions are of before a first release, after a pre-release and
	// after a release.
	"Go": `0.0.0-20190101000000-abcdefabcdef 0.0.0-20230102030405-abcdef012345 0.1.0 1.2.3-pre 1.2.3-pre.0.20200101000000-abcdefabcdef
		1.2.3 1.2.4-0.20210101000000-abcdefabcdef 1.2.4 2.0.0+incompatible =2.0.0`,
	// The lines are from PEP 440, "Summary of permitted suffixes and relative
	// ordering", and its examples of normalisation.
	"PyPI": `nonsense 1.dev0 1.0.dev456 1.0a1.dev1 1.0a1 =1.0alpha1 =1.0-a.1 1.0a2.dev456 1.0a12.dev456 1.0a12 1.0b1.dev456 1.0b2
		1.0b2.post345.dev456 1.0b2.post345 1.0rc1.dev456 1.0rc1 =1.0c1 =1.0pre1 =1.0-preview-1 1.0 =1.0.0 =v1.0 =1 =01.0
		1.0+abc.5 1.0+abc.7 =1.0+ABC-7 1.0+5 1.0.post456.dev34 1.0.post456 =1.0-456 =1.0.rev456 =1.0-r456
		1.0.15 1.1.dev1 1.1 2013.10 1!0.5`,
	// From the version order specification of Maven's POM reference.
	"Maven": `1-alpha-1 =1-a1 =1.0-alpha1 1-beta 1-milestone-1 =1-m1 1-rc =1-cr 1-snapshot 1 =1.0 =1.0.0 =1-ga =1.final =1-0 =1.0.0-release
		1-sp 1-foo =1.foo 1-foo2 1-foo10 1-1 =1-ga-1 1-1.foo-1 1.1-alpha 1.1 1.2 1.10 2.0-beta8 2.0-beta9 2.0-rc1 2.0 2.3.1 2.15.0`,
}

func TestOrders(t *testing.T) {
	for ecosystem, text := range ordered {
		type ranked struct {
			version string
			rank    int
		}
		var list []ranked
		for _, v := range strings.Fields(text) {
			rank := len(list)
			if equal, ok := strings.CutPrefix(v, "="); ok {
				v, rank = equal, list[len(list)-1].rank
			}
			list = append(list, ranked{v, rank})
		}
		for _, a := range list {
			for _, b := range list {
				want := min(1, max(-1, a.rank-b.rank))
				if got, ok := CompareVersions(ecosystem, a.version, b.version); got != want || !ok {
					t.Errorf("%s: %s compared to %s is %d (%v), want %d", ecosystem, a.version, b.version, got, ok, want)
				}
			}
		}
	}
	if _, ok := CompareVersions("Alpine:v3.20", "1", "2"); ok {
		t.Error("an order is claimed for Alpine")
	}
}

// A total order is what sorting events relies on, even for nonsense.
func FuzzCompareVersions(f *testing.F) {
	for _, text := range ordered {
		v := strings.Fields(text)
		f.Add(v[0], v[len(v)/2], v[len(v)-1])
	}
	f.Add("1.0-", "-", "..-.")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for _, ecosystem := range []string{"Debian", "npm", "PyPI", "Maven"} {
			if ecosystem == "Debian" && !debian(a, b, c) {
				continue // the order of package deb is one of versions alone
			}
			compare := func(x, y string) int { n, _ := CompareVersions(ecosystem, x, y); return n }
			if compare(a, a) != 0 {
				t.Errorf("%s: %q is not itself", ecosystem, a)
			}
			if compare(a, b) != -compare(b, a) {
				t.Errorf("%s: %q and %q have no order", ecosystem, a, b)
			}
			// Maven's own order goes round: 1 < 1.a < 1.0.alpha < 1.
			if ecosystem != "Maven" && compare(a, b) <= 0 && compare(b, c) <= 0 && compare(a, c) > 0 {
				t.Errorf("%s: %q, %q, %q go round", ecosystem, a, b, c)
			}
		}
	})
}

func debian(versions ...string) bool {
	for _, v := range versions {
		if _, err := deb.ParseVersion(v); err != nil {
			return false
		}
	}
	return true
}

func randomVersion(r *rand.Rand) string {
	part := func() string {
		var b strings.Builder
		for range 1 + r.IntN(4) {
			b.WriteString([]string{"0", "1", "10", "2", "09", ".", "+", "~", "a", "rc", "deb12u", "ubuntu"}[r.IntN(12)])
		}
		return b.String()
	}
	v := fmt.Sprint(r.IntN(3)) + part()
	if r.IntN(2) == 0 {
		v += "-" + part()
	}
	if r.IntN(6) == 0 {
		v = fmt.Sprint(r.IntN(2)) + ":" + v
	}
	return v
}

func TestDebianOrderLikeDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("there is no dpkg")
	}
	r := rand.New(rand.NewPCG(12, 5))
	for range 200 {
		a, b := randomVersion(r), randomVersion(r)
		c, _ := CompareVersions("Debian:12", a, b)
		op := map[int]string{-1: "lt", 0: "eq", 1: "gt"}[c]
		if err := exec.Command(dpkg, "--compare-versions", a, op, b).Run(); err != nil {
			t.Errorf("dpkg does not find that %s %s %s: %v", a, op, b, err)
		}
	}
}

func TestCVSS(t *testing.T) {
	for _, tt := range []struct {
		vector string
		base   float64
		rating rating
	}{
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3, critical},
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10, critical},
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 7.5, high},
		{"CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, medium},
		{"CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:U/C:L/I:N/A:N", 2.5, low},
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0, negligible},
		{"AV:N/AC:L/Au:N/C:C/I:C/A:C", 10, high}, // version 2 has no critical
		{"(AV:N/AC:L/Au:N/C:P/I:N/A:N)", 5, medium},
		{"CVSS:3.1/AV:N", 0, unrated},
		{"", 0, unrated},
		{"medium", 0, unrated},
		{"CVSS:4.0/" + strings.Repeat("A", 1<<20), 0, unrated},
	} {
		s := parseVector(tt.vector)
		if s.base() != tt.base || s.rating() != tt.rating {
			t.Errorf("%.60s: %v %v, want %v %v", tt.vector, s.base(), s.rating(), tt.base, tt.rating)
		}
	}
	if makeScore(rankV4, 1) < makeScore(rankV31, 10) || makeScore(rankV30, 1) < makeScore(rankV2, 10) {
		t.Error("an older version of CVSS goes before a newer one")
	}
}

func TestVulnID(t *testing.T) {
	for _, name := range []string{"CVE-1999-0001", "CVE-2024-1234", "CVE-2026-119260", "CVE-2026-999999999999"} {
		id, ok := parseCVE(name)
		if !ok || id.String() != name {
			t.Errorf("%s became %s (%v)", name, id, ok)
		}
	}
	for _, name := range []string{"CVE-2024-00001", "CVE-2024-123", "CVE-24-1234", "CVE-2024-", "CVE-2024-12x4", "cve-2024-1234", "CVE-2024-1234567890123", "CVE--1234", "GHSA-1", "CVE-2024-+123", "CVE-+202-1234"} {
		if id, ok := parseCVE(name); ok {
			t.Errorf("%s is taken for %s", name, id)
		}
		if makeVulnID(name).isCVE() {
			t.Errorf("%s has the number of a CVE", name)
		}
	}
}
