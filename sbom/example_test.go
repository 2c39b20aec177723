package sbom_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/repod-io/repod/sbom"
)

func Example() {
	packages := []sbom.Package{
		{
			PURL: "pkg:deb/debian/hello@2.10-3?arch=amd64&distro=debian-12", Name: "hello", Version: "2.10-3", Arch: "amd64",
			Maintainer: sbom.Contact{Name: "Santiago Vila", Email: "sanvila@debian.org", Person: true},
			License:    "GPL-3.0-or-later",
			DependsOn: []string{
				"pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12",
				"pkg:deb/debian/elsewhere@1?arch=amd64&distro=debian-12", // not in the document
			},
		},
		{PURL: "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12", Name: "libc6", Version: "2.36-9", Arch: "amd64"},
	}
	var out bytes.Buffer
	err := sbom.Write(&out, sbom.Document{
		Format: sbom.CycloneDX, Name: "sbom of bookworm", State: "generation 7",
		Timestamp: time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC),
		Author:    sbom.Contact{Name: "Example", Email: "security@example.org"},
		Root:      sbom.Root{Name: "bookworm"},
	}, func(yield func(sbom.Package, error) bool) {
		for _, p := range packages {
			if !yield(p, nil) {
				return
			}
		}
	})
	if err != nil {
		log.Fatal(err)
	}

	var doc struct {
		SpecVersion, SerialNumber string
		Components                []struct{ Name, Version string }
		Dependencies              []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		log.Fatal(err)
	}
	fmt.Println("CycloneDX", doc.SpecVersion, doc.SerialNumber)
	for _, c := range doc.Components {
		fmt.Println(c.Name, c.Version)
	}
	fmt.Println(doc.Dependencies[1].Ref, "needs", doc.Dependencies[1].DependsOn)
	// Output:
	// CycloneDX 1.6 urn:uuid:fc069e02-817c-561e-a613-5528d1cc5dbb
	// hello 2.10-3
	// libc6 2.36-9
	// pkg:deb/debian/hello@2.10-3?arch=amd64&distro=debian-12 needs [pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12]
}

func ExampleCheckLicense() {
	fmt.Println(sbom.CheckLicense("GPL-2.0-only WITH Linux-syscall-note OR MIT"))
	fmt.Println(sbom.CheckLicense("GPL-2+"))
	// Output:
	// <nil>
	// "GPL-2+" is no known licence
}
