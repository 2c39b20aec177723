package index

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

var historyStart = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

// ages returns how many publications back the states of h are.
func (h History) ages() []int64 {
	var ages []int64
	for _, s := range h[:len(h)-1] {
		ages = append(ages, h[len(h)-1].Serial-s.Serial)
	}
	slices.Reverse(ages)
	return ages
}

// then adds a state that is some bytes larger.
func (h History) then(bytes int64, at time.Time) History {
	h = slices.Clone(h)
	last := &h[len(h)-1]
	last.Until = at
	return h.before(State{Serial: last.Serial + 1, Size: last.Size + bytes, Since: at}, 64<<10)
}

// TestHistorySpacing publishes small stanzas at a steady pace.
func TestHistorySpacing(t *testing.T) {
	h := History{{Since: historyStart}}
	for n := range 1000 {
		h = h.then(100, historyStart.Add(time.Duration(n+1)*time.Hour))
		ages := h.ages()
		if len(ages) > 12 {
			t.Fatalf("%d publications: ages %d", n+1, ages)
		}
		for want := int64(1); want <= min(int64(n+1), 4); want++ {
			if !slices.Contains(ages, want) {
				t.Fatalf("%d publications: not %d back, ages %d", n+1, want, ages)
			}
		}
		for from := int64(4); from <= 32 && 2*from <= int64(n+2); from *= 2 {
			if !slices.ContainsFunc(ages, func(a int64) bool { return from <= a && a < 2*from }) {
				t.Fatalf("%d publications: none from %d back, ages %d", n+1, from, ages)
			}
		}
		if n < 64 && !slices.Contains(ages, int64(n+1)) {
			t.Fatalf("%d publications: the first state is forgotten, ages %d", n+1, ages)
		}
		if text := h[len(h)-1].Size - h[0].Size; text > 64<<10 {
			t.Fatalf("%d bytes follow", text)
		}
	}
}

// TestHistoryNights publishes in working hours only; the states of the nights
// are those that most clients hold.
func TestHistoryNights(t *testing.T) {
	h := History{{Since: historyStart}}
	for day := range 10 {
		for n := range 50 {
			h = h.then(100, historyStart.Add(time.Duration(day)*24*time.Hour+time.Duration(n+1)*10*time.Minute))
		}
	}
	for back := range int64(3) {
		if want := int64(50) * (9 - back); !slices.ContainsFunc(h, func(s State) bool { return s.Serial == want }) {
			t.Errorf("the state of %d nights ago, %d, is forgotten: %+v", back+1, want, h)
		}
	}
}

func TestAdvance(t *testing.T) {
	blobs := newMemBlobs()
	at := historyStart
	empty := newLog(small)
	var logs []*Log
	l := empty
	for i := range 5 {
		l = mustApply(t, blobs, l, Edit{Add: [][]byte{paddedStanza("a", i, 700)}})
		logs = append(logs, l)
	}
	var h History
	for i, l := range logs[1:] {
		at = at.Add(time.Hour)
		h = mustAdvance(t, blobs, h, logs[i], l, at)
	}
	if got, want := h.ages(), []int64{1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Fatalf("ages %d, want %d", got, want)
	}
	for i, s := range h {
		want := State{SHA256: logs[i].files[0].SHA256, Size: logs[i].PlainSize(), Serial: int64(i)}
		want.Since = historyStart.Add(time.Duration(max(i, 1)) * time.Hour)
		if i < len(h)-1 {
			want.Until = historyStart.Add(time.Duration(i+1) * time.Hour)
		}
		if s.Lines = 0; i < len(h)-1 && len(s.Script) == 0 {
			t.Errorf("state %d has no script", i)
		}
		if s.Script, s.Text = nil, nil; !reflect.DeepEqual(s, want) {
			t.Errorf("state %d is %+v, want %+v", i, s, want)
		}
	}

	shorter := mustApply(t, blobs, l, Edit{Remove: idsOf(paddedStanza("a", 4, 700))})
	otherTail := mustApply(t, blobs, l, Edit{
		Remove: idsOf(paddedStanza("a", 4, 700)), Add: [][]byte{paddedStanza("b", 4, 900)},
	})
	otherChunk := mustApply(t, blobs, l, Edit{
		Remove: idsOf(paddedStanza("a", 0, 700)), Add: [][]byte{paddedStanza("b", 0, 1500)},
	})
	unsorted := mustApply(t, blobs, l, Edit{Add: [][]byte{paddedStanza("a", 0, 0)}})
	compacted, err := unsorted.Compact(t.Context(), blobs)
	if err != nil {
		t.Fatal(err)
	}
	again, err := loadLog(t.Context(), blobs, small, l.State())
	if err != nil {
		t.Fatal(err)
	}
	before, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		h          History
		prev, next *Log
		want       int // states, the current one included
	}{
		"unchanged":            {h, l, l, 5},
		"loaded again":         {h, l, again, 5},
		"appended":             {h, again, unsorted, 6},
		"removed":              {h, l, shorter, 1},
		"other tail":           {h, l, otherTail, 1},
		"other chunk":          {h, l, otherChunk, 1},
		"compacted":            {h, unsorted, compacted, 1},
		"no log before":        {h, nil, l, 1},
		"another's history":    {h[:2], l, unsorted, 2},
		"no history":           {nil, l, unsorted, 2},
		"no history, no news":  {nil, l, l, 1},
		"appended to an empty": {nil, empty, l, 2},
	} {
		got := mustAdvance(t, blobs, c.h, c.prev, c.next, at.Add(time.Hour))
		if len(got) != c.want || got[len(got)-1].SHA256 != c.next.files[0].SHA256 || !got[len(got)-1].Until.IsZero() {
			t.Errorf("%s: %d states, want %d, the last %+v", name, len(got), c.want, got[len(got)-1])
		}
	}
	if after, err := json.Marshal(h); err != nil || !bytes.Equal(before, after) {
		t.Errorf("history changed to %s, %v", after, err)
	}
	var back History
	if err := json.Unmarshal(before, &back); err != nil || !reflect.DeepEqual(h, back) {
		t.Errorf("read back as %+v, %v", back, err)
	}
}

