package upstream

import (
	"cmp"

	"github.com/repod-io/repod/deb"
)

// MatchesControl makes sure that a package is the one that the source's index
// describes: name, version, architecture, source, multi-arch, essential and
// the relationship fields of its control file, by their meaning. Hashes cannot
// tell: an index may describe one package and hash another. The error is a
// *Failure with code Mismatch.
//
// Section, Priority and the description are left out, since archives override
// them.
func MatchesControl(p Package, d *deb.Package) error {
	multiArch := d.MultiArch
	if multiArch == "no" {
		multiArch = ""
	}
	for _, f := range []struct{ field, index, control string }{
		{"Package", p.Name, d.Name},
		{"Version", p.Version, d.Version.String()},
		{"Architecture", p.Arch, d.Architecture},
		{"Source", p.SourceName, d.Source},
		{"the version in Source", p.SourceVersion, d.SourceVersion},
		{"Multi-Arch", p.MultiArch, multiArch},
		{"Essential", yesNo(p.Essential), yesNo(d.Essential)},
	} {
		if f.index != f.control {
			return differs(f.field, f.index, f.control)
		}
	}
	for _, f := range []struct{ field, index string }{
		{"Pre-Depends", p.PreDepends}, {"Depends", p.Depends}, {"Provides", p.Provides},
		{"Conflicts", p.Conflicts}, {"Breaks", p.Breaks}, {"Replaces", p.Replaces},
	} {
		want, err := deb.ParseRelations(f.index)
		if f.index != "" && err != nil {
			return reject(Malformed, "field %s of the index: %w", f.field, err)
		}
		if got := d.Relations(f.field); got.String() != want.String() {
			return differs(f.field, f.index, got.String())
		}
	}
	return nil
}

func differs(field, index, control string) error {
	return fail(Mismatch, "the package is not the one of the index: %s is %.200q in the index and %.200q in the package",
		field, cmp.Or(index, "missing"), cmp.Or(control, "missing"))
}

func yesNo(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] }
