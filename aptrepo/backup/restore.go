package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage"
)

const (
	// mark is the key of the file that lies in storage while a backup is restored.
	mark = "restore-unfinished"

	restorers = 8       // files that are put at once
	inMemory  = 1 << 20 // bytes of a file that is not kept on disk meanwhile
)

// A Destination is where a repository is made of a backup.
type Destination struct {
	// Database begins to fill an empty database: [sqlstore.Load] with the schema
	// of the backup. It is committed only when the whole backup was read and
	// everything in it was what had been written.
	Database func(ctx context.Context, schema int) (*sqlstore.Loading, error)
	// Files is an empty storage, or one in which an earlier try to restore the
	// same backup was broken off. nil: only the database is restored.
	Files    storage.Backend
	TempDir  string // for files on their way; by default that of the system
	Progress func(files, bytes int64)
}

// A Restored tells what became of a backup.
type Restored struct {
	Manifest Manifest
	Settled  sqlstore.Settled
	Files    int64 // put into storage, or found there
	Bytes    int64
}

// Restore makes a new repository of a backup, which it reads to its end. When it
// fails, the database is as empty as before, and files may be left in storage:
// the same backup may be tried again.
//
// What Restore has made is to be opened, and [aptrepo.Repo.Restored] called, before
// anybody uses it.
func (b *Backup) Restore(ctx context.Context, d Destination) (r Restored, err error) {
	if d.Files != nil && !b.Header.Files {
		return r, errors.New("the backup is of the database only: restore it beside the files, without files")
	}
	if d.Files != nil {
		if err := begin(ctx, d.Files, b.Header.ID); err != nil {
			return r, err
		}
	}
	loading, err := d.Database(ctx, b.Header.Schema)
	if err != nil {
		return r, err
	}
	defer loading.Close()
	work := &restoring{destination: d, loading: loading}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(restorers)
	work.group = group
	manifest, err := b.each(within, work)
	if waited := group.Wait(); waited != nil { // the cause of what stopped the others
		err = waited
	}
	if err != nil {
		return r, err
	}
	r = Restored{Manifest: manifest, Files: work.files, Bytes: work.bytes}
	if work.rows != manifest.Rows {
		return r, fmt.Errorf("%w: it has %d rows, and should have %d", ErrDamaged, work.rows, manifest.Rows)
	}
	if r.Settled, err = loading.Settle(); err != nil {
		return r, err
	}
	if err := loading.Commit(); err != nil {
		return r, err
	}
	if d.Files != nil {
		err = d.Files.Delete(ctx, mark)
	}
	return r, err
}

