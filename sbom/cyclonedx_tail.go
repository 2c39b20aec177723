package sbom

import (
	cdx "github.com/CycloneDX/cyclonedx-go"
)

// tail writes what is known only when there are no more packages.
func (w *cyclonedxWriter) tail() error {
	if err := w.raw("],\n\"dependencies\":[\n"); err != nil {
		return err
	}
	degrees, err := w.dependencies()
	if err != nil {
		return err
	}
	if err := w.raw("],\n\"compositions\":[\n"); err != nil {
		return err
	}
	if err := w.compositions(degrees); err != nil {
		return err
	}
	if err := w.raw("],\n\"vulnerabilities\":[\n"); err != nil {
		return err
	}
	if err := w.copyLater(); err != nil {
		return err
	}
	return w.raw("]}\n")
}

// dependencies writes an entry for the root and each package, and returns how
// complete those of the packages are, a byte for each.
func (w *cyclonedxWriter) dependencies() (degrees []degree, err error) {
	if err := w.raw(`{"ref":"`, rootRef, `","dependsOn":[`, "\n"); err != nil {
		return nil, err
	}
	members := newArray(w.out)
	if err := w.eachMember(func(ref string) error { return members.put(ref) }); err != nil {
		return nil, err
	}
	if err := w.raw("]}\n"); err != nil {
		return nil, err
	}
	entries := newArray(w.out)
	entries.any = true
	err = w.links.each(func(l link) error {
		degrees = append(degrees, degreeOf(w.resolve(&l)))
		for i := range l.embedded {
			l.dependsOn = append(l.dependsOn, embeddedRef(l.ref, i))
		}
		return entries.put(&cdx.Dependency{Ref: l.ref, Dependencies: &l.dependsOn})
	})
	return degrees, err
}

// A degree is a Completeness in a byte.
type degree byte

const (
	isComplete degree = iota
	isIncomplete
	isUnknown
)

func degreeOf(c Completeness) degree {
	switch c {
	case Complete:
		return isComplete
	case Incomplete:
		return isIncomplete
	}
	return isUnknown
}

// compositions writes how complete the lists of the document are: that of the
// root's packages, what the packages bring along inside, which is never known
// whole, and what they depend on.
func (w *cyclonedxWriter) compositions(degrees []degree) error {
	refs := &[]cdx.BOMReference{rootRef}
	root := cdx.Composition{Aggregate: cdx.CompositionAggregateUnknown, Assemblies: refs, Dependencies: refs}
	if w.doc.Completeness != "" {
		root.Aggregate = cdx.CompositionAggregate(w.doc.Completeness)
	}
	list := newArray(w.out)
	if err := list.put(&root); err != nil {
		return err
	}
	if len(degrees) > 0 {
		if err := w.composition("incomplete", "assemblies", func(int) bool { return true }); err != nil {
			return err
		}
	}
	for d, aggregate := range []string{"complete", "incomplete", "unknown"} {
		for _, other := range degrees {
			if other != degree(d) {
				continue
			}
			err := w.composition(aggregate, "dependencies", func(i int) bool { return degrees[i] == degree(d) })
			if err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// composition writes one of the packages that in selects by their number. It may
// have as many references as there are packages, which is too much to marshal.
func (w *cyclonedxWriter) composition(aggregate, of string, in func(i int) bool) error {
	if err := w.raw(`,{"aggregate":"`, aggregate, `","`, of, `":[`, "\n"); err != nil {
		return err
	}
	refs, i := newArray(w.out), 0
	err := w.links.eachRef(func(ref string) (err error) {
		if in(i) {
			err = refs.put(ref)
		}
		i++
		return err
	})
	if err != nil {
		return err
	}
	return w.raw("]}\n")
}
