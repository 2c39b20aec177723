package storetest

import (
	"fmt"

	"github.com/repod-io/repod/aptrepo"
)

var retentionRules = []rule{
	{"EachPublishedVersion", eachPublishedVersion},
	{"PublishedVersions", publishedVersions},
	{"Promoted", promoted},
	{"PromotedTargets", promotedTargets},
	{"RemoveAudit", removeAudit},
	{"RemoveAuditStale", removeAuditStale},
	{"RemoveAuditRollsBack", removeAuditRollsBack},
}

// published renders a publication, as "name version arch component second of n".
func published(v aptrepo.PublishedVersion) string {
	p := v.Publication
	text := fmt.Sprintf("%s %s %s %d bytes %s/%s %d of %d", v.Name, v.Version, v.Arch, v.Size, p.Distribution, p.Component,
		int(p.PublishedAt.Sub(epoch).Seconds()), v.Publications)
	if p.Promoted {
		text += " promoted"
	}
	return text
}

func (p *probe) versions(codename string) (list []string) {
	for v, err := range p.s.EachPublishedVersion(p.ctx, codename) {
		p.ok("EachPublishedVersion", err)
		list = append(list, published(v))
	}
	return list
}

// stockVersions publishes what the next two rules look at.
func (p *probe) stockVersions() map[string]int64 {
	p.distributions("focal", "jammy")
	ids := p.insert("nginx 1.10 amd64 size=5", "nginx 1.9 amd64", "nginx 1.9 all", "curl 1.0 all", "zsh 1:0~rc1 arm64", "zsh 9 arm64", "apt 1 all")
	p.publish(ids["nginx 1.10 amd64"], 7, "jammy/main", "jammy/extra", "focal/main")
	p.publish(ids["nginx 1.9 amd64"], 3, "jammy/main")
	p.publish(ids["nginx 1.9 all"], 4, "jammy/extra")
	p.publish(ids["zsh 9 arm64"], 5, "jammy/main")
	p.publish(ids["zsh 1:0~rc1 arm64"], 6, "jammy/main")
	p.publish(ids["curl 1.0 all"], 1, "focal/extra")
	return ids
}

func eachPublishedVersion(p *probe) {
	ids := p.stockVersions()
	p.equal("publications in jammy", p.versions("jammy"), []string{
		"nginx 1.10 amd64 5 bytes jammy/extra 7 of 3", "nginx 1.10 amd64 5 bytes jammy/main 7 of 3",
		"nginx 1.9 all 100 bytes jammy/extra 4 of 1", "nginx 1.9 amd64 100 bytes jammy/main 3 of 1",
		"zsh 1:0~rc1 arm64 100 bytes jammy/main 6 of 1", "zsh 9 arm64 100 bytes jammy/main 5 of 1",
	})
	p.equal("publications in a missing distribution", p.versions("noble"), []string(nil))
	for v, err := range p.s.EachPublishedVersion(p.ctx, "focal") {
		p.ok("EachPublishedVersion", err)
		p.equal("ID", v.ID, ids[v.Name+" "+v.Version+" "+v.Arch])
	}
	// The loop's body may change what is looked at.
	seen := 0
	for v, err := range p.s.EachPublishedVersion(p.ctx, "jammy") {
		p.ok("EachPublishedVersion", err)
		p.update(func(tx aptrepo.Tx) error {
			_, _, err := tx.RemovePublication(v.ID, "jammy", v.Publication.Component)
			return err
		})
		seen++
	}
	p.equal("publications seen and removed", seen, 6)
	p.equal("what is left", p.versions("jammy"), []string(nil))
}

func publishedVersions(p *probe) {
	ids := p.stockVersions()
	p.update(func(tx aptrepo.Tx) error {
		_, _, err := tx.RemovePublication(ids["nginx 1.10 amd64"], "jammy", "main")
		p.ok("RemovePublication", err)
		list := func(codename string, names ...string) (list []string) {
			found, err := tx.PublishedVersions(codename, names)
			p.ok("PublishedVersions", err)
			for _, v := range found {
				list = append(list, published(v))
			}
			return list
		}
		p.equal("of nginx and curl, after a change", list("jammy", "nginx", "curl"), []string{
			"nginx 1.10 amd64 5 bytes jammy/extra 7 of 2", "nginx 1.9 all 100 bytes jammy/extra 4 of 1", "nginx 1.9 amd64 100 bytes jammy/main 3 of 1",
		})
		p.equal("of curl in focal", list("focal", "curl", "zsh"), []string{"curl 1.0 all 100 bytes focal/extra 1 of 1"})
		p.equal("of no names", list("jammy"), []string(nil))
		return nil
	})
}

