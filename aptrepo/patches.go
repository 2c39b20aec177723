package aptrepo

import (
	"context"
	"path"
	"strings"
	"sync"

	"github.com/repod-io/repod/index"
)

// patchMark is part of the name of every patch: DIR/Packages.diff/T-...-F-....gz.
const patchMark = "/Packages.diff/T-"

// patchSet holds the patches of a snapshot: files that apt finds through
// Packages.diff/Index, and that no Release lists.
type patchSet struct {
	mu    sync.Mutex
	files map[string]indexFile // by path below dists/CODENAME/; nil: not made yet
}

// made returns the patches that have been made.
func (p *patchSet) made() map[string]indexFile {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.files
}

// makePatches renders the patches that lead to s, and returns their indexes,
// which its Release lists. Those of logs that prev has too are taken from it;
// prev may be nil.
func (s *snapshot) makePatches(ctx context.Context, b blobs, prev *snapshot) (indexes map[string]string, err error) {
	indexes = make(map[string]string)
	patches := make(map[string]indexFile)
	for dir, log := range s.logs {
		if prev != nil && prev.logs[dir] == log && prev.patches.made() != nil {
			prev.copyPatches(dir, patches, indexes)
			continue
		}
		files, err := s.histories[dir].Patches(ctx, b, log)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			name := dir + "/" + f.Name
			if strings.Contains(name, patchMark) {
				patches[name] = indexFile{data: f.Data, entry: entryOf(name, f.Data)}
			} else {
				indexes[name] = string(f.Data)
			}
		}
	}
	s.patches.mu.Lock()
	defer s.patches.mu.Unlock()
	s.patches.files = patches
	return indexes, nil
}

// copyPatches adds the patches of one directory, and their index.
func (s *snapshot) copyPatches(dir string, patches map[string]indexFile, indexes map[string]string) {
	for name, f := range s.patches.made() {
		if strings.HasPrefix(name, dir+patchMark) {
			patches[name] = f
		}
	}
	if f, ok := s.files[dir+"/Packages.diff/Index"]; ok {
		indexes[f.entry.Path] = string(f.data)
	}
}

// patch returns a patch by its path below dists/CODENAME/. A snapshot that was
// read from storage makes its patches when the first is asked for.
func (s *snapshot) patch(ctx context.Context, b blobs, name string) (indexFile, bool) {
	files := s.patches.made()
	if files == nil {
		if _, err := s.makePatches(ctx, b, nil); err != nil {
			return indexFile{}, false // apt fetches the whole index
		}
		files = s.patches.made()
	}
	f, ok := files[name]
	return f, ok
}

// advanceHistories sets the histories of next, which follows cur.
func advanceHistories(cur, next *snapshot) {
	next.histories = make(map[string]index.History)
	for dir, log := range next.logs {
		next.histories[dir] = cur.histories[dir].Advance(cur.logs[dir], log, next.gen.Date)
	}
}

// openPatch opens a patch that leads to the current generation or to one of
// the former ones in memory: a client may have read its index just before a
// publication.
func (p *publisher) openPatch(ctx context.Context, s *snapshot, name string) (*File, error) {
	f, ok := s.patch(ctx, p.blobs, name)
	if !ok {
		f, ok = p.former.patch(name)
	}
	if !ok {
		return nil, notExist(name)
	}
	return f.open(ctx, p.blobs, s, true)
}

// staleFile reports whether a file that Materialise once wrote below
// dists/CODENAME/ is neither part of s nor of the kind that is replaced in
// place.
func (s *snapshot) staleFile(ctx context.Context, b blobs, name string) bool {
	if strings.Contains(name, patchMark) {
		_, current := s.patch(ctx, b, name)
		return !current
	}
	dir, hash, ok := byHashName(name)
	_, current := s.byHash[path.Join(dir, hash)]
	return ok && !current
}
