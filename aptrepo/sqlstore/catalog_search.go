package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/repod-io/repod/aptrepo/upstream"
)

// SearchPackages implements [upstream.Catalog]. It looks for names in the order
// of the answer, in four stages, and stops when there are enough packages.
//
// Of a synopsis the first 1000 bytes are searched.
func (d *DB) SearchPackages(ctx context.Context, q upstream.Query) (found []upstream.Found, err error) {
	s := &packageSearch{dialect: d.dialect, q: fold(q.Q), arch: q.Arch, limit: q.Limit}
	if !validText(s.q) || strings.Contains(s.q, fieldEnd) || q.Limit <= 0 {
		return nil, nil
	}
	err = d.read(ctx, func(r querier) error {
		s.querier = r
		if err := s.choose(q.Sources); err != nil || s.packages == 0 {
			return err
		}
		for _, stage := range []func() error{s.exact, s.prefixed, s.named, s.described} {
			if err := stage(); err != nil {
				return err
			}
			if len(s.found) == s.limit {
				break
			}
		}
		found, err = foundByID(r, s.found)
		return err
	})
	return found, err
}

// A packageSearch is one search. Names are in lower case, as the texts are.
type packageSearch struct {
	querier
	dialect  Dialect
	q        string
	arch     string
	limit    int
	sources  string // IDs, for {ids}
	packages int64  // those of the sources
	found    []int64
}

// choose finds the sources. PostgreSQL is to plan each search for its words: how
// many texts have those decides on the way, and a plan that is kept for all
// cannot know.
func (s *packageSearch) choose(names []string) error {
	query := "SELECT id, package_count FROM catalog_sources WHERE source_id IN (SELECT value FROM {texts})"
	if s.dialect == Postgres {
		query = strings.Replace(query, " FROM", ", set_config('plan_cache_mode', 'force_custom_plan', true) FROM", 1)
	}
	var ids []int64
	err := each(s, query, []any{list(names)}, func(rows *sql.Rows) error {
		var id, n int64
		var mode string
		dest := []any{&id, &n, &mode}
		if s.dialect == SQLite {
			dest = dest[:2]
		}
		err := rows.Scan(dest...)
		ids, s.packages = append(ids, id), s.packages+n
		return err
	})
	s.sources = list(ids)
	return err
}

func (s *packageSearch) exact() error {
	return s.take([]string{s.q}, false)
}

func (s *packageSearch) prefixed() error {
	before := condition{"1 = 1", nil}
	if end := successor(s.q); end != "" {
		before = condition{"t.name < ?", []any{end}}
	}
	return s.walk(s.q, before, false)
}

// named finds names that have q not at their beginning.
func (s *packageSearch) named() error {
	has := s.has("t.name")
	has.text += " AND " + s.dialect.position("t.name") + " > 1"
	has.args = append(has.args, s.q)
	return s.inside("name", has, false)
}

// described finds synopses that have q, of other names.
func (s *packageSearch) described() error {
	name, synopsis := s.has("t.name"), s.has("t.synopsis")
	synopsis.text += " AND NOT (" + name.text + ")"
	synopsis.args = append(synopsis.args, name.args...)
	return s.inside("synopsis", synopsis, true)
}

// has is the condition that a column has q. PostgreSQL has statistics for LIKE
// only.
func (s *packageSearch) has(column string) condition {
	if s.dialect == Postgres {
		return condition{column + " LIKE ?", []any{"%" + likeEscaper.Replace(s.q) + "%"}}
	}
	return condition{s.dialect.position(column) + " > 0", []any{s.q}}
}

// few is how many texts are sorted at most: of more, the first are found faster
// by walking through all in their order. Tests change it.
var few = 3000

// inside takes the names of texts that meet a condition, which implies that a
// column has q. PostgreSQL itself knows a good way.
func (s *packageSearch) inside(column string, meets condition, synopsis bool) error {
	if s.q == "" {
		return nil // all names begin with it
	}
	if s.packages <= int64(few) {
		return s.takeAll(`FROM catalog_packages p CROSS JOIN catalog_texts t
			WHERE p.source IN (SELECT value FROM {ids}) AND t.id = p.text_id`, []any{s.sources}, meets, synopsis)
	}
	if s.dialect == Postgres {
		return s.walk("", meets, synopsis)
	}
	ids, all, err := s.having(column)
	if err != nil {
		return err
	}
	if !all {
		return s.walk("", meets, synopsis)
	}
	return s.takeAll("FROM catalog_texts t WHERE t.id IN (SELECT value FROM {ids})", []any{list(ids)}, meets, synopsis)
}

