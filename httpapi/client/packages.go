package client

import (
	"context"
	"iter"
)

// A PackageQuery says which packages are listed; what is zero does not narrow.
type PackageQuery struct {
	Q            string `url:"q"` // part of a name or description
	Distribution string `url:"distribution"`
	Arch         string `url:"arch"`
	Status       string `url:"status"`
	Section      string `url:"section"`
	Sort         string `url:"sort"` // name, uploaded_at, size_bytes, each with or without "-"
	Paging
}

// Packages lists packages, a row for each name.
func (c *Client) Packages(ctx context.Context, q PackageQuery) (Page[PackageRow], error) {
	return get[Page[PackageRow]](ctx, c, "/packages", q)
}

// AllPackages yields the rows of all pages that [Client.Packages] has.
func (c *Client) AllPackages(ctx context.Context, q PackageQuery) iter.Seq2[PackageRow, error] {
	return pages(func(p Paging) (Page[PackageRow], error) {
		q.Paging = p
		return c.Packages(ctx, q)
	})
}

// Artifacts lists packages, a row for each version and architecture.
func (c *Client) Artifacts(ctx context.Context, q PackageQuery) (Page[ArtifactRow], error) {
	return get[Page[ArtifactRow]](ctx, c, "/artifacts", q)
}

// AllArtifacts yields the rows of all pages that [Client.Artifacts] has.
func (c *Client) AllArtifacts(ctx context.Context, q PackageQuery) iter.Seq2[ArtifactRow, error] {
	return pages(func(p Paging) (Page[ArtifactRow], error) {
		q.Paging = p
		return c.Artifacts(ctx, q)
	})
}

// Package returns all versions of a package. Code: package_not_found.
func (c *Client) Package(ctx context.Context, name string) (Package, error) {
	return get[Package](ctx, c, at("artifacts", name), nil)
}

// An archQuery chooses an architecture.
type archQuery struct {
	Arch string `url:"arch"`
}

// Artifact returns a version for an architecture; "" stands for amd64, or else
// for the first. Codes: package_not_found, version_not_found.
func (c *Client) Artifact(ctx context.Context, name, version, arch string) (Artifact, error) {
	return get[Artifact](ctx, c, at("artifacts", name, version), archQuery{arch})
}

// A DependencyQuery chooses a version of a package, and a distribution. Zero: the
// newest that is published, for amd64, in the first one that it is in.
type DependencyQuery struct {
	Version      string `url:"version"`
	Arch         string `url:"arch"`
	Distribution string `url:"distribution"`
}

// Dependencies returns what a package needs.
func (c *Client) Dependencies(ctx context.Context, name string, q DependencyQuery) (Dependencies, error) {
	return get[Dependencies](ctx, c, at("artifacts", name, "dependencies"), q)
}

// Install returns how a package is installed. Code: not_published.
func (c *Client) Install(ctx context.Context, name string, q DependencyQuery) (Install, error) {
	return get[Install](ctx, c, at("artifacts", name, "install"), q)
}

// DeleteVersion deletes a version for an architecture, "" for each. With forget,
// which needs the role admin, other contents may bear the version from now on.
func (c *Client) DeleteVersion(ctx context.Context, name, version, arch string, forget bool) error {
	return remove(ctx, c, at("artifacts", name, version), struct {
		archQuery
		Forget bool `url:"forget"`
	}{archQuery{arch}, forget})
}

// Distributions returns all distributions, by codename.
func (c *Client) Distributions(ctx context.Context) ([]Distribution, error) {
	out, err := get[struct {
		Distributions []Distribution `json:"distributions"`
	}](ctx, c, "/distributions", nil)
	return out.Distributions, err
}

// CreateDistribution creates a distribution, empty and signed. Code:
// distribution_exists.
func (c *Client) CreateDistribution(ctx context.Context, d NewDistribution) (Distribution, error) {
	return post[Distribution](ctx, c, "/distributions/init", nil, d)
}

// A PublishedQuery says what of a distribution is listed.
type PublishedQuery struct {
	Q         string `url:"q"` // part of a name or description
	Arch      string `url:"arch"`
	Component string `url:"component"`
	Paging
}

// Published lists what is published in a distribution. Code:
// distribution_not_found.
func (c *Client) Published(ctx context.Context, codename string, q PublishedQuery) (Page[PublishedRow], error) {
	return get[Page[PublishedRow]](ctx, c, at("distributions", codename, "packages"), q)
}

// Unpublish takes a version out of one distribution: of an architecture and
// component, "" for each.
func (c *Client) Unpublish(ctx context.Context, codename, name, version, arch, component string) error {
	return remove(ctx, c, at("distributions", codename, "packages", name, version), struct {
		archQuery
		Component string `url:"component"`
	}{archQuery{arch}, component})
}

// Promote publishes a version in another distribution, too. Codes: not_published,
// blocked_by_policy.
func (c *Client) Promote(ctx context.Context, p Promotion) (Promoted, error) {
	return repeat[Promoted](ctx, c, "/distributions/promote", nil, p)
}

// Migrate publishes many packages in another distribution, too.
func (c *Client) Migrate(ctx context.Context, m Migration) (Migrated, error) {
	return repeat[Migrated](ctx, c, "/distributions/migrate", nil, m)
}
