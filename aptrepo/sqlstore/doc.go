// Package sqlstore keeps what a repository knows in SQLite or PostgreSQL. A
// [DB] is an [aptrepo.Store] and an [auth.Store] at once, so that package
// auth's events go into the same hash-chained audit log. It is an
// [upstream.Catalog] too.
//
// The package links no driver: a program opens a pool with the driver of its
// choice and hands it to [Open]. It is tested with modernc.org/sqlite and
// github.com/jackc/pgx/v5.
//
// # Writing
//
// All changes go through [DB.Update] or methods that do the same. One update
// runs at a time, and those that wait meanwhile share the next commit, so that
// many small ones cost one fsync. SQLite's lock on the database, or on
// PostgreSQL a lock on the one row that ends the audit log, keeps other
// processes out: updates are serializable, also across servers.
//
// An update is durable when it was reported to have succeeded. When the
// connection breaks during a commit, nobody knows whether it took effect; that
// is reported as [aptrepo.ErrUnavailable] as well.
//
// # Reading
//
// Each method reads one consistent state, which is the latest committed one
// when it begins. Readers never wait for writers.
//
// # The catalogue of sources
//
// A sync may add 100,000 packages, and nobody is to wait for that. So
// [DB.ReplacePackages] writes in transactions of some milliseconds, between
// which others get their turn. The rows carry the number of a stage, and readers
// leave out those of stages that have not ended. The last transaction counts up
// the source's generation, unless another one has done so, and ends the stage;
// only then are the rows deleted that went.
//
// # Tables
//
// The tables are created and updated by numbered migrations, the same for both
// databases, recorded in table repod_migrations. A database can be moved from
// one to the other by copying the rows. Times are microseconds since 1970 in
// UTC, flags 0 or 1, lists JSON. The database refuses to change or delete
// audit entries.
//
// Text is UTF-8 without NUL: other text is refused where an artifact, a
// distribution, a decision or a user is added, replaced by U+FFFD in the audit
// log and in scans, and found nowhere.
package sqlstore
