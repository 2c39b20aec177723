package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"github.com/repod-io/repod/aptrepo"
)

// A Snapshot is the whole database as it was at one moment, to be copied while
// others go on writing. On SQLite what they write gathers in the write-ahead log
// until the snapshot is closed, so that it should not be kept for longer than
// reading takes. Use it from one goroutine.
type Snapshot struct {
	db    *DB
	ctx   context.Context
	tx    *sql.Tx
	steps []migration
}

// Snapshot begins one, which ends with ctx or Close.
func (d *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	steps, err := migrations()
	if err != nil {
		return nil, err
	}
	tx, err := d.conn.BeginTx(ctx, d.dialect.readOnly())
	if err != nil {
		return nil, callerGone(ctx, classify(err, "beginning to read"))
	}
	s := &Snapshot{db: d, ctx: ctx, tx: tx, steps: steps}
	if d.dialect == Postgres {
		for _, limit := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
			if _, err = tx.ExecContext(ctx, "SET LOCAL "+limit+" = 0"); err != nil {
				s.Close()
				return nil, classify(err, "SET LOCAL "+limit)
			}
		}
	}
	var version int
	if _, err = get(s, "SELECT MAX(version) FROM repod_migrations", nil, &version); err == nil && version != len(steps) {
		err = fmt.Errorf("the tables are at step %d, this program knows %d", version, len(steps))
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the snapshot.
func (s *Snapshot) Close() { _ = s.tx.Rollback() } // nothing was written

// Schema is the number of the last migration that the tables have had.
func (s *Snapshot) Schema() int { return len(s.steps) }

func (s *Snapshot) exec(string, ...any) (int64, error) {
	return 0, fmt.Errorf("a snapshot is only read")
}

func (s *Snapshot) query(query string, args ...any) (*sql.Rows, error) {
	rows, err := s.tx.QueryContext(s.ctx, s.db.dialect.phrase(query), args...)
	return rows, classify(err, "query")
}

// Tables lists what there is to be copied, in the order in which [Load] needs it:
// a table comes behind those that it refers to. Left out are the tables of other
// packages, what can only be of use for minutes, and indexes.
func (s *Snapshot) Tables() ([]Table, error) {
	var all []Table
	for _, d := range definitions(s.steps) {
		t := Table{Name: d.name}
		var err error
		if t.Columns, err = s.columns(d.name); err != nil {
			return nil, fmt.Errorf("table %s: %w", d.name, err)
		}
		if d.identity != "" {
			if t.NextID, err = s.nextID(d); err != nil {
				return nil, fmt.Errorf("table %s: %w", d.name, err)
			}
		}
		all = append(all, t)
	}
	return all, nil
}

func (s *Snapshot) columns(table string) ([]Column, error) {
	rows, err := s.query("SELECT * FROM " + table + " WHERE 1 = 0")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	var columns []Column
	for _, t := range types {
		kind, err := kindOf(t.DatabaseTypeName())
		if err != nil {
			return nil, err
		}
		columns = append(columns, Column{t.Name(), kind})
	}
	return columns, rows.Err()
}

// nextID returns the number of the next row. Numbers that were given to rows which
// are not in the snapshot are left out on PostgreSQL, which does no harm.
func (s *Snapshot) nextID(d definition) (next int64, err error) {
	if s.db.dialect == SQLite {
		found, err := get(s, "SELECT seq + 1 FROM sqlite_sequence WHERE name = ?", []any{d.name}, &next)
		if err == nil && !found {
			next = 1
		}
		return next, err
	}
	var sequence string
	if _, err := get(s, "SELECT pg_get_serial_sequence(?, ?)", []any{d.name, d.identity}, &sequence); err != nil {
		return 0, err
	}
	_, err = get(s, "SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM "+sequence, nil, &next)
	return next, err
}

// Rows yields the rows of a table as JSON arrays, each on a line of its own without
// its end, in the order of t.Columns. A row is valid until the next one.
func (s *Snapshot) Rows(t Table) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := s.rows(t, func(row []byte) bool { return yield(row, nil) }); err != nil {
			yield(nil, fmt.Errorf("table %s: %w", t.Name, err))
		}
	}
}

func (s *Snapshot) rows(t Table, yield func(row []byte) bool) error {
	rows, err := s.query("SELECT * FROM " + t.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	values := make([]any, len(t.Columns))
	places := make([]any, len(t.Columns))
	for i := range values {
		places[i] = &values[i]
	}
	var line []byte
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return err
		}
		if line, err = appendRow(line[:0], t.Columns, values); err != nil {
			return err
		}
		if !yield(line) {
			return nil
		}
	}
	return classify(rows.Err(), "query")
}

// A StoredFile is one that the database names.
type StoredFile struct {
	Key      string      // in storage
	Artifact aptrepo.Key // whose file it is; zero where it is no artifact's any more
	SHA256   string      // "" where the database does not know it
	// Needed says that it must be there. The file of a rejected package may be
	// gone, and so may one that is to be removed.
	Needed bool
}

// Files yields the files of artifacts, then those that are to be removed later:
// clients may still fetch them.
func (s *Snapshot) Files() iter.Seq2[StoredFile, error] {
	return func(yield func(StoredFile, error) bool) {
		stop := fmt.Errorf("enough")
		one := func(rows *sql.Rows) error {
			var f StoredFile
			var needed int64
			if err := rows.Scan(&f.Key, &f.Artifact.Name, &f.Artifact.Version, &f.Artifact.Arch, &f.SHA256, &needed); err != nil {
				return err
			}
			f.Needed = needed == 1
			if !yield(f, nil) {
				return stop
			}
			return nil
		}
		err := each(s, `SELECT filename, name, version, arch, sha256, CASE WHEN status = 'rejected' THEN 0 ELSE 1 END
			FROM artifacts ORDER BY id`, nil, one)
		if err == nil {
			err = each(s, `SELECT r.filename, '', '', '', '', 0 FROM removals r
				WHERE NOT EXISTS (SELECT 1 FROM artifacts a WHERE a.filename = r.filename) ORDER BY r.filename`, nil, one)
		}
		if err != nil && err != stop {
			yield(StoredFile{}, err)
		}
	}
}

// Generations returns the current generation of each distribution that has one.
func (s *Snapshot) Generations() ([]aptrepo.Generation, error) {
	return generations(s, "JOIN distributions d ON d.codename = g.distribution AND d.generation = g.number ORDER BY g.distribution")
}

// AuditAnchor returns the last entry that was moved to the archive in storage.
func (s *Snapshot) AuditAnchor() (aptrepo.AuditHead, error) { return anchorOf(s) }

// Dialect returns the kind of database.
func (d *DB) Dialect() Dialect { return d.dialect }
