package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/repod-io/repod/aptrepo"
)

// PackageRows implements [aptrepo.Store].
func (d *DB) PackageRows(ctx context.Context, q aptrepo.PackageQuery) (aptrepo.Page[aptrepo.PackageRow], error) {
	var page aptrepo.Page[aptrepo.PackageRow]
	column, direction, err := sortColumn(q.Sort)
	if err != nil {
		return page, err
	}
	f := d.dialect.filterOf(q)
	names, total := f.namesQuery(column, direction), "SELECT COUNT(DISTINCT a.name) FROM artifacts a"+f.where()
	args := f.args
	if onlyPlace(q) {
		names = "SELECT name FROM listings WHERE distribution = ? ORDER BY " + column + direction
		if column != "name" {
			names += ", name"
		}
		total = "SELECT COUNT(*) FROM listings WHERE distribution = ?"
		args = []any{q.Distribution}
	}
	err = d.read(ctx, func(r querier) error {
		if _, err := get(r, total, args, &page.Total); err != nil {
			return err
		}
		var shown []string
		err := each(r, names+" LIMIT ? OFFSET ?", slices.Concat(args, bounds(q.Page, q.PerPage)), func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			shown = append(shown, name)
			return err
		})
		if err != nil {
			return err
		}
		page.Items, err = packageRows(r, shown, f, q.Distribution)
		return err
	})
	return page, err
}

// onlyPlace reports whether q selects nothing beyond a distribution: table
// listings then holds the answer.
func onlyPlace(q aptrepo.PackageQuery) bool {
	return q.Q == "" && q.Arch == "" && q.Status == "" && q.Section == ""
}

// namesQuery lists the names of the artifacts that match, in an order by name
// or by a column of the artifact that stands for the name.
func (f *filter) namesQuery(column, direction string) string {
	if column == "name" {
		return "SELECT DISTINCT a.name FROM artifacts a" + f.where() + " ORDER BY a.name" + direction
	}
	return `SELECT name FROM (SELECT a.name, a.` + column + `, ROW_NUMBER() OVER (PARTITION BY a.name
			ORDER BY CASE WHEN a.publications > 0 THEN 0 ELSE 1 END, a.version_key DESC,
				CASE WHEN a.arch = 'amd64' THEN 0 ELSE 1 END, a.arch) AS place
		FROM artifacts a` + f.where() + `) AS ranked WHERE place = 1 ORDER BY ` + column + direction + `, name`
}

// packageRows sums up the matching artifacts of each name.
func packageRows(q querier, names []string, f filter, codename string) ([]aptrepo.PackageRow, error) {
	byName := make(map[string]*summary, len(names))
	for _, name := range names {
		byName[name] = &summary{}
	}
	byID := make(map[int64]*summary)
	f.add("a.name IN (SELECT value FROM {texts})", list(names))
	err := each(q, `SELECT a.id, a.name, a.version, a.version_key, a.arch, a.publications
		FROM artifacts a`+f.where()+" ORDER BY "+newestFirst, f.args, func(rows *sql.Rows) error {
		var m member
		var name string
		err := rows.Scan(&m.id, &name, &m.version, &m.key, &m.arch, &m.publications)
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
	id           int64
	version      string
	key          []byte
	arch         string
	publications int64
}

// standsBefore reports whether m is the better artifact to stand for a name.
func (m member) standsBefore(n member) bool {
	if published := m.publications > 0; published != (n.publications > 0) {
		return published
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
