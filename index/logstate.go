package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const stateMagic = "repod log 1\n"

// State encodes l for [LoadLog]. It is small however long the file: the tail,
// compressed, which is under 40 KiB of Packages text for each compressed form,
// and 32 bytes for every 64 chunks. Everything else is in the blobs that
// [Log.BlobIDs] names, which were written before.
func (l *Log) State() []byte {
	out := append(make([]byte, 0, 1024), stateMagic...)
	out = binary.AppendUvarint(out, uint64(len(l.formats)))
	for _, f := range l.formats {
		out = binary.AppendUvarint(out, uint64(f))
	}
	out = binary.AppendUvarint(out, uint64(len(l.segs)))
	for _, s := range l.segs {
		out = append(out, s.id[:]...)
	}
	out = binary.AppendUvarint(out, uint64(l.sorted))
	out = binary.AppendUvarint(out, uint64(l.tailStanzas))
	out = binary.AppendUvarint(out, uint64(len(l.tail)))
	for _, p := range l.packed {
		out = binary.AppendUvarint(out, uint64(len(p)))
		out = append(out, p...)
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

// LoadLog returns the Log that [Log.State] encoded. It reads the lists of
// chunks from b, but no chunk. A state that is damaged, or was not made by
// State, is [ErrCorrupt].
func LoadLog(ctx context.Context, b Blobs, state []byte) (*Log, error) {
	l, err := loadLog(ctx, b, usual, state)
	if err != nil {
		return nil, fmt.Errorf("loading index: %w", err)
	}
	return l, nil
}

func loadLog(ctx context.Context, b Blobs, lay layout, state []byte) (*Log, error) {
	body := state[:max(0, len(state)-sha256.Size)]
	if sum := sha256.Sum256(body); !bytes.Equal(state[len(body):], sum[:]) {
		return nil, fmt.Errorf("%w: state does not match its hash", ErrCorrupt)
	}
	d := decoder{rest: body}
	d.literal(stateMagic)
	l := &Log{layout: lay, formats: d.formats()}
	if err := l.loadSegments(ctx, b, &d); err != nil {
		return nil, err
	}
	l.sorted = d.number(l.chunks)
	l.tailStanzas = d.number(lay.tail)
	size := d.number(lay.tail)
	var packed [][]byte
	if size > 0 || l.chunks == 0 {
		for range l.formats {
			packed = append(packed, bytes.Clone(d.bytes(d.number(2*lay.tail+1024))))
		}
	}
	if err := d.done(); err != nil {
		return nil, err
	}
	var tail []byte
	if size > 0 {
		var err error
		if tail, err = gunzip(packed[0], int64(size), nil); err != nil {
			return nil, fmt.Errorf("tail: %w", err)
		}
	}
	w, err := l.resume(ctx, b)
	if err != nil {
		return nil, err
	}
	if err := w.closeSegment(ctx); err != nil {
		return nil, err
	}
	return w.logPacked(tail, l.tailStanzas, packed), nil
}

func (d *decoder) formats() []Format {
	var formats []Format
	n := d.number(maxFormats)
	for i := range n {
		f := Format(d.number(int(Zstd)))
		if (i == 0) != (f == Gzip) {
			d.fail("formats out of order")
		}
		formats = append(formats, f)
	}
	if n == 0 {
		d.fail("no gzip form")
	}
	return formats
}

// loadSegments reads the list of segments, and the segments.
func (l *Log) loadSegments(ctx context.Context, b Blobs, d *decoder) error {
	var before []part
	for range d.number(len(d.rest) / sha256.Size) {
		if n := len(l.segs); n > 0 && l.segs[n-1].chunks() != l.layout.segment {
			d.fail("short chunk list before the last one")
		}
		var id blobID
		copy(id[:], d.bytes(len(id)))
		if d.err != nil {
			return d.err
		}
		data, err := getBlob(ctx, b, id)
		if err != nil {
			return err
		}
		s, err := decodeSegment(data, l.layout.segment, len(l.formats)+1, before)
		if err != nil {
			return err
		}
		s.id = id
		l.segs = append(l.segs, s)
		l.chunks += s.chunks()
		for _, n := range s.stanzas {
			l.sealed += n
		}
		before = s.chunk(s.chunks() - 1)
	}
	return nil
}

// resume returns a builder that holds all chunks of l. If the hash states in
// it are of a kind that this program cannot continue, because another version
// of Go wrote them, they are computed again from the chunks.
func (l *Log) resume(ctx context.Context, b Blobs) (*builder, error) {
	for _, s := range l.segs {
		for _, p := range s.chunk(0) {
			if _, err := p.mark.resume(); err != nil {
				return l.rehash(ctx, b)
			}
		}
	}
	w, err := l.from(b, l.chunks)
	if err != nil {
		return l.rehash(ctx, b)
	}
	return w, nil
}

func (l *Log) rehash(ctx context.Context, b Blobs) (*builder, error) {
	w, _, err := l.rewrite(ctx, b, 0, nil)
	return w, err
}