// "When it was published there already, nothing changes; p.Promoted is noted all
// the same."
func promoted(p *probe) {
	p.distributions("focal", "jammy")
	ids := p.insert("a 1 all", "b 1 all", "c 1 all")
	add := func(spec string, second int, byHand bool) (seq int64, added bool) {
		p.update(func(tx aptrepo.Tx) (err error) {
			at := publication("jammy/main", second)
			at.Promoted = byHand
			seq, added, err = tx.AddPublication(ids[spec], at)
			return err
		})
		return seq, added
	}
	add("a 1 all", 1, false)
	add("b 1 all", 2, true)
	add("c 1 all", 3, false)
	seq, added := add("a 1 all", 9, true)
	p.equal("added, and the latest change", fmt.Sprint(added, seq), "false 3")
	add("b 1 all", 9, false)
	want := []string{
		"a 1 all 100 bytes jammy/main 1 of 1 promoted", "b 1 all 100 bytes jammy/main 2 of 1 promoted", "c 1 all 100 bytes jammy/main 3 of 1",
	}
	p.equal("publications", p.versions("jammy"), want)
	for spec, is := range map[string]bool{"a": true, "b": true, "c": false} {
		a, err := p.s.Artifact(p.ctx, aptrepo.KeyOf(spec, "1", "all"))
		p.ok("Artifact", err)
		if len(a.Publications) == 1 {
			p.equal("promoted, of "+spec, a.Publications[0].Promoted, is)
		}
	}
	p.update(func(tx aptrepo.Tx) error {
		_, _, err := tx.RemovePublication(ids["b 1 all"], "jammy", "main")
		return err
	})
	add("b 1 all", 4, false)
	want[1] = "b 1 all 100 bytes jammy/main 4 of 1"
	p.equal("publications, one taken out in between", p.versions("jammy"), want)
}

func promotedTargets(p *probe) {
	p.distributions("focal", "jammy")
	id := p.insert("a 1 all status=pending_review")["a 1 all"]
	chosen := aptrepo.Publication{Distribution: "jammy", Component: "main", Promoted: true}
	other := aptrepo.Publication{Distribution: "focal", Component: "main"}
	p.update(func(tx aptrepo.Tx) error { return tx.SetTargets(id, []aptrepo.Publication{chosen, other}) })
	p.update(func(tx aptrepo.Tx) error {
		got, err := tx.Targets(id)
		p.equal("Targets", got, []aptrepo.Publication{other, chosen})
		return err
	})
}

// audited appends entries and returns all there are.
func (p *probe) audited(n int) []aptrepo.AuditEntry {
	for i := range n {
		p.update(func(tx aptrepo.Tx) error {
			return tx.Audit(aptrepo.AuditEntry{Time: at(i), Action: "test", Detail: fmt.Sprint(i)})
		})
	}
	entries, err := p.s.AuditEntries(p.ctx, 0, 1000)
	p.ok("AuditEntries", err)
	return entries
}

func (p *probe) anchor() string {
	a, err := p.s.AuditAnchor(p.ctx)
	p.ok("AuditAnchor", err)
	return fmt.Sprint(a.ID, " ", a.Hash)
}

func removeAudit(p *probe) {
	p.equal("the anchor at first", p.anchor(), "0 ")
	entries := p.audited(6)
	if len(entries) != 6 {
		p.errorf("%d entries, want 6", len(entries))
		return
	}
	remove := func(e aptrepo.AuditEntry, want int) {
		p.update(func(tx aptrepo.Tx) error {
			n, err := tx.RemoveAudit(aptrepo.AuditHead{ID: e.ID, Hash: e.Hash})
			p.equal("how many were removed", n, want)
			return err
		})
		p.equal("the anchor", p.anchor(), fmt.Sprint(e.ID, " ", e.Hash))
	}
	remove(entries[1], 2)
	remove(entries[3], 2)
	left := p.audited(2)
	prev := entries[3].Hash
	p.equal("entries left", len(left), 4)
	for i, e := range left {
		hash, err := e.Chain(prev)
		p.ok("Chain", err)
		p.equal("ID and hash of an entry behind the anchor", fmt.Sprint(e.ID, e.Hash), fmt.Sprint(5+i, hash))
		prev = e.Hash
	}
	remove(left[len(left)-1], len(left)) // all there are
	head, err := p.s.AuditHead(p.ctx)
	p.ok("AuditHead", err)
	p.equal("the head of an empty log", fmt.Sprint(head.ID, " ", head.Hash), p.anchor())
	left = p.audited(1)
	p.equal("the entry after that", len(left) == 1 && left[0].ID == 9, true)
}

func removeAuditStale(p *probe) {
	entries := p.audited(3)
	if len(entries) != 3 {
		p.errorf("%d entries, want 3", len(entries))
		return
	}
	for what, anchor := range map[string]aptrepo.AuditHead{
		"an entry that will come":   {ID: 4, Hash: entries[2].Hash},
		"no entry":                  {},
		"another's hash":            {ID: 2, Hash: entries[0].Hash},
		"an entry without its hash": {ID: 2},
	} {
		p.is("RemoveAudit of "+what, p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
			_, err := tx.RemoveAudit(anchor)
			return err
		}), aptrepo.ErrStale)
	}
	left := p.audited(0)
	p.equal("entries left", len(left), 3)
	p.equal("the anchor", p.anchor(), "0 ")
}

func removeAuditRollsBack(p *probe) {
	entries := p.audited(3)
	if len(entries) != 3 {
		p.errorf("%d entries, want 3", len(entries))
		return
	}
	p.is("Update", p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
		if _, err := tx.RemoveAudit(aptrepo.AuditHead{ID: 2, Hash: entries[1].Hash}); err != nil {
			return err
		}
		return errWanted
	}), errWanted)
	p.chain(p.audited(0), 3)
	p.equal("the anchor", p.anchor(), "0 ")
}
