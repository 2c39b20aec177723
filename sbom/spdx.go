package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const noAssertion = "NOASSERTION"

// A spdxWriter writes SPDX: packages at once, the texts of licences to a spool,
// and the relationships when there are no more packages.
type spdxWriter struct {
	*writer
	packages *array
	licenses *array
	p        spdxPackage // the last one

	// texts has the licence references of the document, each with the digest of its
	// text, "" if that is not known.
	texts map[string]string
}

// A spdxPackage is a package of SPDX whose references are strings: those of the
// library have methods that make marshalling slow. It marshals to the same.
type spdxPackage struct {
	v2_3.Package
	ID           string         `json:"SPDXID"`
	Supplier     string         `json:"supplier,omitempty"`
	Originator   string         `json:"originator,omitempty"`
	ExternalRefs []spdxExternal `json:"externalRefs,omitempty"`
}

// A spdxExternal is an external reference without methods.
type spdxExternal v2_3.PackageExternalReference

// A spdxRelationship is a relationship whose references are strings.
type spdxRelationship struct {
	v2_3.Relationship
	A string `json:"spdxElementId"`
	B string `json:"relatedSpdxElement"`
}

func (w *spdxWriter) head() error {
	w.packages, w.licenses = newArray(w.out), newArray(&w.later)
	creators := []common.Creator{{CreatorType: "Tool", Creator: w.tool()}, w.doc.author().creator()}
	if err := w.raw("{"); err != nil {
		return err
	}
	err := w.fields(
		field{"spdxVersion", v2_3.Version}, field{"dataLicense", v2_3.DataLicense},
		field{"SPDXID", common.ElementID("DOCUMENT")}, field{"name", oneLine(w.doc.Name)},
		field{"documentNamespace", w.doc.namespace()},
		field{"creationInfo", v2_3.CreationInfo{
			LicenseListVersion: licenseListVersion, Creators: creators, Created: w.doc.timestamp(),
		}},
		field{"comment", w.comment()},
	)
	if err != nil {
		return err
	}
	if err := w.raw(`"packages":[`, "\n"); err != nil || w.doc.Flat {
		return err
	}
	return w.packages.put(w.root())
}

// tool returns the tool as SPDX wants it: with the version after a hyphen.
func (w *spdxWriter) tool() string {
	if version := oneLine(w.doc.ToolVersion); version != "" {
		return w.doc.tool() + "-" + version
	}
	return w.doc.tool()
}

// comment tells how complete the document is.
func (w *spdxWriter) comment() string {
	list := Unknown
	if w.doc.Completeness != "" {
		list = w.doc.Completeness
	}
	return fmt.Sprintf("Completeness of the list of packages: %s; of what they bring along inside: %s. "+
		"A package's list of dependencies is complete unless it has NOASSERTION.", list, Incomplete)
}

// creator returns a contact that was cleaned as SPDX writes one.
func (c Contact) creator() common.Creator {
	kind := "Organization"
	if c.Person {
		kind = "Person"
	}
	if c.Email != "" {
		return common.Creator{CreatorType: kind, Creator: c.Name + " (" + c.Email + ")"}
	}
	return common.Creator{CreatorType: kind, Creator: c.Name}
}

// spdx returns a contact that was cleaned as SPDX names suppliers.
func (c Contact) spdx() string {
	if c.Name == "" || c.Name == noAssertion {
		return noAssertion
	}
	creator := c.creator()
	return creator.CreatorType + ": " + creator.Creator
}

func (w *spdxWriter) root() *spdxPackage {
	r := w.doc.root()
	p := w.blank(rootRef, r.Name, r.Version, "APPLICATION", r.PURL)
	if r.File {
		p.PrimaryPackagePurpose = "FILE"
	}
	p.Supplier = r.Supplier.spdx()
	p.Originator = p.Supplier
	p.PackageDescription = r.Description
	p.PackageChecksums = r.Hashes.spdx(p.PackageChecksums)
	return p
}

