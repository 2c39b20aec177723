package aptrepo

import (
	"context"
	"time"
)

// EventKind names what happened.
type EventKind string

// The kinds of event.
const (
	EventPackageIndexed      EventKind = "package.indexed"
	EventPackagePending      EventKind = "package.pending_review"
	EventPackageRejected     EventKind = "package.rejected"
	EventPackageQuarantined  EventKind = "package.quarantined"
	EventPackageReleased     EventKind = "package.released"
	EventPackageRescanned    EventKind = "package.rescanned"
	EventDecisionMade        EventKind = "decision.made"
	EventDecisionExpired     EventKind = "decision.expired"
	EventVulnerabilities     EventKind = "vulnerabilities.found"
	EventPackagePromoted     EventKind = "package.promoted"
	EventPackageDeleted      EventKind = "package.deleted"
	EventDistributionCreated EventKind = "distribution.created"
	EventKeyGenerated        EventKind = "gpg.generated"
	EventRetentionFinished   EventKind = "retention.finished"
)

// An Event tells of a change that took effect: apt sees it.
type Event struct {
	Kind  EventKind
	Time  time.Time
	Actor string

	// Artifact is set on package events.
	Artifact *Artifact
	// Distribution is where it happened; From where a promoted package came
	// from. Distributions lists all that a deleted package left.
	Distribution  string
	From          string
	Component     string
	Distributions []string
	// Fingerprint is that of a generated key.
	Fingerprint string
	// Removed counts what retention took out of distributions, FreedBytes the
	// size of the files that go with it.
	Removed    int
	FreedBytes int64
}

func (r *Repo) emit(ctx context.Context, e Event) {
	if r.OnEvent == nil {
		return
	}
	e.Time = r.now().UTC()
	e.Actor = ActorFrom(ctx).Name
	r.OnEvent(ctx, e)
}
