package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestEmptyLog(t *testing.T) {
	blobs := newMemBlobs()
	l := NewLog(Zstd, Gzip, Zstd)
	checkLog(t, blobs, l, nil)
	var exts []string
	for _, f := range l.Files("Packages") {
		exts = append(exts, strings.TrimPrefix(f.Path, "Packages"))
	}
	if want := []string{"", ".gz", ".zst"}; !slices.Equal(exts, want) {
		t.Errorf("forms %q, want %q", exts, want)
	}
	for id := range l.BlobIDs() {
		t.Errorf("needs blob %s", id)
	}
	again, err := LoadLog(t.Context(), blobs, l.State())
	if err != nil {
		t.Fatal(err)
	}
	checkLog(t, blobs, again, nil)
	if _, err := l.Open(t.Context(), blobs, ".xz"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening .xz: %v", err)
	}
}

// TestForeignDecompressors makes sure that not only our own libraries read
// what was compressed piecewise.
func TestForeignDecompressors(t *testing.T) {
	for _, stanzas := range [][][]byte{nil, makeStanzas(0, 1), makeStanzas(0, 600)} {
		blobs := newMemBlobs()
		l := mustApply(t, blobs, NewLog(Zstd), Edit{Add: stanzas})
		for ext, program := range map[string]string{".gz": "gzip", ".zst": "zstd"} {
			t.Run(fmt.Sprint(program, len(stanzas)), func(t *testing.T) {
				cmd := exec.Command(needProgram(t, program), "-d", "-c")
				cmd.Stdin = bytes.NewReader(readLog(t, blobs, l, ext))
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s: %v", program, err)
				}
				if !bytes.Equal(out, text(stanzas)) {
					t.Fatalf("%s reads %d bytes, want %d", program, len(out), l.PlainSize())
				}
			})
		}
	}
}

// TestAppendCost is what the design is for: an append reads nothing and writes
// nothing, or one chunk and one list, at any size of the log.
func TestAppendCost(t *testing.T) {
	for _, size := range []int{100, 1000, 10000} {
		blobs := newMemBlobs()
		l := mustApply(t, blobs, NewLog(), Edit{Add: makeStanzas(0, size)})
		blobs.gets, blobs.written = 0, 0
		seals := 0
		for i := range 200 {
			blobs.puts = 0
			before := l.chunks
			l = mustApply(t, blobs, l, Edit{Add: [][]byte{makeStanza(size + i)}})
			seals += l.chunks - before
			if want := 2 * (l.chunks - before); blobs.puts != want {
				t.Fatalf("%d stanzas: append wrote %d blobs, want %d", size, blobs.puts, want)
			}
			if n := len(l.State()); n > 40<<10 {
				t.Fatalf("%d stanzas: state of %d bytes", size, n)
			}
		}
		if blobs.gets > 0 {
			t.Errorf("%d stanzas: appending read %d blobs", size, blobs.gets)
		}
		if seals == 0 || blobs.written > int64(seals)*(80<<10) {
			t.Errorf("%d stanzas: %d bytes written for %d chunks", size, blobs.written, seals)
		}
		for _, s := range l.segs {
			if n := len(s.encode()); n > 40<<10 {
				t.Errorf("%d stanzas: chunk list of %d bytes", size, n)
			}
		}
	}
}

// TestSharedSnapshots appends to one Log twice, in all phases of a segment.
func TestSharedSnapshots(t *testing.T) {
	blobs := newMemBlobs()
	l := newLog(small)
	var stanzas [][]byte
	for i := range 60 {
		s := paddedStanza("s", i, small.tail/2)
		other := paddedStanza("other", i, small.tail/2)
		first := mustApply(t, blobs, l, Edit{Add: [][]byte{s}})
		second := mustApply(t, blobs, l, Edit{Add: [][]byte{other, other}})
		again, err := loadLog(t.Context(), blobs.only(l), small, l.State())
		if err != nil {
			t.Fatal(err)
		}
		checkLog(t, blobs, again, stanzas)
		checkLog(t, blobs, second, append(slices.Clone(stanzas), other, other))
		stanzas = append(stanzas, s)
		checkLog(t, blobs, first, stanzas)
		l = first
	}
}

