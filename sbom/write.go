package sbom

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// ErrDuplicate means that two packages have the same reference.
var ErrDuplicate = errors.New("there is a second package with the reference")

// Write writes a document about packages to w. It walks them once, in their
// order, which is that of the document. Documents may be written at the same time.
//
// An error of the sequence is returned as it is, those of w and of temporary files
// are wrapped. Other errors, among them ErrDuplicate, tell of a document or a
// package that is unfit. After an error what was written is no document: it ends
// in the middle.
func Write(w io.Writer, doc Document, packages iter.Seq2[Package, error]) error {
	if err := doc.check(); err != nil {
		return err
	}
	d := &writer{
		doc: &doc, out: bufio.NewWriterSize(failing{w}, 64<<10), refs: newRefSet(),
		links: linkSpool{spool: spool{dir: doc.TempDir}}, later: spool{dir: doc.TempDir},
	}
	defer d.links.close()
	defer d.later.close()
	var err error
	if doc.Format == SPDX {
		err = d.walk(&spdxWriter{writer: d, texts: map[string]string{}}, packages)
	} else {
		err = d.walk(&cyclonedxWriter{writer: d}, packages)
	}
	if err != nil {
		return err
	}
	return d.out.Flush()
}

// A formatWriter writes the parts of a document in one format.
type formatWriter interface {
	head() error
	add(*Package) error
	tail() error
}

func (d *writer) walk(f formatWriter, packages iter.Seq2[Package, error]) error {
	if err := f.head(); err != nil {
		return err
	}
	var p Package // one for all: its address is given away
	for next, err := range packages {
		if err != nil {
			return err
		}
		p = next
		if err := p.check(); err != nil {
			return err
		}
		if err := d.addRefs(&p); err != nil {
			return err
		}
		if err := f.add(&p); err != nil {
			return err
		}
	}
	return f.tail()
}

// failing says what was being done when w failed.
type failing struct{ w io.Writer }

func (f failing) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err != nil {
		err = fmt.Errorf("write the document: %w", err)
	}
	return n, err
}

// A writer is what the writers of both formats share.
type writer struct {
	doc   *Document
	out   *bufio.Writer
	refs  *refSet   // of everything in the document
	links linkSpool // of its packages
	later spool     // elements of an array that comes after the packages
}

// An array is an array of the document, or a part of one.
type array struct {
	w   io.Writer
	enc *json.Encoder
	any bool
}

func newArray(w io.Writer) *array {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &array{w: w, enc: enc}
}

// put adds an element, on a line of its own.
func (a *array) put(element any) error {
	if a.any {
		if _, err := io.WriteString(a.w, ","); err != nil {
			return err
		}
	}
	a.any = true
	return a.enc.Encode(element)
}

// raw writes parts of the document as they are.
func (d *writer) raw(parts ...string) error {
	for _, s := range parts {
		if _, err := d.out.WriteString(s); err != nil {
			return err
		}
	}
	return nil
}

// A field is a member of a JSON object.
type field struct {
	name  string
	value any
}

// fields writes members of the document's object.
func (d *writer) fields(fields ...field) error {
	one := newArray(d.out)
	for _, f := range fields {
		one.any = false
		if err := d.raw(`"`, f.name, `":`); err != nil {
			return err
		}
		if err := one.put(f.value); err != nil {
			return err
		}
		if err := d.raw(","); err != nil {
			return err
		}
	}
	return nil
}

// copyLater writes what was kept for later.
func (d *writer) copyLater() error {
	r, err := d.later.reader()
	if err != nil {
		return err
	}
	_, err = r.WriteTo(d.out)
	return err
}

// addRefs notes the references of a package and what it brings along.
func (d *writer) addRefs(p *Package) error {
	if !d.refs.add(p.PURL) {
		return fmt.Errorf("%w %s", ErrDuplicate, p.PURL)
	}
	if d.doc.Flat {
		return nil
	}
	for i := range p.Components {
		if ref := embeddedRef(p.PURL, i); !d.refs.add(ref) {
			return fmt.Errorf("%w %s", ErrDuplicate, ref)
		}
	}
	return nil
}

// link notes what a package says of others.
func (d *writer) link(p *Package, source string) error {
	l := link{
		ref: p.PURL, source: source, unknown: p.DependenciesUnknown, missing: len(p.Unresolved) > 0,
		dependsOn: p.DependsOn,
	}
	if !d.doc.Flat {
		l.embedded = len(p.Components)
	}
	return d.links.put(l)
}

// resolve leaves out dependencies that are not in the document, second ones and
// the package itself, and tells how complete the others are.
func (d *writer) resolve(l *link) Completeness {
	kept := l.dependsOn[:0]
	for _, ref := range l.dependsOn {
		switch {
		case ref == l.ref:
		case !d.refs.has(ref):
			l.missing = true
		case !slices.Contains(kept, ref):
			kept = append(kept, ref)
		}
	}
	l.dependsOn = kept
	switch {
	case l.unknown:
		return Unknown
	case l.missing:
		return Incomplete
	}
	return Complete
}

// eachMember calls f for the packages that the root is made of.
func (d *writer) eachMember(f func(ref string) error) error {
	if d.doc.Root.Contains == nil {
		return d.links.eachRef(f)
	}
	seen := newRefSet()
	for _, ref := range d.doc.Root.Contains {
		if d.refs.has(ref) && seen.add(ref) {
			if err := f(ref); err != nil {
				return err
			}
		}
	}
	return nil
}
