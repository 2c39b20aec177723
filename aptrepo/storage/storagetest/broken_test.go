package storagetest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
)

// Backends that break one promise each. They hold the interface so that the
// rest works, and hide that the Mem in it is a Creator unless they say so.

type wrongSize struct{ storage.Backend }

func (b wrongSize) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	r, info, err := b.Backend.Open(ctx, key)
	info.Size /= 2
	return r, info, err
}

type noListTimes struct{ storage.Backend }

func (b noListTimes) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		for info, err := range b.Backend.List(ctx, prefix) {
			info.ModTime = time.Time{}
			if !yield(info, err) {
				return
			}
		}
	}
}

type rewinding struct{ storage.Backend }

func (b rewinding) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return b.Backend.Put(ctx, key, r)
}

type plainErrors struct{ storage.Backend }

func (b plainErrors) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	r, info, err := b.Backend.Open(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("no such key")
	}
	return r, info, err
}

// sloppyKeys cleans keys where it should refuse them.
type sloppyKeys struct{ storage.Backend }

func (b sloppyKeys) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	return b.Backend.Put(ctx, path.Clean("/" + key)[1:], r)
}

type strictNames struct{ storage.Backend }

func (b strictNames) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	if storage.ValidKey(key) && strings.ContainsAny(key, "+~:") {
		return errors.New("invalid path")
	}
	return b.Backend.Put(ctx, key, r)
}

type foldingCase struct{ storage.Backend }

func (b foldingCase) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	if key == "Release" {
		key = strings.ToLower(key)
	}
	return b.Backend.Put(ctx, key, r)
}

func (b foldingCase) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	if key == "Release" {
		key = strings.ToLower(key)
	}
	return b.Backend.Open(ctx, key)
}

// sharedReader opens each file once.
type sharedReader struct {
	storage.Backend
	mu   sync.Mutex
	open map[string]io.ReadCloser
}

// A lockedReader can be read by many, each of whom gets a part.
type lockedReader struct {
	mu sync.Mutex
	io.ReadCloser
}

func (r *lockedReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ReadCloser.Read(p)
}

func (b *sharedReader) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	r, info, err := b.Backend.Open(ctx, key)
	if err != nil {
		return r, info, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[key] == nil {
		b.open[key] = &lockedReader{ReadCloser: r}
	}
	return b.open[key], info, err
}

type wrongSeek struct{ storage.Backend }

func (b wrongSeek) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	r, info, err := b.Backend.Open(ctx, key)
	if err != nil {
		return r, info, err
	}
	return wrongSeeker{r}, info, nil
}

type wrongSeeker struct{ io.ReadCloser }

func (s wrongSeeker) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return 0, errors.New("the size is not known")
	}
	return s.ReadCloser.(io.Seeker).Seek(offset, whence)
}

type strictDelete struct{ storage.Backend }

func (b strictDelete) Delete(ctx context.Context, key string) error {
	r, _, err := b.Open(ctx, key)
	if err != nil {
		return err
	}
	r.Close()
	return b.Backend.Delete(ctx, key)
}

// deletesTree takes a key for a directory.
type deletesTree struct{ storage.Backend }

func (b deletesTree) Delete(ctx context.Context, key string) error {
	for info, err := range b.Backend.List(ctx, key+"/") {
		if err != nil {
			return err
		}
		if err := b.Backend.Delete(ctx, info.Key); err != nil {
			return err
		}
	}
	return b.Backend.Delete(ctx, key)
}

type deafToCancel struct{ storage.Backend }

func (b deafToCancel) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	return b.Backend.Open(context.WithoutCancel(ctx), key)
}

func (b deafToCancel) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	return b.Backend.Put(context.WithoutCancel(ctx), key, r)
}

func (b deafToCancel) Delete(ctx context.Context, key string) error {
	return b.Backend.Delete(context.WithoutCancel(ctx), key)
}

func (b deafToCancel) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return b.Backend.List(context.WithoutCancel(ctx), prefix)
}

type noDotFiles struct{ storage.Backend }

func (b noDotFiles) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	if strings.HasPrefix(key, storage.CheckPrefix) {
		return errors.New("access denied")
	}
	return b.Backend.Put(ctx, key, r)
}

type keepsFirst struct{ storage.Backend }

func (b keepsFirst) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	err := storage.Create(ctx, b.Backend, key, r)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// takesErrorForEnd copies like a loop that asks errors.Is(err, io.EOF).
type takesErrorForEnd struct{ storage.Backend }

func (b takesErrorForEnd) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	return b.Backend.Put(ctx, key, forgivingReader{r})
}

type forgivingReader struct{ io.ReadSeeker }

func (r forgivingReader) Read(p []byte) (int, error) {
	n, err := r.ReadSeeker.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.EOF
	}
	return n, err
}

// torn puts a part first.
type torn struct{ storage.Backend }

func (b torn) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	if err := b.Backend.Put(ctx, key, r); err != nil {
		return err
	}
	body, _, err := get(ctx, b.Backend, key)
	if err != nil || len(body) < 32<<10 {
		return err
	}
	if err := put(ctx, b.Backend, key, body[:len(body)/2]); err != nil {
		return err
	}
	time.Sleep(time.Millisecond)
	return put(ctx, b.Backend, key, body)
}

