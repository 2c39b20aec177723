package sbom_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/repod-io/repod/sbom"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

func TestRoundTrip(t *testing.T) {
	for _, d := range documents(t) {
		t.Run(fmt.Sprintf("%s %s flat=%t", d.Format, d.SpecVersion, d.Flat), func(t *testing.T) {
			text := writeWhole(t, d, packages())
			want := wantGraph(d)
			read := readCycloneDX
			if d.Format == sbom.SPDX {
				read = readSPDX
			}
			got, again := read(t, text)
			if !slices.Equal(got, want) {
				t.Errorf("the graph is\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if where := difference("", normal(t, text), normal(t, again)); where != "" {
				t.Errorf("the library writes what it has read differently: %s", where)
			}
		})
	}
}

// wantGraph returns the graph of packages, as lines.
func wantGraph(d sbom.Document) []string {
	var lines []string
	list := packages()
	for _, p := range list {
		license := p.License
		switch {
		case sbom.CheckLicense(license) != nil:
			license = ""
		case p.Name == "nginx-core" && d.Format == sbom.SPDX: // the second text of this name
			license = fmt.Sprintf("LicenseRef-other-%x", sha256.Sum256([]byte(p.LicenseTexts[license])))[:49]
		}
		lines = append(lines, fmt.Sprintf("package %s %s %s %s %s", p.PURL, p.Name, p.Version, p.Hashes.SHA512, license))
		for _, ref := range p.DependsOn {
			if ref != p.PURL && slices.ContainsFunc(list, func(q sbom.Package) bool { return q.PURL == ref }) {
				lines = append(lines, p.PURL+" needs "+ref)
			}
		}
		if p.Source.PURL != "" && (d.Format == sbom.CycloneDX || !d.Flat) {
			lines = append(lines, p.PURL+" from "+p.Source.PURL)
		}
		for _, c := range p.Components {
			if !d.Flat {
				lines = append(lines, fmt.Sprintf("%s contains %s %s %s", p.PURL, c.Name, c.Version, c.PURL))
			}
		}
	}
	if d.Format == sbom.SPDX {
		return slices.Compact(slices.Sorted(slices.Values(append(lines,
			"CVE-2024-1: exploitable in nginx", "CVE-2024-2: not_affected in nginx",
			map[bool]string{false: "CVE-2024-2 in golang.org/x/net", true: "CVE-2024-1: exploitable in nginx"}[d.Flat]))))
	}
	nginx := list[0].PURL
	lines = append(lines, "CVE-2024-1 in "+nginx+": exploitable", "CVE-2024-2 in "+nginx+": not_affected")
	if !d.Flat {
		lines = append(lines, "CVE-2024-2 in "+nginx+"#component-1: ")
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func decodeCycloneDX(text []byte) (*cdx.BOM, error) {
	var bom cdx.BOM
	err := cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(&bom)
	return &bom, err
}

func decodeSPDX(text []byte) (*v2_3.Document, error) {
	var d v2_3.Document
	err := spdxjson.ReadInto(bytes.NewReader(text), &d)
	return &d, err
}

// readCycloneDX returns the graph of a document, and the document as the library
// writes it.
func readCycloneDX(t *testing.T, text []byte) (lines []string, again []byte) {
	bom, err := decodeCycloneDX(text)
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]bool{}
	for _, c := range *bom.Components {
		packages[c.BOMRef] = true
		sha512, license := (*c.Hashes)[len(*c.Hashes)-1].Value, ""
		if c.Licenses != nil {
			license = (*c.Licenses)[0].Expression
		}
		lines = append(lines, fmt.Sprintf("package %s %s %s %s %s", c.PackageURL, c.Name, c.Version, sha512, license))
		if c.Pedigree != nil {
			lines = append(lines, c.PackageURL+" from "+(*c.Pedigree.Ancestors)[0].PackageURL)
		}
		if c.Components == nil {
			continue
		}
		for _, e := range *c.Components {
			if !slices.ContainsFunc(*bom.Dependencies, func(d cdx.Dependency) bool {
				return d.Ref == c.BOMRef && slices.Contains(*d.Dependencies, e.BOMRef)
			}) {
				t.Errorf("%s is no dependency of %s", e.BOMRef, c.BOMRef)
			}
			lines = append(lines, fmt.Sprintf("%s contains %s %s %s", c.PackageURL, e.Name, e.Version, e.PackageURL))
		}
	}
	for _, d := range *bom.Dependencies {
		for _, ref := range *d.Dependencies {
			if packages[d.Ref] && packages[ref] {
				lines = append(lines, d.Ref+" needs "+ref)
			}
		}
	}
	for _, v := range *bom.Vulnerabilities {
		state := cdx.ImpactAnalysisState("")
		if v.Analysis != nil {
			state = v.Analysis.State
		}
		lines = append(lines, fmt.Sprintf("%s in %s: %s", v.ID, (*v.Affects)[0].Ref, state))
	}
	slices.Sort(lines)
	var out bytes.Buffer
	// In the version that it has, the library has nothing to leave out.
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).EncodeVersion(bom, bom.SpecVersion); err != nil {
		t.Fatal(err)
	}
	return lines, out.Bytes()
}

// readSPDX is readCycloneDX for SPDX.
func readSPDX(t *testing.T, text []byte) (lines []string, again []byte) {
	d, err := decodeSPDX(text)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[common.ElementID]*v2_3.Package{}
	purls := map[common.ElementID]string{}
	for _, p := range d.Packages {
		byID[p.PackageSPDXIdentifier] = p
		for _, r := range p.PackageExternalReferences {
			switch r.Category {
			case common.CategoryPackageManager:
				purls[p.PackageSPDXIdentifier] = r.Locator
			case common.CategorySecurity:
				lines = append(lines, r.ExternalRefComment+" in "+p.PackageName)
			}
		}
		if p.PrimaryPackagePurpose != "INSTALL" {
			continue
		}
		license := strings.TrimPrefix(p.PackageLicenseDeclared, "NOASSERTION")
		lines = append(lines, fmt.Sprintf("package %s %s %s %s %s", purls[p.PackageSPDXIdentifier], p.PackageName, p.PackageVersion,
			p.PackageChecksums[len(p.PackageChecksums)-1].Value, license))
	}
	for _, r := range d.Relationships {
		a, b := purls[r.RefA.ElementRefID], purls[r.RefB.ElementRefID]
		switch r.Relationship {
		case common.TypeRelationshipDependsOn:
			if r.RefB.SpecialID == "" {
				lines = append(lines, a+" needs "+b)
			}
		case common.TypeRelationshipGeneratedFrom:
			lines = append(lines, a+" from "+b)
		case common.TypeRelationshipContains:
			if a != "" {
				e := byID[r.RefB.ElementRefID]
				lines = append(lines, fmt.Sprintf("%s contains %s %s %s", a, e.PackageName, e.PackageVersion, b))
			}
		}
	}
	slices.Sort(lines)
	var out bytes.Buffer
	if err := spdxjson.Write(d, &out); err != nil {
		t.Fatal(err)
	}
	return lines, out.Bytes()
}

// normal returns a JSON document without empty lists, which the libraries leave
// out.
func normal(t *testing.T, text []byte) any {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	var strip func(any) any
	strip = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				if list, ok := member.([]any); ok && len(list) == 0 {
					delete(v, name)
				} else {
					v[name] = strip(member)
				}
			}
		case []any:
			for i := range v {
				v[i] = strip(v[i])
			}
		}
		return v
	}
	return strip(value)
}

// difference returns where two JSON values differ, "" if they do not.
func difference(path string, a, b any) string {
	switch a := a.(type) {
	case map[string]any:
		b, _ := b.(map[string]any)
		for name := range a {
			if where := difference(path+"."+name, a[name], b[name]); where != "" {
				return where
			}
		}
		if len(a) == len(b) {
			return ""
		}
	case []any:
		b, _ := b.([]any)
		if len(a) == len(b) {
			for i := range a {
				if where := difference(fmt.Sprintf("%s[%d]", path, i), a[i], b[i]); where != "" {
					return where
				}
			}
			return ""
		}
	}
	if reflect.DeepEqual(a, b) {
		return ""
	}
	return fmt.Sprintf("%s is %v, then %v", path, a, b)
}
