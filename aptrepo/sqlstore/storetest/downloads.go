package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

var downloadRules = []rule{
	{"Downloads", downloads},
	{"DownloadsOnce", downloadsOnce},
	{"DownloadsTogether", downloadsTogether},
	{"DownloadsFiles", downloadsFiles},
	{"DownloadsSince", downloadsSince},
	{"DownloadsRecent", downloadsRecent},
	{"DownloadsPruned", downloadsPruned},
}

// today is the day of epoch.
var today = aptrepo.DayOf(epoch)

var kindNames = map[string]aptrepo.ClientKind{
	"apt": aptrepo.ClientAPT, "curl": aptrepo.ClientCurl, "wget": aptrepo.ClientWget, "other": aptrepo.ClientOther,
}

// counted makes the count of a file. spec is "days name_version_arch", days ago,
// to which fields "key=value" may be added: kinds of clients with the number of
// their downloads, bytes, and clients, "1,2".
func counted(spec string) aptrepo.DownloadCount {
	words := strings.Fields(spec)
	c := aptrepo.DownloadCount{Filename: "pool/" + words[1] + ".deb"}
	var ago aptrepo.Day
	fmt.Sscan(words[0], &ago)
	c.Day = today - ago
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "bytes":
			fmt.Sscan(value, &c.Bytes)
		case "clients":
			for one := range strings.SplitSeq(value, ",") {
				var client int64
				fmt.Sscan(one, &client)
				c.Clients = append(c.Clients, client)
			}
		default:
			fmt.Sscan(value, &c.Downloads[kindNames[key]])
		}
	}
	return c
}

// batchOf makes a batch of counts.
func batchOf(counter string, number int64, specs ...string) aptrepo.DownloadBatch {
	b := aptrepo.DownloadBatch{Counter: counter, Number: number, At: epoch}
	for _, spec := range specs {
		b.Counts = append(b.Counts, counted(spec))
	}
	return b
}

// downloaded adds a batch that must be taken.
func (p *probe) downloaded(b aptrepo.DownloadBatch) {
	p.ok("AddDownloads", p.s.AddDownloads(p.ctx, b))
}

// stats sums up the downloads of the last days.
func (p *probe) stats(days int) aptrepo.DownloadStats {
	s, err := p.s.Downloads(p.ctx, aptrepo.DownloadQuery{Since: today - aptrepo.Day(days) + 1, Top: 3, RecentSince: at(-1000)})
	p.ok("Downloads", err)
	return s
}

// perPackage renders the packages of stats.
func perPackage(s aptrepo.DownloadStats) []string {
	list := []string{}
	for _, one := range s.PerPackage {
		list = append(list, fmt.Sprintf("%s %d, %d bytes, %d clients, %v", one.Name, one.Downloads, one.Bytes, one.Clients, one.Versions))
	}
	return list
}

// "Downloads sums up what was counted since a day."
func downloads(p *probe) {
	p.insert("nginx 1.9 amd64", "nginx 1.10 amd64", "nginx 1.10 arm64", "curl 1 all", "a 1 all", "z 1 all", "unasked 1 all")
	p.equal("stats of nothing", p.stats(30), aptrepo.DownloadStats{})
	p.downloaded(batchOf("x", 1,
		"0 nginx_1.9_amd64 apt=3 curl=1 bytes=400 clients=-1,2", "1 nginx_1.10_amd64 apt=1 wget=2 bytes=300 clients=2,3",
		"0 nginx_1.10_arm64 other=1 bytes=50 clients=9", "2 curl_1_all apt=2 bytes=20 clients=2", "0 z_1_all apt=1 bytes=1 clients=2",
		"0 a_1_all apt=1 bytes=2 clients=2"))
	p.downloaded(batchOf("x", 2, "0 nginx_1.9_amd64 apt=1 bytes=100 clients=2", "0 curl_1_all curl=1 bytes=10"))
	s := p.stats(30)
	p.equal("by kind", s.ByKind, aptrepo.KindCounts{
		aptrepo.ClientAPT: 9, aptrepo.ClientCurl: 2, aptrepo.ClientWget: 2, aptrepo.ClientOther: 1,
	})
	p.equal("packages", s.Packages, 4)
	p.equal("clients", s.Clients, 4)
	p.equal("per day", s.PerDay, []aptrepo.DownloadDay{
		{Day: today - 2, Downloads: 2, Bytes: 20}, {Day: today - 1, Downloads: 3, Bytes: 300}, {Day: today, Downloads: 9, Bytes: 563},
	})
	p.equal("per package", perPackage(s), []string{
		"nginx 9, 850 bytes, 4 clients, [1.10 1.9]", "curl 3, 30 bytes, 1 clients, [1]", "a 1, 2 bytes, 1 clients, [1]",
	})
	p.equal("recent", len(s.Recent), 0)
}

