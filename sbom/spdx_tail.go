package sbom

import "github.com/spdx/tools-golang/spdx/v2/common"

// tail writes what is known only when there are no more packages.
func (w *spdxWriter) tail() error {
	if err := w.raw("],\n\"hasExtractedLicensingInfos\":[\n"); err != nil {
		return err
	}
	if err := w.copyLater(); err != nil {
		return err
	}
	if err := w.raw("],\n\"relationships\":[\n"); err != nil {
		return err
	}
	if err := w.relationships(); err != nil {
		return err
	}
	return w.raw("]}\n")
}

// A relator writes relationships.
type relator struct {
	list *array
	r    spdxRelationship
}

// put writes that a stands in a relation to b, SPDX identifiers both.
func (r *relator) put(a, relation, b string) error {
	r.r.A, r.r.Relationship.Relationship, r.r.B = a, relation, b
	return r.list.put(&r.r)
}

func (w *spdxWriter) relationships() error {
	r := relator{list: newArray(w.out)}
	if err := w.describe(&r); err != nil {
		return err
	}
	return w.links.each(func(l link) error { return w.relate(&r, l) })
}

// describe writes what the document is about: the root and what it is made of, or
// all packages where there is none.
func (w *spdxWriter) describe(r *relator) error {
	document, root := spdxID("DOCUMENT"), spdxID(rootRef)
	if w.doc.Flat {
		return w.links.eachRef(func(ref string) error {
			return r.put(document, common.TypeRelationshipDescribe, spdxID(ref))
		})
	}
	if err := r.put(document, common.TypeRelationshipDescribe, root); err != nil {
		return err
	}
	return w.eachMember(func(ref string) error {
		return r.put(root, common.TypeRelationshipContains, spdxID(ref))
	})
}

// relate writes the relationships of a package.
func (w *spdxWriter) relate(r *relator, l link) error {
	id := spdxID(l.ref)
	if l.source != "" {
		if err := r.put(id, common.TypeRelationshipGeneratedFrom, spdxID(sourceRef(l.source))); err != nil {
			return err
		}
	}
	for i := range l.embedded {
		if err := r.put(id, common.TypeRelationshipContains, spdxID(embeddedRef(l.ref, i))); err != nil {
			return err
		}
	}
	degree := w.resolve(&l)
	for _, ref := range l.dependsOn {
		if err := r.put(id, common.TypeRelationshipDependsOn, spdxID(ref)); err != nil {
			return err
		}
	}
	switch {
	case degree != Complete:
		return r.put(id, common.TypeRelationshipDependsOn, noAssertion)
	case len(l.dependsOn) == 0:
		return r.put(id, common.TypeRelationshipDependsOn, "NONE")
	}
	return nil
}
