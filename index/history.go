package index

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// A State is what a Packages file was for some time.
type State struct {
	SHA256 string `json:"sha256"` // of the plain file, lower-case hexadecimal
	Size   int64  `json:"size"`   // of the plain file, in bytes
	// Serial counts the states of a History, those forgotten included.
	Serial int64 `json:"serial"`
	// Since is when the file was published, Until when the next one was; zero
	// for the current state.
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
}

// A History is a choice of the latest states of one Packages file, oldest
// first, the current one last: those from which [History.Patches] brings a
// client up to date. Nil is a History that has yet to begin. It never changes,
// and keeps its meaning through JSON.
type History []State

// A client is helped only if the very state that it holds is remembered, and
// each state costs a patch to make and to store. Hence the latest are kept,
// some at distances that double, and those that lasted long for their age,
// because many clients hold them: the state of a night or of a weekend.
const (
	latestStates  = 4
	lastingStates = 3
	spacedStates  = 64 // publications back, at most
)

// Advance returns the History after next was published, at the given time, in
// place of prev; nil stands for a prev that does not exist. States of prev
// are kept if stanzas were only appended. After a removal or a compaction the
// History begins anew, with next; if nothing changed it is as before. There
// are at most 12 states besides the current one, all followed by at most 256
// KiB of text.
//
// Advance reads and hashes nothing. In the rare case that it takes an edit for
// mere appending, because what changed was sealed with what was added, it
// keeps states that Patches leaves out.
func (h History) Advance(prev, next *Log, at time.Time) History {
	current := stateOf(next, at)
	if prev == nil || !next.extends(prev) {
		return History{current}
	}
	former := stateOf(prev, at)
	if len(h) == 0 || h[len(h)-1].SHA256 != former.SHA256 {
		h = History{former}
	}
	if former.SHA256 == current.SHA256 {
		return h
	}
	past := slices.Clone(h)
	last := &past[len(past)-1]
	last.Until, current.Serial = at, last.Serial+1
	return past.before(current, int64(next.layout.patch))
}

func stateOf(l *Log, since time.Time) State {
	return State{SHA256: l.files[0].SHA256, Size: l.PlainSize(), Since: since}
}

// before returns the states of h that are worth keeping before the current
// one, if no more than limit bytes follow them, and that one.
func (h History) before(current State, limit int64) History {
	var kept, rest History
	for _, s := range h {
		age := current.Serial - s.Serial
		switch text := current.Size - s.Size; {
		case age < 1 || text < 1 || text > limit:
		case age <= latestStates, age <= spacedStates && s.spaced(age):
			kept = append(kept, s)
		default:
			rest = append(rest, s)
		}
	}
	slices.SortStableFunc(rest, func(a, b State) int {
		return cmp.Compare(b.held(current.Since), a.held(current.Since))
	})
	kept = append(kept, rest[:min(len(rest), lastingStates)]...)
	slices.SortFunc(kept, func(a, b State) int { return cmp.Compare(a.Serial, b.Serial) })
	return append(kept, current)
}

// spaced picks one state of every 2^n that are at least 2^n publications old,
// and fewer than twice that. What it picks it has picked all along.
func (s State) spaced(age int64) bool {
	return s.Serial%(1<<(bits.Len64(uint64(age))-1)) == 0
}

// held estimates how many clients still hold s, on a scale of its own: as many
// as came while it was current, fewer the longer ago that was.
func (s State) held(now time.Time) float64 {
	return float64(s.Until.Sub(s.Since)) / float64(max(now.Sub(s.Until), time.Second))
}

// extends reports whether l may have grown from base by appending only, as
// far as can be told without reading chunks: false is certain.
func (l *Log) extends(base *Log) bool {
	if l.PlainSize() < base.PlainSize() || !l.startsWith(base) {
		return false
	}
	return l.chunks > base.chunks || bytes.HasPrefix(l.tail, base.tail)
}
