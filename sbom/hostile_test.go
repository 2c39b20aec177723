package sbom_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/package-url/packageurl-go"
	"github.com/repod-io/repod/sbom"
	"github.com/repod-io/repod/sbom/sbomtest"
	"pgregory.net/rapid"
)

// nasty draws texts that break one thing or another.
func nasty() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"", "x", "\x00", "\xff\xfe", "\u202edeb", "a\nb\r\nc", `"`, `\`, `</script>`, "\u2028", "NOASSERTION", "NONE", "SPDXRef-DOCUMENT", "root",
			"pkg:npm/x@1", "pkg:npm/%zz", "pkg:deb/a b", "urn:cdx:1", "https://example.org/%41", "http://[::1", "javascript:alert(1)", "mailto:a@b", "a@b.c", "a@",
			"MIT", "GPL-2.0-or-later AND LicenseRef-x", "LicenseRef-x", "LicenseRef-x OR LicenseRef-y", "MIT AND", "LicenseRef-x-unknown",
			"Organization: x (a@b)", "a/../b.deb", "/", "..", string(bytes.Repeat([]byte("ä"), 9000)), string(bytes.Repeat([]byte{0x80}, 3000)),
		}),
		rapid.String(),
		rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")) }),
	)
}

// plainName draws names that packages may have.
func plainName() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"a", "b", "a-b", "a+b", "a.b", "a--b", "a-2Bb", "libc6"})
}

func nastyContact() *rapid.Generator[sbom.Contact] {
	return rapid.Custom(func(t *rapid.T) sbom.Contact {
		return sbom.Contact{Name: nasty().Draw(t, "name"), Email: nasty().Draw(t, "email"), URL: nasty().Draw(t, "url"), Person: rapid.Bool().Draw(t, "person")}
	})
}

func nastyNumber() *rapid.Generator[*float64] {
	return rapid.Custom(func(t *rapid.T) *float64 {
		f := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), -0.5, 9.8, 0.1, 1e300})).Draw(t, "f")
		return &f
	})
}

func nastyVulnerability() *rapid.Generator[sbom.Vulnerability] {
	return rapid.Custom(func(t *rapid.T) sbom.Vulnerability {
		text, texts := nasty(), rapid.SliceOfN(nasty(), 0, 3)
		v := sbom.Vulnerability{
			ID:        "CVE-" + text.Draw(t, "id"),
			Component: rapid.SampledFrom([]string{"", "pkg:npm/x@1", "pkg:npm/absent@1"}).Draw(t, "component"), SourceName: text.Draw(t, "source"), SourceURL: text.Draw(t, "url"),
			Advisories: texts.Draw(t, "advisories"), URLs: texts.Draw(t, "urls"), Severity: sbom.Severity(text.Draw(t, "severity")),
			CVSS: nastyNumber().Draw(t, "cvss"), CVSSVersion: rapid.SampledFrom([]string{"", "2.0", "3.0", "3.1", "4.0", "5"}).Draw(t, "version"),
			CVSSVector: text.Draw(t, "vector"), EPSS: nastyNumber().Draw(t, "epss"), KEV: true, Description: text.Draw(t, "description"), FixedVersion: text.Draw(t, "fixed"),
			Properties: []sbom.Property{{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")}},
		}
		if rapid.Bool().Draw(t, "decided") {
			v.Analysis = &sbom.Analysis{
				State:  rapid.SampledFrom([]sbom.State{sbom.Resolved, sbom.Exploitable, sbom.InTriage, sbom.FalsePositive, sbom.NotAffected}).Draw(t, "state"),
				Detail: text.Draw(t, "detail"), FirstIssued: time.Unix(rapid.Int64Range(-1e14, 1e14).Draw(t, "issued"), 0),
				Responses: rapid.SliceOfN(rapid.SampledFrom([]sbom.Response{sbom.Update, sbom.CanNotFix, sbom.Rollback}), 0, 3).Draw(t, "responses"),
			}
		}
		return v
	})
}

func nastyPackage() *rapid.Generator[sbom.Package] {
	return rapid.Custom(func(t *rapid.T) sbom.Package {
		text, texts := nasty(), rapid.SliceOfN(nasty(), 0, 4)
		p := sbom.Package{
			PURL: purl(plainName().Draw(t, "purl")), Name: "x" + text.Draw(t, "name"), Version: "1" + text.Draw(t, "version"),
			Arch: text.Draw(t, "arch"), Distribution: text.Draw(t, "distribution"), Section: text.Draw(t, "section"), Status: text.Draw(t, "status"),
			Maintainer: nastyContact().Draw(t, "maintainer"), Distributor: nastyContact().Draw(t, "distributor"), Description: text.Draw(t, "description"),
			Homepage: text.Draw(t, "homepage"), VCS: text.Draw(t, "vcs"), Filename: text.Draw(t, "filename"), Download: text.Draw(t, "download"),
			Hashes:  sbom.Hashes{MD5: text.Draw(t, "md5"), SHA1: text.Draw(t, "sha1"), SHA256: text.Draw(t, "sha256"), SHA512: text.Draw(t, "sha512")},
			License: text.Draw(t, "license"), LicenseTexts: map[string]string{"LicenseRef-x": text.Draw(t, "text")}, CopyrightSHA256: text.Draw(t, "copyright"),
			Unresolved: texts.Draw(t, "unresolved"), DependenciesUnknown: rapid.Bool().Draw(t, "unknown"),
			Vulnerabilities: rapid.SliceOfN(nastyVulnerability(), 0, 4).Draw(t, "vulnerabilities"),
			Properties:      []sbom.Property{{Name: text.Draw(t, "property"), Value: text.Draw(t, "value")}},
		}
		p.Source = sbom.Source{
			Name: text.Draw(t, "source"), Version: text.Draw(t, "source version"), Download: text.Draw(t, "dsc"),
			PURL: rapid.OneOf(text, rapid.Map(plainName(), purl), rapid.Just("pkg:deb/a@1#x")).Draw(t, "source purl"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "components") {
			p.Components = append(p.Components, sbom.Component{
				Ecosystem: text.Draw(t, "ecosystem"), Name: text.Draw(t, "component"), Version: text.Draw(t, "component version"), PURL: text.Draw(t, "component purl"),
				Paths: texts.Draw(t, "paths"), Licenses: texts.Draw(t, "licenses"),
			})
		}
		p.DependsOn = rapid.SliceOfN(rapid.OneOf(rapid.Map(plainName(), purl), text), 0, 6).Draw(t, "needs")
		return p
	})
}

// Whatever packages say of themselves, the documents about them are valid, refer to
// nothing that is not there, are the same each time, and have each package.
func TestHostilePackages(t *testing.T) {
	documents := documents(t)
	rapid.Check(t, func(rt *rapid.T) {
		doc := rapid.SampledFrom(documents).Draw(rt, "document")
		text := nasty()
		doc.Name, doc.State, doc.Author = "x"+text.Draw(rt, "name"), text.Draw(rt, "state"), nastyContact().Draw(rt, "author")
		doc.Tool, doc.ToolVersion = text.Draw(rt, "tool"), text.Draw(rt, "tool version")
		doc.Root = sbom.Root{
			Name: text.Draw(rt, "root"), Version: text.Draw(rt, "root version"), PURL: text.Draw(rt, "root purl"), Description: text.Draw(rt, "about"),
			Supplier: nastyContact().Draw(rt, "root supplier"), File: rapid.Bool().Draw(rt, "file"),
		}
		if rapid.Bool().Draw(rt, "some") {
			doc.Root.Contains = rapid.SliceOfN(rapid.Map(plainName(), purl), 0, 4).Draw(rt, "contains")
		}
		list := rapid.SliceOfNDistinct(nastyPackage(), 0, 5, func(p sbom.Package) string { return p.PURL }).Draw(rt, "packages")
		checkHostile(rt, doc, list)
	})
}

func checkHostile(rt *rapid.T, doc sbom.Document, list []sbom.Package) {
	var texts [2]bytes.Buffer
	for i := range texts {
		if err := sbom.Write(&texts[i], doc, each(list)); err != nil {
			rt.Fatal(err)
		}
	}
	text := texts[0].Bytes()
	if !bytes.Equal(text, texts[1].Bytes()) {
		rt.Fatalf("the same packages gave two documents")
	}
	if err := validateText(text); err != nil {
		rt.Fatalf("%v\n%s", err, text)
	}
	if err := sbomtest.CheckReferences(text); err != nil {
		rt.Fatalf("%v\n%s", err, text)
	}
	var count struct {
		Components []struct{ Components []any }
		Packages   []struct{ PrimaryPackagePurpose string }
	}
	if err := json.Unmarshal(text, &count); err != nil {
		rt.Fatal(err)
	}
	installed := 0
	for _, p := range count.Packages {
		if p.PrimaryPackagePurpose == "INSTALL" {
			installed++
		}
	}
	if n := max(len(count.Components), installed); n != len(list) || doc.Flat && len(count.Packages) > len(list) {
		rt.Fatalf("%d packages became %d\n%s", len(list), n, text)
	}
	for _, match := range anyPURL.FindAllSubmatch(text, -1) {
		if _, err := packageurl.FromString(string(match[1])); err != nil {
			rt.Fatalf("%s: %v", match[0], err)
		}
	}
	if err := againRead(doc.Format, text); err != nil {
		rt.Fatalf("the library cannot read it: %v\n%s", err, text)
	}
}

var anyPURL = regexp.MustCompile(`"(?:purl|referenceLocator)":"(pkg[^"]*)`)

// againRead reports whether the library of the format reads a document.
func againRead(f sbom.Format, text []byte) error {
	if f == sbom.SPDX {
		_, err := decodeSPDX(text)
		return err
	}
	bom, err := decodeCycloneDX(text)
	if err == nil && bom.Components == nil {
		err = fmt.Errorf("no components")
	}
	return err
}
