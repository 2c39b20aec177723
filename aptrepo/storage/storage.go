// Package storage says where the files of a repository live: the packages of
// the pool, the chunks and heads of its indices.
//
// The contract is [Backend], four methods over slash-separated keys. The
// package has two backends, [Dir] on a local file system and [Mem] for tests;
// package s3 has one for buckets, and package storagetest checks any other
// against the contract. What only some backends can do is an interface of one
// method beside Backend ([Creator], [URLer], [Stater], [TempCleaner]), with a
// function of this package that falls back to what every backend can do
// ([Create], [URL], [Stat], [CleanTemp]).
package storage

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"
)

// Info describes a stored file.
type Info struct {
	Key     string
	Size    int64     // in bytes
	ModTime time.Time // when the file was put, by the backend's clock; never zero
}

// A Backend stores whole files under keys.
//
// Keys are the paths for which [ValidKey] is true; each method refuses others
// with an error that matches [fs.ErrInvalid]. Keys are compared byte by byte:
// case counts, and "+", "~", ":" and "%" stand for themselves, since names and
// versions of Debian packages hold them (Debian Policy 5.6.1 and 5.6.12).
// A key that is a directory of another, such as "a" beside "a/b", may be
// refused, also after the other has been deleted.
//
// All methods may be called concurrently, for the same key too, and by several
// processes where the medium is shared. A method whose context is done returns
// an error that matches the context's; one that fails for want of space
// returns an error for which [IsFull] is true.
//
// storagetest.Run checks an implementation.
type Backend interface {
	// Open returns the contents of the file at key, which the caller closes. A
	// key without a file gives an error that matches fs.ErrNotExist.
	//
	// The reader delivers the file as it was when Open returned, also when a
	// Put replaces it meanwhile. If it is an io.Seeker too, byte ranges are
	// served from it; if it is an *os.File, the kernel sends it.
	Open(ctx context.Context, key string) (io.ReadCloser, Info, error)

	// Put stores what r holds from its current offset to its end, and replaces
	// the file at key if there is one. Put may seek back to that offset to
	// start again, and leaves r at any offset.
	//
	// Put is atomic: at each moment Open finds the earlier file or the whole
	// new one. It is durable: when Put has returned nil, the file outlives a
	// crash of the program and of the machine. When Put fails, because r fails
	// or its context ends too, Open finds what was there before; only when a
	// backend cannot know the outcome, as when a server's answer got lost, may
	// it be the whole new file.
	Put(ctx context.Context, key string, r io.ReadSeeker) error

	// Delete removes the file at key, durably. Where there is none it succeeds.
	Delete(ctx context.Context, key string) error

	// List yields the files whose keys start with prefix, in byte order of the
	// keys. Any string is a prefix, also one that ends within a name. A failure
	// is yielded as the last element, with a zero Info.
	//
	// Files put or deleted during the iteration may or may not be seen; every
	// other file is seen once. The loop's body may call the Backend's methods.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
}

// TempPrefix starts the names of files that a backend is still writing. No
// element of a key may start with it.
const TempPrefix = ".tmp-"

const (
	maxKey  = 1024 // bytes; S3's limit
	maxName = 255  // bytes; NAME_MAX of the common file systems
)

// ValidKey reports whether key names a file: a relative slash-separated UTF-8
// path without empty, "." and ".." elements ([fs.ValidPath]), without control
// characters and backslashes, of at most 1024 bytes, with elements of at most
// 255 bytes, none of which starts with [TempPrefix].
func ValidKey(key string) bool {
	if key == "." || len(key) > maxKey || !fs.ValidPath(key) || strings.ContainsFunc(key, unsafeRune) {
		return false
	}
	for name := range strings.SplitSeq(key, "/") {
		if len(name) > maxName || strings.HasPrefix(name, TempPrefix) {
			return false
		}
	}
	return true
}

func unsafeRune(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }

// CheckKey returns nil for a valid key, and otherwise the error with which the
// method op of a Backend refuses it: an *[fs.PathError] that matches
// [fs.ErrInvalid].
func CheckKey(op, key string) error {
	if !ValidKey(key) {
		return pathError(op, key, fs.ErrInvalid)
	}
	return nil
}

func pathError(op, key string, err error) error {
	return &fs.PathError{Op: op, Path: key, Err: err}
}

// admit is the first step of each method that takes a key.
func admit(ctx context.Context, op, key string) error {
	if err := CheckKey(op, key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return pathError(op, key, err)
	}
	return nil
}
