package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage"
)

// Options say what a backup is to be.
type Options struct {
	Program string // version, for the header
	NoFiles bool   // only the database
	// TempDir is where the list of files is kept meanwhile, about 200 bytes for
	// each; by default that of the system.
	TempDir string
	// Progress, when set, is told how many files are done, of how many, and how
	// many bytes they have.
	Progress func(done, total, bytes int64)
}

// A Target takes the entries of a backup: [Tar] or [Dir].
type Target interface {
	// add writes an entry of size bytes. sum is the SHA-256 of what r will give,
	// or "" where that is not known; the SHA-256 of what was written is returned.
	// Only errors of the target end a backup: one of r does not, if the target has
	// got over it, and is returned as a *sourceError.
	add(ctx context.Context, name string, size int64, sum string, r io.Reader) (string, error)
	// finish makes the backup whole and durable.
	finish() error
}

// A sourceError says that what was to be written could not be read.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// A writer makes one backup.
type writer struct {
	repo     *aptrepo.Repo
	db       *sqlstore.DB
	options  Options
	target   Target
	manifest Manifest
	total    int64 // files that there will be, about

	sums    bytes.Buffer // of the last entries
	listed  int          // entries in sums
	lists   int
	allSums hash.Hash
}

// Write makes a backup of a repository whose Store is db. The repository may be in
// use, by other processes too. What it returns is also in the backup: that there
// are faults in it does not make Write fail.
func Write(ctx context.Context, repo *aptrepo.Repo, db *sqlstore.DB, target Target, o Options) (Manifest, error) {
	w := &writer{repo: repo, db: db, options: o, target: target, allSums: sha256.New()}
	w.manifest = Manifest{ID: rand.Text(), Generations: map[string]int64{}, Faults: []string{}}
	files, err := newSpool(o.TempDir)
	if err != nil {
		return w.manifest, err
	}
	defer files.close()
	generations, anchor, err := w.database(ctx, files)
	if err != nil {
		return w.manifest, err
	}
	if !o.NoFiles {
		if err := w.files(ctx, files, generations, anchor); err != nil {
			return w.manifest, err
		}
	}
	return w.manifest, w.end(ctx)
}

// database writes the header and the tables, and notes which files they name.
func (w *writer) database(ctx context.Context, files *spool) ([]aptrepo.Generation, aptrepo.AuditHead, error) {
	s, err := w.db.Snapshot(ctx)
	if err != nil {
		return nil, aptrepo.AuditHead{}, err
	}
	defer s.Close()
	tables, err := s.Tables()
	if err != nil {
		return nil, aptrepo.AuditHead{}, err
	}
	if err := w.header(ctx, s.Schema()); err != nil {
		return nil, aptrepo.AuditHead{}, err
	}
	for i, t := range tables {
		if err := w.table(ctx, s, i+1, t); err != nil {
			return nil, aptrepo.AuditHead{}, err
		}
	}
	for f, err := range s.Files() {
		if err == nil {
			err = files.add(f)
		}
		if err != nil {
			return nil, aptrepo.AuditHead{}, err
		}
	}
	w.total = files.n
	generations, err := s.Generations()
	if err != nil {
		return nil, aptrepo.AuditHead{}, err
	}
	for _, g := range generations {
		w.manifest.Generations[g.Distribution] = g.Number
	}
	anchor, err := s.AuditAnchor()
	return generations, anchor, err
}

func (w *writer) header(ctx context.Context, schema int) error {
	h := Header{
		Format: format, ID: w.manifest.ID, CreatedAt: time.Now().UTC().Truncate(time.Second), Program: w.options.Program,
		Schema: schema, Database: w.db.Dialect().String(), Files: !w.options.NoFiles,
		KeyCheck: keyCheck(w.repo.SecretKey, w.manifest.ID),
	}
	return w.addJSON(ctx, headerName, h)
}

