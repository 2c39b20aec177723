package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Names in the folder of a Dir.
const (
	blobsDir   = "blobs"
	backupsDir = "backups"
	unfinished = ".unfinished-"
)

// A Dir is a backup in a folder that may hold many. Each has a folder of its own
// below backups/, named by its time, and they share the files, which lie below
// blobs/ by their SHA-256: a further backup copies only what is new. One that was
// not finished has another name and is removed by the next.
type Dir struct {
	root    string
	work    string // folder of this backup
	at      time.Time
	folders map[string]bool // made, and to be synced
	lock    *os.File
}

var errBusy = errors.New("another backup into this folder goes on")

// OpenDir begins a backup in a folder, which is created with mode 0700.
func OpenDir(root string) (*Dir, error) {
	d := &Dir{root: root, at: time.Now().UTC(), folders: make(map[string]bool)}
	for _, dir := range []string{root, filepath.Join(root, blobsDir), filepath.Join(root, backupsDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		d.folders[dir] = true
	}
	var err error
	if d.lock, err = os.OpenFile(filepath.Join(root, ".lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err = lock(d.lock); err == nil {
		err = d.clean()
	}
	if err == nil {
		d.work, err = os.MkdirTemp(filepath.Join(root, backupsDir), unfinished+"*")
	}
	if err != nil {
		return nil, errors.Join(err, d.lock.Close())
	}
	d.folders[d.work] = true
	return d, nil
}

// clean removes what earlier backups have not finished.
func (d *Dir) clean() error {
	for _, pattern := range []string{
		filepath.Join(d.root, backupsDir, unfinished+"*"), filepath.Join(d.root, blobsDir, unfinished+"*"),
	} {
		old, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range old {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close removes a backup that was not finished, and lets others begin.
func (d *Dir) Close() error {
	var err error
	if strings.HasPrefix(filepath.Base(d.work), unfinished) {
		err = os.RemoveAll(d.work)
	}
	return errors.Join(err, d.lock.Close())
}

func (d *Dir) add(ctx context.Context, name string, size int64, sum string, r io.Reader) (string, error) {
	if !strings.HasPrefix(name, filesDir) {
		return d.write(ctx, filepath.Join(d.work, filepath.FromSlash(name)), size, r)
	}
	if sum != "" {
		if info, err := os.Lstat(d.blob(sum)); err == nil && info.Mode().IsRegular() && info.Size() == size {
			return sum, nil // an earlier backup has it
		}
	}
	return d.addBlob(ctx, size, r)
}

func (d *Dir) blob(sum string) string { return filepath.Join(d.root, blobsDir, sum[:2], sum) }

// addBlob writes a file and names it by its sum.
func (d *Dir) addBlob(ctx context.Context, size int64, r io.Reader) (string, error) {
	temp := filepath.Join(d.root, blobsDir, unfinished+"file")
	sum, err := d.write(ctx, temp, size, r)
	if err != nil {
		var source *sourceError
		if !errors.As(err, &source) {
			return "", err
		}
	}
	to := d.blob(sum)
	if made := d.mkdir(filepath.Dir(to)); made != nil {
		return "", made
	}
	if renamed := os.Rename(temp, to); renamed != nil {
		return "", renamed
	}
	return sum, err
}

// write makes a file, durable but for its name. Where the source ends early or
// fails, zeros take its place, as in a tar.
func (d *Dir) write(ctx context.Context, path string, size int64, r io.Reader) (sum string, err error) {
	if err := d.mkdir(filepath.Dir(path)); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	source := &failing{Reader: contextReader{ctx, r}}
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(source, size))
	if err != nil && source.err == nil || ctx.Err() != nil {
		return "", errors.Join(err, ctx.Err(), f.Close())
	}
	var cause error
	if n < size {
		cause = &sourceError{errors.Join(fmt.Errorf("only %d of %d bytes could be read", n, size), source.err)}
		if _, err := io.CopyN(io.MultiWriter(f, h), zeros{}, size-n); err != nil {
			return "", errors.Join(err, f.Close())
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), cause
}

func (d *Dir) mkdir(dir string) error {
	if d.folders[dir] {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for ; !d.folders[dir]; dir = filepath.Dir(dir) {
		d.folders[dir] = true
	}
	return nil
}

// finish syncs the folders, gives the backup its name and syncs that.
func (d *Dir) finish() error {
	for dir := range d.folders {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	parent := filepath.Join(d.root, backupsDir)
	name := filepath.Join(parent, d.at.Format("20060102T150405.000Z"))
	if err := os.Rename(d.work, name); err != nil {
		return err
	}
	d.work = name
	return syncDir(parent)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// list returns the folders of the finished backups, the oldest first.
func list(root string) (folders []string, err error) {
	entries, err := os.ReadDir(filepath.Join(root, backupsDir))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), unfinished) {
			folders = append(folders, filepath.Join(root, backupsDir, e.Name()))
		}
	}
	slices.Sort(folders)
	return folders, nil
}

// Prune removes all but the newest backups of a folder, and the files that only
// those had. It returns how many backups it removed.
func Prune(root string, keep int) (removed int, err error) {
	folders, err := list(root)
	if err != nil || len(folders) <= keep || keep < 1 {
		return 0, err
	}
	old := folders[:len(folders)-keep]
	for _, folder := range old {
		if err := os.RemoveAll(folder); err != nil {
			return 0, err
		}
	}
	used := make(map[string]bool)
	for _, folder := range folders[len(old):] {
		if err := eachListed(folder, func(sum, name string, _ int64) { used[sum] = used[sum] || strings.HasPrefix(name, filesDir) }); err != nil {
			return 0, err
		}
	}
	return len(old), filepath.WalkDir(filepath.Join(root, blobsDir), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || used[e.Name()] {
			return err
		}
		return os.Remove(path)
	})
}

// eachListed calls f for each entry of a backup that its sums name.
func eachListed(folder string, f func(sum, name string, size int64)) error {
	lists, err := filepath.Glob(filepath.Join(folder, sumsDir, "*"))
	if err != nil {
		return err
	}
	for _, path := range lists {
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(in)
		for lines.Scan() {
			sum, size, name, err := parseSum(lines.Text())
			if err != nil {
				return errors.Join(err, in.Close())
			}
			f(sum, name, size)
		}
		if err := errors.Join(lines.Err(), in.Close()); err != nil {
			return err
		}
	}
	return nil
}

// A dirSource reads what Dir has written, in the order of the lists of sums.
type dirSource struct {
	root, folder string
	lists        []string // to come
	list         string   // whose entries are read
	lines        *bufio.Scanner
	in           *os.File
	open         *os.File // the last entry
	ended        bool
}

// newDirSource reads the newest backup of a folder, or the one whose own folder
// it is given.
func newDirSource(path string) (*dirSource, error) {
	s := &dirSource{root: path}
	if _, err := os.Stat(filepath.Join(path, headerName)); err == nil {
		s.root, s.folder = filepath.Dir(filepath.Dir(filepath.Clean(path))), path
	} else {
		folders, err := list(path)
		if err != nil {
			return nil, fmt.Errorf("%s holds no backup: %w", path, err)
		}
		if len(folders) == 0 {
			return nil, fmt.Errorf("%s holds no finished backup", path)
		}
		s.folder = folders[len(folders)-1]
	}
	var err error
	s.lists, err = filepath.Glob(filepath.Join(s.folder, sumsDir, "*"))
	return s, err
}

func (s *dirSource) next() (entry, error) {
	if s.open != nil {
		_ = s.open.Close()
		s.open = nil
	}
	for s.lines == nil {
		if len(s.lists) == 0 {
			if s.ended {
				return entry{}, io.EOF
			}
			s.ended = true
			return s.entry(manifestName, filepath.Join(s.folder, manifestName))
		}
		in, err := os.Open(s.lists[0])
		if err != nil {
			return entry{}, err
		}
		s.list, s.lists, s.in, s.lines = s.lists[0], s.lists[1:], in, bufio.NewScanner(in)
	}
	if !s.lines.Scan() {
		err := errors.Join(s.lines.Err(), s.in.Close())
		s.lines, s.in = nil, nil
		if err != nil {
			return entry{}, err
		}
		return s.entry(sumsDir+filepath.Base(s.list), s.list)
	}
	sum, _, name, err := parseSum(s.lines.Text())
	if err != nil {
		return entry{}, err
	}
	if strings.HasPrefix(name, filesDir) {
		return s.entry(name, filepath.Join(s.root, blobsDir, sum[:2], sum))
	}
	if !fs.ValidPath(name) {
		return entry{}, fmt.Errorf("%w: it names %.100q", ErrDamaged, name)
	}
	return s.entry(name, filepath.Join(s.folder, filepath.FromSlash(name)))
}

func (s *dirSource) entry(name, path string) (entry, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return entry{}, fmt.Errorf("%w: %s is missing", ErrDamaged, path)
	}
	if err != nil {
		return entry{}, err
	}
	s.open = f
	info, err := f.Stat()
	if err != nil {
		return entry{}, err
	}
	return entry{name: name, size: info.Size(), body: f}, nil
}

func (s *dirSource) close() error {
	if s.in != nil {
		_ = s.in.Close()
	}
	if s.open != nil {
		_ = s.open.Close()
	}
	return nil
}
