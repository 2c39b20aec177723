package aptrepo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/index"
)

// changesPerRun bounds what one generation takes up at once.
const changesPerRun = 5000

// dateTolerance is how far the clocks of servers may be apart before somebody is
// told.
const dateTolerance = time.Minute

// A publisher turns the changes of one distribution into generations. Many
// callers of publish share one run: while one signs and writes, the others
// wait, and most of them then find their change published.
type publisher struct {
	repo     *Repo
	codename string
	blobs    blobs
	busy     chan struct{} // holds one token while a run is on
	current  atomic.Pointer[snapshot]
	former   formerSnapshots
	// materialised is the number of the generation that storage holds as
	// whole files.
	materialised atomic.Int64
	looked       lookedAt // by Run alone
}

func newPublisher(r *Repo, codename string) *publisher {
	return &publisher{
		repo:     r,
		codename: codename,
		blobs:    blobs{r.Storage, codename},
		busy:     make(chan struct{}, 1),
	}
}

// snapshot returns the current generation, read from storage at first use.
func (p *publisher) snapshot(ctx context.Context) (*snapshot, error) {
	if s := p.current.Load(); s != nil {
		return s, nil
	}
	return p.refresh(ctx)
}

// refresh takes over the Store's current generation if it is newer than the
// one at hand, because another server published it.
func (p *publisher) refresh(ctx context.Context) (*snapshot, error) {
	g, err := p.repo.Store.Generation(ctx, p.codename)
	if err != nil {
		return nil, err
	}
	if s := p.current.Load(); s != nil && s.gen.Number >= g.Number {
		return s, nil
	}
	if g.Number == 0 {
		return &snapshot{gen: Generation{Distribution: p.codename}}, nil
	}
	s, err := loadSnapshot(ctx, p.blobs, g)
	if err != nil {
		return nil, err
	}
	p.swap(s)
	return s, nil
}

// swap makes s what readers see, unless they see a newer one.
func (p *publisher) swap(s *snapshot) {
	for {
		old := p.current.Load()
		if old != nil && old.gen.Number >= s.gen.Number {
			return
		}
		if p.current.CompareAndSwap(old, s) {
			p.former.add(old)
			return
		}
	}
}

// publish returns once the change seq is published.
func (p *publisher) publish(ctx context.Context, seq int64) error {
	return p.exclusive(ctx, func(ctx context.Context) error {
		for {
			s, err := p.snapshot(ctx)
			if err != nil {
				return err
			}
			if s.gen.AppliedSeq >= seq {
				return nil
			}
			if err := p.advance(ctx, p.edit); err != nil {
				return err
			}
		}
	})
}

// republish makes a new generation though nothing changed: with another key
// or a later Valid-Until.
func (p *publisher) republish(ctx context.Context) error {
	return p.exclusive(ctx, func(ctx context.Context) error { return p.advance(ctx, p.edit) })
}

