package index

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
)

// A PatchFile is one of the files from which apt patches a Packages file.
type PatchFile struct {
	// Name is the path relative to the directory of the Packages file,
	// "Packages.diff/Index".
	Name string
	Data []byte
}

// Patches renders what a client needs that holds one of the states in h, to
// make l of it: an index of patches, which comes first and has to be listed in
// the Release, and one compressed patch for each state, which clients find
// through that index and fetch by its name only, never by hash. There are no
// files at all when h has no earlier state, and when l is under 512 KiB.
//
// The patches are scripts for ed(1) as apt's "PDiffs" are, merged on the
// server: a client fetches one, however far behind it is, or the whole file if
// there is none for its state. Names are made of the hashes of both states, so
// the same name always means the same script.
//
// Each patch is right: states that the hashes of l do not confirm to be its
// beginning are left out. Errors are those of b and [ErrCorrupt]. At most the
// chunks that hold the last 256 KiB of l are read.
func (h History) Patches(ctx context.Context, b Blobs, l *Log) ([]PatchFile, error) {
	size := l.PlainSize()
	states := slices.DeleteFunc(slices.Clone(h), func(s State) bool {
		return s.Size < 0 || s.Size >= size || size-s.Size > int64(l.layout.patch)
	})
	if len(states) == 0 || size < int64(l.layout.patched) {
		return nil, nil
	}
	slices.SortStableFunc(states, func(a, b State) int { return cmp.Compare(a.Size, b.Size) })
	at, text, err := l.textSince(ctx, b, states[0].Size)
	if err != nil {
		return nil, fmt.Errorf("making patches: %w", err)
	}
	list := patchList{current: l.files[0]}
	for _, s := range states {
		n := s.Size - at.size
		at.sha.Write(text[:n])
		at.lines += int64(bytes.Count(text[:n], []byte{'\n'}))
		at.size, text = s.Size, text[n:]
		if hex.EncodeToString(at.sha.Sum(nil)) != s.SHA256 {
			continue
		}
		if err := list.add(s, at.lines, text); err != nil {
			return nil, fmt.Errorf("making patches: %w", err)
		}
	}
	return list.render(), nil
}

// textSince returns the text of l from the beginning of the chunk that
// contains off, and the sums of what is before it.
func (l *Log) textSince(ctx context.Context, b Blobs, off int64) (*sums, []byte, error) {
	first := sort.Search(l.chunks, func(i int) bool { return l.chunk(i)[0].end > off })
	before := newSums()
	if first > 0 {
		var err error
		if before, err = l.chunk(first - 1)[0].resume(); err != nil {
			return nil, nil, err
		}
	}
	text := make([]byte, 0, l.PlainSize()-before.size)
	for i := first; i < l.chunks; i++ {
		chunk, err := l.plain(ctx, b, i, text[len(text):])
		if err != nil {
			return nil, nil, err
		}
		text = append(text, chunk...)
	}
	return before, append(text, l.tail...), nil
}

// A patchList collects patches and the lines of their index.
type patchList struct {
	current                    FileEntry
	history, patches, download []byte
	files                      []PatchFile
}

const patchDir = "Packages.diff/"

// A dozen patches are made anew for each publication: level 6 would make them
// 5 % smaller in half as much time again.
var patchWriters = gzipPool(2)

// add makes the patch for state s, which has so many lines and is followed by
// text.
func (p *patchList) add(s State, lines int64, text []byte) error {
	script := make([]byte, 0, len(text)+32)
	script = append(fmt.Appendf(script, "%da\n", lines), text...)
	script = append(script, ".\n"...)
	packed, err := gzipWith(patchWriters, script)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("T-%.16s-F-%.16s", p.current.SHA256, s.SHA256)
	p.history = fmt.Appendf(p.history, " %s %d %s\n", s.SHA256, s.Size, name)
	p.patches = fmt.Appendf(p.patches, " %x %d %s\n", sha256.Sum256(script), len(script), name)
	p.download = fmt.Appendf(p.download, " %x %d %s.gz\n", sha256.Sum256(packed), len(packed), name)
	p.files = append(p.files, PatchFile{Name: patchDir + name + ".gz", Data: packed})
	return nil
}

// render returns the index and the patches.
func (p *patchList) render() []PatchFile {
	if len(p.files) == 0 {
		return nil
	}
	text := fmt.Appendf(nil, "SHA256-Current: %s %d\n", p.current.SHA256, p.current.Size)
	for _, f := range []struct {
		name string
		list []byte
	}{{"SHA256-History", p.history}, {"SHA256-Patches", p.patches}, {"SHA256-Download", p.download}} {
		text = append(fmt.Appendf(text, "%s:\n", f.name), f.list...)
	}
	text = append(text, "X-Patch-Precedence: merged\n"...)
	return append([]PatchFile{{Name: patchDir + "Index", Data: text}}, p.files...)
}
