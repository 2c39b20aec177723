package storetest

import (
	"fmt"
	"strings"

	"github.com/repod-io/repod/aptrepo"
)

var billRules = []rule{
	{"Licence", licence},
	{"LicenceElsewhere", licenceElsewhere},
	{"BillState", billState},
	{"View", view},
	{"ViewNamed", viewNamed},
	{"ViewDescribed", viewDescribed},
}

// described reads what is published in a distribution.
func (p *probe) described(codename, arch string, limit int) []aptrepo.Described {
	var all []aptrepo.Described
	p.ok("View", p.s.View(p.ctx, func(v aptrepo.View) error {
		for one, err := range v.DescribedIn(codename, arch, limit) {
			if err != nil {
				return err
			}
			all = append(all, one)
		}
		return nil
	}))
	return all
}

// licences renders what is published in jammy.
func (p *probe) licences() string {
	var list []string
	for _, d := range p.described("jammy", "", 0) {
		list = append(list, label(d.Artifact)+": "+d.Licence.Expression)
	}
	return strings.Join(list, ", ")
}

func putLicence(id int64, l aptrepo.Licence) func(tx aptrepo.Tx) error {
	return func(tx aptrepo.Tx) error { return tx.PutLicence(id, l) }
}

// "PutLicence records l in place of what was known. ErrArtifactNotFound."
func licence(p *probe) {
	p.distributions("jammy")
	ids := p.stock("a 1 all @jammy/main", "b 1 all @jammy/main")
	full := aptrepo.Licence{
		Expression: "MIT AND LicenseRef-x", Refs: []aptrepo.LicenceRef{{ID: "LicenseRef-x", Name: "Größe \"x\""}}, MachineReadable: true,
		SHA256: strings.Repeat("0f", 32),
	}
	p.update(putLicence(ids["a 1 all"], aptrepo.Licence{Expression: "ISC", SHA256: "00"}))
	p.update(putLicence(ids["a 1 all"], full))
	got := p.described("jammy", "", 0)
	if len(got) != 2 {
		p.errorf("%d packages are described, want 2", len(got))
		return
	}
	p.equal("the licence", got[0].Licence, full)
	p.equal("the licence of b", got[1].Licence, aptrepo.Licence{})
	p.is("PutLicence of an unknown artifact", p.s.Update(p.ctx, putLicence(99, full)), aptrepo.ErrArtifactNotFound)
	p.update(putLicence(ids["a 1 all"], aptrepo.Licence{}))
	p.equal("licences in the end", p.licences(), "a 1 all: , b 1 all: ")
	p.update(putLicence(ids["b 1 all"], full))
	p.update(func(tx aptrepo.Tx) error {
		if _, _, err := tx.RemovePublication(ids["b 1 all"], "jammy", "main"); err != nil {
			return err
		}
		return tx.DeleteArtifact(ids["b 1 all"])
	})
	p.stock("b 1 all @jammy/main")
	p.equal("licences after a deletion", p.licences(), "a 1 all: , b 1 all: ")
}

// "Licence is that of the package which has the copyright file, if that is another
// one of the same source package and version."
func licenceElsewhere(p *probe) {
	p.distributions("jammy")
	ids := make(map[string]int64)
	for _, one := range []struct{ spec, source, version string }{
		{"lib 1 amd64", "src", "1"}, {"lib 1 arm64", "src", "1"}, {"lib-dev 1 arm64", "src", "1"}, {"lib-doc 1 all", "src", "1"},
		{"other 1 amd64", "src", "2"}, {"foreign 1 amd64", "alien", "1"}, {"gone 1 amd64", "src", "1"},
	} {
		p.update(func(tx aptrepo.Tx) error {
			a := made(one.spec)
			a.Source, a.SourceVersion = one.source, one.version
			if err := tx.InsertArtifact(a); err != nil {
				return err
			}
			ids[one.spec] = a.ID
			_, _, err := tx.AddPublication(a.ID, publication("jammy/main", 0))
			return err
		})
	}
	p.update(putLicence(ids["lib 1 amd64"], aptrepo.Licence{Expression: "MIT"}))
	p.update(putLicence(ids["lib 1 arm64"], aptrepo.Licence{Expression: "ISC"}))
	for _, spec := range []string{"lib-dev 1 arm64", "lib-doc 1 all", "other 1 amd64", "foreign 1 amd64"} {
		p.update(putLicence(ids[spec], aptrepo.Licence{In: "lib"}))
	}
	p.update(putLicence(ids["gone 1 amd64"], aptrepo.Licence{In: "nowhere"}))
	p.equal("licences", p.licences(), "foreign 1 amd64: , gone 1 amd64: , lib 1 amd64: MIT, lib 1 arm64: ISC, "+
		"lib-dev 1 arm64: ISC, lib-doc 1 all: MIT, other 1 amd64: ")
	for _, d := range p.described("jammy", "", 0) {
		if d.Artifact.Name == "gone" {
			p.equal("what is not here", d.Licence, aptrepo.Licence{In: "nowhere"})
		}
	}
}

