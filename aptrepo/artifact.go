package aptrepo

import (
	"cmp"
	"net/url"
	"slices"
	"time"

	"github.com/repod-io/repod/deb"
)

// Status says where an artifact stands between its arrival and apt.
type Status string

// The statuses of an artifact. Only Indexed and Accepted ones are published.
const (
	Indexed       Status = "indexed"        // passed the gate
	Accepted      Status = "accepted"       // published by a decision
	PendingReview Status = "pending_review" // waits for a decision
	Rejected      Status = "rejected"       // refused at the gate or by a decision
	Quarantined   Status = "quarantined"    // taken out; only a release leads back
)

// Statuses lists every Status.
func Statuses() []Status {
	return []Status{Indexed, Accepted, PendingReview, Rejected, Quarantined}
}

// Published reports whether artifacts of status s may lie in a distribution.
func (s Status) Published() bool { return s == Indexed || s == Accepted }

// A Key names one package file: no two artifacts of a repository share one,
// however their versions are spelled, and none is ever given other bytes.
type Key struct {
	Name    string
	Version string // canonical, see [deb.Version.Canonical]
	Arch    string
}

// An Artifact is one package file: a name, a version and an architecture.
type Artifact struct {
	ID   int64  // set by the Store, never reused
	Name string // Package field
	// Version is spelled as in the package. Equal versions in dpkg's order
	// (1.0, 1.0-0) are one version: see Key.
	Version string
	Arch    string // Debian architecture or "all"

	Source        string // source package; Name when the control file has none
	SourceVersion string // version of the source package
	Component     string // that of the first publication
	Section       string
	Priority      string
	Maintainer    string
	Description   string // synopsis, then the extended description, lines separated by "\n"
	Homepage      string
	MultiArch     string // "", "no", "same", "foreign" or "allowed"
	Essential     bool
	InstalledSize int64 // KiB, as the control file says; 0 when absent
	// Control is the package's control stanza in deb822(5) form, rendered
	// from parsed fields. Fields that the archive owns are not in it.
	Control string

	Filename string // key in storage and path below the APT root: "pool/..."
	Size     int64  // bytes
	SHA256   string // lower-case hex, as the next two
	SHA512   string
	MD5      string

	Status       Status
	StatusReason string // "", or why the status is not Indexed
	StatusDetail string // free text
	Origin       string // "upload" or "import"
	SourceID     string // import source, "" for uploads
	Group        string // import group, "" for none
	UploadedBy   string // actor's name
	UploadedAt   time.Time

	// Publications says where the artifact is published, by distribution,
	// then component.
	Publications []Publication
}

// Key returns the artifact's identity.
func (a *Artifact) Key() Key { return KeyOf(a.Name, a.Version, a.Arch) }

// KeyOf returns the key of a name, a version in any spelling and an
// architecture. A version that does not parse stands for itself and names
// nothing.
func KeyOf(name, version, arch string) Key {
	if v, err := deb.ParseVersion(version); err == nil {
		version = v.Canonical()
	}
	return Key{name, version, arch}
}

// PublishedIn reports whether the artifact is published in a distribution.
func (a *Artifact) PublishedIn(codename string) bool {
	for _, p := range a.Publications {
		if p.Distribution == codename {
			return true
		}
	}
	return false
}

// URL returns where the artifact's file is fetched, if it is published: base is what
// clients call the server, without a slash at its end.
func (a *Artifact) URL(base string) string {
	return base + "/apt/" + (&url.URL{Path: a.Filename}).EscapedPath()
}

// publishedIn notes a publication in its place.
func (a *Artifact) publishedIn(p Publication) {
	i, _ := slices.BinarySearchFunc(a.Publications, p, func(q, p Publication) int {
		return cmp.Or(cmp.Compare(q.Distribution, p.Distribution), cmp.Compare(q.Component, p.Component))
	})
	a.Publications = slices.Insert(a.Publications, i, p)
}

// Distributions lists the codenames of the artifact's publications, each once.
func (a *Artifact) Distributions() []string { return codenames(a.Publications) }

// codenames lists the distributions of places, which are in their order.
func codenames(places []Publication) []string {
	var names []string
	for _, p := range places {
		if n := len(names); n == 0 || names[n-1] != p.Distribution {
			names = append(names, p.Distribution)
		}
	}
	return names
}

// A Publication is the presence of an artifact in one component of one
// distribution.
type Publication struct {
	Distribution string
	Component    string
	PublishedAt  time.Time
	// Promoted: somebody has chosen the version for this distribution, see
	// [Repo.Promote]. Retention leaves it there.
	Promoted bool
}

// samePlace reports whether both are of one component of one distribution.
func (p Publication) samePlace(o Publication) bool {
	return p.Distribution == o.Distribution && p.Component == o.Component
}

// A Tombstone remembers a deleted artifact, so that its key is never given
// other bytes.
type Tombstone struct {
	Key       Key
	SHA256    string
	DeletedAt time.Time
}

// A Distribution is one suite below dists/.
type Distribution struct {
	Codename      string   // ^[a-z][a-z0-9]*([.-][a-z0-9]+)*$, at most 40 bytes
	Description   string   // one line, at most 256 bytes
	Origin        string   // one line, at most 64 bytes, as Label and Suite; default "repod"
	Label         string   // default "repod"
	Suite         string   // default Codename
	OS            string   // vendor release whose vulnerability data apply, "debian:12"; may be ""
	Components    []string // default main
	Architectures []string // without "all"; default amd64, arm64
	CreatedAt     time.Time

	// What follows is kept by the Store and the publisher.
	PackageCount    int   // distinct names
	ArtifactCount   int   // publications
	SizeBytes       int64 // of the published artifacts
	LastPublishedAt time.Time
}

// A Generation is one signed state of a distribution. Its contents lie in
// storage under Manifest and never change.
type Generation struct {
	Distribution string
	Number       int64     // 1, 2, 3 ... without gaps
	AppliedSeq   int64     // changes up to this one are part of it
	Date         time.Time // of its Release file; never goes back
	Manifest     string    // storage key
	Hashes       []string  // SHA-256 of the index files it lists, lower-case hex
	PublishedAt  time.Time
}

// ChangeKind says what a Change did.
type ChangeKind string

// The kinds of change.
const (
	ChangeAdd    ChangeKind = "add"
	ChangeRemove ChangeKind = "remove"
)

// A Change is one entry of a distribution's log of publications and
// removals. The publisher turns the log into generations.
type Change struct {
	Seq       int64 // 1, 2, 3 ... within the distribution, in order of commit
	Kind      ChangeKind
	Component string
	Name      string
	Version   string // as written in the package
	Arch      string
	// Artifact is the artifact added, nil for a removal and for an addition
	// whose artifact has been deleted since (a removal follows then).
	Artifact *Artifact
}

// A SigningKey is an OpenPGP key kept in the Store.
type SigningKey struct {
	Fingerprint string // upper-case hex of the primary key
	Private     []byte // armoured private key, sealed when Repo.SecretKey is set
	Active      bool   // the newest key; others sign beside it until RetiresAt
	CreatedAt   time.Time
	RetiresAt   time.Time // zero while active
}
