package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
)

// ErrNotEmpty says that a database has tables of a repository already.
var ErrNotEmpty = errors.New("the database is not empty")

const (
	rowsPerInsert  = 200
	bytesPerInsert = 1 << 20

	// numbersAhead is what everything that clients may have seen numbers of goes
	// on from after a copy was taken over: the next multiple. What came after the
	// copy was made had smaller numbers.
	numbersAhead = 1_000_000
)

// A Loading is one transaction in which a new database becomes a copy of what a
// [Snapshot] saw, in either dialect. Nobody sees anything of it before Commit, and
// nothing is left after Close. Use it from one goroutine.
type Loading struct {
	ctx     context.Context
	dialect Dialect
	conn    *sql.Conn
	defined map[string]definition
	table   Table
	rows    []any // of table, that are not inserted yet
	pending int   // how many there are
	size    int   // about, in bytes
	done    bool
}

// Load begins one, with tables as they are after a number of migrations. The
// database must have none of them: ErrNotEmpty. [Open] brings it up to date
// afterwards.
func Load(ctx context.Context, pool *sqlx.DB, dialect Dialect, schema int) (*Loading, error) {
	steps, err := migrations()
	if err != nil {
		return nil, err
	}
	if schema < 1 || schema > len(steps) {
		return nil, fmt.Errorf("the tables are those of step %d, and this program knows %d: a newer one is needed", schema, len(steps))
	}
	conn, err := pool.DB.Conn(ctx)
	if err != nil {
		return nil, classify(err, "connecting")
	}
	l := &Loading{ctx: ctx, dialect: dialect, conn: conn, defined: make(map[string]definition)}
	for _, d := range definitions(steps[:schema]) {
		l.defined[d.name] = d
	}
	if err := l.begin(steps[:schema]); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Loading) begin(steps []migration) error {
	if l.dialect == SQLite {
		if err := useWAL(l.ctx, l.conn); err != nil {
			return err
		}
		if _, err := l.exec("PRAGMA foreign_keys = ON"); err != nil {
			return err
		}
	}
	if _, err := l.exec(l.dialect.begin()); err != nil {
		return err
	}
	if l.dialect == Postgres {
		// Files are copied meanwhile, and a server that starts is to wait.
		for _, text := range []string{"SET LOCAL idle_in_transaction_session_timeout = 0", "SET LOCAL statement_timeout = 0",
			"SELECT pg_advisory_xact_lock(" + strconv.Itoa(migrationLock) + ")"} {
			if _, err := l.exec(text); err != nil {
				return err
			}
		}
		if err := needTrigrams(l.ctx, l.conn); err != nil {
			return err
		}
	}
	if err := l.mustBeEmpty(); err != nil {
		return err
	}
	return l.create(steps)
}

func (l *Loading) mustBeEmpty() error {
	count := `SELECT COUNT(*) FROM sqlite_master WHERE name IN ('repod_migrations', 'audit_head', 'river_job')`
	if l.dialect == Postgres {
		count = `SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema()
			AND table_name IN ('repod_migrations', 'audit_head', 'river_job')`
	}
	var n int
	if err := l.conn.QueryRowContext(l.ctx, count).Scan(&n); err != nil {
		return classify(err, "looking for tables")
	}
	if n > 0 {
		return ErrNotEmpty
	}
	return nil
}

