// Package jobs runs named work in the background, durably, on the database
// that a program has anyway: SQLite or PostgreSQL.
//
// A [Runner] knows kinds of work by name. [Runner.Enqueue] records a job of
// one of them; some server that knows the kind then runs it, this one at once
// when it has a worker free. What is to be done, how far it is and how it ended
// is in the database, so that any server can tell: see [Runner.Job] and
// [Runner.Changed]. Jobs are kept for 24 hours after their end.
//
// # How often
//
// A job runs at least once. When its server dies, or does not reach the
// database for a minute, the job is taken from it: a kind with retries runs
// again, any other ends as interrupted. Work that must not happen twice has to
// see to that itself.
//
// # How soon
//
// A job that is enqueued starts on the same server at once. Other servers look
// for work that is left over every 2 s on PostgreSQL and every 10 s on SQLite,
// where there is rarely another one; there is no LISTEN/NOTIFY through
// database/sql. Retries and jobs for later begin up to 5 s after their time.
//
// # Cost
//
// An idle server commits one small transaction every 5 s, the lease of the one
// that keeps house, and otherwise only reads. SQLite's lock on the database is
// never held while work runs.
//
// # Secrets
//
// Arguments, progress, results and failures are stored and shown: they must
// not hold secrets. The texts of other errors go to the log only.
//
// # Order
//
// Jobs are begun in the order in which they were enqueued, several at a time. A
// kind with a Queue of its own has one worker on each server, which takes about
// 15 jobs a second.
//
// The work is queued by River (github.com/riverqueue/river), whose tables,
// named river_*, Start creates and updates.
package jobs
