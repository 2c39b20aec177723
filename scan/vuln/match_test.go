package vuln_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/vuln"
)

// want is a finding in short: ID, severity, state, fix, and "listed" if it does
// not gate.
func short(f scan.Finding) string {
	s := []string{f.ID, string(f.Severity), string(f.FixState)}
	if f.FixedVersion != "" {
		s = append(s, f.FixedVersion)
	}
	if !f.Gates {
		s = append(s, "listed")
	}
	if f.KEV {
		s = append(s, "KEV")
	}
	return strings.Join(s, " ")
}

type matchCase struct {
	name, os, source, version string
	want                      []string
}

func checkMatches(t *testing.T, db *vuln.DB, cases []matchCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range match(t, db, subject(tt.os, tt.source, tt.version)) {
				got = append(got, short(f))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s %s on %s:\n got %q\nwant %q", tt.source, tt.version, tt.os, got, tt.want)
			}
		})
	}
}

func TestTracker(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.Debian, "tracker.json"), feed(t, vuln.KEV, "kev.json"), feed(t, vuln.EPSS, "epss.csv"))
	checkMatches(t, db, []matchCase{
		{"resolved, before the fix", "debian:12", "openssl", "3.0.11-1~deb12u2", []string{
			"CVE-2007-5536 negligible not_fixed listed", "CVE-2024-0727 unknown fixed 3.0.13-1~deb12u1"}},
		{"resolved, the fix itself", "debian:12", "openssl", "3.0.13-1~deb12u1", []string{"CVE-2007-5536 negligible not_fixed listed"}},
		{"resolved, a tilde before the fix", "debian:12", "openssl", "3.0.13-1~deb12u1~rc1", []string{
			"CVE-2007-5536 negligible not_fixed listed", "CVE-2024-0727 unknown fixed 3.0.13-1~deb12u1"}},
		{"resolved with 0 is not affected, open elsewhere", "debian:11", "openssl", "1.1.1w-0+deb11u1", []string{"CVE-2023-9001 high not_fixed"}},
		{"each release by itself", "debian:sid", "openssl", "3.1.4-2", []string{"CVE-2024-0727 unknown fixed 3.1.5-1"}},
		{"no-dsa, ignored, postponed, stars", "debian:12", "nginx", "1.22.1-9", []string{
			"CVE-2023-44487 medium wont_fix KEV", "CVE-2024-33452 unknown not_fixed", "CVE-2025-23419 low not_fixed"}},
		{"undetermined is not listed; a name without CVE", "debian:12", "imagemagick", "8:6.9.11.60+dfsg-1.6", []string{"TEMP-0000000-0CA7E3 low not_fixed"}},
		{"end of life", "debian:12", "webkit2gtk", "2.40.0-1", []string{"CVE-2026-119260 unknown wont_fix"}},
		{"an epoch decides", "debian:12", "webkit2gtk", "1:0.1-1", []string{"CVE-2026-119260 unknown wont_fix"}},
		{"urgency and KEV", "debian:11", "webkit2gtk", "2.20.0-1", []string{"CVE-2021-30666 high fixed 2.26.0-1 KEV"}},
		{"unimportant", "debian:12", "glibc", "2.36-9", []string{"CVE-2018-20796 negligible not_fixed listed"}},
		{"resolved with 0, before version 0", "debian:12", "openssl", "0~20200101-1", []string{
			"CVE-2007-5536 negligible not_fixed listed", "CVE-2024-0727 unknown fixed 3.0.13-1~deb12u1"}},
		{"nothing known", "debian:12", "hello", "2.10-3", nil},
		{"a name that begins alike", "debian:12", "openssl1.1", "1.0-1", nil},
	})
}

func TestTrackerTellsWhy(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.Debian, "tracker.json"))
	nginx := match(t, db, subject("debian:12", "nginx", "1.22.1-9"))
	for id, want := range map[string]string{
		"CVE-2024-33452": "Smuggling of requests through HEAD.\n\nA fix is deferred: Minor issue",
		"CVE-2023-44487": "HTTP/2 rapid reset.\n\nThe vendor will not fix this: Mitigated by default settings",
		"CVE-2025-23419": "Session resumption across virtual hosts.\n\nA fix is deferred: Can be fixed with a later update",
	} {
		f := byID(nginx, id)
		if f == nil || f.Description != want {
			t.Errorf("%s: %+v, want the description %q", id, f, want)
		}
		if f != nil && !slices.Contains(f.URLs, "https://security-tracker.debian.org/tracker/"+id) {
			t.Errorf("%s: addresses %q", id, f.URLs)
		}
	}
	eol := byID(match(t, db, subject("debian:12", "webkit2gtk", "2.40.0-1")), "CVE-2026-119260")
	if eol == nil || !strings.HasSuffix(eol.Description, "Support by the vendor has ended: EOL in bookworm") {
		t.Errorf("end of life: %+v", eol)
	}
}

