package aptrepo

import (
	"bytes"
	"context"
	"path"
	"strings"

	"github.com/repod-io/repod/index"
)

// patchMark is part of the name of every patch: DIR/Packages.diff/T-...-F-....gz.
const patchMark = "/Packages.diff/T-"

// advanceHistories sets the histories of next, which follows cur.
func (p *publisher) advanceHistories(ctx context.Context, cur, next *snapshot) error {
	next.histories = make(map[string]index.History)
	for dir, log := range next.logs {
		h, err := cur.histories[dir].Advance(ctx, p.blobs, cur.logs[dir], log, next.gen.Date)
		if err != nil {
			return err
		}
		next.histories[dir] = h
	}
	return nil
}

// patchIndexes returns the indexes of patches, which Release lists, by path.
func (s *snapshot) patchIndexes() (map[string]string, error) {
	indexes := make(map[string]string)
	for dir, h := range s.histories {
		data, err := h.PatchIndex(s.logs[dir])
		if err != nil {
			return nil, err
		}
		if data != nil {
			indexes[dir+"/"+index.PatchIndexName] = string(data)
		}
	}
	return indexes, nil
}

// patch returns a patch by its path below dists/CODENAME/.
func (s *snapshot) patch(name string) (data []byte, ok bool, err error) {
	dir, _, _ := strings.Cut(name, patchMark)
	log := s.logs[dir]
	if log == nil {
		return nil, false, nil
	}
	return s.histories[dir].Patch(log, strings.TrimPrefix(name, dir+"/"))
}

// openPatch opens a patch that leads to the current generation or to one of
// the former ones in memory: a client may have read its index just before a
// publication.
func (p *publisher) openPatch(ctx context.Context, s *snapshot, name string) (*File, error) {
	data, ok, err := s.patch(name)
	if !ok && err == nil {
		data, ok, err = p.former.patch(name)
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notExist(name)
	}
	return indexFile{data: data, entry: entryOf(name, data)}.open(ctx, p.blobs, s, true)
}

// materialisePatches writes the patches of s as whole files.
func (p *publisher) materialisePatches(ctx context.Context, s *snapshot) error {
	for dir, h := range s.histories {
		for _, name := range h.PatchNames(s.logs[dir]) {
			data, _, err := h.Patch(s.logs[dir], name)
			if err != nil {
				return err
			}
			key := "dists/" + p.codename + "/" + dir + "/" + name
			if err := p.repo.Storage.Put(ctx, key, bytes.NewReader(data)); err != nil {
				return storageError(err)
			}
		}
	}
	return nil
}

// staleFile reports whether a file that Materialise once wrote below
// dists/CODENAME/ is neither part of s nor of the kind that is replaced in
// place.
func (s *snapshot) staleFile(name string) bool {
	if strings.Contains(name, patchMark) {
		_, current, _ := s.patch(name)
		return !current
	}
	dir, hash, ok := byHashName(name)
	_, current := s.byHash[path.Join(dir, hash)]
	return ok && !current
}
