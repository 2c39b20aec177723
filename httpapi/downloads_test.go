package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb/debtest"
)

// counted lets a fixture count downloads, as its settings say.
func counted(c *Config) {
	c.Downloads = &aptrepo.DownloadCounter{
		Store: c.Repo.Store, Key: make([]byte, 32), Logger: c.Logger, Now: c.Now,
		Rules: func() aptrepo.DownloadRules {
			s := c.Settings.Current().Downloads
			return aptrepo.DownloadRules{Enabled: s.Enabled, KeepDays: int(s.KeepDays), ClientIP: aptrepo.AddressForm(s.ClientIP)}
		},
	}
}

// proxied lets X-Forwarded-For say who the client is.
func proxied(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// downloadStatsJSON is the answer of GET /downloads/stats.
type downloadStatsJSON struct {
	Days       int                    `json:"days"`
	From       string                 `json:"from"`
	To         string                 `json:"to"`
	Summary    downloadSummaryJSON    `json:"summary"`
	PerPackage []packageDownloadsJSON `json:"per_package"`
	PerDay     []downloadDayJSON      `json:"per_day"`
	PerKind    clientTypesJSON        `json:"per_client_type"`
	Recent     []downloadJSON         `json:"recent"`
}

// downloads writes what was counted, and reads the statistics.
func (f *fixture) downloads(query string, role auth.Role) (s downloadStatsJSON) {
	f.t.Helper()
	if err := f.config.Downloads.Flush(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	f.get("/downloads/stats"+query, role).want(f.t, 200, "").decode(f.t, &s)
	return s
}

const nginxPool = "/apt/pool/main/n/nginx/nginx_1.24.0~rc1+b_amd64.deb"

// What counts as a download, and how much of it was sent.
func TestDownloadsCount(t *testing.T) {
	f := stocked(t, counted)
	whole := f.do("GET", nginxPool, "", nil).want(t, 200, "")
	size := int64(len(whole.body))
	tag, modified := whole.header.Get("ETag"), whole.header.Get("Last-Modified")
	f.clock.move(24 * time.Hour) // the first one was yesterday's
	day := f.downloads("?days=1", auth.Viewer)
	if day.Summary.Total != 0 {
		t.Fatalf("%+v", day.Summary)
	}
	downloads, bytes := int64(0), int64(0)
	for _, test := range []struct {
		method, path string
		header       []string
		status       int
		downloads    int64 // by how much they grow
		bytes        int64
	}{
		{"GET", nginxPool, nil, 200, 1, size},
		{"GET", strings.ReplaceAll(nginxPool, "+", "%2b"), nil, 200, 1, size},
		{"GET", nginxPool + "?x=1", nil, 200, 1, size},
		{"HEAD", nginxPool, nil, 200, 0, 0},
		{"GET", nginxPool, []string{"If-None-Match", tag}, 304, 0, 0},
		{"GET", nginxPool, []string{"If-Modified-Since", modified}, 304, 0, 0},
		{"GET", nginxPool, []string{"Range", "bytes=0-9"}, 206, 1, 10},
		{"GET", nginxPool, []string{"Range", "bytes=0-"}, 206, 1, size},
		{"GET", nginxPool, []string{"Range", "bytes=-999999"}, 206, 1, size},
		{"GET", nginxPool, []string{"Range", "bytes=10-"}, 206, 0, size - 10},
		{"GET", nginxPool, []string{"Range", "bytes=1-1"}, 206, 0, 1},
		{"GET", nginxPool, []string{"Range", "bytes=-5"}, 206, 0, 5},
		{"GET", nginxPool, []string{"Range", "bytes=0-1,5-6"}, 200, 1, size}, // several: the whole is sent
		{"GET", nginxPool, []string{"Range", "bytes=5-", "If-Range", tag}, 206, 0, size - 5},
		{"GET", nginxPool, []string{"Range", "bytes=5-", "If-Range", `"other"`}, 200, 1, size},
		{"GET", nginxPool, []string{"Range", "bytes=999999-"}, 416, 0, 0},
		{"HEAD", nginxPool, []string{"Range", "bytes=0-9"}, 206, 0, 0},
		{"POST", nginxPool, nil, 405, 0, 0},
		{"GET", nginxPool + "x", nil, 404, 0, 0},
		{"GET", "/apt/pool/main/n/nginx/none_1_all.deb", nil, 404, 0, 0},
		{"GET", "/apt/dists/jammy/InRelease", nil, 200, 0, 0},
		{"GET", "/apt/dists/jammy/main/binary-amd64/Packages.gz", nil, 200, 0, 0},
		{"GET", "/apt/repod.asc", nil, 200, 0, 0},
		{"GET", "/health/live", nil, 200, 0, 0},
	} {
		f.do(test.method, test.path, "", nil, test.header...).want(t, test.status, problemCode(test.status, test.path))
		s := f.downloads("?days=1", auth.Viewer).Summary
		if s.Total-downloads != test.downloads || s.Bytes-bytes != test.bytes {
			t.Errorf("%s %s %q: %d downloads and %d bytes more, want %d and %d",
				test.method, test.path, test.header, s.Total-downloads, s.Bytes-bytes, test.downloads, test.bytes)
		}
		downloads, bytes = s.Total, s.Bytes
	}
}

// problemCode is the code of the API's own refusals; the tree has none.
func problemCode(status int, path string) string {
	if status == http.StatusMethodNotAllowed && strings.HasPrefix(path, "/apt/") {
		return "method_not_allowed"
	}
	return ""
}

// A client that goes away before the first byte has downloaded nothing; one that
// goes later has, as far as it got.
func TestDownloadsAborted(t *testing.T) {
	f := onDiskCounted(t)
	path := f.sized("large", 12<<20)
	conn := f.dial()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nUser-Agent: curl/8\r\n\r\n", path)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	s := f.eventually(func(s downloadStatsJSON) bool { return s.Summary.Total == 1 })
	if s.Summary.Bytes < 1<<20 || s.Summary.Bytes >= 12<<20 || s.PerKind.Curl != 1 {
		t.Errorf("%+v %+v", s.Summary, s.PerKind)
	}
	// The server has nothing to send a client that is gone before it answers.
	r, err := http.NewRequest("GET", "http://x"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	(*f.handler.Load()).ServeHTTP(&broken{header: http.Header{}}, r)
	if again := f.downloads("", auth.Viewer); again.Summary.Total != 1 || again.Summary.Bytes != s.Summary.Bytes {
		t.Errorf("aborted before the first byte: %+v", again.Summary)
	}
}

func onDiskCounted(t *testing.T) *fixture {
	f := onDisk(t)
	counted(&f.config)
	f.restart(f.config, nil)
	return f
}

// eventually reads the statistics until they are as wanted.
func (f *fixture) eventually(wanted func(downloadStatsJSON) bool) downloadStatsJSON {
	f.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s := f.downloads("", auth.Viewer)
		if wanted(s) {
			return s
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("still %+v", s.Summary)
		}
	}
}

// broken is a connection that takes nothing.
type broken struct{ header http.Header }

func (b *broken) Header() http.Header       { return b.header }
func (b *broken) WriteHeader(int)           {}
func (b *broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestClientKind(t *testing.T) {
	for agent, want := range map[string]aptrepo.ClientKind{
		"Debian APT-HTTP/1.3 (2.6.1)": aptrepo.ClientAPT, "apt-cacher-ng": aptrepo.ClientAPT, "curl/7.88.1": aptrepo.ClientCurl,
		"Wget/1.21.3": aptrepo.ClientWget, "wget2": aptrepo.ClientWget, "Mozilla/5.0": aptrepo.ClientOther, "": aptrepo.ClientOther,
		"curl wget apt": aptrepo.ClientAPT, "Go-http-client/1.1": aptrepo.ClientOther,
	} {
		if got := clientKind(agent); got != want {
			t.Errorf("%q is %v", agent, got)
		}
	}
}

func TestDownloadStats(t *testing.T) {
	f := stocked(t, counted, proxied)
	a := f.get("/downloads/stats", auth.Viewer).want(t, 200, "")
	a.keys(t, "days", "from", "to", "summary", "per_package", "per_day", "per_client_type", "recent")
	for _, want := range []string{
		`"days":30,"from":"2026-04-13","to":"2026-05-12"`, `"peak_day":null`, `"per_package":[]`, `"recent":[]`, `"avg_per_day":0,`,
		`"per_client_type":{"apt":0,"curl":0,"wget":0,"other":0}`, `"per_day":[{"date":"2026-04-13","downloads":0,"bytes":0},`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("empty statistics lack %s: %s", want, a.body)
		}
	}
	get := func(path, ip, agent string) int64 {
		t.Helper()
		return int64(len(f.do("GET", path, "", nil, "X-Forwarded-For", ip, "User-Agent", agent).want(t, 200, "").body))
	}
	size := get(nginxPool, "192.0.2.7", "Debian APT-HTTP/1.3")
	f.clock.move(24 * time.Hour)
	get("/apt/pool/main/n/nginx/nginx_1.22.1_amd64.deb", "192.0.2.8", "Debian APT-HTTP/1.3")
	get(nginxPool, "192.0.2.7", "curl/8")
	get("/apt/pool/main/p/postfix/postfix_3.6.4_amd64.deb", "2001:db8:aaaa:bbbb::1", "Wget/1")
	s := f.downloads("?days=7", auth.Auditor)
	if s.Days != 7 || s.From != "2026-05-07" || s.To != "2026-05-13" || len(s.PerDay) != 7 || s.PerDay[6].Date != s.To {
		t.Errorf("%d days from %s to %s: %+v", s.Days, s.From, s.To, s.PerDay)
	}
	if sum := s.Summary; sum.Total != 4 || sum.Packages != 2 || sum.Clients != 3 || sum.Average != 0.57 || *sum.Peak != (peakJSON{"2026-05-13", 3}) {
		t.Errorf("%+v, peak %+v", sum, sum.Peak)
	}
	if s.PerDay[5] != (downloadDayJSON{"2026-05-12", 1, size}) || s.PerDay[6].Downloads != 3 {
		t.Errorf("%+v", s.PerDay)
	}
	if s.PerKind != (clientTypesJSON{2, 1, 1, 0}) {
		t.Errorf("%+v", s.PerKind)
	}
	if got := fmt.Sprint(s.PerPackage[0].Name, s.PerPackage[0].Downloads, s.PerPackage[0].Clients, s.PerPackage[0].Versions); got != "nginx3 2 [1.24.0~rc1+b 1.22.1]" {
		t.Errorf("%s", got)
	}
	if len(s.PerPackage) != 2 || len(s.Recent) != 4 {
		t.Fatalf("%+v, %+v", s.PerPackage, s.Recent)
	}
	newest, oldest := s.Recent[0], s.Recent[3]
	if newest.Name != "postfix" || newest.ClientType != "wget" || newest.IP != "2001:db8:aaaa::" ||
		oldest.Version != "1.24.0~rc1+b" || oldest.Arch != "amd64" || oldest.Bytes != size || oldest.IP != "192.0.2.0" {
		t.Errorf("%+v, %+v", newest, oldest)
	}
	for _, one := range f.downloads("", auth.Uploader).Recent {
		if one.IP != "" {
			t.Errorf("an uploader sees %s", one.IP)
		}
	}
	if day := f.downloads("?days=1", auth.Viewer); day.Summary.Total != 3 || day.Summary.Clients != 3 || len(day.PerDay) != 1 {
		t.Errorf("a day: %+v", day.Summary)
	}
	f.clock.move(8 * 24 * time.Hour)
	if s := f.downloads("?days=365", auth.Auditor); s.Summary.Total != 4 || len(s.PerDay) != 365 || len(s.Recent) != 0 {
		t.Errorf("later: %+v, %d recent", s.Summary, len(s.Recent))
	}
	for _, days := range []string{"0", "366", "-1", "x", "7.5", "7&days=8"} {
		f.get("/downloads/stats?days="+days, auth.Viewer).want(t, 422, "validation_failed")
		f.get("/dashboard/history?days="+days, auth.Viewer).want(t, 422, "validation_failed")
	}
}

// What the settings say holds at once; of what was kept before no more is shown
// than they allow now.
func TestDownloadSettings(t *testing.T) {
	f := stocked(t, counted, proxied)
	set := func(body string) {
		t.Helper()
		f.json("PATCH", "/settings/", f.tokens[auth.Admin], `{"downloads":`+body+`}`).want(t, 200, "")
	}
	get := func() { f.do("GET", nginxPool, "", nil, "X-Forwarded-For", "192.0.2.7").want(t, 200, "") }
	ips := func() string {
		var all []string
		for _, one := range f.downloads("", auth.Admin).Recent {
			all = append(all, one.IP)
		}
		return strings.Join(all, " ")
	}
	set(`{"client_ip":"full"}`)
	get()
	if got := ips(); got != "192.0.2.7" {
		t.Errorf("in full: %q", got)
	}
	set(`{"client_ip":"masked"}`)
	get()
	if got := ips(); got != "192.0.2.0 192.0.2.0" {
		t.Errorf("masked: %q", got)
	}
	set(`{"client_ip":"none"}`)
	get()
	if got := ips(); got != "  " {
		t.Errorf("none: %q", got)
	}
	set(`{"client_ip":"full"}`)
	if got := ips(); got != " 192.0.2.0 192.0.2.7" {
		t.Errorf("in full again: %q", got)
	}
	set(`{"enabled":false}`)
	get()
	if s := f.downloads("", auth.Viewer); s.Summary.Total != 3 {
		t.Errorf("switched off: %+v", s.Summary)
	}
	set(`{"enabled":true}`)
	get()
	if s := f.downloads("", auth.Viewer); s.Summary.Total != 4 {
		t.Errorf("switched on again: %+v", s.Summary)
	}
	f.json("PATCH", "/settings/", f.tokens[auth.Admin], `{"downloads":{"keep_days":0,"client_ip":"some","enabled":1}}`).want(t, 422, "validation_failed")
}

// Statistics are the same after a restart.
func TestDownloadsRestart(t *testing.T) {
	f := stocked(t, counted)
	f.do("GET", nginxPool, "", nil).want(t, 200, "")
	before := f.downloads("", auth.Auditor)
	history := f.get("/dashboard/history", auth.Viewer).want(t, 200, "").body
	counted(&f.config)
	f.restart(f.config, nil)
	after := f.downloads("", auth.Auditor)
	one, _ := json.Marshal(before)
	other, _ := json.Marshal(after)
	if string(one) != string(other) || before.Summary.Total != 1 {
		t.Errorf("\n before %s\n after %s", one, other)
	}
	if got := f.get("/dashboard/history", auth.Viewer).body; got != history {
		t.Errorf("\n before %s\n after %s", history, got)
	}
	f.do("GET", nginxPool, "", nil).want(t, 200, "")
	if s := f.downloads("", auth.Viewer); s.Summary.Total != 2 || s.Summary.Clients != 1 {
		t.Errorf("%+v", s.Summary)
	}
}

// A package that was deleted can still be fetched for a day, and its downloads
// stay.
func TestDownloadsDeleted(t *testing.T) {
	f := newFixture(t, counted)
	f.publish(debtest.Package{Name: "gone", Version: "1:1.0"}, "jammy")
	const path = "/apt/pool/main/g/gone/gone_1.0_amd64.deb"
	f.do("GET", path, "", nil).want(t, 200, "")
	f.downloads("", auth.Viewer)
	f.do("DELETE", "/artifacts/gone/1:1.0", f.tokens[auth.Admin], nil).want(t, 204, "")
	f.do("GET", path, "", nil).want(t, 200, "")
	s := f.downloads("", auth.Viewer)
	if s.Summary.Total != 2 || len(s.Recent) != 2 || s.Recent[0].Version != "1:1.0" {
		t.Errorf("%+v, %+v", s.Summary, s.Recent)
	}
}

// What counting costs a request.
func BenchmarkCountDownload(b *testing.B) {
	f := newFixture(b, counted)
	a := (*f.handler.Load()).(*api)
	r, err := http.NewRequest("GET", "http://x"+nginxPool, nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("User-Agent", "Debian APT-HTTP/1.3 (2.6.1)")
	c := &call{Request: r, w: &recorder{ResponseWriter: &broken{header: http.Header{}}, status: 200, bytes: 10_000}, ip: netip.MustParseAddr("192.0.2.1")}
	b.ReportAllocs()
	for b.Loop() {
		a.countDownload(c)
	}
}