// "what a bill of materials says of it differs only where they do."
func billState(p *probe) {
	p.distributions("jammy", "noble")
	ids := p.stock("a 1 all @jammy/main", "b 1 all @noble/main", "c 1 all")
	state := func(codename string) aptrepo.BillState {
		s, err := p.s.BillState(p.ctx, codename)
		p.ok("BillState", err)
		return s
	}
	last := state("jammy")
	p.equal("state at first", last, aptrepo.BillState{Seq: 1})
	changes := func(what string, differs bool, fn func(tx aptrepo.Tx) error) {
		other := state("noble")
		p.update(fn)
		now := state("jammy")
		if (now != last) != differs || now.Revision < last.Revision {
			p.errorf("%s: state %+v, before %+v", what, now, last)
		}
		p.equal(what+": state of noble", state("noble"), other)
		last = now
	}
	a := ids["a 1 all"]
	scanned := scanOf("CVE-1 high")
	changes("scan", true, func(tx aptrepo.Tx) error { return tx.PutScan(a, scanned) })
	p.equal("time of the scan", last.At, scanned.ScannedAt)
	scanned.ScannedAt = at(5)
	changes("scan that finds the same", false, func(tx aptrepo.Tx) error { return tx.PutScan(a, scanned) })
	changes("scan that finds more", true, func(tx aptrepo.Tx) error { return tx.PutScan(a, scanOf("CVE-1 high", "CVE-2 low")) })
	d := decided("dec_1", "a 1 all", aptrepo.RulingAccepted, "CVE-1")
	d.DecidedAt = at(9)
	changes("decision", true, func(tx aptrepo.Tx) error { return tx.PutDecision(d) })
	p.equal("time of the decision", last.At, at(9))
	d.Active = false
	changes("end of the decision", true, func(tx aptrepo.Tx) error { return tx.PutDecision(d) })
	changes("status", true, func(tx aptrepo.Tx) error { return tx.SetStatus(a, aptrepo.Accepted, "decision", "") })
	changes("file", true, func(tx aptrepo.Tx) error { return tx.SetFilename(a, "pool/elsewhere.deb") })
	changes("licence", true, putLicence(a, aptrepo.Licence{Expression: "MIT"}))
	changes("the same licence", false, putLicence(a, aptrepo.Licence{Expression: "MIT"}))
	changes("what is published nowhere", false, func(tx aptrepo.Tx) error { return tx.PutScan(ids["c 1 all"], scanOf("CVE-1 high")) })
	changes("nothing", false, func(aptrepo.Tx) error { return nil })
	p.ok("AdvanceGeneration", p.s.AdvanceGeneration(p.ctx, aptrepo.Generation{Distribution: "jammy", Number: 1, AppliedSeq: 1, Date: epoch, PublishedAt: epoch}))
	if now := state("jammy"); now.Generation != last.Generation+1 {
		p.errorf("generation: state %+v, before %+v", now, last)
	}
	p.publish(ids["c 1 all"], 0, "jammy/main")
	if now := state("jammy"); now.Seq != last.Seq+1 {
		p.errorf("publication: state %+v, before %+v", now, last)
	}
	_, err := p.s.BillState(p.ctx, "nowhere")
	p.is("BillState of an unknown distribution", err, aptrepo.ErrUnknownDistribution)
}

// "View calls fn with all that is known at one moment, however long fn takes. The
// error of fn is returned as it is."
func view(p *probe) {
	p.distributions("jammy", "noble")
	ids := p.stock("a 1 all @jammy/main", "b 1 all @jammy/main")
	names := func(v aptrepo.View) string {
		var list []string
		for n, err := range v.Named("jammy") {
			p.ok("Named", err)
			list = append(list, n.Name)
		}
		return strings.Join(list, " ")
	}
	err := p.s.View(p.ctx, func(v aptrepo.View) error {
		state, err := v.BillState("jammy")
		p.ok("BillState", err)
		p.stock("c 1 all @jammy/main")
		p.update(putLicence(ids["a 1 all"], aptrepo.Licence{Expression: "MIT"}))
		p.equal("names in the view", names(v), "a b")
		after, err := v.BillState("jammy")
		p.ok("BillState", err)
		p.equal("state in the view", after, state)
		for d, err := range v.DescribedIn("jammy", "", 0) {
			p.ok("DescribedIn", err)
			p.equal("licence in the view", d.Licence, aptrepo.Licence{})
		}
		all, err := v.Distributions()
		p.ok("Distributions", err)
		p.equal("Distributions", codenames(all), []string{"jammy", "noble"})
		_, err = v.BillState("nowhere")
		p.is("BillState of an unknown distribution", err, aptrepo.ErrUnknownDistribution)
		return errWanted
	})
	if err != errWanted {
		p.errorf("View: error %v, want the function's own", err)
	}
	p.ok("View", p.s.View(p.ctx, func(v aptrepo.View) error {
		p.equal("names afterwards", names(v), "a b c")
		return nil
	}))
}

