package external

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/scan"
)

var subject = scan.Inventory{
	Subject: scan.Subject{
		Name: "libssl1.1", Version: "1.1.1d-0+deb12u2", Arch: "amd64", Source: "openssl", SourceVersion: "1:1.1.1d-0+deb12u2", OS: "debian:12", Official: true,
	},
	Components: []scan.Component{
		{Ecosystem: "Go", Name: "golang.org/x/net", Version: "v0.2.0", PURL: "pkg:golang/golang.org/x/net@v0.2.0"},
		{Ecosystem: "Maven", Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.0", PURL: "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.0"},
	},
}

const grypeSample = `{
 "matches": [
  {"vulnerability": {"id": "CVE-2023-0464", "dataSource": "https://security-tracker.debian.org/tracker/CVE-2023-0464",
    "namespace": "debian:distro:debian:12", "severity": "High", "urls": ["javascript:alert(1)"], "description": "a flaw",
    "cvss": [{"version": "2.0", "vector": "", "metrics": {"baseScore": 9.9}}, {"version": "3.1", "vector": "", "metrics": {"baseScore": 7.5}}],
    "epss": [{"cve": "CVE-2023-0464", "epss": 0.01409, "percentile": 0.69, "date": "2026-05-12"}],
    "knownExploited": [{"cve": "CVE-2023-0464"}],
    "fix": {"versions": ["1:1.1.1n-0+deb12u10", "1:1.1.1n-0+deb12u9"], "state": "fixed"},
    "advisories": [{"id": "DSA-5417-1", "link": "https://www.debian.org/security/2023/dsa-5417"}]},
   "relatedVulnerabilities": [{"id": "CVE-2023-0464", "severity": "High"}],
   "artifact": {"name": "libssl1.1", "version": "1.1.1d-0+deb12u2", "type": "deb", "purl": "pkg:deb/debian/libssl1.1@1.1.1d-0%2Bdeb12u2"}},
  {"vulnerability": {"id": "CVE-2007-6755", "severity": "Negligible", "fix": {"versions": [], "state": "wont-fix"}},
   "artifact": {"name": "libssl1.1", "version": "1.1.1d-0+deb12u2", "type": "deb"}},
  {"vulnerability": {"id": "GHSA-jfh8-c2jp-5v3q", "severity": "Critical", "fix": {"versions": ["2.3.1", "2.12.2", "2.15.0"], "state": "fixed"}},
   "relatedVulnerabilities": [{"id": "CVE-2021-44228", "severity": "Critical", "cvss": [{"version": "3.1", "metrics": {"baseScore": 10}}]}],
   "artifact": {"name": "log4j-core", "version": "2.14.0", "type": "java-archive", "purl": "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.0"}},
  {"vulnerability": {"id": "GO-2023-1571", "severity": "", "fix": {"versions": null, "state": ""}},
   "artifact": {"name": "golang.org/x/other", "version": "v0.1.0", "type": "go-module", "purl": "pkg:golang/golang.org/x/other@v0.1.0"}}
 ],
 "source": {"type": "sbom"},
 "distro": {"name": "debian", "version": "12", "idLike": []},
 "descriptor": {"name": "grype", "version": "0.114.0"}
}`

const trivySample = `{
 "SchemaVersion": 2, "ArtifactName": "/dev/stdin", "ArtifactType": "cyclonedx", "Metadata": {"OS": {"Family": "debian", "Name": "12.5"}},
 "Results": [
  {"Target": "/dev/stdin (debian 12)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [
   {"VulnerabilityID": "CVE-2023-0464", "VendorIDs": ["DSA-5417-1"], "PkgName": "libssl1.1", "InstalledVersion": "1.1.1d-0+deb12u2",
    "FixedVersion": "1:1.1.1n-0+deb12u9", "Status": "fixed", "Severity": "HIGH", "Title": "a flaw", "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2023-0464",
    "CVSS": {"nvd": {"V2Score": 9.9, "V3Score": 7.5}, "redhat": {"V3Score": 5.9}}},
   {"VulnerabilityID": "CVE-2007-6755", "PkgName": "libssl1.1", "InstalledVersion": "1.1.1d-0+deb12u2", "Status": "end_of_life", "Severity": "LOW"},
   {"VulnerabilityID": "TEMP-0000000-0CA7E3", "PkgName": "libssl1.1", "Status": "under_investigation", "Severity": "UNKNOWN"}]},
  {"Target": "Java", "Class": "lang-pkgs", "Type": "jar", "Vulnerabilities": [
   {"VulnerabilityID": "CVE-2021-44228", "PkgName": "org.apache.logging.log4j:log4j-core", "InstalledVersion": "2.14.0",
    "PkgIdentifier": {"PURL": "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.0"},
    "FixedVersion": "2.15.0, 2.3.1, 2.12.2", "Severity": "CRITICAL", "CVSS": {"ghsa": {"V3Score": 10, "V40Score": 9.3}}}]}
 ]
}`

func score(f float64) *float64 { return &f }

func fixed(out string, err error) func(context.Context, []string, io.Reader, int64) ([]byte, error) {
	return func(context.Context, []string, io.Reader, int64) ([]byte, error) { return []byte(out), err }
}

func TestMatch(t *testing.T) {
	log4j := scan.Finding{
		ID: "CVE-2021-44228", Severity: scan.Critical, Package: "org.apache.logging.log4j:log4j-core", Ecosystem: "Maven",
		InstalledVersion: "2.14.0", FixedVersion: "2.12.2, 2.15.0, 2.3.1", FixState: scan.Fixed, Gates: true,
	}
	openssl := scan.Finding{
		ID: "CVE-2023-0464", Advisories: []string{"DSA-5417-1"}, Severity: scan.High, CVSS: score(7.5), Package: "openssl",
		InstalledVersion: "1:1.1.1d-0+deb12u2", FixState: scan.Fixed, Gates: true, Description: "a flaw",
	}
	for format, sample := range map[Format]string{Grype: grypeSample, Trivy: trivySample} {
		openssl, log4j := openssl, log4j
		var want []scan.Finding
		old := scan.Finding{ID: "CVE-2007-6755", Package: "openssl", InstalledVersion: "1:1.1.1d-0+deb12u2", FixState: scan.WontFix}
		if format == Grype {
			openssl.EPSS, openssl.KEV, openssl.FixedVersion = score(0.01409), true, "1:1.1.1n-0+deb12u10"
			openssl.URLs = []string{"https://security-tracker.debian.org/tracker/CVE-2023-0464", "https://www.debian.org/security/2023/dsa-5417"}
			log4j.Advisories, log4j.CVSS = []string{"GHSA-jfh8-c2jp-5v3q"}, score(10)
			old.Severity = scan.Negligible
			want = []scan.Finding{old, log4j, openssl, {
				ID: "GO-2023-1571", Severity: scan.Unknown, Package: "golang.org/x/other", Ecosystem: "Go", InstalledVersion: "v0.1.0", FixState: scan.FixUnknown, Gates: true,
			}}
		} else {
			openssl.FixedVersion, openssl.URLs = "1:1.1.1n-0+deb12u9", []string{"https://avd.aquasec.com/nvd/cve-2023-0464"}
			log4j.CVSS = score(9.3)
			old.Severity, old.Gates = scan.Low, true
			want = []scan.Finding{old, log4j, openssl, {
				ID: "TEMP-0000000-0CA7E3", Severity: scan.Unknown, Package: "openssl", InstalledVersion: "1:1.1.1d-0+deb12u2", FixState: scan.FixUnknown,
			}}
		}
		m := &Matcher{Format: format, Argv: []string{string(format)}, Run: fixed(sample, nil)}
		got, covered, err := m.Match(t.Context(), subject)
		if err != nil || !covered || len(got) != len(want) {
			t.Fatalf("%s: %d findings, covered %v, %v", format, len(got), covered, err)
		}
		for i := range got {
			for _, list := range []*[]string{&got[i].URLs, &got[i].Advisories} {
				if len(*list) == 0 {
					*list = nil
				}
			}
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("%s: got\n%s\nwant\n%s", format, text(got[i]), text(want[i]))
			}
		}
		// Of another release, the same report proves nothing.
		next := subject
		next.OS = "debian:13"
		if _, covered, err := m.Match(t.Context(), next); err != nil || covered {
			t.Errorf("%s: another release is covered: %v, %v", format, covered, err)
		}
		other := subject
		other.OS, other.Official = "ubuntu:22.04", false
		got, covered, err = m.Match(t.Context(), other)
		if err != nil || covered || got[0].Confidence != "low" || got[1].Confidence != "" {
			t.Errorf("%s: covered %v, %v, confidence %q and %q", format, covered, err, got[0].Confidence, got[1].Confidence)
		}
	}
}

