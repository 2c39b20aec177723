package client

import "time"

// A Summary is what listings say of an artifact.
type Summary struct {
	Section         string    `json:"section"`
	Description     string    `json:"description"`
	Status          string    `json:"status"`
	Size            int64     `json:"size_bytes"`
	SHA256          string    `json:"sha256"`
	UploadedAt      time.Time `json:"uploaded_at"`
	UploadedBy      string    `json:"uploaded_by"`
	Vulnerabilities Counts    `json:"vulnerabilities"`
}

// Counts are numbers of open findings. Scanned is false when nobody looked.
type Counts struct {
	Scanned bool `json:"scanned"`
	Severities
}

// Severities are numbers by severity.
type Severities struct {
	Critical   int `json:"critical"`
	High       int `json:"high"`
	Medium     int `json:"medium"`
	Low        int `json:"low"`
	Negligible int `json:"negligible"`
	Unknown    int `json:"unknown"`
}

// A Scan is what is known of the safety of an artifact.
type Scan struct {
	Verdict         string    `json:"verdict"`
	ScannedAt       time.Time `json:"scanned_at"`
	Malware         Malware   `json:"malware"`
	Vulnerabilities Counts    `json:"vulnerabilities"`
	KEV             int       `json:"kev"`
	EPSSMax         *float64  `json:"epss_max"`
}

// A Malware is what the scanner for malware says.
type Malware struct {
	Status    string  `json:"status"`
	Signature *string `json:"signature"`
}

// A CVE is a vulnerability of a package.
type CVE struct {
	ID               string   `json:"id"`
	Severity         string   `json:"severity"`
	CVSS             *float64 `json:"cvss"`
	EPSS             *float64 `json:"epss"`
	KEV              bool     `json:"kev"`
	Package          string   `json:"package"`
	InstalledVersion string   `json:"installed_version"`
	FixedVersion     *string  `json:"fixed_version"`
	FixState         string   `json:"fix_state"`
	Status           string   `json:"status"`
	Description      string   `json:"description"`
	URLs             []string `json:"urls"`
}

