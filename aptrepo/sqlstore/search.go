package sqlstore

import (
	"strings"
	"unicode/utf8"

	"github.com/repod-io/repod/aptrepo"
)

// fieldEnd stands between the name and the description in what is searched.
const fieldEnd = "\x1f"

// fold makes texts equal that differ in case only. Doing so here rather than
// in the database gives the same answers on both.
func fold(s string) string { return strings.ToLower(s) }

func searchText(a *aptrepo.Artifact) string {
	return fold(a.Name) + fieldEnd + fold(a.Description)
}

// trigram is the shortest text that the indexes can find.
const trigram = 3

// search keeps those artifacts, by a column of their IDs, whose name or
// description has q in it.
func (d Dialect) search(f *filter, column, q string) {
	q = fold(q)
	switch {
	case q == "":
	case !validText(q) || strings.Contains(q, fieldEnd):
		f.add("1 = 0")
	case d == Postgres:
		f.add(column+` IN (SELECT artifact_id FROM artifact_texts WHERE folded LIKE ?)`, "%"+likeEscaper.Replace(q)+"%")
	case utf8.RuneCountInString(q) >= trigram:
		// A phrase of trigrams, and so the text itself, which has no operators.
		f.add(column+" IN (SELECT rowid FROM artifact_search WHERE artifact_search MATCH ?)",
			`"`+strings.ReplaceAll(q, `"`, `""`)+`"`)
	default:
		f.add(column+" IN (SELECT artifact_id FROM artifact_texts WHERE instr(folded, ?) > 0)", q)
	}
}

// likeEscaper takes the meaning from what LIKE would read as a wildcard.
var likeEscaper = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)
