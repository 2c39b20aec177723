package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/upstream"
)

const (
	activityDays  = 7
	newestShown   = 10
	alertsShown   = 20
	expiringShown = 100
	expiringSoon  = 7 * 24 * time.Hour
	// keyExpiringSoon is that of the mail of the same name.
	keyExpiringSoon = 30 * 24 * time.Hour
)

type historyJSON struct {
	Date       string `json:"date"`
	Uploads    int64  `json:"uploads"`
	Imports    int64  `json:"imports"`
	Rejections int64  `json:"rejections"`
	Decisions  int64  `json:"decisions"`
	Scans      int64  `json:"scans"`
	Deletions  int64  `json:"deletions"`
	Downloads  int64  `json:"downloads"`
}

type dashboardHistoryJSON struct {
	Days    int           `json:"days"`
	History []historyJSON `json:"history"`
}

func (a *api) dashboardHistory(c *call) error {
	q := newQuery(c.Request)
	n, first, today := a.days(q)
	if err := q.err(); err != nil {
		return err
	}
	days, err := a.history(c.Context(), first, today)
	if err != nil {
		return err
	}
	out := dashboardHistoryJSON{n, make([]historyJSON, 0, n)}
	for _, d := range days {
		out.History = append(out.History, historyJSON{
			d.Day.String(), d.Uploads, d.Imports, d.Rejections, d.Decisions, d.Scans, d.Deletions, d.Downloads,
		})
	}
	return writeJSON(c.w, http.StatusOK, out)
}

// history returns the counts of every day, oldest first.
func (a *api) history(ctx context.Context, first, last aptrepo.Day) ([]aptrepo.DayCounts, error) {
	some, err := a.Repo.Store.History(ctx, first)
	if err != nil {
		return nil, err
	}
	all := make([]aptrepo.DayCounts, last-first+1)
	for i := range all {
		all[i].Day = first + aptrepo.Day(i)
	}
	for _, d := range some {
		if d.Day <= last { // the clock of another server may be ahead
			all[d.Day-first] = d
		}
	}
	return all, nil
}

type stockJSON struct {
	Total     int                    `json:"total"`
	Artifacts int                    `json:"artifacts"`
	Size      int64                  `json:"total_size_bytes"`
	Today     int                    `json:"uploaded_today"`
	ByStatus  map[aptrepo.Status]int `json:"by_status"`
}

type fetchedJSON struct {
	Today int64 `json:"today"`
	Week  int64 `json:"last_7_days"`
	Month int64 `json:"last_30_days"`
}

type expiringJSON struct {
	Name     string         `json:"name"`
	Version  string         `json:"version"`
	Arch     string         `json:"arch"`
	Decision aptrepo.Ruling `json:"decision"`
	Expires  timestamp      `json:"expires_at"`
}

type safetyJSON struct {
	Scanned     int            `json:"scanned"`
	Unscanned   int            `json:"unscanned"`
	Critical    int            `json:"critical"`
	High        int            `json:"high"`
	Medium      int            `json:"medium"`
	Low         int            `json:"low"`
	Negligible  int            `json:"negligible"`
	Unknown     int            `json:"unknown"`
	KEV         int            `json:"kev"`
	Pending     int            `json:"pending_review"`
	Quarantined int            `json:"quarantined"`
	Expiring    []expiringJSON `json:"decisions_expiring"`
}

type activityJSON struct {
	Date       string `json:"date"`
	Uploads    int64  `json:"uploads"`
	Imports    int64  `json:"imports"`
	Rejections int64  `json:"rejections"`
}

type arrivalJSON struct {
	Timestamp    timestamp      `json:"timestamp"`
	Kind         string         `json:"kind" rule:"upload|import"`
	Name         string         `json:"name"`
	Version      string         `json:"version"`
	Arch         string         `json:"arch"`
	Distribution string         `json:"distribution"`
	Status       aptrepo.Status `json:"status"`
	User         string         `json:"user"`
}

type scannerJSON struct {
	Enabled   bool      `json:"enabled"`
	Available bool      `json:"available"`
	Date      timestamp `json:"signature_date"`
}

type overviewJSON struct {
	Packages      stockJSON      `json:"packages"`
	Distributions int            `json:"distributions"`
	Downloads     fetchedJSON    `json:"downloads"`
	Security      safetyJSON     `json:"security"`
	Activity      []activityJSON `json:"activity"`
	Recent        []arrivalJSON  `json:"recent"`
	Alerts        []alertJSON    `json:"alerts"`
	ClamAV        scannerJSON    `json:"clamav"`
	LastSync      timestamp      `json:"last_sync"`
	NextSync      timestamp      `json:"next_sync"`
}