// "A batch whose Number is not above that of the last one from its Counter was
// added before, and changes nothing."
func downloadsOnce(p *probe) {
	p.insert("a 1 all")
	b := batchOf("x", 2, "0 a_1_all apt=1 bytes=1 clients=1")
	b.Recent = []aptrepo.Download{{Time: at(0), Filename: "pool/a_1_all.deb"}}
	p.downloaded(b)
	once := p.stats(1)
	p.downloaded(b)
	p.equal("stats of a batch that came twice", p.stats(1), once)
	p.downloaded(batchOf("x", 1, "0 a_1_all apt=10"))
	p.equal("stats after an earlier batch", p.stats(1), once)
	p.downloaded(batchOf("y", 1, "0 a_1_all apt=100"))
	p.downloaded(batchOf("x", 3, "0 a_1_all apt=1000"))
	p.equal("downloads in the end", p.stats(1).ByKind.Total(), int64(1101))
}

// "AddDownloads adds a batch to what is counted, in one transaction": several
// servers do.
func downloadsTogether(p *probe) {
	p.insert("a 1 all", "b 1 all")
	parallel(4, func(i int) {
		for n := range int64(5) {
			p.downloaded(batchOf(fmt.Sprint("server", i), n+1, fmt.Sprintf("0 a_1_all apt=1 bytes=10 clients=%d,0", i+1), "1 b_1_all wget=2 bytes=1"))
		}
	})
	s := p.stats(2)
	p.equal("per day", s.PerDay, []aptrepo.DownloadDay{{Day: today - 1, Downloads: 40, Bytes: 20}, {Day: today, Downloads: 20, Bytes: 200}})
	p.equal("per package", perPackage(s), []string{"b 40, 20 bytes, 0 clients, [1]", "a 20, 200 bytes, 5 clients, [1]"})
}

// "Files are known by Artifact.Filename; of one that no artifact has any more, the
// artifact that it was last counted for is meant. Files of which nothing is known
// count for nothing." "Deleting an artifact takes nothing of that away."
func downloadsFiles(p *probe) {
	ids := p.insert("a 1 all", "b 1 all", "c 1 all")
	p.downloaded(batchOf("x", 1, "0 a_1_all apt=1 bytes=1 clients=1", "0 unknown_1_all apt=50 bytes=1 clients=5"))
	p.update(func(tx aptrepo.Tx) error {
		if err := tx.SetFilename(ids["b 1 all"], "pool/elsewhere.deb"); err != nil {
			return err
		}
		if err := tx.DeleteArtifact(ids["c 1 all"]); err != nil {
			return err
		}
		return tx.DeleteArtifact(ids["a 1 all"])
	})
	late := batchOf("x", 2, "0 a_1_all apt=1 bytes=1 clients=1", "0 b_1_all apt=100", "0 c_1_all apt=100", "0 elsewhere wget=7")
	for _, name := range []string{"pool/b_1_all.deb", "pool/a_1_all.deb"} {
		late.Recent = append(late.Recent, aptrepo.Download{Time: at(0), Filename: name})
	}
	p.downloaded(late)
	s := p.stats(1)
	p.equal("per package", perPackage(s), []string{"b 7, 0 bytes, 0 clients, [1]", "a 2, 2 bytes, 1 clients, [1]"})
	p.equal("downloads", s.ByKind.Total(), int64(9))
	p.equal("clients", s.Clients, 1)
	if len(s.Recent) != 1 || s.Recent[0].Name != "a" {
		p.errorf("recent downloads are %+v, want that of a", s.Recent)
	}
	// A file can become that of another artifact.
	p.update(func(tx aptrepo.Tx) error {
		a := made("a 2 all")
		a.Filename = "pool/a_1_all.deb"
		return tx.InsertArtifact(a)
	})
	p.downloaded(batchOf("x", 3, "0 a_1_all apt=10"))
	p.equal("per package", perPackage(p.stats(1))[0], "a 12, 2 bytes, 1 clients, [2 1]")
}

// "DownloadQuery says which downloads count: those of a day and all later ones."
func downloadsSince(p *probe) {
	p.insert("a 1 all", "a 2 all", "b 1 all")
	p.downloaded(batchOf("x", 1, "9 a_1_all apt=5 bytes=50 clients=1,2", "10 b_1_all apt=1 bytes=1 clients=1"))
	p.downloaded(batchOf("x", 2, "3 a_2_all apt=2 bytes=20 clients=2,3"))
	// What comes late takes nothing back.
	p.downloaded(batchOf("x", 3, "5 a_2_all apt=1 bytes=10 clients=3"))
	// The rest of a download that was interrupted is none.
	p.downloaded(batchOf("x", 4, "0 a_1_all bytes=7", "0 b_1_all bytes=8"))
	for _, test := range []struct {
		days, packages, clients int
		want                    []string
	}{
		{11, 2, 3, []string{"a 8, 87 bytes, 3 clients, [2 1]", "b 1, 9 bytes, 1 clients, [1]"}},
		{10, 1, 3, []string{"a 8, 87 bytes, 3 clients, [2 1]"}},
		{9, 1, 2, []string{"a 3, 37 bytes, 2 clients, [2]"}},
		{4, 1, 2, []string{"a 2, 27 bytes, 2 clients, [2]"}},
		{3, 0, 0, []string{}},
	} {
		s := p.stats(test.days)
		p.equal(fmt.Sprintf("packages of %d days", test.days), perPackage(s), test.want)
		p.equal(fmt.Sprintf("numbers of packages and clients of %d days", test.days), []int{s.Packages, s.Clients}, []int{test.packages, test.clients})
	}
	p.equal("the last day", p.stats(1).PerDay, []aptrepo.DownloadDay{{Day: today, Bytes: 15}})
}

