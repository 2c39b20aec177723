package upstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/index"
)

const (
	maxPatchIndex = 1 << 20
	maxPatches    = 40       // in a chain: each costs reading and writing the text
	maxPatch      = 16 << 20 // bytes, opened; it is held in memory
)

// errPatchIndex marks an index of patches that does not help.
var errPatchIndex = errors.New("index of patches")

// A patch is a script for ed(1), in a file compressed with gzip.
type patch struct {
	script, file index.FileEntry
}

// patched makes the plain text of p from the one that is in the cache, with
// the archive's patches ("PDiffs"). It returns nil without an error when there
// are none, and an error when they did not do. What it returns is verified as
// the whole file would be.
func (r *run) patched(ctx context.Context, p packagesFile) (*os.File, error) {
	old, ok := r.memo.find(p.plain.Path)
	if !ok || p.patches == nil || len(p.forms) == 0 {
		return nil, nil
	}
	base := r.cache.base(old.SHA256, old.Size)
	if base == nil {
		return nil, nil
	}
	text, err := r.fetchSmall(ctx, *p.patches)
	if err != nil {
		return nil, errors.Join(err, base.Close())
	}
	chain, err := parsePatchIndex(text, old, p)
	if err != nil {
		return nil, errors.Join(err, base.Close())
	}
	return r.applyChain(ctx, p, base, chain)
}

// fetchSmall fetches a file that the Release, or an index of patches, lists.
func (r *run) fetchSmall(ctx context.Context, e index.FileEntry) ([]byte, error) {
	return r.inMemory(e.Size, func(f *os.File) error { return r.fetchFile(ctx, e, f) })
}

// inMemory returns the content of a file of that size, which fetch brings.
func (r *run) inMemory(size int64, fetch func(f *os.File) error) ([]byte, error) {
	d, err := r.cache.create()
	if err != nil {
		return nil, err
	}
	defer d.discard()
	if err := fetch(d.File); err != nil {
		return nil, err
	}
	data := make([]byte, size)
	_, err = d.ReadAt(data, 0)
	return data, err
}

// applyChain applies patches one after the other and closes base.
func (r *run) applyChain(ctx context.Context, p packagesFile, base *os.File, chain []patch) (*os.File, error) {
	for i, next := range chain {
		d, err := r.applyPatch(ctx, p, base, next, i == len(chain)-1)
		base.Close()
		if err != nil {
			return nil, err
		}
		if i == len(chain)-1 {
			return d.keep(p.plain.SHA256)
		}
		base = d.File
		// The name is not needed any more; the file goes with the last use.
		if err := os.Remove(d.Name()); err != nil {
			return nil, errors.Join(err, base.Close())
		}
	}
	return nil, fmt.Errorf("%w: it has no patch", errPatchIndex)
}

func (r *run) applyPatch(ctx context.Context, p packagesFile, base *os.File, next patch, last bool) (*draft, error) {
	packed, err := r.fetchPatch(ctx, next.file)
	if err != nil {
		return nil, err
	}
	var script bytes.Buffer
	if err := unpack(ctx, &script, bytes.NewReader(packed), deb.Gzip, next.script); err != nil {
		return nil, err
	}
	hunks, err := parseScript(script.Bytes())
	if err != nil {
		return nil, err
	}
	if _, err := base.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading an index: %w", err)
	}
	d, err := r.cache.create()
	if err != nil {
		return nil, err
	}
	if last {
		sum := &summed{w: d, hash: sha256.New(), left: p.plain.Size}
		err = applyScript(sum, interrupted{ctx, base}, hunks)
		if err == nil {
			err = sum.check(p.plain.SHA256)
		}
	} else {
		err = applyScript(d, interrupted{ctx, base}, hunks)
	}
	if err != nil {
		return nil, errors.Join(err, d.discard())
	}
	return d, nil
}

// fetchPatch fetches a patch, which archives have under its name only.
func (r *run) fetchPatch(ctx context.Context, e index.FileEntry) ([]byte, error) {
	return r.inMemory(e.Size, func(f *os.File) error {
		w := wanted{r.dist(e.Path), e.Size, e.SHA256}
		return about(e.Path, r.client.download(ctx, r.site, w, f, nil))
	})
}

// parsePatchIndex returns the patches that lead from the old text to that of p.
func parsePatchIndex(text []byte, old memoIndex, p packagesFile) ([]patch, error) {
	st, err := deb.ParseStanza(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPatchIndex, err)
	}
	if current, err := patchRow(st.Get("SHA256-Current") + " ."); err != nil || current.SHA256 != p.plain.SHA256 || current.Size != p.plain.Size {
		return nil, fmt.Errorf("%w: it is of another state of the file", errPatchIndex)
	}
	names, err := patchNames(st.Get("SHA256-History"), old)
	if err != nil {
		return nil, err
	}
	if st.Get("X-Patch-Precedence") == "merged" && len(names) > 0 {
		names = names[:1]
	}
	if len(names) == 0 || len(names) > maxPatches {
		return nil, fmt.Errorf("%w: %d patches are needed", errPatchIndex, len(names))
	}
	return findPatches(st, names, p)
}

// patchNames returns the names of the patches from the old state on, oldest
// first, or none.
func patchNames(history string, old memoIndex) ([]string, error) {
	var names []string
	for line := range strings.Lines(history) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		row, err := patchRow(line)
		if err != nil {
			return nil, err
		}
		if row.SHA256 == old.SHA256 && row.Size == old.Size || len(names) > 0 {
			names = append(names, row.Path)
		}
	}
	return names, nil
}

// findPatches looks the patches up. Together they must be smaller than the
// whole file, or it is the better choice.
func findPatches(st *deb.Stanza, names []string, p packagesFile) ([]patch, error) {
	scripts, err := patchRows(st.Get("SHA256-Patches"))
	if err != nil {
		return nil, err
	}
	files, err := patchRows(st.Get("SHA256-Download"))
	if err != nil {
		return nil, err
	}
	var chain []patch
	var total int64
	for _, name := range names {
		script, known := scripts[name]
		file, listed := files[name+".gz"]
		if !known || !listed || script.Size > maxPatch {
			return nil, fmt.Errorf("%w: a patch is not listed, or too large", errPatchIndex)
		}
		if total += file.Size; file.Size > p.forms[0].Size || total > p.forms[0].Size {
			return nil, fmt.Errorf("%w: the patches are larger than the file", errPatchIndex)
		}
		file.Path = p.sibling("Packages.diff/" + name + ".gz")
		chain = append(chain, patch{script, file})
	}
	return chain, nil
}

func patchRows(section string) (map[string]index.FileEntry, error) {
	rows := make(map[string]index.FileEntry)
	for line := range strings.Lines(section) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		row, err := patchRow(line)
		if err != nil {
			return nil, err
		}
		rows[row.Path] = row
	}
	return rows, nil
}

// patchRow reads a hash, a size and a name, which must be one of a file in the
// same folder.
func patchRow(line string) (index.FileEntry, error) {
	words := strings.Fields(line)
	if len(words) != 3 || strings.ContainsAny(words[2], `/\`) || words[2] == ".." {
		return index.FileEntry{}, fmt.Errorf("%w: malformed line", errPatchIndex)
	}
	size, err := strconv.ParseUint(words[1], 10, 62)
	sum, hexErr := hex.DecodeString(words[0])
	if err != nil || hexErr != nil || len(sum) != sha256.Size {
		return index.FileEntry{}, fmt.Errorf("%w: malformed line", errPatchIndex)
	}
	return index.FileEntry{Path: words[2], Size: int64(size), SHA256: strings.ToLower(words[0])}, nil
}
