package storetest

import (
	"fmt"
	"math"
	"strings"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

var safetyRules = []rule{
	{"ScanRoundTrip", scanRoundTrip},
	{"ScanReplaced", scanReplaced},
	{"ScanText", scanText},
	{"ScanDeleted", scanDeleted},
	{"DecisionRoundTrip", decisionRoundTrip},
	{"EachDecision", eachDecision},
	{"DecisionsExpired", decisionsExpired},
	{"SetStatus", setStatus},
	{"Targets", targets},
	{"EachInventory", eachInventory},
}

func (p *probe) putScan(id int64, s aptrepo.Scan) {
	p.update(func(tx aptrepo.Tx) error { return tx.PutScan(id, s) })
}

func (p *probe) putDecisions(list ...aptrepo.Decision) {
	p.update(func(tx aptrepo.Tx) error {
		for _, d := range list {
			if err := tx.PutDecision(d); err != nil {
				return fmt.Errorf("%s: %w", d.ID, err)
			}
		}
		return nil
	})
}

func (p *probe) scan(id int64) aptrepo.Scan {
	s, err := p.s.Scan(p.ctx, id)
	p.ok("Scan", err)
	return s
}

func scanRoundTrip(p *probe) {
	ids := p.insert("nginx 1 amd64", "curl 1 amd64")
	id := ids["nginx 1 amd64"]
	want := completeScan()
	p.putScan(id, want)
	p.equal("Scan", p.scan(id), want)
	p.update(func(tx aptrepo.Tx) error {
		got, err := tx.Scan(id)
		p.equal("Scan in a transaction", got, want)
		return err
	})
	p.equal("Scan of what was never scanned", p.scan(ids["curl 1 amd64"]), aptrepo.Scan{})
	p.equal("Scan of what is not there", p.scan(id+1000), aptrepo.Scan{})
	summaries, err := p.s.ScanSummaries(p.ctx, []int64{id, ids["curl 1 amd64"], id + 1000})
	p.ok("ScanSummaries", err)
	p.equal("ScanSummaries", summaries, map[int64]aptrepo.ScanSummary{id: want.ScanSummary})
	p.is("PutScan of what is not there", p.s.Update(p.ctx, func(tx aptrepo.Tx) error { return tx.PutScan(id+1000, want) }),
		aptrepo.ErrArtifactNotFound)
	p.putScan(id, aptrepo.Scan{})
	p.equal("Scan that knows nothing", p.scan(id), aptrepo.Scan{})
}

// A scan takes the place of the former one, and brings its findings into order.
func scanReplaced(p *probe) {
	id := p.insert("nginx 1 amd64")["nginx 1 amd64"]
	read := func() (ids []string) {
		for _, f := range p.scan(id).Findings {
			ids = append(ids, f.ID+" "+f.Package+" "+f.Description)
		}
		return ids
	}
	p.putScan(id, scanOf("C unknown", "B low package=z", "B low package=a", "A negligible", "D critical", "E medium", "F high"))
	p.equal("order of findings", read(), []string{"D src about D", "F src about F", "E src about E", "B a about B", "B z about B",
		"A src about A", "C src about C"})
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("CVE-%03d high", 299-i))
	}
	p.putScan(id, scanOf(many...))
	list := read()
	p.equal("number of findings", len(list), 300)
	for i, text := range list {
		p.equal("one of many findings", text, fmt.Sprintf("CVE-%03d src about CVE-%03d", i, i))
	}
	// One ID, several texts; one text, several artifacts.
	other := p.insert("curl 1 amd64")["curl 1 amd64"]
	s := scanOf("A high", "A high package=x")
	s.Findings[1].Description = "otherwise"
	p.putScan(id, s)
	p.putScan(other, s)
	p.putScan(other, aptrepo.Scan{})
	p.equal("texts", read(), []string{"A src about A", "A x otherwise"})
	s.Components = []scan.Component{{PURL: "pkg:b"}, {PURL: "pkg:a"}}
	p.putScan(id, s)
	p.equal("components", p.scan(id).Components, []scan.Component{{PURL: "pkg:a"}, {PURL: "pkg:b"}})
	p.putScan(id, aptrepo.Scan{ScanSummary: aptrepo.ScanSummary{ScannedAt: at(1)}})
	p.equal("emptied", p.scan(id), aptrepo.Scan{ScanSummary: aptrepo.ScanSummary{ScannedAt: at(1)}})
}

