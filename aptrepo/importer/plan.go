package importer

import (
	"cmp"
	"context"
	"fmt"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/resolve"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb"
)

// closureLimit bounds the packages of one request.
const closureLimit = 2000

// A Request asks for one package.
type Request struct {
	Name         string `json:"name"`
	Version      string `json:"version,omitempty"` // "": the newest
	Arch         string `json:"arch"`              // default amd64
	Distribution string `json:"distribution"`
	Component    string `json:"component"`           // default main
	SourceID     string `json:"source_id,omitempty"` // "": all that serve the distribution
}

// WithDefaults returns the request with its defaults filled in.
func (q Request) WithDefaults() Request {
	q.Arch = cmp.Or(q.Arch, "amd64")
	q.Component = cmp.Or(q.Component, "main")
	return q
}

// Resolve tells what Fetch of the same request would do, with all dependencies.
// Without a distribution all enabled sources count, and a package published
// anywhere counts as present. Offers have an upstream.Package as their Ref,
// present packages none.
//
// Errors: ErrUnknownSource, ErrNotSynced, those of [resolve.Resolve], and
// aptrepo.ErrUnknownDistribution.
func (im *Importer) Resolve(ctx context.Context, q Request) (*resolve.Plan, error) {
	q = q.WithDefaults()
	if q.Distribution != "" {
		if _, err := im.Repo.Distribution(ctx, q.Distribution); err != nil {
			return nil, err
		}
	}
	offers, err := im.offers(ctx, q)
	if err != nil {
		return nil, err
	}
	return im.plan(ctx, q, offers, published{im.Repo.Store, q.Distribution}, true)
}

func (im *Importer) plan(ctx context.Context, q Request, offers, target resolve.Universe, dependencies bool) (*resolve.Plan, error) {
	return resolve.Resolve(ctx, resolve.Request{
		Name: q.Name, Version: q.Version, Arch: q.Arch, Limit: closureLimit, WithDependencies: dependencies,
	}, target, offers)
}

// offers returns what the sources have that count for a request.
func (im *Importer) offers(ctx context.Context, q Request) (resolve.Universe, error) {
	sources, err := im.eligible(ctx, q.Distribution, q.SourceID)
	if err != nil {
		return nil, err
	}
	o := &offered{catalog: im.Catalog, sources: ids(sources), preference: make(map[string]int)}
	for i, s := range sources {
		o.preference[s.ID] = i
	}
	return o, nil
}

// offered is what sources offer.
type offered struct {
	catalog    upstream.Catalog
	sources    []string
	preference map[string]int
}

// Packages implements [resolve.Universe].
func (o *offered) Packages(ctx context.Context, names []string) ([]*resolve.Package, error) {
	list, err := o.catalog.Offers(ctx, o.sources, names)
	if err != nil {
		return nil, err
	}
	packages := make([]*resolve.Package, 0, len(list))
	for _, p := range list {
		version, err := deb.ParseVersion(p.Version)
		if err != nil {
			return nil, fmt.Errorf("version of %s in the catalogue: %w", p.Name, err)
		}
		packages = append(packages, &resolve.Package{
			Name: p.Name, Version: version, Arch: p.Arch, MultiArch: p.MultiArch,
			PreDepends: parseRelations(p.PreDepends), Depends: parseRelations(p.Depends), Provides: parseRelations(p.Provides),
			Conflicts: parseRelations(p.Conflicts), Breaks: parseRelations(p.Breaks),
			Size: p.Size, Preference: o.preference[p.SourceID], Ref: p,
		})
	}
	return packages, nil
}

// published is what a distribution has, or all of them when codename is "".
type published struct {
	store    aptrepo.Store
	codename string
}

// Packages implements [resolve.Universe].
func (p published) Packages(ctx context.Context, names []string) ([]*resolve.Package, error) {
	list, err := p.store.Providers(ctx, p.codename, names)
	if err != nil {
		return nil, err
	}
	packages := make([]*resolve.Package, 0, len(list))
	for i := range list {
		a := &list[i]
		version, err := deb.ParseVersion(a.Version)
		if err != nil {
			return nil, fmt.Errorf("version of %s: %w", a.Name, err)
		}
		control, err := deb.ParseStanza([]byte(a.Control))
		if err != nil {
			return nil, fmt.Errorf("control fields of %s %s: %w", a.Name, a.Version, err)
		}
		packages = append(packages, &resolve.Package{
			Name: a.Name, Version: version, Arch: a.Arch, MultiArch: a.MultiArch,
			PreDepends: parseRelations(control.Get("Pre-Depends")), Depends: parseRelations(control.Get("Depends")),
			Provides: parseRelations(control.Get("Provides")), Conflicts: parseRelations(control.Get("Conflicts")),
			Breaks: parseRelations(control.Get("Breaks")), Size: a.Size,
		})
	}
	return packages, nil
}

// joined is a target with packages that are on their way there.
type joined struct {
	resolve.Universe
	coming []*resolve.Package
	index  *resolve.Index // of them, nil when there are more since
}

func (j *joined) add(p *resolve.Package) { j.coming, j.index = append(j.coming, p), nil }

// Packages implements [resolve.Universe].
func (j *joined) Packages(ctx context.Context, names []string) ([]*resolve.Package, error) {
	there, err := j.Universe.Packages(ctx, names)
	if err != nil || len(j.coming) == 0 {
		return there, err
	}
	if j.index == nil {
		j.index = resolve.NewIndex(j.coming)
	}
	more, err := j.index.Packages(ctx, names)
	return append(there, more...), err
}
