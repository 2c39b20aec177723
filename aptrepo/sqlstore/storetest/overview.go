package storetest

import (
	"fmt"
	"math/rand/v2"

	"github.com/repod-io/repod/aptrepo"
)

var overviewRules = []rule{
	{"DayCounts", dayCounts},
	{"DayCountsOfStatus", dayCountsOfStatus},
	{"History", history},
	{"Overview", overview},
	{"OverviewLists", overviewLists},
	{"OverviewFollows", overviewFollows},
}

// oneDay is a day in seconds.
const oneDay = 86400

// audited dates an update.
func audited(tx aptrepo.Tx, second int) error {
	return tx.Audit(aptrepo.AuditEntry{Time: at(second), Action: "test", Result: aptrepo.ResultSuccess})
}

// history reads what happened since some days ago.
func (p *probe) history(days int) []aptrepo.DayCounts {
	all, err := p.s.History(p.ctx, today-aptrepo.Day(days))
	p.ok("History", err)
	return all
}

// Uploads, imports, rejections at the gate, scans, decisions and deletions.
func dayCounts(p *probe) {
	p.equal("history at first", len(p.history(30)), 0)
	p.update(func(tx aptrepo.Tx) error {
		imported := made("b 1 all")
		imported.Origin = aptrepo.OriginImport
		later := made("c 1 all")
		later.UploadedAt = at(oneDay)
		for _, a := range []*aptrepo.Artifact{made("a 1 all"), made("a 2 all"), imported, later, made("d 1 all status=rejected")} {
			if err := tx.InsertArtifact(a); err != nil {
				return err
			}
			if a.Name == "a" {
				if err := tx.PutScan(a.ID, scanOf("CVE-1 high")); err != nil {
					return err
				}
			}
		}
		return nil
	})
	first := aptrepo.DayCounts{Day: today, Uploads: 2, Imports: 1, Rejections: 1, Scans: 2}
	next := aptrepo.DayCounts{Day: today + 1, Uploads: 1}
	p.equal("after uploads", p.history(0), []aptrepo.DayCounts{first, next})
	p.is("Update", p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
		if err := tx.InsertArtifact(made("e 1 all")); err != nil {
			return err
		}
		return errWanted
	}), errWanted)
	p.equal("after an upload that failed", p.history(0), []aptrepo.DayCounts{first, next})

	a, err := p.s.Artifact(p.ctx, aptrepo.KeyOf("a", "1", "all"))
	p.ok("Artifact", err)
	d := decided("dec_1", "a 1 all", aptrepo.RulingAccepted, "CVE-1")
	settled := scanOf()
	p.update(func(tx aptrepo.Tx) error {
		if err := tx.PutDecision(d); err != nil {
			return err
		}
		return tx.PutScan(a.ID, settled) // that of before, with other counts
	})
	d.Active = false
	p.putDecisions(d)
	first.Decisions = 1
	p.equal("after a decision", p.history(0), []aptrepo.DayCounts{first, next})
	settled.ScannedAt = at(oneDay + 5)
	p.putScan(a.ID, settled)
	next.Scans = 1
	p.equal("after a scan", p.history(0), []aptrepo.DayCounts{first, next})

	p.update(func(tx aptrepo.Tx) error {
		if err := tx.DeleteArtifact(a.ID); err != nil {
			return err
		}
		return audited(tx, oneDay)
	})
	next.Deletions = 1
	p.equal("after a deletion", p.history(0), []aptrepo.DayCounts{first, next})
	p.update(func(tx aptrepo.Tx) error {
		rejected, err := tx.Artifact(aptrepo.KeyOf("d", "1", "all"))
		if err != nil {
			return err
		}
		if err := tx.DeleteArtifact(rejected.ID); err != nil {
			return err
		}
		if err := tx.InsertArtifact(made("d 0:1 all")); err != nil {
			return err
		}
		return audited(tx, oneDay)
	})
	first.Uploads++
	p.equal("after a replacement", p.history(0), []aptrepo.DayCounts{first, next})
}