func TestRemove(t *testing.T) {
	blobs := newMemBlobs()
	stanzas := makeStanzas(0, 1000)
	l := mustApply(t, blobs, NewLog(), Edit{Add: stanzas})

	t.Run("tail", func(t *testing.T) {
		blobs.gets, blobs.puts = 0, 0
		got := mustApply(t, blobs, l, Edit{Remove: idsOf(stanzas[999])})
		if blobs.gets+blobs.puts > 0 {
			t.Errorf("%d reads and %d writes", blobs.gets, blobs.puts)
		}
		checkLog(t, blobs, got, stanzas[:999])
	})
	t.Run("first", func(t *testing.T) {
		got := mustApply(t, blobs, l, Edit{Remove: idsOf(stanzas[0])})
		checkLog(t, blobs, got, stanzas[1:])
	})
	t.Run("newest chunk only", func(t *testing.T) {
		blobs.gets = 0
		last := l.Len() - l.tailStanzas - 1
		got := mustApply(t, blobs, l, Edit{Remove: idsOf(stanzas[last])})
		if blobs.gets != 2 { // to find it, and to rewrite it
			t.Errorf("%d blobs read", blobs.gets)
		}
		checkLog(t, blobs, got, slices.Delete(slices.Clone(stanzas), last, last+1))
	})
	t.Run("all", func(t *testing.T) {
		got := mustApply(t, blobs, l, Edit{Remove: idsOf(stanzas...)})
		checkLog(t, blobs, got, nil)
		if len(got.segs) > 0 {
			t.Errorf("%d segments left", len(got.segs))
		}
	})
	t.Run("none", func(t *testing.T) {
		remove := idsOf(stanzas[5])
		remove[stanzaID(stanzas[5])] = false
		remove[ID{"absent", "1", "all"}] = true
		if got := mustApply(t, blobs, l, Edit{Remove: remove}); got != l {
			t.Error("another Log although nothing changed")
		}
		if len(remove) != 2 {
			t.Error("the caller's map was changed")
		}
	})
}

func TestUnfitStanzas(t *testing.T) {
	const good = "Package: a\nVersion: 1\nArchitecture: all\n"
	for name, s := range map[string]string{
		"empty":            "",
		"no version":       "Package: a\nArchitecture: all\n",
		"empty version":    "Package: a\nVersion: \nArchitecture: all\n",
		"two stanzas":      good + "\nPackage: b\nVersion: 1\nArchitecture: all\n",
		"blank line":       good + "Description: a\n \n b\n",
		"tab line":         good + "Description: a\n\t\t\n b\n",
		"carriage return":  good + "Description: a\r\n",
		"nul":              good + "Description: a\x00\n",
		"no field name":    good + "nonsense\n",
		"package twice":    good + "PACKAGE: b\n",
		"long version":     "Package: a\nVersion: 1\n 2\nArchitecture: all\n",
		"leading newline":  "\n" + good,
		"leading space":    " x\n" + good,
		"too long":         good + "Description: " + strings.Repeat("x", maxStanza) + "\n",
		"form feed line":   good + "Description: a\n \f\n b\n",
		"colon at the end": good + ": x\n",
	} {
		if _, err := NewLog().Apply(t.Context(), newMemBlobs(), Edit{Add: [][]byte{[]byte(s)}}); !errors.Is(err, ErrStanza) {
			t.Errorf("%s: %v", name, err)
		}
	}
	blobs := newMemBlobs()
	for _, s := range []string{good, strings.TrimSpace(good), good + "\n\n", "package: a\nVERSION:1\narchitecture:\tall\n"} {
		l := mustApply(t, blobs, NewLog(), Edit{Add: [][]byte{[]byte(s)}})
		checkLog(t, blobs, l, [][]byte{[]byte(s)})
		if got := mustApply(t, blobs, l, Edit{Remove: map[ID]bool{{"a", "1", "all"}: true}}); got.Len() != 0 {
			t.Errorf("%q is not found by its ID", s)
		}
	}
}

func TestNeedsCompaction(t *testing.T) {
	blobs := newMemBlobs()
	l := newLog(small)
	var last int64 // sealed at the last compaction
	times := 0
	for range 40 {
		l = mustApply(t, blobs, l, Edit{Add: makeStanzas(l.Len(), 10)})
		sealed := l.start(l.chunks, 0)
		if want := sealed-last >= max(int64(small.minimum), last/2); l.NeedsCompaction() != want {
			t.Fatalf("%d bytes sealed, %d in order: needs compaction: %t", sealed, last, !want)
		} else if !want {
			continue
		}
		times++
		compacted, err := l.Compact(t.Context(), blobs)
		if err != nil {
			t.Fatal(err)
		}
		if compacted.NeedsCompaction() {
			t.Fatal("needs compaction right after compaction")
		}
		l = compacted
		last = l.start(l.chunks, 0)
	}
	if times < 3 {
		t.Errorf("compacted %d times", times)
	}
	// Removals that leave crumbs count as well.
	lazy := small
	lazy.minimum = 1 << 30
	crumbs := newLog(lazy)
	for i := range 200 {
		crumbs = mustApply(t, blobs, crumbs, Edit{Add: [][]byte{paddedStanza("c", i, small.tail-100)}})
		crumbs = mustApply(t, blobs, crumbs, Edit{Add: [][]byte{paddedStanza("d", i, 60)}})
	}
	if crumbs.NeedsCompaction() {
		t.Error("full chunks need compaction")
	}
	remove := make(map[ID]bool)
	for s := range crumbs.Stanzas(t.Context(), blobs) {
		if s[len("Package: ")] == 'c' {
			remove[stanzaID(s)] = true
		}
	}
	if crumbs = mustApply(t, blobs, crumbs, Edit{Remove: remove}); !crumbs.NeedsCompaction() {
		t.Errorf("%d chunks of %d bytes in all need no compaction", crumbs.chunks, crumbs.PlainSize())
	}
}

