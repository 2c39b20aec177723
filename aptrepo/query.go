package aptrepo

import (
	"context"
	"errors"
	"slices"

	"github.com/repod-io/repod/deb"
)

// Distributions lists all distributions by codename.
func (r *Repo) Distributions(ctx context.Context) ([]Distribution, error) {
	return r.Store.Distributions(ctx)
}

// Distribution returns one distribution or ErrUnknownDistribution.
func (r *Repo) Distribution(ctx context.Context, codename string) (Distribution, error) {
	return r.Store.Distribution(ctx, codename)
}

// Packages lists package names, one row for each.
func (r *Repo) Packages(ctx context.Context, q PackageQuery) (Page[PackageRow], error) {
	return r.Store.PackageRows(ctx, q)
}

// ArtifactRows lists artifacts, one row for each.
func (r *Repo) ArtifactRows(ctx context.Context, q PackageQuery) (Page[Artifact], error) {
	return r.Store.ArtifactRows(ctx, q)
}

// PublishedRows lists what is published in one distribution, or returns
// ErrUnknownDistribution.
func (r *Repo) PublishedRows(ctx context.Context, q PublishedQuery) (Page[PublishedArtifact], error) {
	return r.Store.PublishedRows(ctx, q)
}

// Artifacts returns all artifacts of a name, newest version first, then by
// architecture, or ErrPackageNotFound.
func (r *Repo) Artifacts(ctx context.Context, name string) ([]Artifact, error) {
	artifacts, err := r.Store.Artifacts(ctx, name)
	if err == nil && len(artifacts) == 0 {
		err = ErrPackageNotFound
	}
	return artifacts, err
}

// Artifact returns one version of a package; without an architecture that of
// amd64, or the first by name. ErrPackageNotFound, ErrVersionNotFound.
func (r *Repo) Artifact(ctx context.Context, s Selection) (Artifact, error) {
	artifacts, err := r.Artifacts(ctx, s.Name)
	if err != nil {
		return Artifact{}, err
	}
	return s.Choose(artifacts)
}

// Choose picks the artifact of a version and architecture among those of a
// name, as Repo.Artifacts returns them; amd64 or else the first architecture
// when none is asked for. Errors: ErrVersionNotFound.
func (s Selection) Choose(artifacts []Artifact) (Artifact, error) {
	key := KeyOf(s.Name, s.Version, s.Arch)
	artifacts = slices.DeleteFunc(slices.Clone(artifacts), func(a Artifact) bool {
		return a.Key().Version != key.Version || s.Arch != "" && a.Arch != s.Arch
	})
	if len(artifacts) == 0 {
		return Artifact{}, ErrVersionNotFound
	}
	if i := slices.IndexFunc(artifacts, func(a Artifact) bool { return a.Arch == "amd64" }); i >= 0 {
		return artifacts[i], nil
	}
	return artifacts[0], nil
}

// DependencyOptions names the artifact that Dependencies and Installable
// regard, and the distribution they look in.
type DependencyOptions struct {
	Selection           // Version "": newest published, else newest; Arch "": amd64, else the first
	Distribution string // "": the first that the artifact is published in
}

// pick finds the artifact that o names, and the distribution.
func (r *Repo) pick(ctx context.Context, o DependencyOptions) (Artifact, string, error) {
	if o.Distribution != "" {
		if _, err := r.distribution(ctx, o.Distribution); err != nil {
			return Artifact{}, "", err
		}
	}
	artifacts, err := r.Artifacts(ctx, o.Name)
	if err != nil {
		return Artifact{}, "", err
	}
	if o.Version == "" {
		o.Version = newest(artifacts, o)
	}
	a, err := o.Selection.Choose(artifacts)
	if err != nil {
		return Artifact{}, "", err
	}
	if o.Distribution == "" && len(a.Publications) > 0 {
		o.Distribution = a.Publications[0].Distribution
	}
	return a, o.Distribution, nil
}

// newest returns the newest version, newest first as they come: among those
// published (in o.Distribution when it is given) if there is one.
func newest(artifacts []Artifact, o DependencyOptions) string {
	fallback := ""
	for _, a := range artifacts {
		if o.Arch != "" && a.Arch != o.Arch {
			continue
		}
		if fallback == "" {
			fallback = a.Version
		}
		if len(a.Publications) > 0 && (o.Distribution == "" || a.PublishedIn(o.Distribution)) {
			return a.Version
		}
	}
	return fallback
}

// An Installable is a published artifact and where apt finds it.
type Installable struct {
	Artifact     Artifact
	Distribution Distribution
	Component    string
}

// Installable returns where apt finds a package. Errors: ErrPackageNotFound,
// ErrVersionNotFound, ErrUnknownDistribution, ErrNotPublished.
func (r *Repo) Installable(ctx context.Context, o DependencyOptions) (Installable, error) {
	a, codename, err := r.pick(ctx, o)
	if err != nil {
		return Installable{}, err
	}
	i := slices.IndexFunc(a.Publications, func(p Publication) bool { return p.Distribution == codename })
	if i < 0 {
		return Installable{}, ErrNotPublished
	}
	d, err := r.distribution(ctx, codename)
	return Installable{a, d, a.Publications[i].Component}, err
}

// Dependencies says how far an artifact's relations can be satisfied by what
// is published in one distribution.
type Dependencies struct {
	Artifact     Artifact
	Distribution string // "": any one
	Relations    []DependencyRelation
}

// A DependencyRelation is one relation of a package: any one of its
// alternatives satisfies it.
type DependencyRelation struct {
	Kind         string // "depends", "pre_depends", "recommends" or "suggests"
	Alternatives []DependencyAlternative
	Text         string // as in a control file: "libc6 (>= 2.34) | libc6.1"
	Satisfied    bool
}

