package client

import "time"

// A Distribution is where packages are published.
type Distribution struct {
	Codename        string    `json:"codename"`
	Description     string    `json:"description"`
	Origin          string    `json:"origin"`
	Label           string    `json:"label"`
	Suite           string    `json:"suite"`
	Components      []string  `json:"components"`
	Architectures   []string  `json:"architectures"`
	PackageCount    int       `json:"package_count"`
	ArtifactCount   int       `json:"artifact_count"`
	Size            int64     `json:"size_bytes"`
	Signed          bool      `json:"signed"`
	CreatedAt       time.Time `json:"created_at"`
	LastPublishedAt time.Time `json:"last_published_at"`
	Status          string    `json:"status,omitempty"` // of init
}

// A NewDistribution is a distribution to be created.
type NewDistribution struct {
	Codename      string   `json:"codename"`
	Description   string   `json:"description,omitempty"`
	Components    []string `json:"components,omitempty"`
	Architectures []string `json:"architectures,omitempty"`
	OS            string   `json:"os,omitempty"`
	Origin        string   `json:"origin,omitempty"`
	Label         string   `json:"label,omitempty"`
	Suite         string   `json:"suite,omitempty"`
}

// A PublishedRow is an artifact that is published in a distribution.
type PublishedRow struct {
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Arch        string    `json:"arch"`
	Component   string    `json:"component"`
	Status      string    `json:"status"`
	Size        int64     `json:"size_bytes"`
	SHA256      string    `json:"sha256"`
	PublishedAt time.Time `json:"published_at"`
}

// A Promotion asks for a version in another distribution, too.
type Promotion struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Arch      string `json:"arch,omitempty"`
	From      string `json:"from_distribution"`
	To        string `json:"to_distribution"`
	Component string `json:"component,omitempty"`
}

// A Promoted is the outcome of a Promotion.
type Promoted struct {
	Status    string        `json:"status"`
	Name      string        `json:"name"`
	Version   string        `json:"version"`
	Arch      *string       `json:"arch"` // null when there are several
	From      string        `json:"from_distribution"`
	To        string        `json:"to_distribution"`
	Component string        `json:"component"`
	Results   []ArchOutcome `json:"results"`
}

// An ArchOutcome is what became of an architecture.
type ArchOutcome struct {
	Arch   string `json:"arch"`
	Status string `json:"status"`
}

// A Migration asks for many packages in another distribution, too.
type Migration struct {
	From         string   `json:"from_distribution"`
	To           string   `json:"to_distribution"`
	Packages     []string `json:"packages,omitempty"`
	RemoveSource bool     `json:"remove_source,omitempty"`
}

// A Migrated is the outcome of a Migration.
type Migrated struct {
	Status   string            `json:"status"`
	From     string            `json:"from_distribution"`
	To       string            `json:"to_distribution"`
	Migrated int               `json:"migrated"`
	Skipped  int               `json:"skipped"` // lay there already
	Errors   []MigrateError    `json:"errors"`
	Packages []MigratedPackage `json:"packages"`
}

// A MigrateError is why a package did not migrate.
type MigrateError struct {
	Name   string `json:"name"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// A MigratedPackage is what became of a package.
type MigratedPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Status  string `json:"status"`
}
