package aptrepo

import (
	"fmt"
	"strings"
	"time"
)

// String tells of an event in one sentence, for people. It may quote what others
// wrote, in one line.
func (e Event) String() string {
	return strings.Join(strings.FieldsFunc(e.sentence(), func(r rune) bool { return isControl(r) || r == ' ' }), " ")
}

func (e Event) sentence() string {
	subject := e.subject()
	switch e.Kind {
	case EventPackageIndexed:
		return subject + " is in " + strings.Join(e.Distributions, ", ")
	case EventPackagePending:
		return subject + " waits for review" + because(e.Artifact)
	case EventPackageRejected:
		return subject + " was refused" + because(e.Artifact)
	case EventPackageQuarantined:
		return subject + " is in quarantine" + after(": ", e.Reason)
	case EventPackageReleased:
		return subject + " was released from quarantine" + after(", and is ", string(statusOf(e.Artifact))) + after(": ", e.Reason)
	case EventPackagePromoted:
		return subject + " was promoted from " + e.From + " to " + e.Distribution
	case EventPackageDeleted:
		return subject + " was removed" + after(" from ", strings.Join(e.Distributions, ", "))
	case EventPackageRescanned:
		return subject + " was scanned again"
	case EventDecisionMade:
		return fmt.Sprintf("%s decided about %s: %s%s", e.Actor, subject, e.Decision.Ruling, after(". ", e.Decision.Comment))
	case EventDecisionExpired:
		return fmt.Sprintf("the decision %q of %s about %s has expired", e.Decision.Ruling, e.Decision.DecidedBy, subject)
	case EventDecisionExpiring:
		return fmt.Sprintf("the decision %q of %s about %s expires on %s", e.Decision.Ruling, e.Decision.DecidedBy, subject, dateOf(e.Decision.ExpiresAt))
	case EventVulnerabilities:
		return subject + " has new vulnerabilities: " + e.foundText()
	}
	return e.otherSentence()
}

// otherSentence tells of what is not about one artifact.
func (e Event) otherSentence() string {
	switch e.Kind {
	case EventImportFinished:
		return fmt.Sprintf("an import%s ended: %d imported, %d there already, %d failed", after(" of group ", e.Group), e.Imported, e.Skipped, e.Failed)
	case EventSyncFailed:
		return "the source " + e.SourceID + " could not be synced: " + e.Code + after(": ", e.Detail)
	case EventScannerUnavailable:
		return "the scanner for malware does not work" + after(": ", e.Detail)
	case EventDistributionCreated:
		return "there is a new distribution: " + e.Distribution + after(", ", e.Description)
	case EventRetentionFinished:
		return fmt.Sprintf("retention removed %d packages, %d bytes", e.Removed, e.FreedBytes)
	case EventKeyGenerated:
		return "there is a new signing key: " + e.Fingerprint
	case EventKeyExpiring:
		return "the signing key " + e.Fingerprint + " expires on " + dateOf(e.ExpiresAt)
	}
	return string(e.Kind)
}

// subject names the package, as "tool 1.0 (amd64)".
func (e Event) subject() string {
	switch {
	case e.Artifact != nil:
		return fmt.Sprintf("%s %s (%s)", e.Artifact.Name, e.Artifact.Version, e.Artifact.Arch)
	case e.Decision != nil:
		return fmt.Sprintf("%s %s (%s)", e.Decision.Name, e.Decision.Version, e.Decision.Arch)
	}
	return "a package"
}

// foundText names the worst of new findings.
func (e Event) foundText() string {
	const most = 5
	var names []string
	for _, f := range e.Findings[:min(len(e.Findings), most)] {
		names = append(names, fmt.Sprintf("%s (%s)", f.ID, f.Severity))
	}
	if rest := len(e.Findings) - most; rest > 0 {
		names = append(names, fmt.Sprintf("and %d more", rest))
	}
	return strings.Join(names, ", ")
}

// because gives the reason of an artifact's status.
func because(a *Artifact) string {
	if a == nil || a.StatusReason == "" {
		return ""
	}
	return ": " + a.StatusReason + after(", ", a.StatusDetail)
}

func statusOf(a *Artifact) Status {
	if a == nil {
		return ""
	}
	return a.Status
}

func dateOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// after returns text behind what leads to it, nothing when there is no text.
func after(lead, text string) string {
	if text == "" {
		return ""
	}
	return lead + text
}