// "Recent: newest first, at most RecentDownloads." "RecentSince is the time before
// which a download is not recent."
func downloadsRecent(p *probe) {
	p.insert("a 1:1 amd64", "b 2 all")
	first := aptrepo.Download{
		Time: at(5), Filename: "pool/a_1:1_amd64.deb", Kind: aptrepo.ClientWget, Bytes: 1 << 40, IP: "2001:db8:1::",
	}
	old := aptrepo.Download{Time: at(-1001), Filename: "pool/b_2_all.deb"}
	b := batchOf("x", 1)
	b.Recent = []aptrepo.Download{old, first}
	p.downloaded(b)
	want := first
	want.Name, want.Version, want.Arch = "a", "1:1", "amd64"
	p.equal("recent", p.stats(1).Recent, []aptrepo.Download{want})
	b = batchOf("y", 1)
	for i := range aptrepo.RecentDownloads {
		b.Recent = append(b.Recent, aptrepo.Download{Time: at(i - 1), Filename: "pool/b_2_all.deb", Bytes: int64(i)})
	}
	p.downloaded(b)
	s := p.stats(1)
	if len(s.Recent) != aptrepo.RecentDownloads {
		p.errorf("%d recent downloads, want %d", len(s.Recent), aptrepo.RecentDownloads)
		return
	}
	for i := 1; i < len(s.Recent); i++ {
		if s.Recent[i].Time.After(s.Recent[i-1].Time) {
			p.errorf("recent download %d is newer than the one before it", i)
		}
	}
	p.equal("the newest", s.Recent[0].Bytes, int64(aptrepo.RecentDownloads-1))
	p.equal("the oldest", s.Recent[len(s.Recent)-1].Time, at(0))
}

// "PruneDownloads forgets what was counted on days before one: totals, and clients
// and artifacts that were last seen then; and single downloads before a time."
func downloadsPruned(p *probe) {
	ids := p.insert("a 1 all", "b 1 all", "c 1 all")
	b := batchOf("x", 1, "3 a_1_all apt=1 bytes=1 clients=1,2", "2 a_1_all apt=10 bytes=10 clients=2", "3 b_1_all apt=100 bytes=100 clients=3",
		"2 b_1_all bytes=5", "4 a_1_all apt=1000 clients=4", "4 c_1_all apt=1 bytes=10", "2 c_1_all bytes=7")
	for _, second := range []int{1, 2, 3} {
		b.Recent = append(b.Recent, aptrepo.Download{Time: at(second), Filename: "pool/b_1_all.deb"})
	}
	p.downloaded(b)
	before := p.stats(3)
	p.ok("PruneDownloads", p.s.PruneDownloads(p.ctx, today-2, at(2)))
	s := p.stats(30)
	p.equal("per day", s.PerDay, before.PerDay)
	p.equal("per package", perPackage(s), []string{"a 10, 10 bytes, 1 clients, [1]"})
	p.equal("clients", s.Clients, 1)
	times := []time.Time{}
	for _, one := range s.Recent {
		times = append(times, one.Time)
	}
	p.equal("recent", times, []time.Time{at(3), at(2)})
	// A batch that was added stays so.
	p.downloaded(b)
	p.equal("stats after an old batch", p.stats(30), s)
	// Of c the rest of a download is left.
	p.downloaded(batchOf("y", 1, "1 c_1_all apt=1 bytes=1"))
	p.equal("per package, of c", perPackage(p.stats(30))[1], "c 1, 8 bytes, 0 clients, [1]")
	p.ok("PruneDownloads", p.s.PruneDownloads(p.ctx, today+1, at(4)))
	p.equal("stats in the end", p.stats(30), aptrepo.DownloadStats{})
	p.update(func(tx aptrepo.Tx) error { return tx.DeleteArtifact(ids["a 1 all"]) })
	p.downloaded(batchOf("x", 2, "0 a_1_all apt=1", "0 b_1_all apt=1"))
	p.equal("what was forgotten", perPackage(p.stats(30)), []string{"b 1, 0 bytes, 0 clients, [1]"})
}
