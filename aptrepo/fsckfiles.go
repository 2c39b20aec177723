package aptrepo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/index"
)

// damage returns what is wrong with the files of a generation, or "": its heads
// must be signed and list what is served, and each file have the bytes that are
// listed.
func (p *publisher) damage(ctx context.Context, s *snapshot, read bool) (string, error) {
	ring, err := p.keyring(ctx)
	if err != nil {
		return "", err
	}
	if detail := s.headDamage(ring, later(p.repo.now(), s.gen.Date)); detail != "" || !read {
		return detail, nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[name]
		file, err := f.open(ctx, p.blobs, s, true)
		if err == nil {
			err = sameContents(file, f.entry.Size, f.entry.SHA256)
		}
		if errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return "", err
		}
		if err != nil {
			return name + ": " + err.Error(), nil
		}
	}
	return "", nil
}

// keyring returns the keys that Releases are signed with, none if they are not
// known.
func (p *publisher) keyring(ctx context.Context) (index.Keyring, error) {
	keys, err := p.repo.Keys(ctx)
	if err != nil || len(keys.Armored) == 0 {
		return nil, err
	}
	return index.ParseKeyring(keys.Armored)
}

func (s *snapshot) headDamage(ring index.Keyring, now time.Time) string {
	text := s.heads["Release"].data
	if ring != nil {
		signed, _, err := index.Verify(s.heads["InRelease"].data, ring, now)
		if err != nil {
			return "InRelease: " + err.Error()
		}
		if !bytes.Equal(bytes.TrimSpace(signed), bytes.TrimSpace(text)) {
			return "InRelease and Release differ"
		}
		if _, err := index.VerifyDetached(text, s.heads["Release.gpg"].data, ring, now); err != nil {
			return "Release.gpg: " + err.Error()
		}
	}
	release, err := index.ParseRelease(text)
	if err != nil {
		return "Release: " + err.Error()
	}
	same := func(a, b index.FileEntry) bool { return a.Path == b.Path && a.Size == b.Size && a.SHA256 == b.SHA256 }
	if !slices.EqualFunc(release.Files, s.entries(), same) {
		return "Release lists other files than there are"
	}
	return ""
}

// sameContents reads a file to its end, closes it, and returns an error unless it
// has a size and SHA-256.
func sameContents(f io.ReadCloser, size int64, sum string) error {
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	if n != size || hex.EncodeToString(h.Sum(nil)) != sum {
		return errors.New("it has other contents than Release lists")
	}
	return nil
}

// written compares the whole files below dists/ in storage, which Repo.Materialise
// asks for, with the generation that they are of.
func (c *checker) written(ctx context.Context, p *publisher) error {
	if !c.repo.Materialise {
		return nil
	}
	s, err := p.snapshot(ctx)
	if err != nil || s.gen.Number == 0 {
		return err
	}
	wrong, err := c.wrongFiles(ctx, p, s)
	if err != nil || len(wrong) == 0 {
		return err
	}
	f := Fault{Kind: FaultStaleIndex, Distribution: p.codename,
		Detail: fmt.Sprintf("%d files are lost, damaged or old, the first is %s", len(wrong), wrong[0])}
	if c.options.Repair {
		for _, key := range wrong { // one with a hash for a name is not replaced
			if err := c.repo.Storage.Delete(ctx, key); err != nil {
				return storageError(err)
			}
		}
		if err := p.materialise(ctx, &snapshot{}, s); err != nil {
			return err
		}
		f.Detail += "; written anew"
	}
	c.fault(f)
	return nil
}

// wrongFiles returns the keys of files of s that are not what they should be, and
// of others whose names say so.
func (c *checker) wrongFiles(ctx context.Context, p *publisher, s *snapshot) (wrong []string, err error) {
	root := "dists/" + p.codename + "/"
	want := make(map[string]index.FileEntry)
	for name, f := range s.heads {
		want[root+name] = f.entry
	}
	for name, f := range s.files {
		want[root+name], want[root+f.entry.ByHash()] = f.entry, f.entry
	}
	for dir, h := range s.histories {
		for _, name := range h.PatchNames(s.logs[dir]) {
			data, _, err := h.Patch(s.logs[dir], name)
			if err != nil {
				return nil, err
			}
			want[path.Join(root, dir, name)] = entryOf(name, data)
		}
	}
	for info, err := range c.repo.Storage.List(ctx, root) {
		if err != nil {
			return nil, storageError(err)
		}
		_, known := want[info.Key]
		if _, hash, ok := byHashName(strings.TrimPrefix(info.Key, root)); ok && !known {
			want[info.Key] = index.FileEntry{Size: info.Size, SHA256: hash}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		ok, err := c.holds(ctx, key, want[key])
		if err != nil {
			return nil, err
		}
		if !ok {
			wrong = append(wrong, key)
		}
	}
	return wrong, nil
}

// holds reports whether a file in storage is what an entry says, by its size alone
// when files are not to be read.
func (c *checker) holds(ctx context.Context, key string, e index.FileEntry) (bool, error) {
	body, info, err := c.repo.Storage.Open(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, storageError(err)
	}
	if !c.options.ReadFiles || info.Size != e.Size {
		return info.Size == e.Size, body.Close()
	}
	body.Close()
	sum, err := c.repo.fileSum(ctx, key)
	return sum == e.SHA256, err
}

// bills checks the published bills of materials against their signatures. One
// that is lost in part, or damaged, is forgotten, and made anew by whoever
// publishes bills: this Repo at once, if it does.
func (c *checker) bills(ctx context.Context) error {
	keys, err := c.repo.Keys(ctx)
	if err != nil || len(keys.Armored) == 0 {
		return err
	}
	ring, err := index.ParseKeyring(keys.Armored)
	if err != nil {
		return err
	}
	there := make(map[string]int) // files of each
	for info, err := range c.repo.Storage.List(ctx, billPrefix) {
		if err != nil {
			return storageError(err)
		}
		there[strings.TrimSuffix(strings.TrimSuffix(info.Key, ".asc"), ".tag")]++
	}
	repaired := false
	for _, key := range slices.Sorted(maps.Keys(there)) {
		detail, err := c.billDamage(ctx, key, there[key], ring)
		if err != nil {
			return err
		}
		if detail == "" {
			continue
		}
		f := Fault{Kind: FaultStaleIndex, Detail: key + ": " + detail}
		if c.options.Repair {
			if err := c.repo.Storage.Delete(ctx, key+".tag"); err != nil {
				return storageError(err)
			}
			repaired = true
			f.Detail += "; to be made anew"
		}
		c.fault(f)
	}
	if !repaired || c.repo.Bills == nil {
		return nil
	}
	if q, publish := c.repo.Bills(); publish {
		return c.repo.PublishBills(ctx, q)
	}
	return nil
}

// billDamage returns what is wrong with a bill, or "". One without a tag is made
// anew anyway.
func (c *checker) billDamage(ctx context.Context, key string, files int, ring index.Keyring) (string, error) {
	tag, err := c.repo.readSmall(ctx, key+".tag")
	if err != nil || tag == "" {
		return "", err
	}
	if files < 3 {
		return "the bill or its signature is lost", nil
	}
	doc, err := readAll(ctx, c.repo.Storage, key)
	if err != nil {
		return "", err
	}
	signature, err := readAll(ctx, c.repo.Storage, key+".asc")
	if err != nil {
		return "", err
	}
	if _, err := index.VerifyDetached(doc, signature, ring, c.repo.now()); err != nil {
		return err.Error(), nil
	}
	return "", nil
}
