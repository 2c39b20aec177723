package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb"
)

// pullLimit is how long fetching one file may take.
const pullLimit = 10 * time.Minute

// Pull imports the package whose file lies at a path of the pool, if a
// distribution of PullThrough offers it; else the error matches fs.ErrNotExist.
// When it returns nil, the package is published and the file is there. Those who
// ask for the same file share one import, which goes on when they go away.
func (im *Importer) Pull(ctx context.Context, name string) error {
	if im.PullThrough == nil || len(im.PullThrough()) == 0 {
		return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	done := im.pulls.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pullLimit)
		defer cancel()
		return nil, im.pull(ctx, name)
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (im *Importer) pull(ctx context.Context, name string) error {
	for _, codename := range im.PullThrough() {
		q, err := im.offeredAt(ctx, codename, name)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNotSynced):
			continue
		case err != nil:
			return err
		}
		results, err := im.Import(ctx, "import.fetch", Order{Packages: []Request{q}}, nil)
		if err != nil {
			return err
		}
		if r := results[0]; r.Err != nil || r.Items[0].Err != nil {
			return cmp.Or(r.Err, r.Items[0].Err)
		}
		return nil
	}
	return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// offeredAt returns the request for the package that a distribution offers at a
// path.
func (im *Importer) offeredAt(ctx context.Context, codename, name string) (Request, error) {
	missing := fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	parts := strings.Split(strings.TrimSuffix(path.Base(name), ".deb"), "_")
	if len(parts) != 3 || !deb.ValidPackageName(parts[0]) {
		return Request{}, missing
	}
	sources, err := im.eligible(ctx, codename, "")
	if err != nil {
		return Request{}, err
	}
	d, err := im.Repo.Distribution(ctx, codename)
	if err != nil {
		return Request{}, err
	}
	offers, err := im.Catalog.Offers(ctx, ids(sources), []string{parts[0]})
	if err != nil {
		return Request{}, err
	}
	for _, p := range preferred(offers, sources) {
		if p.Name != parts[0] || p.Arch != parts[2] {
			continue
		}
		if o := offerOf(p, d); o.Filename() == name {
			return Request{
				Name: p.Name, Version: p.Version, Arch: p.Arch, Distribution: codename, Component: o.Component, SourceID: p.SourceID,
			}, nil
		}
	}
	return Request{}, missing
}

// preferred sorts packages by the preference among their sources.
func preferred(packages []upstream.Package, sources []upstream.Source) []upstream.Package {
	rank := make(map[string]int, len(sources))
	for i, s := range sources {
		rank[s.ID] = i
	}
	return slices.SortedStableFunc(slices.Values(packages), func(a, b upstream.Package) int {
		return cmp.Compare(rank[a.SourceID], rank[b.SourceID])
	})
}

// RefreshOffers makes the indices of the distributions of PullThrough list what
// the sources offer for them, and takes the offers out of those in former that
// are not among them. Call it when either has changed, and at the start.
func (im *Importer) RefreshOffers(ctx context.Context, former ...string) error {
	var now []string
	if im.PullThrough != nil {
		now = im.PullThrough()
	}
	var errs []error
	for _, codename := range now {
		errs = append(errs, im.Repo.Offer(ctx, codename, im.offersFor(ctx, codename)))
	}
	for _, codename := range former {
		if !slices.Contains(now, codename) {
			errs = append(errs, im.Repo.Offer(ctx, codename, func(func(aptrepo.Offer, error) bool) {}))
		}
	}
	for i, err := range errs {
		if errors.Is(err, aptrepo.ErrUnknownDistribution) { // it need not exist yet
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}

// offersFor yields what the sources offer for a distribution.
func (im *Importer) offersFor(ctx context.Context, codename string) iter.Seq2[aptrepo.Offer, error] {
	return func(yield func(aptrepo.Offer, error) bool) {
		sources, err := im.eligible(ctx, codename, "")
		if errors.Is(err, ErrNotSynced) {
			return
		}
		d, distributionErr := im.Repo.Distribution(ctx, codename)
		if err = cmp.Or(err, distributionErr); err != nil {
			yield(aptrepo.Offer{}, err)
			return
		}
		for _, s := range sources {
			for p, err := range im.Catalog.EachPackage(ctx, s.ID) {
				if err != nil {
					yield(aptrepo.Offer{}, err)
					return
				}
				if !yield(offerOf(p, d), nil) {
					return
				}
			}
		}
	}
}

// offerOf returns the offer of a package: in its component, if the distribution
// has one of that name, else in the first.
func offerOf(p upstream.Package, d aptrepo.Distribution) aptrepo.Offer {
	component := p.Component
	if !slices.Contains(d.Components, component) {
		component = d.Components[0]
	}
	control := new(deb.Stanza)
	source := p.SourceName
	if p.SourceVersion != p.Version {
		source += " (" + p.SourceVersion + ")"
	}
	if source == p.Name {
		source = ""
	}
	size := ""
	if p.InstalledSize > 0 {
		size = strconv.FormatInt(p.InstalledSize, 10)
	}
	for _, f := range [][2]string{
		{"Package", p.Name}, {"Version", p.Version}, {"Architecture", p.Arch}, {"Source", source}, {"Installed-Size", size},
		{"Essential", map[bool]string{true: "yes"}[p.Essential]}, {"Multi-Arch", p.MultiArch}, {"Section", p.Section}, {"Priority", p.Priority},
		{"Pre-Depends", p.PreDepends}, {"Depends", p.Depends}, {"Provides", p.Provides}, {"Conflicts", p.Conflicts},
		{"Breaks", p.Breaks}, {"Replaces", p.Replaces}, {"Description", p.Synopsis},
	} {
		if f[1] == "" {
			continue
		}
		if err := control.Set(f[0], f[1]); err != nil {
			continue // a sync takes no such value; apt does without
		}
	}
	return aptrepo.Offer{Component: component, Source: p.SourceName, Control: control, Size: p.Size, SHA256: p.SHA256}
}
