package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/deb"
)

// listingModel compares listings of many artifacts, in the midst of changes,
// with what follows from the artifacts one by one.
func listingModel(p *probe) {
	r := rand.New(rand.NewPCG(7, 11))
	codenames := []string{"focal", "jammy", "noble"}
	p.distributions(codenames...)
	for range 2 {
		p.update(func(tx aptrepo.Tx) error {
			for range 300 {
				if err := randomChange(r, tx, codenames); err != nil {
					return err
				}
			}
			return nil
		})
		var all []aptrepo.Artifact
		for a, err := range p.s.EachArtifact(p.ctx) {
			p.ok("EachArtifact", err)
			all = append(all, a)
		}
		for range 40 {
			p.compare(all, randomQuery(r, codenames))
		}
		for _, codename := range codenames {
			p.compareCounts(all, codename)
		}
	}
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// randomChange adds an artifact, or changes where one is published.
func randomChange(r *rand.Rand, tx aptrepo.Tx, codenames []string) error {
	a := made(fmt.Sprintf("%s-%d %s %s section=%s status=%s size=%d uploaded=%d description=%s",
		pick(r, "lib", "Libx", "nginx"), r.IntN(20), pick(r, "1.0", "1.10", "1.9"),
		pick(r, "amd64", "arm64", "all"), pick(r, "web", "libs"), pick(r, "indexed", "indexed", "accepted"),
		r.IntN(30), r.IntN(30), pick(r, "GNU_Library", "web_server", "Ärger")))
	if found, err := tx.Artifact(a.Key()); err == nil {
		a = &found
	} else if err := tx.InsertArtifact(a); err != nil {
		return err
	}
	at := aptrepo.Publication{Distribution: pick(r, codenames...), Component: pick(r, "main", "main", "extra"), PublishedAt: epoch}
	switch r.IntN(4) {
	case 0:
		if len(a.Publications) > 0 {
			at = pick(r, a.Publications...)
		}
		_, _, err := tx.RemovePublication(a.ID, at.Distribution, at.Component)
		return err
	case 1:
		for _, at := range a.Publications {
			if _, _, err := tx.RemovePublication(a.ID, at.Distribution, at.Component); err != nil {
				return err
			}
		}
		if r.IntN(2) == 0 {
			return tx.DeleteArtifact(a.ID)
		}
		return nil
	default:
		_, _, err := tx.AddPublication(a.ID, at)
		return err
	}
}

func randomQuery(r *rand.Rand, codenames []string) aptrepo.PackageQuery {
	q := aptrepo.PackageQuery{
		Sort: pick(r, "", aptrepo.SortName, aptrepo.SortNameDesc, aptrepo.SortUploaded, aptrepo.SortUploadedDesc,
			aptrepo.SortSize, aptrepo.SortSizeDesc),
		Page:    1 + r.IntN(3),
		PerPage: pick(r, 1, 2, 10, 100),
	}
	if r.IntN(2) == 0 {
		q.Distribution = pick(r, codenames...)
	}
	if r.IntN(4) == 0 {
		q.Arch = pick(r, "amd64", "all")
	}
	if r.IntN(3) == 0 {
		q.Status = pick(r, aptrepo.Indexed, aptrepo.Accepted)
	}
	if r.IntN(4) == 0 {
		q.Section = pick(r, "web", "libs")
	}
	if r.IntN(3) == 0 {
		q.Q = pick(r, "lib", "LIBX", "x-1", "är", "gnu lib", "r", "zzz")
	}
	return q
}

func matches(a aptrepo.Artifact, q aptrepo.PackageQuery) bool {
	contains := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(q.Q)) }
	return (q.Distribution == "" || a.PublishedIn(q.Distribution)) && (q.Arch == "" || a.Arch == q.Arch) &&
		(q.Status == "" || a.Status == q.Status) && (q.Section == "" || a.Section == q.Section) &&
		(contains(a.Name) || contains(a.Description))
}

// byName orders artifacts by name, version (newest first) and architecture.
func byName(a, b aptrepo.Artifact) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), deb.CompareVersions(b.Version, a.Version), strings.Compare(a.Arch, b.Arch))
}

// bySort orders artifacts as a query asks, ties as byName does.
func bySort(sort aptrepo.Sort) func(a, b aptrepo.Artifact) int {
	return func(a, b aptrepo.Artifact) int {
		switch sort {
		case aptrepo.SortNameDesc:
			return cmp.Or(strings.Compare(b.Name, a.Name), byName(a, b))
		case aptrepo.SortUploaded:
			return cmp.Or(a.UploadedAt.Compare(b.UploadedAt), byName(a, b))
		case aptrepo.SortUploadedDesc:
			return cmp.Or(b.UploadedAt.Compare(a.UploadedAt), byName(a, b))
		case aptrepo.SortSize:
			return cmp.Or(cmp.Compare(a.Size, b.Size), byName(a, b))
		case aptrepo.SortSizeDesc:
			return cmp.Or(cmp.Compare(b.Size, a.Size), byName(a, b))
		}
		return byName(a, b)
	}
}

