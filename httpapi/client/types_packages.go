package client

import "time"

// A Published is the outcome of an upload.
type Published struct {
	Name         string    `json:"name"`
	Version      string    `json:"version"`
	Arch         string    `json:"arch"`
	Distribution string    `json:"distribution"`
	Component    string    `json:"component"`
	Status       string    `json:"status"`
	Filename     *string   `json:"filename"` // null unless published
	Size         int64     `json:"size_bytes"`
	SHA256       string    `json:"sha256"`
	Scan         Scan      `json:"scan"`
	Warnings     []Warning `json:"warnings"`
}

// A Warning is what should be known of a package that was taken.
type Warning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// A PackageRow is a package in a listing: of all versions together, the rest that of the newest.
type PackageRow struct {
	Name          string   `json:"name"`
	LatestVersion string   `json:"latest_version"`
	Versions      []string `json:"versions"`
	Architectures []string `json:"architectures"`
	Distributions []string `json:"distributions"`
	Summary
}

// An ArtifactRow is a version for an architecture in a listing.
type ArtifactRow struct {
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Arch          string   `json:"arch"`
	Distributions []string `json:"distributions"`
	Summary
}

// A Package is all versions of a name, newest first.
type Package struct {
	Name          string     `json:"name"`
	LatestVersion string     `json:"latest_version"`
	Description   string     `json:"description"`
	Section       string     `json:"section"`
	Homepage      string     `json:"homepage"`
	Versions      []Artifact `json:"versions"`
}

// An Artifact is all that is known of a version for an architecture.
type Artifact struct {
	Name          string        `json:"name"`
	Version       string        `json:"version"`
	Arch          string        `json:"arch"`
	Architectures []string      `json:"architectures"` // of the version
	Status        string        `json:"status"`
	StatusReason  string        `json:"status_reason"`
	StatusDetail  string        `json:"status_detail"`
	Source        string        `json:"source"`
	Component     string        `json:"component"`
	Section       string        `json:"section"`
	Priority      string        `json:"priority"`
	Maintainer    string        `json:"maintainer"`
	Description   string        `json:"description"`
	Homepage      string        `json:"homepage"`
	MultiArch     string        `json:"multi_arch"`
	Essential     bool          `json:"essential"`
	InstalledSize int64         `json:"installed_size_kb"`
	Size          int64         `json:"size_bytes"`
	Filename      *string       `json:"filename"`     // null unless published
	DownloadURL   *string       `json:"download_url"` // the same
	SHA256        string        `json:"sha256"`
	SHA512        string        `json:"sha512"`
	MD5           string        `json:"md5"`
	PreDepends    string        `json:"pre_depends"`
	Depends       string        `json:"depends"`
	Recommends    string        `json:"recommends"`
	Suggests      string        `json:"suggests"`
	Enhances      string        `json:"enhances"`
	Breaks        string        `json:"breaks"`
	Conflicts     string        `json:"conflicts"`
	Replaces      string        `json:"replaces"`
	Provides      string        `json:"provides"`
	Distributions []string      `json:"distributions"`
	Publications  []Publication `json:"publications"`
	Origin        string        `json:"origin"`
	SourceID      *string       `json:"source_id"`
	Group         *string       `json:"group"`
	UploadedBy    string        `json:"uploaded_by"`
	UploadedAt    time.Time     `json:"uploaded_at"`
	Scan          Scan          `json:"scan"`
	Decision      *Decision     `json:"decision"`
}

// A Publication is where an artifact is published.
type Publication struct {
	Distribution string    `json:"distribution"`
	Component    string    `json:"component"`
	PublishedAt  time.Time `json:"published_at"`
}

// A Relation is a dependency and whether it is met.
type Relation struct {
	Relation          string        `json:"relation"`
	Alternatives      []Alternative `json:"alternatives"`
	Satisfied         bool          `json:"satisfied"`
	AvailableUpstream bool          `json:"available_upstream"` // no sources yet
}

// An Alternative is one of the ways to meet a dependency.
type Alternative struct {
	Name        string    `json:"name"`
	Constraint  string    `json:"constraint"`
	SatisfiedBy *Provider `json:"satisfied_by"`
}

// A Provider is the package that meets a dependency.
type Provider struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Dependencies are what a package needs, and what is missing.
type Dependencies struct {
	Name         string     `json:"name"`
	Version      string     `json:"version"`
	Arch         string     `json:"arch"`
	Distribution *string    `json:"distribution"`
	Dependencies []Relation `json:"dependencies"`
	AllSatisfied bool       `json:"all_satisfied"`
	Missing      []string   `json:"missing"`
}

// An Install says how a package is installed.
type Install struct {
	Name         string   `json:"name"`
	Version      string   `json:"version"`
	Arch         string   `json:"arch"`
	Distribution string   `json:"distribution"`
	Component    string   `json:"component"`
	Command      string   `json:"command"`
	Setup        []string `json:"setup"`
	Sources      string   `json:"sources"`
	KeyURL       string   `json:"key_url"`
	Script       string   `json:"script"`
}
