package sbomtest

import (
	"regexp"
	"strings"

	"github.com/repod-io/repod/sbom"
)

// A spdx is what is checked of an SPDX document.
type spdx struct {
	SPDXID            string
	DocumentNamespace string
	CreationInfo      struct {
		Created  string
		Creators []string
	}
	Packages      []spdxPackage
	Relationships []struct {
		A string `json:"spdxElementId"`
		B string `json:"relatedSpdxElement"`
		T string `json:"relationshipType"`
	}
	Extracted []struct{ LicenseID, ExtractedText string } `json:"hasExtractedLicensingInfos"`
}

type spdxPackage struct {
	SPDXID, Name, VersionInfo, PackageFileName               string
	Supplier, Originator, DownloadLocation                   string
	LicenseDeclared, LicenseConcluded, PrimaryPackagePurpose string
	Checksums                                                []struct{ Algorithm, ChecksumValue string }
	ExternalRefs                                             []struct{ ReferenceType, ReferenceLocator string }
}

var (
	spdxID     = regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	licenseRef = regexp.MustCompile(`LicenseRef-[A-Za-z0-9.-]+`)
)

func (d *spdx) references(f *faults) {
	refs := newOnce("the identifier", f)
	refs.add(d.SPDXID)
	if d.SPDXID != "SPDXRef-DOCUMENT" {
		f.add("the document's identifier is %q", d.SPDXID)
	}
	declared := newOnce("the licence", f)
	for _, l := range d.Extracted {
		declared.add(l.LicenseID)
	}
	for _, p := range d.Packages {
		refs.add(p.SPDXID)
		if !spdxID.MatchString(p.SPDXID) {
			f.add("the identifier %q is malformed", p.SPDXID)
		}
		for _, l := range []string{p.LicenseDeclared, p.LicenseConcluded} {
			p.license(l, declared.seen, f)
		}
	}
	described := false
	each := newOnce("the relationship", f)
	for _, r := range d.Relationships {
		each.add(r.A + " " + r.T + " " + r.B)
		described = described || r.A == d.SPDXID && r.T == "DESCRIBES"
		if !refs.seen[r.A] || !refs.seen[r.B] && r.B != "NONE" && r.B != "NOASSERTION" {
			f.add("the relationship %s %s %s leads nowhere", r.A, r.T, r.B)
		}
	}
	if !described && len(d.Packages) > 0 {
		f.add("the document describes nothing")
	}
}

// license checks an expression of a package.
func (p *spdxPackage) license(expression string, declared map[string]bool, f *faults) {
	if expression == "NOASSERTION" || expression == "NONE" {
		return
	}
	if err := sbom.CheckLicense(expression); err != nil {
		f.add("the licence of %s: %w", p.SPDXID, err)
	}
	for _, ref := range licenseRef.FindAllString(expression, -1) {
		if !declared[ref] {
			f.add("the licence %s of %s is not declared", ref, p.SPDXID)
		}
	}
}

// agent splits "Organization: name (e-mail)", without the e-mail.
func (*spdx) agent(s string) (kind, name string) {
	kind, name, ok := strings.Cut(s, ": ")
	if !ok {
		return "", ""
	}
	name, _, _ = strings.Cut(name, " (")
	return kind, name
}

// reachable reports whether an agent has an address.
func reachable(agent string) bool {
	return strings.Contains(agent, "@") && strings.HasSuffix(agent, ")")
}

// packages returns those that install something: neither the root nor sources nor
// embedded software.
func (d *spdx) packages() []pkg {
	depends := map[string]bool{}
	for _, r := range d.Relationships {
		if r.T == "DEPENDS_ON" {
			depends[r.A] = true
		}
	}
	var list []pkg
	for _, s := range d.Packages {
		if s.PrimaryPackagePurpose != "INSTALL" {
			continue
		}
		p := pkg{
			ref: s.SPDXID, name: s.Name, version: s.VersionInfo, filename: s.PackageFileName,
			contact: reachable(s.Originator), depends: depends[s.SPDXID], complete: depends[s.SPDXID],
			license: s.LicenseDeclared != "", download: strings.Contains(s.DownloadLocation, "://"),
		}
		_, p.supplier = d.agent(s.Supplier)
		for _, r := range s.ExternalRefs {
			if r.ReferenceType == "purl" {
				p.purl = r.ReferenceLocator
			}
		}
		for _, h := range s.Checksums {
			p.sha512 = p.sha512 || h.Algorithm == "SHA512" && len(h.ChecksumValue) == 128
		}
		list = append(list, p)
	}
	return list
}
