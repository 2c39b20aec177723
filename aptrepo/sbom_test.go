package aptrepo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/ProtonMail/go-crypto/openpgp"
	"pgregory.net/rapid"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/sbom"
	"github.com/repod-io/repod/sbom/sbomtest"
	"github.com/repod-io/repod/scan"
)

// A stocktaker is a scanner that finds a library in packages with usr/bin/app.
type stocktaker struct{}

func (stocktaker) Name() string { return "stocktaker" }

func (stocktaker) Begin(context.Context, scan.Subject) (scan.Pass, error) { return new(stock), nil }

type stock bool

func (s *stock) Open(f deb.File) (io.WriteCloser, error) {
	*s = *s || f.Path == "usr/bin/app"
	return nil, nil
}

func (*stock) Abort() {}
func (s *stock) Finish(error) scan.Report {
	if !*s {
		return scan.Report{}
	}
	return scan.Report{Components: []scan.Component{{
		Ecosystem: "Go", Name: "example.org/lib", Version: "v1.0.0", PURL: "pkg:golang/example.org/lib@v1.0.0", Paths: []string{"usr/bin/app"},
	}}}
}

// bill makes a bill and checks it.
func (f *fixture) bill(t testing.TB, q aptrepo.BillQuery) ([]byte, aptrepo.Bill) {
	t.Helper()
	q.BaseURL, q.Author.Email = "https://repo.example", "apt@repo.example"
	var doc bytes.Buffer
	out, err := f.SBOM(f.ctx, &doc, q)
	if err != nil {
		t.Fatal(err)
	}
	if err := sbomtest.CheckReferences(doc.Bytes()); err != nil {
		t.Errorf("%s: %v", q.Format, err)
	}
	if err := sbomtest.Validate(doc.Bytes()); err != nil && !errors.Is(err, sbomtest.ErrNoSchema) {
		t.Errorf("%s: %v", q.Format, err)
	}
	if tag, err := f.BillTag(f.ctx, q); err != nil || tag != out.Tag {
		t.Errorf("BillTag: %q, %v, want %q", tag, err, out.Tag)
	}
	return doc.Bytes(), out
}