// blank returns a package that claims nothing it was not told. It is good until
// the next one.
func (w *spdxWriter) blank(ref, name, version, purpose, purl string) *spdxPackage {
	p := &w.p
	*p = spdxPackage{ID: spdxID(ref), Supplier: noAssertion, ExternalRefs: p.ExternalRefs[:0], Package: v2_3.Package{
		PackageName: name, PackageVersion: version, PackageDownloadLocation: noAssertion,
		PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion,
		PrimaryPackagePurpose: purpose, PackageChecksums: p.PackageChecksums[:0],
	}}
	if purl != "" {
		p.ExternalRefs = append(p.ExternalRefs, spdxExternal{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl,
		})
	}
	return p
}

// spdx appends the digests that are well-formed.
func (h Hashes) spdx(list []common.Checksum) []common.Checksum {
	add := func(algorithm common.ChecksumAlgorithm, value string, digits int) {
		if isHex(value, digits) {
			list = append(list, common.Checksum{Algorithm: algorithm, Value: value})
		}
	}
	add(common.MD5, h.MD5, 32)
	add(common.SHA1, h.SHA1, 40)
	add(common.SHA256, h.SHA256, 64)
	add(common.SHA512, h.SHA512, 128)
	return list
}

func (w *spdxWriter) add(p *Package) error {
	license, err := w.license(p)
	if err != nil {
		return err
	}
	if err := w.packages.put(w.spdxPackage(p, license)); err != nil {
		return err
	}
	source, err := w.source(p)
	if err != nil {
		return err
	}
	if err := w.embedded(p); err != nil {
		return err
	}
	return w.link(p, source)
}

func (w *spdxWriter) spdxPackage(p *Package, license string) *spdxPackage {
	// The file installs software: that is what its purpose is called.
	s := w.blank(p.PURL, oneLine(p.Name), oneLine(p.Version), "INSTALL", p.PURL)
	s.Supplier = p.Maintainer.clean().spdx()
	s.Originator = s.Supplier
	s.PackageFileName = baseName(p.Filename)
	s.PackageChecksums = p.Hashes.spdx(s.PackageChecksums)
	if validURL(p.Download) {
		s.PackageDownloadLocation = p.Download
	}
	if validURL(p.Homepage) {
		s.PackageHomePage = p.Homepage
	}
	if license != "" {
		s.PackageLicenseDeclared = license
	}
	description := paragraph(p.Description)
	s.PackageSummary, _, _ = strings.Cut(description, "\n")
	if description != s.PackageSummary {
		s.PackageDescription = description
	}
	if name := oneLine(p.Source.Name); name != "" {
		s.PackageSourceInfo = strings.TrimSpace("built from the source package " + name + " " + oneLine(p.Source.Version))
	}
	var comment lines
	p.eachProperty(license, comment.add)
	if by := p.Distributor.clean().Name; by != "" {
		comment.add("repod:distributor", by)
	}
	s.PackageComment = comment.String()
	if validVCS(p.VCS) {
		s.ExternalRefs = append(s.ExternalRefs, spdxExternal{Category: common.CategoryOther, RefType: "vcs", Locator: p.VCS})
	}
	s.advise(p, func(owners []int) bool { return owners == nil }, w.doc.Flat)
	return s
}

// lines are properties as a comment, one a line.
type lines struct{ strings.Builder }

func (l *lines) add(name, value string) {
	if l.Len() == 0 {
		l.Grow(256)
	} else {
		l.WriteByte('\n')
	}
	l.WriteString(name)
	l.WriteByte('=')
	l.WriteString(strings.ReplaceAll(value, "\n", " "))
}

// maxAdvisories is the largest number of addresses for one vulnerability.
const maxAdvisories = 20

// advise adds references to what is told of the vulnerabilities that are in
// the one package, with what was decided.
func (s *spdxPackage) advise(p *Package, in func(owners []int) bool, flat bool) {
	if len(p.Vulnerabilities) == 0 {
		return
	}
	seen := make(map[string]bool)
	for i := range p.Vulnerabilities {
		v := &p.Vulnerabilities[i]
		id := oneLine(v.ID)
		if !in(p.owners(v, flat)) || seen[id] {
			continue
		}
		seen[id] = true
		note := id
		if v.Analysis != nil {
			note += ": " + string(v.Analysis.State)
		}
		for _, link := range v.links() {
			s.ExternalRefs = append(s.ExternalRefs, spdxExternal{
				Category: common.CategorySecurity, RefType: common.TypeSecurityAdvisory, Locator: link, ExternalRefComment: note,
			})
		}
	}
}