// What scanners quote may be any text; what is no scan is refused.
func scanText(p *probe) {
	id := p.insert("nginx 1 amd64")["nginx 1 amd64"]
	odd, even := "a\x00b\xffc", "a\uFFFDb\uFFFDc"
	fill := func(text string) aptrepo.Scan {
		s := completeScan()
		s.Signature, s.Engine, s.Detail = text, text, text
		f := &s.Findings[0]
		f.Package, f.Ecosystem, f.InstalledVersion, f.FixedVersion, f.Confidence, f.Description = text, text, text, text, text, text
		f.Advisories, f.URLs = []string{text}, []string{text}
		c := &s.Components[0]
		*c = scan.Component{Ecosystem: text, Name: text, Version: text, PURL: text, Paths: []string{text}, Licenses: []string{text}}
		return s
	}
	p.putScan(id, fill(odd))
	p.equal("Scan of odd text", p.scan(id), fill(even))
	for name, spoil := range map[string]func(*aptrepo.Scan){
		"no ID":        func(s *aptrepo.Scan) { s.Findings[0].ID = "" },
		"an odd ID":    func(s *aptrepo.Scan) { s.Findings[0].ID = odd },
		"a long ID":    func(s *aptrepo.Scan) { s.Findings[0].ID = strings.Repeat("x", 201) },
		"no severity":  func(s *aptrepo.Scan) { s.Findings[0].Severity = "bad" },
		"no CVSS":      func(s *aptrepo.Scan) { s.Findings[0].CVSS = number(math.NaN()) },
		"endless EPSS": func(s *aptrepo.Scan) { s.Findings[0].EPSS = number(math.Inf(1)) },
		"no EPSSMax":   func(s *aptrepo.Scan) { s.EPSSMax = number(math.NaN()) },
	} {
		s := completeScan()
		spoil(&s)
		err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error { return tx.PutScan(id, s) })
		p.is("PutScan with "+name, err, aptrepo.ErrInvalid)
	}
	p.equal("Scan after refusals", p.scan(id), fill(even))
}

// Deleting an artifact deletes what is known of it, but for the decisions.
func scanDeleted(p *probe) {
	p.distributions("jammy")
	id := p.insert("nginx 1 amd64")["nginx 1 amd64"]
	d := decided("dec_1", "nginx 1 amd64", aptrepo.RulingAccepted, "CVE-1")
	p.putScan(id, scanOf("CVE-1 high", "CVE-2 high"))
	p.putDecisions(d)
	p.update(func(tx aptrepo.Tx) error {
		p.ok("SetTargets", tx.SetTargets(id, []aptrepo.Publication{publication("jammy/main", 0)}))
		return tx.DeleteArtifact(id)
	})
	p.equal("Scan", p.scan(id), aptrepo.Scan{})
	p.equal("vulnerabilities", p.vulnerabilities(aptrepo.VulnerabilityQuery{}), []string{})
	p.equal("postures", p.postures(aptrepo.PostureQuery{}), []string{})
	p.equal("sums", p.sums(aptrepo.PostureQuery{}), "0: {Critical:0 High:0 Medium:0 Low:0 Negligible:0 Unknown:0} 0/0 0")
	p.update(func(tx aptrepo.Tx) error {
		targets, err := tx.Targets(id)
		p.equal("Targets", len(targets), 0)
		return err
	})
	list, err := p.s.Decisions(p.ctx, aptrepo.KeyOf("nginx", "1", "amd64"))
	p.ok("Decisions", err)
	p.equal("Decisions", list, []aptrepo.Decision{d})
	// What is uploaded later is of the same name, and the decision is about it too.
	id = p.insert("nginx 1 amd64")["nginx 1 amd64"]
	p.equal("Scan of the next one", p.scan(id), aptrepo.Scan{})
	p.putScan(id, scanOf("CVE-1 high", "CVE-2 high"))
	p.equal("vulnerabilities of the next one", p.vulnerabilities(aptrepo.VulnerabilityQuery{}), []string{"CVE-2 high: nginx 1 amd64 []"})
}

