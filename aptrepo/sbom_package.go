package aptrepo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo/resolve"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/sbom"
	"github.com/repod-io/repod/scan"
)

// A biller describes the packages of one distribution.
type biller struct {
	distribution Distribution // the zero one for what is published nowhere
	base         string
	index        *resolve.Index // what meets dependencies; nil: nobody knows
}

// writePackage writes the bill of the first one, with the others beside it.
func (b *biller) writePackage(w io.Writer, q BillQuery, all []Described) (Bill, error) {
	one := &all[0]
	a := &one.Artifact
	made := latest(a.UploadedAt, one.Scan.ScannedAt)
	state := fmt.Sprintf("%s %s %s %d %s", b.purl(a.Name, a.Version, a.Arch), a.SHA256, a.Status, one.Scan.ScannedAt.Unix(), q.tag())
	var packages []sbom.Package
	for i := range all {
		for _, d := range all[i].Decisions {
			made = latest(made, d.DecidedAt)
		}
		packages = append(packages, b.packageOf(&all[i]))
	}
	doc := q.document(state, made)
	doc.Name = fmt.Sprintf("SBOM of %s %s %s", a.Name, a.Version, a.Arch)
	p := &packages[0]
	doc.Root = sbom.Root{
		File: true, Name: cmp.Or(p.Filename, a.Name), Version: a.Version, PURL: "", Supplier: p.Maintainer, Hashes: p.Hashes,
		Contains: []string{p.PURL},
	}
	doc.Completeness = sbom.Complete
	out := Bill{MediaType: doc.MediaType(), Total: len(packages), Shown: len(packages)}
	return out, sbom.Write(w, doc, func(yield func(sbom.Package, error) bool) {
		for _, p := range packages {
			if !yield(p, nil) {
				return
			}
		}
	})
}

// needs finds what meets the dependencies of an artifact, which is then in the
// index. It returns the IDs.
func (b *biller) needs(ctx context.Context, store Store, a *Artifact) ([]int64, error) {
	var names []string
	for alternatives := range dependencies(a) {
		for _, d := range alternatives {
			names = append(names, d.Name)
		}
	}
	slices.Sort(names)
	found, err := store.Providers(ctx, b.distribution.Codename, slices.Compact(names))
	if err != nil {
		return nil, err
	}
	var all []*resolve.Package
	byPackage := make(map[*resolve.Package]int64)
	for i := range found {
		p, err := resolvable(&found[i])
		if err != nil {
			return nil, err
		}
		all = append(all, p)
		byPackage[p] = found[i].ID
	}
	b.index = resolve.NewIndex(all)
	var ids []int64
	for alternatives := range dependencies(a) {
		if p := b.index.Meet(alternatives, a.Arch); p != nil && byPackage[p] != a.ID && !slices.Contains(ids, byPackage[p]) {
			ids = append(ids, byPackage[p])
		}
	}
	return ids, nil
}

// resolvable is an artifact as something that meets relations.
func resolvable(a *Artifact) (*resolve.Package, error) {
	version, err := deb.ParseVersion(a.Version)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", a.Name, a.Version, err)
	}
	p := &resolve.Package{Name: a.Name, Version: version, Arch: a.Arch, MultiArch: a.MultiArch, Ref: a.Version}
	if control, err := deb.ParseStanza([]byte(a.Control)); err == nil {
		if provides, err := relationsOf(control, "Provides"); err == nil {
			p.Provides = provides
		}
	}
	return p, nil
}

// dependencies yields the relations of Pre-Depends and Depends.
func dependencies(a *Artifact) iter.Seq[deb.Alternatives] {
	return func(yield func(deb.Alternatives) bool) {
		control, err := deb.ParseStanza([]byte(a.Control))
		if err != nil {
			return // the gate let it in: there are none to be relied on
		}
		for _, field := range []string{"Pre-Depends", "Depends"} {
			relations, err := relationsOf(control, field)
			if err != nil {
				continue
			}
			for _, alternatives := range relations {
				if !yield(alternatives) {
					return
				}
			}
		}
	}
}

// packageOf says of an artifact what a bill says.
func (b *biller) packageOf(one *Described) sbom.Package {
	a := &one.Artifact
	p := sbom.Package{
		PURL: b.purl(a.Name, a.Version, a.Arch), Name: a.Name, Version: a.Version, Arch: a.Arch,
		Distribution: b.distribution.Codename, Section: a.Section, Status: string(a.Status),
		Maintainer:  contactOf(a.Maintainer),
		Distributor: sbom.Contact{Name: b.distribution.Origin, URL: b.base},
		Description: a.Description, Homepage: a.Homepage, Size: a.Size,
		Hashes:  sbom.Hashes{MD5: a.MD5, SHA256: a.SHA256, SHA512: a.SHA512},
		Source:  sbom.Source{Name: a.Source, Version: a.SourceVersion, PURL: b.purl(a.Source, a.SourceVersion, "source")},
		License: one.Licence.Expression, CopyrightSHA256: one.Licence.SHA256, LicenseTexts: licenseTexts(one.Licence),
		Vulnerabilities: b.vulnerabilities(one),
		Properties:      []sbom.Property{{Name: "repod:component", Value: a.Component}, {Name: "repod:origin", Value: a.Origin}},
	}
	p.Filename = path.Base(poolName(a))
	if len(a.Publications) > 0 {
		p.Filename = path.Base(a.Filename)
		if b.base != "" {
			p.Download = a.URL(b.base)
		}
	}
	for _, c := range one.Scan.Components {
		p.Components = append(p.Components, sbom.Component(c))
	}
	b.depend(&p, a)
	return p
}

