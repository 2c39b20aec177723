package httpapi

import (
	"net/http"
	"slices"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb"
)

// summaryJSON is what a listing says of an artifact.
type summaryJSON struct {
	Section         string         `json:"section"`
	Description     string         `json:"description"`
	Status          aptrepo.Status `json:"status"`
	Size            int64          `json:"size_bytes"`
	SHA256          string         `json:"sha256"`
	UploadedAt      timestamp      `json:"uploaded_at"`
	UploadedBy      string         `json:"uploaded_by"`
	Vulnerabilities countsJSON     `json:"vulnerabilities"`
}

func summaryOf(a *aptrepo.Artifact, s aptrepo.ScanSummary) summaryJSON {
	return summaryJSON{
		Section: a.Section, Description: a.Description, Status: a.Status, Size: a.Size, SHA256: a.SHA256,
		UploadedAt: timestamp(a.UploadedAt), UploadedBy: a.UploadedBy, Vulnerabilities: newCounts(s.Covered, s.Counts),
	}
}

type packageRowJSON struct {
	Name          string   `json:"name"`
	LatestVersion string   `json:"latest_version"`
	Versions      []string `json:"versions"`
	Architectures []string `json:"architectures"`
	Distributions []string `json:"distributions"`
	summaryJSON
}

type artifactRowJSON struct {
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Arch          string   `json:"arch"`
	Distributions []string `json:"distributions"`
	summaryJSON
}

// noOrStatus returns what the parameter status may be.
func noOrStatus() []string {
	words := []string{""}
	for _, s := range aptrepo.Statuses() {
		words = append(words, string(s))
	}
	return words
}

// packageQuery reads the parameters of both listings.
func packageQuery(r *http.Request) (aptrepo.PackageQuery, paging, error) {
	q := newQuery(r)
	p := q.paging()
	out := aptrepo.PackageQuery{
		Q:            q.text("q", 128),
		Distribution: q.word("distribution"),
		Arch:         q.word("arch"),
		Status:       aptrepo.Status(q.oneOf("status", noOrStatus()...)),
		Section:      q.word("section"),
		Sort: aptrepo.Sort(q.oneOf("sort", string(aptrepo.SortName), string(aptrepo.SortNameDesc),
			string(aptrepo.SortUploaded), string(aptrepo.SortUploadedDesc),
			string(aptrepo.SortSize), string(aptrepo.SortSizeDesc))),
		Page: p.page, PerPage: p.perPage,
	}
	return out, p, q.err()
}

func (a *api) listPackages(c *call) error {
	q, p, err := packageQuery(c.Request)
	if err != nil {
		return err
	}
	found, err := a.Repo.Packages(c.Context(), q)
	if err != nil {
		return err
	}
	newest := make([]aptrepo.Artifact, len(found.Items))
	for i := range found.Items {
		newest[i] = found.Items[i].Latest
	}
	scans, err := a.summaries(c, newest)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newPage(found.Items, found.Total, p, func(row aptrepo.PackageRow) packageRowJSON {
		return packageRowJSON{
			Name: row.Name, LatestVersion: row.Latest.Version, Versions: list(row.Versions),
			Architectures: list(row.Architectures), Distributions: list(row.Distributions),
			summaryJSON: summaryOf(&row.Latest, scans[row.Latest.ID]),
		}
	}))
}

func (a *api) listArtifacts(c *call) error {
	q, p, err := packageQuery(c.Request)
	if err != nil {
		return err
	}
	found, err := a.Repo.ArtifactRows(c.Context(), q)
	if err != nil {
		return err
	}
	scans, err := a.summaries(c, found.Items)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newPage(found.Items, found.Total, p, func(row aptrepo.Artifact) artifactRowJSON {
		return artifactRowJSON{
			Name: row.Name, Version: row.Version, Arch: row.Arch,
			Distributions: list(row.Distributions()), summaryJSON: summaryOf(&row, scans[row.ID]),
		}
	}))
}