func TestListUndetermined(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.Debian, "tracker.json"))
	before, err := db.Data(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := &vuln.DB{Dir: db.Dir, ListUndetermined: true}
	defer all.Close()
	f := byID(match(t, all, subject("debian:12", "imagemagick", "8:6.9.11.60+dfsg-1.6")), "CVE-2022-3213")
	if f == nil || f.Gates || f.FixState != scan.FixUnknown {
		t.Errorf("undetermined: %+v, want it listed, without gating", f)
	}
	after, err := all.Data(t.Context())
	if err != nil || after.Generation == before.Generation {
		t.Errorf("generation %d, %v: the same although Match answers otherwise", after.Generation, err)
	}
}

// Debian's OSV data know less than the tracker. Without it they are used.
func TestDebianOSV(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.OSV, "debian-osv.json"))
	checkMatches(t, db, []matchCase{
		{"the highest of several fixes", "debian:12", "openssl", "3.0.9-1", []string{
			"CVE-2007-5536 negligible not_fixed listed", "CVE-2023-5363 unknown fixed 3.0.13-1~deb12u1", "CVE-2024-0727 unknown fixed 3.0.13-1~deb12u1"}},
		{"between the fixes", "debian:12", "openssl", "3.0.11-1~deb12u2", []string{
			"CVE-2007-5536 negligible not_fixed listed", "CVE-2023-5363 unknown fixed 3.0.13-1~deb12u1", "CVE-2024-0727 unknown fixed 3.0.13-1~deb12u1"}},
		{"CVSS without an urgency", "debian:12", "nginx", "1.22.1-9", []string{"CVE-2024-33452 critical not_fixed"}},
		{"end of life", "debian:12", "webkit2gtk", "2.40.0-1", []string{"CVE-2026-119260 unknown wont_fix"}},
		{"versions, last affected, two ranges", "debian:12", "curl", "7.88.1-10", []string{
			"CVE-2019-3000 low unknown", "CVE-2019-4000 unknown fixed 7.88.1-11", "DTSA-7-1 unknown unknown"}},
		{"events in any order", "debian:12", "curl", "7.85.0-1", []string{"CVE-2019-4000 unknown fixed 7.86.0-1", "DTSA-7-1 unknown unknown"}},
		{"before the first version", "debian:12", "curl", "7.79.0-1", nil},
		{"between two ranges", "debian:12", "curl", "7.86.0-1", []string{"DTSA-7-1 unknown unknown"}},
		{"after the last", "debian:12", "curl", "7.88.1-11", nil},
		{"another release", "debian:10", "nginx", "1.14.2-2", []string{"CVE-2023-44487 unknown fixed 1.14.2-2+deb10u6"}},
	})
}

// Advisories for Debian without a release are about none.
func TestNoReleaseNoPlace(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.OSV, "debian-osv.json"))
	status, err := db.Status(t.Context())
	if err != nil || !slices.Equal(status[0].Places, []string{"Debian:10", "Debian:12", "Debian:13"}) {
		t.Errorf("status %+v, %v", status, err)
	}
}

// A release of the tracker's that is called like an ecosystem is none.
func TestTrackerSpeaksOfDebianAlone(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, text("debian", vuln.Debian, trackerOf(1, "bookworm", "npm", "Ubuntu:22.04:LTS")))
	inv := scan.Inventory{Components: []scan.Component{{Ecosystem: "npm", Name: "pkg", Version: "1.0.0"}}}
	if f := match(t, db, inv); len(f) > 0 {
		t.Errorf("a component has %s", ids(f))
	}
	if _, covered, err := db.Match(t.Context(), subject("ubuntu:22.04", "pkg", "1")); covered || err != nil {
		t.Errorf("Ubuntu is covered: %v, %v", covered, err)
	}
}

