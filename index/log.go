package index

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Blobs keeps sealed chunks and their lists under the lower-case hexadecimal
// SHA-256 of their bytes. What a [Log] needs is told by [Log.BlobIDs]; other
// blobs may be deleted. Methods must be safe for concurrent use.
type Blobs interface {
	// PutBlob stores data. It is durable when PutBlob returns nil. An id that
	// exists already is no error: its bytes are the same. Data must not be
	// changed, but may be kept.
	PutBlob(ctx context.Context, id string, data []byte) error
	// GetBlob returns what was stored under id, or an error that matches
	// fs.ErrNotExist. The caller does not change the result.
	GetBlob(ctx context.Context, id string) ([]byte, error)
}

// ErrCorrupt marks blobs and states that are damaged: bytes that do not match
// their hash, or that do not decode.
var ErrCorrupt = errors.New("corrupt index")

// ErrMoved is returned by [Log.Adopt] when the log has lost stanzas since its
// compaction began.
var ErrMoved = errors.New("index changed meanwhile")

// A layout says how a Log is cut up. Tests use a small one.
type layout struct {
	tail    int // bytes of text, at most, that are not sealed
	compact int // bytes of text, at most, in a compacted chunk
	minimum int // bytes of text, at least, for which compaction pays
	segment int // chunks in a segment
	patched int // bytes of text, at least, for which patches pay
	patch   int // bytes of text, at most, that a patch adds
}

// The tail is recompressed by each append, so its size decides what an append
// costs; chunks of that size lose 2 % against one gzip member. Compacted chunks
// change seldom and compress as well as a whole file. A file that is no longer
// than two patches is fetched whole as quickly.
var usual = layout{
	tail: 128 << 10, compact: 1 << 20, minimum: 4 << 20, segment: 64,
	patched: 512 << 10, patch: 256 << 10,
}

// A Log is one Packages file: stanzas in the order in which they were added.
//
// All but the end, at most 128 KiB, is sealed in chunks that lie in a [Blobs].
// A Log holds the list of its chunks, about 550 bytes for each, and its tail;
// appending reads no chunk, and costs the same however many there are.
//
// A Log never changes: Apply, Compact and Adopt return another one that shares
// what is equal, and the old one stays good for as long as its blobs exist.
// All methods are safe for concurrent use.
type Log struct {
	layout  layout
	formats []Format
	segs    []*segment // all but the last have layout.segment chunks
	chunks  int
	sorted  int // the first so many chunks are in order, see Compact
	sealed  int // stanzas in chunks

	tail        []byte // plain text
	tailStanzas int
	packed      [][]byte    // the tail in each format
	files       []FileEntry // plain, then each format; Path is empty
	lines       int64       // of the plain file
}

// NewLog returns an empty Log that can be had plain, as gzip, and in the given
// formats. It panics when a format is unknown.
func NewLog(formats ...Format) *Log { return newLog(usual, formats...) }

