package sbomtest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/sbom"
)

// sound returns a document in which all is well.
func sound(t *testing.T, f sbom.Format) string {
	p := sbom.Package{
		PURL: "pkg:deb/debian/a@1?arch=all", Name: "a", Version: "1", Maintainer: sbom.Contact{Name: "M", Email: "m@example.org"},
		Filename: "a_1_all.deb", Download: "https://example.org/a_1_all.deb", License: "MIT AND LicenseRef-x",
		Hashes:     sbom.Hashes{SHA512: strings.Repeat("0f", 64)},
		Components: []sbom.Component{{Name: "embedded"}},
		DependsOn:  []string{"pkg:deb/debian/b@1?arch=all"},
		Vulnerabilities: []sbom.Vulnerability{
			{ID: "CVE-2026-1"},
		},
	}
	q := p
	q.PURL, q.Name, q.DependsOn, q.Components, q.Vulnerabilities, q.License = p.DependsOn[0], "b", nil, nil, nil, ""
	var out bytes.Buffer
	err := sbom.Write(&out, sbom.Document{
		Format: f, Name: "test", Timestamp: time.Unix(1e9, 0), Author: sbom.Contact{Name: "A", Email: "a@example.org"},
	}, func(yield func(sbom.Package, error) bool) {
		if yield(p, nil) {
			yield(q, nil)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestSound(t *testing.T) {
	for _, f := range []sbom.Format{sbom.CycloneDX, sbom.SPDX} {
		if err := Check([]byte(sound(t, f))); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// A document that is broken in one place, and the word of the fault that tells.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		format        sbom.Format
		old, new      string
		want          string
		onlyInElement bool
	}{
		{sbom.CycloneDX, `"dependsOn":["pkg:deb/debian/b@`, `"dependsOn":["pkg:deb/debian/c@`, "which is not there", false},
		{sbom.CycloneDX, `{"ref":"pkg:deb/debian/b@`, `{"ref":"pkg:deb/debian/c@`, "which is not there", false},
		{sbom.CycloneDX, `{"ref":"pkg:deb/debian/b@1?`, `{"ref":"pkg:deb/debian/a@1?`, "is there twice", false},
		{sbom.CycloneDX, `"bom-ref":"pkg:deb/debian/b@1?`, `"bom-ref":"pkg:deb/debian/a@1?`, "is there twice", false},
		{sbom.CycloneDX, `"bom-ref":"pkg:deb/debian/b@1?arch=all",`, ``, "has no reference", false},
		{sbom.CycloneDX, `"dependsOn":["pkg:deb/debian/b@1?`, `"dependsOn":["pkg:deb/debian/a@1?`, "depends on itself", false},
		{sbom.CycloneDX, `"dependsOn":["pkg`, `"dependsOn":["pkg:deb/debian/b@1?arch=all","pkg`, "is there twice", false},
		{sbom.CycloneDX, `"affects":[{"ref":"pkg`, `"affects":[{"ref":"pgk`, "which is not there", false},
		{sbom.CycloneDX, `"affects":[`, `"other":[`, "affects nothing", false},
		{sbom.CycloneDX, `"vulnerabilities":[`, `"vulnerabilities":[{"id":"CVE-2026-1","affects":[{"ref":"pkg:deb/debian/a@1?arch=all"}]},`, "is there twice", false},
		{sbom.CycloneDX, `"assemblies":["root"]`, `"assemblies":["roof"]`, "which is not there", false},
		{sbom.CycloneDX, `"MIT AND LicenseRef-x"`, `"MIT and LicenseRef-x"`, "the licence of", false},
		{sbom.CycloneDX, `"authors":`, `"other":`, "no author of SBOM data", true},
		{sbom.CycloneDX, `"timestamp":"2001`, `"timestamp":"once`, "no timestamp", true},
		{sbom.CycloneDX, `"supplier":`, `"other":`, "no supplier name", true},
		{sbom.CycloneDX, `"purl":`, `"other":`, "no other unique identifiers", true},
		{sbom.CycloneDX, `"version":"1"`, `"version":""`, "no component version", true},
		{sbom.CycloneDX, `"contact":`, `"other":`, "no component creator", true},
		{sbom.CycloneDX, `"email":`, `"other":`, "no creator of the SBOM", true},
		{sbom.CycloneDX, `"serialNumber":`, `"other":`, "no SBOM-URI", true},
		{sbom.CycloneDX, `"bsi:component:filename"`, `"x"`, "no filename", true},
		{sbom.CycloneDX, `"bsi:component:executable"`, `"x"`, "no executable property", true},
		{sbom.CycloneDX, `"bsi:component:archive"`, `"x"`, "no archive property", true},
		{sbom.CycloneDX, `"bsi:component:structured"`, `"x"`, "no structured property", true},
		{sbom.CycloneDX, `"repod:license"`, `"x"`, "no licences", true},
		{sbom.CycloneDX, `"SHA-512"`, `"SHA-256"`, "no hash value", true},
		{sbom.CycloneDX, `"type":"distribution"`, `"type":"other"`, "no URI of the deployable form", true},
		{sbom.CycloneDX, `"compositions":`, `"other":`, "no completeness of dependencies", true},
		{sbom.CycloneDX, `"dependencies":[` + "\n" + `{`, `"other":[` + "\n" + `{`, "no dependency relationship", true},

		{sbom.SPDX, `"relatedSpdxElement":"SPDXRef-deb`, `"relatedSpdxElement":"SPDXRef-bed`, "leads nowhere", false},
		{sbom.SPDX, `"spdxElementId":"SPDXRef-deb`, `"spdxElementId":"SPDXRef-bed`, "leads nowhere", false},
		{sbom.SPDX, `"SPDXID":"SPDXRef-deb-2Fdebian-2Fb`, `"SPDXID":"SPDXRef-deb-2Fdebian-2Fa`, "is there twice", false},
		{sbom.SPDX, `"SPDXID":"SPDXRef-root"`, `"SPDXID":"SPDXRef-röt"`, "is malformed", false},
		{sbom.SPDX, `"SPDXID":"SPDXRef-DOCUMENT"`, `"SPDXID":"SPDXRef-document"`, "the document's identifier", false},
		{sbom.SPDX, `"DESCRIBES"`, `"OTHER"`, "describes nothing", false},
		{sbom.SPDX, `"relationships":[`, `"relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"SPDXRef-root"},`, "is there twice", false},
		{sbom.SPDX, `"licenseId":"LicenseRef-x"`, `"licenseId":"LicenseRef-y"`, "is not declared", false},
		{sbom.SPDX, `"licenseDeclared":"MIT AND`, `"licenseDeclared":"MIT +`, "the licence of", false},
		{sbom.SPDX, `"Organization: A (a@example.org)"`, `"Tool: x"`, "no author of SBOM data", true},
		{sbom.SPDX, `(a@example.org)`, ``, "no creator of the SBOM", true},
		{sbom.SPDX, `"created":"2001`, `"created":"once`, "no timestamp", true},
		{sbom.SPDX, `"documentNamespace":`, `"other":`, "no SBOM-URI", true},
		{sbom.SPDX, `"supplier":`, `"other":`, "no supplier name", true},
		{sbom.SPDX, `"versionInfo":`, `"other":`, "no component version", true},
		{sbom.SPDX, `"referenceType":"purl"`, `"referenceType":"x"`, "no other unique identifiers", true},
		{sbom.SPDX, `"originator":`, `"other":`, "no component creator", true},
		{sbom.SPDX, `"packageFileName":`, `"other":`, "no filename", true},
		{sbom.SPDX, `"licenseDeclared":`, `"other":`, "no licences", true},
		{sbom.SPDX, `"SHA512"`, `"SHA256"`, "no hash value", true},
		{sbom.SPDX, `"downloadLocation":"https`, `"downloadLocation":"NOASSERTION","other":"https`, "no URI of the deployable form", true},
		{sbom.SPDX, `"DEPENDS_ON"`, `"OTHER"`, "no dependency relationship", true},

		{sbom.SPDX, `{"spdxVersion"`, `{"x"`, "neither CycloneDX nor SPDX", false},
		{sbom.SPDX, `{"spdxVersion"`, `"spdxVersion"`, "read the document", false},
		{sbom.CycloneDX, `"components":[`, `"components":1,"x":[`, "read the document", false},
	} {
		whole := sound(t, tt.format)
		broken := strings.ReplaceAll(whole, tt.old, tt.new)
		if broken == whole {
			t.Errorf("%s: there is no %s in\n%s", tt.format, tt.old, whole)
		}
		check := CheckReferences
		if tt.onlyInElement {
			check = CheckElements
		}
		if err := check([]byte(broken)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, with %s for %s: %v", tt.format, tt.new, tt.old, err)
		}
	}
}

func TestElements(t *testing.T) {
	names := Elements()
	slices.Sort(names)
	if len(slices.Compact(names)) != len(documentElements)+len(packageElements) {
		t.Errorf("some have one name: %q", names)
	}
}