// exclusive runs f when no other run is on. Once it runs, f goes on though
// the caller goes away: others wait for the same publication.
func (p *publisher) exclusive(ctx context.Context, f func(ctx context.Context) error) error {
	begin := time.Now()
	select {
	case p.busy <- struct{}{}:
		defer func() { <-p.busy }()
		p.repo.observer().PublicationQueued(time.Since(begin))
		return f(context.WithoutCancel(ctx))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// An editor returns the logs of the generation after cur and the Seq of the
// last change in them. It must not change cur.
type editor func(ctx context.Context, cur *snapshot, d Distribution) (logs map[string]*index.Log, applied int64, err error)

// advance publishes one generation made by edit.
func (p *publisher) advance(ctx context.Context, edit editor) error {
	return p.advanceFrom(ctx, p.snapshot, edit)
}

// advanceFrom publishes one generation made by edit from what load returns.
// When another server comes first, it starts again from that server's
// generation.
func (p *publisher) advanceFrom(ctx context.Context, load func(context.Context) (*snapshot, error), edit editor) (err error) {
	begin := time.Now()
	defer func() { p.repo.observer().PublicationEnded(time.Since(begin), err) }()
	for ; ; load = p.refresh {
		cur, err := load(ctx)
		if err != nil {
			return err
		}
		next, err := p.prepare(ctx, cur, edit)
		if err != nil {
			return err
		}
		err = p.repo.Store.AdvanceGeneration(ctx, next.gen)
		if errors.Is(err, ErrStale) {
			continue
		}
		if err != nil {
			return err
		}
		p.swap(next)
		return p.materialise(ctx, cur, next)
	}
}

// prepare builds, signs and stores the generation after cur. Nobody sees it
// until the Store makes it current.
func (p *publisher) prepare(ctx context.Context, cur *snapshot, edit editor) (*snapshot, error) {
	d, err := p.repo.distribution(ctx, p.codename)
	if err != nil {
		return nil, err
	}
	logs, applied, err := edit(ctx, cur, d)
	if err != nil {
		return nil, fmt.Errorf("index of %s: %w", p.codename, err)
	}
	now := p.repo.now().UTC().Truncate(time.Second)
	next := &snapshot{
		gen: Generation{
			Distribution: p.codename,
			Number:       cur.gen.Number + 1,
			AppliedSeq:   applied,
			Date:         later(now, cur.gen.Date),
			PublishedAt:  now,
		},
		logs: logs,
	}
	if ahead := next.gen.Date.Sub(now); ahead > dateTolerance {
		p.repo.logger().ErrorContext(ctx, "the last publication is dated ahead of the clock, which is wrong or was: apt refuses the distribution until then",
			"distribution", p.codename, "date", next.gen.Date, "ahead", ahead)
	}
	next.shared = next.gen.Date.Equal(cur.gen.Date)
	static, err := staticFiles(d)
	if err != nil {
		return nil, err
	}
	if err := p.advanceHistories(ctx, cur, next); err != nil {
		return nil, fmt.Errorf("patches of %s: %w", p.codename, err)
	}
	patchIndexes, err := next.patchIndexes()
	if err != nil {
		return nil, fmt.Errorf("patches of %s: %w", p.codename, err)
	}
	maps.Copy(static, patchIndexes)
	next.list(static)
	if err := p.sign(ctx, next, d); err != nil {
		return nil, err
	}
	for _, e := range next.entries() {
		next.gen.Hashes = append(next.gen.Hashes, e.SHA256)
	}
	next.gen.Manifest, err = next.store(ctx, p.blobs)
	return next, err
}

// later keeps the Date of Release files from going back with the clock: apt
// ignores a Release older than the one it has, and would see nothing new.
func later(now, before time.Time) time.Time {
	if now.Before(before) {
		return before
	}
	return now
}

func (p *publisher) sign(ctx context.Context, s *snapshot, d Distribution) error {
	release := headOf(d)
	release.Date, release.AcquireByHash, release.Files = s.gen.Date, true, s.entries()
	if valid := p.repo.validFor(); valid > 0 {
		release.ValidUntil = s.gen.Date.Add(valid)
	}
	signer, err := p.repo.signer(ctx)
	if err != nil {
		return err
	}
	release.SignedBy = p.repo.announced(signer)
	text, err := release.AppendTo(nil)
	if err != nil {
		return err
	}
	signed, err := signer.ClearSign(ctx, text)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSigning, p.codename, err)
	}
	detached, err := signer.DetachSign(ctx, text)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSigning, p.codename, err)
	}
	p.repo.shared().signed.note(p.repo.now())
	s.setHeads(text, detached, signed)
	return nil
}

// headOf returns the names that the Release of a distribution bears.
func headOf(d Distribution) index.Release {
	return index.Release{
		Origin: d.Origin, Label: d.Label, Suite: d.Suite, Codename: d.Codename,
		Description: d.Description, Architectures: d.Architectures, Components: d.Components,
	}
}

// staticFiles returns the small Release file of each index directory.
func staticFiles(d Distribution) (map[string]string, error) {
	head := headOf(d)
	files := make(map[string]string)
	for _, c := range d.Components {
		for _, a := range d.Architectures {
			text, err := head.AppendPart(nil, c, a)
			if err != nil {
				return nil, err
			}
			files[indexDir(c, a)+"/Release"] = string(text)
		}
	}
	return files, nil
}