func TestCompactedSize(t *testing.T) {
	blobs := newMemBlobs()
	stanzas := makeStanzas(0, 5000)
	l := mustApply(t, blobs, NewLog(), Edit{Add: stanzas})
	compacted, err := l.Compact(t.Context(), blobs)
	if err != nil {
		t.Fatal(err)
	}
	checkLog(t, blobs, compacted, sortedStanzas(stanzas))
	for name, c := range map[string]struct {
		log   *Log
		limit float64
	}{"appended": {l, 1.03}, "compacted": {compacted, 1.01}} {
		one, err := Gzip.compress(readLog(t, blobs, c.log, ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := float64(c.log.files[1].Size) / float64(len(one)); got > c.limit {
			t.Errorf("%s: %.3f times the size of one gzip member, want at most %.2f", name, got, c.limit)
		}
	}
	if n := compacted.chunks; n > 6 {
		t.Errorf("%d chunks for %d bytes", n, compacted.PlainSize())
	}
}

func TestAdoptRefusals(t *testing.T) {
	blobs := newMemBlobs()
	stanzas := makeStanzas(0, 300)
	base := mustApply(t, blobs, NewLog(), Edit{Add: stanzas})
	compacted, err := base.Compact(t.Context(), blobs)
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*Log{
		"sealed stanza gone": mustApply(t, blobs, base, Edit{Remove: idsOf(stanzas[0])}),
		"tail stanza gone":   mustApply(t, blobs, base, Edit{Remove: idsOf(stanzas[299])}),
		"tail replaced":      mustApply(t, blobs, base, Edit{Remove: idsOf(stanzas[299]), Add: makeStanzas(300, 9)}),
		"emptied":            NewLog(),
	} {
		if _, err := l.Adopt(t.Context(), blobs, compacted, base); !errors.Is(err, ErrMoved) {
			t.Errorf("%s: %v", name, err)
		}
	}
	more := mustApply(t, blobs, base, Edit{Add: makeStanzas(300, 1)})
	if _, err := more.Adopt(t.Context(), blobs, compacted, more); err == nil || errors.Is(err, ErrMoved) {
		t.Errorf("foreign base: %v", err)
	}
}

func TestLogFile(t *testing.T) {
	blobs := newMemBlobs()
	l := mustApply(t, blobs, newLog(small, Zstd), Edit{Add: makeStanzas(0, 30)})
	for i := range l.files {
		f, err := l.Open(t.Context(), blobs, l.ext(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(f, readLog(t, blobs, l, l.ext(i))); err != nil {
			t.Errorf("%q: %v", l.ext(i), err)
		}
		if _, err := f.Seek(-1, io.SeekStart); err == nil {
			t.Errorf("%q: seek before the start", l.ext(i))
		}
		if _, err := f.Seek(0, 7); err == nil {
			t.Errorf("%q: seek from nowhere", l.ext(i))
		}
		if err := f.Close(); err != nil {
			t.Errorf("%q: %v", l.ext(i), err)
		}
		if _, err := f.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%q: read after close: %v", l.ext(i), err)
		}
	}
}

func TestCancelledContext(t *testing.T) {
	blobs := newMemBlobs()
	stanzas := makeStanzas(0, 400)
	l := mustApply(t, blobs, NewLog(), Edit{Add: stanzas})
	ctx, cancel := context.WithCancel(t.Context())
	f, err := l.Open(ctx, blobs, ".gz")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_, readErr := io.ReadAll(f)
	_, applyErr := l.Apply(ctx, blobs, Edit{Remove: idsOf(stanzas[0])})
	_, compactErr := l.Compact(ctx, blobs)
	for name, err := range map[string]error{"read": readErr, "apply": applyErr, "compact": compactErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSameBytes guards the promise that compressing is a function: hashes of
// two servers, and of a restarted one, must agree.
func TestSameBytes(t *testing.T) {
	plain := text(makeStanzas(0, 150))
	for _, f := range []Format{Gzip, Zstd} {
		seen := make(map[[32]byte]bool)
		for i := range 5 {
			packed, err := f.compress(plain)
			if err != nil {
				t.Fatal(err)
			}
			seen[sha256.Sum256(packed)] = true
			if _, err := f.compress(text(makeStanzas(1000*i, 20+i))); err != nil {
				t.Fatal(err)
			}
		}
		if len(seen) != 1 {
			t.Errorf("%v: %d outcomes for one input", f, len(seen))
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewLog(Format(7))
}