// A score belongs to the vulnerability, whoever gives it; of several it is that
// of the newest CVSS.
func TestScoresOfOthers(t *testing.T) {
	db := newDB(t)
	record := func(id, vector string) string {
		return `{"id": "` + id + `", "aliases": ["CVE-2024-1000"], "severity": [{"type": "CVSS_V3", "score": "` + vector + `"}]}`
	}
	mustImport(t, db, text("debian", vuln.Debian, strings.ReplaceAll(trackerOf(1, "bookworm"), "low", "not yet assigned")),
		text("others", vuln.OSV, record("A-1", "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")+
			record("A-2", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L")+record("A-3", "AV:N/AC:L/Au:N/C:C/I:C/A:C")))
	f := byID(match(t, db, subject("debian:12", "pkg", "1")), "CVE-2024-1000")
	if f == nil || f.CVSS == nil || *f.CVSS != 5.3 || f.Severity != scan.Medium {
		t.Errorf("%+v, want the score 5.3 of version 3.1", f)
	}
}

// The tracker decides, and the advisories add their names and scores.
func TestTrackerOverrulesDebianOSV(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.Debian, "tracker.json"), feed(t, vuln.OSV, "debian-osv.json"))
	findings := match(t, db, subject("debian:12", "openssl", "3.0.9-1"))
	if got := ids(findings); got != "CVE-2007-5536 CVE-2024-0727" {
		t.Errorf("found %s, want only what the tracker has", got)
	}
	f := byID(findings, "CVE-2024-0727")
	if f == nil || !slices.Equal(f.Advisories, []string{"DSA-5600-1"}) {
		t.Errorf("CVE-2024-0727: %+v, want the advisory DSA-5600-1", f)
	}
	nginx := byID(match(t, db, subject("debian:12", "nginx", "1.22.1-9")), "CVE-2024-33452")
	if nginx == nil || nginx.CVSS == nil || *nginx.CVSS != 9.8 || nginx.Severity != scan.Critical {
		t.Errorf("CVE-2024-33452: %+v, want the score 9.8", nginx)
	}
}

func TestUbuntu(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.Ubuntu, "ubuntu-osv.json"))
	checkMatches(t, db, []matchCase{
		{"priority before CVSS, the highest fix", "ubuntu:22.04", "openssl", "3.0.2-0ubuntu1.10", []string{
			"CVE-2023-3446 low fixed 3.0.2-0ubuntu1.12", "CVE-2023-3817 unknown fixed 3.0.2-0ubuntu1.11", "CVE-2024-5535 critical fixed 3.0.2-0ubuntu1.17"}},
		{"fixed by one advisory, not by the other", "ubuntu:22.04", "openssl", "3.0.2-0ubuntu1.11", []string{
			"CVE-2023-3446 low fixed 3.0.2-0ubuntu1.12", "CVE-2024-5535 critical fixed 3.0.2-0ubuntu1.17"}},
		{"fixed", "ubuntu:22.04", "openssl", "3.0.2-0ubuntu1.17", nil},
		{"FIPS does not apply", "ubuntu:16.04", "openssl", "1.0.2g-1ubuntu4.20", []string{"CVE-2023-3446 low not_fixed"}},
		{"Pro does not apply", "ubuntu:22.04", "ffmpeg", "7:4.4.2-0ubuntu0.22.04.1", []string{
			"CVE-2021-1111 medium not_fixed", "CVE-2021-2222 negligible not_fixed"}},
		{"a release without LTS", "ubuntu:25.10", "openssl", "3.5.3-1ubuntu1", []string{"CVE-2025-4444 high fixed 3.5.3-1ubuntu2"}},
		{"CVSS 2 and 4", "ubuntu:22.04", "vim", "2:8.2.3995-1ubuntu2", []string{
			"CVE-2022-6666 high fixed 2:8.2.3995-1ubuntu2.3", "CVE-2022-7777 critical not_fixed", "CVE-2022-8888 unknown not_fixed"}},
	})
	f := byID(match(t, db, subject("ubuntu:22.04", "ffmpeg", "7:4.4.2-0ubuntu0.22.04.1")), "CVE-2021-1111")
	if f == nil || !strings.Contains(f.Description, "The fix needs Ubuntu Pro: 7:4.4.2-0ubuntu0.22.04.1+esm3") {
		t.Errorf("CVE-2021-1111: %+v, want to be told of Ubuntu Pro", f)
	}
	for _, f := range match(t, db, subject("ubuntu:22.04", "ffmpeg", "7:4.4.2-0ubuntu0.22.04.1+esm3")) {
		if strings.Contains(f.Description, "Ubuntu Pro") {
			t.Errorf("%s needs a fix that is there: %s", f.ID, f.Description)
		}
	}
	status, err := db.Status(t.Context())
	if err != nil || slices.Contains(status[0].Places, "npm") {
		t.Errorf("places %v, %v: Ubuntu's feed spoke of npm", status, err)
	}
}