// "Rejections are the artifacts that came as Rejected, or became so later."
func dayCountsOfStatus(p *probe) {
	ids := p.insert("a 1 all", "b 1 all status=pending_review")
	set := func(what string, when int, status aptrepo.Status, want int64) {
		p.update(func(tx aptrepo.Tx) error {
			for _, id := range ids {
				if err := tx.SetStatus(id, status, "decision", ""); err != nil {
					return err
				}
			}
			return audited(tx, when)
		})
		var got int64
		for _, c := range p.history(0) {
			if c.Day == aptrepo.DayOf(at(when)) {
				got = c.Rejections
			}
		}
		p.equal("rejections after "+what, got, want)
	}
	set("a quarantine", 0, aptrepo.Quarantined, 0)
	set("rejections", 0, aptrepo.Rejected, 2)
	set("the same", 0, aptrepo.Rejected, 2)
	set("an acceptance", oneDay, aptrepo.Accepted, 0)
	set("rejections of the next day", oneDay, aptrepo.Rejected, 2)
}

// "History returns the counts of a day and all later ones, by day."
func history(p *probe) {
	p.insert("a 1 all uploaded="+fmt.Sprint(-2*oneDay), "b 1 all uploaded="+fmt.Sprint(-3*oneDay), "c 1 all uploaded="+fmt.Sprint(-9*oneDay))
	p.downloaded(batchOf("x", 1, "2 a_1_all apt=1 curl=2", "1 a_1_all wget=4", "8 c_1_all apt=8"))
	all := []aptrepo.DayCounts{
		{Day: today - 9, Uploads: 1}, {Day: today - 8, Downloads: 8}, {Day: today - 3, Uploads: 1},
		{Day: today - 2, Uploads: 1, Downloads: 3}, {Day: today - 1, Downloads: 4},
	}
	p.equal("history", p.history(100), all)
	p.equal("history of a week", p.history(6), all[2:])
	p.equal("history of three days", p.history(2), all[3:])
	p.equal("history of today", len(p.history(0)), 0)
}

// midnight is that before epoch, in seconds from it.
const midnight = -10 * 3600

func (p *probe) overview() aptrepo.Overview {
	o, err := p.s.Overview(p.ctx, aptrepo.OverviewQuery{ArrivedSince: at(midnight), ExpiringBy: at(100), Newest: 3, Most: 2})
	p.ok("Overview", err)
	return o
}

// "Overview sums up what there is, at one moment."
func overview(p *probe) {
	p.equal("overview of nothing", p.overview(), aptrepo.Overview{ByStatus: map[aptrepo.Status]int{}})
	p.distributions("jammy", "noble")
	ids := p.stock("a 1 amd64 size=5 @jammy/main @noble/main @noble/extra", "a 1 arm64 size=70 @jammy/main", "b 1 all size=1000 status=pending_review",
		"c 1 all size=0 status=quarantined", "e 1 all size=20000 status=rejected", fmt.Sprintf("f 1 all size=300000 uploaded=%d", midnight-1),
		fmt.Sprintf("g 1 all size=4000000 uploaded=%d", midnight))
	p.update(func(tx aptrepo.Tx) error { return tx.SetStatus(ids["e 1 all"], aptrepo.Rejected, "cve", "") })
	p.putScan(ids["a 1 amd64"], scanOf("CVE-1 high kev", "CVE-2 low"))
	p.putScan(ids["b 1 all"], scanOf("CVE-1 critical kev", "CVE-3 critical kev", "CVE-2 negligible"))
	p.putScan(ids["e 1 all"], scanOf("CVE-4 medium", "CVE-5 unknown kev"))
	uncovered := scanOf()
	uncovered.Covered = false
	p.putScan(ids["f 1 all"], uncovered)
	got := p.overview()
	got.Expiring, got.Exploited, got.Newest = nil, nil, nil
	p.equal("overview", got, aptrepo.Overview{
		Names: 6, Artifacts: 7, SizeBytes: 4321075, Arrived: 6, Distributions: 2,
		ByStatus: map[aptrepo.Status]int{aptrepo.Indexed: 4, aptrepo.PendingReview: 1, aptrepo.Quarantined: 1, aptrepo.Rejected: 1},
		Scanned:  3, Unscanned: 4, Counts: aptrepo.SeverityCounts{Critical: 2, High: 1, Medium: 1, Low: 1, Negligible: 1, Unknown: 1},
		KEV: 4, Waiting: 1,
	})
}

