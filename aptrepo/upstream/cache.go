package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A cache is a folder of plain Packages files, named by their SHA-256, and of
// files that are being made. What is in it is a matter of speed only:
// everything is verified when it is opened.
type cache struct {
	dir       string
	temporary bool // the folder ends with the sync
}

// openCache returns the cache of a source below dir, or for "" one that lasts
// until close.
func openCache(dir, source string) (*cache, error) {
	if dir == "" {
		tmp, err := os.MkdirTemp("", "repod-sync-*")
		if err != nil {
			return nil, fmt.Errorf("making room for a sync: %w", err)
		}
		return &cache{tmp, true}, nil
	}
	c := &cache{dir: filepath.Join(dir, source)}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making room for a sync: %w", err)
	}
	return c, nil
}

func (c *cache) close() error {
	if c.temporary {
		return os.RemoveAll(c.dir)
	}
	return nil
}

// open returns a file that is there and whole, else nil.
func (c *cache) open(ctx context.Context, sum string, size int64) *os.File {
	f := c.base(sum, size)
	if f == nil {
		return nil
	}
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{interrupted{ctx, f}}, make([]byte, 128<<10))
	if err != nil || n != size || hex.EncodeToString(h.Sum(nil)) != sum {
		f.Close()
		return nil
	}
	return f
}

// base returns a file that is there and has that size, unverified, else nil.
func (c *cache) base(sum string, size int64) *os.File {
	f, err := os.Open(filepath.Join(c.dir, sum))
	if err != nil {
		return nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() != size {
		f.Close()
		return nil
	}
	return f
}

// A draft is a file that is being made.
type draft struct {
	*os.File
	dir string
}

const draftPrefix = "draft-"

func (c *cache) create() (*draft, error) {
	f, err := os.CreateTemp(c.dir, draftPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("making room for a sync: %w", err)
	}
	return &draft{f, c.dir}, nil
}

// keep gives the draft the name of its hash. The file stays open.
func (d *draft) keep(sum string) (*os.File, error) {
	if err := os.Rename(d.Name(), filepath.Join(d.dir, sum)); err != nil {
		return nil, errors.Join(fmt.Errorf("keeping an index: %w", err), d.discard())
	}
	return d.File, nil
}

func (d *draft) discard() error {
	return errors.Join(d.Close(), os.Remove(d.Name()))
}

// abandoned is the age at which a draft is nobody's any more.
const abandoned = 24 * time.Hour

// prune removes files but those of the lists, and drafts that were left over.
func (c *cache) prune(lists ...[]memoIndex) error {
	keep := make(map[string]bool)
	for _, list := range lists {
		for _, x := range list {
			keep[x.SHA256] = true
		}
	}
	entries, err := os.ReadDir(c.dir)
	for _, e := range entries {
		if keep[e.Name()] {
			continue
		}
		info, statErr := e.Info()
		if statErr != nil || strings.HasPrefix(e.Name(), draftPrefix) && time.Since(info.ModTime()) < abandoned {
			continue
		}
		err = errors.Join(err, os.Remove(filepath.Join(c.dir, e.Name())))
	}
	return err
}
