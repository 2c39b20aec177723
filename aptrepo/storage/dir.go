package storage

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"
)

// Modes of what Dir makes, less the umask. A web server that runs as another
// user can serve the tree; a umask of 027 keeps others out.
const (
	dirMode  = 0o755
	fileMode = 0o644
)

// Dir is a [Backend], [Creator] and [TempCleaner] in a directory of the local
// file system: the file at key "pool/x.deb" is pool/x.deb below it, so that
// any web server can serve the tree.
//
// A file is written under a temporary name in the directory it belongs to,
// flushed (fsync), and then renamed to its key, or linked to it by Create;
// then the directory is flushed, and so was each new directory on the way to
// it. A file whose flush failed is removed, since the kernel may have dropped
// its pages; a file that was to be replaced is then in place again. The file
// system needs hard links: ext4, xfs, btrfs, zfs and NFS have them, FAT has
// none.
//
// Nothing outside the directory is reached through symbolic links, and one at
// a key is no file. A directory inside, such as pool, can be on another disk
// by a bind mount.
//
// Delete leaves directories that became empty: they cost next to nothing, and
// a Put that flushes a directory must not see it vanish.
//
// The methods can be called concurrently. Several processes may share the
// directory.
type Dir struct {
	root *os.Root
	top  *os.File // the same directory

	mu      sync.Mutex
	durable map[string]bool      // directories whose entries in their parents are flushed
	flushes map[string]*flushing // by directory, those with new directories in them

	// Whoever makes or removes the name of a file holds the lock of its key
	// until the directory is flushed, so that nobody builds on a name which a
	// failed flush takes back.
	names [256]sync.Mutex
	seed  maphash.Seed
}

// OpenDir opens the directory name as a Dir, and creates it and its parents if
// they are missing. Close releases it.
func OpenDir(name string) (*Dir, error) {
	if err := makeRoot(filepath.Clean(name)); err != nil {
		return nil, fmt.Errorf("opening storage: %w", err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("opening storage: %w", err)
	}
	top, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("opening storage: %w", err)
	}
	return &Dir{root: root, top: top, durable: make(map[string]bool), flushes: make(map[string]*flushing), seed: maphash.MakeSeed()}, nil
}

// makeRoot creates name and its missing parents, and flushes each new entry.
func makeRoot(name string) error {
	err := os.Mkdir(name, dirMode)
	if parent := filepath.Dir(name); errors.Is(err, fs.ErrNotExist) && parent != name {
		if err := makeRoot(parent); err != nil {
			return err
		}
		err = os.Mkdir(name, dirMode)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return flush(parent)
}

// Close releases the directory. Files that are open stay readable; methods
// called later fail.
func (d *Dir) Close() error { return errors.Join(d.top.Close(), d.root.Close()) }

// Open implements [Backend]. The reader is an *[os.File].
func (d *Dir) Open(ctx context.Context, key string) (io.ReadCloser, Info, error) {
	if err := admit(ctx, "open", key); err != nil {
		return nil, Info{}, err
	}
	f, info, err := d.open(key)
	if missing(err) {
		err = pathError("open", key, fs.ErrNotExist)
	}
	if err != nil {
		return nil, Info{}, err
	}
	return f, info, nil
}

func (d *Dir) open(key string) (*os.File, Info, error) {
	f, err := openBeneath(d.top, d.root, key)
	if err != nil {
		return nil, Info{}, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, Info{}, err
	}
	return f, Info{key, fi.Size(), fi.ModTime()}, nil
}

// missing reports whether err says that there is no such file, in one of the
// ways that this can come about: no such name, a file in place of a directory,
// links in a circle, or a link that leads out of the root, for which os.Root
// has an error of its own instead of a system error.
func missing(err error) bool {
	if err == nil || errors.Is(err, fs.ErrClosed) {
		return false
	}
	var system syscall.Errno
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) ||
		errors.Is(err, syscall.ELOOP) || !errors.As(err, &system)
}

