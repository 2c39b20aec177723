package aptrepo

import (
	"context"
	"net/netip"
	"time"
)

// A Day is a calendar day in UTC, counted from 1970-01-01.
type Day int64

// DayOf returns the day of a time.
func DayOf(t time.Time) Day {
	seconds := t.Unix()
	day := seconds / 86400
	if seconds%86400 < 0 {
		day--
	}
	return Day(day)
}

// Start returns the day's first moment.
func (d Day) Start() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String returns the day as YYYY-MM-DD.
func (d Day) String() string { return d.Start().Format(time.DateOnly) }

// A ClientKind is a kind of program that downloads packages.
type ClientKind int

// The kinds of clients.
const (
	ClientOther ClientKind = iota
	ClientAPT
	ClientCurl
	ClientWget
	clientKinds
)

// String returns the kind's name: "apt".
func (k ClientKind) String() string {
	return [...]string{ClientOther: "other", ClientAPT: "apt", ClientCurl: "curl", ClientWget: "wget"}[k]
}

// KindCounts counts downloads by [ClientKind].
type KindCounts [clientKinds]int64

// Total is the sum.
func (c KindCounts) Total() int64 {
	var total int64
	for _, n := range c {
		total += n
	}
	return total
}

// An AddressForm says how much of a client's address is kept.
type AddressForm string

// The forms of addresses.
const (
	AddressNone   AddressForm = "none"
	AddressMasked AddressForm = "masked" // the network: /24 of IPv4, /48 of IPv6
	AddressFull   AddressForm = "full"
)

// Of returns the form of an address; "" for none, and for one that is not valid.
func (f AddressForm) Of(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	switch f {
	case AddressFull:
		return ip.String()
	case AddressMasked:
		bits := 48
		if ip.Is4() {
			bits = 24
		}
		network, _ := ip.Prefix(bits) // only ever fails for bits out of bounds
		return network.Addr().String()
	}
	return ""
}

// RecentDownloads is how many single downloads a [Store] remembers.
const RecentDownloads = 50

// DownloadStore is the part of a [Store] that keeps what was downloaded: totals
// of each day and artifact, clients, and the latest downloads. Deleting an
// artifact takes nothing of that away.
//
// Clients are numbers, by which a [DownloadCounter] tells addresses apart.
type DownloadStore interface {
	// AddDownloads adds a batch to what is counted, in one transaction. A batch
	// whose Number is not above that of the last one from its Counter was added
	// before, and changes nothing: who does not know whether a batch was added
	// adds it again. Files are known by Artifact.Filename; of one that no artifact
	// has any more, the artifact that it was last counted for is meant. Files of
	// which nothing is known count for nothing.
	AddDownloads(ctx context.Context, b DownloadBatch) error
	// Downloads sums up what was counted since a day.
	Downloads(ctx context.Context, q DownloadQuery) (DownloadStats, error)
	// PruneDownloads forgets what was counted on days before one: totals, and
	// clients and artifacts that were last seen then; and single downloads before
	// a time. It takes transactions that are short.
	PruneDownloads(ctx context.Context, before Day, single time.Time) error
}

// A DownloadBatch is what one server has counted in a while.
type DownloadBatch struct {
	Counter string // who counted, at random
	Number  int64  // of the batch: 1, 2, 3 ...
	At      time.Time
	Counts  []DownloadCount // of each Day and Filename, once
	Recent  []Download      // Name, Version and Arch count for nothing
}

// A DownloadCount is what was downloaded of a file on a day. Downloads may be
// none, where only the rest of an earlier one was fetched.
type DownloadCount struct {
	Day       Day
	Filename  string
	Downloads KindCounts
	Bytes     int64
	Clients   []int64 // each once
}

// A Download is a single one.
type Download struct {
	Time                time.Time
	Filename            string // key in storage: "pool/..."
	Name, Version, Arch string // of the artifact
	Kind                ClientKind
	Bytes               int64
	IP                  string // in the form that was to be kept
}

// A DownloadQuery says which downloads count: those of a day and all later ones.
type DownloadQuery struct {
	Since Day
	// Top bounds PerPackage.
	Top int
	// RecentSince is the time before which a download is not recent.
	RecentSince time.Time
}

// DownloadStats sum up downloads.
type DownloadStats struct {
	ByKind     KindCounts
	Packages   int           // names that were downloaded
	Clients    int           // distinct ones
	PerDay     []DownloadDay // by day, those on which something was sent
	PerPackage []PackageDownloads
	Recent     []Download // newest first, at most RecentDownloads
}

// A DownloadDay is the downloads of a day.
type DownloadDay struct {
	Day       Day
	Downloads int64
	Bytes     int64 // of bodies, as sent
}

// PackageDownloads are those of the artifacts of a name.
type PackageDownloads struct {
	Name      string
	Downloads int64
	Bytes     int64
	Clients   int      // distinct ones
	Versions  []string // that were downloaded, newest first
}
