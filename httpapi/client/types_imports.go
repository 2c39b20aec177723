package client

import "time"

// A Hit is a package that an upstream archive offers.
type Hit struct {
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Arch        string    `json:"arch"`
	Section     string    `json:"section"`
	Description string    `json:"description"`
	Depends     string    `json:"depends"`
	Size        int64     `json:"size_bytes"`
	SHA256      string    `json:"sha256"`
	SourceID    string    `json:"source_id"`
	Suite       string    `json:"suite"`
	Component   string    `json:"component"`
	Security    bool      `json:"security"`
	SyncedAt    time.Time `json:"synced_at"`
}

// A Planned is a package of a Plan.
type Planned struct {
	Name       string  `json:"name"`
	Version    string  `json:"version"`
	Arch       string  `json:"arch"`
	Status     string  `json:"status"`
	SourceID   *string `json:"source_id"`
	Size       int64   `json:"size_bytes"`
	Relation   string  `json:"relation"`
	Constraint string  `json:"constraint"`
	RequiredBy string  `json:"required_by"`
	Provides   *string `json:"provides"`
	Reason     string  `json:"reason"`
}

// A Plan is what an import would do.
type Plan struct {
	Name         string    `json:"name"`
	Version      string    `json:"version"`
	Arch         string    `json:"arch"`
	Distribution *string   `json:"distribution"`
	Total        int       `json:"total"`
	Present      int       `json:"already_present"`
	Import       int       `json:"to_import"`
	Unresolved   int       `json:"unresolved"`
	Bytes        int64     `json:"download_bytes"`
	Packages     []Planned `json:"packages"`
	Conflicts    []string  `json:"conflicts"`
}

// A Wanted is a package to be imported.
type Wanted struct {
	Name         string `json:"name"`
	Version      string `json:"version,omitempty"`
	Arch         string `json:"arch,omitempty"`
	Distribution string `json:"distribution"`
	Component    string `json:"component,omitempty"`
	SourceID     string `json:"source_id,omitempty"`
}

// A Fetch asks for a package.
type Fetch struct {
	Wanted
	Dependencies *bool  `json:"dependencies,omitempty"`
	Group        string `json:"group,omitempty"`
}

// A Fetched is the outcome of a Fetch.
type Fetched struct {
	Status   string `json:"status"`
	Imported int    `json:"imported"`
	Skipped  int    `json:"skipped"`
	Errors   int    `json:"errors"`
	Results  []Item `json:"results"`
}

// An Item is one package that an import took in, or tried to.
type Item struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Arch     string `json:"arch"`
	Status   string `json:"status"`
	SourceID string `json:"source_id"`
	SHA256   string `json:"sha256"`
	Code     string `json:"code,omitempty"`
	Detail   string `json:"detail"`
}

// A Batch asks for several packages.
type Batch struct {
	Packages     []Wanted `json:"packages"`
	Dependencies *bool    `json:"dependencies,omitempty"`
	Group        string   `json:"group,omitempty"`
}

// An Imported is the outcome of a Batch.
type Imported struct {
	Status   string        `json:"status"`
	Total    int           `json:"total"`
	Imported int           `json:"imported"`
	Skipped  int           `json:"skipped"`
	Errors   int           `json:"errors"`
	Results  []ImportedRow `json:"results"`
}

// An ImportedRow is what became of a package that was asked for.
type ImportedRow struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Arch         string `json:"arch"`
	Distribution string `json:"distribution"`
	Status       string `json:"status"`
	Imported     int    `json:"imported"`
	Skipped      int    `json:"skipped"`
	Code         string `json:"code"`
	Detail       string `json:"detail"`
}

// A SourceStatus is how an upstream archive is.
type SourceStatus struct {
	SourceID     string     `json:"source_id"`
	URL          string     `json:"url"`
	Suite        string     `json:"suite"`
	Security     bool       `json:"security"`
	Enabled      bool       `json:"enabled"`
	Target       string     `json:"target_distribution"`
	Status       string     `json:"status"`
	LastAttempt  time.Time  `json:"last_attempt"`
	LastSync     time.Time  `json:"last_sync"`
	PackageCount int64      `json:"package_count"`
	Error        *SyncError `json:"error"`
}

// A SyncError is why a source could not be synced.
type SyncError struct {
	Code   string `json:"code"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail"`
}

// A SourceResult is the outcome of the sync of a source.
type SourceResult struct {
	SourceID     string `json:"source_id"`
	Status       string `json:"status"`
	PackageCount int64  `json:"package_count"`
	Code         string `json:"code"`
	Detail       string `json:"detail"`
}

// A Synced is the outcome of a sync.
type Synced struct {
	Status  string         `json:"status"`
	OK      int            `json:"ok"`
	Failed  int            `json:"failed"`
	Sources []SourceResult `json:"sources"`
	Feeds   []FeedResult   `json:"feeds,omitempty"` // of security updates
}

// A FeedResult is what became of vulnerability data.
type FeedResult struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Detail string `json:"detail"`
}

// A Source is an upstream archive.
type Source struct {
	ID            string   `json:"id"`
	URL           string   `json:"url"`
	Suite         string   `json:"suite"`
	Components    []string `json:"components"`
	Architectures []string `json:"architectures"`
	Keyring       string   `json:"keyring"`
	SignedBy      string   `json:"signed_by"`

	Security           bool   `json:"security"`
	Enabled            bool   `json:"enabled"`
	TargetDistribution string `json:"target_distribution"`
}

// A GroupMember is an artifact of a Group.
type GroupMember struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Status  string `json:"status"`
	Size    int64  `json:"size_bytes"`
}

// A Group is a label on artifacts that were imported.
type Group struct {
	Name      string        `json:"name"`
	Count     int           `json:"package_count"`
	Size      int64         `json:"total_size_bytes"`
	CreatedAt time.Time     `json:"created_at"`
	CreatedBy string        `json:"created_by"`
	Packages  []GroupMember `json:"packages"`
}
