package aptrepo

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/index"
)

// A snapshot is one generation of a distribution, complete: readers are
// served from it without locks and without the Store. It never changes.
type snapshot struct {
	gen    Generation
	shared bool                  // an earlier generation has the same Date
	heads  map[string]indexFile  // Release, Release.gpg, InRelease
	logs   map[string]*index.Log // by directory: "main/binary-amd64"
	files  map[string]indexFile  // what Release lists, by path below dists/CODENAME/
	byHash map[string]indexFile  // the same by directory + "/" + SHA-256

	histories map[string]index.History // by directory
}

// An indexFile is one file that a Release lists: a form of a log, or literal
// data.
type indexFile struct {
	log   *index.Log
	ext   string // "", ".gz": which form of log
	data  []byte // when log is nil
	entry index.FileEntry
}

// A manifest is a snapshot as it lies in storage.
type manifest struct {
	Distribution string                   `json:"distribution"`
	Number       int64                    `json:"number"`
	AppliedSeq   int64                    `json:"applied_seq"`
	Date         time.Time                `json:"date"`
	Shared       bool                     `json:"shared_date"`
	Release      string                   `json:"release"`
	InRelease    string                   `json:"in_release"`
	ReleaseGPG   string                   `json:"release_gpg"`
	Static       map[string]string        `json:"static"`
	Logs         map[string][]byte        `json:"logs"`
	Histories    map[string]index.History `json:"histories"`
}

// blobs keeps a distribution's chunks in storage.
type blobs struct {
	storage  storage.Backend
	codename string
}

func (b blobs) key(id string) string {
	return path.Join("index", b.codename, "blobs", id[:2], id)
}

func (b blobs) PutBlob(ctx context.Context, id string, data []byte) error {
	return storageError(b.storage.Put(ctx, b.key(id), bytes.NewReader(data)))
}

func (b blobs) GetBlob(ctx context.Context, id string) ([]byte, error) {
	if len(id) != 64 {
		return nil, fmt.Errorf("blob %q: %w", id, fs.ErrInvalid)
	}
	return readAll(ctx, b.storage, b.key(id))
}

func readAll(ctx context.Context, b storage.Backend, key string) ([]byte, error) {
	r, info, err := b.Open(ctx, key)
	if err != nil {
		return nil, storageError(err)
	}
	defer r.Close()
	data := make([]byte, info.Size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, storageError(err))
	}
	return data, nil
}

