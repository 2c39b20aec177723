package index

import (
	"context"
	"crypto/sha256"
	"fmt"
)

// PatchIndexName is the path of the index of patches, relative to the
// directory of the Packages file.
const PatchIndexName = "Packages.diff/Index"

const (
	patchDir = "Packages.diff/"
	lastLine = ".\n" // of a script for ed(1) that appends
)

// PatchIndex renders the file from which a client that holds a former state
// in h learns how to make the current one of it, which is that of l: it has to
// be listed in the Release as [PatchIndexName]. It is nil when h has no former
// state, and when the file is under 512 KiB.
//
// The patches are scripts for ed(1) as apt's "PDiffs" are, merged on the
// server: a client fetches one, however far behind it is, or the whole file if
// there is none for its state. Clients find them through the index alone, by
// name and never by hash; see [History.Patch].
func (h History) PatchIndex(l *Log) ([]byte, error) {
	names := h.patchable(l)
	if len(names) == 0 {
		return nil, nil
	}
	current := h[len(h)-1]
	var history, patches, download []byte
	for i, name := range names {
		s := h[i]
		sum, err := s.script()
		if err != nil {
			return nil, fmt.Errorf("listing patches: %w", err)
		}
		sum.Write([]byte(lastLine))
		size := int64(len(s.command())+len(lastLine)) + current.Size - s.Size
		packed, err := h.pack(i)
		if err != nil {
			return nil, fmt.Errorf("listing patches: %w", err)
		}
		history = fmt.Appendf(history, " %s %d %s\n", s.SHA256, s.Size, name)
		patches = fmt.Appendf(patches, " %x %d %s\n", sum.Sum(nil), size, name)
		download = fmt.Appendf(download, " %x %d %s.gz\n", sha256.Sum256(packed), len(packed), name)
	}
	return fmt.Appendf(nil, "SHA256-Current: %s %d\nSHA256-History:\n%sSHA256-Patches:\n%sSHA256-Download:\n%sX-Patch-Precedence: merged\n",
		current.SHA256, current.Size, history, patches, download), nil
}

// patchable returns the names of the patches to the current state, which is
// that of l, in the order of h; none when there is no use in them.
func (h History) patchable(l *Log) []string {
	if len(h) < 2 || l.PlainSize() < int64(l.layout.patched) || h[len(h)-1].SHA256 != l.files[0].SHA256 {
		return nil
	}
	var names []string
	for _, s := range h[:len(h)-1] {
		names = append(names, fmt.Sprintf("T-%.16s-F-%.16s", l.files[0].SHA256, s.SHA256))
	}
	return names
}

// PatchNames returns the paths of all patches, relative to the directory of
// the Packages file: "Packages.diff/T-...-F-....gz". They are made of the
// hashes of both states, so the same name always means the same script.
func (h History) PatchNames(l *Log) []string {
	names := h.patchable(l)
	for i, name := range names {
		names[i] = patchDir + name + ".gz"
	}
	return names
}

// Patch returns the patch of a name that PatchNames returns, compressed; ok is
// false for any other name.
func (h History) Patch(l *Log, name string) (data []byte, ok bool, err error) {
	for i, known := range h.PatchNames(l) {
		if known == name {
			data, err = h.pack(i)
			return data, true, err
		}
	}
	return nil, false, nil
}

// pack returns the patch from state i: members of a gzip file, of which those
// for the text are kept from publication to publication.
func (h History) pack(i int) ([]byte, error) {
	data, err := gzipWith(storeWriters, []byte(h[i].command()))
	if err != nil {
		return nil, err
	}
	for _, s := range h[i:] {
		data = append(data, s.Text...)
	}
	end, err := gzipWith(storeWriters, []byte(lastLine))
	return append(data, end...), err
}

// textFrom returns the text of l from the beginning of a chunk on.
func (l *Log) textFrom(ctx context.Context, b Blobs, first int) ([]byte, error) {
	text := make([]byte, 0, l.PlainSize()-l.start(first, 0))
	for i := first; i < l.chunks; i++ {
		chunk, err := l.plain(ctx, b, i, text[len(text):])
		if err != nil {
			return nil, err
		}
		text = append(text, chunk...)
	}
	return append(text, l.tail...), nil
}