// A Decision is what somebody decided about findings.
type Decision struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Version   string    `json:"version"`
	Arch      string    `json:"arch"`
	Ruling    string    `json:"decision"`
	Comment   string    `json:"comment"`
	CVEIDs    []string  `json:"cve_ids"`
	DecidedBy string    `json:"decided_by"`
	DecidedAt time.Time `json:"decided_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Active    bool      `json:"active"`
}

// An Affected is an artifact that has a vulnerability.
type Affected struct {
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Arch          string   `json:"arch"`
	Distributions []string `json:"distributions"`
	Status        string   `json:"status"`
	FixedVersion  *string  `json:"fixed_version"`
}

// A Vulnerability is one, and whom it affects.
type Vulnerability struct {
	ID           string     `json:"id"`
	Severity     string     `json:"severity"`
	CVSS         *float64   `json:"cvss"`
	EPSS         *float64   `json:"epss"`
	KEV          bool       `json:"kev"`
	Description  string     `json:"description"`
	FixState     string     `json:"fix_state"`
	FixedVersion *string    `json:"fixed_version"`
	URLs         []string   `json:"urls"`
	Affected     []Affected `json:"affected"`
}

// Vulnerabilities are a page of them.
type Vulnerabilities struct {
	Summary         Severities          `json:"summary"`
	Scanned         int                 `json:"packages_scanned"`
	Unscanned       int                 `json:"packages_unscanned"`
	Vulnerabilities Page[Vulnerability] `json:"vulnerabilities"`
}

// A Posture is how safe an artifact is.
type Posture struct {
	Name              string    `json:"name"`
	Version           string    `json:"version"`
	Arch              string    `json:"arch"`
	Distributions     []string  `json:"distributions"`
	Status            string    `json:"status"`
	Scanned           bool      `json:"scanned"`
	ScannedAt         time.Time `json:"scanned_at"`
	Malware           string    `json:"malware"`
	Counts            Counts    `json:"counts"`
	Total             int       `json:"total"`
	WorstSeverity     *string   `json:"worst_severity"`
	KEVCount          int       `json:"kev_count"`
	EPSSMax           *float64  `json:"epss_max"`
	Decision          *string   `json:"decision"`
	DecisionExpiresAt time.Time `json:"decision_expires_at"`
	UploadedAt        time.Time `json:"uploaded_at"`
	UploadedBy        string    `json:"uploaded_by"`
}

// Postures are a page of artifacts, the least safe first.
type Postures struct {
	Summary   Severities    `json:"summary"`
	Total     int           `json:"total_packages"`
	Scanned   int           `json:"scanned_packages"`
	Unscanned int           `json:"unscanned_packages"`
	Packages  Page[Posture] `json:"packages"`
}

// A Waiting is an artifact that waits for a decision.
type Waiting struct {
	Posture
	Targets      []string `json:"target_distributions"`
	StatusReason string   `json:"status_reason"`
	WaitingDays  int      `json:"waiting_days"`
	CVEs         []CVE    `json:"cves"`
}

// A ReviewQueue is a page of artifacts that wait for a decision.
type ReviewQueue struct {
	Total    int           `json:"total"`
	Blocked  int           `json:"blocked_count"`
	Review   int           `json:"review_count"`
	Packages Page[Waiting] `json:"packages"`
}

// ArtifactCVEs are the vulnerabilities of an artifact, settled ones included.
type ArtifactCVEs struct {
	Name          string     `json:"name"`
	Version       string     `json:"version"`
	Arch          string     `json:"arch"`
	Distributions []string   `json:"distributions"`
	Status        string     `json:"status"`
	Scanned       bool       `json:"scanned"`
	ScannedAt     time.Time  `json:"scanned_at"`
	DataDate      time.Time  `json:"data_date"`
	Counts        Counts     `json:"counts"`
	Total         int        `json:"total"`
	CVEs          []CVE      `json:"cves"`
	Decision      *Decision  `json:"decision"`
	Decisions     []Decision `json:"decisions"`
}

// A Ruling is a decision to be made.
type Ruling struct {
	Decision      string   `json:"decision"`
	Comment       string   `json:"comment"`
	ExpiresInDays int      `json:"expires_in_days,omitempty"`
	CVEIDs        []string `json:"cve_ids,omitempty"`
}

// A DecidedArch is what a decision did to an architecture.
type DecidedArch struct {
	Arch       string `json:"arch"`
	Previous   string `json:"previous_status"`
	Status     string `json:"status"`
	DecisionID string `json:"decision_id"`
}

// A Decided is the outcome of a decision.
type Decided struct {
	Status        string        `json:"status"`
	Name          string        `json:"name"`
	Version       string        `json:"version"`
	Arch          string        `json:"arch"`
	Previous      string        `json:"previous_status"`
	Distributions []string      `json:"distributions"`
	Decision      Decision      `json:"decision"`
	Results       []DecidedArch `json:"results"`
}

// A RescannedArch is what a scan did to an architecture.
type RescannedArch struct {
	Arch     string   `json:"arch"`
	Previous string   `json:"previous_status"`
	Status   string   `json:"status"`
	NewCVEs  []string `json:"new_cves"`
	Scan     Scan     `json:"scan"`
}

// A Rescanned is the outcome of scanning a version again.
type Rescanned struct {
	Status  string          `json:"status"`
	Name    string          `json:"name"`
	Version string          `json:"version"`
	Results []RescannedArch `json:"results"`
}

// A RescanScope says what is scanned again; zero: all.
type RescanScope struct {
	Distribution string `json:"distribution,omitempty"`
	Status       string `json:"status,omitempty"`
}

// A RescannedAll is the outcome of scanning again.
type RescannedAll struct {
	Status  string    `json:"status"`
	Scanned int       `json:"scanned"`
	Failed  int       `json:"failed"`
	Changed []Changed `json:"changed"`
}

// A Changed is an artifact whose status another scan changed.
type Changed struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Arch     string `json:"arch"`
	Previous string `json:"previous_status"`
	Status   string `json:"status"`
}

// A Quarantined is the outcome of taking a version out.
type Quarantined struct {
	Status        string   `json:"status"`
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Architectures []string `json:"architectures"`
	RemovedFrom   []string `json:"removed_from"`
	Reason        string   `json:"reason"`
}

// A ReleasedArch is what a release did to an architecture.
type ReleasedArch struct {
	Arch          string   `json:"arch"`
	Status        string   `json:"status"`
	Distributions []string `json:"distributions"`
	Scan          Scan     `json:"scan"`
}

// A Released is the outcome of a release.
type Released struct {
	Status  string         `json:"status"`
	Name    string         `json:"name"`
	Version string         `json:"version"`
	Results []ReleasedArch `json:"results"`
}

// A ScannerStatus is how the scanner for malware is.
type ScannerStatus struct {
	Enabled          bool      `json:"enabled"`
	Available        bool      `json:"available"`
	EngineVersion    *string   `json:"engine_version"`
	SignatureVersion *string   `json:"signature_version"`
	SignatureDate    time.Time `json:"signature_date"`
	Address          string    `json:"address"`
	Detail           string    `json:"detail"`
}
