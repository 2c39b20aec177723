package sqlstore

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
)

// oddText is what a text may hold at worst.
const oddText = "ä \"'\\ \n\t\u2028<&>\x7f😀"

// fillAll puts a row into every table. All integers are 1 and all texts the same,
// so that rows refer to each other.
func fillAll(t *testing.T, db *DB) {
	t.Helper()
	steps, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	s := takeSnapshot(t, db)
	tables, err := s.Tables()
	s.Close()
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) != len(definitions(steps)) || len(tables) < 40 {
		t.Fatalf("%d tables", len(tables))
	}
	for _, table := range tables {
		var names, marks []string
		var values []any
		for _, c := range table.Columns {
			names, marks = append(names, c.Name), append(marks, "?")
			values = append(values, map[string]any{
				KindInteger: int64(1), KindText: oddText, KindBytes: []byte{0, 255, 10}, KindReal: 0.1,
			}[c.Kind])
		}
		statement := fmt.Sprintf("INSERT OR REPLACE INTO %s (%s) VALUES (%s)", table.Name, strings.Join(names, ", "), strings.Join(marks, ", "))
		if _, err := db.conn.Exec(statement, values...); err != nil {
			t.Fatalf("%s: %v", table.Name, err)
		}
	}
}

func takeSnapshot(t *testing.T, db *DB) *Snapshot {
	t.Helper()
	s, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// contents renders all that a snapshot copies, by table.
func contents(t *testing.T, db *DB) map[string][]string {
	t.Helper()
	s := takeSnapshot(t, db)
	defer s.Close()
	tables, err := s.Tables()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for _, table := range tables {
		lines := []string{fmt.Sprintf("next %d", table.NextID)}
		for row, err := range s.Rows(table) {
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(row))
		}
		slices.Sort(lines[1:])
		all[table.Name] = lines
	}
	return all
}

