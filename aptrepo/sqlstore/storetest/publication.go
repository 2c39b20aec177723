package storetest

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/repod-io/repod/aptrepo"
)

var publicationRules = []rule{
	{"DistributionRoundTrip", distributionRoundTrip},
	{"DistributionCounts", distributionCounts},
	{"AddPublication", addPublication},
	{"RemovePublication", removePublication},
	{"SeqWithoutGaps", seqWithoutGaps},
	{"ChangesInOrder", changesInOrder},
	{"ChangesOfDeleted", changesOfDeleted},
	{"Heads", heads},
}

func distributionRoundTrip(p *probe) {
	want := aptrepo.Distribution{
		Codename: "jammy", Description: "Jürgen's", Origin: "Org", Label: "Lab", Suite: "stable", OS: "ubuntu:22.04",
		Components: []string{"main", "extra"}, Architectures: []string{"arm64", "amd64"}, CreatedAt: at(5),
	}
	p.update(func(tx aptrepo.Tx) error {
		created, err := tx.InsertDistribution(want)
		p.equal("created", created, true)
		return err
	})
	p.distributions("focal", "zesty", "noble")
	p.update(func(tx aptrepo.Tx) error {
		created, err := tx.InsertDistribution(aptrepo.Distribution{Codename: "jammy", Label: "other"})
		p.equal("created again", created, false)
		p.ok("InsertDistribution", err)
		got, err := tx.Distribution("jammy")
		p.equal("Tx.Distribution", got, want)
		p.ok("Tx.Distribution", err)
		_, err = tx.Distribution("unknown")
		p.is("Tx.Distribution", err, aptrepo.ErrUnknownDistribution)
		return nil
	})
	got, err := p.s.Distribution(p.ctx, "jammy")
	p.ok("Distribution", err)
	p.equal("Distribution", got, want)
	_, err = p.s.Distribution(p.ctx, "unknown")
	p.is("Distribution", err, aptrepo.ErrUnknownDistribution)
	all, err := p.s.Distributions(p.ctx)
	p.ok("Distributions", err)
	var names []string
	for _, d := range all {
		names = append(names, d.Codename)
	}
	p.equal("Distributions by codename", names, []string{"focal", "jammy", "noble", "zesty"})
}

// PackageCount counts names, ArtifactCount publications, SizeBytes the
// published artifacts, each once.
func distributionCounts(p *probe) {
	p.distributions("focal", "jammy")
	count := func(when string, names, publications int, size int64) {
		d, err := p.s.Distribution(p.ctx, "jammy")
		p.ok("Distribution", err)
		p.equal("counts "+when, fmt.Sprint(d.PackageCount, d.ArtifactCount, d.SizeBytes), fmt.Sprint(names, publications, size))
	}
	ids := p.stock("nginx 1.0 amd64 size=10 @jammy/main @focal/main", "nginx 1.0 arm64 size=20 @jammy/main",
		"nginx 2.0 amd64 size=40 @jammy/main @jammy/extra", "curl 1 all size=80 @jammy/main", "zsh 1 all size=160 @focal/main")
	count("at first", 2, 5, 150)
	remove := func(what, component string) {
		p.update(func(tx aptrepo.Tx) error {
			_, _, err := tx.RemovePublication(ids[what], "jammy", component)
			return err
		})
	}
	p.publish(ids["curl 1 all"], 9, "jammy/main")
	count("after publishing again", 2, 5, 150)
	remove("nginx 2.0 amd64", "main")
	count("after removing one of two components", 2, 4, 150)
	remove("nginx 2.0 amd64", "extra")
	count("after removing the other", 2, 3, 110)
	remove("curl 1 all", "main")
	count("after removing a name", 1, 2, 30)
	remove("curl 1 all", "main")
	count("after removing it again", 1, 2, 30)
}