// Put implements [Backend].
func (d *Dir) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	if err := admit(ctx, "put", key); err != nil {
		return err
	}
	if err := d.put(ctx, key, r); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (d *Dir) put(ctx context.Context, key string, r io.Reader) error {
	p, err := d.enter(key)
	if err != nil {
		return err
	}
	defer p.dir.Close()
	tmp, err := p.stage(ctx, r)
	if err != nil {
		return err
	}
	defer d.lock(key)()
	return p.replace(tmp)
}

// Create implements [Creator].
func (d *Dir) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	if err := admit(ctx, "create", key); err != nil {
		return err
	}
	err := d.create(ctx, key, r)
	switch {
	case errors.Is(err, fs.ErrExist):
		return pathError("create", key, fs.ErrExist)
	case err != nil:
		return fmt.Errorf("create %s: %w", key, err)
	}
	return nil
}

func (d *Dir) create(ctx context.Context, key string, r io.Reader) error {
	p, err := d.enter(key)
	if err != nil {
		return err
	}
	defer p.dir.Close()
	if err := d.taken(key, p); err != nil { // spares writing a file for nothing
		return err
	}
	tmp, err := p.stage(ctx, r)
	if err != nil {
		return err
	}
	defer d.lock(key)()
	return p.link(tmp)
}

func (d *Dir) taken(key string, p place) error {
	defer d.lock(key)()
	return p.taken()
}

// Delete implements [Backend].
func (d *Dir) Delete(ctx context.Context, key string) error {
	if err := admit(ctx, "delete", key); err != nil {
		return err
	}
	if err := d.delete(key); err != nil && !missing(err) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

func (d *Dir) delete(key string) error {
	p, err := d.find(key)
	if err != nil {
		return err
	}
	defer p.dir.Close()
	defer d.lock(key)()
	fi, err := p.dir.Lstat(p.name)
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return nil
	}
	if err := p.discard(p.name); err != nil {
		return err
	}
	return p.flush()
}

// find opens the directory of key. The caller closes it.
func (d *Dir) find(key string) (place, error) {
	dir, err := d.root.OpenRoot(path.Dir(key))
	return place{dir, path.Base(key)}, err
}

// enter is find that makes the directory.
func (d *Dir) enter(key string) (p place, err error) {
	dir := path.Dir(key)
	for range 2 {
		if err = d.makeDir(dir); err == nil {
			p, err = d.find(key)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		d.forget(dir) // an administrator has removed it
	}
	return p, err
}

// makeDir creates dir and its missing parents, durably. A directory that is
// there already may have been made by someone who has not flushed its parent
// yet: each is flushed once by this Dir before it counts.
func (d *Dir) makeDir(dir string) error {
	d.mu.Lock()
	done := dir == "." || d.durable[dir]
	d.mu.Unlock()
	if done {
		return nil
	}
	parent := path.Dir(dir)
	if err := d.makeDir(parent); err != nil {
		return err
	}
	if err := d.root.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.flushOf(parent).share(func() error { return d.flushDir(parent) }); err != nil {
		return err
	}
	d.mu.Lock()
	d.durable[dir] = true
	d.mu.Unlock()
	return nil
}

// forget makes makeDir look at dir and its parents again.
func (d *Dir) forget(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; dir != "."; dir = path.Dir(dir) {
		delete(d.durable, dir)
	}
}

func (d *Dir) flushOf(dir string) *flushing {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.flushes[dir]
	if f == nil {
		f = new(flushing)
		d.flushes[dir] = f
	}
	return f
}

// lock locks the name of key and returns the function that unlocks it. Some
// keys share a lock.
func (d *Dir) lock(key string) func() {
	mu := &d.names[maphash.String(d.seed, key)%uint64(len(d.names))]
	mu.Lock()
	return mu.Unlock
}

func (d *Dir) flushDir(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return flush(f)
}

// copyStep is how many bytes are copied between two looks at the context.
const copyStep = 16 << 20

// copyAll copies r to w until its end. From file to file the kernel copies.
func copyAll(ctx context.Context, w io.Writer, r io.Reader) error {
	for {
		_, err := io.CopyN(w, r, copyStep)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err == io.EOF { // an error that wraps io.EOF is r's own, and no end
			return nil
		}
		if err != nil {
			return err
		}
	}
}