// having returns the texts with q in a column, and perhaps others, unless there
// are too many. SQLite's index knows which texts have a trigram.
func (s *packageSearch) having(column string) (ids []int64, all bool, err error) {
	terms, operator := trigramsOf(s.q), " AND "
	if len(terms) == 0 {
		if terms, all, err = s.beginning(column); err != nil || !all || len(terms) == 0 {
			return nil, all, err
		}
		operator = " OR "
	}
	for i, term := range terms {
		terms[i] = `"` + strings.ReplaceAll(term, `"`, `""`) + `"`
	}
	ids, err = integers(s, "SELECT rowid FROM catalog_search WHERE catalog_search MATCH ? LIMIT ?",
		column+" : ("+strings.Join(terms, operator)+")", few+1)
	return ids, len(ids) <= few, err
}

// maxTerms is how many trigrams are looked for at once.
const maxTerms = 200

// beginning returns the trigrams in a column that begin with q, which is
// shorter, unless too many texts have one.
func (s *packageSearch) beginning(column string) (terms []string, all bool, err error) {
	query, args := "SELECT term, doc FROM catalog_search_terms WHERE col = ? AND term >= ?", []any{column, s.q}
	if end := successor(s.q); end != "" {
		query, args = query+" AND term < ?", append(args, end)
	}
	rows, err := s.query(query, args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for texts := 0; rows.Next(); {
		var term string
		var n int
		if err := rows.Scan(&term, &n); err != nil {
			return nil, false, fmt.Errorf("reading a row: %w", err)
		}
		terms, texts = append(terms, term), texts+n
		if texts > few || len(terms) > maxTerms {
			return nil, false, nil
		}
	}
	return terms, true, classify(rows.Err(), "reading rows")
}

// trigramsOf returns each of the trigrams in a text once.
func trigramsOf(text string) []string {
	var all []string
	runes := []rune(text)
	for i := range len(runes) - trigram + 1 {
		all = append(all, string(runes[i:i+trigram]))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// takeAll takes all names that a query chooses.
func (s *packageSearch) takeAll(from string, args []any, meets condition, synopsis bool) error {
	names, err := texts(s, "SELECT DISTINCT t.name "+from+" AND "+meets.text, append(args, meets.args...))
	if err != nil {
		return err
	}
	slices.Sort(names)
	for part := range slices.Chunk(names, 2*s.limit) {
		if err := s.take(part, synopsis); err != nil || len(s.found) == s.limit {
			return err
		}
	}
	return nil
}

// walk goes through the names after one in order and takes those that meet a
// condition.
func (s *packageSearch) walk(after string, meets condition, synopsis bool) error {
	query := "SELECT DISTINCT t.name FROM catalog_texts t WHERE t.name > ? AND " + meets.text +
		" AND EXISTS (SELECT 1 FROM catalog_packages p WHERE p.text_id = t.id AND " + ofSources + ") ORDER BY t.name LIMIT ?"
	for {
		names, err := texts(s, query, slices.Concat([]any{after}, meets.args, []any{s.sources, s.limit}))
		if err != nil {
			return err
		}
		if err := s.take(names, synopsis); err != nil || len(s.found) == s.limit || len(names) < s.limit {
			return err
		}
		after = names[len(names)-1]
	}
}

// ofSources is the condition on a package p to be of the sources. The plus keeps
// SQLite from reading all packages of those (sqlite.org/optoverview.html, 8).
const ofSources = "+p.source IN (SELECT value FROM {ids})"

// A candidate is a package whose name a search has found.
type candidate struct {
	id                                             int64
	folded, name, arch, source, version, component string
	key                                            []byte
	synopsis                                       string
}

// take adds the newest packages with one of the names, which are in order, until
// there are enough. With synopsis, they must have q there.
func (s *packageSearch) take(names []string, synopsis bool) error {
	if len(names) == 0 {
		return nil
	}
	arch := condition{}
	if s.arch != "" {
		arch = condition{" AND p.arch IN (?, 'all')", []any{s.arch}}
	}
	var all []candidate
	err := each(s, `SELECT p.id, t.name, p.name, p.arch, s.source_id, p.version, p.component, p.version_key, t.synopsis
		FROM catalog_texts t CROSS JOIN catalog_packages p CROSS JOIN catalog_sources s
		WHERE t.name IN (SELECT value FROM {texts}) AND p.text_id = t.id AND `+ofSources+" AND s.id = p.source"+arch.text+" AND "+visible,
		slices.Concat([]any{list(names), s.sources}, arch.args), func(rows *sql.Rows) error {
			var c candidate
			err := rows.Scan(&c.id, &c.folded, &c.name, &c.arch, &c.source, &c.version, &c.component, &c.key, &c.synopsis)
			all = append(all, c)
			return err
		})
	if err != nil {
		return err
	}
	for _, c := range newest(all) {
		if len(s.found) == s.limit {
			break
		}
		if !synopsis || strings.Contains(c.synopsis, s.q) {
			s.found = append(s.found, c.id)
		}
	}
	return nil
}

// newest returns those that no other of their name, architecture and source is
// newer than, in the order of an answer. Of equal versions it takes one.
func newest(all []candidate) []candidate {
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.arch, b.arch), strings.Compare(a.source, b.source),
			bytes.Compare(b.key, a.key), strings.Compare(a.version, b.version), strings.Compare(a.component, b.component))
	})
	all = slices.CompactFunc(all, func(a, b candidate) bool {
		return a.name == b.name && a.arch == b.arch && a.source == b.source
	})
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(strings.Compare(a.folded, b.folded), strings.Compare(a.name, b.name), bytes.Compare(b.key, a.key),
			strings.Compare(a.arch, b.arch), strings.Compare(a.source, b.source))
	})
	return all
}