func TestUbuntuTracks(t *testing.T) {
	db := newDB(t)
	db.UbuntuTracks = []string{"Pro", "Pro:FIPS"}
	mustImport(t, db, feed(t, vuln.Ubuntu, "ubuntu-osv.json"))
	checkMatches(t, db, []matchCase{
		{"the fix of Pro", "ubuntu:22.04", "ffmpeg", "7:4.4.2-0ubuntu0.22.04.1", []string{
			"CVE-2021-1111 medium fixed 7:4.4.2-0ubuntu0.22.04.1+esm3", "CVE-2021-2222 negligible not_fixed",
			"CVE-2021-3333 unknown fixed 7:4.4.2-0ubuntu0.22.04.1+esm1"}},
		{"fixed in Pro, though not for all", "ubuntu:22.04", "ffmpeg", "7:4.4.2-0ubuntu0.22.04.1+esm3", []string{"CVE-2021-2222 negligible not_fixed"}},
		{"two entries, one of them empty", "ubuntu:16.04", "openssl", "1.0.2g-1ubuntu4.fips.4.6", []string{"CVE-2023-3446 low fixed 1.0.2g-1ubuntu4.fips.4.14"}},
		{"and fixed", "ubuntu:16.04", "openssl", "1.0.2g-1ubuntu4.fips.4.14", nil},
	})
}

func TestComponents(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.OSV, "languages-osv.json"), feed(t, vuln.KEV, "kev.json"), feed(t, vuln.EPSS, "epss.csv"))
	for _, tt := range []struct {
		ecosystem, name, version string
		want                     []string
	}{
		{"Go", "stdlib", "go1.21.2", []string{"CVE-2023-39325 high fixed 1.21.3"}},
		{"Go", "stdlib", "1.20.10", nil},
		{"Go", "stdlib", "go1.21rc2", []string{"CVE-2023-39325 high fixed 1.21.3"}},
		{"Go", "golang.org/x/net", "v0.16.0", []string{"CVE-2023-39325 high fixed 0.17.0"}},
		{"Go", "golang.org/x/net", "v0.0.0-20230102030405-abcdef012345", []string{"CVE-2023-39325 high fixed 0.17.0"}},
		{"Go", "golang.org/x/net", "v0.17.0", nil},
		{"Go", "golang.org/x/net", "(devel)", nil},
		{"PyPI", "jinja2", "2.11.2", []string{"CVE-2020-28493 unknown fixed 2.11.3"}},
		{"PyPI", "JINJA2", "2.11.3rc1", []string{"CVE-2020-28493 unknown fixed 2.11.3"}},
		{"PyPI", "jinja2", "2.11.3.post1", nil},
		{"PyPI", "Some.Pkg", "1.9", []string{"GHSA-aaaa-bbbb-cccc medium fixed 2.1"}},
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.14.1", []string{"CVE-2021-44228 critical fixed 2.15.0 KEV"}},
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.0-beta9", []string{"CVE-2021-44228 critical fixed 2.3.1 KEV"}},
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.0-beta8", nil},
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.12.4", nil},
		{"npm", "left-pat", "1.0.0", []string{"MAL-2024-1 critical unknown"}},
		{"npm", "left-pat", "1.0.1", nil},
		{"npm", "minimist", "1.2.5", []string{"CVE-2022-1234 unknown unknown"}},
		{"npm", "minimist", "1.2.6", nil},
		{"crates.io", "smallvec", "1.6.0", []string{"CVE-2021-25900 unknown fixed 1.6.1"}},
		{"crates.io", "smallvec", "0.6.14", nil},
		{"crates.io", "smallvec", "0.6.2", nil},
		{"OSS-Fuzz", "libpng", "1.0", nil},
		{"Debian:12", "openssl", "1.0", nil},
	} {
		c := scan.Component{Ecosystem: tt.ecosystem, Name: tt.name, Version: tt.version}
		inv := scan.Inventory{Subject: scan.Subject{Name: "app", Version: "1"}, Components: []scan.Component{c, c}}
		var got []string
		for _, f := range match(t, db, inv) {
			got = append(got, short(f))
			if f.Package != tt.name || f.InstalledVersion != tt.version || f.Ecosystem != tt.ecosystem || f.Confidence != "high" {
				t.Errorf("%s %s: %+v", tt.name, tt.version, f)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s %s %s:\n got %q\nwant %q", tt.ecosystem, tt.name, tt.version, got, tt.want)
		}
		inv.Official = true
		if f := match(t, db, inv); len(f) > 0 {
			t.Errorf("%s of an official package: %s", tt.name, ids(f))
		}
	}
}

