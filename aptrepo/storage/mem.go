package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mem is a [Backend] and [Creator] that keeps its files in memory, for tests.
// They last as long as the process. The zero value is ready for use; it must
// not be copied after that.
type Mem struct {
	// Now is the clock for Info.ModTime. Nil means time.Now. Set it before use.
	Now func() time.Time

	mu    sync.RWMutex
	files map[string]memFile
}

// A memFile is never changed, only replaced: readers hold on to its data.
type memFile struct {
	data []byte
	mod  time.Time
}

func (f memFile) info(key string) Info { return Info{key, int64(len(f.data)), f.mod} }

type memReader struct{ *bytes.Reader }

func (memReader) Close() error { return nil }

// Open implements [Backend]. The reader can seek.
func (m *Mem) Open(ctx context.Context, key string) (io.ReadCloser, Info, error) {
	if err := admit(ctx, "open", key); err != nil {
		return nil, Info{}, err
	}
	m.mu.RLock()
	f, ok := m.files[key]
	m.mu.RUnlock()
	if !ok {
		return nil, Info{}, pathError("open", key, fs.ErrNotExist)
	}
	return memReader{bytes.NewReader(f.data)}, f.info(key), nil
}

// Put implements [Backend].
func (m *Mem) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	return m.store(ctx, "put", key, r, true)
}

// Create implements [Creator].
func (m *Mem) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	return m.store(ctx, "create", key, r, false)
}

func (m *Mem) store(ctx context.Context, op, key string, r io.Reader, replace bool) error {
	if err := admit(ctx, op, key); err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := copyAll(ctx, &buf, r); err != nil {
		return fmt.Errorf("%s %s: %w", op, key, err)
	}
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	f := memFile{buf.Bytes(), now()}

	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.files[key]; ok && !replace {
		return pathError(op, key, fs.ErrExist)
	}
	if m.files == nil {
		m.files = make(map[string]memFile)
	}
	m.files[key] = f
	return nil
}

// Delete implements [Backend].
func (m *Mem) Delete(ctx context.Context, key string) error {
	if err := admit(ctx, "delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, key)
	return nil
}

// List implements [Backend]. It yields the files there were when the loop
// began.
func (m *Mem) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for _, info := range m.infos(prefix) {
			if err := ctx.Err(); err != nil {
				yield(Info{}, pathError("list", prefix, err))
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// infos describes the files whose keys start with prefix, in key order.
func (m *Mem) infos(prefix string) []Info {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var infos []Info
	for key, f := range m.files {
		if strings.HasPrefix(key, prefix) {
			infos = append(infos, f.info(key))
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Key, b.Key) })
	return infos
}
