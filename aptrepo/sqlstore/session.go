package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// A querier runs statements, written with ? for parameters, in one
// transaction. Its errors are classified.
type querier interface {
	exec(query string, args ...any) (affected int64, err error)
	query(query string, args ...any) (*sql.Rows, error)
}

// get scans the first row into dest and reports whether there was one.
func get(q querier, query string, args []any, dest ...any) (found bool, err error) {
	err = each(q, query, args, func(rows *sql.Rows) error {
		if found {
			return nil
		}
		found = true
		return rows.Scan(dest...)
	})
	return found, err
}

// each calls row for every row, and stops at its first error.
func each(q querier, query string, args []any, row func(*sql.Rows) error) error {
	rows, err := q.query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return fmt.Errorf("reading a row: %w", err)
		}
	}
	return classify(rows.Err(), "reading rows")
}

// phrases remembers statements in the form of each dialect.
var phrases = map[Dialect]*sync.Map{SQLite: {}, Postgres: {}}

func (d Dialect) phrase(query string) string {
	if text, ok := phrases[d].Load(query); ok {
		return text.(string)
	}
	text := d.translate(query)
	phrases[d].Store(query, text)
	return text
}

// A view is a transaction that only reads.
type view struct {
	ctx        context.Context
	db         *DB
	tx         *sql.Tx
	unprepared []string
}

func (v *view) exec(string, ...any) (int64, error) {
	return 0, fmt.Errorf("a reader may not write")
}

func (v *view) query(query string, args ...any) (*sql.Rows, error) {
	keepableArgs(args)
	text := v.db.dialect.phrase(query)
	if stmt, ok := v.db.statements.Load(text); ok {
		rows, err := v.tx.StmtContext(v.ctx, stmt.(*sql.Stmt)).QueryContext(v.ctx, args...)
		return rows, classify(err, "query")
	}
	v.unprepared = append(v.unprepared, text)
	rows, err := v.tx.QueryContext(v.ctx, text, args...)
	return rows, classify(err, "query")
}

// read runs f on one consistent state of the database. A connection that had
// broken while it lay idle is replaced.
func (d *DB) read(ctx context.Context, f func(q querier) error) error {
	bounded, cancel := d.dialect.bound(ctx)
	defer cancel()
	return d.readWithin(ctx, bounded, f)
}

// readWithin is read with a bound of its own, a child of ctx.
func (d *DB) readWithin(ctx, bounded context.Context, f func(q querier) error) error {
	tx, err := d.conn.BeginTx(bounded, d.dialect.readOnly())
	for range 2 {
		if err == nil || bounded.Err() != nil {
			break
		}
		tx, err = d.conn.BeginTx(bounded, d.dialect.readOnly())
	}
	if err != nil {
		return callerGone(ctx, classify(err, "beginning to read"))
	}
	v := &view{ctx: bounded, db: d, tx: tx}
	defer func() {
		_ = tx.Rollback() // nothing was written
		d.prepareFor(ctx, v.unprepared)
	}()
	return callerGone(ctx, f(v))
}

// maxPrepared bounds the memory for statements that listings may need: each of
// many combinations of filters has its own.
const maxPrepared = 200

// prepareFor prepares statements for the next readers of SQLite, which would
// otherwise parse them again; pgx does so by itself. It must be called without
// a connection in hand: with every reader waiting for a second one, none would
// get it.
func (d *DB) prepareFor(ctx context.Context, texts []string) {
	if d.dialect != SQLite {
		return
	}
	for _, text := range texts {
		if d.prepared.Load() >= maxPrepared {
			return
		}
		s, err := d.conn.PrepareContext(ctx, text)
		if err != nil {
			return // the next one may
		}
		if _, taken := d.statements.LoadOrStore(text, s); taken {
			_ = s.Close()
		} else {
			d.prepared.Add(1)
		}
	}
}

// A session is the connection of a batch. On SQLite it stays the same from
// batch to batch, with its page cache and prepared statements.
type session struct {
	ctx        context.Context
	cancel     context.CancelFunc
	dialect    Dialect
	conn       *sql.Conn
	statements map[string]*sql.Stmt // SQLite
	hung       *time.Timer          // PostgreSQL: cancels ctx
}

func newSession(dialect Dialect, conn *sql.Conn) *session {
	s := &session{ctx: context.Background(), cancel: func() {}, dialect: dialect, conn: conn}
	if dialect == SQLite {
		s.statements = make(map[string]*sql.Stmt)
		return s
	}
	s.ctx, s.cancel = context.WithCancel(s.ctx)
	s.hung = time.AfterFunc(answerWithin, s.cancel)
	return s
}

// alive grants the next statement its time.
func (s *session) alive() {
	if s.hung != nil {
		s.hung.Reset(answerWithin)
	}
}

func (s *session) prepared(text string) (*sql.Stmt, error) {
	if stmt := s.statements[text]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(s.ctx, text)
	if err == nil {
		s.statements[text] = stmt
	}
	return stmt, err
}

func (s *session) exec(query string, args ...any) (int64, error) {
	s.alive()
	text := s.dialect.phrase(query)
	var result sql.Result
	var err error
	if s.statements == nil {
		result, err = s.conn.ExecContext(s.ctx, text, args...)
	} else {
		var stmt *sql.Stmt
		if stmt, err = s.prepared(text); err == nil {
			result, err = stmt.ExecContext(s.ctx, args...)
		}
	}
	if err != nil {
		return 0, classify(err, "statement")
	}
	n, err := result.RowsAffected()
	return n, classify(err, "statement")
}

func (s *session) query(query string, args ...any) (*sql.Rows, error) {
	keepableArgs(args)
	s.alive()
	text := s.dialect.phrase(query)
	if s.statements == nil {
		rows, err := s.conn.QueryContext(s.ctx, text, args...)
		return rows, classify(err, "query")
	}
	stmt, err := s.prepared(text)
	if err != nil {
		return nil, classify(err, "preparing a query")
	}
	rows, err := stmt.QueryContext(s.ctx, args...)
	return rows, classify(err, "query")
}

// list renders parameters for {texts} and {ids}.
func list[T string | int64](values []T) string {
	if values == nil {
		return "[]"
	}
	if texts, ok := any(values).([]string); ok {
		texts = slices.Clone(texts)
		for i, text := range texts {
			texts[i] = keepable(text)
		}
		values = any(texts).([]T)
	}
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // strings and integers can always be rendered
	}
	return string(text)
}

func unlist(text string) ([]string, error) {
	var values []string
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, fmt.Errorf("list %.40q: %w", text, err)
	}
	return values, nil
}

// micros is a time as the tables keep it.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func integer(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// keepableArgs lets a question about text that no database could keep have an
// answer: there is none such.
func keepableArgs(args []any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = keepable(text)
		}
	}
}

// validText reports whether both databases can keep s.
func validText(s string) bool {
	return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)
}

// keepable makes any text fit for both databases.
func keepable(s string) string {
	if validText(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
