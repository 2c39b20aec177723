package aptrepo_test

import (
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

func TestEventString(t *testing.T) {
	a := &aptrepo.Artifact{Name: "tool", Version: "1.0", Arch: "amd64", Status: aptrepo.Indexed}
	bad := &aptrepo.Artifact{Name: "tool", Version: "1.0", Arch: "amd64", Status: aptrepo.Rejected, StatusReason: "malware", StatusDetail: "Eicar\r\nBcc: x\u2028y"}
	d := &aptrepo.Decision{Name: "tool", Version: "1.0", Arch: "amd64", Ruling: "accepted", Comment: "fine\x1b[2J", DecidedBy: "ann",
		ExpiresAt: time.Date(2026, 5, 12, 23, 0, 0, 0, time.FixedZone("", -7200))}
	var found []scan.Finding
	for _, id := range strings.Fields("CVE-1 CVE-2 CVE-3 CVE-4 CVE-5 CVE-6 CVE-7") {
		found = append(found, scan.Finding{ID: id, Severity: scan.High})
	}
	for _, tt := range []struct {
		e    aptrepo.Event
		want string
	}{
		{aptrepo.Event{Kind: aptrepo.EventPackageIndexed, Artifact: a, Distributions: []string{"focal", "jammy"}}, "tool 1.0 (amd64) is in focal, jammy"},
		{aptrepo.Event{Kind: aptrepo.EventPackagePending, Artifact: a}, "tool 1.0 (amd64) waits for review"},
		{aptrepo.Event{Kind: aptrepo.EventPackageRejected, Artifact: bad}, "tool 1.0 (amd64) was refused: malware, Eicar Bcc: x y"},
		{aptrepo.Event{Kind: aptrepo.EventPackageQuarantined, Artifact: a}, "tool 1.0 (amd64) is in quarantine"},
		{aptrepo.Event{Kind: aptrepo.EventPackageReleased, Artifact: a, Reason: "a false alarm"}, "tool 1.0 (amd64) was released from quarantine, and is indexed: a false alarm"},
		{aptrepo.Event{Kind: aptrepo.EventPackagePromoted, Artifact: a, From: "jammy", Distribution: "focal"}, "tool 1.0 (amd64) was promoted from jammy to focal"},
		{aptrepo.Event{Kind: aptrepo.EventPackageDeleted, Artifact: a}, "tool 1.0 (amd64) was removed"},
		{aptrepo.Event{Kind: aptrepo.EventPackageRescanned, Artifact: a}, "tool 1.0 (amd64) was scanned again"},
		{aptrepo.Event{Kind: aptrepo.EventDecisionMade, Actor: "ann", Decision: d}, "ann decided about tool 1.0 (amd64): accepted. fine [2J"},
		{aptrepo.Event{Kind: aptrepo.EventDecisionExpired, Decision: d}, `the decision "accepted" of ann about tool 1.0 (amd64) has expired`},
		{aptrepo.Event{Kind: aptrepo.EventDecisionExpiring, Decision: d}, `the decision "accepted" of ann about tool 1.0 (amd64) expires on 2026-05-13`},
		{aptrepo.Event{Kind: aptrepo.EventVulnerabilities, Artifact: a, Findings: found},
			"tool 1.0 (amd64) has new vulnerabilities: CVE-1 (high), CVE-2 (high), CVE-3 (high), CVE-4 (high), CVE-5 (high), and 2 more"},
		{aptrepo.Event{Kind: aptrepo.EventImportFinished, Group: "web", Imported: 1, Skipped: 2, Failed: 3}, "an import of group web ended: 1 imported, 2 there already, 3 failed"},
		{aptrepo.Event{Kind: aptrepo.EventSyncFailed, SourceID: "debian", Code: "upstream_unreachable"}, "the source debian could not be synced: upstream_unreachable"},
		{aptrepo.Event{Kind: aptrepo.EventScannerUnavailable, Detail: "no answer"}, "the scanner for malware does not work: no answer"},
		{aptrepo.Event{Kind: aptrepo.EventDistributionCreated, Distribution: "jammy"}, "there is a new distribution: jammy"},
		{aptrepo.Event{Kind: aptrepo.EventRetentionFinished, Removed: 2, FreedBytes: 7}, "retention removed 2 packages, 7 bytes"},
		{aptrepo.Event{Kind: aptrepo.EventKeyGenerated, Fingerprint: "6F8A"}, "there is a new signing key: 6F8A"},
		{aptrepo.Event{Kind: aptrepo.EventKeyExpiring, Fingerprint: "6F8A", ExpiresAt: d.ExpiresAt}, "the signing key 6F8A expires on 2026-05-13"},
		{aptrepo.Event{Kind: "other"}, "other"},
	} {
		if got := tt.e.String(); got != tt.want {
			t.Errorf("%s\n got %q\nwant %q", tt.e.Kind, got, tt.want)
		}
	}
}