// links returns addresses that tell of a vulnerability. For a CVE there is always
// one.
func (v *Vulnerability) links() []string {
	var list []string
	for _, link := range v.URLs {
		if validURL(link) && len(list) < maxAdvisories && !slices.Contains(list, link) {
			list = append(list, link)
		}
	}
	if list == nil && strings.HasPrefix(v.ID, "CVE-") && idString(v.ID) {
		list = append(list, "https://www.cve.org/CVERecord?id="+v.ID)
	}
	return list
}

// source writes the source package where it is new, and returns its reference.
func (w *spdxWriter) source(p *Package) (string, error) {
	if w.doc.Flat || !p.Source.valid() {
		return "", nil
	}
	ref := sourceRef(p.Source.PURL)
	if !w.refs.add(ref) {
		return p.Source.PURL, nil
	}
	s := w.blank(ref, oneLine(p.Source.Name), oneLine(p.Source.Version), "SOURCE", p.Source.PURL)
	s.Supplier = p.Maintainer.clean().spdx()
	if validURL(p.Source.Download) {
		s.PackageDownloadLocation = p.Source.Download
	}
	return p.Source.PURL, w.packages.put(s)
}

func sourceRef(purl string) string { return purl + "#source" }

// embedded writes what a package brings along.
func (w *spdxWriter) embedded(p *Package) error {
	if w.doc.Flat {
		return nil
	}
	for i := range p.Components {
		e := &p.Components[i]
		purl := e.PURL
		if !foreignPURL(purl) {
			purl = ""
		}
		s := w.blank(embeddedRef(p.PURL, i), e.name(), oneLine(e.Version), "LIBRARY", purl)
		if license := e.license(); license != "" && !strings.Contains(license, licenseRef) {
			s.PackageLicenseDeclared = license
		} else if len(e.Licenses) > 0 {
			s.PackageLicenseComments = "declared: " + paragraph(strings.Join(e.Licenses, "; "))
		}
		var comment lines
		comment.add("repod:ecosystem", oneLine(e.Ecosystem))
		for _, name := range e.paths() {
			if s.PackageFileName == "" {
				s.PackageFileName = baseName(name)
			}
			comment.add("repod:path", name)
		}
		s.PackageComment = comment.String()
		s.advise(p, func(owners []int) bool { return slices.Contains(owners, i) }, false)
		if err := w.packages.put(s); err != nil {
			return err
		}
	}
	return nil
}

// license returns the package's expression, "" if it has none that is valid, with
// the names that the document has for its references.
func (w *spdxWriter) license(p *Package) (license string, err error) {
	if CheckLicense(p.License) != nil {
		return "", nil
	}
	license = renameRefs(p.License, func(name string) string {
		if err == nil {
			name, err = w.extracted(name, p.LicenseTexts[name])
		}
		return name
	})
	return license, err
}

// extracted returns the name that the document has for a licence: the given one,
// unless another text has it. It keeps the text for later when it is new.
func (w *spdxWriter) extracted(name, text string) (string, error) {
	digest := digestOf(text)
	have, ok := w.texts[name]
	for ok && have != digest {
		name += "-" + cmp.Or(digest, "unknown")
		have, ok = w.texts[name]
	}
	if ok {
		return name, nil
	}
	w.texts[name] = digest
	return name, w.licenses.put(&v2_3.OtherLicense{
		LicenseIdentifier: name, LicenseName: noAssertion,
		ExtractedText: cmp.Or(licenseText(text), "The text of this licence is not known to the author of the document."),
	})
}

// digestOf returns what tells texts apart, "" for none.
func digestOf(text string) string {
	if text = licenseText(text); text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

func licenseText(s string) string { return clean(s, maxLicenseText, true) }