// TestAdvanceHidden replaces a stanza of the tail in an edit that seals the
// tail: only the sealed chunk tells.
func TestAdvanceHidden(t *testing.T) {
	blobs := newMemBlobs()
	first := mustApply(t, blobs, newLog(small), Edit{Add: [][]byte{
		paddedStanza("a", 1, 900), paddedStanza("a", 2, 500),
	}})
	second := mustApply(t, blobs, first, Edit{
		Remove: idsOf(paddedStanza("a", 2, 500)),
		Add:    [][]byte{paddedStanza("b", 2, 700), paddedStanza("b", 3, 700)},
	})
	h := mustAdvance(t, blobs, nil, first, second, historyStart)
	if len(h) != 1 {
		t.Fatalf("history %+v goes on", h)
	}
	third := mustApply(t, blobs, second, Edit{Add: [][]byte{paddedStanza("c", 1, 100)}})
	h = mustAdvance(t, blobs, h, second, third, historyStart)
	if files, err := patchFiles(h, third); err != nil || len(files) != 2 {
		t.Errorf("one publication later: %d files, %v", len(files), err)
	}
}

// TestPatchCost is what makes patches fit for each publication: neither the
// length of the log nor the number of publications counts.
func TestPatchCost(t *testing.T) {
	blobs, l, h := grownLog(t, 10_000, 64)
	most := 0
	for i := range 128 {
		next := mustApply(t, blobs, l, Edit{Add: [][]byte{makeStanza(1<<30 + 64 + i)}})
		blobs.gets, blobs.puts = 0, 0
		h, l = mustAdvance(t, blobs, h, l, next, historyStart.Add(time.Duration(i)*time.Hour)), next
		if files, err := patchFiles(h, l); err != nil || len(files) < 8 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		if blobs.gets > 3 || blobs.puts > 0 {
			t.Fatalf("%d blobs read, %d written", blobs.gets, blobs.puts)
		}
		most = max(most, blobs.gets)
	}
	if most == 0 {
		t.Error("nothing was ever read: the check of blobs read proves nothing")
	}
}

// TestPatchSize compares what a client fetches with the whole file.
func TestPatchSize(t *testing.T) {
	blobs, l := bigLog(t, 10_000)
	held := l.files[0].SHA256
	var h History
	for behind := 1; behind <= 64; behind++ {
		next := mustApply(t, blobs, l, Edit{Add: [][]byte{makeStanza(1<<30 + behind)}})
		h, l = mustAdvance(t, blobs, h, l, next, historyStart.Add(time.Duration(behind)*time.Hour)), next
		files, err := patchFiles(h, l)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("Packages.diff/T-%.16s-F-%.16s.gz", l.files[0].SHA256, held)
		i := slices.IndexFunc(files, func(f PatchFile) bool { return f.Name == name })
		if i < 0 {
			t.Fatalf("%d behind: no patch", behind)
		}
		index, patch, whole := len(files[0].Data), len(files[i].Data), l.files[1].Size
		if behind&(behind-1) == 0 {
			t.Logf("%2d behind: index of %d bytes + patch of %d, 1/%d of Packages.gz", behind, index, patch, whole/int64(index+patch))
		}
		if int64(index+patch)*100 > whole {
			t.Errorf("%d behind: %d + %d bytes instead of %d", behind, index, patch, whole)
		}
	}
}

// TestPatchLimit adds a little to a state, then so much that a patch would be
// too long.
func TestPatchLimit(t *testing.T) {
	blobs := newMemBlobs()
	first := mustApply(t, blobs, newLog(small), Edit{Add: makeStanzas(0, 10)})
	second := mustApply(t, blobs, first, Edit{Add: makeStanzas(10, 1)})
	third := mustApply(t, blobs, second, Edit{Add: makeStanzas(11, 30)})
	if text := third.PlainSize() - second.PlainSize(); text <= int64(small.patch) {
		t.Fatalf("only %d bytes", text)
	}
	h := mustAdvance(t, blobs, nil, first, second, historyStart)
	if files, err := patchFiles(h, second); err != nil || len(files) != 2 {
		t.Errorf("%d files, %v", len(files), err)
	}
	if files, err := patchFiles(h, third); err != nil || len(files) > 0 {
		t.Errorf("from a history that is not its own: %d files, %v", len(files), err)
	}
	if h = mustAdvance(t, blobs, h, second, third, historyStart); len(h) != 1 {
		t.Errorf("history %+v", h)
	}
}

// TestSmallFile makes no patches for what is fetched whole as quickly.
func TestSmallFile(t *testing.T) {
	blobs := newMemBlobs()
	var h History
	l := mustApply(t, blobs, NewLog(), Edit{Add: makeStanzas(0, 650)})
	for i := range 60 {
		next := mustApply(t, blobs, l, Edit{Add: [][]byte{makeStanza(650 + i)}})
		h, l = mustAdvance(t, blobs, h, l, next, historyStart), next
		files, err := patchFiles(h, l)
		if err != nil || (len(files) > 0) != (l.PlainSize() >= 512<<10) {
			t.Fatalf("%d bytes: %d files, %v", l.PlainSize(), len(files), err)
		}
	}
	if l.PlainSize() < 512<<10 {
		t.Fatalf("only %d bytes", l.PlainSize())
	}
}