// decoded reads a CycloneDX document.
func decoded(t testing.TB, doc []byte) *cdx.BOM {
	t.Helper()
	bom := new(cdx.BOM)
	if err := cdx.NewBOMDecoder(bytes.NewReader(doc), cdx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	return bom
}

// stocked is a repository with packages that depend on each other.
func stocked(t *testing.T) *guarded {
	g := newGuarded(t)
	g.Scanners = append(g.Scanners, stocktaker{})
	g.known.set("app",
		scan.Finding{ID: "CVE-2026-1", Severity: scan.Medium, Package: "app", FixState: scan.NotFixed, Gates: true},
		scan.Finding{ID: "GHSA-1", Severity: scan.High, Package: "example.org/lib", Ecosystem: "Go", InstalledVersion: "v1.0.0",
			FixState: scan.Fixed, FixedVersion: "v1.0.1", Gates: true})
	for _, p := range []debtest.Package{
		{Name: "app", Version: "1:2.0~rc1+b1", Files: map[string]string{"usr/bin/app": "x"}, Fields: []string{
			"Source: app (1:2.0~rc1)", "Maintainer: Jane Doe <jane@example.com>", "Homepage: https://app.example",
			"Pre-Depends: lib (>= 1)", "Depends: mta | nothing, lib, missing (= 1) | other, tool-all"}},
		{Name: "lib", Version: "1.0", Fields: []string{"Section: libs"}},
		{Name: "exim", Version: "4", Fields: []string{"Provides: mta"}},
		{Name: "tool-all", Version: "1", Arch: "all"},
	} {
		if _, err := g.try(t, p.Build(), "jammy"); err != nil && !errors.Is(err, aptrepo.ErrVulnerable) {
			t.Fatal(err)
		}
	}
	g.publish(t, debtest.Package{Name: "lib", Version: "1.0", Fields: []string{"Section: libs"}}.Build(), "focal")
	if _, err := g.Decide(g.ctx, aptrepo.DecideOptions{
		Selection: aptrepo.Selection{Name: "app", Version: "1:2.0~rc1+b1"}, Ruling: aptrepo.RulingNotAffected, Comment: "not called", Findings: []string{"GHSA-1"},
	}); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestSBOM(t *testing.T) {
	g := stocked(t)
	doc, out := g.bill(t, aptrepo.BillQuery{Distribution: "jammy"})
	if out.Total != 4 || out.Shown != 4 || out.MediaType != "application/vnd.cyclonedx+json; version=1.6" {
		t.Errorf("%+v", out)
	}
	bom := decoded(t, doc)
	var names []string
	for _, c := range *bom.Components {
		names = append(names, c.PackageURL)
	}
	const app = "pkg:deb/repod/app@1%3A2.0~rc1%2Bb1?arch=amd64&distro=jammy"
	want := []string{app, "pkg:deb/repod/exim@4?arch=amd64&distro=jammy", "pkg:deb/repod/lib@1.0?arch=amd64&distro=jammy",
		"pkg:deb/repod/tool-all@1?arch=all&distro=jammy"}
	if !slices.Equal(names, want) {
		t.Errorf("components %q\nwant %q", names, want)
	}
	c := (*bom.Components)[0]
	if c.Supplier == nil || c.Supplier.Name != "Jane Doe" || c.Pedigree == nil || (*c.Pedigree.Ancestors)[0].PackageURL !=
		"pkg:deb/repod/app@1%3A2.0~rc1?arch=source&distro=jammy" || c.Components == nil || len(*c.Components) != 1 {
		t.Errorf("app is %+v", c)
	}
	for _, d := range *bom.Dependencies {
		if d.Ref != c.BOMRef {
			continue
		}
		needs := slices.Sorted(slices.Values(*d.Dependencies))
		for i, ref := range needs {
			for _, other := range *bom.Components {
				if other.BOMRef == ref {
					needs[i] = other.Name
				}
			}
		}
		if got := strings.Join(needs, " "); !strings.Contains(got, "exim lib tool-all") {
			t.Errorf("app depends on %q", got)
		}
	}
	var flaws []string
	for _, v := range *bom.Vulnerabilities {
		state := ""
		if v.Analysis != nil {
			state = string(v.Analysis.State) + " " + v.Analysis.Detail
		}
		flaws = append(flaws, v.ID+" "+state+" "+(*v.Affects)[0].Ref)
	}
	if len(flaws) != 2 || flaws[0] != "GHSA-1 not_affected not called "+(*c.Components)[0].BOMRef || flaws[1] != "CVE-2026-1  "+c.BOMRef {
		t.Errorf("vulnerabilities %q", flaws)
	}
	for _, format := range []sbom.Format{sbom.CycloneDX, sbom.SPDX} {
		for _, version := range sbom.Versions(format) {
			for _, codename := range []string{"", "jammy", "focal"} {
				doc, _ := g.bill(t, aptrepo.BillQuery{Format: format, Version: version, Distribution: codename})
				if err := sbomtest.Check(doc); err != nil {
					t.Errorf("%s %s of %q: %v", format, version, codename, err)
				}
			}
		}
	}
	_, err := g.SBOM(g.ctx, io.Discard, aptrepo.BillQuery{Distribution: "nowhere"})
	if !errors.Is(err, aptrepo.ErrUnknownDistribution) {
		t.Errorf("of an unknown distribution: %v", err)
	}
}

func TestSBOMOfAll(t *testing.T) {
	g := stocked(t)
	doc, out := g.bill(t, aptrepo.BillQuery{})
	if bom := decoded(t, doc); len(*bom.Components) != 5 || out.Total != 5 {
		t.Errorf("%d components, %+v", len(*bom.Components), out)
	}
}

// A preview is a bill of fewer packages, and nothing in it names others.
func TestSBOMPreview(t *testing.T) {
	g := stocked(t)
	for _, format := range []sbom.Format{sbom.CycloneDX, sbom.SPDX} {
		for limit := 1; limit < 7; limit++ {
			doc, out := g.bill(t, aptrepo.BillQuery{Format: format, Limit: limit})
			var got struct{ Components, Packages []json.RawMessage }
			if err := json.Unmarshal(doc, &got); err != nil {
				t.Fatal(err)
			}
			if n := len(got.Components) + len(got.Packages); n != min(limit, 5) || out.Shown != n || out.Total != 5 {
				t.Errorf("%s: %d packages, %+v, want %d", format, n, out, min(limit, 5))
			}
		}
	}
	if _, out := g.bill(t, aptrepo.BillQuery{Arch: "all", Limit: 5}); out.Total != 1 || out.Shown != 1 {
		t.Errorf("of all: %+v", out)
	}
}

func TestPackageSBOM(t *testing.T) {
	g := stocked(t)
	pkg := func(s aptrepo.Selection, q aptrepo.BillQuery) []byte {
		t.Helper()
		q.BaseURL, q.Author.Email = "https://repo.example", "apt@repo.example"
		var doc bytes.Buffer
		if _, err := g.PackageSBOM(g.ctx, &doc, s, q); err != nil {
			t.Fatal(err)
		}
		check := sbomtest.Check
		if s.Name == "bad" { // of which there is no file to fetch
			check = sbomtest.CheckReferences
		}
		if err := check(doc.Bytes()); err != nil {
			t.Error(err)
		}
		if err := sbomtest.Validate(doc.Bytes()); err != nil && !errors.Is(err, sbomtest.ErrNoSchema) {
			t.Error(err)
		}
		return doc.Bytes()
	}
	app := aptrepo.Selection{Name: "app", Version: "1:2.0~rc1+b1"}
	bom := decoded(t, pkg(app, aptrepo.BillQuery{}))
	var names []string
	for _, c := range *bom.Components {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, " "); got != "app lib exim tool-all" {
		t.Errorf("components %q", got)
	}
	if root := bom.Metadata.Component; root == nil || root.Type != cdx.ComponentTypeFile || root.Name != "app_2.0~rc1+b1_amd64.deb" {
		t.Errorf("root %+v", root)
	}
	if a, b := pkg(app, aptrepo.BillQuery{Format: sbom.SPDX}), pkg(app, aptrepo.BillQuery{Format: sbom.SPDX}); !bytes.Equal(a, b) {
		t.Error("a second bill differs")
	}

	// One that is published nowhere.
	g.known.set("bad", scan.Finding{ID: "CVE-2026-9", Severity: scan.Critical, Package: "bad", FixState: scan.NotFixed, Gates: true})
	if _, err := g.try(t, debtest.Package{Name: "bad", Fields: []string{"Depends: lib"}}.Build(), "jammy"); !errors.Is(err, aptrepo.ErrVulnerable) {
		t.Fatal(err)
	}
	bom = decoded(t, pkg(aptrepo.Selection{Name: "bad", Version: "1.0"}, aptrepo.BillQuery{}))
	if c := (*bom.Components)[0]; len(*bom.Components) != 2 || c.ExternalReferences != nil && slices.ContainsFunc(*c.ExternalReferences, func(r cdx.ExternalReference) bool {
		return r.Type == cdx.ERTypeDistribution
	}) {
		t.Errorf("components %+v", *bom.Components)
	}
	for s, want := range map[aptrepo.Selection]error{
		{Name: "nothing", Version: "1"}:          aptrepo.ErrPackageNotFound,
		{Name: "app", Version: "9"}:              aptrepo.ErrVersionNotFound,
		{Name: "lib", Version: "1.0", Arch: "x"}: aptrepo.ErrVersionNotFound,
	} {
		if _, err := g.PackageSBOM(g.ctx, io.Discard, s, aptrepo.BillQuery{}); !errors.Is(err, want) {
			t.Errorf("%v: %v, want %v", s, err, want)
		}
	}
}

// The tag differs when the bill does, and a bill that is made again is the same.
func TestBillTagModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newGuarded(t)
		type made struct {
			tag string
			doc []byte
		}
		seen := make(map[string]made) // by codename
		look := func() {
			for _, codename := range []string{"", "jammy", "focal"} {
				doc, out := g.bill(t, aptrepo.BillQuery{Distribution: codename})
				again, _ := g.bill(t, aptrepo.BillQuery{Distribution: codename})
				if !bytes.Equal(doc, again) {
					rt.Fatalf("two bills of %q:\n%s\n%s", codename, doc, again)
				}
				if last, ok := seen[codename]; ok && last.tag == out.Tag && !bytes.Equal(last.doc, doc) {
					rt.Fatalf("bills of %q with one tag:\n%s\n%s", codename, last.doc, doc)
				}
				seen[codename] = made{out.Tag, doc}
			}
		}
		look()
		names := rapid.SampledFrom([]string{"a", "b"})
		codenames := rapid.SampledFrom([]string{"jammy", "focal"})
		rt.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { look() },
			"publish": func(rt *rapid.T) {
				_, _ = g.Publish(g.ctx, bytes.NewReader(debtest.Package{Name: names.Draw(rt, "name")}.Build()),
					aptrepo.PublishOptions{Distribution: codenames.Draw(rt, "codename")})
			},
			"promote": func(rt *rapid.T) {
				_, _ = g.Promote(g.ctx, aptrepo.PromoteOptions{Selection: aptrepo.Selection{Name: names.Draw(rt, "name"), Version: "1.0"}, From: "jammy", To: "focal"})
			},
			"news": func(rt *rapid.T) {
				severity := rapid.SampledFrom([]scan.Severity{scan.Low, scan.Medium, scan.High}).Draw(rt, "severity")
				g.known.set(names.Draw(rt, "name"), scan.Finding{ID: "CVE-2026-1", Severity: severity, Package: "x", FixState: scan.NotFixed, Gates: true})
				if _, err := g.Rematch(g.ctx, nil); err != nil {
					rt.Fatal(err)
				}
			},
			"decide": func(rt *rapid.T) {
				ruling := rapid.SampledFrom([]aptrepo.Ruling{aptrepo.RulingAccepted, aptrepo.RulingNotAffected, aptrepo.RulingRejected}).Draw(rt, "ruling")
				_, _ = g.Decide(g.ctx, aptrepo.DecideOptions{Selection: aptrepo.Selection{Name: names.Draw(rt, "name"), Version: "1.0"}, Ruling: ruling, Comment: "x"})
			},
			"rescan": func(rt *rapid.T) {
				_, _ = g.Rescan(g.ctx, aptrepo.Selection{Name: names.Draw(rt, "name"), Version: "1.0"})
			},
			"time": func(*rapid.T) { g.clock.move(time.Hour) },
			"delete": func(rt *rapid.T) {
				_, _ = g.Delete(g.ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: names.Draw(rt, "name"), Version: "1.0"}, Forget: true})
			},
		})
	})
}

