package catalogtest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/repod-io/repod/aptrepo/upstream"
)

func searchOrder(p *probe) {
	p.replace("jammy",
		"aardvark 1 amd64 synopsis=like_NGINX",
		"libnginx-mod 1 amd64",
		"zz-nginx 1 amd64",
		"nginx 1.9 amd64",
		"nginx 1.9 all",
		"nginx-core 1 amd64",
		"nginx-common 1 all synopsis=nginx_files",
		"other 1 amd64",
		"nginy 1 amd64 synopsis=nginx",
	)
	p.replace("security", "nginx 1.10 amd64", "nginx 1.9 arm64", "nginx-core 2 amd64", "nginx-core 1 amd64 component=extra")
	p.replace("updates", "nginx 1.10 amd64")
	p.finds(upstream.Query{Q: "nginx", Sources: []string{"jammy", "security", "updates"}, Limit: 50},
		"nginx 1.10 amd64 security", "nginx 1.10 amd64 updates", "nginx 1.9 all jammy", "nginx 1.9 amd64 jammy", "nginx 1.9 arm64 security",
		"nginx-common 1 all jammy", "nginx-core 2 amd64 security", "nginx-core 1 amd64 jammy",
		"libnginx-mod 1 amd64 jammy", "zz-nginx 1 amd64 jammy",
		"aardvark 1 amd64 jammy", "nginy 1 amd64 jammy")
}

// Only the newest version by dpkg's order is found, and that must match.
func searchNewest(p *probe) {
	p.replace("jammy",
		"a 1.9 amd64", "a 1.10~rc1 amd64", "a 1.10 amd64", "a 1:0.1 arm64", "a 99 arm64",
		"b 1 amd64 synopsis=apple", "b 2 amd64 synopsis=pear", "c 1 amd64 synopsis=pear", "c 2 amd64 synopsis=apple")
	all := []string{"jammy"}
	p.finds(upstream.Query{Q: "a", Sources: all, Limit: 2}, "a 1:0.1 arm64 jammy", "a 1.10 amd64 jammy")
	p.finds(upstream.Query{Q: "apple", Sources: all, Limit: 9}, "c 2 amd64 jammy")
	p.finds(upstream.Query{Q: "pear", Sources: all, Limit: 9}, "b 2 amd64 jammy")
	p.replace("jammy", "a 1.9 amd64")
	p.finds(upstream.Query{Q: "a", Sources: all, Limit: 1}, "a 1.9 amd64 jammy")
}

