package sbom_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/repod-io/repod/sbom"
	"github.com/repod-io/repod/sbom/sbomtest"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

func TestNoPackages(t *testing.T) {
	for _, d := range documents(t) {
		text := writeWhole(t, d, nil)
		if list := "components"; d.Format == sbom.CycloneDX && !strings.Contains(string(text), `"`+list+`":[`) {
			t.Errorf("there is no list of %s: %s", list, text)
		}
	}
}

// The contract's properties, in CycloneDX and in the comment of SPDX.
func TestProperties(t *testing.T) {
	want := []string{
		"repod:arch=amd64", "repod:distribution=jammy", "repod:section=web", "repod:status=indexed", "repod:size=123",
		"repod:license=NOASSERTION", "repod:license_declared=GPL-2+", "repod:copyright_sha256=" + strings.Repeat("ab", 32), "repod:origin=upload",
	}
	for _, d := range documents(t) {
		text := writeWhole(t, d, packages())
		var got []string
		if d.Format == sbom.SPDX {
			got = strings.Split(spdxPackage(t, text, "libc6").PackageComment, "\n")
			if last := len(got) - 1; got[last] != "repod:distributor=Example" {
				t.Errorf("the distributor is %q", got[last])
			}
			got = got[:len(got)-1]
		} else {
			for _, p := range *component(t, text, "libc6").Properties {
				if !strings.HasPrefix(p.Name, "bsi:") {
					got = append(got, p.Name+"="+p.Value)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: properties %q, want %q", d.Format, got, want)
		}
	}
}

func component(t *testing.T, text []byte, name string) cdx.Component {
	t.Helper()
	bom, err := decodeCycloneDX(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range *bom.Components {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no %s", name)
	return cdx.Component{}
}

func spdxPackage(t *testing.T, text []byte, name string) *v2_3.Package {
	t.Helper()
	d, err := decodeSPDX(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Packages {
		if p.PackageName == name && p.PrimaryPackagePurpose == "INSTALL" {
			return p
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// What version 1.5 has no field for is left out, or said elsewhere.
func TestCycloneDX15(t *testing.T) {
	d := document(t, sbom.CycloneDX)
	for _, version := range sbom.Versions(d.Format) {
		d.SpecVersion = version
		nginx := component(t, writeWhole(t, d, packages()), "nginx")
		license, source := (*nginx.Licenses)[0], (*nginx.ExternalReferences)[1]
		if new := version != "1.5"; new != (nginx.Manufacturer != nil) || new != (license.Acknowledgement != nil) ||
			new != (source.Type == cdx.ERTypeSourceDistribution) || new != (nginx.Author == "") {
			t.Errorf("%s: %+v, licence %+v, source %+v", version, nginx, license, source)
		}
		if source.URL != packages()[0].Source.Download {
			t.Errorf("%s: source %+v", version, source)
		}
	}
}

// A preview has as many packages as it was given, whatever they bring along, and
// says of them what it knows of that.
func TestFlat(t *testing.T) {
	list := packages()[:2]
	list[0].Vulnerabilities = list[0].Vulnerabilities[2:3] // of a component
	for _, d := range documents(t) {
		d.Completeness = sbom.Incomplete
		text := writeWhole(t, d, list)
		if d.Format == sbom.SPDX {
			read, _ := decodeSPDX(text)
			if (len(read.Packages) == len(list)) != d.Flat {
				t.Errorf("flat %t: %d packages", d.Flat, len(read.Packages))
			}
			nginx := spdxPackage(t, text, "nginx")
			if advised := slices.ContainsFunc(nginx.PackageExternalReferences, func(r *v2_3.PackageExternalReference) bool {
				return r.Category == "SECURITY"
			}); advised != d.Flat {
				t.Errorf("flat %t: references %v", d.Flat, nginx.PackageExternalReferences)
			}
			if !strings.Contains(read.DocumentComment, "packages: incomplete") {
				t.Errorf("the completeness is told as %q", read.DocumentComment)
			}
			continue
		}
		bom, _ := decodeCycloneDX(text)
		if n := len(*bom.Components); n != len(list) || d.Flat != ((*bom.Components)[0].Components == nil) {
			t.Errorf("flat %t: %d packages: %+v", d.Flat, n, *bom.Components)
		}
		of := (*(*bom.Vulnerabilities)[0].Affects)[0].Ref
		if want := list[0].PURL; d.Flat != (of == want) {
			t.Errorf("flat %t: the vulnerability is in %s", d.Flat, of)
		}
	}
}

// A document about one package has those that it needs beside it.
func TestDocumentOfOnePackage(t *testing.T) {
	list := packages()
	for _, d := range documents(t) {
		d.Root = sbom.Root{File: true, Name: "nginx_1.deb", Hashes: list[0].Hashes, Contains: []string{list[0].PURL, list[0].PURL, "pkg:deb/absent@1"}}
		text := writeWhole(t, d, list)
		switch {
		case d.Format == sbom.CycloneDX:
			bom, _ := decodeCycloneDX(text)
			root := (*bom.Dependencies)[0]
			if root.Ref != bom.Metadata.Component.BOMRef || !slices.Equal(*root.Dependencies, d.Root.Contains[:1]) {
				t.Errorf("the root contains %+v", root)
			}
			if c := bom.Metadata.Component; c.Type != cdx.ComponentTypeFile || len(*c.Hashes) != 2 {
				t.Errorf("the root is %+v", c)
			}
		case !d.Flat:
			read, _ := decodeSPDX(text)
			if r := read.Packages[0]; r.PrimaryPackagePurpose != "FILE" || r.PackageName != "nginx_1.deb" {
				t.Errorf("the root is %+v", r)
			}
			contained := 0
			for _, r := range read.Relationships {
				if r.RefA.ElementRefID == read.Packages[0].PackageSPDXIdentifier {
					contained++
				}
			}
			if contained != 1 {
				t.Errorf("the root contains %d packages", contained)
			}
		}
	}
}

// Each licence reference of a document leads to the text that its package has for
// it, however many have the same name.
func TestLicenseTexts(t *testing.T) {
	texts := []string{"one", "two", "", "one", "three", ""}
	var list []sbom.Package
	for i, text := range texts {
		p := pkg("p"+string(rune('0'+i)), "1")
		p.License = "MIT OR LicenseRef-x"
		if text != "" {
			p.LicenseTexts = map[string]string{"LicenseRef-x": text}
		}
		list = append(list, p)
	}
	read, err := decodeSPDX(writeWhole(t, document(t, sbom.SPDX), list))
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]string{}
	for _, l := range read.OtherLicenses {
		declared["MIT OR "+l.LicenseIdentifier] = l.ExtractedText
	}
	var got []string
	for _, p := range read.Packages {
		if p.PrimaryPackagePurpose == "INSTALL" {
			got = append(got, declared[p.PackageLicenseDeclared])
		}
	}
	unknown := "The text of this licence is not known to the author of the document."
	if want := []string{"one", "two", unknown, "one", "three", unknown}; !slices.Equal(got, want) || len(declared) != 4 {
		t.Errorf("texts %q, want %q", got, want)
	}
}

func TestVulnerabilities(t *testing.T) {
	bom, err := decodeCycloneDX(writeWhole(t, document(t, sbom.CycloneDX), packages()))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(*bom.Vulnerabilities); n != 3 {
		t.Fatalf("%d vulnerabilities", n)
	}
	got, _ := json.Marshal((*bom.Vulnerabilities)[0])
	want := `{"id":"CVE-2024-1","source":{"name":"Debian","url":"https://security-tracker.debian.org/"},` +
		`"references":[{"id":"DSA-5000-1","source":{"name":"DSA"}}],` +
		`"ratings":[{"source":{"name":"Debian"},"severity":"high","method":"other"},{"score":8.1,"method":"CVSSv31"}],` +
		`"description":"It overflows.","recommendation":"Fixed in nginx 1:1.24.0-2.",` +
		`"advisories":[{"url":"https://security-tracker.debian.org/tracker/CVE-2024-1"}],` +
		`"analysis":{"state":"exploitable","response":["will_not_fix"],"detail":"The risk is accepted.","firstIssued":"2026-05-01T00:00:00Z"},` +
		`"affects":[{"ref":"pkg:deb/debian/nginx@1?arch=amd64\u0026distro=jammy","versions":[{"version":"1:1.24.0-1+b1","status":"affected"}]}],` +
		`"properties":[{"name":"repod:kev","value":"true"},{"name":"repod:epss","value":"0.25"},{"name":"repod:fixed_version","value":"1:1.24.0-2"}]}`
	if string(got) != want {
		t.Errorf("the vulnerability is\n%s\nand not\n%s", got, want)
	}
}

// How complete dependencies are is told from those that are missing.
func TestCompleteness(t *testing.T) {
	bom, err := decodeCycloneDX(writeWhole(t, document(t, sbom.CycloneDX), packages()))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]cdx.CompositionAggregate{}
	for _, c := range *bom.Compositions {
		if c.Dependencies != nil {
			for _, ref := range *c.Dependencies {
				got[string(ref)] += c.Aggregate
			}
		}
	}
	for name, want := range map[string]cdx.CompositionAggregate{
		"nginx": "incomplete", "nginx-core": "complete", "libc6": "complete", "libc6-dev": "incomplete", "g++": "unknown",
	} {
		if got[purl(name)] != want {
			t.Errorf("the dependencies of %s are %s, want %s", name, got[purl(name)], want)
		}
	}
	if got["root"] != "complete" {
		t.Errorf("the packages of the root are %s", got["root"])
	}
	read, err := decodeSPDX(writeWhole(t, document(t, sbom.SPDX), packages()))
	if err != nil {
		t.Fatal(err)
	}
	special := map[string]string{}
	for _, r := range read.Relationships {
		special[string(r.RefA.ElementRefID)] += r.RefB.SpecialID
	}
	for name, want := range map[string]string{"nginx": "NOASSERTION", "nginx-core": "NONE", "libc6": "NONE", "libc6-dev": "NOASSERTION", "g++": "NOASSERTION"} {
		if id := string(spdxPackage(t, writeWhole(t, document(t, sbom.SPDX), packages()), name).PackageSPDXIdentifier); special[id] != want {
			t.Errorf("%s depends on %q, want %q", name, special[id], want)
		}
	}
}

func TestMediaType(t *testing.T) {
	for want, d := range map[string]sbom.Document{
		"application/spdx+json":                       {Format: sbom.SPDX},
		"application/vnd.cyclonedx+json; version=1.6": {Format: sbom.CycloneDX},
		"application/vnd.cyclonedx+json; version=1.5": {Format: sbom.CycloneDX, SpecVersion: "1.5"},
	} {
		if got := d.MediaType(); got != want {
			t.Errorf("%+v is %s", d, got)
		}
	}
	if sbom.Versions("cyclone") != nil {
		t.Error("there are versions of an unknown format")
	}
}

// The manual's table has each element that documents are held to.
func TestManual(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sbomtest.Elements() {
		if !strings.Contains(string(source), "\n//\t"+name+" ") {
			t.Errorf("the manual has no row of %s", name)
		}
	}
}

// What has the wrong form for its field is in no document.
func TestMalformed(t *testing.T) {
	p := pkg("a", "1")
	p.Maintainer = sbom.Contact{Name: "Wrong One", Email: "wrong one@example.org", URL: "wrong:one"}
	p.Distributor = p.Maintainer
	p.Homepage, p.VCS, p.Download = "javascript://wrong/", "file:///wrong", "https://wrong one/"
	p.Hashes = sbom.Hashes{MD5: "wrong", SHA1: strings.Repeat("0f", 32), SHA256: strings.Repeat("0g", 32), SHA512: strings.Repeat("0a", 64)}
	p.CopyrightSHA256, p.Filename = "wrong", "wrong/.."
	p.Source = sbom.Source{Name: "source", PURL: "pkg:deb/wrong@1#x", Download: "wrong"}
	p.Components = []sbom.Component{{Name: "c", PURL: "pkg:npm/wrong%zz"}, {Name: "d", PURL: "pkg:npm//@wrong?"}, {Name: "e", PURL: "pkg:maven/wrong?a=b=c&=d"}}
	p.Vulnerabilities = []sbom.Vulnerability{{
		ID: "CVE-2026-1", SourceURL: "wrong", URLs: []string{"wrong"}, Severity: "wrong", CVSS: number(11), EPSS: number(-1), CVSSVersion: "wrong",
		Analysis: &sbom.Analysis{State: sbom.InTriage, FirstIssued: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)},
	}}
	for _, d := range documents(t) {
		d.Author, d.Root.PURL, d.Root.Supplier = p.Maintainer, "pkg:wrong", p.Maintainer
		text := string(write(t, d, []sbom.Package{p}))
		for _, wrong := range []string{"wrong", "0g0g", "12345", `"SHA-1"`, `"SHA1"`, "#x", "epss", `"score"`} {
			if at := strings.Index(text, wrong); at >= 0 {
				t.Errorf("%s %s has %s: %s", d.Format, d.SpecVersion, wrong, text[max(0, at-80):min(len(text), at+80)])
			}
		}
		if !strings.Contains(text, "Wrong One") || !strings.Contains(text, "CVE-2026-1") || !strings.Contains(text, strings.Repeat("0a", 64)) {
			t.Errorf("%s: what is sound is left out as well: %s", d.Format, text)
		}
	}
}
