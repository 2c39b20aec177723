package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// small makes chunks and segments fill up soon.
var small = layout{
	tail: 2 << 10, compact: 5 << 10, minimum: 32 << 10, segment: 4,
	patched: 1 << 10, patch: 16 << 10,
}

// logModel drives a Log and a plain list of stanzas through the same changes.
type logModel struct {
	blobs   *memBlobs
	log     *Log
	stanzas [][]byte
	serial  int

	twins [][]byte // other spellings of stanzas, still to be added

	// A compaction that is under way, if base is not nil.
	base        *Log
	baseStanzas [][]byte
	compacted   *Log
	reordered   bool // the log was compacted otherwise since

	past []snapshot
}

type snapshot struct {
	log     *Log
	stanzas [][]byte
}

// stanza makes a new one of a random name and size. Sizes are chosen so that
// tails overflow soon, and some stanzas exceed a chunk.
func (m *logModel) stanza(t *rapid.T) []byte {
	m.serial++
	size := rapid.SampledFrom([]int{0, 0, 0, 100, 300, 1000, 1500, 3000}).Draw(t, "size")
	return paddedStanza(rapid.SampledFrom([]string{"a", "b", "zz"}).Draw(t, "name"), m.serial, size)
}

func paddedStanza(name string, serial, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Package: %s%d\nVersion: %d.%d~rc%d\nArchitecture: amd64\nDescription: padded\n",
		name, serial%7, serial%3, serial%11, serial)
	for n := 0; b.Len() < size; n++ {
		fmt.Fprintf(&b, " line %d of %d\n", n*serial, size)
	}
	return b.Bytes()
}

func (m *logModel) apply(t *rapid.T, remove, add [][]byte) {
	edit := Edit{Remove: idsOf(remove...), Add: add}
	edit.Remove[ID{"nobody", "1", "all"}] = true
	next, err := m.log.Apply(context.Background(), m.blobs, edit)
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	m.log = next
	kept := slices.DeleteFunc(slices.Clone(m.stanzas), func(s []byte) bool { return edit.Remove[stanzaID(s)] })
	m.stanzas = append(kept, add...)
}

func (m *logModel) Add(t *rapid.T) {
	var add [][]byte
	for range rapid.IntRange(1, 4).Draw(t, "count") {
		s := m.stanza(t)
		add = append(add, s)
		if rapid.IntRange(0, 3).Draw(t, "twin") == 0 {
			// Another spelling of the same version is another ID of equal rank.
			m.twins = append(m.twins, bytes.Replace(s, []byte("Version: "), []byte("Version: 0:"), 1))
		}
	}
	m.apply(t, nil, add)
}

func (m *logModel) AddTwins(t *rapid.T) {
	m.apply(t, nil, m.twins)
	m.twins = nil
}

// AddMany fills more chunks than a segment lists.
func (m *logModel) AddMany(t *rapid.T) {
	var add [][]byte
	for range small.segment + 2 {
		m.serial++
		add = append(add, paddedStanza("m", m.serial, small.tail/2))
	}
	m.apply(t, nil, add)
}

func (m *logModel) Remove(t *rapid.T) {
	if len(m.stanzas) == 0 {
		t.Skip("nothing there")
	}
	var remove [][]byte
	for range rapid.IntRange(1, 3).Draw(t, "count") {
		remove = append(remove, rapid.SampledFrom(m.stanzas).Draw(t, "victim"))
	}
	var add [][]byte
	if rapid.Bool().Draw(t, "replace") {
		add = append(add, append(bytes.Clone(remove[0]), " another line\n"...))
	}
	m.apply(t, remove, add)
}

func (m *logModel) RemoveAll(t *rapid.T) {
	if !rapid.Bool().Draw(t, "really") {
		t.Skip("not now")
	}
	m.apply(t, m.stanzas, nil)
}

func (m *logModel) Compact(t *rapid.T) {
	l, err := m.log.Compact(context.Background(), m.blobs)
	if err != nil {
		t.Fatalf("compact: %v", err)
	}
	m.log, m.stanzas, m.reordered = l, sortedStanzas(m.stanzas), true
}

func (m *logModel) BeginCompaction(t *rapid.T) {
	l, err := m.log.Compact(context.Background(), m.blobs)
	if err != nil {
		t.Fatalf("compact: %v", err)
	}
	m.base, m.baseStanzas, m.compacted, m.reordered = m.log, m.stanzas, l, false
}

