// Custombackend keeps a repository's files in a table of an SQL database. Table
// is all that a storage backend of one's own needs: the four methods of
// storage.Backend, and Create, which the database makes easy. A program that
// embeds a repository sets it as aptrepo.Repo.Storage; this one only stores the
// files it is given and lists them.
//
// Each file is held in memory while it is read or written, so that this is for
// repositories of small packages.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"

	_ "modernc.org/sqlite"
)

// Table is a storage.Backend and storage.Creator in an SQLite table.
type Table struct{ db *sql.DB }

// OpenTable opens the database file name, which it creates if necessary.
// synchronous=FULL makes what is committed outlive a power failure.
func OpenTable(ctx context.Context, name string) (*Table, error) {
	db, err := sql.Open("sqlite", "file:"+name+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer anyway
	const schema = `CREATE TABLE IF NOT EXISTS files (key TEXT PRIMARY KEY, body BLOB NOT NULL, modified INTEGER NOT NULL)`
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Table{db}, nil
}

// Close closes the database.
func (t *Table) Close() error { return t.db.Close() }

// memoryFile lets a file's bytes be read and sought, which serves ranges.
type memoryFile struct{ *bytes.Reader }

func (memoryFile) Close() error { return nil }

// Open implements storage.Backend.
func (t *Table) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	if err := storage.CheckKey("open", key); err != nil {
		return nil, storage.Info{}, err
	}
	var body []byte
	var modified int64
	err := t.db.QueryRowContext(ctx, `SELECT body, modified FROM files WHERE key = ?`, key).Scan(&body, &modified)
	if errors.Is(err, sql.ErrNoRows) {
		err = &fs.PathError{Op: "open", Path: key, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, storage.Info{}, err
	}
	info := storage.Info{Key: key, Size: int64(len(body)), ModTime: time.Unix(0, modified)}
	return memoryFile{bytes.NewReader(body)}, info, nil
}

// Put implements storage.Backend. One statement is one transaction.
func (t *Table) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	_, err := t.insert(ctx, "put", `DO UPDATE SET body = excluded.body, modified = excluded.modified`, key, r)
	return err
}

// Create implements storage.Creator.
func (t *Table) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	n, err := t.insert(ctx, "create", `DO NOTHING`, key, r)
	if err == nil && n == 0 {
		err = &fs.PathError{Op: "create", Path: key, Err: fs.ErrExist}
	}
	return err
}

func (t *Table) insert(ctx context.Context, op, conflict, key string, r io.Reader) (rows int64, err error) {
	if err := storage.CheckKey(op, key); err != nil {
		return 0, err
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", op, key, err)
	}
	res, err := t.db.ExecContext(ctx, `INSERT INTO files (key, body, modified) VALUES (?, ?, ?) ON CONFLICT (key) `+conflict,
		key, body, time.Now().UnixNano())
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", op, key, err)
	}
	return res.RowsAffected()
}

// Delete implements storage.Backend.
func (t *Table) Delete(ctx context.Context, key string) error {
	if err := storage.CheckKey("delete", key); err != nil {
		return err
	}
	_, err := t.db.ExecContext(ctx, `DELETE FROM files WHERE key = ?`, key)
	return err
}

// List implements storage.Backend. The query has ended when the loop's body
// runs, which may want the database's one connection for itself.
func (t *Table) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		infos, err := t.infos(ctx, prefix)
		if err != nil {
			yield(storage.Info{}, err)
			return
		}
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
	}
}

// infos compares bytes: LIKE has wildcards and takes "A" for "a".
func (t *Table) infos(ctx context.Context, prefix string) ([]storage.Info, error) {
	rows, err := t.db.QueryContext(ctx, `SELECT key, length(body), modified FROM files WHERE key >= ? ORDER BY key`, prefix)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var infos []storage.Info
	for rows.Next() {
		var info storage.Info
		var modified int64
		if err := rows.Scan(&info.Key, &info.Size, &modified); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(info.Key, prefix) {
			break
		}
		info.ModTime = time.Unix(0, modified)
		infos = append(infos, info)
	}
	return infos, rows.Err()
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: custombackend FILE.db [FILE.deb ...]")
	}
	if err := run(context.Background(), os.Stdout, os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

// run stores the named files below pool/ and lists what is there.
func run(ctx context.Context, w io.Writer, database string, names []string) error {
	files, err := OpenTable(ctx, database)
	if err != nil {
		return err
	}
	defer files.Close()
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := storage.Create(ctx, files, "pool/"+filepath.Base(name), bytes.NewReader(body)); err != nil {
			return err
		}
	}
	for info, err := range files.List(ctx, "pool/") {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s, %d bytes\n", info.Key, info.Size)
	}
	return nil
}