// Published bills are those that SBOM writes, signed by the key that clients trust,
// made again when something has changed only, and gone when they are withdrawn.
func TestPublishBills(t *testing.T) {
	g := stocked(t)
	q := aptrepo.BillQuery{BaseURL: "https://repo.example", Author: sbom.Contact{Email: "apt@repo.example"}, TempDir: t.TempDir()}
	read := func(name string) string {
		t.Helper()
		f, err := g.OpenFile(g.ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		body, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	publish := func() {
		t.Helper()
		if err := g.PublishBills(g.ctx, q); err != nil {
			t.Fatal(err)
		}
		keys, err := g.Keys(g.ctx)
		if err != nil {
			t.Fatal(err)
		}
		ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(keys.Armored))
		if err != nil {
			t.Fatal(err)
		}
		for name, format := range map[string]sbom.Format{"jammy.cdx.json": sbom.CycloneDX, "focal.spdx.json": sbom.SPDX} {
			want, _ := g.bill(t, aptrepo.BillQuery{Format: format, Distribution: strings.Split(name, ".")[0]})
			doc := read(name)
			if doc != string(want) {
				t.Errorf("%s is\n%s\nwant\n%s", name, doc, want)
			}
			if _, err := openpgp.CheckArmoredDetachedSignature(ring, strings.NewReader(doc), strings.NewReader(read(name+".asc")), nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	publish()
	before := read("jammy.cdx.json.asc")
	g.clock.move(time.Hour)
	publish()
	if read("jammy.cdx.json.asc") != before {
		t.Error("a bill that had not changed was made again")
	}
	g.publish(t, debtest.Package{Name: "new"}.Build(), "jammy")
	publish()
	if read("jammy.cdx.json.asc") == before {
		t.Error("a bill that has changed was not made again")
	}
	for _, name := range []string{"jammy.cdx.json.tag", "bills/jammy.cdx.json", "nowhere.cdx.json", "jammy.json"} {
		if _, err := g.OpenFile(g.ctx, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := g.WithdrawBills(g.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := g.OpenFile(g.ctx, "jammy.cdx.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after their withdrawal: %v", err)
	}
}

const copyrightFile = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n" +
	"Files: *\nCopyright: 2026 Jane Doe\nLicense: GPL-2+ or Expat\n\nFiles: data/*\nCopyright: nobody\nLicense: public-domain\n"

// Licences come from the copyright file, also where it lies in another package of
// the same source, and are read again by a rescan.
func TestSBOMLicences(t *testing.T) {
	g := newGuarded(t)
	for _, p := range []debtest.Package{
		{Name: "libapp", Fields: []string{"Source: app"}, Files: map[string]string{"usr/share/doc/libapp/copyright": copyrightFile}},
		{Name: "app-dev", Fields: []string{"Source: app"}, Files: map[string]string{"usr/x": "x"},
			Entries: []debtest.Header{{Name: "./usr/share/doc/app-dev", Type: '2', Link: "libapp"}}},
		{Name: "other", Files: map[string]string{"usr/share/doc/other/copyright": "It is free."}},
		{Name: "none", Files: map[string]string{"usr/x": "x"}},
	} {
		g.publish(t, p.Build(), "jammy")
	}
	licences := func() string {
		doc, _ := g.bill(t, aptrepo.BillQuery{Distribution: "jammy"})
		var list []string
		for _, c := range *decoded(t, doc).Components {
			expression := ""
			if c.Licenses != nil {
				expression = (*c.Licenses)[0].Expression
			}
			list = append(list, c.Name+": "+expression)
		}
		return strings.Join(list, ", ")
	}
	const expression = "(GPL-2.0-or-later OR MIT) AND LicenseRef-Debian-public-domain"
	want := "app-dev: " + expression + ", libapp: " + expression + ", none: , other: "
	if got := licences(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	doc, _ := g.bill(t, aptrepo.BillQuery{Format: sbom.SPDX, Distribution: "jammy"})
	if !bytes.Contains(doc, []byte(`"licenseId":"LicenseRef-Debian-public-domain"`)) {
		t.Errorf("the licence is not declared: %s", doc)
	}
	// As it was before licences were read.
	for _, name := range []string{"libapp", "app-dev"} {
		a, err := g.Artifact(g.ctx, aptrepo.Selection{Name: name, Version: "1.0"})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Store.Update(g.ctx, func(tx aptrepo.Tx) error { return tx.PutLicence(a.ID, aptrepo.Licence{}) }); err != nil {
			t.Fatal(err)
		}
	}
	if got := licences(); got != "app-dev: , libapp: , none: , other: " {
		t.Errorf("without licences: %s", got)
	}
	if _, err := g.RescanAll(g.ctx, "", "", nil); err != nil {
		t.Fatal(err)
	}
	if got := licences(); got != want {
		t.Errorf("after a rescan: %s", got)
	}
}

// What package copyright calls a licence, package sbom takes for one.
func TestLicenceListsAgree(t *testing.T) {
	for file, form := range map[string]string{"licenses.txt": "%s", "exceptions.txt": "GPL-2.0-only WITH %s"} {
		list, err := os.ReadFile("../deb/copyright/spdx/" + file)
		if err != nil {
			t.Fatal(err)
		}
		ids := strings.Fields(string(list))
		if len(ids) < 50 {
			t.Errorf("%s has %d identifiers", file, len(ids))
		}
		for _, id := range ids {
			if err := sbom.CheckLicense(fmt.Sprintf(form, id)); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
}
