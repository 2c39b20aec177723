package aptrepo

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/repod-io/repod/index"
)

// compare returns how the published indexes differ from the Store, or "".
func (p *publisher) compare(ctx context.Context) (string, error) {
	s, err := p.refresh(ctx)
	if err != nil {
		return err.Error(), nil // unreadable: to be rebuilt
	}
	d, err := p.repo.distribution(ctx, p.codename)
	if err != nil {
		return "", err
	}
	want := make(map[string]map[string]int) // by directory and stanza, how often
	if err := p.eachStanza(ctx, d, func(dir string, stanza []byte) error {
		if want[dir] == nil {
			want[dir] = make(map[string]int)
		}
		want[dir][stanzaSum(stanza)]++
		return nil
	}); err != nil {
		return "", err
	}
	if pending, err := p.repo.Store.Changes(ctx, p.codename, s.gen.AppliedSeq, 1); err != nil {
		return "", err
	} else if len(pending) > 0 {
		return fmt.Sprintf("changes from %d on are not published", pending[0].Seq), nil
	}
	for _, dir := range slices.Sorted(maps.Keys(completeLogs(s.logs, d))) {
		if detail := p.compareLog(ctx, dir, s.logs[dir], want[dir]); detail != "" {
			return dir + ": " + detail, nil
		}
	}
	return "", nil
}

func stanzaSum(stanza []byte) string { return entryOf("", bytes.TrimSpace(stanza)).SHA256 }

func (p *publisher) compareLog(ctx context.Context, dir string, log *index.Log, want map[string]int) string {
	if log == nil {
		return "is missing"
	}
	extra := 0
	for stanza, err := range log.Stanzas(ctx, p.blobs) {
		if err != nil {
			return err.Error()
		}
		if index.IsOffered(stanza) {
			continue
		}
		sum := stanzaSum(stanza)
		if want[sum] == 0 {
			extra++
			continue
		}
		if want[sum]--; want[sum] == 0 {
			delete(want, sum)
		}
	}
	if extra > 0 || len(want) > 0 {
		return fmt.Sprintf("%d entries too many, %d missing", extra, len(want))
	}
	return ""
}

// eachStanza calls f for every stanza that the Store says is published.
func (p *publisher) eachStanza(ctx context.Context, d Distribution, f func(dir string, stanza []byte) error) error {
	for a, err := range p.repo.Store.EachPublished(ctx, p.codename) {
		if err != nil {
			return err
		}
		stanza, err := stanzaOf(&a.Artifact)
		if err != nil {
			return err
		}
		for _, dir := range dirsOf(a.Publication.Component, a.Arch, d) {
			if err := f(dir, stanza); err != nil {
				return err
			}
		}
	}
	return nil
}

// bare returns the current generation without its contents, which may be
// unreadable.
func (p *publisher) bare(ctx context.Context) (*snapshot, error) {
	g, err := p.repo.Store.Generation(ctx, p.codename)
	return &snapshot{gen: g}, err
}

// rebuildBatch is how many stanzas rebuild holds in memory.
const rebuildBatch = 2000

// rebuild is an editor that starts from nothing. Changes that are committed
// while it reads may or may not be in what it reads; it applies them again so
// that they are there once.
func (p *publisher) rebuild(ctx context.Context, cur *snapshot, d Distribution) (map[string]*index.Log, int64, error) {
	heads, err := p.repo.Store.Heads(ctx)
	if err != nil {
		return nil, 0, err
	}
	logs := completeLogs(nil, d)
	edits := make(map[string]index.Edit)
	held := 0
	err = p.eachStanza(ctx, d, func(dir string, stanza []byte) error {
		e := edits[dir]
		e.Add = append(e.Add, stanza)
		edits[dir] = e
		if held++; held < rebuildBatch {
			return nil
		}
		err := p.apply(ctx, logs, edits)
		clear(edits)
		held = 0
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if err := p.apply(ctx, logs, edits); err != nil {
		return nil, 0, err
	}
	return p.replay(ctx, logs, heads[p.codename].LastSeq, d)
}

// replay applies the changes after a Seq to logs that may hold them already.
func (p *publisher) replay(ctx context.Context, logs map[string]*index.Log, after int64, d Distribution) (map[string]*index.Log, int64, error) {
	for {
		changes, err := p.repo.Store.Changes(ctx, p.codename, after, changesPerRun)
		if err != nil || len(changes) == 0 {
			return logs, after, err
		}
		twice := make([]Change, 0, 2*len(changes))
		for _, c := range changes {
			gone := c
			gone.Kind, gone.Artifact = ChangeRemove, nil
			twice = append(twice, gone, c)
		}
		edits, err := editsOf(twice, d)
		if err != nil {
			return nil, 0, err
		}
		if err := p.apply(ctx, logs, edits); err != nil {
			return nil, 0, err
		}
		after = changes[len(changes)-1].Seq
	}
}
