package storetest

import (
	"fmt"
	"strings"

	"github.com/repod-io/repod/aptrepo"
)

var listingRules = []rule{
	{"PackageRows", packageRows},
	{"PackageRowsFilter", packageRowsFilter},
	{"PackageRowsSort", packageRowsSort},
	{"PackageRowsLatest", packageRowsLatest},
	{"ArtifactRows", artifactRows},
	{"PublishedRows", publishedRows},
	{"Search", search},
	{"Paging", paging},
	{"ListingModel", listingModel},
	{"ListingConsistent", listingConsistent},
}

// render writes a row in one line: name, versions, architectures,
// distributions, version and architecture of Latest.
func render(r aptrepo.PackageRow) string {
	return fmt.Sprintf("%s [%s] [%s] [%s] %s %s", r.Name, strings.Join(r.Versions, " "), strings.Join(r.Architectures, " "),
		strings.Join(r.Distributions, " "), r.Latest.Version, r.Latest.Arch)
}

func (p *probe) rows(q aptrepo.PackageQuery) []string {
	page, err := p.s.PackageRows(p.ctx, q)
	p.ok("PackageRows", err)
	out := []string{}
	for _, r := range page.Items {
		p.equal("name of Latest", r.Latest.Name, r.Name)
		out = append(out, render(r))
	}
	if q.PerPage == 0 {
		p.equal(fmt.Sprintf("total of %+v", q), page.Total, len(out))
	}
	return out
}

// shelf fills a store for the listing rules.
func (p *probe) shelf() {
	p.distributions("focal", "jammy")
	p.stock(
		"nginx 1.9 amd64 section=httpd size=300 uploaded=1 @jammy/main @focal/main",
		"nginx 1.10 arm64 section=httpd size=200 uploaded=9 @jammy/main",
		"nginx 1.10 amd64 section=web size=250 uploaded=8 @jammy/main @jammy/extra",
		"nginx 2.0~rc1 all section=web size=900 uploaded=7 status=pending_review",
		"apt 2 arm64 section=admin size=100 uploaded=5 @focal/main",
		"apt 2 armhf section=admin size=50 uploaded=6 @focal/extra",
		"zsh 1 amd64 section=shells size=700 uploaded=2 status=rejected",
		"curl 1 all section=web size=400 uploaded=3 @jammy/main",
	)
}

var shelfRows = []string{
	"apt [2] [arm64 armhf] [focal] 2 arm64",
	"curl [1] [all] [jammy] 1 all",
	"nginx [2.0~rc1 1.10 1.9] [all amd64 arm64] [focal jammy] 1.10 amd64",
	"zsh [1] [amd64] [] 1 amd64",
}

func packageRows(p *probe) {
	p.shelf()
	p.equal("all rows", p.rows(aptrepo.PackageQuery{}), shelfRows)
	page, err := p.s.PackageRows(p.ctx, aptrepo.PackageQuery{Q: "curl"})
	p.ok("PackageRows", err)
	curl, err := p.s.Artifact(p.ctx, aptrepo.KeyOf("curl", "1", "all"))
	p.ok("Artifact", err)
	if len(page.Items) == 1 {
		p.equal("Latest is whole", page.Items[0].Latest, curl)
	}
	_, err = p.s.PackageRows(p.ctx, aptrepo.PackageQuery{Sort: "name; DROP TABLE artifacts"})
	p.is("PackageRows in an order that is none", err, aptrepo.ErrInvalid)
}

