package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo"
)

const defaultPerPage = 50

// bounds returns LIMIT and OFFSET of a page.
func bounds(page, perPage int) []any {
	if perPage <= 0 {
		perPage = defaultPerPage
	}
	return []any{perPage, max(page-1, 0) * perPage}
}

// sortColumn returns the column of a listing's order and its direction.
func sortColumn(s aptrepo.Sort) (column, direction string, err error) {
	switch s {
	case "", aptrepo.SortName:
		return "name", "", nil
	case aptrepo.SortNameDesc:
		return "name", " DESC", nil
	case aptrepo.SortUploaded:
		return "uploaded_at", "", nil
	case aptrepo.SortUploadedDesc:
		return "uploaded_at", " DESC", nil
	case aptrepo.SortSize:
		return "size", "", nil
	case aptrepo.SortSizeDesc:
		return "size", " DESC", nil
	}
	return "", "", &aptrepo.FieldError{Field: "sort", Message: fmt.Sprintf("must not be %.20q", string(s))}
}

// A filter is the WHERE part of a listing.
type filter struct {
	conditions []string
	args       []any
}

func (f *filter) add(condition string, args ...any) {
	f.conditions = append(f.conditions, condition)
	f.args = append(f.args, args...)
}

func (f *filter) equal(column, value string) {
	if value != "" {
		f.add(column+" = ?", value)
	}
}

func (f *filter) where() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.conditions, " AND ")
}

// with returns the arguments of the filter and more.
func (f *filter) with(more ...any) []any { return slices.Concat(f.args, more) }

// filterOf selects artifacts a.
func (d Dialect) filterOf(q aptrepo.PackageQuery) filter {
	var f filter
	if q.Distribution != "" {
		f.add("a.id IN (SELECT artifact_id FROM publications WHERE distribution = ?)", q.Distribution)
	}
	f.equal("a.arch", q.Arch)
	f.equal("a.status", string(q.Status))
	f.equal("a.section", q.Section)
	d.search(&f, "a.id", q.Q)
	return f
}

// ArtifactRows implements [aptrepo.Store].
func (d *DB) ArtifactRows(ctx context.Context, q aptrepo.PackageQuery) (aptrepo.Page[aptrepo.Artifact], error) {
	var page aptrepo.Page[aptrepo.Artifact]
	column, direction, err := sortColumn(q.Sort)
	if err != nil {
		return page, err
	}
	f := d.dialect.filterOf(q)
	order := newestFirst
	if column != "name" || direction != "" {
		order = "a." + column + direction + ", " + newestFirst
	}
	err = d.read(ctx, func(r querier) error {
		if _, err := get(r, "SELECT COUNT(*) FROM artifacts a"+f.where(), f.args, &page.Total); err != nil {
			return err
		}
		page.Items, err = ordered(r, "SELECT a.id FROM artifacts a"+f.where()+" ORDER BY "+order+" LIMIT ? OFFSET ?",
			f.with(bounds(q.Page, q.PerPage)...))
		return err
	})
	return page, err
}

// ordered reads the artifacts whose IDs a query returns, in its order. The
// query alone is sorted and cut, which is cheaper than doing so with the
// artifacts.
func ordered(q querier, query string, args []any) ([]aptrepo.Artifact, error) {
	var ids []int64
	err := each(q, query, args, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	byID, err := artifactsByID(q, ids)
	if err != nil {
		return nil, err
	}
	found := make([]aptrepo.Artifact, 0, len(ids))
	for _, id := range ids {
		found = append(found, byID[id])
	}
	return found, nil
}

// PublishedRows implements [aptrepo.Store].
func (d *DB) PublishedRows(ctx context.Context, q aptrepo.PublishedQuery) (aptrepo.Page[aptrepo.PublishedArtifact], error) {
	var page aptrepo.Page[aptrepo.PublishedArtifact]
	var f filter
	f.add("p.distribution = ?", q.Distribution)
	f.equal("p.arch", q.Arch)
	f.equal("p.component", q.Component)
	d.dialect.search(&f, "p.artifact_id", q.Q)
	err := d.read(ctx, func(r querier) (err error) {
		about, err := distribution(r, q.Distribution)
		if err != nil {
			return err
		}
		page.Total = about.ArtifactCount
		if len(f.conditions) > 1 {
			if _, err := get(r, "SELECT COUNT(*) FROM publications p"+f.where(), f.args, &page.Total); err != nil {
				return err
			}
		}
		page.Items, err = publishedPage(r, f, q)
		return err
	})
	return page, err
}

func publishedPage(q querier, f filter, query aptrepo.PublishedQuery) ([]aptrepo.PublishedArtifact, error) {
	var items []aptrepo.PublishedArtifact
	var ids []int64
	err := each(q, "SELECT p.artifact_id, p.component, p.published_at FROM publications p"+f.where()+
		" ORDER BY p.name, p.version_key DESC, p.arch, p.component LIMIT ? OFFSET ?",
		f.with(bounds(query.Page, query.PerPage)...), func(rows *sql.Rows) error {
			var id, at int64
			p := aptrepo.Publication{Distribution: query.Distribution}
			err := rows.Scan(&id, &p.Component, &at)
			p.PublishedAt = timeOf(at)
			ids = append(ids, id)
			items = append(items, aptrepo.PublishedArtifact{Publication: p})
			return err
		})
	if err != nil {
		return nil, err
	}
	byID, err := artifactsByID(q, ids)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		items[i].Artifact = byID[id]
	}
	return items, nil
}