// What an overview lists.
func overviewLists(p *probe) {
	p.distributions("jammy")
	ids := p.stock("b 1.9 all uploaded=3 @jammy/main", "b 1.10 all uploaded=1", "a 1 all uploaded=2 status=rejected", "c 1:2 amd64 uploaded=4",
		"d 1 all status=quarantined")
	for _, id := range ids {
		p.putScan(id, scanOf("CVE-1 high kev"))
	}
	p.putScan(ids["c 1:2 amd64"], scanOf("CVE-1 high"))
	p.update(func(tx aptrepo.Tx) error {
		return tx.SetTargets(ids["c 1:2 amd64"], []aptrepo.Publication{publication("jammy/extra", 0)})
	})
	soon, sooner, late, ended, forEver := decided("dec_1", "a 1 all", aptrepo.RulingRejected), decided("dec_2", "b 1.9 all", aptrepo.RulingAccepted),
		decided("dec_3", "b 1.9 all", aptrepo.RulingAccepted), decided("dec_4", "b 1.9 all", aptrepo.RulingAccepted), decided("dec_5", "b 1.9 all", aptrepo.RulingAccepted)
	soon.ExpiresAt, sooner.ExpiresAt, late.ExpiresAt, ended.ExpiresAt = at(100), at(99), at(101), at(98)
	ended.Active = false
	p.putDecisions(soon, sooner, late, ended, forEver)
	o := p.overview()
	p.equal("exploited", o.Exploited, []aptrepo.Key{{Name: "b", Version: "1.10", Arch: "all"}, {Name: "b", Version: "1.9", Arch: "all"}})
	var expiring []string
	for _, d := range o.Expiring {
		expiring = append(expiring, d.ID)
	}
	p.equal("expiring", expiring, []string{"dec_2", "dec_1"})
	if len(o.Newest) != 3 {
		p.errorf("%d artifacts are newest, want 3", len(o.Newest))
		return
	}
	p.equal("newest", []string{label(o.Newest[0].Artifact), label(o.Newest[1].Artifact), label(o.Newest[2].Artifact)},
		[]string{"c 1:2 amd64", "b 1.9 all", "a 1 all"})
	p.equal("where it is to be published", places(o.Newest[0].Targets), []string{"jammy/extra"})
	p.equal("where it is published", places(o.Newest[1].Artifact.Publications), []string{"jammy/main"})
}

// An overview follows every change.
func overviewFollows(p *probe) {
	p.distributions("jammy", "noble")
	r := rand.New(rand.NewPCG(6, 17))
	ids := map[string]int64{}
	for step := range 120 {
		spec := fmt.Sprintf("p%d %d all size=%d", r.IntN(6), r.IntN(3), r.IntN(1000))
		a := made(spec)
		p.update(func(tx aptrepo.Tx) error {
			id := ids[label(*a)]
			switch r.IntN(5) {
			case 0, 1:
				if id != 0 {
					return nil
				}
				if err := tx.InsertArtifact(a); err != nil {
					return err
				}
				ids[label(*a)] = a.ID
			case 2:
				if id == 0 {
					return nil
				}
				delete(ids, label(*a))
				if _, _, err := tx.RemovePublication(id, "jammy", "main"); err != nil {
					return err
				}
				return tx.DeleteArtifact(id)
			case 3:
				if id == 0 {
					return nil
				}
				_, _, err := tx.AddPublication(id, publication("jammy/main", step))
				return err
			default:
				if id == 0 {
					return nil
				}
				return tx.SetStatus(id, aptrepo.Statuses()[r.IntN(5)], "", "")
			}
			return nil
		})
		p.sameAsListings(step)
	}
}

// sameAsListings holds an overview against what it sums up.
func (p *probe) sameAsListings(step int) {
	all, err := p.s.ArtifactRows(p.ctx, aptrepo.PackageQuery{PerPage: 200})
	p.ok("ArtifactRows", err)
	names, byStatus, size := map[string]bool{}, map[aptrepo.Status]int{}, int64(0)
	for _, a := range all.Items {
		names[a.Name] = true
		byStatus[a.Status]++
		size += a.Size
	}
	o := p.overview()
	p.equal(fmt.Sprintf("names, artifacts and bytes after step %d", step), []int64{int64(o.Names), int64(o.Artifacts), o.SizeBytes},
		[]int64{int64(len(names)), int64(all.Total), size})
	p.equal(fmt.Sprintf("statuses after step %d", step), o.ByStatus, byStatus)
}