// artifactJSON is all that is known of an artifact.
type artifactJSON struct {
	Name          string            `json:"name"`
	Version       string            `json:"version"`
	Arch          string            `json:"arch"`
	Architectures []string          `json:"architectures"` // of the version
	Status        aptrepo.Status    `json:"status"`
	StatusReason  string            `json:"status_reason"`
	StatusDetail  string            `json:"status_detail"`
	Source        string            `json:"source"`
	Component     string            `json:"component"`
	Section       string            `json:"section"`
	Priority      string            `json:"priority"`
	Maintainer    string            `json:"maintainer"`
	Description   string            `json:"description"`
	Homepage      string            `json:"homepage"`
	MultiArch     string            `json:"multi_arch"`
	Essential     bool              `json:"essential"`
	InstalledSize int64             `json:"installed_size_kb"`
	Size          int64             `json:"size_bytes"`
	Filename      *string           `json:"filename"`     // null unless published
	DownloadURL   *string           `json:"download_url"` // the same
	SHA256        string            `json:"sha256"`
	SHA512        string            `json:"sha512"`
	MD5           string            `json:"md5"`
	PreDepends    string            `json:"pre_depends"`
	Depends       string            `json:"depends"`
	Recommends    string            `json:"recommends"`
	Suggests      string            `json:"suggests"`
	Enhances      string            `json:"enhances"`
	Breaks        string            `json:"breaks"`
	Conflicts     string            `json:"conflicts"`
	Replaces      string            `json:"replaces"`
	Provides      string            `json:"provides"`
	Distributions []string          `json:"distributions"`
	Publications  []publicationJSON `json:"publications"`
	Origin        string            `json:"origin" rule:"upload|import"`
	SourceID      *string           `json:"source_id"`
	Group         *string           `json:"group"`
	UploadedBy    string            `json:"uploaded_by"`
	UploadedAt    timestamp         `json:"uploaded_at"`
	Scan          scanJSON          `json:"scan"`
	Decision      *decisionJSON     `json:"decision"`
}

type publicationJSON struct {
	Distribution string    `json:"distribution"`
	Component    string    `json:"component"`
	PublishedAt  timestamp `json:"published_at"`
}

// newArtifact describes an artifact. siblings are the artifacts of its name,
// base is what clients call the server.
func newArtifact(art *aptrepo.Artifact, siblings []aptrepo.Artifact, base string, s aptrepo.ScanSummary) (artifactJSON, error) {
	control, err := deb.ParseStanza([]byte(art.Control))
	if err != nil {
		return artifactJSON{}, err
	}
	out := artifactJSON{
		Name: art.Name, Version: art.Version, Arch: art.Arch, Architectures: architectures(art, siblings),
		Status: art.Status, StatusReason: art.StatusReason, StatusDetail: art.StatusDetail,
		Source: art.Source, Component: art.Component, Section: art.Section, Priority: art.Priority,
		Maintainer: art.Maintainer, Description: art.Description, Homepage: art.Homepage,
		MultiArch: art.MultiArch, Essential: art.Essential, InstalledSize: art.InstalledSize,
		Size: art.Size, SHA256: art.SHA256, SHA512: art.SHA512, MD5: art.MD5,
		PreDepends: control.Get("Pre-Depends"), Depends: control.Get("Depends"),
		Recommends: control.Get("Recommends"), Suggests: control.Get("Suggests"), Enhances: control.Get("Enhances"),
		Breaks: control.Get("Breaks"), Conflicts: control.Get("Conflicts"),
		Replaces: control.Get("Replaces"), Provides: control.Get("Provides"),
		Distributions: list(art.Distributions()), Publications: []publicationJSON{},
		Origin: art.Origin, SourceID: orNull(art.SourceID), Group: orNull(art.Group),
		UploadedBy: art.UploadedBy, UploadedAt: timestamp(art.UploadedAt), Scan: newScan(s),
	}
	for _, p := range art.Publications {
		out.Publications = append(out.Publications, publicationJSON{p.Distribution, p.Component, timestamp(p.PublishedAt)})
	}
	if len(art.Publications) > 0 {
		url := art.URL(base)
		out.Filename, out.DownloadURL = &art.Filename, &url
	}
	return out, nil
}

// architectures lists those of an artifact's version.
func architectures(art *aptrepo.Artifact, siblings []aptrepo.Artifact) []string {
	version := art.Key().Version
	names := []string{}
	for i := range siblings {
		if siblings[i].Key().Version == version {
			names = append(names, siblings[i].Arch)
		}
	}
	slices.Sort(names)
	return names
}

// latest returns the newest published artifact of a list that is ordered
// newest first, else the newest: that of amd64, or else the first.
func latest(artifacts []aptrepo.Artifact) *aptrepo.Artifact {
	best := max(0, slices.IndexFunc(artifacts, func(a aptrepo.Artifact) bool { return len(a.Publications) > 0 }))
	version, published := artifacts[best].Key().Version, len(artifacts[best].Publications) > 0
	for i := best; i < len(artifacts); i++ {
		a := &artifacts[i]
		if a.Arch == "amd64" && a.Key().Version == version && (len(a.Publications) > 0) == published {
			return a
		}
	}
	return &artifacts[best]
}

type packageDetailJSON struct {
	Name          string         `json:"name"`
	LatestVersion string         `json:"latest_version"`
	Description   string         `json:"description"`
	Section       string         `json:"section"`
	Homepage      string         `json:"homepage"`
	Versions      []artifactJSON `json:"versions"`
}

