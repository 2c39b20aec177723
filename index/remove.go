package index

import (
	"bytes"
	"context"
	"maps"
)

// without returns an appender that holds l without some stanzas, and how many
// those are.
func (l *Log) without(ctx context.Context, b Blobs, remove map[ID]bool) (*appender, int, error) {
	wanted := maps.Clone(remove)
	maps.DeleteFunc(wanted, func(_ ID, on bool) bool { return !on })

	tail, removed := l.tail, 0
	if len(wanted) > 0 {
		// A tail is small, and its array must not be shared when it grows.
		tail, removed = filter(l.tail, wanted)
	}
	tailStanzas := l.tailStanzas - removed

	hit, err := l.find(ctx, b, wanted)
	if err != nil {
		return nil, 0, err
	}
	first := l.chunks
	for i := range hit {
		first = min(first, i)
	}
	w, more, err := l.rewrite(ctx, b, first, hit)
	if err != nil {
		return nil, 0, err
	}
	a := &appender{builder: w, limit: l.layout.tail, buf: bytes.Clone(tail), stanzas: tailStanzas}
	return a, removed + more, nil
}

// filter returns text without the stanzas in wanted, deleting from wanted what
// it found.
func filter(text []byte, wanted map[ID]bool) (kept []byte, removed int) {
	for len(text) > 0 {
		var stanza []byte
		stanza, text = nextStanza(text)
		if id := stanzaID(stanza); wanted[id] {
			delete(wanted, id)
			removed++
			continue
		}
		kept = append(append(kept, stanza...), "\n\n"...)
	}
	return kept, removed
}

// find tells which chunks hold stanzas in wanted, and which ones. It starts
// with the newest chunk, because what is taken back was mostly just added, and
// stops when all are found.
func (l *Log) find(ctx context.Context, b Blobs, wanted map[ID]bool) (map[int]map[ID]bool, error) {
	hits := make(map[int]map[ID]bool)
	var buf []byte
	for i := l.chunks - 1; i >= 0 && len(wanted) > 0; i-- {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		text, err := l.plain(ctx, b, i, buf)
		if err != nil {
			return nil, err
		}
		buf = text
		for len(text) > 0 {
			var stanza []byte
			stanza, text = nextStanza(text)
			id := stanzaID(stanza)
			if !wanted[id] {
				continue
			}
			delete(wanted, id)
			if hits[i] == nil {
				hits[i] = make(map[ID]bool)
			}
			hits[i][id] = true
		}
	}
	return hits, nil
}

// rewrite returns a builder that holds the chunks of l without the stanzas
// hit, by chunk. It reads and hashes the chunks from first on, which none of
// the hits precedes.
func (l *Log) rewrite(ctx context.Context, b Blobs, first int, hit map[int]map[ID]bool) (*builder, int, error) {
	w, err := l.from(b, first)
	if err != nil {
		return nil, 0, err
	}
	removed := 0
	var buf []byte
	for i := first; i < l.chunks; i++ {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		packed, ids, err := l.blobs(ctx, b, i)
		if err != nil {
			return nil, 0, err
		}
		text, err := l.unpack(i, packed[0], buf)
		if err != nil {
			return nil, 0, err
		}
		buf = text
		before := w.chunks
		if hit[i] == nil {
			err = w.addChunk(ctx, text, l.chunkStanzas(i), packed, ids)
		} else {
			kept, n := filter(text, hit[i])
			removed += n
			if len(kept) > 0 {
				err = w.seal(ctx, kept, l.chunkStanzas(i)-n)
			}
		}
		if err != nil {
			return nil, 0, err
		}
		if i < l.sorted {
			w.sorted += w.chunks - before
		}
	}
	return w, removed, nil
}

// blobs reads all compressed forms of chunk i.
func (l *Log) blobs(ctx context.Context, b Blobs, i int) (packed [][]byte, ids []blobID, err error) {
	for j, p := range l.chunk(i)[1:] {
		data, err := l.compressed(ctx, b, i, j+1)
		if err != nil {
			return nil, nil, err
		}
		packed, ids = append(packed, data), append(ids, p.blob)
	}
	return packed, ids, nil
}
