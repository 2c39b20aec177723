package storetest

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

var generationRules = []rule{
	{"GenerationRoundTrip", generationRoundTrip},
	{"GenerationStale", generationStale},
	{"GenerationRace", generationRace},
	{"GenerationByHash", generationByHash},
	{"DeleteGenerations", deleteGenerations},
	{"DeleteGenerationsClock", deleteGenerationsClock},
	{"RaiseGeneration", raiseGeneration},
}

// generation makes a generation published at a second.
func generation(number int64, second int, hashes ...string) aptrepo.Generation {
	return aptrepo.Generation{
		Distribution: "jammy", Number: number, AppliedSeq: number, Date: at(second), PublishedAt: at(second + 1),
		Manifest: fmt.Sprintf("index/jammy/%d", number), Hashes: hashes,
	}
}

func (p *probe) advance(list ...aptrepo.Generation) {
	for _, g := range list {
		p.ok("AdvanceGeneration", p.s.AdvanceGeneration(p.ctx, g))
	}
}

// tidy makes generations comparable: hashes are a set.
func tidy(list ...aptrepo.Generation) []aptrepo.Generation {
	var out []aptrepo.Generation
	for _, g := range list {
		g.Hashes = sorted(g.Hashes)
		out = append(out, g)
	}
	return out
}

func generationRoundTrip(p *probe) {
	p.distributions("focal", "jammy")
	zero, err := p.s.Generation(p.ctx, "jammy")
	p.ok("Generation", err)
	p.equal("before the first", zero, aptrepo.Generation{})
	_, err = p.s.Generation(p.ctx, "unknown")
	p.is("Generation", err, aptrepo.ErrUnknownDistribution)
	err = p.s.AdvanceGeneration(p.ctx, aptrepo.Generation{Distribution: "unknown", Number: 1})
	p.is("AdvanceGeneration", err, aptrepo.ErrUnknownDistribution)

	first, second := generation(1, 10, "aa", "bb", "cc"), generation(2, 20, "bb", "dd")
	p.advance(first, second)
	current, err := p.s.Generation(p.ctx, "jammy")
	p.ok("Generation", err)
	p.equal("current generation", tidy(current), tidy(second))
	all, err := p.s.Generations(p.ctx, "jammy")
	p.ok("Generations", err)
	p.equal("generations, oldest first", tidy(all...), tidy(first, second))
	d, err := p.s.Distribution(p.ctx, "jammy")
	p.ok("Distribution", err)
	p.equal("LastPublishedAt", d.LastPublishedAt, second.PublishedAt)
	other, err := p.s.Generations(p.ctx, "focal")
	p.ok("Generations", err)
	p.equal("generations of another distribution", len(other), 0)
}

// "g.Number must be the current number plus one, else ErrStale and nothing
// changes."
func generationStale(p *probe) {
	p.distributions("jammy")
	want := generation(1, 10, "aa")
	p.advance(want)
	for _, number := range []int64{0, 1, 3} {
		err := p.s.AdvanceGeneration(p.ctx, generation(number, 50, "ee"))
		p.is(fmt.Sprintf("AdvanceGeneration of number %d", number), err, aptrepo.ErrStale)
	}
	all, err := p.s.Generations(p.ctx, "jammy")
	p.ok("Generations", err)
	p.equal("generations", tidy(all...), tidy(want))
	d, err := p.s.Distribution(p.ctx, "jammy")
	p.ok("Distribution", err)
	p.equal("LastPublishedAt", d.LastPublishedAt, want.PublishedAt)
	_, err = p.s.GenerationByHash(p.ctx, "jammy", "ee")
	p.is("GenerationByHash", err, aptrepo.ErrGenerationNotFound)
}

// Of those who publish the same number at once, one wins.
func generationRace(p *probe) {
	const n = 20
	p.distributions("jammy")
	for number := range int64(3) {
		var won atomic.Int32
		parallel(n, func(i int) {
			g := generation(number+1, i)
			err := p.s.AdvanceGeneration(p.ctx, g)
			if err == nil {
				won.Add(1)
			} else {
				p.is("AdvanceGeneration", err, aptrepo.ErrStale)
			}
		})
		p.equal("winners", won.Load(), int32(1))
	}
	all, err := p.s.Generations(p.ctx, "jammy")
	p.ok("Generations", err)
	p.equal("generations", len(all), 3)
}

// "The newest kept generation with an index file of that SHA-256": also for a
// file that came back, and in no other distribution.
func generationByHash(p *probe) {
	p.distributions("focal", "jammy")
	p.advance(generation(1, 0, "aa", "bb"), generation(2, 10, "aa", "cc"), generation(3, 20, "bb", "cc", "cc"), generation(4, 30, "dd"))
	for hash, want := range map[string]int64{"aa": 2, "bb": 3, "cc": 3, "dd": 4} {
		g, err := p.s.GenerationByHash(p.ctx, "jammy", hash)
		p.ok("GenerationByHash", err)
		p.equal("newest generation with "+hash, g.Number, want)
	}
	g, err := p.s.GenerationByHash(p.ctx, "jammy", "bb")
	p.ok("GenerationByHash", err)
	g.Hashes = nil
	p.equal("generation", g, generation(3, 20))
	for _, c := range [][2]string{{"jammy", "ee"}, {"jammy", ""}, {"focal", "aa"}, {"unknown", "aa"}, {"jammy", "a"}} {
		_, err := p.s.GenerationByHash(p.ctx, c[0], c[1])
		p.is(fmt.Sprintf("GenerationByHash(%q, %q)", c[0], c[1]), err, aptrepo.ErrGenerationNotFound)
	}
}

