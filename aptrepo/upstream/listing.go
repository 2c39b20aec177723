package upstream

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"os"

	"github.com/repod-io/repod/deb"
)

// A listing is the packages of verified Packages files.
type listing struct {
	run   *run
	plan  []packagesFile
	texts []*os.File

	seeds [2]maphash.Seed
	seen  map[[2]uint64]uint64 // what a package is called: its contents
	count int
	err   error // that ended the last pass
}

// all yields each package once, however many files have it, and a *Failure
// where one is not as it must be. It may be ranged over repeatedly.
func (l *listing) all(ctx context.Context) iter.Seq2[Package, error] {
	return func(yield func(Package, error) bool) {
		l.count, l.err = 0, nil
		l.seen = make(map[[2]uint64]uint64)
		l.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
		for i := range l.plan {
			stopped, err := l.file(ctx, i, yield)
			if err != nil {
				l.err = err
				yield(Package{}, err)
				return
			}
			if stopped {
				return
			}
		}
	}
}

// file yields the packages of one file that were not yielded before.
func (l *listing) file(ctx context.Context, i int, yield func(Package, error) bool) (stopped bool, err error) {
	p := &l.plan[i]
	text := io.NewSectionReader(l.texts[i], 0, p.plain.Size)
	stanzas := deb.NewStanzaReader(interrupted{ctx, text}, l.run.syncer.Limits.stanza())
	parser := stanzaParser{sourceID: l.run.source.ID, component: p.component, arch: p.arch}
	for {
		raw, err := stanzas.Next()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, l.fault(p, err)
		}
		pkg, err := parser.parse(raw)
		if err != nil {
			return false, about(p.plain.Path, err)
		}
		isNew, err := l.isNew(&pkg)
		if err != nil {
			return false, about(p.plain.Path, err)
		}
		if isNew && !yield(pkg, nil) {
			return true, nil
		}
	}
}

func (l *listing) fault(p *packagesFile, err error) error {
	var f *deb.FormatError
	switch {
	case errors.Is(err, deb.ErrTooLarge):
		return reject(TooLarge, "%s: %w", p.plain.Path, err)
	case errors.As(err, &f):
		return reject(Malformed, "%s: %w", p.plain.Path, err)
	}
	return fmt.Errorf("reading an index: %w", err)
}

// isNew notes a package. The set of those seen holds hashes of 128 bits that
// nobody outside can foresee, in place of names: some 30 bytes for each.
func (l *listing) isNew(p *Package) (bool, error) {
	var key [2]uint64
	for i, seed := range l.seeds {
		var h maphash.Hash
		h.SetSeed(seed)
		for _, part := range [...]string{p.Name, p.Version, p.Arch, p.Component} {
			h.WriteString(part)
			h.WriteByte(0)
		}
		key[i] = h.Sum64()
	}
	contents := maphash.String(l.seeds[0], p.SHA256)
	before, ok := l.seen[key]
	switch {
	case ok && before == contents:
		return false, nil
	case ok:
		return false, reject(Malformed, "package %s %s for %s is there twice, with different contents", p.Name, p.Version, p.Arch)
	case l.count >= l.run.syncer.Limits.packages():
		return false, reject(TooLarge, "more than %d packages", l.run.syncer.Limits.packages())
	}
	l.count++
	l.seen[key] = contents
	return true, nil
}
