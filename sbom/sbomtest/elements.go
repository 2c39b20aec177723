package sbomtest

import "time"

// The elements, under the names that the comment of package sbom has for them.
var documentElements = []struct {
	name string
	in   func(*document) bool
}{
	{"author of SBOM data", func(d *document) bool { return d.author() != "" }},
	{"timestamp", func(d *document) bool {
		_, err := time.Parse(time.RFC3339, d.timestamp())
		return err == nil
	}},
	{"creator of the SBOM", func(d *document) bool { return d.contact() }},
	{"SBOM-URI", func(d *document) bool { return d.uri() != "" }},
}

var packageElements = []struct {
	name string
	in   func(*document, pkg) bool
}{
	{"supplier name", func(_ *document, p pkg) bool { return p.supplier != "" }},
	{"component name", func(_ *document, p pkg) bool { return p.name != "" }},
	{"component version", func(_ *document, p pkg) bool { return p.version != "" }},
	{"other unique identifiers", func(_ *document, p pkg) bool { return p.purl != "" }},
	{"dependency relationship", func(_ *document, p pkg) bool { return p.depends }},
	{"completeness of dependencies", func(_ *document, p pkg) bool { return p.complete }},
	{"component creator", func(_ *document, p pkg) bool { return p.contact }},
	{"filename", func(_ *document, p pkg) bool { return p.filename != "" }},
	{"licences", func(_ *document, p pkg) bool { return p.license }},
	{"hash value", func(_ *document, p pkg) bool { return p.sha512 }},
	{"URI of the deployable form", func(_ *document, p pkg) bool { return p.download }},
	{"executable property", func(d *document, p pkg) bool { return d.spdx != nil || p.executable }},
	{"archive property", func(d *document, p pkg) bool { return d.spdx != nil || p.archive }},
	{"structured property", func(d *document, p pkg) bool { return d.spdx != nil || p.structured }},
}

// Elements returns the names of the elements that CheckElements looks for: those of
// the document, then those of each package.
func Elements() []string {
	var names []string
	for _, e := range documentElements {
		names = append(names, e.name)
	}
	for _, e := range packageElements {
		names = append(names, e.name)
	}
	return names
}

func (d *document) author() string {
	if d.cyclonedx != nil {
		for _, a := range d.Metadata.Authors {
			return a.Name
		}
		return ""
	}
	for _, c := range d.CreationInfo.Creators {
		if kind, name := d.spdx.agent(c); kind != "Tool" {
			return name
		}
	}
	return ""
}

func (d *document) timestamp() string {
	if d.cyclonedx != nil {
		return d.Metadata.Timestamp
	}
	return d.CreationInfo.Created
}

func (d *document) contact() bool {
	if d.cyclonedx == nil {
		for _, c := range d.CreationInfo.Creators {
			if reachable(c) {
				return true
			}
		}
		return false
	}
	for _, a := range d.Metadata.Authors {
		if a.Email != "" {
			return true
		}
	}
	return d.Metadata.Manufacturer.reachable()
}

func (d *document) uri() string {
	if d.cyclonedx != nil {
		return d.SerialNumber
	}
	return d.DocumentNamespace
}