func eachDecision(p *probe) {
	var want []aptrepo.Decision
	for i := range 450 { // more than a store may read at once
		d := decided(fmt.Sprintf("dec_%d", 1000-i), "nginx 1.0 amd64", aptrepo.RulingAccepted)
		d.DecidedAt = at(i % 7)
		want = append(want, d)
	}
	all := func() (got []aptrepo.Decision) {
		for d, err := range p.s.EachDecision(p.ctx) {
			p.ok("EachDecision", err)
			got = append(got, d)
		}
		return got
	}
	p.equal("no decisions", len(all()), 0)
	p.putDecisions(want...)
	want[3].Active = false
	p.putDecisions(want[3])
	p.equal("all decisions", all(), want)
	for range p.s.EachDecision(p.ctx) {
		break
	}
}

func decisionRoundTrip(p *probe) {
	full := aptrepo.Decision{
		ID: "dec_8Hc1", Name: "nginx", Version: "1.0", Arch: "amd64", Ruling: aptrepo.RulingUpgradeRequired,
		Comment: "too old 🙂\nreally", Findings: []string{"CVE-2", "CVE-1"}, DecidedBy: "admin", DecidedAt: at(1), ExpiresAt: at(9), Active: true,
	}
	newer := decided("dec_2", "nginx 1.0 amd64", aptrepo.RulingRejected)
	newer.DecidedAt, newer.Active = at(5), false
	alike := newer
	alike.ID = "dec_1"
	p.putDecisions(full, newer, alike, decided("dec_3", "nginx 1.0 arm64", aptrepo.RulingAccepted),
		decided("dec_4", "nginx 1.1 amd64", aptrepo.RulingAccepted), decided("dec_5", "curl 1.0 amd64", aptrepo.RulingAccepted))
	check := func(what string, want ...aptrepo.Decision) {
		for _, version := range []string{"1.0", "0:1.0-0"} {
			key := aptrepo.Key{Name: "nginx", Version: version, Arch: "amd64"}
			got, err := p.s.Decisions(p.ctx, key)
			p.ok("Decisions", err)
			p.equal(what+", of "+version, got, want)
			p.update(func(tx aptrepo.Tx) error {
				got, err := tx.Decisions(key)
				p.equal(what+", in a transaction", got, want)
				return err
			})
		}
	}
	check("newest first, then last one first", alike, newer, full)
	full.Active, full.ExpiresAt = false, at(11)
	p.putDecisions(full)
	check("replaced", alike, newer, full)
	for _, key := range []aptrepo.Key{{}, {Name: "nginx", Version: "no version", Arch: "amd64"}, {Name: "nginx", Version: "1.0", Arch: "all"}} {
		list, err := p.s.Decisions(p.ctx, key)
		p.ok("Decisions", err)
		p.equal(fmt.Sprintf("decisions about %v", key), len(list), 0)
	}
	moved, odd, none, unruly := full, full, full, full
	moved.Arch, odd.Comment, none.Version, unruly.Ruling = "arm64", "a\x00b", "no version", "perhaps"
	for _, d := range []aptrepo.Decision{moved, odd, none, unruly} {
		p.is(fmt.Sprintf("PutDecision(%+v)", d), p.s.Update(p.ctx, func(tx aptrepo.Tx) error { return tx.PutDecision(d) }), aptrepo.ErrInvalid)
	}
	check("after refusals", alike, newer, full)
}