// A DependencyAlternative is one way to satisfy a relation.
type DependencyAlternative struct {
	Name       string
	Constraint string    // ">= 2.34", or ""
	By         *Provider // nil when nothing published satisfies it
}

// A Provider is the package that satisfies an alternative.
type Provider struct{ Name, Version string }

// Missing returns the texts of the depends and pre_depends that are not
// satisfied.
func (d *Dependencies) Missing() []string {
	var missing []string
	for _, rel := range d.Relations {
		if !rel.Satisfied && (rel.Kind == "depends" || rel.Kind == "pre_depends") {
			missing = append(missing, rel.Text)
		}
	}
	return missing
}

// Dependencies checks an artifact's relations against what is published,
// honouring alternatives, versions, Provides, architectures and Multi-Arch.
// Errors: ErrPackageNotFound, ErrVersionNotFound, ErrUnknownDistribution.
func (r *Repo) Dependencies(ctx context.Context, o DependencyOptions) (Dependencies, error) {
	a, codename, err := r.pick(ctx, o)
	if err != nil {
		return Dependencies{}, err
	}
	return r.dependencies(ctx, a, codename)
}

var relationFields = []struct{ field, kind string }{
	{"Pre-Depends", "pre_depends"}, {"Depends", "depends"}, {"Recommends", "recommends"}, {"Suggests", "suggests"},
}

func (r *Repo) dependencies(ctx context.Context, a Artifact, codename string) (Dependencies, error) {
	out := Dependencies{Artifact: a, Distribution: codename}
	control, err := deb.ParseStanza([]byte(a.Control))
	if err != nil {
		return out, err
	}
	var names []string
	var wanted []deb.Alternatives
	for _, f := range relationFields {
		relations, err := relationsOf(control, f.field)
		if err != nil {
			return out, err
		}
		for _, alternatives := range relations {
			wanted = append(wanted, alternatives)
			out.Relations = append(out.Relations, DependencyRelation{Kind: f.kind, Text: alternatives.String()})
			for _, d := range alternatives {
				names = append(names, d.Name)
			}
		}
	}
	if names == nil {
		return out, nil
	}
	slices.Sort(names)
	candidates, err := r.Store.Providers(ctx, codename, slices.Compact(names))
	if err != nil {
		return out, err
	}
	found := newCandidates(candidates, a.Arch)
	for i := range out.Relations {
		out.Relations[i].satisfy(wanted[i], found)
	}
	return out, nil
}

// relationsOf returns a relationship field, nil when there is none.
func relationsOf(control *deb.Stanza, field string) (deb.Relations, error) {
	value, ok := control.Lookup(field)
	if !ok {
		return nil, nil
	}
	return deb.ParseRelations(value)
}

func (rel *DependencyRelation) satisfy(alternatives deb.Alternatives, found candidates) {
	for _, d := range alternatives {
		by := found.satisfier(d)
		rel.Alternatives = append(rel.Alternatives, DependencyAlternative{d.Name, d.Constraint(), by})
		rel.Satisfied = rel.Satisfied || by != nil
	}
}

// candidates are published artifacts by the names they bear or provide.
type candidates struct {
	arch   string // of the depending package
	byName map[string][]candidate
}

type candidate struct {
	artifact *Artifact
	provides *deb.Dependency // nil: the package itself
}

func newCandidates(artifacts []Artifact, arch string) candidates {
	c := candidates{arch, make(map[string][]candidate)}
	for i := range artifacts {
		a := &artifacts[i]
		c.byName[a.Name] = append(c.byName[a.Name], candidate{artifact: a})
		control, err := deb.ParseStanza([]byte(a.Control))
		if err != nil {
			continue
		}
		provided, err := relationsOf(control, "Provides")
		if err != nil {
			continue
		}
		for _, alternatives := range provided {
			for _, p := range alternatives {
				c.byName[p.Name] = append(c.byName[p.Name], candidate{a, &p})
			}
		}
	}
	return c
}

// satisfier returns the first candidate that satisfies d: real packages
// before providers.
func (c candidates) satisfier(d deb.Dependency) *Provider {
	for _, real := range []bool{true, false} {
		for _, x := range c.byName[d.Name] {
			if (x.provides == nil) == real && c.fits(x, d) {
				return &Provider{x.artifact.Name, x.artifact.Version}
			}
		}
	}
	return nil
}

// fits applies deb-control(5) and the Multi-Arch rules: a package of another
// architecture counts only when it is "foreign", or "allowed" and asked for
// with ":any".
func (c candidates) fits(x candidate, d deb.Dependency) bool {
	a := x.artifact
	sameArch := a.Arch == "all" || c.arch == "all" || a.Arch == c.arch
	switch {
	case d.Qualifier == "any":
		if a.MultiArch != "allowed" && a.MultiArch != "foreign" && !sameArch {
			return false
		}
	case d.Qualifier != "" && d.Qualifier != "native":
		if a.Arch != d.Qualifier && a.Arch != "all" {
			return false
		}
	case !sameArch && a.MultiArch != "foreign":
		return false
	}
	if x.provides != nil {
		return d.SatisfiedByProvides(*x.provides)
	}
	version, err := deb.ParseVersion(a.Version)
	return err == nil && d.SatisfiedBy(a.Name, version)
}

// notFound tells the two errors of a missing artifact from others.
func notFound(err error) bool {
	return errors.Is(err, ErrPackageNotFound) || errors.Is(err, ErrVersionNotFound) || errors.Is(err, ErrArtifactNotFound)
}
