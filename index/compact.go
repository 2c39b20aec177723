package index

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/repod-io/repod/deb"
)

// NeedsCompaction reports whether Compact would pay: when what was sealed
// since the last compaction exceeds 4 MiB and half of what is in order, so
// that each byte is rewritten a logarithmic number of times in all, or when
// removals have left many small chunks.
func (l *Log) NeedsCompaction() bool {
	sealed, sorted := l.start(l.chunks, 0), l.start(l.sorted, 0)
	if sealed-sorted >= max(int64(l.layout.minimum), sorted/2) {
		return true
	}
	return int64(l.chunks) > 2*int64(l.layout.segment)+2*sealed/int64(l.layout.tail)
}

// Compact returns a Log with the stanzas of l sorted by package name, version
// (in dpkg's order) and architecture, in chunks of about 1 MiB. It keeps in
// memory the text that was added since the last compaction.
//
// It may run while others go on with Apply; see Adopt.
func (l *Log) Compact(ctx context.Context, b Blobs) (*Log, error) {
	added, err := l.unsorted(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("compacting index: %w", err)
	}
	w := &appender{builder: newBuilder(b, l.layout, l.formats), limit: l.layout.compact}
	for text, err := range l.stanzas(ctx, b, 0, l.sorted) {
		if err != nil {
			return nil, fmt.Errorf("compacting index: %w", err)
		}
		id := stanzaID(text)
		for len(added) > 0 && added[0].id.compare(id) < 0 {
			if err := w.add(ctx, added[0].text); err != nil {
				return nil, fmt.Errorf("compacting index: %w", err)
			}
			added = added[1:]
		}
		if err := w.add(ctx, text); err != nil {
			return nil, fmt.Errorf("compacting index: %w", err)
		}
	}
	for _, s := range added {
		if err := w.add(ctx, s.text); err != nil {
			return nil, fmt.Errorf("compacting index: %w", err)
		}
	}
	if len(w.buf) > l.layout.tail {
		if err := w.flush(ctx); err != nil {
			return nil, fmt.Errorf("compacting index: %w", err)
		}
	}
	w.sorted = w.chunks
	return w.finish(ctx)
}

type addedStanza struct {
	id   ID
	text []byte
}

// unsorted returns, sorted, the stanzas that are not in the sorted chunks.
func (l *Log) unsorted(ctx context.Context, b Blobs) ([]addedStanza, error) {
	var added []addedStanza
	for text, err := range l.stanzas(ctx, b, l.sorted, l.chunks+1) {
		if err != nil {
			return nil, err
		}
		added = append(added, addedStanza{stanzaID(text), bytes.Clone(text)})
	}
	slices.SortStableFunc(added, func(x, y addedStanza) int { return x.id.compare(y.id) })
	return added, nil
}

func (id ID) compare(other ID) int {
	return cmp.Or(
		cmp.Compare(id.Package, other.Package),
		deb.CompareVersions(id.Version, other.Version),
		cmp.Compare(id.Architecture, other.Architecture),
	)
}

// Adopt joins a compaction that ran in the background with what happened
// meanwhile: base is the Log on which Compact was called, compacted its result,
// and l has grown from base. The returned Log holds the compacted stanzas,
// then those added since, and only the latter are read. If l lost any stanza
// of base, the result is [ErrMoved]: compact again.
func (l *Log) Adopt(ctx context.Context, b Blobs, compacted, base *Log) (*Log, error) {
	if compacted.Len() != base.Len() || compacted.PlainSize() != base.PlainSize() ||
		!slices.Equal(compacted.formats, l.formats) {
		return nil, fmt.Errorf("adopting compacted index: not compacted from its base")
	}
	if !l.startsWith(base) {
		return nil, ErrMoved
	}
	w, err := compacted.from(b, compacted.chunks)
	if err != nil {
		return nil, fmt.Errorf("adopting compacted index: %w", err)
	}
	a := &appender{builder: w, limit: l.layout.tail, buf: bytes.Clone(compacted.tail), stanzas: compacted.tailStanzas}
	known := base.tail // comes next in l, but is among the compacted stanzas
	for text, err := range l.stanzas(ctx, b, base.chunks, l.chunks+1) {
		if err != nil {
			return nil, fmt.Errorf("adopting compacted index: %w", err)
		}
		if len(known) > 0 {
			var stanza []byte
			if stanza, known = nextStanza(known); !bytes.Equal(stanza, text) {
				return nil, ErrMoved
			}
			continue
		}
		if err := a.add(ctx, text); err != nil {
			return nil, fmt.Errorf("adopting compacted index: %w", err)
		}
	}
	if len(known) > 0 {
		return nil, ErrMoved
	}
	return a.finish(ctx)
}

// startsWith reports whether the chunks of base are the first ones of l.
func (l *Log) startsWith(base *Log) bool {
	if base.chunks > l.chunks {
		return false
	}
	for i, s := range base.segs {
		if s == l.segs[i] || s.id == l.segs[i].id {
			continue
		}
		for j := range s.chunks() {
			if j >= l.segs[i].chunks() || s.chunk(j)[1].blob != l.segs[i].chunk(j)[1].blob {
				return false
			}
		}
	}
	return true
}

// Stanzas yields the stanzas in the order of the file, without the line end
// of their last line. A stanza is good until the next one is asked for. An
// error ends the sequence.
func (l *Log) Stanzas(ctx context.Context, b Blobs) iter.Seq2[[]byte, error] {
	return l.stanzas(ctx, b, 0, l.chunks+1)
}

// stanzas yields those in the chunks from <= i < to, where the tail counts as
// chunk l.chunks.
func (l *Log) stanzas(ctx context.Context, b Blobs, from, to int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var buf []byte
		for i := from; i < to; i++ {
			text, err := l.tail, ctx.Err()
			if i < l.chunks && err == nil {
				text, err = l.plain(ctx, b, i, buf)
				buf = text
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for len(text) > 0 {
				var stanza []byte
				stanza, text = nextStanza(text)
				if !yield(stanza, nil) {
					return
				}
			}
		}
	}
}