func (a *api) showPackage(c *call) error {
	artifacts, err := a.Repo.Artifacts(c.Context(), c.vars["name"])
	if err != nil {
		return err
	}
	newest := latest(artifacts)
	out := packageDetailJSON{newest.Name, newest.Version, newest.Description, newest.Section, newest.Homepage, nil}
	base := a.baseURL(c.Request)
	scans, err := a.summaries(c, artifacts)
	if err != nil {
		return err
	}
	for i := range artifacts {
		v, err := newArtifact(&artifacts[i], artifacts, base, scans[artifacts[i].ID])
		if err != nil {
			return err
		}
		decisions, err := a.Repo.Store.Decisions(c.Context(), artifacts[i].Key())
		if err != nil {
			return err
		}
		v.Decision = activeDecision(decisions)
		out.Versions = append(out.Versions, v)
	}
	return writeJSON(c.w, http.StatusOK, out)
}

// selection reads the artifact that path and query name.
func (c *call) selection(q *query) aptrepo.Selection {
	return aptrepo.Selection{Name: c.vars["name"], Version: c.vars["version"], Arch: q.word("arch")}
}

func (a *api) showArtifact(c *call) error {
	q := newQuery(c.Request)
	s := c.selection(q)
	if err := q.err(); err != nil {
		return err
	}
	siblings, err := a.Repo.Artifacts(c.Context(), s.Name)
	if err != nil {
		return err
	}
	art, err := s.Choose(siblings)
	if err != nil {
		return err
	}
	scans, err := a.summaries(c, []aptrepo.Artifact{art})
	if err != nil {
		return err
	}
	out, err := newArtifact(&art, siblings, a.baseURL(c.Request), scans[art.ID])
	if err != nil {
		return err
	}
	decisions, err := a.Repo.Store.Decisions(c.Context(), art.Key())
	if err != nil {
		return err
	}
	out.Decision = activeDecision(decisions)
	return writeJSON(c.w, http.StatusOK, out)
}

func (a *api) deleteArtifact(c *call) error {
	q := newQuery(c.Request)
	o := aptrepo.DeleteOptions{Selection: c.selection(q), Forget: q.truth("forget")}
	if err := q.err(); err != nil {
		return err
	}
	if o.Forget {
		if err := c.need(auth.Admin); err != nil {
			return err
		}
	}
	if _, err := a.Repo.Delete(c.detach(), o); err != nil {
		return err
	}
	return noContent(c)
}

// uploadAnswer is the outcome of an upload.
type uploadAnswer struct {
	Name         string        `json:"name"`
	Version      string        `json:"version"`
	Arch         string        `json:"arch"`
	Distribution string        `json:"distribution"`
	Component    string        `json:"component"`
	Status       string        `json:"status" rule:"indexed|accepted|pending_review|already_indexed"`
	Filename     *string       `json:"filename"` // null unless published
	Size         int64         `json:"size_bytes"`
	SHA256       string        `json:"sha256"`
	Scan         scanJSON      `json:"scan"`
	Warnings     []warningJSON `json:"warnings"`
}

type warningJSON struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func newUploadAnswer(p aptrepo.Published) uploadAnswer {
	a := p.Artifact
	out := uploadAnswer{
		Name: a.Name, Version: a.Version, Arch: a.Arch, Distribution: p.Distribution, Component: p.Component,
		Status: string(a.Status), Size: a.Size, SHA256: a.SHA256,
		Scan: newScan(p.Scan), Warnings: []warningJSON{},
	}
	if len(a.Publications) > 0 {
		out.Filename = &a.Filename
	}
	if !p.New && a.Status != aptrepo.PendingReview {
		out.Status = "already_indexed"
	}
	for _, w := range p.Warnings {
		out.Warnings = append(out.Warnings, warningJSON(w))
	}
	return out
}

type syncIndexJSON struct {
	Status          string       `json:"status"`
	PackagesIndexed int          `json:"packages_indexed"`
	Distributions   []string     `json:"distributions"`
	Repaired        []repairJSON `json:"repaired"`
}

func (a *api) syncIndex(c *call) error {
	report, err := a.Repo.SyncIndex(c.detach())
	if err != nil {
		return err
	}
	out := syncIndexJSON{"ok", report.Published, list(report.Distributions), []repairJSON{}}
	for _, f := range report.Faults {
		if f.Kind == aptrepo.FaultBrokenChain { // nothing can repair that
			a.Logger.ErrorContext(c.Context(), "the audit log was changed", "detail", f.Detail, "request_id", c.id)
			continue
		}
		kind := f.Kind
		if kind == aptrepo.FaultStaleTable { // to clients an index like others
			kind = aptrepo.FaultStaleIndex
		}
		out.Repaired = append(out.Repaired, repairJSON{kind, f.Name, f.Version, f.Arch, f.Detail})
	}
	return writeJSON(c.w, http.StatusOK, out)
}

type repairJSON struct {
	Kind    string `json:"kind" rule:"missing_file|hash_mismatch|orphan_file|stale_index"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Detail  string `json:"detail"`
}
