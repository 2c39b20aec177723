package resolve

import (
	"fmt"
	"slices"
	"strings"

	"github.com/repod-io/repod/deb"
)

// root makes the asked-for package the first item.
func (r *resolver) root() error {
	r.offers.ask(r.req.Name)
	if err := r.offers.load(r.budget.ctx); err != nil {
		return fmt.Errorf("offered packages: %w", err)
	}
	var offered []*Package
	for _, l := range r.offers.real[r.req.Name] {
		if l.pkg.native(&deb.Dependency{}, r.req.Arch) {
			offered = append(offered, l.pkg)
		}
	}
	if len(offered) == 0 {
		return r.notOffered()
	}
	p, reason, err := pick(offered, r.req)
	if err != nil {
		return err
	}
	r.target.ask(p.Name)
	if err := r.target.load(r.budget.ctx); err != nil {
		return fmt.Errorf("published packages: %w", err)
	}
	item := Item{Package: p, Name: p.Name, Status: Import, Reason: reason}
	for _, l := range r.target.real[p.Name] {
		if l.pkg.Arch == p.Arch && l.pkg.Version.Compare(p.Version) == 0 {
			item.Package, item.Status, item.Reason = l.pkg, Present, reason+"; published already"
			break
		}
	}
	return r.add(item)
}

// pick chooses the version that is asked for. Offers are sorted.
func pick(offers []*Package, req Request) (*Package, string, error) {
	if req.Version == "" {
		return offers[0], newestOf(countVersions(offers), "offered"), nil
	}
	notFound := func() error {
		return fmt.Errorf("%w: %s is asked for, offered: %s", ErrVersionNotFound, quoteVersion(req.Version), listVersions(offers))
	}
	v, err := deb.ParseVersion(req.Version)
	if err != nil {
		return nil, "", notFound()
	}
	for _, p := range offers {
		if p.Version.Compare(v) == 0 {
			return p, "the version asked for", nil
		}
	}
	if strings.ContainsAny(req.Version, ":-") { // it has an epoch or a revision
		return nil, "", notFound()
	}
	offers = slices.DeleteFunc(slices.Clone(offers), func(p *Package) bool { return p.Version.Upstream() != req.Version })
	if len(offers) == 0 {
		return nil, "", notFound()
	}
	return offers[0], newestOf(countVersions(offers), "whose upstream version is "+req.Version), nil
}

// notOffered says why there is no offer of the asked-for package.
func (r *resolver) notOffered() error {
	d := deb.Dependency{Name: r.req.Name}
	why := r.whyNot(&d, r.req.Arch)
	return fmt.Errorf("%w: %s", ErrPackageNotFound, why)
}