// oneWriter refuses to write two things at once.
type oneWriter struct {
	storage.Backend
	writing atomic.Int32
}

func (b *oneWriter) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	defer b.writing.Add(-1)
	if b.writing.Add(1) > 1 {
		return errors.New("database is locked")
	}
	time.Sleep(time.Millisecond)
	return b.Backend.Put(ctx, key, r)
}

// lateReader reads a file when it is first read from.
type lateReader struct{ storage.Backend }

func (b lateReader) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	r, info, err := b.Backend.Open(ctx, key)
	if err != nil {
		return r, info, err
	}
	r.Close()
	return &late{open: func() (io.ReadCloser, error) {
		r, _, err := b.Backend.Open(ctx, key)
		return r, err
	}}, info, nil
}

type late struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
}

func (l *late) Read(p []byte) (n int, err error) {
	if l.r == nil {
		if l.r, err = l.open(); err != nil {
			return 0, err
		}
	}
	return l.r.Read(p)
}

func (l *late) Close() error { return nil }

// walkOrder lists as fs.WalkDir walks: "a/b" before "a-b".
type walkOrder struct{ storage.Backend }

func (b walkOrder) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return listed(ctx, b.Backend, prefix, func(all []storage.Info) {
		slices.SortFunc(all, func(x, y storage.Info) int {
			return slices.Compare(strings.Split(x.Key, "/"), strings.Split(y.Key, "/"))
		})
	})
}

// wildcards asks a database with LIKE.
type wildcards struct{ storage.Backend }

func (b wildcards) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	like := regexp.MustCompile("^(?i)" + strings.NewReplacer("%", ".*", "_", ".").Replace(regexp.QuoteMeta(prefix)))
	return func(yield func(storage.Info, error) bool) {
		for info, err := range b.Backend.List(ctx, "") {
			if (err != nil || like.MatchString(info.Key)) && !yield(info, err) {
				return
			}
		}
	}
}

func listed(ctx context.Context, b storage.Backend, prefix string, change func([]storage.Info)) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		var all []storage.Info
		for info, err := range b.List(ctx, prefix) {
			if err != nil {
				yield(storage.Info{}, err)
				return
			}
			all = append(all, info)
		}
		change(all)
		for _, info := range all {
			if !yield(info, nil) {
				return
			}
		}
	}
}

type neverStops struct{ storage.Backend }

func (b neverStops) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		for info, err := range b.Backend.List(ctx, prefix) {
			yield(info, err)
		}
	}
}

// offsetPages lists ten files at a time and asks for the next from number n.
type offsetPages struct{ storage.Backend }

func (b offsetPages) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		for from := 0; ; from += 10 {
			n := 0
			for info, err := range b.Backend.List(ctx, prefix) {
				if n++; n <= from {
					continue
				}
				if n > from+10 {
					break
				}
				if !yield(info, err) || err != nil {
					return
				}
			}
			if n < from+10 {
				return
			}
		}
	}
}

// creator has a Create of its own.
type creator struct {
	storage.Backend
	create func(ctx context.Context, b storage.Backend, key string, r io.ReadSeeker) error
}

func (c creator) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	return c.create(ctx, c.Backend, key, r)
}

// createReserving takes the name first, with an empty file.
func createReserving(ctx context.Context, b storage.Backend, key string, r io.ReadSeeker) error {
	if err := storage.Create(ctx, b, key, strings.NewReader("")); err != nil {
		return err
	}
	return b.Put(ctx, key, r)
}

func createAfterLook(ctx context.Context, b storage.Backend, key string, r io.ReadSeeker) error {
	f, _, err := b.Open(ctx, key)
	if err == nil {
		f.Close()
		return fs.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	time.Sleep(time.Millisecond)
	return b.Put(ctx, key, r)
}

// createOnce never lets a name be used again.
func createOnce() func(context.Context, storage.Backend, string, io.ReadSeeker) error {
	used := new(storage.Mem)
	return func(ctx context.Context, b storage.Backend, key string, r io.ReadSeeker) error {
		if err := storage.Create(ctx, b, key, r); err != nil {
			return err
		}
		return used.Create(ctx, key, strings.NewReader(""))
	}
}

// naive writes files in place: what a first attempt looks like.
type naive struct{ dir string }

func (n naive) Open(_ context.Context, key string) (io.ReadCloser, storage.Info, error) {
	f, err := os.Open(filepath.Join(n.dir, key))
	if err != nil {
		return nil, storage.Info{}, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, storage.Info{}, err
	}
	return f, storage.Info{Key: key, Size: fi.Size(), ModTime: fi.ModTime()}, nil
}

func (n naive) Put(_ context.Context, key string, r io.ReadSeeker) error {
	p := filepath.Join(n.dir, filepath.Clean("/"+key))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	f, err := os.Create(p)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

func (n naive) Delete(_ context.Context, key string) error {
	return os.Remove(filepath.Join(n.dir, filepath.Clean("/"+key)))
}

func (n naive) List(_ context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		_ = fs.WalkDir(os.DirFS(n.dir), ".", func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasPrefix(p, prefix) && !yield(storage.Info{Key: p}, nil) {
				return fs.SkipAll
			}
			return nil
		})
	}
}

// plain hides that Mem is a Creator.
func plain() storage.Backend { return struct{ storage.Backend }{new(storage.Mem)} }