// edit takes up the changes that the Store has beyond cur.
func (p *publisher) edit(ctx context.Context, cur *snapshot, d Distribution) (map[string]*index.Log, int64, error) {
	changes, err := p.repo.Store.Changes(ctx, p.codename, cur.gen.AppliedSeq, changesPerRun)
	if err != nil {
		return nil, 0, err
	}
	logs := completeLogs(cur.logs, d)
	edits, err := editsOf(changes, d)
	if err != nil {
		return nil, 0, err
	}
	if p.repo.Offers != nil && p.repo.Offers(p.codename) {
		replaceOffers(edits)
	}
	if err := p.apply(ctx, logs, edits); err != nil {
		return nil, 0, err
	}
	applied := cur.gen.AppliedSeq
	if n := len(changes); n > 0 {
		applied = changes[n-1].Seq
	}
	return logs, applied, nil
}

// replaceOffers makes edits take out what was offered under the IDs that they
// add. It costs a look through the whole index.
func replaceOffers(edits map[string]index.Edit) {
	for dir, e := range edits {
		if e.Remove == nil {
			e.Remove = make(map[index.ID]bool)
		}
		for _, stanza := range e.Add {
			e.Remove[index.StanzaID(stanza)] = true
		}
		edits[dir] = e
	}
}

// apply changes logs in place: those that edits name.
func (p *publisher) apply(ctx context.Context, logs map[string]*index.Log, edits map[string]index.Edit) error {
	for _, dir := range slices.Sorted(maps.Keys(edits)) {
		log, err := logs[dir].Apply(ctx, p.blobs, edits[dir])
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		logs[dir] = log
	}
	return nil
}

// completeLogs copies logs and adds an empty one for each index directory of
// d that has none.
func completeLogs(logs map[string]*index.Log, d Distribution) map[string]*index.Log {
	all := make(map[string]*index.Log)
	for _, c := range d.Components {
		for _, a := range d.Architectures {
			dir := indexDir(c, a)
			if all[dir] = logs[dir]; all[dir] == nil {
				all[dir] = index.NewLog()
			}
		}
	}
	return all
}

// place is where a change bears on an index.
type place struct {
	component string
	id        index.ID
}

// place returns where the change bears on an index.
func (c *Change) place() place {
	return place{c.Component, index.ID{Package: c.Name, Version: c.Version, Architecture: c.Arch}}
}

// editsOf sums changes up into one edit for each index directory. What was
// added and removed again among them leaves no trace.
func editsOf(changes []Change, d Distribution) (map[string]index.Edit, error) {
	first := make(map[place]ChangeKind)
	last := make(map[place]int)
	for i, c := range changes {
		at := c.place()
		if _, ok := first[at]; !ok {
			first[at] = c.Kind
		}
		last[at] = i
	}
	edits := make(map[string]index.Edit)
	for i, c := range changes {
		at := c.place()
		if last[at] != i {
			continue
		}
		var stanza []byte
		if c.Kind == ChangeAdd && c.Artifact != nil {
			var err error
			if stanza, err = stanzaOf(c.Artifact); err != nil {
				return nil, err
			}
		}
		for _, dir := range dirsOf(c.Component, c.Arch, d) {
			e := edits[dir]
			if first[at] == ChangeRemove {
				if e.Remove == nil {
					e.Remove = make(map[index.ID]bool)
				}
				e.Remove[at.id] = true
			}
			if stanza != nil {
				e.Add = append(e.Add, stanza)
			}
			edits[dir] = e
		}
	}
	return edits, nil
}

// dirsOf returns the index directories that list a package: architecture
// "all" is merged into every one.
func dirsOf(component, arch string, d Distribution) []string {
	if arch != "all" {
		return []string{indexDir(component, arch)}
	}
	var dirs []string
	for _, a := range d.Architectures {
		dirs = append(dirs, indexDir(component, a))
	}
	return dirs
}

// stanzaOf renders an artifact's entry in Packages.
func stanzaOf(a *Artifact) ([]byte, error) {
	control, err := deb.ParseStanza([]byte(a.Control))
	if err != nil {
		return nil, fmt.Errorf("control of %s %s %s: %w", a.Name, a.Version, a.Arch, err)
	}
	return index.AppendStanza(nil, control, index.PackageFile{
		Filename: a.Filename, Size: a.Size, MD5: a.MD5, SHA256: a.SHA256,
	})
}