// better orders artifacts of a name by how well they stand for it.
func better(a, b aptrepo.Artifact) int {
	rank := func(yes bool) int {
		if yes {
			return 0
		}
		return 1
	}
	return cmp.Or(rank(len(a.Publications) > 0)-rank(len(b.Publications) > 0), deb.CompareVersions(b.Version, a.Version),
		rank(a.Arch == "amd64")-rank(b.Arch == "amd64"), strings.Compare(a.Arch, b.Arch))
}

func pageOf[T any](list []T, page, perPage int) []T {
	from := min((page-1)*perPage, len(list))
	return list[from:min(from+perPage, len(list))]
}

// compare checks the listings of one query.
func (p *probe) compare(all []aptrepo.Artifact, q aptrepo.PackageQuery) {
	var found []aptrepo.Artifact
	for _, a := range all {
		if matches(a, q) {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, bySort(q.Sort))
	artifacts, err := p.s.ArtifactRows(p.ctx, q)
	p.ok("ArtifactRows", err)
	p.equal(fmt.Sprintf("artifacts of %+v", q), labels(artifacts.Items), labels(pageOf(found, q.Page, q.PerPage)))
	p.equal(fmt.Sprintf("number of artifacts of %+v", q), artifacts.Total, len(found))

	rows := rowsOf(found, q)
	page, err := p.s.PackageRows(p.ctx, q)
	p.ok("PackageRows", err)
	var got, want []string
	for _, r := range page.Items {
		got = append(got, render(r))
	}
	for _, r := range pageOf(rows, q.Page, q.PerPage) {
		want = append(want, render(r))
	}
	p.equal(fmt.Sprintf("rows of %+v", q), got, want)
	p.equal(fmt.Sprintf("number of rows of %+v", q), page.Total, len(rows))
}

// rowsOf sums up artifacts by name.
func rowsOf(found []aptrepo.Artifact, q aptrepo.PackageQuery) []aptrepo.PackageRow {
	groups := make(map[string][]aptrepo.Artifact)
	for _, a := range found {
		groups[a.Name] = append(groups[a.Name], a)
	}
	var rows []aptrepo.PackageRow
	for name, group := range groups {
		slices.SortFunc(group, byName)
		row := aptrepo.PackageRow{Name: name, Latest: slices.MinFunc(group, better)}
		for _, a := range group {
			if !slices.Contains(row.Versions, a.Version) {
				row.Versions = append(row.Versions, a.Version)
			}
			row.Architectures = append(row.Architectures, a.Arch)
			for _, codename := range a.Distributions() {
				if q.Distribution == "" || q.Distribution == codename {
					row.Distributions = append(row.Distributions, codename)
				}
			}
		}
		slices.Sort(row.Architectures)
		slices.Sort(row.Distributions)
		row.Architectures, row.Distributions = slices.Compact(row.Architectures), slices.Compact(row.Distributions)
		rows = append(rows, row)
	}
	order := bySort(q.Sort)
	slices.SortFunc(rows, func(a, b aptrepo.PackageRow) int { return order(a.Latest, b.Latest) })
	return rows
}

// compareCounts checks what a distribution says about itself, and the list of
// its publications.
func (p *probe) compareCounts(all []aptrepo.Artifact, codename string) {
	var want aptrepo.Distribution
	var published []string
	slices.SortFunc(all, byName)
	name := ""
	for _, a := range all {
		if !a.PublishedIn(codename) {
			continue
		}
		if a.Name != name {
			name = a.Name
			want.PackageCount++
		}
		want.SizeBytes += a.Size
		for _, at := range a.Publications {
			if at.Distribution == codename {
				want.ArtifactCount++
				published = append(published, label(a)+" "+at.Component)
			}
		}
	}
	d, err := p.s.Distribution(p.ctx, codename)
	p.ok("Distribution", err)
	p.equal("counts of "+codename, []any{d.PackageCount, d.ArtifactCount, d.SizeBytes},
		[]any{want.PackageCount, want.ArtifactCount, want.SizeBytes})
	page, err := p.s.PublishedRows(p.ctx, aptrepo.PublishedQuery{Distribution: codename, PerPage: 1000})
	p.ok("PublishedRows", err)
	var got []string
	for _, r := range page.Items {
		got = append(got, label(r.Artifact)+" "+r.Publication.Component)
	}
	p.equal("publications of "+codename, got, published)
}