// copyOf returns a new database with what another holds.
func copyOf(t *testing.T, from *DB, to Dialect, settle bool) *DB {
	t.Helper()
	driver, dsn := "sqlite", SQLiteDSN(filepath.Join(t.TempDir(), "copy.db"))
	if to == Postgres {
		driver, dsn = pgtest.Driver, pgtest.Database(t)
	}
	conn, err := sqlx.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := takeSnapshot(t, from)
	defer s.Close()
	l, err := Load(t.Context(), conn, to, s.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pour(t, s, l)
	if settle {
		if _, err := l.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Commit(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	db, err := Open(t.Context(), conn, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func pour(t *testing.T, s *Snapshot, l *Loading) {
	t.Helper()
	tables, err := s.Tables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if err := l.Table(table); err != nil {
			t.Fatal(err)
		}
		for row, err := range s.Rows(table) {
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Row(row); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Every table comes over whole, from each dialect to each.
func TestCopyIsWhole(t *testing.T) {
	sqlite := openSQLite(t)
	fillAll(t, sqlite)
	want := contents(t, sqlite)
	postgres := copyOf(t, sqlite, Postgres, false)
	for name, db := range map[string]*DB{
		"SQLite to SQLite":         copyOf(t, sqlite, SQLite, false),
		"SQLite to PostgreSQL":     postgres,
		"PostgreSQL to PostgreSQL": copyOf(t, postgres, Postgres, false),
		"PostgreSQL to SQLite":     copyOf(t, postgres, SQLite, false),
	} {
		got := contents(t, db)
		for table, rows := range want {
			if !slices.Equal(got[table], rows) {
				t.Errorf("%s: table %s has\n%q, want\n%q", name, table, got[table], rows)
			}
			if len(rows) < 2 {
				t.Errorf("table %s is empty", table)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d tables, want %d", name, len(got), len(want))
		}
	}
}

// No table is forgotten: those of the migrations are all that there are.
func TestSnapshotKnowsAllTables(t *testing.T) {
	db := openSQLite(t)
	var there []string
	err := db.conn.Select(&there, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"repod_migrations"}
	for name := range transient {
		known = append(known, name)
	}
	for name := range contents(t, db) {
		known = append(known, name)
	}
	slices.Sort(known)
	if !slices.Equal(known, there) {
		t.Errorf("known: %q\nthere: %q", known, there)
	}
}

// A copy works: what is searched, counted and numbered goes on.
func TestCopyGoesOn(t *testing.T) {
	for _, to := range []Dialect{SQLite, Postgres} {
		t.Run(to.String(), func(t *testing.T) {
			from := openSQLite(t)
			addJammy(t, from)
			for n := range 450 { // more than go into two statements
				if err := upload(t.Context(), from, packageNumber(n)); err != nil {
					t.Fatal(err)
				}
			}
			date := time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)
			g := aptrepo.Generation{Distribution: "jammy", Number: 1, AppliedSeq: 450, Date: date, Manifest: "m", PublishedAt: date, Hashes: []string{"h1", "h2"}}
			if err := from.AdvanceGeneration(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			db := copyOf(t, from, to, true)
			page, err := db.ArtifactRows(t.Context(), aptrepo.PackageQuery{Q: packageNumber(7).Name, PerPage: 500})
			if err != nil || page.Total != 1 {
				t.Errorf("search found %d, %v", page.Total, err)
			}
			if err := upload(t.Context(), db, packageNumber(1000)); err != nil {
				t.Errorf("the next upload: %v", err)
			}
			got, err := db.Generation(t.Context(), "jammy")
			if err != nil || got.Number != numbersAhead || !slices.Equal(got.Hashes, g.Hashes) {
				t.Errorf("generation %+v, %v", got, err)
			}
			g.Number, g.Hashes = numbersAhead+1, []string{"h2", "h3"}
			if err := db.AdvanceGeneration(t.Context(), g); err != nil {
				t.Error(err)
			}
			for hash, want := range map[string]int64{"h1": numbersAhead, "h2": numbersAhead + 1, "h3": numbersAhead + 1} {
				if found, err := db.GenerationByHash(t.Context(), "jammy", hash); err != nil || found.Number != want {
					t.Errorf("%s is of generation %d, %v; want %d", hash, found.Number, err, want)
				}
			}
		})
	}
}

// What a snapshot sees does not change while others write.
func TestSnapshotStandsStill(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		addJammy(t, db)
		if err := upload(t.Context(), db, packageNumber(1)); err != nil {
			t.Fatal(err)
		}
		s := takeSnapshot(t, db)
		tables, err := s.Tables() // the moment, on PostgreSQL, is that of the first question
		if err != nil {
			t.Fatal(err)
		}
		if err := upload(t.Context(), db, packageNumber(2)); err != nil {
			t.Fatal(err)
		}
		files := 0
		for f, err := range s.Files() {
			if err != nil {
				t.Fatal(err)
			}
			if f.Artifact.Name != packageNumber(1).Name || f.SHA256 == "" || !f.Needed {
				t.Errorf("file %+v", f)
			}
			files++
		}
		rows := 0
		i := slices.IndexFunc(tables, func(t Table) bool { return t.Name == "artifacts" })
		for _, err := range s.Rows(tables[i]) {
			if err != nil {
				t.Fatal(err)
			}
			rows++
		}
		if files != 1 || rows != 1 {
			t.Errorf("%d files and %d rows, want 1", files, rows)
		}
	})
}

// A database with tables is refused, and what is not committed leaves nothing.
func TestLoadWantsAnEmptyDatabase(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		if _, err := Load(t.Context(), db.conn, db.dialect, 1); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("error %v", err)
		}
	})
	for _, dialect := range []Dialect{SQLite, Postgres} {
		driver, dsn := "sqlite", SQLiteDSN(filepath.Join(t.TempDir(), "new.db"))
		if dialect == Postgres {
			driver, dsn = pgtest.Driver, pgtest.Database(t)
		}
		conn, err := sqlx.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for range 2 { // the second finds nothing of the first
			l, err := Load(t.Context(), conn, dialect, 19)
			if err != nil {
				t.Fatalf("%v: %v", dialect, err)
			}
			l.Close()
		}
		if _, err := Load(t.Context(), conn, dialect, 9999); err == nil {
			t.Error("tables of a newer program are loaded")
		}
	}
}

// What a copy says of itself is not believed.
func TestLoadRefuses(t *testing.T) {
	columns := []Column{{"name", KindText}, {"noted_at", KindInteger}}
	for _, tt := range []struct {
		name  string
		table Table
		row   string
	}{
		{"a table that is none", Table{Name: "sqlite_master", Columns: columns}, ""},
		{"SQL in a table's name", Table{Name: "notes; DROP TABLE users", Columns: columns}, ""},
		{"SQL in a column's name", Table{Name: "notes", Columns: []Column{{"name) VALUES ('x'); --", KindText}, columns[1]}}, ""},
		{"a missing column", Table{Name: "notes", Columns: columns[:1]}, ""},
		{"a column twice", Table{Name: "notes", Columns: []Column{columns[0], columns[0]}}, ""},
		{"a kind that is not the column's", Table{Name: "notes", Columns: []Column{columns[0], {"noted_at", KindText}}}, ""},
		{"a value too few", Table{Name: "notes", Columns: columns}, `["x"]`},
		{"a value too many", Table{Name: "notes", Columns: columns}, `["x",1,2]`},
		{"text for a number", Table{Name: "notes", Columns: columns}, `["x","1"]`},
		{"an object", Table{Name: "notes", Columns: columns}, `{}`},
		{"no next number", Table{Name: "outbox", Columns: []Column{{"id", KindInteger}, {"topic", KindText}, {"payload", KindBytes}, {"created_at", KindInteger}}}, ""},
	} {
		conn, err := sqlx.Open("sqlite", SQLiteDSN(filepath.Join(t.TempDir(), "new.db")))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		l, err := Load(t.Context(), conn, SQLite, 19)
		if err != nil {
			t.Fatal(err)
		}
		err = l.Table(tt.table)
		if err == nil && tt.row != "" {
			err = l.Row([]byte(tt.row))
		}
		if err == nil {
			t.Errorf("%s is taken", tt.name)
		}
		if _, err := l.Settle(); err == nil {
			t.Errorf("%s: a copy without all tables is taken", tt.name)
		}
		l.Close()
	}
}

// A restored copy ends sessions and password resets and drops the outbox.
func TestSettle(t *testing.T) {
	for _, to := range []Dialect{SQLite, Postgres} {
		from := openSQLite(t)
		fillAll(t, from)
		db := copyOf(t, from, to, true)
		var version, ended, messages int64
		for query, into := range map[string]*int64{
			"SELECT token_version FROM users":   &version,
			"SELECT ended FROM password_resets": &ended,
			"SELECT COUNT(*) FROM outbox":       &messages,
		} {
			if err := db.conn.Get(into, query); err != nil {
				t.Fatal(err)
			}
		}
		if version != 1+numbersAhead || ended != 1 || messages != 0 {
			t.Errorf("%v: token version %d, ended %d, %d messages", to, version, ended, messages)
		}
	}
}

func TestValuesThatCannotBeCopied(t *testing.T) {
	for _, tt := range []struct {
		kind  string
		value any
	}{
		{KindReal, math.NaN()}, {KindReal, math.Inf(1)}, {KindText, "\xff"}, {KindText, []byte("x")}, {KindInteger, "1"}, {KindBytes, "x"},
	} {
		if b, err := appendValue(nil, Column{"c", tt.kind}, tt.value); err == nil {
			t.Errorf("%v as %s is %s", tt.value, tt.kind, b)
		}
	}
}

func FuzzRows(f *testing.F) {
	columns := []Column{{"i", KindInteger}, {"r", KindReal}, {"t", KindText}, {"b", KindBytes}}
	f.Add([]byte(`[1,0.1,"x","AA=="]`))
	f.Add([]byte(`[null,null,null,null]`))
	f.Add([]byte(`[-9223372036854775808,1e-320," ",""]`))
	f.Fuzz(func(t *testing.T, line []byte) {
		values, err := parseRow(line, columns)
		if err != nil {
			return
		}
		out, err := appendRow(nil, columns, values)
		if err != nil {
			t.Skip() // a number too great
		}
		again, err := parseRow(out, columns)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if fmt.Sprintf("%#v", values) != fmt.Sprintf("%#v", again) {
			t.Fatalf("%#v and %#v", values, again)
		}
	})
}