func (a *api) dashboardStats(c *call) error {
	ctx, now := c.Context(), a.Now()
	today := aptrepo.DayOf(now)
	o, err := a.Repo.Store.Overview(ctx, aptrepo.OverviewQuery{
		ArrivedSince: today.Start(), ExpiringBy: now.Add(expiringSoon), Newest: newestShown, Most: expiringShown,
	})
	if err != nil {
		return err
	}
	month, err := a.history(ctx, today-29, today)
	if err != nil {
		return err
	}
	sources, err := a.Import.Status(ctx)
	if err != nil {
		return err
	}
	next, err := a.nextSync()
	if err != nil {
		return err
	}
	ring, err := a.Repo.Keys(ctx)
	if err != nil {
		return err
	}
	var scanner ScannerStatus
	if a.Scanner != nil {
		scanner = a.Scanner(ctx)
	}
	return writeJSON(c.w, http.StatusOK, overviewJSON{
		newStock(&o), o.Distributions, fetched(month), newSafety(&o), activity(month[len(month)-activityDays:]), arrivals(o.Newest),
		alerts(&o, scanner, ring, sources, now), scannerJSON{scanner.Enabled, scanner.Available, timestamp(scanner.SignatureDate)},
		timestamp(importer.LastAttempt(sources)), next,
	})
}

func newStock(o *aptrepo.Overview) stockJSON {
	s := stockJSON{o.Names, o.Artifacts, o.SizeBytes, o.Arrived, make(map[aptrepo.Status]int)}
	for _, status := range aptrepo.Statuses() {
		s.ByStatus[status] = o.ByStatus[status]
	}
	return s
}

// fetched sums up the downloads of a month, whose last day is today.
func fetched(month []aptrepo.DayCounts) (f fetchedJSON) {
	for i, d := range month {
		f.Month += d.Downloads
		if i >= len(month)-7 {
			f.Week += d.Downloads
		}
	}
	f.Today = month[len(month)-1].Downloads
	return f
}

func newSafety(o *aptrepo.Overview) safetyJSON {
	n := o.Counts
	s := safetyJSON{
		o.Scanned, o.Unscanned, n.Critical, n.High, n.Medium, n.Low, n.Negligible, n.Unknown, o.KEV,
		o.ByStatus[aptrepo.PendingReview], o.ByStatus[aptrepo.Quarantined], []expiringJSON{},
	}
	for _, d := range o.Expiring {
		s.Expiring = append(s.Expiring, expiringJSON{d.Name, d.Version, d.Arch, d.Ruling, timestamp(d.ExpiresAt)})
	}
	return s
}

func activity(days []aptrepo.DayCounts) []activityJSON {
	all := make([]activityJSON, 0, len(days))
	for _, d := range days {
		all = append(all, activityJSON{d.Day.String(), d.Uploads, d.Imports, d.Rejections})
	}
	return all
}

// arrivals are the newest artifacts. The distribution is the first one that an
// artifact is published in, or is to be.
func arrivals(newest []aptrepo.Arrival) []arrivalJSON {
	all := make([]arrivalJSON, 0, len(newest))
	for _, n := range newest {
		a := n.Artifact
		row := arrivalJSON{timestamp(a.UploadedAt), a.Origin, a.Name, a.Version, a.Arch, "", a.Status, a.UploadedBy}
		for _, p := range append(a.Publications, n.Targets...) {
			row.Distribution = p.Distribution
			break
		}
		all = append(all, row)
	}
	return all
}

type alertJSON struct {
	Kind    string `json:"kind" rule:"pending_review|rejected|quarantined|decision_expiring|kev|sync_failed|scanner_unavailable|key_expiring"`
	Message string `json:"message"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// alerts say what somebody should look after, the most urgent first: what keeps
// the server from working, what is known to be exploited, what waits for people.
func alerts(o *aptrepo.Overview, scanner ScannerStatus, ring aptrepo.KeyRing, sources []importer.SourceStatus, now time.Time) []alertJSON {
	all := []alertJSON{}
	add := func(kind, name, version, format string, args ...any) {
		if len(all) < alertsShown {
			all = append(all, alertJSON{kind, fmt.Sprintf(format, args...), name, version})
		}
	}
	if scanner.Enabled && !scanner.Available {
		add("scanner_unavailable", "", "", "The scanner for malware does not answer")
	}
	for _, k := range ring.Keys {
		if k.State == aptrepo.KeyActive && !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(now.Add(keyExpiringSoon)) {
			verb := "expires"
			if !now.Before(k.ExpiresAt) {
				verb = "has expired"
			}
			add("key_expiring", "", "", "The signing key %s %s on %s", k.KeyID, verb, aptrepo.DayOf(k.ExpiresAt))
		}
	}
	waiting := func(kind string, n int, one, many string) {
		switch {
		case n == 1:
			add(kind, "", "", "1 package %s", one)
		case n > 1:
			add(kind, "", "", "%d packages %s", n, many)
		}
	}
	waiting("quarantined", o.ByStatus[aptrepo.Quarantined], "is in quarantine", "are in quarantine")
	waiting("pending_review", o.ByStatus[aptrepo.PendingReview], "waits for review", "wait for review")
	waiting("rejected", o.Waiting, "was rejected and waits for a decision", "were rejected and wait for a decision")
	for _, s := range sources {
		if s.Enabled && s.State.Status == upstream.Error {
			add("sync_failed", "", "", "The source %s could not be synced: %s", s.ID, oneLine(s.State.Detail))
		}
	}
	for _, k := range o.Exploited {
		add("kev", k.Name, k.Version, "%s %s (%s) has a vulnerability that is known to be exploited", k.Name, k.Version, k.Arch)
	}
	for _, d := range o.Expiring {
		add("decision_expiring", d.Name, d.Version, "The decision about %s %s (%s) ends on %s", d.Name, d.Version, d.Arch, aptrepo.DayOf(d.ExpiresAt))
	}
	return all
}