func TestAliasesAreOneFinding(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.OSV, "languages-osv.json"), feed(t, vuln.EPSS, "epss.csv"))
	component := func(ecosystem, name, version string) scan.Finding {
		t.Helper()
		f := match(t, db, scan.Inventory{Components: []scan.Component{{Ecosystem: ecosystem, Name: name, Version: version}}})
		if len(f) != 1 {
			t.Fatalf("%s: %d findings, want one", name, len(f))
		}
		return f[0]
	}
	f := component("Go", "golang.org/x/net", "v0.1.0")
	if !slices.Equal(f.Advisories, []string{"GHSA-4374-p667-p6c8", "GO-2023-2102"}) || f.CVSS == nil || *f.CVSS != 7.5 {
		t.Errorf("x/net: %+v", f)
	}
	if !slices.Equal(f.URLs, []string{"https://go.example/issue/63417"}) {
		t.Errorf("addresses %q: want those that are safe to follow", f.URLs)
	}
	if f := component("PyPI", "some-pkg", "1"); !slices.Equal(f.Advisories, []string{"PYSEC-2024-1"}) {
		t.Errorf("some-pkg: %+v", f)
	}
	if f := component("Maven", "org.apache.logging.log4j:log4j-core", "2.14.0"); f.EPSS == nil || *f.EPSS != 0.94358 {
		t.Errorf("log4j: %+v, want its probability", f)
	}
}

func TestConfidence(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.Debian, "tracker.json"))
	inv := subject("debian:12", "nginx", "1.22.1-9")
	for official, want := range map[bool]string{true: "high", false: "low"} {
		inv.Official = official
		for _, f := range match(t, db, inv) {
			if f.Confidence != want {
				t.Errorf("official %v: %s has confidence %q", official, f.ID, f.Confidence)
			}
		}
	}
}

func TestCovered(t *testing.T) {
	db := newDB(t)
	covered := func(os string) bool {
		t.Helper()
		_, ok, err := db.Match(t.Context(), subject(os, "openssl", "1"))
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if covered("debian:12") {
		t.Error("debian:12 is covered without data")
	}
	mustImport(t, db, feed(t, vuln.Debian, "tracker.json"), feed(t, vuln.Ubuntu, "ubuntu-osv.json"))
	for os, want := range map[string]bool{
		"debian:12": true, "debian:11": true, "debian:13": false, "ubuntu:22.04": true, "ubuntu:20.04": false,
		"ubuntu:25.10": true, "alpine:3": false, "debian:99": false, "": false, "bookworm": false,
	} {
		if covered(os) != want {
			t.Errorf("%q: covered %v, want %v", os, !want, want)
		}
	}
	db2 := &vuln.DB{Dir: db.Dir, Releases: []vuln.Release{{OS: "devuan:5", Codename: "bookworm"}}}
	defer db2.Close()
	if _, ok, err := db2.Match(t.Context(), subject("devuan:5", "openssl", "1")); !ok || err != nil {
		t.Errorf("a release of the caller's: covered %v, %v", ok, err)
	}
}

// The name and version of the binary package serve when no source is given.
func TestSourceDefaultsToPackage(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.Debian, "tracker.json"))
	got := match(t, db, scan.Inventory{Subject: scan.Subject{Name: "glibc", Version: "2.36-9", OS: "debian:12"}})
	if ids(got) != "CVE-2018-20796" {
		t.Errorf("found %q", ids(got))
	}
}
