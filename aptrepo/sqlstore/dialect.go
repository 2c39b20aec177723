package sqlstore

import (
	"context"
	"database/sql"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Dialect is the kind of database behind a connection pool.
type Dialect int

// The dialects.
const (
	// SQLite needs version 3.43 with FTS5 and its trigram tokenizer, as in
	// modernc.org/sqlite.
	SQLite Dialect = iota + 1
	// Postgres needs PostgreSQL 13 and its extension pg_trgm.
	Postgres
)

// String returns the dialect's name.
func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "SQLite"
	case Postgres:
		return "PostgreSQL"
	}
	return "dialect " + strconv.Itoa(int(d))
}

// SQLiteDSN returns the data source name for a database file, as driver
// modernc.org/sqlite reads it. Open itself sets what safety depends on, so a
// plain path works too; the name adds what makes reading fast and what other
// users of the same pool need:
//
//   - synchronous FULL: a commit that was reported survives a power cut;
//   - busy_timeout 4 s: another process's transaction is waited for;
//   - foreign_keys on, as the tables expect;
//   - temp_store in memory, an 8 MiB page cache for each connection and 1 GiB
//     of address space to map the file: a reader's page cache is emptied by
//     each commit, the mapping is not;
//   - _txlock immediate: a transaction that may write takes the lock at its
//     beginning, since taking it later can fail without a wait.
func SQLiteDSN(path string) string {
	pragmas := []string{
		"busy_timeout(4000)",
		"synchronous(FULL)",
		"foreign_keys(ON)",
		"temp_store(MEMORY)",
		"cache_size(-8192)",
		"mmap_size(1073741824)",
	}
	query := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query.Encode()}
	return name.String()
}

// writerPragmas prepare the one SQLite connection that writes. Temporary files
// are better than memory there: what a savepoint keeps in memory is a list that
// each further statement walks through.
var writerPragmas = []string{
	"PRAGMA synchronous = FULL",
	"PRAGMA foreign_keys = ON",
	"PRAGMA temp_store = FILE",
	"PRAGMA cache_size = -32768",
	"PRAGMA journal_size_limit = 67108864",
}

// answerWithin is how long SQLite's lock is waited for, and how long PostgreSQL
// may take for one statement of a transaction, or for all those of a reader.
// Tests change it.
var answerWithin = 4 * time.Second

// words are what the SQL texts of this package spell differently.
var words = map[Dialect]*strings.Replacer{
	SQLite: strings.NewReplacer(
		"{id}", "INTEGER PRIMARY KEY AUTOINCREMENT",
		"{text}", "TEXT",
		"{blob}", "BLOB",
		"{clustered}", "WITHOUT ROWID",
		"{texts}", "json_each(?)",
		"{ids}", "json_each(?)",
	),
	Postgres: strings.NewReplacer(
		"{id}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
		"{text}", `TEXT COLLATE "C"`,
		"{blob}", "BYTEA",
		" {clustered}", "",
		"{texts}", `(SELECT t.value COLLATE "C" AS value FROM jsonb_array_elements_text(CAST(? AS jsonb)) AS t(value)) AS texts`,
		"{ids}", `(SELECT CAST(t.value AS BIGINT) AS value FROM jsonb_array_elements_text(CAST(? AS jsonb)) AS t(value)) AS ids`,
	),
}

// translate puts a statement, written with ? for parameters, into d's form.
func (d Dialect) translate(query string) string {
	query = words[d].Replace(query)
	if d != Postgres {
		return query
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}

// only drops the parts of a script that are for another dialect. Such a part
// begins with a line "-- only: sqlite", or postgres, and ends at "-- only: all".
func (d Dialect) only(script string) string {
	var b strings.Builder
	wanted := true
	for line := range strings.Lines(script) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- only: "); ok {
			wanted = name == "all" || name == d.scriptName()
			continue
		}
		if wanted {
			b.WriteString(line)
		}
	}
	return b.String()
}

func (d Dialect) scriptName() string {
	if d == Postgres {
		return "postgres"
	}
	return "sqlite"
}

// begin starts a transaction that writes. SQLite takes its one write lock
// there.
func (d Dialect) begin() string {
	if d == SQLite {
		return "BEGIN IMMEDIATE"
	}
	return "BEGIN"
}

// lockHead reads the end of the audit chain and, with it, makes all other
// writers wait: that makes Update serializable. A server that stops answering
// in the midst of a transaction must not block the others for ever.
func (d Dialect) lockHead() string {
	if d == SQLite {
		return "SELECT last_id, last_hash, mac FROM audit_head"
	}
	return `SELECT last_id, last_hash, mac FROM audit_head,
		(SELECT set_config('idle_in_transaction_session_timeout', '15000', true)) AS s FOR UPDATE OF audit_head`
}

// waitForLocks makes a SQLite connection wait for other processes.
func waitForLocks() string {
	return "PRAGMA busy_timeout = " + strconv.FormatInt(answerWithin.Milliseconds(), 10)
}

// readOnly are the options of a transaction that sees one state throughout.
func (d Dialect) readOnly() *sql.TxOptions {
	if d == SQLite {
		return &sql.TxOptions{ReadOnly: true}
	}
	return &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
}

// bound limits how long a reader waits for PostgreSQL.
func (d Dialect) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if d == SQLite {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, answerWithin)
}