// "A row is kept when any of its artifacts matches all filters; versions,
// architectures and distributions then list only the matching ones."
func packageRowsFilter(p *probe) {
	p.shelf()
	nginx, apt, curl := shelfRows[2], shelfRows[0], shelfRows[1]
	for _, c := range []struct {
		q    aptrepo.PackageQuery
		want []string
	}{
		{aptrepo.PackageQuery{Distribution: "jammy"}, []string{curl, "nginx [1.10 1.9] [amd64 arm64] [jammy] 1.10 amd64"}},
		{aptrepo.PackageQuery{Distribution: "focal"}, []string{apt, "nginx [1.9] [amd64] [focal] 1.9 amd64"}},
		{aptrepo.PackageQuery{Distribution: "unknown"}, []string{}},
		{aptrepo.PackageQuery{Arch: "arm64"}, []string{"apt [2] [arm64] [focal] 2 arm64", "nginx [1.10] [arm64] [jammy] 1.10 arm64"}},
		{aptrepo.PackageQuery{Arch: "all"}, []string{curl, "nginx [2.0~rc1] [all] [] 2.0~rc1 all"}},
		{aptrepo.PackageQuery{Status: aptrepo.PendingReview}, []string{"nginx [2.0~rc1] [all] [] 2.0~rc1 all"}},
		{aptrepo.PackageQuery{Status: aptrepo.Indexed, Q: "nginx"}, []string{"nginx [1.10 1.9] [amd64 arm64] [focal jammy] 1.10 amd64"}},
		{aptrepo.PackageQuery{Section: "web"}, []string{curl, "nginx [2.0~rc1 1.10] [all amd64] [jammy] 1.10 amd64"}},
		{aptrepo.PackageQuery{Section: "httpd", Distribution: "jammy"}, []string{"nginx [1.10 1.9] [amd64 arm64] [jammy] 1.10 arm64"}},
		{aptrepo.PackageQuery{Section: "httpd", Distribution: "focal", Arch: "amd64", Status: aptrepo.Indexed, Q: "GIN"},
			[]string{"nginx [1.9] [amd64] [focal] 1.9 amd64"}},
		// Two of nginx's artifacts match one half each.
		{aptrepo.PackageQuery{Section: "httpd", Arch: "all"}, []string{}},
		{aptrepo.PackageQuery{Arch: "arm64", Distribution: "focal", Q: "nginx"}, []string{}},
		{aptrepo.PackageQuery{Q: "nginx"}, []string{nginx}},
	} {
		p.equal(fmt.Sprintf("rows of %+v", c.q), p.rows(c.q), c.want)
	}
}

