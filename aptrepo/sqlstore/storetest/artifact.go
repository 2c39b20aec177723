package storetest

import (
	"fmt"
	"slices"

	"github.com/repod-io/repod/aptrepo"
)

var artifactRules = []rule{
	{"ArtifactRoundTrip", artifactRoundTrip},
	{"ArtifactMissing", artifactMissing},
	{"ArtifactConflict", artifactConflict},
	{"ArtifactOrder", artifactOrder},
	{"ArtifactDeleted", artifactDeleted},
	{"ArtifactText", artifactText},
	{"EachArtifact", eachArtifact},
	{"TxQueries", txQueries},
	{"Providers", providers},
}

// complete is an artifact without a zero field.
func complete() aptrepo.Artifact {
	return aptrepo.Artifact{
		Name: "nginx", Version: "1:1.24.0-1~rc1+b2", Arch: "amd64", Source: "nginx-src", SourceVersion: "1:1.24.0-1~rc1",
		Component: "extra", Section: "httpd", Priority: "optional", Maintainer: "Jürgen Ünal <j@example.org>",
		Description: "web server\nlong 🙂 text", Homepage: "https://nginx.example.org/", MultiArch: "foreign", Essential: true,
		InstalledSize: 1 << 40, Control: "Package: nginx\nVersion: 1:1.24.0-1~rc1+b2\nArchitecture: amd64\n",
		Filename: "pool/extra/n/nginx/nginx_1.24.0-1~rc1+b2_amd64.deb", Size: 1 << 41, SHA256: "256", SHA512: "512", MD5: "5",
		Status: aptrepo.Accepted, StatusReason: "decision", StatusDetail: "risk taken", Origin: "import", SourceID: "src_1",
		Group: "web", UploadedBy: "token:ci", UploadedAt: at(7),
	}
}

// Every field comes back, publications by distribution and component.
func artifactRoundTrip(p *probe) {
	p.distributions("focal", "jammy")
	want := complete()
	p.update(func(tx aptrepo.Tx) error {
		a := want
		a.Publications = []aptrepo.Publication{{Distribution: "jammy", Component: "ignored"}}
		err := tx.InsertArtifact(&a)
		want.ID = a.ID
		return err
	})
	if want.ID == 0 {
		p.errorf("InsertArtifact sets no ID")
	}
	p.publish(want.ID, 3, "jammy/main", "focal/main", "jammy/extra")
	want.Publications = []aptrepo.Publication{publication("focal/main", 3), publication("jammy/extra", 3), publication("jammy/main", 3)}
	got, err := p.s.Artifact(p.ctx, want.Key())
	p.ok("Artifact", err)
	p.equal("Artifact", got, want)
	p.update(func(tx aptrepo.Tx) error {
		got, err := tx.Artifact(aptrepo.Key{Name: "nginx", Version: "01:1.24.0-1~rc1+b2", Arch: "amd64"})
		p.equal("Artifact in a transaction, by another spelling", got, want)
		return err
	})
}

func artifactMissing(p *probe) {
	p.insert("nginx 1.0 amd64")
	for _, key := range []aptrepo.Key{
		{Name: "nginx", Version: "1.1", Arch: "amd64"},
		{Name: "nginx", Version: "1.0", Arch: "arm64"},
		{Name: "Nginx", Version: "1.0", Arch: "amd64"},
		{Name: "nginx", Version: "no version", Arch: "amd64"},
		{},
	} {
		_, err := p.s.Artifact(p.ctx, key)
		p.is(fmt.Sprintf("Artifact(%v)", key), err, aptrepo.ErrArtifactNotFound)
		p.update(func(tx aptrepo.Tx) error {
			_, err := tx.Artifact(key)
			p.is(fmt.Sprintf("Tx.Artifact(%v)", key), err, aptrepo.ErrArtifactNotFound)
			return nil
		})
	}
	list, err := p.s.Artifacts(p.ctx, "unknown")
	p.ok("Artifacts", err)
	p.equal("Artifacts of an unknown name", len(list), 0)
}