// storageError tells a storage that is full or out of reach from one that
// answered.
func storageError(err error) error {
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist),
		errors.Is(err, fs.ErrInvalid), errors.Is(err, context.Canceled):
		return err
	case storage.IsFull(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// indexDir is the directory of a component's Packages below dists/CODENAME/.
func indexDir(component, arch string) string { return component + "/binary-" + arch }

// setHeads fills in heads.
func (s *snapshot) setHeads(release, detached, signed []byte) {
	s.heads = make(map[string]indexFile)
	for name, data := range map[string][]byte{"Release": release, "Release.gpg": detached, "InRelease": signed} {
		s.heads[name] = indexFile{data: data, entry: entryOf(name, data)}
	}
}

// list fills in files and byHash.
func (s *snapshot) list(static map[string]string) {
	s.files = make(map[string]indexFile)
	s.byHash = make(map[string]indexFile)
	for dir, log := range s.logs {
		for _, e := range log.Files(dir + "/Packages") {
			s.add(dir, indexFile{log: log, ext: path.Ext(e.Path), entry: e})
		}
	}
	for name, text := range static {
		e := entryOf(name, []byte(text))
		s.add(path.Dir(name), indexFile{data: []byte(text), entry: e})
	}
}

func (s *snapshot) add(dir string, f indexFile) {
	s.files[f.entry.Path] = f
	s.byHash[dir+"/"+f.entry.SHA256] = f
}

// entries returns the files in the order of their paths.
func (s *snapshot) entries() []index.FileEntry {
	var list []index.FileEntry
	for _, f := range s.files {
		list = append(list, f.entry)
	}
	slices.SortFunc(list, func(a, b index.FileEntry) int { return strings.Compare(a.Path, b.Path) })
	return list
}

func (s *snapshot) static() map[string]string {
	m := make(map[string]string)
	for name, f := range s.files {
		if f.log == nil {
			m[name] = string(f.data)
		}
	}
	return m
}

// store writes what is not yet in storage and returns the key of the
// manifest.
func (s *snapshot) store(ctx context.Context, b blobs) (string, error) {
	m := manifest{
		Distribution: s.gen.Distribution, Number: s.gen.Number, AppliedSeq: s.gen.AppliedSeq,
		Date: s.gen.Date, Shared: s.shared,
		Release:    string(s.heads["Release"].data),
		ReleaseGPG: string(s.heads["Release.gpg"].data),
		InRelease:  string(s.heads["InRelease"].data),
		Static:     s.static(),
		Histories:  s.histories,
		Logs:       make(map[string][]byte),
	}
	for dir, log := range s.logs {
		m.Logs[dir] = log.State()
	}
	data, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	key := fmt.Sprintf("%s%012d-%.16s.json", generationsOf(s.gen.Distribution), s.gen.Number, entryOf("", data).SHA256)
	return key, storageError(b.storage.Put(ctx, key, bytes.NewReader(data)))
}

// loadSnapshot reads a generation from storage.
func loadSnapshot(ctx context.Context, b blobs, g Generation) (*snapshot, error) {
	data, err := readAll(ctx, b.storage, g.Manifest)
	if err != nil {
		return nil, fmt.Errorf("generation %d of %s: %w", g.Number, g.Distribution, err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("generation %d of %s: %w", g.Number, g.Distribution, err)
	}
	s := &snapshot{gen: g, shared: m.Shared, logs: make(map[string]*index.Log), histories: m.Histories}
	s.setHeads([]byte(m.Release), []byte(m.ReleaseGPG), []byte(m.InRelease))
	for dir, state := range m.Logs {
		if s.logs[dir], err = index.LoadLog(ctx, b, state); err != nil {
			return nil, fmt.Errorf("generation %d of %s, %s: %w", g.Number, g.Distribution, dir, err)
		}
	}
	s.list(m.Static)
	return s, nil
}

// open returns a file by its path below dists/CODENAME/.
func (s *snapshot) open(ctx context.Context, b blobs, name string) (*File, error) {
	f, ok := s.heads[name]
	if !ok {
		f, ok = s.files[name]
	}
	if !ok {
		return nil, notExist(name)
	}
	return f.open(ctx, b, s, false)
}

// openByHash returns a file by directory and SHA-256, or one like it from another
// directory: the Store finds generations by hash alone, and not always the one in
// which the file was in this directory.
func (s *snapshot) openByHash(ctx context.Context, b blobs, dir, hash string) (*File, error) {
	f, ok := s.byHash[dir+"/"+hash]
	if !ok {
		f, ok = s.content(hash)
	}
	if !ok {
		return nil, notExist(hash)
	}
	return f.open(ctx, b, s, true)
}

// content returns a file by SHA-256.
func (s *snapshot) content(hash string) (indexFile, bool) {
	for _, f := range s.files {
		if f.entry.SHA256 == hash {
			return f, true
		}
	}
	return indexFile{}, false
}

func (f indexFile) open(ctx context.Context, b blobs, s *snapshot, immutable bool) (*File, error) {
	out := &File{
		Size:      f.entry.Size,
		ModTime:   s.gen.Date.UTC().Truncate(time.Second),
		ETag:      `"` + f.entry.SHA256[:32] + `"`,
		Immutable: immutable,
		Exact:     !s.shared || immutable,
	}
	if f.log == nil {
		out.ReadSeekCloser = memFile{bytes.NewReader(f.data)}
		return out, nil
	}
	var err error
	out.ReadSeekCloser, err = f.log.Open(ctx, b, f.ext)
	return out, err
}

type memFile struct{ *bytes.Reader }

func (memFile) Close() error { return nil }

// entryOf describes literal data as a Release lists it.
func entryOf(name string, data []byte) index.FileEntry {
	sum := sha256.Sum256(data)
	weak := md5.Sum(data)
	return index.FileEntry{
		Path: name, Size: int64(len(data)),
		SHA256: hex.EncodeToString(sum[:]), MD5: hex.EncodeToString(weak[:]),
	}
}

func notExist(name string) error {
	return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