func addPublication(p *probe) {
	p.distributions("focal", "jammy")
	ids := p.insert("nginx 1.0 amd64")
	id := ids["nginx 1.0 amd64"]
	p.update(func(tx aptrepo.Tx) error {
		for i, c := range []struct {
			place string
			seq   int64
			added bool
		}{{"jammy/main", 1, true}, {"jammy/extra", 2, true}, {"focal/main", 1, true}, {"jammy/main", 0, false}} {
			seq, added, err := tx.AddPublication(id, publication(c.place, i))
			p.ok("AddPublication", err)
			p.equal("added in "+c.place, added, c.added)
			if added {
				p.equal("Seq in "+c.place, seq, c.seq)
			}
		}
		_, _, err := tx.AddPublication(id, publication("unknown/main", 0))
		p.is("AddPublication", err, aptrepo.ErrUnknownDistribution)
		return nil
	})
	a, err := p.s.Artifact(p.ctx, aptrepo.KeyOf("nginx", "1.0", "amd64"))
	p.ok("Artifact", err)
	p.equal("publications", a.Publications, []aptrepo.Publication{
		publication("focal/main", 2), publication("jammy/extra", 1), publication("jammy/main", 0),
	})
	changes, err := p.s.Changes(p.ctx, "jammy", 0, 10)
	p.ok("Changes", err)
	p.equal("changes of jammy", len(changes), 2)
}

func removePublication(p *probe) {
	p.distributions("focal", "jammy")
	ids := p.stock("nginx 1.0 amd64 @jammy/main @jammy/extra @focal/main")
	rows, err := p.s.ArtifactRows(p.ctx, aptrepo.PackageQuery{Distribution: "jammy"})
	p.ok("ArtifactRows", err)
	p.equal("artifacts of jammy, in two components", labels(rows.Items), []string{"nginx 1.0 amd64"})
	id := ids["nginx 1.0 amd64"]
	p.update(func(tx aptrepo.Tx) error {
		seq, removed, err := tx.RemovePublication(id, "jammy", "main")
		p.ok("RemovePublication", err)
		p.equal("removed", removed, true)
		p.equal("Seq", seq, int64(3))
		for _, place := range []string{"jammy/main", "focal/extra", "unknown/main"} {
			at := publication(place, 0)
			_, removed, err = tx.RemovePublication(id, at.Distribution, at.Component)
			p.ok("RemovePublication", err)
			p.equal("removed from "+place, removed, false)
		}
		return nil
	})
	a, err := p.s.Artifact(p.ctx, aptrepo.KeyOf("nginx", "1.0", "amd64"))
	p.ok("Artifact", err)
	p.equal("publications", places(a.Publications), []string{"focal/main", "jammy/extra"})
	rows, err = p.s.ArtifactRows(p.ctx, aptrepo.PackageQuery{Distribution: "jammy"})
	p.ok("ArtifactRows", err)
	p.equal("artifacts of jammy, left in one component", labels(rows.Items), []string{"nginx 1.0 amd64"})
	changes, err := p.s.Changes(p.ctx, "jammy", 2, 10)
	p.ok("Changes", err)
	p.equal("changes", changes, []aptrepo.Change{{
		Seq: 3, Kind: aptrepo.ChangeRemove, Component: "main", Name: "nginx", Version: "1.0", Arch: "amd64",
	}})
}

// Numbers follow the order of commits without gaps, and a reader that follows
// them misses none.
func seqWithoutGaps(p *probe) {
	const writers, each = 8, 12
	p.distributions("jammy")
	var finished atomic.Bool
	followed := make(chan []int64, 1)
	go func() {
		var seen []int64
		for last := false; ; {
			changes, err := p.s.Changes(p.ctx, "jammy", int64(len(seen)), 5)
			p.ok("Changes", err)
			for _, c := range changes {
				seen = append(seen, c.Seq)
			}
			if len(changes) == 0 && last || err != nil {
				followed <- seen
				return
			}
			last = finished.Load()
		}
	}()
	parallel(writers, func(w int) {
		for i := range each {
			err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
				a := made(fmt.Sprintf("p%d %d.0 amd64", w, i))
				if err := tx.InsertArtifact(a); err != nil {
					return err
				}
				if _, _, err := tx.AddPublication(a.ID, publication("jammy/main", i)); err != nil {
					return err
				}
				if i%4 == 0 {
					return errWanted
				}
				return nil
			})
			if i%4 != 0 {
				p.ok("Update", err)
			}
		}
	})
	finished.Store(true)
	var want []int64
	for i := range int64(writers * each * 3 / 4) {
		want = append(want, i+1)
	}
	p.equal("Seqs that a reader saw", <-followed, want)
}