// "A taken key gives ErrConflict", however the version is spelled.
func artifactConflict(p *probe) {
	p.insert("nginx 1.0 amd64", "nginx 1.0 arm64", "nginx 1.0+b1 amd64", "nginx2 1.0 amd64")
	for _, version := range []string{"1.0", "0:1.0", "1.0-0", "1.00", "01.0"} {
		a := made("nginx " + version + " amd64")
		err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error { return tx.InsertArtifact(a) })
		p.is("InsertArtifact of version "+version, err, aptrepo.ErrConflict)
	}
	p.update(func(tx aptrepo.Tx) error {
		p.is("InsertArtifact", tx.InsertArtifact(made("nginx 1.0-0 arm64")), aptrepo.ErrConflict)
		return tx.InsertArtifact(made("nginx 1.0-1 arm64")) // the transaction goes on
	})
	list, err := p.s.Artifacts(p.ctx, "nginx")
	p.ok("Artifacts", err)
	p.equal("Artifacts", labels(list), []string{"nginx 1.0+b1 amd64", "nginx 1.0-1 arm64", "nginx 1.0 amd64", "nginx 1.0 arm64"})
}

// ladder is in the order of dpkg, newest first.
var ladder = []string{"1:0.1", "10.0", "9.0", "1.0.1", "1.0+b1", "1.0-10", "1.0-9", "1.0", "1.0~rc1", "1.0~~", "0.9a", "0.9"}

func artifactOrder(p *probe) {
	specs := []string{}
	want := []string{}
	for _, v := range ladder {
		for _, arch := range []string{"all", "amd64", "arm64"} {
			want = append(want, "nginx "+v+" "+arch)
		}
	}
	specs = append(specs, want...)
	slices.Sort(specs)
	p.insert(specs...)
	list, err := p.s.Artifacts(p.ctx, "nginx")
	p.ok("Artifacts", err)
	p.equal("Artifacts, newest version first", labels(list), want)
}

func artifactDeleted(p *probe) {
	p.distributions("jammy")
	ids := p.stock("nginx 1.0 amd64 provides=httpd @jammy/main", "nginx 2.0 amd64")
	p.update(func(tx aptrepo.Tx) error { return tx.DeleteArtifact(ids["nginx 2.0 amd64"]) })
	if err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error { return tx.DeleteArtifact(ids["nginx 1.0 amd64"]) }); err == nil {
		p.errorf("DeleteArtifact removed an artifact that is published")
	}
	p.update(func(tx aptrepo.Tx) error {
		if _, _, err := tx.RemovePublication(ids["nginx 1.0 amd64"], "jammy", "main"); err != nil {
			return err
		}
		return tx.DeleteArtifact(ids["nginx 1.0 amd64"])
	})
	list, err := p.s.Artifacts(p.ctx, "nginx")
	p.ok("Artifacts", err)
	p.equal("artifacts left", len(list), 0)
	page, err := p.s.PackageRows(p.ctx, aptrepo.PackageQuery{Q: "nginx"})
	p.ok("PackageRows", err)
	p.equal("rows left", page.Total, 0)
	for name, id := range p.insert("nginx 1.0 amd64") {
		if id == ids["nginx 1.0 amd64"] || id == ids["nginx 2.0 amd64"] {
			p.errorf("ID %d of %s is reused", id, name)
		}
	}
}

// Text that one of the databases could not keep is refused or kept, the same
// everywhere, and harms nothing.
func artifactText(p *probe) {
	for _, text := range []string{"a\x00b", "a\xffb"} {
		a := made("nginx 1.0 amd64")
		a.Description = text
		if err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error { return tx.InsertArtifact(a) }); err == nil {
			p.errorf("InsertArtifact took description %q", text)
		}
		_, err := p.s.Artifacts(p.ctx, "nginx"+text)
		p.ok("Artifacts of a name that cannot be", err)
	}
	p.insert("nginx 1.0 amd64")
}

