package sbom_test

import (
	"bytes"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/sbom"
	"github.com/repod-io/repod/sbom/sbomtest"
)

// documents are one of each kind that can be written.
func documents(t *testing.T) []sbom.Document {
	var list []sbom.Document
	for _, f := range []sbom.Format{sbom.CycloneDX, sbom.SPDX} {
		for _, version := range sbom.Versions(f) {
			for _, flat := range []bool{false, true} {
				d := document(t, f)
				d.SpecVersion, d.Flat = version, flat
				list = append(list, d)
			}
		}
	}
	return list
}

func document(tb testing.TB, f sbom.Format) sbom.Document {
	return sbom.Document{
		Format: f, Name: "sbom of jammy", State: "generation 7", Namespace: "https://apt.example.org/sbom",
		Timestamp: time.Date(2026, 5, 12, 10, 0, 0, 0, time.FixedZone("", 7200)), ToolVersion: "1.2.0",
		Author: sbom.Contact{Name: "Example", Email: "sbom@example.org", URL: "https://example.org/"},
		Root:   sbom.Root{Name: "jammy", Version: "7", Supplier: sbom.Contact{Name: "Example"}},

		Completeness: sbom.Complete, TempDir: tb.TempDir(),
	}
}

func number(f float64) *float64 { return &f }

// packages is a graph that has something of everything.
func packages() []sbom.Package {
	nginx := pkg("nginx", "1:1.24.0-1+b1", "nginx-core", "libc6", "absent")
	nginx.Source = sbom.Source{
		Name: "nginx", Version: "1:1.24.0-1", PURL: "pkg:deb/debian/nginx@1%3A1.24.0-1?arch=source",
		Download: "https://apt.example.org/pool/nginx_1.24.0-1.dsc",
	}
	nginx.License, nginx.LicenseTexts = "MIT AND (BSD-2-Clause OR LicenseRef-other)", map[string]string{"LicenseRef-other": "Do what you want."}
	nginx.Components = []sbom.Component{
		{Ecosystem: "Go", Name: "golang.org/x/net", Version: "v0.1.0", PURL: "pkg:golang/golang.org/x/net@v0.1.0", Paths: []string{"usr/bin/nginx", "usr/bin/b"}},
		{Ecosystem: "PyPI", Name: "six", Version: "1.0", PURL: "pkg:pypi/six@1.0", Paths: []string{"opt/x/six.whl"}, Licenses: []string{"MIT"}},
		{Ecosystem: "Maven", Name: "a:b", Paths: []string{"a.jar!/b.jar"}, Licenses: []string{"MIT", "The Apache License"}},
	}
	nginx.Vulnerabilities = []sbom.Vulnerability{
		{
			ID: "CVE-2024-1", SourceName: "Debian", SourceURL: "https://security-tracker.debian.org/", Advisories: []string{"DSA-5000-1"},
			URLs: []string{"https://security-tracker.debian.org/tracker/CVE-2024-1"}, Severity: sbom.High, CVSS: number(8.1),
			CVSSVersion: "3.1", EPSS: number(0.25), KEV: true, Description: "It overflows.", FixedVersion: "1:1.24.0-2",
			Analysis: &sbom.Analysis{
				State: sbom.Exploitable, Responses: []sbom.Response{sbom.WillNotFix}, Detail: "The risk is accepted.",
				FirstIssued: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC),
			},
		},
		{ID: "CVE-2024-2", Severity: sbom.Negligible, Analysis: &sbom.Analysis{State: sbom.NotAffected, Justification: sbom.CodeNotPresent}},
		{ID: "CVE-2024-2", Component: "pkg:golang/golang.org/x/net@v0.1.0", Severity: sbom.Low},
		{ID: "CVE-2024-2", Severity: sbom.High}, // said already
	}
	core := pkg("nginx-core", "1:1.24.0-1")
	core.Source = nginx.Source
	core.License, core.LicenseTexts = "LicenseRef-other", map[string]string{"LicenseRef-other": "Do what we want."}
	libc := pkg("libc6", "2.36-9", "libc6")
	libc.License, libc.CopyrightSHA256 = "GPL-2+", strings.Repeat("ab", 32)
	dev := pkg("libc6-dev", "2.36-9", "libc6", "libc6", "nginx")
	dev.Unresolved = []string{"linux-libc-dev"}
	unknown := pkg("g++", "4:12.2.0-3")
	unknown.DependenciesUnknown = true
	return []sbom.Package{nginx, core, libc, dev, unknown}
}

func pkg(name, version string, needs ...string) sbom.Package {
	p := sbom.Package{
		PURL: purl(name), Name: name, Version: version, Arch: "amd64", Distribution: "jammy", Section: "web", Status: "indexed",
		Maintainer:  sbom.Contact{Name: "Debian Team", Email: "team@lists.debian.org"},
		Distributor: sbom.Contact{Name: "Example"}, Description: "small, powerful server\nIt serves.",
		Homepage: "https://nginx.org/", VCS: "https://salsa.debian.org/nginx-team/nginx.git",
		Filename: "pool/main/n/" + name + "_1_amd64.deb", Download: "https://apt.example.org/pool/" + name + "_1_amd64.deb",
		Size:       123,
		Hashes:     sbom.Hashes{SHA256: strings.Repeat("0f", 32), SHA512: strings.Repeat("0a", 64)},
		Properties: []sbom.Property{{Name: "repod:origin", Value: "upload"}},
	}
	for _, n := range needs {
		p.DependsOn = append(p.DependsOn, purl(n))
	}
	return p
}

func purl(name string) string {
	return "pkg:deb/debian/" + strings.ReplaceAll(name, "+", "%2B") + "@1?arch=amd64&distro=jammy"
}

func each(list []sbom.Package) iter.Seq2[sbom.Package, error] {
	return func(yield func(sbom.Package, error) bool) {
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// write writes a document that has to be valid, and the same when it is written
// again.
func write(tb testing.TB, doc sbom.Document, list []sbom.Package) []byte {
	tb.Helper()
	var texts [2]bytes.Buffer
	for i := range texts {
		if err := sbom.Write(&texts[i], doc, each(list)); err != nil {
			tb.Fatal(err)
		}
	}
	text := texts[0].Bytes()
	if !bytes.Equal(text, texts[1].Bytes()) {
		tb.Fatalf("the same packages gave two documents:\n%s\n%s", text, texts[1].Bytes())
	}
	validate(tb, text)
	if err := sbomtest.CheckReferences(text); err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
	return text
}

// writeWhole writes a document that has all elements of NTIA and BSI as well.
func writeWhole(tb testing.TB, doc sbom.Document, list []sbom.Package) []byte {
	tb.Helper()
	text := write(tb, doc, list)
	if err := sbomtest.Check(text); err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
	return text
}
