package sbom

import (
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// A cyclonedxWriter writes CycloneDX: the packages at once, what is known of their
// vulnerabilities to a spool, and the relations of the packages when there are no
// more of them.
type cyclonedxWriter struct {
	*writer
	version         cdx.SpecVersion
	components      *array
	vulnerabilities *array
}

func (w *cyclonedxWriter) head() error {
	w.version = cdx.SpecVersion1_6
	if w.doc.version() == "1.5" {
		w.version = cdx.SpecVersion1_5
	}
	w.components, w.vulnerabilities = newArray(w.out), newArray(&w.later)
	if err := w.raw("{"); err != nil {
		return err
	}
	err := w.fields(
		field{"$schema", "http://cyclonedx.org/schema/bom-" + w.doc.version() + ".schema.json"},
		field{"bomFormat", cdx.BOMFormat}, field{"specVersion", w.version},
		field{"serialNumber", "urn:uuid:" + w.doc.uuid()}, field{"version", 1},
		field{"metadata", w.metadata()},
	)
	if err != nil {
		return err
	}
	return w.raw(`"components":[`, "\n")
}

func (w *cyclonedxWriter) metadata() *cdx.Metadata {
	author := w.doc.author()
	m := &cdx.Metadata{
		Timestamp:  w.doc.timestamp(),
		Lifecycles: &[]cdx.Lifecycle{{Phase: cdx.LifecyclePhasePostBuild}},
		Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{
			Type: cdx.ComponentTypeApplication, Name: w.doc.tool(), Version: oneLine(w.doc.ToolVersion),
		}}},
		Authors:   &[]cdx.OrganizationalContact{{Name: author.Name, Email: author.Email}},
		Component: w.rootComponent(),
	}
	if w.version >= cdx.SpecVersion1_6 {
		m.Manufacturer = organization(author)
	}
	return m
}

func (w *cyclonedxWriter) rootComponent() *cdx.Component {
	r := w.doc.root()
	c := &cdx.Component{
		BOMRef: rootRef, Type: cdx.ComponentTypeApplication, Name: r.Name, Version: r.Version,
		PackageURL: r.PURL, Description: r.Description, Hashes: r.Hashes.cyclonedx(),
	}
	if r.File {
		c.Type = cdx.ComponentTypeFile
	}
	w.supply(c, r.Supplier)
	return c
}

// supply says who made a component.
func (w *cyclonedxWriter) supply(c *cdx.Component, by Contact) {
	if by.Name == "" {
		return
	}
	c.Supplier = organization(by)
	if w.version >= cdx.SpecVersion1_6 {
		c.Manufacturer = c.Supplier
	} else {
		c.Author = by.Name
	}
}

// organization returns a contact that was cleaned as one: CycloneDX has only
// organisations where suppliers are named.
func organization(c Contact) *cdx.OrganizationalEntity {
	e := &cdx.OrganizationalEntity{Name: c.Name}
	if c.URL != "" {
		e.URL = &[]string{c.URL}
	}
	if c.Email != "" {
		e.Contact = &[]cdx.OrganizationalContact{{Name: c.Name, Email: c.Email}}
	}
	return e
}

// cyclonedx returns the digests that are well-formed, nil if none is.
func (h Hashes) cyclonedx() *[]cdx.Hash {
	list := make([]cdx.Hash, 0, 4)
	add := func(algorithm cdx.HashAlgorithm, value string, digits int) {
		if isHex(value, digits) {
			list = append(list, cdx.Hash{Algorithm: algorithm, Value: value})
		}
	}
	add(cdx.HashAlgoMD5, h.MD5, 32)
	add(cdx.HashAlgoSHA1, h.SHA1, 40)
	add(cdx.HashAlgoSHA256, h.SHA256, 64)
	add(cdx.HashAlgoSHA512, h.SHA512, 128)
	if len(list) == 0 {
		return nil
	}
	return &list
}

func (w *cyclonedxWriter) add(p *Package) error {
	if err := w.components.put(w.component(p)); err != nil {
		return err
	}
	if err := w.addVulnerabilities(p); err != nil {
		return err
	}
	return w.link(p, "")
}

func (w *cyclonedxWriter) component(p *Package) *cdx.Component {
	license := p.License
	if CheckLicense(license) != nil {
		license = ""
	}
	c := &cdx.Component{
		BOMRef: p.PURL, Type: cdx.ComponentTypeLibrary, Name: oneLine(p.Name), Version: oneLine(p.Version),
		PackageURL: p.PURL, Description: paragraph(p.Description), Publisher: p.Distributor.clean().Name,
		Hashes: p.Hashes.cyclonedx(), Licenses: w.licenses(license),
		ExternalReferences: w.externalReferences(p), Pedigree: pedigree(p.Source),
	}
	w.supply(c, p.Maintainer.clean())
	properties := w.bsi(nil, baseName(p.Filename), true)
	for _, more := range p.properties(license) {
		properties = append(properties, cdx.Property(more))
	}
	c.Properties = &properties
	if !w.doc.Flat && len(p.Components) > 0 {
		c.Components = w.embedded(p)
	}
	return c
}

