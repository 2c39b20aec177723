package aptrepo

import (
	"context"
	"time"

	"github.com/repod-io/repod/scan"
)

// EventKind names what happened.
type EventKind string

// The kinds of event. All but the last three are what the API's webhook sends.
const (
	EventPackageIndexed      EventKind = "package.indexed"
	EventPackagePending      EventKind = "package.pending_review"
	EventPackageRejected     EventKind = "package.rejected"
	EventPackageQuarantined  EventKind = "package.quarantined"
	EventPackageReleased     EventKind = "package.released"
	EventPackagePromoted     EventKind = "package.promoted"
	EventPackageDeleted      EventKind = "package.deleted"
	EventDecisionMade        EventKind = "decision.made"
	EventDecisionExpired     EventKind = "decision.expired"
	EventVulnerabilities     EventKind = "vulnerabilities.found"
	EventImportFinished      EventKind = "import.finished"
	EventSyncFailed          EventKind = "sync.failed"
	EventScannerUnavailable  EventKind = "scanner.unavailable" // once in an outage
	EventDistributionCreated EventKind = "distribution.created"
	EventRetentionFinished   EventKind = "retention.finished"
	EventKeyGenerated        EventKind = "gpg.generated"

	EventPackageRescanned EventKind = "package.rescanned" // whatever came of it
	EventDecisionExpiring EventKind = "decision.expiring" // once, 7 days before
	EventKeyExpiring      EventKind = "gpg.expiring"      // once, 30 days before
)

// An Event tells of a change.
//
// Repo.Messages is asked about it within the transaction of the change: what it
// returns is sent if the change took effect, and only then, whatever becomes of
// the program. Repo.OnEvent is called when apt sees the change, if the program
// lives to see that. What both get must not be changed.
type Event struct {
	Kind  EventKind
	Time  time.Time // UTC
	Actor string

	// Artifact is set on package events, and those of vulnerabilities and
	// decisions, as it is after the change; on EventPackageDeleted, before.
	Artifact *Artifact
	// Scan is what is known of it, on EventPackagePending and EventPackageRejected.
	Scan *ScanSummary
	// Reason is why, on EventPackageQuarantined and EventPackageReleased.
	Reason string
	// Decision is that of decision events.
	Decision *Decision
	// Findings are the new ones of EventVulnerabilities, the worst first;
	// Verdict is what the policy makes of them.
	Findings []scan.Finding
	Verdict  Verdict

	// Distribution is where it happened; From where a promoted package came
	// from. Distributions lists all that a package left, or is meant for.
	Distribution  string
	From          string
	Component     string
	Distributions []string
	Description   string // of a distribution

	// Fingerprint is that of a generated or expiring key.
	Fingerprint string
	Algorithm   string
	ExpiresAt   time.Time // zero: never

	// Group, Imported, Skipped and Failed tell of an import.
	Group                     string
	Imported, Skipped, Failed int

	// SourceID is that of a source whose sync failed; Code and Detail say why.
	// Detail is that of EventScannerUnavailable, too.
	SourceID string
	Code     string
	Detail   string
	// LastSync is when the source was last synced with success. Again says that
	// the failure is no news: somebody asked for the sync and is told, or the
	// scheduled one failed before since LastSync.
	LastSync time.Time
	Again    bool

	// Removed and FreedBytes are what retention did.
	Removed    int
	FreedBytes int64
}

// tell makes an event a part of a transaction. It returns the event for emit,
// which is called when the transaction has committed and is published.
func (r *Repo) tell(ctx context.Context, tx Tx, e Event) (Event, error) {
	e.Time = r.now().UTC()
	e.Actor = ActorFrom(ctx).Name
	if e.Kind == EventSyncFailed {
		news := false
		if e.Actor == (Actor{}).name() {
			var err error
			if news, err = tx.Note("sync "+e.SourceID, e.Time, e.LastSync); err != nil {
				return e, err
			}
		}
		e.Again = !news
	}
	if r.Messages == nil {
		return e, nil
	}
	for _, m := range r.Messages(e) {
		m.CreatedAt = e.Time
		if err := tx.Enqueue(m); err != nil {
			return e, err
		}
	}
	return e, nil
}

// tellAll tells of several events.
func (r *Repo) tellAll(ctx context.Context, tx Tx, events []Event) (told []Event, err error) {
	for _, e := range events {
		if e, err = r.tell(ctx, tx, e); err != nil {
			return nil, err
		}
		told = append(told, e)
	}
	return told, nil
}

// emit calls OnEvent with events that tell returned.
func (r *Repo) emit(ctx context.Context, events ...Event) {
	if r.OnEvent == nil {
		return
	}
	for _, e := range events {
		r.OnEvent(ctx, e)
	}
}