func decisionsExpired(p *probe) {
	for i, expires := range []int{30, 10, 20, 0, 10} {
		d := decided(fmt.Sprintf("dec_%d", i), "nginx 1 amd64", aptrepo.RulingAccepted)
		if expires > 0 {
			d.ExpiresAt = at(expires)
		}
		p.putDecisions(d)
	}
	over := decided("dec_5", "nginx 1 amd64", aptrepo.RulingAccepted)
	over.ExpiresAt, over.Active = at(1), false
	p.putDecisions(over)
	expired := func(second, limit int) (ids []string) {
		list, err := p.s.ExpiredDecisions(p.ctx, at(second), limit)
		p.ok("ExpiredDecisions", err)
		for _, d := range list {
			ids = append(ids, d.ID)
		}
		return ids
	}
	p.equal("expired too early", expired(9, 10), []string(nil))
	p.equal("expired", expired(20, 10), []string{"dec_1", "dec_4", "dec_2"})
	p.equal("the first two", expired(99, 2), []string{"dec_1", "dec_4"})
	p.equal("all that expire", expired(99, 10), []string{"dec_1", "dec_4", "dec_2", "dec_0"})
}

// A status stands with the artifact and with its publications, which the counts
// of distributions do not depend on.
func setStatus(p *probe) {
	p.distributions("jammy")
	id := p.stock("nginx 1 amd64 @jammy/main @jammy/extra", "curl 1 amd64 @jammy/main")["nginx 1 amd64"]
	before, err := p.s.Distribution(p.ctx, "jammy")
	p.ok("Distribution", err)
	p.update(func(tx aptrepo.Tx) error { return tx.SetStatus(id, aptrepo.Accepted, "decision", "risk\x00taken") })
	a, err := p.s.Artifact(p.ctx, aptrepo.KeyOf("nginx", "1", "amd64"))
	p.ok("Artifact", err)
	p.equal("Status", []any{a.Status, a.StatusReason, a.StatusDetail}, []any{aptrepo.Accepted, "decision", "risk\uFFFDtaken"})
	for _, codename := range []string{"", "jammy"} {
		for status, want := range map[aptrepo.Status][]string{aptrepo.Accepted: {"nginx 1 amd64"}, aptrepo.Indexed: {"curl 1 amd64"}} {
			page, err := p.s.ArtifactRows(p.ctx, aptrepo.PackageQuery{Distribution: codename, Status: status})
			p.ok("ArtifactRows", err)
			p.equal(fmt.Sprintf("%s in %q", status, codename), labels(page.Items), want)
			p.equal(fmt.Sprintf("posture of %s in %q", status, codename), labelsOf(p.postures(aptrepo.PostureQuery{Distribution: codename, Status: status})), want)
		}
	}
	after, err := p.s.Distribution(p.ctx, "jammy")
	p.ok("Distribution", err)
	p.equal("counts", after, before)
	for _, c := range []struct {
		id     int64
		status aptrepo.Status
		reason string
		want   error
	}{
		{id + 1000, aptrepo.Indexed, "", aptrepo.ErrArtifactNotFound}, {id, "unknown", "", aptrepo.ErrInvalid},
		{id, aptrepo.Indexed, "\x00", aptrepo.ErrInvalid},
	} {
		err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error { return tx.SetStatus(c.id, c.status, c.reason, "") })
		p.is(fmt.Sprintf("SetStatus to %q", c.status), err, c.want)
	}
}

