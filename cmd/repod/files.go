package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/s3"
)

// The variables of the credentials of a bucket, which other programs read,
// too. Each can be given by file, as NAME_FILE.
const (
	accessKey       = "AWS_ACCESS_KEY_ID"
	secretAccessKey = "AWS_SECRET_ACCESS_KEY"
)

// files is the storage of a repository: a directory or a bucket.
type files interface {
	storage.Backend
	io.Closer
}

func (s *settings) parseStorage(c *storeConfig) error {
	address := s.get("storage-url")
	path, ok := strings.CutPrefix(address, "file:")
	switch {
	case address == "":
		c.files = filepath.Join(c.dataDir, "files")
	case ok && path != "":
		c.files = path
	case strings.HasPrefix(address, "s3:"):
		return s.parseBucket(c, address)
	default:
		return usagef("--storage-url: want file:PATH or s3://BUCKET/PREFIX")
	}
	return nil
}

func (s *settings) parseBucket(c *storeConfig, address string) error {
	bucket, err := s3.ParseURL(address)
	if err != nil {
		return usagef("--storage-url: %w", err)
	}
	for name, value := range map[string]*string{accessKey: &bucket.AccessKeyID, secretAccessKey: &bucket.SecretAccessKey} {
		if *value, err = s.credential(name); err != nil {
			return err
		}
	}
	b, err := s3.Open(bucket) // sends nothing
	if err != nil {
		return usagef("--storage-url: %w", err)
	}
	c.bucket = &bucket
	return b.Close()
}

// credential returns what a variable holds, or the file that NAME_FILE names.
func (s *settings) credential(name string) (string, error) {
	value, path := s.env(name), s.env(name+"_FILE")
	switch {
	case value != "" && path != "":
		return "", usagef("both %s and %s_FILE are set: keep one", name, name)
	case path != "":
		return readSecret(path)
	case value == "":
		return "", usagef("a bucket needs %s, or %s_FILE", name, name)
	}
	return value, nil
}

// filesName says in messages where the files are.
func (c *storeConfig) filesName() string {
	if c.bucket != nil {
		return c.bucket.String()
	}
	return c.files
}

// openFiles opens the storage, which is there already.
func (c *storeConfig) openFiles() (files, error) {
	if c.bucket != nil {
		return s3.Open(*c.bucket)
	}
	if _, err := os.Stat(c.files); err != nil { // OpenDir would create it
		return nil, fmt.Errorf("no storage there (start repod serve once, or check --storage-url): %w", err)
	}
	return storage.OpenDir(c.files)
}

// createFiles makes a directory, or sees that a bucket can be used: that it
// keeps the servers apart which share it, too.
func (c *storeConfig) createFiles(ctx context.Context) error {
	if c.bucket != nil {
		return c.probe(ctx)
	}
	dir, err := storage.OpenDir(c.files)
	if err != nil {
		return err
	}
	return dir.Close()
}

// probe tries the bucket out; a directory needs no trial.
func (c *storeConfig) probe(ctx context.Context) error {
	if c.bucket == nil {
		return nil
	}
	b, err := s3.Open(*c.bucket)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := b.Probe(ctx); err != nil {
		err = fmt.Errorf("the storage does not work (check --storage-url, %s and %s): %w", accessKey, secretAccessKey, err)
		return errors.Join(err, b.Close())
	}
	return b.Close()
}
