package index

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
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
	Lines  int64 `json:"lines"` // of the plain file
	// Since is when the file was published, Until when the next one was; zero
	// for the current state.
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
	// Script is the state of the SHA-256 of the patch from this state to the
	// current one, before its last line, as encoding.BinaryMarshaler has it.
	// Text is what was appended until the next state of the History, as a
	// member of a gzip file. Both are empty for the current state.
	Script []byte `json:"script,omitempty"`
	Text   []byte `json:"text,omitempty"`
}

// A History is a choice of the latest states of one Packages file, oldest
// first, the current one last: those from which patches bring a client up
// to date. Nil is a History that has yet to begin. It never changes,
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
// Advance costs as much as hashing what was appended once for each state. It
// reads only chunks that were sealed since prev.
func (h History) Advance(ctx context.Context, b Blobs, prev, next *Log, at time.Time) (History, error) {
	current := stateOf(next, at)
	if prev == nil {
		return History{current}, nil
	}
	text, grown, err := next.appendedTo(ctx, b, prev)
	if err != nil {
		return nil, fmt.Errorf("keeping the history of an index: %w", err)
	}
	if !grown {
		return History{current}, nil
	}
	former := stateOf(prev, at)
	if len(h) == 0 || h[len(h)-1].SHA256 != former.SHA256 {
		h = History{former}
	}
	if len(text) == 0 {
		return h, nil
	}
	past := slices.Clone(h)
	last := &past[len(past)-1]
	last.Until, current.Serial = at, last.Serial+1
	if last.Text, err = Gzip.compress(text); err == nil {
		past, err = past.before(current, int64(next.layout.patch)).joined(past)
	}
	for i := 0; i < len(past)-1 && err == nil; i++ {
		past[i].Script, err = past[i].extend(text)
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the history of an index: %w", err)
	}
	return past, nil
}

// joined gives each state of h the text up to the next one: all had one that
// led to the next in past, of which h is a part.
func (h History) joined(past History) (History, error) {
	for i := range h[:len(h)-1] {
		var members [][]byte
		for _, s := range past {
			if s.Serial >= h[i].Serial && s.Serial < h[i+1].Serial {
				members = append(members, s.Text)
			}
		}
		if len(members) < 2 {
			continue
		}
		text, err := gunzip(bytes.Join(members, nil), h[i+1].Size-h[i].Size, nil)
		if err != nil {
			return nil, err
		}
		if h[i].Text, err = Gzip.compress(text); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func stateOf(l *Log, since time.Time) State {
	return State{SHA256: l.files[0].SHA256, Size: l.PlainSize(), Lines: l.lines, Since: since}
}

// command is the first line of the patch from s.
func (s State) command() string { return fmt.Sprintf("%da\n", s.Lines) }

// script continues the hash of the patch from s.
func (s State) script() (hash.Hash, error) {
	sum := sha256.New()
	if len(s.Script) == 0 {
		io.WriteString(sum, s.command())
		return sum, nil
	}
	u, ok := sum.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	if err := u.UnmarshalBinary(s.Script); err != nil {
		return nil, fmt.Errorf("%w: hash state: %w", ErrCorrupt, err)
	}
	return sum, nil
}

// extend returns Script after text was appended to the file.
func (s State) extend(text []byte) ([]byte, error) {
	sum, err := s.script()
	if err != nil {
		return nil, err
	}
	sum.Write(text)
	m, ok := sum.(encoding.BinaryMarshaler)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return m.MarshalBinary()
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

// appendedTo returns the text by which l has grown from base, if it did so by
// appending only. What was sealed since is read, unless it is too long to
// matter: grown is false then.
func (l *Log) appendedTo(ctx context.Context, b Blobs, base *Log) (text []byte, grown bool, err error) {
	more := l.PlainSize() - base.PlainSize()
	if more < 0 || more > int64(l.layout.patch) || !l.startsWith(base) {
		return nil, false, nil
	}
	text = l.tail
	if l.chunks > base.chunks {
		if text, err = l.textFrom(ctx, b, base.chunks); err != nil {
			return nil, false, err
		}
	}
	text, grown = bytes.CutPrefix(text, base.tail)
	return text, grown, nil
}