// "EachArtifact yields every artifact by ID", "EachPublished every publication
// in a distribution, by artifact ID, then component".
func eachArtifact(p *probe) {
	const n = 210 // more than would be read at once
	p.distributions("focal", "jammy")
	var ids []int64
	p.update(func(tx aptrepo.Tx) error {
		for i := range n {
			a := made(fmt.Sprintf("p%d 1.0 all", i))
			if err := tx.InsertArtifact(a); err != nil {
				return err
			}
			ids = append(ids, a.ID)
			for _, place := range []string{"jammy/main", "focal/main", "jammy/extra"}[:i%4] {
				if _, _, err := tx.AddPublication(a.ID, publication(place, i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	var seen []int64
	for a, err := range p.s.EachArtifact(p.ctx) {
		p.ok("EachArtifact", err)
		seen = append(seen, a.ID)
	}
	p.equal("EachArtifact", seen, ids)

	var got, want []string
	for i := range n {
		if i%4 == 3 {
			want = append(want, fmt.Sprintf("p%d extra", i))
		}
		if i%4 > 0 {
			want = append(want, fmt.Sprintf("p%d main", i))
		}
	}
	for a, err := range p.s.EachPublished(p.ctx, "jammy") {
		p.ok("EachPublished", err)
		got = append(got, a.Name+" "+a.Publication.Component)
		p.equal("distribution", a.Publication.Distribution, "jammy")
	}
	p.equal("EachPublished", got, want)
	for range p.s.EachPublished(p.ctx, "unknown") {
		p.errorf("EachPublished yields from a distribution that is not there")
	}
	count := 0
	for range p.s.EachArtifact(p.ctx) {
		if count++; count == 2 {
			break
		}
	}
	p.equal("EachArtifact, stopped", count, 2)
}

func txQueries(p *probe) {
	p.distributions("focal", "jammy")
	p.stock("nginx 1.0 arm64 @jammy/main", "nginx 1.0-0 amd64 @jammy/main @jammy/extra", "nginx 2.0 amd64 @jammy/main",
		"apt 1 amd64 @jammy/main", "curl 1 amd64 @focal/main", "zsh 1 amd64")
	p.update(func(tx aptrepo.Tx) error {
		for name, want := range map[string]bool{"nginx": true, "zsh": true, "ngin": false, "NGINX": false, "": false} {
			got, err := tx.Known(name)
			p.ok("Known", err)
			p.equal("Known "+name, got, want)
		}
		for filename, want := range map[string]bool{"pool/zsh_1_amd64.deb": true, "pool/zsh": false} {
			got, err := tx.FilenameTaken(filename)
			p.ok("FilenameTaken", err)
			p.equal("FilenameTaken "+filename, got, want)
		}
		for version, want := range map[string][]string{
			"0:1.0": {"nginx 1.0-0 amd64", "nginx 1.0 arm64"}, "2.0": {"nginx 2.0 amd64"}, "3": {}, "no version": {},
		} {
			list, err := tx.Versions("nginx", version)
			p.ok("Versions", err)
			p.equal("Versions "+version, labels(list), want)
		}
		published := []string{"apt 1 amd64", "nginx 1.0-0 amd64", "nginx 1.0 arm64", "nginx 2.0 amd64"}
		for _, c := range []struct {
			codename    string
			names, want []string
		}{
			{"jammy", nil, published},
			{"jammy", []string{}, []string{}},
			{"jammy", []string{"nginx", "curl", "zsh"}, published[1:]},
			{"focal", nil, []string{"curl 1 amd64"}},
			{"unknown", nil, []string{}},
		} {
			list, err := tx.PublishedIn(c.codename, c.names)
			p.ok("PublishedIn", err)
			p.equal(fmt.Sprintf("PublishedIn(%q, %q)", c.codename, c.names), labels(list), c.want)
		}
		return nil
	})
}

func providers(p *probe) {
	p.distributions("focal", "jammy")
	p.stock("httpd 1.0 amd64 @jammy/main", "nginx 1.9 amd64 provides=httpd,_www_(=_2) @jammy/main",
		"nginx 1.10 amd64 provides=httpd @jammy/main @jammy/extra", "apache 1 all provides=httpd @focal/main",
		"lighttpd 1 all provides=httpd", "curl 1 amd64 @jammy/main")
	for _, c := range []struct {
		codename    string
		names, want []string
	}{
		{"jammy", []string{"httpd"}, []string{"httpd 1.0 amd64", "nginx 1.10 amd64", "nginx 1.9 amd64"}},
		{"jammy", []string{"www", "curl"}, []string{"curl 1 amd64", "nginx 1.9 amd64"}},
		{"jammy", []string{"nginx", "httpd"}, []string{"httpd 1.0 amd64", "nginx 1.10 amd64", "nginx 1.9 amd64"}},
		{"focal", []string{"httpd"}, []string{"apache 1 all"}},
		{"", []string{"httpd"}, []string{"apache 1 all", "httpd 1.0 amd64", "nginx 1.10 amd64", "nginx 1.9 amd64"}},
		{"jammy", []string{"lighttpd", "http"}, []string{}},
		{"jammy", nil, []string{}},
		{"unknown", []string{"httpd"}, []string{}},
	} {
		list, err := p.s.Providers(p.ctx, c.codename, c.names)
		p.ok("Providers", err)
		p.equal(fmt.Sprintf("Providers(%q, %q)", c.codename, c.names), labels(list), c.want)
	}
}