// begin makes sure that there is nothing in storage but what an earlier try has
// left, and marks it.
func begin(ctx context.Context, files storage.Backend, id string) error {
	body, _, err := files.Open(ctx, mark)
	if err == nil {
		text, err := io.ReadAll(io.LimitReader(body, 1024))
		if err = errors.Join(err, body.Close()); err != nil {
			return err
		}
		if string(text) == id {
			return nil
		}
		return fmt.Errorf("%w: the restore of another backup was broken off there", ErrNotEmpty)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for info, err := range files.List(ctx, "") {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(info.Key, storage.CheckPrefix) {
			return fmt.Errorf("%w: it has %s", ErrNotEmpty, info.Key)
		}
	}
	return files.Put(ctx, mark, strings.NewReader(id))
}

// Unfinished reports whether a restore into a storage was broken off. What is there
// is of no use then to anybody but the same restore.
func Unfinished(ctx context.Context, files storage.Backend) (bool, error) {
	body, _, err := files.Open(ctx, mark)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, body.Close()
}

// restoring takes the entries of a backup.
type restoring struct {
	destination Destination
	loading     *sqlstore.Loading
	table       []byte // line that described the last table
	rows        int64
	group       *errgroup.Group

	mu    sync.Mutex
	files int64
	bytes int64
}

// database takes a piece of a table.
func (r *restoring) database(data []byte) error {
	description, rest, ok := bytes.Cut(data, []byte("\n"))
	if !ok {
		return fmt.Errorf("%w: a piece of a table has no first line", ErrDamaged)
	}
	if !bytes.Equal(description, r.table) {
		var t sqlstore.Table
		if err := json.Unmarshal(description, &t); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err := r.loading.Table(t); err != nil {
			return err
		}
		r.table = bytes.Clone(description)
	}
	for line := range bytes.Lines(rest) {
		if err := r.loading.Row(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return err
		}
		r.rows++
	}
	return nil
}

// file reads a file and has it put into storage beside others. Its sum is
// compared later: a file that is not what it was makes the whole restore fail.
func (r *restoring) file(ctx context.Context, key string, size int64, body io.Reader) (string, error) {
	if !storage.ValidKey(key) || key == mark {
		return "", fmt.Errorf("%w: it has a file %.100q", ErrDamaged, key)
	}
	h := sha256.New()
	if r.destination.Files == nil {
		return sumOf(h.Sum, h, body, size)
	}
	held, err := r.hold(size)
	if err != nil {
		return "", err
	}
	sum, err := sumOf(h.Sum, io.MultiWriter(held, h), body, size)
	if err != nil {
		held.discard()
		return "", err
	}
	r.group.Go(func() error {
		defer held.discard()
		if err := r.put(ctx, key, sum, size, held); err != nil {
			return fmt.Errorf("restoring %s: %w", key, err)
		}
		return nil
	})
	return sum, nil
}

// sumOf copies a body of which the size is known, and returns its sum.
func sumOf(sum func([]byte) []byte, w io.Writer, body io.Reader, size int64) (string, error) {
	source := &failing{Reader: body}
	n, err := io.Copy(w, io.LimitReader(source, size))
	switch {
	case source.err != nil:
		return "", readError(source.err)
	case err != nil:
		return "", err
	case n < size:
		return "", ErrIncomplete
	}
	return hex.EncodeToString(sum(nil)), nil
}

func (r *restoring) put(ctx context.Context, key, sum string, size int64, held *held) error {
	there, err := same(ctx, r.destination.Files, key, sum, size)
	if err != nil {
		return err
	}
	if !there {
		body, err := held.reader()
		if err != nil {
			return err
		}
		if err := r.destination.Files.Put(ctx, key, body); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files++
	r.bytes += size
	if r.destination.Progress != nil {
		r.destination.Progress(r.files, r.bytes)
	}
	return nil
}

// same reports whether an earlier try has put the file already.
func same(ctx context.Context, files storage.Backend, key, sum string, size int64) (bool, error) {
	body, info, err := files.Open(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer body.Close()
	if info.Size != size {
		return false, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, body); err != nil {
		return false, err
	}
	return hex.EncodeToString(h.Sum(nil)) == sum, nil
}

// held is a file on its way: storage may read it more than once.
type held struct {
	memory *bytes.Buffer
	file   *os.File // in place of memory
}

func (r *restoring) hold(size int64) (*held, error) {
	if size <= inMemory {
		return &held{memory: bytes.NewBuffer(make([]byte, 0, size))}, nil
	}
	f, err := os.CreateTemp(r.destination.TempDir, "repod-restore-*")
	return &held{file: f}, err
}

func (h *held) Write(p []byte) (int, error) {
	if h.file != nil {
		return h.file.Write(p)
	}
	return h.memory.Write(p)
}

func (h *held) reader() (io.ReadSeeker, error) {
	if h.file == nil {
		return bytes.NewReader(h.memory.Bytes()), nil
	}
	_, err := h.file.Seek(0, io.SeekStart)
	return h.file, err
}

func (h *held) discard() {
	if h.file != nil {
		_ = h.file.Close()
		_ = os.Remove(h.file.Name())
	}
}