func names(rows []string) string {
	var out []string
	for _, r := range rows {
		name, _, _ := strings.Cut(r, " ")
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

// Rows are sorted by what stands in Latest.
func packageRowsSort(p *probe) {
	p.shelf()
	p.stock("dash 1 amd64 section=shells size=700 uploaded=2")
	for sort, want := range map[aptrepo.Sort]string{
		aptrepo.SortName:         "apt curl dash nginx zsh",
		aptrepo.SortNameDesc:     "zsh nginx dash curl apt",
		aptrepo.SortUploaded:     "dash zsh curl apt nginx",
		aptrepo.SortUploadedDesc: "nginx apt curl dash zsh",
		aptrepo.SortSize:         "apt nginx curl dash zsh",
		aptrepo.SortSizeDesc:     "dash zsh curl nginx apt",
	} {
		p.equal("order by "+string(sort), names(p.rows(aptrepo.PackageQuery{Sort: sort})), want)
	}
	for q, want := range map[aptrepo.PackageQuery]string{
		{Sort: aptrepo.SortSize, Distribution: "focal"}:                   "apt nginx",
		{Sort: aptrepo.SortSize, Distribution: "jammy"}:                   "nginx curl",
		{Sort: aptrepo.SortSizeDesc, Section: "web"}:                      "curl nginx",
		{Sort: aptrepo.SortUploaded, Section: "web"}:                      "curl nginx",
		{Sort: aptrepo.SortUploadedDesc, Section: "httpd", Arch: "arm64"}: "nginx",
		{Sort: aptrepo.SortSize, Status: aptrepo.Indexed}:                 "apt nginx curl dash",
		{Sort: aptrepo.SortSizeDesc, Q: "a package"}:                      "dash zsh curl nginx apt",
		{Sort: aptrepo.SortNameDesc, Section: "web"}:                      "nginx curl",
	} {
		p.equal(fmt.Sprintf("order of %+v", q), names(p.rows(q)), want)
	}
}

// Latest and the orders follow publications as they come and go.
func packageRowsLatest(p *probe) {
	p.distributions("focal", "jammy")
	latest := func(when, codename, want string) {
		for _, sort := range []aptrepo.Sort{aptrepo.SortName, aptrepo.SortSize} {
			page, err := p.s.PackageRows(p.ctx, aptrepo.PackageQuery{Distribution: codename, Sort: sort})
			p.ok("PackageRows", err)
			got := ""
			for _, r := range page.Items {
				got += label(r.Latest)
			}
			p.equal(fmt.Sprintf("latest %s in %q by %s", when, codename, sort), got, want)
		}
	}
	ids := p.stock("x 1 arm64", "x 1 armhf", "x 2 i386")
	latest("unpublished", "", "x 2 i386")
	p.publish(ids["x 1 armhf"], 0, "jammy/main")
	latest("with one published", "", "x 1 armhf")
	p.publish(ids["x 1 arm64"], 0, "jammy/main", "focal/main")
	latest("with a smaller architecture", "jammy", "x 1 arm64")
	for label, id := range p.stock("x 1 amd64 @jammy/main") {
		ids[label] = id
	}
	latest("with amd64", "jammy", "x 1 amd64")
	latest("elsewhere", "focal", "x 1 arm64")
	p.publish(ids["x 2 i386"], 0, "focal/main")
	latest("of all", "", "x 2 i386")
	p.update(func(tx aptrepo.Tx) error {
		_, _, err := tx.RemovePublication(ids["x 2 i386"], "focal", "main")
		return err
	})
	latest("after a removal", "focal", "x 1 arm64")
	latest("after a removal", "", "x 1 amd64")
	p.update(func(tx aptrepo.Tx) error { return tx.DeleteArtifact(ids["x 2 i386"]) })
	latest("after a deletion", "", "x 1 amd64")
	p.update(func(tx aptrepo.Tx) error {
		_, _, err := tx.RemovePublication(ids["x 1 arm64"], "focal", "main")
		return err
	})
	latest("emptied", "focal", "")
}

func artifactRows(p *probe) {
	p.shelf()
	for q, want := range map[aptrepo.PackageQuery][]string{
		{}:                               {"apt 2 arm64", "apt 2 armhf", "curl 1 all", "nginx 2.0~rc1 all", "nginx 1.10 amd64", "nginx 1.10 arm64", "nginx 1.9 amd64", "zsh 1 amd64"},
		{Sort: aptrepo.SortNameDesc}:     {"zsh 1 amd64", "nginx 2.0~rc1 all", "nginx 1.10 amd64", "nginx 1.10 arm64", "nginx 1.9 amd64", "curl 1 all", "apt 2 arm64", "apt 2 armhf"},
		{Sort: aptrepo.SortUploaded}:     {"nginx 1.9 amd64", "zsh 1 amd64", "curl 1 all", "apt 2 arm64", "apt 2 armhf", "nginx 2.0~rc1 all", "nginx 1.10 amd64", "nginx 1.10 arm64"},
		{Sort: aptrepo.SortUploadedDesc}: {"nginx 1.10 arm64", "nginx 1.10 amd64", "nginx 2.0~rc1 all", "apt 2 armhf", "apt 2 arm64", "curl 1 all", "zsh 1 amd64", "nginx 1.9 amd64"},
		{Sort: aptrepo.SortSize, Distribution: "jammy"}:                             {"nginx 1.10 arm64", "nginx 1.10 amd64", "nginx 1.9 amd64", "curl 1 all"},
		{Sort: aptrepo.SortSizeDesc, Section: "web"}:                                {"nginx 2.0~rc1 all", "curl 1 all", "nginx 1.10 amd64"},
		{Distribution: "jammy"}:                                                     {"curl 1 all", "nginx 1.10 amd64", "nginx 1.10 arm64", "nginx 1.9 amd64"},
		{Arch: "armhf"}:                                                             {"apt 2 armhf"},
		{Status: aptrepo.Rejected}:                                                  {"zsh 1 amd64"},
		{Status: aptrepo.Indexed, Distribution: "focal", Arch: "amd64"}:             {"nginx 1.9 amd64"},
		{Q: "nginx", Section: "web"}:                                                {"nginx 2.0~rc1 all", "nginx 1.10 amd64"},
		{Q: "nginx", Section: "web", Distribution: "jammy", Sort: aptrepo.SortSize}: {"nginx 1.10 amd64"},
		{Distribution: "unknown"}:                                                   {},
	} {
		page, err := p.s.ArtifactRows(p.ctx, q)
		p.ok("ArtifactRows", err)
		p.equal(fmt.Sprintf("artifacts of %+v", q), labels(page.Items), want)
		p.equal("total", page.Total, len(want))
	}
	// Ties in the order are broken by name.
	p.stock("b 1 all size=700", "a 1 all size=700", "a 2 all size=700")
	page, err := p.s.ArtifactRows(p.ctx, aptrepo.PackageQuery{Sort: aptrepo.SortSizeDesc, PerPage: 5})
	p.ok("ArtifactRows", err)
	p.equal("ties", labels(page.Items), []string{"nginx 2.0~rc1 all", "a 2 all", "a 1 all", "b 1 all", "zsh 1 amd64"})
}

// "By name, version (newest first), architecture, component."
func publishedRows(p *probe) {
	p.shelf()
	rows := func(q aptrepo.PublishedQuery) []string {
		page, err := p.s.PublishedRows(p.ctx, q)
		p.ok("PublishedRows", err)
		out := []string{}
		for _, r := range page.Items {
			p.equal("distribution", r.Publication.Distribution, q.Distribution)
			out = append(out, label(r.Artifact)+" "+r.Publication.Component)
		}
		p.equal(fmt.Sprintf("total of %+v", q), page.Total, len(out))
		return out
	}
	jammy := []string{"curl 1 all main", "nginx 1.10 amd64 extra", "nginx 1.10 amd64 main", "nginx 1.10 arm64 main", "nginx 1.9 amd64 main"}
	for _, c := range []struct {
		q    aptrepo.PublishedQuery
		want []string
	}{
		{aptrepo.PublishedQuery{Distribution: "jammy"}, jammy},
		{aptrepo.PublishedQuery{Distribution: "jammy", Q: "NGI"}, jammy[1:]},
		{aptrepo.PublishedQuery{Distribution: "jammy", Q: "l"}, jammy[:1]},
		{aptrepo.PublishedQuery{Distribution: "jammy", Arch: "all"}, jammy[:1]},
		{aptrepo.PublishedQuery{Distribution: "jammy", Component: "extra"}, jammy[1:2]},
		{aptrepo.PublishedQuery{Distribution: "jammy", Arch: "arm64", Component: "main", Q: "nginx"}, jammy[3:4]},
		{aptrepo.PublishedQuery{Distribution: "jammy", Arch: "arm64", Component: "extra"}, []string{}},
		{aptrepo.PublishedQuery{Distribution: "focal"}, []string{"apt 2 arm64 main", "apt 2 armhf extra", "nginx 1.9 amd64 main"}},
	} {
		p.equal(fmt.Sprintf("rows of %+v", c.q), rows(c.q), c.want)
	}
	_, err := p.s.PublishedRows(p.ctx, aptrepo.PublishedQuery{Distribution: "unknown"})
	p.is("PublishedRows", err, aptrepo.ErrUnknownDistribution)
	page, err := p.s.PublishedRows(p.ctx, aptrepo.PublishedQuery{Distribution: "focal", Component: "extra"})
	p.ok("PublishedRows", err)
	apt, err := p.s.Artifact(p.ctx, aptrepo.KeyOf("apt", "2", "armhf"))
	p.ok("Artifact", err)
	if len(page.Items) == 1 {
		p.equal("artifact is whole", page.Items[0], aptrepo.PublishedArtifact{Artifact: apt, Publication: publication("focal/extra", 0)})
	}
}

// Q is a "substring of name or description, case-insensitive, no wildcards".
func search(p *probe) {
	p.stock("libstdc++6 1 all description=GNU_C++_Library", "g++ 1 all description=compiler",
		"cafe 1 all description=ÉCOLE_Straße_ΣΟΦΙΑ_日本語パッケージ", "x.y 1 all description=100%25_\"quoted\"_it's",
		"under 1 all description=a\\b*c", "AbC 1 all description=OR_AND_NOT_NEAR(x)")
	for q, want := range map[string]string{
		"": "AbC cafe g++ libstdc++6 under x.y",
		// Case.
		"gnu c++": "libstdc++6", "GNU C++ LIBRARY": "libstdc++6", "école": "cafe", "ÉCOLE": "cafe", "abc": "AbC",
		"σοφι": "cafe", "STRAßE": "cafe",
		// Short ones, and others that are no words.
		"é": "cafe", "+": "g++ libstdc++6", "++": "g++ libstdc++6", "c+": "libstdc++6", "C++": "libstdc++6", "c++6": "libstdc++6",
		".": "x.y", "日": "cafe", "日本": "cafe", "本語パ": "cafe",
		// No wildcards, no operators, no quotes.
		"%": "x.y", "_": "", "l_b": "", "l%b": "", "100%": "x.y", "100%%": "", "*": "under", "lib*": "", "a\\b": "under",
		"\\": "under", "\"": "x.y", "\"quo": "x.y", "d\" it's": "x.y", "it's": "x.y", "OR AND": "AbC", "near(x)": "AbC", "g++ OR cafe": "",
		"^lib": "", "name:lib": "", "nginx": "",
		// A match lies in the name or in the description.
		"under a": "", "under\na": "", "g++\x00": "", "g++compiler": "", "\xff": "", "g++\x1fcompiler": "",
	} {
		got := names(p.rows(aptrepo.PackageQuery{Q: q}))
		p.equal(fmt.Sprintf("found for %q", q), got, want)
	}
}

func paging(p *probe) {
	const n = 23
	p.distributions("jammy")
	for i := range n {
		p.stock(fmt.Sprintf("p%02d 1 all @jammy/main", i))
	}
	for page, want := range map[int]string{0: "p00 p09", 1: "p00 p09", 2: "p10 p19", 3: "p20 p22", 4: "", 1000000: ""} {
		ends := func(list []string) string {
			if len(list) == 0 {
				return ""
			}
			return list[0] + " " + list[len(list)-1]
		}
		var packages, artifacts, published []string
		a, err := p.s.PackageRows(p.ctx, aptrepo.PackageQuery{Page: page, PerPage: 10})
		p.ok("PackageRows", err)
		for _, r := range a.Items {
			packages = append(packages, r.Name)
		}
		b, err := p.s.ArtifactRows(p.ctx, aptrepo.PackageQuery{Page: page, PerPage: 10})
		p.ok("ArtifactRows", err)
		for _, r := range b.Items {
			artifacts = append(artifacts, r.Name)
		}
		c, err := p.s.PublishedRows(p.ctx, aptrepo.PublishedQuery{Distribution: "jammy", Page: page, PerPage: 10})
		p.ok("PublishedRows", err)
		for _, r := range c.Items {
			published = append(published, r.Name)
		}
		p.equal(fmt.Sprintf("page %d", page), []string{ends(packages), ends(artifacts), ends(published)}, []string{want, want, want})
		p.equal(fmt.Sprintf("totals of page %d", page), []int{a.Total, b.Total, c.Total}, []int{n, n, n})
	}
	all, err := p.s.ArtifactRows(p.ctx, aptrepo.PackageQuery{})
	p.ok("ArtifactRows", err)
	p.equal("items where no page was asked for", len(all.Items), n)
}

// A page and its total are of one state, though others write meanwhile.
func listingConsistent(p *probe) {
	p.distributions("jammy")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			p.stock(fmt.Sprintf("p%d 1 all @jammy/main", i))
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		packages, err := p.s.PackageRows(p.ctx, aptrepo.PackageQuery{PerPage: 200})
		p.ok("PackageRows", err)
		p.equal("packages and their total", len(packages.Items), packages.Total)
		artifacts, err := p.s.ArtifactRows(p.ctx, aptrepo.PackageQuery{Distribution: "jammy", PerPage: 200})
		p.ok("ArtifactRows", err)
		p.equal("artifacts and their total", len(artifacts.Items), artifacts.Total)
		published, err := p.s.PublishedRows(p.ctx, aptrepo.PublishedQuery{Distribution: "jammy", PerPage: 200})
		p.ok("PublishedRows", err)
		p.equal("publications and their total", len(published.Items), published.Total)
	}
}