func (m *logModel) Adopt(t *rapid.T) {
	if m.base == nil {
		t.Skip("no compaction under way")
	}
	grown := len(m.stanzas) >= len(m.baseStanzas) &&
		slices.EqualFunc(m.stanzas[:len(m.baseStanzas)], m.baseStanzas, bytes.Equal)
	l, err := m.log.Adopt(context.Background(), m.blobs, m.compacted, m.base)
	switch {
	case err == nil && grown:
		m.stanzas = append(sortedStanzas(m.baseStanzas), m.stanzas[len(m.baseStanzas):]...)
		m.log, m.reordered = l, true
	case err == nil:
		t.Fatalf("adopted although stanzas had gone")
	case !errors.Is(err, ErrMoved) || grown && !m.reordered:
		t.Fatalf("adopt: %v", err)
	}
	m.base = nil
}

func (m *logModel) Reload(t *rapid.T) {
	blobs := m.blobs.only(m.log)
	l, err := loadLog(context.Background(), blobs, small, m.log.State())
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if blobs.puts > 0 {
		t.Fatalf("loading wrote blobs")
	}
	if !slices.Equal(l.Files("x"), m.log.Files("x")) || l.sorted != m.log.sorted {
		t.Fatalf("loaded log differs")
	}
	m.log = l
}

func (m *logModel) Keep(t *rapid.T) {
	if len(m.past) < 5 {
		m.past = append(m.past, snapshot{m.log, slices.Clone(m.stanzas)})
	}
}

func (m *logModel) ReadRange(t *rapid.T) {
	want := text(m.stanzas)
	i := rapid.IntRange(0, len(m.log.formats)).Draw(t, "stream")
	ext := m.log.ext(i)
	if ext != "" {
		want = readLog(t, m.blobs, m.log, ext)
	}
	f, err := m.log.Open(context.Background(), m.blobs, ext)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer f.Close()
	for range 3 {
		from := rapid.IntRange(0, len(want)).Draw(t, "from")
		n := rapid.IntRange(0, min(len(want)-from, 8*small.tail)).Draw(t, "length")
		if _, err := f.Seek(int64(from-len(want)), io.SeekEnd); err != nil {
			t.Fatalf("%v", err)
		}
		got := make([]byte, n)
		if _, err := io.ReadFull(f, got); err != nil {
			t.Fatalf("%v", err)
		}
		if !bytes.Equal(got, want[from:from+n]) {
			t.Fatalf("bytes %d to %d of %q differ", from, from+n, ext)
		}
	}
}

// Check runs after each step.
func (m *logModel) check(t *rapid.T) {
	if m.log.Len() != len(m.stanzas) {
		t.Fatalf("%d stanzas, want %d", m.log.Len(), len(m.stanzas))
	}
	if len(m.log.tail) > small.tail {
		t.Fatalf("tail of %d bytes", len(m.log.tail))
	}
	for i, s := range m.log.segs {
		if i < len(m.log.segs)-1 && s.chunks() != small.segment {
			t.Fatalf("segment %d has %d chunks", i, s.chunks())
		}
	}
	checkLog(t, m.blobs, m.log, m.stanzas)
	checkOrder(t, m)
}

// checkOrder makes sure that the chunks that count as sorted are.
func checkOrder(t *rapid.T, m *logModel) {
	n := 0
	for i := range m.log.sorted {
		n += m.log.chunkStanzas(i)
	}
	if !slices.IsSortedFunc(m.stanzas[:n], func(a, b []byte) int { return stanzaID(a).compare(stanzaID(b)) }) {
		t.Fatalf("the first %d chunks are not in order", m.log.sorted)
	}
}

func TestLogProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &logModel{blobs: newMemBlobs(), log: newLog(small)}
		if rapid.Bool().Draw(t, "zstd") {
			m.log = newLog(small, Zstd)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": m.Add, "add again": m.Add, "addMany": m.AddMany, "addTwins": m.AddTwins,
			"remove": m.Remove, "removeAll": m.RemoveAll,
			"compact": m.Compact, "beginCompaction": m.BeginCompaction, "adopt": m.Adopt,
			"reload": m.Reload, "keep": m.Keep, "range": m.ReadRange,
			"": m.check,
		})
		checkLog(t, m.blobs.only(m.log), m.log, m.stanzas)
		for _, s := range m.past {
			checkLog(t, m.blobs.only(s.log), s.log, s.stanzas)
			again, err := loadLog(context.Background(), m.blobs.only(s.log), small, s.log.State())
			if err != nil {
				t.Fatalf("loading an earlier state: %v", err)
			}
			checkLog(t, m.blobs, again, s.stanzas)
		}
	})
}
