package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo"
)

// PackageRows implements [aptrepo.Store].
func (d *DB) PackageRows(ctx context.Context, q aptrepo.PackageQuery) (aptrepo.Page[aptrepo.PackageRow], error) {
	var page aptrepo.Page[aptrepo.PackageRow]
	column, direction, err := sortColumn(q.Sort)
	if err != nil {
		return page, err
	}
	s := d.dialect.selectionOf(q)
	err = d.read(ctx, func(r querier) error {
		total := s.from(s.all)
		total.text = "SELECT COUNT(DISTINCT a.name)" + total.text
		if onlyPlace(q) {
			total = condition{"SELECT COUNT(*) FROM listings WHERE distribution = ?", []any{q.Distribution}}
		}
		if _, err := get(r, total.text, total.args, &page.Total); err != nil {
			return err
		}
		limits := bounds(q.Page, q.PerPage)
		query := s.names(column, direction, page.Total, limits)
		if onlyPlace(q) {
			query = listedNames(q.Distribution, column, direction)
		}
		names, err := texts(r, query.text+" LIMIT ? OFFSET ?", slices.Concat(query.args, limits))
		if err != nil {
			return err
		}
		page.Items, err = packageRows(r, names, s, q.Distribution)
		return err
	})
	return page, err
}

// texts reads a column of text.
func texts(q querier, query string, args []any) ([]string, error) {
	var all []string
	err := each(q, query, args, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		all = append(all, text)
		return err
	})
	return all, err
}

// onlyPlace reports whether q selects nothing beyond a distribution: table
// listings then holds the answer.
func onlyPlace(q aptrepo.PackageQuery) bool {
	return q.Q == "" && q.Arch == "" && q.Status == "" && q.Section == ""
}

func listedNames(codename, column, direction string) condition {
	order := " ORDER BY " + column + direction
	if column != "name" {
		order += ", name"
	}
	return condition{"SELECT name FROM listings WHERE distribution = ?" + order, []any{codename}}
}

// names lists the names of the artifacts that match, in an order by name or by
// a column of the artifact that stands for the name.
func (s *selection) names(column, direction string, total int, limits []any) condition {
	from, walk := s.page(total, limits)
	switch {
	case column == "name":
		from.text = "SELECT DISTINCT a.name" + from.text + " ORDER BY a.name" + direction
	case walk:
		return s.walkedNames(column, direction)
	default:
		from.text = `SELECT name FROM (SELECT a.name, a.` + column + `, ROW_NUMBER() OVER (PARTITION BY a.name
			ORDER BY ` + of("a", s.published) + ` DESC, a.version_key DESC, ` + of("a", amd64) + ` DESC, a.arch) AS place` +
			from.text + `) AS ranked WHERE place = 1 ORDER BY ` + column + direction + `, name`
	}
	return from
}

// amd64 is 1 for the architecture that is preferred, else 0.
const amd64 = "CASE WHEN @.arch = 'amd64' THEN 1 ELSE 0 END"

// walkedNames goes through the rows in the order of an index and takes those
// that stand for their names, which others that match could do better.
func (s *selection) walkedNames(column, direction string) condition {
	rank := "(" + s.published + ", @.version_key, " + amd64 + ")"
	better := s.as("b", s.one, condition{"b.name = a.name AND (" + of("b", rank) + " > " + of("a", rank) +
		" OR " + of("b", rank) + " = " + of("a", rank) + " AND b.arch < a.arch)", nil})
	out := s.from(s.one, condition{"NOT EXISTS (SELECT 1" + better.text + ")", better.args})
	if s.dialect == SQLite { // it would rather sort all rows
		out.text = strings.Replace(out.text, " AS a", " AS a INDEXED BY "+s.table+"_"+column, 1)
	}
	out.text = "SELECT a.name" + out.text + " ORDER BY a." + column + direction + ", a.name"
	return out
}

// packageRows sums up the matching artifacts of each name.
func packageRows(q querier, names []string, s *selection, codename string) ([]aptrepo.PackageRow, error) {
	byName := make(map[string]*summary, len(names))
	for _, name := range names {
		byName[name] = &summary{}
	}
	byID := make(map[int64]*summary)
	from := s.from(s.one, condition{"a.name IN (SELECT value FROM {texts})", []any{list(names)}})
	err := each(q, "SELECT a."+s.id+", (SELECT x.version FROM artifacts x WHERE x.id = a."+s.id+
		"), a.name, a.version_key, a.arch, "+of("a", s.published)+from.text+
		" ORDER BY "+newestFirst, from.args, func(rows *sql.Rows) error {
		var m member
		var name string
		err := rows.Scan(&m.id, &m.version, &name, &m.key, &m.arch, &m.published)
		byName[name].add(m)
		byID[m.id] = byName[name]
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := distributionsOf(q, byID, codename); err != nil {
		return nil, err
	}
	return complete(q, names, byName)
}

// A member is one of the artifacts that a row sums up.
type member struct {
	id        int64
	version   string
	key       []byte
	arch      string
	published int64 // 1 or 0
}

// standsBefore reports whether m is the better artifact to stand for a name.
func (m member) standsBefore(n member) bool {
	if m.published != n.published {
		return m.published > n.published
	}
	if c := bytes.Compare(m.key, n.key); c != 0 {
		return c > 0
	}
	if amd64 := m.arch == "amd64"; amd64 != (n.arch == "amd64") {
		return amd64
	}
	return m.arch < n.arch
}

// A summary is a row in the making.
type summary struct {
	row    aptrepo.PackageRow
	oldest []byte // key of the last version listed
	latest member
}

// add takes in the members of a name, newest version first.
func (s *summary) add(m member) {
	if len(s.row.Versions) == 0 || !bytes.Equal(s.oldest, m.key) {
		s.row.Versions = append(s.row.Versions, m.version)
		s.oldest = m.key
	}
	s.row.Architectures = insert(s.row.Architectures, m.arch)
	if s.latest.id == 0 || m.standsBefore(s.latest) {
		s.latest = m
	}
}

// insert adds to a sorted set.
func insert(set []string, s string) []string {
	i, found := slices.BinarySearch(set, s)
	if found {
		return set
	}
	return slices.Insert(set, i, s)
}

// distributionsOf fills in where the members of summaries are published, in
// one distribution if only that was asked for.
func distributionsOf(q querier, byID map[int64]*summary, codename string) error {
	query := "SELECT artifact_id, distribution FROM publications WHERE artifact_id IN (SELECT value FROM {ids})"
	args := []any{list(slices.Collect(maps.Keys(byID)))}
	if codename != "" {
		query += " AND distribution = ?"
		args = append(args, codename)
	}
	return each(q, query, args, func(rows *sql.Rows) error {
		var id int64
		var at string
		err := rows.Scan(&id, &at)
		row := &byID[id].row
		row.Distributions = insert(row.Distributions, at)
		return err
	})
}

// complete fills in the artifacts that stand for the names.
func complete(q querier, names []string, byName map[string]*summary) ([]aptrepo.PackageRow, error) {
	ids := make([]int64, 0, len(names))
	for _, name := range names {
		ids = append(ids, byName[name].latest.id)
	}
	byID, err := artifactsByID(q, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]aptrepo.PackageRow, 0, len(names))
	for _, name := range names {
		s := byName[name]
		s.row.Name, s.row.Latest = name, byID[s.latest.id]
		rows = append(rows, s.row)
	}
	return rows, nil
}
