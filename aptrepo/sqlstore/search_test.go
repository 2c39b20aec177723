package sqlstore

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo"
)

// What a search finds is what Go's strings.Contains finds in lower case, for
// any text and any question.
func FuzzSearch(f *testing.F) {
	for _, seed := range [][2]string{
		{"GNU C++ Library", "c++"}, {"100% \"quoted\" it's", "\"quo"}, {"a\\b*c", "*"}, {"ÉCOLE Straße ΣΟΦΙΑ", "σοφ"},
		{"OR AND NOT", "OR AND"}, {"日本語パッケージ", "本語"}, {"İstanbul", "i̇s"}, {"x\ny", "x\ny"}, {"ﬀ", "ff"}, {"a", ""},
		{"tab\tbell\a", "\a"}, {"a_b%c", "_b%"}, {"()[]{}^$", "^$"}, {"ſs", "SS"},
	} {
		f.Add(seed[0], seed[1])
	}
	db := openSQLite(f)
	f.Fuzz(func(t *testing.T, text, q string) {
		if strings.Contains(q, fieldEnd) {
			t.Skip("no package has that")
		}
		a := packageNumber(1)
		a.Name, a.Description = "name", text
		// The artifact is there for the length of the transaction only.
		err := db.update(context.Background(), func(tx *tx) error {
			if err := tx.InsertArtifact(a); err != nil {
				return err
			}
			if err := tx.derived.settleSearch(tx); err != nil {
				return err
			}
			want := q == "" || strings.Contains("name", strings.ToLower(q)) || strings.Contains(strings.ToLower(text), strings.ToLower(q))
			for form, found := range map[string]condition{"all": {}, "one": {}} {
				if q != "" {
					all, one := SQLite.searching("@.id", q)
					if found = all; form == "one" {
						found = one
					}
				}
				s := &selection{table: "artifacts"}
				from := s.from(found)
				var n int
				if _, err := get(tx, "SELECT COUNT(*)"+from.text, from.args, &n); err != nil {
					return err
				}
				if (n == 1) != want {
					t.Errorf("form %s of searching %q in %q found %d, want %t", form, q, text, n, want)
				}
			}
			return errUndo
		})
		if !errors.Is(err, errUndo) && !errors.Is(err, aptrepo.ErrInvalid) {
			t.Error(err)
		}
	})
}

var errUndo = errors.New("undo")
