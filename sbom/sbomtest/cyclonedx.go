package sbomtest

import (
	"strings"

	"github.com/repod-io/repod/sbom"
)

// A cyclonedx is what is checked of a CycloneDX document.
type cyclonedx struct {
	SpecVersion  string
	SerialNumber string
	Metadata     struct {
		Timestamp    string
		Authors      []contact
		Manufacturer entity
		Component    *component
	}
	Components   []component
	Dependencies []struct {
		Ref       string
		DependsOn []string
	}
	Compositions []struct {
		Aggregate                string
		Assemblies, Dependencies []string
	}
	Vulnerabilities []struct {
		ID      string
		Affects []struct{ Ref string }
	}
}

type contact struct{ Name, Email string }

type entity struct {
	Name    string
	URL     []string
	Contact []contact
}

func (e entity) reachable() bool {
	for _, c := range e.Contact {
		if c.Email != "" {
			return true
		}
	}
	return len(e.URL) > 0
}

type component struct {
	Ref                    string `json:"bom-ref"`
	Name, Version, PURL    string
	Supplier, Manufacturer entity
	Licenses               []struct{ Expression string }
	ExternalReferences     []struct {
		Type, URL string
		Hashes    []struct{ Alg, Content string }
	}
	Properties []struct{ Name, Value string }
	Components []component
}

func (c *component) property(name string) string {
	for _, p := range c.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

func (d *cyclonedx) references(f *faults) {
	refs := newOnce("the reference", f)
	if d.Metadata.Component != nil {
		refs.add(d.Metadata.Component.Ref)
	}
	d.walk(d.Components, refs)
	exists := func(where, ref string) {
		if !refs.seen[ref] {
			f.add("%s names %q, which is not there", where, ref)
		}
	}
	entries := newOnce("the dependencies of", f)
	for _, entry := range d.Dependencies {
		entries.add(entry.Ref)
		exists("an entry of dependencies", entry.Ref)
		each := newOnce("among the dependencies of "+entry.Ref+",", f)
		for _, ref := range entry.DependsOn {
			each.add(ref)
			exists("the dependencies of "+entry.Ref, ref)
			if ref == entry.Ref {
				f.add("%s depends on itself", ref)
			}
		}
	}
	for _, c := range d.Compositions {
		for _, ref := range append(c.Assemblies[:len(c.Assemblies):len(c.Assemblies)], c.Dependencies...) {
			exists("a composition", ref)
		}
	}
	pairs := newOnce("the vulnerability", f)
	for _, v := range d.Vulnerabilities {
		if len(v.Affects) == 0 {
			f.add("the vulnerability %s affects nothing", v.ID)
		}
		for _, a := range v.Affects {
			exists("the vulnerability "+v.ID, a.Ref)
			pairs.add(v.ID + " of " + a.Ref)
		}
	}
}

func (d *cyclonedx) walk(list []component, refs once) {
	for _, c := range list {
		if c.Ref == "" {
			refs.faults.add("the component %q has no reference", c.Name)
		}
		refs.add(c.Ref)
		for _, l := range c.Licenses {
			if l.Expression == "" {
				continue
			}
			if err := sbom.CheckLicense(l.Expression); err != nil {
				refs.faults.add("the licence of %s: %w", c.Ref, err)
			}
		}
		d.walk(c.Components, refs)
	}
}

func (d *cyclonedx) packages() []pkg {
	depends, complete := map[string]bool{}, map[string]bool{}
	for _, entry := range d.Dependencies {
		depends[entry.Ref] = true
	}
	for _, c := range d.Compositions {
		for _, ref := range c.Dependencies {
			complete[ref] = c.Aggregate != ""
		}
	}
	list := make([]pkg, len(d.Components))
	for i, c := range d.Components {
		list[i] = c.pkg()
		list[i].depends, list[i].complete = depends[c.Ref], complete[c.Ref]
	}
	return list
}

func (c *component) pkg() pkg {
	p := pkg{
		ref: c.Ref, supplier: c.Supplier.Name, name: c.Name, version: c.Version, purl: c.PURL,
		contact:    c.Manufacturer.reachable() || c.Supplier.reachable(),
		filename:   c.property("bsi:component:filename"),
		license:    len(c.Licenses) > 0 || c.property("repod:license") == "NOASSERTION",
		executable: strings.HasSuffix(c.property("bsi:component:executable"), "executable"),
		archive:    strings.HasSuffix(c.property("bsi:component:archive"), "archive"),
		structured: strings.HasSuffix(c.property("bsi:component:structured"), "structured"),
	}
	for _, r := range c.ExternalReferences {
		if r.Type != "distribution" {
			continue
		}
		p.download = r.URL != ""
		for _, h := range r.Hashes {
			p.sha512 = p.sha512 || h.Alg == "SHA-512" && len(h.Content) == 128
		}
	}
	return p
}
