package index

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
)

// TestDamage changes one byte of each blob in turn, then takes it away.
func TestDamage(t *testing.T) {
	whole := newMemBlobs()
	stanzas := makeStanzas(0, 400)
	l := mustApply(t, whole, NewLog(Zstd), Edit{Add: stanzas})
	state := l.State()
	for id := range l.BlobIDs() {
		for _, gone := range []bool{false, true} {
			blobs := whole.only(l)
			want := fs.ErrNotExist
			if gone {
				delete(blobs.data, id)
			} else {
				want = ErrCorrupt
				blobs.data[id] = bytes.Clone(blobs.data[id])
				blobs.data[id][len(blobs.data[id])/2] ^= 1
			}
			if err := readEverything(t.Context(), blobs, state); !errors.Is(err, want) {
				t.Errorf("blob %s, gone %t: %v", id, gone, err)
			}
		}
	}
	if err := readEverything(t.Context(), whole.only(l), state); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

func readEverything(ctx context.Context, b Blobs, state []byte) error {
	l, err := LoadLog(ctx, b, state)
	if err != nil {
		return err
	}
	for i := range l.files {
		f, err := l.Open(ctx, b, l.ext(i))
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, f); err != nil {
			return err
		}
	}
	return nil
}

func TestDamagedState(t *testing.T) {
	blobs := newMemBlobs()
	l := mustApply(t, blobs, NewLog(), Edit{Add: makeStanzas(0, 200)})
	state := l.State()
	for i := range state {
		bad := bytes.Clone(state)
		bad[i] ^= 0x40
		if _, err := LoadLog(t.Context(), blobs, bad); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for _, bad := range [][]byte{nil, state[:20], state[:len(state)-1], append(bytes.Clone(state), 0)} {
		if _, err := LoadLog(t.Context(), blobs, bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes in place of %d: %v", len(bad), len(state), err)
		}
	}
}

// TestForeignHashStates loads a Log whose hash states this program cannot
// continue, as could happen after a change of Go's hash functions.
func TestForeignHashStates(t *testing.T) {
	blobs := newMemBlobs()
	stanzas := makeStanzas(0, 60)
	l := mustApply(t, blobs, newLog(small), Edit{Add: stanzas})
	foreign := *l
	foreign.segs = nil
	for _, s := range l.segs {
		s = s.first(s.chunks())
		for i := range s.parts {
			s.parts[i].state = "\x03sha\x01x"
		}
		if err := s.save(t.Context(), blobs); err != nil {
			t.Fatal(err)
		}
		foreign.segs = append(foreign.segs, s)
	}
	got, err := loadLog(t.Context(), blobs, small, foreign.State())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Files("x"), l.Files("x")) {
		t.Error("files differ")
	}
	got = mustApply(t, blobs, got, Edit{Add: stanzas[:1]})
	checkLog(t, blobs, got, append(slices.Clone(stanzas), stanzas[0]))
}

// TestBentChunkList loads lists that were stored as they are, but make no
// sense: chunks that end before they begin, and such.
func TestBentChunkList(t *testing.T) {
	blobs := newMemBlobs()
	l := mustApply(t, blobs, newLog(small), Edit{Add: makeStanzas(0, 9)})
	for name, bend := range map[string]func(s *segment){
		"backwards":   func(s *segment) { s.chunk(1)[0].end = s.chunk(0)[0].end - 1 },
		"no text":     func(s *segment) { s.chunk(1)[0].end = s.chunk(0)[0].end },
		"no member":   func(s *segment) { s.chunk(1)[1].end = s.chunk(0)[1].end },
		"huge":        func(s *segment) { s.chunk(0)[0].end = maxChunk + 1 },
		"fewer lines": func(s *segment) { s.chunk(1)[0].lines = s.chunk(0)[0].lines - 1 },
		"many lines":  func(s *segment) { last := s.chunk(s.chunks() - 1); last[0].lines = last[0].end + 1 },
		"long state":  func(s *segment) { s.chunk(0)[0].state = string(make([]byte, maxHashState+1)) },
		"many chunks": func(s *segment) { s.stanzas, s.parts = append(s.stanzas, s.stanzas...), append(s.parts, s.parts...) },
		"one stream":  func(s *segment) { s.parts = s.parts[:len(s.stanzas)] },
	} {
		s := l.segs[0].first(l.segs[0].chunks())
		bend(s)
		if err := s.save(t.Context(), blobs); err != nil {
			t.Fatal(err)
		}
		bent := *l
		bent.segs = append([]*segment{s}, l.segs[1:]...)
		if _, err := loadLog(t.Context(), blobs, small, bent.State()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGunzipSize(t *testing.T) {
	member, err := Gzip.compress([]byte("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		packed []byte
		size   int64
		good   bool
	}{
		"right":          {member, 10, true},
		"too few":        {member, 11, false},
		"too many":       {member, 9, false},
		"cut short":      {member[:len(member)-1], 10, false},
		"text after":     {append(bytes.Clone(member), "x"...), 10, false},
		"member after":   {append(bytes.Clone(member), member...), 10, false},
		"not compressed": {[]byte("0123456789"), 10, false},
	} {
		got, err := gunzip(c.packed, c.size, nil)
		if c.good != (err == nil) || err != nil && !errors.Is(err, ErrCorrupt) || c.good && string(got) != "0123456789" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
