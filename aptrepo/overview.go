package aptrepo

import (
	"context"
	"time"
)

// OverviewStore is the part of a [Store] that knows what there is, and what has
// happened on each day, without counting it when it is asked.
//
// The counts of a day follow from what updates have done, and are kept whatever
// becomes of the artifacts: see DayCounts.
type OverviewStore interface {
	// Overview sums up what there is, at one moment.
	Overview(ctx context.Context, q OverviewQuery) (Overview, error)
	// History returns the counts of a day and all later ones, by day; days without
	// any are left out.
	History(ctx context.Context, since Day) ([]DayCounts, error)
}

// An OverviewQuery says what an Overview lists.
type OverviewQuery struct {
	ArrivedSince time.Time // Arrived counts from here on
	ExpiringBy   time.Time // Expiring are the decisions that end until then
	// Newest and Most bound the list of arrivals, and each other list.
	Newest, Most int
}

// An Overview is what there is.
type Overview struct {
	Names         int // of packages
	Artifacts     int
	SizeBytes     int64 // of all artifacts
	ByStatus      map[Status]int
	Arrived       int // artifacts that were uploaded or imported since ArrivedSince
	Distributions int

	// Sums over all artifacts, as those of a PosturePage.
	Scanned, Unscanned int
	Counts             SeverityCounts
	KEV                int
	// Waiting are the rejected artifacts that wait for a decision; see
	// PostureQuery.Queue.
	Waiting int
	// Exploited are the artifacts with findings that are known to be exploited,
	// without rejected and quarantined ones, by name, version (newest first) and
	// architecture. Only their Key is there, with Version as it is spelled.
	Exploited []Key
	Expiring  []Decision // active ones, those first that end first
	Newest    []Arrival  // newest first
}

// An Arrival is an artifact and where it is to be published.
type Arrival struct {
	Artifact Artifact
	Targets  []Publication
}

// DayCounts are what happened on a day. Deletions, and rejections of artifacts that
// were there before, have the time of the update's last entry in the audit log; the
// present, when it makes none.
type DayCounts struct {
	Day Day
	// Uploads and Imports are the artifacts that came, by Origin and UploadedAt,
	// without those that were Rejected at once.
	Uploads, Imports int64
	// Rejections are the artifacts that came as Rejected, or became so later.
	Rejections int64
	Decisions  int64 // by DecidedAt
	Scans      int64 // by ScannedAt: one that stays as it was is that of the scan before
	// Deletions are the artifacts that went, without those in whose place the same
	// update put others.
	Deletions int64
	Downloads int64
}
