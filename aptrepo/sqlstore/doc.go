// Package sqlstore keeps a repository's metadata in SQLite or PostgreSQL.
package sqlstore
