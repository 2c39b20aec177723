package httpapi

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
)

// countDownload counts what a client got of a package. What it got is what was
// written to the connection, so that nothing stands between file and socket; or
// what it asked for, when it was sent to the store.
func (a *api) countDownload(c *call) {
	if a.Downloads == nil || c.Method != http.MethodGet {
		return
	}
	begins, n := c.w.status == http.StatusOK, c.w.bytes
	switch c.w.status {
	case http.StatusOK:
	case http.StatusPartialContent:
		begins = strings.HasPrefix(c.w.Header().Get("Content-Range"), "bytes 0-")
	case http.StatusTemporaryRedirect:
		begins, n = elsewhere(c.Header.Get("Range"), c.w.redirect)
	default:
		return
	}
	name, ok := treePath(c.URL.EscapedPath())
	if n == 0 || !ok || !strings.HasPrefix(name, "pool/") || !strings.HasSuffix(name, ".deb") {
		return
	}
	a.Downloads.Count(aptrepo.Served{
		Filename: name, Begins: begins, Bytes: n, Kind: clientKind(c.Header.Get("User-Agent")), Client: c.ip,
	})
}

// clientKind tells programs apart by their field User-Agent: "Debian
// APT-HTTP/1.3 (2.6.1)", "curl/7.88.1", "Wget/1.21.3".
func clientKind(agent string) aptrepo.ClientKind {
	has := func(word string) bool { return strings.Contains(agent, word) }
	switch {
	case has("APT") || has("apt"):
		return aptrepo.ClientAPT
	case has("curl"):
		return aptrepo.ClientCurl
	case has("Wget") || has("wget"):
		return aptrepo.ClientWget
	}
	return aptrepo.ClientOther
}

const (
	topPackages = 50
	recentDays  = 7 // a download is recent for so long
)

// days reads how many days are asked for; the first of them, with today as the
// last one, is the Day.
func (a *api) days(q *query) (n int, first, today aptrepo.Day) {
	n = q.number("days", 30, 1, 365)
	today = aptrepo.DayOf(a.Now())
	return n, today - aptrepo.Day(n) + 1, today
}

type peakJSON struct {
	Date      string `json:"date"`
	Downloads int64  `json:"downloads"`
}

type downloadSummaryJSON struct {
	Total    int64     `json:"total_downloads"`
	Packages int       `json:"unique_packages"`
	Clients  int       `json:"unique_clients"`
	Bytes    int64     `json:"total_bytes"`
	Average  float64   `json:"avg_per_day"`
	Peak     *peakJSON `json:"peak_day"`
}

type downloadDayJSON struct {
	Date      string `json:"date"`
	Downloads int64  `json:"downloads"`
	Bytes     int64  `json:"bytes"`
}

type packageDownloadsJSON struct {
	Name      string   `json:"name"`
	Downloads int64    `json:"downloads"`
	Bytes     int64    `json:"bytes"`
	Clients   int      `json:"clients"`
	Versions  []string `json:"versions"`
}

type clientTypesJSON struct {
	APT   int64 `json:"apt"`
	Curl  int64 `json:"curl"`
	Wget  int64 `json:"wget"`
	Other int64 `json:"other"`
}

type downloadJSON struct {
	Timestamp  timestamp `json:"timestamp"`
	Name       string    `json:"name"`
	Version    string    `json:"version"`
	Arch       string    `json:"arch"`
	ClientType string    `json:"client_type" rule:"apt|curl|wget|other"`
	Bytes      int64     `json:"bytes"`
	IP         string    `json:"ip"`
}

type downloadsJSON struct {
	Days       int                    `json:"days"`
	From       string                 `json:"from"`
	To         string                 `json:"to"`
	Summary    downloadSummaryJSON    `json:"summary"`
	PerPackage []packageDownloadsJSON `json:"per_package"`
	PerDay     []downloadDayJSON      `json:"per_day"`
	PerKind    clientTypesJSON        `json:"per_client_type"`
	Recent     []downloadJSON         `json:"recent"`
}

func (a *api) downloadStats(c *call) error {
	q := newQuery(c.Request)
	n, first, today := a.days(q)
	if err := q.err(); err != nil {
		return err
	}
	s, err := a.Repo.Store.Downloads(c.Context(), aptrepo.DownloadQuery{
		Since: first, Top: topPackages, RecentSince: a.Now().Add(-recentDays * 24 * time.Hour),
	})
	if err != nil {
		return err
	}
	kinds := s.ByKind
	out := downloadsJSON{
		n, first.String(), today.String(), downloadSummaryJSON{Packages: s.Packages, Clients: s.Clients}, []packageDownloadsJSON{}, nil,
		clientTypesJSON{kinds[aptrepo.ClientAPT], kinds[aptrepo.ClientCurl], kinds[aptrepo.ClientWget], kinds[aptrepo.ClientOther]},
		[]downloadJSON{},
	}
	out.PerDay = everyDay(first, today, s.PerDay, &out.Summary)
	out.Summary.Average = float64(int64(100*float64(out.Summary.Total)/float64(n)+0.5)) / 100
	for _, p := range s.PerPackage {
		out.PerPackage = append(out.PerPackage, packageDownloadsJSON{p.Name, p.Downloads, p.Bytes, p.Clients, list(p.Versions)})
	}
	form := a.addressForm(c)
	for _, one := range s.Recent {
		out.Recent = append(out.Recent, downloadJSON{
			timestamp(one.Time), one.Name, one.Version, one.Arch, one.Kind.String(), one.Bytes, reduced(one.IP, form),
		})
	}
	return writeJSON(c.w, http.StatusOK, out)
}

// everyDay lists all days, zero or not, and sums them up.
func everyDay(first, last aptrepo.Day, some []aptrepo.DownloadDay, sum *downloadSummaryJSON) []downloadDayJSON {
	known := make(map[aptrepo.Day]aptrepo.DownloadDay, len(some))
	for _, d := range some {
		if d.Day > last { // the clock of another server may be ahead
			continue
		}
		known[d.Day] = d
		sum.Total += d.Downloads
		sum.Bytes += d.Bytes
		if d.Downloads > 0 && (sum.Peak == nil || d.Downloads > sum.Peak.Downloads) {
			sum.Peak = &peakJSON{d.Day.String(), d.Downloads}
		}
	}
	all := make([]downloadDayJSON, 0, last-first+1)
	for day := first; day <= last; day++ {
		all = append(all, downloadDayJSON{day.String(), known[day].Downloads, known[day].Bytes})
	}
	return all
}

// addressForm is what a caller sees of clients' addresses: below auditor nothing,
// else what the settings say now, which may be less than what was kept.
func (a *api) addressForm(c *call) aptrepo.AddressForm {
	if !c.who.Has(auth.Auditor) {
		return aptrepo.AddressNone
	}
	return aptrepo.AddressForm(a.Settings.Current().Downloads.ClientIP)
}

func reduced(ip string, form aptrepo.AddressForm) string {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	return form.Of(address)
}