func changesInOrder(p *probe) {
	p.distributions("focal", "jammy")
	ids := p.stock("nginx 1.0 amd64 @jammy/main", "curl 1.0-0 all @focal/main", "apt 2 amd64 @jammy/extra")
	p.update(func(tx aptrepo.Tx) error {
		_, _, err := tx.RemovePublication(ids["nginx 1.0 amd64"], "jammy", "main")
		return err
	})
	p.publish(ids["nginx 1.0 amd64"], 0, "jammy/main")
	render := func(after int64, limit int) (out []string) {
		changes, err := p.s.Changes(p.ctx, "jammy", after, limit)
		p.ok("Changes", err)
		for _, c := range changes {
			out = append(out, fmt.Sprintf("%d %s %s %s %s %s %t", c.Seq, c.Kind, c.Component, c.Name, c.Version, c.Arch, c.Artifact != nil))
			if c.Artifact != nil {
				p.equal("artifact of a change", label(*c.Artifact), c.Name+" "+c.Version+" "+c.Arch)
				p.equal("control of a change", c.Artifact.Control, made(label(*c.Artifact)).Control)
			}
		}
		return out
	}
	all := []string{
		"1 add main nginx 1.0 amd64 true", "2 add extra apt 2 amd64 true",
		"3 remove main nginx 1.0 amd64 false", "4 add main nginx 1.0 amd64 true",
	}
	p.equal("all changes", render(0, 100), all)
	p.equal("changes after 1, at most 2", render(1, 2), all[1:3])
	p.equal("changes after the last", len(render(4, 100)), 0)
	changes, err := p.s.Changes(p.ctx, "unknown", 0, 10)
	p.ok("Changes", err)
	p.equal("changes of an unknown distribution", len(changes), 0)
}

// An addition "whose artifact has been deleted since" has none.
func changesOfDeleted(p *probe) {
	p.distributions("jammy")
	ids := p.stock("nginx 1.0 amd64 @jammy/main")
	p.update(func(tx aptrepo.Tx) error {
		if _, _, err := tx.RemovePublication(ids["nginx 1.0 amd64"], "jammy", "main"); err != nil {
			return err
		}
		return tx.DeleteArtifact(ids["nginx 1.0 amd64"])
	})
	p.stock("nginx 1.0 amd64 @jammy/main")
	changes, err := p.s.Changes(p.ctx, "jammy", 0, 10)
	p.ok("Changes", err)
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprintf("%d %s %s %t", c.Seq, c.Kind, c.Name, c.Artifact != nil))
	}
	p.equal("changes", got, []string{"1 add nginx false", "2 remove nginx false", "3 add nginx true"})
}

func heads(p *probe) {
	p.distributions("focal", "jammy", "noble")
	p.stock("nginx 1.0 amd64 @jammy/main @jammy/extra @focal/main", "curl 1 all @jammy/main")
	p.advance(aptrepo.Generation{Distribution: "jammy", Number: 1, AppliedSeq: 2})
	got, err := p.s.Heads(p.ctx)
	p.ok("Heads", err)
	p.equal("Heads", got, map[string]aptrepo.Head{
		"focal": {LastSeq: 1}, "jammy": {Generation: 1, AppliedSeq: 2, LastSeq: 3}, "noble": {},
	})
	_, err = p.s.Heads(context.WithoutCancel(p.ctx))
	p.ok("Heads", err)
}