// depend says what meets the dependencies of an artifact.
func (b *biller) depend(p *sbom.Package, a *Artifact) {
	if b.index == nil {
		p.DependenciesUnknown = true
		return
	}
	for alternatives := range dependencies(a) {
		by := b.index.Meet(alternatives, a.Arch)
		if by == nil {
			p.Unresolved = append(p.Unresolved, alternatives.String())
			continue
		}
		version, _ := by.Ref.(string)
		purl := b.purl(by.Name, version, by.Arch)
		if purl != p.PURL && !slices.Contains(p.DependsOn, purl) {
			p.DependsOn = append(p.DependsOn, purl)
		}
	}
}

// purl is the package URL (type deb) of a package in the distribution: its vendor is
// who the distribution is from.
func (b *biller) purl(name, version, arch string) string {
	vendor := strings.ToLower(cmp.Or(b.distribution.Origin, "repod"))
	purl := "pkg:deb/" + escaped(vendor) + "/" + escaped(strings.ToLower(name)) + "@" + escaped(version) + "?arch=" + escaped(arch)
	if b.distribution.Codename != "" {
		purl += "&distro=" + escaped(b.distribution.Codename)
	}
	return purl
}

// escaped encodes what has a meaning in package URLs, or may not be in them.
func escaped(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// byTeam is what names of maintainers have that are no persons.
var byTeam = regexp.MustCompile(`(?i)\b(team|maintainers?|developers?|group|packagers?|project|inc|ltd|gmbh|llc|corp|foundation|packaging)\b`)

// contactOf reads a Maintainer field (Policy 5.6.2).
func contactOf(maintainer string) sbom.Contact {
	name, address, _ := strings.Cut(maintainer, "<")
	c := sbom.Contact{Name: strings.TrimSpace(name), Email: strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(address), ">"))}
	c.Name = strings.Trim(cmp.Or(c.Name, c.Email), `"`)
	c.Person = c.Name != "" && !byTeam.MatchString(c.Name)
	return c
}

// licenseTexts says what the licences are that SPDX has no name for.
func licenseTexts(l Licence) map[string]string {
	texts := make(map[string]string, len(l.Refs))
	for _, ref := range l.Refs {
		texts[ref.ID] = fmt.Sprintf("The licence that the package's copyright file calls %q. Its text is in that file.", ref.Name)
	}
	return texts
}

// vulnerabilities says what is known and what was decided.
func (b *biller) vulnerabilities(one *Described) []sbom.Vulnerability {
	inside := make(map[[3]string]string) // package URLs
	for _, c := range one.Scan.Components {
		inside[[3]string{c.Ecosystem, c.Name, c.Version}] = c.PURL
	}
	var all []sbom.Vulnerability
	for i := range one.Scan.Findings {
		f := &one.Scan.Findings[i]
		v := sbom.Vulnerability{
			ID: f.ID, Component: inside[[3]string{f.Ecosystem, f.Package, f.InstalledVersion}],
			Advisories: f.Advisories, URLs: f.URLs, Severity: sbom.Severity(f.Severity), CVSS: f.CVSS, EPSS: f.EPSS, KEV: f.KEV,
			Description: f.Description, FixedVersion: f.FixedVersion, Analysis: analysisOf(f.ID, one.Decisions),
			Properties: []sbom.Property{{Name: "repod:fix_state", Value: string(f.FixState)}},
		}
		v.SourceName, v.SourceURL = b.sourceOf(f)
		if !f.Gates {
			v.Properties = append(v.Properties, sbom.Property{Name: "repod:unimportant", Value: "true"})
		}
		if f.Confidence != "" {
			v.Properties = append(v.Properties, sbom.Property{Name: "repod:confidence", Value: f.Confidence})
		}
		all = append(all, v)
	}
	return all
}

// sources are who publishes vulnerabilities whose IDs begin in a way.
var sources = []struct{ prefix, name, url string }{
	{"CVE-", "NVD", "https://nvd.nist.gov/vuln/detail/"},
	{"GHSA-", "GitHub", "https://github.com/advisories/"},
	{"GO-", "Go", "https://pkg.go.dev/vuln/"},
	{"RUSTSEC-", "RustSec", "https://rustsec.org/advisories/"},
	{"", "OSV", "https://osv.dev/vulnerability/"},
}

// sourceOf says who knows of a vulnerability.
func (b *biller) sourceOf(f *scan.Finding) (name, address string) {
	family, _, _ := strings.Cut(b.distribution.OS, ":")
	switch {
	case f.Ecosystem != "":
	case family == "debian":
		return "Debian Security Tracker", "https://security-tracker.debian.org/tracker/" + url.PathEscape(f.ID)
	case family == "ubuntu" && strings.HasPrefix(f.ID, "CVE-"):
		return "Ubuntu", "https://ubuntu.com/security/" + url.PathEscape(f.ID)
	}
	for _, s := range sources {
		if strings.HasPrefix(f.ID, s.prefix) {
			name, address = s.name, s.url+url.PathEscape(f.ID)
			break
		}
	}
	return name, address
}

// analysisOf is what the newest decision says of a finding; nil if none does.
func analysisOf(finding string, decisions []Decision) *sbom.Analysis {
	for _, d := range decisions {
		if !slices.Contains(d.Findings, finding) {
			continue
		}
		a := &sbom.Analysis{State: sbom.Exploitable, Detail: d.Comment, FirstIssued: d.DecidedAt, LastUpdated: d.DecidedAt}
		switch d.Ruling {
		case RulingNotAffected:
			a.State = sbom.NotAffected
		case RulingAccepted:
			a.Responses = []sbom.Response{sbom.WillNotFix}
		case RulingUpgradeRequired:
			a.Responses = []sbom.Response{sbom.Update}
		}
		return a
	}
	return nil
}

// latest returns the latest of some times.
func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }
