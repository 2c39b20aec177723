package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"
)

// List implements [Backend]. It reads one directory after the other and holds
// no more than the entries of those on its way.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		start := "."
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			if start = prefix[:i]; !ValidKey(start) {
				return
			}
		}
		_, err := d.walk(ctx, start, prefix, func(key string, fi fs.FileInfo) bool {
			return !ValidKey(key) || yield(Info{key, fi.Size(), fi.ModTime()}, nil)
		})
		if err != nil {
			yield(Info{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

// CleanTemp implements [TempCleaner].
func (d *Dir) CleanTemp(ctx context.Context, before time.Time) (int, error) {
	removed := 0
	var failed error
	_, err := d.walk(ctx, ".", "", func(name string, fi fs.FileInfo) bool {
		if !strings.HasPrefix(path.Base(name), TempPrefix) || !fi.ModTime().Before(before) {
			return true
		}
		if failed = d.root.Remove(name); errors.Is(failed, fs.ErrNotExist) {
			failed = nil // its writer was not dead
		} else if failed == nil {
			removed++
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return removed, fmt.Errorf("removing temporary files: %w", err)
	}
	return removed, nil
}

// walk calls visit for the regular files below dir whose paths start with
// prefix, in byte order of the paths, temporary files among them. It stops
// when visit returns false, and reports whether it came to the end.
func (d *Dir) walk(ctx context.Context, dir, prefix string, visit func(string, fs.FileInfo) bool) (bool, error) {
	entries, err := d.readDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		name := path.Join(dir, e.Name())
		if !strings.HasPrefix(name+"/", prefix) {
			continue
		}
		if e.IsDir() {
			if more, err := d.walk(ctx, name, prefix, visit); !more || err != nil {
				return false, err
			}
			continue
		}
		if !e.Type().IsRegular() || !strings.HasPrefix(name, prefix) {
			continue
		}
		// The entry was read through the root and carries its Info: this
		// neither fails nor resolves a path.
		if fi, err := e.Info(); err == nil && !visit(name, fi) {
			return false, nil
		}
	}
	return true, nil
}

// readDir reads a directory in the order of the keys below it. One that is
// gone, or is no directory, has no entries.
func (d *Dir) readDir(dir string) ([]fs.DirEntry, error) {
	// Opening a FIFO would wait for its other end.
	fi, err := d.root.Lstat(dir)
	if missing(err) || err == nil && !fi.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := d.root.Open(dir)
	if missing(err) {
		return nil, nil
	}
	if errors.Is(err, fs.ErrPermission) && dir == "lost+found" {
		return nil, nil // the root of a file system has one, closed to all but root
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil && !missing(err) {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	return entries, nil
}

// sortName is what the keys at e go on with: "a-b" comes before "a/b", which
// comes before "a0".
func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}