// successor returns the first text after all those that begin with prefix, or
// "" when there is none.
func successor(prefix string) string {
	runes := []rune(prefix)
	for i := len(runes) - 1; i >= 0; i-- {
		switch r := runes[i]; {
		case r == utf8.MaxRune:
			continue
		case r == 0xD7FF: // surrogates follow, which UTF-8 does not have
			runes[i] = 0xE000
		default:
			runes[i]++
		}
		return string(runes[:i+1])
	}
	return ""
}

// foundByID reads packages in the order of their IDs in a list.
func foundByID(q querier, ids []int64) ([]upstream.Found, error) {
	byID := make(map[int64]upstream.Found, len(ids))
	err := each(q, "SELECT "+catalogColumns+` FROM catalog_packages p JOIN catalog_sources s ON s.id = p.source
		WHERE p.id IN (SELECT value FROM {ids})`, []any{list(ids)}, func(rows *sql.Rows) error {
		id, f, err := scanCatalogPackage(rows)
		byID[id] = f
		return err
	})
	found := make([]upstream.Found, 0, len(ids))
	for _, id := range ids {
		found = append(found, byID[id])
	}
	return found, err
}

// Offers implements [upstream.Catalog]. The packages are ordered by name, newer
// versions, architecture, source and component.
func (d *DB) Offers(ctx context.Context, sources, names []string) (offers []upstream.Package, err error) {
	folded := make([]string, len(names))
	for i, name := range names {
		folded[i] = fold(name)
	}
	err = d.read(ctx, func(q querier) error {
		return each(q, "SELECT "+catalogColumns+` FROM catalog_packages p JOIN catalog_sources s ON s.id = p.source
			WHERE p.id IN (
				SELECT o.id FROM catalog_texts t JOIN catalog_packages o ON o.text_id = t.id
					WHERE t.name IN (SELECT value FROM {texts}) AND o.name IN (SELECT value FROM {texts})
				UNION SELECT v.package_id FROM catalog_provides v WHERE v.name IN (SELECT value FROM {texts}))
			AND s.source_id IN (SELECT value FROM {texts}) AND `+visible+`
			ORDER BY p.name, p.version_key DESC, p.arch, s.source_id, p.component`,
			[]any{list(folded), list(names), list(names), list(sources)}, func(rows *sql.Rows) error {
				_, f, err := scanCatalogPackage(rows)
				offers = append(offers, f.Package)
				return err
			})
	})
	return offers, err
}
