package storetest

import (
	"fmt"
	"strings"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

var postureRules = []rule{
	{"FindingsSettled", findingsSettled},
	{"Vulnerabilities", vulnerabilities},
	{"VulnerabilitiesOrder", vulnerabilitiesOrder},
	{"VulnerabilitiesFilter", vulnerabilitiesFilter},
	{"PostureOrder", postureOrder},
	{"PostureQueue", postureQueue},
	{"PostureRow", postureRow},
	{"SafetyPaging", safetyPaging},
	{"SafetyRollsBack", safetyRollsBack},
	{"SafetyModel", safetyModel},
}

// renderVulnerability writes a row in one line: ID, severity and what is affected.
func renderVulnerability(r aptrepo.VulnerabilityRow) string {
	out := r.Finding.ID + " " + string(r.Finding.Severity) + ":"
	for i, a := range r.Affected {
		if i > 0 {
			out += ","
		}
		out += fmt.Sprintf(" %s %s %s %v", a.Name, a.Version, a.Arch, a.Distributions)
		if a.FixedVersion != "" {
			out += " " + a.FixedVersion
		}
	}
	return out
}

func (p *probe) vulnerabilities(q aptrepo.VulnerabilityQuery) []string {
	page, err := p.s.Vulnerabilities(p.ctx, q)
	p.ok("Vulnerabilities", err)
	out := []string{}
	for _, r := range page.Items {
		out = append(out, renderVulnerability(r))
	}
	if q.PerPage == 0 {
		p.equal(fmt.Sprintf("total of %+v", q), page.Total, len(out))
	}
	return out
}

// renderPosture writes a row in one line: artifact, targets and decision.
func renderPosture(r aptrepo.PostureRow) string {
	out := fmt.Sprintf("%s %v ", label(r.Artifact), places(r.Targets))
	if r.Decision != nil {
		out += r.Decision.ID
	}
	return out
}

func (p *probe) postures(q aptrepo.PostureQuery) []string {
	page, err := p.s.Posture(p.ctx, q)
	p.ok("Posture", err)
	out := []string{}
	for _, r := range page.Items {
		out = append(out, renderPosture(r))
	}
	if q.PerPage == 0 {
		p.equal(fmt.Sprintf("total of %+v", q), page.Total, len(out))
	}
	return out
}

// sums renders the total, the counts, scanned/unscanned and blocked.
func (p *probe) sums(q aptrepo.PostureQuery) string {
	page, err := p.s.Posture(p.ctx, q)
	p.ok("Posture", err)
	return renderSums(page)
}

func renderSums(page aptrepo.PosturePage) string {
	return fmt.Sprintf("%d: %+v %d/%d %d", page.Total, page.Counts, page.Scanned, page.Unscanned, page.Blocked)
}

// labelsOf takes from rendered rows their artifacts.
func labelsOf(rows []string) []string {
	out := []string{}
	for _, r := range rows {
		name, _, _ := strings.Cut(r, " [")
		out = append(out, name)
	}
	return out
}

// A finding is open unless an active decision that settles it names it.
func findingsSettled(p *probe) {
	ids := p.stock("nginx 1.0 amd64", "nginx 1.0 arm64")
	id := ids["nginx 1.0 amd64"]
	s := scanOf("CVE-1 high", "CVE-2 high package=a", "CVE-2 high package=b")
	p.putScan(id, s)
	p.putScan(ids["nginx 1.0 arm64"], scanOf("CVE-1 low"))
	open := func(what string, want ...string) {
		got := []string{}
		for _, line := range p.vulnerabilities(aptrepo.VulnerabilityQuery{Severities: []scan.Severity{scan.High}}) {
			got = append(got, strings.Fields(line)[0])
		}
		p.equal("open "+what, strings.Join(got, " "), strings.Join(want, " "))
		list := p.scan(id).Findings
		p.equal("findings "+what, len(list), len(s.Findings))
	}
	open("at first", "CVE-1", "CVE-2")
	d := decided("dec_1", "nginx 0:1.0 amd64", aptrepo.RulingAccepted, "CVE-2", "CVE-9")
	p.putDecisions(d)
	open("with one accepted", "CVE-1")
	p.putDecisions(decided("dec_2", "nginx 1.0 amd64", aptrepo.RulingRejected, "CVE-1"),
		decided("dec_3", "nginx 1.0 amd64", aptrepo.RulingUpgradeRequired, "CVE-1"),
		decided("dec_4", "nginx 1.0 arm64", aptrepo.RulingAccepted, "CVE-1"))
	open("with rulings that settle nothing", "CVE-1")
	p.putScan(id, s)
	open("after a scan that finds the same", "CVE-1")
	s = scanOf("CVE-1 high", "CVE-2 high package=c", "CVE-3 high")
	p.putScan(id, s)
	open("after another scan", "CVE-1", "CVE-3")
	p.putDecisions(decided("dec_5", "nginx 1.0 amd64", aptrepo.RulingNotAffected, "CVE-2", "CVE-3"))
	open("with others not affected", "CVE-1")
	d.Active = false
	p.putDecisions(d)
	open("with one superseded", "CVE-1")
	d = decided("dec_5", "nginx 1.0 amd64", aptrepo.RulingNotAffected, "CVE-2", "CVE-3")
	d.Active, d.ExpiresAt = false, at(1)
	p.putDecisions(d)
	open("with none active", "CVE-1", "CVE-2", "CVE-3")
	d.Active = true
	p.putDecisions(d)
	open("with one that has expired and is active still", "CVE-1")
}

// ward fills a store for the rules of vulnerabilities.
func (p *probe) ward() map[string]int64 {
	p.distributions("focal", "jammy")
	ids := p.stock("nginx 1.9 amd64 @focal/main @jammy/main @jammy/extra", "nginx 1.10 amd64 @jammy/main", "nginx 1.10 arm64 status=pending_review",
		"Curl 1 all @focal/main status=accepted", "zsh 1 amd64 status=rejected", "zsh 2 amd64 status=quarantined", "dash 1 amd64 @focal/main")
	for spec, findings := range map[string][]string{
		"nginx 1.9 amd64":  {"CVE-1 low cvss=9.9", "CVE-2 high fixed=2.0", "CVE-3 medium kev", "CVE-5 high cvss=5.0"},
		"nginx 1.10 amd64": {"CVE-1 high package=a", "CVE-1 low package=b fixed=3", "CVE-4 unknown", "CVE-6 high cvss=9.0"},
		"nginx 1.10 arm64": {"CVE-1 critical", "CVE-7 high kev"},
		"Curl 1 all":       {"CVE-2 high", "CVE-8 negligible", "nginx-9 high cvss=9.0"},
		"zsh 1 amd64":      {"CVE-1 critical kev", "CVE-Z critical"},
		"zsh 2 amd64":      {"CVE-1 critical kev", "CVE-Z critical"},
	} {
		p.putScan(ids[spec], scanOf(findings...))
	}
	return ids
}

var wardRows = []string{
	"CVE-1 critical: nginx 1.10 amd64 [jammy], nginx 1.10 arm64 [], nginx 1.9 amd64 [focal jammy]",
	"CVE-7 high: nginx 1.10 arm64 []",
	"CVE-6 high: nginx 1.10 amd64 [jammy]",
	"nginx-9 high: Curl 1 all [focal]",
	"CVE-5 high: nginx 1.9 amd64 [focal jammy]",
	"CVE-2 high: Curl 1 all [focal], nginx 1.9 amd64 [focal jammy] 2.0",
	"CVE-3 medium: nginx 1.9 amd64 [focal jammy]",
	"CVE-8 negligible: Curl 1 all [focal]",
	"CVE-4 unknown: nginx 1.10 amd64 [jammy]",
}

// "By severity, KEV and CVSS, the highest first, then by ID."
func vulnerabilities(p *probe) {
	p.ward()
	p.equal("all", p.vulnerabilities(aptrepo.VulnerabilityQuery{}), wardRows)
	page, err := p.s.Vulnerabilities(p.ctx, aptrepo.VulnerabilityQuery{Severities: []scan.Severity{scan.High, scan.Unknown}})
	p.ok("Vulnerabilities", err)
	p.equal("Total", page.Total, 6)
	p.equal("Summary", page.Summary, aptrepo.SeverityCounts{Critical: 1, High: 5, Medium: 1, Negligible: 1, Unknown: 1})
	p.equal("Scanned and Unscanned", []int{page.Scanned, page.Unscanned}, []int{4, 1})
	page, err = p.s.Vulnerabilities(p.ctx, aptrepo.VulnerabilityQuery{Distribution: "jammy"})
	p.ok("Vulnerabilities", err)
	p.equal("Scanned and Unscanned in jammy", []int{page.Scanned, page.Unscanned}, []int{2, 0})
	page, err = p.s.Vulnerabilities(p.ctx, aptrepo.VulnerabilityQuery{Distribution: "focal"})
	p.ok("Vulnerabilities", err)
	p.equal("Scanned and Unscanned in focal", []int{page.Scanned, page.Unscanned}, []int{2, 1})
	page, err = p.s.Vulnerabilities(p.ctx, aptrepo.VulnerabilityQuery{Q: "CVE-2", FixState: scan.Fixed})
	p.ok("Vulnerabilities", err)
	want := []aptrepo.VulnerabilityRow{{Finding: found("CVE-2 high fixed=2.0"), Affected: []aptrepo.AffectedArtifact{{
		Name: "nginx", Version: "1.9", Arch: "amd64", Distributions: []string{"focal", "jammy"}, Status: aptrepo.Indexed, FixedVersion: "2.0",
	}}}}
	p.equal("a row is whole", page.Items, want)
}

// The finding of a row is the worst one; of equal ones the first artifact's.
func vulnerabilitiesOrder(p *probe) {
	ids := p.stock("a 1 all", "b 1 all", "c 1 all", "c 2 all")
	for spec, finding := range map[string]string{
		"a 1 all": "CVE-1 high cvss=9.8 package=a", "b 1 all": "CVE-1 high kev cvss=1.0 package=b",
		"c 1 all": "CVE-1 high kev cvss=1.1 package=c1", "c 2 all": "CVE-1 high kev cvss=1.1 package=c2",
	} {
		p.putScan(ids[spec], scanOf(finding))
	}
	worst := func() string {
		page, err := p.s.Vulnerabilities(p.ctx, aptrepo.VulnerabilityQuery{})
		p.ok("Vulnerabilities", err)
		if len(page.Items) != 1 {
			p.errorf("%d rows, want 1", len(page.Items))
			return ""
		}
		return page.Items[0].Finding.Package
	}
	p.equal("worst of alike ones", worst(), "c2")
	p.putDecisions(decided("dec_1", "c 2 all", aptrepo.RulingAccepted, "CVE-1"), decided("dec_2", "c 1 all", aptrepo.RulingAccepted, "CVE-1"))
	p.equal("worst by KEV", worst(), "b")
	p.putDecisions(decided("dec_3", "b 1 all", aptrepo.RulingAccepted, "CVE-1"))
	p.equal("worst that is left", worst(), "a")
	p.update(func(tx aptrepo.Tx) error { return tx.SetStatus(ids["a 1 all"], aptrepo.Quarantined, "manual", "") })
	p.equal("none", p.vulnerabilities(aptrepo.VulnerabilityQuery{}), []string{})
	p.update(func(tx aptrepo.Tx) error { return tx.SetStatus(ids["a 1 all"], aptrepo.PendingReview, "", "") })
	p.equal("released", worst(), "a")
}

func vulnerabilitiesFilter(p *probe) {
	p.ward()
	yes, no := true, false
	r := wardRows
	for _, c := range []struct {
		q    aptrepo.VulnerabilityQuery
		want []string
	}{
		{aptrepo.VulnerabilityQuery{Severities: []scan.Severity{scan.Medium, scan.Critical}}, []string{r[0], r[6]}},
		{aptrepo.VulnerabilityQuery{Severities: []scan.Severity{scan.Low}}, []string{}},
		{aptrepo.VulnerabilityQuery{Severities: []scan.Severity{"none"}}, []string{}},
		{aptrepo.VulnerabilityQuery{FixState: scan.Fixed}, []string{"CVE-2 high: nginx 1.9 amd64 [focal jammy] 2.0", "CVE-1 low: nginx 1.10 amd64 [jammy] 3"}},
		{aptrepo.VulnerabilityQuery{FixState: scan.WontFix}, []string{}},
		{aptrepo.VulnerabilityQuery{KEV: &yes}, []string{r[1], r[6]}},
		{aptrepo.VulnerabilityQuery{KEV: &no, Severities: []scan.Severity{scan.Critical, scan.Medium}}, []string{r[0]}},
		{aptrepo.VulnerabilityQuery{Distribution: "focal"}, []string{r[3], r[4], r[5], r[6], "CVE-1 low: nginx 1.9 amd64 [focal jammy]", r[7]}},
		{aptrepo.VulnerabilityQuery{Distribution: "jammy", Q: "cve-1"}, []string{"CVE-1 high: nginx 1.10 amd64 [jammy], nginx 1.9 amd64 [focal jammy]"}},
		{aptrepo.VulnerabilityQuery{Distribution: "unknown"}, []string{}},
		{aptrepo.VulnerabilityQuery{Q: "NGINX"}, []string{r[0], r[1], r[2], r[3], r[4],
			"CVE-2 high: nginx 1.9 amd64 [focal jammy] 2.0", r[6], r[8]}},
		{aptrepo.VulnerabilityQuery{Q: "cUr"}, []string{r[3], "CVE-2 high: Curl 1 all [focal]", r[7]}},
		{aptrepo.VulnerabilityQuery{Q: "rl", Severities: []scan.Severity{scan.Negligible}}, []string{r[7]}},
		{aptrepo.VulnerabilityQuery{Q: "e-3"}, []string{r[6]}},
		{aptrepo.VulnerabilityQuery{Q: "zsh"}, []string{}},
		{aptrepo.VulnerabilityQuery{Q: "a package"}, []string{}}, // the description is not looked at
		{aptrepo.VulnerabilityQuery{Q: "%"}, []string{}},
		{aptrepo.VulnerabilityQuery{Q: "CVE_1"}, []string{}},
		{aptrepo.VulnerabilityQuery{Q: "curl\x1fa"}, []string{}},
		{aptrepo.VulnerabilityQuery{Q: "\xff"}, []string{}},
		{aptrepo.VulnerabilityQuery{Q: "nginx", KEV: &yes, Distribution: "focal", FixState: scan.NotFixed}, []string{r[6]}},
	} {
		p.equal(fmt.Sprintf("vulnerabilities of %+v", c.q), p.vulnerabilities(c.q), c.want)
	}
}

func postureOrder(p *probe) {
	p.distributions("focal", "jammy")
	ids := p.stock("a 1 all @focal/main", "b 1 all @jammy/main", "c 1 all", "d 1 all @jammy/main @jammy/extra status=accepted", "e 1 all",
		"f 1.9 all", "f 1.10 arm64", "f 1.10 amd64 status=rejected", "g 1 all", "h 1 all status=rejected", "i 1 all")
	put := func(spec string, s aptrepo.Scan, epss *float64) {
		s.EPSSMax = epss
		p.putScan(ids[spec], s)
	}
	clean, uncovered := scanOf(), scanOf()
	uncovered.Covered = false
	put("a 1 all", clean, nil)
	put("b 1 all", scanOf("CVE-1 low", "CVE-2 low"), number(0.9))
	put("c 1 all", scanOf("CVE-1 critical"), nil)
	put("d 1 all", scanOf("CVE-1 high"), number(0.5))
	put("e 1 all", scanOf("CVE-1 high kev"), number(0.1))
	put("f 1.9 all", scanOf("CVE-1 high"), number(0.6))
	put("g 1 all", uncovered, nil)
	put("h 1 all", scanOf("CVE-1 unknown", "CVE-2 unknown"), nil)
	put("i 1 all", scanOf("CVE-1 high"), number(0))
	order := "c 1 all, e 1 all, f 1.9 all, d 1 all, i 1 all, b 1 all, h 1 all, f 1.10 amd64, f 1.10 arm64, g 1 all, a 1 all"
	check := func(q aptrepo.PostureQuery, want, sums string) {
		p.equal(fmt.Sprintf("order of %+v", q), strings.Join(labelsOf(p.postures(q)), ", "), want)
		p.equal(fmt.Sprintf("sums of %+v", q), p.sums(q), sums)
	}
	check(aptrepo.PostureQuery{}, order, "11: {Critical:1 High:4 Medium:0 Low:2 Negligible:0 Unknown:2} 8/3 2")
	check(aptrepo.PostureQuery{Distribution: "jammy"}, "d 1 all, b 1 all", "2: {Critical:0 High:1 Medium:0 Low:2 Negligible:0 Unknown:0} 2/0 0")
	check(aptrepo.PostureQuery{Distribution: "focal"}, "a 1 all", "1: {Critical:0 High:0 Medium:0 Low:0 Negligible:0 Unknown:0} 1/0 0")
	check(aptrepo.PostureQuery{Status: aptrepo.Rejected}, "h 1 all, f 1.10 amd64", "2: {Critical:0 High:0 Medium:0 Low:0 Negligible:0 Unknown:2} 1/1 2")
	check(aptrepo.PostureQuery{Distribution: "jammy", Status: aptrepo.Accepted}, "d 1 all", "1: {Critical:0 High:1 Medium:0 Low:0 Negligible:0 Unknown:0} 1/0 0")
	none := "0: {Critical:0 High:0 Medium:0 Low:0 Negligible:0 Unknown:0} 0/0 0"
	check(aptrepo.PostureQuery{Distribution: "unknown"}, "", none)
	check(aptrepo.PostureQuery{Distribution: "focal", Status: aptrepo.Rejected}, "", none)
	first := func(what, want string) {
		p.equal("first "+what, strings.Join(labelsOf(p.postures(aptrepo.PostureQuery{}))[:3], ", "), want)
	}
	put("i 1 all", scanOf("CVE-1 high"), number(0.7))
	first("with a new EPSS only", "c 1 all, e 1 all, i 1 all")
	put("i 1 all", scanOf("CVE-1 high"), nil)
	s := scanOf("CVE-1 high")
	s.KEV = 2
	put("f 1.9 all", s, number(0.6))
	first("with KEV only", "c 1 all, f 1.9 all, e 1 all")
	p.update(func(tx aptrepo.Tx) error {
		_, _, err := tx.RemovePublication(ids["d 1 all"], "jammy", "main")
		p.ok("RemovePublication", err)
		_, _, err = tx.RemovePublication(ids["b 1 all"], "jammy", "main")
		return err
	})
	check(aptrepo.PostureQuery{Distribution: "jammy"}, "d 1 all", "1: {Critical:0 High:1 Medium:0 Low:0 Negligible:0 Unknown:0} 1/0 0")
	put("d 1 all", scanOf("CVE-1 medium", "CVE-2 negligible"), nil)
	check(aptrepo.PostureQuery{Distribution: "jammy"}, "d 1 all", "1: {Critical:0 High:0 Medium:1 Low:0 Negligible:1 Unknown:0} 1/0 0")
}

// "PendingReview, and Rejected for reason cve without any decision since it was
// uploaded: rejected ones first, then those uploaded longest ago."
func postureQueue(p *probe) {
	p.distributions("jammy")
	ids := p.stock("a 1 all status=pending_review uploaded=5", "b 1 all uploaded=3", "c 1 all uploaded=9", "d 1 all uploaded=2",
		"e 1 all status=pending_review uploaded=1", "f 1.0 all uploaded=1", "g 1 all uploaded=1 status=quarantined", "h 1 all")
	p.update(func(tx aptrepo.Tx) error {
		for spec, reason := range map[string]string{"b 1 all": "cve", "c 1 all": "cve", "d 1 all": "malware", "f 1.0 all": "cve"} {
			p.ok("SetStatus", tx.SetStatus(ids[spec], aptrepo.Rejected, reason, ""))
		}
		return tx.SetTargets(ids["a 1 all"], []aptrepo.Publication{publication("jammy/main", 0)})
	})
	p.putScan(ids["b 1 all"], scanOf("CVE-1 high"))
	d := decided("dec_1", "f 0:1.0-0 all", aptrepo.RulingUpgradeRequired)
	queue := func(what, want, sums string) {
		p.equal("queue "+what, strings.Join(labelsOf(p.postures(aptrepo.PostureQuery{Queue: true})), ", "), want)
		p.equal("sums of the queue "+what, p.sums(aptrepo.PostureQuery{Queue: true}), sums)
	}
	queue("at first", "f 1.0 all, b 1 all, c 1 all, e 1 all, a 1 all", "5: {Critical:0 High:1 Medium:0 Low:0 Negligible:0 Unknown:0} 1/4 3")
	p.putDecisions(d)
	queue("with a decision about an earlier upload", "f 1.0 all, b 1 all, c 1 all, e 1 all, a 1 all", "5: {Critical:0 High:1 Medium:0 Low:0 Negligible:0 Unknown:0} 1/4 3")
	d.DecidedAt = at(1)
	p.putDecisions(d)
	queue("with a decision", "b 1 all, c 1 all, e 1 all, a 1 all", "4: {Critical:0 High:1 Medium:0 Low:0 Negligible:0 Unknown:0} 1/3 2")
	d.Active = false
	p.putDecisions(d, decided("dec_2", "e 1 all", aptrepo.RulingUpgradeRequired))
	queue("with an old decision", "b 1 all, c 1 all, e 1 all, a 1 all", "4: {Critical:0 High:1 Medium:0 Low:0 Negligible:0 Unknown:0} 1/3 2")
	p.equal("queue of jammy", labelsOf(p.postures(aptrepo.PostureQuery{Queue: true, Distribution: "jammy"})), []string{"a 1 all"})
	p.equal("rejected ones in the queue", labelsOf(p.postures(aptrepo.PostureQuery{Queue: true, Status: aptrepo.Rejected})), []string{"b 1 all", "c 1 all"})
	p.update(func(tx aptrepo.Tx) error {
		p.ok("SetStatus", tx.SetStatus(ids["b 1 all"], aptrepo.Rejected, "decision", ""))
		p.ok("SetStatus", tx.SetStatus(ids["e 1 all"], aptrepo.Accepted, "decision", ""))
		return tx.DeleteArtifact(ids["c 1 all"])
	})
	queue("in the end", "a 1 all", "1: {Critical:0 High:0 Medium:0 Low:0 Negligible:0 Unknown:0} 0/1 0")
}

// A row has the artifact, its targets, its summary and the last active decision.
func postureRow(p *probe) {
	p.distributions("focal", "jammy")
	id := p.stock("nginx 0:1.0-0 amd64 @jammy/main", "nginx 1.0 arm64", "curl 1 all")["nginx 0:1.0-0 amd64"]
	full := completeScan()
	first, last, over := decided("dec_1", "nginx 1.0 amd64", aptrepo.RulingAccepted, "CVE-1"),
		decided("dec_2", "nginx 1.0 amd64", aptrepo.RulingNotAffected, "CVE-2"), decided("dec_3", "nginx 1.0 amd64", aptrepo.RulingRejected)
	last.DecidedAt, over.DecidedAt, over.Active = at(1), at(2), false
	p.putDecisions(last, first, over, decided("dec_4", "nginx 1.0 arm64", aptrepo.RulingAccepted))
	p.putScan(id, full)
	p.update(func(tx aptrepo.Tx) error {
		return tx.SetTargets(id, []aptrepo.Publication{publication("jammy/main", 0), publication("focal/main", 0)})
	})
	page, err := p.s.Posture(p.ctx, aptrepo.PostureQuery{PerPage: 1})
	p.ok("Posture", err)
	a, err := p.s.Artifact(p.ctx, aptrepo.KeyOf("nginx", "1.0", "amd64"))
	p.ok("Artifact", err)
	p.equal("row", page.Items, []aptrepo.PostureRow{{Artifact: a, Scan: full.ScanSummary, Decision: &last,
		Targets: []aptrepo.Publication{{Distribution: "focal", Component: "main"}, {Distribution: "jammy", Component: "main"}}}})
	p.equal("rows", p.postures(aptrepo.PostureQuery{}), []string{"nginx 0:1.0-0 amd64 [focal/main jammy/main] dec_2", "curl 1 all [] ", "nginx 1.0 arm64 [] dec_4"})
	p.equal("rows in focal", len(p.postures(aptrepo.PostureQuery{Distribution: "focal"})), 1)
	p.equal("rows in jammy", len(p.postures(aptrepo.PostureQuery{Distribution: "jammy"})), 1)
}

func safetyPaging(p *probe) {
	const n = 23
	for i := range n {
		id := p.stock(fmt.Sprintf("p%02d 1 all status=pending_review", i))[fmt.Sprintf("p%02d 1 all", i)]
		p.putScan(id, scanOf(fmt.Sprintf("CVE-%02d high", i)))
	}
	for page, want := range map[int]string{0: "00 09", 1: "00 09", 2: "10 19", 3: "20 22", 4: "", 1000000: ""} {
		ends := func(list []string) string {
			if len(list) == 0 {
				return ""
			}
			return list[0] + " " + list[len(list)-1]
		}
		var artifacts, queued, ids []string
		a, err := p.s.Posture(p.ctx, aptrepo.PostureQuery{Page: page, PerPage: 10})
		p.ok("Posture", err)
		for _, r := range a.Items {
			artifacts = append(artifacts, r.Artifact.Name[1:])
		}
		b, err := p.s.Posture(p.ctx, aptrepo.PostureQuery{Queue: true, Page: page, PerPage: 10})
		p.ok("Posture", err)
		for _, r := range b.Items {
			queued = append(queued, r.Artifact.Name[1:])
		}
		c, err := p.s.Vulnerabilities(p.ctx, aptrepo.VulnerabilityQuery{Page: page, PerPage: 10})
		p.ok("Vulnerabilities", err)
		for _, r := range c.Items {
			ids = append(ids, r.Finding.ID[4:])
		}
		p.equal(fmt.Sprintf("page %d", page), []string{ends(artifacts), ends(queued), ends(ids)}, []string{want, want, want})
		p.equal(fmt.Sprintf("totals of page %d", page), []int{a.Total, b.Total, c.Total, c.Summary.High}, []int{n, n, n, n})
	}
	all, err := p.s.Posture(p.ctx, aptrepo.PostureQuery{})
	p.ok("Posture", err)
	p.equal("items where no page was asked for", len(all.Items), n)
}

// What an update did is gone from the listings as well when it fails.
func safetyRollsBack(p *probe) {
	ids := p.ward()
	before := append(p.vulnerabilities(aptrepo.VulnerabilityQuery{}), p.sums(aptrepo.PostureQuery{}))
	before = append(before, p.postures(aptrepo.PostureQuery{})...)
	err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
		a := made("new 1 all")
		p.ok("InsertArtifact", tx.InsertArtifact(a))
		p.ok("PutScan", tx.PutScan(a.ID, scanOf("CVE-1 critical")))
		p.ok("PutScan", tx.PutScan(ids["nginx 1.9 amd64"], scanOf("CVE-N critical")))
		p.ok("PutDecision", tx.PutDecision(decided("dec_1", "Curl 1 all", aptrepo.RulingAccepted, "CVE-2")))
		p.ok("SetStatus", tx.SetStatus(ids["zsh 1 amd64"], aptrepo.Indexed, "", ""))
		p.ok("DeleteArtifact", tx.DeleteArtifact(ids["nginx 1.10 arm64"]))
		return errWanted
	})
	p.is("Update", err, errWanted)
	p.update(func(tx aptrepo.Tx) error { return tx.SetStatus(ids["dash 1 amd64"], aptrepo.Indexed, "", "") })
	after := append(p.vulnerabilities(aptrepo.VulnerabilityQuery{}), p.sums(aptrepo.PostureQuery{}))
	after = append(after, p.postures(aptrepo.PostureQuery{})...)
	p.equal("listings", after, before)
}
