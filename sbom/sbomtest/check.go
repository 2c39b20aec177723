// Package sbomtest checks documents that package sbom has written, for tests of
// programs that give it their packages. Check finds what the formats' JSON schemas
// do not: references to nothing, two elements of one name, missing elements of
// NTIA and BSI. Validate holds documents to the schemas, where there are copies.
package sbomtest

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Check reports everything that is wrong with a document, as CheckReferences and
// CheckElements do.
func Check(doc []byte) error {
	return errors.Join(CheckReferences(doc), CheckElements(doc))
}

// CheckReferences reports references that lead nowhere, elements and relations
// that are there twice, and licences that are no SPDX expressions or not declared.
func CheckReferences(doc []byte) error {
	d, err := parse(doc)
	if err != nil {
		return err
	}
	d.references()
	return d.faults.err()
}

// CheckElements reports which of NTIA's minimum elements, and of the fields of BSI
// TR-03183-2 that the format and package sbom can give, are missing from the
// document or from one of its packages. The comment of package sbom lists them.
// Software that is embedded in packages is not held to them.
func CheckElements(doc []byte) error {
	d, err := parse(doc)
	if err != nil {
		return err
	}
	for _, e := range documentElements {
		if !e.in(d) {
			d.faults.add("the document has no %s", e.name)
		}
	}
	for _, p := range d.packages() {
		for _, e := range packageElements {
			if !e.in(d, p) {
				d.faults.add("package %s has no %s", p.ref, e.name)
			}
		}
	}
	return d.faults.err()
}

// A document is one of either format.
type document struct {
	*cyclonedx
	*spdx
	faults faults
}

func parse(doc []byte) (*document, error) {
	var kind struct{ BOMFormat, SPDXVersion string }
	if err := json.Unmarshal(doc, &kind); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	d := &document{}
	var target any
	switch {
	case kind.BOMFormat == "CycloneDX":
		d.cyclonedx = &cyclonedx{}
		target = d.cyclonedx
	case kind.SPDXVersion != "":
		d.spdx = &spdx{}
		target = d.spdx
	default:
		return nil, errors.New("read the document: it is neither CycloneDX nor SPDX")
	}
	if err := json.Unmarshal(doc, target); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	return d, nil
}

func (d *document) references() {
	if d.cyclonedx != nil {
		d.cyclonedx.references(&d.faults)
	} else {
		d.spdx.references(&d.faults)
	}
}

// packages returns the packages, without what is embedded in them, and without
// sources.
func (d *document) packages() []pkg {
	if d.cyclonedx != nil {
		return d.cyclonedx.packages()
	}
	return d.spdx.packages()
}

// A pkg is what the elements are looked for in.
type pkg struct {
	ref                     string
	supplier, name, version string
	purl                    string
	contact                 bool // there is a way to reach who made it
	depends                 bool // there is a list of what it needs
	complete                bool // and a word on how complete that is
	filename                string
	license                 bool // there is one, or it is said to be unknown
	sha512                  bool
	download                bool
	executable              bool
	archive                 bool
	structured              bool
}

// faults is what is wrong. After some of them more are of little use.
type faults struct{ errs []error }

const maxFaults = 50

func (f *faults) add(format string, args ...any) {
	if len(f.errs) < maxFaults {
		f.errs = append(f.errs, fmt.Errorf(format, args...))
	}
}

func (f *faults) err() error { return errors.Join(f.errs...) }

// once notes names, and the second one of any.
type once struct {
	kind   string
	faults *faults
	seen   map[string]bool
}

func newOnce(kind string, f *faults) once { return once{kind, f, map[string]bool{}} }

func (o once) add(name string) {
	if o.seen[name] {
		o.faults.add("%s %s is there twice", o.kind, name)
	}
	o.seen[name] = true
}