// bsi adds the properties of BSI's taxonomy. A .deb is an archive that keeps what
// is known of its contents, and not run itself.
func (w *cyclonedxWriter) bsi(list []cdx.Property, filename string, deb bool) []cdx.Property {
	if filename != "" {
		list = append(list, cdx.Property{Name: "bsi:component:filename", Value: filename})
	}
	if deb {
		list = append(list, cdx.Property{Name: "bsi:component:executable", Value: "non-executable"},
			cdx.Property{Name: "bsi:component:archive", Value: "archive"},
			cdx.Property{Name: "bsi:component:structured", Value: "structured"})
	}
	return list
}

// licenses returns a valid expression as the licences that were declared.
func (w *cyclonedxWriter) licenses(expression string) *cdx.Licenses {
	if expression == "" {
		return nil
	}
	choice := cdx.LicenseChoice{Expression: expression}
	if w.version >= cdx.SpecVersion1_6 {
		declared := cdx.LicenseAcknowledgementDeclared
		choice.Acknowledgement = &declared
	}
	return &cdx.Licenses{choice}
}

func (w *cyclonedxWriter) externalReferences(p *Package) *[]cdx.ExternalReference {
	list := make([]cdx.ExternalReference, 0, 4)
	if validURL(p.Download) {
		r := cdx.ExternalReference{Type: cdx.ERTypeDistribution, URL: p.Download}
		if isHex(p.Hashes.SHA512, 128) {
			r.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA512, Value: p.Hashes.SHA512}}
		}
		list = append(list, r)
	}
	if validURL(p.Source.Download) {
		r := cdx.ExternalReference{Type: cdx.ERTypeSourceDistribution, URL: p.Source.Download}
		if w.version < cdx.SpecVersion1_6 {
			r.Type, r.Comment = cdx.ERTypeOther, string(r.Type)
		}
		list = append(list, r)
	}
	if validURL(p.Homepage) {
		list = append(list, cdx.ExternalReference{Type: cdx.ERTypeWebsite, URL: p.Homepage})
	}
	if validVCS(p.VCS) {
		list = append(list, cdx.ExternalReference{Type: cdx.ERTypeVCS, URL: p.VCS})
	}
	if len(list) == 0 {
		return nil
	}
	return &list
}

func pedigree(s Source) *cdx.Pedigree {
	name := oneLine(s.Name)
	if name == "" {
		return nil
	}
	c := cdx.Component{Type: cdx.ComponentTypeLibrary, Name: name, Version: oneLine(s.Version)}
	if s.valid() {
		c.PackageURL = s.PURL
	}
	return &cdx.Pedigree{Ancestors: &[]cdx.Component{c}}
}

// embedded returns what a package brings along.
func (w *cyclonedxWriter) embedded(p *Package) *[]cdx.Component {
	list := make([]cdx.Component, len(p.Components))
	for i, e := range p.Components {
		c := &list[i]
		*c = cdx.Component{
			BOMRef: embeddedRef(p.PURL, i), Type: cdx.ComponentTypeLibrary, Name: e.name(), Version: oneLine(e.Version),
			Licenses: w.declared(e.Licenses),
		}
		if foreignPURL(e.PURL) {
			c.PackageURL = e.PURL
		}
		var properties []cdx.Property
		if ecosystem := oneLine(e.Ecosystem); ecosystem != "" {
			properties = append(properties, cdx.Property{Name: "repod:ecosystem", Value: ecosystem})
		}
		if paths := e.paths(); len(paths) > 0 {
			properties = w.bsi(properties, baseName(paths[0]), false)
			found := make([]cdx.EvidenceOccurrence, len(paths))
			for i, name := range paths {
				found[i].Location = name
			}
			c.Evidence = &cdx.Evidence{Occurrences: &found}
		}
		if len(properties) > 0 {
			c.Properties = &properties
		}
	}
	return &list
}

func (e *Component) name() string {
	if name := oneLine(e.Name); name != "" {
		return name
	}
	return "unnamed"
}

// paths returns where the component was found.
func (e *Component) paths() []string {
	list := make([]string, 0, len(e.Paths))
	for _, p := range e.Paths {
		if p = paragraph(strings.ReplaceAll(p, "\n", " ")); p != "" {
			list = append(list, p)
		}
	}
	return list
}

// license returns the licence of a component whose declaration can be understood:
// a single expression. Several may be alternatives or not.
func (e *Component) license() string {
	if len(e.Licenses) != 1 || CheckLicense(e.Licenses[0]) != nil {
		return ""
	}
	return e.Licenses[0]
}

// declared returns licences as they were declared, in words where they are none
// of SPDX's.
func (w *cyclonedxWriter) declared(licenses []string) *cdx.Licenses {
	if one := (&Component{Licenses: licenses}).license(); one != "" {
		return w.licenses(one)
	}
	var list cdx.Licenses
	for _, name := range licenses {
		l := &cdx.License{Name: oneLine(name)}
		if l.Name == "" {
			continue
		}
		if has(licenseIDs, name) {
			l.ID, l.Name = name, ""
		}
		if w.version >= cdx.SpecVersion1_6 {
			l.Acknowledgement = cdx.LicenseAcknowledgementDeclared
		}
		list = append(list, cdx.LicenseChoice{License: l})
	}
	if list == nil {
		return nil
	}
	return &list
}
