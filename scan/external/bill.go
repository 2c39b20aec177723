package external

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/repod-io/repod/scan"
)

// A bill is a CycloneDX document, as much of it as vulnerability scanners use.
type bill struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type component struct {
	Ref        string     `json:"bom-ref"`
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// billOf lists the operating system if it is known, the package and its
// components.
func billOf(inv scan.Inventory) ([]byte, error) {
	b := bill{Format: "CycloneDX", Spec: "1.5", Version: 1}
	if family, release := splitOS(inv.OS); family != "" {
		b.Components = append(b.Components, component{
			Ref: "os", Type: "operating-system", Name: family, Version: release,
			Properties: []property{
				{"syft:distro:id", family},
				{"syft:distro:versionID", release},
				{"aquasecurity:trivy:Class", "os-pkgs"},
				{"aquasecurity:trivy:Type", family},
			},
		})
		b.Dependencies = append(b.Dependencies, dependency{"os", []string{"package"}})
	}
	source, sourceVersion := sourceOf(inv)
	b.Components = append(b.Components, component{
		Ref: "package", Type: "library", Name: inv.Name, Version: inv.Version, PURL: debPURL(inv),
		Properties: []property{
			{"aquasecurity:trivy:SrcName", source},
			{"aquasecurity:trivy:SrcVersion", sourceVersion},
		},
	})
	inside := dependency{"package", []string{}}
	for i, c := range inv.Components {
		ref := fmt.Sprint("component-", i)
		b.Components = append(b.Components, component{Ref: ref, Type: "library", Name: c.Name, Version: c.Version, PURL: c.PURL})
		inside.DependsOn = append(inside.DependsOn, ref)
	}
	b.Dependencies = append(b.Dependencies, inside)
	return json.Marshal(b)
}

// sourceOf returns the source package, which is of the package's name and
// version unless it says otherwise (Policy, section 5.6.1).
func sourceOf(inv scan.Inventory) (name, version string) {
	name, version = inv.Source, inv.SourceVersion
	if name == "" {
		name = inv.Name
	}
	if version == "" {
		version = inv.Version
	}
	return name, version
}

// debPURL returns the package URL of a package, with its source package where
// they differ.
func debPURL(inv scan.Inventory) string {
	purl := inv.PURL()
	if source, version := sourceOf(inv); source != inv.Name || version != inv.Version {
		purl += "&upstream=" + url.QueryEscape(source+"@"+version)
	}
	return purl
}