// No character of a question has a meaning.
func searchLiteral(p *probe) {
	synopses := map[string]string{
		"percent": "100% sure", "underscore": "snake_case", "star": "2 * 3", "quotes": `say "no"`, "single": "it's",
		"backslash": `C:\dir`, "brackets": "[a-z]", "operators": "this OR that", "letters": "École", "cjk": "日本語パッケージ", "plus": "g++ x",
	}
	var list []upstream.Package
	for name, synopsis := range synopses {
		one := made(name + "1 1 all")
		one.Synopsis = synopsis
		list = append(list, one)
	}
	p.replaceList("jammy", list)
	for q, want := range map[string]string{
		"%": "percent", "0% s": "percent", "100% sure": "percent", "a%e": "", "a_e": "", "e_c": "underscore", "ke_ca": "underscore",
		"*": "star", " * ": "star", "sna*": "", `"`: "quotes", `"no"`: "quotes", `say "n`: "quotes", "t's": "single", "'": "single",
		`\`: "backslash", `:\d`: "backslash", `\%`: "", "[a-z]": "brackets", "[": "brackets", "is OR t": "operators", "this that": "",
		"é": "letters", "ÉCO": "letters", "École": "letters", "語": "cjk", "日本": "cjk", "語パッケ": "cjk",
		"ジ": "cjk", "++": "plus", "x": "plus", "+ ": "plus", "zzz": "", "\x1f": "", "\x00": "", "\xff": "", "sure\x1f": "", "e:": "",
	} {
		found := p.search(upstream.Query{Q: q, Sources: []string{"jammy"}, Limit: 9})
		got := ""
		for _, f := range found {
			name, _, _ := strings.Cut(f, " ")
			got += strings.TrimSuffix(name, "1")
		}
		p.equal(fmt.Sprintf("search for %q", q), got, want)
	}
}

func searchCase(p *probe) {
	p.replace("jammy", "B 1 all", "a 1 all", "b 1 all", "C 1 all")
	p.finds(upstream.Query{Sources: []string{"jammy"}, Limit: 9}, "a 1 all jammy", "B 1 all jammy", "b 1 all jammy", "C 1 all jammy")
	p.replace("jammy", "r-base 1 amd64 synopsis=GNU_R", "straße 1 all synopsis=ΣΟΦΙΑ")
	for _, q := range []string{"R-BASE", "r-b", "BASE", "gnu r", "GNU"} {
		p.finds(upstream.Query{Q: q, Sources: []string{"jammy"}, Limit: 9}, "r-base 1 amd64 jammy")
	}
	for _, q := range []string{"STRAß", "σοφ", "ΟΦΙ", "σ"} {
		p.finds(upstream.Query{Q: q, Sources: []string{"jammy"}, Limit: 9}, "straße 1 all jammy")
	}
}

func searchSources(p *probe) {
	p.replace("jammy", "tool 1 amd64", "x 1 amd64 synopsis=tool")
	p.replace("noble", "tool 2 amd64", "a-tool 1 amd64")
	p.finds(upstream.Query{Q: "tool", Sources: []string{"noble"}, Limit: 9}, "tool 2 amd64 noble", "a-tool 1 amd64 noble")
	p.finds(upstream.Query{Q: "tool", Sources: []string{"jammy", "unknown"}, Limit: 9}, "tool 1 amd64 jammy", "x 1 amd64 jammy")
	p.finds(upstream.Query{Q: "tool", Sources: []string{"unknown", "jamm", "%", ""}, Limit: 9})
	p.finds(upstream.Query{Q: "tool", Limit: 9})
}

func searchArch(p *probe) {
	p.replace("jammy", "tool 1 amd64", "tool 3 arm64", "tool 2 all", "tool-x 1 i386", "y 1 arm64 synopsis=tool")
	q := upstream.Query{Q: "tool", Sources: []string{"jammy"}, Limit: 9}
	for arch, want := range map[string][]string{
		"":      {"tool 3 arm64 jammy", "tool 2 all jammy", "tool 1 amd64 jammy", "tool-x 1 i386 jammy", "y 1 arm64 jammy"},
		"amd64": {"tool 2 all jammy", "tool 1 amd64 jammy"},
		"arm64": {"tool 3 arm64 jammy", "tool 2 all jammy", "y 1 arm64 jammy"},
		"all":   {"tool 2 all jammy"},
		"mips":  {"tool 2 all jammy"},
	} {
		q.Arch = arch
		p.finds(q, want...)
	}
	// Those of another architecture take nobody's place.
	p.replace("jammy", "tool-a 1 i386", "tool-a-a 1 i386", "tool-a-a-b 1 arm64", "tool-b 1 i386", "tool-c 1 arm64")
	q = upstream.Query{Q: "tool-", Sources: []string{"jammy"}, Arch: "arm64", Limit: 1}
	p.finds(q, "tool-a-a-b 1 arm64 jammy")
	q.Limit = 2
	p.finds(q, "tool-a-a-b 1 arm64 jammy", "tool-c 1 arm64 jammy")
}

// At any limit, what is found is the beginning of all.
func searchLimit(p *probe) {
	var specs []string
	for i := range 40 {
		specs = append(specs, fmt.Sprintf("word%d 1 amd64", i), fmt.Sprintf("word%d 1 arm64", i), fmt.Sprintf("a-word%d 1 all", i),
			fmt.Sprintf("thing%d 1 all synopsis=words", i))
	}
	p.replace("jammy", append(specs, "word 1 all")...)
	q := upstream.Query{Q: "word", Sources: []string{"jammy"}, Limit: 1000}
	all := p.search(q)
	p.equal("all", len(all), 161)
	for _, limit := range []int{0, 1, 2, 3, 50, 80, 81, 82, 100, 121, 122, 160, 161, 162} {
		q.Limit = limit
		p.equal(fmt.Sprintf("limit %d", limit), p.search(q), all[:min(limit, len(all))])
	}
}

func searchSyncedAt(p *probe) {
	p.replace("jammy", "a 1 all")
	s := failed("jammy")
	s.LastSync = at(3)
	p.ok("SaveState", p.c.SaveState(p.ctx, s))
	found, err := p.c.SearchPackages(p.ctx, upstream.Query{Q: "a", Sources: []string{"jammy"}, Limit: 1})
	p.ok("SearchPackages", err)
	if len(found) != 1 || !found[0].SyncedAt.Equal(at(3)) {
		p.errorf("found %+v, want one synced at %v", found, at(3))
	}
}

func offersByName(p *probe) {
	p.replace("jammy", "a 1 amd64", "a 2 amd64", "a 1 all", "ab 1 all", "b 1 all", "A 9 all")
	p.replace("noble", "a 3 amd64")
	p.offersAre([]string{"jammy"}, []string{"a"}, "a 1 all jammy", "a 1 amd64 jammy", "a 2 amd64 jammy")
	p.offersAre([]string{"noble", "jammy", "unknown"}, []string{"b", "a", "nothing"},
		"a 1 all jammy", "a 1 amd64 jammy", "a 2 amd64 jammy", "a 3 amd64 noble", "b 1 all jammy")
	p.offersAre(nil, []string{"a"})
	p.offersAre([]string{"jammy"}, nil)
	p.offersAre([]string{"jammy"}, []string{"", "%", "a%", "a\x00", "\xff"})
}

func offersProvided(p *probe) {
	p.replace("jammy",
		"exim4 1 amd64 provides=mail-transport-agent,_exim_(=_4.96)", "postfix 1 amd64 provides=mail-transport-agent",
		"mail-transport-agent 1 all", "self 1 all provides=self_(=_2),_self", "broken 1 all provides=one,_(two", "depends 1 all depends=exim")
	one := []string{"jammy"}
	p.offersAre(one, []string{"mail-transport-agent"}, "exim4 1 amd64 jammy", "mail-transport-agent 1 all jammy", "postfix 1 amd64 jammy")
	p.offersAre(one, []string{"exim"}, "exim4 1 amd64 jammy")
	p.offersAre(one, []string{"self", "exim", "exim4"}, "exim4 1 amd64 jammy", "self 1 all jammy")
	p.offersAre(one, []string{"mail"})
	p.offersAre([]string{"noble"}, []string{"exim"})
	p.replace("jammy", "exim4 1 amd64 provides=mail-transport-agent")
	p.offersAre(one, []string{"exim"})
	p.offersAre(one, []string{"mail-transport-agent"}, "exim4 1 amd64 jammy")
}

func offersMany(p *probe) {
	p.replaceList("jammy", many(2100, "1"))
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprintf("many%d", i))
	}
	p.equal("offers of 2000 names", len(p.offers([]string{"jammy"}, names...)), 2000)
}

// model does the same to the catalogue and to a Mem, and asks both.
func model(p *probe) {
	mem := &probe{ctx: p.ctx, c: new(Mem)}
	r := rand.New(rand.NewPCG(7, 7))
	sources := []string{"one", "two", "three"}
	for range 25 {
		source := sources[r.IntN(len(sources))]
		if r.IntN(8) == 0 {
			p.ok("ForgetSource", p.c.ForgetSource(p.ctx, source))
			mem.ok("ForgetSource", mem.c.ForgetSource(p.ctx, source))
		} else {
			list := randomPackages(r)
			p.equal("replaced", p.replaceList(source, list), mem.replaceList(source, list))
		}
		for range 15 {
			q := upstream.Query{Q: randomText(r, 1+r.IntN(3)), Sources: sources[r.IntN(3):], Limit: 1 + r.IntN(12)}
			q.Arch = []string{"", "amd64", "arm64"}[r.IntN(3)]
			p.finds(q, mem.search(q)...)
			names := []string{randomText(r, 2), randomText(r, 1), randomText(r, 1)}
			p.offersAre(q.Sources, names, mem.offers(q.Sources, names...)...)
		}
		if len(p.faults) > 5 {
			break
		}
	}
	p.faults = append(p.faults, mem.faults...)
}

var syllables = []string{"a", "ab", "lib", "c++", "li", "b", "x", "-a"}

func randomText(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(syllables[r.IntN(len(syllables))])
	}
	return b.String()
}

// randomPackages returns packages of which some are equal to some of the last
// call's.
func randomPackages(r *rand.Rand) []upstream.Package {
	var list []upstream.Package
	seen := make(map[string]bool)
	for range r.IntN(80) {
		one := made(fmt.Sprintf("%s %d.%d %s", randomText(r, 1+r.IntN(2)), r.IntN(2), 9+r.IntN(2), []string{"amd64", "arm64", "all"}[r.IntN(3)]))
		one.Synopsis = strings.ToUpper(randomText(r, r.IntN(4)))
		if r.IntN(3) == 0 {
			one.Provides = "v" + randomText(r, 1) + ", " + "a" + randomText(r, 1)
		}
		if !seen[label(one)] {
			list = append(list, one)
		}
		seen[label(one)] = true
	}
	return list
}