// table writes the rows of a table in pieces, each of which begins with a line
// that describes the table.
func (w *writer) table(ctx context.Context, s *sqlstore.Snapshot, number int, t sqlstore.Table) error {
	description, err := json.Marshal(t)
	if err != nil {
		return err
	}
	w.manifest.Tables++
	piece := bytes.NewBuffer(append(description, '\n'))
	pieces := 0
	flush := func() error {
		pieces++
		name := fmt.Sprintf("%s%03d-%s/%06d.jsonl", databaseDir, number, t.Name, pieces)
		err := w.addData(ctx, name, piece.Bytes())
		piece.Truncate(len(description) + 1)
		return err
	}
	for row, err := range s.Rows(t) {
		if err != nil {
			return err
		}
		w.manifest.Rows++
		piece.Write(row)
		piece.WriteByte('\n')
		if piece.Len() >= pieceSize {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if pieces > 0 && piece.Len() == len(description)+1 {
		return nil
	}
	return flush()
}

// files writes what the tables name.
func (w *writer) files(ctx context.Context, named *spool, generations []aptrepo.Generation, anchor aptrepo.AuditHead) error {
	done := make(map[string]bool) // two distributions never share a chunk, but two indexes may
	for _, g := range generations {
		keys, err := w.repo.GenerationFiles(ctx, g)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, aptrepo.ErrUnavailable) {
				return err
			}
			w.fault(&w.manifest.Missing, g.Manifest, err)
			continue
		}
		for _, key := range keys {
			sum := path.Base(key)
			if key == g.Manifest {
				sum = ""
			}
			if done[key] {
				continue
			}
			done[key] = true
			if err := w.file(ctx, sqlstore.StoredFile{Key: key, SHA256: sum, Needed: true}); err != nil {
				return err
			}
		}
	}
	archive, err := w.repo.AuditFiles(ctx, anchor)
	if err != nil {
		return err
	}
	for _, key := range archive {
		if err := w.file(ctx, sqlstore.StoredFile{Key: key, Needed: true}); err != nil {
			return err
		}
	}
	for f, err := range named.each() {
		if err != nil {
			return err
		}
		if err := w.file(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// file writes one file. A fault of the file is noted; only what makes the backup
// impossible is an error.
func (w *writer) file(ctx context.Context, f sqlstore.StoredFile) error {
	body, info, err := w.open(ctx, f)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if f.Needed {
			w.fault(&w.manifest.Missing, f.Key, errors.New("lost"))
		}
		return nil
	case err != nil:
		return fmt.Errorf("reading %s: %w", f.Key, err)
	}
	defer body.Close()
	sum, err := w.add(ctx, filesDir+f.Key, info.Size, f.SHA256, body)
	var source *sourceError
	if errors.As(err, &source) && ctx.Err() == nil {
		w.fault(&w.manifest.Damaged, f.Key, source.err)
		err = nil
	} else if err == nil && f.SHA256 != "" && sum != f.SHA256 {
		w.fault(&w.manifest.Damaged, f.Key, errors.New("it has other contents than it should"))
	}
	if err != nil {
		return err
	}
	w.manifest.Files++
	w.manifest.Bytes += info.Size
	if w.options.Progress != nil {
		w.options.Progress(w.manifest.Files, max(w.total, w.manifest.Files), w.manifest.Bytes)
	}
	return nil
}

// open opens a file where the snapshot has it or, when it has moved since, where
// it is now.
func (w *writer) open(ctx context.Context, f sqlstore.StoredFile) (io.ReadCloser, storage.Info, error) {
	body, info, err := w.repo.Storage.Open(ctx, f.Key)
	for try := 0; errors.Is(err, fs.ErrNotExist) && f.Artifact != (aptrepo.Key{}) && try < 3; try++ {
		now, missing := w.db.Artifact(ctx, f.Artifact)
		if missing != nil || now.SHA256 != f.SHA256 {
			break
		}
		body, info, err = w.repo.Storage.Open(ctx, now.Filename)
	}
	return body, info, err
}

func (w *writer) fault(count *int64, key string, err error) {
	if *count++; len(w.manifest.Faults) < maxNamed {
		w.manifest.Faults = append(w.manifest.Faults, key+": "+err.Error())
	}
}

func (w *writer) addJSON(ctx context.Context, name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return w.addData(ctx, name, append(data, '\n'))
}

func (w *writer) addData(ctx context.Context, name string, data []byte) error {
	_, err := w.add(ctx, name, int64(len(data)), "", bytes.NewReader(data))
	return err
}

// add writes an entry and notes its sum, also where its source has failed.
func (w *writer) add(ctx context.Context, name string, size int64, sum string, r io.Reader) (string, error) {
	sum, err := w.target.add(ctx, name, size, sum, r)
	var source *sourceError
	if err != nil && !errors.As(err, &source) {
		return "", fmt.Errorf("writing the backup: %w", err)
	}
	w.sums.WriteString(sumLine(sum, size, name))
	w.manifest.Entries++
	if w.listed++; w.listed < entriesPerSums {
		return sum, err
	}
	return sum, errors.Join(err, w.flushSums(ctx))
}

// flushSums writes the sums of the entries since the last such list.
func (w *writer) flushSums(ctx context.Context) error {
	if w.listed == 0 {
		return nil
	}
	w.lists++
	w.allSums.Write(w.sums.Bytes())
	list := slices.Clone(w.sums.Bytes())
	w.sums.Reset()
	w.listed = 0
	_, err := w.target.add(ctx, fmt.Sprintf("%s%06d", sumsDir, w.lists), int64(len(list)), "", bytes.NewReader(list))
	return err
}

// end writes the manifest.
func (w *writer) end(ctx context.Context) error {
	if err := w.flushSums(ctx); err != nil {
		return err
	}
	w.manifest.Sums = hex.EncodeToString(w.allSums.Sum(nil))
	data, err := json.MarshalIndent(w.manifest, "", "  ")
	if err != nil {
		return err
	}
	if _, err := w.target.add(ctx, manifestName, int64(len(data)), "", bytes.NewReader(data)); err != nil {
		return err
	}
	return w.target.finish()
}
