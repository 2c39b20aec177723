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

	// The last component and its lists. The next one has them too: an element is
	// marshalled before there is another.
	c          cdx.Component
	hashes     []cdx.Hash
	references []cdx.ExternalReference
	properties []cdx.Property
	licenses   cdx.Licenses
	ancestors  []cdx.Component
	pedigree   cdx.Pedigree
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
		PackageURL: r.PURL, Description: r.Description,
	}
	w.setHashes(c, r.Hashes)
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

// setHashes gives a component the digests that are well-formed.
func (w *cyclonedxWriter) setHashes(c *cdx.Component, h Hashes) {
	w.hashes = w.hashes[:0]
	add := func(algorithm cdx.HashAlgorithm, value string, digits int) {
		if isHex(value, digits) {
			w.hashes = append(w.hashes, cdx.Hash{Algorithm: algorithm, Value: value})
		}
	}
	add(cdx.HashAlgoMD5, h.MD5, 32)
	add(cdx.HashAlgoSHA1, h.SHA1, 40)
	add(cdx.HashAlgoSHA256, h.SHA256, 64)
	add(cdx.HashAlgoSHA512, h.SHA512, 128)
	if len(w.hashes) > 0 {
		c.Hashes = &w.hashes
	}
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
	c := &w.c
	*c = cdx.Component{
		BOMRef: p.PURL, Type: cdx.ComponentTypeLibrary, Name: oneLine(p.Name), Version: oneLine(p.Version),
		PackageURL: p.PURL, Description: paragraph(p.Description), Publisher: p.Distributor.clean().Name,
	}
	w.supply(c, p.Maintainer.clean())
	w.setHashes(c, p.Hashes)
	w.setReferences(c, p)
	w.setPedigree(c, p.Source)
	if license != "" {
		w.licenses = append(w.licenses[:0], w.expression(license))
		c.Licenses = &w.licenses
	}
	w.properties = bsi(w.properties[:0], baseName(p.Filename), true)
	p.eachProperty(license, func(name, value string) {
		w.properties = append(w.properties, cdx.Property{Name: name, Value: value})
	})
	c.Properties = &w.properties
	if !w.doc.Flat && len(p.Components) > 0 {
		c.Components = w.embedded(p)
	}
	return c
}

// bsi adds the properties of BSI's taxonomy. A .deb is an archive that keeps what
// is known of its contents, and not run itself.
func bsi(list []cdx.Property, filename string, deb bool) []cdx.Property {
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

// expression returns a valid expression as a licence that was declared.
func (w *cyclonedxWriter) expression(license string) cdx.LicenseChoice {
	choice := cdx.LicenseChoice{Expression: license}
	if w.version >= cdx.SpecVersion1_6 {
		declared := cdx.LicenseAcknowledgementDeclared
		choice.Acknowledgement = &declared
	}
	return choice
}

func (w *cyclonedxWriter) setReferences(c *cdx.Component, p *Package) {
	w.references = w.references[:0]
	add := func(t cdx.ExternalReferenceType, url string) {
		w.references = append(w.references, cdx.ExternalReference{Type: t, URL: url})
	}
	if validURL(p.Download) {
		add(cdx.ERTypeDistribution, p.Download)
		if isHex(p.Hashes.SHA512, 128) {
			w.references[0].Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA512, Value: p.Hashes.SHA512}}
		}
	}
	if validURL(p.Source.Download) {
		if add(cdx.ERTypeSourceDistribution, p.Source.Download); w.version < cdx.SpecVersion1_6 {
			r := &w.references[len(w.references)-1]
			r.Type, r.Comment = cdx.ERTypeOther, string(r.Type)
		}
	}
	if validURL(p.Homepage) {
		add(cdx.ERTypeWebsite, p.Homepage)
	}
	if validVCS(p.VCS) {
		add(cdx.ERTypeVCS, p.VCS)
	}
	if len(w.references) > 0 {
		c.ExternalReferences = &w.references
	}
}

// setPedigree tells what a component was built from.
func (w *cyclonedxWriter) setPedigree(c *cdx.Component, s Source) {
	name := oneLine(s.Name)
	if name == "" {
		return
	}
	w.ancestors = append(w.ancestors[:0], cdx.Component{
		Type: cdx.ComponentTypeLibrary, Name: name, Version: oneLine(s.Version),
	})
	if s.valid() {
		w.ancestors[0].PackageURL = s.PURL
	}
	w.pedigree.Ancestors = &w.ancestors
	c.Pedigree = &w.pedigree
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
			properties = bsi(properties, baseName(paths[0]), false)
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
		return &cdx.Licenses{w.expression(one)}
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
