// Package backup copies a whole repository, database and files, while it is in
// use, and makes a new repository of the copy: on the same kind of database or on
// the other, on a directory or in a bucket.
//
// # Consistency
//
// A backup first reads the database as it was at one moment, and then the files
// that it named at that moment. Each of them is still there: files are immutable,
// and one that is not needed any more is deleted 24 hours later at the earliest
// ([aptrepo.Repo.KeepGenerations]). There is one exception, a package whose status
// changes between the two, which moves its file: the file is looked for where the
// database has it now. Files whose removal was due during the backup, and what
// came after the moment, are no part of it.
//
// # Form
//
// A backup is a sequence of entries: the header, pieces of the tables, files, and
// the manifest at the end. Behind every thousand entries comes a list of their
// SHA-256, and the manifest has the SHA-256 of all lists: who has read the manifest
// knows that everything was there and is what was written. See [Header] and
// [Manifest]. The entries are the members of a tar archive (POSIX.1-2001, pax),
// perhaps compressed by zstd (RFC 8878), or files in a folder: see [Dir].
//
// A backup holds what the database holds. Secrets are sealed in it by the server's
// secret key, which is not in the backup; password hashes are hashes. Still it is
// to be kept as the database is.
package backup

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// format is the version of the form of backups.
const format = 1

// Names of entries, and how those begin that there are many of.
const (
	headerName   = "repod-backup.json"
	manifestName = "manifest.json"
	databaseDir  = "database/"
	filesDir     = "files/"
	sumsDir      = "sums/"
)

const (
	entriesPerSums = 1000
	pieceSize      = 4 << 20   // bytes of a table in one entry, at least
	maxSmall       = 256 << 20 // bytes of any entry that is read into memory
	maxNamed       = 1000      // faults that a manifest names
)

// Errors of reading a backup.
var (
	// ErrIncomplete says that a backup ends before its manifest.
	ErrIncomplete = errors.New("the backup is incomplete: it was cut off")
	// ErrDamaged says that something in a backup is not what was written.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrWrongKey says that the secret key is not that of the repository.
	ErrWrongKey = errors.New("the secret key is not the one of the server that the backup is of")
	// ErrNotEmpty says that there are files where a backup is to be restored.
	ErrNotEmpty = errors.New("the storage is not empty")
)

// A Header is the first entry of a backup.
type Header struct {
	Format    int       `json:"format"` // 1
	ID        string    `json:"id"`     // random
	CreatedAt time.Time `json:"created_at"`
	Program   string    `json:"program"` // version of repod
	Schema    int       `json:"schema"`  // the database's last migration
	Database  string    `json:"database"`
	Files     bool      `json:"files"` // whether the files are in it
	// KeyCheck tells whether a secret key is that of the repository: hex of
	// HMAC-SHA-256 with the key over "repod backup " and ID.
	KeyCheck string `json:"key_check"`
}

// keyCheck is what Header.KeyCheck has to be.
func keyCheck(key []byte, id string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("repod backup " + id))
	return hex.EncodeToString(mac.Sum(nil))
}

// A Manifest is the last entry of a backup.
type Manifest struct {
	ID          string           `json:"id"`
	Tables      int              `json:"tables"`
	Rows        int64            `json:"rows"`
	Files       int64            `json:"files"`
	Bytes       int64            `json:"bytes"` // of files
	Generations map[string]int64 `json:"generations"`
	// Missing counts files that the database names and that were not there, and
	// Damaged those with other contents than the database says. The backup of a
	// repository that has such is as whole as the repository. Faults names some.
	Missing int64    `json:"missing"`
	Damaged int64    `json:"damaged"`
	Faults  []string `json:"faults"`
	Entries int64    `json:"entries"`
	Sums    string   `json:"sums"` // SHA-256 over the lists of sums, in hex
}