// create makes the tables, and empties those that a migration put something into.
func (l *Loading) create(steps []migration) error {
	_, err := l.exec("CREATE TABLE repod_migrations (version BIGINT PRIMARY KEY, name {text} NOT NULL, applied_at BIGINT NOT NULL)")
	if err != nil {
		return err
	}
	for _, m := range steps {
		if _, err := l.conn.ExecContext(l.ctx, l.dialect.script(m)); err != nil {
			return classify(err, "migration "+m.name)
		}
		_, err := l.exec("INSERT INTO repod_migrations (version, name, applied_at) VALUES (?, ?, ?)", m.version, m.name, time.Now().UnixMicro())
		if err != nil {
			return err
		}
	}
	for name := range l.defined {
		if _, err := l.exec("DELETE FROM " + name); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loading) exec(query string, args ...any) (int64, error) {
	result, err := l.conn.ExecContext(l.ctx, l.dialect.translate(query), args...)
	if err != nil {
		return 0, classify(err, "statement")
	}
	n, err := result.RowsAffected()
	return n, classify(err, "statement")
}

func (l *Loading) query(query string, args ...any) (*sql.Rows, error) {
	rows, err := l.conn.QueryContext(l.ctx, l.dialect.translate(query), args...)
	return rows, classify(err, "query")
}

// Table begins the rows of a table, whose columns must be those that it has here.
func (l *Loading) Table(t Table) error {
	if err := l.flush(); err != nil {
		return err
	}
	d, ok := l.defined[t.Name]
	if !ok {
		return fmt.Errorf("there is no table %.60q at this step", t.Name)
	}
	delete(l.defined, t.Name) // none comes twice
	if err := l.checkColumns(t); err != nil {
		return fmt.Errorf("table %s: %w", t.Name, err)
	}
	l.table = t
	return l.setNextID(d, t.NextID)
}

// checkColumns makes sure of the names, which become part of statements.
func (l *Loading) checkColumns(t Table) error {
	rows, err := l.query("SELECT * FROM " + t.Name + " WHERE 1 = 0")
	if err != nil {
		return err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	kinds := make(map[string]string)
	for _, c := range types {
		if kinds[c.Name()], err = kindOf(c.DatabaseTypeName()); err != nil {
			return err
		}
	}
	if len(kinds) != len(t.Columns) {
		return fmt.Errorf("it has %d columns, and %d here", len(t.Columns), len(kinds))
	}
	for _, c := range t.Columns {
		if kinds[c.Name] != c.Kind {
			return fmt.Errorf("column %.60q is of kind %.20q, and %q here", c.Name, c.Kind, kinds[c.Name])
		}
		delete(kinds, c.Name)
	}
	return rows.Err()
}

func (l *Loading) setNextID(d definition, next int64) error {
	switch {
	case d.identity == "":
		return nil
	case next < 1:
		return fmt.Errorf("table %s: the next number is %d", d.name, next)
	case l.dialect == Postgres:
		_, err := l.exec("SELECT setval(pg_get_serial_sequence(?, ?), ?, false)", d.name, d.identity, next)
		return err
	}
	if _, err := l.exec("DELETE FROM sqlite_sequence WHERE name = ?", d.name); err != nil {
		return err
	}
	_, err := l.exec("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", d.name, next-1)
	return err
}

// Row adds one to the table, as [Snapshot.Rows] has yielded it.
func (l *Loading) Row(line []byte) error {
	values, err := parseRow(line, l.table.Columns)
	if err != nil {
		return fmt.Errorf("table %s: %w", l.table.Name, err)
	}
	l.rows = append(l.rows, values...)
	l.pending++
	l.size += len(line)
	if l.pending < rowsPerInsert && l.size < bytesPerInsert {
		return nil
	}
	return l.flush()
}

// flush inserts the rows that have gathered.
func (l *Loading) flush() error {
	if l.pending == 0 {
		return nil
	}
	names := make([]string, len(l.table.Columns))
	for i, c := range l.table.Columns {
		names[i] = c.Name
	}
	given := ""
	if l.dialect == Postgres {
		given = " OVERRIDING SYSTEM VALUE"
	}
	row := "(?" + strings.Repeat(", ?", len(names)-1) + ")"
	_, err := l.exec("INSERT INTO "+l.table.Name+" ("+strings.Join(names, ", ")+")"+given+
		" VALUES "+row+strings.Repeat(", "+row, l.pending-1), l.rows...)
	l.rows, l.pending, l.size = l.rows[:0], 0, 0
	if err != nil {
		return fmt.Errorf("table %s: %w", l.table.Name, err)
	}
	return nil
}

// Settled is what [Loading.Settle] did.
type Settled struct {
	Messages int64 // of the outbox, dropped
	Users    int64 // whose sessions have ended
}

// Settle makes the copy fit to go on from in place of the original, which has done
// more since the copy was made:
//
//   - No session holds, since the copy does not know of later logouts and changes
//     of passwords. Password resets that were asked for have ended too.
//   - What was in the outbox is dropped: the original has seen to it.
//   - The generations of distributions are counted on from a number that the
//     original cannot have reached. Superseded ones are forgotten: a backup does
//     not have their files.
//
// Call it once, after the last row.
func (l *Loading) Settle() (s Settled, err error) {
	if err := l.flush(); err != nil {
		return s, err
	}
	if len(l.defined) > 0 {
		return s, fmt.Errorf("%d tables are missing from the copy", len(l.defined))
	}
	s.Users, err = l.exec("UPDATE users SET token_version = token_version + ?, kept_session = ''", int64(numbersAhead))
	if err != nil {
		return s, err
	}
	if _, err := l.exec("UPDATE password_resets SET ended = 1"); err != nil {
		return s, err
	}
	if s.Messages, err = l.exec("DELETE FROM outbox"); err != nil {
		return s, err
	}
	_, err = l.exec(`DELETE FROM generations WHERE number <> (SELECT d.generation FROM distributions d WHERE d.codename = generations.distribution)`)
	if err != nil {
		return s, err
	}
	if _, err := l.exec("DELETE FROM generation_hashes WHERE last_number < ?", int64(stillListed)); err != nil {
		return s, err
	}
	current := make(map[string]int64)
	err = each(l, "SELECT codename, generation FROM distributions", nil, func(rows *sql.Rows) error {
		var codename string
		var number int64
		err := rows.Scan(&codename, &number)
		current[codename] = number
		return err
	})
	for codename, number := range current {
		if err == nil {
			err = raiseGeneration(l, codename, (number/numbersAhead+1)*numbersAhead, time.Time{})
		}
	}
	return s, err
}

// Commit makes the copy the contents of the database.
func (l *Loading) Commit() error {
	if err := l.flush(); err != nil {
		return err
	}
	if _, err := l.exec("COMMIT"); err != nil {
		return err
	}
	l.done = true
	if l.dialect == Postgres { // without statistics, the first questions take long
		if _, err := l.exec("ANALYZE"); err != nil {
			return err
		}
	}
	return nil
}

// Close undoes what was not committed.
func (l *Loading) Close() {
	if !l.done {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), answerWithin)
		defer cancel()
		_, _ = l.conn.ExecContext(ctx, "ROLLBACK") // a connection that is broken has done so
	}
	_ = l.conn.Close()
}