func codenames(all []aptrepo.Distribution) (list []string) {
	for _, d := range all {
		list = append(list, d.Codename)
	}
	return list
}

// "Named yields what is published in a distribution, by name, version and
// architecture, each artifact once."
func viewNamed(p *probe) {
	p.distributions("jammy", "noble")
	p.stock("b 1.10 amd64 @jammy/main @jammy/extra", "b 1.9 amd64 @jammy/main", "b 1.9 all @jammy/extra",
		"a 1 arm64 provides=mta,_lib_(=_2) @jammy/main", "c 1 all @noble/main", "d 1 all")
	p.update(func(tx aptrepo.Tx) error {
		a := made("e 1 amd64")
		a.MultiArch = "foreign"
		if err := tx.InsertArtifact(a); err != nil {
			return err
		}
		_, _, err := tx.AddPublication(a.ID, publication("jammy/main", 0))
		return err
	})
	p.ok("View", p.s.View(p.ctx, func(v aptrepo.View) error {
		var list []string
		for n, err := range v.Named("jammy") {
			p.ok("Named", err)
			list = append(list, fmt.Sprint(n))
		}
		p.equal("Named", list, []string{"{a 1 arm64  [{lib 2} {mta }]}", "{b 1.9 all  []}", "{b 1.9 amd64  []}", "{b 1.10 amd64  []}", "{e 1 amd64 foreign []}"})
		for range v.Named("jammy") {
			break
		}
		for n := range v.Named("nowhere") {
			p.errorf("Named of an unknown distribution: %v", n)
		}
		return nil
	}))
}

// "DescribedIn yields what is published in a distribution, by source package,
// source version (as texts), name, version (in dpkg's order) and architecture,
// each artifact once; the first limit of them, all if it is 0; of one architecture
// unless arch is ”."
func viewDescribed(p *probe) {
	p.distributions("jammy", "noble")
	var want []string
	p.update(func(tx aptrepo.Tx) error {
		for i := range 450 { // more than are read at a time
			want = append(want, fmt.Sprintf("p%03d 1 amd64", i))
			a := made(fmt.Sprintf("p%03d 1 amd64", 449-i))
			if err := tx.InsertArtifact(a); err != nil {
				return err
			}
			if _, _, err := tx.AddPublication(a.ID, publication("jammy/main", 0)); err != nil {
				return err
			}
		}
		return nil
	})
	p.equal("many", describedLabels(p.described("jammy", "", 0)), want)
	ids := p.stock("z 1.10 amd64 @noble/main @noble/extra", "z 1.9 amd64 @noble/main", "z 1.9 arm64 @noble/main", "y 1 all @noble/extra", "x 1 all")
	all := []string{"y 1 all", "z 1.10 amd64", "z 1.9 amd64", "z 1.9 arm64"}
	p.equal("all", describedLabels(p.described("noble", "", 0)), all) // "1.10" < "1.9" as texts of source versions
	p.equal("the first", describedLabels(p.described("noble", "", 2)), all[:2])
	p.equal("of an architecture", describedLabels(p.described("noble", "amd64", 0)), all[1:3])
	p.ok("View", p.s.View(p.ctx, func(v aptrepo.View) error {
		for arch, want := range map[string]int{"": 4, "amd64": 2, "riscv64": 0} {
			n, err := v.Count("noble", arch)
			p.ok("Count", err)
			p.equal("Count "+arch, n, want)
		}
		return nil
	}))

	id := ids["y 1 all"]
	p.putScan(id, completeScan())
	old := decided("dec_1", "y 1 all", aptrepo.RulingAccepted, "CVE-1")
	newer, ended, other := old, old, decided("dec_4", "y 2 all", aptrepo.RulingAccepted)
	newer.ID, newer.DecidedAt = "dec_2", at(2)
	ended.ID, ended.Active, ended.DecidedAt = "dec_3", false, at(1)
	p.putDecisions(old, ended, newer, other)
	p.update(putLicence(id, aptrepo.Licence{Expression: "MIT"}))
	got := p.described("noble", "", 1)
	if len(got) != 1 {
		p.errorf("%d packages are described, want 1", len(got))
		return
	}
	artifact, err := p.s.Artifact(p.ctx, aptrepo.KeyOf("y", "1", "all"))
	p.ok("Artifact", err)
	p.equal("description", got[0], aptrepo.Described{
		Artifact: artifact, Scan: completeScan(), Decisions: []aptrepo.Decision{newer, old}, Licence: aptrepo.Licence{Expression: "MIT"},
	})
	p.ok("View", p.s.View(p.ctx, func(v aptrepo.View) error {
		list, err := v.Described([]int64{ids["x 1 all"], 1 << 40, id})
		p.equal("Described", describedLabels(list), []string{"x 1 all", "y 1 all"})
		return err
	}))
}

func describedLabels(all []aptrepo.Described) (list []string) {
	for _, d := range all {
		list = append(list, label(d.Artifact))
	}
	return list
}