func targets(p *probe) {
	p.distributions("focal", "jammy")
	ids := p.stock("nginx 1 amd64 status=pending_review", "curl 1 amd64 @jammy/main")
	id := ids["nginx 1 amd64"]
	set := func(places ...string) error {
		return p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
			var list []aptrepo.Publication
			for _, place := range places {
				list = append(list, publication(place, 5))
			}
			return tx.SetTargets(id, list)
		})
	}
	read := func() (out []string) {
		p.update(func(tx aptrepo.Tx) error {
			list, err := tx.Targets(id)
			for _, t := range list {
				p.equal("PublishedAt of a target", t.PublishedAt.IsZero(), true)
			}
			out = places(list)
			return err
		})
		return out
	}
	p.equal("no targets", read(), []string{})
	p.ok("SetTargets", set("jammy/main", "focal/main", "jammy/extra", "jammy/main"))
	p.equal("targets", read(), []string{"focal/main", "jammy/extra", "jammy/main"})
	p.equal("bound for jammy", p.postures(aptrepo.PostureQuery{Distribution: "jammy"}), []string{
		"curl 1 amd64 [] ", "nginx 1 amd64 [focal/main jammy/extra jammy/main] "})
	p.equal("bound for focal", p.sums(aptrepo.PostureQuery{Distribution: "focal"}), "1: {Critical:0 High:0 Medium:0 Low:0 Negligible:0 Unknown:0} 0/1 0")
	p.ok("SetTargets", set("focal/main"))
	p.equal("replaced", read(), []string{"focal/main"})
	p.is("SetTargets in an unknown distribution", set("noble/main"), aptrepo.ErrUnknownDistribution)
	p.is("SetTargets of an unknown artifact", p.s.Update(p.ctx, func(tx aptrepo.Tx) error { return tx.SetTargets(id+1000, nil) }),
		aptrepo.ErrArtifactNotFound)
	p.equal("after refusals", read(), []string{"focal/main"})
	p.ok("SetTargets", set())
	p.equal("none", read(), []string{})
	p.equal("in focal then", p.postures(aptrepo.PostureQuery{Distribution: "focal"}), []string{})
}

// Everything but malware, once, also at the edges of pages.
func eachInventory(p *probe) {
	p.distributions("jammy")
	const n = 405
	var specs []string
	for i := range n {
		specs = append(specs, fmt.Sprintf("p%03d 1 all", i))
	}
	ids := p.insert(specs...)
	full := completeScan()
	id := ids["p007 1 all"]
	p.putScan(id, full)
	p.publish(id, 0, "jammy/main")
	p.update(func(tx aptrepo.Tx) error {
		p.ok("SetTargets", tx.SetTargets(ids["p008 1 all"], []aptrepo.Publication{publication("jammy/main", 0)}))
		p.ok("PutScan", tx.PutScan(ids["p009 1 all"], full)) // infected
		p.ok("SetStatus", tx.SetStatus(ids["p009 1 all"], aptrepo.Quarantined, "manual", ""))
		p.ok("SetStatus", tx.SetStatus(ids["p010 1 all"], aptrepo.Rejected, "malware", ""))
		return tx.SetStatus(ids["p011 1 all"], aptrepo.Quarantined, "manual", "")
	})
	var names []string
	for one, err := range p.s.EachInventory(p.ctx) {
		p.ok("EachInventory", err)
		names = append(names, label(one.Artifact))
		want := aptrepo.StoredInventory{Artifact: one.Artifact}
		switch one.Artifact.Name {
		case "p007":
			a, err := p.s.Artifact(p.ctx, one.Artifact.Key())
			p.ok("Artifact", err)
			want = aptrepo.StoredInventory{Artifact: a, Official: true, Components: full.Components, DataGeneration: full.DataGeneration}
		case "p008":
			want.Targets = []aptrepo.Publication{{Distribution: "jammy", Component: "main"}}
		}
		p.equal("inventory of "+one.Artifact.Name, one, want)
	}
	p.equal("EachInventory", names, append(specs[:9:9], specs[11:]...))
	p.equal("a published one has its publications", len(names), n-2)
	for range p.s.EachInventory(p.ctx) {
		break
	}
}
