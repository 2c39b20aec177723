package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
)

// A builder makes the sealed part of a new Log, sharing the segments of an old
// one that stay the same.
type builder struct {
	blobs   Blobs
	layout  layout
	formats []Format
	segs    []*segment // written; their array may be shared
	open    *segment   // unfinished, or nil
	shared  bool       // open belongs to the old Log and is as it was there
	chunks  int
	sorted  int
	sealed  int // stanzas
	// sums has the hashes of each stream so far.
	sums []*sums
}

func newBuilder(b Blobs, lay layout, formats []Format) *builder {
	w := &builder{blobs: b, layout: lay, formats: formats}
	for range len(formats) + 1 {
		w.sums = append(w.sums, newSums())
	}
	return w
}

// from returns a builder that holds the first n chunks of l.
func (l *Log) from(b Blobs, n int) (*builder, error) {
	full, more := n/l.layout.segment, n%l.layout.segment
	w := &builder{
		blobs:   b,
		layout:  l.layout,
		formats: l.formats,
		segs:    slices.Clip(l.segs[:full]),
		chunks:  n,
		sorted:  min(n, l.sorted),
		sealed:  l.sealed,
	}
	for i := n; i < l.chunks; i++ {
		w.sealed -= l.chunkStanzas(i)
	}
	if more > 0 {
		w.open = l.segs[full]
		w.shared = w.open.chunks() == more
		if !w.shared {
			w.open = w.open.first(more)
		}
	}
	if n == 0 {
		w.sums = newBuilder(b, l.layout, l.formats).sums
		return w, nil
	}
	for _, p := range l.chunk(n - 1) {
		s, err := p.resume()
		if err != nil {
			return nil, err
		}
		w.sums = append(w.sums, s)
	}
	return w, nil
}

// seal compresses text, which holds whole stanzas, and appends it as a chunk.
func (w *builder) seal(ctx context.Context, text []byte, stanzas int) error {
	var packed [maxFormats][]byte
	var ids [maxFormats]blobID
	for i, f := range w.formats {
		data, err := f.compress(text)
		if err != nil {
			return err
		}
		packed[i], ids[i] = data, sha256.Sum256(data)
		if err := w.blobs.PutBlob(ctx, ids[i].String(), data); err != nil {
			return fmt.Errorf("writing chunk: %w", err)
		}
	}
	return w.addChunk(ctx, text, stanzas, packed[:len(w.formats)], ids[:len(w.formats)])
}

// addChunk appends a chunk whose blobs are written already.
func (w *builder) addChunk(ctx context.Context, text []byte, stanzas int, packed [][]byte, ids []blobID) error {
	switch {
	case w.open == nil:
		w.open = &segment{}
	case w.shared:
		w.open = w.open.first(w.open.chunks())
	}
	w.shared = false
	for i, s := range w.sums {
		var p part
		if i == 0 {
			s.writeText(text)
		} else {
			s.write(packed[i-1])
			p.blob = ids[i-1]
		}
		var err error
		if p.mark, err = s.mark(); err != nil {
			return err
		}
		w.open.parts = append(w.open.parts, p)
	}
	w.open.stanzas = append(w.open.stanzas, stanzas)
	w.chunks++
	w.sealed += stanzas
	if w.open.chunks() == w.layout.segment {
		return w.closeSegment(ctx)
	}
	return nil
}

func (w *builder) closeSegment(ctx context.Context) error {
	if w.open == nil {
		return nil
	}
	if !w.shared {
		if err := w.open.save(ctx, w.blobs); err != nil {
			return err
		}
	}
	w.segs = append(w.segs, w.open)
	w.open, w.shared = nil, false
	return nil
}

// log returns what was built, with a tail. The builder is used up.
func (w *builder) log(ctx context.Context, tail []byte, tailStanzas int) (*Log, error) {
	if err := w.closeSegment(ctx); err != nil {
		return nil, err
	}
	var packed [][]byte
	// A compressed file is never without a member, even if the plain one is empty.
	if len(tail) > 0 || w.chunks == 0 {
		for _, f := range w.formats {
			data, err := f.compress(tail)
			if err != nil {
				return nil, err
			}
			packed = append(packed, data)
		}
	}
	return w.logPacked(tail, tailStanzas, packed), nil
}

// logPacked is log for a tail that is compressed already.
func (w *builder) logPacked(tail []byte, tailStanzas int, packed [][]byte) *Log {
	l := &Log{
		layout: w.layout, formats: w.formats, segs: w.segs, chunks: w.chunks, sorted: w.sorted, sealed: w.sealed,
		tail: tail, tailStanzas: tailStanzas, packed: packed,
	}
	for i, s := range w.sums {
		if i == 0 {
			s.writeText(tail)
			l.lines = s.lines
		} else if packed != nil {
			s.write(packed[i-1])
		}
		l.files = append(l.files, s.file())
	}
	return l
}

// An appender adds stanzas to a builder, sealing a chunk whenever the next
// stanza would not fit into limit bytes.
type appender struct {
	*builder
	limit   int
	buf     []byte // becomes the tail
	stanzas int
}

// add appends a stanza without line end.
func (a *appender) add(ctx context.Context, stanza []byte) error {
	if len(a.buf) > 0 && len(a.buf)+len(stanza)+2 > a.limit {
		if err := a.flush(ctx); err != nil {
			return err
		}
	}
	a.buf = append(append(a.buf, stanza...), "\n\n"...)
	a.stanzas++
	if len(a.buf) > a.limit {
		return a.flush(ctx)
	}
	return nil
}

// flush seals what is left over.
func (a *appender) flush(ctx context.Context) error {
	if err := a.seal(ctx, a.buf, a.stanzas); err != nil {
		return err
	}
	a.buf, a.stanzas = a.buf[:0], 0
	return ctx.Err()
}

// finish returns the Log; what is not sealed is its tail, in memory of its own
// because that of buf is as large as the largest chunk.
func (a *appender) finish(ctx context.Context) (*Log, error) {
	return a.log(ctx, bytes.Clone(a.buf), a.stanzas)
}
