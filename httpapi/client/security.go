package client

import "context"

// A VulnerabilityQuery says which vulnerabilities are listed.
type VulnerabilityQuery struct {
	Severities   []string `url:"severity"`
	FixState     string   `url:"fix_state"` // fixed, not_fixed, wont_fix, unknown
	Distribution string   `url:"distribution"`
	Q            string   `url:"q"`   // part of the ID or of a package's name
	KEV          string   `url:"kev"` // "true", "false": whether they are known to be exploited
	Paging
}

// Vulnerabilities lists open findings.
func (c *Client) Vulnerabilities(ctx context.Context, q VulnerabilityQuery) (Vulnerabilities, error) {
	return get[Vulnerabilities](ctx, c, "/security/vulnerabilities", q)
}

// A PostureQuery says which artifacts are listed.
type PostureQuery struct {
	Distribution string `url:"distribution"`
	Status       string `url:"status"`
	Paging
}

// Postures lists artifacts, the least safe first.
func (c *Client) Postures(ctx context.Context, q PostureQuery) (Postures, error) {
	return get[Postures](ctx, c, "/security/packages-posture", q)
}

// A ReviewQuery says what of the review queue is listed.
type ReviewQuery struct {
	Distribution string `url:"distribution"`
	Paging
}

// ReviewQueue lists artifacts that wait for a decision.
func (c *Client) ReviewQueue(ctx context.Context, q ReviewQuery) (ReviewQueue, error) {
	return get[ReviewQueue](ctx, c, "/security/review-queue", q)
}

// CVEs returns the vulnerabilities of an artifact, and what was decided about
// them. arch "" stands for amd64, or else for the first.
func (c *Client) CVEs(ctx context.Context, name, version, arch string) (ArtifactCVEs, error) {
	return get[ArtifactCVEs](ctx, c, at("security", "packages", name, version, "cve"), archQuery{arch})
}

// Decide makes a decision about a version, for an architecture or, with "", for
// each that has something to decide. Codes: nothing_to_decide, quarantined.
func (c *Client) Decide(ctx context.Context, name, version, arch string, r Ruling) (Decided, error) {
	return post[Decided](ctx, c, at("security", "packages", name, version, "decide"), archQuery{arch}, r)
}

// Rescan scans a version again, and waits. Codes: no_file, scanner_unavailable.
func (c *Client) Rescan(ctx context.Context, name, version, arch string) (Rescanned, error) {
	return repeat[Rescanned](ctx, c, at("security", "packages", name, version, "rescan"), archQuery{arch}, nil)
}

// RescanAll scans much again.
func (c *Client) RescanAll(ctx context.Context, s RescanScope, show func(Job)) (RescannedAll, error) {
	return work[RescannedAll](ctx, c, "/security/rescan", nil, s, show)
}

// Quarantine takes a version out of all distributions.
func (c *Client) Quarantine(ctx context.Context, name, version, arch, reason string) (Quarantined, error) {
	return repeat[Quarantined](ctx, c, at("security", "packages", name, version, "quarantine"), archQuery{arch}, struct {
		Reason string `json:"reason"`
	}{reason})
}

// Release scans a version that is in quarantine, and lets it out if that finds
// nothing. Codes: not_quarantined, rejected_malware.
func (c *Client) Release(ctx context.Context, name, version, arch, comment string) (Released, error) {
	return post[Released](ctx, c, at("security", "packages", name, version, "release"), archQuery{arch}, struct {
		Comment string `json:"comment"`
	}{comment})
}

// ScannerStatus returns how the scanner for malware is.
func (c *Client) ScannerStatus(ctx context.Context) (ScannerStatus, error) {
	return get[ScannerStatus](ctx, c, "/security/clamav/status", nil)
}
