package sqlstore

import (
	"strings"
	"unicode/utf8"

	"github.com/repod-io/repod/aptrepo"
)

// fieldEnd stands between the name and the description in what is searched. A
// control file cannot have it (deb822(5)), and so no search for it finds
// anything.
const fieldEnd = "\x1f"

// fold makes texts equal that differ in case only. Doing so here rather than
// in the database gives the same answers on both.
func fold(s string) string { return strings.ToLower(s) }

func searchText(a *aptrepo.Artifact) string {
	return fold(a.Name) + fieldEnd + fold(a.Description)
}

// trigram is the shortest text that the indexes can find.
const trigram = 3

// searching returns two forms of the condition that an artifact's name or
// description has q in it, for the ID in a column: one to begin with, which
// lists all that match, and one to test a single artifact. Which is cheaper
// depends on how many match.
func (d Dialect) searching(column, q string) (all, one condition) {
	q = fold(q)
	one = condition{"EXISTS (SELECT 1 FROM search_texts s WHERE s.artifact_id = " + column +
		" AND " + d.position("s.folded") + " > 0)", []any{q}}
	switch {
	case !validText(q) || strings.Contains(q, fieldEnd):
		all = condition{"1 = 0", nil}
		return all, all
	case d == Postgres:
		all = condition{column + " IN (SELECT artifact_id FROM search_texts WHERE folded LIKE ?)",
			[]any{"%" + likeEscaper.Replace(q) + "%"}}
	case utf8.RuneCountInString(q) >= trigram:
		// A phrase of trigrams, and so the text itself, which has no operators.
		all = condition{column + " IN (SELECT rowid FROM artifact_search WHERE artifact_search MATCH ?)",
			[]any{`"` + strings.ReplaceAll(q, `"`, `""`) + `"`}}
	default:
		all = condition{column + " IN (SELECT artifact_id FROM search_texts WHERE " + d.position("folded") + " > 0)", []any{q}}
	}
	return all, one
}

// position is where in a column a parameter first occurs, or 0.
func (d Dialect) position(column string) string {
	if d == SQLite {
		return "instr(" + column + ", ?)"
	}
	return "strpos(" + column + ", ?)"
}

// likeEscaper takes the meaning from what LIKE would read as a wildcard.
var likeEscaper = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)