func text(v any) string {
	b, _ := json.Marshal(v) // for a message
	return string(b)
}

// No failure of a program is ever a report without findings.
func TestFailures(t *testing.T) {
	failure := errors.New("exit status 1")
	grype := `{"matches":[%s],"descriptor":{"name":"grype"}}`
	match := func(id, name string) string {
		return fmt.Sprintf(`{"vulnerability":{"id":%q},"artifact":{"name":%q,"type":"npm"}}`, id, name)
	}
	var many strings.Builder
	for i := range maxFindings + 1 {
		fmt.Fprintf(&many, "%s,", match(fmt.Sprint("CVE-1-", i), "a"))
	}
	for _, tt := range []struct {
		name   string
		format Format
		out    string
		err    error
	}{
		{"exit code", Grype, grypeSample, failure},
		{"exit code", Trivy, trivySample, failure},
		{"nothing", Grype, "", nil},
		{"nothing", Trivy, "", nil},
		{"null", Grype, "null", nil},
		{"null", Trivy, "null", nil},
		{"no object", Grype, "[]", nil},
		{"empty", Grype, "{}", nil},
		{"empty", Trivy, "{}", nil},
		{"cut", Grype, grypeSample[:len(grypeSample)-1], nil},
		{"cut", Trivy, trivySample[:len(trivySample)-1], nil},
		{"followed", Grype, grypeSample + "{}", nil},
		{"followed", Trivy, trivySample + "x", nil},
		{"no matches", Grype, `{"matches":null,"descriptor":{"name":"grype"}}`, nil},
		{"another's", Grype, trivySample, nil},
		{"another's", Trivy, grypeSample, nil},
		{"another version", Trivy, strings.Replace(trivySample, `"SchemaVersion": 2`, `"SchemaVersion": 3`, 1), nil},
		{"no ID", Grype, fmt.Sprintf(grype, match("", "a")), nil},
		{"odd ID", Grype, fmt.Sprintf(grype, match("CVE-1 <b>", "a")), nil},
		{"no package", Grype, fmt.Sprintf(grype, match("CVE-1-1", "")), nil},
		{"odd score", Grype, strings.Replace(grypeSample, "7.5", "75", 1), nil},
		{"odd probability", Grype, strings.Replace(grypeSample, "0.01409", "1.4", 1), nil},
		{"odd score", Trivy, strings.Replace(trivySample, "9.3", "93", 1), nil},
		{"too many", Grype, fmt.Sprintf(grype, strings.TrimSuffix(many.String(), ",")), nil},
		{"too deep", Grype, `{"descriptor":{"name":"grype"},"matches":[],"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", nil},
		{"not UTF-8", Grype, strings.Replace(grypeSample, "a flaw", "a \xff", 1), nil},
		{"too long", Grype, grypeSample + strings.Repeat(" ", 20<<20), nil},
		{"format", "osv", grypeSample, nil},
	} {
		m := &Matcher{Format: tt.format, Argv: []string{"x"}, DataArgv: []string{"y"}, Run: fixed(tt.out, tt.err), MaxOutput: 20 << 20}
		got, covered, err := m.Match(t.Context(), subject)
		if err == nil || covered || got != nil || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s, %s: %d findings, covered %v, %v", tt.format, tt.name, len(got), covered, err)
		}
		if d, err := m.Data(t.Context()); err == nil {
			t.Errorf("%s, %s: data %+v", tt.format, tt.name, d)
		}
	}
	sound := &Matcher{Format: Grype, Argv: []string{"x"}, Run: fixed(fmt.Sprintf(grype, ""), nil)}
	if got, covered, err := sound.Match(t.Context(), subject); err != nil || covered || len(got) != 0 {
		t.Errorf("a report without matches and OS: %v, %v, %v", got, covered, err)
	}
}

func TestTimeout(t *testing.T) {
	m := &Matcher{Format: Grype, Argv: []string{"x"}, Timeout: 10 * time.Millisecond,
		Run: func(ctx context.Context, _ []string, _ io.Reader, _ int64) ([]byte, error) {
			<-ctx.Done()
			return []byte(grypeSample), nil // from before it was killed
		}}
	if _, _, err := m.Match(t.Context(), subject); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, _, err := (&Matcher{Format: Grype, Run: m.Run}).Match(t.Context(), subject); err == nil {
		t.Error("it ran without a program")
	}
}

func TestData(t *testing.T) {
	built := time.Date(2026, 5, 12, 6, 24, 30, 0, time.UTC)
	for _, tt := range []struct {
		format Format
		out    string
		want   scan.Data
	}{
		{Grype, `{"schemaVersion":"v6.1.0","from":"https://x","built":"2026-05-12T06:24:30Z","path":"/x","valid":true}`, scan.Data{Generation: built.Unix(), Date: built}},
		{Grype, `{"schemaVersion":5,"built":"2026-05-12T06:24:30Z"}`, scan.Data{Generation: built.Unix(), Date: built}},
		{Grype, `{"valid":false,"error":"no database"}`, scan.Data{}},
		{Trivy, `{"Version":"0.56.0","VulnerabilityDB":{"Version":2,"UpdatedAt":"2026-05-12T06:24:30Z"}}`, scan.Data{Generation: built.Unix(), Date: built}},
		{Trivy, `{"Version":"0.56.0"}`, scan.Data{}},
	} {
		m := &Matcher{Format: tt.format, DataArgv: []string{"x"}, Run: fixed(tt.out, nil)}
		if got, err := m.Data(t.Context()); err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", tt.out, got, err, tt.want)
		}
	}
}

func TestBill(t *testing.T) {
	var given struct {
		argv  []string
		stdin bill
		limit int64
	}
	m := &Matcher{Format: Grype, Argv: []string{"grype", "-o", "json"}, MaxOutput: 1 << 20,
		Run: func(_ context.Context, argv []string, stdin io.Reader, limit int64) ([]byte, error) {
			given.argv, given.limit = argv, limit
			return []byte(grypeSample), json.NewDecoder(stdin).Decode(&given.stdin)
		}}
	if _, _, err := m.Match(t.Context(), subject); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(given.argv, m.Argv) || given.limit != 1<<20 || given.stdin.Format != "CycloneDX" || len(given.stdin.Components) != 4 {
		t.Errorf("got %+v", given)
	}
	if os := given.stdin.Components[0]; os.Type != "operating-system" || os.Name != "debian" || os.Version != "12" {
		t.Errorf("the OS: %+v", os)
	}
	refs := map[string]bool{}
	for _, c := range given.stdin.Components {
		refs[c.Ref] = true
	}
	for _, d := range given.stdin.Dependencies {
		for _, ref := range append(d.DependsOn, d.Ref) {
			if !refs[ref] {
				t.Errorf("%q depends on what is not there: %q", d.Ref, ref)
			}
		}
	}
	for _, tt := range []struct{ name, version, source, sourceVersion, os, want string }{
		{"libssl1.1", "1.1.1d-0+deb12u2", "openssl", "1:1.1.1d", "debian:12",
			"pkg:deb/debian/libssl1.1@1.1.1d-0%2Bdeb12u2?arch=amd64&distro=debian-12&upstream=openssl%401%3A1.1.1d"},
		{"hello", "1:1.0~rc1", "", "", "ubuntu:22.04", "pkg:deb/ubuntu/hello@1%3A1.0~rc1?arch=amd64&distro=ubuntu-22.04"},
		{"hello", "1.0", "hello", "1.0", "", "pkg:deb/hello@1.0?arch=amd64"},
	} {
		inv := scan.Inventory{Subject: scan.Subject{Name: tt.name, Version: tt.version, Arch: "amd64", Source: tt.source, SourceVersion: tt.sourceVersion, OS: tt.os}}
		if got := debPURL(inv); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestUnite(t *testing.T) {
	match := func(severity, state, version string) string {
		return fmt.Sprintf(`{"vulnerability":{"id":"CVE-1-1","severity":%q,"fix":{"state":%q,"versions":[%q]}},"artifact":{"name":"x","type":"deb"}}`, severity, state, version)
	}
	for _, tt := range []struct {
		a, b string
		want scan.Finding
	}{
		{match("Low", "fixed", "1.0-1"), match("High", "fixed", "1.0-10"), scan.Finding{Severity: scan.High, FixState: scan.Fixed, FixedVersion: "1.0-10", Gates: true}},
		{match("Low", "fixed", "1.0-1"), match("Low", "not-fixed", ""), scan.Finding{Severity: scan.Low, FixState: scan.NotFixed, Gates: true}},
		{match("Negligible", "wont-fix", ""), match("Unknown", "fixed", "1"), scan.Finding{Severity: scan.Unknown, FixState: scan.WontFix, Gates: true}},
	} {
		for _, report := range []string{tt.a + "," + tt.b, tt.b + "," + tt.a} {
			got, _, err := parseGrype([]byte(`{"descriptor":{"name":"grype"},"matches":[`+report+`]}`), subject)
			if err != nil || len(got) != 1 {
				t.Fatalf("got %v, %v", got, err)
			}
			if g := got[0]; g.Severity != tt.want.Severity || g.FixState != tt.want.FixState || g.FixedVersion != tt.want.FixedVersion || g.Gates != tt.want.Gates {
				t.Errorf("got %s\nwant %s", text(g), text(tt.want))
			}
		}
	}
}

// sane fails if findings break what a Finding promises.
func sane(t *testing.T, findings []scan.Finding) {
	t.Helper()
	for i, f := range findings {
		switch {
		case !plainID(f.ID), f.Package == "", i > 0 && findings[i-1].ID > f.ID:
			t.Errorf("finding %d: %s", i, text(f))
		case (f.FixedVersion != "") != (f.FixState == scan.Fixed):
			t.Errorf("%s: fixed by %q, %s", f.ID, f.FixedVersion, f.FixState)
		case len(f.Description) > maxText, len(f.URLs) > maxURLs, f.Severity == "":
			t.Errorf("%s: too much or too little of it", f.ID)
		}
	}
}

func FuzzGrype(f *testing.F) {
	f.Add([]byte(grypeSample))
	f.Add([]byte(`{"matches":[],"descriptor":{"name":"grype"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		findings, covered, err := parseGrype(b, subject)
		if err != nil && (findings != nil || covered) {
			t.Error("an error with a result")
		}
		sane(t, findings)
		_, _ = parseGrypeStatus(b) // must not panic
	})
}

func FuzzTrivy(f *testing.F) {
	f.Add([]byte(trivySample))
	f.Add([]byte(`{"SchemaVersion":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		findings, covered, err := parseTrivy(b, subject)
		if err != nil && (findings != nil || covered) {
			t.Error("an error with a result")
		}
		sane(t, findings)
		_, _ = parseTrivyVersion(b) // must not panic
	})
}