func numbers(list []aptrepo.Generation) []int64 {
	out := []int64{}
	for _, g := range list {
		out = append(out, g.Number)
	}
	return out
}

// forget is DeleteGenerations; it returns the numbers forgotten.
func (p *probe) forget(before time.Time) (out []aptrepo.Generation) {
	p.update(func(tx aptrepo.Tx) (err error) {
		out, err = tx.DeleteGenerations("jammy", before)
		return err
	})
	return out
}

// Forgotten are those "that are not current and were superseded before a
// time, and the changes that the current one contains".
func deleteGenerations(p *probe) {
	p.distributions("focal", "jammy")
	p.stock("a 1 all @jammy/main @focal/main", "b 1 all @jammy/main", "c 1 all @jammy/main",
		"d 1 all @jammy/main", "e 1 all @jammy/main")
	first := generation(1, 0, "aa", "bb")
	p.advance(first, generation(2, 10, "bb", "cc"), generation(3, 20, "aa", "cc"))
	p.equal("forgotten before any was superseded", numbers(p.forget(at(11))), []int64{})
	p.equal("forgotten, when 1 was superseded", tidy(p.forget(at(12))...), tidy(first))
	g, err := p.s.GenerationByHash(p.ctx, "jammy", "bb")
	p.ok("GenerationByHash of a hash that a kept generation has", err)
	p.equal("its generation", g.Number, int64(2))
	p.equal("forgotten in the end", numbers(p.forget(at(1000))), []int64{2})
	for hash, want := range map[string]error{"aa": nil, "bb": aptrepo.ErrGenerationNotFound, "cc": nil} {
		_, err := p.s.GenerationByHash(p.ctx, "jammy", hash)
		p.is("GenerationByHash of "+hash, err, want)
	}
	all, err := p.s.Generations(p.ctx, "jammy")
	p.ok("Generations", err)
	p.equal("kept", tidy(all...), tidy(generation(3, 20, "aa", "cc")))
	changes, err := p.s.Changes(p.ctx, "jammy", 0, 100)
	p.ok("Changes", err)
	var seqs []int64
	for _, c := range changes {
		seqs = append(seqs, c.Seq)
	}
	p.equal("changes kept: beyond the current generation", seqs, []int64{4, 5})
	changes, err = p.s.Changes(p.ctx, "focal", 0, 100)
	p.ok("Changes", err)
	p.equal("changes of another distribution", len(changes), 1)
	p.advance(generation(4, 40, "aa"))
	err = p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
		_, err := tx.DeleteGenerations("unknown", at(0))
		return err
	})
	p.is("DeleteGenerations", err, aptrepo.ErrUnknownDistribution)
}

// When the clock went back, a generation may go that is not the oldest.
func deleteGenerationsClock(p *probe) {
	p.distributions("jammy")
	p.advance(generation(1, 0, "aa", "bb"), generation(2, 100, "aa", "cc"), generation(3, 50, "aa"), generation(4, 200, "dd"))
	p.equal("forgotten", numbers(p.forget(at(60))), []int64{2})
	for hash, want := range map[string]int64{"aa": 3, "bb": 1, "dd": 4} {
		g, err := p.s.GenerationByHash(p.ctx, "jammy", hash)
		p.ok("GenerationByHash of "+hash, err)
		p.equal("newest kept generation with "+hash, g.Number, want)
	}
	_, err := p.s.GenerationByHash(p.ctx, "jammy", "cc")
	p.is("GenerationByHash of a forgotten one", err, aptrepo.ErrGenerationNotFound)
}

// "The current generation takes a higher number and a later Date": the next one
// follows, its files are found, and what is higher already stays.
func raiseGeneration(p *probe) {
	p.distributions("focal", "jammy")
	p.advance(generation(1, 0, "aa", "bb"), generation(2, 10, "bb", "cc"))
	raise := func(codename string, number int64, date time.Time) error {
		return p.s.Update(p.ctx, func(tx aptrepo.Tx) error { return tx.RaiseGeneration(codename, number, date) })
	}
	p.ok("RaiseGeneration", raise("jammy", 50, at(500)))
	g, err := p.s.Generation(p.ctx, "jammy")
	p.ok("Generation", err)
	want := generation(2, 10, "bb", "cc")
	want.Number, want.Date = 50, at(500)
	p.equal("the current generation", tidy(g), tidy(want))
	p.ok("RaiseGeneration to less", raise("jammy", 49, at(499)))
	g, err = p.s.Generation(p.ctx, "jammy")
	p.ok("Generation", err)
	p.equal("the current generation after raising to less", tidy(g), tidy(want))
	heads, err := p.s.Heads(p.ctx)
	p.ok("Heads", err)
	p.equal("the number that heads tell", heads["jammy"].Generation, int64(50))
	p.is("AdvanceGeneration from the former number", p.s.AdvanceGeneration(p.ctx, generation(3, 20, "cc")), aptrepo.ErrStale)
	p.ok("AdvanceGeneration from the new one", p.s.AdvanceGeneration(p.ctx, generation(51, 600, "cc", "dd")))
	for hash, number := range map[string]int64{"aa": 1, "bb": 50, "cc": 51, "dd": 51} {
		g, err := p.s.GenerationByHash(p.ctx, "jammy", hash)
		p.ok("GenerationByHash", err)
		p.equal("newest generation with "+hash, g.Number, number)
	}
	p.ok("RaiseGeneration of what was never published", raise("focal", 7, at(0)))
	heads, err = p.s.Heads(p.ctx)
	p.ok("Heads", err)
	p.equal("a distribution without a generation", heads["focal"].Generation, int64(0))
	p.is("RaiseGeneration", raise("unknown", 7, at(0)), aptrepo.ErrUnknownDistribution)
}
