package vuln

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// An input is a feed that is being read. Its directory is for the copy of a zip
// file, which cannot be read from front to back.
type input struct {
	ctx    context.Context
	root   *os.Root
	limits Limits
}

// each calls fn for each document in the data: the data themselves, unpacked
// if they are in gzip, or the JSON files in a zip file or directory.
func (in input) each(f Feed, fn func(r io.Reader) error) error {
	if f.Dir != nil {
		return in.eachFile(f.Dir, fn)
	}
	b := &budget{limits: in.limits}
	r := bufio.NewReaderSize(budgetPacked{contextReader{in.ctx, f.Data}, b}, 1<<16)
	head, err := r.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		unzipped, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		return fn(budgetUnpacked{unzipped, b})
	case bytes.Equal(head, []byte("PK\x03\x04")), bytes.Equal(head, []byte("PK\x05\x06")):
		return in.eachZipped(r, fn)
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	return fn(r)
}

// contextReader ends reading with the context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// eachFile reads a directory with all below it. Links are not followed.
func (in input) eachFile(dir fs.FS, fn func(r io.Reader) error) error {
	b := &budget{limits: in.limits}
	return fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path.Ext(name) != ".json" {
			return err
		}
		f, err := dir.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := fn(budgetPacked{contextReader{in.ctx, f}, b}); err != nil {
			return fmt.Errorf("%s: %w", plain(name, 200), err)
		}
		return nil
	})
}

// The index of a zip file is held in memory, and bounded: to some 1,200,000
// files, and to what as many files as there may be records take.
const (
	maxZipIndex = 128 << 20
	zipEntry    = 512
)

// indexReader bounds what is read of a zip file until its index is known.
type indexReader struct {
	r    io.ReaderAt
	left int64 // -1: no bound
}

func (r *indexReader) ReadAt(p []byte, off int64) (int, error) {
	if r.left >= 0 {
		if r.left -= int64(len(p)); r.left < 0 {
			return 0, errFeedTooLarge
		}
	}
	return r.r.ReadAt(p, off)
}

// eachZipped copies a zip file and reads the JSON files in it. Nothing is
// unpacked to disk, so that their names do not matter; those that would lead out
// of a directory are passed over all the same.
func (in input) eachZipped(r io.Reader, fn func(r io.Reader) error) error {
	const name = "feed.zip"
	f, err := in.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := in.root.Remove(name); err != nil {
		return err
	}
	size, err := io.Copy(f, r)
	if err != nil {
		return err
	}
	ra := &indexReader{r: f, left: min(maxZipIndex, 1<<16+zipEntry*in.limits.records())}
	z, err := zip.NewReader(ra, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return err
	}
	ra.left = -1
	// Members of a forged zip file may share their packed bytes: the file as a
	// whole is the measure.
	b := &budget{limits: in.limits, packed: size}
	for _, member := range z.File {
		if path.Ext(member.Name) != ".json" || !fs.ValidPath(member.Name) || strings.Contains(member.Name, `\`) || !member.Mode().IsRegular() {
			continue
		}
		if err := in.member(member, b, fn); err != nil {
			return fmt.Errorf("%s: %w", plain(member.Name, 200), err)
		}
	}
	return nil
}

func (in input) member(f *zip.File, b *budget, fn func(r io.Reader) error) error {
	if err := in.ctx.Err(); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	return fn(budgetUnpacked{r, b})
}
