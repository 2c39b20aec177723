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

// A condition is a part of WHERE and its parameters.
type condition struct {
	text string
	args []any
}

// A selection is what a listing reads: a table and the conditions on its rows,
// which they call @. Searching has two forms, see searching.
type selection struct {
	dialect    Dialect
	table      string // artifacts, or publications when in one distribution
	id         string // column with the artifact's ID
	published  string // expression on @: 1 for a published artifact, else 0
	conditions []condition
	all, one   condition // empty when not searching
}

func (s *selection) equal(column, value string) {
	if value != "" {
		s.conditions = append(s.conditions, condition{"@." + column + " = ?", []any{value}})
	}
}

// selectionOf returns what a query selects. The table publications repeats of
// each artifact what queries select and sort by.
func (d Dialect) selectionOf(q aptrepo.PackageQuery) *selection {
	s := &selection{dialect: d, table: "artifacts", id: "id", published: "CASE WHEN @.publications > 0 THEN 1 ELSE 0 END"}
	if q.Distribution != "" {
		s.table, s.id, s.published = "publications", "artifact_id", "1"
		s.equal("distribution", q.Distribution)
		s.conditions = append(s.conditions, condition{"@.sole = 1", nil})
	}
	s.equal("arch", q.Arch)
	s.equal("status", string(q.Status))
	s.equal("section", q.Section)
	if q.Q != "" {
		s.all, s.one = d.searching("@."+s.id, q.Q)
	}
	return s
}

// from renders FROM and WHERE with the conditions and more of them. The table
// is called a.
func (s *selection) from(more ...condition) condition { return s.as("a", more...) }

func (s *selection) as(alias string, more ...condition) condition {
	out := condition{" FROM " + s.table + " AS " + alias, nil}
	word := " WHERE "
	for _, c := range slices.Concat(s.conditions, more) {
		if c.text == "" {
			continue
		}
		out.text += word + of(alias, c.text)
		out.args = append(out.args, c.args...)
		word = " AND "
	}
	return out
}

// of renders an expression for a table of that alias.
func of(alias, expression string) string { return strings.ReplaceAll(expression, "@.", alias+".") }

// unselective is by how much more rows must match than a page ends at for the
// page to be read in its order, testing each row, until it is full. Tests
// change it.
var unselective = 20

// page renders the FROM and WHERE that finds a page fastest, when total rows
// match.
func (s *selection) page(total int, bounds []any) (from condition, walk bool) {
	if end := bounds[0].(int) + bounds[1].(int); end < total/unselective {
		return s.from(s.one), true
	}
	return s.from(s.all), false
}

// ArtifactRows implements [aptrepo.Store].
func (d *DB) ArtifactRows(ctx context.Context, q aptrepo.PackageQuery) (aptrepo.Page[aptrepo.Artifact], error) {
	var page aptrepo.Page[aptrepo.Artifact]
	column, direction, err := sortColumn(q.Sort)
	if err != nil {
		return page, err
	}
	order := " ORDER BY " + newestFirst
	if column != "name" || direction != "" {
		order = " ORDER BY a." + column + direction + ", " + newestFirst
	}
	s := d.dialect.selectionOf(q)
	err = d.read(ctx, func(r querier) error {
		total := s.from(s.all)
		if _, err := get(r, "SELECT COUNT(*)"+total.text, total.args, &page.Total); err != nil {
			return err
		}
		limits := bounds(q.Page, q.PerPage)
		from, _ := s.page(page.Total, limits)
		page.Items, err = ordered(r, "SELECT a."+s.id+from.text+order+" LIMIT ? OFFSET ?", slices.Concat(from.args, limits))
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
	s := &selection{dialect: d.dialect, table: "publications", id: "artifact_id"}
	s.equal("distribution", q.Distribution)
	s.equal("arch", q.Arch)
	s.equal("component", q.Component)
	if q.Q != "" {
		s.all, s.one = d.dialect.searching("@."+s.id, q.Q)
	}
	err := d.read(ctx, func(r querier) error {
		about, err := distribution(r, q.Distribution)
		if err != nil {
			return err
		}
		page.Total = about.ArtifactCount
		if len(s.conditions) > 1 || q.Q != "" {
			total := s.from(s.all)
			if _, err := get(r, "SELECT COUNT(*)"+total.text, total.args, &page.Total); err != nil {
				return err
			}
		}
		limits := bounds(q.Page, q.PerPage)
		from, _ := s.page(page.Total, limits)
		from.args = append(from.args, limits...)
		page.Items, err = publishedPage(r, from, q.Distribution)
		return err
	})
	return page, err
}

// publishedPage reads the publications of a page. What the index does not have
// is read only of those.
func publishedPage(q querier, from condition, codename string) ([]aptrepo.PublishedArtifact, error) {
	var items []aptrepo.PublishedArtifact
	var ids []int64
	err := each(q, "SELECT a.artifact_id, a.component"+from.text+
		" ORDER BY a.name, a.version_key DESC, a.arch, a.component LIMIT ? OFFSET ?", from.args, func(rows *sql.Rows) error {
		var id int64
		p := aptrepo.Publication{Distribution: codename}
		err := rows.Scan(&id, &p.Component)
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
		item := &items[i]
		item.Artifact = byID[id]
		for _, p := range item.Publications {
			if p.Distribution == codename && p.Component == item.Publication.Component {
				item.Publication = p
			}
		}
	}
	return items, nil
}