func newLog(lay layout, formats ...Format) *Log {
	all := []Format{Gzip}
	for _, f := range formats {
		if !f.valid() {
			panic(fmt.Sprintf("index: unknown format %d", int(f)))
		}
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	l, err := newBuilder(nil, lay, all).log(context.Background(), nil, 0)
	if err != nil {
		// Nothing is read or written, and hash states can always be kept.
		panic(err)
	}
	return l
}

// An Edit changes a Log.
type Edit struct {
	// Remove names stanzas to take out, before anything is added. Those that
	// are not there are ignored; a change of [Log.Len] tells.
	Remove map[ID]bool
	// Add holds stanzas to append, in this order, each as [AppendStanza]
	// renders it. The caller sees to it that none has the ID of another
	// stanza that stays in the Log.
	Add [][]byte
}

// Apply returns l with an edit made. Chunks that fill up are written to b
// before Apply returns. Adding costs as much as the tail and what is added;
// removing also reads the chunks from the end back to the oldest stanza
// removed, and rewrites those that held one. A stanza that is malformed,
// lacks a field of its ID or exceeds 4 MiB is refused with [ErrStanza].
func (l *Log) Apply(ctx context.Context, b Blobs, e Edit) (*Log, error) {
	add := make([][]byte, len(e.Add))
	for i, text := range e.Add {
		var err error
		if add[i], err = cleanStanza(text); err != nil {
			return nil, fmt.Errorf("stanza %d: %w", i, err)
		}
	}
	w, removed, err := l.without(ctx, b, e.Remove)
	if err != nil {
		return nil, fmt.Errorf("removing from index: %w", err)
	}
	if removed == 0 && len(add) == 0 {
		return l, nil
	}
	for _, text := range add {
		if err := w.add(ctx, text); err != nil {
			return nil, fmt.Errorf("appending to index: %w", err)
		}
	}
	return w.finish(ctx)
}

// Len returns the number of stanzas.
func (l *Log) Len() int { return l.sealed + l.tailStanzas }

// PlainSize returns the size of the plain file in bytes.
func (l *Log) PlainSize() int64 { return l.files[0].Size }

// Files describes the file in all its forms, the plain one first, as a Release
// file lists them. name is the path of the plain one below the distribution's
// directory, "main/binary-amd64/Packages".
func (l *Log) Files(name string) []FileEntry {
	files := slices.Clone(l.files)
	for i := range files {
		files[i].Path = name + l.ext(i)
	}
	return files
}

// ext returns the file name extension of a stream, "" for the plain one.
func (l *Log) ext(stream int) string {
	if stream == 0 {
		return ""
	}
	return l.formats[stream-1].Ext()
}

// BlobIDs yields the names of all blobs that l needs, chunks and lists; none
// for a log that fits its tail.
func (l *Log) BlobIDs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, s := range l.segs {
			if !yield(s.id.String()) {
				return
			}
			for _, p := range s.parts {
				if p.blob != (blobID{}) && !yield(p.blob.String()) {
					return
				}
			}
		}
	}
}

// chunk returns the parts of chunk i.
func (l *Log) chunk(i int) []part {
	return l.segs[i/l.layout.segment].chunk(i % l.layout.segment)
}

func (l *Log) chunkStanzas(i int) int {
	return l.segs[i/l.layout.segment].stanzas[i%l.layout.segment]
}

// start returns where chunk i begins in a stream; i may be l.chunks.
func (l *Log) start(i, stream int) int64 {
	if i == 0 {
		return 0
	}
	return l.chunk(i - 1)[stream].end
}

// getBlob reads a blob and makes sure that it is the right one.
func getBlob(ctx context.Context, b Blobs, id blobID) ([]byte, error) {
	data, err := b.GetBlob(ctx, id.String())
	if err != nil {
		return nil, fmt.Errorf("reading blob %s: %w", id, err)
	}
	if sha256.Sum256(data) != id {
		return nil, fmt.Errorf("%w: blob %s does not match its hash", ErrCorrupt, id)
	}
	return data, nil
}

// compressed reads chunk i of a compressed stream.
func (l *Log) compressed(ctx context.Context, b Blobs, i, stream int) ([]byte, error) {
	p := l.chunk(i)[stream]
	data, err := getBlob(ctx, b, p.blob)
	if err != nil {
		return nil, err
	}
	if want := p.end - l.start(i, stream); int64(len(data)) != want {
		return nil, fmt.Errorf("%w: blob %s has %d bytes instead of %d", ErrCorrupt, p.blob, len(data), want)
	}
	return data, nil
}

// plain reads the text of chunk i, into buf if it is large enough.
func (l *Log) plain(ctx context.Context, b Blobs, i int, buf []byte) ([]byte, error) {
	data, err := l.compressed(ctx, b, i, 1)
	if err != nil {
		return nil, err
	}
	return l.unpack(i, data, buf)
}

// unpack returns the text of chunk i, given its gzip member.
func (l *Log) unpack(i int, member, buf []byte) ([]byte, error) {
	text, err := gunzip(member, l.chunk(i)[0].end-l.start(i, 0), buf)
	if err != nil {
		return nil, fmt.Errorf("chunk %d: %w", i, err)
	}
	return text, nil
}
